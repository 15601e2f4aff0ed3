//! `vigie init`, `unlock`, `lock`.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;
use vigie_config::signers::AllowedSigners;
use vigie_store::{NewStore, Store};

use super::{OpenArgs, StoreArgs, clock, show};
use crate::error::{Problem, exit};
use crate::secrets::{self, Secret};

/// Set up a workstation's store.
#[derive(Args)]
#[command(after_help = "Example:\n  vigie init store --allowed-signers allowed_signers --origin vigie.example/desk-1")]
pub struct Init {
    /// Directory to create.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Who may sign mandates and revocations (ssh-keygen(1), ALLOWED SIGNERS); fixed from now on.
    #[arg(long, value_name = "FILE")]
    allowed_signers: PathBuf,
    /// Name of this log in checkpoints, unique to the workstation, for example
    /// `customs.example/desk-1`.
    #[arg(long, value_name = "NAME")]
    origin: String,
    /// Read the new passphrase from this file descriptor (else: systemd credential, prompt).
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<RawFd>,
}

pub fn init(args: Init) -> Result<u8, Problem> {
    let signers = std::fs::read(&args.allowed_signers)
        .map_err(|e| Problem::input(format!("reading the allowed signers {}: {e}", args.allowed_signers.display())))?;
    AllowedSigners::parse(&signers)
        .map_err(|e| Problem::input(format!("the allowed signers {}: {e}", args.allowed_signers.display())))?;
    if args.dir.exists() {
        return Err(Problem::input(format!("{} exists already: name a directory that does not", args.dir.display())));
    }
    let passphrase = secrets::passphrase(Secret::Store, args.passphrase_fd, true)?;
    let new = NewStore { origin: args.origin, allowed_signers: signers, passphrase, scrypt_log_n: None };
    Store::create(&args.dir, new, clock())?;
    let reader = vigie_store::Reader::open(&args.dir)?;
    show::line(format!("store made in {}", args.dir.display()))?;
    show::line(format!("log key (give it to the custodian): {}", reader.verifier_key()))?;
    Ok(exit::OK)
}

/// Keep the store's key in the kernel's key ring.
#[derive(Args)]
#[command(after_help = "Example:\n  vigie unlock --store store --minutes 30")]
pub struct Unlock {
    #[command(flatten)]
    open: OpenArgs,
    /// Forget it when no command used it for this many minutes (1 to 720).
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=720))]
    minutes: u16,
}

pub fn unlock(args: Unlock) -> Result<u8, Problem> {
    if !args.open.at.store.is_dir() {
        return Err(Problem::input(format!(
            "there is no store at {}: make one with vigie init",
            args.open.at.store.display()
        )));
    }
    let passphrase = secrets::passphrase(Secret::Store, args.open.passphrase_fd, false)?;
    let key = super::unlock(&args.open.at.store, &passphrase)?;
    secrets::ring::keep(&args.open.at.store, &key, args.minutes)?;
    show::line(format!("unlocked; locked again after {} minutes without use", args.minutes))?;
    Ok(exit::OK)
}

/// Forget the store's key.
#[derive(Args)]
#[command(after_help = "Example:\n  vigie lock --store store")]
pub struct Lock {
    #[command(flatten)]
    at: StoreArgs,
}

pub fn lock(args: Lock) -> Result<u8, Problem> {
    let held = secrets::ring::forget(&args.at.store);
    show::line(if held { "locked" } else { "was locked already" })?;
    Ok(exit::OK)
}
