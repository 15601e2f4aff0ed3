//! The signed head of the log: a C2SP tlog-checkpoint, which is a C2SP signed-note.

use data_encoding::BASE64;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};

use crate::note::{self, ED25519, Note};
use crate::tree::Hash;

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
pub struct CheckpointError(pub(crate) &'static str);

impl Checkpoint {
    /// The text that is signed: three lines, each ended by LF.
    pub fn body(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root))
    }

    /// The signed note. The key's name is the origin.
    pub fn sign(&self, key: &SigningKey) -> String {
        let body = self.body();
        let verifier = Verifier { name: self.origin.clone(), key: key.verifying_key() };
        let signature = key.sign(body.as_bytes()).to_bytes();
        format!("{body}\n{}", note::line(&self.origin, verifier.key_id(), &signature))
    }

    /// Reads a signed note and checks the log's signature. Other signature lines (cosignatures
    /// of witnesses) are let through unread; a second line under the log's own key is refused.
    pub fn open(text: &str, verifier: &Verifier) -> Result<Self, CheckpointError> {
        Self::open_note(&parse(text)?, verifier).map(|(checkpoint, _)| checkpoint)
    }

    /// As [`Self::open`]; also gives the log's own signature line.
    pub(crate) fn open_note<'a>(note: &Note<'a>, verifier: &Verifier) -> Result<(Self, &'a str), CheckpointError> {
        let mut found = None;
        for line in &note.lines {
            if line.name != verifier.name || line.key_id != verifier.key_id() {
                continue;
            }
            let signature = Signature::from_slice(&line.signature);
            let signature = signature.map_err(|_| CheckpointError("a signature is not of 64 bytes"))?;
            if found.is_some() {
                return Err(CheckpointError("two signatures of the log"));
            }
            verifier
                .key
                .verify_strict(note.text.as_bytes(), &signature)
                .map_err(|_| CheckpointError("the signature does not match"))?;
            found = Some(line.line);
        }
        let found = found.ok_or(CheckpointError("no signature of the log's key"))?;
        Ok((Self::parse(note.text, verifier)?, found))
    }

    /// The origin that a note names, whoever signed it: for choosing the key to check it with.
    pub fn claimed_origin(text: &str) -> Option<&str> {
        text.split_once('\n').map(|(origin, _)| origin).filter(|origin| is_origin(origin))
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
        note::key_id(&self.name, ED25519, &self.key)
    }

    /// Reads `name+hash+base64`, one line without its end.
    pub fn parse(text: &str) -> Option<Self> {
        note::parse_vkey(text, ED25519).map(|(name, key)| Self::new(name, key))
    }
}

impl std::fmt::Display for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&note::vkey(&self.name, ED25519, &self.key))
    }
}

/// Takes a note of bounded length apart.
pub(crate) fn parse(text: &str) -> Result<Note<'_>, CheckpointError> {
    if text.len() > CHECKPOINT_BYTES {
        return Err(CheckpointError("longer than 64 KiB"));
    }
    Note::parse(text).map_err(CheckpointError)
}

/// A name that a signed note can carry: 1 to 255 printable ASCII characters, no space, no `+`.
pub fn is_origin(name: &str) -> bool {
    note::is_name(name)
}

#[cfg(test)]
mod tests;
