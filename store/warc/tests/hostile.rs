//! Round trips, damage, and bytes that are no WARC file at all.

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use vigie_warc::records::{Record, Response};
use vigie_warc::{HEAD_BYTES, RecordHead, WarcError, WarcReader, WarcWriter, check, new_record_id};

fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

fn member(text: &[u8]) -> Vec<u8> {
    let mut out = GzEncoder::new(Vec::new(), Compression::fast());
    out.write_all(text).expect("written");
    out.finish().expect("written")
}

fn read_all(bytes: &[u8]) -> Result<Vec<(RecordHead, Vec<u8>)>, WarcError> {
    let (mut reader, mut records) = (WarcReader::new(bytes), Vec::new());
    while let Some(record) = reader.next(|head, block| {
        let mut bytes = Vec::new();
        block.read_to_end(&mut bytes)?;
        Ok((head.clone(), bytes))
    })? {
        records.push(record);
    }
    Ok(records)
}

fn record<'a>(id: &'a str, fields: &'a [(&'a str, String)]) -> Record<'a> {
    Record {
        kind: "resource",
        record_id: id,
        date: "2026-03-01T10:00:00Z".parse().expect("a time"),
        content_type: "application/octet-stream",
        fields,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_comes_back(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5_000), 1..5), value in any::<String>()) {
        let mut warc = WarcWriter::new(Vec::new());
        for block in &blocks {
            let id = new_record_id();
            let fields = [("WARC-Target-URI", value.clone())];
            warc.record(&record(&id, &fields), &mut &block[..], block.len() as u64, sha256(block)).expect("written");
        }
        let bytes = warc.into_inner();
        let records = read_all(&bytes).expect("reads");
        prop_assert_eq!(records.len(), blocks.len());
        for ((head, found), block) in records.iter().zip(&blocks) {
            prop_assert_eq!(found, block);
            // A hostile value cannot make a field of its own.
            prop_assert_eq!(head.fields.len(), 7);
        }
        prop_assert!(check(&bytes[..]).expect("reads").iter().all(|c| c.findings.is_empty()));
    }

    #[test]
    fn a_flipped_bit_is_seen(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let block: Vec<u8> = (0..3_000u32).map(|n| (n * n % 251) as u8).collect();
        let mut warc = WarcWriter::new(Vec::new());
        let id = new_record_id();
        warc.record(&record(&id, &[]), &mut &block[..], 3_000, sha256(&block)).expect("written");
        let mut bytes = warc.into_inner();
        let sound = read_all(&bytes).expect("reads");
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        match read_all(&bytes) {
            Err(_) => {}
            // Time, system, text flag and padding of a gzip member are no content.
            Ok(records) => prop_assert_eq!(records, sound, "byte {}", at),
        }
    }

    #[test]
    fn any_bytes_are_met(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = check(&bytes[..]);
        let _ = check(&member(&bytes)[..]);
        let mut text = b"WARC/1.1\r\nWARC-Type: response\r\nContent-Type: application/http\r\n".to_vec();
        text.extend_from_slice(&bytes);
        let _ = check(&member(&text)[..]);
    }

    #[test]
    fn a_cut_file_is_an_error(at in any::<prop::sample::Index>()) {
        let block = b"HTTP/1.1 200 OK\r\n\r\nhello";
        let mut warc = WarcWriter::new(Vec::new());
        let id = new_record_id();
        warc.record(&record(&id, &[]), &mut &block[..], block.len() as u64, sha256(block)).expect("written");
        let bytes = warc.into_inner();
        let at = at.index(bytes.len());
        prop_assert_eq!(read_all(&bytes[..at]).is_ok(), at == 0);
    }
}

#[test]
fn what_a_strict_reader_refuses_is_refused() {
    let sound = "WARC/1.1\r\nWARC-Type: resource\r\nContent-Length: 2\r\n\r\nab\r\n\r\n";
    assert_eq!(read_all(&member(sound.as_bytes())).expect("sound").len(), 1);
    let wrong = [
        sound.replace("WARC/1.1", "WARC/9"),
        sound.replace("WARC/1.1\r\n", "WARC/1.1\n"),
        sound.replace("Length: 2", "Length: +2"),
        sound.replace("Length: 2", "Length: 2 "),
        sound.replace("Length: 2", "Length: 3"),
        sound.replace("Length: 2", "Length: 1"),
        sound.replace("Length: 2", "Length: 99999999999999999999"),
        sound.replace("Content-Length: 2\r\n", ""),
        sound.replace("Content-Length: 2\r\n", "Content-Length: 2\r\nContent-Length: 2\r\n"),
        sound.replace("WARC-Type: resource\r\n", "WARC-Type: resource\r\nwarc-type: response\r\n"),
        sound.replace("WARC-Type: resource\r\n", "WARC-Type: resource\r\n  folded\r\n"),
        sound.replace("WARC-Type: resource\r\n", "WARC-Type : resource\r\n"),
        sound.replace("WARC-Type: resource\r\n", "no colon\r\n"),
        sound.replace("resource", "res\rource"),
        sound.replace("resource", "res\0ource"),
        sound.replace("ab\r\n\r\n", "ab\r\n"),
        sound.replace("ab\r\n\r\n", "ab\r\n\r\nmore"),
        String::new(),
    ];
    for text in &wrong {
        let lenient = text.contains("Length: 2 \r");
        assert_eq!(read_all(&member(text.as_bytes())).is_ok(), lenient, "{text:?}");
    }
    let mut not_text = sound.replace("resource", "res!ource").into_bytes();
    let at = not_text.iter().position(|&b| b == b'!').expect("there");
    not_text[at] = 0xff;
    assert!(read_all(&member(&not_text)).is_err());
    // Bytes between members.
    let mut between = member(sound.as_bytes());
    between.extend_from_slice(b"junk");
    assert!(read_all(&between).is_err());
}

#[test]
fn an_endless_header_costs_its_limit() {
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            buffer.fill(b'a');
            self.0 += buffer.len() as u64;
            Ok(buffer.len())
        }
    }
    let text: Vec<u8> = b"WARC/1.1\r\n".iter().copied().chain(std::iter::repeat_n(b'a', 50 << 20)).collect();
    let packed = member(&text);
    let error = read_all(&packed).expect_err("too long");
    assert!(error.to_string().contains("256 KiB"), "{error}");
    let lines = format!("WARC/1.1\r\n{}", "a: b\r\n".repeat(HEAD_BYTES));
    assert!(read_all(&member(lines.as_bytes())).is_err());
    // The writer reads no further than one byte past what was announced.
    let mut source = Endless(0);
    let id = new_record_id();
    let wrong = WarcWriter::new(std::io::sink()).record(&record(&id, &[]), &mut source, 100, [0; 32]);
    assert!(matches!(wrong, Err(WarcError::Length { announced: 100, found: 101 })), "{wrong:?}");
    assert_eq!(source.0, 101);
}

#[test]
fn the_writer_believes_nothing() {
    let id = new_record_id();
    let mut warc = WarcWriter::new(std::io::sink());
    let short = warc.record(&record(&id, &[]), &mut &b"abc"[..], 4, sha256(b"abcd"));
    assert!(matches!(short, Err(WarcError::Length { announced: 4, found: 3 })), "{short:?}");
    let other = warc.record(&record(&id, &[]), &mut &b"abc"[..], 3, sha256(b"abd"));
    assert!(matches!(other, Err(WarcError::Digest)), "{other:?}");
}

#[test]
fn a_record_visited_in_part_does_not_disturb_the_next() {
    let mut warc = WarcWriter::new(Vec::new());
    let date = "2026-03-01T10:00:00Z".parse().expect("a time");
    let block = vec![b'x'; 300_000];
    for _ in 0..3 {
        let id = new_record_id();
        let response = Response {
            url: "http://example.test/",
            record_id: &id,
            payload_sha256: None,
            truncated: Some("length"),
            protocols: &[],
            cipher_suite: None,
        };
        warc.response(date, "<urn:uuid:0>", &response, &mut &block[..], 300_000, sha256(&block)).expect("written");
    }
    let bytes = warc.into_inner();
    let (mut reader, mut records) = (WarcReader::new(&bytes[..]), 0);
    while reader.next(|_, block| Ok(block.read(&mut [0; 10])?)).expect("reads").is_some() {
        records += 1;
    }
    assert_eq!(records, 3);
}
