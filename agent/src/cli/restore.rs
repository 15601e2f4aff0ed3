//! `vigie restore`: a store made of a backup, and the acceptance that it lost what the backup lacks.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::json;
use vigie_config::Sha256Digest;
use vigie_config::restoration::{Acceptance, Head, SignedAcceptance, draft};
use vigie_store::checkpoint::{Checkpoint, Verifier};
use vigie_store::{Kind, Reader};

use super::file::{read_text, write_new};
use super::{SignArgs, StoreArgs, clock, key, open_as, outside, show};
use crate::act::{ActEntry, Actor};
use crate::error::{Problem, exit};
use crate::mandates;
use crate::monitor::{Monitor, Terminal};
use crate::rows::RestoreRow;

/// Make a store of a backup; accept that one lost what its backup lacks.
#[derive(Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "The backup is verified first. The new store makes its catalogue anew and says in its log that it was restored;\ncookies and frontiers of profiles are not in a backup. When the log had more entries than the backup, the store\nis refused until two persons accept that they are lost (vigie restore paper, vigie restore accept).\n\nExample:\n  vigie restore /media/disk-3/desk-1 --to store"
)]
pub struct RestoreArgs {
    #[command(subcommand)]
    command: Option<RestoreCommand>,
    /// Folder of the backup.
    #[arg(value_name = "DIR", required = true)]
    dir: Option<PathBuf>,
    /// Directory of the new store; it must not exist.
    #[arg(long, value_name = "DIR", required = true)]
    to: Option<PathBuf>,
    /// No progress bar.
    #[arg(long)]
    quiet: bool,
}

/// What a restored store lost.
#[derive(Subcommand)]
pub enum RestoreCommand {
    /// Write the paper by which two persons give up the newer head that the store no longer reaches.
    #[command(
        after_help = "Two allowed signers sign it:  ssh-keygen -Y sign -n vigie-restore -f KEY paper.toml\n\nExample:\n  vigie restore paper --id R-1 --reason 'the disk of desk 1 burnt' --out paper.toml --store store"
    )]
    Paper(PaperArgs),
    /// Accept it: the store goes on, and its log says from then on what is missing, who accepted it and
    /// why. The act is signed by the agent, the paper by two allowed signers. The newer head outside the
    /// store is kept aside.
    #[command(
        after_help = "Example:\n  vigie restore accept paper.toml --signature a.sig --signature b.sig --store store --purpose 'desk 1 goes on'"
    )]
    Accept(AcceptArgs),
}

#[derive(Args)]
pub struct PaperArgs {
    /// Id of the paper: letters, digits, '-', '_', '.'.
    #[arg(long, value_name = "ID")]
    id: String,
    /// Why the entries are given up: one line, to be read by the persons who sign.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// The newer head, a checkpoint (else: the one kept outside the store).
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Entries that the backup had (else: those of the store's signed head).
    #[arg(long, value_name = "SIZE")]
    goes_on_from: Option<u64>,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    at: StoreArgs,
}

#[derive(Args)]
pub struct AcceptArgs {
    /// The paper (TOML, format vigie-restore/1).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A detached SSH signature over it; two at least.
    #[arg(long, value_name = "FILE", required = true)]
    signature: Vec<PathBuf>,
    /// The newer head, a checkpoint (else: the one kept outside the store).
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    #[command(flatten)]
    sign: SignArgs,
}

pub fn restore(args: RestoreArgs) -> Result<u8, Problem> {
    match (args.command, args.dir, args.to) {
        (Some(RestoreCommand::Paper(args)), ..) => paper(args),
        (Some(RestoreCommand::Accept(args)), ..) => accept(args),
        (None, Some(dir), Some(to)) => make(&dir, &to, args.quiet),
        (None, ..) => Err(Problem::input("name the backup's folder and --to DIR: see vigie restore --help")),
    }
}

fn make(dir: &Path, to: &Path, quiet: bool) -> Result<u8, Problem> {
    let bar = show::Bar(Terminal::new(quiet), "restore");
    let report = vigie_store::restore(dir, to, &bar)?;
    bar.0.finish();
    show::line(format!(
        "{} entries, {} exhibits in {}; compare its head with the newest that is kept elsewhere (vigie checkpoint)",
        report.entries,
        report.exhibits,
        to.display()
    ))?;
    // The log's own id names the head outside, wherever the store lies.
    if let Some(newer) = newer(&Reader::open(to)?, to)? {
        show::warning(&format!(
            "a head of {} entries was signed before: the store is refused until two persons accept that entries {} to {} are lost (vigie restore paper --store {})",
            newer.size,
            report.entries,
            newer.size.saturating_sub(1),
            to.display()
        ));
    }
    Ok(exit::OK)
}

/// The head outside, when it covers more than the store does.
fn newer(reader: &Reader, store: &Path) -> Result<Option<Checkpoint>, Problem> {
    let Some(text) = outside(store)?.map(|outside| outside.head(store)).transpose()?.flatten() else { return Ok(None) };
    Ok(Checkpoint::open(&text, &log_key(reader)?).ok().filter(|head| head.size > reader.size()))
}

fn log_key(reader: &Reader) -> Result<Verifier, Problem> {
    Verifier::parse(&reader.verifier_key()).ok_or_else(|| Problem::unsound("log.vkey is no key: run vigie verify"))
}

/// The head to give up, as text and read: the file's, else the one outside.
fn head(reader: &Reader, store: &Path, file: Option<&Path>) -> Result<(String, Checkpoint), Problem> {
    let kept = |text: Option<String>| {
        text.ok_or_else(|| Problem::input("no head is kept outside the store: name the newer one with --head FILE"))
    };
    let text = match file {
        Some(file) => read_text(file, "checkpoint")?,
        None => kept(outside(store)?.map(|outside| outside.head(store)).transpose()?.flatten())?,
    };
    let whence = file.map_or("the head outside the store".to_owned(), |file| file.display().to_string());
    let head = Checkpoint::open(&text, &log_key(reader)?).map_err(|e| Problem::input(format!("{whence}: {e}")))?;
    Ok((text, head))
}

fn paper(args: PaperArgs) -> Result<u8, Problem> {
    let store = &args.at.store;
    let reader = Reader::open(store)?;
    let (_, newer) = head(&reader, store, args.head.as_deref())?;
    let size = args.goes_on_from.unwrap_or(reader.size());
    if size == 0 || size > reader.size() || size >= newer.size {
        return Err(Problem::input(format!(
            "the store covers {} entries and the head {}: name with --goes-on-from the entries that the backup had, fewer than the head covers",
            reader.size(),
            newer.size
        )));
    }
    let goes_on_from = Head { size, root: reader.root_of(size)? };
    let given_up = Head { size: newer.size, root: newer.root };
    let now = clock().stamp().wall;
    let text = draft(&args.id, reader.origin(), now, &args.reason, &given_up, &goes_on_from);
    write_new(&args.out, text.as_bytes())?;
    show::line(format!(
        "{}: gives up entries {size} to {}; two allowed signers sign it with ssh-keygen -Y sign -n {} -f KEY {}",
        args.out.display(),
        newer.size.saturating_sub(1),
        vigie_config::restoration::NAMESPACE,
        args.out.display()
    ))?;
    Ok(exit::OK)
}

fn accept(args: AcceptArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let document = read_text(&args.file, "paper")?;
    let signatures =
        args.signature.iter().map(|file| read_text(file, "signature")).collect::<Result<Vec<_>, Problem>>()?;
    let folder = &args.sign.open.at.store;
    let reader = Reader::open(folder)?;
    // Said before, and perhaps stopped before the head outside was replaced: that is all that is left to do.
    let named = SignedAcceptance::heads(document.as_bytes()).map(|(given_up, _)| (given_up.size, given_up.root));
    let known = reader.given_up()?.into_iter().find(|known| Some((known.size, known.root)) == named);
    if let Some(known) = known {
        if let Some(outside) = outside(folder)? {
            reader.finish_restore(&outside, &known)?;
        }
        show::line(format!("was accepted already: {known}"))?;
        return Ok(exit::OK);
    }
    let (head_text, newer) = head(&reader, folder, args.head.as_deref())?;
    let now = clock().stamp().wall;
    let bytes: Vec<Vec<u8>> = signatures.iter().map(|text| text.clone().into_bytes()).collect();
    let refused = |error: vigie_store::StoreError| match error {
        vigie_store::StoreError::NotTaken { .. } => Problem::refused(error.to_string()).of(&args.file),
        other => Problem::from(other),
    };
    // Judged before the store is opened: what does not count changes nothing.
    let paper = reader.check_restore(&head_text, document.as_bytes(), &bytes, now).map_err(refused)?;
    let agent = args.sign.agent_key()?;
    let store = open_as(folder, key(&args.sign.open)?, Some((newer.size, newer.root)), &show::Events)?;
    let mandate = mandates::acting(&store, &agent, now)?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let own = lines(&paper, document.as_bytes());
    let act = actor.sign(&store, Kind::RestoreAccepted, now, &args.sign.purpose, &own)?;
    let private = json!({"document": document, "signatures": signatures});
    let row = RestoreRow {
        paper: paper.id.clone(),
        size: paper.given_up.size,
        root: data_encoding::HEXLOWER.encode(&paper.given_up.root),
        goes_on_from: paper.goes_on_from.size,
        reason: paper.reason.clone(),
        signed_by: paper.signed_by.clone(),
        act: act.clone(),
    };
    let entry = ActEntry { kind: Kind::RestoreAccepted, row: &row, private, state: Vec::new() };
    let draft = actor.draft(&act, entry, now)?;
    store.accept_restore(&head_text, document.as_bytes(), &bytes, now, draft).map_err(refused)?;
    for given_up in Reader::open(folder)?.given_up()? {
        show::line(given_up)?;
    }
    show::line("keep the newer head and what is left of the old disk: they show what was there")?;
    Ok(exit::OK)
}

/// The statement's own lines.
pub(crate) fn lines(paper: &Acceptance, document: &[u8]) -> Vec<(&'static str, String)> {
    let head = |head: &Head| format!("{} {}", head.size, data_encoding::HEXLOWER.encode(&head.root));
    vec![
        ("given-up", head(&paper.given_up)),
        ("goes-on-from", head(&paper.goes_on_from)),
        ("paper", format!("{} sha256:{}", paper.id, Sha256Digest::of(document))),
        ("signed-by", paper.signed_by.join(" and ")),
    ]
}
