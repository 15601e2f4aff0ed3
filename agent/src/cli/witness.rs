//! `vigie witness`: the workstation's side of cosignatures. Files go to the witness and come back
//! on a removable medium; nothing here is connected to anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use vigie_store::{Reader, WitnessKey, Witnessed, cosigned_at};

use super::{OpenArgs, StoreArgs, open, proof, show};
use crate::error::{Problem, exit};

/// Have the log's head cosigned by a witness, without a network.
#[derive(Subcommand)]
pub enum WitnessCommand {
    /// Trust a witness, by the key that its keeper gave you; the key stands in the log from then on.
    #[command(after_help = "Example:\n  vigie witness trust 'witness.example+5e6f7a8b+BA…' --store store")]
    Trust(TrustArgs),
    /// Write a request (C2SP tlog-witness add-checkpoint) for each trusted witness into a folder.
    #[command(
        after_help = "Example:\n  vigie witness export --to /media/stick --store store\n\nThen, on the witness's machine:\n  vigie-witness cosign witness /media/stick/REQUEST --to /media/stick/cosigned.txt"
    )]
    Export(ExportArgs),
    /// Take in a checkpoint that a trusted witness cosigned.
    #[command(after_help = "Example:\n  vigie witness import /media/stick/cosigned.txt --store store")]
    Import(ImportArgs),
}

#[derive(Args)]
pub struct TrustArgs {
    /// The witness's key, as `vigie-witness init` and `vigie-witness status` print it.
    #[arg(value_name = "VKEY")]
    vkey: String,
    #[command(flatten)]
    open: OpenArgs,
}

#[derive(Args)]
pub struct ExportArgs {
    /// Folder to write to, for example a removable medium.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Only for this witness.
    #[arg(long, value_name = "NAME")]
    witness: Option<String>,
    /// The size that the witness says it cosigned last, when a cosignature of it got lost.
    #[arg(long, value_name = "SIZE")]
    old: Option<u64>,
    #[command(flatten)]
    at: StoreArgs,
}

#[derive(Args)]
pub struct ImportArgs {
    /// The file that `vigie-witness cosign` wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn witness(command: WitnessCommand) -> Result<u8, Problem> {
    match command {
        WitnessCommand::Trust(args) => trust(args),
        WitnessCommand::Export(args) => export(args),
        WitnessCommand::Import(args) => import(args),
    }
}

fn trust(args: TrustArgs) -> Result<u8, Problem> {
    if WitnessKey::parse(args.vkey.trim()).is_none() {
        return Err(Problem::input(
            "not the verifier key of a witness (a line name+hash+base64): copy it from vigie-witness status",
        ));
    }
    let store = open(&args.open)?;
    let (key, receipt) = store.trust_witness(&args.vkey)?;
    match receipt {
        Some(receipt) => show::line(format!("{} is trusted as a witness (entry {})", key.name(), receipt.sequence))?,
        None => show::line(format!("{} was trusted already", key.name()))?,
    }
    Ok(exit::OK)
}

fn export(args: ExportArgs) -> Result<u8, Problem> {
    let reader = Reader::open(&args.at.store)?;
    if !args.to.is_dir() {
        return Err(Problem::input(format!("{} is no folder: name one to write to", args.to.display())));
    }
    let witnessed = reader.witnessed()?;
    let chosen = chosen(&witnessed, args.witness.as_deref())?;
    if chosen.is_empty() {
        return Err(Problem::input("this store trusts no witness: vigie witness trust VKEY"));
    }
    if args.old.is_some() && chosen.len() > 1 {
        return Err(Problem::input("which witness last cosigned --old? name it with --witness NAME"));
    }
    for key in chosen {
        let old = args.old.unwrap_or_else(|| witnessed.size_of(key));
        let request = reader.request(old)?.encode();
        let name = format!("{}-{}-{}.add-checkpoint", plain(reader.origin()), reader.size(), plain(key.name()));
        let file = args.to.join(name);
        // Asked twice for the same, there is nothing to add.
        if !std::fs::read(&file).is_ok_and(|there| there == request.as_bytes()) {
            proof::write_new(&file, request.as_bytes())?;
        }
        show::line(format!("for {}: {} entries after {old}, in {}", key.name(), reader.size(), file.display()))?;
    }
    Ok(exit::OK)
}

fn chosen<'a>(witnessed: &'a Witnessed, name: Option<&str>) -> Result<Vec<&'a WitnessKey>, Problem> {
    let chosen: Vec<_> = witnessed.witnesses.iter().filter(|key| name.is_none_or(|name| key.name() == name)).collect();
    match name {
        Some(name) if chosen.is_empty() => Err(Problem::input(format!("this store trusts no witness {name}"))),
        _ => Ok(chosen),
    }
}

fn import(args: ImportArgs) -> Result<u8, Problem> {
    let text = String::from_utf8(proof::read_small(&args.file)?)
        .map_err(|_| Problem::input(format!("{} is no checkpoint: it is no text", args.file.display())))?;
    let store = open(&args.open)?;
    let imported = store.import_cosigned(&text).map_err(|error| {
        let problem = Problem::from(error);
        Problem::new(problem.code, format!("{}: {}", args.file.display(), problem.line))
    })?;
    for by in &imported.head.cosignatures {
        let at = cosigned_at(by).map(|at| at.to_string()).unwrap_or_default();
        show::line(format!("{} cosigned {} entries at {at}", by.witness.name(), imported.head.size))?;
    }
    match imported.receipt {
        Some(receipt) => show::line(format!("taken in as entry {}", receipt.sequence))?,
        None => show::line("was taken in already")?,
    }
    Ok(exit::OK)
}

/// A name that every file system takes.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' }).collect()
}
