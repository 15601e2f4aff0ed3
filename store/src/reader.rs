//! Reading beside a writer: segments and signed head alone, without lock and without key. What
//! the head covers never changes, so nothing here can see a half-written frame.

mod export;

use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use jiff::Timestamp;
use vigie_config::restoration::Acceptance;

use crate::catalogue::Place;
use crate::checkpoint::{Checkpoint, Verifier};
use crate::entry::Entry;
use crate::error::StoreError;
use crate::files::{Layout, read_small};
use crate::given_up::{self, GivenUp, Incoming, Said};
use crate::keys::WorkstationKey;
use crate::kind::Kind;
use crate::local::LocalCipher;
use crate::log::{self, Hash};
use crate::outside::Outside;
use crate::segment::{self, Fault, Frame, Headers, Segment, Walker};
use crate::witness::{self, Bound, Kept};

pub use export::Witnessed;

/// A view of a store as of the moment it was opened.
pub struct Reader {
    layout: Layout,
    verifier: Verifier,
    text: String,
    head: Checkpoint,
    /// What lay in `witness/` before the head was read.
    kept: Vec<Kept>,
    places: OnceLock<Places>,
    index: OnceLock<Index>,
    local: Option<LocalCipher>,
}

/// Where all frames lie, found on the first look-up by their headers alone: what a frame holds is
/// checked when it is read.
#[derive(Default)]
struct Places {
    frames: Vec<Place>,
    /// Sequence numbers of the exhibits.
    exhibits: Vec<u64>,
}

/// What proofs and witnesses need of all entries, found when they are asked for.
#[derive(Default)]
struct Index {
    /// Complete subtrees by level, leaves first: two hashes an entry.
    nodes: Vec<Vec<Hash>>,
    times: Vec<Timestamp>,
    witnesses: Bound,
    given_up: Said,
}

impl Reader {
    /// Opens a store for reading; its signed head is checked against its key.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let layout = Layout::open(dir)?;
        let verifier = layout.verifier()?;
        let kept = witness::files(&layout)?;
        let (text, head) = layout.signed_head(&verifier)?;
        Ok(Self { layout, verifier, text, head, kept, places: OnceLock::new(), index: OnceLock::new(), local: None })
    }

    /// As [`Self::open`]; the log must also go on from what was kept of it outside the store, and
    /// from every head of it in `witness/`.
    ///
    /// # Errors
    /// [`StoreError::TakenAway`], [`StoreError::Rewritten`], [`StoreError::NotOurHead`].
    pub fn open_held(dir: &Path, outside: Option<&Outside>) -> Result<Self, StoreError> {
        let layout = Layout::open(dir)?;
        let verifier = layout.verifier()?;
        // Before the store's own head is read: a session may be ending.
        let kept = outside.map(|outside| outside.read(&layout, &verifier)).transpose()?.flatten();
        let reader = Self::open(dir)?;
        let mut seen = witness::signed_heads(&reader.kept, &reader.verifier);
        seen.extend(kept);
        witness::hold(&seen, &reader.head, |size| reader.index()?.root_at(size))?;
        Ok(reader)
    }

    /// What two persons accepted to be missing from the log.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when such an entry does not count.
    pub fn given_up(&self) -> Result<Vec<GivenUp>, StoreError> {
        let signers = self.allowed_signers()?;
        let judged = self.index()?.given_up.judge(&self.layout, &self.verifier, &signers);
        let one = |(entry, judged): (u64, Result<(GivenUp, _), String>)| {
            let broken =
                |why| StoreError::damaged(format!("entry {entry}: the loss that it accepts does not count: {why}"));
            judged.map(|(given_up, _)| given_up).map_err(broken)
        };
        judged.into_iter().map(one).collect()
    }

    /// Reads a paper that gives up `head` (a signed note) and holds it against the log.
    ///
    /// # Errors
    /// [`StoreError::NotTaken`] when it is not signed by two persons, is about another log or head, when
    /// the log holds the head, or did not go on from what the paper says.
    pub fn check_restore(
        &self,
        head: &str,
        document: &[u8],
        signatures: &[Vec<u8>],
        now: Timestamp,
    ) -> Result<Acceptance, StoreError> {
        let (incoming, signers) = (Incoming { head, document, signatures }, self.allowed_signers()?);
        given_up::check(&incoming, &signers, &self.verifier, now, self.head.size, |size| self.root_of(size))
    }

    /// Root of the log at a size up to the signed head's.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the log has fewer entries.
    pub fn root_of(&self, size: u64) -> Result<Hash, StoreError> {
        self.index()?.root_at(size)
    }

    /// Puts this store's head in the place of the given-up one outside, when a stop kept
    /// [`crate::Store::accept_restore`] from it.
    ///
    /// # Errors
    /// As [`Outside::keep`].
    pub fn finish_restore(&self, outside: &Outside, given_up: &GivenUp) -> Result<std::path::PathBuf, StoreError> {
        outside.give_up(&self.layout, &self.verifier, (given_up.size, given_up.root), &self.text, &self.head)
    }

    /// A file of `witness/` that an entry of kind `witness` binds: a key or a cosigned head; `None` when
    /// it binds none, or it is not there.
    pub fn bound_by(&self, entry: &Entry) -> Option<&str> {
        let digests = entry.digests.iter().map(|(_, digest)| *digest);
        let file = self.kept.iter().find(|file| digests.clone().any(|digest| digest == file.sha256));
        file.and_then(|file| file.text.as_deref())
    }

    /// Keeps the signed head outside the store, as when it has left: what leaves must be met again.
    ///
    /// # Errors
    /// As [`Outside::keep`].
    pub fn keep_outside(&self, outside: &Outside) -> Result<std::path::PathBuf, StoreError> {
        outside.write(&self.layout, &self.verifier, &self.text, &self.head)
    }

    /// Holds the workstation key, for [`Self::rows`].
    pub fn with_key(mut self, key: &WorkstationKey) -> Self {
        self.local = Some(LocalCipher::new(key, &self.layout.facts));
        self
    }

    /// Name of the log.
    pub fn origin(&self) -> &str {
        &self.layout.facts.origin
    }

    /// The log's public key as a C2SP verifier key, one line.
    pub fn verifier_key(&self) -> String {
        self.verifier.to_string()
    }

    /// The signed head as it lies on disk (C2SP signed-note).
    pub fn checkpoint(&self) -> &str {
        &self.text
    }

    /// Entries that the signed head covers.
    pub fn size(&self) -> u64 {
        self.head.size
    }

    /// Root of the log at that size.
    pub fn root(&self) -> Hash {
        self.head.root
    }

    /// The allowed signers file; [`StoreError::Damaged`] unless entry 0 bound it.
    pub fn allowed_signers(&self) -> Result<Vec<u8>, StoreError> {
        let bytes = read_small(&self.layout.allowed_signers())?;
        let (_, frame) = self.frame(0)?;
        match crate::store::unbound(&frame, &crate::store::bound(&self.layout, &bytes)?) {
            None => Ok(bytes),
            Some(name) => Err(StoreError::damaged(format!("{name} is not what entry 0 of the log was made with"))),
        }
    }

    /// The entries that the signed head covers, oldest first. Each is checked to follow the one
    /// before; that they are the signed ones is for `verify`.
    pub fn entries(&self) -> Result<Entries<'_>, StoreError> {
        Ok(Entries { walker: Walker::new(&self.layout), size: self.head.size, failed: false })
    }

    /// One entry.
    pub fn entry(&self, sequence: u64) -> Result<Entry, StoreError> {
        Ok(self.frame(sequence)?.1.entry)
    }

    /// The entry of an exhibit, which stays when its bytes were erased.
    pub fn exhibit_entry(&self, number: u64) -> Result<Entry, StoreError> {
        Ok(self.exhibit_frame(number)?.1.entry)
    }

    /// An exhibit: its entry and its age file as a stream.
    ///
    /// # Errors
    /// [`StoreError::NoSuchExhibit`], [`StoreError::Erased`].
    pub fn exhibit(&self, number: u64) -> Result<(Entry, Box<dyn Read + Send>), StoreError> {
        let (segment, frame) = self.exhibit_frame(number)?;
        // An age file never begins with a zero.
        if frame.is_zero_at(&segment, frame.header.exhibit_at())? {
            return Err(StoreError::Erased { number });
        }
        let age = frame.exhibit(&segment)?;
        Ok((frame.entry, Box::new(age)))
    }

    fn exhibit_frame(&self, number: u64) -> Result<(Segment, Frame), StoreError> {
        let sequence = self.entry_of_exhibit(number)?;
        let (segment, frame) = self.frame(sequence)?;
        if frame.entry.exhibit != Some(number) {
            return Err(StoreError::damaged(format!("entry {sequence} is not that of exhibit {number}")));
        }
        Ok((segment, frame))
    }

    /// The private part of an entry, an age file; `None` when it has none.
    pub fn private_part(&self, sequence: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let (segment, frame) = self.frame(sequence)?;
        frame.entry.private.map(|_| frame.private(&segment)).transpose()
    }

    /// The row of an entry, opened with the workstation key.
    pub fn row(&self, sequence: u64, key: &WorkstationKey) -> Result<Vec<u8>, StoreError> {
        self.row_with(sequence, &LocalCipher::new(key, &self.layout.facts))
    }

    /// Rows of one kind, oldest first; needs [`Self::with_key`].
    pub fn rows(&self, kind: Kind) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let local = self.local.as_ref().ok_or(StoreError::WrongKey)?;
        let mut rows = Vec::new();
        for entry in self.entries()? {
            let entry = entry?;
            if entry.kind == kind {
                rows.push((entry.sequence, self.row_with(entry.sequence, local)?));
            }
        }
        Ok(rows)
    }

    fn row_with(&self, sequence: u64, local: &LocalCipher) -> Result<Vec<u8>, StoreError> {
        let (segment, frame) = self.frame(sequence)?;
        let sealed = frame.local(&segment)?;
        let opened = local.open(&frame.context(), &sealed);
        opened.map(|local| local.row).ok_or(StoreError::WrongKey)
    }

    fn frame(&self, sequence: u64) -> Result<(Segment, Frame), StoreError> {
        let place = usize::try_from(sequence)
            .ok()
            .and_then(|at| self.places().map(|places| places.frames.get(at).copied()).transpose());
        let place = place.ok_or(StoreError::NoSuchEntry { sequence })??;
        let broken = || StoreError::damaged(format!("entry {sequence} is not in its place"));
        let segment = Segment::open(&self.layout, place.segment)?.ok_or_else(broken)?;
        let frame = Frame::read(&segment, place.offset).map_err(|_| broken())?;
        if frame.entry.sequence != sequence {
            return Err(broken());
        }
        Ok((segment, frame))
    }

    /// Headers of all segments, in their order, read on all cores.
    fn headers(&self, segments: &[u64]) -> Vec<(u64, Result<Headers, Fault>)> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(segments.len());
        let read = |index: &u64| (*index, Headers::read(&self.layout, *index));
        if workers < 2 {
            return segments.iter().map(read).collect();
        }
        let next = std::sync::atomic::AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some(index) = segments.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                done.push(read(index));
            }
            done
        };
        let mut all = std::thread::scope(|scope| {
            let threads: Vec<_> = (1..workers).map(|_| scope.spawn(work)).collect();
            let mut all = work();
            // A thread that panicked leaves out what it read: told as missing.
            all.extend(threads.into_iter().flat_map(|thread| thread.join().unwrap_or_default()));
            all
        });
        all.sort_by_key(|(index, _)| *index);
        all
    }

    fn places(&self) -> Result<&Places, StoreError> {
        if let Some(places) = self.places.get() {
            return Ok(places);
        }
        let (signed, segments) = (self.head.size, segment::list(&self.layout)?);
        let mut places = Places::default();
        for ((index, headers), at) in self.headers(&segments).into_iter().zip(0..) {
            let found = places.frames.len() as u64;
            let said = |fault| match fault {
                Fault::Io(error) => error,
                Fault::Short => StoreError::Missing { signed, found },
                Fault::Broken(what) => StoreError::damaged(format!("entry {found} or one behind it: {what}")),
            };
            if found >= signed {
                break;
            }
            let headers = headers.map_err(said)?;
            if index != at || headers.first != found {
                return Err(said(Fault::Broken("segment header")));
            }
            for (offset, exhibit) in headers.frames {
                if exhibit {
                    places.exhibits.push(places.frames.len() as u64);
                }
                places.frames.push(Place { segment: index, offset });
            }
            let fault = headers.fault.filter(|_| (places.frames.len() as u64) < signed);
            if let Some(fault) = fault {
                return Err(said(fault));
            }
        }
        // What lies beyond the signed head is not there yet.
        let size = usize::try_from(signed).unwrap_or(usize::MAX);
        if places.frames.len() < size {
            return Err(StoreError::Missing { signed, found: places.frames.len() as u64 });
        }
        places.frames.truncate(size);
        let exhibits = places.exhibits.partition_point(|sequence| *sequence < signed);
        places.exhibits.truncate(exhibits);
        Ok(self.places.get_or_init(|| places))
    }

    fn index(&self) -> Result<&Index, StoreError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let mut index = Index::default();
        let mut tree = log::Tree::default();
        let mut entries = self.entries()?;
        while let Some(frame) = entries.frame() {
            let frame = frame?;
            index.witnesses.take(&frame.entry);
            index.given_up.take(&frame.entry);
            index.times.push(frame.entry.stamp.wall);
            for node in tree.append(log::leaf_hash(&frame.entry_bytes)) {
                let level = usize::from(node.level);
                if level == index.nodes.len() {
                    index.nodes.push(Vec::new());
                }
                index.nodes[level].push(node.hash);
            }
        }
        Ok(self.index.get_or_init(|| index))
    }
}

/// Iterator over the entries of a [`Reader`].
pub struct Entries<'a> {
    walker: Walker<'a>,
    size: u64,
    failed: bool,
}

impl Entries<'_> {
    fn frame(&mut self) -> Option<Result<Frame, StoreError>> {
        if self.failed || self.walker.sequence >= self.size {
            return None;
        }
        let sequence = self.walker.sequence;
        let result = match self.walker.step() {
            Ok(Some(frame)) => Ok(frame),
            Ok(None) | Err(Fault::Short) => Err(StoreError::Missing { signed: self.size, found: sequence }),
            Err(Fault::Io(error)) => Err(error),
            Err(Fault::Broken(what)) => Err(StoreError::damaged(format!("entry {sequence}: {what}"))),
        };
        self.failed = result.is_err();
        Some(result)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.frame().map(|frame| frame.map(|frame| frame.entry))
    }
}
