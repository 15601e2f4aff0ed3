//! Stores of every format that was released, as the version of that time wrote them: they open, read
//! and verify for ever. `tests/data/README` says how one is made.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::ExposeSecret;
use vigie_store::{Draft, Kind, NewStore, Reader, StateOp, Store, VerifyOptions};

use crate::kit::{Quiet, TestClock, copy_tree, draft, exhibit, passphrase, read_all};

/// One for each format; `tests/data` holds no other.
const FORMATS: [&str; 1] = ["vigie.store-1"];
/// Names a new folder to make a fixture in; absent in an ordinary run of the tests.
const MAKE: &str = "VIGIE_MAKE_FIXTURE";

fn data() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// Not a test of its own: makes a store of the present format.
#[test]
fn make_a_fixture() {
    let Some(folder) = std::env::var_os(MAKE).map(PathBuf::from) else { return };
    std::fs::create_dir(&folder).expect("a new folder");
    let dir = folder.join("store");
    let clock = TestClock::new();
    let new = NewStore {
        origin: "customs.example/fixture".into(),
        allowed_signers: b"magistrate@court.example ssh-ed25519 AAAA\n".to_vec(),
        passphrase: passphrase(),
        scrypt_log_n: Some(1),
    };
    Store::create(&dir, new, clock.clone()).expect("creates");
    let key = vigie_store::unlock_key(&dir, &passphrase()).expect("unlocks");
    let case = age::x25519::Identity::generate();
    let recipients = [case.to_public().to_string().parse().expect("a recipient")];
    let settings = vigie_store::Settings { segment_bytes: 5000, ..vigie_store::Settings::default() };
    let store = Store::open_with(&dir, key, clock, &Quiet, settings).expect("opens");
    store.create_profile("C-1", "heron", &passphrase(), false).expect("creates");
    let profile = store.unlock_profile("C-1", "heron", &passphrase()).expect("unlocks");
    for number in 1..=3u64 {
        let state = vec![StateOp::put(&profile, "jar", &number.to_string(), vec![number as u8])];
        let url_row = Some((profile.clone(), format!("http://market.onion/item/{number}").into_bytes()));
        store.append(Draft { state, url_row, ..exhibit(&store, &recipients, number) }).expect("appends");
    }
    store.append(draft(Kind::SessionClose)).expect("appends");
    drop(store);
    std::fs::write(folder.join("case.txt"), format!("{}\n", case.to_string().expose_secret())).expect("writes");
    // Of no interest to a reader, and large or made anew. Git keeps no empty folders either.
    for file in ["reserve", "lock"] {
        std::fs::remove_file(dir.join(file)).expect("removes");
    }
    for folder in ["spool", "torn"] {
        std::fs::remove_dir(dir.join(folder)).expect("removes");
    }
}

#[test]
fn every_released_format_has_its_fixture() {
    let mut found: Vec<String> = std::fs::read_dir(data())
        .expect("lists")
        .map(|entry| entry.expect("lists"))
        .filter(|entry| entry.file_type().expect("a type").is_dir())
        .map(|entry| entry.file_name().into_string().expect("a name"))
        .collect();
    found.sort();
    assert_eq!(found, FORMATS);
    let present = format!("{}\n", FORMATS[FORMATS.len() - 1].replace('-', "/"));
    let kit = crate::kit::Kit::new_in(&crate::proof::folder());
    let text = std::fs::read_to_string(kit.dir().join("store.txt")).expect("reads");
    assert!(text.starts_with(&present), "the format that is written now has a fixture");
}

#[test]
fn stores_of_every_released_format_open_and_verify() {
    for format in FORMATS {
        let fixture = data().join(format);
        let folder = tempfile::tempdir_in(crate::proof::folder()).expect("a folder");
        let dir = folder.path().join("store");
        copy_tree(&fixture.join("store"), &dir);
        for missing in ["spool", "torn"] {
            std::fs::create_dir(dir.join(missing)).expect("creates");
        }
        let identity = || -> Box<age::x25519::Identity> {
            let text = std::fs::read_to_string(fixture.join("case.txt")).expect("reads");
            Box::new(text.trim().parse().expect("an identity"))
        };
        let key = vigie_store::unlock_key(&dir, &passphrase()).expect("unlocks");
        let sound = |dir: &Path, entries: u64| {
            let options =
                VerifyOptions { key: Some(key.clone()), identities: vec![identity()], ..VerifyOptions::default() };
            let report = vigie_store::verify(dir, options, &Quiet).expect("a report");
            assert_eq!(report.problems, [], "{format}");
            assert_eq!((report.entries, report.local_parts), (entries, entries));
            assert_eq!((report.exhibits, report.opened), (3, 3));
        };
        // As it was written, without opening it for writing.
        sound(&dir, 5);
        let reader = Reader::open(&dir).expect("opens");
        for number in 1..=3 {
            let mut opened = reader.open_exhibit(number, &[identity()]).expect("opens");
            let plain = read_all(&mut opened);
            let mut text = String::new();
            let mut gzip = flate2::read::MultiGzDecoder::new(&plain[..]);
            std::io::Read::read_to_string(&mut gzip, &mut text).expect("unpacks");
            assert!(text.starts_with("WARC/1.1\r\n") && text.contains(&format!("page {number}\r\n")));
            opened.finish().expect("what was committed to");
        }
        // Everything but the catalogue is read as it is; that is opened by the database of now.
        let before = std::fs::read(dir.join("segments/00000000.seg")).expect("reads");
        let clock = TestClock::new();
        clock.set(1_900_000_000_000);
        let store = Store::open(&dir, key.clone(), Arc::clone(&clock) as _, &Quiet).expect("opens");
        assert_eq!(store.rows(Kind::Rebuild).expect("rows").len(), 0, "its catalogue still opens");
        let rows: Vec<_> = store.rows(Kind::Exhibit).expect("rows").into_iter().map(|(_, row)| row).collect();
        assert_eq!(rows, [1, 2, 3].map(|number| format!("{{\"number\":{number}}}").into_bytes()));
        let profile = store.unlock_profile("C-1", "heron", &passphrase()).expect("unlocks");
        assert_eq!(store.state(&profile, "jar").get("2").expect("reads"), Some(vec![2]));
        let url = store.url_row(3, &profile).expect("opens");
        assert_eq!(url.as_deref(), Some(&b"http://market.onion/item/3"[..]));
        store.append(draft(Kind::Heartbeat)).expect("appends");
        drop(store);
        assert_eq!(std::fs::read(dir.join("segments/00000000.seg")).expect("reads"), before, "never rewritten");
        // The heartbeat, and before it that the clock was set since the fixture was made.
        sound(&dir, 7);
        // The anti-test: a fixture that is not what was written does not pass.
        let path = dir.join("segments/00000000.seg");
        let mut bytes = before;
        bytes[600] ^= 1;
        std::fs::write(&path, bytes).expect("writes");
        let report = vigie_store::verify(&dir, VerifyOptions::default(), &Quiet).expect("a report");
        assert!(!report.problems.is_empty());
    }
}
