//! What a witness refuses, and what can go wrong.

use std::io;
use std::path::PathBuf;

use vigie_log::checkpoint::CheckpointError;
use vigie_log::request::RequestError;
use vigie_log::wrapped::WrapError;

/// Nothing was cosigned. One line: what was tried, on what, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// The disk or file system failed.
    #[error("{trying}: {source}")]
    Io {
        /// What was tried, on what.
        trying: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory or file to make is there already.
    #[error("{} exists already: name another", path.display())]
    Exists {
        /// Which.
        path: PathBuf,
    },
    /// The directory holds no witness that this version reads.
    #[error("{} holds no witness ({why}): name the directory that vigie-witness init made", dir.display())]
    NotAWitness {
        /// The directory.
        dir: PathBuf,
        /// What was missing or unknown.
        why: &'static str,
    },
    /// A file of the witness is not what it wrote.
    #[error("damaged: {what}: restore it from a copy that is not older than the last cosignature")]
    Damaged {
        /// Which, and how.
        what: String,
    },
    /// The name cannot stand in a signed note.
    #[error("{name:?} as the name of a witness: 1 to 255 printable ASCII characters without space and '+'")]
    Name {
        /// As given.
        name: String,
    },
    /// The key was not wrapped or not opened.
    #[error("the witness's key: {0}")]
    Key(#[from] WrapError),
    /// Text that is no verifier key of a log.
    #[error("not the verifier key of a log (a line name+hash+base64): copy it from vigie checkpoint --key")]
    NotALogKey,
    /// The log is trusted under another key.
    #[error("{origin} is trusted here under another key: {key}; a log that changes its key is another log")]
    OtherKey {
        /// Name of the log.
        origin: String,
        /// The key that is trusted.
        key: String,
    },
    /// The bytes are no request.
    #[error("{0}")]
    Request(#[from] RequestError),
    /// The checkpoint names no log.
    #[error("the request's checkpoint names no log")]
    Nameless,
    /// The log is not one that this witness cosigns.
    #[error("{origin} is not a log that this witness knows: check its key with its keeper, then vigie-witness trust")]
    UnknownLog {
        /// Name that the checkpoint gives.
        origin: String,
    },
    /// The checkpoint is not signed by the key that is trusted for its log.
    #[error("the request's checkpoint is {0}")]
    Signature(#[from] CheckpointError),
    /// The request begins at a size over the one it ends at.
    #[error("the request goes from {old} entries back to {size}: export it anew")]
    Backwards {
        /// Size that it begins at.
        old: u64,
        /// Size of the checkpoint.
        size: u64,
    },
    /// The request does not begin where this witness stands.
    #[error(
        "the request goes on from {old} entries, but this witness last cosigned {known}: export again with --old {known}"
    )]
    Conflict {
        /// Size that the request begins at.
        old: u64,
        /// Size that was cosigned last.
        known: u64,
    },
    /// The log has fewer entries than were cosigned.
    #[error(
        "ALARM: the log shows {size} entries, but this witness has cosigned {known}: unless the request is an old file, entries were taken away"
    )]
    Smaller {
        /// Size of the checkpoint.
        size: u64,
        /// Size that was cosigned last.
        known: u64,
    },
    /// The same size with another root: signed proof that the log was rewritten.
    #[error(
        "ALARM: the log signed another root for the {size} entries that this witness has cosigned: it was rewritten; keep the request as proof"
    )]
    Forked {
        /// Size of both.
        size: u64,
    },
    /// The proof does not lead from what was cosigned to the checkpoint.
    #[error(
        "ALARM: nothing proves that the log of {size} entries goes on from the {known} that this witness has cosigned: it was rewritten, or the request was damaged; keep the request"
    )]
    Inconsistent {
        /// Size of the checkpoint.
        size: u64,
        /// Size that was cosigned last.
        known: u64,
    },
    /// The clock stands before the last cosignature.
    #[error("the clock says {now}, but the last cosignature is of {last}: set the clock right and try again")]
    ClockBehind {
        /// Seconds since the Epoch by the clock.
        now: u64,
        /// Seconds since the Epoch of the last cosignature.
        last: u64,
    },
    /// Nothing was cosigned for this log yet.
    #[error("no cosigned checkpoint of {origin} is kept here: cosign a request first")]
    NothingYet {
        /// Name of the log.
        origin: String,
    },
}

impl WitnessError {
    /// Exit code of the command that fails so; the numbers are those of `vigie`.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Io { .. } | Self::ClockBehind { .. } => 1,
            Self::Exists { .. }
            | Self::NotAWitness { .. }
            | Self::Name { .. }
            | Self::NotALogKey
            | Self::Request(_)
            | Self::Nameless
            | Self::Backwards { .. }
            | Self::NothingYet { .. } => 2,
            Self::OtherKey { .. } | Self::UnknownLog { .. } | Self::Signature(_) | Self::Conflict { .. } => 3,
            Self::Damaged { .. } | Self::Smaller { .. } | Self::Forked { .. } | Self::Inconsistent { .. } => 5,
            Self::Key(WrapError::WrongPassphrase) => 6,
            Self::Key(WrapError::Damaged) => 5,
            Self::Key(WrapError::WorkFactor(_) | WrapError::Sealing(_)) => 1,
        }
    }
}

/// Says what was being tried when the system failed.
pub(crate) trait Trying<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, WitnessError>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, WitnessError> {
        self.map_err(|source| WitnessError::Io { trying: what(), source })
    }
}
