//! What the next opening of a store would do to it, found by doing it to a copy: the catalogue is
//! copied, the segments are read where they lie, and nothing there is written.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use data_encoding::HEXLOWER;

use crate::clock::Clock;
use crate::disk::{Disk, RealDisk};
use crate::error::{StoreError, Trying};
use crate::files::{Layout, new_folder};
use crate::keys::{WorkstationKey, random};
use crate::local::LocalCipher;
use crate::lock::Lock;
use crate::recovery::recover;
use crate::store::{Silent, signing_key};

/// What an opening would do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forecast {
    /// Entries that the signed head covers.
    pub signed: u64,
    /// Why the catalogue would be rebuilt from the segments; cookies and frontiers would be lost.
    pub rebuild: Option<String>,
    /// Whole entries beyond the signed head that would be adopted and signed.
    pub adopted: u64,
    /// Bytes beyond them that would be set aside in `torn/`.
    pub torn_bytes: u64,
    /// Why it would be refused; then nothing is changed.
    pub refused: Option<String>,
}

impl Forecast {
    /// Nothing would be changed and nothing refused.
    pub fn is_clean(&self) -> bool {
        *self == Self { signed: self.signed, ..Self::default() }
    }
}

/// Says what opening the store in `dir` would do. Takes the store's lock meanwhile.
///
/// # Errors
/// What prevents an answer: no store, a wrong key, a store in use, a disk that does not read.
pub fn forecast(dir: &Path, key: &WorkstationKey, clock: &dyn Clock) -> Result<Forecast, StoreError> {
    let layout = Layout::open(dir)?;
    let _lock = Lock::take(&layout)?;
    signing_key(&layout, key)?;
    let (_, head) = layout.signed_head(&layout.verifier()?)?;
    let shadow = Shadow::new(&layout)?;
    let copy = Layout { dir: shadow.0.clone(), facts: layout.facts.clone() };
    let disk: Arc<dyn Disk> = Arc::new(Untouched { segments: copy.segments() });
    let local = LocalCipher::new(key, &layout.facts);
    let mut forecast = Forecast { signed: head.size, ..Forecast::default() };
    match recover(&copy, key, &local, &head, clock.stamp().wall, &disk, &Silent) {
        Ok(recovered) => {
            forecast.rebuild = recovered.rebuilt;
            forecast.adopted = recovered.adopted;
            forecast.torn_bytes = recovered.torn_bytes;
        }
        Err(error) if error.is_damage() || matches!(error, StoreError::ClockBehind { .. }) => {
            forecast.refused = Some(error.to_string());
        }
        Err(error) => return Err(error),
    }
    Ok(forecast)
}

/// A folder that looks like the store, gone when it is dropped.
struct Shadow(PathBuf);

impl Shadow {
    fn new(layout: &Layout) -> Result<Self, StoreError> {
        let dir = layout.spool().join(format!("check-{}", HEXLOWER.encode(&random::<8>()?)));
        new_folder(&dir)?;
        let shadow = Self(dir);
        let trying = || "copying the catalogue to look at it".to_owned();
        let real = std::fs::canonicalize(layout.segments()).trying(trying)?;
        std::os::unix::fs::symlink(real, shadow.0.join("segments")).trying(trying)?;
        new_folder(&shadow.0.join("torn"))?;
        if layout.catalogue().exists() {
            copy_folder(&layout.catalogue(), &shadow.0.join("catalogue")).trying(trying)?;
        }
        if layout.catalogue_damaged().exists() {
            File::create(shadow.0.join("catalogue.damaged")).trying(trying)?;
        }
        Ok(shadow)
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::create_dir(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    Ok(())
}

/// Writes to the copy; leaves the segments as they are.
struct Untouched {
    segments: PathBuf,
}

impl Disk for Untouched {
    fn create(&self, path: &Path) -> io::Result<File> {
        if path.starts_with(&self.segments) {
            return Err(io::Error::other("a look at a store makes no segment"));
        }
        RealDisk.create(path)
    }

    fn write_at(&self, _: &File, _: &[u8], _: u64) -> io::Result<()> {
        // Only what a recovery sets aside is written this way: it stays where it is.
        Ok(())
    }

    fn sync(&self, _: &File) -> io::Result<()> {
        Ok(())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        if from.starts_with(&self.segments) { Ok(()) } else { RealDisk.rename(from, to) }
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if path.starts_with(&self.segments) { Ok(()) } else { RealDisk.remove(path) }
    }

    fn truncate(&self, _: &File, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn punch(&self, _: &File, _: u64, _: u64) -> io::Result<()> {
        Err(io::Error::other("a look at a store erases nothing"))
    }

    fn free_percent(&self, _: &Path) -> io::Result<u8> {
        Ok(100)
    }
}
