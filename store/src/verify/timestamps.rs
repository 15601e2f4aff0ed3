//! Heads that were sent for stamping, and the stamps that came back: the log must still hold every one
//! of those heads, and every stamp that an entry names must hold.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};
use vigie_time::{Request, Root, Stamp};

use super::VerifyReport;
use crate::checkpoint::{Checkpoint, Verifier};
use crate::entry::Entry;
use crate::error::StoreError;
use crate::files::{Layout, read_small};
use crate::kind::Kind;
use crate::log::{Hash, Tree};
use crate::timestamps::{CERTIFICATES, CHECKPOINT, REQUEST, RESPONSE, ROOT, Stamped, list};

/// By so much an entry's time may lie behind that of a stamp over it before it is said.
const AHEAD: SignedDuration = SignedDuration::from_secs(60);

/// Digests of public files, by their names.
type Digests = Vec<(String, [u8; 32])>;

/// What lies in `timestamps/` (and folders with copies of it), and what the log says of it.
#[derive(Default)]
pub(super) struct Stamps {
    /// Heads by their size: root, and the file's name.
    heads: BTreeMap<u64, Vec<(Hash, String)>>,
    /// Entries that each of these heads covers, by the SHA-256 of its text.
    sizes: HashMap<[u8; 32], u64>,
    /// Files of the store, by their SHA-256.
    files: HashMap<[u8; 32], Vec<u8>>,
    /// Entries of kind `timestamp`: sequence and digests.
    entries: Vec<(u64, Digests)>,
    /// Times of the entries on both sides of each head, by sequence.
    times: BTreeMap<u64, Timestamp>,
}

impl Stamps {
    /// Reads the folders. Before the signed head is read, so that none of theirs can be newer.
    pub fn load(
        layout: &Layout,
        elsewhere: &[std::path::PathBuf],
        report: &mut VerifyReport,
    ) -> Result<Self, StoreError> {
        let mut stamps = Self::default();
        let verifier = layout.verifier().ok();
        let own = layout.timestamps();
        for path in list(&own)?.into_iter().map(|name| own.join(name)) {
            let Some(bytes) = small(&path, report)? else { continue };
            if let Some(verifier) = &verifier
                && is_head(&path)
                && !stamps.head(&path, &bytes, verifier)
            {
                report.problem(None, format!("{} is no head that this log signed", path.display()));
            }
            stamps.files.insert(Sha256::digest(&bytes).into(), bytes);
        }
        for folder in elsewhere {
            stamps.elsewhere(folder, layout, verifier.as_ref(), report)?;
        }
        Ok(stamps)
    }

    /// Heads that were kept elsewhere, maybe with those of other logs and other files.
    fn elsewhere(
        &mut self,
        folder: &Path,
        layout: &Layout,
        verifier: Option<&Verifier>,
        report: &mut VerifyReport,
    ) -> Result<(), StoreError> {
        let none = |why| StoreError::NotAccepted {
            what: "the folder of heads",
            why: format!("{} {why}: name the one that vigie timestamp export wrote to", folder.display()),
        };
        if !folder.is_dir() {
            return Err(none("is not there"));
        }
        let mut seen = false;
        for path in list(folder)?.into_iter().map(|name| folder.join(name)).filter(|path| is_head(path)) {
            let Some(bytes) = small(&path, report)? else { continue };
            let ours = bytes.starts_with(format!("{}\n", layout.facts.origin).as_bytes());
            if !ours {
                report.notes.push(format!("{} is the head of another log, and not looked at", path.display()));
                continue;
            }
            seen = true;
            if let Some(verifier) = verifier
                && !self.head(&path, &bytes, verifier)
            {
                report.problem(None, format!("{} is no head that this log signed", path.display()));
            }
        }
        if seen { Ok(()) } else { Err(none("holds no head (*.checkpoint) of this log")) }
    }

    /// Remembers a head; false when this log's key did not sign it.
    fn head(&mut self, path: &Path, bytes: &[u8], verifier: &Verifier) -> bool {
        let read = std::str::from_utf8(bytes).ok().and_then(|text| Checkpoint::open(text, verifier).ok());
        let Some(head) = read else { return false };
        self.sizes.insert(Sha256::digest(bytes).into(), head.size);
        self.heads.entry(head.size).or_default().push((head.root, path.display().to_string()));
        true
    }

    /// An entry went by; `tree` ends with it.
    pub fn entry(&mut self, entry: &Entry, tree: &Tree, report: &mut VerifyReport) {
        if entry.kind == Kind::Timestamp {
            self.entries.push((entry.sequence, entry.digests.clone()));
        }
        if self.heads.contains_key(&entry.sequence) || self.heads.contains_key(&(entry.sequence + 1)) {
            self.times.insert(entry.sequence, entry.stamp.wall);
        }
        for (root, file) in self.heads.get(&tree.size()).into_iter().flatten() {
            if *root != tree.root() {
                let size = tree.size();
                let what =
                    format!("{file} was signed over other {size} entries than these: the log is another one (fork)");
                report.unmet(size, what);
            }
        }
    }

    /// All entries went by.
    pub fn end(mut self, size: u64, report: &mut VerifyReport) {
        for (covered, heads) in self.heads.range(size + 1..) {
            for (_, file) in heads {
                let what = format!(
                    "{file} was signed over {covered} entries, the log has {size}: an older one was put back (rollback)"
                );
                report.unmet(*covered, what);
            }
        }
        let mut roots: Vec<[u8; 32]> = Vec::new();
        for (sequence, digests) in std::mem::take(&mut self.entries) {
            if let [(name, sum)] = digests.as_slice()
                && name == ROOT
            {
                roots.push(*sum);
                if !self.files.contains_key(sum) {
                    report.problem(Some(sequence), "the root that it fixed is not in timestamps/");
                }
                continue;
            }
            match self.stamp(sequence, &digests, &roots) {
                Ok(stamped) => {
                    if let Some(last) = stamped.size.checked_sub(1).and_then(|last| self.times.get(&last))
                        && *last > stamped.time + AHEAD
                    {
                        report.notes.push(format!(
                            "entry {}: says {last}, but {} had stamped it by {}: the workstation's clock was ahead",
                            stamped.size - 1,
                            stamped.authority,
                            stamped.time
                        ));
                    }
                    report.stamps.push(stamped);
                }
                Err(what) => report.problem(Some(sequence), what),
            }
        }
        report.stamps.sort_by_key(|stamped| (stamped.size, stamped.time));
        if let Some(last) = report.stamps.last() {
            let since = self.times.get(&last.size);
            report.notes.push(format!(
                "time-stamped: entries 0 to {} existed by {} ({})",
                last.size.saturating_sub(1),
                last.time,
                last.authority
            ));
            if let Some(since) = since.filter(|_| last.size < size) {
                let behind = size - last.size;
                report.notes.push(format!("{behind} entries since {since} are under no time stamp yet"));
            }
            // A witness may have seen more.
            if report.unwitnessed_since.is_some_and(|seen| since.is_none_or(|since| *since > seen)) {
                report.unwitnessed_since = since.copied();
            }
        }
    }

    /// Checks the stamp that an entry names.
    fn stamp(&self, sequence: u64, digests: &[(String, [u8; 32])], roots: &[[u8; 32]]) -> Result<Stamped, String> {
        let sum = |name: &str| {
            let found = digests.iter().find(|(known, _)| known == name).map(|(_, sum)| *sum);
            found.ok_or_else(|| format!("it names no {name} of its time stamp"))
        };
        let file = |name: &str| {
            let found = self.files.get(&sum(name)?).map(Vec::as_slice);
            found.ok_or_else(|| format!("the {name} of its time stamp is not in timestamps/, or was altered"))
        };
        if !roots.contains(&sum(ROOT)?) {
            return Err("no entry before it fixed the root of its time stamp".to_owned());
        }
        let root = Root::parse(file(ROOT)?).map_err(|e| e.to_string())?;
        let request = Request::parse(file(REQUEST)?).map_err(|e| e.to_string())?;
        if sum(CHECKPOINT)? != request.sha256 {
            return Err("its time stamp was asked for over another head".to_owned());
        }
        file(CHECKPOINT)?;
        let size = *self.sizes.get(&sum(CHECKPOINT)?).ok_or("the head of its time stamp was not signed by this log")?;
        if size > sequence {
            return Err("its time stamp covers entries behind it".to_owned());
        }
        let others = vigie_time::pem_certificates(file(CERTIFICATES)?).unwrap_or_default();
        let stamp = Stamp::check(file(RESPONSE)?, &request, &[root], &others)
            .map_err(|e| format!("its time stamp does not hold: {e}"))?;
        Ok(Stamped { entry: sequence, size, time: stamp.time, authority: stamp.authority, serial: stamp.serial })
    }
}

fn is_head(path: &Path) -> bool {
    path.extension().is_some_and(|end| end == "checkpoint")
}

/// A file's bytes; `None` when it is no file, or one that is longer than any (then a problem).
fn small(path: &Path, report: &mut VerifyReport) -> Result<Option<Vec<u8>>, StoreError> {
    if !path.is_file() {
        return Ok(None);
    }
    match read_small(path) {
        Err(StoreError::Damaged { what }) => {
            report.problem(None, what);
            Ok(None)
        }
        other => other.map(Some),
    }
}
