//! CSV (RFC 4180): UTF-8, every field in double quotes, lines end in CRLF. A field that a spreadsheet would take
//! for a formula gets an apostrophe in front (OWASP, "CSV Injection"): the text stays readable and computes nothing.

use vigie_config::sharing::Column;

use crate::Share;

/// Writes the table; the first line names the columns, the second column of all is the mark.
pub fn write(share: &Share) -> Vec<u8> {
    let mut text = String::new();
    let head = ["tlp"].into_iter().chain(Column::ALL.iter().map(|column| column.name()));
    record(&mut text, head);
    let mark = share.tlp.to_string();
    for row in &share.rows {
        record(&mut text, [mark.as_str()].into_iter().chain(row.values.iter().map(String::as_str)));
    }
    text.into_bytes()
}

fn record<'v>(text: &mut String, values: impl Iterator<Item = &'v str>) {
    for (at, value) in values.enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push('"');
        text.push_str(&harmless(value).replace('"', "\"\""));
        text.push('"');
    }
    text.push_str("\r\n");
}

/// The value, so that no spreadsheet computes it: programs strip blanks before they look for a sign, and take
/// full-width signs for their ASCII forms.
pub fn harmless(value: &str) -> String {
    let first = value.trim_start_matches([' ', '\u{a0}', '\u{3000}', '"', '\u{feff}']).chars().next();
    let computes = |c: char| "=+-@\t\r\n\u{ff1d}\u{ff0b}\u{ff0d}\u{ff20}|%".contains(c);
    if first.is_some_and(computes) || value.starts_with(['\t', '\r', '\n']) {
        format!("'{value}")
    } else {
        value.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A reader of RFC 4180 that shares nothing with the writer.
    fn read(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' if quoted && chars.peek() == Some(&'"') => {
                    chars.next();
                    field.push('"');
                }
                '"' => quoted = !quoted,
                ',' if !quoted => row.push(std::mem::take(&mut field)),
                '\r' if !quoted && chars.peek() == Some(&'\n') => {
                    chars.next();
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
                other => field.push(other),
            }
        }
        rows
    }

    proptest! {
        #[test]
        fn any_text_comes_back_and_none_computes(values in prop::collection::vec(any::<String>(), 1..6), sign in "[=+@\\-\t\r ]{1,3}") {
            let values: Vec<String> = values.into_iter().enumerate().map(|(at, value)| if at % 2 == 0 { format!("{sign}{value}") } else { value }).collect();
            let mut text = String::new();
            record(&mut text, values.iter().map(String::as_str));
            let read = read(&text);
            prop_assert_eq!(read.len(), 1);
            prop_assert_eq!(read[0].len(), values.len());
            for (read, value) in read[0].iter().zip(&values) {
                let quoted = ["'", value].concat();
                prop_assert!(read == value || *read == quoted);
                prop_assert!(!read.starts_with(['=', '+', '-', '@', '\t', '\r']), "{read:?}");
            }
        }
    }

    #[test]
    fn signs_behind_blanks_and_full_width_ones_are_harmless_too() {
        for text in ["=1", "+1", "-1", "@x", "\tx", "\rx", " =1", "\u{a0}=1", "＝1", "\"=1", "|x"] {
            assert!(harmless(text).starts_with('\''), "{text:?}");
        }
        for text in ["", "a=b", "1-2", "Éléphant", "象牙", "12.5"] {
            assert_eq!(harmless(text), text);
        }
    }
}
