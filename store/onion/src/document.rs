//! The outer layer of a descriptor (rend-spec-v3, "Outer wrapper"), read strictly.

use data_encoding::{BASE64_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::judge::DescriptorError;

/// Most bytes of a descriptor; the public network's directories take 50,000 at most.
pub const DESCRIPTOR_BYTES: usize = 256 * 1024;
/// Bytes of an Ed25519 signature.
const SIGNATURE_BYTES: usize = 64;
/// Lifetimes that the specification permits, in minutes.
const LIFETIME_MINUTES: std::ops::RangeInclusive<u32> = 30..=720;

/// A descriptor, read but not believed.
#[derive(Clone, Debug)]
pub struct Descriptor<'a> {
    /// For how long directories keep it, in minutes, 30 to 720. It does not say from when.
    pub lifetime_minutes: u32,
    /// Grows with each descriptor of one period.
    pub revision: u64,
    pub(crate) certificate: Vec<u8>,
    pub(crate) signature: [u8; SIGNATURE_BYTES],
    /// What the signature is over, without the prefix.
    pub(crate) signed: &'a [u8],
    whole: &'a [u8],
}

/// One item of a document: keyword, arguments, and the object behind it.
struct Item<'a> {
    at: usize,
    keyword: &'a str,
    arguments: Vec<&'a str>,
    object: Option<(&'a str, Vec<u8>)>,
}

impl<'a> Descriptor<'a> {
    /// Reads the outer layer. Items that are not known are let through, as the specification asks.
    ///
    /// # Errors
    /// [`DescriptorError::Malformed`] says what is not as it must be.
    pub fn parse(text: &'a [u8]) -> Result<Self, DescriptorError> {
        use DescriptorError::Malformed;
        if text.len() > DESCRIPTOR_BYTES {
            return Err(Malformed("over 256 KiB"));
        }
        let document = std::str::from_utf8(text).map_err(|_| Malformed("not text"))?;
        if document.contains(['\0', '\r']) || !document.ends_with('\n') {
            return Err(Malformed("its lines"));
        }
        let items = items(document)?;
        let one = |keyword: &'static str, fault: &'static str| {
            let mut found = items.iter().filter(|item| item.keyword == keyword);
            match (found.next(), found.next()) {
                (Some(item), None) => Ok(item),
                _ => Err(Malformed(fault)),
            }
        };
        let version = one("hs-descriptor", "its first line")?;
        if version.at != 0 || version.arguments.first() != Some(&"3") || version.object.is_some() {
            return Err(Malformed("its first line"));
        }
        let lifetime: u32 = number(one("descriptor-lifetime", "its lifetime")?).ok_or(Malformed("its lifetime"))?;
        if !LIFETIME_MINUTES.contains(&lifetime) {
            return Err(Malformed("its lifetime, which must be 30 to 720 minutes"));
        }
        let revision = number(one("revision-counter", "its revision")?).ok_or(Malformed("its revision"))?;
        let certificate = match &one("descriptor-signing-key-cert", "its certificate")?.object {
            Some(("ED25519 CERT", bytes)) => bytes.clone(),
            _ => return Err(Malformed("its certificate")),
        };
        if !matches!(one("superencrypted", "its encrypted part")?.object, Some(("MESSAGE", _))) {
            return Err(Malformed("its encrypted part"));
        }
        let last = one("signature", "its signature")?;
        if last.object.is_some() || items.last().is_none_or(|item| item.at != last.at) {
            return Err(Malformed("its signature, which must be its last line"));
        }
        let encoded = last.arguments.first().ok_or(Malformed("its signature"))?;
        let signature = BASE64_NOPAD.decode(encoded.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        Ok(Self {
            lifetime_minutes: lifetime,
            revision,
            certificate,
            signature: signature.ok_or(Malformed("its signature"))?,
            signed: &text[..last.at],
            whole: text,
        })
    }

    /// Hex SHA-256 of the whole text.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.whole))
    }
}

/// A decimal number as the only thing that an item says.
fn number<N: std::str::FromStr>(item: &Item<'_>) -> Option<N> {
    let text = item.arguments.first()?;
    (item.object.is_none() && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(())?;
    text.parse().ok()
}

/// The items of a document (dir-spec, "Document meta-format").
fn items(document: &str) -> Result<Vec<Item<'_>>, DescriptorError> {
    use DescriptorError::Malformed;
    let mut items: Vec<Item<'_>> = Vec::new();
    let mut lines = document.split_inclusive('\n');
    let mut at = 0;
    while let Some(line) = lines.next() {
        let start = at;
        at += line.len();
        let line = line.trim_end_matches('\n');
        if let Some(name) = boundary(line, "BEGIN") {
            let item = items.last_mut().filter(|item| item.object.is_none()).ok_or(Malformed("an object alone"))?;
            let mut packed = String::new();
            loop {
                let line = lines.next().ok_or(Malformed("an object without end"))?;
                at += line.len();
                let line = line.trim_end_matches('\n');
                if let Some(end) = boundary(line, "END") {
                    if end != name {
                        return Err(Malformed("an object with another end"));
                    }
                    break;
                }
                packed.push_str(line);
            }
            let unpadded = packed.trim_end_matches('=');
            if packed.len() > unpadded.len() && !packed.len().is_multiple_of(4) {
                return Err(Malformed("the base64 of an object"));
            }
            let bytes = BASE64_NOPAD.decode(unpadded.as_bytes()).map_err(|_| Malformed("the base64 of an object"))?;
            item.object = Some((name, bytes));
            continue;
        }
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let keyword = words.next().ok_or(Malformed("an empty line"))?;
        let plain = keyword.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !plain || keyword.starts_with('-') || !line.starts_with(keyword) {
            return Err(Malformed("a line without keyword"));
        }
        items.push(Item { at: start, keyword, arguments: words.collect(), object: None });
    }
    Ok(items)
}

/// The name in `-----BEGIN NAME-----` or `-----END NAME-----`.
fn boundary<'a>(line: &'a str, which: &str) -> Option<&'a str> {
    line.strip_prefix("-----")?.strip_suffix("-----")?.strip_prefix(which)?.strip_prefix(' ')
}
