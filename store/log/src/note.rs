//! Signed notes (C2SP signed-note): a text, an empty line, and lines of signatures.

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::VerifyingKey;
use sha2::{Digest, Sha256};

/// Signature type of Ed25519 over the text (C2SP signed-note).
pub(crate) const ED25519: u8 = 0x01;
/// Signature type of a timestamped Ed25519 cosignature (C2SP tlog-cosignature).
pub(crate) const COSIGNATURE: u8 = 0x04;

/// A note taken apart; no signature is checked yet.
pub(crate) struct Note<'a> {
    /// What is signed, with its final LF.
    pub text: &'a str,
    pub lines: Vec<SignatureLine<'a>>,
}

/// One line of a signature.
pub(crate) struct SignatureLine<'a> {
    /// The whole line without its LF.
    pub line: &'a str,
    pub name: &'a str,
    pub key_id: [u8; 4],
    pub signature: Vec<u8>,
}

impl<'a> Note<'a> {
    pub fn parse(note: &'a str) -> Result<Self, &'static str> {
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err("a control character");
        }
        // The last empty line parts text and signatures.
        let at = note.rfind("\n\n").ok_or("no blank line before the signatures")?;
        let (text, signatures) = (&note[..=at], &note[at + 2..]);
        let signatures = signatures.strip_suffix('\n').ok_or("the last line has no end")?;
        let lines = signatures.split('\n').map(SignatureLine::parse).collect::<Result<_, _>>()?;
        Ok(Self { text, lines })
    }
}

impl<'a> SignatureLine<'a> {
    fn parse(line: &'a str) -> Result<Self, &'static str> {
        let rest = line.strip_prefix("\u{2014} ").ok_or("a signature line without its dash")?;
        let (name, packed) = rest.split_once(' ').ok_or("a signature line without a signature")?;
        let packed = BASE64.decode(packed.as_bytes()).map_err(|_| "a signature is not base64")?;
        let (key_id, signature) = packed.split_first_chunk::<4>().ok_or("a signature without a key id")?;
        Ok(Self { line, name, key_id: *key_id, signature: signature.to_vec() })
    }
}

/// A signature line with its LF.
pub(crate) fn line(name: &str, key_id: [u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", BASE64.encode(&[&key_id[..], signature].concat()))
}

/// SHA-256(name || LF || type || key), first four bytes.
pub(crate) fn key_id(name: &str, kind: u8, key: &VerifyingKey) -> [u8; 4] {
    let mut hash = Sha256::new();
    hash.update(name.as_bytes());
    hash.update([b'\n', kind]);
    hash.update(key.as_bytes());
    let digest: [u8; 32] = hash.finalize().into();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// A verifier key: `name+hex(key id)+base64(type || key)`.
pub(crate) fn vkey(name: &str, kind: u8, key: &VerifyingKey) -> String {
    let packed = [&[kind][..], key.as_bytes()].concat();
    format!("{name}+{}+{}", HEXLOWER.encode(&key_id(name, kind, key)), BASE64.encode(&packed))
}

/// Reads a verifier key of one type in its one spelling, one line without its end.
pub(crate) fn parse_vkey(text: &str, kind: u8) -> Option<(&str, VerifyingKey)> {
    let (name, rest) = text.split_once('+')?;
    let (_, packed) = rest.split_once('+')?;
    let packed = BASE64.decode(packed.as_bytes()).ok()?;
    let key = packed.strip_prefix(&[kind])?;
    let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    (is_name(name) && vkey(name, kind, &key) == text).then_some((name, key))
}

/// A name that a signed note can carry: 1 to 255 printable ASCII characters, no space, no `+`.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'+')
}

/// A decimal number in its one spelling.
pub(crate) fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number: &u64| number.to_string() == text)
}

/// A line that is the base64 of a hash.
pub(crate) fn hash(line: &str) -> Option<[u8; 32]> {
    BASE64.decode(line.as_bytes()).ok()?.try_into().ok()
}
