//! A log as files that any client of tiled logs reads (C2SP tlog-tiles): hashes in tiles of 256,
//! entries in bundles of 256.

use crate::tree::{Hash, Tree, leaf_hash, root_of};

/// Hashes in a full tile, entries in a full bundle.
pub const WIDTH: usize = 256;
/// Longest entry in bytes: its length stands before it in 16 bits.
pub const ENTRY_BYTES: usize = 65_535;

/// One file of a tiled log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Path below the log's prefix: `tile/0/000`, `tile/entries/x001/067.p/12`.
    pub path: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// An entry that no bundle can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an entry of {0} bytes: a bundle holds up to 65,535")]
pub struct EntryTooLong(pub usize);

/// Cuts a log into tiles and bundles as its entries pass, in little memory whatever its size.
#[derive(Default)]
pub struct Tiler {
    tree: Tree,
    bundle: Vec<u8>,
    levels: Vec<Level>,
}

/// The tile that grows on one level.
#[derive(Default)]
struct Level {
    /// Full tiles before it.
    full: u64,
    hashes: Vec<Hash>,
}

impl Level {
    fn resource(&self, level: usize) -> Resource {
        Resource { path: path(Some(level), self.full, self.hashes.len()), bytes: self.hashes.concat() }
    }
}

impl Tiler {
    /// Takes the next entry; gives the files that it fills.
    pub fn push(&mut self, entry: &[u8]) -> Result<Vec<Resource>, EntryTooLong> {
        let len = u16::try_from(entry.len()).map_err(|_| EntryTooLong(entry.len()))?;
        self.bundle.extend_from_slice(&len.to_be_bytes());
        self.bundle.extend_from_slice(entry);
        let leaf = leaf_hash(entry);
        self.tree.append(leaf);
        let mut full = Vec::new();
        let size = self.tree.size();
        if size.is_multiple_of(WIDTH as u64) {
            let bytes = std::mem::take(&mut self.bundle);
            full.push(Resource { path: path(None, size / WIDTH as u64 - 1, WIDTH), bytes });
        }
        // Only a full tile has a hash on the level above.
        let mut hash = leaf;
        for place in 0.. {
            if place == self.levels.len() {
                self.levels.push(Level::default());
            }
            let level = &mut self.levels[place];
            level.hashes.push(hash);
            if level.hashes.len() < WIDTH {
                break;
            }
            full.push(level.resource(place));
            hash = root_of(&level.hashes);
            *level = Level { full: level.full + 1, hashes: Vec::new() };
        }
        Ok(full)
    }

    /// Gives the partial tiles and the partial bundle, and the tree that all of them make up.
    pub fn finish(self) -> (Vec<Resource>, Tree) {
        let mut partial = Vec::new();
        let entries = self.levels.first().map_or(0, |level| level.hashes.len());
        if entries > 0 {
            partial.push(Resource { path: path(None, self.tree.size() / WIDTH as u64, entries), bytes: self.bundle });
        }
        let rest = self.levels.iter().enumerate().filter(|(_, level)| !level.hashes.is_empty());
        partial.extend(rest.map(|(place, level)| level.resource(place)));
        (partial, self.tree)
    }
}

/// Path of the tile of so many hashes (1 to [`WIDTH`]) at a place of a level, or of a bundle when there is no level.
pub fn path(level: Option<usize>, index: u64, width: usize) -> String {
    let level = level.map_or_else(|| "entries".to_owned(), |level| level.to_string());
    // 1234067 becomes x001/x234/067.
    let mut number = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        number = format!("x{:03}/{number}", rest % 1000);
        rest /= 1000;
    }
    let partial = if width < WIDTH { format!(".p/{width}") } else { String::new() };
    format!("tile/{level}/{number}{partial}")
}

#[cfg(test)]
mod tests;
