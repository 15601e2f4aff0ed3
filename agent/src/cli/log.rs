//! `vigie log`.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use vigie_store::Kind;

use super::{OpenArgs, StoreArgs, key, proof, reader, show};
use crate::error::{Problem, exit};

/// Show the log; prove that an entry is in it.
#[derive(Args)]
#[command(
    after_help = "Example:\n  vigie log --store store --last 20\n  vigie log --store store --json --rows\n  vigie log proof 12 --to 12.tlog-proof --entry-to 12.entry --store store",
    args_conflicts_with_subcommands = true
)]
pub struct LogArgs {
    #[command(subcommand)]
    command: Option<LogCommand>,
    /// The store's directory.
    #[arg(long, value_name = "DIR", env = "VIGIE_STORE")]
    store: Option<PathBuf>,
    /// Read the store's passphrase from this file descriptor (else: key ring, systemd credential
    /// `vigie.store`, prompt).
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<RawFd>,
    /// Only the newest N entries.
    #[arg(long, value_name = "N")]
    last: Option<u64>,
    /// Only entries of this kind (`exhibit`, `refusal`, `failure`, `session-open` …).
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// With what the workstation's key opens: codes, labels, reasons.
    #[arg(long)]
    rows: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Subcommand)]
pub enum LogCommand {
    /// Prove that an entry is in the log, or check such a proof.
    Proof(proof::ProofArgs),
    /// Write the log as tiles that any client of tiled logs reads.
    Tiles(proof::TilesArgs),
}

#[derive(Serialize)]
struct Listed {
    entry: u64,
    time: String,
    clock: String,
    kind: String,
    exhibit: Option<u64>,
    leaf_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<serde_json::Value>,
}

pub fn log(args: LogArgs) -> Result<u8, Problem> {
    match args.command {
        Some(LogCommand::Proof(args)) => return proof::proof(args),
        Some(LogCommand::Tiles(args)) => return proof::tiles(args),
        None => {}
    }
    let at = StoreArgs { store: proof::store(args.store.as_deref())? };
    let open = OpenArgs { at, passphrase_fd: args.passphrase_fd };
    let wanted = match &args.kind {
        Some(name) => {
            Some(Kind::from_name(name).ok_or_else(|| Problem::input(format!("{name:?} is not a kind of entry")))?)
        }
        None => None,
    };
    let key = if args.rows { Some(key(&open)?) } else { None };
    let reader = reader(&open.at.store)?;
    let mut listed = Vec::new();
    let first = args.last.map_or(0, |last| reader.size().saturating_sub(last));
    for entry in reader.entries()? {
        let entry = entry?;
        if entry.sequence < first || wanted.is_some_and(|kind| kind != entry.kind) {
            continue;
        }
        let row = match &key {
            None => None,
            Some(key) => {
                reader.row(entry.sequence, key).map(|row| serde_json::from_slice(&row).ok())?.map(without_documents)
            }
        };
        listed.push(Listed {
            entry: entry.sequence,
            time: entry.stamp.wall.to_string(),
            clock: format!("{:?}", entry.stamp.clock).to_lowercase(),
            kind: entry.kind.name().to_owned(),
            exhibit: entry.exhibit,
            leaf_sha256: data_encoding::HEXLOWER.encode(&entry.leaf_hash()),
            row,
        });
    }
    if args.json {
        show::json(&listed)?;
        return Ok(exit::OK);
    }
    let rows: Vec<_> = listed
        .iter()
        .map(|e| {
            vec![
                e.entry.to_string(),
                e.time.get(..19).unwrap_or(&e.time).to_owned() + "Z",
                e.kind.clone(),
                e.exhibit.map(|n| n.to_string()).unwrap_or_default(),
                e.row.as_ref().map_or_else(|| e.leaf_sha256[..16].to_owned(), brief),
            ]
        })
        .collect();
    show::table(&["ENTRY", "TIME", "KIND", "EXHIBIT", if args.rows { "WHAT" } else { "LEAF" }], &rows)?;
    Ok(exit::OK)
}

/// Documents and signatures have commands of their own; a list shows the short values.
fn without_documents(mut row: serde_json::Value) -> serde_json::Value {
    if let Some(map) = row.as_object_mut() {
        for long in ["document", "signature", "act"] {
            map.remove(long);
        }
    }
    row
}

fn brief(row: &serde_json::Value) -> String {
    let Some(map) = row.as_object() else { return String::new() };
    [
        "target",
        "code",
        "kind",
        "line",
        "detail",
        "why",
        "id",
        "mandate",
        "agent",
        "end",
        "purpose",
        "of",
        "profile",
        "paper",
        "reason",
        "what",
        "witness",
        "name",
        "authority",
        "time",
        "before",
        "after",
    ]
    .iter()
    .filter_map(|name| map.get(*name))
    .filter_map(|value| value.as_str())
    .filter(|text| !text.is_empty())
    .collect::<Vec<_>>()
    .join(" · ")
}
