//! Checking every digest that a WARC file claims.

use std::io::Read;

use crate::{Block, Hasher, LabelledDigest, Payload, RecordHead, WarcError, WarcReader};

/// What a check of one record found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordCheck {
    /// `WARC-Type`.
    pub kind: String,
    /// `WARC-Record-ID`.
    pub id: String,
    /// The whole header.
    pub head: RecordHead,
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
    #[error("{0} is no digest that can be checked (sha256 in hex, sha1 in Base32)")]
    Unknown(&'static str),
    /// A digest does not match.
    #[error("{0} does not match the bytes")]
    Mismatch(&'static str),
}

/// Reads a whole file and checks each record as [`check_each`] does, into a list.
///
/// # Errors
/// As for [`check_each`].
pub fn check(source: impl Read) -> Result<Vec<RecordCheck>, WarcError> {
    let mut checks = Vec::new();
    check_each(source, |check| checks.push(check))?;
    Ok(checks)
}

/// Reads a whole file and checks each record: `WARC-Block-Digest` always, `WARC-Payload-Digest`
/// of responses and resources (a revisit's payload lies elsewhere). A record that says it is
/// truncated is checked on what it holds. `each` gets the results in order.
///
/// # Errors
/// The stream failed or a record is malformed; the records before it have been given.
pub fn check_each(source: impl Read, mut each: impl FnMut(RecordCheck)) -> Result<(), WarcError> {
    let mut reader = WarcReader::new(source);
    while let Some(result) = reader.next(|head, block| one(head, block, |_| {}))? {
        each(result);
    }
    Ok(())
}

/// As [`check_each`]; `each` also gets the first `keep` bytes of the block of a record whose
/// `WARC-Type` is `kind`, and nothing of others.
///
/// # Errors
/// As for [`check_each`].
pub fn check_each_with(
    source: impl Read,
    kind: &str,
    keep: usize,
    mut each: impl FnMut(RecordCheck, Vec<u8>),
) -> Result<(), WarcError> {
    let mut reader = WarcReader::new(source);
    while let Some((check, kept)) = reader.next(|head, block| {
        let mut kept = Vec::new();
        let keep = if head.field("WARC-Type") == Some(kind) { keep } else { 0 };
        let check = one(head, block, |bytes| kept.extend(bytes.iter().take(keep.saturating_sub(kept.len()))))?;
        Ok((check, kept))
    })? {
        each(check, kept);
    }
    Ok(())
}

const FIELDS: [&str; 4] = ["WARC-Type", "WARC-Record-ID", "WARC-Date", "WARC-Block-Digest"];

fn one(head: &RecordHead, block: &mut Block<'_>, mut seen: impl FnMut(&[u8])) -> Result<RecordCheck, WarcError> {
    let kind = head.field("WARC-Type").unwrap_or_default().to_owned();
    let mut findings = Vec::new();
    for needed in FIELDS {
        if head.field(needed).is_none_or(str::is_empty) {
            findings.push(Finding::Missing(needed));
        }
    }
    let has_payload = matches!(kind.as_str(), "response" | "resource");
    let mut whole = Claim::new(head, "WARC-Block-Digest", true, &mut findings);
    let mut payload = Claim::new(head, "WARC-Payload-Digest", has_payload, &mut findings);
    // Only HTTP has a payload inside its block; of anything else the block is the payload (§4).
    let is_http =
        head.field("Content-Type").is_some_and(|t| t.trim_start().to_ascii_lowercase().starts_with("application/http"));
    let mut http = (kind == "response" && is_http).then(Payload::default);
    let mut buffer = vec![0u8; 64 * 1024];
    loop {
        let read = match block.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error.into()),
        };
        seen(&buffer[..read]);
        whole.update(&buffer[..read]);
        match &mut http {
            Some(http) => http.feed(&buffer[..read], &mut |bytes| payload.update(bytes)),
            None => payload.update(&buffer[..read]),
        }
    }
    whole.compare(&mut findings);
    payload.compare(&mut findings);
    let id = head.field("WARC-Record-ID").unwrap_or_default().to_owned();
    Ok(RecordCheck { kind, id, head: head.clone(), findings })
}

/// A digest that a record claims, and the digest that its bytes have so far.
struct Claim {
    name: &'static str,
    claimed: Option<(LabelledDigest, Hasher)>,
}

impl Claim {
    fn new(head: &RecordHead, name: &'static str, wanted: bool, findings: &mut Vec<Finding>) -> Self {
        let value = head.field(name).filter(|value| wanted && !value.is_empty());
        let claimed = value.and_then(LabelledDigest::parse);
        if value.is_some() && claimed.is_none() {
            findings.push(Finding::Unknown(name));
        }
        Self { name, claimed: claimed.map(|claimed| (claimed, Hasher::like(&claimed))) }
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some((_, hasher)) = &mut self.claimed {
            hasher.update(bytes);
        }
    }

    fn compare(self, findings: &mut Vec<Finding>) {
        if self.claimed.is_some_and(|(claimed, hasher)| hasher.finish() != claimed) {
            findings.push(Finding::Mismatch(self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256};

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
        warc.response(date, &info_id, &response, &mut &block[..], block.len() as u64, Sha256::digest(block).into())
            .expect("written");
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
                assert!(after == before || after.iter().any(|c| !c.findings.is_empty()), "byte {at}");
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
        warc.response(date, &id, &response, &mut &block[..], block.len() as u64, Sha256::digest(block).into())
            .expect("written");
        let checks = check(&warc.into_inner()[..]).expect("reads");
        assert_eq!(checks[0].findings, [Finding::Mismatch("WARC-Payload-Digest")]);
    }
}
