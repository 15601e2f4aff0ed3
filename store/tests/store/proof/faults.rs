//! A disk that fails at a chosen operation: no receipt is false, and the store recovers.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use vigie_store::disk::{Disk, RealDisk};
use vigie_store::{Kind, Reader, Settings, StoreError};

use super::{Tally, folder, parallel, runs};
use crate::kit::{Kit, draft};

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// ENOSPC or EIO of errno(3).
    errno: i32,
    /// A write leaves half of its bytes (a short write), else none.
    short: bool,
    /// The operations after it work again, else none does.
    once: bool,
}

const MODES: [Mode; 8] = {
    const fn mode(errno: i32, short: bool, once: bool) -> Mode {
        Mode { errno, short, once }
    }
    // The fast subset takes turns, so that neighbours differ in all.
    [
        mode(28, true, false),
        mode(5, false, true),
        mode(28, false, true),
        mode(5, true, false),
        mode(28, true, true),
        mode(5, false, false),
        mode(28, false, false),
        mode(5, true, true),
    ]
};

/// What the store is like before the faulty disk gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Closed,
    /// Half a frame lies beyond the signed head.
    Torn,
    /// A whole frame lies there.
    Unsigned,
    /// The catalogue is gone and must be made anew.
    NoCatalogue,
}

/// Counts, holds and fails.
pub struct FaultDisk {
    operations: AtomicU64,
    syncs: AtomicU64,
    /// Operations until the failure; negative when there is none to come.
    fuse: AtomicI64,
    mode: Mutex<Mode>,
    /// Lies about the failure: the anti-test.
    silent: AtomicBool,
    free: AtomicU8,
    gate: Mutex<()>,
}

impl Default for FaultDisk {
    fn default() -> Self {
        Self {
            operations: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            fuse: AtomicI64::new(-1),
            mode: Mutex::new(MODES[0]),
            silent: AtomicBool::new(false),
            free: AtomicU8::new(50),
            gate: Mutex::new(()),
        }
    }
}

impl FaultDisk {
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    pub fn operations(&self) -> u64 {
        self.operations.load(Ordering::SeqCst)
    }

    /// Operations wait until the guard is dropped.
    pub fn hold(&self) -> MutexGuard<'_, ()> {
        self.gate.lock().expect("not poisoned")
    }

    pub fn fail_after(&self, operations: i64) {
        self.fuse.store(operations, Ordering::SeqCst);
    }

    fn next(&self) -> io::Result<()> {
        drop(self.gate.lock());
        self.operations.fetch_add(1, Ordering::SeqCst);
        match self.fuse.load(Ordering::SeqCst) {
            0 => {
                let mode = *self.mode.lock().expect("not poisoned");
                if mode.once {
                    self.fail_after(-1);
                }
                Err(io::Error::from_raw_os_error(mode.errno))
            }
            left => {
                if left > 0 {
                    self.fuse.fetch_sub(1, Ordering::SeqCst);
                }
                Ok(())
            }
        }
    }
}

impl Disk for FaultDisk {
    fn create(&self, path: &Path) -> io::Result<File> {
        self.next()?;
        RealDisk.create(path)
    }
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.next() {
            if self.mode.lock().expect("not poisoned").short {
                let _ = RealDisk.write_at(file, &bytes[..bytes.len() / 2], offset);
            }
            return if self.silent.load(Ordering::SeqCst) { Ok(()) } else { Err(error) };
        }
        RealDisk.write_at(file, bytes, offset)
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        self.next()?;
        self.syncs.fetch_add(1, Ordering::SeqCst);
        RealDisk.sync(file)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.next()?;
        self.syncs.fetch_add(1, Ordering::SeqCst);
        RealDisk.sync_folder(folder)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.next()?;
        RealDisk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.next()?;
        RealDisk.remove(path)
    }
    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        self.next()?;
        RealDisk.truncate(file, len)
    }
    fn punch(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        self.next()?;
        RealDisk.punch(file, offset, len)
    }
    fn free_percent(&self, _: &Path) -> io::Result<u8> {
        Ok(self.free.load(Ordering::SeqCst))
    }
}

/// Opens, appends three exhibits and closes on a disk that fails at operation `at`; then on a
/// sound disk. Gives the operations used.
fn fail_at(tally: &Tally, before: Before, mode: Mode, at: i64, silent: bool) -> u64 {
    let what = format!("{before:?}, {mode:?}, operation {at}");
    let kit = Kit::new_in(&folder());
    let store = kit.open();
    let mut kept = vec![store.append(kit.exhibit(&store, 1)).expect("appends")];
    drop(store);
    prepare(&kit, before);
    let disk = Arc::new(FaultDisk::default());
    *disk.mode.lock().expect("not poisoned") = mode;
    disk.silent.store(silent, Ordering::SeqCst);
    disk.fail_after(at);
    // A small segment, so that a new one is begun as well.
    let settings = || Settings { disk: disk.clone(), segment_bytes: 4000, ..Settings::default() };
    let mut failed = false;
    if let Ok(store) = kit.open_with(settings()) {
        for number in 2..=4 {
            match store.append(kit.exhibit(&store, number)) {
                Ok(receipt) => {
                    assert!(!failed, "nothing is accepted after a failure");
                    kept.push(receipt);
                }
                Err(StoreError::Poisoned { .. }) => failed = true,
                Err(other) => panic!("{what}: {other}"),
            }
        }
        assert_eq!(store.poisoned().is_some(), failed);
    }
    let used = disk.operations();
    // A second failure while it recovers, at the same operation; then a sound disk.
    disk.silent.store(false, Ordering::SeqCst);
    disk.fail_after(at / 2);
    drop(kit.open_with(settings()));
    disk.fail_after(-1);
    tally.ran();
    let store = match kit.open_with(settings()) {
        Ok(store) => store,
        Err(error) => {
            tally.found(&tally.unopenable, &format!("{what}: {error}"));
            return used;
        }
    };
    let rows = store.rows(Kind::Exhibit).expect("rows");
    let reader = Reader::open(&kit.dir()).expect("opens");
    for receipt in &kept {
        let leaf = reader.entry(receipt.sequence).ok().filter(|entry| {
            entry.age.is_some_and(|age| Some(age.sha256) == receipt.age_sha256)
                && rows.iter().any(|(sequence, _)| *sequence == receipt.sequence)
        });
        let path = store.inclusion_proof(receipt.sequence, receipt.log_size).unwrap_or_default();
        let holds = leaf.is_some_and(|entry| {
            let (at, size) = (receipt.sequence, receipt.log_size);
            vigie_store::log::verify_inclusion(&entry.leaf_hash(), at, size, &path, &receipt.root)
        });
        if !holds {
            tally.found(&tally.lost, &format!("{what}: entry {}", receipt.sequence));
        }
    }
    store.append(kit.exhibit(&store, 9)).unwrap_or_else(|e| panic!("{what}: {e}"));
    drop(store);
    let problems = kit.verify().problems;
    if !problems.is_empty() {
        tally.found(&tally.lost, &format!("{what}: {problems:?}"));
    }
    used
}

fn prepare(kit: &Kit, before: Before) {
    match before {
        Before::Closed => {}
        Before::NoCatalogue => std::fs::remove_dir_all(kit.dir().join("catalogue")).expect("removes"),
        Before::Torn | Before::Unsigned => {
            // The head and the catalogue as they were before the last frame.
            let aside = kit.folder.path().join("aside");
            crate::kit::copy_tree(&kit.dir(), &aside);
            let segment = kit.dir().join("segments/00000000.seg");
            let old = std::fs::metadata(&segment).expect("is there").len();
            let store = kit.open();
            store.append(kit.exhibit(&store, 5)).expect("appends");
            drop(store);
            std::fs::remove_dir_all(kit.dir().join("catalogue")).expect("removes");
            crate::kit::copy_tree(&aside.join("catalogue"), &kit.dir().join("catalogue"));
            std::fs::copy(aside.join("checkpoint"), kit.dir().join("checkpoint")).expect("copies");
            if before == Before::Torn {
                let file = File::options().write(true).open(&segment).expect("opens");
                let new = file.metadata().expect("is there").len();
                file.set_len(old.midpoint(new)).expect("cuts");
            }
        }
    }
}

#[test]
fn a_failure_at_every_operation_gives_no_false_receipt() {
    let tally = Tally::default();
    let wanted = AtomicU64::new(0);
    for before in [Before::Closed, Before::Torn, Before::Unsigned, Before::NoCatalogue] {
        let operations = fail_at(&Tally::default(), before, MODES[0], i64::MAX, false);
        assert!(operations > 12, "{before:?}: {operations}");
        let modes = runs(1, MODES.len() as u64);
        wanted.fetch_add((operations + 1) * modes, Ordering::SeqCst);
        parallel((operations + 1) * modes, |run| {
            let (at, turn) = (run / modes, run % modes);
            fail_at(&tally, before, MODES[(at + turn) as usize % MODES.len()], at as i64, false);
        });
    }
    tally.report("ENOSPC, EIO or a short write at each I/O operation", wanted.load(Ordering::SeqCst));
}

/// The anti-test: a disk that loses half a write and says that all is well makes a receipt false,
/// and that is seen.
#[test]
fn a_lying_disk_is_found_out() {
    let tally = Tally::of_an_anti_test();
    let mode = Mode { errno: 5, short: true, once: true };
    for at in 0..30 {
        fail_at(&tally, Before::Closed, mode, at, true);
    }
    assert!(tally.faults() != [0; 3]);
}

#[test]
fn a_full_disk_refuses_exhibits_but_not_the_entries_that_say_so() {
    let kit = Kit::new();
    let disk = Arc::new(FaultDisk::default());
    let store = kit.open_with(Settings { disk: disk.clone(), ..Settings::default() }).expect("opens");
    assert!(kit.dir().join("reserve").exists());
    disk.free.store(4, Ordering::SeqCst);
    assert!(matches!(store.append(kit.exhibit(&store, 1)), Err(StoreError::LowSpace { free_percent: 4 })));
    store.append(draft(Kind::Failure)).expect("appends");
    disk.free.store(5, Ordering::SeqCst);
    assert_eq!(store.append(kit.exhibit(&store, 1)).expect("appends").exhibit, Some(1));
    drop(store);
    kit.sound();
}
