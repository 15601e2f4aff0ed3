//! The command line of `vigie-witness`.

mod passphrase;

use std::io::Write;
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Parser, Subcommand};
use jiff::Timestamp;
use serde::Serialize;
use vigie_log::request::REQUEST_BYTES;

use crate::error::WitnessError;
use crate::files::{NewFile, read_text, write_new};
use crate::state::LogState;
use crate::witness::Witness;

/// Cosigns the heads of logs that only ever grow. Works offline: requests come and cosignatures
/// leave as files.
#[derive(Parser)]
#[command(name = "vigie-witness", version, after_long_help = AFTER, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER: &str = "\
Exit codes:
  0  done
  1  the machine or its disk failed
  2  arguments or a file are wrong
  3  refused: an unknown log, another key, a wrong signature, or a request that begins elsewhere
  5  ALARM: the log lost or rewrote entries, or the witness's own files are damaged
  6  the passphrase is missing or wrong

Example, the first time:
  vigie-witness init witness --name witness.example
  vigie-witness trust witness 'customs.example/desk-1+1a2b3c4d+AQ…'

And each time, with a medium that goes between the two machines:
  workstation$  vigie witness export --to /media/stick --store store
  witness$      vigie-witness cosign witness /media/stick/REQUEST --to /media/stick/cosigned.txt
  workstation$  vigie witness import /media/stick/cosigned.txt --store store";

#[derive(Subcommand)]
enum Command {
    /// Make a witness: a key that a passphrase opens. Prints its public key.
    #[command(after_help = "Example:\n  vigie-witness init witness --name witness.example")]
    Init {
        /// Directory to create.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Name of the witness in its cosignatures: printable ASCII without space and '+'.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Read the new passphrase from this file descriptor (else: systemd credential, prompt).
        #[arg(long, value_name = "N")]
        passphrase_fd: Option<RawFd>,
    },
    /// Take up a log, by the verifier key that its keeper gave you.
    #[command(after_help = "Example:\n  vigie-witness trust witness 'customs.example/desk-1+1a2b3c4d+AQ…'")]
    Trust {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The log's key, as `vigie init` and `vigie checkpoint --key` print it.
        #[arg(value_name = "VKEY")]
        vkey: String,
    },
    /// Cosign a request, if its log only grew since the last one. A refusal changes nothing.
    #[command(
        after_help = "Example:\n  vigie-witness cosign witness /media/stick/REQUEST --to /media/stick/cosigned.txt"
    )]
    Cosign {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// The file that `vigie witness export` wrote.
        #[arg(value_name = "REQUEST")]
        request: PathBuf,
        /// File to write the cosigned checkpoint to; it must not exist.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
        /// Read the passphrase from this file descriptor (else: systemd credential, prompt).
        #[arg(long, value_name = "N")]
        passphrase_fd: Option<RawFd>,
    },
    /// Write the last cosigned checkpoint of a log once more, when the first copy was lost.
    #[command(after_help = "Example:\n  vigie-witness last witness customs.example/desk-1 --to cosigned.txt")]
    Last {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// Name of the log.
        #[arg(value_name = "ORIGIN")]
        origin: String,
        /// File to write; it must not exist.
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
    /// Show the witness's key, the logs it knows, and where each of them stood.
    #[command(after_help = "Example:\n  vigie-witness status witness")]
    Status {
        /// The witness's directory.
        #[arg(value_name = "DIR")]
        dir: PathBuf,
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Why a command failed: exit code and one line.
struct Failure {
    code: u8,
    line: String,
}

impl From<WitnessError> for Failure {
    fn from(error: WitnessError) -> Self {
        Self { code: error.exit_code(), line: error.to_string() }
    }
}

/// Parses the arguments, runs the command, prints one line when it fails.
pub fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { code, line }) => {
            let line = line.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(std::io::stderr(), "vigie-witness: {line}");
            ExitCode::from(code)
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    match command {
        Command::Init { dir, name, passphrase_fd } => {
            if dir.symlink_metadata().is_ok() {
                return Err(WitnessError::Exists { path: dir }.into());
            }
            let passphrase = passphrase::read(passphrase_fd, true)?;
            let witness = Witness::init(&dir, &name, &passphrase, None)?;
            say(format!("witness made in {}", dir.display()))?;
            say(format!("its key (for vigie witness trust): {}", witness.key()))
        }
        Command::Trust { dir, vkey } => {
            let new = Witness::open(&dir)?.trust(&vkey)?;
            say(if new { "trusted: its requests are cosigned from now on" } else { "was trusted already" })
        }
        Command::Cosign { dir, request, to, passphrase_fd } => {
            let witness = Witness::open(&dir)?;
            let text = request_text(&request)?;
            // All that can be refused is, before a passphrase is asked for or anything is kept.
            let (origin, size) = witness.check(&text, now()?)?;
            let signer = witness.unlock(&passphrase::read(passphrase_fd, false)?)?;
            let file = NewFile::create(&to)?;
            let cosigned = witness.cosign(&signer, &text, now()?)?;
            file.write(cosigned.as_bytes()).map_err(|error| Failure {
                code: error.exit_code(),
                line: format!("{error}: the cosignature is kept: vigie-witness last {} {origin}", dir.display()),
            })?;
            say(format!("cosigned {size} entries of {origin}, in {}", to.display()))
        }
        Command::Last { dir, origin, to } => {
            let text = Witness::open(&dir)?.last(&origin)?;
            write_new(&to, text.as_bytes())?;
            say(format!("the last cosigned checkpoint of {origin}, in {}", to.display()))
        }
        Command::Status { dir, json } => status(&dir, json),
    }
}

#[derive(Serialize)]
struct Status {
    key: String,
    logs: Vec<Log>,
}

#[derive(Serialize)]
struct Log {
    origin: String,
    key: String,
    size: u64,
    root_sha256: String,
    cosigned: Option<String>,
}

fn status(dir: &Path, json: bool) -> Result<(), Failure> {
    let witness = Witness::open(dir)?;
    let logs = witness.logs()?.into_iter().map(|state| {
        let LogState { key, size, root, time } = state;
        let cosigned = (time > 0).then(|| utc(time));
        Log {
            origin: key.name().to_owned(),
            key: key.to_string(),
            size,
            root_sha256: data_encoding::HEXLOWER.encode(&root),
            cosigned,
        }
    });
    let status = Status { key: witness.key().to_string(), logs: logs.collect() };
    if json {
        let text = serde_json::to_string_pretty(&status);
        return say(text.map_err(|error| Failure { code: 1, line: format!("writing JSON: {error}") })?);
    }
    say(format!("witness {}", status.key))?;
    if status.logs.is_empty() {
        return say("knows no log yet: vigie-witness trust");
    }
    for log in &status.logs {
        match &log.cosigned {
            Some(time) => {
                say(format!("{}: {} entries, cosigned {time}, root {}", log.origin, log.size, log.root_sha256))?
            }
            None => say(format!("{}: nothing cosigned yet", log.origin))?,
        }
    }
    Ok(())
}

/// Seconds since the Epoch as people read them.
fn utc(time: u64) -> String {
    let time = i64::try_from(time).ok().and_then(|time| Timestamp::from_second(time).ok());
    time.map_or_else(|| "at no time".to_owned(), |time| time.to_string())
}

fn request_text(path: &Path) -> Result<String, Failure> {
    let fault = |why: String| Failure { code: 2, line: format!("reading the request {}: {why}", path.display()) };
    let text = read_text(path, REQUEST_BYTES).map_err(|error| fault(error.to_string()))?;
    text.ok_or_else(|| {
        fault("longer than any request, or no text: give the file that vigie witness export wrote".into())
    })
}

/// The machine's clock, in seconds since the Epoch.
fn now() -> Result<u64, Failure> {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let since = since.map_err(|_| Failure { code: 1, line: "the clock stands before 1970: set it right".into() })?;
    Ok(since.as_secs())
}

fn say(text: impl std::fmt::Display) -> Result<(), Failure> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure { code: 1, line: format!("writing to standard output: {error}") })
        }
        _ => Ok(()),
    }
}
