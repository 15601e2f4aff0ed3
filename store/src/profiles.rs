//! Keys of profiles: one random key per (case, profile), wrapped by the profile's passphrase, in
//! a file whose name is a keyed digest: the disk alone tells how many there are, not which.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::draft::{Draft, Receipt};
use crate::error::StoreError;
use crate::files::{Layout, read_small};
use crate::keys::{self, ProfileKey, WorkstationKey};
use crate::passphrase::{PROFILE_KEY, replace};
use crate::store::Store;

impl Store {
    /// Makes the key of a (case, profile). A key whose profile never came into the log (`replace`)
    /// has sealed nothing and gives way.
    pub fn create_profile(
        &self,
        case: &str,
        name: &str,
        passphrase: &SecretString,
        replace: bool,
    ) -> Result<(), StoreError> {
        create(&self.layout, &self.key, case, name, passphrase, replace, self.disk.as_ref())
    }

    /// Opens the key of a (case, profile).
    pub fn unlock_profile(&self, case: &str, name: &str, passphrase: &SecretString) -> Result<ProfileKey, StoreError> {
        unlock(&self.layout, &self.key, case, name, passphrase)
    }

    /// Wraps the key of a (case, profile) in a new passphrase; the old one opens it no more. `act`, of
    /// kind `passphrase`, is logged before, and the entry binds the new key file.
    ///
    /// # Errors
    /// [`StoreError::NoSuchProfile`], [`StoreError::WrongPassphrase`], a disk that does not write: the
    /// old passphrase still opens the key then.
    pub fn change_profile_passphrase(
        &self,
        case: &str,
        name: &str,
        old: &SecretString,
        new: &SecretString,
        act: Draft,
    ) -> Result<Receipt, StoreError> {
        let path = file(&self.layout, &self.key, case, name);
        if !path.exists() {
            return Err(StoreError::NoSuchProfile);
        }
        let p = keys::unwrap(&read_small(&path)?, old)?;
        let wrapped = keys::wrap(&p, new, self.layout.facts.scrypt_log_n)?;
        self.replace_key(&path, &self.layout.profiles(), &wrapped, PROFILE_KEY, act)
    }

    /// The key under which a mandate's own account of requests and bytes is kept: any profile's
    /// session under the mandate draws on it.
    pub fn mandate_key(&self, mandate: &[u8; 32]) -> ProfileKey {
        ProfileKey::new(&self.key.subkey(&format!("mandate/{}", HEXLOWER.encode(mandate))))
    }
}

fn file(layout: &Layout, key: &WorkstationKey, case: &str, name: &str) -> PathBuf {
    let tag = keys::tag(&key.subkey("tag"), &[b"profile", case.as_bytes(), name.as_bytes()]);
    layout.profiles().join(HEXLOWER.encode(&tag[..16]))
}

fn create(
    layout: &Layout,
    key: &WorkstationKey,
    case: &str,
    name: &str,
    passphrase: &SecretString,
    anew: bool,
    disk: &dyn Disk,
) -> Result<(), StoreError> {
    let path = file(layout, key, case, name);
    if path.exists() && !anew {
        return Err(StoreError::ProfileExists);
    }
    let p = Zeroizing::new(keys::random::<32>()?);
    let wrapped = keys::wrap(&p, passphrase, layout.facts.scrypt_log_n)?;
    replace(&path, &wrapped, &layout.profiles(), disk)
}

fn unlock(
    layout: &Layout,
    key: &WorkstationKey,
    case: &str,
    name: &str,
    passphrase: &SecretString,
) -> Result<ProfileKey, StoreError> {
    let path = file(layout, key, case, name);
    if !path.exists() {
        return Err(StoreError::NoSuchProfile);
    }
    Ok(ProfileKey::new(&*keys::unwrap(&read_small(&path)?, passphrase)?))
}
