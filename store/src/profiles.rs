//! Keys of profiles: one random key per (case, profile), wrapped by the profile's passphrase, in
//! a file whose name is a keyed digest: the disk alone tells how many there are, not which.

use std::path::PathBuf;

use data_encoding::HEXLOWER;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::disk::Disk;
use crate::error::{StoreError, Trying};
use crate::files::{Layout, read_small, write_new};
use crate::keys::{self, ProfileKey, WorkstationKey};

fn file(layout: &Layout, key: &WorkstationKey, case: &str, name: &str) -> PathBuf {
    let tag = keys::tag(&key.subkey("tag"), &[b"profile", case.as_bytes(), name.as_bytes()]);
    layout.profiles().join(HEXLOWER.encode(&tag[..16]))
}

pub(crate) fn create(
    layout: &Layout,
    key: &WorkstationKey,
    case: &str,
    name: &str,
    passphrase: &SecretString,
    replace: bool,
    disk: &dyn Disk,
) -> Result<(), StoreError> {
    let path = file(layout, key, case, name);
    if path.exists() && !replace {
        return Err(StoreError::ProfileExists);
    }
    let p = Zeroizing::new(keys::random::<32>()?);
    let wrapped = keys::wrap(&p, passphrase, layout.facts.scrypt_log_n)?;
    // A stop before the rename leaves a .part that nothing reads; after it, a whole key.
    let part = path.with_extension("part");
    let _ = std::fs::remove_file(&part);
    write_new(&part, &wrapped, disk)?;
    disk.rename(&part, &path).trying(|| "keeping the profile's key".into())?;
    disk.sync_folder(&layout.profiles()).trying(|| "keeping the profile's key".into())
}

pub(crate) fn unlock(
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
