//! What happened while nobody had the store's key: notes that lie unsigned beside the store until
//! the next opening takes them into the log. Whoever can write the disk can forge or remove them, so
//! each is marked as unsigned, with both times.

use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vigie_store::{Commitment, Draft, Kind, Store};

use crate::error::{Failing, Problem};
use crate::rows::RefusalRow;

/// Folder inside the store.
const FOLDER: &str = "locked";
/// Most notes kept: somebody who tries for hours fills no disk.
const NOTES: usize = 1000;
/// Longest note, in bytes.
const NOTE_BYTES: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct Note {
    time: String,
    what: String,
}

/// Leaves a note, durably. That it could not be left is no reason to hide why it was to be.
pub fn note(store: &Path, now: Timestamp, what: &str) {
    let _ = leave(store, now, what);
}

fn leave(store: &Path, now: Timestamp, what: &str) -> std::io::Result<()> {
    if !store.join("store.txt").exists() || waiting(store).len() >= NOTES {
        return Ok(());
    }
    let folder = store.join(FOLDER);
    std::fs::DirBuilder::new().mode(0o700).recursive(true).create(&folder)?;
    let name = format!("{:020}-{}", now.as_millisecond(), uuid::Uuid::new_v4().simple());
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(folder.join(name))?;
    let note = Note { time: now.to_string(), what: what.to_owned() };
    file.write_all(&serde_json::to_vec(&note)?)?;
    file.sync_all()?;
    std::fs::File::open(&folder)?.sync_all()
}

/// Notes in the order of their names, which begin with their times.
fn waiting(store: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(store.join(FOLDER)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(NOTES).collect();
    paths.sort();
    paths
}

/// Takes every note into the log; gives how many there were.
pub fn take(store: &Store) -> Result<usize, Problem> {
    let paths = waiting(store.folder());
    for path in &paths {
        let mut bytes = Vec::new();
        std::fs::File::open(path)
            .and_then(|file| file.take(NOTE_BYTES).read_to_end(&mut bytes))
            .failing("reading a note from while the store was locked")?;
        let said = serde_json::from_slice::<Note>(&bytes)
            .map_or_else(|_| "a note that cannot be read".to_owned(), |note| format!("{} at {}", note.what, note.time));
        let row = RefusalRow {
            code: "locked".into(),
            line: format!("unsigned note from while the store was locked: {said}"),
            target: String::new(),
            count: 1,
        };
        store.append(Draft {
            kind: Kind::Refusal,
            mandate: None,
            session: None,
            exhibit: None,
            commitments: vec![Commitment { name: "unsigned-note", value: bytes }],
            private: None,
            row: serde_json::to_vec(&row).failing("preparing the entry")?,
            url_row: None,
            state: Vec::new(),
        })?;
        std::fs::remove_file(path).failing("removing a note that was logged")?;
    }
    Ok(paths.len())
}
