//! What goes in comes out, and only to those who may have it.

use std::io::Write;
use std::process::{Command, Stdio};

use secrecy::SecretString;
use vigie_store::{
    Commitment, Draft, Kind, Private, Reader, StateOp, Store, StoreError, VerifyOptions, WorkstationKey,
};

use crate::kit::{Heard, Kit, Quiet, draft, passphrase, read_all, warc};

#[test]
fn an_exhibit_comes_back_and_verifies() {
    let kit = Kit::new();
    let store = kit.open();
    for number in 1..=3 {
        let receipt = store.append(kit.exhibit(&store, number)).expect("appends");
        assert_eq!((receipt.sequence, receipt.exhibit, receipt.log_size), (number, Some(number), number + 1));
    }
    let refusal = Draft { commitments: vec![Commitment { name: "url", value: b"u".to_vec() }], ..draft(Kind::Refusal) };
    let receipt = store.append(refusal).expect("appends");
    assert_eq!((receipt.sequence, receipt.exhibit), (4, None));
    assert_eq!(store.rows(Kind::Exhibit).expect("rows").len(), 3);
    assert_eq!(store.row(2).expect("a row"), b"{\"number\":2}");
    assert!(matches!(store.row(99), Err(StoreError::NoSuchEntry { sequence: 99 })));
    assert!(store.exhibit_age(4).is_err());
    let age = read_all(store.exhibit_age(2).expect("an exhibit"));
    assert_eq!(age::decrypt(&kit.case, &age).expect("opens"), warc(b"page 2"));

    // A reader beside the open store sees the same, without its lock.
    let reader = Reader::open(&kit.dir()).expect("opens").with_key(&kit.key);
    assert_eq!((reader.size(), reader.root()), (receipt.log_size, receipt.root));
    let entries: Vec<_> = reader.entries().expect("entries").collect::<Result<_, _>>().expect("entries");
    assert_eq!(
        entries.iter().map(|e| e.kind).collect::<Vec<_>>(),
        [Kind::Init, Kind::Exhibit, Kind::Exhibit, Kind::Exhibit, Kind::Refusal]
    );
    let (entry, stream) = reader.exhibit(2).expect("an exhibit");
    assert_eq!(read_all(stream), age);
    assert_eq!(reader.rows(Kind::Exhibit).expect("rows"), store.rows(Kind::Exhibit).expect("rows"));
    assert_eq!(reader.row(4, &kit.key).expect("a row"), b"{}");
    assert!(reader.row(4, &WorkstationKey::from_bytes([0; 32])).is_err());
    assert!(reader.exhibit(0).is_err() && reader.exhibit(4).is_err() && reader.entry(5).is_err());
    assert_eq!(reader.allowed_signers().expect("signers"), store.allowed_signers());
    assert!(reader.checkpoint().starts_with("customs.example/desk-1\n5\n"));

    // Two ways to the same audit path.
    let path = reader.inclusion_proof(2).expect("a path");
    assert_eq!(store.inclusion_proof(2, 5).expect("a path"), path);
    assert!(vigie_store::log::verify_inclusion(&entry.leaf_hash(), 2, 5, &path, &reader.root()));

    drop(store);
    let report = kit.sound();
    assert_eq!((report.entries, report.exhibits, report.records, report.root), (5, 3, 3, receipt.root));
    assert_eq!(kit.verify_with(false, false).problems, []);
    assert_eq!(kit.verify_with(false, true).opened, 3);
}

#[test]
fn stock_age_opens_an_exhibit_and_a_private_part() {
    let kit = Kit::new();
    let store = kit.open();
    let large: Vec<u8> = (0..4_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let exhibit = Draft { exhibit: Some(kit.seal(&store, &warc(&large))), ..kit.exhibit(&store, 1) };
    store.append(exhibit).expect("appends");
    let identity = kit.folder.path().join("case.txt");
    let secret = kit.case.to_string();
    std::fs::write(&identity, secrecy::ExposeSecret::expose_secret(&secret)).expect("writes");
    let open = |sealed: &[u8]| {
        let mut child =
            Command::new("age").args(["-d", "-i"]).arg(&identity).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = child
            .as_mut()
            .map_err(|e| e.to_string())
            .expect("age is installed")
            .stdin
            .take()
            .map(|stdin| (stdin, child))
            .expect("piped");
        let sealed = sealed.to_vec();
        let feed = std::thread::spawn(move || {
            child.0.write_all(&sealed).expect("feeds age");
            drop(child.0);
        });
        let output = child.1.expect("started").wait_with_output().expect("ends");
        feed.join().expect("fed");
        assert!(output.status.success());
        output.stdout
    };
    assert!(open(&read_all(store.exhibit_age(1).expect("an exhibit"))) == warc(&large));
    let private = Reader::open(&kit.dir()).expect("opens").private_part(1).expect("reads").expect("has one");
    let text = String::from_utf8(open(&private)).expect("JSON");
    assert!(text.contains("vigie.private/1") && text.contains("http://market.onion/item/1"), "{text}");
    drop(store);
    kit.sound();
}

#[test]
fn nothing_of_the_content_lies_open() {
    let kit = Kit::new();
    let store = kit.open();
    let canary = "CANARY-7be1c0";
    store.create_profile(canary, canary, &passphrase(), false).expect("creates");
    let key = store.unlock_profile(canary, canary, &passphrase()).expect("unlocks");
    let everywhere = || canary.as_bytes().to_vec();
    let exhibit = Draft {
        exhibit: Some(kit.seal(&store, &warc(&everywhere()))),
        commitments: vec![Commitment { name: "url", value: everywhere() }],
        private: Some(Private { recipients: kit.recipients(), json: format!("\"{canary}\"").into_bytes() }),
        row: everywhere(),
        url_row: Some((key.clone(), everywhere())),
        state: vec![StateOp::put(&key, canary, canary, everywhere())],
        ..draft(Kind::Exhibit)
    };
    store.append(exhibit).expect("appends");
    assert_eq!(store.url_row(1, &key).expect("opens"), Some(everywhere()));
    drop(store);
    let mut files = 0;
    scan(&kit.dir(), &mut |path, bytes| {
        files += 1;
        assert!(!path.contains(canary), "{path}");
        assert!(!bytes.windows(canary.len()).any(|window| window == canary.as_bytes()), "{path}");
    });
    assert!(files > 8);
}

fn scan(folder: &std::path::Path, look: &mut impl FnMut(&str, &[u8])) {
    for entry in std::fs::read_dir(folder).expect("lists") {
        let path = entry.expect("lists").path();
        if path.is_dir() {
            scan(&path, look);
        } else {
            look(&path.display().to_string(), &std::fs::read(&path).expect("reads"));
        }
    }
}

#[test]
fn run_state_is_kept_per_profile_and_area() {
    let kit = Kit::new();
    let store = kit.open();
    store.create_profile("C-1", "heron", &passphrase(), false).expect("creates");
    store.create_profile("C-2", "heron", &passphrase(), false).expect("creates");
    assert!(matches!(store.create_profile("C-1", "heron", &passphrase(), false), Err(StoreError::ProfileExists)));
    assert!(matches!(store.unlock_profile("C-1", "egret", &passphrase()), Err(StoreError::NoSuchProfile)));
    let wrong = store.unlock_profile("C-1", "heron", &SecretString::from("wrong"));
    assert!(matches!(wrong, Err(StoreError::WrongPassphrase)));
    let one = store.unlock_profile("C-1", "heron", &passphrase()).expect("unlocks");
    let two = store.unlock_profile("C-2", "heron", &passphrase()).expect("unlocks");
    store
        .apply(vec![
            StateOp::put(&one, "jar", "a", b"1".to_vec()),
            StateOp::put(&one, "jar", "b", b"2".to_vec()),
            StateOp::put(&one, "seen", "a", Vec::new()),
            StateOp::put(&two, "jar", "a", b"3".to_vec()),
        ])
        .expect("applies");
    let entry = Draft {
        state: vec![StateOp::remove(&one, "jar", "b"), StateOp::put(&one, "jar", "c", vec![7; 4000])],
        ..draft(Kind::Heartbeat)
    };
    store.append(entry).expect("appends");
    let too_long = store.apply(vec![StateOp::put(&one, "jar", "d", vec![7; 4096])]);
    assert!(matches!(too_long, Err(StoreError::Invalid { .. })));
    drop(store);
    let store = kit.open();
    let mut jar: Vec<_> = store.state(&one, "jar").iter().expect("reads").collect();
    jar.sort();
    assert_eq!(jar, [("a".to_owned(), b"1".to_vec()), ("c".to_owned(), vec![7; 4000])]);
    assert_eq!(store.state(&one, "seen").get("a").expect("reads"), Some(Vec::new()));
    assert_eq!(store.state(&two, "jar").get("a").expect("reads"), Some(b"3".to_vec()));
    assert_eq!(store.state(&two, "seen").get("a").expect("reads"), None);
}

#[test]
fn long_rows_come_back_and_segments_follow_each_other() {
    let kit = Kit::new();
    let settings = || vigie_store::Settings { segment_bytes: 20_000, ..Default::default() };
    let store = kit.open_with(settings()).expect("opens");
    for number in 1..=40u64 {
        let row = format!("{{\"number\":{number},\"long\":\"{}\"}}", "x".repeat(number as usize * 500)).into_bytes();
        store.append(Draft { row, ..kit.exhibit(&store, number) }).expect("appends");
    }
    let rows = store.rows(Kind::Exhibit).expect("rows");
    drop(store);
    assert!(std::fs::read_dir(kit.dir().join("segments")).expect("lists").count() > 5);
    let store = kit.open_with(settings()).expect("opens");
    assert_eq!(store.rows(Kind::Exhibit).expect("rows"), rows);
    assert_eq!(rows.len(), 40);
    assert!(rows[39].1.len() > 20_000);
    store.append(kit.exhibit(&store, 41)).expect("appends");
    drop(store);
    assert_eq!(kit.sound().exhibits, 41);
}

#[test]
fn one_store_has_one_writer() {
    let kit = Kit::new();
    assert!(!vigie_store::is_locked(&kit.dir()));
    let store = kit.open();
    assert!(vigie_store::is_locked(&kit.dir()));
    assert!(matches!(kit.try_open(), Err(StoreError::Locked { .. })));
    drop(store);
    assert!(!vigie_store::is_locked(&kit.dir()));
    kit.open();
}

#[test]
fn wrong_keys_and_wrong_places_are_told_apart() {
    let kit = Kit::new();
    assert!(matches!(vigie_store::unlock_key(&kit.dir(), &SecretString::from("no")), Err(StoreError::WrongPassphrase)));
    let wrong = Store::open(&kit.dir(), WorkstationKey::from_bytes([1; 32]), kit.clock.clone(), &Quiet);
    assert!(matches!(wrong, Err(StoreError::WrongKey)));
    let options = VerifyOptions { key: Some(WorkstationKey::from_bytes([1; 32])), identities: Vec::new() };
    assert!(matches!(vigie_store::verify(&kit.dir(), options, &Quiet), Err(StoreError::WrongKey)));
    assert!(matches!(Reader::open(kit.folder.path()), Err(StoreError::NotAStore { .. })));
    let new = |origin: &str| vigie_store::NewStore {
        origin: origin.into(),
        allowed_signers: Vec::new(),
        passphrase: passphrase(),
        scrypt_log_n: Some(1),
    };
    assert!(matches!(Store::create(&kit.dir(), new("a"), kit.clock.clone()), Err(StoreError::Exists { .. })));
    let place = kit.folder.path().join("other");
    assert!(matches!(Store::create(&place, new("a b"), kit.clock.clone()), Err(StoreError::Invalid { .. })));
    assert_eq!(std::fs::read_dir(kit.folder.path()).expect("lists").count(), 1, "nothing is left behind");
}

#[test]
fn drafts_that_break_a_rule_are_refused_and_harm_nothing() {
    let kit = Kit::new();
    let store = kit.open();
    let commitment = |name| Commitment { name, value: Vec::new() };
    let bad = [
        draft(Kind::Init),
        draft(Kind::Recovery),
        draft(Kind::Exhibit),
        Draft { kind: Kind::Failure, ..kit.exhibit(&store, 1) },
        Draft { commitments: vec![commitment("url"), commitment("url")], ..draft(Kind::Failure) },
        Draft { commitments: vec![commitment("URL")], ..draft(Kind::Failure) },
        Draft { commitments: vec![commitment("plaintext")], ..draft(Kind::Failure) },
        Draft {
            private: Some(Private { recipients: kit.recipients(), json: b"not json".to_vec() }),
            ..draft(Kind::Failure)
        },
    ];
    for draft in bad {
        assert!(matches!(store.append(draft), Err(StoreError::Invalid { .. })));
    }
    let nobody =
        Draft { private: Some(Private { recipients: Vec::new(), json: b"{}".to_vec() }), ..draft(Kind::Failure) };
    assert!(matches!(store.append(nobody), Err(StoreError::Sealing { .. })));
    assert_eq!(store.append(draft(Kind::Failure)).expect("appends").sequence, 1);
}

#[test]
fn a_clock_set_back_is_refused() {
    let kit = Kit::new();
    let store = kit.open();
    store.append(draft(Kind::Heartbeat)).expect("appends");
    let before = kit.clock.now();
    kit.clock.set(before - 60_000);
    assert!(matches!(store.append(draft(Kind::Heartbeat)), Err(StoreError::ClockBehind { .. })));
    drop(store);
    assert!(matches!(kit.try_open(), Err(StoreError::ClockBehind { .. })));
    kit.clock.set(before);
    let store = kit.open();
    assert_eq!(store.append(draft(Kind::Heartbeat)).expect("appends").sequence, 2);
    drop(store);
    kit.sound();
}

#[test]
fn an_agents_signature_is_checked() {
    let kit = Kit::new();
    let store = kit.open();
    let agent = ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[5; 32]));
    let act = |statement: &str, signed: &str| {
        let signature = ssh_key::SshSig::sign(&agent, "vigie-act", ssh_key::HashAlg::Sha512, signed.as_bytes())
            .and_then(|signature| signature.to_pem(ssh_key::LineEnding::LF))
            .expect("signs");
        Draft {
            row: serde_json::json!({"act": {"statement": statement, "signature": signature}}).to_string().into_bytes(),
            private: Some(Private { recipients: kit.recipients(), json: b"{}".to_vec() }),
            commitments: vec![
                Commitment { name: "agent-statement", value: statement.as_bytes().to_vec() },
                Commitment { name: "agent-signature", value: signature.into_bytes() },
            ],
            ..draft(Kind::SessionOpen)
        }
    };
    store.append(act("I open", "I open")).expect("appends");
    drop(store);
    let report = kit.sound();
    let fingerprint = agent.fingerprint(ssh_key::HashAlg::Sha256).to_string();
    assert_eq!(report.signers.get(&fingerprint), Some(&1));
    let store = kit.open();
    store.append(act("I open", "I read")).expect("appends");
    drop(store);
    let problems = kit.verify().problems;
    assert!(problems.len() == 1 && problems[0].entry == Some(2), "{problems:?}");
}

#[test]
fn a_lost_catalogue_is_rebuilt_with_its_rows() {
    let kit = Kit::new();
    let store = kit.open();
    for number in 1..=20 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    let rows = store.rows(Kind::Exhibit).expect("rows");
    drop(store);
    std::fs::remove_dir_all(kit.dir().join("catalogue")).expect("removes");
    let heard = Heard::default();
    let store = Store::open(&kit.dir(), kit.key.clone(), kit.clock.clone(), &heard).expect("opens");
    assert_eq!(heard.0.lock().expect("heard").len(), 1);
    assert_eq!(store.rows(Kind::Exhibit).expect("rows"), rows);
    assert_eq!(store.rows(Kind::Rebuild).expect("rows").len(), 1);
    assert_eq!(store.append(kit.exhibit(&store, 21)).expect("appends").exhibit, Some(21));
    drop(store);
    kit.sound();
}
