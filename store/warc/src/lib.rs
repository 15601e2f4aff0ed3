//! WARC/1.1 (ISO 28500:2017): writing records as gzip members, reading them back with limits, and
//! checking every digest. Pure format: no file is named here, no clock is read.
//!
//! - [`WarcWriter`] writes one gzip member per record (annex D) and never holds a block in memory.
//! - [`WarcReader`] reads such a file record by record; whatever a strict reader would refuse is
//!   refused, and nothing that a hostile file holds makes it panic or grow.
//! - [`check()`] compares `WARC-Block-Digest` and `WARC-Payload-Digest` with the bytes.
//! - [`Payload`] is the rule by which the payload of an HTTP response block is found; whoever
//!   computes a payload digest has to follow it.

mod check;
mod chunked;
mod digest;
mod reader;
pub mod records;
mod writer;

pub use check::{Finding, RecordCheck, check, check_each, check_each_with};
pub use chunked::Payload;
pub use digest::{Hasher, LabelledDigest, sha256_label};
pub use reader::{Block, HEAD_BYTES, RecordHead, WarcReader};
pub use writer::WarcWriter;

/// A failure of reading or writing.
#[derive(Debug, thiserror::Error)]
pub enum WarcError {
    /// The stream below failed.
    #[error("reading or writing WARC records: {0}")]
    Io(#[from] std::io::Error),
    /// The bytes are no WARC/1.1 record.
    #[error("record {record} of the WARC file is malformed: {reason}")]
    Malformed {
        /// 1-based.
        record: u64,
        /// What is wrong.
        reason: String,
    },
    /// A record that this crate's own reader would refuse; nothing of it was written.
    #[error("a WARC record cannot be written: {0}")]
    Record(String),
    /// A block was not as long as announced; what was written of it must be thrown away.
    #[error("a WARC block has {found} bytes where {announced} were announced; discard the file")]
    Length {
        /// Announced.
        announced: u64,
        /// Found; one more than announced stands for "at least one more".
        found: u64,
    },
    /// A block did not have the digest announced; what was written of it must be thrown away.
    #[error("a WARC block does not have the digest announced for it; discard the file")]
    Digest,
}

/// A fresh `WARC-Record-ID` (`<urn:uuid:…>`, random; RFC 9562 version 4).
pub fn new_record_id() -> String {
    format!("<urn:uuid:{}>", uuid::Uuid::new_v4())
}
