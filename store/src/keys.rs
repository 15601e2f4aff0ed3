//! Keys: the workstation key W, its subkeys, and a profile's key P. Random keys; passphrases
//! only wrap them (age, scrypt), so that a passphrase can change without touching evidence.

use std::io::{Read, Write};
use std::sync::Arc;

use chacha20poly1305::aead::{Aead as _, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use secrecy::SecretString;
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::error::{StoreError, Trying};

/// scrypt work factor when none is chosen: N = 2^18, 256 MiB, about a second.
pub(crate) const SCRYPT_LOG_N: u8 = 18;
/// Largest work factor accepted from a key file: more is an attack on memory, not a passphrase.
pub(crate) const SCRYPT_LOG_N_MAX: u8 = 22;
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
    if !(1..=SCRYPT_LOG_N_MAX).contains(&log_n) {
        return Err(StoreError::invalid(format!("scrypt work factor {log_n}: 1 to {SCRYPT_LOG_N_MAX}")));
    }
    let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(log_n);
    let sealing = |why: String| StoreError::Sealing { why };
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(|e| sealing(e.to_string()))?;
    let mut out = Vec::new();
    let mut writer = encryptor.wrap_output(&mut out).map_err(|e| sealing(e.to_string()))?;
    writer.write_all(key).map_err(|e| sealing(e.to_string()))?;
    writer.finish().map_err(|e| sealing(e.to_string()))?;
    Ok(out)
}

/// Opens what [`wrap`] made.
pub(crate) fn unwrap(wrapped: &[u8], passphrase: &SecretString) -> Result<Zeroizing<[u8; 32]>, StoreError> {
    let damaged = || StoreError::damaged("a key file is not a passphrase-wrapped age file of 32 bytes");
    let decryptor = age::Decryptor::new(wrapped).map_err(|_| damaged())?;
    if !decryptor.is_scrypt() {
        return Err(damaged());
    }
    let mut identity = age::scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(SCRYPT_LOG_N_MAX);
    let mut plain = match decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)) {
        Ok(plain) => plain,
        Err(age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed) => {
            return Err(StoreError::WrongPassphrase);
        }
        Err(_) => return Err(damaged()),
    };
    let mut key = Zeroizing::new([0; 32]);
    plain.read_exact(&mut *key).map_err(|_| damaged())?;
    match plain.read(&mut [0]) {
        Ok(0) => Ok(key),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_with_its_passphrase_alone() {
        let right = SecretString::from("right");
        let wrapped = wrap(&[7; 32], &right, 2).expect("wraps");
        assert_eq!(*unwrap(&wrapped, &right).expect("opens"), [7; 32]);
        let wrong = unwrap(&wrapped, &SecretString::from("wrong"));
        assert!(matches!(wrong, Err(StoreError::WrongPassphrase)));
        assert!(unwrap(&wrapped[..wrapped.len() - 1], &right).is_err());
        assert!(wrap(&[7; 32], &right, 0).is_err());
    }

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
