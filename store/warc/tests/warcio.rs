//! What is written here is read and checked by warcio, the reader that web archives use.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use vigie_warc::records::{Info, RefersTo, Response};
use vigie_warc::{WarcWriter, check, new_record_id};

const WARCIO: &str = "warcio==1.8.0";

/// A Python with warcio, made once under the target directory; `None` when this machine has no
/// Python to make it with.
fn python() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(make_python).clone()
}

fn make_python() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("warcio-1.8.0");
    let python = home.join("bin/python");
    let ready =
        |python: &Path| Command::new(python).args(["-c", "import warcio"]).output().is_ok_and(|o| o.status.success());
    if ready(&python) {
        return Some(python);
    }
    // Made beside and renamed, so that a stop in the middle leaves nothing half-made in place.
    let fresh = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let made = fresh.path().join("venv");
    let run = |program: &Path, arguments: &[&str]| {
        Command::new(program).args(arguments).output().is_ok_and(|o| o.status.success())
    };
    let venv = run(Path::new("python3"), &["-m", "venv", made.to_str().expect("UTF-8")]);
    let pip = made.join("bin/python");
    if !venv || !run(&pip, &["-m", "pip", "install", "--quiet", WARCIO]) || !ready(&pip) {
        return None;
    }
    let _ = std::fs::remove_dir_all(&home);
    if std::fs::rename(&made, &home).is_err() && !ready(&python) {
        return None;
    }
    Some(python)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn sample() -> Vec<u8> {
    let date: Timestamp = "2026-03-01T10:00:00.123456789Z".parse().expect("a time");
    let mut warc = WarcWriter::new(Vec::new());
    let info = Info {
        software: "vigie 0.1.0".into(),
        operator: "A-07".into(),
        filename: Some("exhibit-1.warc.gz".into()),
        extra: vec![("vigie-network".into(), "line\r\nbreak: forged".into())],
    };
    let info_id = warc.warcinfo(date, &info).expect("written");
    let url = "http://example.test/été?a=b";
    let protocols = ["http/1.1".to_owned(), "tls/1.3".to_owned()];
    let response = |id, payload: &[u8], truncated| Response {
        url,
        record_id: id,
        payload_sha256: Some(sha256(payload)),
        truncated,
        protocols: &protocols,
        cipher_suite: Some("TLS13_AES_256_GCM_SHA384"),
    };
    let plain = new_record_id();
    let block = b"HTTP/1.1 200 OK\r\nsErVer: x\r\nContent-Length: 5\r\n\r\nhello";
    warc.response(
        date,
        &info_id,
        &response(&plain, b"hello", None),
        &mut &block[..],
        block.len() as u64,
        sha256(block),
    )
    .expect("written");
    let request = b"GET / HTTP/1.1\r\nHost: example.test\r\n\r\n";
    warc.request(date, &info_id, url, &plain, request).expect("written");
    let cut = new_record_id();
    let block = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhel";
    warc.response(
        date,
        &info_id,
        &response(&cut, b"hel", Some("disconnect")),
        &mut &block[..],
        block.len() as u64,
        sha256(block),
    )
    .expect("written");
    let again = new_record_id();
    let text = date.to_string();
    let refers = RefersTo { record_id: &plain, url, date: &text, exhibit: 7 };
    warc.revisit(
        date,
        &info_id,
        &response(&again, b"hello", None),
        &refers,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    )
    .expect("written");
    let facts = [("purpose".to_owned(), "éléphant".to_owned())];
    warc.metadata(date, &info_id, Some(url), Some(&plain), &facts).expect("written");
    warc.resource(date, &info_id, "urn:text:http://example.test/", "text/plain", b"hello").expect("written");
    warc.into_inner()
}

fn warcio(python: &Path, script: &[&str]) -> (bool, String) {
    let output = Command::new(python).args(script).output().expect("warcio runs");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

const READ: &str = "
import sys
from warcio.archiveiterator import ArchiveIterator
for record in ArchiveIterator(open(sys.argv[1], 'rb'), check_digests='raise'):
    head = record.rec_headers
    http = record.http_headers.get_statuscode() if record.http_headers else '-'
    body = record.content_stream().read()
    print(record.rec_type, head.get_header('WARC-Date'), head.get_header('WARC-Target-URI'), http,
          head.get_header('WARC-Truncated'), head.get_header('WARC-Refers-To-Date'), len(body))
";

#[test]
fn warcio_reads_and_checks_what_is_written() {
    let bytes = sample();
    assert!(check(&bytes[..]).expect("reads").iter().all(|c| c.findings.is_empty()));
    let Some(python) = python() else {
        eprintln!("no python3 with venv and pip here: warcio was not asked");
        return;
    };
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let file = directory.path().join("sample.warc.gz");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, &bytes).expect("written");

    let (sound, said) = warcio(&python, &["-m", "warcio.cli", "check", "-v", path]);
    assert!(sound, "{said}");
    assert!(said.contains("digest pass"), "{said}");

    let (sound, said) = warcio(&python, &["-c", READ, path]);
    assert!(sound, "{said}");
    let date = "2026-03-01T10:00:00.123456789Z";
    let url = "http://example.test/été?a=b";
    let expected = [
        format!("warcinfo {date} None - None None "),
        format!("response {date} {url} 200 None None 5"),
        format!("request {date} {url} / None None 0"),
        format!("response {date} {url} 200 disconnect None 3"),
        format!("revisit {date} {url} 200 None {date} 0"),
        format!("metadata {date} {url} - None None 21"),
        format!("resource {date} urn:text:http://example.test/ - None None 5"),
    ];
    for (line, expected) in said.lines().zip(&expected) {
        assert!(line.starts_with(expected.as_str()), "{line}\nis not\n{expected}");
    }
    assert_eq!(said.lines().count(), expected.len(), "{said}");

    // The other way round: a wrong byte under a right checksum is seen by both.
    let mut warc = WarcWriter::new(Vec::new());
    let block = b"HTTP/1.1 200 OK\r\n\r\nhello";
    let id = new_record_id();
    let response = Response {
        url,
        record_id: &id,
        payload_sha256: Some(sha256(b"hellO")),
        truncated: None,
        protocols: &[],
        cipher_suite: None,
    };
    let date = date.parse().expect("a time");
    warc.response(date, &id, &response, &mut &block[..], block.len() as u64, sha256(block)).expect("written");
    let bytes = warc.into_inner();
    std::fs::write(&file, &bytes).expect("written");
    assert!(check(&bytes[..]).expect("reads").iter().any(|c| !c.findings.is_empty()));
    let (sound, said) = warcio(&python, &["-m", "warcio.cli", "check", path]);
    assert!(!sound, "{said}");
}

/// What hostile servers and pages make of a record: no HTTP at all, nothing at all, addresses with
/// line breaks, long ones, other scripts.
#[test]
fn warcio_reads_what_hostile_servers_said() {
    let Some(python) = python() else {
        eprintln!("no python3 with venv and pip here: warcio was not asked");
        return;
    };
    let blocks: [&[u8]; 6] = [
        b"",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<html><p>as in 1991</html>\n",
        b"\x16\x03\x01\x00\xff\x00",
        b"HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\nhi",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
    ];
    let long = format!("http://example.test/{}", "%C3%A9".repeat(2_700));
    let urls = ["http://example.test/\r\nWARC-Truncated: time", &long, "http://example.test/été?日本"];
    let date = "2026-03-01T10:00:00Z".parse().expect("a time");
    let mut warc = WarcWriter::new(Vec::new());
    for block in blocks {
        for url in urls {
            let id = new_record_id();
            let response = Response {
                url,
                record_id: &id,
                payload_sha256: None,
                truncated: Some("unspecified"),
                protocols: &[],
                cipher_suite: None,
            };
            warc.response(date, &id, &response, &mut &block[..], block.len() as u64, sha256(block)).expect("written");
            let facts = [("x\r\ny: z".to_owned(), url.to_owned())];
            warc.metadata(date, &id, Some(url), Some(&id), &facts).expect("written");
        }
    }
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let file = directory.path().join("hostile.warc.gz");
    std::fs::write(&file, warc.into_inner()).expect("written");
    let (sound, said) = warcio(&python, &["-c", HOSTILE, file.to_str().expect("UTF-8")]);
    assert!(sound, "{said}");
    // warcio writes spaces in an address as %20, and says so.
    let lines: Vec<_> = said.lines().filter(|line| !line.starts_with("Replacing spaces")).collect();
    assert_eq!(lines.len(), 2 * blocks.len() * urls.len(), "{said}");
    for (pair, block) in lines.chunks(2 * urls.len()).zip(blocks) {
        for (pair, url) in pair.chunks(2).zip(urls) {
            let (fact, url) = (url.replace("\r\n", "  "), url.replace("\r\n", "%20%20").replace(": ", ":%20"));
            assert_eq!(pair[0], format!("response {url} unspecified {}", block.len()));
            assert_eq!(pair[1], format!("metadata {url} None x--y--z: {fact}"));
        }
    }
}

const HOSTILE: &str = "
import sys
from warcio.archiveiterator import ArchiveIterator
for record in ArchiveIterator(open(sys.argv[1], 'rb'), no_record_parse=True, check_digests='raise'):
    head = record.rec_headers
    block = record.raw_stream.read()
    print(record.rec_type, head.get_header('WARC-Target-URI'), head.get_header('WARC-Truncated'),
          len(block) if record.rec_type == 'response' else block.decode().rstrip())
for record in ArchiveIterator(open(sys.argv[1], 'rb')):
    record.content_stream().read()
";

/// warcio writes SHA-1 in Base32 by default.
const WRITE: &str = "
import sys, io
from warcio.warcwriter import WARCWriter
from warcio.statusandheaders import StatusAndHeaders
with open(sys.argv[1], 'wb') as out:
    writer = WARCWriter(out, gzip=True)
    head = StatusAndHeaders('200 OK', [('Content-Type', 'text/plain')], protocol='HTTP/1.0')
    writer.write_record(writer.create_warc_record('http://example.test/', 'response', payload=io.BytesIO(b'some text'), http_headers=head))
    writer.write_record(writer.create_warcinfo_record('a.warc.gz', {'software': 'warcio'}))
";

#[test]
fn files_of_warcio_are_read_and_checked() {
    let Some(python) = python() else {
        eprintln!("no python3 with venv and pip here: warcio was not asked");
        return;
    };
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let file = directory.path().join("theirs.warc.gz");
    let (sound, said) = warcio(&python, &["-c", WRITE, file.to_str().expect("UTF-8")]);
    assert!(sound, "{said}");
    let checks = check(std::fs::File::open(&file).expect("open")).expect("reads");
    assert_eq!(checks.len(), 2);
    assert_eq!(checks[0].kind, "response");
    assert!(checks.iter().all(|c| c.findings.is_empty()), "{checks:?}");
}

const BODY: &str = "
import sys, hashlib
from warcio.archiveiterator import ArchiveIterator
for record in ArchiveIterator(open(sys.argv[1], 'rb')):
    claimed = record.rec_headers.get_header('WARC-Payload-Digest')
    print(claimed == 'sha256:' + hashlib.sha256(record.content_stream().read()).hexdigest())
";

/// The payload is the body without its transfer coding (ISO 28500 §4, RFC 9112 §7.1). `warcio
/// check` hashes the chunks with their framing, so that it objects to such a record here; the body
/// that warcio itself gives its callers has the digest that is claimed.
#[test]
fn a_chunked_payload_is_the_body_that_warcio_gives() {
    let Some(python) = python() else {
        eprintln!("no python3 with venv and pip here: warcio was not asked");
        return;
    };
    let block = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    let mut warc = WarcWriter::new(Vec::new());
    let id = new_record_id();
    let response = Response {
        url: "http://example.test/",
        record_id: &id,
        payload_sha256: Some(sha256(b"hello world")),
        truncated: None,
        protocols: &[],
        cipher_suite: None,
    };
    let date = "2026-03-01T10:00:00Z".parse().expect("a time");
    warc.response(date, &id, &response, &mut &block[..], block.len() as u64, sha256(block)).expect("written");
    let bytes = warc.into_inner();
    assert!(check(&bytes[..]).expect("reads").iter().all(|c| c.findings.is_empty()));
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let file = directory.path().join("chunked.warc.gz");
    std::fs::write(&file, &bytes).expect("written");
    let (sound, said) = warcio(&python, &["-c", BODY, file.to_str().expect("UTF-8")]);
    assert!(sound && said.trim() == "True", "{said}");
}
