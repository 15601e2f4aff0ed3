//! The open layer of exhibits made by hand: what must not leave does not, and all else stays byte for byte.

use std::io::{Cursor, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use vigie_export::layer::{Layer, Made, gather};
use vigie_export::wacz::{About, Piece, write};
use vigie_export::{ExportError, Kind, Reading, Secrets};
use vigie_warc::records::{Info, Record, Response};
use vigie_warc::{WarcReader, WarcWriter, check, new_record_id};

/// Decodes gzip alone and takes a page's text for its bytes.
struct Plain;

impl Reading for Plain {
    fn decoded(&self, codings: &str, _: Option<&str>, body: Vec<u8>) -> Result<Vec<u8>, String> {
        if codings != "gzip" {
            return Err(format!("the coding {codings} is not known"));
        }
        let mut out = Vec::new();
        GzDecoder::new(&body[..]).read_to_end(&mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }

    fn text(&self, _: &str, _: Option<&str>, body: &[u8]) -> (String, String) {
        ("title".into(), String::from_utf8_lossy(body).into_owned())
    }
}

fn nothing(_: u64, _: &str) -> Result<Option<Vec<u8>>, ExportError> {
    Ok(None)
}

fn date() -> jiff::Timestamp {
    "2026-11-24T10:00:00.5Z".parse().unwrap()
}

/// A WARC file with one exchange; gives the id of its response.
fn warc(url: &str, request: &[u8], response: &[u8], facts: &[(&str, &str)]) -> (Vec<u8>, String) {
    let mut warc = WarcWriter::new(Vec::new());
    let info = Info { software: "vigie".into(), operator: "A-07".into(), filename: None, extra: Vec::new() };
    let info = warc.warcinfo(date(), &info).unwrap();
    let id = new_record_id();
    let mut payload = Vec::new();
    vigie_warc::Payload::default().feed(response, &mut |piece| payload.extend_from_slice(piece));
    let record = Response {
        url,
        record_id: &id,
        payload_sha256: Some(Sha256::digest(&payload).into()),
        truncated: None,
        protocols: &[],
        cipher_suite: None,
    };
    warc.response(date(), &info, &record, &mut &response[..], response.len() as u64, Sha256::digest(response).into())
        .unwrap();
    warc.request(date(), &info, url, &id, request).unwrap();
    let facts: Vec<(String, String)> = facts.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    warc.metadata(date(), &info, Some(url), Some(&id), &facts).unwrap();
    (warc.into_inner(), id)
}

fn opened(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut reader = WarcReader::new(bytes);
    let mut all = Vec::new();
    while let Some(one) = reader
        .next(|head, block| {
            let mut bytes = Vec::new();
            block.read_to_end(&mut bytes)?;
            let fields: String = head.fields.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            Ok((fields, bytes))
        })
        .unwrap()
    {
        all.push(one);
    }
    all
}

fn layer(source: &[u8], named: &[(Kind, &str)]) -> (Vec<u8>, Made, Secrets) {
    let mut secrets = Secrets::new([7; 32]);
    for (kind, value) in named {
        secrets.add(*kind, value).unwrap();
    }
    gather(source, |kind, value| secrets.add(kind, value).unwrap_or_default()).unwrap();
    secrets.prepare();
    let mut out = Vec::new();
    let layer = Layer { secrets: &secrets, reading: &Plain, original: &nothing };
    let made = layer.write(3, "exhibit-000003.warc.gz", source, &mut out).unwrap();
    (out, made, secrets)
}

/// All bytes of the open layer, unpacked.
fn all_text(out: &[u8]) -> String {
    opened(out).iter().map(|(head, block)| format!("{head}{}", String::from_utf8_lossy(block))).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

const REQUEST: &[u8] = b"GET /u/blue-heron HTTP/1.1\r\nHost: x.onion\r\nCookie: sid=9f8e7d6c5b4a\r\n\r\n";

#[test]
fn a_record_without_secrets_stays_byte_for_byte() {
    let body =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/html\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (source, _) =
        warc("http://x.onion/", b"GET / HTTP/1.1\r\nHost: x.onion\r\n\r\n", body, &[("profile", "blue-heron")]);
    let (out, made, _) = layer(&source, &[(Kind::Pseudonym, "blue-heron")]);
    assert_eq!(opened(&out)[1].1, body);
    assert_eq!(opened(&source)[2].1, opened(&out)[2].1);
    assert_eq!(made.changes.len(), 1, "{:?}", made.changes);
    assert!(!all_text(&out).contains("blue-heron"));
    assert!(check(&out[..]).unwrap().iter().all(|record| record.findings.is_empty()));
}

/// Every usual spelling of a pseudonym, in a compressed, chunked page and everywhere around it.
#[test]
fn no_spelling_of_a_value_leaves() {
    let page = "<p>Hi blue-heron, BLUE-HERON, Blue-Heron</p><a href='/u/blue%2Dheron'>x</a> blue&#45;heron b&#x6c;ue-heron \
                blue&shy;-heron {\"user\":\"blue\\u002dheron\"} Ymx1ZS1oZXJvbg== YWJibHVlLWhlcm9u eGJsdWUtaGVyb254 \
                %2562lue-heron 9f8e7d6c5b4a";
    let mut utf16: Vec<u8> = "blue-heron".encode_utf16().flat_map(u16::to_le_bytes).collect();
    utf16.splice(0..0, *b"<!-- ");
    let plain = [page.as_bytes(), b"<p>kept</p>"].concat();
    let coded = gzip(&plain);
    let response = [
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\
             Set-Cookie: sid=9f8e7d6c5b4a; Path=/\r\nX-User: blue-heron\r\n\r\n{:x}\r\n",
            coded.len()
        )
        .into_bytes(),
        coded,
        b"\r\n0\r\n\r\n".to_vec(),
    ]
    .concat();
    let facts = [("profile", "blue-heron"), ("navigation-path", "/u/blue-heron"), ("payload-sha256", "00ff")];
    let (source, id) = warc("http://x.onion/u/blue-heron?s=9f8e7d6c5b4a", REQUEST, &response, &facts);
    let (out, made, secrets) = layer(&source, &[(Kind::Pseudonym, "blue-heron")]);
    let text = all_text(&out);
    let low = text.to_lowercase();
    for secret in ["heron", "9f8e7d6c5b4a", "ymx1zs1o", "00ff", "%2562lue"] {
        assert!(!low.contains(secret), "{secret} is in {text}");
    }
    assert!(text.contains("<p>kept</p>") && text.contains("A-07"), "{text}");
    assert!(secrets.find(text.as_bytes()).is_empty());
    // Whoever has the sealed layer finds each value where the list says it stood.
    let marker = secrets.marker("blue-heron");
    assert!(text.contains(&format!("WARC-Target-URI: http://x.onion/u/{marker}?s=")), "{text}");
    for change in made.changes.iter().filter(|change| change.part == "body") {
        let stood = &plain[change.at..change.at + change.bytes];
        assert!(!secrets.find(stood).is_empty(), "{change:?}: {}", String::from_utf8_lossy(stood));
        assert_eq!(change.record, id);
    }
    for change in &made.changes {
        let opening = made.openings.iter().find(|opening| opening.commitment == change.commitment).unwrap();
        let salt = data_encoding::HEXLOWER.decode(opening.salt.as_bytes()).unwrap();
        let sum = Sha256::new().chain_update(&salt).chain_update(opening.value.as_bytes()).finalize();
        assert_eq!(data_encoding::HEXLOWER.encode(&sum), change.commitment);
    }
    assert!(check(&out[..]).unwrap().iter().all(|record| record.findings.is_empty()));
    assert_eq!(made.cdx.len(), 1);
    assert!(!made.cdx[0].text().contains("heron"));
    assert!(!made.pages[0].text.to_lowercase().contains("heron"));
}

#[test]
fn what_cannot_be_looked_through_is_left_out_and_said() {
    for coding in ["br", "gzip"] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n");
        let response = [head.as_bytes(), b"no such coding: blue-heron"].concat();
        let (source, _) = warc("http://x.onion/", b"GET / HTTP/1.1\r\n\r\n", &response, &[]);
        let (out, made, _) = layer(&source, &[(Kind::Pseudonym, "blue-heron")]);
        assert!(!all_text(&out).contains("heron"));
        assert!(made.notes.iter().any(|note| note.contains("cannot be looked through")), "{:?}", made.notes);
    }
}

#[test]
fn a_picture_with_a_value_in_it_is_left_out_whole() {
    let response =
        b"HTTP/1.1 200 OK\r\nContent-Type: image/jpeg\r\nContent-Length: 20\r\n\r\n\xff\xd8\0\0blue-heron\0\0\0\0\0\0";
    let (source, _) = warc("http://x.onion/1.jpg", b"GET / HTTP/1.1\r\n\r\n", response, &[]);
    let (out, made, _) = layer(&source, &[(Kind::Pseudonym, "blue-heron")]);
    assert!(!all_text(&out).contains("heron"));
    assert_eq!(made.changes.iter().filter(|change| change.part == "body").count(), 1);
}

#[test]
fn a_revisit_is_whole_again_and_what_it_cannot_find_is_said() {
    let mut warc = WarcWriter::new(Vec::new());
    let info = Info { software: "vigie".into(), operator: "A-07".into(), filename: None, extra: Vec::new() };
    let info = warc.warcinfo(date(), &info).unwrap();
    let id = new_record_id();
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/css\r\n\r\n";
    let fields = [
        ("WARC-Target-URI", "http://x.onion/s.css".to_owned()),
        ("WARC-Warcinfo-ID", info),
        ("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest".to_owned()),
        ("WARC-Refers-To", "<urn:uuid:00000000-0000-4000-8000-000000000001>".to_owned()),
        ("Vigie-Refers-To-Exhibit", "1".to_owned()),
    ];
    let record = Record {
        kind: "revisit",
        record_id: &id,
        date: date(),
        content_type: "application/http;msgtype=response",
        fields: &fields,
    };
    warc.record(&record, &mut &head[..], head.len() as u64, Sha256::digest(head).into()).unwrap();
    let source = warc.into_inner();
    let mut secrets = Secrets::new([7; 32]);
    secrets.prepare();
    let found = |exhibit: u64, _: &str| {
        assert_eq!(exhibit, 1);
        Ok(Some(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na{}\r\n0\r\n\r\n".to_vec()))
    };
    let mut out = Vec::new();
    let layer = Layer { secrets: &secrets, reading: &Plain, original: &found };
    let made = layer.write(2, "2.warc.gz", &source[..], &mut out).unwrap();
    let records = opened(&out);
    assert!(
        records[1].0.contains("WARC-Type: response") && !records[1].0.contains("WARC-Refers-To"),
        "{}",
        records[1].0
    );
    assert_eq!(records[1].1, b"HTTP/1.1 200 OK\r\nContent-Type: text/css\r\nContent-Length: 3\r\n\r\na{}");
    assert_eq!(made.cdx.len(), 1);

    let layer = Layer { secrets: &secrets, reading: &Plain, original: &nothing };
    let made = layer.write(2, "2.warc.gz", &source[..], Vec::new()).unwrap();
    assert!(made.notes[0].contains("cannot open"), "{:?}", made.notes);
}

#[test]
fn the_same_export_is_the_same_and_another_secret_makes_other_markers() {
    let response = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 10\r\n\r\nblue-heron";
    let (source, _) = warc("http://x.onion/", REQUEST, response, &[]);
    let (one, made, secrets) = layer(&source, &[(Kind::Pseudonym, "blue-heron")]);
    let (two, ..) = layer(&source, &[(Kind::Pseudonym, "blue-heron")]);
    assert_eq!(one, two);
    let mut other = Secrets::new([8; 32]);
    other.add(Kind::Pseudonym, "blue-heron").unwrap();
    assert_ne!(secrets.marker("blue-heron"), other.marker("blue-heron"));

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("3.warc.gz");
    std::fs::write(&path, &one).unwrap();
    let about = About { title: "Case".into(), description: "d".into(), software: "vigie".into(), created: date() };
    let piece = Piece { name: "exhibit-000003.warc.gz".into(), path, cdx: made.cdx, pages: made.pages };
    let pieces = [piece];
    let archive = |secrets: &Secrets| write(Cursor::new(Vec::new()), &about, &pieces, secrets).unwrap().into_inner();
    assert_eq!(archive(&secrets), archive(&secrets));
}

#[test]
fn short_values_are_refused() {
    let mut secrets = Secrets::new([7; 32]);
    assert!(secrets.add(Kind::Listed, " abc ").is_err());
    secrets.add(Kind::Listed, "abcd").unwrap();
}

proptest! {
    /// Whatever stands around and however it is spelled, nothing that can be found is left.
    #[test]
    fn nothing_is_found_after_redaction(
        values in prop::collection::vec("[a-zA-Zäé0-9_.@-]{4,12}", 1..4),
        parts in prop::collection::vec((0_usize..6, "[ -~]{0,12}"), 0..12),
    ) {
        let mut secrets = Secrets::new([9; 32]);
        for value in &values {
            secrets.add(Kind::Listed, value).unwrap();
        }
        secrets.prepare();
        let mut bytes = Vec::new();
        for (how, around) in &parts {
            let value = &values[how % values.len()];
            bytes.extend_from_slice(around.as_bytes());
            match how {
                0 => bytes.extend_from_slice(value.to_uppercase().as_bytes()),
                1 => value.bytes().for_each(|byte| bytes.extend_from_slice(format!("%{byte:02x}").as_bytes())),
                2 => value.chars().for_each(|c| bytes.extend_from_slice(format!("&#{};", u32::from(c)).as_bytes())),
                3 => value.chars().for_each(|c| bytes.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes())),
                4 => bytes.extend(value.encode_utf16().flat_map(u16::to_le_bytes)),
                _ => bytes.extend_from_slice(value.as_bytes()),
            }
        }
        let (out, hits) = secrets.redact(&bytes);
        for hit in &hits {
            prop_assert!(hit.range.end <= bytes.len());
        }
        // A marker beside other text may by chance spell a short value; no value is longer than its marker.
        let left: Vec<_> = secrets.find(&out).into_iter().filter(|hit| !out[hit.range.clone()].iter().any(|b| b"REDACTED-listed".contains(b))).collect();
        prop_assert!(left.is_empty(), "{left:?} in {}", String::from_utf8_lossy(&out));
    }

    /// Any bytes are looked through without a panic, and what is not hit stays.
    #[test]
    fn any_bytes_are_looked_through(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut secrets = Secrets::new([9; 32]);
        secrets.add(Kind::Listed, "blue-heron").unwrap();
        secrets.prepare();
        let (out, hits) = secrets.redact(&bytes);
        if hits.is_empty() {
            prop_assert_eq!(out, bytes);
        }
    }

    #[test]
    fn any_block_is_split_and_kept(block in prop::collection::vec(any::<u8>(), 0..300)) {
        let (source, _) = warc("http://x.onion/", b"GET / HTTP/1.1\r\n\r\n", &block, &[]);
        let (out, ..) = layer(&source, &[(Kind::Pseudonym, "blue-heron")]);
        prop_assert!(check(&out[..]).unwrap().iter().all(|record| record.findings.is_empty()));
    }
}
