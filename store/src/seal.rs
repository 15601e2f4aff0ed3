//! Sealing: one age file per exhibit, for the recipients that the mandate names. Its file key is
//! drawn here and forgotten at once: the workstation cannot read back what it wrote.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use age::stream::StreamWriter;
use sha2::{Digest, Sha256};

use crate::error::{StoreError, Trying};
use crate::frame::{Sum, Summer};
use crate::recipient::Recipient;
use crate::spool::nameless;

/// Ciphertext of one exhibit kept in memory, in bytes; more goes to a nameless file.
const MEMORY_BYTES: usize = 2 << 20;

/// Takes plain bytes, keeps only their age v1 file.
pub struct Sealer {
    writer: StreamWriter<Ciphertext>,
    plaintext: Sha256,
    plaintext_len: u64,
}

impl Sealer {
    /// Begins an age file for the recipients; `dir` takes a nameless file when it grows large.
    ///
    /// # Errors
    /// [`StoreError::Sealing`] when there is no recipient, or they do not go together.
    pub fn create(dir: &Path, recipients: &[Recipient]) -> Result<Self, StoreError> {
        let sink = Ciphertext { dir: dir.to_owned(), memory: Vec::new(), file: None, len: 0, sum: Summer::default() };
        Ok(Self { writer: encrypt(recipients, sink)?, plaintext: Sha256::new(), plaintext_len: 0 })
    }

    /// Ends the age file.
    pub fn finish(self) -> Result<SealedExhibit, StoreError> {
        let sink = self.writer.finish().trying(|| "sealing an exhibit".into())?;
        let body = match sink.file {
            Some(file) => Body::File(file),
            None => Body::Memory(sink.memory),
        };
        Ok(SealedExhibit {
            body,
            len: sink.len,
            sum: sink.sum.finish(),
            plaintext_sha256: self.plaintext.finalize().into(),
            plaintext_len: self.plaintext_len,
        })
    }
}

impl Write for Sealer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes)?;
        self.plaintext.update(&bytes[..written]);
        self.plaintext_len += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A finished age file that is not in the store yet.
pub struct SealedExhibit {
    pub(crate) body: Body,
    pub(crate) len: u64,
    pub(crate) sum: Sum,
    pub(crate) plaintext_sha256: [u8; 32],
    pub(crate) plaintext_len: u64,
}

pub(crate) enum Body {
    Memory(Vec<u8>),
    File(File),
}

impl SealedExhibit {
    /// Length of the age file in bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never: an age file has a header.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// SHA-256 of the age file.
    pub fn sha256(&self) -> [u8; 32] {
        self.sum.sha256
    }

    /// SHA-256 of the bytes inside.
    pub fn plaintext_sha256(&self) -> [u8; 32] {
        self.plaintext_sha256
    }

    /// Length of the bytes inside.
    pub fn plaintext_len(&self) -> u64 {
        self.plaintext_len
    }
}

/// Seals a small value in memory.
pub(crate) fn seal_bytes(recipients: &[Recipient], plain: &[u8]) -> Result<Vec<u8>, StoreError> {
    let mut writer = encrypt(recipients, Vec::new())?;
    writer.write_all(plain).and_then(|()| writer.finish()).trying(|| "sealing a private part".into())
}

/// A stream that seals to recipients what is written into it; `finish` ends the age file.
///
/// # Errors
/// [`StoreError::Sealing`] when there is no recipient, or they do not go together.
pub fn seal_into<W: Write>(recipients: &[Recipient], out: W) -> Result<StreamWriter<W>, StoreError> {
    encrypt(recipients, out)
}

fn encrypt<W: Write>(recipients: &[Recipient], sink: W) -> Result<StreamWriter<W>, StoreError> {
    age::Encryptor::with_recipients(recipients.iter().map(Recipient::as_age))
        .map_err(|e| StoreError::Sealing { why: e.to_string() })?
        .wrap_output(sink)
        .trying(|| "sealing".into())
}

/// Where the age file grows; hashed as it passes, so that nothing reads it again.
struct Ciphertext {
    dir: PathBuf,
    memory: Vec<u8>,
    file: Option<File>,
    len: u64,
    sum: Summer,
}

impl Write for Ciphertext {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.file.is_none() && self.memory.len() + bytes.len() > MEMORY_BYTES {
            let file = nameless(&self.dir)?;
            file.write_all_at(&self.memory, 0)?;
            self.memory = Vec::new();
            self.file = Some(file);
        }
        match &self.file {
            Some(file) => file.write_all_at(bytes, self.len)?,
            None => self.memory.extend_from_slice(bytes),
        }
        self.sum.update(bytes);
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
