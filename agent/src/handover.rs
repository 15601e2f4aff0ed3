//! The paper that goes from an old workstation's log to the one that takes its place.

use vigie_store::checkpoint::{Checkpoint, Verifier};
use vigie_store::{Kind, Store};

use crate::error::Problem;
use crate::mandates;
use crate::rows::HandoverRow;

/// First line.
const FORMAT: &str = "vigie-handover/1";
/// Form of the entry that ends a log, and name of its line in the statement.
pub const TO: &str = "to";
/// Form of the entry that goes on from one.
pub const FROM: &str = "from";

/// A paper that was read.
#[derive(Debug)]
pub struct Handover {
    /// The old log's key.
    pub from: Verifier,
    /// Its head, which covers the entry that ends it.
    pub head: Checkpoint,
}

impl Handover {
    /// The paper: old and new log, the entry that ends the old one, and the old log's signed head.
    pub fn write(from: &str, to: &str, entry: u64, checkpoint: &str) -> String {
        format!("{FORMAT}\nfrom {from}\nto {to}\nentry {entry}\n\n{checkpoint}")
    }

    /// Reads a paper for the log with the key `own`.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn read(text: &str, own: &str) -> Result<Self, String> {
        let (head, checkpoint) = text.split_once("\n\n").ok_or("it is no paper of a hand-over")?;
        let mut lines = head.lines();
        if lines.next() != Some(FORMAT) {
            return Err(format!("it does not begin with {FORMAT}"));
        }
        let mut line = |name: &str| {
            let value = lines.next().and_then(|line| line.strip_prefix(name)?.strip_prefix(' '));
            value.map(str::to_owned).ok_or(format!("it has no line `{name}` in its place"))
        };
        let (from, to, entry) = (line("from")?, line("to")?, line("entry")?);
        if lines.next().is_some() {
            return Err("it has more lines than it may".into());
        }
        if to != own {
            return Err("it was made for another log: its line `to` is not this log's key".into());
        }
        let from = Verifier::parse(&from).ok_or("its line `from` is no verifier key of a log")?;
        let entry: u64 = entry.parse().map_err(|_| "its line `entry` is no number")?;
        let head = Checkpoint::open(checkpoint, &from).map_err(|e| format!("the old log's head: {e}"))?;
        if head.size <= entry {
            return Err("the old log's head does not cover the entry that ends it".into());
        }
        Ok(Self { from, head })
    }
}

/// The entry by which this store's log ended, if it did.
pub fn ended(store: &Store) -> Result<Option<HandoverRow>, Problem> {
    Ok(mandates::rows::<HandoverRow>(store, Kind::Handover)?.into_iter().map(|(_, row)| row).find(|row| row.form == TO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_paper_is_read_by_the_log_it_is_for() {
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let old = Verifier::new("customs.example/desk-1", key.verifying_key());
        let head = Checkpoint { origin: old.name().to_owned(), size: 9, root: [3; 32] };
        let paper = Handover::write(&old.to_string(), "own", 8, &head.sign(&key));
        let read = Handover::read(&paper, "own").expect("reads");
        assert_eq!((read.from, read.head.size, read.head.root), (old.clone(), 9, [3; 32]));
        assert!(Handover::read(&paper, "other").is_err_and(|why| why.contains("another log")));
        let other = ed25519_dalek::SigningKey::from_bytes(&[8; 32]);
        for spoilt in [
            paper.replacen("entry 8", "entry 9", 1),
            paper.replacen("entry 8", "entry x", 1),
            paper.replacen("entry 8\n", "", 1),
            paper.replacen("entry 8", "entry 8\nmore", 1),
            paper.replacen("/1\n", "/2\n", 1),
            paper.replacen("\n9\n", "\n10\n", 1),
            paper.replacen("desk-1", "desk-3", 1),
            Handover::write(&old.to_string(), "own", 8, &head.sign(&other)),
            String::new(),
        ] {
            assert!(Handover::read(&spoilt, "own").is_err(), "{spoilt}");
        }
    }
}
