//! Every operation whose failure or loss could cost an acknowledged entry goes through here, so
//! that tests can count it and make it fail.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Zeros written at once.
const ZEROS_BYTES: usize = 1 << 20;

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
    /// Takes a name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Cuts a file.
    fn truncate(&self, file: &File, len: u64) -> io::Result<()>;
    /// Gives bytes of a file back to the file system: they read as zeros from then on.
    fn punch(&self, file: &File, offset: u64, len: u64) -> io::Result<()>;
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

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        file.set_len(len)
    }

    fn punch(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        // Written over first: a hole alone leaves the old bytes in blocks that may be read raw.
        let zeros = vec![0; ZEROS_BYTES];
        let mut at = offset;
        while at < offset + len {
            let piece = (offset + len - at).min(ZEROS_BYTES as u64);
            file.write_all_at(&zeros[..usize::try_from(piece).unwrap_or(ZEROS_BYTES)], at)?;
            at += piece;
        }
        file.sync_data()?;
        match fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len) {
            // Not every file system has holes: zeros are as good, they only take room.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn free_percent(&self, folder: &Path) -> io::Result<u8> {
        let facts = rustix::fs::statvfs(folder)?;
        // Some file systems (overlays, network) tell no size: nothing to hold against them.
        let percent = facts.f_bavail.saturating_mul(100).checked_div(facts.f_blocks).unwrap_or(100);
        Ok(u8::try_from(percent.min(100)).unwrap_or(100))
    }
}
