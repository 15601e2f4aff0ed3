//! Where the log stands: what the next entry follows. One function takes a frame in, whether it
//! was just written, is adopted after a crash, or is read again to rebuild the catalogue.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::catalogue::{Catalogue, Changes, Cursor, Place};
use crate::entry::Entry;
use crate::error::StoreError;
use crate::local::Local;
use crate::log::{Tree, leaf_hash};

pub(crate) struct Ledger {
    pub tree: Tree,
    /// Segment that grows.
    pub segment: u64,
    /// End of its last frame; 0 when it is not yet created.
    pub end: u64,
    /// Digest of the last frame.
    pub previous: [u8; 32],
    /// Number of the last exhibit.
    pub exhibits: u64,
    /// Time of the last entry.
    pub last: Option<Timestamp>,
    /// Entries of each kind, by the kind's number.
    pub kinds: BTreeMap<u8, u64>,
}

/// A frame that lies in a segment, as the ledger needs it.
pub(crate) struct Taken<'a> {
    pub place: Place,
    pub end: u64,
    pub digest: [u8; 32],
    pub entry: &'a Entry,
    pub entry_bytes: &'a [u8],
    pub local: &'a Local,
}

impl Ledger {
    pub fn empty() -> Self {
        Self {
            tree: Tree::default(),
            segment: 0,
            end: 0,
            previous: [0; 32],
            exhibits: 0,
            last: None,
            kinds: BTreeMap::new(),
        }
    }

    /// As the catalogue left it.
    pub fn restore(catalogue: &Catalogue, cursor: &Cursor) -> Result<Self, StoreError> {
        Ok(Self {
            tree: Tree::restore(cursor.size, |level, index| catalogue.node(level, index))?,
            segment: cursor.segment,
            end: cursor.end,
            previous: cursor.previous,
            exhibits: cursor.exhibits,
            last: cursor.last,
            kinds: cursor.kinds.clone(),
        })
    }

    /// Takes a frame in: tree, position, and the changes that the catalogue needs.
    pub fn take(&mut self, catalogue: &Catalogue, changes: &mut Changes, taken: &Taken<'_>) -> Result<(), StoreError> {
        let entry = taken.entry;
        if taken.place.segment != self.segment {
            catalogue.add_segment(changes, self.segment, self.end);
        }
        let nodes = self.tree.append(leaf_hash(taken.entry_bytes));
        catalogue.add_nodes(changes, &nodes);
        catalogue.add(changes, entry.sequence, entry.kind, taken.place, &taken.local.row, &taken.local.url)?;
        if let Some(number) = entry.exhibit {
            catalogue.add_exhibit(changes, number, entry.sequence);
            self.exhibits = number;
        }
        *self.kinds.entry(entry.kind.number()).or_default() += 1;
        self.segment = taken.place.segment;
        self.end = taken.end;
        self.previous = taken.digest;
        self.last = Some(entry.stamp.wall);
        Ok(())
    }

    pub fn cursor(&self) -> Cursor {
        Cursor {
            size: self.tree.size(),
            segment: self.segment,
            end: self.end,
            previous: self.previous,
            exhibits: self.exhibits,
            last: self.last,
            kinds: self.kinds.clone(),
        }
    }
}
