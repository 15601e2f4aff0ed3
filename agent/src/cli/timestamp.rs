//! `vigie timestamp export|import|trust|list`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use vigie_store::{Kind, Reader};

use super::{OpenArgs, StoreArgs, head_leaves, key, open, reader, show};
use crate::error::{Problem, exit};
use crate::rows::TimestampRow;

/// Most bytes of a response or certificate file read.
const FILE_BYTES: u64 = 1 << 20;

/// Bound the time of the log from above: RFC 3161 time stamps on its signed head.
#[derive(Subcommand)]
pub enum TimestampCommand {
    /// Fix the root certificate of a time-stamping authority, for the stamps taken in from now on.
    #[command(after_help = "Example:\n  vigie timestamp trust root.pem --store store")]
    Trust(TrustArgs),
    /// Write a request over the signed head, for a medium that goes to the authority. Needs no key.
    #[command(
        after_help = "Example:\n  vigie timestamp export --to /media/stick --store store\n  curl -H 'Content-Type: application/timestamp-query' --data-binary @FILE.tsq https://… -o FILE.tsr"
    )]
    Export(ExportArgs),
    /// Check the authority's answer and take it into the log.
    #[command(
        after_help = "Example:\n  vigie timestamp import /media/stick/FILE.tsr --store store\n\nThe same check with stock tools, in the store's folder timestamps/ (DATE is the stamp's time as Unix time):\n  openssl ts -verify -data STEM.checkpoint -in STEM.tsr -CAfile root-….pem -untrusted STEM.pem -attime DATE"
    )]
    Import(ImportArgs),
    /// List roots, stamps and requests that wait for an answer.
    #[command(after_help = "Example:\n  vigie timestamp list --store store --json")]
    List(ListArgs),
}

#[derive(Args)]
pub struct TrustArgs {
    /// The root certificate: one, self-signed, PEM or DER.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
}

#[derive(Args)]
pub struct ExportArgs {
    /// Folder to write to; made when it is not there.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Policy that the authority shall stamp under (dotted numbers; else: its own choice).
    #[arg(long, value_name = "OID")]
    policy: Option<String>,
    #[command(flatten)]
    at: StoreArgs,
}

#[derive(Args)]
pub struct ImportArgs {
    /// The authority's answer.
    #[arg(value_name = "FILE.tsr")]
    file: PathBuf,
    /// The one of the fixed roots that the chain must end at (else: any of them).
    #[arg(long, value_name = "FILE")]
    tsa_ca: Option<PathBuf>,
    /// Certificates of the authority that the answer lacks (PEM); may be repeated.
    #[arg(long, value_name = "FILE")]
    untrusted: Vec<PathBuf>,
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

pub fn timestamp(command: TimestampCommand) -> Result<u8, Problem> {
    match command {
        TimestampCommand::Trust(args) => trust(&args.open, &args.file),
        TimestampCommand::Export(args) => export(&args),
        TimestampCommand::Import(args) => import(&args),
        TimestampCommand::List(args) => list(&args),
    }
}

fn read(file: &Path) -> Result<Vec<u8>, Problem> {
    let fault = |e: &dyn std::fmt::Display| Problem::input(format!("reading {}: {e}", file.display()));
    let mut bytes = Vec::new();
    // Not by its length: a device or a pipe has none.
    let opened = std::fs::File::open(file).map_err(|e| fault(&e))?;
    opened.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|e| fault(&e))?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(fault(&"it is over 1 MiB: name the authority's answer or certificate"));
    }
    Ok(bytes)
}

fn trust(args: &OpenArgs, file: &Path) -> Result<u8, Problem> {
    let certificate = read(file)?;
    let (root, receipt) = open(args)?.trust_root(&certificate)?;
    show::line(format!("root    {}", root.name()))?;
    if let Some((from, until)) = root.validity() {
        show::line(format!("valid   {from} until {until}"))?;
    }
    show::line(format!("sha256  {} (compare it with what the authority publishes)", root.sha256()))?;
    show::line(match receipt {
        Some(receipt) => format!("entry   {}", receipt.sequence),
        None => "entry   none: it was fixed already".to_owned(),
    })?;
    Ok(exit::OK)
}

fn export(args: &ExportArgs) -> Result<u8, Problem> {
    // A head of a log that was put back must not be stamped.
    reader(&args.at.store)?;
    let requested = vigie_store::request_stamp(&args.at.store, &args.to, args.policy.as_deref())?;
    head_leaves(&args.at.store)?;
    show::line(format!("request {}", requested.request.display()))?;
    show::line(format!("head    {}", requested.checkpoint.display()))?;
    show::line(format!("covers  {} entries, sha256:{}", requested.size, requested.sha256))?;
    Ok(exit::OK)
}

fn import(args: &ImportArgs) -> Result<u8, Problem> {
    let response = read(&args.file)?;
    let mut others = Vec::new();
    for file in &args.untrusted {
        let found = vigie_time::pem_certificates(&read(file)?);
        others.extend(found.ok_or_else(|| {
            Problem::input(format!("{} holds no PEM certificate: name the authority's certificates", file.display()))
        })?);
    }
    let root = match &args.tsa_ca {
        Some(file) => Some(vigie_time::Root::parse(&read(file)?).map_err(|e| {
            Problem::input(format!("{}: {e}: name the root that the authority publishes", file.display()))
        })?),
        None => None,
    };
    let store = open(&args.open)?;
    let imported = store.import_stamp(&response, &others, root.as_ref())?;
    let stamp = &imported.stamp;
    show::line(format!("stamp   {} by {}, serial {}", stamp.time, stamp.authority, stamp.serial))?;
    show::line(format!("root    {}", stamp.root))?;
    show::line(format!("covers  entries 0 to {}", imported.size.saturating_sub(1)))?;
    show::line(format!("files   {}.{{checkpoint,tsq,tsr,pem}}", imported.stem.display()))?;
    show::line(format!("entry   {}", imported.receipt.sequence))?;
    Ok(exit::OK)
}

#[derive(Serialize)]
struct Listed {
    entries: Vec<Entry>,
    open_requests: Vec<String>,
}

#[derive(Serialize)]
struct Entry {
    entry: u64,
    #[serde(flatten)]
    row: TimestampRow,
}

/// Stamps and roots that the log holds.
pub fn rows(reader: &Reader, key: &vigie_store::WorkstationKey) -> Result<Vec<(u64, TimestampRow)>, Problem> {
    let mut rows = Vec::new();
    for entry in reader.entries()? {
        let entry = entry?;
        if entry.kind == Kind::Timestamp {
            let row = serde_json::from_slice(&reader.row(entry.sequence, key)?).map_err(|e| {
                Problem::unsound(format!("the row of entry {} cannot be read ({e}): run vigie verify", entry.sequence))
            })?;
            rows.push((entry.sequence, row));
        }
    }
    Ok(rows)
}

fn list(args: &ListArgs) -> Result<u8, Problem> {
    let key = key(&args.open)?;
    let reader = reader(&args.open.at.store)?;
    let entries: Vec<_> = rows(&reader, &key)?.into_iter().map(|(entry, row)| Entry { entry, row }).collect();
    let open_requests = vigie_store::open_requests(&args.open.at.store)?;
    if args.json {
        show::json(&Listed { entries, open_requests })?;
        return Ok(exit::OK);
    }
    let mut lines = Vec::new();
    for Entry { entry, row } in entries {
        lines.push(match row {
            TimestampRow::Root { name, sha256, .. } => {
                vec![entry.to_string(), "root".into(), String::new(), String::new(), name, sha256]
            }
            TimestampRow::Stamp { size, time, authority, serial, .. } => {
                vec![entry.to_string(), "stamp".into(), size.to_string(), time, authority, serial]
            }
        });
    }
    lines.extend(open_requests.into_iter().map(|stem| vec![String::new(), "asked".into(), size_of(&stem), stem]));
    show::table(&["ENTRY", "WHAT", "COVERS", "TIME", "AUTHORITY", "SERIAL"], &lines)?;
    Ok(exit::OK)
}

/// Entries that a request covers, by the name of its files.
fn size_of(stem: &str) -> String {
    stem.split('-').next().map(|size| size.trim_start_matches('0').to_owned()).unwrap_or_default()
}
