//! `vigie handover to|from`: a log that goes on under another name, on another workstation.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;
use vigie_store::checkpoint::Verifier;
use vigie_store::{Kind, Reader};

use super::{SignArgs, clock, open, show};
use crate::act::{ActEntry, Actor};
use crate::error::{Failing, Problem, exit};
use crate::handover::{FROM, Handover, TO};
use crate::mandates;
use crate::rows::HandoverRow;

/// Largest file read, in bytes.
const FILE_BYTES: u64 = 128 * 1024;

/// Let another workstation's log go on from this one.
#[derive(Subcommand)]
pub enum HandoverCommand {
    /// On the old workstation: end its log in favour of the new one's. Nothing more is captured here.
    #[command(
        after_help = "KEY is what `vigie checkpoint --key` prints on the new workstation.\n\nExample:\n  vigie handover to 'customs.example/desk-2+1a2b3c4d+AW…' --out handover.txt --store store --purpose 'desk 1 is replaced'"
    )]
    To(ToArgs),
    /// On the new workstation: say in its log which head it goes on from.
    #[command(after_help = "Example:\n  vigie handover from handover.txt --store store --purpose 'desk 1 is replaced'")]
    From(FromArgs),
}

#[derive(Args)]
pub struct ToArgs {
    /// Verifier key of the new workstation's log.
    #[arg(value_name = "KEY")]
    key: String,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    sign: SignArgs,
}

#[derive(Args)]
pub struct FromArgs {
    /// The file that the old workstation wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    sign: SignArgs,
}

pub fn handover(command: HandoverCommand) -> Result<u8, Problem> {
    match command {
        HandoverCommand::To(args) => to(args),
        HandoverCommand::From(args) => from(args),
    }
}

fn to(args: ToArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let new = Verifier::parse(args.key.trim()).ok_or_else(|| {
        Problem::input("that is no verifier key of a log: copy what vigie checkpoint --key prints first")
    })?;
    if args.out.exists() {
        return Err(Problem::input(format!("{} exists already: name another file", args.out.display())));
    }
    let agent = args.sign.agent_key()?;
    let store = open(&args.sign.open)?;
    if new.name() == store.origin() {
        return Err(Problem::input("that is this store's own log: name the new workstation's"));
    }
    if let Some(row) = crate::handover::ended(&store)? {
        return Err(Problem::refused(format!("this log was handed over to {} already", row.key)));
    }
    let now = clock().stamp().wall;
    let mandate = mandates::acting(&store, &agent, now)?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let act = actor.sign(&store, Kind::Handover, now, &args.sign.purpose, &[(TO, new.to_string())])?;
    let row = HandoverRow { form: TO.into(), key: new.to_string(), size: 0, root: String::new(), act: act.clone() };
    let private = json!({"to": new.to_string()});
    let entry = ActEntry { kind: Kind::Handover, row: &row, private, state: Vec::new() };
    let receipt = actor.log(&store, &act, entry, now)?;
    let reader = Reader::open(store.folder())?;
    let text = Handover::write(&reader.verifier_key(), &new.to_string(), receipt.sequence, reader.checkpoint());
    let trying = format!("writing {}", args.out.display());
    let mut file = std::fs::File::create_new(&args.out).failing(&trying)?;
    std::io::Write::write_all(&mut file, text.as_bytes()).and_then(|()| file.sync_all()).failing(&trying)?;
    show::line(format!(
        "this log ends in favour of {}: entry {}, {}",
        new.name(),
        receipt.sequence,
        args.out.display()
    ))?;
    Ok(exit::OK)
}

fn from(args: FromArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let mut text = String::new();
    std::fs::File::open(&args.file)
        .and_then(|file| std::io::Read::read_to_string(&mut std::io::Read::take(file, FILE_BYTES), &mut text))
        .map_err(|e| Problem::input(format!("reading {}: {e}", args.file.display())))?;
    let agent = args.sign.agent_key()?;
    let store = open(&args.sign.open)?;
    let reader = Reader::open(store.folder())?;
    let handover = Handover::read(&text, &reader.verifier_key())
        .map_err(|why| Problem::input(format!("{}: {why}", args.file.display())))?;
    let known = mandates::rows::<HandoverRow>(&store, Kind::Handover)?;
    if known.iter().any(|(_, row)| row.form == FROM && row.key == handover.from.to_string()) {
        return Err(Problem::input(format!("this log goes on from {} already", handover.from.name())));
    }
    let now = clock().stamp().wall;
    let mandate = mandates::acting(&store, &agent, now)?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let root = data_encoding::BASE64.encode(&handover.head.root);
    let own = [(FROM, handover.from.to_string()), ("head", format!("{} {root}", handover.head.size))];
    let act = actor.sign(&store, Kind::Handover, now, &args.sign.purpose, &own)?;
    let row = HandoverRow {
        form: FROM.into(),
        key: handover.from.to_string(),
        size: handover.head.size,
        root,
        act: act.clone(),
    };
    let private = json!({"document": text});
    let receipt =
        actor.log(&store, &act, ActEntry { kind: Kind::Handover, row: &row, private, state: Vec::new() }, now)?;
    show::line(format!(
        "this log goes on from {} at {} entries: entry {}; keep the old store, it is evidence",
        handover.from.name(),
        handover.head.size,
        receipt.sequence
    ))?;
    Ok(exit::OK)
}
