//! Each kind of record against the standard (ISO 28500:2017), and what hostile values do to it.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use vigie_warc::records::{Info, Record, RefersTo, Response};
use vigie_warc::{
    Finding, HEAD_BYTES, RecordHead, WarcError, WarcReader, WarcWriter, check, check_each_with, new_record_id,
};

const URL: &str = "http://example.test/";
const HTTP: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn date() -> Timestamp {
    "2026-03-01T10:00:00.5Z".parse().expect("a time")
}

fn response<'a>(url: &'a str, id: &'a str) -> Response<'a> {
    Response { url, record_id: id, payload_sha256: None, truncated: None, protocols: &[], cipher_suite: None }
}

type Read1 = (RecordHead, Vec<u8>);

fn read_all(bytes: &[u8]) -> Vec<Read1> {
    let (mut reader, mut records) = (WarcReader::new(bytes), Vec::new());
    while let Some(record) = reader
        .next(|head, block| {
            let mut bytes = Vec::new();
            block.read_to_end(&mut bytes)?;
            Ok((head.clone(), bytes))
        })
        .expect("reads")
    {
        records.push(record);
    }
    records
}

/// The one record that `write` writes.
fn one(write: impl FnOnce(&mut WarcWriter<Vec<u8>>) -> Result<(), WarcError>) -> Read1 {
    let mut warc = WarcWriter::new(Vec::new());
    write(&mut warc).expect("written");
    let bytes = warc.into_inner();
    let checks = check(&bytes[..]).expect("reads");
    assert!(checks.len() == 1 && checks[0].findings.is_empty(), "{checks:?}");
    read_all(&bytes).remove(0)
}

/// One pass gives both what `check` finds and the blocks of one kind, cut at a length.
#[test]
fn a_check_also_hands_out_blocks_of_one_kind() {
    let mut warc = WarcWriter::new(Vec::new());
    for url in [URL, "http://example.test/2"] {
        let id = new_record_id();
        let head = response(url, &id);
        warc.response(date(), "<urn:uuid:info>", &head, &mut &HTTP[..], HTTP.len() as u64, sha256(HTTP))
            .expect("written");
    }
    let bytes = warc.into_inner();
    let pass = |kind: &str, keep| {
        let (mut checks, mut blocks) = (Vec::new(), Vec::new());
        check_each_with(&bytes[..], kind, keep, |check, block| {
            checks.push(check);
            blocks.push(block);
        })
        .expect("reads");
        assert_eq!(checks, check(&bytes[..]).expect("reads"));
        blocks
    };
    assert_eq!(pass("response", 1 << 20), [HTTP, HTTP]);
    assert_eq!(pass("response", 8), [&HTTP[..8], &HTTP[..8]]);
    assert_eq!(pass("metadata", 1 << 20), [&b""[..], b""]);
}

fn sound(write: impl FnOnce(&mut WarcWriter<Vec<u8>>) -> Result<(), WarcError>, kind: &str, fields: &[(&str, &str)]) {
    let (head, block) = one(write);
    let mut expected = vec![("WARC-Type", kind), ("WARC-Date", "2026-03-01T10:00:00.5Z")];
    expected.extend(fields);
    for (name, value) in &expected {
        assert!(head.fields.contains(&((*name).to_owned(), (*value).to_owned())), "{kind}: {name}: {:?}", head.fields);
    }
    let id = head.field("WARC-Record-ID").expect("an id");
    assert!(id.starts_with("<urn:uuid:") && id.ends_with('>'));
    assert_eq!(head.field("WARC-Block-Digest"), Some(vigie_warc::sha256_label(&sha256(&block)).as_str()));
    assert_eq!(
        (head.length, head.field("Content-Length")),
        (block.len() as u64, Some(block.len().to_string().as_str()))
    );
    assert_eq!(head.fields.len(), expected.len() + 3, "and nothing else: {:?}", head.fields);
    // An onion service has no address, and who it was that asked is nobody's business here (§5.12).
    assert_eq!(head.field("WARC-IP-Address"), None);
}

#[test]
fn each_kind_has_the_fields_that_the_standard_asks_for() {
    let info = Info {
        software: "vigie 0.1.0".into(),
        operator: "A-07".into(),
        filename: Some("exhibit-1.warc.gz".into()),
        extra: vec![("vigie-network".into(), "public".into())],
    };
    sound(
        |warc| warc.warcinfo(date(), &info).map(drop),
        "warcinfo",
        &[("WARC-Filename", "exhibit-1.warc.gz"), ("Content-Type", "application/warc-fields")],
    );
    let (_, block) = one(|warc| warc.warcinfo(date(), &info).map(drop));
    assert_eq!(
        block,
        b"software: vigie 0.1.0\r\nformat: WARC File Format 1.1\r\noperator: A-07\r\nvigie-network: public\r\n"
    );
    let about = [("WARC-Target-URI", URL), ("WARC-Warcinfo-ID", "<urn:uuid:info>")];
    let all = |more: &[(&'static str, &'static str)]| [&about[..], more].concat();
    let id = "<urn:uuid:4f0cbe4e-9d5c-4d7c-a0dc-6c1f1bd2a7c0>";
    let protocols = ["http/1.1".to_owned(), "tls/1.3".to_owned()];
    let whole = Response {
        payload_sha256: Some(sha256(b"hello")),
        protocols: &protocols,
        cipher_suite: Some("TLS_AES_128_GCM_SHA256"),
        ..response(URL, id)
    };
    let payload = ("WARC-Payload-Digest", "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824");
    let http = ("Content-Type", "application/http;msgtype=response");
    let spoken =
        [("WARC-Protocol", "http/1.1"), ("WARC-Protocol", "tls/1.3"), ("WARC-Cipher-Suite", "TLS_AES_128_GCM_SHA256")];
    let said = |warc: &mut WarcWriter<_>, response: &Response<'_>, block: &[u8]| {
        warc.response(date(), "<urn:uuid:info>", response, &mut &block[..], block.len() as u64, sha256(block))
    };
    sound(|warc| said(warc, &whole, HTTP), "response", &[&all(&[payload, http])[..], &spoken].concat());
    for truncated in ["length", "time", "disconnect", "unspecified"] {
        let cut = Response { truncated: Some(truncated), ..response(URL, id) };
        sound(|warc| said(warc, &cut, &HTTP[..20]), "response", &all(&[http, ("WARC-Truncated", truncated)]));
    }
    let refers = RefersTo {
        record_id: "<urn:uuid:first>",
        url: "http://example.test/a",
        date: "2026-02-01T10:00:00Z",
        exhibit: 7,
    };
    sound(
        |warc| warc.revisit(date(), "<urn:uuid:info>", &whole, &refers, &HTTP[..38]),
        "revisit",
        &[
            &all(&[
                payload,
                http,
                ("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"),
                ("WARC-Refers-To", "<urn:uuid:first>"),
                ("WARC-Refers-To-Target-URI", "http://example.test/a"),
                ("WARC-Refers-To-Date", "2026-02-01T10:00:00Z"),
                ("Vigie-Refers-To-Exhibit", "7"),
            ])[..],
            &spoken,
        ]
        .concat(),
    );
    sound(
        |warc| warc.request(date(), "<urn:uuid:info>", URL, id, b"GET / HTTP/1.1\r\n\r\n"),
        "request",
        &all(&[("WARC-Concurrent-To", id), ("Content-Type", "application/http;msgtype=request")]),
    );
    let facts = [("complete".to_owned(), "yes".to_owned())];
    sound(
        |warc| warc.metadata(date(), "<urn:uuid:info>", Some(URL), Some(id), &facts),
        "metadata",
        &all(&[("WARC-Concurrent-To", id), ("Content-Type", "application/warc-fields")]),
    );
    sound(
        |warc| warc.metadata(date(), "<urn:uuid:info>", None, None, &facts),
        "metadata",
        &[("WARC-Warcinfo-ID", "<urn:uuid:info>"), ("Content-Type", "application/warc-fields")],
    );
    sound(
        |warc| warc.resource(date(), "<urn:uuid:info>", URL, "text/plain", b"hello"),
        "resource",
        &all(&[payload, ("Content-Type", "text/plain")]),
    );
}

#[test]
fn empty_blocks_are_records_like_others() {
    let id = new_record_id();
    let nothing = Response { payload_sha256: Some(sha256(b"")), ..response(URL, &id) };
    let blocks = [
        one(|warc| warc.response(date(), "", &nothing, &mut std::io::empty(), 0, sha256(b""))),
        one(|warc| warc.request(date(), "", URL, &id, b"")),
        one(|warc| warc.metadata(date(), "", None, None, &[])),
        one(|warc| warc.resource(date(), "", URL, "text/plain", b"")),
        one(|warc| {
            let refers = RefersTo { record_id: &id, url: URL, date: "2026-02-01T10:00:00Z", exhibit: 1 };
            warc.revisit(date(), "", &nothing, &refers, b"")
        }),
    ];
    assert!(blocks.iter().all(|(head, block)| head.length == 0 && block.is_empty()));
    // A block that is not empty after all.
    let longer = WarcWriter::new(Vec::new()).response(date(), "", &nothing, &mut &b"x"[..], 0, sha256(b""));
    assert!(matches!(longer, Err(WarcError::Length { announced: 0, found: 1 })), "{longer:?}");
}

/// The payload of a revisit lies elsewhere; its digest cannot be, and is not, compared here.
#[test]
fn the_digest_of_a_revisit_is_not_of_its_block() {
    let id = new_record_id();
    let whole = Response { payload_sha256: Some([7; 32]), ..response(URL, &id) };
    let refers = RefersTo { record_id: &id, url: URL, date: "2026-02-01T10:00:00Z", exhibit: 1 };
    one(|warc| warc.revisit(date(), "", &whole, &refers, &HTTP[..38]));
    let mut warc = WarcWriter::new(Vec::new());
    warc.response(date(), "", &whole, &mut &HTTP[..], HTTP.len() as u64, sha256(HTTP)).expect("written");
    let checks = check(&warc.into_inner()[..]).expect("reads");
    assert_eq!(checks[0].findings, [Finding::Mismatch("WARC-Payload-Digest")]);
}

const EVIL: [&str; 8] = [
    "http://example.test/\r\nWARC-Truncated: length",
    "http://example.test/\nWARC-Payload-Digest: sha256:00\r\n\r\nbody",
    "a\r\n b",
    "\r\n\r\nWARC/1.1\r\n",
    "\u{85}x: y\u{2028}z: a\u{0}\u{7f}",
    "\r",
    " \t padded \t ",
    "",
];

#[test]
fn no_value_makes_a_field_of_its_own() {
    let plain = one(|warc| warc.request(date(), "i", URL, "c", b"GET / HTTP/1.1\r\n\r\n")).0;
    for evil in EVIL {
        let protocols = [evil.to_owned()];
        let refers = RefersTo { record_id: evil, url: evil, date: evil, exhibit: 1 };
        let answer =
            Response { truncated: Some(evil), protocols: &protocols, cipher_suite: Some(evil), ..response(evil, evil) };
        let info = Info {
            software: evil.into(),
            operator: evil.into(),
            filename: Some(evil.into()),
            extra: vec![("a".into(), evil.into()), (evil.into(), "b".into())],
        };
        let facts = [("a".to_owned(), evil.to_owned()), (evil.to_owned(), "b".to_owned())];
        let mut warc = WarcWriter::new(Vec::new());
        warc.warcinfo(date(), &info).expect("written");
        warc.response(date(), evil, &answer, &mut &HTTP[..], HTTP.len() as u64, sha256(HTTP)).expect("written");
        warc.revisit(date(), evil, &answer, &refers, HTTP).expect("written");
        warc.request(date(), evil, evil, evil, HTTP).expect("written");
        warc.metadata(date(), evil, Some(evil), Some(evil), &facts).expect("written");
        warc.resource(date(), evil, evil, evil, HTTP).expect("written");
        let name = if evil.is_empty() { "A" } else { evil };
        let fields = [(name, "b".to_owned())];
        let record = Record { kind: evil, record_id: evil, date: date(), content_type: evil, fields: &fields };
        warc.record(&record, &mut &HTTP[..], HTTP.len() as u64, sha256(HTTP)).expect("written");
        let records = read_all(&warc.into_inner());
        assert_eq!(records.len(), 7, "{evil:?}");
        assert_eq!(records[3].0.fields.len(), plain.fields.len(), "{evil:?}: {:?}", records[3].0.fields);
        let spaced: String = evil.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        assert_eq!(records[3].0.field("WARC-Target-URI"), Some(spaced.trim_matches(' ')));
        for (head, block) in &records {
            assert_eq!(
                head.fields.iter().filter(|(n, _)| n == "WARC-Truncated").count(),
                head.field("WARC-Truncated").iter().len()
            );
            if head.field("Content-Type") == Some("application/warc-fields") {
                let text = std::str::from_utf8(block).expect("UTF-8");
                let lines: Vec<_> = text.strip_suffix("\r\n").expect("an end").split("\r\n").collect();
                assert_eq!(lines.len(), if text.starts_with("software") { 5 } else { 2 }, "{text:?}");
                assert!(
                    lines.iter().all(|line| line.split_once(": ").is_some_and(|(n, _)| !n.is_empty())
                        && !line.contains(['\r', '\n']))
                );
            }
        }
    }
}

#[test]
fn long_and_foreign_addresses_stand_as_they_are() {
    let long = format!("http://example.test/?q={}", "é%20".repeat(5_000));
    for url in [long.as_str(), "http://пример.test/ünïcödé?日本=語", "urn:fullPage:http://example.test/#:~:text=a,-b"]
    {
        let (head, _) = one(|warc| warc.request(date(), "", url, "", b"GET / HTTP/1.1\r\n\r\n"));
        assert_eq!(head.field("WARC-Target-URI"), Some(url));
    }
}

/// Better no record than one that nobody reads.
#[test]
fn what_the_reader_would_refuse_is_not_written() {
    let mut out = Vec::new();
    let mut warc = WarcWriter::new(&mut out);
    let endless = "x".repeat(HEAD_BYTES);
    let refused = warc.request(date(), "", &endless, "", b"");
    assert!(matches!(refused, Err(WarcError::Record(_))), "{refused:?}");
    let id = new_record_id();
    for name in ["WARC-Type", "content-length", "WARC-Block-Digest", "Content-Type", "warc-date", "WARC-Record-ID"] {
        let fields = [(name, "5".to_owned())];
        let record =
            Record { kind: "resource", record_id: &id, date: date(), content_type: "text/plain", fields: &fields };
        let refused = warc.record(&record, &mut &b"hello"[..], 5, sha256(b"hello"));
        assert!(matches!(refused, Err(WarcError::Record(_))), "{name}: {refused:?}");
    }
    assert!(out.is_empty());
    // The longest header that is written is read.
    let mut warc = WarcWriter::new(Vec::new());
    let rest = {
        let (head, _) = one(|warc| warc.request(date(), "", "", "", b""));
        head.fields.iter().map(|(n, v)| n.len() + v.len() + 4).sum::<usize>() + "WARC/1.1\r\n\r\n".len()
    };
    warc.request(date(), "", &endless[rest..], "", b"").expect("written");
    assert_eq!(read_all(&warc.into_inner()).len(), 1);
    assert!(WarcWriter::new(Vec::new()).request(date(), "", &endless[rest - 1..], "", b"").is_err());
}

/// A response that is cut off anywhere has the payload that its bytes have, and is checked on that.
#[test]
fn a_cut_response_is_checked_on_what_it_holds() {
    let block: &[u8] =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n6\r\n world\r\n0\r\nX: y\r\n\r\n";
    for at in 0..=block.len() {
        let cut = &block[..at];
        let body = ["hello".len(), " world".len()]
            .iter()
            .fold((0, 54), |(body, from), &size| (body + at.saturating_sub(from).min(size), from + size + 5));
        let payload = &b"hello world"[..body.0];
        let id = new_record_id();
        let answer =
            Response { truncated: Some("disconnect"), payload_sha256: Some(sha256(payload)), ..response(URL, &id) };
        one(|warc| warc.response(date(), "", &answer, &mut &cut[..], at as u64, sha256(cut)));
    }
}

fn member(text: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(text).expect("written");
    out.finish().expect("written")
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Behind a right checksum, too, nothing makes the reader panic, and what it reads it reads twice.
    #[test]
    fn any_text_in_a_sound_member_is_met(
        lines in prop::collection::vec(prop_oneof![
            "[A-Za-z-]{1,12}: ?[ -~]{0,20}\r\n", "[ -~\r\n\t]{0,20}", Just("Content-Length: 3\r\n".to_owned()),
            Just("Content-Type: application/http\r\n".to_owned()), Just("WARC-Type: response\r\n".to_owned()),
            Just("WARC-Block-Digest: sha1:2346\r\n".to_owned()), Just("\r\n".to_owned()),
        ], 0..12),
        block in prop::collection::vec(any::<u8>(), 0..20),
        version in prop_oneof![9 => Just("WARC/1.1\r\n"), 1 => Just("WARC/1.1\n")],
    ) {
        let text = [version.as_bytes(), lines.concat().as_bytes(), &block, b"\r\n\r\n"].concat();
        let file = [member(&text), member(&text)].concat();
        let (once, twice) = (check(&member(&text)[..]), check(&file[..]));
        prop_assert_eq!(once.is_ok(), twice.is_ok());
        if let (Ok(once), Ok(twice)) = (once, twice) {
            prop_assert_eq!(once.len(), 1);
            prop_assert_eq!([once.clone(), once].concat(), twice);
        }
    }
}
