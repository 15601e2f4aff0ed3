//! `Refresh`, as a field and as `<meta>` (WHATWG HTML §4.2.5.3, shared declarative refresh steps).

use vigie_wire::limits::URL_BYTES;
use vigie_wire::parse::Page;

use crate::address::{Base, Reading};
use crate::warnings::{Warnings, start};

/// Most bytes of a value that are looked at: an address and its quotes.
const VALUE_BYTES: usize = 2 * URL_BYTES;

/// Takes the `Refresh` response field; the one of a page is only used when there is none.
pub fn from_fields(fields: &[(String, bytes::Bytes)], base: &Base, page: &mut Page, warnings: &mut Warnings) {
    for (_, value) in fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("refresh")) {
        let value = String::from_utf8_lossy(value);
        match parse(&value) {
            Some(found) if page.refresh.is_none() => take(found, base, page, warnings),
            Some(_) => warnings.add("more than one refresh: only the first is followed"),
            None => warnings.add("a Refresh field that cannot be read"),
        }
    }
}

/// Sets the refresh of a page.
pub fn take((delay_s, reference): (u32, Option<String>), base: &Base, page: &mut Page, warnings: &mut Warnings) {
    let reading = match &reference {
        None => Reading::Url(base.own().to_owned()),
        Some(reference) => base.resolve(reference),
    };
    match reading {
        Reading::Url(url) => page.refresh = Some((delay_s, url)),
        Reading::Nothing => page.refresh = Some((delay_s, base.own().to_owned())),
        Reading::Dropped => warnings.add("a refresh to a javascript: or data: address was ignored"),
        Reading::TooLong => warnings.add("a refresh to an address that is too long was ignored"),
    }
}

/// Reads `5`, `5; url=…`, `5, "…"`: delay in seconds and address as written. `None` when a browser
/// would ignore it.
pub fn parse(value: &str) -> Option<(u32, Option<String>)> {
    let value = start(value.trim_ascii_start(), VALUE_BYTES);
    let digits = value.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 && !value.starts_with('.') {
        return None;
    }
    let delay = match &value[..digits] {
        "" => 0,
        number => number.parse().unwrap_or(u32::MAX),
    };
    let rest = value[digits..].trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    if rest.is_empty() {
        return Some((delay, None));
    }
    if !rest.starts_with(|c: char| matches!(c, ';' | ',') || c.is_ascii_whitespace()) {
        return None;
    }
    let rest = rest.trim_ascii_start();
    let rest = rest.strip_prefix([';', ',']).unwrap_or(rest).trim_ascii_start();
    if rest.is_empty() {
        return Some((delay, None));
    }
    let named = rest
        .get(..3)
        .filter(|word| word.eq_ignore_ascii_case("url"))
        .and_then(|_| rest[3..].trim_ascii_start().strip_prefix('=').map(str::trim_ascii_start));
    let reference = named.unwrap_or(rest);
    let reference = match reference.chars().next() {
        Some(quote @ ('"' | '\'')) => reference[1..].split(quote).next().unwrap_or_default(),
        _ => reference,
    };
    Some((delay, Some(reference.to_owned())))
}
