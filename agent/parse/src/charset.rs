//! Which character set a text is in (WHATWG Encoding and HTML standards: byte order mark, HTTP,
//! `<meta>` in the first 1,024 bytes, then a guess).

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};

/// A decoded text.
pub struct Chosen {
    pub text: String,
    pub name: String,
    pub source: String,
    pub warnings: Vec<String>,
}

/// How far `<meta>` is looked for, in bytes.
const PRESCAN: usize = 1024;

/// Decodes a text.
pub fn decode(content_type: Option<&[u8]>, bytes: &[u8], html: bool) -> Chosen {
    let mut warnings = Vec::new();
    let http = content_type.and_then(|value| label_after(value, b"charset"));
    let metas = if html { metas(&bytes[..bytes.len().min(PRESCAN)]) } else { Vec::new() };
    let mut all: Vec<&'static Encoding> = http.iter().chain(&metas).filter_map(|label| Encoding::for_label(label)).collect();
    all.dedup();
    if all.len() > 1 {
        let names: Vec<_> = all.iter().map(|encoding| encoding.name()).collect();
        warnings.push(format!("contradictory character sets: {}", names.join(", ")));
    }
    let known = |label: &Vec<u8>| Encoding::for_label(label);
    let (encoding, source) = if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        (encoding, "BOM")
    } else if let Some(encoding) = http.as_ref().and_then(known) {
        (encoding, "HTTP")
    } else if let Some(encoding) = metas.iter().find_map(known) {
        // A page whose `<meta>` could be read in ASCII is not UTF-16 (HTML standard, prescan).
        (if encoding.name().starts_with("UTF-16") { UTF_8 } else { encoding }, "meta")
    } else if std::str::from_utf8(bytes).is_ok() {
        (UTF_8, "guess")
    } else {
        (WINDOWS_1252, "guess")
    };
    let (text, used, broken) = encoding.decode(bytes);
    if broken {
        warnings.push(format!("bytes that are not valid {} were replaced", used.name()));
    }
    Chosen { text: text.into_owned(), name: used.name().to_owned(), source: source.to_owned(), warnings }
}

/// `name=value` after a name, quotes optional, as in `text/html; charset="utf-8"`.
fn label_after(text: &[u8], name: &[u8]) -> Option<Vec<u8>> {
    let lower = text.to_ascii_lowercase();
    let at = lower.windows(name.len()).position(|window| window == name)?;
    let rest = lower[at + name.len()..].trim_ascii_start().strip_prefix(b"=")?.trim_ascii_start();
    let label: Vec<u8> = match rest.first() {
        Some(&quote @ (b'"' | b'\'')) => rest[1..].iter().copied().take_while(|&b| b != quote).collect(),
        _ => rest.iter().copied().take_while(|b| !b.is_ascii_whitespace() && !b";\"'/>".contains(b)).collect(),
    };
    (!label.is_empty()).then_some(label)
}

/// The character sets that `<meta>` elements name.
fn metas(bytes: &[u8]) -> Vec<Vec<u8>> {
    let lower = bytes.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut rest = &lower[..];
    while let Some(at) = rest.windows(5).position(|window| window == b"<meta") {
        rest = &rest[at + 5..];
        let end = rest.iter().position(|&b| b == b'>').unwrap_or(rest.len());
        found.extend(label_after(&rest[..end], b"charset"));
    }
    found
}
