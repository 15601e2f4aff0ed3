//! An exhibit as one of its recipients reads it: the plaintext as a stream that never touches the
//! disk, judged at its end against what the log committed to.

use std::io::{self, BufReader, Read};

use sha2::{Digest, Sha256};

use crate::draft::PLAINTEXT;
use crate::entry::Entry;
use crate::error::StoreError;
use crate::private::{self, Closed};
use crate::reader::Reader;

/// Bytes of ciphertext read at once.
const PIECE_BYTES: usize = 128 * 1024;

/// A stream of an exhibit's plaintext (a `.warc.gz`).
pub struct OpenedExhibit {
    /// Its log entry.
    pub entry: Entry,
    number: u64,
    committed: [u8; 32],
    plain: Box<dyn Read + Send>,
    hash: Sha256,
}

/// A private part, opened.
#[derive(Clone, Debug)]
pub struct OpenedPrivate {
    /// What the entry's commitments are made of.
    pub openings: Vec<OpenedCommitment>,
    /// What the entry's kind says more.
    pub content: serde_json::Value,
}

/// Salt and value of a commitment SHA-256(salt ‖ value).
#[derive(Clone, Debug)]
pub struct OpenedCommitment {
    /// Its name in the entry.
    pub name: String,
    /// Salt.
    pub salt: Vec<u8>,
    /// Value.
    pub value: Vec<u8>,
}

impl Reader {
    /// Opens an exhibit with the identities of its recipients. No plaintext is made before the first
    /// read.
    ///
    /// # Errors
    /// [`StoreError::NotARecipient`] when none of the identities fits, [`StoreError::Identity`] when a
    /// plugin did not answer, and damage.
    pub fn open_exhibit(
        &self,
        number: u64,
        identities: &[Box<dyn age::Identity + Send + Sync>],
    ) -> Result<OpenedExhibit, StoreError> {
        let (entry, sealed) = self.exhibit(number)?;
        let fault = |error: age::DecryptError| match error {
            age::DecryptError::NoMatchingKeys => StoreError::NotARecipient { number },
            error @ (age::DecryptError::Plugin(_) | age::DecryptError::PluginResolve(_) | age::DecryptError::Io(_)) => {
                StoreError::Identity { number, why: one_line(&error) }
            }
            other => StoreError::damaged(format!("exhibit {number} does not open ({other})")),
        };
        let plain = age::Decryptor::new_buffered(BufReader::with_capacity(PIECE_BYTES, sealed))
            .and_then(|age| age.decrypt(identities.iter().map(|identity| &**identity as &dyn age::Identity)))
            .map_err(fault)?;
        let committed = self.committed(&entry, identities).map_err(|error| match error {
            Some(error) => fault(error),
            None => StoreError::damaged(format!("the private part of exhibit {number} does not say what it holds")),
        })?;
        Ok(OpenedExhibit { entry, number, committed, plain: Box::new(plain), hash: Sha256::new() })
    }

    /// The private part of an entry as one of its recipients reads it: the openings of its commitments, held
    /// against them, and its content. `None` for an entry without one.
    ///
    /// # Errors
    /// As [`Reader::open_exhibit`]; [`StoreError::Damaged`] when an opening does not fit its commitment.
    pub fn open_private(
        &self,
        entry: &Entry,
        identities: &[Box<dyn age::Identity + Send + Sync>],
    ) -> Result<Option<OpenedPrivate>, StoreError> {
        let Some(sealed) = self.private_part(entry.sequence)? else { return Ok(None) };
        let sequence = entry.sequence;
        let identities = identities.iter().map(|identity| &**identity as &dyn age::Identity);
        let part = private::open(&sealed, identities).map_err(|closed| match closed {
            Closed::Age(age::DecryptError::NoMatchingKeys) => StoreError::NotARecipient { number: sequence },
            Closed::Age(error) => StoreError::damaged(format!(
                "the private part of entry {sequence} does not open ({})",
                one_line(&error)
            )),
            Closed::Format => StoreError::damaged(format!("the private part of entry {sequence} is not one")),
        })?;
        let fits = |opening: &crate::local::Opening| {
            entry.commitments.iter().any(|(name, sum)| *name == opening.name && *sum == opening.commitment())
        };
        if let Some(opening) = part.openings.iter().find(|opening| !fits(opening)) {
            let name = &opening.name;
            return Err(StoreError::damaged(format!(
                "entry {sequence} does not commit to the `{name}` of its private part"
            )));
        }
        let openings = part
            .openings
            .into_iter()
            .map(|opening| OpenedCommitment { name: opening.name, salt: opening.salt, value: opening.value })
            .collect();
        Ok(Some(OpenedPrivate { openings, content: part.content }))
    }

    /// The digest that the entry commits to, opened by its private part.
    fn committed(
        &self,
        entry: &Entry,
        identities: &[Box<dyn age::Identity + Send + Sync>],
    ) -> Result<[u8; 32], Option<age::DecryptError>> {
        let Ok(Some(sealed)) = self.private_part(entry.sequence) else { return Err(None) };
        let identities = identities.iter().map(|identity| &**identity as &dyn age::Identity);
        let part = private::open(&sealed, identities).map_err(|closed| match closed {
            Closed::Age(error) => Some(error),
            Closed::Format => None,
        })?;
        let opening = part.openings.into_iter().find(|opening| opening.name == PLAINTEXT).ok_or(None)?;
        let committed = entry.commitments.iter().find(|(name, _)| name == PLAINTEXT).ok_or(None)?;
        let digest: [u8; 32] = opening.value.as_slice().try_into().map_err(|_| None)?;
        if committed.1 == opening.commitment() { Ok(digest) } else { Err(None) }
    }
}

/// What age says over several lines, with marks of writing direction, in one.
fn one_line(error: &age::DecryptError) -> String {
    let text = error.to_string();
    let plain = text.chars().filter(|c| !matches!(c, '\u{2066}'..='\u{2069}'));
    plain.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ")
}

impl OpenedExhibit {
    /// Reads what is left and compares the whole with what the log committed to.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn finish(mut self) -> Result<Entry, StoreError> {
        let number = self.number;
        io::copy(&mut self, &mut io::sink())
            .map_err(|error| StoreError::damaged(format!("exhibit {number} does not open to the end ({error})")))?;
        let sha256: [u8; 32] = self.hash.finalize().into();
        if self.committed != sha256 {
            return Err(StoreError::damaged(format!(
                "exhibit {number} does not hold the bytes that were committed to"
            )));
        }
        Ok(self.entry)
    }
}

impl Read for OpenedExhibit {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.plain.read(buffer)?;
        self.hash.update(&buffer[..read]);
        Ok(read)
    }
}
