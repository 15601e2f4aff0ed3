//! `vigie passphrase`, `vigie wipe`.

use std::os::fd::RawFd;

use clap::Args;
use serde_json::json;
use vigie_config::authorize;
use vigie_store::{Draft, Kind, Store};

use super::{AgentArgs, OpenArgs, StoreArgs, agent_key, clock, open_with, purpose, show, unlock, workstation};
use crate::act::{self, ActEntry, Actor};
use crate::error::{Failing, Problem, exit};
use crate::mandates;
use crate::rows::PassphraseRow;
use crate::secrets::{self, Secret};

/// Give the store's key a new passphrase.
#[derive(Args)]
#[command(
    after_help = "The old passphrase is asked for even while the store is unlocked. The change is an entry of the log, signed by the\nagent whose key is at hand. Copies made before still open with the old one.\n\nExample:\n  vigie passphrase --store store --purpose 'it may have been seen'"
)]
pub struct PassphraseArgs {
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    by: ByArgs,
    /// Read the new passphrase from this file descriptor (else: systemd credential
    /// `vigie.store.new`, prompt).
    #[arg(long, value_name = "N")]
    new_passphrase_fd: Option<RawFd>,
}

/// Who changes a passphrase, and why. Whoever knows the old one may, an agent or not: a leak does not
/// wait for somebody who is habilitated.
#[derive(Args)]
pub struct ByArgs {
    #[command(flatten)]
    agent: AgentArgs,
    /// Why: stands in the log.
    #[arg(long, value_name = "TEXT", default_value = "a new passphrase")]
    purpose: String,
}

impl ByArgs {
    /// What can be said of them before anything is opened.
    pub(super) fn check(&self) -> Result<(), Problem> {
        purpose(&self.purpose)
    }

    /// The entry of a change: an act when the agent whose key is named, or stands in vigie.toml, may act
    /// here; else unsigned. A key that was named and may not act is refused.
    pub(super) fn draft(&self, store: &Store, profile: Option<(&str, &str)>) -> Result<Draft, Problem> {
        let now = clock().stamp().wall;
        let of = if profile.is_some() { "profile" } else { "store" };
        let mut row = PassphraseRow {
            of: of.to_owned(),
            case: profile.map(|(case, _)| case.to_owned()),
            profile: profile.map(|(_, name)| name.to_owned()),
            purpose: self.purpose.clone(),
            agent: None,
            act: None,
        };
        let workstation = workstation(self.agent.config.as_deref(), store.folder())?;
        if self.agent.agent_key.is_some() || workstation.agent_key.is_some() {
            let named = self.agent.agent_key.is_some();
            let agent = agent_key(&self.agent, &workstation)?;
            let any = !mandates::all(store)?.is_empty();
            let mandate = (named || any).then(|| mandates::acting(store, &agent, now)).transpose()?;
            let may = |mandate: &_| named || authorize::agent(mandate, agent.public(), now).is_ok();
            if let Some(mandate) = mandate.filter(may) {
                let actor = Actor::new(store, &mandate, &agent, now)?;
                let mut own = vec![("of", of.to_owned())];
                own.extend(profile.map(|(_, name)| ("profile", name.to_owned())));
                let act = actor.sign(store, Kind::Passphrase, now, &self.purpose, &own)?;
                row.agent = act::line(&act.statement, "agent").map(str::to_owned);
                row.act = Some(act.clone());
                let private = json!({"of": of, "profile": row.profile});
                return actor.draft(
                    &act,
                    ActEntry { kind: Kind::Passphrase, row: &row, private, state: Vec::new() },
                    now,
                );
            }
        }
        Ok(Draft {
            kind: Kind::Passphrase,
            mandate: None,
            session: None,
            exhibit: None,
            commitments: Vec::new(),
            private: None,
            row: serde_json::to_vec(&row).failing("preparing the entry")?,
            url_row: None,
            state: Vec::new(),
        })
    }
}

pub fn passphrase(args: PassphraseArgs) -> Result<u8, Problem> {
    args.by.check()?;
    let old = secrets::passphrase(Secret::Store, args.open.passphrase_fd, false)?;
    let key = unlock(&args.open.at.store, &old)?;
    let new = secrets::passphrase(Secret::NewStore, args.new_passphrase_fd, true)?;
    let store = open_with(&args.open.at.store, key)?;
    let receipt = store.change_passphrase(&new, args.by.draft(&store, None)?)?;
    show::line(format!(
        "the passphrase was changed (entry {}); copies of the store made before still open with the old one",
        receipt.sequence
    ))?;
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
