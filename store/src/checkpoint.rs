//! The signed head of the log: a C2SP tlog-checkpoint, which is a C2SP signed-note.

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};

use crate::log::Hash;

/// Signature type of Ed25519 in a signed note (C2SP signed-note).
const ED25519: u8 = 0x01;
/// Largest checkpoint read, in bytes.
pub const CHECKPOINT_BYTES: usize = 64 * 1024;

/// A size and root of the log under its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log.
    pub origin: String,
    /// Entries covered.
    pub size: u64,
    /// Root of the tree of that size.
    pub root: Hash,
}

/// Text that is not a checkpoint signed by the log's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a checkpoint signed by this log: {0}")]
pub struct CheckpointError(&'static str);

impl Checkpoint {
    /// The text that is signed: three lines, each ended by LF.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root))
    }

    /// The signed note. The key's name is the origin.
    pub fn sign(&self, key: &SigningKey) -> String {
        let body = self.body();
        let verifier = Verifier { name: self.origin.clone(), key: key.verifying_key() };
        let mut signed = verifier.key_id().to_vec();
        signed.extend_from_slice(&key.sign(body.as_bytes()).to_bytes());
        format!("{body}\n\u{2014} {} {}\n", self.origin, BASE64.encode(&signed))
    }

    /// Reads a signed note and checks the log's signature. Other signature lines (cosignatures
    /// of witnesses) are let through unread; a second line under the log's own key is refused.
    pub fn open(text: &str, verifier: &Verifier) -> Result<Self, CheckpointError> {
        if text.len() > CHECKPOINT_BYTES {
            return Err(CheckpointError("longer than 64 KiB"));
        }
        let (body, signatures) =
            text.split_once("\n\n").ok_or(CheckpointError("no blank line before the signatures"))?;
        let signatures = signatures.strip_suffix('\n').ok_or(CheckpointError("the last line has no end"))?;
        let body = format!("{body}\n");
        let mut found = false;
        for line in signatures.split('\n') {
            let line = line.strip_prefix("\u{2014} ").ok_or(CheckpointError("a signature line without its dash"))?;
            let (name, packed) = line.split_once(' ').ok_or(CheckpointError("a signature line without a signature"))?;
            let signed = BASE64.decode(packed.as_bytes()).map_err(|_| CheckpointError("a signature is not base64"))?;
            if name != verifier.name || signed.get(..4) != Some(&verifier.key_id()) {
                continue;
            }
            let signature = signed.get(4..).and_then(|bytes| Signature::from_slice(bytes).ok());
            let signature = signature.ok_or(CheckpointError("a signature is not of 64 bytes"))?;
            if found {
                return Err(CheckpointError("two signatures of the log"));
            }
            verifier
                .key
                .verify_strict(body.as_bytes(), &signature)
                .map_err(|_| CheckpointError("the signature does not match"))?;
            found = true;
        }
        if !found {
            return Err(CheckpointError("no signature of the log's key"));
        }
        Self::parse(&body, verifier)
    }

    fn parse(body: &str, verifier: &Verifier) -> Result<Self, CheckpointError> {
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root), Some(""), None) =
            (lines.next(), lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(CheckpointError("not of three lines"));
        };
        let root = BASE64.decode(root.as_bytes()).ok().and_then(|root| root.try_into().ok());
        let checkpoint = Self {
            origin: origin.to_owned(),
            size: size.parse().map_err(|_| CheckpointError("the size is not a number"))?,
            root: root.ok_or(CheckpointError("the root is not base64 of 32 bytes"))?,
        };
        if checkpoint.origin != verifier.name {
            return Err(CheckpointError("another origin"));
        }
        if checkpoint.body() != body {
            return Err(CheckpointError("a value is not in its one spelling"));
        }
        Ok(checkpoint)
    }
}

/// The log's public key under its name: a C2SP verifier key (vkey).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verifier {
    name: String,
    key: VerifyingKey,
}

impl Verifier {
    /// Of a key under the log's origin.
    pub fn new(origin: &str, key: VerifyingKey) -> Self {
        Self { name: origin.to_owned(), key }
    }

    /// The log's origin.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// SHA-256(name || LF || 0x01 || key), first four bytes.
    pub fn key_id(&self) -> [u8; 4] {
        let mut hash = Sha256::new();
        hash.update(self.name.as_bytes());
        hash.update([b'\n', ED25519]);
        hash.update(self.key.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        [digest[0], digest[1], digest[2], digest[3]]
    }

    /// Reads `name+hash+base64`, one line without its end.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once('+')?;
        let (_, packed) = rest.split_once('+')?;
        let bytes = BASE64.decode(packed.as_bytes()).ok()?;
        let (kind, key) = bytes.split_first()?;
        let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
        let verifier = Self { name: name.to_owned(), key };
        (*kind == ED25519 && is_origin(name) && verifier.to_string() == text).then_some(verifier)
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut packed = vec![ED25519];
        packed.extend_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, HEXLOWER.encode(&self.key_id()), BASE64.encode(&packed))
    }
}

/// A name that a signed note can carry: 1 to 255 printable ASCII characters, no space, no `+`.
pub fn is_origin(name: &str) -> bool {
    (1..=255).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic() && b != b'+')
}

#[cfg(test)]
mod tests;
