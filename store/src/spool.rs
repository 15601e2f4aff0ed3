//! Bytes that wait to be sealed: in memory while they are few, else in a file without a name,
//! encrypted to an identity that only this value holds. Nothing readable reaches the disk, and
//! nothing at all remains of it when the process ends.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Cursor, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use age::stream::{StreamReader, StreamWriter};
use data_encoding::HEXLOWER;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use crate::error::{StoreError, Trying};
use crate::keys::random;

/// Takes bytes; gives them back once, in order.
pub struct Spool {
    dir: PathBuf,
    memory_limit: usize,
    held: Held,
    sha256: Sha256,
    len: u64,
}

enum Held {
    Memory(Vec<u8>),
    // Boxed: both are large, and a spool that stays in memory needs neither.
    File(Box<Encrypted>),
}

struct Encrypted {
    identity: age::x25519::Identity,
    writer: StreamWriter<BufWriter<File>>,
}

impl Spool {
    /// An empty spool. Beyond `memory_limit` bytes all of it moves to a nameless file in `dir`.
    pub fn create(dir: &Path, memory_limit: usize) -> Result<Self, StoreError> {
        Ok(Self { dir: dir.to_owned(), memory_limit, held: Held::Memory(Vec::new()), sha256: Sha256::new(), len: 0 })
    }

    /// Ends writing.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the last bytes cannot be written or read back.
    pub fn finish(self) -> Result<SpoolReader, StoreError> {
        let trying = || "reading back spooled bytes".to_owned();
        let source = match self.held {
            Held::Memory(bytes) => Source::Memory(Cursor::new(bytes)),
            Held::File(spooled) => {
                let buffered = spooled.writer.finish().trying(trying)?;
                let mut file = buffered.into_inner().map_err(|e| e.into_error()).trying(trying)?;
                file.rewind().trying(trying)?;
                let reader = age::Decryptor::new_buffered(BufReader::new(file))
                    .and_then(|age| age.decrypt(std::iter::once(&spooled.identity as &dyn age::Identity)))
                    .map_err(io::Error::other)
                    .trying(trying)?;
                Source::File(Box::new(reader))
            }
        };
        Ok(SpoolReader { source, len: self.len, sha256: self.sha256.finalize().into() })
    }

    fn to_file(&self, bytes: &[u8]) -> io::Result<Encrypted> {
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public();
        let writer = age::Encryptor::with_recipients(std::iter::once(&recipient as &dyn age::Recipient))
            .map_err(io::Error::other)?
            .wrap_output(BufWriter::with_capacity(128 * 1024, nameless(&self.dir)?))?;
        let mut spooled = Encrypted { identity, writer };
        spooled.writer.write_all(bytes)?;
        Ok(spooled)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Held::Memory(held) = &mut self.held {
            if held.len() + bytes.len() <= self.memory_limit {
                held.extend_from_slice(bytes);
            } else {
                let held = std::mem::take(held);
                let mut spooled = self.to_file(&held)?;
                spooled.writer.write_all(bytes)?;
                self.held = Held::File(Box::new(spooled));
            }
        } else if let Held::File(spooled) = &mut self.held {
            spooled.writer.write_all(bytes)?;
        }
        self.sha256.update(bytes);
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The spooled bytes, to be read once.
pub struct SpoolReader {
    source: Source,
    len: u64,
    sha256: [u8; 32],
}

enum Source {
    Memory(Cursor<Vec<u8>>),
    File(Box<StreamReader<BufReader<File>>>),
}

impl SpoolReader {
    /// All bytes that were written, whatever was read since.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Nothing was written.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// SHA-256 of all bytes that were written.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }
}

impl Read for SpoolReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Memory(bytes) => bytes.read(buffer),
            Source::File(file) => file.read(buffer),
        }
    }
}

/// A file that no name leads to: it is gone with its last descriptor.
pub(crate) fn nameless(dir: &Path) -> io::Result<File> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    if let Ok(file) = rustix::fs::open(dir, flags, Mode::from_raw_mode(0o600)) {
        return Ok(file.into());
    }
    // File systems without O_TMPFILE: a random name, removed at once.
    let name = HEXLOWER.encode(&random::<16>().map_err(io::Error::other)?);
    let path = dir.join(name);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(limit: usize, bytes: &[u8]) -> (SpoolReader, Vec<u8>) {
        let dir = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::create(dir.path(), limit).expect("creates");
        for piece in bytes.chunks(1000) {
            spool.write_all(piece).expect("writes");
            assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 0, "a spool has no name");
        }
        let mut reader = spool.finish().expect("finishes");
        let mut back = Vec::new();
        reader.read_to_end(&mut back).expect("reads");
        (reader, back)
    }

    #[test]
    fn bytes_come_back_from_memory_and_from_disk() {
        let bytes: Vec<u8> = (0..200_000u32).flat_map(u32::to_be_bytes).collect();
        for limit in [0, 999, 1000, 64 * 1024, bytes.len(), bytes.len() + 1] {
            let (reader, back) = round(limit, &bytes);
            assert!(back == bytes, "limit {limit}");
            assert_eq!(reader.len(), bytes.len() as u64);
            assert_eq!(reader.sha256(), <[u8; 32]>::from(Sha256::digest(&bytes)));
        }
        let (reader, back) = round(0, b"");
        assert!(back.is_empty() && reader.is_empty());
    }

    #[test]
    fn the_file_holds_no_plain_byte() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut spool = Spool::create(dir.path(), 0).expect("creates");
        spool.write_all(&b"CANARY-3f1d".repeat(10_000)).expect("writes");
        let Held::File(spooled) = spool.held else { panic!("on disk") };
        let mut file = spooled.writer.finish().expect("ends").into_inner().expect("flushes");
        file.rewind().expect("rewinds");
        let mut raw = Vec::new();
        file.read_to_end(&mut raw).expect("reads");
        assert!(raw.len() > 100_000);
        assert!(!raw.windows(6).any(|window| window == b"CANARY"));
    }
}
