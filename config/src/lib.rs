//! Who may look at what. Pure: bytes and times in, values out; no file, no network, no clock.
//!
//! [`mandate`] is the signed document, [`signers`] says whose signature counts, [`revocation`]
//! stops it, [`retention`] says how long its evidence is kept, [`restoration`] what was lost with a disk,
//! [`sharing`] what may leave to partners and [`annotation`] what they answer, [`legal`] knows what each legal basis
//! can support, [`profile`] and [`headers`] are the pseudonym and how it appears, [`target`] reads
//! addresses strictly, and [`authorize`] is the one place that turns all of them and a time into
//! permission.

mod action;
pub mod annotation;
pub mod authorize;
mod document;
pub mod headers;
pub mod legal;
pub mod limits;
pub mod mandate;
pub mod media;
pub mod profile;
pub mod refusal;
pub mod restoration;
pub mod retention;
pub mod revocation;
pub mod sharing;
pub mod signers;
pub mod target;

/// SHA-256 of a document's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// Digest of `bytes` (FIPS 180-4).
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest;
        Self(sha2::Sha256::digest(bytes).into())
    }
}

impl std::fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}
