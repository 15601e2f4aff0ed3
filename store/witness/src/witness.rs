//! A witness's directory, its key, and the one decision it makes.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ed25519_dalek::SigningKey;
use rustix::fs::{FlockOperation, flock};
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use vigie_log::checkpoint::{CHECKPOINT_BYTES, Checkpoint, Verifier, is_origin};
use vigie_log::cosignature::{WitnessKey, cosign};
use vigie_log::request::AddCheckpoint;
use vigie_log::tree::verify_consistency;
use vigie_log::wrapped::{self, SCRYPT_LOG_N, WrapError};
use zeroize::Zeroizing;

use crate::error::{Trying, WitnessError};
use crate::files::{new_folder, read_text, replace, write_new};
use crate::state::LogState;

const FORMAT: &str = "vigie.witness/1\nkey ";
/// Largest of the small files, in bytes.
const SMALL_BYTES: usize = 4096;

/// A witness, as its directory holds it; its key stays closed.
#[derive(Clone, Debug)]
pub struct Witness {
    dir: PathBuf,
    key: WitnessKey,
}

/// The witness's key, opened.
pub struct Signer(SigningKey);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer(…)")
    }
}

/// A request that may be cosigned, and where its log stood.
struct Accepted {
    state: LogState,
    head: Checkpoint,
    /// The note with the log's own signature alone.
    note: String,
}

impl Witness {
    /// Makes a witness in `dir`, which must not exist: built beside it and renamed, so that a
    /// stop leaves either none or a whole one. `scrypt_log_n` is 18 unless given.
    ///
    /// # Errors
    /// [`WitnessError::Name`], [`WitnessError::Exists`], and what the disk says.
    pub fn init(
        dir: &Path,
        name: &str,
        passphrase: &SecretString,
        scrypt_log_n: Option<u8>,
    ) -> Result<Self, WitnessError> {
        if !is_origin(name) {
            return Err(WitnessError::Name { name: name.to_owned() });
        }
        if dir.symlink_metadata().is_ok() {
            return Err(WitnessError::Exists { path: dir.to_owned() });
        }
        let seed = Zeroizing::new(random::<32>()?);
        let key = WitnessKey::new(name, SigningKey::from_bytes(&seed).verifying_key());
        let wrapped = wrapped::wrap(&seed, passphrase, scrypt_log_n.unwrap_or(SCRYPT_LOG_N))?;
        let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let building = parent.join(format!(".vigie-witness-{}", HEXLOWER.encode(&random::<8>()?)));
        let build = || {
            new_folder(&building)?;
            new_folder(&building.join("logs"))?;
            new_folder(&building.join("cosigned"))?;
            write_new(&building.join("key.age"), &wrapped)?;
            write_new(&building.join("witness.txt"), format!("{FORMAT}{key}\n").as_bytes())?;
            let finish = std::fs::rename(&building, dir).and_then(|()| File::open(parent)?.sync_all());
            finish.trying(|| format!("creating {}", dir.display()))
        };
        let made = build();
        if made.is_err() {
            let _ = std::fs::remove_dir_all(&building);
        }
        made.map(|()| Self { dir: dir.to_owned(), key })
    }

    /// Opens the directory that [`Self::init`] made.
    ///
    /// # Errors
    /// [`WitnessError::NotAWitness`], [`WitnessError::Damaged`].
    pub fn open(dir: &Path) -> Result<Self, WitnessError> {
        let not = |why| WitnessError::NotAWitness { dir: dir.to_owned(), why };
        let path = dir.join("witness.txt");
        let text = match read_text(&path, SMALL_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(not("no witness.txt")),
            other => other.trying(|| format!("reading {}", path.display()))?,
        };
        let text = text.filter(|text| text.starts_with("vigie.witness/1\n")).ok_or_else(|| not("another format"))?;
        let key = text.strip_prefix(FORMAT).and_then(|key| WitnessKey::parse(key.strip_suffix('\n')?));
        let key = key.ok_or_else(|| damaged("witness.txt holds no verifier key"))?;
        Ok(Self { dir: dir.to_owned(), key })
    }

    /// The witness's public key: what workstations and courts are given.
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    /// Takes up a log, by its verifier key; false when it was known already.
    ///
    /// # Errors
    /// [`WitnessError::NotALogKey`], [`WitnessError::OtherKey`].
    pub fn trust(&self, vkey: &str) -> Result<bool, WitnessError> {
        let key = Verifier::parse(vkey.trim()).ok_or(WitnessError::NotALogKey)?;
        let _lock = self.lock()?;
        match self.log(key.name())? {
            Some(known) if known.key == key => Ok(false),
            Some(known) => Err(WitnessError::OtherKey { origin: key.name().to_owned(), key: known.key.to_string() }),
            None => {
                let state = LogState::new(key);
                replace(&self.place("logs", state.key.name()), state.encode().as_bytes())?;
                Ok(true)
            }
        }
    }

    /// Every log that the witness knows, by origin.
    ///
    /// # Errors
    /// [`WitnessError::Damaged`], and what the disk says.
    pub fn logs(&self) -> Result<Vec<LogState>, WitnessError> {
        let folder = self.dir.join("logs");
        let trying = || format!("listing {}", folder.display());
        let mut logs = Vec::new();
        for file in std::fs::read_dir(&folder).trying(trying)? {
            let path = file.trying(trying)?.path();
            // What a stop left of a file that was being written.
            if path.extension().is_some_and(|extension| extension == "part") {
                continue;
            }
            logs.push(read_state(&path)?.ok_or_else(|| damaged(format!("{} went away", path.display())))?);
        }
        logs.sort_by(|a, b| a.key.name().cmp(b.key.name()));
        Ok(logs)
    }

    /// Opens the key with its passphrase.
    ///
    /// # Errors
    /// [`WitnessError::Key`].
    pub fn unlock(&self, passphrase: &SecretString) -> Result<Signer, WitnessError> {
        let path = self.dir.join("key.age");
        let wrapped = std::fs::read(&path).trying(|| format!("reading {}", path.display()))?;
        let key = SigningKey::from_bytes(&*wrapped::open(&wrapped, passphrase)?);
        if WitnessKey::new(self.key.name(), key.verifying_key()) != self.key {
            return Err(WrapError::Damaged.into());
        }
        Ok(Signer(key))
    }

    /// Whether a request would be cosigned now; gives origin and size. For refusing before a
    /// passphrase is asked for.
    ///
    /// # Errors
    /// As [`Self::cosign`].
    pub fn check(&self, request: &str, now: u64) -> Result<(String, u64), WitnessError> {
        self.accept(request, now).map(|accepted| (accepted.head.origin, accepted.head.size))
    }

    /// Cosigns a request (the body of C2SP tlog-witness `add-checkpoint`); gives the checkpoint
    /// with the log's signature and ours. `now` is in seconds since the Epoch.
    ///
    /// Compare, keep, sign, under one lock: *a stop after the head is kept and before the
    /// cosignature is handed out leaves a witness that stands at a size nobody has its signature
    /// for; a request that begins there is cosigned again. The other order could sign two heads.*
    ///
    /// # Errors
    /// Anything but [`WitnessError::Io`] leaves the witness as it was.
    pub fn cosign(&self, signer: &Signer, request: &str, now: u64) -> Result<String, WitnessError> {
        let _lock = self.lock()?;
        let Accepted { state, head, note } = self.accept(request, now)?;
        let kept = LogState { size: head.size, root: head.root, time: now, ..state };
        replace(&self.place("logs", &head.origin), kept.encode().as_bytes())?;
        let cosigned = note + &cosign(&head, self.key.name(), &signer.0, now);
        replace(&self.place("cosigned", &head.origin), cosigned.as_bytes())?;
        Ok(cosigned)
    }

    /// The checkpoint of a log that was cosigned last, as it was handed out.
    ///
    /// # Errors
    /// [`WitnessError::UnknownLog`], [`WitnessError::NothingYet`].
    pub fn last(&self, origin: &str) -> Result<String, WitnessError> {
        let state = self.log(origin)?.ok_or_else(|| WitnessError::UnknownLog { origin: origin.to_owned() })?;
        let path = self.place("cosigned", origin);
        let nothing = || WitnessError::NothingYet { origin: origin.to_owned() };
        let text = match read_text(&path, CHECKPOINT_BYTES) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(nothing()),
            other => other.trying(|| format!("reading {}", path.display()))?,
        };
        let text = text.ok_or_else(|| damaged(format!("{} is no checkpoint", path.display())))?;
        match Checkpoint::open(&text, &state.key) {
            Ok(head) if head.size == state.size && head.root == state.root => Ok(text),
            // The head was kept, but a stop came before its cosignature was.
            Ok(_) => Err(nothing()),
            Err(error) => Err(damaged(format!("{}: {error}", path.display()))),
        }
    }

    /// The rules, in the order of C2SP tlog-witness.
    fn accept(&self, request: &str, now: u64) -> Result<Accepted, WitnessError> {
        let request = AddCheckpoint::parse(request)?;
        let origin = Checkpoint::claimed_origin(&request.checkpoint).ok_or(WitnessError::Nameless)?;
        let state = self.log(origin)?.ok_or_else(|| WitnessError::UnknownLog { origin: origin.to_owned() })?;
        let signed = vigie_log::cosignature::Cosigned::open(&request.checkpoint, &state.key, &[])?;
        let (head, note) = (signed.checkpoint, signed.text);
        let (old, size, known) = (request.old_size, head.size, state.size);
        if old > size {
            return Err(WitnessError::Backwards { old, size });
        }
        if size < known {
            return Err(WitnessError::Smaller { size, known });
        }
        // Whatever the request begins at: two roots of one size need no proof.
        if size == known && head.root != state.root {
            return Err(WitnessError::Forked { size });
        }
        if old != known {
            return Err(WitnessError::Conflict { old, known });
        }
        if !verify_consistency(known, &state.root, size, &head.root, &request.proof) {
            return Err(WitnessError::Inconsistent { size, known });
        }
        if now < state.time.max(1) {
            return Err(WitnessError::ClockBehind { now, last: state.time });
        }
        Ok(Accepted { state, head, note })
    }

    fn log(&self, origin: &str) -> Result<Option<LogState>, WitnessError> {
        let path = self.place("logs", origin);
        let state = read_state(&path)?;
        if state.as_ref().is_some_and(|state| state.key.name() != origin) {
            return Err(damaged(format!("{} holds the state of another log", path.display())));
        }
        Ok(state)
    }

    /// The file of a log.
    fn place(&self, folder: &str, origin: &str) -> PathBuf {
        self.dir.join(folder).join(HEXLOWER.encode(&Sha256::digest(origin)))
    }

    /// Waits for the lock; the kernel drops it with the file.
    fn lock(&self) -> Result<File, WitnessError> {
        let path = self.dir.join("lock");
        let trying = || format!("locking {}", path.display());
        let file =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path).trying(trying)?;
        flock(&file, FlockOperation::LockExclusive).map_err(io::Error::from).trying(trying)?;
        Ok(file)
    }
}

fn read_state(path: &Path) -> Result<Option<LogState>, WitnessError> {
    let text = match read_text(path, SMALL_BYTES) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.trying(|| format!("reading {}", path.display()))?,
    };
    let state = text.and_then(|text| LogState::parse(&text));
    state.map(Some).ok_or_else(|| damaged(format!("{} is not what was written", path.display())))
}

fn damaged(what: impl Into<String>) -> WitnessError {
    WitnessError::Damaged { what: what.into() }
}

fn random<const N: usize>() -> Result<[u8; N], WitnessError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|e| io::Error::other(e.to_string()))
        .trying(|| "asking the system for random bytes".into())?;
    Ok(bytes)
}
