//! A store, a clock and evidence to try it with.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use vigie_store::clock::{Clock, ClockStatus, Stamp};
use vigie_store::{
    Commitment, Draft, Kind, NewStore, Private, Progress, Recipient, SealedExhibit, Sealer, Settings, Store,
    StoreError, StoreEvents, VerifyOptions, VerifyReport, WorkstationKey,
};

/// A clock that goes on by a millisecond with each look, or wherever it is set. The count from boot
/// goes with it, by what it is apart, since the boot of its number.
pub struct TestClock(AtomicI64, AtomicI64, AtomicI64);

impl TestClock {
    pub fn new() -> Arc<Self> {
        Arc::new(Self(AtomicI64::new(1_790_000_000_000), AtomicI64::new(0), AtomicI64::new(0)))
    }

    pub fn set(&self, milliseconds: i64) {
        self.0.store(milliseconds, Ordering::SeqCst);
    }

    /// Sets the wall clock alone, by so many milliseconds; gives how far it was set so before.
    pub fn set_apart(&self, milliseconds: i64) -> i64 {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
        self.1.fetch_add(milliseconds, Ordering::SeqCst)
    }

    /// Time passes, on all clocks.
    pub fn run(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds, Ordering::SeqCst);
    }

    /// The count from boot begins anew.
    pub fn reboot(&self) {
        self.2.fetch_add(1, Ordering::SeqCst);
        self.1.store(self.now() - 5, Ordering::SeqCst);
    }

    pub fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

impl Clock for TestClock {
    fn stamp(&self) -> Stamp {
        let now = self.0.fetch_add(1, Ordering::SeqCst);
        Stamp {
            wall: Timestamp::from_millisecond(now).expect("a time"),
            monotonic_ns: (now - self.1.load(Ordering::SeqCst)) as u64 * 1_000_000,
            boot_id: format!("{:08}-test", self.2.load(Ordering::SeqCst)),
            clock: ClockStatus::Unknown,
        }
    }
}

/// Keeps what the store says.
#[derive(Default)]
pub struct Heard(pub Mutex<Vec<String>>);

impl StoreEvents for Heard {
    fn event(&self, text: &str) {
        self.0.lock().expect("not poisoned").push(text.to_owned());
    }
}

pub struct Quiet;

impl StoreEvents for Quiet {
    fn event(&self, _: &str) {}
}

impl Progress for Quiet {
    fn progress(&self, _: u64, _: u64) {}
}

/// A store in a folder of its own.
pub struct Kit {
    pub folder: tempfile::TempDir,
    pub clock: Arc<TestClock>,
    pub case: age::x25519::Identity,
    pub key: WorkstationKey,
}

pub fn passphrase() -> SecretString {
    SecretString::from("correct horse")
}

impl Kit {
    pub fn new() -> Self {
        Self::new_in(&crate::proof::folder())
    }

    /// A store in a new folder of `parent`.
    pub fn new_in(parent: &Path) -> Self {
        Self::with_signers(parent, b"magistrate@court.example ssh-ed25519 AAAA\n")
    }

    /// As [`Self::new_in`], with these allowed signers.
    pub fn with_signers(parent: &Path, allowed_signers: &[u8]) -> Self {
        let folder = tempfile::tempdir_in(parent).expect("a folder");
        let clock = TestClock::new();
        let dir = folder.path().join("store");
        let new = NewStore {
            origin: "customs.example/desk-1".into(),
            allowed_signers: allowed_signers.to_vec(),
            passphrase: passphrase(),
            scrypt_log_n: Some(1),
        };
        Store::create(&dir, new, clock.clone()).expect("creates");
        let key = vigie_store::unlock_key(&dir, &passphrase()).expect("unlocks");
        Self { folder, clock, case: age::x25519::Identity::generate(), key }
    }

    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("store")
    }

    pub fn recipients(&self) -> Vec<Recipient> {
        vec![self.case.to_public().to_string().parse().expect("a recipient")]
    }

    pub fn try_open(&self) -> Result<Store, StoreError> {
        Store::open(&self.dir(), self.key.clone(), self.clock.clone(), &Quiet)
    }

    pub fn open(&self) -> Store {
        self.try_open().expect("opens")
    }

    pub fn open_with(&self, settings: Settings) -> Result<Store, StoreError> {
        Store::open_with(&self.dir(), self.key.clone(), self.clock.clone(), &Quiet, settings)
    }

    pub fn seal(&self, store: &Store, plain: &[u8]) -> SealedExhibit {
        seal(store, &self.recipients(), plain)
    }

    pub fn exhibit(&self, store: &Store, number: u64) -> Draft {
        exhibit(store, &self.recipients(), number)
    }

    pub fn verify(&self) -> VerifyReport {
        self.verify_with(true, true)
    }

    pub fn verify_with(&self, key: bool, identity: bool) -> VerifyReport {
        let mut options = VerifyOptions { key: key.then(|| self.key.clone()), ..VerifyOptions::default() };
        if identity {
            options.identities.push(Box::new(self.case.clone()));
        }
        vigie_store::verify(&self.dir(), options, &Quiet).expect("a report")
    }

    /// Verifies with everything; any problem fails the test.
    pub fn sound(&self) -> VerifyReport {
        let report = self.verify();
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!(report.opened, report.exhibits);
        assert_eq!(report.local_parts, report.entries);
        report
    }
}

pub fn seal(store: &Store, recipients: &[Recipient], plain: &[u8]) -> SealedExhibit {
    let mut sealer = Sealer::create(store.spool_dir(), recipients).expect("begins");
    sealer.write_all(plain).expect("seals");
    sealer.finish().expect("ends")
}

/// An exhibit whose content is found again by its number.
pub fn exhibit(store: &Store, recipients: &[Recipient], number: u64) -> Draft {
    let url = format!("http://market.onion/item/{number}");
    Draft {
        exhibit: Some(seal(store, recipients, &warc(format!("page {number}").as_bytes()))),
        private: Some(Private { recipients: recipients.to_vec(), json: format!("{{\"url\":\"{url}\"}}").into_bytes() }),
        commitments: vec![Commitment { name: "url", value: url.into_bytes() }],
        row: format!("{{\"number\":{number}}}").into_bytes(),
        ..draft(Kind::Exhibit)
    }
}

/// An entry with nothing in it.
pub fn draft(kind: Kind) -> Draft {
    Draft {
        kind,
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

/// A WARC/1.1 file of one record, one gzip member (ISO 28500).
pub fn warc(block: &[u8]) -> Vec<u8> {
    let digest = HEXLOWER.encode(&Sha256::digest(block));
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    write!(
        gzip,
        "WARC/1.1\r\nWARC-Type: metadata\r\nWARC-Record-ID: <urn:uuid:6e2f0a2c-9d1b-4c9e-8a44-000000000001>\r\n\
         WARC-Date: 2026-11-24T02:14:00Z\r\nWARC-Block-Digest: sha256:{digest}\r\nContent-Type: application/warc-fields\r\n\
         Content-Length: {}\r\n\r\n",
        block.len()
    )
    .expect("writes");
    gzip.write_all(block).expect("writes");
    gzip.write_all(b"\r\n\r\n").expect("writes");
    gzip.finish().expect("ends")
}

pub fn read_all(mut reader: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).expect("reads");
    bytes
}

/// Copies a folder tree.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("creates");
    for entry in std::fs::read_dir(from).expect("lists") {
        let entry = entry.expect("lists");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("copies");
        }
    }
}
