//! A store that is open for writing.

mod before;
mod restored;
mod witness;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::backup::RESTORED;
use crate::catalogue::{Catalogue, Record};
use crate::checkpoint::{Checkpoint, Verifier, is_origin};
use crate::clock::Clock;
use crate::commit::{Done, Job, Writer, write_head};
use crate::disk::{Disk, RealDisk};
use crate::draft::{Draft, Prepared, Receipt};
use crate::error::{StoreError, Trying};
use crate::files::{Facts, Layout, new_folder, read_small};
use crate::keys::{self, Cipher, ProfileKey, SCRYPT_LOG_N, WorkstationKey};
use crate::kind::Kind;
use crate::local::{Local, LocalCipher};
use crate::lock::Lock;
use crate::log::{self, Hash, Tree};
use crate::outside::Outside;
use crate::recovery::{Recovered, recover};
use crate::segment::{Frame, Segment};
use crate::settings::{NewStore, Settings, StoreEvents};
use crate::state::{State, StateOp};

use before::Before;
pub use witness::CheckedHead;

/// Free space below which no reserve is made, in percent.
const RESERVE_PERCENT: u8 = 5;

/// A store, exclusively open. Dropping it waits for the writer to finish what was handed in.
pub struct Store {
    pub(crate) layout: Layout,
    spool: PathBuf,
    pub(crate) key: WorkstationKey,
    allowed_signers: Vec<u8>,
    catalogue: Arc<Catalogue>,
    local: Arc<LocalCipher>,
    poisoned: Arc<OnceLock<String>>,
    pub(crate) disk: Arc<dyn Disk>,
    jobs: Sender<Job>,
    writer: Mutex<Option<JoinHandle<()>>>,
    outside: Option<Outside>,
    /// A head outside that is not given up yet: it is left where it is.
    giving_up: Mutex<Option<(u64, Hash)>>,
    // Last: the lock goes when everything else is gone.
    _lock: Lock,
}

impl Store {
    /// Makes a store in `dir`, which must not exist: built beside it and renamed, so that a stop
    /// leaves either no store or a whole one. Entry 0 binds the allowed signers, the log's key
    /// and the store's facts to the log.
    pub fn create(dir: &Path, new: NewStore, clock: Arc<dyn Clock>) -> Result<(), StoreError> {
        if !is_origin(&new.origin) {
            return Err(StoreError::invalid(
                "a log's origin is 1 to 255 printable ASCII characters without space and '+', such as customs.example/desk-1",
            ));
        }
        if dir.symlink_metadata().is_ok() {
            return Err(StoreError::Exists { dir: dir.to_owned() });
        }
        let parent = match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let building = parent.join(format!(".vigie-{}", HEXLOWER.encode(&keys::random::<8>()?)));
        new_folder(&building)?;
        let made = Self::build(&building, new, clock).and_then(|()| {
            let disk = RealDisk;
            disk.rename(&building, dir).trying(|| format!("creating {}", dir.display()))?;
            disk.sync_folder(parent).trying(|| format!("creating {}", dir.display()))
        });
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&building);
        }
        made
    }

    fn build(dir: &Path, new: NewStore, clock: Arc<dyn Clock>) -> Result<(), StoreError> {
        let settings = Settings::default();
        let disk = settings.disk.as_ref();
        let facts = Facts {
            id: keys::random()?,
            origin: new.origin.clone(),
            scrypt_log_n: new.scrypt_log_n.unwrap_or(SCRYPT_LOG_N),
        };
        let key = WorkstationKey::from_bytes(keys::random()?);
        let wrapped = keys::wrap(key.as_bytes(), &new.passphrase, facts.scrypt_log_n)?;
        let seed = Zeroizing::new(keys::random::<32>()?);
        let signer = SigningKey::from_bytes(&seed);
        let vkey = format!("{}\n", Verifier::new(&new.origin, signer.verifying_key()));
        let layout = Layout::create(dir, facts, disk)?;
        layout.write_new("key.age", &wrapped, disk)?;
        layout.write_new("log.key", &Cipher::new(&key.subkey("log-key")).seal(&layout.facts.id, &*seed)?, disk)?;
        layout.write_new("log.vkey", vkey.as_bytes(), disk)?;
        layout.write_new("allowed_signers", &new.allowed_signers, disk)?;
        let empty = Checkpoint { origin: new.origin, size: 0, root: Tree::default().root() };
        write_head(&layout, disk, &empty.sign(&signer))?;
        let store = Self::open_any(dir, key, clock, &Silent, settings, true)?;
        let init = Draft { kind: Kind::Init, ..internal(serde_json::json!({"format": "vigie.init/1"})) };
        store.append_internal(init, bound(&layout, &new.allowed_signers)?)?;
        Ok(())
    }

    /// Opens a store for writing; recovers it first when it did not end in order.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::WrongKey`], [`StoreError::ClockBehind`]; and damage
    /// ([`StoreError::is_damage`]) when what the signed head covers is not there.
    pub fn open(
        dir: &Path,
        key: WorkstationKey,
        clock: Arc<dyn Clock>,
        events: &dyn StoreEvents,
    ) -> Result<Self, StoreError> {
        Self::open_with(dir, key, clock, events, Settings::default())
    }

    /// As [`Self::open`], with other settings.
    pub fn open_with(
        dir: &Path,
        key: WorkstationKey,
        clock: Arc<dyn Clock>,
        events: &dyn StoreEvents,
        settings: Settings,
    ) -> Result<Self, StoreError> {
        Self::open_any(dir, key, clock, events, settings, false)
    }

    /// Marks the catalogue of the store in `dir`, so that the next opening rebuilds it from the
    /// segments. The old one is set aside, not deleted; cookies and frontiers are lost with it.
    ///
    /// # Errors
    /// [`StoreError::Locked`], and a disk that does not write.
    pub fn mark_for_rebuild(dir: &Path) -> Result<(), StoreError> {
        let layout = Layout::open(dir)?;
        let _lock = Lock::take(&layout)?;
        layout.mark(&layout.catalogue_damaged(), &RealDisk)
    }

    fn open_any(
        dir: &Path,
        key: WorkstationKey,
        clock: Arc<dyn Clock>,
        events: &dyn StoreEvents,
        settings: Settings,
        new: bool,
    ) -> Result<Self, StoreError> {
        let layout = Layout::open(dir)?;
        let lock = Lock::take(&layout)?;
        let signer = signing_key(&layout, &key)?;
        let verifier = layout.verifier()?;
        if verifier != Verifier::new(&layout.facts.origin, signer.verifying_key()) {
            return Err(StoreError::damaged("log.vkey is not the public half of log.key"));
        }
        let before = Before::read(&layout, &verifier, &settings)?;
        let (text, head) = layout.signed_head(&verifier)?;
        if head.size == 0 && !new {
            return Err(StoreError::damaged("the signed head covers nothing, not even entry 0"));
        }
        // An older copy is met before anything in it changes.
        before.hold_sizes(head.size)?;
        let disk = Arc::clone(&settings.disk);
        let room = disk.free_percent(&layout.dir).unwrap_or(0) >= RESERVE_PERCENT;
        layout.keep_reserve(room, disk.as_ref());
        let local = Arc::new(LocalCipher::new(&key, &layout.facts));
        let now = clock.stamp().wall;
        let recovered = recover(&layout, &key, &local, &head, now, &disk, events)?;
        if let Some(last) = recovered.ledger.last.filter(|last| now < *last) {
            return Err(StoreError::ClockBehind { last, now });
        }
        let allowed_signers = read_small(&layout.allowed_signers())?;
        if !new {
            check_bound(&layout, &allowed_signers)?;
        }
        let Recovered { catalogue, ledger, changes, adopted, torn_bytes, rebuilt } = recovered;
        // What a witness has seen of this log, or what was kept outside, must still be in it.
        before.hold(&head, |size| Ok(Tree::restore(size, |level, index| catalogue.node(level, index))?.root()))?;
        before.keep(&layout, &verifier, &text, &head, events);
        let catalogue = Arc::new(catalogue);
        let poisoned = Arc::new(OnceLock::new());
        let writer = Writer {
            layout: layout.clone(),
            disk: Arc::clone(&disk),
            clock,
            catalogue: Arc::clone(&catalogue),
            local: Arc::clone(&local),
            signer,
            ledger,
            segment_bytes: settings.segment_bytes,
            file: None,
            changes,
            poisoned: Arc::clone(&poisoned),
            unsigned: false,
        };
        let (jobs, received) = channel();
        let thread = std::thread::Builder::new()
            .name("vigie-store".into())
            .spawn(move || writer.run(&received))
            .trying(|| "starting the store's writer".into())?;
        let spool = layout.spool();
        let writer = Mutex::new(Some(thread));
        let (outside, giving_up) = (settings.outside, Mutex::new(settings.giving_up));
        let store = Self {
            layout,
            spool,
            key,
            allowed_signers,
            catalogue,
            local,
            poisoned,
            disk,
            jobs,
            writer,
            outside,
            giving_up,
            _lock: lock,
        };
        if let Some(why) = rebuilt {
            events.event(&format!(
                "the catalogue was rebuilt from the segments ({why}); cookies and frontiers were lost with the old one"
            ));
            let row = serde_json::json!({"format": "vigie.rebuild/1", "why": why});
            store.append_internal(Draft { kind: Kind::Rebuild, ..internal(row) }, Vec::new())?;
            let _ = store.disk.remove(&store.layout.catalogue_damaged());
        }
        let restored = store.layout.dir.join(RESTORED);
        if restored.exists() {
            events.event("this store was made of a backup; its log says so from here on");
            let row = serde_json::json!({"format": "vigie.recovery/1", "restored": true, "size": head.size});
            store.append_internal(Draft { kind: Kind::Recovery, ..internal(row) }, Vec::new())?;
            let _ = store.disk.remove(&restored);
        }
        // The marker alone stands for a recovery that was itself stopped before it was logged.
        if adopted > 0 || torn_bytes > 0 || store.layout.recovery_pending().exists() {
            events.event(&format!(
                "recovered after a stop in mid-write: {adopted} unsigned entries adopted, {torn_bytes} torn bytes set aside in torn/"
            ));
            let row = serde_json::json!({"format": "vigie.recovery/1", "adopted": adopted, "torn_bytes": torn_bytes});
            store.append_internal(Draft { kind: Kind::Recovery, ..internal(row) }, Vec::new())?;
            let _ = store.disk.remove(&store.layout.recovery_pending());
        }
        Ok(store)
    }

    /// Hands an entry in. Salts, private part and checks are done in the calling thread; `done`
    /// is called on the writer's thread once the entry is durable, or with why it is not.
    pub fn submit(&self, draft: Draft, done: Done) {
        match Prepared::new(draft) {
            Ok(prepared) => self.send(prepared, done),
            Err(error) => done(Err(error)),
        }
    }

    /// Hands an entry in and waits for its receipt.
    pub fn append(&self, draft: Draft) -> Result<Receipt, StoreError> {
        self.wait(Prepared::new(draft)?)
    }

    /// As [`Self::append`], for the store's own kinds, with digests of public files.
    pub(crate) fn append_internal(
        &self,
        draft: Draft,
        digests: Vec<(String, [u8; 32])>,
    ) -> Result<Receipt, StoreError> {
        self.wait(Prepared::internal(draft, digests)?)
    }

    fn wait(&self, prepared: Prepared) -> Result<Receipt, StoreError> {
        let (sender, receiver) = channel();
        self.send(
            prepared,
            Box::new(move |result| {
                let _ = sender.send(result);
            }),
        );
        receiver.recv().unwrap_or(Err(StoreError::Closed))
    }

    fn send(&self, prepared: Prepared, done: Done) {
        if let Some(why) = self.poisoned.get() {
            return done(Err(StoreError::Poisoned { why: why.clone() }));
        }
        if let Err(unsent) = self.jobs.send(Job::Append(Box::new(prepared), done))
            && let Job::Append(_, done) = unsent.0
        {
            done(Err(StoreError::Closed));
        }
    }

    /// Changes run state durably, without an entry.
    pub fn apply(&self, operations: Vec<StateOp>) -> Result<(), StoreError> {
        if operations.is_empty() {
            return Ok(());
        }
        if let Some(fault) = operations.iter().find_map(StateOp::fault) {
            return Err(StoreError::invalid(fault));
        }
        let (sender, receiver) = channel();
        self.jobs.send(Job::Apply(operations, sender)).map_err(|_| StoreError::Closed)?;
        receiver.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// The store's directory.
    pub fn folder(&self) -> &Path {
        &self.layout.dir
    }

    /// Where sealing and spooling may put nameless files.
    pub fn spool_dir(&self) -> &Path {
        &self.spool
    }

    /// The workstation key.
    pub fn key(&self) -> &WorkstationKey {
        &self.key
    }

    /// Name of the log.
    pub fn origin(&self) -> &str {
        &self.layout.facts.origin
    }

    /// The allowed signers file, as entry 0 bound it.
    pub fn allowed_signers(&self) -> &[u8] {
        &self.allowed_signers
    }

    /// Why nothing more is accepted, when a write failed.
    pub fn poisoned(&self) -> Option<&str> {
        self.poisoned.get().map(String::as_str)
    }

    /// One area of a profile's run state.
    pub fn state(&self, key: &ProfileKey, area: &str) -> State<'_> {
        State::new(&self.catalogue, key, area)
    }

    /// Rows of one kind, oldest first.
    pub fn rows(&self, kind: Kind) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let sequences = self.catalogue.of_kind(kind)?;
        sequences.into_iter().map(|sequence| Ok((sequence, self.row(sequence)?))).collect()
    }

    /// The row of an entry.
    pub fn row(&self, sequence: u64) -> Result<Vec<u8>, StoreError> {
        let record = self.record(sequence)?;
        match record.rows {
            Some((row, _)) => Ok(row),
            None => Ok(self.local_part(sequence, &record)?.row),
        }
    }

    /// The row of an entry that only the profile's key opens; `None` when it has none.
    pub fn url_row(&self, sequence: u64, key: &ProfileKey) -> Result<Option<Vec<u8>>, StoreError> {
        let record = self.record(sequence)?;
        let sealed = match record.rows {
            Some((_, url)) => url,
            None => self.local_part(sequence, &record)?.url,
        };
        if sealed.is_empty() {
            return Ok(None);
        }
        self.local.open_url(key.url(), sequence, &sealed).map(Some).ok_or(StoreError::WrongKey)
    }

    /// The age file of an exhibit, as it lies in the store.
    pub fn exhibit_age(&self, number: u64) -> Result<Box<dyn Read + Send>, StoreError> {
        let sequence = self.catalogue.exhibit(number)?.ok_or(StoreError::NoSuchExhibit { number })?;
        let (segment, frame) = self.frame(sequence, &self.record(sequence)?)?;
        if frame.entry.exhibit != Some(number) {
            return Err(self.catalogue.damaged("its list of exhibits"));
        }
        Ok(Box::new(frame.exhibit(&segment)?))
    }

    /// The audit path of an entry in the log of `size` entries (RFC 6962 section 2.1.1).
    pub fn inclusion_proof(&self, sequence: u64, size: u64) -> Result<Vec<Hash>, StoreError> {
        log::inclusion_proof(sequence, size, &mut |level, index| self.catalogue.node(level, index))?
            .ok_or(StoreError::NoSuchEntry { sequence })
    }

    fn record(&self, sequence: u64) -> Result<Record, StoreError> {
        self.catalogue.record(sequence)?.ok_or(StoreError::NoSuchEntry { sequence })
    }

    fn local_part(&self, sequence: u64, record: &Record) -> Result<Local, StoreError> {
        let (segment, frame) = self.frame(sequence, record)?;
        let sealed = frame.local(&segment)?;
        self.local
            .open(&frame.context(), &sealed)
            .ok_or_else(|| StoreError::damaged(format!("entry {sequence}: its local part does not open")))
    }

    fn frame(&self, sequence: u64, record: &Record) -> Result<(Segment, Frame), StoreError> {
        let broken = || StoreError::damaged(format!("entry {sequence} is not in its place"));
        let segment = Segment::open(&self.layout, record.place.segment)?.ok_or_else(broken)?;
        let frame = Frame::read(&segment, record.place.offset).map_err(|_| broken())?;
        if frame.entry.sequence != sequence {
            return Err(broken());
        }
        Ok((segment, frame))
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let _ = self.jobs.send(Job::Close);
        let thread = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
        // What a failed write left is not known to be durable, and must not be held against it later.
        let stays = self.giving_up.get_mut().unwrap_or_else(PoisonError::into_inner).is_some();
        if let Some(outside) = self.outside.as_ref().filter(|_| self.poisoned.get().is_none() && !stays) {
            // A head that cannot be kept is said at the next opening, where somebody listens.
            let _ = outside.keep(&self.layout.dir);
        }
    }
}

pub(crate) struct Silent;

impl StoreEvents for Silent {
    fn event(&self, _: &str) {}
}

/// A draft of the store's own: nothing in it but a row.
pub(crate) fn internal(row: serde_json::Value) -> Draft {
    Draft {
        kind: Kind::Init,
        mandate: None,
        session: None,
        exhibit: None,
        commitments: Vec::new(),
        private: None,
        row: row.to_string().into_bytes(),
        url_row: None,
        state: Vec::new(),
    }
}

pub(crate) fn signing_key(layout: &Layout, key: &WorkstationKey) -> Result<SigningKey, StoreError> {
    let sealed = read_small(&layout.log_key())?;
    let seed = Cipher::new(&key.subkey("log-key")).open(&layout.facts.id, &sealed).map(Zeroizing::new);
    let seed = seed.ok_or(StoreError::WrongKey)?;
    let seed = <&[u8; 32]>::try_from(seed.as_slice()).map_err(|_| StoreError::WrongKey)?;
    Ok(SigningKey::from_bytes(seed))
}

/// Digests of the files that entry 0 binds to the log.
pub(crate) fn bound(layout: &Layout, allowed_signers: &[u8]) -> Result<Vec<(String, [u8; 32])>, StoreError> {
    let sha256 = |bytes: &[u8]| -> [u8; 32] { Sha256::digest(bytes).into() };
    Ok(vec![
        ("allowed-signers".to_owned(), sha256(allowed_signers)),
        ("log-vkey".to_owned(), sha256(&read_small(&layout.log_vkey())?)),
        ("store".to_owned(), sha256(layout.facts.encode().as_bytes())),
    ])
}

/// Entry 0 binds the files that lie here.
fn check_bound(layout: &Layout, allowed_signers: &[u8]) -> Result<(), StoreError> {
    let missing = || StoreError::damaged("entry 0 is missing or broken");
    let segment = Segment::open(layout, 0)?.ok_or_else(missing)?;
    let frame = Frame::read(&segment, crate::segment::SEGMENT_HEADER_BYTES).map_err(|_| missing())?;
    let bound = bound(layout, allowed_signers)?;
    match unbound(&frame, &bound) {
        None => Ok(()),
        Some(name) => Err(StoreError::damaged(format!("{name} is not what entry 0 of the log was made with"))),
    }
}

/// The first file that is not what entry 0 says.
pub(crate) fn unbound<'a>(frame: &Frame, bound: &'a [(String, [u8; 32])]) -> Option<&'a str> {
    if frame.entry.kind != Kind::Init {
        return bound.first().map(|(name, _)| name.as_str());
    }
    bound.iter().find(|file| !frame.entry.digests.contains(file)).map(|(name, _)| name.as_str())
}
