//! Every operation whose failure or loss could cost an acknowledged entry goes through here, so
//! that tests can count it and make it fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// What the store asks of a disk.
pub trait Disk: Send + Sync {
    /// Creates a file that must not exist, readable by its owner alone.
    fn create(&self, path: &Path) -> io::Result<File>;
    /// Writes all bytes at an offset.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes a file's bytes and length durable.
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Makes the names in a folder durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Replaces `to` by `from`, in one step.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Cuts a file.
    fn truncate(&self, file: &File, len: u64) -> io::Result<()>;
    /// Free space for this user in percent of the file system, rounded down.
    fn free_percent(&self, folder: &Path) -> io::Result<u8>;
}

/// The machine's disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path)
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn free_percent(&self, folder: &Path) -> io::Result<u8> {
        let facts = rustix::fs::statvfs(folder)?;
        // Some file systems (overlays, network) tell no size: nothing to hold against them.
        let percent = facts.f_bavail.saturating_mul(100).checked_div(facts.f_blocks).unwrap_or(100);
        Ok(u8::try_from(percent.min(100)).unwrap_or(100))
    }
}
