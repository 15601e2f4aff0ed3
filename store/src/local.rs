//! The local part of a frame (what the workstation key opens) and the private part (what the
//! case's recipients open): both JSON inside, described in FORMAT.md.

use data_encoding::{BASE64, HEXLOWER};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::StoreError;
use crate::files::Facts;
use crate::frame::HEADER_BYTES;
use crate::keys::{Cipher, WorkstationKey};

/// What opens one commitment of an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// Name in the entry.
    pub name: String,
    /// 32 bytes.
    #[serde(with = "hex")]
    pub salt: Vec<u8>,
    /// What was committed to.
    #[serde(with = "base64")]
    pub value: Vec<u8>,
}

impl Opening {
    /// SHA-256(salt || value).
    pub fn commitment(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(&self.salt);
        hash.update(&self.value);
        hash.finalize().into()
    }
}

/// Plaintext of the local part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Local {
    pub format: String,
    /// The catalogue row, as given.
    #[serde(with = "base64")]
    pub row: Vec<u8>,
    /// The row sealed under a profile's key; empty when there is none.
    #[serde(with = "base64", default, skip_serializing_if = "Vec::is_empty")]
    pub url: Vec<u8>,
    /// Openings that the workstation may know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub openings: Vec<Opening>,
}

impl Local {
    pub const FORMAT: &'static str = "vigie.local/1";
}

/// Plaintext of the private part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PrivatePart {
    pub format: String,
    /// Opens every commitment of the entry.
    pub openings: Vec<Opening>,
    /// The bytes inside the exhibit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exhibit: Option<Inside>,
    /// What the caller gave.
    pub content: serde_json::Value,
}

impl PrivatePart {
    pub const FORMAT: &'static str = "vigie.private/1";
}

/// Digest and length of an exhibit's plaintext.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inside {
    #[serde(with = "hex")]
    pub sha256: Vec<u8>,
    pub bytes: u64,
}

/// Seals and opens local parts of one store.
pub(crate) struct LocalCipher {
    cipher: Cipher,
    id: [u8; 16],
}

impl LocalCipher {
    pub fn new(key: &WorkstationKey, facts: &Facts) -> Self {
        Self { cipher: Cipher::new(&key.subkey("row")), id: facts.id }
    }

    pub fn seal(&self, context: &Context<'_>, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        self.cipher.seal(&context.encode(&self.id), plain)
    }

    /// `None` when the part was not sealed by this workstation for this very frame.
    pub fn open(&self, context: &Context<'_>, sealed: &[u8]) -> Option<Local> {
        let plain = self.cipher.open(&context.encode(&self.id), sealed)?;
        serde_json::from_slice(&plain).ok().filter(|local: &Local| local.format == Local::FORMAT)
    }

    /// Seals a row under a profile's key for one place in this store.
    pub fn seal_url(&self, cipher: &Cipher, sequence: u64, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        cipher.seal(&self.url_context(sequence), plain)
    }

    pub fn open_url(&self, cipher: &Cipher, sequence: u64, sealed: &[u8]) -> Option<Vec<u8>> {
        cipher.open(&self.url_context(sequence), sealed)
    }

    fn url_context(&self, sequence: u64) -> Vec<u8> {
        [&b"vigie.url/1\n"[..], &self.id, &sequence.to_be_bytes()].concat()
    }
}

/// What a local part is bound to: it opens in no other frame.
pub(crate) struct Context<'a> {
    pub header: &'a [u8; HEADER_BYTES],
    pub entry: &'a [u8],
    pub exhibit: &'a [u8; 32],
    pub private: &'a [u8; 32],
}

impl Context<'_> {
    fn encode(&self, id: &[u8; 16]) -> Vec<u8> {
        [&b"vigie.local/1\n"[..], id, self.header, self.entry, self.exhibit, self.private].concat()
    }
}

/// Bytes as base64 text in JSON.
mod base64 {
    use super::BASE64;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}

/// Bytes as lower-case hex text in JSON.
mod hex {
    use super::HEXLOWER;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        HEXLOWER.decode(text.as_bytes()).map_err(D::Error::custom)
    }
}
