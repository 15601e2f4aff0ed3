//! `vigie backup`, `vigie restore`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use vigie_store::Kind;

use super::{AgentArgs, OpenArgs, agent_key, clock, open, purpose, show, workstation};
use crate::act::{ActEntry, Actor};
use crate::error::{Problem, exit};
use crate::mandates;
use crate::monitor::{Monitor, Terminal};
use crate::rows::{BACKUP, ExportRow};

/// Longest label, in bytes.
const LABEL_BYTES: usize = 100;

/// Copy the whole store to another medium.
#[derive(Args)]
#[command(
    after_help = "The first time everything is copied, later only what is new; the whole copy is then verified. It holds the\nkeys in their passphrases and counts as a copy that left, for every case (see vigie retention list).\n\nExample:\n  vigie backup /media/disk-3/desk-1 --label 'disk 3' --store store --purpose 'weekly backup'"
)]
pub struct BackupArgs {
    /// Folder of the backup: made, or brought up to date.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// What the medium is called, for the log.
    #[arg(long, value_name = "TEXT")]
    label: String,
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    agent: AgentArgs,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// No progress bar.
    #[arg(long)]
    quiet: bool,
}

/// Make a store of a backup.
#[derive(Args)]
#[command(
    after_help = "The backup is verified first. The new store makes its catalogue anew and says in its log that it was restored;\ncookies and frontiers of profiles are not in a backup.\n\nExample:\n  vigie restore /media/disk-3/desk-1 --to store"
)]
pub struct RestoreArgs {
    /// Folder of the backup.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Directory of the new store; it must not exist.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// No progress bar.
    #[arg(long)]
    quiet: bool,
}

pub fn backup(args: BackupArgs) -> Result<u8, Problem> {
    purpose(&args.purpose)?;
    if args.label.trim().is_empty() || args.label.len() > LABEL_BYTES || args.label.contains(char::is_control) {
        return Err(Problem::input(format!("a label is one line of 1 to {LABEL_BYTES} bytes: say it otherwise")));
    }
    let workstation = workstation(args.agent.config.as_deref(), &args.open.at.store)?;
    let agent = agent_key(&args.agent, &workstation)?;
    let store = open(&args.open)?;
    let now = clock().stamp().wall;
    let mandate = mandates::acting(&store, &agent, now)?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let own = [("form", BACKUP.to_owned()), ("label", args.label.clone())];
    let act = actor.sign(&store, Kind::Export, now, &args.purpose, &own)?;
    let row = ExportRow { form: BACKUP.into(), label: args.label.clone(), act: act.clone() };
    let private = json!({"label": args.label});
    // Logged before a byte leaves, so that the copy holds its own entry.
    let receipt =
        actor.log(&store, &act, ActEntry { kind: Kind::Export, row: &row, private, state: Vec::new() }, now)?;
    let bar = show::Bar(Terminal::new(args.quiet), "backup");
    let report = vigie_store::backup(store.folder(), &args.dir, &bar)?;
    bar.0.finish();
    show::line(format!(
        "{} entries, {} exhibits, {} bytes copied and verified; copy:{} in vigie retention list",
        report.entries, report.exhibits, report.bytes, receipt.sequence
    ))?;
    Ok(exit::OK)
}

pub fn restore(args: RestoreArgs) -> Result<u8, Problem> {
    let bar = show::Bar(Terminal::new(args.quiet), "restore");
    let report = vigie_store::restore(&args.dir, &args.to, &bar)?;
    bar.0.finish();
    show::line(format!(
        "{} entries, {} exhibits in {}; compare its head with the newest that is kept elsewhere (vigie checkpoint)",
        report.entries,
        report.exhibits,
        args.to.display()
    ))?;
    Ok(exit::OK)
}
