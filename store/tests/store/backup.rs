//! Copies of a whole store, and stores made of them.

use std::sync::Mutex;

use vigie_store::{Kind, Progress, Reader, Settings, Store, StoreError, backup, restore};

use crate::kit::{Heard, Kit, Quiet, copy_tree, draft};

/// Bytes done and in all, as they were told.
#[derive(Default)]
struct Told(Mutex<Vec<(u64, u64)>>);

impl Progress for Told {
    fn progress(&self, done: u64, total: u64) {
        self.0.lock().expect("not poisoned").push((done, total));
    }
}

fn small(kit: &Kit) -> Store {
    kit.open_with(Settings { segment_bytes: 6000, ..Settings::default() }).expect("opens")
}

#[test]
fn a_backup_is_brought_up_to_date_and_becomes_a_store() {
    let kit = Kit::new();
    let copy = kit.folder.path().join("copy");
    let store = small(&kit);
    for number in 0..12 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    let told = Told::default();
    let report = backup(&kit.dir(), &copy, &told).expect("copies");
    assert_eq!((report.entries, report.exhibits), (13, 12));
    let last = told.0.lock().expect("not poisoned").last().copied().expect("told");
    assert!(last.0 == last.1 && last.0 > 12_000, "{last:?}");
    // More, some of it in the segment that was the last.
    for number in 12..20 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    let first = std::fs::metadata(copy.join("segments/00000000.seg")).expect("is there").modified().expect("a time");
    assert_eq!(backup(&kit.dir(), &copy, &Quiet).expect("copies").entries, 21);
    let again = std::fs::metadata(copy.join("segments/00000000.seg")).expect("is there").modified().expect("a time");
    assert_eq!(first, again, "a segment that is whole is not written again");
    assert!(!copy.join("catalogue").exists());
    drop(store);

    let other = kit.folder.path().join("restored");
    restore(&copy, &other, &Quiet).expect("restores");
    let heard = Heard::default();
    let store = Store::open(&other, kit.key.clone(), kit.clock.clone(), &heard).expect("opens");
    assert!(heard.0.lock().expect("not poisoned").iter().any(|line| line.contains("made of a backup")));
    store.append(kit.exhibit(&store, 30)).expect("goes on");
    drop(store);
    let kinds: Vec<Kind> =
        Reader::open(&other).expect("opens").entries().expect("reads").map(|e| e.expect("reads").kind).collect();
    assert_eq!(kinds[21..], [Kind::Rebuild, Kind::Recovery, Kind::Exhibit]);
    let options =
        vigie_store::VerifyOptions { key: Some(kit.key.clone()), identities: vec![Box::new(kit.case.clone())] };
    let report = vigie_store::verify(&other, options, &Quiet).expect("a report");
    assert!(report.problems.is_empty() && report.opened == 21, "{:?}", report.problems);
    // It is said once.
    drop(Store::open(&other, kit.key.clone(), kit.clock.clone(), &Quiet).expect("opens"));
    assert_eq!(Reader::open(&other).expect("opens").size(), 24);
}

#[test]
fn what_must_not_be_overwritten_is_not() {
    let kit = Kit::new();
    let copy = kit.folder.path().join("copy");
    let store = kit.open();
    store.append(kit.exhibit(&store, 1)).expect("appends");
    let old = kit.folder.path().join("old");
    drop(store);
    copy_tree(&kit.dir(), &old);
    let store = kit.open();
    store.append(draft(Kind::Heartbeat)).expect("appends");
    backup(&kit.dir(), &copy, &Quiet).expect("copies");
    // An older state of the store must not come over a backup that knows more.
    let refused = backup(&old, &copy, &Quiet);
    assert!(matches!(&refused, Err(StoreError::Invalid { what }) if what.contains("put back")), "{refused:?}");
    // Nor another store.
    let other = Kit::new();
    assert!(matches!(backup(&other.dir(), &copy, &Quiet), Err(StoreError::Invalid { .. })));
    assert_eq!(Reader::open(&copy).expect("opens").size(), 3);
    let folder = kit.folder.path().join("folder");
    std::fs::create_dir(&folder).expect("makes");
    assert!(matches!(backup(&kit.dir(), &folder, &Quiet), Err(StoreError::NotAStore { .. })));
    assert!(matches!(restore(&copy, &kit.dir(), &Quiet), Err(StoreError::Exists { .. })));
    // A damaged backup becomes no store.
    let segment = copy.join("segments/00000000.seg");
    let mut bytes = std::fs::read(&segment).expect("reads");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).expect("writes");
    let place = kit.folder.path().join("place");
    assert!(restore(&copy, &place, &Quiet).is_err_and(|error| error.is_damage()));
    assert!(!place.exists());
    // And is mended by the next backup.
    backup(&kit.dir(), &copy, &Quiet).expect("copies what differs");
    restore(&copy, &place, &Quiet).expect("restores");
}
