//! A log entry: small canonical text that names no target, no pseudonym and no URL, so that the
//! whole log can be shown to a witness. Its bytes are a leaf of the Merkle log.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::clock::{ClockStatus, Stamp};
use crate::kind::Kind;
use crate::log::{self, Hash};

/// First line of every entry.
const FORMAT: &str = "vigie.entry/1";
/// Largest entry in bytes: tlog-tiles (C2SP) prefixes entries with a 16-bit length.
pub const ENTRY_BYTES: usize = 65_535;
/// Most commitments or public digests in one entry.
pub const COMMITMENTS: usize = 64;

/// SHA-256 and length of sealed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    /// SHA-256 of the age file.
    pub sha256: [u8; 32],
    /// Its length in bytes.
    pub len: u64,
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Place in the log, from 0.
    pub sequence: u64,
    /// What it records.
    pub kind: Kind,
    /// When, by which clocks.
    pub stamp: Stamp,
    /// SHA-256 of the mandate's document.
    pub mandate: Option<[u8; 32]>,
    /// Random id of the session.
    pub session: Option<[u8; 16]>,
    /// Number of the exhibit, from 1; present exactly when `age` is.
    pub exhibit: Option<u64>,
    /// The sealed capture.
    pub age: Option<Blob>,
    /// The private part (an age file as well).
    pub private: Option<Blob>,
    /// Digest of the frame before this one; zeros in entry 0.
    pub previous: [u8; 32],
    /// Digests of public files, by name, sorted.
    pub digests: Vec<(String, [u8; 32])>,
    /// Salted commitments SHA-256(salt || value), by name, sorted.
    pub commitments: Vec<(String, [u8; 32])>,
}

/// Bytes that are not an entry in its one encoding.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a canonical {FORMAT} entry: {0}")]
pub struct EntryError(&'static str);

impl Entry {
    /// The one encoding: ASCII lines, each ended by LF.
    pub fn encode(&self) -> Vec<u8> {
        let mut text = format!(
            "{FORMAT}\nseq {}\nkind {}\ntime {}\nmono {}\nboot {}\nclock {}\n",
            self.sequence,
            self.kind,
            time(self.stamp.wall),
            self.stamp.monotonic_ns,
            self.stamp.boot_id,
            self.stamp.clock.name(),
        );
        let mut line = |name: &str, value: String| {
            text.push_str(name);
            text.push(' ');
            text.push_str(&value);
            text.push('\n');
        };
        if let Some(mandate) = &self.mandate {
            line("mandate", HEXLOWER.encode(mandate));
        }
        if let Some(session) = &self.session {
            line("session", HEXLOWER.encode(session));
        }
        if let Some(exhibit) = self.exhibit {
            line("exhibit", exhibit.to_string());
        }
        if let Some(age) = &self.age {
            line("age", format!("{} {}", HEXLOWER.encode(&age.sha256), age.len));
        }
        if let Some(private) = &self.private {
            line("private", format!("{} {}", HEXLOWER.encode(&private.sha256), private.len));
        }
        line("prev", HEXLOWER.encode(&self.previous));
        for (name, digest) in &self.digests {
            line("digest", format!("{name} {}", HEXLOWER.encode(digest)));
        }
        for (name, digest) in &self.commitments {
            line("commit", format!("{name} {}", HEXLOWER.encode(digest)));
        }
        text.into_bytes()
    }

    /// Reads an entry; refuses every encoding but the one that [`Self::encode`] gives.
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        if bytes.len() > ENTRY_BYTES {
            return Err(EntryError("longer than 65,535 bytes"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| EntryError("not ASCII"))?;
        let text = text.strip_suffix('\n').ok_or(EntryError("the last line has no end"))?;
        let mut lines = Lines { rest: text.split('\n').peekable() };
        if lines.rest.next() != Some(FORMAT) {
            return Err(EntryError("the first line names another format"));
        }
        let entry = Self {
            sequence: number(lines.must("seq")?)?,
            kind: Kind::from_name(lines.must("kind")?).ok_or(EntryError("unknown kind"))?,
            stamp: Stamp {
                wall: lines.must("time")?.parse().map_err(|_| EntryError("time"))?,
                monotonic_ns: number(lines.must("mono")?)?,
                boot_id: lines.must("boot")?.to_owned(),
                clock: ClockStatus::from_name(lines.must("clock")?).ok_or(EntryError("unknown clock status"))?,
            },
            mandate: lines.may("mandate").map(hex).transpose()?,
            session: lines.may("session").map(hex).transpose()?,
            exhibit: lines.may("exhibit").map(number).transpose()?,
            age: lines.may("age").map(blob).transpose()?,
            private: lines.may("private").map(blob).transpose()?,
            previous: hex(lines.must("prev")?)?,
            digests: lines.list("digest")?,
            commitments: lines.list("commit")?,
        };
        if lines.rest.next().is_some() {
            return Err(EntryError("an unknown line, or one out of order"));
        }
        entry.check()?;
        // Leading zeros, upper case and other spellings of the same values end here.
        if entry.encode() != bytes {
            return Err(EntryError("a value is not in its one spelling"));
        }
        Ok(entry)
    }

    /// The rules that the grammar alone does not hold.
    pub(crate) fn check(&self) -> Result<(), EntryError> {
        let boot = &self.stamp.boot_id;
        if boot.is_empty() || boot.len() > 64 || !boot.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            return Err(EntryError("boot is not 1 to 64 letters, digits or '-'"));
        }
        if !(0..=9999).contains(&TimeZone::UTC.to_datetime(self.stamp.wall).year()) {
            return Err(EntryError("the year is not 0000 to 9999"));
        }
        if self.exhibit.is_some() != self.age.is_some() || self.exhibit.is_some() != (self.kind == Kind::Exhibit) {
            return Err(EntryError("kind exhibit, exhibit and age go together"));
        }
        if self.exhibit == Some(0) {
            return Err(EntryError("exhibits are numbered from 1"));
        }
        for list in [&self.digests, &self.commitments] {
            if list.len() > COMMITMENTS || !list.iter().all(|(name, _)| is_name(name)) {
                return Err(EntryError("a name is not 1 to 32 of a-z, 0-9, '-', or there are over 64"));
            }
            if !list.windows(2).all(|pair| pair[0].0 < pair[1].0) {
                return Err(EntryError("names are not sorted or not distinct"));
            }
        }
        Ok(())
    }

    /// Leaf hash of the entry in the Merkle log (RFC 6962 section 2.1).
    pub fn leaf_hash(&self) -> Hash {
        log::leaf_hash(&self.encode())
    }
}

/// A name of a commitment or public digest.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=32).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// `YYYY-MM-DDThh:mm:ss.nnnnnnnnnZ`, always nine digits after the point.
fn time(wall: Timestamp) -> String {
    let utc = TimeZone::UTC.to_datetime(wall);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:09}Z",
        utc.year(),
        utc.month(),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second(),
        utc.subsec_nanosecond()
    )
}

struct Lines<'a> {
    rest: std::iter::Peekable<std::str::Split<'a, char>>,
}

impl<'a> Lines<'a> {
    fn may(&mut self, name: &str) -> Option<&'a str> {
        let value = self.rest.peek()?.strip_prefix(name)?.strip_prefix(' ')?;
        self.rest.next();
        Some(value)
    }

    fn must(&mut self, name: &'static str) -> Result<&'a str, EntryError> {
        self.may(name).ok_or(EntryError("a line is missing or out of order"))
    }

    fn list(&mut self, name: &str) -> Result<Vec<(String, [u8; 32])>, EntryError> {
        let mut list = Vec::new();
        while let Some(value) = self.may(name) {
            if list.len() == COMMITMENTS {
                return Err(EntryError("too many commitments"));
            }
            let (name, digest) = value.split_once(' ').ok_or(EntryError("a digest without a name"))?;
            list.push((name.to_owned(), hex(digest)?));
        }
        Ok(list)
    }
}

fn number(text: &str) -> Result<u64, EntryError> {
    text.parse().map_err(|_| EntryError("a number"))
}

fn hex<const N: usize>(text: &str) -> Result<[u8; N], EntryError> {
    HEXLOWER
        .decode(text.as_bytes())
        .ok()
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or(EntryError("a digest or id is not lower-case hex of its length"))
}

fn blob(text: &str) -> Result<Blob, EntryError> {
    let (sha256, len) = text.split_once(' ').ok_or(EntryError("a digest without a length"))?;
    Ok(Blob { sha256: hex(sha256)?, len: number(len)? })
}

#[cfg(test)]
mod tests;
