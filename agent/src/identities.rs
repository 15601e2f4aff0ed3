//! Identities of recipients: age identity files, in clear or under a passphrase (`age -p`), with
//! keys of their own or of a plugin (`AGE-PLUGIN-…`, a hardware token that `age-plugin-NAME` asks).

use std::io::{Read, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};

use age::armor::ArmoredReader;
use age::secrecy::SecretString;
use zeroize::Zeroizing;

use crate::error::Problem;
use crate::secrets::{self, Secret};

/// Largest identity file read, in bytes.
const FILE_BYTES: u64 = 256 * 1024;
/// Largest scrypt work factor of an identity file: 2^22 takes 4 GiB of memory.
const WORK_FACTOR: u8 = 22;
/// How age files begin (C2SP age, ASCII armour).
const BEGINNINGS: [&[u8]; 2] = [b"age-encryption.org/v1\n", b"-----BEGIN AGE ENCRYPTED FILE-----"];

/// Identities that open what was sealed to their recipients.
pub type Identities = Vec<Box<dyn age::Identity + Send + Sync>>;

/// Opens identity files. A passphrase is asked for on the terminal, or read from the descriptor.
///
/// # Errors
/// A file that cannot be read or holds no identity, a wrong passphrase, a missing plugin.
pub fn open(files: &[PathBuf], passphrase_fd: Option<RawFd>) -> Result<Identities, Problem> {
    let mut all = Identities::new();
    for file in files {
        all.extend(open_one(file, passphrase_fd)?);
    }
    Ok(all)
}

fn open_one(file: &Path, passphrase_fd: Option<RawFd>) -> Result<Identities, Problem> {
    let fault =
        |e: &dyn std::fmt::Display| Problem::input(format!("reading the identity file {}: {e}", file.display()));
    let mut bytes = Zeroizing::new(Vec::new());
    let read = std::fs::File::open(file).and_then(|open| open.take(FILE_BYTES).read_to_end(&mut bytes));
    read.map_err(|e| fault(&e))?;
    let start = bytes.trim_ascii_start();
    if BEGINNINGS.iter().any(|beginning| start.starts_with(beginning)) {
        let passphrase = secrets::passphrase(Secret::Identity, passphrase_fd, false)?;
        bytes = decrypt(start, passphrase).map_err(|error| match error {
            age::DecryptError::KeyDecryptionFailed | age::DecryptError::DecryptionFailed => {
                Problem::locked(format!("the passphrase does not open the identity file {}", file.display()))
            }
            other => fault(&other),
        })?;
    }
    let read = age::IdentityFile::from_buffer(&bytes[..]).map_err(|e| fault(&e))?;
    let found = read.with_callbacks(Terminal).into_identities().map_err(|e| fault(&e))?;
    if found.is_empty() {
        return Err(fault(&"it holds no identity: make one with age-keygen"));
    }
    Ok(found)
}

fn decrypt(sealed: &[u8], passphrase: SecretString) -> Result<Zeroizing<Vec<u8>>, age::DecryptError> {
    let mut identity = age::scrypt::Identity::new(passphrase);
    identity.set_max_work_factor(WORK_FACTOR);
    let mut plain = Zeroizing::new(Vec::with_capacity(FILE_BYTES as usize));
    age::Decryptor::new_buffered(ArmoredReader::new(sealed))?
        .decrypt(std::iter::once(&identity as &dyn age::Identity))?
        .take(FILE_BYTES)
        .read_to_end(&mut plain)?;
    Ok(plain)
}

/// What a plugin asks of the person at the terminal.
#[derive(Clone)]
struct Terminal;

impl age::Callbacks for Terminal {
    fn display_message(&self, message: &str) {
        let _ = writeln!(std::io::stderr(), "{}", printable(message));
    }

    fn confirm(&self, message: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let no = no.unwrap_or("no");
        let answer =
            secrets::line_from_prompt(&format!("{} [{}/{}]", printable(message), printable(yes), printable(no)));
        answer.ok().map(|answer| answer.eq_ignore_ascii_case(yes))
    }

    fn request_public_string(&self, description: &str) -> Option<String> {
        secrets::line_from_prompt(&printable(description)).ok()
    }

    fn request_passphrase(&self, description: &str) -> Option<SecretString> {
        rpassword::prompt_password(format!("{}: ", printable(description))).ok().map(SecretString::from)
    }
}

/// Another program's text, for a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
