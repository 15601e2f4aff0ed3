//! A disk that fails at a chosen operation: no receipt is false, and the store recovers.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use vigie_store::disk::{Disk, RealDisk};
use vigie_store::{Kind, Settings, StoreError};

use crate::kit::{Kit, draft};

/// Counts, holds and fails.
pub struct FaultDisk {
    operations: AtomicU64,
    syncs: AtomicU64,
    /// Operations until the failure; negative when there is none to come.
    fuse: AtomicI64,
    /// The failing write leaves half of its bytes.
    torn: AtomicBool,
    free: AtomicU8,
    gate: Mutex<()>,
}

impl Default for FaultDisk {
    fn default() -> Self {
        Self {
            operations: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            fuse: AtomicI64::new(-1),
            torn: AtomicBool::new(true),
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
            0 => Err(io::Error::from_raw_os_error(28)),
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
            if self.torn.load(Ordering::SeqCst) {
                let _ = RealDisk.write_at(file, &bytes[..bytes.len() / 2], offset);
            }
            return Err(error);
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
fn fail_at(at: i64) -> u64 {
    let kit = Kit::new();
    let store = kit.open();
    let mut kept = vec![store.append(kit.exhibit(&store, 1)).expect("appends")];
    drop(store);
    let disk = Arc::new(FaultDisk::default());
    disk.fail_after(at);
    // A small segment, so that a new one is begun as well.
    let settings = || Settings { disk: disk.clone(), segment_bytes: 4000 };
    let mut failed = false;
    if let Ok(store) = kit.open_with(settings()) {
        for number in 2..=4 {
            match store.append(kit.exhibit(&store, number)) {
                Ok(receipt) => {
                    assert!(!failed, "nothing is accepted after a failure");
                    kept.push(receipt);
                }
                Err(StoreError::Poisoned { .. }) => failed = true,
                Err(other) => panic!("at {at}: {other}"),
            }
        }
        assert_eq!(store.poisoned().is_some(), failed);
    }
    let used = disk.operations();
    // A second failure while it recovers, at the same operation; then a sound disk.
    disk.fail_after(at / 2);
    drop(kit.open_with(settings()));
    disk.fail_after(-1);
    let store = kit.open_with(settings()).unwrap_or_else(|e| panic!("at {at}: {e}"));
    let rows = store.rows(Kind::Exhibit).expect("rows");
    for receipt in &kept {
        assert!(
            rows.iter().any(|(sequence, _)| *sequence == receipt.sequence),
            "at {at}: entry {} was lost",
            receipt.sequence
        );
        let path = store.inclusion_proof(receipt.sequence, receipt.log_size).expect("a path");
        let leaf = vigie_store::Reader::open(&kit.dir())
            .expect("opens")
            .entry(receipt.sequence)
            .expect("an entry")
            .leaf_hash();
        assert!(
            vigie_store::log::verify_inclusion(&leaf, receipt.sequence, receipt.log_size, &path, &receipt.root),
            "at {at}"
        );
    }
    store.append(kit.exhibit(&store, 9)).unwrap_or_else(|e| panic!("at {at}: {e}"));
    drop(store);
    kit.sound();
    used
}

#[test]
fn a_failure_at_every_operation_gives_no_false_receipt() {
    let operations = fail_at(i64::MAX);
    println!("{operations} operations, each failed once");
    assert!(operations > 12);
    for at in 0..=operations as i64 {
        fail_at(at);
    }
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
