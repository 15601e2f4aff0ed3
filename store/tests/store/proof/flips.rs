//! One flipped bit in a closed store, anywhere: seen, or without effect on what is read.

use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest, Sha256};
use vigie_store::{Draft, Kind, Reader, Settings, StateOp, Store, StoreError, VerifyOptions, log};

use super::{Noise, Tally, folder, parallel, runs};
use crate::kit::{Heard, Kit, Quiet, copy_tree, draft, passphrase, read_all};

/// Flips of one copy of the store; a worker then makes the next copy.
const FLIPS: u64 = 100;

/// A closed store of eight exhibits with run state, in several segments. `reserve` is empty: it is
/// of no interest here and large.
pub fn stocked() -> Kit {
    let kit = Kit::new_in(&folder());
    let store = kit.open_with(Settings { segment_bytes: 9000, ..Settings::default() }).expect("opens");
    let state = |number: u64| {
        let key = store.mandate_key(&[0xAB; 32]);
        vec![StateOp::put(&key, "usage", &number.to_string(), number.to_be_bytes().to_vec())]
    };
    for number in 1..=8 {
        store.append(Draft { state: state(number), ..kit.exhibit(&store, number) }).expect("appends");
    }
    store.append(Draft { state: state(9), ..draft(Kind::SessionClose) }).expect("appends");
    drop(store);
    kit.sound();
    std::fs::write(kit.dir().join("reserve"), []).expect("empties");
    kit
}

fn flip(path: &Path, bit: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).expect("reads");
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit / 8).expect("writes");
}

/// Files under a folder that hold anything, by their path from `dir`.
fn files(dir: &Path, folder: &str) -> Vec<(PathBuf, u64)> {
    let mut found: Vec<_> = std::fs::read_dir(dir.join(folder))
        .expect("lists")
        .map(|file| file.expect("lists"))
        .filter(|file| file.file_type().expect("a type").is_file())
        .map(|file| (Path::new(folder).join(file.file_name()), file.metadata().expect("is there").len()))
        .filter(|(_, len)| *len > 0)
        .collect();
    found.sort();
    found
}

/// The bit at a place among all bits of the files.
fn place(files: &[(PathBuf, u64)], mut bit: u64) -> (&Path, u64) {
    for (path, len) in files {
        if bit < len * 8 {
            return (path, bit);
        }
        bit -= len * 8;
    }
    unreachable!("the place is below the sum")
}

fn is_seen(dir: &Path) -> bool {
    match vigie_store::verify(dir, VerifyOptions::default(), &Quiet) {
        Ok(report) => !report.problems.is_empty(),
        Err(error) => error.is_damage() || matches!(error, StoreError::NotAStore { .. }),
    }
}

#[test]
fn flipped_bits_in_segments_and_beside_are_all_seen() {
    let kit = stocked();
    let segments = files(&kit.dir(), "segments");
    assert!(segments.len() >= 3);
    let beside: Vec<(PathBuf, u64)> = ["checkpoint", "log.vkey", "allowed_signers", "store.txt", "log.key", "key.age"]
        .map(|name| (PathBuf::from(name), std::fs::metadata(kit.dir().join(name)).expect("is there").len()))
        .to_vec();
    for (files, wanted, what) in [
        (&segments, runs(300, 80_000), "a flipped bit in segments"),
        (&beside, runs(100, 10_000), "a flipped bit in the checkpoint, keys and files beside"),
    ] {
        let bits: u64 = files.iter().map(|(_, len)| len * 8).sum();
        let tally = Tally::default();
        parallel(wanted.div_ceil(FLIPS), |batch| {
            let copy = tempfile::tempdir_in(folder()).expect("a folder");
            copy_tree(&kit.dir(), copy.path());
            let mut noise = Noise::new(batch);
            for _ in 0..FLIPS {
                let (file, bit) = place(files, noise.below(bits));
                flip(&copy.path().join(file), bit);
                let seen = match file.to_str() {
                    Some("key.age") => vigie_store::unlock_key(copy.path(), &passphrase()).is_err(),
                    Some("log.key") => Store::open(copy.path(), kit.key.clone(), kit.clock.clone(), &Quiet).is_err(),
                    _ => is_seen(copy.path()),
                };
                tally.ran();
                if !seen {
                    tally.found(&tally.undetected, &format!("{}, bit {bit}", file.display()));
                }
                flip(&copy.path().join(file), bit);
            }
            // The anti-test: the same store with every bit back is sound.
            assert!(!is_seen(copy.path()));
            assert!(vigie_store::unlock_key(copy.path(), &passphrase()).is_ok());
        });
        tally.report(what, wanted);
    }
}

/// What can be read of a store through its catalogue.
#[derive(Debug, PartialEq, Eq)]
struct Content {
    rows: BTreeMap<u64, Vec<u8>>,
    exhibits: Vec<[u8; 32]>,
    state: Vec<(String, Vec<u8>)>,
}

/// Reads everything. Of entries from `until` on, which the opening itself made, nothing.
fn content(store: &Store, until: u64) -> Result<Content, StoreError> {
    let mut rows = BTreeMap::new();
    for kind in Kind::all() {
        rows.extend(store.rows(kind)?.into_iter().filter(|(sequence, _)| *sequence < until));
    }
    let exhibits = (1..=8).map(|number| Ok(Sha256::digest(read_all(store.exhibit_age(number)?)).into()));
    let exhibits = exhibits.collect::<Result<_, StoreError>>()?;
    let reader = Reader::open(store.folder())?;
    for sequence in 0..until {
        let path = store.inclusion_proof(sequence, reader.size())?;
        let leaf = reader.entry(sequence)?.leaf_hash();
        if !log::verify_inclusion(&leaf, sequence, reader.size(), &path, &reader.root()) {
            // Whoever checks the proof sees it; the store itself must have.
            rows.insert(u64::MAX, b"a wrong proof".to_vec());
        }
    }
    let mut state: Vec<_> = store.state(&store.mandate_key(&[0xAB; 32]), "usage").iter()?.collect();
    state.sort();
    Ok(Content { rows, exhibits, state })
}

/// What became of a store with a damaged catalogue.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    NoEffect,
    Rebuilt,
    /// Evidence is all there, but run state is not, and no rebuild says so.
    StateLost,
    Wrong(String),
    Unopenable(String),
}

fn outcome(dir: &Path, kit: &Kit, right: &Content, until: u64) -> Outcome {
    // Some damage shows when it opens, some on reading: then the next opening rebuilds.
    for _ in 0..4 {
        let heard = Heard::default();
        let store = match Store::open(dir, kit.key.clone(), kit.clock.clone(), &heard) {
            Ok(store) => store,
            Err(StoreError::Catalogue { .. }) => continue,
            Err(error) => return Outcome::Unopenable(error.to_string()),
        };
        let found = match content(&store, until) {
            Ok(found) => found,
            Err(StoreError::Catalogue { .. }) => continue,
            Err(error) => return Outcome::Wrong(error.to_string()),
        };
        let rebuilt = match store.rows(Kind::Rebuild) {
            Ok(rows) => !rows.is_empty(),
            Err(_) => continue,
        };
        drop(store);
        if found.rows != right.rows || found.exhibits != right.exhibits {
            return Outcome::Wrong("other rows or exhibits".into());
        }
        return match (rebuilt, found.state == right.state) {
            (true, _) => Outcome::Rebuilt,
            (false, true) => Outcome::NoEffect,
            (false, false) => Outcome::StateLost,
        };
    }
    Outcome::Unopenable("four openings did not mend the catalogue".into())
}

#[test]
fn flipped_bits_in_the_catalogue_cost_no_evidence() {
    let kit = stocked();
    let store = kit.open();
    let until = Reader::open(&kit.dir()).expect("opens").size();
    let right = content(&store, until).expect("reads");
    assert_eq!((right.exhibits.len(), right.state.len()), (8, 9));
    drop(store);
    let files = files(&kit.dir(), "catalogue");
    let bytes: Vec<(PathBuf, Vec<u8>)> =
        files.iter().map(|(path, _)| (path.clone(), std::fs::read(kit.dir().join(path)).expect("reads"))).collect();
    let used: Vec<(usize, u64)> = bytes
        .iter()
        .enumerate()
        .flat_map(|(file, (_, bytes))| {
            bytes.iter().enumerate().filter(|(_, byte)| **byte != 0).map(move |(at, _)| (file, at as u64))
        })
        .collect();
    let all: u64 = files.iter().map(|(_, len)| len * 8).sum();
    let wanted = runs(60, 10_000);
    let tally = Tally::default();
    let [rebuilt, state_lost] = [(); 2].map(|()| AtomicU64::new(0));
    parallel(wanted, |run| {
        let copy = tempfile::tempdir_in(folder()).expect("a folder");
        copy_tree(&kit.dir(), copy.path());
        let mut noise = Noise::new(run);
        // Most of sled's file is empty: three in four flips go where something is written.
        if noise.one_in(4) {
            let (file, bit) = place(&files, noise.below(all));
            flip(&copy.path().join(file), bit);
        } else {
            let (file, at) = used[noise.below(used.len() as u64) as usize];
            flip(&copy.path().join(&bytes[file].0), at * 8 + noise.below(8));
        }
        tally.ran();
        match outcome(copy.path(), &kit, &right, until) {
            Outcome::NoEffect => {}
            Outcome::Rebuilt => {
                rebuilt.fetch_add(1, Ordering::SeqCst);
            }
            Outcome::StateLost => {
                state_lost.fetch_add(1, Ordering::SeqCst);
            }
            Outcome::Wrong(why) => tally.found(&tally.undetected, &format!("run {run}: {why}")),
            Outcome::Unopenable(why) => tally.found(&tally.unopenable, &format!("run {run}: {why}")),
        }
    });
    let [rebuilt, state_lost] = [&rebuilt, &state_lost].map(|counter| counter.load(Ordering::SeqCst));
    tally.report(
        &format!("a flipped bit in the catalogue ({rebuilt} rebuilt, {state_lost} with older run state)"),
        wanted,
    );
    assert!(rebuilt > wanted / 20, "the damage was met");
}

/// The anti-test: other rows and lost run state are told from none.
#[test]
fn another_content_is_seen() {
    let kit = stocked();
    let store = kit.open();
    let until = Reader::open(&kit.dir()).expect("opens").size();
    let mut right = content(&store, until).expect("reads");
    drop(store);
    assert_eq!(outcome(&kit.dir(), &kit, &right, until), Outcome::NoEffect);
    right.state.pop();
    assert_eq!(outcome(&kit.dir(), &kit, &right, until), Outcome::StateLost);
    right.rows.insert(3, b"other".to_vec());
    assert!(matches!(outcome(&kit.dir(), &kit, &right, until), Outcome::Wrong(_)));
    // A whole catalogue of zeros is rebuilt.
    let kit = stocked();
    let store = kit.open();
    let right = content(&store, until).expect("reads");
    drop(store);
    let db = kit.dir().join("catalogue/db");
    let len = std::fs::metadata(&db).expect("is there").len();
    std::fs::write(&db, vec![0; len as usize]).expect("writes");
    assert_eq!(outcome(&kit.dir(), &kit, &right, until), Outcome::Rebuilt);
}
