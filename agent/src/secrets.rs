//! Where passphrases come from: a file descriptor, a systemd credential, the kernel's key ring
//! (the store's key only, after `vigie unlock`) or a prompt. Never an argument, never the
//! environment, both of which other processes can read.

use std::io::{Read, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use vigie_store::WorkstationKey;
use zeroize::Zeroizing;

use crate::error::{Failing, Problem};

/// Longest passphrase read, in bytes.
const PASSPHRASE_BYTES: u64 = 4096;

/// Which secret is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secret {
    /// Opens the workstation key W.
    Store,
    /// Opens a profile's key P.
    Profile,
    /// Opens the agent's SSH key file.
    Agent,
    /// Opens a recipient's identity file.
    Identity,
    /// Will open the workstation key W.
    NewStore,
    /// Will open a profile's key P.
    NewProfile,
}

impl Secret {
    /// Name of the systemd credential (systemd.exec(5), `LoadCredential=`).
    fn credential(self) -> &'static str {
        match self {
            Self::Store => "vigie.store",
            Self::Profile => "vigie.profile",
            Self::Agent => "vigie.agent",
            Self::Identity => "vigie.identity",
            Self::NewStore => "vigie.store.new",
            Self::NewProfile => "vigie.profile.new",
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Store => "store passphrase",
            Self::Profile => "profile passphrase",
            Self::Agent => "passphrase of the agent's SSH key",
            Self::Identity => "passphrase of the identity file",
            Self::NewStore => "new store passphrase",
            Self::NewProfile => "new profile passphrase",
        }
    }

    fn option(self) -> &'static str {
        match self {
            Self::Store => "--passphrase-fd",
            Self::Profile => "--profile-passphrase-fd",
            Self::Agent => "--agent-passphrase-fd",
            Self::Identity => "--identity-passphrase-fd",
            Self::NewStore | Self::NewProfile => "--new-passphrase-fd",
        }
    }
}

/// Reads a passphrase: from `fd` when given, else a systemd credential, else a prompt on the
/// terminal (asked twice when `confirm`). One trailing newline is not part of it.
pub fn passphrase(secret: Secret, fd: Option<RawFd>, confirm: bool) -> Result<SecretString, Problem> {
    if let Some(fd) = fd {
        return from_fd(secret, fd);
    }
    if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        let file = PathBuf::from(folder).join(secret.credential());
        if file.exists() {
            let file = std::fs::File::open(&file)
                .map_err(|e| Problem::input(format!("reading the systemd credential {}: {e}", secret.credential())))?;
            return from_reader(secret, file);
        }
    }
    let asked = prompt(&format!("{}: ", secret.label()), secret)?;
    if confirm {
        let again = prompt(&format!("{} (again): ", secret.label()), secret)?;
        if *asked != *again {
            return Err(Problem::input(format!("the two entries of the {} differ: try again", secret.label())));
        }
    }
    check(secret, asked)
}

fn prompt(text: &str, secret: Secret) -> Result<Zeroizing<String>, Problem> {
    rpassword::prompt_password(text).map(Zeroizing::new).map_err(|_| {
        Problem::locked(format!(
            "no terminal to ask for the {} on: give it with {} N (a file descriptor) or as the systemd credential {}",
            secret.label(),
            secret.option(),
            secret.credential()
        ))
    })
}

fn from_fd(secret: Secret, fd: RawFd) -> Result<SecretString, Problem> {
    // `/proc/self/fd/N` opens the same file without taking ownership of a number that the
    // caller chose, which would need `unsafe`; pipes of the parent work too, sockets do not.
    let path = PathBuf::from(format!("/proc/self/fd/{fd}"));
    let file = std::fs::File::open(&path).map_err(|e| {
        Problem::input(format!(
            "reading the {} from file descriptor {fd}: {e}: pass it open, for example {} 3 3<FILE",
            secret.label(),
            secret.option()
        ))
    })?;
    from_reader(secret, file)
}

fn from_reader(secret: Secret, reader: impl Read) -> Result<SecretString, Problem> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    reader
        .take(PASSPHRASE_BYTES)
        .read_to_string(&mut text)
        .map_err(|e| Problem::input(format!("reading the {}: {e}", secret.label())))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    check(secret, text)
}

fn check(secret: Secret, text: Zeroizing<String>) -> Result<SecretString, Problem> {
    if text.is_empty() {
        return Err(Problem::input(format!("the {} is empty: give one", secret.label())));
    }
    Ok(SecretString::from(text.as_str()))
}

/// Asks for a client key on the terminal, without showing it.
pub fn client_key_from_prompt() -> Result<Zeroizing<String>, Problem> {
    rpassword::prompt_password("client key: ").map(Zeroizing::new).map_err(|_| {
        Problem::input(
            "no terminal to ask for the client key on: give it as FILE or with --key-fd N (a file descriptor)",
        )
    })
}

/// Reads a URL from a file descriptor, so that it stands in no process list.
pub fn line_from_fd(fd: RawFd) -> Result<String, Problem> {
    let file = std::fs::File::open(format!("/proc/self/fd/{fd}"))
        .map_err(|e| Problem::input(format!("reading file descriptor {fd}: {e}")))?;
    let mut text = String::new();
    file.take(64 * 1024)
        .read_to_string(&mut text)
        .map_err(|e| Problem::input(format!("reading file descriptor {fd}: {e}")))?;
    Ok(text.trim().to_owned())
}

/// Reads one line from the terminal or standard input.
pub fn line_from_prompt(label: &str) -> Result<String, Problem> {
    let mut stderr = std::io::stderr();
    let _ = write!(stderr, "{label}: ").and_then(|()| stderr.flush());
    let mut text = String::new();
    std::io::stdin().read_line(&mut text).failing("reading standard input")?;
    Ok(text.trim().to_owned())
}

/// The kernel's key ring: memory of the kernel, never disk, gone at the time limit.
pub mod ring {
    use super::*;
    use linux_keyutils::{KeyRing, KeyRingIdentifier};

    /// The key, and the minutes without use after which it goes.
    const HELD_BYTES: usize = 34;

    /// One name per store directory, so that two stores do not share a key.
    fn name(store: &Path) -> String {
        use sha2::Digest;
        let absolute = std::fs::canonicalize(store).unwrap_or_else(|_| store.to_owned());
        let digest = sha2::Sha256::digest(absolute.as_os_str().as_encoded_bytes());
        format!("vigie:{}", data_encoding::HEXLOWER.encode(&digest[..16]))
    }

    fn user() -> Result<KeyRing, Problem> {
        KeyRing::from_special_id(KeyRingIdentifier::User, false).map_err(|e| {
            Problem::other(format!(
                "this machine gives no kernel key ring ({e:?}): give the passphrase with each command instead"
            ))
        })
    }

    /// Keeps the store's key until it was not used for `minutes`.
    pub fn keep(store: &Path, key: &WorkstationKey, minutes: u16) -> Result<(), Problem> {
        let fault = |e| Problem::other(format!("keeping the key in the kernel's key ring: {e:?}"));
        let mut held = Zeroizing::new([0u8; HELD_BYTES]);
        held[..32].copy_from_slice(key.as_bytes());
        held[32..].copy_from_slice(&minutes.to_be_bytes());
        let entry = user()?.add_key(&name(store), &*held).map_err(fault)?;
        entry.set_timeout(usize::from(minutes) * 60).map_err(fault)
    }

    /// The key kept for this store, if there is one and it was used lately; this is a use.
    pub fn find(store: &Path) -> Option<WorkstationKey> {
        let entry = user().ok()?.search(&name(store)).ok()?;
        let mut held = Zeroizing::new([0u8; HELD_BYTES]);
        if entry.read(&mut *held).ok()? != HELD_BYTES {
            return None;
        }
        let (key, minutes) = held.split_first_chunk::<32>()?;
        let minutes = u16::from_be_bytes(minutes.try_into().ok()?);
        // A key whose time cannot be set anew still ends with its old one.
        let _ = entry.set_timeout(usize::from(minutes) * 60);
        Some(WorkstationKey::from_bytes(*key))
    }

    /// Forgets the key; true when there was one.
    pub fn forget(store: &Path) -> bool {
        user().ok().and_then(|ring| ring.search(&name(store)).ok()).is_some_and(|entry| entry.invalidate().is_ok())
    }
}
