//! A record of what a store wrote, and the disks that a loss of power may leave of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vigie_store::Receipt;

use super::super::Noise;

/// What a disk writes whole or not at all, in bytes.
const SECTOR_BYTES: usize = 512;

/// Contents by path.
pub type Files = BTreeMap<PathBuf, Vec<u8>>;

/// One operation. Files are known by number: names come and go.
pub enum Op {
    Create {
        path: PathBuf,
        file: usize,
    },
    Write {
        file: usize,
        at: usize,
        bytes: Vec<u8>,
    },
    Cut {
        file: usize,
        len: usize,
    },
    Sync {
        file: usize,
    },
    SyncFolder {
        folder: PathBuf,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Remove {
        path: PathBuf,
    },
    /// Bytes that were zeros became a hole.
    Punch {
        file: usize,
        at: usize,
        len: usize,
    },
    /// The catalogue was synced and this is what it held.
    Catalogue(Arc<Files>),
}

/// What the catalogue was made to be after a loss.
#[derive(Debug, PartialEq, Eq)]
pub enum Catalogue {
    /// As last synced.
    Synced,
    /// Partly as last synced, partly as next.
    Mixed,
    Older,
    Spoilt,
    Gone,
}

pub struct Trace {
    /// Durable before the record began.
    base: Files,
    /// Numbers of the files as they are named now.
    names: BTreeMap<PathBuf, usize>,
    files: usize,
    ops: Vec<Op>,
    /// Receipts, each with the operations before it.
    receipts: Vec<(usize, Receipt)>,
    first: Arc<Files>,
}

impl Trace {
    pub fn new(base: Files, catalogue: Arc<Files>) -> Self {
        let names: BTreeMap<_, _> = base.keys().cloned().zip(0..).collect();
        Self { files: names.len(), names, base, ops: Vec::new(), receipts: Vec::new(), first: catalogue }
    }

    pub fn len(&self) -> usize {
        self.ops.len()
    }

    pub fn acknowledge(&mut self, receipt: Receipt) {
        self.receipts.push((self.ops.len(), receipt));
    }

    /// What was acknowledged before operation `at`.
    pub fn receipts(&self, at: usize) -> Vec<Receipt> {
        self.receipts.iter().filter(|(after, _)| *after <= at).map(|(_, receipt)| receipt.clone()).collect()
    }

    pub fn create(&mut self, path: &Path) -> usize {
        let file = self.files;
        self.files += 1;
        self.names.insert(path.to_owned(), file);
        self.ops.push(Op::Create { path: path.to_owned(), file });
        file
    }

    pub fn file(&self, path: &Path) -> usize {
        self.names[path]
    }

    pub fn push(&mut self, op: Op) {
        if let Op::Rename { from, to } = &op
            && let Some(file) = self.names.remove(from)
        {
            self.names.insert(to.clone(), file);
        }
        if let Op::Remove { path } = &op {
            self.names.remove(path);
        }
        self.ops.push(op);
    }

    /// Removals and holes in the record.
    pub fn removals_and_holes(&self) -> (usize, usize) {
        let count = |wanted: fn(&Op) -> bool| self.ops.iter().filter(|op| wanted(op)).count();
        (count(|op| matches!(op, Op::Remove { .. })), count(|op| matches!(op, Op::Punch { .. })))
    }

    /// The catalogue as it lay there at the end, which nobody synced.
    pub fn end(&mut self, last: Arc<Files>) {
        self.ops.push(Op::Catalogue(last));
    }

    /// Makes the store in `dir` as a loss before operation `at` may leave it.
    pub fn restore(&self, dir: &Path, at: usize, noise: &mut Noise) -> Catalogue {
        let mut pick = Pick::Chance(noise);
        self.lay(dir, at, &mut pick);
        let Pick::Chance(noise) = pick else { unreachable!("as made above") };
        let (synced, next) = self.catalogues(at);
        let (kind, files) = match noise.below(10) {
            0 => (Catalogue::Gone, None),
            1 => {
                let older = self.ops[..at].iter().filter_map(|op| match op {
                    Op::Catalogue(files) => Some(files),
                    _ => None,
                });
                let all: Vec<_> = std::iter::once(&self.first).chain(older).collect();
                (Catalogue::Older, Some(Files::clone(all[noise.below(all.len() as u64) as usize])))
            }
            2 => (Catalogue::Spoilt, Some(spoil(synced, noise))),
            _ => match next {
                Some(next) => (Catalogue::Mixed, Some(mix(synced, next, noise))),
                None => (Catalogue::Synced, Some(Files::clone(synced))),
            },
        };
        if let Some(files) = files {
            write(&dir.join("catalogue"), &files);
        }
        kind
    }

    /// As [`Self::restore`], without chance: of what was not synced, nothing or all.
    pub fn restore_plain(&self, dir: &Path, at: usize, all: bool) -> Catalogue {
        self.lay(dir, at, &mut if all { Pick::All } else { Pick::Nothing });
        write(&dir.join("catalogue"), self.catalogues(at).0);
        Catalogue::Synced
    }

    /// The catalogue as last synced before `at`; and as synced next, when sled may have begun to
    /// write that: the store writes nothing else meanwhile.
    fn catalogues(&self, at: usize) -> (&Files, Option<&Files>) {
        let synced = self.ops[..at].iter().rev().find_map(|op| match op {
            Op::Catalogue(files) => Some(&**files),
            _ => None,
        });
        let next = match self.ops.get(at) {
            Some(Op::Catalogue(files)) => Some(&**files),
            _ => None,
        };
        (synced.unwrap_or(&self.first), next)
    }

    /// Everything but the catalogue.
    fn lay(&self, dir: &Path, at: usize, pick: &mut Pick<'_>) {
        let mut contents: BTreeMap<usize, Vec<u8>> = self.base.values().cloned().enumerate().collect();
        let mut names: BTreeMap<PathBuf, usize> = self.base.keys().cloned().zip(0..).collect();
        // Names and bytes are made durable apart from each other.
        for (index, op) in self.ops[..at].iter().enumerate() {
            let later = &self.ops[index + 1..at];
            match op {
                Op::Create { path, file } => {
                    contents.entry(*file).or_default();
                    if named(later, &[path]) || pick.takes() {
                        names.insert(path.clone(), *file);
                    }
                }
                Op::Rename { from, to } => {
                    if named(later, &[from, to]) || pick.takes() {
                        // The file that has the old name at that moment, whether or not that is durable.
                        let file = self.named_at(index, from);
                        names.retain(|_, number| *number != file);
                        names.insert(to.clone(), file);
                    }
                }
                Op::Write { file, at, bytes } => {
                    let content = contents.entry(*file).or_default();
                    if synced(later, *file) {
                        put(content, *at, bytes);
                    } else {
                        pick.write(content, *at, bytes);
                    }
                }
                Op::Cut { file, len } => {
                    if synced(later, *file) || pick.takes() {
                        contents.entry(*file).or_default().resize(*len, 0);
                    }
                }
                Op::Remove { path } => {
                    if named(later, &[path]) || pick.takes() {
                        // A file that took the name since stays.
                        let file = self.named_at(index, path);
                        names.retain(|name, number| name != path || *number != file);
                    }
                }
                Op::Punch { file, at, len } => {
                    if synced(later, *file) || pick.takes() {
                        put(contents.entry(*file).or_default(), *at, &vec![0; *len]);
                    }
                }
                Op::Sync { .. } | Op::SyncFolder { .. } | Op::Catalogue(_) => {}
            }
        }
        for folder in ["segments", "profiles", "spool", "torn"] {
            std::fs::create_dir_all(dir.join(folder)).expect("creates");
        }
        write(dir, &names.into_iter().map(|(path, file)| (path, contents[&file].clone())).collect());
    }

    fn named_at(&self, index: usize, path: &Path) -> usize {
        let mut names: BTreeMap<&Path, usize> = self.base.keys().map(PathBuf::as_path).zip(0..).collect();
        for op in &self.ops[..index] {
            match op {
                Op::Create { path, file } => {
                    names.insert(path, *file);
                }
                Op::Rename { from, to } => {
                    let file = names.remove(from.as_path()).expect("a name");
                    names.insert(to, file);
                }
                Op::Remove { path } => {
                    names.remove(path.as_path());
                }
                _ => {}
            }
        }
        names[path]
    }
}

/// What is kept of what was not synced.
enum Pick<'a> {
    Nothing,
    All,
    Chance(&'a mut Noise),
}

impl Pick<'_> {
    fn takes(&mut self) -> bool {
        match self {
            Pick::Nothing => false,
            Pick::All => true,
            Pick::Chance(noise) => noise.one_in(2),
        }
    }

    /// All of a write, nothing, some sectors, or the length with zeros in it.
    fn write(&mut self, content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
        let Pick::Chance(noise) = self else {
            if self.takes() {
                put(content, at, bytes);
            }
            return;
        };
        match noise.below(4) {
            0 => {}
            1 => put(content, at, bytes),
            2 => put(content, at, &vec![0; bytes.len()]),
            _ => {
                let mut from = 0;
                while from < bytes.len() {
                    // Up to the next border of a sector of the disk.
                    let to = (from + SECTOR_BYTES - (at + from) % SECTOR_BYTES).min(bytes.len());
                    if noise.one_in(2) {
                        put(content, at + from, &bytes[from..to]);
                    }
                    from = to;
                }
            }
        }
    }
}

fn synced(later: &[Op], file: usize) -> bool {
    later.iter().any(|op| matches!(op, Op::Sync { file: other } if *other == file))
}

/// Whether the folders of all these paths were synced.
fn named(later: &[Op], paths: &[&PathBuf]) -> bool {
    paths.iter().all(|path| {
        later.iter().any(|op| matches!(op, Op::SyncFolder { folder } if Some(folder.as_path()) == path.parent()))
    })
}

fn put(content: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    let end = at + bytes.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

/// Each sector of one or the other; files that only one has, perhaps.
fn mix(old: &Files, new: &Files, noise: &mut Noise) -> Files {
    let mut mixed = Files::new();
    for path in old.keys().collect::<std::collections::BTreeSet<_>>().union(&new.keys().collect()).copied() {
        let content = match (old.get(path), new.get(path)) {
            (Some(old), Some(new)) => {
                let mut content = if noise.one_in(2) { old.clone() } else { new.clone() };
                for (index, sector) in content.chunks_mut(SECTOR_BYTES).enumerate() {
                    let from = index * SECTOR_BYTES;
                    let source = if noise.one_in(2) { old } else { new };
                    if let Some(bytes) = source.get(from..from + sector.len()) {
                        sector.copy_from_slice(bytes);
                    }
                }
                content
            }
            (Some(one), None) | (None, Some(one)) if noise.one_in(2) => one.clone(),
            _ => continue,
        };
        mixed.insert(path.clone(), content);
    }
    mixed
}

/// Cut short, or with a stretch of zeros.
fn spoil(files: &Files, noise: &mut Noise) -> Files {
    let mut files = files.clone();
    for content in files.values_mut() {
        let at = noise.below(content.len() as u64) as usize;
        if noise.one_in(2) {
            content.truncate(at);
        } else {
            let end = (at + noise.below(20_000) as usize).min(content.len());
            content[at..end].fill(0);
        }
    }
    files
}

/// The files under a folder, by their path from there; of its own entries those that are `wanted`.
pub fn in_memory(folder: &Path, wanted: &dyn Fn(&Path) -> bool) -> Files {
    let mut files = Files::new();
    let Ok(listed) = std::fs::read_dir(folder) else { return files };
    for entry in listed {
        let entry = entry.expect("lists");
        let name = PathBuf::from(entry.file_name());
        if !wanted(&name) {
            continue;
        }
        if entry.file_type().expect("a type").is_dir() {
            let inner = in_memory(&entry.path(), &|_| true);
            files.extend(inner.into_iter().map(|(path, content)| (name.join(path), content)));
        } else {
            files.insert(name, std::fs::read(entry.path()).expect("reads"));
        }
    }
    files
}

fn write(dir: &Path, files: &Files) {
    for (path, content) in files {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("creates");
        std::fs::write(path, content).expect("writes");
    }
}
