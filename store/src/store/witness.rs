//! Trusting witnesses and taking in what they cosigned.

use data_encoding::HEXLOWER;
use vigie_log::checkpoint::{Checkpoint, Verifier};
use vigie_log::cosignature::{Cosigned, WitnessKey};

use super::{Store, internal};
use crate::draft::{Draft, Receipt};
use crate::error::StoreError;
use crate::kind::Kind;
use crate::log::{Hash, Tree};
use crate::witness::{self, Bound, CosignedHead, HEAD, Judged, KEY};

/// What a cosigned head brought.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The head.
    pub head: CosignedHead,
    /// Of the entry; `None` when the head was taken in before.
    pub receipt: Option<Receipt>,
}

impl Store {
    /// Trusts a witness from now on, by its verifier key (C2SP tlog-cosignature, type 0x04); the
    /// entry binds the key. No receipt when it was trusted before.
    ///
    /// # Errors
    /// [`StoreError::NotTaken`] for text that is no such key.
    pub fn trust_witness(&self, vkey: &str) -> Result<(WitnessKey, Option<Receipt>), StoreError> {
        let key = WitnessKey::parse(vkey.trim()).ok_or_else(|| {
            not_taken("not the verifier key of a witness (a line name+hash+base64): copy it from vigie-witness status")
        })?;
        if self.judged()?.keys.contains(&key) {
            return Ok((key, None));
        }
        let digest = witness::keep(&self.layout, &witness::key_file(&key), "vkey", self.disk.as_ref())?;
        let row = serde_json::json!({"format": "vigie.witness/1", "what": "trust", "witness": key.to_string()});
        let draft = Draft { kind: Kind::Witness, ..internal(row) };
        let receipt = self.append_internal(draft, vec![(KEY.to_owned(), digest)])?;
        Ok((key, Some(receipt)))
    }

    /// Takes in a checkpoint of this log that a trusted witness cosigned: kept in `witness/`, and
    /// bound by an entry.
    ///
    /// # Errors
    /// [`StoreError::NotTaken`] when it is none, is of another log, or says no more than what is
    /// kept; [`StoreError::TakenAway`] and [`StoreError::Rewritten`] when this is not the log
    /// that the witness saw. Nothing is changed then.
    pub fn import_cosigned(&self, text: &str) -> Result<Imported, StoreError> {
        let Judged { keys, heads, .. } = self.judged()?;
        if keys.is_empty() {
            return Err(not_taken("this store trusts no witness: vigie witness trust VKEY"));
        }
        let origin = self.origin();
        if let Some(other) = Checkpoint::claimed_origin(text).filter(|other| *other != origin) {
            return Err(not_taken(format!("a checkpoint of another log, {other}; this one is {origin}")));
        }
        let verifier = self.layout.verifier()?;
        let cosigned = Cosigned::open(text, &verifier, &keys).map_err(|error| not_taken(error.to_string()))?;
        let head = CosignedHead::new(cosigned);
        if head.cosignatures.is_empty() {
            let names: Vec<&str> = keys.iter().map(WitnessKey::name).collect();
            return Err(not_taken(format!("none of the witnesses trusted here cosigned it ({})", names.join(", "))));
        }
        self.holds(&head, &verifier)?;
        if heads.iter().any(|known| known.text == head.text) && self.binds(&head)? {
            return Ok(Imported { head, receipt: None });
        }
        // What a witness said later stands; an older word of it adds nothing.
        let newer = head.cosignatures.iter().any(|new| {
            let mut before = heads.iter().flat_map(|known| known.cosignatures.iter().map(move |old| (known.size, old)));
            before.all(|(size, old)| old.witness != new.witness || (size, old.time) <= (head.size, new.time))
        });
        if !newer {
            let size = heads.iter().map(|known| known.size).max().unwrap_or_default();
            return Err(not_taken(format!(
                "{} cosigned {size} entries already; this is an older cosignature, of {}",
                head.names(),
                head.size
            )));
        }
        let digest = witness::keep(&self.layout, &head.text, "checkpoint", self.disk.as_ref())?;
        let cosignatures: Vec<_> = head.cosignatures.iter().map(
            |cosignature| serde_json::json!({"witness": cosignature.witness.to_string(), "time": cosignature.time}),
        );
        let row = serde_json::json!({
            "format": "vigie.witness/1",
            "what": "cosigned",
            "size": head.size,
            "root": HEXLOWER.encode(&head.root),
            "cosignatures": cosignatures.collect::<Vec<_>>(),
        });
        let draft = Draft { kind: Kind::Witness, ..internal(row) };
        let receipt = self.append_internal(draft, vec![(HEAD.to_owned(), digest)])?;
        Ok(Imported { head, receipt: Some(receipt) })
    }

    /// The log shows at the head's size what the witness saw.
    fn holds(&self, head: &CosignedHead, verifier: &Verifier) -> Result<(), StoreError> {
        let (_, signed) = self.layout.signed_head(verifier)?;
        let seen = (head.size, head.root, format!("cosigned by {}", head.names()));
        witness::hold(&[seen], signed.size, |size| self.root_at(size))
    }

    /// An entry names the head already.
    fn binds(&self, head: &CosignedHead) -> Result<bool, StoreError> {
        use sha2::Digest as _;
        Ok(self.bound_by_entries()?.has_head(&sha2::Sha256::digest(&head.text).into()))
    }

    /// Root of the log when it had `size` entries, from the catalogue's nodes.
    fn root_at(&self, size: u64) -> Result<Hash, StoreError> {
        Ok(Tree::restore(size, |level, index| self.catalogue.node(level, index))?.root())
    }

    fn bound_by_entries(&self) -> Result<Bound, StoreError> {
        let mut bound = Bound::default();
        for sequence in self.catalogue.of_kind(Kind::Witness)? {
            let (_, frame) = self.frame(sequence, &self.record(sequence)?)?;
            bound.take(&frame.entry);
        }
        Ok(bound)
    }

    fn judged(&self) -> Result<Judged, StoreError> {
        let files = witness::files(&self.layout)?;
        Ok(witness::judge(&files, &self.bound_by_entries()?, &self.layout.verifier()?))
    }
}

fn not_taken(what: impl Into<String>) -> StoreError {
    StoreError::NotTaken { what: what.into() }
}
