//! A disk that records.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use vigie_store::Receipt;
use vigie_store::disk::{Disk, RealDisk};

use super::trace::{Files, Op, Trace, in_memory};

/// Which syncs a disk does not do, by the path in the store's folder.
pub type Deaf = fn(&Path) -> bool;

/// Does everything and writes it down.
pub struct Recorder {
    dir: PathBuf,
    /// Syncs of these files and folders do nothing.
    deaf: Deaf,
    book: Mutex<Book>,
}

struct Book {
    trace: Trace,
    /// Numbers of files by the inode that has them now: the system uses inodes again.
    numbers: HashMap<u64, usize>,
}

impl Recorder {
    /// Of the store that lies in `dir` and is closed; what is there counts as durable.
    pub fn new(dir: &Path, deaf: Deaf) -> Self {
        let mut files = in_memory(dir, &|path| path != Path::new("catalogue"));
        files.retain(|path, _| path != Path::new("lock"));
        let trace = Trace::new(files, Arc::new(in_memory(&dir.join("catalogue"), &|_| true)));
        Self { dir: dir.to_owned(), deaf, book: Mutex::new(Book { trace, numbers: HashMap::new() }) }
    }

    /// Notes a receipt behind the operations so far.
    pub fn acknowledged(&self, receipt: Receipt) {
        let mut book = self.book.lock().expect("not poisoned");
        book.trace.acknowledge(receipt);
    }

    /// The record, with the catalogue as the closed store left it.
    pub fn finish(&self) -> Trace {
        let mut book = self.book.lock().expect("not poisoned");
        let last = Arc::new(in_memory(&self.dir.join("catalogue"), &|_| true));
        let mut trace = std::mem::replace(&mut book.trace, Trace::new(Files::new(), Arc::default()));
        trace.end(last);
        trace
    }

    fn inside<'a>(&self, path: &'a Path) -> &'a Path {
        path.strip_prefix(&self.dir).expect("the store writes in its folder")
    }

    fn note(&self, op: Op) {
        self.book.lock().expect("not poisoned").trace.push(op);
    }

    /// The file's number; of the base, found by its name, when it was not created here.
    fn number(&self, file: &File) -> usize {
        let mut book = self.book.lock().expect("not poisoned");
        let inode = file.metadata().expect("is there").ino();
        if let Some(number) = book.numbers.get(&inode) {
            return *number;
        }
        let path = self.path(file);
        let number = book.trace.file(self.inside(&path));
        book.numbers.insert(inode, number);
        number
    }

    fn path(&self, file: &File) -> PathBuf {
        std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).expect("an open file")
    }

    fn snapshot(&self) {
        self.note(Op::Catalogue(Arc::new(in_memory(&self.dir.join("catalogue"), &|_| true))));
    }

    fn is_catalogue(&self, path: &Path) -> bool {
        self.inside(path).starts_with("catalogue")
    }
}

impl Disk for Recorder {
    fn create(&self, path: &Path) -> io::Result<File> {
        let file = RealDisk.create(path)?;
        let mut book = self.book.lock().expect("not poisoned");
        let number = book.trace.create(self.inside(path));
        book.numbers.insert(file.metadata()?.ino(), number);
        Ok(file)
    }
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        RealDisk.write_at(file, bytes, offset)?;
        let file = self.number(file);
        self.note(Op::Write { file, at: offset as usize, bytes: bytes.to_vec() });
        Ok(())
    }
    fn sync(&self, file: &File) -> io::Result<()> {
        RealDisk.sync(file)?;
        let path = self.path(file);
        if self.is_catalogue(&path) {
            self.snapshot();
        } else if !(self.deaf)(self.inside(&path)) {
            let file = self.number(file);
            self.note(Op::Sync { file });
        }
        Ok(())
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        RealDisk.sync_folder(folder)?;
        if self.is_catalogue(folder) {
            self.snapshot();
        } else if !(self.deaf)(self.inside(folder)) {
            self.note(Op::SyncFolder { folder: self.inside(folder).to_owned() });
        }
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        RealDisk.rename(from, to)?;
        if !self.is_catalogue(from) {
            self.note(Op::Rename { from: self.inside(from).to_owned(), to: self.inside(to).to_owned() });
        }
        Ok(())
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        RealDisk.remove(path)?;
        if !self.is_catalogue(path) {
            self.note(Op::Remove { path: self.inside(path).to_owned() });
        }
        Ok(())
    }
    fn truncate(&self, file: &File, len: u64) -> io::Result<()> {
        RealDisk.truncate(file, len)?;
        let file = self.number(file);
        self.note(Op::Cut { file, len: len as usize });
        Ok(())
    }
    fn punch(&self, file: &File, offset: u64, len: u64) -> io::Result<()> {
        RealDisk.punch(file, offset, len)?;
        let file = self.number(file);
        // Zeros that are synced before the hole is made.
        self.note(Op::Write { file, at: offset as usize, bytes: vec![0; len as usize] });
        self.note(Op::Sync { file });
        self.note(Op::Punch { file, at: offset as usize, len: len as usize });
        Ok(())
    }
    fn free_percent(&self, _: &Path) -> io::Result<u8> {
        Ok(50)
    }
}
