//! Checks what `vigie export` wrote without Vigie: the folder, the log's proof, the archive, and what witnesses,
//! time-stamping authorities and onion services signed. No network, no key of the case.
//!
//! [`check`] reads a folder and gives a [`Report`]: findings in green, amber and red, and what was not checked.
//! Files are read in pieces; lists and small files have fixed limits. Only files that a walk of the folder found are
//! opened, and no link is followed, whatever a list names.

#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod archive;
mod bag;
pub mod cli;
mod entry;
mod folder;
mod inventory;
mod log;
mod others;
mod report;
mod zip;

use std::path::Path;

use jiff::Timestamp;
use vigie_config::signers::AllowedSigners;
use vigie_log::cosignature::WitnessKey;
use vigie_time::Root;

pub use report::{Finding, Report, Status};

/// The page that does much of the same in a browser; it travels with each bundle.
pub const PAGE: &str = include_str!("../verify.html");

/// What reached the reader by another way than the bundle.
#[derive(Default)]
pub struct Known {
    /// A signed head of the log.
    pub head: Option<String>,
    /// Fingerprint of a head: see [`fingerprint`].
    pub fingerprint: Option<[u8; 32]>,
    /// Whose release counts.
    pub signers: Option<AllowedSigners>,
    /// Keys of witnesses.
    pub witnesses: Vec<WitnessKey>,
    /// Roots of time-stamping authorities.
    pub roots: Vec<Root>,
}

/// A folder that cannot be judged at all. One line: what was tried, on what, what to do.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// No bundle, or one of a later version.
    #[error("{0}")]
    Input(String),
    /// The disk failed.
    #[error("reading {what}: {source}")]
    Io {
        /// Which file.
        what: String,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// SHA-256 of the three lines of a head that are signed: origin, entries, root.
pub fn fingerprint(body: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    Sha256::digest(body.as_bytes()).into()
}

/// The fingerprint of a signed head, as people compare it: groups of four hex digits, `3F2A 90C1 …`.
pub fn fingerprint_of(note: &str) -> String {
    let body = note.split_once("\n\n").map_or(note, |(body, _)| body);
    grouped(&fingerprint(&format!("{}\n", body.trim_end_matches('\n'))))
}

/// A digest as people compare it.
pub fn grouped(sum: &[u8; 32]) -> String {
    let hex = data_encoding::HEXUPPER.encode(sum);
    hex.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" ")
}

/// Checks a bundle at a moment (of the reader's clock, for the validity of signers' keys).
///
/// # Errors
/// [`Unreadable`].
pub fn check(folder: &Path, known: &Known, now: Timestamp) -> Result<Report, Unreadable> {
    let mut report = Report::default();
    let files = folder::Folder::walk(folder, &mut report)?;
    bag::check(&files, &mut report)?;
    let log = log::read(&files, known, &mut report)?;
    let inventory = inventory::check(&files, &log, &mut report)?;
    archive::check(&files, &inventory, &mut report)?;
    others::check(&files, &log, known, now, &mut report)?;
    report.limits();
    Ok(report)
}
