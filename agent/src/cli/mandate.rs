//! `vigie mandate check|add|list|show|revoke`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use vigie_config::mandate::{Mandate, SignedMandate};
use vigie_config::signers::AllowedSigners;
use vigie_store::{Commitment, Store};

use super::{OpenArgs, clock, key, open, open_with, show};
use crate::error::{Problem, exit};
use crate::{incoming, mandates, outside};

/// Check, add, list, show and revoke mandates.
#[derive(Subcommand)]
pub enum MandateCommand {
    /// Check a mandate's signature and content without adding it.
    #[command(after_help = "Example:\n  vigie mandate check mandate.toml --allowed-signers allowed_signers")]
    Check(CheckArgs),
    /// Add a signed mandate to the store.
    #[command(after_help = "Example:\n  vigie mandate add mandate.toml --store store")]
    Add(AddArgs),
    /// List the mandates of the store.
    #[command(after_help = "Example:\n  vigie mandate list --store store --json")]
    List(ListArgs),
    /// Show a mandate as it was signed.
    #[command(after_help = "Example:\n  vigie mandate show M-2026-017 --store store")]
    Show(ShowArgs),
    /// Take in a signed list of revocations or oppositions (an empty list is a fresh one); a run
    /// that its mandate covers stops.
    #[command(after_help = "Example:\n  vigie mandate revoke revocations.toml --store store")]
    Revoke(AddArgs),
}

#[derive(Args)]
pub struct CheckArgs {
    /// The mandate.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its signature (else: FILE.sig).
    #[arg(long, value_name = "FILE")]
    sig: Option<PathBuf>,
    /// Who may sign.
    #[arg(long, value_name = "FILE")]
    allowed_signers: PathBuf,
}

#[derive(Args)]
pub struct AddArgs {
    /// The signed document.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its signature (else: FILE.sig).
    #[arg(long, value_name = "FILE")]
    sig: Option<PathBuf>,
    #[command(flatten)]
    open: OpenArgs,
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
pub struct ShowArgs {
    /// Mandate id.
    id: String,
    #[command(flatten)]
    open: OpenArgs,
}

#[derive(Serialize)]
struct Listed {
    id: String,
    case: String,
    title: String,
    from: String,
    until: String,
    state: String,
    entry: u64,
}

pub fn mandate(command: MandateCommand) -> Result<u8, Problem> {
    match command {
        MandateCommand::Check(args) => check(args),
        MandateCommand::Add(args) => add(args),
        MandateCommand::List(args) => list(args),
        MandateCommand::Show(args) => {
            let store = open(&args.open)?;
            let row = mandates::find(&store, Some(&args.id))?;
            show::line(row.document.trim_end())?;
            Ok(exit::OK)
        }
        MandateCommand::Revoke(args) => revoke(args),
    }
}

fn read(file: &Path, sig: Option<&Path>) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    let document = std::fs::read(file).map_err(|e| Problem::input(format!("reading {}: {e}", file.display())))?;
    let beside = PathBuf::from(format!("{}.sig", file.display()));
    let sig = sig.unwrap_or(&beside);
    let signature = std::fs::read(sig).map_err(|e| {
        Problem::refused(format!("{} is not signed: reading its signature {}: {e}", file.display(), sig.display()))
    })?;
    Ok((document, signature))
}

fn check(args: CheckArgs) -> Result<u8, Problem> {
    let (document, signature) = read(&args.file, args.sig.as_deref())?;
    let signers = std::fs::read(&args.allowed_signers)
        .map_err(|e| Problem::input(format!("reading {}: {e}", args.allowed_signers.display())))?;
    let signers = AllowedSigners::parse(&signers).map_err(|e| Problem::input(e.to_string()))?;
    let mandate = SignedMandate::new(document, signature)
        .verify(&signers, clock().stamp().wall)
        .map_err(|e| Problem::from(e).of(&args.file))?;
    summary(&mandate)?;
    Ok(exit::OK)
}

fn summary(mandate: &Mandate) -> Result<(), Problem> {
    show::line(format!("mandate {} of case {}: {}", mandate.id(), mandate.case(), mandate.title()))?;
    show::line(format!("valid   {} until {}", mandate.validity().from, mandate.validity().until))?;
    let targets: Vec<&str> = mandate.targets().iter().map(|target| target.name()).collect();
    show::line(format!("targets {}", targets.join(", ")))?;
    show::line(format!("digest  sha256:{}", data_encoding::HEXLOWER.encode(&mandate.digest().0)))
}

fn add(args: AddArgs) -> Result<u8, Problem> {
    let (document, signature) = read(&args.file, args.sig.as_deref())?;
    let store = open(&args.open)?;
    let about = outside::about_document(&document);
    let (mandate, receipt) = mandates::add(&store, document, signature, clock().stamp().wall)
        .map_err(|problem| refuse(&store, about, problem.of(&args.file)))?;
    summary(&mandate)?;
    show::line(format!("entry   {}", receipt.sequence))?;
    Ok(exit::OK)
}

/// A document that does not count is a log entry; one that cannot be read is only a mistake.
fn refuse(store: &Store, about: Commitment, problem: Problem) -> Problem {
    if problem.code == exit::REFUSED { outside::refuse(store, about, problem) } else { problem }
}

fn revoke(args: AddArgs) -> Result<u8, Problem> {
    let (document, signature) = read(&args.file, args.sig.as_deref())?;
    let key = key(&args.open)?;
    match open_with(&args.open.at.store, key.clone()) {
        Ok(store) => {
            let about = outside::about_document(&document);
            let (list, receipt) = mandates::revoke(&store, document, signature, clock().stamp().wall)
                .map_err(|problem| refuse(&store, about, problem.of(&args.file)))?;
            show::line(format!("list issued {} taken in as entry {}", list.issued(), receipt.sequence))?;
        }
        Err(_) if vigie_store::is_locked(&args.open.at.store) => {
            // Verified here as well, so that a wrong file is answered now and not by the run.
            let signers = vigie_store::Reader::open(&args.open.at.store)?.allowed_signers()?;
            let signers = AllowedSigners::parse(&signers).map_err(|e| Problem::unsound(e.to_string()))?;
            vigie_config::revocation::SignedRevocation::new(document.clone(), signature.clone())
                .verify(&signers, clock().stamp().wall)
                .map_err(|e| Problem::from(e).of(&args.file))?;
            incoming::leave(&args.open.at.store, &key, &document, &signature)?;
            show::line("handed to the running session, which logs it and stops if its mandate is meant")?;
        }
        Err(problem) => return Err(problem),
    }
    Ok(exit::OK)
}

fn list(args: ListArgs) -> Result<u8, Problem> {
    let store = open(&args.open)?;
    let now = clock().stamp().wall;
    let signers = mandates::signers(&store)?;
    let revocations = mandates::revocations(&store)?;
    let mut listed = Vec::new();
    for (entry, row) in mandates::all(&store)? {
        let signed = SignedMandate::new(row.document.into_bytes(), row.signature.into_bytes());
        let mandate = signed.verify_at_any_time(&signers).map_err(|e| Problem::unsound(e.to_string()))?;
        let validity = mandate.validity();
        let state = match revocations.check(&mandate, now) {
            Err(refusal) => refusal.code().to_owned(),
            Ok(()) if now < validity.from => "not-yet-valid".to_owned(),
            Ok(()) if now > validity.until => "expired".to_owned(),
            Ok(()) => "valid".to_owned(),
        };
        listed.push(Listed {
            id: row.id,
            case: row.case,
            title: row.title,
            from: validity.from.to_string(),
            until: validity.until.to_string(),
            state,
            entry,
        });
    }
    if args.json {
        show::json(&listed)?;
    } else {
        let rows: Vec<_> = listed.into_iter().map(|m| vec![m.id, m.case, m.state, m.from, m.until, m.title]).collect();
        show::table(&["MANDATE", "CASE", "STATE", "FROM", "UNTIL", "TITLE"], &rows)?;
    }
    Ok(exit::OK)
}
