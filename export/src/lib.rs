//! What leaves the workstation for a court: an exhibit's WARC records without what must not be told
//! (the *open layer*), and the formats that carry them.
//!
//! Pure: no network, no clock, no store. What reads hostile bytes (content codings, HTML) is asked of
//! the caller through [`Reading`], so that it can happen in a process of its own. The same input gives
//! the same bytes.
//!
//! - [`Secrets`] are the values that must not stand anywhere in the open layer, in any usual spelling.
//! - [`layer::Layer`] writes one exhibit's records without them, and says what it changed.
//! - [`wacz`] puts such files together so that ReplayWeb.page opens them.
//! - [`bag`] seals a folder as BagIt asks (RFC 8493).

pub mod bag;
mod cdx;
mod head;
pub mod layer;
mod secrets;
mod spelling;
pub mod wacz;

pub use cdx::CdxLine;
pub use secrets::{Kind, Opening, Secrets, TooShort};

/// What reads hostile bytes for this crate.
pub trait Reading {
    /// Removes content codings (the values of `Content-Encoding`, in order). `Err` says why it could not.
    fn decoded(&self, codings: &str, content_type: Option<&str>, body: Vec<u8>) -> Result<Vec<u8>, String>;

    /// Title and visible text of a page; empty where there is none.
    fn text(&self, url: &str, content_type: Option<&str>, body: &[u8]) -> (String, String);
}

/// A failure of making an export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Reading or writing WARC records.
    #[error(transparent)]
    Warc(#[from] vigie_warc::WarcError),
    /// Reading or writing a file of the export.
    #[error("reading or writing a file of the export: {0}")]
    Io(#[from] std::io::Error),
    /// The archive.
    #[error("writing the WACZ archive: {0}")]
    Zip(#[from] zip::result::ZipError),
    /// Text of the archive.
    #[error("writing the export's lists: {0}")]
    Json(#[from] serde_json::Error),
    /// A record that cannot be shown without what must not be told.
    #[error("exhibit {exhibit}: {what}")]
    Record {
        /// Its number.
        exhibit: u64,
        /// What is wrong.
        what: String,
    },
}
