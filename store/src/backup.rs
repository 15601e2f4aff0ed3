//! Copies of a whole store: a backup, and a store made of one. The catalogue stays behind: it is
//! made anew from the segments, and run state with its cookies is nothing to keep elsewhere.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::error::{StoreError, Trying};
use crate::files::{Layout, new_folder, read_small};
use crate::lock::Lock;
use crate::verify::{Progress, VerifyOptions, VerifyReport, verify};

/// Files of a store beside its segments, in the order in which they are copied. The signed head comes
/// last: until it is there, the copy claims nothing.
const FILES: [&str; 5] = ["store.txt", "key.age", "log.key", "log.vkey", "allowed_signers"];
/// Folders whose files are replaced whole.
const FOLDERS: [&str; 6] = ["profiles", "incoming", "locked", "witness", "timestamps", "given-up"];
/// Folders that a store has even when they are empty.
const EMPTY: [&str; 2] = ["spool", "torn"];
/// Marks a store that was made of a backup, until its next opening has logged it.
pub(crate) const RESTORED: &str = "restored.pending";
/// Bytes copied at once.
const PIECE_BYTES: usize = 1 << 20;

/// Brings the backup in `to` up to the store in `from`: made when it is not there; else only what is
/// new in the segments is copied. Then the copy is verified from its first byte to its last.
///
/// The caller holds the store open, so that nothing is written meanwhile.
///
/// # Errors
/// [`StoreError::Invalid`] when `to` is no backup of this store, or is ahead of it; what the disks
/// say. A stop leaves the older signed head, which the next call goes on from.
pub fn backup(from: &Path, to: &Path, progress: &dyn Progress) -> Result<VerifyReport, StoreError> {
    let source = Layout::open(from)?;
    let (text, head) = source.signed_head(&source.verifier()?)?;
    if to.exists() {
        let copy = Layout::open(to)?;
        if copy.facts != source.facts {
            return Err(StoreError::invalid("the folder holds the backup of another store: name one of its own"));
        }
        if copy.signed_head(&copy.verifier()?).is_ok_and(|(_, kept)| kept.size > head.size) {
            return Err(StoreError::invalid(
                "the backup covers more entries than the store: the store was put back; do not overwrite the backup",
            ));
        }
    } else {
        new_folder(to)?;
    }
    copy(from, to, progress)?;
    replace(to, "checkpoint", text.as_bytes())?;
    let report = verify(to, VerifyOptions::default(), &Silent)?;
    match report.problems.first() {
        Some(problem) => Err(StoreError::damaged(format!("the copy that was just made: {problem}"))),
        None => Ok(report),
    }
}

/// Makes a store in `to`, which must not exist, of the backup in `from`. Its next opening says in the
/// log that it was restored.
///
/// # Errors
/// [`StoreError::Exists`], a backup that does not verify, and what the disks say.
pub fn restore(from: &Path, to: &Path, progress: &dyn Progress) -> Result<VerifyReport, StoreError> {
    if to.exists() {
        return Err(StoreError::Exists { dir: to.to_owned() });
    }
    let source = Layout::open(from)?;
    let _lock = Lock::take(&source)?;
    let report = verify(from, VerifyOptions::default(), &Silent)?;
    if let Some(problem) = report.problems.first() {
        return Err(StoreError::damaged(format!("the backup: {problem}")));
    }
    // Built beside its place and renamed: a stop leaves no half store there.
    let part = to.with_extension("restoring");
    let trying = || format!("restoring a store to {}", to.display());
    if part.exists() {
        std::fs::remove_dir_all(&part).trying(trying)?;
    }
    new_folder(&part)?;
    copy(from, &part, progress)?;
    replace(&part, "checkpoint", &read_small(&source.checkpoint())?)?;
    replace(&part, RESTORED, b"")?;
    std::fs::rename(&part, to).trying(trying)?;
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        File::open(folder).and_then(|folder| folder.sync_all()).trying(trying)?;
    }
    Ok(report)
}

/// Everything but the signed head.
fn copy(from: &Path, to: &Path, progress: &dyn Progress) -> Result<(), StoreError> {
    for name in EMPTY.iter().chain(&["segments"]) {
        if !to.join(name).exists() {
            new_folder(&to.join(name))?;
        }
    }
    for name in FILES {
        // After a wipe there are no keys to keep.
        if from.join(name).exists() {
            replace(to, name, &read_small(&from.join(name))?)?;
        }
    }
    for folder in FOLDERS {
        for name in names(&from.join(folder))? {
            let target = to.join(folder);
            if !target.exists() {
                new_folder(&target)?;
            }
            replace(&target, &name, &read_small(&from.join(folder).join(&name))?)?;
        }
    }
    let segments = names(&from.join("segments"))?;
    let len = |name: &String| from.join("segments").join(name).metadata().map_or(0, |facts| facts.len());
    let total: u64 = segments.iter().map(len).sum();
    let mut done = 0;
    for name in &segments {
        segment(&from.join("segments").join(name), &to.join("segments").join(name), |bytes| {
            done += bytes;
            progress.progress(done, total);
        })?;
    }
    File::open(to.join("segments")).and_then(|folder| folder.sync_all()).trying(|| "syncing the copy".into())
}

/// Copies what a segment's copy lacks, and what was erased in the meantime: whatever differs.
fn segment(from: &Path, to: &Path, mut tell: impl FnMut(u64)) -> Result<(), StoreError> {
    let trying = || format!("copying {} to {}", from.display(), to.display());
    let mut source = File::open(from).trying(trying)?;
    let mut options = OpenOptions::new();
    let mut copy = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(to).trying(trying)?;
    let mut new = vec![0; PIECE_BYTES];
    let mut old = vec![0; PIECE_BYTES];
    let mut at = 0;
    loop {
        let read = fill(&mut source, &mut new).trying(trying)?;
        if read == 0 {
            break;
        }
        copy.seek(SeekFrom::Start(at)).trying(trying)?;
        let kept = fill(&mut copy, &mut old[..read]).trying(trying)?;
        if old[..kept] != new[..read] {
            copy.seek(SeekFrom::Start(at)).trying(trying)?;
            copy.write_all(&new[..read]).trying(trying)?;
        }
        at += read as u64;
        tell(read as u64);
    }
    if copy.metadata().trying(trying)?.len() != at {
        copy.set_len(at).trying(trying)?;
    }
    copy.sync_all().trying(trying)
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Names of the files in a folder, sorted; none when it is not there.
fn names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let trying = || format!("reading the folder {}", folder.display());
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).trying(trying)? {
        let entry = entry.trying(trying)?;
        if entry.file_type().trying(trying)?.is_file() {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

fn replace(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let path: PathBuf = folder.join(name);
    if std::fs::read(&path).is_ok_and(|kept| kept == bytes) {
        return Ok(());
    }
    crate::passphrase::replace(&path, bytes, folder, &crate::disk::RealDisk)
}

struct Silent;

impl Progress for Silent {
    fn progress(&self, _: u64, _: u64) {}
}
