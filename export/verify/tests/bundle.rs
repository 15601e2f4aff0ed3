//! A small bundle of our own making: sound it is green, spoilt in any way it is red, hostile it is refused, and
//! nothing makes the check panic.

use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use data_encoding::{BASE64, HEXLOWER};
use ed25519_dalek::SigningKey;
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use vigie_export::wacz::{self, About, Piece};
use vigie_export::{Secrets, bag};
use vigie_log::checkpoint::{Checkpoint, Verifier};
use vigie_log::proof::Proof;
use vigie_log::tree::{Hash, leaf_hash, root_of};
use vigie_verify::{Known, PAGE, Report, Status, Unreadable, check, fingerprint};
use vigie_warc::WarcWriter;
use vigie_warc::records::Record;

const SEALED: &[u8] = b"age-encryption.org/v1 as it was sealed";
const ORIGIN: &str = "log.example/desk";

fn sum(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

fn put(dir: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = dir.join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    fs::write(path, bytes).expect("written");
}

fn warc() -> Vec<u8> {
    let mut warc = WarcWriter::new(Vec::new());
    let block = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    let record = Record {
        kind: "response",
        record_id: "<urn:uuid:1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b>",
        date: "2026-11-24T02:14:00Z".parse().expect("a time"),
        content_type: "application/http;msgtype=response",
        fields: &[("WARC-Target-URI", "http://site.example/".to_owned())],
    };
    warc.record(&record, &mut &block[..], block.len() as u64, Sha256::digest(block).into()).expect("a record");
    warc.into_inner()
}

/// A whole bundle with one exhibit; gives the body of its head.
fn make(dir: &Path) -> String {
    let key = SigningKey::from_bytes(&[3; 32]);
    let verifier = Verifier::new(ORIGIN, key.verifying_key());
    let vkey = format!("{verifier}\n");
    let (zero, mandate) = ("00".repeat(32), "0a".repeat(32));
    let head = |seq: u64, kind: &str| {
        format!(
            "vigie.entry/1\nseq {seq}\nkind {kind}\ntime 2026-11-24T02:14:0{seq}.000000007Z\nmono 99\nboot b\nclock synchronised\n"
        )
    };
    let sealed = sum(SEALED);
    let entries = [
        format!(
            "{}prev {zero}\ndigest allowed-signers {zero}\ndigest log-vkey {}\ndigest store {zero}\n",
            head(0, "init"),
            sum(vkey.as_bytes())
        ),
        format!(
            "{}mandate {mandate}\nexhibit 1\nage {sealed} {}\nprivate {zero} 7\nprev {zero}\ncommit plaintext {mandate}\n",
            head(1, "exhibit"),
            SEALED.len()
        ),
        format!("{}mandate {mandate}\nprev {zero}\n", head(2, "refusal")),
    ];
    let leaves: Vec<Hash> = entries.iter().map(|text| leaf_hash(text.as_bytes())).collect();
    let note = Checkpoint { origin: ORIGIN.into(), size: 3, root: root_of(&leaves) };
    let body = note.body();
    let signed = note.sign(&key);
    for (seq, text) in entries.iter().enumerate() {
        put(dir, &format!("data/log/entries/{seq:08}.entry"), text);
    }
    put(dir, "data/log/tile/0/000.p/3", leaves.concat());
    put(dir, "data/log/checkpoint", &signed);
    put(dir, "data/log/log.vkey", &vkey);
    put(dir, "data/log/openssl/head.txt", &body);
    let proof = Proof { extra: None, index: 1, path: vec![leaves[0], leaves[2]], checkpoint: signed };
    put(dir, "data/log/proofs/exhibit-000001.tlog-proof", proof.encode());
    put(dir, "data/sealed/exhibit-000001.age", SEALED);

    let open = warc();
    let piece = dir.with_extension("piece");
    fs::write(&piece, &open).expect("written");
    let about = About {
        title: "Case".into(),
        description: "open layer".into(),
        software: "vigie".into(),
        created: "2026-11-24T03:00:00Z".parse().expect("a time"),
    };
    let mut secrets = Secrets::new([9; 32]);
    secrets.prepare();
    let one = Piece { name: "exhibit-000001.warc.gz".into(), path: piece.clone(), cdx: vec![], pages: vec![] };
    let archive = wacz::write(Cursor::new(Vec::new()), &about, &[one], &secrets).expect("an archive").into_inner();
    fs::remove_file(piece).expect("removed");
    put(dir, "data/evidence.wacz", archive);
    let leaf = HEXLOWER.encode(&leaves[1]);
    let line = serde_json::json!({"exhibit": 1, "entry": 1, "time": "2026-11-24T02:14:01.000000007Z", "state": "disclosed",
        "leaf_sha256": leaf, "sealed_sha256": sealed, "sealed_bytes": SEALED.len(), "plaintext_commitment": mandate,
        "test_network": false, "open_sha256": sum(&open), "redactions": 1});
    put(dir, "data/inventory.jsonl", format!("{line}\n"));
    put(dir, "data/inventory.csv", format!("exhibit,state,leaf_sha256\r\n1,disclosed,{leaf}\r\n"));
    let change = serde_json::json!({"exhibit": 1, "record": "<urn:uuid:1b4e28ba-2fa1-4d3b-a3f5-ef19b5a7633b>",
        "part": "body", "kind": "cookie", "marker": "", "at": 0, "bytes": 2, "commitment": zero});
    put(dir, "data/redactions.jsonl", format!("{change}\n"));
    put(dir, "data/sessions.jsonl", "");
    put(dir, "data/gaps.jsonl", "{\"entry\":2,\"kind\":\"refusal\"}\n");
    put(dir, "data/custody.jsonl", "{\"exhibit\":1,\"entry\":1,\"kind\":\"exhibit\"}\n");
    for name in ["VERIFY.txt", "case.jsonld", "custody.txt"] {
        put(dir, &format!("data/{name}"), "text\n");
    }
    lists(dir);
    body
}

fn lists(dir: &Path) {
    let info = [("Vigie-Bundle".to_owned(), "vigie.bundle/1".to_owned())];
    bag::seal(dir, &info, |_| {}).expect("sealed");
}

fn judge(dir: &Path, fingerprint: Option<[u8; 32]>) -> Result<Report, Unreadable> {
    check(dir, &Known { fingerprint, ..Known::default() }, Timestamp::UNIX_EPOCH)
}

fn is_red(dir: &Path, name: &str) {
    let report = judge(dir, None).expect("a bundle");
    let found = report.findings.iter().any(|one| one.status == Status::Red && one.name == name);
    assert!(found, "{name}: {:#?}", report.findings);
}

fn all(dir: &Path, found: &mut Vec<PathBuf>) {
    for one in fs::read_dir(dir).expect("a folder").flatten() {
        if one.path().is_dir() { all(&one.path(), found) } else { found.push(one.path()) }
    }
}

fn fresh() -> (tempfile::TempDir, PathBuf, String) {
    let temp = tempfile::tempdir().expect("a folder");
    let dir = temp.path().join("bundle");
    let body = make(&dir);
    (temp, dir, body)
}

#[test]
fn a_sound_bundle_is_green_with_its_fingerprint_and_amber_without() {
    let (_temp, dir, body) = fresh();
    let report = judge(&dir, Some(fingerprint(&body))).expect("a bundle");
    assert_eq!(report.verdict(), Status::Green, "{:#?}", report.findings);
    let report = judge(&dir, None).expect("a bundle");
    let amber: Vec<_> = report.findings.iter().filter(|one| one.status == Status::Amber).map(|one| one.name).collect();
    assert_eq!((report.verdict(), &amber[..]), (Status::Amber, &["log.head"][..]));
    assert_eq!(judge(&dir, Some([1; 32])).expect("a bundle").verdict(), Status::Red);
}

#[test]
fn every_file_flipped_cut_or_taken_away_is_red() {
    let (_temp, dir, _) = fresh();
    let mut files = Vec::new();
    all(&dir, &mut files);
    assert!(files.len() > 15);
    for file in files {
        let whole = fs::read(&file).expect("read");
        let mut flipped = whole.clone();
        if let Some(byte) = flipped.get_mut(whole.len() / 2) {
            *byte ^= 4;
        }
        for spoilt in [Some(flipped), whole.split_last().map(|(_, rest)| rest.to_vec()), None] {
            match &spoilt {
                Some(bytes) => fs::write(&file, bytes).expect("written"),
                None => fs::remove_file(&file).expect("removed"),
            }
            if spoilt.is_none_or(|bytes| bytes != whole) {
                match judge(&dir, None) {
                    Ok(report) => assert_eq!(report.verdict(), Status::Red, "{}", file.display()),
                    Err(Unreadable::Input(_)) => assert!(
                        file.ends_with("bagit.txt")
                            || file.ends_with("bag-info.txt")
                            || file.to_string_lossy().ends_with(".entry")
                    ),
                    Err(error) => panic!("{error}"),
                }
            }
            fs::write(&file, &whole).expect("written");
        }
    }
    assert_eq!(judge(&dir, None).expect("a bundle").verdict(), Status::Amber);
}

#[test]
fn with_new_lists_the_log_still_tells() {
    type Deed = fn(String) -> String;
    let deeds: [(&str, &str, Deed); 10] = [
        ("data/custody.jsonl", "custody", |text| text.replace("\"kind\":\"exhibit\"", "\"kind\":\"read\"")),
        ("data/inventory.jsonl", "inventory", |text| text.replace("02:14:01.", "02:14:02.")),
        ("data/inventory.jsonl", "inventory", |_| String::new()),
        ("data/inventory.csv", "inventory.table", |text| text.replace("disclosed", "erased")),
        ("data/gaps.jsonl", "gaps", |_| String::new()),
        ("data/redactions.jsonl", "redactions", |_| String::new()),
        ("data/redactions.jsonl", "redactions", |text| text.replace("1b4e28ba", "2b4e28ba")),
        ("data/log/entries/00000001.entry", "log.entries", |text| text.replace("mono 99", "mono 98")),
        ("data/log/openssl/head.txt", "log.copies", |text| text.replace('3', "4")),
        ("data/log/log.vkey", "log.checkpoint", |text| text.replace("desk", "disk")),
    ];
    for (name, finding, deed) in deeds {
        let (_temp, dir, _) = fresh();
        let text = fs::read_to_string(dir.join(name)).expect("read");
        put(&dir, name, deed(text));
        lists(&dir);
        is_red(&dir, finding);
    }
    for (name, finding) in
        [("data/log/proofs/exhibit-000001.tlog-proof", "log.proofs"), ("data/custody.txt", "bag.files")]
    {
        let (_temp, dir, _) = fresh();
        fs::remove_file(dir.join(name)).expect("removed");
        lists(&dir);
        is_red(&dir, finding);
    }
    for (name, finding) in [
        ("data/log/tile/0/000.p/3", "log.root"),
        ("data/evidence.wacz", "archive"),
        ("data/log/proofs/exhibit-000001.tlog-proof", "log.proofs"),
    ] {
        let (_temp, dir, _) = fresh();
        let mut bytes = fs::read(dir.join(name)).expect("read");
        bytes[60] ^= 1;
        put(&dir, name, bytes);
        lists(&dir);
        is_red(&dir, finding);
    }
}

#[test]
fn another_key_does_not_pass_for_the_logs() {
    let (_temp, dir, _) = fresh();
    let root = root_of(fs::read(dir.join("data/log/tile/0/000.p/3")).expect("read").as_chunks::<32>().0);
    let key = SigningKey::from_bytes(&[4; 32]);
    let head = Checkpoint { origin: ORIGIN.into(), size: 3, root };
    put(&dir, "data/log/checkpoint", head.sign(&key));
    put(&dir, "data/log/log.vkey", format!("{}\n", Verifier::new(ORIGIN, key.verifying_key())));
    lists(&dir);
    is_red(&dir, "log.key");
}

#[test]
fn what_points_out_of_the_folder_is_not_opened() {
    let (temp, dir, _) = fresh();
    fs::write(temp.path().join("outside"), b"x").expect("written");
    std::os::unix::fs::symlink(temp.path().join("outside"), dir.join("data/link")).expect("a link");
    std::os::unix::fs::symlink(temp.path(), dir.join("data/loop")).expect("a link");
    is_red(&dir, "bag.files");
    for name in ["data/../../outside", "/etc/passwd", "data//x", "data/./x", "data/..\\x", "../outside"] {
        let (_temp, dir, _) = fresh();
        let mut list = fs::read_to_string(dir.join("manifest-sha256.txt")).expect("read");
        list.push_str(&format!("{}  {name}\n", sum(b"x")));
        put(&dir, "manifest-sha256.txt", list);
        bag::seal_tags(&dir).expect("sealed");
        is_red(&dir, "bag.files");
    }
}

#[test]
fn a_later_version_is_one_line() {
    for (name, from, to) in [
        ("bagit.txt", "1.0", "2.0"),
        ("bag-info.txt", "bundle/1", "bundle/2"),
        ("data/log/entries/00000001.entry", "entry/1", "entry/2"),
    ] {
        let (_temp, dir, _) = fresh();
        let text = fs::read_to_string(dir.join(name)).expect("read").replace(from, to);
        put(&dir, name, text);
        let said = judge(&dir, None).expect_err("later").to_string();
        assert!(said.contains("get a newer vigie-verify") && !said.contains('\n'), "{said}");
    }
    assert!(judge(Path::new("/nonexistent"), None).is_err());
}

#[test]
fn giant_lines_and_deep_json_are_refused_in_little_memory() {
    let deep = format!("{}\n", "[".repeat(3_000_000));
    let long = "x".repeat(9 << 20);
    for bytes in [deep, long, "{\"exhibit\":1e999}\n".into(), "\u{202e}\u{1b}[2J\n".into()] {
        for name in [
            "data/inventory.jsonl",
            "data/redactions.jsonl",
            "data/gaps.jsonl",
            "data/log/checkpoint",
            "manifest-sha256.txt",
        ] {
            let (_temp, dir, _) = fresh();
            put(&dir, name, &bytes);
            let report = judge(&dir, None).expect("a bundle");
            assert_eq!(report.verdict(), Status::Red, "{name}");
            assert!(report.findings.iter().all(|one| one.said.len() < 4000 && !one.said.contains(char::is_control)));
        }
    }
}

#[test]
fn a_packed_or_crafted_archive_is_refused() {
    let (_temp, dir, _) = fresh();
    let whole = fs::read(dir.join("data/evidence.wacz")).expect("read");
    let central = whole.windows(4).position(|four| four == b"PK\x01\x02").expect("a directory");
    let mut packed = whole.clone();
    packed[central + 10] = 8;
    let mut slip = whole.clone();
    let name = "../../../etc/exhibit-0";
    slip[central + 46..central + 46 + name.len()].copy_from_slice(name.as_bytes());
    let mut hidden = whole.clone();
    hidden.splice(central..central, *b"hidden bytes");
    let mut huge = whole.clone();
    huge[central + 20..central + 28].copy_from_slice(&[0xfe; 8]);
    for (what, bytes) in [("packed", packed), ("slip", slip), ("hidden", hidden), ("huge", huge), ("empty", Vec::new())]
    {
        put(&dir, "data/evidence.wacz", bytes);
        lists(&dir);
        let report = judge(&dir, None).expect("a bundle");
        assert!(report.findings.iter().any(|one| one.status == Status::Red && one.name == "archive"), "{what}");
    }
}

#[test]
fn the_pages_policy_is_of_its_own_script_and_style() {
    for (tag, directive) in [("script", "script-src"), ("style", "style-src")] {
        let (_, rest) = PAGE.split_once(&format!("<{tag}>")).expect("one");
        let (inside, _) = rest.split_once(&format!("</{tag}>")).expect("its end");
        let digest = BASE64.encode(&Sha256::digest(inside.as_bytes()));
        assert!(PAGE.contains(&format!("{directive} 'sha256-{digest}'")), "run scripts/page-hashes");
    }
    assert!(PAGE.contains("default-src 'none'"));
    for word in ["eval(", "innerHTML", "fetch(", "XMLHttpRequest", "http://", "https://", "import("] {
        assert!(!PAGE.contains(word), "{word}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn no_bytes_make_it_panic(which in 0usize..1000, at in 0usize..5000, bytes in prop::collection::vec(any::<u8>(), 0..40), cut: bool) {
        let (_temp, dir, _) = fresh();
        let mut files = Vec::new();
        all(&dir, &mut files);
        files.sort();
        let file = &files[which % files.len()];
        let mut whole = fs::read(file).expect("read");
        let at = at % (whole.len() + 1);
        if cut { whole.truncate(at) }
        let end = (at + bytes.len()).min(whole.len());
        whole.splice(at..end, bytes);
        fs::write(file, whole).expect("written");
        // With lists that fit, what lies behind them is reached.
        if file.starts_with(dir.join("data")) { lists(&dir) }
        let _ = judge(&dir, Some([0; 32]));
    }
}
