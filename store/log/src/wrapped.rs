//! A key of 32 bytes in an age file that a passphrase opens (C2SP age, scrypt recipient). Stock
//! `age -d` opens it too.

use std::io::{Read, Write};

use secrecy::SecretString;
use zeroize::Zeroizing;

/// scrypt work factor when none is chosen: N = 2^18, 256 MiB, about a second.
pub const SCRYPT_LOG_N: u8 = 18;
/// Largest work factor accepted from a key file: more is an attack on memory, not a passphrase.
pub const SCRYPT_LOG_N_MAX: u8 = 22;

/// A key was not wrapped or not opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The work factor is out of range.
    #[error("scrypt work factor {0}: 1 to {SCRYPT_LOG_N_MAX}")]
    WorkFactor(u8),
    /// age refused.
    #[error("wrapping a key: {0}")]
    Sealing(String),
    /// The passphrase opens nothing.
    #[error("the passphrase does not open this key; try again, or restore the key file if it was damaged")]
    WrongPassphrase,
    /// The file holds no key, or not all of it.
    #[error("a key file is not a passphrase-wrapped age file of 32 bytes")]
    Damaged,
}

/// Makes the file.
///
/// # Errors
/// [`WrapError::WorkFactor`], [`WrapError::Sealing`].
pub fn wrap(key: &[u8; 32], passphrase: &SecretString, log_n: u8) -> Result<Vec<u8>, WrapError> {
    if !(1..=SCRYPT_LOG_N_MAX).contains(&log_n) {
        return Err(WrapError::WorkFactor(log_n));
    }
    let mut recipient = age::scrypt::Recipient::new(passphrase.clone());
    recipient.set_work_factor(log_n);
    let encryptor = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
        .map_err(|e| WrapError::Sealing(e.to_string()))?;
    let mut out = Vec::new();
    let write = || -> std::io::Result<()> {
        let mut writer = encryptor.wrap_output(&mut out)?;
        writer.write_all(key)?;
        writer.finish().map(|_| ())
    };
    write().map_err(|e| WrapError::Sealing(e.to_string()))?;
    Ok(out)
}

/// Opens what [`wrap`] made.
///
/// # Errors
/// [`WrapError::WrongPassphrase`], [`WrapError::Damaged`].
pub fn open(wrapped: &[u8], passphrase: &SecretString) -> Result<Zeroizing<[u8; 32]>, WrapError> {
    let decryptor = age::Decryptor::new(wrapped).map_err(|_| WrapError::Damaged)?;
    if !decryptor.is_scrypt() {
        return Err(WrapError::Damaged);
    }
    let mut identity = age::scrypt::Identity::new(passphrase.clone());
    identity.set_max_work_factor(SCRYPT_LOG_N_MAX);
    let mut plain = match decryptor.decrypt(std::iter::once(&identity as &dyn age::Identity)) {
        Ok(plain) => plain,
        Err(age::DecryptError::DecryptionFailed | age::DecryptError::KeyDecryptionFailed) => {
            return Err(WrapError::WrongPassphrase);
        }
        Err(_) => return Err(WrapError::Damaged),
    };
    let mut key = Zeroizing::new([0; 32]);
    plain.read_exact(&mut *key).map_err(|_| WrapError::Damaged)?;
    match plain.read(&mut [0]) {
        Ok(0) => Ok(key),
        _ => Err(WrapError::Damaged),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_key_opens_with_its_passphrase_alone() {
        let right = SecretString::from("right");
        let wrapped = wrap(&[7; 32], &right, 2).expect("wraps");
        assert_eq!(*open(&wrapped, &right).expect("opens"), [7; 32]);
        assert_eq!(open(&wrapped, &SecretString::from("wrong")).err(), Some(WrapError::WrongPassphrase));
        assert_eq!(open(&wrapped[..wrapped.len() - 1], &right).err(), Some(WrapError::Damaged));
        assert_eq!(open(b"", &right).err(), Some(WrapError::Damaged));
        assert_eq!(wrap(&[7; 32], &right, 0).err(), Some(WrapError::WorkFactor(0)));
        assert_eq!(wrap(&[7; 32], &right, 23).err(), Some(WrapError::WorkFactor(23)));
    }
}
