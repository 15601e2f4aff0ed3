//! WARC/1.1 (ISO 28500:2017): writing records as gzip members, reading them back with limits, and
//! checking every digest. Pure format: no file is named here.

mod check;
mod chunked;
mod reader;
pub mod records;
mod writer;

pub use check::{Finding, RecordCheck, check};
pub use reader::{Block, RecordHead, WarcReader};
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
    /// A block was not as long as announced.
    #[error("a WARC block has {found} bytes where {announced} were announced")]
    Length {
        /// Announced.
        announced: u64,
        /// Found.
        found: u64,
    },
}

/// A fresh `WARC-Record-ID` (`<urn:uuid:…>`, random).
pub fn new_record_id() -> String {
    format!("<urn:uuid:{}>", uuid::Uuid::new_v4())
}

/// A labelled digest as this project writes it: `sha256:` and lower-case hex.
pub fn sha256_label(digest: &[u8; 32]) -> String {
    format!("sha256:{}", data_encoding::HEXLOWER.encode(digest))
}
