//! Checking every digest that a WARC file claims.

use std::io::Read;

use sha2::{Digest, Sha256};

use crate::chunked::Payload;
use crate::{WarcError, WarcReader, sha256_label};

/// What a check of one record found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordCheck {
    /// `WARC-Type`.
    pub kind: String,
    /// `WARC-Record-ID`.
    pub id: String,
    /// Faults; empty when all holds.
    pub findings: Vec<Finding>,
}

/// A fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Finding {
    /// A field that every record needs is not there.
    #[error("the record has no {0}")]
    Missing(&'static str),
    /// A digest in a form that this check does not know.
    #[error("{0} is not a sha256 digest in hex")]
    Unknown(&'static str),
    /// A digest does not match.
    #[error("{0} does not match the bytes")]
    Mismatch(&'static str),
}

/// Reads a whole file and checks each record: `WARC-Block-Digest` always, `WARC-Payload-Digest`
/// of responses and resources (a revisit's payload lies elsewhere).
pub fn check(source: impl Read) -> Result<Vec<RecordCheck>, WarcError> {
    let mut reader = WarcReader::new(source);
    let mut checks = Vec::new();
    while let Some(result) = reader.next(|head, block| {
        let kind = head.field("WARC-Type").unwrap_or_default().to_owned();
        let (mut whole, mut payload_hash, mut payload) = (Sha256::new(), Sha256::new(), Payload::default());
        let mut buffer = vec![0u8; 64 * 1024];
        loop {
            let read = block.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            whole.update(&buffer[..read]);
            match kind.as_str() {
                "response" => payload.feed(&buffer[..read], &mut |bytes| payload_hash.update(bytes)),
                "resource" => payload_hash.update(&buffer[..read]),
                _ => {}
            }
        }
        let mut findings = Vec::new();
        for needed in ["WARC-Type", "WARC-Record-ID", "WARC-Date", "WARC-Block-Digest"] {
            if head.field(needed).is_none_or(str::is_empty) {
                findings.push(Finding::Missing(needed));
            }
        }
        compare(head.field("WARC-Block-Digest"), &whole.finalize().into(), "WARC-Block-Digest", &mut findings);
        if matches!(kind.as_str(), "response" | "resource") {
            compare(head.field("WARC-Payload-Digest"), &payload_hash.finalize().into(), "WARC-Payload-Digest", &mut findings);
        }
        Ok(RecordCheck { kind, id: head.field("WARC-Record-ID").unwrap_or_default().to_owned(), findings })
    })? {
        checks.push(result);
    }
    Ok(checks)
}

fn compare(claimed: Option<&str>, found: &[u8; 32], name: &'static str, findings: &mut Vec<Finding>) {
    let Some(claimed) = claimed else { return };
    if !claimed.starts_with("sha256:") {
        findings.push(Finding::Unknown(name));
    } else if claimed != sha256_label(found) {
        findings.push(Finding::Mismatch(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::{Info, Response};
    use crate::{WarcWriter, new_record_id};

    fn sample() -> Vec<u8> {
        let date = "2026-03-01T10:00:00Z".parse().expect("a time");
        let mut warc = WarcWriter::new(Vec::new());
        let info = Info { software: "test".into(), operator: "A-07".into(), filename: None, extra: Vec::new() };
        let info_id = warc.warcinfo(date, &info).expect("written");
        let block = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n";
        let id = new_record_id();
        let response = Response {
            url: "http://example.test/",
            record_id: &id,
            payload_sha256: Some(Sha256::digest(b"hello world").into()),
            truncated: None,
            protocols: &[],
            cipher_suite: None,
        };
        warc.response(date, &info_id, &response, &mut &block[..], block.len() as u64, Sha256::digest(block).into()).expect("written");
        warc.request(date, &info_id, "http://example.test/", &id, b"GET / HTTP/1.1\r\n\r\n").expect("written");
        warc.into_inner()
    }

    #[test]
    fn what_is_written_is_sound() {
        let checks = check(&sample()[..]).expect("reads");
        assert_eq!(checks.iter().map(|c| c.kind.as_str()).collect::<Vec<_>>(), ["warcinfo", "response", "request"]);
        assert!(checks.iter().all(|c| c.findings.is_empty()), "{checks:?}");
    }

    #[test]
    fn every_flipped_bit_is_seen_or_harmless_to_the_content() {
        let sound = sample();
        let before = check(&sound[..]).expect("reads");
        for at in 0..sound.len() {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            if let Ok(after) = check(&bytes[..]) {
                // A gzip member's own header (time, system) is not content.
                assert!(after == before || after.iter().any(|c| !c.findings.is_empty()) , "byte {at}");
            }
        }
    }

    #[test]
    fn a_wrong_payload_digest_is_seen() {
        let date = "2026-03-01T10:00:00Z".parse().expect("a time");
        let mut warc = WarcWriter::new(Vec::new());
        let block = b"HTTP/1.1 200 OK\r\n\r\nhello";
        let id = new_record_id();
        let response = Response {
            url: "http://example.test/",
            record_id: &id,
            payload_sha256: Some([7; 32]),
            truncated: None,
            protocols: &[],
            cipher_suite: None,
        };
        warc.response(date, &id, &response, &mut &block[..], block.len() as u64, Sha256::digest(block).into()).expect("written");
        let checks = check(&warc.into_inner()[..]).expect("reads");
        assert_eq!(checks[0].findings, [Finding::Mismatch("WARC-Payload-Digest")]);
    }
}
