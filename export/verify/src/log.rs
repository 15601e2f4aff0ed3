//! The log: its head, the hashes of all entries, the texts of some, and the proof of each exhibit.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};
use vigie_log::checkpoint::{CHECKPOINT_BYTES, Checkpoint, Verifier};
use vigie_log::proof::{PROOF_BYTES, Proof};
use vigie_log::tiles::{WIDTH, path};
use vigie_log::tree::{Hash, Tree, leaf_hash};

use crate::bag::SMALL;
use crate::entry::{self, Entry, NoEntry};
use crate::folder::{Folder, fault};
use crate::report::Report;
use crate::{Known, Unreadable, fingerprint, grouped};

/// Most bytes of an entry's text.
const ENTRY_BYTES: u64 = 65_535;

/// What the other checks need of the log.
pub struct Log {
    /// Its key, when the head is signed with it.
    pub verifier: Option<Verifier>,
    /// Its head.
    pub head: Option<Checkpoint>,
    /// Texts that are leaves of the log, by sequence number, with their leaf hashes.
    pub entries: BTreeMap<u64, (Entry, Hash)>,
    /// Roots at the sizes that other heads name.
    pub roots: BTreeMap<u64, Hash>,
}

pub fn read(files: &Folder, known: &Known, report: &mut Report) -> Result<Log, Unreadable> {
    let mut log = Log { verifier: None, head: None, entries: BTreeMap::new(), roots: BTreeMap::new() };
    head(files, &mut log, report)?;
    let texts = texts(files, report)?;
    let mut wanted: BTreeSet<u64> = BTreeSet::new();
    for folder in ["data/witness/", "data/time/", "data/given-up/"] {
        for name in files.under(folder).filter(|name| name.ends_with(".checkpoint")) {
            let text = files.text(&format!("{folder}{name}"), CHECKPOINT_BYTES as u64)?;
            wanted.extend(text.and_then(|text| text.lines().nth(1)?.parse::<u64>().ok()));
        }
    }
    for name in files.under("data/log/proofs/") {
        let text = files.text(&format!("data/log/proofs/{name}"), PROOF_BYTES as u64)?;
        let proof = text.and_then(|text| Proof::parse(&text).ok());
        wanted.extend(proof.and_then(|proof| proof.checkpoint.lines().nth(1)?.parse::<u64>().ok()));
    }
    let outside = outside_head(&log, known, report);
    wanted.extend(outside.as_ref().map(|head| head.size));
    let met = tiles(files, &mut log, texts, &wanted, known.fingerprint, report)?;
    compare(&log, known, outside, met, report);
    proofs(files, &log, report)?;
    order(&log, report);
    Ok(log)
}

/// The signed head and its copies.
fn head(files: &Folder, log: &mut Log, report: &mut Report) -> Result<(), Unreadable> {
    let name = "log.checkpoint";
    let vkey = files.text("data/log/log.vkey", SMALL)?;
    let note = files.text("data/log/checkpoint", CHECKPOINT_BYTES as u64)?;
    let (Some(vkey), Some(note)) = (vkey, note) else {
        report.red(name, "the log's signed head or its key is missing or cannot be read");
        return Ok(());
    };
    let Some(verifier) = vkey.strip_suffix('\n').and_then(Verifier::parse) else {
        report.red(name, "data/log/log.vkey is not the key of a log");
        return Ok(());
    };
    match Checkpoint::open(&note, &verifier) {
        Err(error) => report.red(name, format!("data/log/checkpoint: {error}")),
        Ok(head) => {
            let sum = fingerprint(&head.body());
            report.fingerprint = Some(HEXLOWER.encode(&sum));
            report.green(
                name,
                format!(
                    "the head of the log of {} is signed with its key: {} entries, fingerprint {}",
                    head.origin,
                    head.size,
                    grouped(&sum)
                ),
            );
            if files.text("data/log/openssl/head.txt", SMALL)?.is_none_or(|text| text != head.body()) {
                report.red("log.copies", "data/log/openssl/head.txt is not the head that data/log/checkpoint is");
            }
            log.head = Some(head);
            log.verifier = Some(verifier);
        }
    }
    Ok(())
}

/// The texts of entries, read strictly; nothing says yet that they are in the log.
fn texts(files: &Folder, report: &mut Report) -> Result<BTreeMap<u64, (Entry, Hash)>, Unreadable> {
    let mut texts = BTreeMap::new();
    let folder = "data/log/entries/";
    for name in files.under(folder) {
        let path = format!("{folder}{name}");
        let Some(bytes) = files.small(&path, ENTRY_BYTES)? else {
            report.red("log.entries", format!("{path} is longer than an entry can be"));
            continue;
        };
        match entry::parse(&bytes) {
            Err(NoEntry::Newer(first)) => {
                return Err(Unreadable::Input(format!(
                    "{path} has the form {first}: this program knows vigie.entry/1; get a newer vigie-verify"
                )));
            }
            Err(NoEntry::Malformed) => {
                report.red("log.entries", format!("{path} is not the text of an entry in its one spelling"))
            }
            Ok(entry) if name == format!("{:08}.entry", entry.sequence) => {
                texts.insert(entry.sequence, (entry, leaf_hash(&bytes)));
            }
            Ok(entry) => report.red("log.entries", format!("{path} is the text of entry {}", entry.sequence)),
        }
    }
    Ok(texts)
}

/// Makes root and upper tiles anew from the hashes of all entries; keeps the texts whose hash stands at their place.
/// Gives the size at which the log had the fingerprint that was asked for.
fn tiles(
    files: &Folder,
    log: &mut Log,
    texts: BTreeMap<u64, (Entry, Hash)>,
    wanted: &BTreeSet<u64>,
    asked: Option<[u8; 32]>,
    report: &mut Report,
) -> Result<Option<u64>, Unreadable> {
    let Some(head) = log.head.clone() else {
        report.red("log.root", "without a signed head nothing shows that the entries are the log's");
        return Ok(None);
    };
    let listed = files.under("data/log/tile/0/").count() as u64;
    if head.size.div_ceil(WIDTH as u64) != listed {
        report.red("log.root", format!("the hashes of {} entries are not {listed} tiles", head.size));
        return Ok(None);
    }
    let mut tree = Tree::default();
    let mut upper: Vec<Vec<Hash>> = Vec::new();
    let mut met = None;
    let mut texts = texts;
    for index in 0..listed {
        let width = (head.size - index * WIDTH as u64).min(WIDTH as u64) as usize;
        let name = format!("data/log/{}", path(Some(0), index, width));
        let bytes = files.small(&name, (WIDTH * 32) as u64)?.filter(|bytes| bytes.len() == width * 32);
        let Some(bytes) = bytes else {
            report.red("log.root", format!("{name} is missing or not of {width} hashes"));
            return Ok(None);
        };
        for leaf in bytes.as_chunks::<32>().0 {
            let sequence = tree.size();
            if let Some((entry, own)) = texts.remove(&sequence) {
                if own == *leaf {
                    log.entries.insert(sequence, (entry, own));
                } else {
                    report
                        .red("log.entries", format!("the text of entry {sequence} is not the one that the log holds"));
                }
            }
            for node in tree.append(*leaf).iter().filter(|node| node.level > 0 && node.level % 8 == 0) {
                let level = usize::from(node.level / 8) - 1;
                if upper.len() == level {
                    upper.push(Vec::new());
                }
                upper[level].push(node.hash);
            }
            let size = tree.size();
            if wanted.contains(&size) {
                log.roots.insert(size, tree.root());
            }
            if asked.is_some() {
                let body = Checkpoint { origin: head.origin.clone(), size, root: tree.root() }.body();
                if asked == Some(fingerprint(&body)) {
                    met = Some(size);
                }
            }
        }
    }
    log.roots.insert(0, Tree::default().root());
    if tree.root() == head.root {
        report.green(
            "log.root",
            format!("the root made anew from the hashes of all {} entries is the signed one", head.size),
        );
    } else {
        report.red(
            "log.root",
            "the hashes of the entries do not make up the signed root: entries were changed, taken away or added",
        );
        log.entries.clear();
        return Ok(None);
    }
    for (level, hashes) in upper.iter().enumerate() {
        for (index, part) in hashes.chunks(WIDTH).enumerate() {
            let name = format!("data/log/{}", path(Some(level + 1), index as u64, part.len()));
            if files.small(&name, (WIDTH * 32) as u64)?.is_none_or(|bytes| bytes != part.concat()) {
                report.red("log.tiles", format!("{name} is not made of the tiles below it"));
            }
        }
    }
    for sequence in texts.keys() {
        report.red("log.entries", format!("entry {sequence} lies behind the signed head"));
    }
    report.holds(
        "log.entries",
        format!("{} texts of entries are those that the log holds at their places", log.entries.len()),
    );
    let others = head.size - log.entries.len() as u64;
    if others > 0 {
        report.limit(format!(
            "{others} of {} entries are here as hashes alone: they are counted, but whether all are of other cases shows only in the whole log",
            head.size
        ));
    }
    // Entry 0 fixes the key, so that a head kept elsewhere fixes it too.
    let key = files.small("data/log/log.vkey", SMALL)?.map(|bytes| HEXLOWER.encode(&Sha256::digest(bytes)));
    let bound = log.entries.get(&0).and_then(|(entry, _)| entry.digests.iter().find(|(name, _)| name == "log-vkey"));
    match bound {
        Some((_, sum)) if Some(sum) == key.as_ref() => report.green("log.key", "the log's first entry names this key"),
        _ => report.red("log.key", "the log's first entry is missing or names another key than the one here"),
    }
    Ok(met)
}

/// The head that reached the reader by another way, when the log's key signed it.
fn outside_head(log: &Log, known: &Known, report: &mut Report) -> Option<Checkpoint> {
    let (text, verifier) = (known.head.as_ref()?, log.verifier.as_ref()?);
    match Checkpoint::open(text, verifier) {
        Ok(head) => Some(head),
        Err(error) => {
            report
                .red("log.head", format!("the head received by another way does not fit the key of this log: {error}"));
            None
        }
    }
}

fn compare(log: &Log, known: &Known, outside: Option<Checkpoint>, met: Option<u64>, report: &mut Report) {
    let name = "log.head";
    let Some(head) = &log.head else { return };
    if let Some(outside) = outside {
        if outside.size > head.size {
            report.amber(name, format!(
                "the head received by another way covers {} entries, this bundle {}: ask for the proof that one goes on from the other",
                outside.size, head.size
            ));
        } else if log.roots.get(&outside.size) == Some(&outside.root) {
            report.green(
                name,
                format!("the log goes on from the head received by another way ({} entries)", outside.size),
            );
        } else {
            report.red(name, format!(
                "this is another log than that of the head received by another way: it had another root at {} entries",
                outside.size
            ));
        }
    }
    if known.fingerprint.is_some() {
        match met {
            Some(size) => report
                .green(name, format!("the fingerprint received by another way is that of this log at {size} entries")),
            None => {
                report.red(name, "the fingerprint received by another way is not that of this log at any of its sizes")
            }
        }
    }
    if known.fingerprint.is_none() && known.head.is_none() {
        report.amber(name, format!(
            "nothing received by another way was given: compare the fingerprint {} with paper, a witness or the custodian, for whoever holds the log's key could have written another log",
            grouped(&fingerprint(&head.body()))
        ));
    }
}

fn proofs(files: &Folder, log: &Log, report: &mut Report) -> Result<(), Unreadable> {
    let name = "log.proofs";
    let Some(verifier) = &log.verifier else { return Ok(()) };
    let folder = "data/log/proofs/";
    let mut proven = 0;
    for file in files.under(folder) {
        let number = file.strip_prefix("exhibit-").and_then(|rest| rest.strip_suffix(".tlog-proof"));
        let number = number.and_then(|number| number.parse::<u64>().ok());
        let entry = log.entries.values().find(|(entry, _)| number.is_some() && entry.exhibit == number);
        let text = files.text(&format!("{folder}{file}"), PROOF_BYTES as u64)?;
        let (Some((entry, leaf)), Some(text)) = (entry, text) else {
            report.red(name, format!("{folder}{file} is the proof of no exhibit that is here"));
            continue;
        };
        let judged = Proof::parse(&text)
            .and_then(|proof| proof.verify(leaf, verifier, &[]).map(|cosigned| (proof.index, cosigned.checkpoint)));
        match judged {
            Ok((index, _)) if index != entry.sequence => {
                report.red(name, format!("{folder}{file} is the proof of another entry"));
            }
            Ok((_, head)) if log.roots.get(&head.size) != Some(&head.root) => {
                report.red(name, format!("{folder}{file} leads to a head of another log under the same key"));
            }
            Ok(_) => proven += 1,
            Err(error) => report.red(name, format!("{folder}{file}: {error}")),
        }
    }
    report.holds(name, format!("{proven} proofs lead from an exhibit's entry to a signed head"));
    Ok(())
}

/// Times and numbers go up.
fn order(log: &Log, report: &mut Report) {
    let mut last: Option<&Entry> = None;
    let mut exhibit = 0;
    for (entry, _) in log.entries.values() {
        if last.is_some_and(|last| entry.time < last.time) || entry.exhibit.is_some_and(|number| number <= exhibit) {
            report.red(
                "log.order",
                format!("entry {} is earlier, or of a smaller exhibit, than one before it", entry.sequence),
            );
        }
        exhibit = entry.exhibit.unwrap_or(exhibit);
        last = Some(entry);
    }
    report.holds("log.order", "times and numbers of exhibits go up through the log");
    report.limit("the chain of digests from entry to entry runs over parts that stay in the store; the tree of hashes takes its place here");
}

/// SHA-256 of a file, hex.
pub fn sum(files: &Folder, name: &str) -> Result<Option<String>, Unreadable> {
    if !files.has(name) {
        return Ok(None);
    }
    let file = files.open(name)?.take(u64::MAX);
    let (sum, _) = crate::folder::digest(file).map_err(|source| fault(Path::new(name), source))?;
    Ok(Some(HEXLOWER.encode(&sum)))
}
