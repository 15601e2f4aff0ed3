//! Heads that the log signed before, in other hands: witnesses, a folder outside the store, somebody's
//! drawer. Whatever was put back or rewritten must be met, and what was not must not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use sha2::{Digest, Sha256};
use vigie_log::cosignature::{WitnessKey, cosign};
use vigie_store::checkpoint::{Checkpoint, Verifier};
use vigie_store::log::{leaf_hash, verify_consistency, verify_inclusion};
use vigie_store::{
    Commitment, Draft, Kind, KnownHead, Outside, Reader, Settings, Store, StoreError, VerifyOptions, VerifyReport,
};

use crate::kit::{Heard, Kit, Quiet, copy_tree, draft};

const ORIGIN: &str = "customs.example/desk-1";

struct Witness {
    secret: SigningKey,
    key: WitnessKey,
}

fn witness(seed: u8, name: &str) -> Witness {
    let secret = SigningKey::from_bytes(&[seed; 32]);
    let key = WitnessKey::new(name, secret.verifying_key());
    Witness { secret, key }
}

impl Witness {
    /// The checkpoint that lies in a store, cosigned.
    fn cosigned(&self, dir: &Path, time: u64) -> String {
        let text = std::fs::read_to_string(dir.join("checkpoint")).expect("is there");
        let log = std::fs::read_to_string(dir.join("log.vkey")).expect("is there");
        let log = Verifier::parse(log.trim()).expect("a key");
        let head = Checkpoint::open(&text, &log).expect("signed");
        text + &cosign(&head, self.key.name(), &self.secret, time)
    }
}

/// An act as the agent's part of the program makes it; who signed is not the store's question.
fn act() -> Draft {
    let commitment = |name| Commitment { name, value: b"x".to_vec() };
    let commitments = vec![commitment("agent-signature"), commitment("agent-statement")];
    Draft { commitments, ..draft(Kind::Witness) }
}

fn trust(store: &Store, witness: &Witness) -> u64 {
    let (key, known) = store.check_witness(&format!("{}\n", witness.key)).expect("a key");
    assert!(!known);
    store.trust_witness(&key, act()).expect("is trusted").sequence
}

fn take(store: &Store, text: &str) -> u64 {
    let checked = store.check_cosigned(text).expect("holds");
    assert!(!checked.is_known());
    store.take_cosigned(&checked, act()).expect("is taken in").sequence
}

fn grow(store: &Store, entries: u64) {
    for _ in 0..entries {
        store.append(draft(Kind::SessionClose)).expect("appends");
    }
}

/// Every file of a folder, with what it holds.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

fn verify(dir: &Path, options: VerifyOptions) -> VerifyReport {
    vigie_store::verify(dir, options, &Quiet).expect("a report")
}

fn told(report: &VerifyReport) -> String {
    report.problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn a_cosigned_head_is_bound_by_the_log_and_counts_until_the_next_entry() {
    let (kit, witness) = (Kit::new(), witness(1, "witness.example"));
    let store = kit.open();
    grow(&store, 4);
    assert_eq!(Reader::open(&kit.dir()).expect("opens").witnessed().expect("held").unwitnessed, 5);
    assert_eq!(trust(&store, &witness), 5);
    assert!(store.check_witness(&witness.key.to_string()).expect("a key").1, "known now");
    let text = witness.cosigned(&kit.dir(), 1_790_000_100);
    assert_eq!(take(&store, &text), 6);
    grow(&store, 2);
    assert!(store.check_cosigned(&text).expect("holds").is_known());
    drop(store);

    let reader = Reader::open(&kit.dir()).expect("opens");
    let witnessed = reader.witnessed().expect("held");
    assert_eq!((witnessed.unwitnessed, witnessed.size_of(&witness.key)), (3, 6));
    assert_eq!(witnessed.since, Some(reader.entry(6).expect("is there").stamp.wall));
    let report = kit.verify_with(false, false);
    assert!(report.problems.is_empty(), "{}", told(&report));
    let head = report.witnessed.expect("cosigned");
    assert_eq!((head.size, head.cosignatures[0].time, report.unwitnessed), (6, 1_790_000_100, 3));
    assert!(report.notes.iter().any(|note| note.contains("no witness vouches for 3 entries")), "{:?}", report.notes);
    // Whoever trusts another witness alone sees no cosignature at all.
    let other = self::witness(2, "other.example").key;
    let report = verify(&kit.dir(), VerifyOptions { witnesses: vec![other], ..VerifyOptions::default() });
    assert!(report.problems.is_empty() && report.witnessed.is_none(), "{}", told(&report));
    assert_eq!(report.unwitnessed, 9);

    // A proof shows the cosigned head where it covers the entry, else the signed one.
    for (entry, size) in [(3, 6), (5, 6), (6, 9), (8, 9)] {
        let proof = reader.proof(entry).expect("a proof");
        let log = Verifier::parse(&reader.verifier_key()).expect("a key");
        let leaf = leaf_hash(&reader.entry_bytes(entry).expect("is there"));
        let cosigned = proof.verify(&leaf, &log, std::slice::from_ref(&witness.key)).expect("proves");
        assert_eq!((cosigned.checkpoint.size, cosigned.cosignatures.len()), (size, usize::from(size == 6)));
        assert!(verify_inclusion(&leaf, entry, size, &proof.path, &cosigned.checkpoint.root));
        assert!(proof.verify(&leaf_hash(b"another"), &log, &[]).is_err());
    }
    let path = reader.consistency_proof(6).expect("reads").expect("smaller");
    assert!(verify_consistency(6, &head.root, 9, &reader.root(), &path));
    assert!(matches!(reader.request(10), Err(StoreError::TakenAway { signed: 9, known: 10, .. })));
}

#[test]
fn what_is_not_taken_in_changes_nothing() {
    let (kit, other, witness) = (Kit::new(), Kit::new(), witness(1, "witness.example"));
    let store = kit.open();
    let not_taken = |text: &str, words: &str| match store.check_cosigned(text) {
        Err(StoreError::NotTaken { what }) => assert!(what.contains(words), "{what}"),
        other => panic!("{words}: {other:?}"),
    };
    not_taken(&witness.cosigned(&kit.dir(), 1), "trusts no witness");
    trust(&store, &witness);
    let older = witness.cosigned(&kit.dir(), 1_790_000_100);
    grow(&store, 1);
    let text = witness.cosigned(&kit.dir(), 1_790_000_200);
    take(&store, &text);
    let before = contents(&kit.dir());

    not_taken(&older, "cosigned 3 entries already");
    not_taken(
        &witness.cosigned(&kit.dir(), 7).replace(ORIGIN, "customs.example/desk-2"),
        "another log, customs.example/desk-2",
    );
    not_taken(&witness.cosigned(&other.dir(), 7), "no signature of the log's key");
    not_taken(&self::witness(2, "witness.example").cosigned(&kit.dir(), 7), "none of the witnesses trusted here");
    not_taken(&std::fs::read_to_string(kit.dir().join("checkpoint")).expect("reads"), "none of the witnesses");
    let forged = text.replace("\u{2014} witness.example ", "\u{2014} witness.example A");
    not_taken(&forged, "not a checkpoint");
    for rubbish in ["", "\n\n", "x", "customs.example/desk-1\n3\n", "old 3\n\nx\n"] {
        assert!(matches!(store.check_cosigned(rubbish), Err(StoreError::NotTaken { .. })), "{rubbish:?}");
    }
    for vkey in ["", "witness.example", &store_key(&kit), &format!("{} ", &witness.key.to_string()[1..])] {
        assert!(matches!(store.check_witness(vkey), Err(StoreError::NotTaken { .. })), "{vkey:?}");
    }
    // Another key under a known name would let somebody speak for the witness.
    match store.check_witness(&self::witness(2, "witness.example").key.to_string()) {
        Err(StoreError::NotTaken { what }) => assert!(what.contains("under another key"), "{what}"),
        other => panic!("{other:?}"),
    }
    // The entry must be an act of its kind.
    let checked = store.check_cosigned(&text).expect("holds");
    assert!(store.take_cosigned(&checked, draft(Kind::Export)).is_err());
    assert_eq!(contents(&kit.dir()), before);
}

fn store_key(kit: &Kit) -> String {
    std::fs::read_to_string(kit.dir().join("log.vkey")).expect("is there").trim().to_owned()
}

#[test]
fn files_of_witnesses_that_went_missing_or_were_altered_are_seen_and_can_be_put_back() {
    let (kit, witness) = (Kit::new(), witness(1, "witness.example"));
    let store = kit.open();
    trust(&store, &witness);
    let text = witness.cosigned(&kit.dir(), 1_790_000_100);
    take(&store, &text);
    drop(store);
    let folder = kit.dir().join("witness");
    let whole = contents(&folder);
    assert_eq!(whole.len(), 2);
    for (path, bytes) in &whole {
        std::fs::remove_file(path).expect("goes");
        assert!(told(&kit.verify_with(false, false)).contains("not in witness/"), "{}", path.display());
        assert!(Reader::open(&kit.dir()).expect("opens").witnessed().is_err());
        for bit in [0, bytes.len() * 4, bytes.len() * 8 - 1] {
            let mut bytes = bytes.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(path, bytes).expect("writes");
            assert!(!kit.verify_with(false, false).problems.is_empty(), "{}", path.display());
        }
        std::fs::remove_file(path).expect("goes");
        // Handed in again, it lies there again, and the log has no second entry of it.
        let store = kit.open();
        let size = Reader::open(&kit.dir()).expect("opens").size();
        assert!(store.check_witness(&witness.key.to_string()).expect("a key").1);
        assert!(store.check_cosigned(&text).expect("holds").is_known());
        drop(store);
        assert_eq!(Reader::open(&kit.dir()).expect("opens").size(), size);
        assert_eq!(contents(&folder), whole);
    }
    // What a stop in mid-write leaves is nothing; a stranger's file is something.
    std::fs::write(folder.join("x.checkpoint.part"), "half").expect("writes");
    assert!(kit.verify_with(false, false).problems.is_empty());
    std::fs::write(folder.join("notes.txt"), "mine").expect("writes");
    assert!(told(&kit.verify_with(false, false)).contains("notes.txt"));
}

/// A head that was cosigned and whose entry was lost to a stop still holds the log.
#[test]
fn a_head_without_its_entry_holds_the_log_and_can_be_taken_in() {
    let (kit, witness) = (Kit::new(), witness(1, "witness.example"));
    let store = kit.open();
    trust(&store, &witness);
    drop(store);
    let text = witness.cosigned(&kit.dir(), 1_790_000_100);
    let name = data_encoding::HEXLOWER.encode(&Sha256::digest(&text));
    std::fs::write(kit.dir().join("witness").join(format!("{name}.checkpoint")), &text).expect("writes");
    let report = kit.verify_with(false, false);
    assert!(report.problems.is_empty() && report.witnessed.is_some(), "{}", told(&report));
    assert!(report.notes.iter().any(|note| note.contains("no entry names")), "{:?}", report.notes);
    let store = kit.open();
    take(&store, &text);
    drop(store);
    assert!(!kit.verify_with(false, false).notes.iter().any(|note| note.contains("no entry names")));
}

/// Copies of one store as it grew, and the heads that it had.
struct Past {
    kit: Kit,
    /// The store at each size from 2 on.
    copies: Vec<PathBuf>,
    heads: Vec<String>,
}

impl Past {
    fn new(sizes: u64) -> Self {
        let kit = Kit::new();
        let (mut copies, mut heads) = (Vec::new(), Vec::new());
        for _ in 0..sizes {
            grow(&kit.open(), 1);
            let copy = kit.folder.path().join(format!("copy-{}", copies.len()));
            copy_tree(&kit.dir(), &copy);
            heads.push(std::fs::read_to_string(kit.dir().join("checkpoint")).expect("is there"));
            copies.push(copy);
        }
        Self { kit, copies, heads }
    }

    /// What a store is told of by one head that was kept, in each way it can be.
    fn met(&self, store: &Path, head: &str) -> [bool; 3] {
        let known = vec![KnownHead { whence: "drawer".into(), text: head.to_owned() }];
        let drawer = verify(store, VerifyOptions { heads: known, ..VerifyOptions::default() });
        let folder = self.kit.folder.path().join("outside");
        let outside = Outside::new(&folder);
        let file = outside.file(store).expect("a name");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(&file, head).expect("writes");
        let own = verify(store, VerifyOptions { outside: Some(outside.clone()), ..VerifyOptions::default() });
        let read = match Reader::open_held(store, Some(&outside)) {
            Ok(_) => false,
            Err(error) => {
                assert!(error.is_damage(), "{error}");
                true
            }
        };
        [!drawer.problems.is_empty(), !own.problems.is_empty(), read]
    }
}

/// design/store.md: 1,000 cases, all detected.
#[test]
fn every_rollback_and_every_fork_is_met_by_every_head_behind_it() {
    let past = Past::new(20);
    let (mut rollbacks, mut forks, mut honest) = (0, 0, 0);
    for (at, copy) in past.copies.iter().enumerate() {
        for (of, head) in past.heads.iter().enumerate() {
            let older = at < of;
            let met = past.met(copy, head);
            assert_eq!(met, [older; 3], "the store of {at} against the head of {of}");
            *(if older { &mut rollbacks } else { &mut honest }) += met.len();
        }
        // Another history from here on, as long as the first.
        let store = Store::open(copy, past.kit.key.clone(), past.kit.clock.clone(), &Quiet).expect("opens");
        grow(&store, (past.copies.len() - at - 1) as u64);
        drop(store);
        for (of, head) in past.heads.iter().enumerate() {
            let met = past.met(copy, head);
            assert_eq!(met, [at < of; 3], "the fork of {at} against the head of {of}");
            *(if at < of { &mut forks } else { &mut honest }) += met.len();
        }
    }
    println!("{rollbacks} rollbacks and {forks} forks met, {honest} honest stores let pass");
    assert!(rollbacks + forks >= 1000);
}

#[test]
fn a_store_that_was_put_back_is_refused_before_anything_in_it_changes() {
    let kit = Kit::new();
    let outside = Outside::new(kit.folder.path().join("state/heads"));
    let settings = || Settings { outside: Some(outside.clone()), ..Settings::default() };
    let heard = Heard::default();
    let open = |dir: &Path| Store::open_with(dir, kit.key.clone(), kit.clock.clone(), &heard, settings());
    let store = open(&kit.dir()).expect("opens");
    let file = outside.file(&kit.dir()).expect("a name");
    let said = std::mem::take(&mut *heard.0.lock().expect("not poisoned"));
    assert!(said.len() == 1 && said[0].contains("no head of this log was kept"), "{said:?}");
    grow(&store, 2);
    drop(store);
    assert_eq!(std::fs::read(&file).ok(), std::fs::read(kit.dir().join("checkpoint")).ok());
    let (old, fork) = (kit.folder.path().join("old"), kit.folder.path().join("fork"));
    copy_tree(&kit.dir(), &old);
    copy_tree(&kit.dir(), &fork);
    // Somebody with the key works on a copy, where nobody keeps its head.
    grow(&Store::open(&fork, kit.key.clone(), kit.clock.clone(), &Quiet).expect("opens"), 9);
    grow(&open(&kit.dir()).expect("goes on"), 3);
    assert_eq!(*heard.0.lock().expect("not poisoned"), Vec::<String>::new());

    let before = contents(&old);
    match open(&old).map(drop) {
        Err(StoreError::TakenAway { signed: 3, known: 6, whence }) => assert!(whence.contains("outside"), "{whence}"),
        other => panic!("{other:?}"),
    }
    let locks = |tree: BTreeMap<PathBuf, Vec<u8>>| tree.into_iter().filter(|(path, _)| !path.ends_with("lock"));
    assert!(locks(contents(&old)).eq(locks(before)));
    assert!(matches!(open(&fork).map(drop), Err(StoreError::Rewritten { size: 6, .. })));
    assert!(matches!(outside.keep(&old), Err(StoreError::TakenAway { .. })));
    // The rightful one still goes on.
    grow(&open(&kit.dir()).expect("goes on"), 1);
    assert!(kit.verify_with(false, false).problems.is_empty());

    // An altered head outside is an alarm of its own, everywhere.
    let whole = std::fs::read(&file).expect("is there");
    for bad in [&b""[..], b"x", &whole[..whole.len() - 3], &[b"x", &whole[..]].concat(), &[0xFF; 9]] {
        std::fs::write(&file, bad).expect("writes");
        assert!(matches!(open(&kit.dir()).map(drop), Err(StoreError::NotOurHead { .. })));
        assert!(matches!(Reader::open_held(&kit.dir(), Some(&outside)).map(drop), Err(StoreError::NotOurHead { .. })));
        let report = verify(&kit.dir(), VerifyOptions { outside: Some(outside.clone()), ..VerifyOptions::default() });
        assert!(told(&report).contains("no head that this log signed"), "{}", told(&report));
    }
    std::fs::write(&file, whole).expect("writes");
    open(&kit.dir()).expect("goes on");
}

#[test]
fn a_head_that_cannot_be_kept_is_said_and_stops_nothing() {
    let kit = Kit::new();
    // A file where the folder should be.
    let blocked = kit.folder.path().join("blocked");
    std::fs::write(&blocked, "").expect("writes");
    let heard = Heard::default();
    let settings = Settings { outside: Some(Outside::new(blocked.join("heads"))), ..Settings::default() };
    match Store::open_with(&kit.dir(), kit.key.clone(), kit.clock.clone(), &heard, settings) {
        Ok(store) => grow(&store, 1),
        Err(error) => panic!("{error}"),
    }
    let said = heard.0.lock().expect("not poisoned").join("\n");
    assert!(said.contains("would not be seen here"), "{said}");
    assert!(kit.verify_with(false, false).problems.is_empty());
}

#[test]
fn tiles_hold_the_log_and_nothing_that_was_not_signed() {
    let kit = Kit::new();
    grow(&kit.open(), 300);
    let reader = Reader::open(&kit.dir()).expect("opens");
    let mut files = BTreeMap::new();
    reader
        .tiles(|resource| {
            files.insert(resource.path, resource.bytes);
            Ok::<_, StoreError>(())
        })
        .expect("tiles");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["checkpoint", "tile/0/000", "tile/0/001.p/45", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/45"]
    );
    assert_eq!(files["checkpoint"], reader.checkpoint().as_bytes());
    assert_eq!(files["tile/0/000"][32 * 7..32 * 8], leaf_hash(&reader.entry_bytes(7).expect("is there")));
}

#[test]
fn a_witness_that_is_struck_off_counts_for_what_it_said_before() {
    let (kit, old, other) = (Kit::new(), witness(1, "witness.example"), witness(2, "other.example"));
    let store = kit.open();
    grow(&store, 2);
    trust(&store, &old);
    let early = old.cosigned(&kit.dir(), 1_790_000_100);
    take(&store, &early);
    let waiting = old.cosigned(&kit.dir(), 1_790_000_200);
    assert!(matches!(store.trusted_witness("nobody.example"), Err(StoreError::NotTaken { .. })));
    let key = store.trusted_witness("witness.example").expect("is trusted");
    // Only an act of its kind strikes off.
    assert!(store.distrust_witness(&key, draft(Kind::Export)).is_err());
    let entry = store.distrust_witness(&key, act()).expect("is struck off").sequence;
    match store.trusted_witness("witness.example") {
        Err(StoreError::NotTaken { what }) => assert!(what.contains(&format!("entry {entry}")), "{what}"),
        other => panic!("{other:?}"),
    }
    // What it signs later, or signed and nobody took in, does not count; what was taken in stays.
    grow(&store, 1);
    for text in [&old.cosigned(&kit.dir(), 1_790_000_300), &waiting] {
        assert!(matches!(store.check_cosigned(text), Err(StoreError::NotTaken { .. })));
    }
    // Its name is trusted no more, under whatever key.
    for seed in [1, 7] {
        match store.check_witness(&witness(seed, "witness.example").key.to_string()) {
            Err(StoreError::NotTaken { what }) => assert!(what.contains("struck off by entry"), "{what}"),
            other => panic!("{other:?}"),
        }
    }
    let told_size = |report: &VerifyReport| report.witnessed.as_ref().map(|head| (head.size, head.names()));
    let report = kit.verify_with(false, false);
    assert!(report.problems.is_empty(), "{}", told(&report));
    assert_eq!(told_size(&report), Some((4, "witness.example".to_owned())));
    assert!(report.notes.iter().any(|note| note.contains(&format!("trusted no more since entry {entry}"))));
    let witnessed = Reader::open(&kit.dir()).expect("opens").witnessed().expect("held");
    assert_eq!((witnessed.witnesses.len(), witnessed.struck.len(), witnessed.heads.len()), (0, 1, 1));
    // Kept elsewhere, its later word counts no more than inside; a verifier may still believe it.
    let later = old.cosigned(&kit.dir(), 1_790_000_400);
    let heads = vec![KnownHead { whence: "drawer".into(), text: later }];
    let report = verify(&kit.dir(), VerifyOptions { heads: heads.clone(), ..VerifyOptions::default() });
    assert_eq!(told_size(&report).map(|(size, _)| size), Some(4));
    // A stop between file and entry left this one: it is told, is no damage, and does not count.
    let name = data_encoding::HEXLOWER.encode(&Sha256::digest(&waiting));
    std::fs::write(kit.dir().join("witness").join(format!("{name}.checkpoint")), &waiting).expect("writes");
    let report = kit.verify_with(false, false);
    assert!(report.problems.is_empty(), "{}", told(&report));
    assert!(report.notes.iter().any(|note| note.contains("no entry names")), "{:?}", report.notes);
    assert_eq!(told_size(&report).map(|(size, _)| size), Some(4));
    let own = VerifyOptions { heads, witnesses: vec![old.key.clone()], ..VerifyOptions::default() };
    assert!(told_size(&verify(&kit.dir(), own)).is_some_and(|(size, _)| size > 4));
    // Another witness takes its place, and vouches alone.
    trust(&store, &other);
    take(&store, &other.cosigned(&kit.dir(), 1_790_000_500));
    drop(store);
    let report = kit.verify_with(false, false);
    assert!(report.problems.is_empty(), "{}", told(&report));
    assert!(told_size(&report).is_some_and(|(size, names)| size == 8 && names == "other.example"));
}

/// Who holds the store's key writes what the commands refuse: it is seen.
#[test]
fn a_word_that_is_taken_in_from_a_struck_off_witness_is_seen_and_does_not_count() {
    let (kit, old) = (Kit::new(), witness(1, "witness.example"));
    let store = kit.open();
    trust(&store, &old);
    grow(&store, 1);
    let checked = store.check_cosigned(&old.cosigned(&kit.dir(), 1_790_000_100)).expect("holds");
    store.distrust_witness(&old.key, act()).expect("is struck off");
    let entry = store.take_cosigned(&checked, act()).expect("the store itself writes it").sequence;
    drop(store);
    let report = kit.verify_with(false, false);
    let told = report.problems.iter().find(|problem| problem.entry == Some(entry));
    assert!(told.is_some_and(|problem| problem.what.contains("no trusted witness")), "{:?}", report.problems);
    assert!(report.witnessed.is_none());
    assert!(Reader::open(&kit.dir()).expect("opens").witnessed().is_err());
}

/// The same of names and of keys.
#[test]
fn a_name_that_is_trusted_again_or_struck_off_untrusted_is_seen() {
    let (kit, old, again) = (Kit::new(), witness(1, "witness.example"), witness(7, "witness.example"));
    let store = kit.open();
    trust(&store, &old);
    store.distrust_witness(&old.key, act()).expect("is struck off");
    store.trust_witness(&again.key, act()).expect("the store itself writes it");
    drop(store);
    let report = kit.verify_with(false, false);
    assert!(told(&report).contains("it trusts witness.example again"), "{}", told(&report));
    let kit = Kit::new();
    kit.open().distrust_witness(&old.key, act()).expect("the store itself writes it");
    let report = kit.verify_with(false, false);
    assert!(told(&report).contains("that no entry before it trusts"), "{}", told(&report));
}
