//! `vigie witness`: the workstation's side of cosignatures. Files go to the witness and come back
//! on a removable medium; nothing here is connected to anything.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use vigie_config::mandate::Mandate;
use vigie_store::{CosignedHead, Draft, Kind, Store, StoreError, WitnessKey, Witnessed, cosigned_at};

use super::file::{read_text, write_new};
use super::{SignArgs, StoreArgs, clock, head_leaves, open, reader, show};
use crate::act::{ActEntry, Actor};
use crate::error::{Problem, exit};
use crate::mandates;
use crate::rows::{CosignatureRow, WitnessRow};

/// Have the log's head cosigned by a witness, without a network.
#[derive(Subcommand)]
pub enum WitnessCommand {
    /// Trust a witness, by the key that its keeper gave you. The act is signed by the agent; the key
    /// stands in the log from then on.
    #[command(
        after_help = "Example:\n  vigie witness trust 'witness.example+5e6f7a8b+BA…' --store store --purpose 'custodian, room 12'"
    )]
    Trust(TrustArgs),
    /// Trust a witness no more: what it cosigned counts if it was taken in before, nothing later does,
    /// and nobody is trusted under its name again. The act is signed by the agent.
    #[command(
        after_help = "Example:\n  vigie witness distrust witness.example --store store --purpose 'its machine was stolen'"
    )]
    Distrust(DistrustArgs),
    /// Write a request (C2SP tlog-witness add-checkpoint) for each trusted witness into a folder.
    #[command(
        after_help = "Example:\n  vigie witness export --to /media/stick --store store\n\nThen, on the witness's machine:\n  vigie-witness cosign witness /media/stick/REQUEST --to /media/stick/cosigned.txt"
    )]
    Export(ExportArgs),
    /// Take in a checkpoint that a trusted witness cosigned. The act is signed by the agent.
    #[command(
        after_help = "Example:\n  vigie witness import /media/stick/cosigned.txt --store store --purpose 'weekly cosignature'"
    )]
    Import(ImportArgs),
}

/// Who acts, under what, and why.
#[derive(Args)]
pub struct ActArgs {
    /// Mandate under which the agent acts (else: the newest that lets them).
    #[arg(long, value_name = "ID")]
    mandate: Option<String>,
    #[command(flatten)]
    sign: SignArgs,
}

#[derive(Args)]
pub struct TrustArgs {
    /// The witness's key, as `vigie-witness init` and `vigie-witness status` print it.
    #[arg(value_name = "VKEY")]
    vkey: String,
    #[command(flatten)]
    act: ActArgs,
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
    act: ActArgs,
}

#[derive(Args)]
pub struct DistrustArgs {
    /// The witness's name.
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    act: ActArgs,
}

pub fn witness(command: WitnessCommand) -> Result<u8, Problem> {
    match command {
        WitnessCommand::Trust(args) => trust(args),
        WitnessCommand::Distrust(args) => distrust(args),
        WitnessCommand::Export(args) => export(args),
        WitnessCommand::Import(args) => import(args),
    }
}

fn trust(args: TrustArgs) -> Result<u8, Problem> {
    args.act.sign.check()?;
    if WitnessKey::parse(args.vkey.trim()).is_none() {
        return Err(Problem::input(
            "not the verifier key of a witness (a line name+hash+base64): copy it from vigie-witness status",
        ));
    }
    let store = open(&args.act.sign.open)?;
    let (key, known) = store.check_witness(&args.vkey)?;
    if known {
        show::line(format!("{} was trusted already", key.name()))?;
        return Ok(exit::OK);
    }
    let draft = act(&store, &args.act, &About::Key(&key))?;
    let receipt = store.trust_witness(&key, draft)?;
    show::line(format!("{} is trusted as a witness (entry {})", key.name(), receipt.sequence))?;
    Ok(exit::OK)
}

fn distrust(args: DistrustArgs) -> Result<u8, Problem> {
    args.act.sign.check()?;
    let store = open(&args.act.sign.open)?;
    let key = store.trusted_witness(&args.name)?;
    let draft = act(&store, &args.act, &About::Struck(&key))?;
    let receipt = store.distrust_witness(&key, draft)?;
    show::line(format!(
        "{} is trusted no more (entry {}); what it cosigned before still counts as it did",
        key.name(),
        receipt.sequence
    ))?;
    Ok(exit::OK)
}

fn export(args: ExportArgs) -> Result<u8, Problem> {
    let reader = reader(&args.at.store)?;
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
            write_new(&file, request.as_bytes())?;
        }
        show::line(format!("for {}: {} entries after {old}, in {}", key.name(), reader.size(), file.display()))?;
    }
    head_leaves(&args.at.store)?;
    Ok(exit::OK)
}

fn chosen<'a>(witnessed: &'a Witnessed, name: Option<&str>) -> Result<Vec<&'a WitnessKey>, Problem> {
    let chosen: Vec<_> = witnessed.witnesses.iter().filter(|key| name.is_none_or(|name| key.name() == name)).collect();
    match name {
        Some(name) if chosen.is_empty() => {
            Err(Problem::input(format!("this store trusts no witness {name}: see vigie status for those that it does")))
        }
        _ => Ok(chosen),
    }
}

fn import(args: ImportArgs) -> Result<u8, Problem> {
    args.act.sign.check()?;
    let text = read_text(&args.file, "checkpoint")?;
    let store = open(&args.act.sign.open)?;
    let of_file = |error: StoreError| Problem::from(error).of(&args.file);
    let checked = store.check_cosigned(&text).map_err(of_file)?;
    let receipt = match checked.is_known() {
        true => None,
        false => {
            let draft = act(&store, &args.act, &About::Head(checked.head()))?;
            Some(store.take_cosigned(&checked, draft)?)
        }
    };
    for by in &checked.head().cosignatures {
        let at = cosigned_at(by).map(|at| at.to_string()).unwrap_or_default();
        show::line(format!("{} cosigned {} entries at {at}", by.witness.name(), checked.head().size))?;
    }
    show::line(match receipt {
        Some(receipt) => format!("taken in as entry {}", receipt.sequence),
        None => "was taken in already".to_owned(),
    })?;
    Ok(exit::OK)
}

/// What an act of kind `witness` is about.
enum About<'a> {
    Key(&'a WitnessKey),
    Struck(&'a WitnessKey),
    Head(&'a CosignedHead),
}

impl About<'_> {
    /// The statement's own lines.
    fn lines(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Key(key) => vec![("witness", key.to_string())],
            Self::Struck(key) => vec![("distrusted", key.to_string())],
            Self::Head(head) => {
                let mut lines = vec![("size", head.size.to_string()), ("root", hex(&head.root))];
                let by = head.cosignatures.iter().map(|by| ("cosigned", format!("{} {}", by.time, by.witness)));
                lines.extend(by);
                lines
            }
        }
    }

    fn row(&self, mandate: &Mandate, purpose: &str, act: &crate::rows::SignedAct) -> WitnessRow {
        let (mandate, purpose, act) = (mandate.id().to_owned(), purpose.to_owned(), act.clone());
        match self {
            Self::Key(key) => WitnessRow::Trusted { witness: key.to_string(), mandate, purpose, act },
            Self::Struck(key) => WitnessRow::Distrusted { witness: key.to_string(), mandate, purpose, act },
            Self::Head(head) => {
                let by = head.cosignatures.iter();
                let by = by.map(|by| CosignatureRow { witness: by.witness.to_string(), time: by.time });
                let cosignatures = by.collect();
                WitnessRow::Cosigned { size: head.size, root: hex(&head.root), cosignatures, mandate, purpose, act }
            }
        }
    }
}

/// The signed entry.
fn act(store: &Store, args: &ActArgs, about: &About<'_>) -> Result<Draft, Problem> {
    let now = clock().stamp().wall;
    let agent = args.sign.agent_key()?;
    let mandate = mandates::named_or_acting(store, args.mandate.as_deref(), &agent, now)?;
    let actor = Actor::new(store, &mandate, &agent, now)?;
    let act = actor.sign(store, Kind::Witness, now, &args.sign.purpose, &about.lines())?;
    let row = about.row(&mandate, &args.sign.purpose, &act);
    actor.draft(&act, ActEntry { kind: Kind::Witness, row: &row, private: json!({}), state: Vec::new() }, now)
}

fn hex(hash: &[u8; 32]) -> String {
    data_encoding::HEXLOWER.encode(hash)
}

/// A name that every file system takes.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' || c == '-' { c } else { '-' }).collect()
}
