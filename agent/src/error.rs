//! What a command answers when it cannot do what was asked: one line, one exit code.

use vigie_config::mandate::MandateError;
use vigie_config::refusal::Refusal;
use vigie_config::revocation::RevocationError;

/// Exit codes, documented in README and the man page.
pub mod exit {
    /// All that was asked for was done and is sound.
    pub const OK: u8 = 0;
    /// The machine, the disk, Tor or the far side failed; nothing acknowledged is lost.
    pub const FAILED: u8 = 1;
    /// Arguments, a file or a document are wrong (clap uses the same number).
    pub const INPUT: u8 = 2;
    /// The mandate does not permit it.
    pub const REFUSED: u8 = 3;
    /// Done in part: some captures failed or are incomplete; the log says which and why.
    pub const INCOMPLETE: u8 = 4;
    /// `verify` found damage, or the store is not what was signed.
    pub const UNSOUND: u8 = 5;
    /// The store or a key is locked, or the passphrase is wrong.
    pub const LOCKED: u8 = 6;
    /// Stopped by Ctrl-C or SIGTERM after an orderly end; `vigie run` goes on from there.
    pub const STOPPED: u8 = 130;
}

/// A failure of a command: exit code and one line that says what was tried and what to do.
#[derive(Debug)]
pub struct Problem {
    /// Exit code, one of [`exit`].
    pub code: u8,
    /// Stable code of a refusal, for its log entry.
    pub refusal: Option<&'static str>,
    /// One line.
    pub line: String,
}

impl Problem {
    /// Anything of the machine or the network.
    pub fn other(line: impl Into<String>) -> Self {
        Self::new(exit::FAILED, line)
    }
    /// Wrong arguments or documents.
    pub fn input(line: impl Into<String>) -> Self {
        Self::new(exit::INPUT, line)
    }
    /// The mandate says no.
    pub fn refused(line: impl Into<String>) -> Self {
        Self::new(exit::REFUSED, line)
    }
    /// A key is missing or a passphrase wrong.
    pub fn locked(line: impl Into<String>) -> Self {
        Self::new(exit::LOCKED, line)
    }
    /// Evidence is not what was signed.
    pub fn unsound(line: impl Into<String>) -> Self {
        Self::new(exit::UNSOUND, line)
    }
    /// With any code; the text is folded to one line.
    pub fn new(code: u8, line: impl Into<String>) -> Self {
        let line: String = line.into();
        Self { code, refusal: None, line: line.split_whitespace().collect::<Vec<_>>().join(" ") }
    }
    /// The same of a named file.
    pub fn of(self, file: &std::path::Path) -> Self {
        Self { refusal: self.refusal, ..Self::new(self.code, format!("{}: {}", file.display(), self.line)) }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line)
    }
}

impl std::error::Error for Problem {}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self { refusal: Some(refusal.code()), ..Self::refused(refusal.to_string()) }
    }
}

/// A document that cannot be read is wrong input; one that does not count is refused.
impl From<MandateError> for Problem {
    fn from(error: MandateError) -> Self {
        match &error {
            MandateError::Document(_) => Self::input(error.to_string()),
            _ => Self { refusal: Some(error.code()), ..Self::refused(error.to_string()) },
        }
    }
}

impl From<RevocationError> for Problem {
    fn from(error: RevocationError) -> Self {
        match &error {
            RevocationError::Document(_) => Self::input(error.to_string()),
            _ => Self { refusal: Some(error.code()), ..Self::refused(error.to_string()) },
        }
    }
}

/// Adds what was being tried to a foreign error.
pub trait Failing<T> {
    /// `trying` reads like "writing exhibit 3 to FILE".
    fn failing(self, trying: impl std::fmt::Display) -> Result<T, Problem>;
}

impl<T, E: std::fmt::Display> Failing<T> for Result<T, E> {
    fn failing(self, trying: impl std::fmt::Display) -> Result<T, Problem> {
        self.map_err(|e| Problem::other(format!("{trying}: {e}")))
    }
}
