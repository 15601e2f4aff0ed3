//! Why there is no network.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::ProcessError;

/// Why the network is not there.
#[derive(Debug, thiserror::Error)]
pub enum TorNetError {
    /// A file or directory of the network.
    #[error("{action} {path}: {source}")]
    File {
        /// What was done.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A file is not what tor writes.
    #[error("{path} is not what tor 0.4.8 or newer writes: {why}")]
    Unexpected {
        /// File.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// tor is not installed.
    #[error("starting `{program}`: {source}: install Debian's package `tor` (`make setup`)")]
    Program {
        /// Program.
        program: &'static str,
        /// Cause.
        source: std::io::Error,
    },
    /// A tool of tor failed.
    #[error(transparent)]
    Tool(#[from] ProcessError),
    /// Ports, threads, sockets of this machine.
    #[error("preparing the private Tor network: {0}")]
    Machine(std::io::Error),
    /// A tor process ended by itself.
    #[error("the tor process `{name}` ended by itself with {status}; last lines:{log}")]
    Died {
        /// Which.
        name: String,
        /// How.
        status: std::process::ExitStatus,
        /// Its last lines.
        log: String,
    },
    /// A condition was not met in time.
    #[error("the private Tor network did not get as far as: {wanted} ({seen}) within {limit:?}; last lines:{log}")]
    NotReady {
        /// The condition.
        wanted: String,
        /// What was seen last.
        seen: String,
        /// The limit.
        limit: Duration,
        /// Last lines of the logs that matter.
        log: String,
    },
    /// The caller gave up.
    #[error("the start of the private Tor network was given up, as asked")]
    Cancelled,
    /// Two services of one name, or a name that is no plain word.
    #[error("the service name `{0}` is taken or not made of a-z, 0-9 and `-`: choose another")]
    ServiceName(String),
}

impl TorNetError {
    pub(super) fn file(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::File { action, path: path.to_owned(), source }
    }

    pub(super) fn unexpected(path: &Path, why: &str) -> Self {
        Self::Unexpected { path: path.to_owned(), why: why.to_owned() }
    }
}
