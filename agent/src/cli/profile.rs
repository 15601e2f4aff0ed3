//! `vigie profile new|list|session|key`.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use vigie_config::authorize::{Action, Powers};
use vigie_config::headers::HeaderSet;
use vigie_config::profile::Profile;
use vigie_store::{Commitment, Draft, Kind, Private};

use super::passphrase::ByArgs;
use super::profile_key::{self, KeyCommand};
use super::{OpenArgs, SignArgs, WhoseArgs, clock, open, show};
use crate::act::{ActEntry, Actor};
use crate::error::{Failing, Problem, exit};
use crate::jar::Jar;
use crate::rows::{ProfileRow, ProfileSessionRow};
use crate::secrets::{self, Secret};
use crate::{mandates, run};

/// Make and list profiles, import their sessions.
#[derive(Subcommand)]
pub enum ProfileCommand {
    /// Make a profile for the case of a mandate that names its pseudonym.
    #[command(after_help = "Example:\n  vigie profile new profile.toml --store store --mandate M-2026-017")]
    New(NewArgs),
    /// List profiles and shipped header sets.
    #[command(after_help = "Example:\n  vigie profile list --store store --json")]
    List(ListArgs),
    /// Give a profile's key a new passphrase. The change is an entry of the log, signed by the agent whose
    /// key is at hand.
    #[command(after_help = "Example:\n  vigie profile passphrase --store store --profile heron")]
    Passphrase(PassphraseArgs),
    /// A profile's client keys: what restricted onion services open to.
    #[command(
        subcommand,
        after_help = "Example:\n  vigie profile key add market.auth_private --store store --purpose 'key from the operator'"
    )]
    Key(KeyCommand),
    /// A profile's session with a site.
    #[command(
        subcommand,
        after_help = "Example:\n  vigie profile session import cookies.txt --store store --purpose 'log-in of 3 March'"
    )]
    Session(SessionCommand),
}

/// A profile's session with a site.
#[derive(Subcommand)]
pub enum SessionCommand {
    /// Import cookies.txt (Netscape format) from a browser where a human logged in. Needs the
    /// action `authenticate` in the mandate; logged with its purpose.
    #[command(
        after_help = "Example:\n  vigie profile session import cookies.txt --store store --purpose 'log-in of 3 March'"
    )]
    Import(ImportArgs),
}

#[derive(Args)]
pub struct NewArgs {
    /// The profile's TOML document.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
    /// Mandate (else: the only one).
    #[arg(long, value_name = "ID")]
    mandate: Option<String>,
    /// Read the profile's new passphrase from this file descriptor.
    #[arg(long, value_name = "N")]
    profile_passphrase_fd: Option<RawFd>,
}

#[derive(Args)]
pub struct ListArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct PassphraseArgs {
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    by: ByArgs,
    /// Case (else: the only one with such a profile).
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    /// Pseudonym (else: the only one).
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Read the profile's old passphrase from this file descriptor.
    #[arg(long, value_name = "N")]
    profile_passphrase_fd: Option<RawFd>,
    /// Read the profile's new passphrase from this file descriptor.
    #[arg(long, value_name = "N")]
    new_passphrase_fd: Option<RawFd>,
}

#[derive(Args)]
pub struct ImportArgs {
    /// The cookies.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    whose: WhoseArgs,
}

pub fn profile(command: ProfileCommand) -> Result<u8, Problem> {
    match command {
        ProfileCommand::New(args) => new(args),
        ProfileCommand::List(args) => list(args),
        ProfileCommand::Passphrase(args) => passphrase(args),
        ProfileCommand::Key(command) => profile_key::key(command),
        ProfileCommand::Session(SessionCommand::Import(args)) => import(args),
    }
}

fn new(args: NewArgs) -> Result<u8, Problem> {
    let text = std::fs::read_to_string(&args.file)
        .map_err(|e| Problem::input(format!("reading {}: {e}", args.file.display())))?;
    let profile =
        Profile::parse(text.as_bytes()).map_err(|e| Problem::input(format!("{}: {e}", args.file.display())))?;
    if HeaderSet::builtin(profile.header_set()).is_none() {
        let known: Vec<_> = HeaderSet::all().iter().map(|set| set.id().to_owned()).collect();
        return Err(Problem::input(format!(
            "{}: no such header set; this build ships {}",
            args.file.display(),
            known.join(", ")
        )));
    }
    let store = open(&args.open)?;
    let now = clock().stamp().wall;
    let mandate = mandates::open(&store, args.mandate.as_deref(), now)?;
    run::check_profile(&mandate, &profile)?;
    let existing = mandates::rows::<ProfileRow>(&store, Kind::ProfileCreated)?;
    if existing.iter().any(|(_, row)| row.case == mandate.case() && row.name == profile.name()) {
        return Err(Problem::input("the case has a profile of this name already"));
    }
    let passphrase = secrets::passphrase(Secret::Profile, args.profile_passphrase_fd, true)?;
    // No entry names the profile: a key that lies there was left by a stop before its entry.
    store.create_profile(mandate.case(), profile.name(), &passphrase, true)?;
    let row = ProfileRow { name: profile.name().to_owned(), case: mandate.case().to_owned(), document: text };
    let receipt = store.append(Draft {
        kind: Kind::ProfileCreated,
        mandate: Some(mandate.digest().0),
        session: None,
        exhibit: None,
        commitments: vec![Commitment { name: "profile", value: row.name.clone().into_bytes() }],
        private: Some(Private {
            recipients: mandates::recipients(&mandate, now)?,
            json: json!({"profile": row.name, "document": row.document}).to_string().into_bytes(),
        }),
        row: serde_json::to_vec(&row).failing("preparing the entry")?,
        url_row: None,
        state: Vec::new(),
    })?;
    show::line(format!("profile made for case {}, entry {}", mandate.case(), receipt.sequence))?;
    Ok(exit::OK)
}

#[derive(Serialize)]
struct Listed {
    name: String,
    case: String,
    header_set: String,
    header_set_expires: Option<String>,
    language: String,
}

fn list(args: ListArgs) -> Result<u8, Problem> {
    let store = open(&args.open)?;
    let mut listed = Vec::new();
    for (_, row) in mandates::rows::<ProfileRow>(&store, Kind::ProfileCreated)? {
        let profile = Profile::parse(row.document.as_bytes()).map_err(|e| Problem::unsound(e.to_string()))?;
        let set = HeaderSet::builtin(profile.header_set());
        listed.push(Listed {
            name: row.name,
            case: row.case,
            header_set: profile.header_set().to_owned(),
            header_set_expires: set.map(|set| set.expires().to_string()),
            language: profile.language().to_owned(),
        });
    }
    if args.json {
        show::json(&listed)?;
    } else {
        let rows: Vec<_> = listed
            .into_iter()
            .map(|p| {
                vec![
                    p.name,
                    p.case,
                    p.language,
                    p.header_set,
                    p.header_set_expires.unwrap_or_else(|| "not shipped".into()),
                ]
            })
            .collect();
        show::table(&["PROFILE", "CASE", "LANGUAGE", "HEADER SET", "EXPIRES"], &rows)?;
        let sets: Vec<_> = HeaderSet::all().iter().map(|set| set.id().to_owned()).collect();
        show::line(format!("header sets shipped: {}", sets.join(", ")))?;
    }
    Ok(exit::OK)
}

fn passphrase(args: PassphraseArgs) -> Result<u8, Problem> {
    args.by.check()?;
    let store = open(&args.open)?;
    let fits = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found);
    let mut found: Vec<ProfileRow> = mandates::rows::<ProfileRow>(&store, Kind::ProfileCreated)?
        .into_iter()
        .map(|(_, row)| row)
        .filter(|row| fits(&args.case, &row.case) && fits(&args.profile, &row.name))
        .collect();
    let (Some(row), true) = (found.pop(), found.is_empty()) else {
        return Err(Problem::input("name one profile with --case ID and --profile NAME (see vigie profile list)"));
    };
    let old = secrets::passphrase(Secret::Profile, args.profile_passphrase_fd, false)?;
    let new = secrets::passphrase(Secret::NewProfile, args.new_passphrase_fd, true)?;
    // Tried before anything is said: a wrong one changes nothing.
    store.unlock_profile(&row.case, &row.name, &old)?;
    let draft = args.by.draft(&store, Some((&row.case, &row.name)))?;
    let receipt = store.change_profile_passphrase(&row.case, &row.name, &old, &new, draft)?;
    show::line(format!(
        "the passphrase was changed (entry {}); copies of the store made before still open with the old one",
        receipt.sequence
    ))?;
    Ok(exit::OK)
}

fn import(args: ImportArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let text = std::fs::read_to_string(&args.file)
        .map_err(|e| Problem::input(format!("reading {}: {e}", args.file.display())))?;
    let store = open(&args.sign.open)?;
    let now = clock().stamp().wall;
    let mandate = mandates::open(&store, args.whose.mandate.as_deref(), now)?;
    if !mandate.actions().contains(&Action::Authenticate) {
        return Err(Problem::refused(format!(
            "the mandate {} does not permit `authenticate`: a session may not be imported under it",
            mandate.id()
        )));
    }
    mandates::revocations(&store)?.check(&mandate, now).map_err(|e| Problem::refused(e.to_string()))?;
    let profile = run::profile(&store, mandate.case(), args.whose.profile.as_deref())?;
    let agent = args.sign.agent_key()?;
    let hosts: Vec<String> = mandate.targets().iter().map(|target| target.host().reveal().to_owned()).collect();
    let powers = Powers::bind(mandate, &profile, agent.public(), now).map_err(|e| Problem::refused(e.to_string()))?;
    let passphrase = secrets::passphrase(Secret::Profile, args.whose.profile_passphrase_fd, false)?;
    let key = store.unlock_profile(powers.mandate().case(), profile.name(), &passphrase)?;
    let mut jar = Jar::open(&store.state(&key, "jar"))?;
    let (taken, state) = jar.import(&text, &hosts, now.as_second(), &key)?;
    if taken == 0 {
        return Err(Problem::input(format!(
            "{} holds no live cookie for a target of the mandate",
            args.file.display()
        )));
    }
    let actor = Actor::new(&store, powers.mandate(), &agent, now)?;
    let own = [("profile", profile.name().to_owned()), ("cookies", taken.to_string())];
    let act = actor.sign(&store, Kind::ProfileSession, now, &args.sign.purpose, &own)?;
    let row = ProfileSessionRow {
        profile: profile.name().to_owned(),
        mandate: powers.mandate().id().to_owned(),
        cookies: taken as u64,
        purpose: args.sign.purpose.clone(),
        act: act.clone(),
    };
    let entry = ActEntry { kind: Kind::ProfileSession, row: &row, private: json!({}), state };
    let receipt = actor.log(&store, &act, entry, now)?;
    show::line(format!("{taken} cookies imported, entry {}", receipt.sequence))?;
    Ok(exit::OK)
}
