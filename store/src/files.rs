//! Where things lie in a store's directory, and its first file `store.txt`.

use std::fs::{DirBuilder, File};
use std::io::Read;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;

use crate::checkpoint::{Checkpoint, Verifier, is_origin};
use crate::disk::Disk;
use crate::error::{StoreError, Trying};
use crate::keys::{SCRYPT_LOG_N_MAX, random};

/// Largest of the small files read whole, in bytes.
const SMALL_FILE_BYTES: u64 = 4 << 20;
/// Kept aside so that a full disk still has room for the entries that say so.
const RESERVE_BYTES: usize = 4 << 20;

/// The facts of a store that never change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Random identity of the store.
    pub id: [u8; 16],
    /// Name of its log.
    pub origin: String,
    /// scrypt work factor for the passphrases of this store.
    pub scrypt_log_n: u8,
}

impl Facts {
    pub fn encode(&self) -> String {
        format!(
            "vigie.store/1\nid {}\norigin {}\nscrypt {}\n",
            HEXLOWER.encode(&self.id),
            self.origin,
            self.scrypt_log_n
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split('\n').skip(1);
        let id = lines.next()?.strip_prefix("id ")?;
        let origin = lines.next()?.strip_prefix("origin ")?;
        let scrypt = lines.next()?.strip_prefix("scrypt ")?;
        let facts = Self {
            id: HEXLOWER.decode(id.as_bytes()).ok()?.try_into().ok()?,
            origin: origin.to_owned(),
            scrypt_log_n: scrypt.parse().ok()?,
        };
        let sane = is_origin(origin) && (1..=SCRYPT_LOG_N_MAX).contains(&facts.scrypt_log_n);
        (sane && facts.encode() == text).then_some(facts)
    }
}

/// A store's directory.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub dir: PathBuf,
    pub facts: Facts,
}

impl Layout {
    /// Reads the facts of an existing store.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        let not = |why: &str| StoreError::NotAStore { dir: dir.to_owned(), why: why.to_owned() };
        let text = match read_small(&dir.join("store.txt")) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(not("it has no store.txt; name the directory that vigie init made"));
            }
            other => other?,
        };
        let text = String::from_utf8(text)
            .map_err(|_| not("its store.txt is not text; name the directory that vigie init made"))?;
        let format = text.lines().next().unwrap_or_default();
        if !text.starts_with("vigie.store/1\n") {
            let plain = format.len() <= 40 && format.bytes().all(|b| b.is_ascii_graphic());
            let format = if plain { format } else { "something else" };
            return Err(not(&format!(
                "its format is {format:?}, not \"vigie.store/1\"; use the version of vigie that made it"
            )));
        }
        let facts = Facts::parse(&text).ok_or_else(|| StoreError::damaged("store.txt is not what was written"))?;
        Ok(Self { dir: dir.to_owned(), facts })
    }

    /// Makes the directories and `store.txt` of a new store in an empty directory.
    pub fn create(dir: &Path, facts: Facts, disk: &dyn Disk) -> Result<Self, StoreError> {
        let layout = Self { dir: dir.to_owned(), facts };
        layout.write_new("store.txt", layout.facts.encode().as_bytes(), disk)?;
        for folder in [layout.segments(), layout.profiles(), layout.spool(), layout.torn()] {
            new_folder(&folder)?;
        }
        Ok(layout)
    }

    pub fn write_new(&self, name: &str, bytes: &[u8], disk: &dyn Disk) -> Result<(), StoreError> {
        write_new(&self.dir.join(name), bytes, disk)
    }

    pub fn read_small(&self, path: &Path) -> Result<Vec<u8>, StoreError> {
        read_small(path)
    }

    pub fn segments(&self) -> PathBuf {
        self.dir.join("segments")
    }
    pub fn profiles(&self) -> PathBuf {
        self.dir.join("profiles")
    }
    pub fn spool(&self) -> PathBuf {
        self.dir.join("spool")
    }
    pub fn torn(&self) -> PathBuf {
        self.dir.join("torn")
    }
    pub fn catalogue(&self) -> PathBuf {
        self.dir.join("catalogue")
    }
    /// Present when the catalogue was found damaged: the next open rebuilds it.
    pub fn catalogue_damaged(&self) -> PathBuf {
        self.dir.join("catalogue.damaged")
    }
    /// Present from before a recovery changes anything until its entry is in the log.
    pub fn recovery_pending(&self) -> PathBuf {
        self.dir.join("recovery.pending")
    }
    /// Keys of witnesses and the heads they cosigned; made with the first of them.
    pub fn witness(&self) -> PathBuf {
        self.dir.join("witness")
    }
    /// Heads that were given up and the papers about them; made with the first.
    pub fn given_up(&self) -> PathBuf {
        self.dir.join("given-up")
    }
    pub fn wrapped_key(&self) -> PathBuf {
        self.dir.join("key.age")
    }
    pub fn log_key(&self) -> PathBuf {
        self.dir.join("log.key")
    }
    pub fn log_vkey(&self) -> PathBuf {
        self.dir.join("log.vkey")
    }
    pub fn allowed_signers(&self) -> PathBuf {
        self.dir.join("allowed_signers")
    }
    pub fn checkpoint(&self) -> PathBuf {
        self.dir.join("checkpoint")
    }
    pub fn checkpoint_part(&self) -> PathBuf {
        self.dir.join("checkpoint.part")
    }
    pub fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }
    fn reserve(&self) -> PathBuf {
        self.dir.join("reserve")
    }

    /// The log's public key.
    pub fn verifier(&self) -> Result<Verifier, StoreError> {
        let text = read_small(&self.log_vkey())?;
        std::str::from_utf8(&text)
            .ok()
            .and_then(|text| text.strip_suffix('\n'))
            .and_then(Verifier::parse)
            .filter(|verifier| verifier.name() == self.facts.origin)
            .ok_or_else(|| StoreError::damaged("log.vkey is not the verifier key of this log"))
    }

    /// The signed head, as text and checked.
    pub fn signed_head(&self, verifier: &Verifier) -> Result<(String, Checkpoint), StoreError> {
        let text = match read_small(&self.checkpoint()) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Err(StoreError::damaged("the signed head (checkpoint) is missing"));
            }
            other => other?,
        };
        let text =
            String::from_utf8(text).map_err(|_| StoreError::damaged("the signed head (checkpoint) is not text"))?;
        let checkpoint =
            Checkpoint::open(&text, verifier).map_err(|e| StoreError::damaged(format!("the signed head: {e}")))?;
        Ok((text, checkpoint))
    }

    /// Moves something that is not evidence, or cannot be shown to be, out of the way; it is
    /// never deleted.
    pub fn set_aside(&self, path: &Path, what: &str, disk: &dyn Disk) -> Result<(), StoreError> {
        let name = format!("{what}-{}", HEXLOWER.encode(&random::<8>()?));
        disk.rename(path, &self.torn().join(name)).trying(|| format!("moving {} to torn/", path.display()))?;
        disk.sync_folder(&self.torn()).trying(|| "making torn/ durable".into())
    }

    /// Makes a marker file durable; no fault when it is there already.
    pub fn mark(&self, path: &Path, disk: &dyn Disk) -> Result<(), StoreError> {
        match disk.create(path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            other => other.and_then(|_| disk.sync_folder(&self.dir)).trying(|| format!("writing {}", path.display())),
        }
    }

    /// Makes the reserve file when there is room for it; a full disk uses what it held.
    pub fn keep_reserve(&self, room: bool, disk: &dyn Disk) {
        // Neither outcome matters to evidence: the reserve is a comfort, so failures are let go.
        if room && !self.reserve().exists() {
            let _ = write_new(&self.reserve(), &vec![0xA5; RESERVE_BYTES], disk);
        } else if !room {
            self.release_reserve();
        }
    }

    pub fn release_reserve(&self) {
        let _ = std::fs::remove_file(self.reserve());
    }
}

pub(crate) fn new_folder(path: &Path) -> Result<(), StoreError> {
    DirBuilder::new().mode(0o700).create(path).trying(|| format!("creating {}", path.display()))
}

pub(crate) fn write_new(path: &Path, bytes: &[u8], disk: &dyn Disk) -> Result<(), StoreError> {
    let trying = || format!("writing {}", path.display());
    let file = disk.create(path).trying(trying)?;
    disk.write_at(&file, bytes, 0).trying(trying)?;
    disk.sync(&file).trying(trying)
}

/// Puts a file in place of another, or of none, in one step: `NAME.part`, synced, then renamed.
pub(crate) fn replace(path: &Path, bytes: &[u8], disk: &dyn Disk) -> Result<(), StoreError> {
    let trying = || format!("writing {}", path.display());
    let part = path.with_added_extension("part");
    if part.exists() {
        disk.remove(&part).trying(trying)?;
    }
    let write = || {
        let file = disk.create(&part)?;
        disk.write_at(&file, bytes, 0)?;
        disk.sync(&file)?;
        disk.rename(&part, path)?;
        disk.sync_folder(path.parent().unwrap_or(Path::new(".")))
    };
    write().trying(trying)
}

pub(crate) fn read_small(path: &Path) -> Result<Vec<u8>, StoreError> {
    let trying = || format!("reading {}", path.display());
    let mut bytes = Vec::new();
    File::open(path).trying(trying)?.take(SMALL_FILE_BYTES + 1).read_to_end(&mut bytes).trying(trying)?;
    if bytes.len() as u64 > SMALL_FILE_BYTES {
        return Err(StoreError::damaged(format!("{} is longer than anything written there", path.display())));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_have_one_spelling() {
        let facts = Facts { id: [3; 16], origin: "customs.example/desk-1".into(), scrypt_log_n: 18 };
        let text = facts.encode();
        assert_eq!(Facts::parse(&text), Some(facts));
        for bad in [
            text.replace("scrypt 18", "scrypt 018"),
            text.replace("03", "0G"),
            format!("{text}\n"),
            text.replace("18", "60"),
        ] {
            assert_eq!(Facts::parse(&bad), None, "{bad}");
        }
    }
}
