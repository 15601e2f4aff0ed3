//! `proof`: proofs from a log of a million entries, against `tlog_tiles` (Go's sumdb code in Rust)
//! over the same leaves; and from a store on disk, through its catalogue and through a reader.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Instant;

use jiff::Timestamp;
use secrecy::SecretString;
use tlog_tiles::HashReader;
use vigie_store::clock::{Clock, ClockStatus, Stamp};
use vigie_store::log::{Hash, Tree, consistency_proof, inclusion_proof, leaf_hash, verify_inclusion};
use vigie_store::{Draft, Kind, NewStore, Reader, Store, StoreEvents};

use crate::numbers::{Table, median};
use crate::{Outcome, stop};

/// Entries of the log in memory.
const ENTRIES: u64 = 1_000_000;
/// Proofs made in a round.
const PROOFS: u64 = 1000;
/// What is wanted, in milliseconds a proof.
const AIM: &str = "< 1 ms";

/// Measures both in turn, prints the theme and adds it to the table. `stored` is the number of
/// entries of the store.
pub fn run(dir: &Path, rounds: usize, stored: usize, table: &mut Table) -> Outcome<()> {
    println!("\nproof: microseconds a proof, medians of {rounds} rounds of {PROOFS} random entries");
    eprintln!("bench: a log of {ENTRIES} entries, twice");
    let log = Log::new()?;
    let random = |seed: u64| (0..PROOFS).map(move |n| (seed + n).wrapping_mul(0x9E37_79B9_7F4A_7C15) % ENTRIES);
    let (mut ours, mut theirs, mut checked, mut consistent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds as u64 {
        stop::check()?;
        let mut paths = Vec::new();
        ours.push(micros(|| {
            for index in random(round) {
                paths.push((index, log.inclusion(index)?));
            }
            Ok(())
        })?);
        theirs.push(micros(|| {
            for index in random(round) {
                tlog_tiles::prove_record(ENTRIES, index, &log.theirs)?;
            }
            Ok(())
        })?);
        checked.push(micros(|| {
            for (index, path) in &paths {
                if !verify_inclusion(&leaf(*index), *index, ENTRIES, path, &log.root) {
                    return Err(format!("the proof of entry {index} does not hold").into());
                }
            }
            Ok(())
        })?);
        consistent.push(micros(|| {
            for old in random(round) {
                log.consistency(old)?;
            }
            Ok(())
        })?);
    }
    let [ours, theirs, checked, consistent] = [ours, theirs, checked, consistent].map(median);
    println!(
        "  in memory, {ENTRIES} entries: inclusion {ours:.1}; tlog_tiles {theirs:.1}; checking {checked:.1}; consistency {consistent:.1}"
    );
    let what = format!("inclusion proof, {ENTRIES} entries");
    table.add("proof", &what, format!("{ours:.1} us"), format!("{theirs:.1} us"), Some(ours / theirs), AIM);
    store(&dir.join("proof"), rounds, stored, table)
}

fn store(dir: &Path, rounds: usize, entries: usize, table: &mut Table) -> Outcome<()> {
    eprintln!("bench: a store of {entries} entries");
    std::fs::create_dir(dir)?;
    let folder = dir.join("store");
    let passphrase = SecretString::from("bench");
    let new = NewStore {
        origin: "vigie.example/bench".into(),
        allowed_signers: b"magistrate@court.example ssh-ed25519 AAAA\n".to_vec(),
        passphrase: passphrase.clone(),
        scrypt_log_n: Some(1),
    };
    Store::create(&folder, new, Arc::new(Ticks))?;
    let store = Store::open(&folder, vigie_store::unlock_key(&folder, &passphrase)?, Arc::new(Ticks), &Ticks)?;
    let (sender, receiver) = channel();
    for _ in 0..entries {
        stop::check()?;
        let sender = sender.clone();
        store.submit(
            entry(),
            Box::new(move |result| {
                let _ = sender.send(result.map(|receipt| receipt.log_size));
            }),
        );
    }
    drop(sender);
    let mut size = 0;
    for receipt in receiver {
        size = size.max(receipt?);
    }
    let random = |seed: u64| (0..PROOFS).map(move |n| (seed + n).wrapping_mul(0x9E37_79B9_7F4A_7C15) % size);
    let mut catalogue = Vec::new();
    for round in 0..rounds as u64 {
        catalogue.push(micros(|| {
            for index in random(round) {
                store.inclusion_proof(index, size)?;
            }
            Ok(())
        })?);
    }
    drop(store);
    let reader = Reader::open(&folder)?;
    let begun = Instant::now();
    reader.inclusion_proof(0)?;
    let first = begun.elapsed().as_secs_f64();
    let mut read = Vec::new();
    for round in 0..rounds as u64 {
        read.push(micros(|| {
            for index in random(round) {
                reader.inclusion_proof(index)?;
            }
            Ok(())
        })?);
    }
    let (catalogue, read) = (median(catalogue), median(read));
    println!(
        "  a store of {size} entries: catalogue {catalogue:.1}; reader {read:.1}, after {first:.2} s for its first (it reads every entry)"
    );
    for (what, time) in [("catalogue", catalogue), ("reader", read)] {
        let what = format!("inclusion proof, store of {size}, {what}");
        table.add("proof", &what, format!("{time:.1} us"), String::new(), None, AIM);
    }
    std::fs::remove_dir_all(dir)?;
    Ok(())
}

/// Microseconds a proof.
fn micros(run: impl FnOnce() -> Outcome<()>) -> Outcome<f64> {
    let begun = Instant::now();
    run()?;
    Ok(begun.elapsed().as_secs_f64() * 1e6 / PROOFS as f64)
}

fn leaf(index: u64) -> Hash {
    leaf_hash(&index.to_be_bytes())
}

/// The same log in two hands.
struct Log {
    nodes: Vec<Vec<Hash>>,
    root: Hash,
    theirs: Stored,
}

struct Stored(Vec<tlog_tiles::Hash>);

impl HashReader for Stored {
    fn read_hashes(&self, indexes: &[u64]) -> Result<Vec<tlog_tiles::Hash>, tlog_tiles::tlog::Error> {
        Ok(indexes.iter().map(|at| self.0[*at as usize]).collect())
    }
}

impl Log {
    fn new() -> Outcome<Self> {
        let (mut tree, mut nodes) = (Tree::default(), Vec::<Vec<Hash>>::new());
        let mut theirs = Stored(Vec::with_capacity(2 * ENTRIES as usize));
        for index in 0..ENTRIES {
            for node in tree.append(leaf(index)) {
                let level = usize::from(node.level);
                if level == nodes.len() {
                    nodes.push(Vec::new());
                }
                nodes[level].push(node.hash);
            }
            let more = tlog_tiles::stored_hashes(index, &index.to_be_bytes(), &theirs)?;
            theirs.0.extend(more);
        }
        if tlog_tiles::tree_hash(ENTRIES, &theirs)?.0 != tree.root() {
            return Err("the two trees have different roots".into());
        }
        Ok(Self { nodes, root: tree.root(), theirs })
    }

    fn node(&self, level: u8, index: u64) -> Result<Hash, String> {
        let node = self.nodes.get(usize::from(level)).and_then(|nodes| nodes.get(index as usize));
        node.copied().ok_or_else(|| format!("no node {index} on level {level}"))
    }

    fn inclusion(&self, index: u64) -> Outcome<Vec<Hash>> {
        let path = inclusion_proof(index, ENTRIES, &mut |level, at| self.node(level, at))?;
        Ok(path.ok_or("no such entry")?)
    }

    fn consistency(&self, old: u64) -> Outcome<Vec<Hash>> {
        let path = consistency_proof(old, ENTRIES, &mut |level, at| self.node(level, at))?;
        Ok(path.ok_or("a larger log")?)
    }
}

/// A small entry.
fn entry() -> Draft {
    Draft {
        kind: Kind::SessionClose,
        mandate: Some([0xAB; 32]),
        session: Some([0xCD; 16]),
        exhibit: None,
        commitments: Vec::new(),
        private: None,
        row: b"{}".to_vec(),
        url_row: None,
        state: Vec::new(),
    }
}

/// A clock that says what the machine's does.
struct Ticks;

impl Clock for Ticks {
    fn stamp(&self) -> Stamp {
        let (wall, boot_id) = (Timestamp::now(), "bench".to_owned());
        Stamp { wall, monotonic_ns: 0, boot_id, clock: ClockStatus::Unknown }
    }
}

impl StoreEvents for Ticks {
    fn event(&self, _: &str) {}
}
