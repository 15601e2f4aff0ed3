//! Checking a store: without any key its structure, hashes, chain, log and signatures; with the
//! workstation key also what it sealed; with a recipient's identity every digest inside.

mod clock;
mod consensus;
mod descriptors;
mod given_up;
mod heads;
mod inside;
mod passphrase;
mod timestamps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use vigie_log::cosignature::WitnessKey;

use crate::checkpoint::Checkpoint;
use crate::error::StoreError;
use crate::files::{Layout, read_small};
use crate::frame::{HEADER_BYTES, HEADER_MAGIC};
use crate::given_up::GivenUp;
use crate::keys::WorkstationKey;
use crate::kind::Kind;
use crate::local::LocalCipher;
use crate::log::{Tree, leaf_hash};
use crate::outside::Outside;
use crate::segment::{self, Fault, Frame, PIECE_BYTES, SEGMENT_HEADER_BYTES, Segment, Walker};
use crate::store::{bound, signing_key, unbound};
use crate::timestamps::Stamped;
use crate::witness::CosignedHead;

use heads::Heads;

pub use consensus::SessionTime;
pub use descriptors::KeptDescriptor;
pub use heads::KnownHead;

/// Most problems kept in a report; more are counted.
const PROBLEMS: usize = 1000;

/// What to check with.
#[derive(Default)]
pub struct VerifyOptions {
    /// Opens local parts: rows, agents' signatures.
    pub key: Option<WorkstationKey>,
    /// Open exhibits and private parts.
    pub identities: Vec<Box<dyn age::Identity>>,
    /// Checkpoints of this log that were kept elsewhere: it must go on from each.
    pub heads: Vec<KnownHead>,
    /// The only witnesses that count; none for those that the log itself trusts.
    pub witnesses: Vec<WitnessKey>,
    /// Where the newest head is kept outside the store, if anywhere: the log must go on from it.
    pub outside: Option<Outside>,
}

/// Hears how far a check has come.
pub trait Progress {
    /// `done` of `total` bytes.
    fn progress(&self, done: u64, total: u64);
}

/// Something is not what was signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The entry concerned, when it is one.
    pub entry: Option<u64>,
    /// What is wrong, one line.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.entry {
            Some(entry) => write!(f, "entry {entry}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Entries found.
    pub entries: u64,
    /// Exhibits found.
    pub exhibits: u64,
    /// Bytes read of segments.
    pub bytes: u64,
    /// Root of the entries found; the signed one when there is no problem.
    pub root: [u8; 32],
    /// Entries that the signed head covers.
    pub signed_size: u64,
    /// Local parts that the workstation key opened.
    pub local_parts: u64,
    /// Private parts that an identity opened.
    pub private_parts: u64,
    /// Exhibits that an identity opened, all digests inside checked.
    pub opened: u64,
    /// Exhibits that were erased.
    pub erased: u64,
    /// WARC records checked in them.
    pub records: u64,
    /// Agents' signatures that hold, by fingerprint of the SSH key.
    pub signers: BTreeMap<String, u64>,
    /// Time stamps that hold, the one over most entries last.
    pub stamps: Vec<Stamped>,
    /// When sessions cannot have begun before; needs an identity.
    pub sessions: Vec<SessionTime>,
    /// Descriptors of onion services that hold, with the exhibits beside them; needs an identity.
    pub descriptors: Vec<KeptDescriptor>,
    /// Everything wrong; empty when the store is sound.
    pub problems: Vec<Problem>,
    /// What a reader should know, without being wrong.
    pub notes: Vec<String>,
    /// The largest head of this log that a witness cosigned.
    pub witnessed: Option<CosignedHead>,
    /// Entries after it.
    pub unwitnessed: u64,
    /// Time of the first of them.
    pub unwitnessed_since: Option<Timestamp>,
    /// What two persons accepted to be missing.
    pub given_up: Vec<GivenUp>,
    /// Problems beyond those listed.
    pub further_problems: u64,
    /// Heads that the log does not meet, by their size, and what that means.
    unmet: Vec<(u64, String)>,
}

impl VerifyReport {
    /// The log does not meet a head of this size that it signed before: a problem in any case, to which
    /// [`Self::settle`] adds who accepted it.
    fn unmet(&mut self, size: u64, what: String) {
        self.unmet.push((size, what));
    }

    fn settle(&mut self) {
        for (size, what) in std::mem::take(&mut self.unmet) {
            let accepted = self.given_up.iter().find(|given_up| given_up.covers(size)).map(ToString::to_string);
            self.problem(None, accepted.map_or(what.clone(), |accepted| format!("{what}; {accepted}")));
        }
    }

    fn problem(&mut self, entry: Option<u64>, what: impl Into<String>) {
        if self.problems.len() < PROBLEMS {
            self.problems.push(Problem { entry, what: what.into() });
        } else {
            self.further_problems += 1;
        }
    }
}

/// Checks the store in `dir` up to its signed head. Damage is in the report, so that one broken
/// exhibit does not hide the others.
///
/// # Errors
/// Only what prevents a report: no store, a wrong key, a disk that does not read.
pub fn verify(dir: &Path, options: VerifyOptions, progress: &dyn Progress) -> Result<VerifyReport, StoreError> {
    verify_against(dir, options, &[], progress)
}

/// As [`verify`]; the log must also hold every head (`*.checkpoint`) in the folders `heads`, which
/// left for stamping and were kept elsewhere. Heads of logs with another origin are only noted.
///
/// # Errors
/// As [`verify`], and [`StoreError::NotAccepted`] for a folder without a head of this log.
pub fn verify_against(
    dir: &Path,
    options: VerifyOptions,
    heads: &[PathBuf],
    progress: &dyn Progress,
) -> Result<VerifyReport, StoreError> {
    let layout = Layout::open(dir)?;
    let mut report = VerifyReport::default();
    let stamps = timestamps::Stamps::load(&layout, heads, &mut report)?;
    let heads = Heads::read(&layout, &options, &mut report)?;
    let head = signed_head(&layout, &mut report)?;
    if let Some(key) = &options.key {
        signing_key(&layout, key)?;
    }
    let local = options.key.as_ref().map(|key| LocalCipher::new(key, &layout.facts));
    let mut check = Check {
        layout: &layout,
        local,
        identities: options.identities,
        heads,
        tree: Tree::default(),
        last: None,
        buffer: Vec::new(),
        holes: Vec::new(),
        erasures: Vec::new(),
        report,
        stamps,
        clocks: clock::Clocks::default(),
        published: descriptors::Published::default(),
        passphrases: passphrase::Passphrases::default(),
    };
    let total = total(&layout)?;
    check.walk(head.as_ref(), progress, total)?;
    check.end(head.as_ref(), total);
    Ok(check.report)
}

struct Check<'a> {
    layout: &'a Layout,
    local: Option<LocalCipher>,
    identities: Vec<Box<dyn age::Identity>>,
    heads: Heads,
    tree: Tree,
    last: Option<Timestamp>,
    buffer: Vec<u8>,
    /// Frames whose bytes are zeros: mandate, entry, whether an exhibit was there.
    holes: Vec<(Option<[u8; 32]>, u64, bool)>,
    /// Erasures: mandate, entry.
    erasures: Vec<([u8; 32], u64)>,
    report: VerifyReport,
    stamps: timestamps::Stamps,
    clocks: clock::Clocks,
    published: descriptors::Published,
    passphrases: passphrase::Passphrases,
}

/// The signed head, or a problem.
fn signed_head(layout: &Layout, report: &mut VerifyReport) -> Result<Option<Checkpoint>, StoreError> {
    let read = layout.verifier().and_then(|verifier| layout.signed_head(&verifier));
    match read {
        Ok((_, head)) => Ok(Some(head)),
        Err(StoreError::Damaged { what }) => {
            report.problem(None, what);
            Ok(None)
        }
        Err(StoreError::Io { trying, source }) if source.kind() == std::io::ErrorKind::NotFound => {
            report.problem(None, format!("{trying}: {source}"));
            Ok(None)
        }
        Err(other) => Err(other),
    }
}

fn total(layout: &Layout) -> Result<u64, StoreError> {
    let mut total = 0;
    for index in segment::list(layout)? {
        total += Segment::open(layout, index)?.map_or(0, |segment| segment.len);
    }
    Ok(total)
}

impl<'a> Check<'a> {
    fn walk(&mut self, head: Option<&Checkpoint>, progress: &dyn Progress, total: u64) -> Result<(), StoreError> {
        let size = head.map_or(u64::MAX, |head| head.size);
        let mut walker = Walker::new(self.layout);
        self.hold(0);
        while walker.sequence < size {
            match walker.step() {
                Ok(Some(frame)) => {
                    let Some(segment) = walker.segment.take() else { break };
                    self.frame(&segment, &frame)?;
                    walker.segment = Some(segment);
                }
                Ok(None) => break,
                Err(Fault::Io(error)) => return Err(error),
                Err(fault) => {
                    let what = match fault {
                        Fault::Broken(what) => what,
                        _ => "its end (cut off)",
                    };
                    self.report.problem(
                        Some(walker.sequence),
                        format!("broken in its {what}: segment {}, byte {}", walker.next.segment, walker.next.offset),
                    );
                    if !self.resume(&mut walker)? {
                        break;
                    }
                }
            }
            progress.progress(self.report.bytes, total);
        }
        progress.progress(total, total);
        Ok(())
    }

    /// After a fault: goes on with the next frame that can be read, with its own word for what
    /// came before it.
    fn resume(&mut self, walker: &mut Walker<'a>) -> Result<bool, StoreError> {
        let mut from = walker.next;
        for index in segment::list(self.layout)?.into_iter().filter(|index| *index >= walker.next.segment) {
            if index != from.segment {
                from = crate::catalogue::Place { segment: index, offset: SEGMENT_HEADER_BYTES };
            }
            let Some(segment) = Segment::open(self.layout, index)? else { continue };
            let Some(frame) = find(&segment, from.offset.max(SEGMENT_HEADER_BYTES))? else { continue };
            walker.next = frame.place;
            walker.sequence = frame.entry.sequence;
            walker.previous = frame.entry.previous;
            walker.exhibits = frame.entry.exhibit.map_or(walker.exhibits, |number| number - 1);
            walker.segment = Some(segment);
            return Ok(true);
        }
        Ok(false)
    }

    fn frame(&mut self, segment: &Segment, frame: &Frame) -> Result<(), StoreError> {
        let sequence = frame.entry.sequence;
        self.tree.append(leaf_hash(&frame.entry_bytes));
        self.report.entries += 1;
        self.report.bytes += frame.header.frame_len();
        if self.last.is_some_and(|last| frame.entry.stamp.wall < last) {
            self.report.problem(Some(sequence), "its time lies before that of the entry it follows");
        }
        self.last = Some(frame.entry.stamp.wall);
        self.stamps.entry(&frame.entry, &self.tree, &mut self.report);
        self.clocks.entry(&frame.entry, &mut self.report);
        if sequence == 0 {
            self.entry_0(frame)?;
        }
        for name in inside::SIGNED_ACT.iter().filter(|_| frame.entry.kind.is_signed_act()) {
            if !frame.entry.commitments.iter().any(|(committed, _)| committed == name) {
                self.report.problem(Some(sequence), format!("an act of kind {} without its {name}", frame.entry.kind));
            }
        }
        self.passed(frame);
        self.passphrases.entry(&frame.entry);
        self.report.exhibits += u64::from(frame.entry.exhibit.is_some());
        if let (Kind::Erasure, Some(mandate)) = (frame.entry.kind, frame.entry.mandate) {
            self.erasures.push((mandate, sequence));
        }
        let damaged = frame.damaged_parts(segment, &mut self.buffer)?;
        let gone =
            !damaged.is_empty() && !damaged.contains(&"local part") && frame.is_erased(segment, &mut self.buffer)?;
        if gone {
            // Rightly so only if a later entry says it: judged at the end.
            self.holes.push((frame.entry.mandate, sequence, frame.entry.exhibit.is_some()));
        } else {
            for part in &damaged {
                self.report.problem(Some(sequence), format!("its {part} is not the one that was logged"));
            }
        }
        self.inside(segment, frame, &damaged)
    }

    /// A hole needs an erasure under its mandate, later in the log.
    fn judge_holes(&mut self) {
        for (mandate, sequence, exhibit) in std::mem::take(&mut self.holes) {
            let said = self.erasures.iter().any(|(of, at)| Some(*of) == mandate && *at > sequence);
            if said {
                self.report.erased += u64::from(exhibit);
            } else {
                self.report.problem(Some(sequence), "its bytes are gone, and no entry says that they were erased");
            }
        }
        if self.report.erased > 0 {
            self.report.notes.push(format!(
                "{} exhibits were erased: their entries are there, their bytes are not",
                self.report.erased
            ));
        }
    }

    /// Entry 0 binds the files beside the segments.
    fn entry_0(&mut self, frame: &Frame) -> Result<(), StoreError> {
        let bound = read_small(&self.layout.allowed_signers()).and_then(|signers| bound(self.layout, &signers));
        match bound {
            Ok(bound) => {
                if let Some(name) = unbound(frame, &bound) {
                    self.report.problem(Some(0), format!("{name} on disk is not what it binds"));
                }
                Ok(())
            }
            Err(StoreError::Io { trying, source }) if source.kind() == std::io::ErrorKind::NotFound => {
                self.report.problem(Some(0), format!("{trying}: {source}"));
                Ok(())
            }
            Err(other) => Err(other),
        }
    }

    fn end(&mut self, head: Option<&Checkpoint>, total: u64) {
        self.report.root = self.tree.root();
        std::mem::take(&mut self.stamps).end(self.tree.size(), &mut self.report);
        std::mem::take(&mut self.clocks).end(&mut self.report);
        std::mem::take(&mut self.published).end(&mut self.report);
        self.judge_holes();
        self.given_up();
        self.report.settle();
        let Some(head) = head else { return };
        self.report.signed_size = head.size;
        if head.size == 0 {
            self.report.problem(None, "the signed head covers nothing, not even entry 0");
        }
        if self.report.entries < head.size {
            let found = self.report.entries;
            self.report.problem(None, format!("the signed head covers {} entries, {found} were found", head.size));
        } else if self.report.root != head.root {
            self.report.problem(None, "the root of the entries is not the one in the signed head");
        }
        let headers = segment::list(self.layout).map_or(0, |list| list.len() as u64) * SEGMENT_HEADER_BYTES;
        let beyond = total.saturating_sub(self.report.bytes + headers);
        if beyond > 0 && self.report.problems.is_empty() {
            self.report.notes.push(format!(
                "{beyond} bytes lie beyond the signed head: a session is writing, or one stopped in mid-write and the next opening recovers them"
            ));
        }
        self.witnessed();
        self.report.settle();
        std::mem::take(&mut self.passphrases).end(self.layout, &mut self.report);
        if !self.identities.is_empty() && self.report.opened + self.report.erased < self.report.exhibits {
            let closed = self.report.exhibits - self.report.opened - self.report.erased;
            self.report.notes.push(format!("{closed} exhibits were not opened by the identities given"));
        }
        if self.report.further_problems > 0 {
            self.report.notes.push(format!("{} further problems are not listed", self.report.further_problems));
        }
    }
}

/// The first place at or after `offset` where a whole frame can be read.
fn find(segment: &Segment, offset: u64) -> Result<Option<Frame>, StoreError> {
    let mut buffer = vec![0; PIECE_BYTES];
    let mut at = offset;
    while at + HEADER_BYTES as u64 <= segment.len {
        let piece = (segment.len - at).min(buffer.len() as u64) as usize;
        segment.read(&mut buffer[..piece], at)?;
        for found in
            (0..piece.saturating_sub(HEADER_MAGIC.len() - 1)).filter(|i| buffer[*i..].starts_with(&HEADER_MAGIC))
        {
            match Frame::read(segment, at + found as u64) {
                Ok(frame) => return Ok(Some(frame)),
                Err(Fault::Io(error)) => return Err(error),
                Err(_) => {}
            }
        }
        // Pieces overlap by less than one magic, so that none is missed on their border.
        at += (piece - (HEADER_MAGIC.len() - 1).min(piece - 1)) as u64;
    }
    Ok(None)
}
