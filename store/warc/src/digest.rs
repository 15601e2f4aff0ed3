//! Labelled digests (WARC 1.1 §5.8): `algorithm:value`.

use data_encoding::{BASE32, HEXLOWER, HEXLOWER_PERMISSIVE};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// A labelled digest as this project writes it: `sha256:` and 64 lower-case hex digits.
pub fn sha256_label(digest: &[u8; 32]) -> String {
    format!("sha256:{}", HEXLOWER.encode(digest))
}

/// A digest that a record claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelledDigest {
    /// SHA-256, hex.
    Sha256([u8; 32]),
    /// SHA-1, Base32 (as older tools write it) or hex. Read, never written.
    Sha1([u8; 20]),
}

impl LabelledDigest {
    /// Reads `sha256:<hex>`, `sha1:<Base32>` or `sha1:<hex>`; `None` for anything else, such as
    /// the misspelt label `sha-256:`.
    pub fn parse(text: &str) -> Option<Self> {
        let (label, value) = text.split_once(':')?;
        let value = value.as_bytes();
        if label.eq_ignore_ascii_case("sha256") {
            return HEXLOWER_PERMISSIVE.decode(value).ok()?.try_into().ok().map(Self::Sha256);
        }
        if label.eq_ignore_ascii_case("sha1") {
            let bytes = match value.len() {
                32 => BASE32.decode(&value.to_ascii_uppercase()).ok()?,
                _ => HEXLOWER_PERMISSIVE.decode(value).ok()?,
            };
            return bytes.try_into().ok().map(Self::Sha1);
        }
        None
    }
}

/// Computes the digest of one kind over bytes that come piece by piece.
#[derive(Clone)]
pub enum Hasher {
    /// SHA-256.
    Sha256(Sha256),
    /// SHA-1.
    Sha1(Sha1),
}

impl Hasher {
    /// A hasher of the same kind as `claimed`.
    pub fn like(claimed: &LabelledDigest) -> Self {
        match claimed {
            LabelledDigest::Sha256(_) => Self::Sha256(Sha256::new()),
            LabelledDigest::Sha1(_) => Self::Sha1(Sha1::new()),
        }
    }

    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
        }
    }

    /// The digest of everything taken.
    pub fn finish(self) -> LabelledDigest {
        match self {
            Self::Sha256(hasher) => LabelledDigest::Sha256(hasher.finalize().into()),
            Self::Sha1(hasher) => LabelledDigest::Sha1(hasher.finalize().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_labels_are_read_and_others_are_not() {
        // SHA-1 and SHA-256 of the empty string (FIPS 180-4 examples).
        let sha1 = Hasher::Sha1(Sha1::new()).finish();
        assert_eq!(LabelledDigest::parse("sha1:3I42H3S6NNFQ2MSVX7XZKYAYSCX5QBYJ"), Some(sha1));
        assert_eq!(LabelledDigest::parse("sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709"), Some(sha1));
        let sha256 = Hasher::Sha256(Sha256::new()).finish();
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(LabelledDigest::parse(&format!("sha256:{hex}")), Some(sha256));
        for wrong in [&format!("sha-256:{hex}"), "sha256:", "sha256:zz", "md5:00", "sha1:AAAA", hex, ""] {
            assert_eq!(LabelledDigest::parse(wrong), None, "{wrong}");
        }
    }
}
