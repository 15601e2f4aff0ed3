//! Trusting witnesses and taking in what they cosigned. Both are acts of an agent, whose signed
//! draft the caller hands in; the store binds the file to it.

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use vigie_log::checkpoint::{Checkpoint, Verifier};
use vigie_log::cosignature::{Cosigned, WitnessKey};

use super::Store;
use crate::draft::{Draft, Receipt};
use crate::error::StoreError;
use crate::kind::Kind;
use crate::log::{Hash, Tree};
use crate::witness::{self, Bound, CosignedHead, HEAD, Judged, KEY, STRUCK, Seen};

/// A cosigned head that this log goes on from, and that may be taken in.
#[derive(Clone, Debug)]
pub struct CheckedHead {
    head: CosignedHead,
    known: bool,
}

impl CheckedHead {
    /// The head.
    pub fn head(&self) -> &CosignedHead {
        &self.head
    }

    /// It was taken in before.
    pub fn is_known(&self) -> bool {
        self.known
    }
}

impl Store {
    /// Reads a witness's verifier key (C2SP tlog-cosignature, type 0x04); true when it is trusted
    /// already. Its file is put back if it went missing.
    ///
    /// # Errors
    /// [`StoreError::NotTaken`] for text that is no such key, for another key under the name of a
    /// witness that is trusted, and for any key under the name of one that was struck off.
    pub fn check_witness(&self, vkey: &str) -> Result<(WitnessKey, bool), StoreError> {
        let key = WitnessKey::parse(vkey.trim()).ok_or_else(|| {
            not_taken("not the verifier key of a witness (a line name+hash+base64): copy it from vigie-witness status")
        })?;
        let file = witness::key_file(&key);
        if self.bound_by_entries()?.has_key(&Sha256::digest(&file).into()) {
            self.put_back(&file, "vkey")?;
        }
        let Judged { keys: trusted, struck, .. } = self.judged()?;
        if let Some((other, entry)) = struck.iter().find(|(other, _)| other.name() == key.name()) {
            let which = if *other == key { String::new() } else { format!(" under another key, {other}") };
            return Err(not_taken(format!(
                "{} was struck off by entry {entry}{which}: a witness that is to be trusted takes a new name and key",
                key.name()
            )));
        }
        let known = trusted.contains(&key);
        match trusted.iter().find(|other| !known && other.name() == key.name()) {
            Some(other) => Err(not_taken(format!(
                "{} is trusted here under another key, {other}: a witness with a new key takes a new name",
                key.name()
            ))),
            None => Ok((key, known)),
        }
    }

    /// Trusts a witness from now on; `act` is the agent's, of kind `witness`, and the entry also
    /// binds the key.
    pub fn trust_witness(&self, key: &WitnessKey, act: Draft) -> Result<Receipt, StoreError> {
        let digest = witness::keep(&self.layout, &witness::key_file(key), "vkey", self.disk.as_ref())?;
        self.bind(act, KEY, digest)
    }

    /// The key of a witness that is trusted, by its name.
    ///
    /// # Errors
    /// [`StoreError::NotTaken`] when none of that name is.
    pub fn trusted_witness(&self, name: &str) -> Result<WitnessKey, StoreError> {
        let Judged { keys, struck, .. } = self.judged()?;
        if let Some((_, entry)) = struck.iter().find(|(key, _)| key.name() == name) {
            return Err(not_taken(format!("{name} was struck off already, by entry {entry}")));
        }
        keys.into_iter().find(|key| key.name() == name).ok_or_else(|| {
            not_taken(format!("this store trusts no witness {name}: see vigie status for those that it does"))
        })
    }

    /// Trusts a witness no more: what is taken in behind this entry does not count with its
    /// cosignature. `act` is the agent's, of kind `witness`, and the entry also binds the key.
    pub fn distrust_witness(&self, key: &WitnessKey, act: Draft) -> Result<Receipt, StoreError> {
        self.bind(act, STRUCK, Sha256::digest(witness::key_file(key)).into())
    }

    /// Holds a checkpoint that witnesses cosigned against this log. One that was taken in before is
    /// put back if it went missing.
    ///
    /// # Errors
    /// [`StoreError::NotTaken`] when it is none, is of another log, or says no more than what is
    /// kept; [`StoreError::TakenAway`] and [`StoreError::Rewritten`] when this is not the log
    /// that the witness saw.
    pub fn check_cosigned(&self, text: &str) -> Result<CheckedHead, StoreError> {
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
        if self.bound_by_entries()?.has_head(&Sha256::digest(&head.text).into()) {
            self.put_back(&head.text, "checkpoint")?;
            return Ok(CheckedHead { head, known: true });
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
        Ok(CheckedHead { head, known: false })
    }

    /// Takes a checked head in: kept in `witness/`; `act` is the agent's, of kind `witness`, and
    /// the entry also binds the file.
    pub fn take_cosigned(&self, checked: &CheckedHead, act: Draft) -> Result<Receipt, StoreError> {
        let digest = witness::keep(&self.layout, &checked.head.text, "checkpoint", self.disk.as_ref())?;
        self.bind(act, HEAD, digest)
    }

    fn bind(&self, act: Draft, name: &str, digest: [u8; 32]) -> Result<Receipt, StoreError> {
        if act.kind != Kind::Witness {
            return Err(StoreError::invalid(format!("an act of kind {} about a witness", act.kind)));
        }
        self.append_internal(act, vec![(name.to_owned(), digest)])
    }

    /// The log shows at the head's size what the witness saw.
    fn holds(&self, head: &CosignedHead, verifier: &Verifier) -> Result<(), StoreError> {
        let (_, signed) = self.layout.signed_head(verifier)?;
        let seen = Seen { size: head.size, root: head.root, whence: format!("cosigned by {}", head.names()) };
        witness::hold(&[seen], &signed, |size| self.root_at(size))
    }

    /// A file that an entry binds lies in `witness/` again, if it went missing.
    fn put_back(&self, text: &str, ending: &str) -> Result<(), StoreError> {
        let digest: [u8; 32] = Sha256::digest(text).into();
        let lies = witness::files(&self.layout)?.iter().any(|file| file.sha256 == digest);
        if !lies {
            witness::keep(&self.layout, text, ending, self.disk.as_ref())?;
        }
        Ok(())
    }

    pub(super) fn root_at(&self, size: u64) -> Result<Hash, StoreError> {
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

impl CosignedHead {
    /// SHA-256 of the signed note, hex: what the entry binds.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.text))
    }
}
