//! `vigie passphrase`, `vigie wipe`.

use std::os::fd::RawFd;

use clap::Args;

use super::{OpenArgs, StoreArgs, show, unlock};
use crate::error::{Problem, exit};
use crate::secrets::{self, Secret};

/// Give the store's key a new passphrase.
#[derive(Args)]
#[command(
    after_help = "The old passphrase is asked for even while the store is unlocked. Copies made before still open with it.\n\nExample:\n  vigie passphrase --store store"
)]
pub struct PassphraseArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// Read the new passphrase from this file descriptor (else: systemd credential
    /// `vigie.store.new`, prompt).
    #[arg(long, value_name = "N")]
    new_passphrase_fd: Option<RawFd>,
}

pub fn passphrase(args: PassphraseArgs) -> Result<u8, Problem> {
    let old = secrets::passphrase(Secret::Store, args.open.passphrase_fd, false)?;
    let key = unlock(&args.open.at.store, &old)?;
    let new = secrets::passphrase(Secret::NewStore, args.new_passphrase_fd, true)?;
    vigie_store::change_passphrase(&args.open.at.store, &key, &new)?;
    show::line("the passphrase was changed; copies of the store made before still open with the old one")?;
    Ok(exit::OK)
}

/// In an emergency: destroy the keys of the store and its profiles.
#[derive(Args)]
#[command(
    after_help = "Ends a running session, forgets the key in memory, destroys the key files. Nothing can be recorded with this\nstore again. Its exhibits still open with their recipients' identities, and vigie verify still checks it.\n\nExample:\n  vigie wipe --yes --store store"
)]
pub struct WipeArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// This cannot be undone.
    #[arg(long, required = true)]
    yes: bool,
}

pub fn wipe(args: WipeArgs) -> Result<u8, Problem> {
    secrets::ring::forget(&args.at.store);
    let gone = vigie_store::wipe_keys(&args.at.store)?;
    show::line(format!("{gone} key files destroyed"))?;
    Ok(exit::OK)
}
