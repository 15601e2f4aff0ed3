//! The Merkle tree of the log: RFC 6962 section 2.1 (RFC 9162 section 2.1 with SHA-256).

use sha2::{Digest, Sha256};

/// A SHA-256 value in the tree.
pub type Hash = [u8; 32];

/// Hash of an entry: SHA-256(0x00 || entry).
pub fn leaf_hash(entry: &[u8]) -> Hash {
    let mut hash = Sha256::new();
    hash.update([0]);
    hash.update(entry);
    hash.finalize().into()
}

/// Hash of two subtrees: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut hash = Sha256::new();
    hash.update([1]);
    hash.update(left);
    hash.update(right);
    hash.finalize().into()
}

/// A complete subtree that an append finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// 0 for a leaf; a subtree of level L covers 2^L leaves.
    pub level: u8,
    /// Place among the subtrees of its level, from 0.
    pub index: u64,
    /// Its hash.
    pub hash: Hash,
}

/// The growing edge of the tree: the roots of its complete subtrees, largest first. Appending
/// and the root cost O(log size), whatever the size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    peaks: Vec<Hash>,
}

impl Tree {
    /// Restores a tree of `size` leaves; `node(level, index)` gives the hash of a complete
    /// subtree.
    pub fn restore<E>(size: u64, mut node: impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Self, E> {
        let mut peaks = Vec::new();
        let mut start = 0;
        for level in (0..64u8).rev() {
            if size & (1 << level) != 0 {
                peaks.push(node(level, start >> level)?);
                start += 1 << level;
            }
        }
        Ok(Self { size, peaks })
    }

    /// Leaves in the tree.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; gives the subtrees that it completes, the leaf first.
    pub fn append(&mut self, leaf: Hash) -> Vec<Node> {
        let mut node = Node { level: 0, index: self.size, hash: leaf };
        let mut complete = vec![node];
        // Each trailing one bit of the size is a peak that the new subtree closes with.
        while (self.size >> node.level) & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            node = Node { level: node.level + 1, index: node.index >> 1, hash: node_hash(&left, &node.hash) };
            complete.push(node);
        }
        self.peaks.push(node.hash);
        self.size += 1;
        complete
    }

    /// The tree's root; SHA-256 of nothing when it is empty.
    pub fn root(&self) -> Hash {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Sha256::digest([]).into() };
        peaks.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 section 2.1.1), lowest
/// first. `node` gives the hash of a complete subtree. `None` when the leaf is not in the tree.
pub fn inclusion_proof<E>(
    index: u64,
    size: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if index >= size {
        return Ok(None);
    }
    let (mut start, mut end) = (0, size);
    let mut path = Vec::new();
    while end - start > 1 {
        let middle = start + split(end - start);
        if index < middle {
            path.push(range_hash(middle, end, node)?);
            end = middle;
        } else {
            path.push(range_hash(start, middle, node)?);
            start = middle;
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// Checks an audit path (RFC 9162 section 2.1.3.2): the leaf hash is at `index` under `root`.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash], root: &Hash) -> bool {
    if index >= size {
        return false;
    }
    let (mut at, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in path {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            hash = node_hash(sibling, &hash);
            if at & 1 == 0 {
                while at & 1 == 0 && at != 0 {
                    at >>= 1;
                    last >>= 1;
                }
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && hash == *root
}

/// The consistency proof between the trees of `old_size` and `size` leaves (RFC 6962 section
/// 2.1.2): that the first is a beginning of the second. `node` gives the hash of a complete
/// subtree. Empty from the empty tree, which every tree goes on from, and between equal sizes;
/// `None` when the old tree is the larger.
pub fn consistency_proof<E>(
    old_size: u64,
    size: u64,
    node: &mut impl FnMut(u8, u64) -> Result<Hash, E>,
) -> Result<Option<Vec<Hash>>, E> {
    if old_size > size {
        return Ok(None);
    }
    let mut path = Vec::new();
    if old_size > 0 {
        let (mut start, mut end) = (0, size);
        while old_size != end {
            let middle = start + split(end - start);
            if old_size <= middle {
                path.push(range_hash(middle, end, node)?);
                end = middle;
            } else {
                path.push(range_hash(start, middle, node)?);
                start = middle;
            }
        }
        // What the walk ends at is a subtree of both; the old root itself needs no naming.
        if start > 0 {
            path.push(range_hash(start, end, node)?);
        }
    }
    path.reverse();
    Ok(Some(path))
}

/// Checks a consistency proof (RFC 9162 section 2.1.4.2): the tree of `size` leaves with `root`
/// goes on from the tree of `old_size` leaves with `old_root`.
pub fn verify_consistency(old_size: u64, old_root: &Hash, size: u64, root: &Hash, path: &[Hash]) -> bool {
    if old_size > size {
        return false;
    }
    if old_size == size {
        return path.is_empty() && old_root == root;
    }
    if old_size == 0 {
        return path.is_empty() && *old_root == Tree::default().root();
    }
    let (mut at, mut last) = (old_size - 1, size - 1);
    while at & 1 == 1 {
        at >>= 1;
        last >>= 1;
    }
    // A complete old tree is itself the first subtree of both.
    let (first, rest) = match path.split_first() {
        Some(_) if old_size.is_power_of_two() => (old_root, path),
        Some((first, rest)) => (first, rest),
        None => return false,
    };
    let (mut old, mut new) = (*first, *first);
    for sibling in rest {
        if last == 0 {
            return false;
        }
        if at & 1 == 1 || at == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while at & 1 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        at >>= 1;
        last >>= 1;
    }
    last == 0 && old == *old_root && new == *root
}

/// Hash of a complete subtree over leaves held in memory: what `node` must give for the proofs
/// above. `None` when the subtree is not complete.
pub fn subtree(leaves: &[Hash], level: u8, index: u64) -> Option<Hash> {
    let len = 1u64.checked_shl(level.into())?;
    let start = index.checked_mul(len)?;
    let (start, end) = (usize::try_from(start).ok()?, usize::try_from(start.checked_add(len)?).ok()?);
    Some(root_of(leaves.get(start..end)?))
}

/// Root of the tree over some leaves.
pub fn root_of(leaves: &[Hash]) -> Hash {
    let mut tree = Tree::default();
    for leaf in leaves {
        tree.append(*leaf);
    }
    tree.root()
}

/// Largest power of two smaller than `len` (which is at least 2).
fn split(len: u64) -> u64 {
    1 << (63 - (len - 1).leading_zeros())
}

/// Hash of the leaves `start..end`, a range that some split of a tree gives.
fn range_hash<E>(start: u64, end: u64, node: &mut impl FnMut(u8, u64) -> Result<Hash, E>) -> Result<Hash, E> {
    let len = end - start;
    if len.is_power_of_two() {
        let level = len.trailing_zeros() as u8;
        return node(level, start >> level);
    }
    let middle = start + split(len);
    let left = range_hash(start, middle, node)?;
    let right = range_hash(middle, end, node)?;
    Ok(node_hash(&left, &right))
}

#[cfg(test)]
mod tests;
