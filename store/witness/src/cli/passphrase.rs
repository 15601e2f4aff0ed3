//! Where the passphrase comes from: a file descriptor, a systemd credential or a prompt. Never an
//! argument, never the environment, both of which other processes can read.

use std::fs::File;
use std::io::Read;
use std::os::fd::RawFd;
use std::path::PathBuf;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::Failure;

/// Longest passphrase read, in bytes.
const PASSPHRASE_BYTES: u64 = 4096;
/// Name of the systemd credential (systemd.exec(5), `LoadCredential=`).
const CREDENTIAL: &str = "vigie.witness";

/// Reads the passphrase; asked twice on a terminal when `confirm`. One trailing newline is not
/// part of it.
pub(super) fn read(fd: Option<RawFd>, confirm: bool) -> Result<SecretString, Failure> {
    if let Some(fd) = fd {
        // `/proc/self/fd/N` opens the same file without taking ownership of a number that the
        // caller chose, which would need `unsafe`; pipes of the parent work too.
        let file = File::open(format!("/proc/self/fd/{fd}"));
        let file = file.map_err(|e| {
            wrong(format!(
                "reading the passphrase from file descriptor {fd}: {e}: pass it open, for example --passphrase-fd 3 3<FILE"
            ))
        })?;
        return from(file);
    }
    if let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") {
        let path = PathBuf::from(folder).join(CREDENTIAL);
        if path.exists() {
            let file = File::open(&path);
            return from(file.map_err(|e| wrong(format!("reading the systemd credential {CREDENTIAL}: {e}")))?);
        }
    }
    let asked = prompt("witness passphrase: ")?;
    if confirm && *asked != *prompt("witness passphrase (again): ")? {
        return Err(wrong("the two entries of the passphrase differ: try again".into()));
    }
    check(asked)
}

fn prompt(text: &str) -> Result<Zeroizing<String>, Failure> {
    rpassword::prompt_password(text).map(Zeroizing::new).map_err(|_| Failure {
        code: 6,
        line: format!(
            "no terminal to ask for the passphrase on: give it with --passphrase-fd N (a file descriptor) or as the systemd credential {CREDENTIAL}"
        ),
    })
}

fn from(reader: impl Read) -> Result<SecretString, Failure> {
    let mut text = Zeroizing::new(String::with_capacity(256));
    let read = reader.take(PASSPHRASE_BYTES).read_to_string(&mut text);
    read.map_err(|e| wrong(format!("reading the passphrase: {e}")))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    check(text)
}

fn check(text: Zeroizing<String>) -> Result<SecretString, Failure> {
    if text.is_empty() {
        return Err(wrong("the passphrase is empty: give one".into()));
    }
    Ok(SecretString::from(text.as_str()))
}

fn wrong(line: String) -> Failure {
    Failure { code: 2, line }
}
