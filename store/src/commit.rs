//! The writer: one thread that appends frames, signs the log's head and updates the catalogue.
//! Drafts that arrive while it syncs wait and share the next round, so that durability costs one
//! round of fsync for a whole batch.
//!
//! A round, and what is left if the machine stops in it:
//! 1. Frames are written behind the last one. *Left: a torn tail beyond the signed size. The next
//!    open adopts whole frames that its own key authenticates and sets the rest aside.*
//! 2. The segment is synced. *Left: whole frames beyond the signed size; adopted.*
//! 3. The new head is signed and written to `checkpoint.part`, synced. *Left: the old head; as 2.*
//! 4. It replaces `checkpoint`; the folder is synced. *Left: the new head, and a catalogue that is
//!    behind: the next open takes in what it lacks. Run state of these drafts is lost with them
//!    unacknowledged.*
//! 5. The catalogue changes in one batch, flushed and synced. *Left: all of it.*
//! 6. Only now are receipts given.
//!
//! Any failure to write or sync ends the writer: what the system says about dirty pages after a
//! failed fsync cannot be trusted, so nothing is tried over it.

use std::fs::File;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::sync::{Arc, OnceLock};

use ed25519_dalek::SigningKey;

use crate::catalogue::{Catalogue, Changes, Place};
use crate::checkpoint::Checkpoint;
use crate::clock::{Clock, Stamp};
use crate::disk::Disk;
use crate::draft::{Prepared, Receipt};
use crate::entry::{Blob, ENTRY_BYTES, Entry};
use crate::error::{StoreError, Trying};
use crate::files::Layout;
use crate::frame::{FOOTER_BYTES, Footer, HEADER_BYTES, Header, PART_BYTES, Sum, digest};
use crate::keys::SEAL_BYTES;
use crate::ledger::{Ledger, Taken};
use crate::local::{Context, Local, LocalCipher};
use crate::seal::{Body, SealedExhibit};
use crate::segment::{self, PIECE_BYTES};
use crate::state::StateOp;

/// Most drafts in one round.
const ROUND_DRAFTS: usize = 512;
/// A round takes no further draft beyond this many bytes of exhibits.
const ROUND_BYTES: u64 = 64 << 20;
/// Exhibits are refused below this share of free space.
const FREE_PERCENT: u8 = 5;

pub(crate) type Done = Box<dyn FnOnce(Result<Receipt, StoreError>) + Send>;

/// Work for the writer.
pub(crate) enum Job {
    Append(Box<Prepared>, Done),
    Apply(Vec<StateOp>, Sender<Result<(), StoreError>>),
    Close,
}

/// The writer's state. Lives on its own thread.
pub(crate) struct Writer {
    pub layout: Layout,
    pub disk: Arc<dyn Disk>,
    pub clock: Arc<dyn Clock>,
    pub catalogue: Arc<Catalogue>,
    pub local: Arc<LocalCipher>,
    pub signer: SigningKey,
    pub ledger: Ledger,
    pub segment_bytes: u64,
    /// The growing segment; opened or created with the first frame.
    pub file: Option<File>,
    /// Changes that recovery left to be committed with the first round.
    pub changes: Changes,
    pub poisoned: Arc<OnceLock<String>>,
}

/// A frame written in this round.
struct Written {
    sequence: u64,
    exhibit: Option<u64>,
    age_sha256: Option<[u8; 32]>,
}

/// Why a draft did not become a frame.
enum NoFrame {
    /// This draft alone is refused; nothing was written.
    Refused(StoreError),
    /// The disk failed.
    Failed(StoreError),
}

impl Writer {
    /// Works until told to close or until nobody can send any more.
    pub fn run(mut self, jobs: &Receiver<Job>) {
        let mut open = true;
        while open {
            let Ok(first) = jobs.recv() else { return };
            let mut round = Vec::new();
            let mut bytes = 0;
            let mut job = first;
            loop {
                match job {
                    Job::Close => {
                        open = false;
                        break;
                    }
                    Job::Append(prepared, done) => {
                        bytes += prepared.exhibit.as_ref().map_or(0, |exhibit| exhibit.len);
                        round.push(Job::Append(prepared, done));
                    }
                    apply @ Job::Apply(..) => round.push(apply),
                }
                if round.len() >= ROUND_DRAFTS || bytes >= ROUND_BYTES {
                    break;
                }
                job = match jobs.try_recv() {
                    Ok(job) => job,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                };
            }
            self.round(round);
        }
    }

    /// One round; answers every job in it.
    fn round(&mut self, jobs: Vec<Job>) {
        let mut written = Vec::new();
        let mut applied = Vec::new();
        let mut failure = self.poisoned.get().map(|why| StoreError::Poisoned { why: why.clone() });
        let free = self.disk.free_percent(&self.layout.dir).unwrap_or(0);
        for job in jobs {
            match job {
                Job::Close => {}
                Job::Apply(operations, done) => {
                    self.state(operations);
                    applied.push(done);
                }
                Job::Append(prepared, done) => {
                    if let Some(error) = &failure {
                        done(Err(poisoned(error)));
                        continue;
                    }
                    match self.append(*prepared, free) {
                        Ok(frame) => written.push((frame, done)),
                        Err(NoFrame::Refused(error)) => done(Err(error)),
                        Err(NoFrame::Failed(error)) => {
                            self.poison(&error);
                            done(Err(poisoned(&error)));
                            failure = Some(error);
                        }
                    }
                }
            }
        }
        let result = match failure {
            Some(error) => Err(error),
            None if written.is_empty() && applied.is_empty() => return,
            None => self.commit(!written.is_empty()),
        };
        match result {
            Ok(()) => {
                let (log_size, root) = (self.ledger.tree.size(), self.ledger.tree.root());
                for (Written { sequence, exhibit, age_sha256 }, done) in written {
                    done(Ok(Receipt { sequence, exhibit, age_sha256, log_size, root }));
                }
                for done in applied {
                    let _ = done.send(Ok(()));
                }
            }
            Err(error) => {
                self.poison(&error);
                for (_, done) in written {
                    done(Err(poisoned(&error)));
                }
                for done in applied {
                    let _ = done.send(Err(poisoned(&error)));
                }
            }
        }
    }

    fn poison(&self, error: &StoreError) {
        let why = match error {
            StoreError::Poisoned { why } => why.clone(),
            other => other.to_string(),
        };
        if self.poisoned.set(why).is_ok() {
            // Room for the next open to say what happened.
            self.layout.release_reserve();
        }
    }

    fn state(&mut self, operations: Vec<StateOp>) {
        for operation in operations {
            let (key, value) = operation.into_change();
            self.catalogue.set_state(&mut self.changes, &key, value);
        }
    }

    /// Writes one frame behind the last (step 1).
    fn append(&mut self, mut prepared: Prepared, free: u8) -> Result<Written, NoFrame> {
        if prepared.exhibit.is_some() && free < FREE_PERCENT {
            return Err(NoFrame::Refused(StoreError::LowSpace { free_percent: free }));
        }
        let stamp = tidy(self.clock.stamp());
        if let Some(last) = self.ledger.last.filter(|last| stamp.wall < *last) {
            return Err(NoFrame::Refused(StoreError::ClockBehind { last, now: stamp.wall }));
        }
        let parts = self.frame(&mut prepared, stamp).map_err(NoFrame::Refused)?;
        let place = self.write(&parts, prepared.exhibit.as_ref()).map_err(NoFrame::Failed)?;
        let taken = Taken {
            place,
            end: place.offset + parts.header.frame_len(),
            digest: digest(&parts.header_bytes, &parts.entry_bytes, &parts.footer_bytes),
            entry: &parts.entry,
            entry_bytes: &parts.entry_bytes,
            local: &parts.plain,
        };
        self.ledger.take(&self.catalogue, &mut self.changes, &taken).map_err(NoFrame::Failed)?;
        self.state(std::mem::take(&mut prepared.state));
        Ok(Written {
            sequence: parts.entry.sequence,
            exhibit: parts.entry.exhibit,
            age_sha256: parts.entry.age.map(|age| age.sha256),
        })
    }

    /// Everything of a frame but its exhibit's bytes.
    fn frame(&self, prepared: &mut Prepared, stamp: Stamp) -> Result<Parts, StoreError> {
        let sequence = self.ledger.tree.size();
        let exhibit = prepared.exhibit.as_ref();
        let entry = Entry {
            sequence,
            kind: prepared.kind,
            stamp,
            mandate: prepared.mandate,
            session: prepared.session,
            exhibit: exhibit.map(|_| self.ledger.exhibits + 1),
            age: exhibit.map(|exhibit| Blob { sha256: exhibit.sum.sha256, len: exhibit.len }),
            private: (!prepared.private.is_empty())
                .then_some(Blob { sha256: prepared.private_sum.sha256, len: prepared.private.len() as u64 }),
            previous: self.ledger.previous,
            digests: std::mem::take(&mut prepared.digests),
            commitments: std::mem::take(&mut prepared.commitments),
        };
        entry.check().map_err(|e| StoreError::invalid(e.to_string()))?;
        let entry_bytes = entry.encode();
        if entry_bytes.len() > ENTRY_BYTES {
            return Err(StoreError::invalid("an entry over 65,535 bytes"));
        }
        let url = match &prepared.url_row {
            Some((key, row)) => self.local.seal_url(key.url(), sequence, row)?,
            None => Vec::new(),
        };
        let plain = Local {
            format: Local::FORMAT.into(),
            row: std::mem::take(&mut prepared.row),
            url,
            openings: std::mem::take(&mut prepared.local_openings),
        };
        let local_plain = serde_json::to_vec(&plain).map_err(|e| StoreError::invalid(format!("a row ({e})")))?;
        let local_len = u32::try_from(local_plain.len() + SEAL_BYTES).ok().filter(|len| *len <= PART_BYTES);
        let header = Header {
            sequence,
            exhibit_len: exhibit.map_or(0, |exhibit| exhibit.len),
            entry_len: entry_bytes.len() as u32,
            private_len: prepared.private.len() as u32,
            local_len: local_len.ok_or_else(|| StoreError::invalid("a row over 16 MiB"))?,
        };
        let header_bytes = header.encode();
        if Header::parse(&header_bytes).is_none() {
            return Err(StoreError::invalid("an exhibit over 1 TiB"));
        }
        let exhibit_sum = exhibit.map_or_else(|| Sum::of(&[]), |exhibit| exhibit.sum);
        let context = Context {
            header: &header_bytes,
            entry: &entry_bytes,
            exhibit: &exhibit_sum.sha256,
            private: &prepared.private_sum.sha256,
        };
        let local = self.local.seal(&context, &local_plain)?;
        let footer = Footer { exhibit: exhibit_sum, private: prepared.private_sum, local: Sum::of(&local) };
        let footer_bytes = footer.encode(&header_bytes, &entry_bytes);
        let private = std::mem::take(&mut prepared.private);
        Ok(Parts { header, header_bytes, entry, entry_bytes, private, local, plain, footer_bytes })
    }

    /// Writes a frame's bytes; gives their place.
    fn write(&mut self, parts: &Parts, exhibit: Option<&SealedExhibit>) -> Result<Place, StoreError> {
        self.room_for(parts.header.frame_len(), parts.entry.sequence)?;
        let Some(file) = &self.file else { return Err(StoreError::Closed) };
        let place = self.next_place();
        let trying = || format!("writing entry {} to segment {}", parts.entry.sequence, place.segment);
        let mut at = place.offset;
        let mut put = |bytes: &[u8]| {
            self.disk.write_at(file, bytes, at)?;
            at += bytes.len() as u64;
            Ok(())
        };
        let head = [&parts.header_bytes[..], &parts.entry_bytes].concat();
        let tail = [&parts.private[..], &parts.local, &parts.footer_bytes].concat();
        match exhibit.map(|exhibit| &exhibit.body) {
            Some(Body::Memory(bytes)) => put(&[&head[..], bytes, &tail].concat()),
            None => put(&[&head[..], &tail].concat()),
            Some(Body::File(source)) => put(&head)
                .and_then(|()| copy(source, exhibit.map_or(0, |exhibit| exhibit.len), &mut put))
                .and_then(|()| put(&tail)),
        }
        .trying(trying)?;
        Ok(place)
    }

    /// Where the next frame goes.
    fn next_place(&self) -> Place {
        Place { segment: self.ledger.segment, offset: self.ledger.end }
    }

    /// Opens the growing segment, or begins the next one when it is full.
    fn room_for(&mut self, frame_len: u64, sequence: u64) -> Result<(), StoreError> {
        let full = self.ledger.end > segment::SEGMENT_HEADER_BYTES
            && self.ledger.end.saturating_add(frame_len) > self.segment_bytes;
        if full {
            // The old segment ends here for good: its frames must be durable before the new
            // name is, else a power failure leaves a gap in the middle of the log.
            self.open_segment()?;
            self.sync_segment()?;
            self.catalogue.add_segment(&mut self.changes, self.ledger.segment, self.ledger.end);
            self.ledger.segment += 1;
            self.ledger.end = 0;
            self.file = None;
        }
        if self.ledger.end > 0 {
            return self.open_segment();
        }
        let path = segment::path(&self.layout, self.ledger.segment);
        let trying = || format!("creating {}", path.display());
        let header = segment::header(&self.layout, self.ledger.segment, sequence);
        let file = self.disk.create(&path).trying(trying)?;
        self.disk.write_at(&file, &header, 0).trying(trying)?;
        self.disk.sync_folder(&self.layout.segments()).trying(trying)?;
        self.file = Some(file);
        self.ledger.end = segment::SEGMENT_HEADER_BYTES;
        Ok(())
    }

    fn open_segment(&mut self) -> Result<(), StoreError> {
        if self.file.is_none() {
            let path = segment::path(&self.layout, self.ledger.segment);
            let file = File::options().read(true).write(true).open(&path);
            self.file = Some(file.trying(|| format!("opening {}", path.display()))?);
        }
        Ok(())
    }

    fn sync_segment(&self) -> Result<(), StoreError> {
        let Some(file) = &self.file else { return Ok(()) };
        self.disk.sync(file).trying(|| format!("syncing segment {}", self.ledger.segment))
    }

    /// Steps 2 to 5.
    fn commit(&mut self, frames: bool) -> Result<(), StoreError> {
        if frames {
            self.sync_segment()?;
            self.sign()?;
        }
        let mut changes = std::mem::take(&mut self.changes);
        self.catalogue.set_cursor(&mut changes, &self.ledger.cursor())?;
        self.catalogue.commit(changes)
    }

    /// Steps 3 and 4: signs the head of what is durable.
    fn sign(&self) -> Result<(), StoreError> {
        let head = Checkpoint {
            origin: self.layout.facts.origin.clone(),
            size: self.ledger.tree.size(),
            root: self.ledger.tree.root(),
        };
        write_head(&self.layout, self.disk.as_ref(), &head.sign(&self.signer))
    }
}

/// Puts a signed head in place of the last one.
pub(crate) fn write_head(layout: &Layout, disk: &dyn Disk, text: &str) -> Result<(), StoreError> {
    let part = layout.checkpoint_part();
    let trying = || format!("writing {}", layout.checkpoint().display());
    match std::fs::remove_file(&part) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error).trying(trying),
        _ => {}
    }
    let write = |path: &Path| {
        let file = disk.create(path)?;
        disk.write_at(&file, text.as_bytes(), 0)?;
        disk.sync(&file)?;
        disk.rename(path, &layout.checkpoint())?;
        disk.sync_folder(&layout.dir)
    };
    write(&part).trying(trying)
}

struct Parts {
    header: Header,
    header_bytes: [u8; HEADER_BYTES],
    entry: Entry,
    entry_bytes: Vec<u8>,
    private: Vec<u8>,
    local: Vec<u8>,
    plain: Local,
    footer_bytes: [u8; FOOTER_BYTES],
}

/// The error for every other draft of a round that failed.
fn poisoned(error: &StoreError) -> StoreError {
    match error {
        StoreError::Poisoned { why } => StoreError::Poisoned { why: why.clone() },
        other => StoreError::Poisoned { why: other.to_string() },
    }
}

/// Copies a sealed exhibit from its nameless file.
fn copy(source: &File, len: u64, put: &mut impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut buffer = vec![0; PIECE_BYTES * 4];
    let mut at = 0;
    while at < len {
        let piece = (len - at).min(buffer.len() as u64) as usize;
        source.read_exact_at(&mut buffer[..piece], at)?;
        put(&buffer[..piece])?;
        at += piece as u64;
    }
    Ok(())
}

/// A boot id as entries allow it, whatever the system gave.
fn tidy(mut stamp: Stamp) -> Stamp {
    stamp.boot_id.retain(|c| c.is_ascii_alphanumeric() || c == '-');
    stamp.boot_id.truncate(64);
    if stamp.boot_id.is_empty() {
        stamp.boot_id = "unknown".into();
    }
    stamp
}
