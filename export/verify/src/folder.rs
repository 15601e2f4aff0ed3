//! The files of a bundle: found by a walk that follows no link, read in pieces.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Unreadable;
use crate::report::Report;

/// Most files of a bundle.
const FILES: usize = 2_000_000;
/// Deepest folder.
const DEPTH: usize = 16;
/// Bytes read at once.
pub const PIECE: usize = 128 * 1024;
/// Longest line of a list, in bytes.
pub const LINE_BYTES: u64 = 4 << 20;

/// What the walk found: names as manifests write them (`data/log/checkpoint`), and length.
pub struct Folder {
    root: PathBuf,
    /// Length of each file, by name.
    pub files: BTreeMap<String, u64>,
}

impl Folder {
    /// Finds all files. What is no file or folder is told and not touched.
    pub fn walk(root: &Path, report: &mut Report) -> Result<Self, Unreadable> {
        if !root.is_dir() {
            return Err(Unreadable::Input(format!(
                "{} is no folder: name the one that holds bagit.txt",
                root.display()
            )));
        }
        let mut found = Self { root: root.to_owned(), files: BTreeMap::new() };
        let mut left = vec![(root.to_owned(), String::new(), 0)];
        while let Some((dir, prefix, depth)) = left.pop() {
            let list = fs::read_dir(&dir).map_err(|source| fault(&dir, source))?;
            for one in list {
                let one = one.map_err(|source| fault(&dir, source))?;
                let Some(name) = one.file_name().to_str().map(str::to_owned) else {
                    report.red("bag.files", format!("{} holds a file whose name cannot be read", dir.display()));
                    continue;
                };
                let name = format!("{prefix}{name}");
                let facts = fs::symlink_metadata(one.path()).map_err(|source| fault(&one.path(), source))?;
                if facts.is_dir() && depth < DEPTH {
                    left.push((one.path(), format!("{name}/"), depth + 1));
                } else if facts.is_file() {
                    found.files.insert(name, facts.len());
                } else {
                    report.red(
                        "bag.files",
                        format!("{name} is no plain file (a link, a device or too deep): it was not opened"),
                    );
                }
                if found.files.len() + left.len() > FILES {
                    return Err(Unreadable::Input(format!(
                        "{} holds over {FILES} files: no bundle does",
                        root.display()
                    )));
                }
            }
        }
        Ok(found)
    }

    /// Whether it was found.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Names under a folder (`data/log/`), without it.
    pub fn under<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        let names = self.files.range(folder.to_owned()..).map(|(name, _)| name.as_str());
        names.map_while(move |name| name.strip_prefix(folder))
    }

    /// Opens one that was found.
    pub fn open(&self, name: &str) -> Result<File, Unreadable> {
        let path = self.root.join(name);
        let missing = || std::io::Error::from(std::io::ErrorKind::NotFound);
        if !self.has(name) {
            return Err(fault(&path, missing()));
        }
        File::open(&path).map_err(|source| fault(&path, source))
    }

    /// A small file; `None` when it is not there or longer than `most` bytes.
    pub fn small(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, Unreadable> {
        if self.files.get(name).is_none_or(|length| *length > most) {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        self.open(name)?.take(most).read_to_end(&mut bytes).map_err(|source| fault(Path::new(name), source))?;
        Ok(Some(bytes))
    }

    /// The same, as text.
    pub fn text(&self, name: &str, most: u64) -> Result<Option<String>, Unreadable> {
        Ok(self.small(name, most)?.and_then(|bytes| String::from_utf8(bytes).ok()))
    }

    /// SHA-256 and length.
    pub fn digest(&self, name: &str) -> Result<([u8; 32], u64), Unreadable> {
        digest(self.open(name)?).map_err(|source| fault(Path::new(name), source))
    }

    /// Each line without its end; `Err` in it for one that is too long or no UTF-8.
    pub fn lines(&self, name: &str) -> Result<Lines, Unreadable> {
        Ok(Lines { source: BufReader::with_capacity(PIECE, self.open(name)?), done: false })
    }
}

/// Lines of a list.
pub struct Lines {
    source: BufReader<File>,
    done: bool,
}

impl Iterator for Lines {
    type Item = Result<String, &'static str>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let mut bytes = Vec::new();
        let read = (&mut self.source).take(LINE_BYTES).read_until(b'\n', &mut bytes);
        let ended = bytes.last() == Some(&b'\n');
        match read {
            Ok(0) => None,
            Ok(_) if ended => {
                bytes.pop();
                Some(String::from_utf8(bytes).map_err(|_| "a line is no UTF-8"))
            }
            Ok(_) => {
                self.done = true;
                Some(Err("a line has no end or is longer than 4 MiB"))
            }
            Err(_) => {
                self.done = true;
                Some(Err("it cannot be read"))
            }
        }
    }
}

/// SHA-256 and length of what a source gives.
pub fn digest(mut source: impl Read) -> std::io::Result<([u8; 32], u64)> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; PIECE];
    let mut length = 0;
    loop {
        let read = source.read(&mut buffer)?;
        if read == 0 {
            return Ok((hash.finalize().into(), length));
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}

/// A failure of the disk.
pub fn fault(path: &Path, source: std::io::Error) -> Unreadable {
    Unreadable::Io { what: path.display().to_string(), source }
}
