//! `vigie backup`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use vigie_store::Kind;

use super::{SignArgs, clock, open, show};
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
    sign: SignArgs,
    /// No progress bar.
    #[arg(long)]
    quiet: bool,
}

pub fn backup(args: BackupArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    if args.label.trim().is_empty() || args.label.len() > LABEL_BYTES || args.label.contains(char::is_control) {
        return Err(Problem::input(format!("a label is one line of 1 to {LABEL_BYTES} bytes: say it otherwise")));
    }
    let agent = args.sign.agent_key()?;
    let store = open(&args.sign.open)?;
    let now = clock().stamp().wall;
    let mandate = mandates::acting(&store, &agent, now)?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let own = [("form", BACKUP.to_owned()), ("label", args.label.clone())];
    let act = actor.sign(&store, Kind::Export, now, &args.sign.purpose, &own)?;
    let row = ExportRow {
        form: BACKUP.into(),
        label: args.label.clone(),
        act: act.clone(),
        case: String::new(),
        exhibits: Vec::new(),
    };
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
