//! Names of certificates as text (RFC 4514).

use data_encoding::HEXLOWER;
use der::Tag;
use der::asn1::ObjectIdentifier;

use crate::walk::{Malformed, only};

/// A Name with tag and length, most specific part first; hex when it cannot be read.
pub(crate) fn text(name: &[u8]) -> String {
    parts(name).unwrap_or_else(|_| format!("#{}", HEXLOWER.encode(name)))
}

fn parts(name: &[u8]) -> Result<String, Malformed> {
    let mut list = only(name, Tag::Sequence)?;
    let mut parts = Vec::new();
    while !list.is_finished() {
        let mut set = list.inside(Tag::Set)?;
        let mut together = Vec::new();
        while !set.is_finished() {
            let mut pair = set.inside(Tag::Sequence)?;
            let oid = pair.oid()?;
            let (tag, value) = pair.any()?;
            pair.end()?;
            together.push(format!("{}={}", kind(oid), shown(tag, value)));
        }
        parts.push(together.join("+"));
    }
    parts.reverse();
    Ok(parts.join(","))
}

fn kind(oid: ObjectIdentifier) -> String {
    let known = match oid.to_string().as_str() {
        "2.5.4.3" => "CN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.97" => "organizationIdentifier",
        _ => return oid.to_string(),
    };
    known.to_owned()
}

/// A value as text, with what RFC 4514 section 2.4 escapes escaped; nothing that a terminal obeys.
fn shown(tag: Tag, value: &[u8]) -> String {
    let text = match tag {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String | Tag::TeletexString => String::from_utf8_lossy(value),
        Tag::BmpString => {
            let units: Vec<u16> =
                value.chunks(2).map(|c| u16::from_be_bytes([c[0], *c.get(1).unwrap_or(&0)])).collect();
            String::from_utf16_lossy(&units).into()
        }
        _ => return format!("#{}", HEXLOWER.encode(value)),
    };
    let mut shown = String::new();
    for c in text.chars() {
        match c {
            ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => shown.extend(['\\', c]),
            c if c.is_control() => shown.push('\u{fffd}'),
            c => shown.push(c),
        }
    }
    shown
}
