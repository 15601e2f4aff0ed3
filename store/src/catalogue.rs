//! The catalogue: a database over the segments, small values only. The only file that names
//! sled. Nothing here is evidence: rows, places and nodes are rebuilt from the segments.
//!
//! sled 0.34.7 needs some care, each point met below: its `flush` does not fsync; values that
//! make a page exceed about 128 KiB go to unsynced blob files; a kill while it opens can leave
//! `snap.*.generating`, after which it reports corruption; it panics on some damage.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::disk::Disk;
use crate::error::{StoreError, Trying};
use crate::files::Layout;
use crate::keys::{Cipher, WorkstationKey};
use crate::kind::Kind;
use crate::log::{Hash, Node};

/// Memory for pages, in bytes.
const CACHE_BYTES: u64 = 64 << 20;
/// Rows up to this length lie in the catalogue, longer ones are read from their frame.
const INLINE_BYTES: usize = 3500;
const CURSOR: &[u8] = b"c";

/// How far the catalogue has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Cursor {
    /// Entries taken in.
    pub size: u64,
    /// Segment of the last frame.
    pub segment: u64,
    /// End of the last frame in its segment.
    pub end: u64,
    /// Digest of the last frame.
    pub previous: [u8; 32],
    /// Exhibits taken in.
    pub exhibits: u64,
    /// Time of the last entry.
    pub last: Option<Timestamp>,
    /// Entries of each kind, by the kind's number. Sealed with the cursor, so that nobody without
    /// the key can take a revocation out of the list of its kind.
    #[serde(default)]
    pub kinds: BTreeMap<u8, u64>,
}

/// Where a frame lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub segment: u64,
    pub offset: u64,
}

/// What is known of an entry.
pub(crate) struct Record {
    pub kind: u8,
    pub place: Place,
    /// Row and profile's row, unless they are read from the frame.
    pub rows: Option<(Vec<u8>, Vec<u8>)>,
}

impl Record {
    fn encode(kind: Kind, place: Place, row: &[u8], url: &[u8]) -> Vec<u8> {
        let mut bytes = vec![kind.number()];
        bytes.extend_from_slice(&place.segment.to_be_bytes());
        bytes.extend_from_slice(&place.offset.to_be_bytes());
        if row.len() + url.len() <= INLINE_BYTES {
            bytes.push(1);
            bytes.extend_from_slice(&(row.len() as u16).to_be_bytes());
            bytes.extend_from_slice(row);
            bytes.extend_from_slice(url);
        } else {
            bytes.push(0);
        }
        bytes
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (segment, rest) = rest.split_first_chunk()?;
        let (offset, rest) = rest.split_first_chunk()?;
        let place = Place { segment: u64::from_be_bytes(*segment), offset: u64::from_be_bytes(*offset) };
        let (inline, rest) = rest.split_first()?;
        let rows = if *inline == 1 {
            let (len, rest) = rest.split_first_chunk()?;
            let (row, url) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
            Some((row.to_vec(), url.to_vec()))
        } else {
            None
        };
        Some(Self { kind: *kind, place, rows })
    }
}

/// A key and its value.
pub(crate) type Pair = (Vec<u8>, Vec<u8>);

/// Changes that are applied together or not at all.
#[derive(Default)]
pub(crate) struct Changes {
    batch: sled::Batch,
    any: bool,
}

pub(crate) struct Catalogue {
    /// There until it is dropped.
    db: Option<sled::Db>,
    /// sled's data file through a descriptor of our own, for fsync.
    file: File,
    cipher: Cipher,
    marker: PathBuf,
    disk: Arc<dyn Disk>,
}

impl Catalogue {
    /// Opens the catalogue, or makes an empty one.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`]: set it aside and make a new one.
    pub fn open(layout: &Layout, key: &WorkstationKey, disk: Arc<dyn Disk>) -> Result<Self, StoreError> {
        let folder = layout.catalogue();
        quarantine_snapshots(layout, disk.as_ref())?;
        let config = sled::Config::new().path(&folder).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        let db = match open_patiently(&config) {
            Ok(Ok(db)) => db,
            Ok(Err(sled::Error::Io(source))) => {
                return Err(StoreError::Io { trying: format!("opening {}", folder.display()), source });
            }
            Ok(Err(error)) => return Err(StoreError::Catalogue { why: error.to_string() }),
            Err(_) => return Err(StoreError::Catalogue { why: "sled gave up while it opened".into() }),
        };
        let file = File::open(folder.join("db")).trying(|| "opening the catalogue's file".into())?;
        // A power failure must not take the names of a catalogue whose changes were acknowledged.
        disk.sync_folder(&folder).trying(|| "making the catalogue durable".into())?;
        disk.sync_folder(&layout.dir).trying(|| "making the catalogue durable".into())?;
        Ok(Self {
            db: Some(db),
            file,
            cipher: Cipher::new(&key.subkey("catalogue")),
            marker: layout.catalogue_damaged(),
            disk,
        })
    }

    /// How far it has come; `None` when it is new.
    pub fn cursor(&self) -> Result<Option<Cursor>, StoreError> {
        let Some(plain) = self.opened(CURSOR)? else { return Ok(None) };
        serde_json::from_slice(&plain).map(Some).map_err(|_| self.damaged("its cursor"))
    }

    pub fn set_cursor(&self, changes: &mut Changes, cursor: &Cursor) -> Result<(), StoreError> {
        let plain = serde_json::to_vec(cursor).map_err(|e| StoreError::invalid(format!("a cursor ({e})")))?;
        self.put(changes, CURSOR.to_vec(), &plain)
    }

    pub fn add(
        &self,
        changes: &mut Changes,
        sequence: u64,
        kind: Kind,
        place: Place,
        row: &[u8],
        url: &[u8],
    ) -> Result<(), StoreError> {
        self.put(changes, at(b'e', sequence), &Record::encode(kind, place, row, url))?;
        let mut listed = vec![b'k', kind.number()];
        listed.extend_from_slice(&sequence.to_be_bytes());
        changes.insert(listed, Vec::new());
        Ok(())
    }

    pub fn add_exhibit(&self, changes: &mut Changes, number: u64, sequence: u64) {
        changes.insert(at(b'x', number), sequence.to_be_bytes().to_vec());
    }

    pub fn add_nodes(&self, changes: &mut Changes, nodes: &[Node]) {
        for node in nodes {
            changes.insert(node_key(node.level, node.index), node.hash.to_vec());
        }
    }

    pub fn add_segment(&self, changes: &mut Changes, index: u64, len: u64) {
        changes.insert(at(b'g', index), len.to_be_bytes().to_vec());
    }

    pub fn set_state(&self, changes: &mut Changes, key: &[u8], sealed: Option<Vec<u8>>) {
        let key = [b"s", key].concat();
        match sealed {
            Some(sealed) => changes.insert(key, sealed),
            None => {
                changes.batch.remove(key);
                changes.any = true;
            }
        }
    }

    /// Applies changes durably: in one sled batch, flushed and then synced, since `flush` alone
    /// leaves the bytes in the system's cache.
    pub fn commit(&self, changes: Changes) -> Result<(), StoreError> {
        if !changes.any {
            return Ok(());
        }
        self.guarded(|| {
            self.db()?.apply_batch(changes.batch)?;
            self.db()?.flush()
        })?;
        self.disk.sync(&self.file).trying(|| "syncing the catalogue".into())
    }

    pub fn record(&self, sequence: u64) -> Result<Option<Record>, StoreError> {
        let Some(plain) = self.opened(&at(b'e', sequence))? else { return Ok(None) };
        Record::parse(&plain).map(Some).ok_or_else(|| self.damaged("a record"))
    }

    /// Sequence numbers of the entries of one kind, ascending. The list itself is not sealed: it
    /// must hold as many numbers as the sealed cursor counts, each of an entry of that kind.
    pub fn of_kind(&self, kind: Kind) -> Result<Vec<u64>, StoreError> {
        let damaged = || self.damaged("its list of kinds");
        let counted = self.cursor()?.and_then(|cursor| cursor.kinds.get(&kind.number()).copied()).unwrap_or(0);
        let pairs = self.scan(&[b'k', kind.number()])?;
        if pairs.len() as u64 != counted {
            return Err(damaged());
        }
        let numbers: Vec<u64> =
            pairs.iter().map(|(key, _)| number(&key[2..]).ok_or_else(damaged)).collect::<Result<_, _>>()?;
        for sequence in &numbers {
            if self.record(*sequence)?.is_none_or(|record| record.kind != kind.number()) {
                return Err(damaged());
            }
        }
        Ok(numbers)
    }

    /// Sequence number of an exhibit.
    pub fn exhibit(&self, exhibit: u64) -> Result<Option<u64>, StoreError> {
        let Some(value) = self.read(&at(b'x', exhibit))? else { return Ok(None) };
        number(&value).map(Some).ok_or_else(|| self.damaged("its list of exhibits"))
    }

    pub fn node(&self, level: u8, index: u64) -> Result<Hash, StoreError> {
        let value = self.read(&node_key(level, index))?;
        value.and_then(|value| value.as_slice().try_into().ok()).ok_or_else(|| self.damaged("a node of the log"))
    }

    /// Lengths of the segments that are closed.
    pub fn segment_len(&self, index: u64) -> Result<Option<u64>, StoreError> {
        Ok(self.read(&at(b'g', index))?.as_deref().and_then(number))
    }

    pub fn state(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.read(&[b"s", key].concat())
    }

    /// Values under a prefix of their keys.
    pub fn states(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        let pairs = self.scan(&[b"s", prefix].concat())?;
        Ok(pairs.into_iter().map(|(key, value)| (key[1..].to_vec(), value)).collect())
    }

    /// Notes that something in here is not what was written: the next open rebuilds it.
    pub fn damaged(&self, what: &str) -> StoreError {
        let _ = File::create(&self.marker);
        StoreError::Catalogue { why: format!("{what} is damaged") }
    }

    fn put(&self, changes: &mut Changes, key: Vec<u8>, plain: &[u8]) -> Result<(), StoreError> {
        let sealed = self.cipher.seal(&key, plain)?;
        changes.insert(key, sealed);
        Ok(())
    }

    fn opened(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(sealed) = self.read(key)? else { return Ok(None) };
        self.cipher.open(key, &sealed).map(Some).ok_or_else(|| self.damaged("a sealed value"))
    }

    fn read(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.guarded(|| Ok(self.db()?.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, prefix: &[u8]) -> Result<Vec<Pair>, StoreError> {
        self.guarded(|| {
            self.db()?.scan_prefix(prefix).map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
        })
    }

    fn db(&self) -> sled::Result<&sled::Db> {
        self.db.as_ref().ok_or_else(|| sled::Error::Unsupported("the catalogue is closed".into()))
    }

    /// sled reports damage as an error or as a panic; a full disk is neither.
    fn guarded<T>(&self, work: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        match caught(work) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(sled::Error::Io(source))) => Err(StoreError::Io { trying: "using the catalogue".into(), source }),
            Ok(Err(error)) => Err(self.damaged(&error.to_string())),
            Err(_) => Err(self.damaged("a page")),
        }
    }
}

impl Drop for Catalogue {
    /// sled syncs once more as it closes and panics when that fails; what was acknowledged was synced
    /// before.
    fn drop(&mut self) {
        let db = self.db.take();
        let _ = caught(|| drop(db));
    }
}

thread_local! {
    /// This thread is in [`caught`].
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// Calls into sled, whose panics become errors of ours: nothing of them is printed, so that a command
/// still ends with one line.
fn caught<T>(work: impl FnOnce() -> T) -> std::thread::Result<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !CAUGHT.get() {
                before(panic);
            }
        }));
    });
    let outer = CAUGHT.replace(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(outer);
    result
}

impl Changes {
    fn insert(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.batch.insert(key, value);
        self.any = true;
    }
}

/// Opens sled. The store's own lock is held, so a lock on sled's file can only be that of an
/// earlier catalogue of this process whose background threads have not let go yet.
fn open_patiently(config: &sled::Config) -> std::thread::Result<sled::Result<sled::Db>> {
    for _ in 0..500 {
        match caught(|| config.open()) {
            Ok(Err(sled::Error::Io(error))) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other,
        }
    }
    caught(|| config.open())
}

/// Unfinished snapshots of an interrupted open make sled report corruption: out of its sight.
fn quarantine_snapshots(layout: &Layout, disk: &dyn Disk) -> Result<(), StoreError> {
    let Ok(listed) = std::fs::read_dir(layout.catalogue()) else { return Ok(()) };
    for file in listed.flatten() {
        if is_unfinished(&file.path()) {
            layout.set_aside(&file.path(), "snapshot", disk)?;
        }
    }
    Ok(())
}

fn is_unfinished(path: &Path) -> bool {
    path.file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("snap.") && name.ends_with(".generating"))
}

fn at(space: u8, number: u64) -> Vec<u8> {
    [&[space][..], &number.to_be_bytes()].concat()
}

fn node_key(level: u8, index: u64) -> Vec<u8> {
    [&[b'n', level][..], &index.to_be_bytes()].concat()
}

fn number(bytes: &[u8]) -> Option<u64> {
    bytes.try_into().ok().map(u64::from_be_bytes)
}
