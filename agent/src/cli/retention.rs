//! `vigie retention list|take|erase`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{OpenArgs, SignArgs, clock, open, show};
use crate::error::{Problem, exit};
use crate::monitor::{Monitor, Terminal};
use crate::retention::{self, cases};

/// How long evidence is kept, and its end.
#[derive(Subcommand)]
pub enum RetentionCommand {
    /// List cases: until when each is kept, what holds it, what can still open or holds its evidence.
    #[command(after_help = "Example:\n  vigie retention list --store store")]
    List(ListArgs),
    /// Take in a hold, a release or a destruction certificate. A hold needs one signature of an
    /// allowed signer, the others two, of two persons.
    #[command(
        after_help = "Sign with:  ssh-keygen -Y sign -n vigie-retention -f KEY paper.toml\n\nExample:\n  vigie retention take paper.toml --signature paper.toml.sig --store store --purpose 'order of 3 March'"
    )]
    Take(TakeArgs),
    /// Erase the evidence of a case: exhibits and private parts become zeros, their entries stay.
    /// Needs a certificate that the case identity was destroyed, no hold, and the end of retention.
    #[command(
        after_help = "Example:\n  vigie retention erase --case C-2026-88 --store store --purpose 'retention has ended'"
    )]
    Erase(EraseArgs),
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
pub struct TakeArgs {
    /// The paper (TOML, format vigie-retention/1).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// A detached SSH signature over it; may be repeated.
    #[arg(long, value_name = "FILE", required = true)]
    signature: Vec<PathBuf>,
    #[command(flatten)]
    sign: SignArgs,
}

#[derive(Args)]
pub struct EraseArgs {
    /// Case.
    #[arg(long, value_name = "ID")]
    case: String,
    /// Before its retention ends: a court ordered it.
    #[arg(long)]
    early: bool,
    #[command(flatten)]
    sign: SignArgs,
    /// No progress bar.
    #[arg(long)]
    quiet: bool,
}

#[derive(Serialize)]
struct Listed {
    case: String,
    mandates: Vec<String>,
    exhibits: u64,
    keep_until: String,
    /// Days from today; negative when it has passed.
    days_left: i32,
    state: &'static str,
    holds: Vec<String>,
    outstanding: Vec<String>,
}

pub fn retention(command: RetentionCommand) -> Result<u8, Problem> {
    match command {
        RetentionCommand::List(args) => list(args),
        RetentionCommand::Take(args) => take(args),
        RetentionCommand::Erase(args) => erase(args),
    }
}

fn list(args: ListArgs) -> Result<u8, Problem> {
    let store = open(&args.open)?;
    let today = jiff::tz::Offset::UTC.to_datetime(clock().stamp().wall).date();
    let mut listed: Vec<Listed> = cases(&store)?
        .into_iter()
        .map(|(id, case)| Listed {
            state: case.state(today),
            exhibits: case.exhibit_count() as u64,
            case: id,
            mandates: case.mandates.iter().map(|mandate| mandate.id().to_owned()).collect(),
            keep_until: case.keep_until.to_string(),
            days_left: today.until(case.keep_until).map_or(0, |span| span.get_days()),
            holds: case.papers.holds.into_iter().collect(),
            outstanding: case.outstanding.iter().map(ToString::to_string).collect(),
        })
        .collect();
    listed.sort_by_key(|case| case.days_left);
    if args.json {
        show::json(&listed)?;
        return Ok(exit::OK);
    }
    let rows: Vec<_> = listed
        .into_iter()
        .map(|c| {
            let exhibits = c.exhibits.to_string();
            let due = format!("{} ({} days)", c.keep_until, c.days_left);
            vec![c.case, exhibits, due, c.state.to_owned(), c.holds.join(" "), c.outstanding.join(" ")]
        })
        .collect();
    show::table(&["CASE", "EXHIBITS", "KEPT UNTIL", "STATE", "HOLDS", "OUTSTANDING"], &rows)?;
    Ok(exit::OK)
}

fn take(args: TakeArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let read =
        |path: &PathBuf| std::fs::read(path).map_err(|e| Problem::input(format!("reading {}: {e}", path.display())));
    let document = read(&args.file)?;
    let signatures = args.signature.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let agent = args.sign.agent_key()?;
    let store = open(&args.sign.open)?;
    let now = clock().stamp().wall;
    let (paper, entry) = retention::take(&store, document, signatures, &agent, &args.sign.purpose, now)?;
    show::line(format!(
        "{} about the case {}, signed by {}: entry {entry}",
        paper.id,
        paper.case,
        paper.signed_by.join(" and ")
    ))?;
    Ok(exit::OK)
}

fn erase(args: EraseArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let agent = args.sign.agent_key()?;
    let store = open(&args.sign.open)?;
    let terminal = Terminal::new(args.quiet);
    let now = clock().stamp().wall;
    let tell = |done, total| terminal.job("erase", done, total);
    let erased = retention::erase(&store, &args.case, args.early, &agent, &args.sign.purpose, now, tell)?;
    terminal.finish();
    show::line(format!(
        "{} exhibits of the case {} erased here ({} entries, {} bytes)",
        erased.exhibits, args.case, erased.frames, erased.bytes
    ))?;
    let cases = cases(&store)?;
    let left = cases.get(&args.case).map(|case| case.outstanding.iter().map(ToString::to_string).collect::<Vec<_>>());
    match left.filter(|left| !left.is_empty()) {
        None => show::line("nothing that opens or holds its evidence is left")?,
        Some(left) => show::line(format!("not erased everywhere: {} can still open or hold it", left.join(", ")))?,
    }
    Ok(exit::OK)
}
