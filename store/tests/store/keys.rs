//! Keys and their passphrases, exhibits in the hands of their recipients, and what an opening would
//! do.

use std::io::Read;
use std::sync::{Arc, Mutex};

use age::secrecy::SecretString;
use sha2::{Digest, Sha256};
use vigie_store::{Forecast, Kind, Reader, Settings, Store, StoreError, StoreEvents, forecast, unlock_key};

use crate::kit::{Kit, copy_tree, draft, passphrase, warc};
use crate::proof::faults::FaultDisk;

fn identities(identity: &age::x25519::Identity) -> Vec<Box<dyn age::Identity + Send + Sync>> {
    vec![Box::new(identity.clone())]
}

#[test]
fn a_recipient_reads_what_was_sealed() {
    let kit = Kit::new();
    let store = kit.open();
    for number in 0..3 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    let reader = Reader::open(&kit.dir()).expect("opens");
    let mut opened = reader.open_exhibit(2, &identities(&kit.case)).expect("opens");
    let mut plain = Vec::new();
    opened.read_to_end(&mut plain).expect("reads");
    assert_eq!(plain, warc(b"page 1"));
    opened.finish().expect("is what was committed to");
    // Unread to the end, it is judged all the same.
    reader.open_exhibit(1, &identities(&kit.case)).expect("opens").finish().expect("holds");
    let stranger = age::x25519::Identity::generate();
    let refused = reader.open_exhibit(2, &identities(&stranger)).err();
    assert!(matches!(refused, Some(StoreError::NotARecipient { number: 2 })), "{refused:?}");
    assert!(matches!(reader.open_exhibit(9, &identities(&kit.case)).err(), Some(StoreError::NoSuchExhibit { .. })));
}

/// Somebody who can write the disk seals other bytes to the same recipients.
#[test]
fn another_exhibit_in_its_place_is_seen() {
    let kit = Kit::new();
    let store = kit.open();
    // Age files of the same plaintext length differ in length (grease): two are alike among these.
    for number in 0..40 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    let reader = Reader::open(&kit.dir()).expect("opens");
    let sealed = |number| {
        let mut bytes = Vec::new();
        reader.exhibit(number).expect("is there").1.read_to_end(&mut bytes).expect("reads");
        bytes
    };
    let all: Vec<Vec<u8>> = (1..=40).map(sealed).collect();
    let pairs = (0..40).flat_map(|one| (one + 1..40).map(move |other| (one, other)));
    let (one, other) = { pairs }.find(|(one, other)| all[*one].len() == all[*other].len()).expect("two as long");
    let (first, second) = (&all[one], &all[other]);
    let segment = first_file(&kit.dir().join("segments"));
    let mut bytes = std::fs::read(&segment).expect("reads");
    let at = bytes.windows(first.len()).position(|window| window == *first).expect("is there");
    bytes[at..at + first.len()].copy_from_slice(second);
    std::fs::write(&segment, bytes).expect("writes");
    let error = reader.open_exhibit(one as u64 + 1, &identities(&kit.case)).expect("opens").finish().err();
    assert!(error.as_ref().is_some_and(StoreError::is_damage), "{error:?}");
}

fn first_file(folder: &std::path::Path) -> std::path::PathBuf {
    std::fs::read_dir(folder).expect("lists").flatten().map(|entry| entry.path()).min().expect("a segment")
}

#[test]
fn a_new_passphrase_replaces_the_old_and_is_an_entry() {
    let kit = Kit::new();
    let new = SecretString::from("battery staple");
    let store = kit.open();
    // Nothing but its own kind of entry comes with a change, and no such entry without a change.
    assert!(store.change_passphrase(&new, draft(Kind::Heartbeat)).is_err());
    assert!(store.append(draft(Kind::Passphrase)).is_err());
    unlock_key(&kit.dir(), &passphrase()).expect("nothing was changed");
    let receipt = store.change_passphrase(&new, draft(Kind::Passphrase)).expect("changes");
    assert!(matches!(unlock_key(&kit.dir(), &passphrase()), Err(StoreError::WrongPassphrase)));
    assert_eq!(unlock_key(&kit.dir(), &new).expect("unlocks").as_bytes(), kit.key.as_bytes());
    // The entry binds the file that opens with it.
    let entry = Reader::open(&kit.dir()).expect("opens").entry(receipt.sequence).expect("is there");
    let file: [u8; 32] = Sha256::digest(std::fs::read(kit.dir().join("key.age")).expect("reads")).into();
    assert_eq!((entry.kind, entry.digests), (Kind::Passphrase, vec![("key".to_owned(), file)]));

    store.create_profile("case", "heron", &passphrase(), false).expect("makes");
    let change = |name: &str, old: &SecretString| {
        store.change_profile_passphrase("case", name, old, &new, draft(Kind::Passphrase))
    };
    let receipt = change("heron", &passphrase()).expect("changes");
    assert!(matches!(store.unlock_profile("case", "heron", &passphrase()), Err(StoreError::WrongPassphrase)));
    store.unlock_profile("case", "heron", &new).expect("unlocks");
    let size = || Reader::open(&kit.dir()).expect("opens").size();
    assert_eq!(size(), receipt.sequence + 1);
    // What fails leaves no entry.
    assert!(matches!(change("heron", &passphrase()), Err(StoreError::WrongPassphrase)));
    assert!(matches!(change("ibis", &new), Err(StoreError::NoSuchProfile)));
    assert_eq!(size(), receipt.sequence + 1);
    drop(store);
    let report = kit.sound();
    assert!(!report.notes.iter().any(|note| note.contains("key.age")), "{:?}", report.notes);
    // Another key file than the newest entry says is told; one that is gone was wiped.
    std::fs::write(kit.dir().join("key.age"), "other").expect("writes");
    assert!(kit.sound().notes.iter().any(|note| note.contains("key.age is not the file of entry 1")));
    std::fs::remove_file(kit.dir().join("key.age")).expect("removes");
    assert!(!kit.sound().notes.iter().any(|note| note.contains("key.age")));
}

/// A change without its entry, or an entry that is lost with its change: no failure makes one.
#[test]
fn a_disk_that_fails_changes_no_passphrase_without_an_entry() {
    let new = SecretString::from("battery staple");
    let mut changed = 0;
    for at in 0.. {
        let kit = Kit::new();
        let disk = Arc::new(FaultDisk::default());
        let store = kit.open_with(Settings { disk: disk.clone(), ..Settings::default() }).expect("opens");
        let before = disk.operations();
        disk.fail_after(at);
        let result = store.change_passphrase(&new, draft(Kind::Passphrase));
        let used = disk.operations() - before;
        disk.fail_after(-1);
        drop(store);
        let opens = unlock_key(&kit.dir(), &new).is_ok();
        assert!(opens != unlock_key(&kit.dir(), &passphrase()).is_ok(), "operation {at}: exactly one opens it");
        drop(kit.open());
        let said = Reader::open(&kit.dir())
            .expect("opens")
            .entries()
            .expect("reads")
            .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.kind == Kind::Passphrase))
            .count();
        assert!(!opens || said == 1, "operation {at}: changed without an entry");
        changed += u32::from(opens);
        kit.sound();
        if result.is_ok() && used <= at as u64 {
            break;
        }
    }
    assert!(changed > 0);
}

#[test]
fn wiped_keys_are_gone_and_the_evidence_is_not() {
    let kit = Kit::new();
    let store = kit.open();
    store.create_profile("case", "heron", &passphrase(), false).expect("makes");
    store.append(kit.exhibit(&store, 1)).expect("appends");
    drop(store);
    assert_eq!(vigie_store::wipe_keys(&kit.dir()).expect("wipes"), 3);
    assert!(matches!(unlock_key(&kit.dir(), &passphrase()), Err(StoreError::NotAStore { .. })));
    let report = kit.verify_with(false, true);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    assert_eq!(report.opened, 1);
    assert_eq!(vigie_store::wipe_keys(&kit.dir()).expect("nothing is left to do"), 0);
}

/// Hears how far a rebuild is.
#[derive(Default)]
struct Rebuilding(Mutex<Vec<(u64, u64)>>);

impl StoreEvents for Rebuilding {
    fn event(&self, _: &str) {}

    fn rebuilding(&self, done: u64, total: u64) {
        self.0.lock().expect("not poisoned").push((done, total));
    }
}

#[test]
fn a_rebuild_tells_how_far_it_is_and_nothing_else_does() {
    let kit = Kit::new();
    let store = kit.open();
    for _ in 0..2500 {
        store.submit(draft(Kind::Heartbeat), Box::new(|result| assert!(result.is_ok(), "{result:?}")));
    }
    drop(store);
    let told = |dir: &std::path::Path| {
        let heard = Rebuilding::default();
        drop(Store::open(dir, kit.key.clone(), kit.clock.clone(), &heard).expect("opens"));
        heard.0.into_inner().expect("not poisoned")
    };
    assert_eq!(told(&kit.dir()), []);
    Store::mark_for_rebuild(&kit.dir()).expect("marks");
    assert_eq!(told(&kit.dir()), [(1000, 2501), (2000, 2501)]);
    assert_eq!(told(&kit.dir()), []);
}

/// For each state of a store: what is foretold is what an opening of it then does.
#[test]
fn what_is_foretold_happens() {
    let kit = Kit::new();
    let store = kit.open();
    for number in 0..4 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    assert!(matches!(forecast(&kit.dir(), &kit.key, kit.clock.as_ref()), Err(StoreError::Locked { .. })));
    drop(store);
    let look = || forecast(&kit.dir(), &kit.key, kit.clock.as_ref()).expect("an answer");
    let clean = look();
    assert!(clean.is_clean() && clean.signed == 5, "{clean:?}");

    // Bytes of a frame that was being written.
    let segment = first_file(&kit.dir().join("segments"));
    let whole = std::fs::read(&segment).expect("reads");
    std::fs::write(&segment, [&whole[..], &whole[whole.len() / 2..]].concat()).expect("writes");
    let torn = look();
    assert_eq!(torn, Forecast { signed: 5, torn_bytes: (whole.len() - whole.len() / 2) as u64, ..Forecast::default() });
    assert_eq!(look(), torn, "a look changes nothing");
    drop(kit.open());
    assert!(look().is_clean());
    assert_eq!(std::fs::read_dir(kit.dir().join("torn")).expect("lists").count(), 1);

    // A catalogue that is gone.
    std::fs::remove_dir_all(kit.dir().join("catalogue")).expect("removes");
    assert!(look().rebuild.is_some());
    assert!(!kit.dir().join("catalogue").exists() && !kit.dir().join("catalogue.damaged").exists());
    drop(kit.open());
    vigie_store::Store::mark_for_rebuild(&kit.dir()).expect("marks");
    assert!(look().rebuild.is_some());
    drop(kit.open());
    assert!(look().is_clean());

    // Evidence that is missing.
    let copy = kit.folder.path().join("copy");
    copy_tree(&kit.dir(), &copy);
    let segment = first_file(&copy.join("segments"));
    let bytes = std::fs::read(&segment).expect("reads");
    std::fs::write(&segment, &bytes[..bytes.len() - 1]).expect("writes");
    let refused = forecast(&copy, &kit.key, kit.clock.as_ref()).expect("an answer").refused;
    assert!(refused.is_some_and(|why| why.contains("ALARM")));
    // And a clock behind the log.
    kit.clock.set(1_000_000_000_000);
    assert!(look().refused.is_some_and(|why| why.contains("clock")));
    assert_eq!(std::fs::read_dir(kit.dir().join("spool")).expect("lists").count(), 0, "copies are left");
}
