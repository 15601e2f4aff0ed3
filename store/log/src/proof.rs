//! A proof that an entry is in a log, in one file that needs no connection to check
//! (C2SP tlog-proof).

use data_encoding::BASE64;

use crate::checkpoint::{CHECKPOINT_BYTES, CheckpointError, Verifier};
use crate::cosignature::{Cosigned, WitnessKey};
use crate::note::{hash, number};
use crate::tree::{Hash, verify_inclusion};

const FORMAT: &str = "c2sp.org/tlog-proof@v1";
/// Most hashes in a proof: no tree is higher.
const PATH_HASHES: usize = 64;
/// Largest proof read, in bytes.
pub const PROOF_BYTES: usize = CHECKPOINT_BYTES + 64 * 1024;

/// An entry's place, its audit path and a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Bytes that mean something to an application, vouched for by nobody. Vigie writes none.
    pub extra: Option<Vec<u8>>,
    /// Place of the entry, from 0.
    pub index: u64,
    /// Audit path, lowest first (RFC 6962 section 2.1.1).
    pub path: Vec<Hash>,
    /// The signed note; nothing in it is checked yet.
    pub checkpoint: String,
}

/// A proof that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The file is none of its format.
    #[error("not a proof ({FORMAT}): {0}")]
    Malformed(&'static str),
    /// The checkpoint is not signed by the log, or a cosignature does not hold.
    #[error("the proof's checkpoint is {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The path does not lead from the entry to the root.
    #[error("the entry is not at place {index} of the log of {size} entries that the checkpoint covers")]
    NotIncluded {
        /// Place that the proof names.
        index: u64,
        /// Size that the checkpoint names.
        size: u64,
    },
}

impl Proof {
    /// The file.
    pub fn encode(&self) -> String {
        let mut text = format!("{FORMAT}\n");
        if let Some(extra) = &self.extra {
            text.push_str(&format!("extra {}\n", BASE64.encode(extra)));
        }
        text.push_str(&format!("index {}\n", self.index));
        for hash in &self.path {
            text.push_str(&BASE64.encode(hash));
            text.push('\n');
        }
        text.push('\n');
        text.push_str(&self.checkpoint);
        text
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ProofError::Malformed`].
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        let bad = ProofError::Malformed;
        if text.len() > PROOF_BYTES {
            return Err(bad("too long"));
        }
        let (head, checkpoint) = text.split_once("\n\n").ok_or(bad("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(FORMAT) {
            return Err(bad("the first line names another format"));
        }
        let extra = lines.next_if(|line| line.starts_with("extra "));
        let extra = extra.map(|line| BASE64.decode(&line.as_bytes()[6..])).transpose();
        let extra = extra.map_err(|_| bad("the extra line is not base64"))?;
        let index = lines.next().and_then(|line| number(line.strip_prefix("index ")?));
        let index = index.ok_or(bad("no line `index` with a number"))?;
        let path = lines.map(hash).collect::<Option<Vec<_>>>().ok_or(bad("a line is not the base64 of a hash"))?;
        if path.len() > PATH_HASHES {
            return Err(bad("over 64 hashes"));
        }
        Ok(Self { extra, index, path, checkpoint: checkpoint.to_owned() })
    }

    /// Checks that the entry of this leaf hash is in the log, and which of the witnesses say so.
    /// How many of them are enough is for the caller to judge.
    ///
    /// # Errors
    /// [`ProofError::Checkpoint`], [`ProofError::NotIncluded`].
    pub fn verify(&self, leaf: &Hash, log: &Verifier, witnesses: &[WitnessKey]) -> Result<Cosigned, ProofError> {
        let cosigned = Cosigned::open(&self.checkpoint, log, witnesses)?;
        let (index, size) = (self.index, cosigned.checkpoint.size);
        if !verify_inclusion(leaf, index, size, &self.path, &cosigned.checkpoint.root) {
            return Err(ProofError::NotIncluded { index, size });
        }
        Ok(cosigned)
    }
}

#[cfg(test)]
mod tests;
