//! Someone who can write the disk cuts, puts back older parts, or continues an older copy. Within
//! the store it is seen as far as its parts disagree; a whole older or other store only by a head
//! that was kept elsewhere.

use std::path::{Path, PathBuf};

use vigie_store::{Reader, Settings, Store, StoreError, VerifyOptions};
use vigie_witness::Witness;

use super::{Noise, Tally, folder, parallel, runs};
use crate::kit::{Kit, Quiet, copy_tree, passphrase};

/// Exhibits of the store, and copies kept of it on the way.
const STAGES: u64 = 16;
/// The witness's clock, in seconds since the Epoch.
const NOW: u64 = 1_790_000_000;

/// A witness that cosigned the newest head.
struct Kept {
    witness: Witness,
    size: u64,
    _folder: tempfile::TempDir,
}

impl Kept {
    fn of(dir: &Path) -> Self {
        let folder = tempfile::tempdir_in(folder()).expect("a folder");
        let place = folder.path().join("witness");
        let witness = Witness::init(&place, "witness.example", &passphrase(), Some(1)).expect("a witness");
        let signer = witness.unlock(&passphrase()).expect("unlocks");
        let reader = Reader::open(dir).expect("opens");
        witness.trust(&reader.verifier_key()).expect("a log");
        witness.cosign(&signer, &reader.request(0).expect("a request").encode(), NOW).expect("cosigns");
        Self { witness, size: reader.size(), _folder: folder }
    }

    /// The store is this one, gone on with: the witness would cosign it.
    fn covers(&self, dir: &Path) -> bool {
        let request = Reader::open(dir).and_then(|reader| reader.request(self.size));
        request.is_ok_and(|request| self.witness.check(&request.encode(), NOW).is_ok())
    }
}

/// A store's history: copies of each stage, the last one last, and a branch that left it at a stage.
struct History {
    kit: Kit,
    stages: Vec<PathBuf>,
    /// Each with as many entries as the last stage, or more.
    forks: Vec<PathBuf>,
    kept: Kept,
}

fn settings() -> Settings {
    Settings { segment_bytes: 9000, ..Settings::default() }
}

fn grow(kit: &Kit, dir: &Path, exhibits: std::ops::Range<u64>) {
    let store = Store::open_with(dir, kit.key.clone(), kit.clock.clone(), &Quiet, settings()).expect("opens");
    for number in exhibits {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
}

impl History {
    fn new() -> Self {
        let kit = Kit::new_in(&folder());
        std::fs::write(kit.dir().join("reserve"), []).expect("a reserve that takes no room");
        let mut stages = Vec::new();
        for stage in 0..STAGES {
            grow(&kit, &kit.dir(), stage..stage + 1);
            let copy = kit.folder.path().join(format!("stage-{stage}"));
            copy_tree(&kit.dir(), &copy);
            stages.push(copy);
        }
        let forks = [2, 7, 13].map(|from: u64| {
            let copy = kit.folder.path().join(format!("fork-{from}"));
            copy_tree(&stages[from as usize], &copy);
            grow(&kit, &copy, 100..100 + STAGES - from - 1 + from % 3);
            copy
        });
        let kept = Kept::of(&kit.dir());
        Self { kit, stages, forks: forks.to_vec(), kept }
    }

    fn open(&self, dir: &Path) -> Result<Store, StoreError> {
        Store::open_with(dir, self.kit.key.clone(), self.kit.clock.clone(), &Quiet, settings())
    }
}

fn put(from: &Path, to: &Path, part: &str) {
    if from.join(part).is_dir() {
        std::fs::remove_dir_all(to.join(part)).expect("removes");
        copy_tree(&from.join(part), &to.join(part));
    } else {
        std::fs::copy(from.join(part), to.join(part)).expect("copies");
    }
}

fn problems(dir: &Path) -> usize {
    vigie_store::verify(dir, VerifyOptions::default(), &Quiet).map_or(1, |report| report.problems.len())
}

#[test]
fn truncations_rollbacks_and_forks_are_all_seen() {
    let history = History::new();
    let wanted = runs(60, 1_000);
    let tally = Tally::default();
    parallel(wanted, |run| {
        let mut noise = Noise::new(run);
        let copy = tempfile::tempdir_in(folder()).expect("a folder");
        let dir = copy.path();
        copy_tree(&history.kit.dir(), dir);
        let old = &history.stages[noise.below(STAGES - 1) as usize];
        let fork = &history.forks[noise.below(history.forks.len() as u64) as usize];
        let refused = |wanted: fn(&StoreError) -> bool| history.open(dir).is_err_and(|error| wanted(&error));
        let (what, seen) = match run % 8 {
            0 | 1 => {
                let segments: Vec<_> = std::fs::read_dir(dir.join("segments"))
                    .expect("lists")
                    .map(|file| file.expect("lists").path())
                    .collect();
                let path = &segments[noise.below(segments.len() as u64) as usize];
                let file = std::fs::File::options().write(true).open(path).expect("opens");
                file.set_len(noise.below(file.metadata().expect("is there").len())).expect("cuts");
                ("a segment cut", problems(dir) > 0 && refused(StoreError::is_damage))
            }
            2 => {
                put(old, dir, "checkpoint");
                let seen = refused(|error| matches!(error, StoreError::RolledBack { .. }));
                ("an older checkpoint", seen && !history.kept.covers(dir))
            }
            3 => {
                put(old, dir, "segments");
                let seen = problems(dir) > 0 && refused(StoreError::is_damage);
                ("older segments", seen)
            }
            4 => {
                put(old, dir, "segments");
                put(old, dir, "catalogue");
                let seen = problems(dir) > 0 && refused(StoreError::is_damage);
                ("older segments and catalogue", seen)
            }
            5 => {
                for part in ["segments", "catalogue", "checkpoint"] {
                    put(old, dir, part);
                }
                // Nothing inside can tell: it is what was there once.
                assert_eq!(problems(dir), 0);
                ("a whole older store", !history.kept.covers(dir))
            }
            6 => {
                put(fork, dir, "segments");
                let seen = problems(dir) > 0 && refused(StoreError::is_damage);
                // A witness sees the head alone, which is the old one.
                ("segments of a fork", seen)
            }
            _ => {
                put(fork, dir, "segments");
                put(fork, dir, "checkpoint");
                ("a fork", !history.kept.covers(dir))
            }
        };
        tally.ran();
        if !seen {
            tally.found(&tally.undetected, &format!("run {run}: {what}"));
        }
    });
    tally.report("truncations, rollbacks and forks (whole ones against a head kept elsewhere)", wanted);
}

/// The anti-test: what is no attack is not called one.
#[test]
fn an_older_catalogue_and_a_store_that_went_on_are_no_rollback() {
    let history = History::new();
    let dir = history.kit.dir();
    assert!(history.kept.covers(&dir));
    for stage in [0, 5, STAGES - 2] {
        put(&history.stages[stage as usize], &dir, "catalogue");
        drop(history.open(&dir).expect("opens and catches up"));
        assert_eq!(problems(&dir), 0);
    }
    grow(&history.kit, &dir, 50..53);
    assert_eq!(problems(&dir), 0);
    assert!(history.kept.covers(&dir));
    history.kit.sound();
}
