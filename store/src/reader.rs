//! Reading beside a writer: segments and signed head alone, without lock and without key. What
//! the head covers never changes, so nothing here can see a half-written frame.

use std::io::Read;
use std::path::Path;
use std::sync::OnceLock;

use crate::catalogue::Place;
use crate::checkpoint::{Checkpoint, Verifier};
use crate::entry::Entry;
use crate::error::StoreError;
use crate::files::{Layout, read_small};
use crate::keys::WorkstationKey;
use crate::kind::Kind;
use crate::local::LocalCipher;
use crate::log::{self, Hash, Tree};
use crate::segment::{Fault, Frame, Segment, Walker};

/// A view of a store as of the moment it was opened.
pub struct Reader {
    layout: Layout,
    verifier: Verifier,
    text: String,
    head: Checkpoint,
    index: OnceLock<Index>,
    local: Option<LocalCipher>,
}

/// Places of all frames, found on the first look-up.
struct Index {
    places: Vec<Place>,
    /// Hashes of all complete subtrees, by level; the first are the leaves. Twice the memory of the
    /// leaves alone, and a proof costs some look-ups instead of hashing the whole log.
    nodes: Vec<Vec<Hash>>,
    exhibits: Vec<u64>,
}

impl Reader {
    /// Opens a store for reading; its signed head is checked against its key.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let layout = Layout::open(dir)?;
        let verifier = layout.verifier()?;
        let (text, head) = layout.signed_head(&verifier)?;
        Ok(Self { layout, verifier, text, head, index: OnceLock::new(), local: None })
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
        let index = self.index()?;
        let place = number.checked_sub(1).and_then(|at| index.exhibits.get(usize::try_from(at).ok()?));
        self.frame(*place.ok_or(StoreError::NoSuchExhibit { number })?)
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

    /// The audit path of an entry under the signed head (RFC 6962 section 2.1.1).
    pub fn inclusion_proof(&self, sequence: u64) -> Result<Vec<Hash>, StoreError> {
        let nodes = &self.index()?.nodes;
        let mut node = |level: u8, index: u64| {
            let found = nodes.get(usize::from(level)).and_then(|nodes| nodes.get(usize::try_from(index).ok()?));
            found.copied().ok_or(StoreError::NoSuchEntry { sequence })
        };
        log::inclusion_proof(sequence, self.head.size, &mut node)?.ok_or(StoreError::NoSuchEntry { sequence })
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
            .and_then(|at| self.index().map(|index| index.places.get(at).copied()).transpose());
        let place = place.ok_or(StoreError::NoSuchEntry { sequence })??;
        let broken = || StoreError::damaged(format!("entry {sequence} is not in its place"));
        let segment = Segment::open(&self.layout, place.segment)?.ok_or_else(broken)?;
        let frame = Frame::read(&segment, place.offset).map_err(|_| broken())?;
        Ok((segment, frame))
    }

    fn index(&self) -> Result<&Index, StoreError> {
        if let Some(index) = self.index.get() {
            return Ok(index);
        }
        let mut index = Index { places: Vec::new(), nodes: Vec::new(), exhibits: Vec::new() };
        let mut tree = Tree::default();
        let mut entries = self.entries()?;
        while let Some(frame) = entries.frame() {
            let frame = frame?;
            if frame.entry.exhibit.is_some() {
                index.exhibits.push(frame.entry.sequence);
            }
            index.places.push(frame.place);
            for node in tree.append(log::leaf_hash(&frame.entry_bytes)) {
                let level = usize::from(node.level);
                if index.nodes.len() == level {
                    index.nodes.push(Vec::new());
                }
                // Subtrees of a level are completed in their order.
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
