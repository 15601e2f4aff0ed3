//! Keys: the workstation key W, its subkeys, and a profile's key P. Random keys; passphrases
//! only wrap them (age, scrypt), so that a passphrase can change without touching evidence.

use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use secrecy::SecretString;
use sha2::Sha256;
use vigie_log::wrapped::{self, WrapError};
pub(crate) use vigie_log::wrapped::{SCRYPT_LOG_N, SCRYPT_LOG_N_MAX};
use zeroize::Zeroizing;

use crate::error::{StoreError, Trying};

/// Bytes that sealing adds: nonce and tag.
pub(crate) const SEAL_BYTES: usize = 40;
const NONCE_BYTES: usize = 24;

/// W: opens mandates, catalogue and look-ups, and signs the log. Never an exhibit.
#[derive(Clone)]
pub struct WorkstationKey(Zeroizing<[u8; 32]>);

impl WorkstationKey {
    /// From bytes kept elsewhere (the kernel's key ring).
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The key's bytes, for the kernel's key ring only.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Seals bytes under the subkey of `label` (a name of the caller's own, not one of FORMAT.md).
    pub fn seal(&self, label: &str, plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        Cipher::new(&self.subkey(&format!("seal/{label}"))).seal(&[], plain)
    }

    /// Opens what [`Self::seal`] sealed under the same label.
    pub fn open(&self, label: &str, sealed: &[u8]) -> Result<Vec<u8>, StoreError> {
        Cipher::new(&self.subkey(&format!("seal/{label}")))
            .open(&[], sealed)
            .ok_or_else(|| StoreError::damaged("bytes sealed by this workstation do not open"))
    }

    /// A keyed digest (HMAC-SHA256) of `parts` under the subkey of `label` (a name of the caller's own): who has not
    /// the key can test no guess.
    pub fn digest(&self, label: &str, parts: &[&[u8]]) -> [u8; 32] {
        tag(&self.subkey(&format!("digest/{label}")), parts)
    }

    /// HKDF-SHA256 (RFC 5869) without salt, info `vigie/1/<purpose>`.
    pub(crate) fn subkey(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        subkey(&self.0, purpose)
    }
}

impl std::fmt::Debug for WorkstationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WorkstationKey(…)")
    }
}

/// P: the key of one (case, profile): cookies, frontier, URLs. Cloning shares it.
#[derive(Clone)]
pub struct ProfileKey(Arc<ProfileKeys>);

struct ProfileKeys {
    name: Zeroizing<[u8; 32]>,
    state: Cipher,
    url: Cipher,
}

impl ProfileKey {
    pub(crate) fn new(p: &[u8; 32]) -> Self {
        Self(Arc::new(ProfileKeys {
            name: subkey(p, "state-name"),
            state: Cipher::new(&subkey(p, "state")),
            url: Cipher::new(&subkey(p, "url")),
        }))
    }

    /// Keyed digest that stands for a name of run state.
    pub(crate) fn tag(&self, parts: &[&[u8]]) -> [u8; 16] {
        let full = tag(&self.0.name, parts);
        let mut short = [0; 16];
        short.copy_from_slice(&full[..16]);
        short
    }

    pub(crate) fn state(&self) -> &Cipher {
        &self.0.state
    }

    pub(crate) fn url(&self) -> &Cipher {
        &self.0.url
    }
}

impl std::fmt::Debug for ProfileKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ProfileKey(…)")
    }
}

/// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03) with random nonces: nonce, ciphertext, tag.
pub(crate) struct Cipher(XChaCha20Poly1305);

impl Cipher {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(XChaCha20Poly1305::new(key.into()))
    }

    pub(crate) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
        let nonce: [u8; NONCE_BYTES] = random()?;
        let body = self
            .0
            .encrypt(XNonce::from_slice(&nonce), Payload { msg: plain, aad: context })
            .map_err(|_| StoreError::invalid("a value too long to seal"))?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// `None` when the bytes were not sealed under this key and context.
    pub(crate) fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_BYTES)?;
        self.0.decrypt(XNonce::from_slice(nonce), Payload { msg: body, aad: context }).ok()
    }
}

/// Random bytes from the operating system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| std::io::Error::other(e.to_string()))
        .trying(|| "asking the system for random bytes".into())?;
    Ok(bytes)
}

pub(crate) fn subkey(key: &[u8; 32], purpose: &str) -> Zeroizing<[u8; 32]> {
    let mut out = Zeroizing::new([0; 32]);
    // HKDF gives up to 255 * 32 bytes; 32 cannot be too many.
    let _ = Hkdf::<Sha256>::new(None, key).expand(format!("vigie/1/{purpose}").as_bytes(), &mut *out);
    out
}

/// HMAC-SHA256 over the parts, each behind its length (64-bit big-endian).
pub(crate) fn tag(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    #[allow(clippy::expect_used)]
    let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(key).expect("HMAC takes keys of any length");
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// An age file (scrypt recipient) that holds the 32 bytes of a key.
pub(crate) fn wrap(key: &[u8; 32], passphrase: &SecretString, log_n: u8) -> Result<Vec<u8>, StoreError> {
    wrapped::wrap(key, passphrase, log_n).map_err(wrapping)
}

/// Opens what [`wrap`] made.
pub(crate) fn unwrap(wrapped: &[u8], passphrase: &SecretString) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    wrapped::open(wrapped, passphrase).map_err(wrapping)
}

fn wrapping(error: WrapError) -> StoreError {
    match error {
        WrapError::WorkFactor(_) => StoreError::invalid(error.to_string()),
        WrapError::Sealing(why) => StoreError::Sealing { why },
        WrapError::WrongPassphrase => StoreError::WrongPassphrase,
        WrapError::Damaged => StoreError::damaged(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_bytes_open_under_their_label_alone() {
        let key = WorkstationKey::from_bytes([1; 32]);
        let mut sealed = key.seal("a", b"plain").expect("seals");
        assert_eq!(sealed.len(), 5 + SEAL_BYTES);
        assert_eq!(key.open("a", &sealed).expect("opens"), b"plain");
        assert!(key.open("b", &sealed).is_err());
        sealed[30] ^= 1;
        assert!(key.open("a", &sealed).is_err());
        assert!(key.open("a", b"short").is_err());
    }

    #[test]
    fn subkeys_follow_rfc_5869() {
        // Computed with an independent HKDF (extract with a zero salt, then one expand block).
        let key = [9u8; 32];
        let extract = {
            let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&[0; 32]).expect("a key");
            mac.update(&key);
            mac.finalize().into_bytes()
        };
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&extract).expect("a key");
        mac.update(b"vigie/1/row\x01");
        let expected: [u8; 32] = mac.finalize().into_bytes().into();
        assert_eq!(*subkey(&key, "row"), expected);
    }
}
