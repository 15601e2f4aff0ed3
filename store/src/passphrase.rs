//! New passphrases for old keys, and their end. Keys are random and passphrases only wrap them, so
//! neither touches evidence.

use std::path::{Path, PathBuf};

use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::disk::{Disk, RealDisk};
use crate::draft::{Draft, Receipt};
use crate::error::{StoreError, Trying};
use crate::files::{Layout, write_new};
use crate::keys::wrap;
use crate::kind::Kind;
use crate::lock::Lock;
use crate::store::Store;

/// Name of the digest of the store's new key file.
pub(crate) const KEY: &str = "key";
/// Name of the digest of a profile's new key file.
pub(crate) const PROFILE_KEY: &str = "profile-key";

impl Store {
    /// Wraps the workstation key in a new passphrase, which replaces the old one. `act`, of kind
    /// `passphrase`, is logged before the new file takes its place, and the entry binds that file. A
    /// copy of the store made before still opens with the old one.
    ///
    /// # Errors
    /// A disk that does not write: the old passphrase still opens the store then.
    pub fn change_passphrase(&self, new: &SecretString, act: Draft) -> Result<Receipt, StoreError> {
        let wrapped = wrap(self.key.as_bytes(), new, self.layout.facts.scrypt_log_n)?;
        self.replace_key(&self.layout.wrapped_key(), &self.layout.dir, &wrapped, KEY, act)
    }

    /// Puts a key file in the place of one, with an entry that binds it. *A stop before the entry
    /// changes nothing; one behind it leaves the old file, which the next change replaces.*
    pub(crate) fn replace_key(
        &self,
        path: &Path,
        folder: &Path,
        wrapped: &[u8],
        name: &str,
        act: Draft,
    ) -> Result<Receipt, StoreError> {
        if act.kind != Kind::Passphrase {
            return Err(StoreError::invalid(format!("an entry of kind {} about a passphrase", act.kind)));
        }
        let disk = self.disk.as_ref();
        // What can fail for want of room is done before anything is said.
        let part = prepare(path, wrapped, disk)?;
        let receipt = self.append_internal(act, vec![(name.to_owned(), Sha256::digest(wrapped).into())])?;
        disk.rename(&part, path)
            .and_then(|()| disk.sync_folder(folder))
            .trying(|| format!("replacing {}", path.display()))?;
        Ok(receipt)
    }
}

/// Puts a whole new file in the place of one: a stop leaves the old or the new.
pub(crate) fn replace(path: &Path, bytes: &[u8], folder: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
    let part = prepare(path, bytes, disk)?;
    disk.rename(&part, path).and_then(|()| disk.sync_folder(folder)).trying(|| format!("replacing {}", path.display()))
}

fn prepare(path: &Path, bytes: &[u8], disk: &dyn Disk) -> Result<PathBuf, StoreError> {
    let part = path.with_extension("part");
    if part.exists() {
        let _ = disk.remove(&part);
    }
    write_new(&part, bytes, disk)?;
    Ok(part)
}

/// Destroys the wrapped keys in `dir`: the workstation's, the log's and every profile's. What is
/// sealed for recipients stays theirs, and the log can still be verified; nothing can be added to it.
/// Gives how many key files went. A process that has the store open is killed first.
///
/// # Errors
/// No store, or a key file that could not be removed; the others are gone then.
pub fn wipe_keys(dir: &Path) -> Result<usize, StoreError> {
    let layout = Layout::open(dir)?;
    Lock::kill_holder(&layout);
    let mut files = vec![layout.wrapped_key(), layout.log_key()];
    let profiles = std::fs::read_dir(layout.profiles()).into_iter().flatten().flatten();
    files.extend(profiles.map(|entry| entry.path()));
    files.extend(layout.wrapped_key().exists().then(|| layout.wrapped_key().with_extension("part")));
    let (mut gone, mut failed) = (0, None);
    for file in files.into_iter().filter(|file| file.exists()) {
        match overwrite(&file).and_then(|()| std::fs::remove_file(&file)) {
            Ok(()) => gone += 1,
            Err(error) => failed = Some(Err(error).trying(|| format!("destroying {}", file.display()))),
        }
    }
    for folder in [&layout.dir, &layout.profiles()] {
        RealDisk
            .sync_folder(folder)
            .trying(|| format!("making the end of the keys durable in {}", folder.display()))?;
    }
    failed.unwrap_or(Ok(gone))
}

/// Zeros over a file. Flash memory may keep the old bytes elsewhere: SECURITY.md says what helps.
fn overwrite(path: &Path) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).open(path)?;
    let len = file.metadata()?.len();
    RealDisk.write_at(&file, &vec![0; usize::try_from(len).unwrap_or(0).min(1 << 20)], 0)?;
    file.sync_all()
}
