//! `vigie profile key add|list|remove`.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use vigie_config::authorize::Powers;
use vigie_store::{Kind, ProfileKey, StateOp, Store};

use super::{OpenArgs, SignArgs, WhoseArgs, clock, open, show};
use crate::act::{ActEntry, Actor};
use crate::agentkey::AgentKey;
use crate::clientkeys;
use crate::error::{Problem, exit};
use crate::rows::ProfileKeyRow;
use crate::secrets::{self, Secret};
use crate::{mandates, run};

/// Client keys of a profile.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// Keep a client key for an onion target of the mandate. Needs the action `authenticate`; logged with its
    /// purpose. The key is read from FILE, a file descriptor or a prompt, never from the command line.
    #[command(
        after_help = "KEY as C tor has it (ONION:descriptor:x25519:BASE32, the name may be missing when --target says\nit) or a key file of Arti.\n\nExample:\n  vigie profile key add market.auth_private --store store --purpose 'key from the operator'"
    )]
    Add(AddArgs),
    /// List the services that the profile has keys for.
    #[command(after_help = "Example:\n  vigie profile key list --store store --profile heron")]
    List(ListArgs),
    /// Forget the key for a target.
    #[command(after_help = "Example:\n  vigie profile key remove market-a --store store --purpose 'key was withdrawn'")]
    Remove(RemoveArgs),
}

#[derive(Args)]
pub struct AddArgs {
    /// The key's file (else: --key-fd, else a prompt).
    #[arg(value_name = "FILE", conflicts_with = "key_fd")]
    file: Option<PathBuf>,
    /// Read the key from this file descriptor.
    #[arg(long, value_name = "N")]
    key_fd: Option<RawFd>,
    /// Label of the target that the key is for, when the key does not say it.
    #[arg(long, value_name = "LABEL")]
    target: Option<String>,
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    whose: WhoseArgs,
}

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    whose: WhoseArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct RemoveArgs {
    /// Label of the target.
    #[arg(value_name = "LABEL")]
    target: String,
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    whose: WhoseArgs,
}

pub fn key(command: KeyCommand) -> Result<u8, Problem> {
    match command {
        KeyCommand::Add(args) => add(&args),
        KeyCommand::List(args) => list(&args),
        KeyCommand::Remove(args) => remove(&args),
    }
}

/// What both changes need: who acts, on whose keys.
struct Change<'a> {
    store: &'a Store,
    agent: AgentKey,
    powers: Powers,
    profile: String,
    key: ProfileKey,
    purpose: &'a str,
}

impl<'a> Change<'a> {
    fn open(store: &'a Store, sign: &'a SignArgs, whose: &WhoseArgs) -> Result<Self, Problem> {
        let now = clock().stamp().wall;
        let mandate = mandates::open(store, whose.mandate.as_deref(), now)?;
        if !clientkeys::permitted(&mandate) {
            return Err(Problem::refused(format!(
                "the mandate {} does not permit `authenticate`: a profile may have no client key under it",
                mandate.id()
            )));
        }
        mandates::revocations(store)?.check(&mandate, now).map_err(|e| Problem::refused(e.to_string()))?;
        let profile = run::profile(store, mandate.case(), whose.profile.as_deref())?;
        let agent = sign.agent_key()?;
        let powers =
            Powers::bind(mandate, &profile, agent.public(), now).map_err(|e| Problem::refused(e.to_string()))?;
        let passphrase = secrets::passphrase(Secret::Profile, whose.profile_passphrase_fd, false)?;
        let key = store.unlock_profile(powers.mandate().case(), profile.name(), &passphrase)?;
        Ok(Self { store, agent, powers, profile: profile.name().to_owned(), key, purpose: &sign.purpose })
    }

    fn log(&self, what: &str, target: &str, private: serde_json::Value, state: StateOp) -> Result<u64, Problem> {
        let now = clock().stamp().wall;
        let mandate = self.powers.mandate();
        let actor = Actor::new(self.store, mandate, &self.agent, now)?;
        let own = [("profile", self.profile.clone()), ("client-key", what.to_owned()), ("target", target.to_owned())];
        let act = actor.sign(self.store, Kind::ProfileKey, now, self.purpose, &own)?;
        let row = ProfileKeyRow {
            what: what.to_owned(),
            profile: self.profile.clone(),
            mandate: mandate.id().to_owned(),
            target: target.to_owned(),
            purpose: self.purpose.to_owned(),
            act: act.clone(),
        };
        let entry = ActEntry { kind: Kind::ProfileKey, row: &row, private, state: vec![state] };
        Ok(actor.log(self.store, &act, entry, now)?.sequence)
    }

    fn has(&self, onion: &str) -> Result<bool, Problem> {
        let kept = clientkeys::kept(&self.store.state(&self.key, clientkeys::AREA))?;
        Ok(kept.iter().any(|kept| kept.key.onion == onion))
    }
}

fn add(args: &AddArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let text = match (&args.file, args.key_fd) {
        (Some(file), _) => {
            let opened = std::fs::File::open(file)
                .map_err(|e| Problem::input(format!("reading the client key {}: {e}", file.display())))?;
            clientkeys::read(opened, &file.display().to_string())?
        }
        (None, Some(fd)) => {
            let opened = std::fs::File::open(format!("/proc/self/fd/{fd}"))
                .map_err(|e| Problem::input(format!("reading the client key from file descriptor {fd}: {e}")))?;
            clientkeys::read(opened, &format!("file descriptor {fd}"))?
        }
        (None, None) => secrets::client_key_from_prompt()?,
    };
    let given = clientkeys::parse(&text)?;
    let store = open(&args.sign.open)?;
    let change = Change::open(&store, &args.sign, &args.whose)?;
    let (target, onion) = clientkeys::target(change.powers.mandate(), given.onion.as_ref(), args.target.as_deref())?;
    if change.has(onion.reveal())? {
        return Err(Problem::input(format!(
            "the profile has a key for {target} already: take it away first with vigie profile key remove {target}"
        )));
    }
    let public = clientkeys::public(&given.secret);
    let private = json!({"target": target, "onion": onion.reveal(), "public": public});
    let state = clientkeys::put(&change.key, &onion, &given.secret, clock().stamp().wall);
    let entry = change.log("added", &target, private, state)?;
    show::line(format!(
        "client key kept for {target}, entry {entry}; its public half, which the operator has: {public}"
    ))?;
    Ok(exit::OK)
}

fn remove(args: &RemoveArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let store = open(&args.sign.open)?;
    let change = Change::open(&store, &args.sign, &args.whose)?;
    let (target, onion) = clientkeys::target(change.powers.mandate(), None, Some(&args.target))?;
    if !change.has(onion.reveal())? {
        return Err(Problem::input(format!("the profile has no key for {target}: see vigie profile key list")));
    }
    let private = json!({"target": target, "onion": onion.reveal()});
    let entry = change.log("removed", &target, private, clientkeys::remove(&change.key, &onion))?;
    show::line(format!("client key for {target} forgotten, entry {entry}"))?;
    Ok(exit::OK)
}

#[derive(Serialize)]
struct Listed {
    onion: String,
    target: Option<String>,
    public: String,
    added: String,
}

fn list(args: &ListArgs) -> Result<u8, Problem> {
    let store = open(&args.open)?;
    // Whatever its dates: a key may outlive its mandate, and whoever has the passphrase may see that.
    let mandate = mandates::read(&store, &mandates::find(&store, args.whose.mandate.as_deref())?.id)?;
    let profile = run::profile(&store, mandate.case(), args.whose.profile.as_deref())?;
    let passphrase = secrets::passphrase(Secret::Profile, args.whose.profile_passphrase_fd, false)?;
    let key = store.unlock_profile(mandate.case(), profile.name(), &passphrase)?;
    let mut listed = Vec::new();
    for kept in clientkeys::kept(&store.state(&key, clientkeys::AREA))? {
        let target = mandate.targets().iter().find(|target| target.host().reveal() == kept.key.onion);
        listed.push(Listed {
            onion: kept.key.onion.clone(),
            target: target.map(|target| target.name().to_owned()),
            public: clientkeys::public(&kept.key.secret),
            added: kept.added.to_string(),
        });
    }
    if args.json {
        show::json(&listed)?;
    } else {
        let rows: Vec<_> = listed
            .into_iter()
            .map(|one| vec![one.onion, one.target.unwrap_or_else(|| "outside of this mandate".into()), one.added])
            .collect();
        show::table(&["ONION", "TARGET", "ADDED"], &rows)?;
    }
    Ok(exit::OK)
}
