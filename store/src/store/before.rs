//! Heads that the log signed before, met as the store opens: those that witnesses cosigned, and the
//! newest one, kept outside the store.

use crate::checkpoint::{Checkpoint, Verifier};
use crate::error::StoreError;
use crate::files::Layout;
use crate::log::Hash;
use crate::outside::Outside;
use crate::settings::{Settings, StoreEvents};
use crate::witness::{self, Seen};

/// Heads that the log must go on from.
pub(super) struct Before<'a> {
    seen: Vec<Seen>,
    outside: Option<&'a Outside>,
    /// Size of the head that is kept outside.
    kept: Option<u64>,
}

impl<'a> Before<'a> {
    /// Reads them.
    pub fn read(layout: &Layout, log: &Verifier, settings: &'a Settings) -> Result<Self, StoreError> {
        let mut seen = witness::signed_heads(&witness::files(layout)?, log);
        let outside = settings.outside.as_ref();
        let kept = outside.map(|outside| outside.read(layout, log)).transpose()?.flatten();
        if settings.giving_up.is_some() && kept.as_ref().map(|kept| (kept.size, kept.root)) == settings.giving_up {
            // It stays where it is until the entry that gives it up is durable.
            return Ok(Self { seen, outside: None, kept: None });
        }
        let size = kept.as_ref().map(|kept| kept.size);
        seen.extend(kept);
        Ok(Self { seen, outside, kept: size })
    }

    /// None covers more than the signed head. Asked before anything in the store changes.
    pub fn hold_sizes(&self, signed: u64) -> Result<(), StoreError> {
        witness::hold_sizes(&self.seen, signed)
    }

    /// The log has the root of each at its size.
    pub fn hold(
        &self,
        head: &Checkpoint,
        root_at: impl FnMut(u64) -> Result<Hash, StoreError>,
    ) -> Result<(), StoreError> {
        witness::hold(&self.seen, head, root_at)
    }

    /// The signed head takes the place of the one outside. What stands against that is said and
    /// stops nothing.
    pub fn keep(&self, layout: &Layout, log: &Verifier, text: &str, head: &Checkpoint, events: &dyn StoreEvents) {
        let Some(outside) = self.outside.filter(|_| self.kept != Some(head.size)) else { return };
        match outside.write(layout, log, text, head) {
            Ok(file) if self.kept.is_none() => events.event(&format!(
                "no head of this log was kept outside the store before; from now on it is, in {}",
                file.display()
            )),
            Ok(_) => {}
            Err(error) => {
                events.event(&format!("{error}; an older copy put in the store's place would not be seen here"));
            }
        }
    }
}
