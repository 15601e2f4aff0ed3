//! `vigie exhibits`, `vigie exhibit get`, `vigie exhibit proof`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use vigie_store::Reader;

use super::{OpenArgs, SignArgs, clock, key, open_with, proof, reader, review, show};
use crate::act::Actor;
use crate::error::{Failing, Problem, exit};
use crate::mandates;
use crate::rows::{ExhibitRow, SEALED_COPY};

/// List exhibits.
#[derive(Args)]
#[command(after_help = "Example:\n  vigie exhibits --store store --json")]
pub struct ExhibitsArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Listed {
    exhibit: u64,
    entry: u64,
    time: String,
    age_bytes: u64,
    age_sha256: String,
    /// Entry that keeps the service's signed descriptor of the same session.
    descriptor: Option<u64>,
    #[serde(flatten)]
    row: ExhibitRow,
}

/// Reads beside a running session: it needs the store's key, not its lock.
pub fn list(args: ExhibitsArgs) -> Result<u8, Problem> {
    let key = key(&args.open)?;
    let reader = reader(&args.open.at.store)?;
    let mut listed = Vec::new();
    let kept = super::descriptor::kept(&reader, &key)?;
    for entry in reader.entries()? {
        let entry = entry?;
        let (Some(exhibit), Some(age)) = (entry.exhibit, &entry.age) else { continue };
        let row = reader.row(entry.sequence, &key)?;
        let row: ExhibitRow = serde_json::from_slice(&row).map_err(|e| {
            Problem::unsound(format!("the row of entry {} cannot be read ({e}): run vigie verify", entry.sequence))
        })?;
        listed.push(Listed {
            exhibit,
            entry: entry.sequence,
            time: entry.stamp.wall.to_string(),
            age_bytes: age.len,
            age_sha256: data_encoding::HEXLOWER.encode(&age.sha256),
            descriptor: entry.session.and_then(|session| kept.get(&(session, row.target.clone())).copied()),
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
                e.exhibit.to_string(),
                e.time.get(..19).unwrap_or(&e.time).to_owned() + "Z",
                e.row.mandate.clone(),
                e.row.target.clone(),
                e.row.status.to_string(),
                e.row.exchanges.to_string(),
                e.row.wire_bytes.to_string(),
                state(&e.row),
                e.descriptor.map(|entry| format!("entry {entry}")).unwrap_or_default(),
                e.row.tls.as_ref().map(|tls| format!("{} {}", tls.protocol, tls.cipher_suite)).unwrap_or_default(),
                if e.row.test_network { "TEST NETWORK".into() } else { String::new() },
            ]
        })
        .collect();
    show::table(
        &[
            "EXHIBIT",
            "TIME",
            "MANDATE",
            "TARGET",
            "STATUS",
            "EXCHANGES",
            "BYTES",
            "STATE",
            "DESCRIPTOR",
            "TLS",
            "NETWORK",
        ],
        &rows,
    )?;
    Ok(exit::OK)
}

fn state(row: &ExhibitRow) -> String {
    let mut state = if row.complete { "complete".to_owned() } else { format!("incomplete: {}", row.why) };
    if let Some(obstacle) = &row.obstacle {
        state.push_str(&format!("; in the way: {obstacle}"));
    }
    if row.amber {
        state.push_str("; AMBER: plain HTTP through an exit");
    }
    if let Some(why) = row.tls.as_ref().and_then(|tls| tls.invalid.as_ref()) {
        state.push_str(&format!("; INVALID CERTIFICATE: {why}"));
    }
    if let Some(two_exits) = &row.two_exits {
        state.push_str(&format!("; two exits: {two_exits}"));
    }
    state
}

/// Take out one exhibit.
#[derive(Subcommand)]
pub enum ExhibitCommand {
    /// Copy an exhibit as it lies in the store (an age file), for a recipient to open with stock
    /// age. The act is signed by the agent and logged with its purpose.
    #[command(
        after_help = "Example:\n  vigie exhibit get 3 --sealed --to 3.age --store store --purpose 'for the custodian'\n  age -d -i case.txt -o 3.warc.gz 3.age"
    )]
    Get(GetArgs),
    /// Prove that an exhibit is in the log.
    Proof(proof::ExhibitProofArgs),
    /// Read an exhibit in memory as one of its recipients. The act is signed by the agent and logged
    /// with its purpose before a byte is shown.
    Open(Box<review::ReviewArgs>),
}

#[derive(Args)]
pub struct GetArgs {
    /// Exhibit number.
    #[arg(value_name = "N")]
    number: u64,
    /// As it lies in the store: an age file that only its recipients open.
    #[arg(long, required = true)]
    sealed: bool,
    /// File to write; it must not exist (else: N.age in this folder).
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    sign: SignArgs,
}

pub fn exhibit(command: ExhibitCommand) -> Result<u8, Problem> {
    match command {
        ExhibitCommand::Get(args) => get(args),
        ExhibitCommand::Open(args) => review::open(*args),
        ExhibitCommand::Proof(args) => proof::exhibit_proof(args),
    }
}

fn get(args: GetArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let to = args.to.clone().unwrap_or_else(|| PathBuf::from(format!("{}.age", args.number)));
    if to.exists() {
        return Err(Problem::input(format!("{} exists already: name another file", to.display())));
    }
    let key = key(&args.sign.open)?;
    let agent = args.sign.agent_key()?;
    let store = open_with(&args.sign.open.at.store, key)?;
    let reader = Reader::open(&args.sign.open.at.store)?;
    let (entry, mut age) = reader.exhibit(args.number)?;
    let (mandate, now) = (mandates::of_exhibit(&store, &entry)?, clock().stamp().wall);
    Actor::new(&store, &mandate, &agent, now)?.read(&store, args.number, SEALED_COPY, &args.sign.purpose, now)?;
    let copied = copy(&mut age, &to)?;
    if entry.age.as_ref().is_none_or(|age| age.sha256 != copied.1) {
        return Err(Problem::unsound(format!("exhibit {} is not what the log says: run vigie verify", args.number)));
    }
    show::line(format!(
        "exhibit {}: {} bytes, sha256:{}, in {}",
        args.number,
        copied.0,
        data_encoding::HEXLOWER.encode(&copied.1),
        to.display()
    ))?;
    Ok(exit::OK)
}

/// Copies to a new file and syncs it; gives length and SHA-256.
fn copy(from: &mut dyn Read, to: &Path) -> Result<(u64, [u8; 32]), Problem> {
    use sha2::{Digest, Sha256};
    let trying = format!("writing the exhibit to {}", to.display());
    let mut file = std::fs::File::create_new(to).failing(&trying)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0u8; 64 * 1024];
    let mut length = 0u64;
    loop {
        let read = from.read(&mut buffer).failing(&trying)?;
        if read == 0 {
            break;
        }
        hash.update(&buffer[..read]);
        file.write_all(&buffer[..read]).failing(&trying)?;
        length += read as u64;
    }
    file.sync_all().failing(&trying)?;
    Ok((length, hash.finalize().into()))
}
