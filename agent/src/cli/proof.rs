//! `vigie log proof`, `vigie log tiles`, `vigie exhibit proof`: what others check the log with.

use std::path::{Path, PathBuf};

use clap::Args;
use vigie_store::checkpoint::Verifier;
use vigie_store::{Entry, Proof, ProofError, Reader, WitnessKey, cosigned_at, log};

use super::file::{read_small, read_text, write_new};
use super::{StoreArgs, head_leaves, reader, show};
use crate::error::{Failing, Problem, exit};

/// Prove that an entry is in the log, or check such a proof.
#[derive(Args)]
#[command(
    after_help = "The proof (C2SP tlog-proof) holds the newest cosigned checkpoint that covers the entry, else the\nsigned head. Whoever has it, the entry and the log's key can check it without the store.\n\nExample:\n  vigie log proof 12 --to 12.tlog-proof --entry-to 12.entry --store store\n  vigie log proof --check 12.tlog-proof --entry-file 12.entry --log-key 'customs.example/desk-1+1a2b3c4d+AQ…'"
)]
pub struct ProofArgs {
    /// Number of the entry (vigie log).
    #[arg(value_name = "N", required_unless_present = "check", conflicts_with = "check")]
    number: Option<u64>,
    /// File to write the proof to; it must not exist.
    #[arg(long, value_name = "FILE", required_unless_present = "check", conflicts_with = "check")]
    to: Option<PathBuf>,
    /// Also write the entry's bytes, which the proof is about, to this file.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    entry_to: Option<PathBuf>,
    /// Check this proof.
    #[arg(long, value_name = "FILE", requires = "entry_file")]
    check: Option<PathBuf>,
    /// The entry that the proof is about.
    #[arg(long, value_name = "FILE", requires = "check")]
    entry_file: Option<PathBuf>,
    /// The store's directory; for a check, the log and the witnesses it trusts are those of the proof.
    #[arg(long, value_name = "DIR", env = "VIGIE_STORE")]
    store: Option<PathBuf>,
    /// Check against this key of the log instead of a store (vigie checkpoint --key).
    #[arg(long, value_name = "VKEY", requires = "check")]
    log_key: Option<String>,
    /// A witness whose cosignature counts; may be repeated.
    #[arg(long, value_name = "VKEY", requires = "check")]
    witness: Vec<String>,
}

pub fn proof(args: ProofArgs) -> Result<u8, Problem> {
    if let (Some(file), Some(entry)) = (&args.check, &args.entry_file) {
        return check(&args, file, entry);
    }
    let (Some(number), Some(to)) = (args.number, &args.to) else {
        return Err(Problem::input("name the entry and a file: vigie log proof N --to FILE"));
    };
    let folder = store(args.store.as_deref())?;
    let reader = reader(&folder)?;
    write_proof(&reader, number, to, args.entry_to.as_deref())?;
    head_leaves(&folder)?;
    Ok(exit::OK)
}

/// Prove that an exhibit is in the log.
#[derive(Args)]
#[command(
    after_help = "The entry names the exhibit's SHA-256 and length. Check with vigie log proof --check.\n\nExample:\n  vigie exhibit proof 3 --to 3.tlog-proof --entry-to 3.entry --store store"
)]
pub struct ExhibitProofArgs {
    /// Exhibit number.
    #[arg(value_name = "N")]
    number: u64,
    /// File to write the proof to; it must not exist.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Also write the entry's bytes, which the proof is about, to this file.
    #[arg(long, value_name = "FILE")]
    entry_to: Option<PathBuf>,
    #[command(flatten)]
    at: StoreArgs,
}

pub fn exhibit_proof(args: ExhibitProofArgs) -> Result<u8, Problem> {
    let reader = reader(&args.at.store)?;
    let entry = reader.entry_of_exhibit(args.number)?;
    write_proof(&reader, entry, &args.to, args.entry_to.as_deref())?;
    head_leaves(&args.at.store)?;
    Ok(exit::OK)
}

fn write_proof(reader: &Reader, number: u64, to: &Path, entry_to: Option<&Path>) -> Result<(), Problem> {
    let proof = reader.proof(number)?;
    let entry = reader.entry_bytes(number)?;
    let log = Verifier::parse(&reader.verifier_key()).ok_or_else(|| Problem::unsound("the log's key is damaged"))?;
    // A proof that does not hold must not leave the store.
    let witnesses = reader.witnessed()?.witnesses;
    let cosigned = proof
        .verify(&log::leaf_hash(&entry), &log, &witnesses)
        .map_err(|e| Problem::unsound(format!("{e}: run vigie verify")))?;
    write_new(to, proof.encode().as_bytes())?;
    if let Some(file) = entry_to {
        write_new(file, &entry)?;
    }
    let names: Vec<&str> = cosigned.cosignatures.iter().map(|by| by.witness.name()).collect();
    let by =
        if names.is_empty() { "cosigned by nobody yet".into() } else { format!("cosigned by {}", names.join(", ")) };
    show::line(format!("entry {number} in the log of {} entries, {by}: {}", cosigned.checkpoint.size, to.display()))
}

fn check(args: &ProofArgs, file: &Path, entry: &Path) -> Result<u8, Problem> {
    let text = read_text(file, "proof")?;
    let proof = Proof::parse(&text).map_err(|e| Problem::input(format!("{}: {e}", file.display())))?;
    let (log, mut witnesses) = match &args.log_key {
        Some(key) => {
            let log = Verifier::parse(key.trim());
            let fault = || Problem::input("--log-key is not a log's verifier key (a line name+hash+base64)");
            (log.ok_or_else(fault)?, Vec::new())
        }
        None => {
            let folder = args.store.as_deref();
            let folder = folder.ok_or_else(|| Problem::input("whose log? name --log-key VKEY or --store DIR"))?;
            let reader = reader(folder)?;
            let log = Verifier::parse(&reader.verifier_key());
            (log.ok_or_else(|| Problem::unsound("the log's key is damaged"))?, reader.witnessed()?.witnesses)
        }
    };
    if !args.witness.is_empty() {
        witnesses = witness_keys(&args.witness)?;
    }
    let bytes = read_small(entry)?;
    let cosigned = proof.verify(&log::leaf_hash(&bytes), &log, &witnesses).map_err(|error| match error {
        ProofError::Malformed(_) => Problem::input(error.to_string()),
        _ => Problem::unsound(format!("{}: {error}", file.display())),
    })?;
    show::line(format!(
        "PROVEN: {} is entry {} of the log {}, which had {} entries",
        entry.display(),
        proof.index,
        cosigned.checkpoint.origin,
        cosigned.checkpoint.size
    ))?;
    for by in &cosigned.cosignatures {
        let at = cosigned_at(by).map(|at| at.to_string()).unwrap_or_default();
        show::line(format!("{} cosigned that log at {at}", by.witness.name()))?;
    }
    if cosigned.cosignatures.is_empty() {
        show::line("none of the witnesses known here cosigned it")?;
    }
    if let Ok(entry) = Entry::parse(&bytes) {
        show::line(format!("the entry: {} of {}", entry.kind, entry.stamp.wall))?;
        if let (Some(number), Some(age)) = (entry.exhibit, entry.age) {
            let sha256 = data_encoding::HEXLOWER.encode(&age.sha256);
            show::line(format!("its exhibit: {number}, {} bytes, sha256:{sha256}", age.len))?;
        }
    }
    Ok(exit::OK)
}

/// Write the log as tiles that any client of tiled logs reads.
#[derive(Args)]
#[command(
    after_help = "Writes checkpoint, tile/L/N and tile/entries/N (C2SP tlog-tiles). Entries name no target, pseudonym\nor address.\n\nExample:\n  vigie log tiles --to tiles --store store"
)]
pub struct TilesArgs {
    /// Directory to make.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    #[command(flatten)]
    at: StoreArgs,
}

pub fn tiles(args: TilesArgs) -> Result<u8, Problem> {
    let reader = reader(&args.at.store)?;
    if args.to.symlink_metadata().is_ok() {
        return Err(Problem::input(format!("{} exists already: name another directory", args.to.display())));
    }
    std::fs::create_dir(&args.to).failing(format_args!("creating {}", args.to.display()))?;
    let written = write_tiles(&reader, &args.to);
    if written.is_err() {
        // Half a log would be taken for a whole one.
        let _ = std::fs::remove_dir_all(&args.to);
    }
    let count = written?;
    head_leaves(&args.at.store)?;
    show::line(format!("{} entries as {count} files in {}", reader.size(), args.to.display()))?;
    Ok(exit::OK)
}

/// Gives the number of files.
fn write_tiles(reader: &Reader, to: &Path) -> Result<u64, Problem> {
    let mut count = 0u64;
    reader.tiles(|resource| {
        let path = to.join(&resource.path);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).failing(format_args!("creating {}", folder.display()))?;
        }
        count += 1;
        std::fs::write(&path, &resource.bytes).failing(format_args!("writing {}", path.display()))
    })?;
    Ok(count)
}

/// Verifier keys of witnesses, as given on the command line.
pub(super) fn witness_keys(keys: &[String]) -> Result<Vec<WitnessKey>, Problem> {
    let parse = |key: &String| {
        WitnessKey::parse(key.trim())
            .ok_or_else(|| Problem::input("--witness is not a witness's verifier key (vigie-witness status prints it)"))
    };
    keys.iter().map(parse).collect()
}

/// The store, where the option may be left out.
pub(super) fn store(named: Option<&Path>) -> Result<PathBuf, Problem> {
    named.map(Path::to_owned).ok_or_else(|| Problem::input("which store? name it with --store DIR or VIGIE_STORE"))
}
