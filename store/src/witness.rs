//! What `witness/` holds: the keys of the witnesses that the log trusts, and the heads that they
//! cosigned. Entries of kind `witness` bind both by their digests, so that neither can be added
//! or taken away unseen; the heads in turn hold the log to what a witness has seen of it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use vigie_log::checkpoint::{CHECKPOINT_BYTES, Checkpoint, Verifier};
use vigie_log::cosignature::{Cosignature, Cosigned, WitnessKey};

use crate::disk::Disk;
use crate::entry::Entry;
use crate::error::{StoreError, Trying};
use crate::files::{Layout, new_folder, read_small, replace};
use crate::kind::Kind;
use crate::log::Hash;

/// Name of the digest of a witness's key in the entry that trusts it.
pub(crate) const KEY: &str = "witness-vkey";
/// Name of the digest of a witness's key in the entry that strikes it off.
pub(crate) const STRUCK: &str = "witness-struck";
/// Name of the digest of a cosigned head in the entry that took it in.
pub(crate) const HEAD: &str = "cosigned";

/// A head that the log signed, cosigned by witnesses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CosignedHead {
    /// Entries covered.
    pub size: u64,
    /// Root at that size.
    pub root: Hash,
    /// By whom and when; only those of known witnesses.
    pub cosignatures: Vec<Cosignature>,
    /// The signed note.
    pub text: String,
}

impl CosignedHead {
    pub(crate) fn new(cosigned: Cosigned) -> Self {
        let Cosigned { checkpoint, cosignatures, text } = cosigned;
        Self { size: checkpoint.size, root: checkpoint.root, cosignatures, text }
    }

    /// The cosignature that is latest.
    pub fn latest(&self) -> Option<&Cosignature> {
        self.cosignatures.iter().max_by_key(|cosignature| cosignature.time)
    }

    /// Names of its witnesses, as a sentence lists them.
    pub fn names(&self) -> String {
        let names: Vec<&str> = self.cosignatures.iter().map(|cosignature| cosignature.witness.name()).collect();
        names.join(", ")
    }
}

/// A cosignature's time as other times are shown.
pub fn cosigned_at(cosignature: &Cosignature) -> Option<Timestamp> {
    i64::try_from(cosignature.time).ok().and_then(|time| Timestamp::from_second(time).ok())
}

/// What the log itself says of witnesses.
#[derive(Default)]
pub(crate) struct Bound {
    /// Digest of a key file, and the entry that trusts it.
    keys: BTreeMap<[u8; 32], u64>,
    /// Digest of a key file, and the entry that struck it off.
    struck: BTreeMap<[u8; 32], u64>,
    /// Digest of a cosigned head, and the entry that took it in.
    heads: BTreeMap<[u8; 32], u64>,
}

impl Bound {
    /// Takes note of an entry.
    pub fn take(&mut self, entry: &Entry) {
        if entry.kind != Kind::Witness {
            return;
        }
        for (name, digest) in &entry.digests {
            let list = match name.as_str() {
                KEY => &mut self.keys,
                STRUCK => &mut self.struck,
                HEAD => &mut self.heads,
                _ => continue,
            };
            list.entry(*digest).or_insert(entry.sequence);
        }
    }

    pub fn has_key(&self, digest: &[u8; 32]) -> bool {
        self.keys.contains_key(digest)
    }

    pub fn has_head(&self, digest: &[u8; 32]) -> bool {
        self.heads.contains_key(digest)
    }
}

/// A file of `witness/`.
pub(crate) struct Kept {
    /// Its name in the folder.
    pub name: String,
    pub sha256: [u8; 32],
    /// `None` when it is no text.
    pub text: Option<String>,
}

/// Something in `witness/` is not as the log says, or the other way round.
pub(crate) struct Fault {
    pub entry: Option<u64>,
    pub what: String,
}

impl Fault {
    pub fn error(&self) -> StoreError {
        let entry = self.entry.map(|entry| format!("entry {entry}: ")).unwrap_or_default();
        StoreError::damaged(format!("{entry}{}", self.what))
    }
}

/// What the files and the entries together give.
#[derive(Default)]
pub(crate) struct Judged {
    /// Witnesses that the log trusts.
    pub keys: Vec<WitnessKey>,
    /// Those that it trusted once, and the entry that struck each off.
    pub struck: Vec<(WitnessKey, u64)>,
    /// Cosigned heads, smallest first.
    pub heads: Vec<CosignedHead>,
    pub faults: Vec<Fault>,
    /// Heads that no entry names: what a stop between file and entry leaves.
    pub unlisted: Vec<String>,
}

/// Where a file of this content lies.
pub(crate) fn place(layout: &Layout, digest: &[u8; 32], ending: &str) -> PathBuf {
    layout.witness().join(format!("{}.{ending}", HEXLOWER.encode(digest)))
}

/// Puts a file into `witness/`, under the name that its content gives it. *A stop before the
/// rename leaves a `.part` that nobody reads; a stop after it leaves a file that no entry names
/// yet, and taking it in again writes the entry.*
pub(crate) fn keep(layout: &Layout, text: &str, ending: &str, disk: &dyn Disk) -> Result<[u8; 32], StoreError> {
    let folder = layout.witness();
    if !folder.is_dir() {
        new_folder(&folder)?;
        disk.sync_folder(&layout.dir).trying(|| format!("creating {}", folder.display()))?;
    }
    let digest: [u8; 32] = Sha256::digest(text).into();
    replace(&place(layout, &digest, ending), text.as_bytes(), disk)?;
    Ok(digest)
}

/// The file of a witness's key.
pub(crate) fn key_file(key: &WitnessKey) -> String {
    format!("{key}\n")
}

/// Every file in `witness/`; none when the folder is not there.
pub(crate) fn files(layout: &Layout) -> Result<Vec<Kept>, StoreError> {
    let folder = layout.witness();
    let trying = || format!("listing {}", folder.display());
    let list = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.trying(trying)?,
    };
    let mut files = Vec::new();
    for file in list {
        let name = file.trying(trying)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".part") {
            continue;
        }
        let bytes = read_small(&folder.join(&name))?;
        let sha256 = Sha256::digest(&bytes).into();
        let text = String::from_utf8(bytes).ok().filter(|text| text.len() <= CHECKPOINT_BYTES);
        files.push(Kept { name, sha256, text });
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// A head that this log signed before, whoever kept it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub size: u64,
    pub root: Hash,
    /// Where it is to be read, for messages.
    pub whence: String,
}

/// The heads among some files that the log's own key signed, whoever cosigned them. None of them
/// can come from anyone but this log.
pub(crate) fn signed_heads(files: &[Kept], log: &Verifier) -> Vec<Seen> {
    let heads = files.iter().filter(|file| file.name.ends_with(".checkpoint"));
    heads
        .filter_map(|file| {
            let Checkpoint { size, root, .. } = Checkpoint::open(file.text.as_ref()?, log).ok()?;
            Some(Seen { size, root, whence: format!("witness/{}", file.name) })
        })
        .collect()
}

/// Holds files and entries against each other. Whether the log at a head's size has that head's
/// root is not asked here.
pub(crate) fn judge(files: &[Kept], bound: &Bound, log: &Verifier) -> Judged {
    let mut judged = Judged::default();
    // Keys with the entry that trusts each, in the order of the log.
    let mut trusted: Vec<(WitnessKey, u64)> = Vec::new();
    for (digest, entry) in &bound.keys {
        let file = files.iter().find(|file| file.sha256 == *digest && file.name.ends_with(".vkey"));
        match file.and_then(|file| WitnessKey::parse(file.text.as_ref()?.strip_suffix('\n')?)) {
            Some(key) => match bound.struck.get(digest) {
                Some(end) if end > entry => judged.struck.push((key, *end)),
                _ => trusted.push((key, *entry)),
            },
            None => judged.fault(Some(*entry), "the witness's key that it trusts is not in witness/"),
        }
    }
    for (digest, entry) in &bound.struck {
        if bound.keys.get(digest).is_none_or(|trusted| trusted > entry) {
            judged.fault(Some(*entry), "it strikes off a witness that no entry before it trusts");
        }
    }
    for (key, entry) in &trusted {
        if let Some((_, end)) = judged.struck.iter().find(|(old, end)| old.name() == key.name() && end < entry) {
            let what = format!("it trusts {} again, which entry {end} struck off", key.name());
            judged.faults.push(Fault { entry: Some(*entry), what });
        }
    }
    judged.keys = trusted.into_iter().map(|(key, _)| key).collect();
    for (digest, entry) in &bound.heads {
        if !files.iter().any(|file| file.sha256 == *digest && file.name.ends_with(".checkpoint")) {
            judged.fault(Some(*entry), "the cosigned head that it took in is not in witness/");
        }
    }
    for file in files {
        let (stem, ending) = file.name.split_once('.').unwrap_or((&file.name, ""));
        let entry = bound.heads.get(&file.sha256).copied();
        if stem != HEXLOWER.encode(&file.sha256) {
            judged.fault(None, format!("witness/{} is not what its name says", file.name));
        } else if ending == "vkey" {
            if !bound.has_key(&file.sha256) {
                judged.unlisted.push(file.name.clone());
            }
        } else if ending == "checkpoint" {
            // What was taken in before a witness was struck off still counts with its cosignature.
            let then = judged.struck.iter().filter(|(_, end)| entry.is_some_and(|entry| entry < *end));
            let keys: Vec<WitnessKey> = judged.keys.iter().chain(then.map(|(key, _)| key)).cloned().collect();
            let opened = file.text.as_ref().map(|text| Cosigned::open(text, log, &keys));
            match opened {
                Some(Ok(cosigned)) if !cosigned.cosignatures.is_empty() => {
                    judged.heads.push(CosignedHead::new(cosigned));
                    if entry.is_none() {
                        judged.unlisted.push(file.name.clone());
                    }
                }
                // A stop kept it from the log while its witness was trusted.
                Some(Ok(_)) if entry.is_none() && by_struck(file, log, &judged.struck) => {
                    judged.unlisted.push(file.name.clone());
                }
                Some(Ok(_)) => judged.fault(entry, format!("witness/{}: no trusted witness cosigned it", file.name)),
                Some(Err(error)) => judged.fault(entry, format!("witness/{}: {error}", file.name)),
                None => judged.fault(entry, format!("witness/{}: no checkpoint", file.name)),
            }
        } else {
            judged.fault(None, format!("witness/{} is no file of a witness", file.name));
        }
    }
    judged.heads.sort_by_key(|head| head.size);
    judged
}

/// Whether a witness that was struck off cosigned a file.
fn by_struck(file: &Kept, log: &Verifier, struck: &[(WitnessKey, u64)]) -> bool {
    let keys: Vec<WitnessKey> = struck.iter().map(|(key, _)| key.clone()).collect();
    let opened = file.text.as_ref().and_then(|text| Cosigned::open(text, log, &keys).ok());
    opened.is_some_and(|cosigned| !cosigned.cosignatures.is_empty())
}

impl Judged {
    fn fault(&mut self, entry: Option<u64>, what: impl Into<String>) {
        self.faults.push(Fault { entry, what: what.into() });
    }
}

/// No head that the log signed before covers more than its signed head does now.
pub(crate) fn hold_sizes(seen: &[Seen], signed: u64) -> Result<(), StoreError> {
    match seen.iter().find(|seen| seen.size > signed) {
        Some(Seen { size, whence, .. }) => Err(StoreError::TakenAway { signed, known: *size, whence: whence.clone() }),
        None => Ok(()),
    }
}

/// Holds the log to heads that it signed before: none may be larger than what it shows now, and
/// at each size it must have that root. `root_at` gives the root at a size up to the head's.
pub(crate) fn hold(
    seen: &[Seen],
    head: &Checkpoint,
    mut root_at: impl FnMut(u64) -> Result<Hash, StoreError>,
) -> Result<(), StoreError> {
    hold_sizes(seen, head.size)?;
    for Seen { size, root, whence } in seen {
        let now = if *size == head.size { head.root } else { root_at(*size)? };
        if now != *root {
            return Err(StoreError::Rewritten { size: *size, whence: whence.clone() });
        }
    }
    Ok(())
}
