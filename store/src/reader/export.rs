//! What leaves the store to be checked elsewhere: proofs, requests to witnesses, the log as
//! tiles; and how far witnesses vouch for it.

use jiff::Timestamp;
use vigie_log::cosignature::WitnessKey;
use vigie_log::proof::Proof;
use vigie_log::request::AddCheckpoint;
use vigie_log::tiles::{Resource, Tiler};

use super::{Index, Reader};
use crate::error::StoreError;
use crate::log::{self, Hash, Tree};
use crate::witness::{self, CosignedHead, Judged};

/// How far witnesses vouch for the log.
#[derive(Clone, Debug)]
pub struct Witnessed {
    /// Those that the log trusts.
    pub witnesses: Vec<WitnessKey>,
    /// Those that it trusts no more, and since which entry.
    pub struck: Vec<(WitnessKey, u64)>,
    /// What they cosigned, smallest first.
    pub heads: Vec<CosignedHead>,
    /// Entries after the largest of these heads.
    pub unwitnessed: u64,
    /// Time of the first of them.
    pub since: Option<Timestamp>,
}

impl Witnessed {
    /// The largest head that a witness cosigned; of several, the one cosigned last.
    pub fn newest(&self) -> Option<&CosignedHead> {
        self.heads.iter().max_by_key(|head| (head.size, head.latest().map(|cosignature| cosignature.time)))
    }

    /// Entries that this witness cosigned last.
    pub fn size_of(&self, witness: &WitnessKey) -> u64 {
        let heads = self.heads.iter().filter(|head| head.cosignatures.iter().any(|by| by.witness == *witness));
        heads.map(|head| head.size).max().unwrap_or_default()
    }
}

impl Reader {
    /// The bytes of an entry: a leaf of the log.
    pub fn entry_bytes(&self, sequence: u64) -> Result<Vec<u8>, StoreError> {
        Ok(self.frame(sequence)?.1.entry_bytes)
    }

    /// The entry of an exhibit.
    pub fn entry_of_exhibit(&self, number: u64) -> Result<u64, StoreError> {
        let exhibits = &self.places()?.exhibits;
        let place = number.checked_sub(1).and_then(|at| exhibits.get(usize::try_from(at).ok()?));
        place.copied().ok_or(StoreError::NoSuchExhibit { number })
    }

    /// The audit path of an entry under the signed head (RFC 6962 section 2.1.1).
    pub fn inclusion_proof(&self, sequence: u64) -> Result<Vec<Hash>, StoreError> {
        self.inclusion_in(sequence, self.head.size)
    }

    /// The consistency proof from an older size to the signed head (RFC 6962 section 2.1.2);
    /// `None` when that size is the larger.
    pub fn consistency_proof(&self, old_size: u64) -> Result<Option<Vec<Hash>>, StoreError> {
        let index = self.index()?;
        log::consistency_proof(old_size, self.head.size, &mut |level, at| index.node(level, at))
    }

    /// A proof that an entry is in the log (C2SP tlog-proof), under the newest cosigned head that
    /// covers it, else under the signed head.
    pub fn proof(&self, sequence: u64) -> Result<Proof, StoreError> {
        if sequence >= self.head.size {
            return Err(StoreError::NoSuchEntry { sequence });
        }
        let witnessed = self.witnessed()?;
        let cosigned = witnessed.newest().filter(|head| head.size > sequence);
        let (size, checkpoint) = cosigned.map_or((self.head.size, &self.text), |head| (head.size, &head.text));
        let path = self.inclusion_in(sequence, size)?;
        Ok(Proof { extra: None, index: sequence, path, checkpoint: checkpoint.clone() })
    }

    /// The request to a witness that last cosigned `old_size` entries (C2SP tlog-witness).
    ///
    /// # Errors
    /// [`StoreError::TakenAway`] when this log has fewer.
    pub fn request(&self, old_size: u64) -> Result<AddCheckpoint, StoreError> {
        let proof = self.consistency_proof(old_size)?.ok_or_else(|| StoreError::TakenAway {
            signed: self.head.size,
            known: old_size,
            whence: "as the witness says".into(),
        })?;
        Ok(AddCheckpoint { old_size, proof, checkpoint: self.text.clone() })
    }

    /// The log as the files of C2SP tlog-tiles, the checkpoint last; each is handed to `each`,
    /// which may stop it.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the entries are not those that were signed.
    pub fn tiles<E: From<StoreError>>(&self, mut each: impl FnMut(Resource) -> Result<(), E>) -> Result<(), E> {
        let mut tiler = Tiler::default();
        let mut entries = self.entries()?;
        while let Some(frame) = entries.frame() {
            let filled = tiler.push(&frame?.entry_bytes);
            for resource in filled.map_err(|error| StoreError::damaged(error.to_string()))? {
                each(resource)?;
            }
        }
        let (partial, tree) = tiler.finish();
        if (tree.size(), tree.root()) != (self.head.size, self.head.root) {
            return Err(StoreError::damaged("the entries are not those that the signed head covers").into());
        }
        for resource in partial {
            each(resource)?;
        }
        each(Resource { path: "checkpoint".into(), bytes: self.text.clone().into_bytes() })
    }

    /// How far witnesses vouch for the log.
    ///
    /// # Errors
    /// [`StoreError::TakenAway`], [`StoreError::Rewritten`] when this is not the log that they
    /// saw; [`StoreError::Damaged`] when `witness/` is not what the log says.
    pub fn witnessed(&self) -> Result<Witnessed, StoreError> {
        let index = self.index()?;
        let seen = witness::signed_heads(&self.kept, &self.verifier);
        witness::hold(&seen, &self.head, |size| index.root_at(size))?;
        let Judged { keys, struck, heads, faults, .. } = witness::judge(&self.kept, &index.witnesses, &self.verifier);
        if let Some(fault) = faults.first() {
            return Err(fault.error());
        }
        let size = heads.last().map_or(0, |head| head.size);
        let since = usize::try_from(size).ok().and_then(|at| index.times.get(at).copied());
        Ok(Witnessed { witnesses: keys, struck, heads, unwitnessed: self.head.size - size, since })
    }

    fn inclusion_in(&self, sequence: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
        let index = self.index()?;
        let path = log::inclusion_proof(sequence, size, &mut |level, at| index.node(level, at))?;
        path.ok_or(StoreError::NoSuchEntry { sequence })
    }
}

impl Index {
    fn node(&self, level: u8, index: u64) -> Result<Hash, StoreError> {
        let nodes = self.nodes.get(usize::from(level));
        let node = usize::try_from(index).ok().and_then(|index| nodes?.get(index));
        node.copied().ok_or_else(|| StoreError::damaged("fewer entries than the signed head covers"))
    }

    pub(super) fn root_at(&self, size: u64) -> Result<Hash, StoreError> {
        Ok(Tree::restore(size, |level, index| self.node(level, index))?.root())
    }
}
