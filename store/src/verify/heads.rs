//! The log against heads that it signed before: those that witnesses cosigned, kept in
//! `witness/`, the newest one, kept outside the store, and those that were kept elsewhere. This is
//! what shows a log that was rewritten or put back by someone who holds its key.

use std::collections::BTreeMap;

use jiff::Timestamp;
use vigie_log::checkpoint::{Checkpoint, Verifier};
use vigie_log::cosignature::{Cosigned, WitnessKey};

use super::{Check, VerifyOptions, VerifyReport};
use crate::error::StoreError;
use crate::files::Layout;
use crate::given_up::{self, Said};
use crate::log::Hash;
use crate::segment::Frame;
use crate::witness::{self, Bound, CosignedHead, Kept, Seen, cosigned_at};

/// A checkpoint of the log that was kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownHead {
    /// Where it is from, for messages: a file's name.
    pub whence: String,
    /// The signed note, with cosignatures or without.
    pub text: String,
}

/// Heads that the entries are held against as they pass.
pub(super) struct Heads {
    pub(super) log: Option<Verifier>,
    files: Vec<Kept>,
    elsewhere: Vec<KnownHead>,
    /// Only these witnesses count, when there are any.
    witnesses: Vec<WitnessKey>,
    bound: Bound,
    /// What each size must have as its root, and who says so.
    roots: BTreeMap<u64, Vec<(Hash, String)>>,
    /// Sizes and roots that the entries had as they passed, where some head speaks of the size.
    pub(super) held: BTreeMap<u64, Hash>,
    /// What was given up, as entries say.
    pub(super) given_up: Said,
    /// Times of the entries on both sides of such a size.
    times: BTreeMap<u64, Timestamp>,
}

impl Heads {
    /// Reads what is in `witness/` and outside; a head from elsewhere that this log did not sign is
    /// refused. Before the signed head is read, so that none of them can be newer.
    pub fn read(layout: &Layout, options: &VerifyOptions, report: &mut VerifyReport) -> Result<Self, StoreError> {
        let log = layout.verifier().ok();
        let files = witness::files(layout)?;
        let mut roots: BTreeMap<u64, Vec<(Hash, String)>> = BTreeMap::new();
        if let Some(log) = &log {
            let mut seen = witness::signed_heads(&files, log);
            for known in &options.heads {
                let head = Checkpoint::open(&known.text, log)
                    .map_err(|error| StoreError::NotTaken { what: format!("{}: {error}", known.whence) })?;
                seen.push(Seen { size: head.size, root: head.root, whence: known.whence.clone() });
            }
            match options.outside.as_ref().map(|outside| outside.read(layout, log)).transpose() {
                Ok(kept) => seen.extend(kept.flatten()),
                Err(error @ StoreError::NotOurHead { .. }) => report.problem(None, error.to_string()),
                Err(error) => return Err(error),
            }
            for Seen { size, root, whence } in seen {
                roots.entry(size).or_default().push((root, whence));
            }
        }
        // The log must show its roots where papers about given-up heads speak of them.
        for size in given_up::sizes(layout) {
            roots.entry(size).or_default();
        }
        Ok(Self {
            log,
            files,
            elsewhere: options.heads.clone(),
            witnesses: options.witnesses.clone(),
            bound: Bound::default(),
            roots,
            held: BTreeMap::new(),
            given_up: Said::default(),
            times: BTreeMap::new(),
        })
    }
}

impl Check<'_> {
    /// An entry passed; its leaf is in the tree.
    pub(super) fn passed(&mut self, frame: &Frame) {
        let sequence = frame.entry.sequence;
        self.heads.bound.take(&frame.entry);
        self.heads.given_up.take(&frame.entry);
        let beside = |size: u64| self.heads.roots.contains_key(&size);
        if sequence == 0 || beside(sequence) || beside(sequence + 1) {
            self.heads.times.insert(sequence, frame.entry.stamp.wall);
        }
        // After a gap the tree is no longer that of the log; the gap itself is a problem.
        if self.tree.size() == sequence + 1 {
            self.hold(sequence + 1);
        }
    }

    /// The tree has this size: it must have the roots that are known of it.
    pub(super) fn hold(&mut self, size: u64) {
        if !self.heads.roots.contains_key(&size) {
            return;
        }
        let root = self.tree.root();
        self.heads.held.insert(size, root);
        for (known, whence) in self.heads.roots.get(&size).cloned().unwrap_or_default() {
            if known != root {
                let what = format!(
                    "the first {size} entries are not those that were signed before ({whence}): the log was rewritten, or two copies of the store were written to (fork)"
                );
                self.report.unmet(size, what);
            }
        }
    }

    /// Nothing was taken away since a head was signed, the files are those that the log names,
    /// and how far witnesses vouch for it.
    pub(super) fn witnessed(&mut self) {
        let signed = self.report.signed_size;
        let larger: Vec<_> = self.heads.roots.range(signed + 1..).map(|(size, heads)| (*size, heads.clone())).collect();
        for (size, whence) in
            larger.iter().flat_map(|(size, heads)| heads.iter().map(move |(_, whence)| (*size, whence)))
        {
            let what = format!(
                "the signed head covers {signed} entries, fewer than were signed before ({whence}): entries were taken away, or an older copy of the store was put back (rollback)"
            );
            self.report.unmet(size, what);
        }
        let Some(log) = self.heads.log.clone() else { return };
        let judged = witness::judge(&self.heads.files, &self.heads.bound, &log);
        for fault in judged.faults {
            self.report.problem(fault.entry, fault.what);
        }
        for (key, entry) in &judged.struck {
            self.report.notes.push(format!(
                "{} ({key}) is trusted no more since entry {entry}: its cosignatures count if they were taken in before",
                key.name()
            ));
        }
        for name in judged.unlisted {
            self.report.notes.push(format!(
                "no entry names witness/{name}: taking it in was stopped half-way, or it was put there; take it in again"
            ));
        }
        let known = if self.heads.witnesses.is_empty() { judged.keys.clone() } else { self.heads.witnesses.clone() };
        let texts =
            judged.heads.iter().map(|head| &head.text).chain(self.heads.elsewhere.iter().map(|head| &head.text));
        let mut heads = Vec::new();
        for text in texts {
            // Each as it counted when it was taken in; a verifier's own witnesses count as they say.
            let then = judged.heads.iter().find(|head| head.text == *text).filter(|_| self.heads.witnesses.is_empty());
            if let Some(head) = then {
                heads.push(head.clone());
                continue;
            }
            match Cosigned::open(text, &log, &known) {
                Ok(cosigned) if !cosigned.cosignatures.is_empty() => heads.push(CosignedHead::new(cosigned)),
                Ok(_) => {}
                Err(error) => self.report.problem(None, error.to_string()),
            }
        }
        // A head that is not of this log is a problem already and vouches for nothing.
        heads.retain(|head| head.size <= signed && self.heads.held.get(&head.size) == Some(&head.root));
        let size = heads.iter().map(|head| head.size).max().unwrap_or_default();
        self.report.unwitnessed = signed - size;
        self.report.unwitnessed_since = self.heads.times.get(&size).copied();
        for head in heads.iter().filter(|head| head.size == size) {
            self.vouched(head);
        }
        self.report.witnessed = heads.into_iter().rfind(|head| head.size == size);
        if let Some(since) = self.report.unwitnessed_since {
            let count = match self.report.unwitnessed {
                1 => "1 entry".to_owned(),
                count => format!("{count} entries"),
            };
            self.report.notes.push(format!(
                "no witness vouches for {count} since {since}: whoever holds the store's key could rewrite what lies there unseen"
            ));
        }
        for known in &self.heads.elsewhere {
            let head = Checkpoint::open(&known.text, &log).ok();
            if let Some(head) = head.filter(|head| self.heads.held.get(&head.size) == Some(&head.root)) {
                self.report.notes.push(format!("the log goes on from the {} entries of {}", head.size, known.whence));
            }
        }
    }

    fn vouched(&mut self, head: &CosignedHead) {
        for cosignature in &head.cosignatures {
            let (name, size) = (cosignature.witness.name(), head.size);
            let Some(at) = cosigned_at(cosignature) else { continue };
            self.report
                .notes
                .push(format!("{name} cosigned the first {size} entries at {at} ({})", cosignature.witness));
            let last = size.checked_sub(1).and_then(|last| self.heads.times.get(&last));
            if let Some(last) = last.filter(|last| **last > at) {
                self.report.notes.push(format!(
                    "the last of these entries says {last}, which is later: the clock of the workstation or of {name} was wrong"
                ));
            }
        }
    }
}
