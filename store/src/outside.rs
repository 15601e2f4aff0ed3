//! The newest signed head of a store, kept outside its directory. Who puts back an older copy of
//! the directory does not put this back with it, and cannot make another without the log's key.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::checkpoint::{Checkpoint, Verifier};
use crate::error::{StoreError, Trying};
use crate::files::{Layout, read_small};
use crate::keys::random;
use crate::log::Hash;
use crate::witness::Seen;

/// A folder with the newest heads of stores: `ID.checkpoint`, by the id in `store.txt`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outside {
    folder: PathBuf,
}

impl Outside {
    /// In this folder, which is made when the first head is kept.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps the signed head of the store in `dir`, unless the one that is kept covers as many
    /// entries. Gives the file.
    ///
    /// # Errors
    /// [`StoreError::TakenAway`] when the head that is kept covers more, and what the disk says.
    pub fn keep(&self, dir: &Path) -> Result<PathBuf, StoreError> {
        let layout = Layout::open(dir)?;
        let log = layout.verifier()?;
        let (text, head) = layout.signed_head(&log)?;
        self.write(&layout, &log, &text, &head)
    }

    /// The file of a store; whether it is there or not.
    pub fn file(&self, dir: &Path) -> Result<PathBuf, StoreError> {
        Ok(self.place(&Layout::open(dir)?))
    }

    fn place(&self, layout: &Layout) -> PathBuf {
        self.folder.join(format!("{}.checkpoint", HEXLOWER.encode(&layout.facts.id)))
    }

    /// The head that is kept. To be read before the store's own, which is then never older.
    ///
    /// # Errors
    /// [`StoreError::NotOurHead`] when the file is none that this log signed.
    pub(crate) fn read(&self, layout: &Layout, log: &Verifier) -> Result<Option<Seen>, StoreError> {
        let whence = || format!("kept outside the store, {}", self.place(layout).display());
        let kept = self.signed(layout, log)?;
        Ok(kept.map(|(_, head)| Seen { size: head.size, root: head.root, whence: whence() }))
    }

    fn signed(&self, layout: &Layout, log: &Verifier) -> Result<Option<(String, Checkpoint)>, StoreError> {
        let file = self.place(layout);
        let bytes = match read_small(&file) {
            Err(StoreError::Io { source, .. })
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
            {
                return Ok(None);
            }
            Err(StoreError::Damaged { .. }) => return Err(StoreError::NotOurHead { file }),
            other => other?,
        };
        let text = String::from_utf8(bytes).map_err(|_| StoreError::NotOurHead { file: file.clone() })?;
        let Ok(head) = Checkpoint::open(&text, log) else { return Err(StoreError::NotOurHead { file }) };
        Ok(Some((text, head)))
    }

    /// The head that is kept, as it was signed; `None` when nothing lies there.
    ///
    /// # Errors
    /// [`StoreError::NotOurHead`] when the file is none that this log signed.
    pub fn head(&self, dir: &Path) -> Result<Option<String>, StoreError> {
        let layout = Layout::open(dir)?;
        Ok(self.signed(&layout, &layout.verifier()?)?.map(|(text, _)| text))
    }

    /// Puts a head that was given up aside, never to be deleted, and this one in its place; another
    /// head than that one stays. *The older file has both names until the rename, so that a stop
    /// leaves one head or the other.*
    pub(crate) fn give_up(
        &self,
        layout: &Layout,
        log: &Verifier,
        given_up: (u64, Hash),
        text: &str,
        head: &Checkpoint,
    ) -> Result<PathBuf, StoreError> {
        let file = self.place(layout);
        let kept = self.signed(layout, log)?;
        if kept.is_none_or(|(_, kept)| (kept.size, kept.root) != given_up) {
            return self.write(layout, log, text, head);
        }
        let id = HEXLOWER.encode(&layout.facts.id);
        let aside =
            self.folder.join(format!("{id}.given-up-{}-{}.checkpoint", given_up.0, HEXLOWER.encode(&given_up.1[..8])));
        match std::fs::hard_link(&file, &aside) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => other.trying(|| format!("keeping the head that was given up as {}", aside.display()))?,
        }
        self.put(&file, text)?;
        Ok(file)
    }

    /// Puts a head that is durable in the store in place of the one that is kept. *A stop before
    /// the rename leaves the older one, which the store still goes on from.*
    pub(crate) fn write(
        &self,
        layout: &Layout,
        log: &Verifier,
        text: &str,
        head: &Checkpoint,
    ) -> Result<PathBuf, StoreError> {
        let file = self.place(layout);
        if let Some(kept) = self.read(layout, log)? {
            if kept.size > head.size {
                return Err(StoreError::TakenAway { signed: head.size, known: kept.size, whence: kept.whence });
            }
            if kept.size == head.size {
                return Ok(file);
            }
        }
        self.put(&file, text)?;
        Ok(file)
    }

    fn put(&self, file: &Path, text: &str) -> Result<(), StoreError> {
        // A name of its own: a session and an export may end together.
        let part = file.with_extension(format!("{}.part", HEXLOWER.encode(&random::<8>()?)));
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let mut new = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
            new.write_all(text.as_bytes())?;
            new.sync_all()?;
            std::fs::rename(&part, file)?;
            File::open(&self.folder)?.sync_all()
        };
        let written = write();
        if written.is_err() {
            let _ = std::fs::remove_file(&part);
        }
        written.trying(|| format!("keeping the log's head outside the store, in {}", file.display()))
    }
}
