//! Accepting that a restored store goes on behind a newer head. The act is an agent's, whose signed
//! draft the caller hands in; the store judges the paper and binds it.

use std::sync::PoisonError;

use super::Store;
use crate::draft::{Draft, Receipt};
use crate::error::StoreError;
use crate::given_up::{self, Incoming};
use crate::kind::Kind;

impl Store {
    /// Logs that a head is given up, and puts the store's own in its place outside, where the other is
    /// kept aside. `act` is the agent's, of kind `restore-accepted`; the entry also binds head, paper
    /// and signatures.
    ///
    /// # Errors
    /// As [`crate::Reader::check_restore`], and what the disk says. *After a stop behind the entry,
    /// [`crate::Reader::finish_restore`] does the rest.*
    pub fn accept_restore(
        &self,
        head: &str,
        document: &[u8],
        signatures: &[Vec<u8>],
        now: jiff::Timestamp,
        act: Draft,
    ) -> Result<Receipt, StoreError> {
        if act.kind != Kind::RestoreAccepted {
            return Err(StoreError::invalid(format!("an act of kind {} about a restored store", act.kind)));
        }
        let incoming = Incoming { head, document, signatures };
        let log = self.layout.verifier()?;
        let (_, signed) = self.layout.signed_head(&log)?;
        let root_at = |size| self.root_at(size);
        let paper = given_up::check(&incoming, &self.allowed_signers, &log, now, signed.size, root_at)?;
        let digests = given_up::keep(&self.layout, &incoming, self.disk.as_ref())?;
        let receipt = self.append_internal(act, digests)?;
        if let Some(outside) = &self.outside {
            let (text, signed) = self.layout.signed_head(&log)?;
            outside.give_up(&self.layout, &log, (paper.given_up.size, paper.given_up.root), &text, &signed)?;
        }
        *self.giving_up.lock().unwrap_or_else(PoisonError::into_inner) = None;
        Ok(receipt)
    }
}
