//! Files that must be whole or not there, whenever the machine stops.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Trying, WitnessError};

/// Makes a folder for this user alone.
pub(crate) fn new_folder(path: &Path) -> Result<(), WitnessError> {
    DirBuilder::new().mode(0o700).create(path).trying(|| format!("creating {}", path.display()))
}

/// Writes a file that does not exist, durably; leaves none when that fails.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), WitnessError> {
    NewFile::create(path)?.write(bytes)
}

/// A file that does not hold anything yet. Gone again unless it is written.
pub(crate) struct NewFile<'a> {
    path: &'a Path,
    file: File,
    written: bool,
}

impl<'a> NewFile<'a> {
    /// Makes it: whether a medium can be written to is known before anything depends on it.
    pub fn create(path: &'a Path) -> Result<Self, WitnessError> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match file {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(WitnessError::Exists { path: path.into() })
            }
            other => Ok(Self { path, file: other.trying(|| format!("writing {}", path.display()))?, written: false }),
        }
    }

    /// Fills it, durably.
    pub fn write(mut self, bytes: &[u8]) -> Result<(), WitnessError> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_all());
        written.and_then(|()| sync_folder(self.path)).trying(|| format!("writing {}", self.path.display()))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for NewFile<'_> {
    fn drop(&mut self) {
        if !self.written {
            let _ = std::fs::remove_file(self.path);
        }
    }
}

/// Puts a file in place of another in one step. *A stop before the rename leaves the old one and
/// perhaps a `.part`, which the next call overwrites; after it, the new one.*
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> Result<(), WitnessError> {
    let part = path.with_extension("part");
    let write = || -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&part, path)?;
        sync_folder(path)
    };
    write().trying(|| format!("writing {}", path.display()))
}

/// Makes the names in a file's folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

/// A text file of up to `limit` bytes; `None` when it is longer or no text.
pub(crate) fn read_text(path: &Path, limit: usize) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    Ok(if bytes.len() > limit { None } else { String::from_utf8(bytes).ok() })
}
