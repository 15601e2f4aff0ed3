//! New passphrases for old keys, and their end. Keys are random and passphrases only wrap them, so
//! neither touches evidence.

use std::path::Path;

use secrecy::SecretString;

use crate::disk::{Disk, RealDisk};
use crate::error::{StoreError, Trying};
use crate::files::{Layout, write_new};
use crate::keys::{WorkstationKey, wrap};
use crate::lock::Lock;
use crate::store::signing_key;

/// Wraps the workstation key of the store in `dir` in a new passphrase, which replaces the old one.
/// A copy of the store made before still opens with the old one.
///
/// # Errors
/// [`StoreError::WrongKey`], [`StoreError::Locked`], and a disk that does not write.
pub fn change_passphrase(dir: &Path, key: &WorkstationKey, passphrase: &SecretString) -> Result<(), StoreError> {
    let layout = Layout::open(dir)?;
    let _lock = Lock::take(&layout)?;
    signing_key(&layout, key)?;
    let wrapped = wrap(key.as_bytes(), passphrase, layout.facts.scrypt_log_n)?;
    replace(&layout.wrapped_key(), &wrapped, &layout.dir, &RealDisk)
}

/// Puts a whole new file in the place of one: a stop leaves the old or the new.
pub(crate) fn replace(path: &Path, bytes: &[u8], folder: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
    let trying = || format!("replacing {}", path.display());
    let part = path.with_extension("part");
    let _ = std::fs::remove_file(&part);
    write_new(&part, bytes, disk)?;
    disk.rename(&part, path).trying(trying)?;
    disk.sync_folder(folder).trying(trying)
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
