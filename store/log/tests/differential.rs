//! The Merkle tree against two that others wrote: `tlog_tiles` (Cloudflare, after Go's
//! `golang.org/x/mod/sumdb/tlog`) and `ct-merkle`. Roots and proofs must be equal byte for byte,
//! and the three must judge every proof alike, spoilt ones too. A run of some ten thousand cases
//! by default; with `VIGIE_SOAK=1` over a million, from a seed that differs each time.

use std::hash::{BuildHasher, Hasher};
use std::time::Instant;

use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use sha2_011::Sha256;
use sha2_011::digest::array::Array;
use tlog_tiles::HashReader;
use vigie_log::tree::{
    Hash, Tree, consistency_proof, inclusion_proof, leaf_hash, verify_consistency, verify_inclusion,
};

/// Nodes as `tlog_tiles` numbers them.
#[derive(Default)]
struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::tlog::Error> {
        Ok(indexes.iter().map(|at| self.0[*at as usize]).collect())
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

/// The same log in three hands.
struct Logs {
    ours: Tree,
    /// Our nodes by level.
    nodes: Vec<Vec<Hash>>,
    roots: Vec<Hash>,
    stored: Stored,
    theirs: MemoryBackedTree<Sha256, Vec<u8>>,
}

#[derive(Default)]
struct Count {
    inclusion: u64,
    consistency: u64,
    spoilt: u64,
}

impl Count {
    fn all(&self) -> u64 {
        self.inclusion + self.consistency + self.spoilt
    }
}

/// What a verdict is asked about.
enum Question {
    Inclusion { leaf: Vec<u8>, index: u64, size: u64, root: Hash },
    Consistency { old: u64, old_root: Hash, size: u64, root: Hash },
}

impl Logs {
    fn new() -> Self {
        let root = Tree::default().root();
        Self {
            ours: Tree::default(),
            nodes: Vec::new(),
            roots: vec![root],
            stored: Stored::default(),
            theirs: MemoryBackedTree::new(),
        }
    }

    fn push(&mut self, entry: Vec<u8>) {
        let size = self.ours.size();
        for node in self.ours.append(leaf_hash(&entry)) {
            let level = usize::from(node.level);
            if level == self.nodes.len() {
                self.nodes.push(Vec::new());
            }
            assert_eq!(self.nodes[level].len() as u64, node.index);
            self.nodes[level].push(node.hash);
        }
        let more = tlog_tiles::stored_hashes(size, &entry, &self.stored).expect("hashes");
        self.stored.0.extend(more);
        self.theirs.push(entry);
        let root = self.ours.root();
        let size = self.ours.size();
        assert_eq!(tlog_tiles::tree_hash(size, &self.stored).expect("a root").0, root, "size {size}");
        assert_eq!(self.theirs.root().as_bytes()[..], root, "size {size}");
        self.roots.push(root);
    }

    fn node(&self) -> impl FnMut(u8, u64) -> Result<Hash, ()> + '_ {
        |level, index| {
            let level = self.nodes.get(usize::from(level)).ok_or(())?;
            level.get(usize::try_from(index).map_err(|_| ())?).copied().ok_or(())
        }
    }

    /// Proofs of one entry and of one older size, made and judged by all three; then spoilt.
    fn ask(&self, random: &mut Random, count: &mut Count) {
        let size = self.ours.size();
        let root = self.roots[size as usize];
        let index = random.below(size);
        let path = inclusion_proof(index, size, &mut self.node()).expect("nodes").expect("in the tree");
        assert_eq!(bytes(&tlog_tiles::prove_record(size, index, &self.stored).expect("a proof")), path.concat());
        assert_eq!(self.theirs.prove_inclusion(index as usize).as_bytes(), path.concat(), "{index} in {size}");
        let leaf = self.theirs.get(index as usize).expect("an entry").clone();
        let question = Question::Inclusion { leaf, index, size, root };
        assert!(question.verdict(&path), "{index} in {size}");
        count.inclusion += 1;
        question.spoil(&path, random, count);

        let old = 1 + random.below(size);
        let path = consistency_proof(old, size, &mut self.node()).expect("nodes").expect("not larger");
        assert_eq!(bytes(&tlog_tiles::prove_tree(size, old, &self.stored).expect("a proof")), path.concat());
        assert_eq!(self.theirs.prove_consistency((size - old) as usize).as_bytes(), path.concat(), "{old} to {size}");
        let question = Question::Consistency { old, old_root: self.roots[old as usize], size, root };
        assert!(question.verdict(&path), "{old} to {size}");
        count.consistency += 1;
        question.spoil(&path, random, count);
    }
}

impl Question {
    /// What all three say; that they say the same is the test.
    fn verdict(&self, path: &[Hash]) -> bool {
        let listed: Vec<tlog_tiles::Hash> = path.iter().map(|hash| tlog_tiles::Hash(*hash)).collect();
        let hash = |bytes: &Hash| tlog_tiles::Hash(*bytes);
        let head = |root: &Hash, size: u64| RootHash::<Sha256>::new(Array(*root), size);
        let verdicts = match self {
            Self::Inclusion { leaf, index, size, root } => [
                verify_inclusion(&leaf_hash(leaf), *index, *size, path, root),
                tlog_tiles::check_record(&listed, *size, hash(root), *index, hash(&leaf_hash(leaf))).is_ok(),
                InclusionProof::try_from_bytes(path.concat())
                    .is_ok_and(|proof| head(root, *size).verify_inclusion(leaf, *index, &proof).is_ok()),
            ],
            Self::Consistency { old, old_root, size, root } => [
                verify_consistency(*old, old_root, *size, root, path),
                tlog_tiles::check_tree(&listed, *size, hash(root), *old, hash(old_root)).is_ok(),
                ConsistencyProof::try_from_bytes(path.concat())
                    .is_ok_and(|proof| head(root, *size).verify_consistency(&head(old_root, *old), &proof).is_ok()),
            ],
        };
        assert_eq!(verdicts, [verdicts[0]; 3], "{}", self.say());
        verdicts[0]
    }

    /// Spoils path, roots, leaf or numbers, and asks again. What changes a hash can never hold;
    /// other numbers may (a path does not fix the size of its tree), and then for all three.
    fn spoil(mut self, path: &[Hash], random: &mut Random, count: &mut Count) {
        let mut path = path.to_vec();
        let at = random.below(path.len().max(1) as u64) as usize;
        let bit = random.below(256) as usize;
        let flip = |hash: &mut Hash| hash[bit / 8] ^= 1 << (bit % 8);
        let mut may_hold = false;
        match random.below(9) {
            0 | 1 if !path.is_empty() => flip(&mut path[at]),
            2 if !path.is_empty() => drop(path.remove(at)),
            3 if !path.is_empty() => path.insert(at, path[at]),
            4 if path.len() > 1 => path.swap(0, at.max(1)),
            5 => path.push([bit as u8; 32]),
            6 => match &mut self {
                Self::Inclusion { leaf, .. } => leaf[bit % 8] ^= 1,
                Self::Consistency { old_root, .. } => flip(old_root),
            },
            7 => match &mut self {
                Self::Inclusion { index, size, .. } => {
                    (*index, may_hold) = (random.below(*size + 2), true);
                }
                Self::Consistency { old, size, .. } => {
                    (*old, may_hold) = (random.below(*size + 2), true);
                }
            },
            8 => match &mut self {
                Self::Inclusion { size, .. } | Self::Consistency { size, .. } => {
                    (*size, may_hold) = (*size - 1 + 2 * random.below(2), true);
                }
            },
            _ => match &mut self {
                Self::Inclusion { root, .. } | Self::Consistency { root, .. } => flip(root),
            },
        }
        // The other two do not speak of an empty old tree, or count sizes as they please there.
        if !matches!(self, Self::Consistency { old: 0, .. }) {
            let holds = self.verdict(&path);
            assert!(may_hold || !holds, "{}", self.say());
        }
        count.spoilt += 1;
    }

    fn say(&self) -> String {
        match self {
            Self::Inclusion { index, size, .. } => format!("entry {index} of {size}"),
            Self::Consistency { old, size, .. } => format!("{old} to {size}"),
        }
    }
}

fn bytes(hashes: &[tlog_tiles::Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.0).collect()
}

#[test]
fn three_merkle_trees_agree() {
    let soak = std::env::var("VIGIE_SOAK").is_ok_and(|value| value == "1");
    // Each size up to `dense`, then in steps; `asked` times four cases at each.
    let (largest, dense, asked) = if soak { (5000, 5000, 52) } else { (1500, 150, 10) };
    let seed = if soak { std::hash::RandomState::new().build_hasher().finish() } else { 1 };
    let begun = Instant::now();
    let mut random = Random(seed);
    let mut logs = Logs::new();
    let mut count = Count::default();
    for size in 1..=largest {
        logs.push(random.next().to_be_bytes().to_vec());
        if size <= dense || size % 13 == 0 {
            for _ in 0..asked {
                logs.ask(&mut random, &mut count);
            }
        }
    }
    println!(
        "{} cases agree (inclusion {}, consistency {}, spoilt {}), logs of 1 to {largest} entries, seed {seed}, {:.1} s",
        count.all(),
        count.inclusion,
        count.consistency,
        count.spoilt,
        begun.elapsed().as_secs_f64()
    );
    assert!(count.all() >= if soak { 1_000_000 } else { 10_000 }, "{} cases", count.all());
}

/// Every entry of every log, and every pair of sizes, as far as that goes in a test.
#[test]
fn three_merkle_trees_agree_on_all_small_logs() {
    let mut random = Random(2);
    let mut logs = Logs::new();
    for size in 1..=40u64 {
        logs.push(size.to_be_bytes().to_vec());
        let root = logs.roots[size as usize];
        for index in 0..size {
            let path = inclusion_proof(index, size, &mut logs.node()).expect("nodes").expect("in the tree");
            assert_eq!(logs.theirs.prove_inclusion(index as usize).as_bytes(), path.concat());
            let leaf = logs.theirs.get(index as usize).expect("an entry").clone();
            assert!(Question::Inclusion { leaf, index, size, root }.verdict(&path));
            let old = index + 1;
            let path = consistency_proof(old, size, &mut logs.node()).expect("nodes").expect("not larger");
            assert_eq!(logs.theirs.prove_consistency((size - old) as usize).as_bytes(), path.concat());
            let question = Question::Consistency { old, old_root: logs.roots[old as usize], size, root };
            assert!(question.verdict(&path));
            question.spoil(&path, &mut random, &mut Count::default());
        }
    }
}
