//! Values that occur in several places of a signed document, each complaint with its line.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use toml::Spanned;
use toml::value::Datetime;

use crate::document::{Complaint, Source};

pub(crate) type Checked<T> = Result<T, Complaint>;

/// A list that is neither empty nor names anything twice.
pub(crate) fn distinct<T: Clone + std::hash::Hash + Eq>(
    source: &Source<'_>,
    list: &Spanned<Vec<Spanned<T>>>,
    what: &str,
) -> Checked<Vec<T>> {
    if list.get_ref().is_empty() {
        return Err(source.at(list, format!("{what} must not be empty")));
    }
    let mut seen = HashSet::new();
    for item in list.get_ref() {
        if !seen.insert(item.get_ref().clone()) {
            return Err(source.at(item, format!("{what} names this twice")));
        }
    }
    Ok(list.get_ref().iter().map(|item| item.get_ref().clone()).collect())
}

/// Ids and labels: letters, digits, `-`, `_`, `.`, at most 64 bytes.
pub(crate) fn label(source: &Source<'_>, text: &Spanned<String>, what: &str) -> Checked<()> {
    let sound = |text: &str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    if sound(text.get_ref()) {
        Ok(())
    } else {
        Err(source.at(text, format!("{what} has 1 to 64 letters, digits, '-', '_' or '.'")))
    }
}

/// One line of text, not empty, at most 500 bytes.
pub(crate) fn line(source: &Source<'_>, text: &Spanned<String>) -> Checked<()> {
    let value = text.get_ref();
    // Characters that reverse or hide text (Unicode UAX #9, default-ignorables) would let a person
    // sign something else than what they see.
    let deceives =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if value.trim().is_empty() || value.len() > 500 || value.contains(|c: char| c.is_control() || deceives(c)) {
        return Err(source.at(text, "expected one line of 1 to 500 bytes without control or invisible characters"));
    }
    Ok(())
}

/// A date with time in UTC (`2026-11-01T00:00:00Z`).
pub(crate) fn utc(source: &Source<'_>, value: &Spanned<Datetime>) -> Checked<Timestamp> {
    let text = value.get_ref().to_string();
    if !text.ends_with(['Z', 'z']) {
        return Err(source.at(value, "a moment is written in UTC with date, time and Z, such as 2026-11-01T00:00:00Z"));
    }
    text.parse().map_err(|_| source.at(value, "no such moment"))
}

/// A date (`2026-11-01`).
pub(crate) fn date(source: &Source<'_>, value: &Spanned<Datetime>) -> Checked<Date> {
    value
        .get_ref()
        .to_string()
        .parse()
        .ok()
        .filter(|_| value.get_ref().time.is_none())
        .ok_or_else(|| source.at(value, "a day is written YYYY-MM-DD and must exist"))
}
