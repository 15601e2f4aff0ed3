//! Keys and their passphrases, exhibits in the hands of their recipients, and what an opening would
//! do.

use std::io::Read;

use age::secrecy::SecretString;
use vigie_store::{Forecast, Reader, StoreError, forecast, unlock_key};

use crate::kit::{Kit, copy_tree, passphrase, warc};

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
fn a_new_passphrase_replaces_the_old() {
    let kit = Kit::new();
    let new = SecretString::from("battery staple");
    vigie_store::change_passphrase(&kit.dir(), &kit.key, &new).expect("changes");
    assert!(matches!(unlock_key(&kit.dir(), &passphrase()), Err(StoreError::WrongPassphrase)));
    let key = unlock_key(&kit.dir(), &new).expect("unlocks");
    assert_eq!(key.as_bytes(), kit.key.as_bytes());
    kit.sound();
    // Not under a writer, and not with another store's key.
    let store = kit.open();
    assert!(matches!(vigie_store::change_passphrase(&kit.dir(), &kit.key, &new), Err(StoreError::Locked { .. })));
    store.create_profile("case", "heron", &passphrase(), false).expect("makes");
    store.change_profile_passphrase("case", "heron", &passphrase(), &new).expect("changes");
    assert!(matches!(store.unlock_profile("case", "heron", &passphrase()), Err(StoreError::WrongPassphrase)));
    store.unlock_profile("case", "heron", &new).expect("unlocks");
    let wrong = store.change_profile_passphrase("case", "heron", &passphrase(), &new);
    assert!(matches!(wrong, Err(StoreError::WrongPassphrase)));
    let unknown = store.change_profile_passphrase("case", "ibis", &new, &new);
    assert!(matches!(unknown, Err(StoreError::NoSuchProfile)));
    drop(store);
    let other = Kit::new();
    assert!(matches!(vigie_store::change_passphrase(&other.dir(), &kit.key, &new), Err(StoreError::WrongKey)));
    unlock_key(&other.dir(), &passphrase()).expect("nothing was changed");
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
