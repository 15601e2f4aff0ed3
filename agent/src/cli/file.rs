//! Small files that come in and leave, mostly on removable media.

use std::io::{ErrorKind, Read, Write};
use std::path::Path;

use crate::error::Problem;

/// Largest file read here, in bytes: proofs, checkpoints and entries are smaller.
const SMALL_BYTES: u64 = 256 * 1024;

/// A small file, whole.
pub(super) fn read_small(path: &Path) -> Result<Vec<u8>, Problem> {
    let fault = |why: String| Problem::input(format!("reading {}: {why}", path.display()));
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|e| fault(e.to_string()))?;
    file.take(SMALL_BYTES + 1).read_to_end(&mut bytes).map_err(|e| fault(e.to_string()))?;
    if bytes.len() as u64 > SMALL_BYTES {
        return Err(fault("it is longer than any such file: name another".into()));
    }
    Ok(bytes)
}

/// As [`read_small`], of a text; `what` is what it should be.
pub(super) fn read_text(path: &Path, what: &str) -> Result<String, Problem> {
    String::from_utf8(read_small(path)?)
        .map_err(|_| Problem::input(format!("{} is no {what}: it is no text; name another file", path.display())))
}

/// Writes a file that must not exist, and syncs it; leaves none when that fails.
pub(super) fn write_new(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let fault = |e: std::io::Error| {
        let advice = match e.kind() {
            ErrorKind::AlreadyExists => {
                return Problem::input(format!("{} exists already: name another file", path.display()));
            }
            ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => ": use a medium that can be written to",
            ErrorKind::StorageFull => ": make room there, or use another medium",
            ErrorKind::NotFound => ": name a folder that is there",
            _ => "",
        };
        Problem::other(format!("writing {}: {e}{advice}", path.display()))
    };
    let mut file = std::fs::File::create_new(path).map_err(fault)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    written.map_err(|e| {
        let _ = std::fs::remove_file(path);
        fault(e)
    })
}
