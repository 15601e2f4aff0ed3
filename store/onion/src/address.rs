//! Addresses of onion services, version 3 (rend-spec-v3, "Encoding onion addresses").

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::traits::IsIdentity;
use data_encoding::BASE32_NOPAD;
use sha3::{Digest, Sha3_256};

/// Bytes of the key in an address.
const KEY_BYTES: usize = 32;
/// The version at the end of an address.
const VERSION: u8 = 3;

/// Why a text is no address of an onion service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OnionError {
    /// Not 56 characters of a-z, 2-7 and `.onion`, or of another version.
    #[error("not a version 3 onion address")]
    Form,
    /// The checksum inside does not hold.
    #[error("an onion address whose checksum does not hold")]
    Checksum,
    /// The key inside is no point of the prime-order group.
    #[error("an onion address that holds no usable key")]
    Key,
}

/// An onion service's public key. Shows itself without its name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Onion {
    key: [u8; KEY_BYTES],
    point: EdwardsPoint,
}

impl std::fmt::Debug for Onion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Onion(…)")
    }
}

impl Onion {
    /// Reads `LABEL.onion`, lower case.
    ///
    /// # Errors
    /// [`OnionError`] says what does not fit.
    pub fn parse(address: &str) -> Result<Self, OnionError> {
        let label = address.strip_suffix(".onion").ok_or(OnionError::Form)?;
        if label.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(OnionError::Form);
        }
        let bytes = BASE32_NOPAD.decode(label.to_ascii_uppercase().as_bytes()).map_err(|_| OnionError::Form)?;
        let (key, [sum @ .., version]) = bytes.split_first_chunk::<KEY_BYTES>().ok_or(OnionError::Form)? else {
            return Err(OnionError::Form);
        };
        if sum.len() != 2 || *version != VERSION {
            return Err(OnionError::Form);
        }
        if checksum(key) != *sum {
            return Err(OnionError::Checksum);
        }
        let point = CompressedEdwardsY(*key).decompress().ok_or(OnionError::Key)?;
        // A point with a part of small order would let several addresses share one key.
        if point.is_identity() || !point.is_torsion_free() || point.compress().0 != *key {
            return Err(OnionError::Key);
        }
        Ok(Self { key: *key, point })
    }

    /// The address of a key, whether it is usable or not.
    pub fn address(key: &[u8; 32]) -> String {
        let mut bytes = key.to_vec();
        bytes.extend(checksum(key));
        bytes.push(VERSION);
        format!("{}.onion", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
    }

    /// The Ed25519 public key.
    pub fn key(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn point(&self) -> &EdwardsPoint {
        &self.point
    }
}

fn checksum(key: &[u8; KEY_BYTES]) -> [u8; 2] {
    let hash = Sha3_256::new().chain_update(b".onion checksum").chain_update(key).chain_update([VERSION]).finalize();
    [hash[0], hash[1]]
}
