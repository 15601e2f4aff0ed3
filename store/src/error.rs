//! What can go wrong with a store.

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

/// An operation on the store failed. One line: what was tried, on what, what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The machine's disk or file system failed.
    #[error("{trying}: {source}")]
    Io {
        /// What was tried, on what.
        trying: String,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory to create is there already.
    #[error("creating a store in {}: it exists already; name a directory that does not", dir.display())]
    Exists {
        /// The directory.
        dir: PathBuf,
    },
    /// The directory holds no store, or one of a format that this version does not know.
    #[error("{} holds no store that can be used: {why}", dir.display())]
    NotAStore {
        /// The directory.
        dir: PathBuf,
        /// What was missing or unknown, and what to do.
        why: String,
    },
    /// The passphrase opens nothing.
    #[error("the passphrase does not open this key; try again, or restore the key file if it was damaged")]
    WrongPassphrase,
    /// The workstation key belongs to another store.
    #[error("the workstation key does not belong to this store (or log.key is damaged); unlock this store again")]
    WrongKey,
    /// Another process has the store open.
    #[error("{} is in use by another vigie process; wait for it or stop it", dir.display())]
    Locked {
        /// The directory.
        dir: PathBuf,
    },
    /// The wall clock stands before the newest entry of the log.
    #[error("the clock says {now}, but the log's last entry was written at {last}; set the clock right and try again")]
    ClockBehind {
        /// Time of the newest entry.
        last: Timestamp,
        /// Time that the clock gave.
        now: Timestamp,
    },
    /// Less than 5 % of the file system is free.
    #[error("only {free_percent} % of the disk is free and exhibits need 5 %; make room, then go on")]
    LowSpace {
        /// Free space in percent, rounded down.
        free_percent: u8,
    },
    /// A write failed earlier; nothing more is accepted until the store is opened anew.
    #[error(
        "the store stopped after a failed write ({why}); see to the disk, then open the store again: it recovers by itself"
    )]
    Poisoned {
        /// The first failure.
        why: String,
    },
    /// The store was closed.
    #[error("the store is closed; open it again")]
    Closed,
    /// A draft or an argument breaks a rule of the format: a fault of the caller.
    #[error("not accepted by the store: {what}")]
    Invalid {
        /// The rule.
        what: String,
    },
    /// No entry of this sequence number lies below the signed size.
    #[error("the log has no entry {sequence}; see vigie log")]
    NoSuchEntry {
        /// Sequence number asked for.
        sequence: u64,
    },
    /// No such exhibit lies below the signed size.
    #[error("the store has no exhibit {number}; see vigie exhibits")]
    NoSuchExhibit {
        /// Exhibit number asked for.
        number: u64,
    },
    /// The exhibit was erased: its place in the log is all there is.
    #[error("exhibit {number} was erased; its entry still says what it was (see vigie custody {number})")]
    Erased {
        /// Exhibit number.
        number: u64,
    },
    /// None of the identities is among the recipients of the exhibit.
    #[error("none of the identities is among the recipients of exhibit {number}; ask the custodian")]
    NotARecipient {
        /// Exhibit number.
        number: u64,
    },
    /// An identity could not be asked: its plugin is missing, failed, or its token is not there.
    #[error("asking an identity to open exhibit {number}: {why}; see to the token and its plugin, then try again")]
    Identity {
        /// Exhibit number.
        number: u64,
        /// What the plugin said.
        why: String,
    },
    /// The (case, profile) has a key already.
    #[error("this profile has a key already for this case; use its passphrase")]
    ProfileExists,
    /// The (case, profile) has no key.
    #[error("this profile has no key for this case; make one with vigie profile new")]
    NoSuchProfile,
    /// Bytes are not what was written.
    #[error("damaged: {what}; run vigie verify, and restore from a copy")]
    Damaged {
        /// What, and where.
        what: String,
    },
    /// Frames that the signed head covers are not there.
    #[error(
        "ALARM: the signed head covers {signed} entries, but only {found} are there; do not go on, find the missing segments"
    )]
    Missing {
        /// Size of the signed head.
        signed: u64,
        /// Whole frames found.
        found: u64,
    },
    /// The signed head on disk is older than what this workstation committed.
    #[error(
        "ALARM: the signed head covers {signed} entries, but {committed} were committed here; an older checkpoint was put back"
    )]
    RolledBack {
        /// Size of the signed head.
        signed: u64,
        /// Size in the catalogue.
        committed: u64,
    },
    /// The catalogue (sled) failed; evidence is not touched by that.
    #[error("the catalogue cannot be read ({why}); open the store again: it is rebuilt from the segments")]
    Catalogue {
        /// What it said.
        why: String,
    },
    /// Encryption to the recipients failed.
    #[error("sealing to the recipients: {why}; check the recipients in the mandate")]
    Sealing {
        /// What age said.
        why: String,
    },
}

impl StoreError {
    /// The store is not what was signed: missing, altered or put back.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Missing { .. } | Self::RolledBack { .. })
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    pub(crate) fn invalid(what: impl Into<String>) -> Self {
        Self::Invalid { what: what.into() }
    }
}

/// Says what was being tried when the system failed.
pub(crate) trait Trying<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, StoreError>;
}

impl<T> Trying<T> for io::Result<T> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::Io { trying: what(), source })
    }
}

impl<T> Trying<T> for Result<T, rustix::io::Errno> {
    fn trying(self, what: impl FnOnce() -> String) -> Result<T, StoreError> {
        self.map_err(io::Error::from).trying(what)
    }
}
