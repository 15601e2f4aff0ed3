//! `Refresh` (WHATWG HTML §4.2.5.3, shared declarative refresh steps) and `Link` (RFC 8288) fields.

use vigie_wire::parse::Page;

use crate::address::{Base, Reading};
use crate::warnings::Warnings;

/// Takes the `Refresh` response field; the one of a page is only used when there is none.
pub fn from_fields(fields: &[(String, bytes::Bytes)], base: &Base, page: &mut Page, warnings: &mut Warnings) {
    for (name, value) in fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("refresh")) {
        let value = String::from_utf8_lossy(value);
        match parse(&value) {
            Some(found) if page.refresh.is_none() => take(found, base, page, warnings),
            Some(_) => warnings.add("more than one refresh: only the first is followed"),
            None => warnings.add(format!("a {name} field that cannot be read")),
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
    let value = value.trim_ascii_start();
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

/// One `Link` value: target as written, and parameters with names in lower case.
pub struct LinkField {
    /// Between the angle brackets.
    pub target: String,
    /// Parameters.
    pub parameters: Vec<(String, String)>,
}

/// Most links read from `Link` fields.
const LINK_FIELDS: usize = 200;

/// Reads `Link` fields.
pub fn links(fields: &[(String, bytes::Bytes)]) -> Vec<LinkField> {
    let mut links = Vec::new();
    for (_, value) in fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link")) {
        let value = String::from_utf8_lossy(value);
        let mut rest = &*value;
        while links.len() < LINK_FIELDS {
            let Some((_, after)) = rest.split_once('<') else { break };
            let Some((target, after)) = after.split_once('>') else { break };
            let (parameters, after) = parameters(after);
            links.push(LinkField { target: target.trim().to_owned(), parameters });
            rest = after;
        }
    }
    links
}

/// Parameters up to the comma that ends a link, and what comes after it.
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let (mut quoted, mut end) = (false, text.len());
    let mut cuts = vec![0];
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ';' if !quoted => cuts.push(at),
            ',' if !quoted => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    cuts.push(end);
    let parts = cuts.windows(2).map(|pair| text[pair[0]..pair[1]].trim_start_matches(';'));
    let parameters = parts.filter_map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = name.trim().to_ascii_lowercase();
        (!name.is_empty()).then(|| (name, value.trim().trim_matches('"').to_owned()))
    });
    (parameters.take(20).collect(), &text[end..])
}
