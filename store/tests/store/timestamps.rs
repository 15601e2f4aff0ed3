//! Time stamps on the signed head: taken in, checked again, and what they reveal of a log that was put
//! back or replaced. The authority is made of `openssl`.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use vigie_store::{Kind, Reader, Store, StoreError, VerifyOptions, request_stamp};
use vigie_time::Request;

use crate::kit::{Kit, Quiet, copy_tree, draft};
use crate::tsa::{Authority, GOOD_USAGE, Reply};

struct Desk {
    kit: Kit,
    authority: Authority,
}

impl Desk {
    /// A store with some entries and the authority's root fixed.
    fn new() -> Self {
        let desk = Self { kit: Kit::new(), authority: Authority::new() };
        let store = desk.kit.open();
        for _ in 0..3 {
            store.append(draft(Kind::SessionClose)).expect("appends");
        }
        let (_, receipt) = store.trust_root(&desk.authority.read("root.pem")).expect("a root");
        assert_eq!(receipt.expect("new").sequence, 4);
        drop(store);
        desk
    }

    fn medium(&self) -> PathBuf {
        self.kit.folder.path().join("medium")
    }

    fn asked(&self) -> (Request, PathBuf) {
        let requested = request_stamp(&self.kit.dir(), &self.medium(), None).expect("a request");
        let request = Request::parse(&std::fs::read(&requested.request).expect("is there")).expect("ours");
        assert_eq!(
            request.sha256,
            <[u8; 32]>::from(Sha256::digest(std::fs::read(&requested.checkpoint).expect("is there")))
        );
        (request, requested.checkpoint)
    }

    /// A stamp over the head as it is.
    fn stamped(&self) -> vigie_store::Imported {
        let (request, _) = self.asked();
        let response = self.authority.reply(&request, &Reply::default());
        self.kit.open().import_stamp(&response, &[], None).expect("taken in")
    }

    fn problems(&self) -> Vec<String> {
        self.kit.verify_with(false, false).problems.iter().map(ToString::to_string).collect()
    }
}

fn refused(result: Result<vigie_store::Imported, StoreError>) -> String {
    match result {
        Err(error @ StoreError::NotAccepted { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_stamp_is_taken_in_bound_and_checked_again_with_and_without_keys() {
    let desk = Desk::new();
    let imported = desk.stamped();
    assert_eq!((imported.size, imported.receipt.sequence), (5, 5));
    let store = desk.kit.open();
    store.append(draft(Kind::SessionClose)).expect("appends");
    drop(store);
    for (key, identity) in [(false, false), (true, true)] {
        let report = desk.kit.verify_with(key, identity);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        let stamp = &report.stamps[0];
        assert_eq!((stamp.entry, stamp.size, report.stamps.len()), (5, 5, 1));
        assert_eq!((stamp.time, stamp.authority.as_str()), (imported.stamp.time, "CN=tsa,O=Tests,C=BE"));
        let notes = report.notes.join("\n");
        assert!(notes.contains("entries 0 to 4 existed by") && notes.contains("2 entries since"), "{notes}");
    }
    // What lies there is enough for stock tools, and the entry binds each of it.
    let file = |end: &str| PathBuf::from(format!("{}.{end}", imported.stem.display()));
    let root = desk.kit.dir().join(format!("timestamps/root-{}.pem", &imported.stamp.root_sha256[..16]));
    let check = std::process::Command::new("openssl")
        .args(["ts", "-verify", "-attime", &imported.stamp.time.as_second().to_string()])
        .arg("-data")
        .arg(file("checkpoint"))
        .arg("-in")
        .arg(file("tsr"))
        .arg("-CAfile")
        .arg(&root)
        .arg("-untrusted")
        .arg(file("pem"))
        .output()
        .expect("openssl runs");
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    let entry = Reader::open(&desk.kit.dir()).expect("opens").entry(5).expect("is there");
    let names: Vec<&str> = entry.digests.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["certificates", "checkpoint", "request", "response", "root"]);
    for (name, path) in [
        ("certificates", file("pem")),
        ("checkpoint", file("checkpoint")),
        ("request", file("tsq")),
        ("response", file("tsr")),
        ("root", root),
    ] {
        let sum: [u8; 32] = Sha256::digest(std::fs::read(path).expect("is there")).into();
        assert!(entry.digests.contains(&(name.to_owned(), sum)), "{name}");
    }
    assert!(vigie_store::open_requests(&desk.kit.dir()).expect("lists").is_empty());
}

#[test]
fn what_is_no_answer_to_a_request_of_this_store_is_refused() {
    let desk = Desk::new();
    let (request, _) = desk.asked();
    let good = desk.authority.reply(&request, &Reply::default());
    let store = desk.kit.open();
    let import = |response: &[u8]| store.import_stamp(response, &[], None);

    let another_nonce = Request { nonce: request.nonce ^ 1, ..request.clone() };
    assert!(refused(import(&desk.authority.reply(&another_nonce, &Reply::default()))).contains("nonce"));
    let another_file = Request { sha256: [1; 32], ..request.clone() };
    assert!(
        refused(import(&desk.authority.reply(&another_file, &Reply::default()))).contains("no request of this store")
    );
    assert!(refused(import(b"")).contains("cannot be read"));
    let denied =
        desk.authority.reply(&Request { policy: Some("1.2.3.4.99".into()), ..request.clone() }, &Reply::default());
    assert!(refused(import(&denied)).contains("did not grant"));
    // A stranger's root; one that is not fixed, and one that another stamp ends at.
    desk.authority.root("stranger", "P-256");
    desk.authority.certificate("other", "P-256", "stranger", GOOD_USAGE);
    let foreign = desk.authority.reply(&request, &Reply { signer: "other", ..Reply::default() });
    assert!(refused(import(&foreign)).contains("no chain"));
    let stranger = vigie_time::Root::parse(&desk.authority.read("stranger.pem")).expect("a root");
    assert!(refused(store.import_stamp(&good, &[], Some(&stranger))).contains("not fixed"));
    assert!(store.trust_root(&desk.authority.read("tsa.pem")).is_err(), "no root");
    store.trust_root(&desk.authority.read("stranger.pem")).expect("fixed").1.expect("new");
    assert!(store.trust_root(&desk.authority.read("stranger.pem")).expect("fixed").1.is_none(), "once");
    assert!(refused(store.import_stamp(&good, &[], Some(&stranger))).contains("no chain"));

    // Nothing of all that was taken; the good one is, once.
    assert_eq!(Reader::open(&desk.kit.dir()).expect("opens").size(), 6);
    import(&good).expect("taken in");
    assert!(refused(import(&good)).contains("already"));
    assert!(refused(import(&foreign)).contains("already"), "its request has an answer");
    drop(store);
    assert!(desk.problems().is_empty(), "{:?}", desk.problems());
    // The same answer in another store.
    let other = Desk::new();
    assert!(refused(other.kit.open().import_stamp(&good, &[], None)).contains("no request of this store"));
    // A store without any root.
    let bare = Kit::new();
    let requested = request_stamp(&bare.dir(), &bare.folder.path().join("medium"), None).expect("a request");
    let request = Request::parse(&std::fs::read(requested.request).expect("is there")).expect("ours");
    let answer = desk.authority.reply(&request, &Reply::default());
    assert!(refused(bare.open().import_stamp(&answer, &[], None)).contains("no root is fixed"));
}

#[test]
fn a_log_that_was_put_back_is_seen_by_the_heads_that_left() {
    let desk = Desk::new();
    let dir = desk.kit.dir();
    let old = desk.kit.folder.path().join("old");
    copy_tree(&dir, &old);
    let store = desk.kit.open();
    store.append(draft(Kind::SessionClose)).expect("appends");
    drop(store);
    let imported = desk.stamped();
    let (request, kept) = desk.asked();
    assert!(desk.problems().is_empty(), "{:?}", desk.problems());
    // Everything but `timestamps/` goes back to what it was.
    let stamps = desk.kit.folder.path().join("stamps");
    std::fs::rename(dir.join("timestamps"), &stamps).expect("moves");
    std::fs::remove_dir_all(&dir).expect("removes");
    copy_tree(&old, &dir);
    assert!(desk.problems().is_empty(), "without the heads nothing shows it: {:?}", desk.problems());
    std::fs::remove_dir_all(dir.join("timestamps")).expect("removes");
    copy_tree(&stamps, &dir.join("timestamps"));
    let problems = desk.problems();
    assert!(problems.len() == 2 && problems.iter().all(|p| p.contains("rollback")), "{problems:?}");
    // The answer that comes now is good, and its head is not in the log.
    let response = desk.authority.reply(&request, &Reply::default());
    let refused = desk.kit.open().import_stamp(&response, &[], None);
    assert!(matches!(&refused, Err(StoreError::OtherHistory { size: 7, .. })), "{refused:?}");
    assert!(refused.expect_err("alarm").is_damage());
    // The medium alone shows it too.
    std::fs::remove_dir_all(dir.join("timestamps")).expect("removes");
    copy_tree(&old.join("timestamps"), &dir.join("timestamps"));
    assert!(desk.problems().is_empty());
    let heads = [kept.parent().map(Path::to_owned).expect("a folder")];
    let report = vigie_store::verify_against(&dir, VerifyOptions::default(), &heads, &Quiet).expect("a report");
    assert!(report.problems.iter().any(|p| p.what.contains("rollback")), "{:?}", report.problems);
    assert!(imported.size == 6);
}

#[test]
fn a_log_that_went_another_way_is_seen() {
    let desk = Desk::new();
    let dir = desk.kit.dir();
    let fork = desk.kit.folder.path().join("fork");
    copy_tree(&dir, &fork);
    let store = desk.kit.open();
    store.append(draft(Kind::Refusal)).expect("appends");
    drop(store);
    desk.stamped();
    copy_tree(&dir.join("timestamps"), &desk.kit.folder.path().join("stamps"));
    // The same key signs other entries at the same places, and more of them.
    let other = Store::open(&fork, desk.kit.key.clone(), desk.kit.clock.clone(), &Quiet).expect("opens");
    for _ in 0..5 {
        other.append(draft(Kind::Failure)).expect("appends");
    }
    drop(other);
    let verify = || vigie_store::verify(&fork, VerifyOptions::default(), &Quiet).expect("a report");
    assert!(verify().problems.is_empty(), "{:?}", verify().problems);
    copy_tree(&desk.kit.folder.path().join("stamps"), &fork.join("timestamps"));
    let problems = verify().problems;
    assert!(problems.len() == 1 && problems[0].what.contains("fork"), "{problems:?}");
}

#[test]
fn files_that_are_gone_or_altered_are_seen() {
    let desk = Desk::new();
    let imported = desk.stamped();
    let folder = desk.kit.dir().join("timestamps");
    let names: Vec<_> = std::fs::read_dir(&folder).expect("lists").map(|e| e.expect("lists").path()).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    for path in &names {
        let whole = std::fs::read(path).expect("reads");
        let mut altered = whole.clone();
        let middle = altered.len() / 2;
        altered[middle] ^= 1;
        for bytes in [Some(altered), None] {
            match bytes {
                Some(bytes) => std::fs::write(path, bytes).expect("writes"),
                None => std::fs::remove_file(path).expect("removes"),
            }
            let problems = desk.problems();
            assert!(problems.iter().any(|p| p.contains("timestamps/")), "{}: {problems:?}", path.display());
        }
        std::fs::write(path, whole).expect("writes");
        assert!(desk.problems().is_empty(), "{:?}", desk.problems());
    }
    // A foreign file beside them that says it is a head.
    std::fs::write(folder.join("00000001-0000000000000001.checkpoint"), "vigie.example\n1\n").expect("writes");
    assert!(desk.problems()[0].contains("no head that this log signed"), "{:?}", desk.problems());
    assert!(imported.stem.starts_with(&folder));
}

#[test]
fn a_clock_that_is_set_is_an_entry_and_a_note() {
    let kit = Kit::new();
    let store = kit.open();
    store.append(draft(Kind::SessionClose)).expect("appends");
    assert_eq!(kit.clock.set_apart(3_600_000), 0, "an hour forward, the count from boot goes on");
    let receipt = store.append(draft(Kind::Refusal)).expect("appends");
    assert_eq!(receipt.sequence, 3, "an entry stands before it");
    kit.clock.set_apart(1_500);
    assert_eq!(store.append(draft(Kind::SessionClose)).expect("appends").sequence, 4, "within the tolerance");
    drop(store);
    // While the store was closed.
    kit.clock.run(7_200_000);
    kit.clock.set_apart(-1_800_000);
    let store = kit.open();
    assert_eq!(store.append(draft(Kind::SessionClose)).expect("appends").sequence, 6);
    drop(store);
    let reader = Reader::open(&kit.dir()).expect("opens").with_key(&kit.key);
    let rows = reader.rows(Kind::ClockJump).expect("rows");
    assert_eq!(rows.iter().map(|(sequence, _)| *sequence).collect::<Vec<_>>(), [2, 5]);
    for ((_, row), expected) in rows.iter().zip([3_600_000_i64, -1_800_000]) {
        let row: serde_json::Value = serde_json::from_slice(row).expect("JSON");
        let moved = row["moved_ms"].as_i64().expect("a number");
        assert!((moved - expected).abs() < 2_000, "{row}");
    }
    let notes = kit.sound().notes;
    let told: Vec<_> = notes.iter().filter(|note| note.contains("the clock was set")).collect();
    assert!(told.len() == 2 && told[0].contains("forward by 3600") && told[1].contains("back by 1"), "{told:?}");
    assert!(told.iter().all(|note| !note.contains("no entry says")), "{told:?}");
}

#[test]
fn suspension_and_another_boot_are_no_jump() {
    let kit = Kit::new();
    let store = kit.open();
    kit.clock.run(30_000_000);
    assert_eq!(store.append(draft(Kind::SessionClose)).expect("appends").sequence, 1, "both clocks ran on");
    kit.clock.reboot();
    assert_eq!(store.append(draft(Kind::SessionClose)).expect("appends").sequence, 2, "the count began anew");
    drop(store);
    assert!(!kit.sound().notes.join("\n").contains("the clock was set"));
}
