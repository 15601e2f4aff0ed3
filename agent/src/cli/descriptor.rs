//! `vigie descriptor`.

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;
use vigie_store::{Kind, Reader, WorkstationKey};

use super::{OpenArgs, SignArgs, clock, key, open_with, reader, show};
use crate::act::{ActEntry, Actor};
use crate::error::{Failing, Problem, exit};
use crate::mandates;
use crate::rows::{DESCRIPTOR, DescriptorRow, ExportRow};

/// Signed descriptors of onion services.
#[derive(Subcommand)]
pub enum DescriptorCommand {
    /// Which are kept, for which time periods, and why others are not.
    #[command(after_help = "Example:\n  vigie descriptor list --store store")]
    List(ListArgs),
    /// Copy the sealed part of an entry that keeps one (an age file), for a recipient to open with stock
    /// age. The act is signed by the agent and logged with its purpose.
    #[command(
        after_help = "Example:\n  vigie descriptor get 5 --to 5.age --store store --purpose 'for the defence'\n  age -d -i case.txt -o part.json 5.age\n  vigie descriptor script > check_descriptor.py\n  python3 check_descriptor.py part.json"
    )]
    Get(GetArgs),
    /// Print a check of descriptors in Python that needs nothing of ours.
    #[command(after_help = "Example:\n  vigie descriptor script > check_descriptor.py")]
    Script,
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
pub struct GetArgs {
    /// Entry that keeps the descriptor.
    #[arg(value_name = "ENTRY")]
    entry: u64,
    /// File to write; it must not exist.
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    sign: SignArgs,
}

#[derive(Serialize)]
struct Listed {
    entry: u64,
    time: String,
    session: String,
    /// Exhibits of the same target in the same session.
    exhibits: Vec<u64>,
    #[serde(flatten)]
    row: DescriptorRow,
}

pub fn descriptor(command: DescriptorCommand) -> Result<u8, Problem> {
    match command {
        DescriptorCommand::List(args) => list(args),
        DescriptorCommand::Get(args) => get(args),
        DescriptorCommand::Script => {
            show::bytes(vigie_onion::CHECK_SCRIPT.as_bytes())?;
            Ok(exit::OK)
        }
    }
}

/// The row of an entry of this kind.
pub(super) fn row(reader: &Reader, key: &WorkstationKey, sequence: u64) -> Result<DescriptorRow, Problem> {
    serde_json::from_slice(&reader.row(sequence, key)?)
        .map_err(|e| Problem::unsound(format!("the row of entry {sequence} cannot be read ({e}): run vigie verify")))
}

/// The newest entry that keeps a descriptor, by session and target.
pub(super) fn kept(reader: &Reader, key: &WorkstationKey) -> Result<HashMap<([u8; 16], String), u64>, Problem> {
    let mut kept = HashMap::new();
    for entry in reader.entries()? {
        let entry = entry?;
        if let (Kind::Descriptor, Some(session)) = (entry.kind, entry.session)
            && let DescriptorRow::Kept { target, .. } = row(reader, key, entry.sequence)?
        {
            kept.insert((session, target), entry.sequence);
        }
    }
    Ok(kept)
}

fn target(row: &DescriptorRow) -> &str {
    match row {
        DescriptorRow::Kept { target, .. } | DescriptorRow::Missing { target, .. } => target,
    }
}

fn list(args: ListArgs) -> Result<u8, Problem> {
    let key = key(&args.open)?;
    let reader = reader(&args.open.at.store)?;
    let mut listed = Vec::new();
    let mut exhibits: HashMap<([u8; 16], String), Vec<u64>> = HashMap::new();
    for entry in reader.entries()? {
        let entry = entry?;
        let Some(session) = entry.session else { continue };
        if let Some(number) = entry.exhibit {
            let row: crate::rows::ExhibitRow =
                serde_json::from_slice(&reader.row(entry.sequence, &key)?).map_err(|e| {
                    Problem::unsound(format!("the row of entry {} ({e}): run vigie verify", entry.sequence))
                })?;
            exhibits.entry((session, row.target)).or_default().push(number);
        }
        if entry.kind == Kind::Descriptor {
            let row = row(&reader, &key, entry.sequence)?;
            let time = entry.stamp.wall.to_string();
            listed.push((
                session,
                Listed { entry: entry.sequence, time, session: String::new(), exhibits: Vec::new(), row },
            ));
        }
    }
    let listed: Vec<_> = listed
        .into_iter()
        .map(|(session, listed)| Listed {
            session: data_encoding::HEXLOWER.encode(&session),
            exhibits: exhibits.get(&(session, target(&listed.row).to_owned())).cloned().unwrap_or_default(),
            ..listed
        })
        .collect();
    if args.json {
        show::json(&listed)?;
        return Ok(exit::OK);
    }
    let rows: Vec<_> = listed
        .iter()
        .map(|one| {
            let said = match &one.row {
                DescriptorRow::Kept { from, until, bytes, .. } => format!("kept, {bytes} bytes, {from} to {until}"),
                DescriptorRow::Missing { kind, detail, .. } => format!("none: {kind}: {detail}"),
            };
            let time = one.time.get(..19).unwrap_or(&one.time).to_owned() + "Z";
            vec![
                one.entry.to_string(),
                time,
                target(&one.row).to_owned(),
                said,
                show::numbered("exhibit", &one.exhibits),
            ]
        })
        .collect();
    show::table(&["ENTRY", "TIME", "TARGET", "DESCRIPTOR", "BESIDE"], &rows)?;
    Ok(exit::OK)
}

fn get(args: GetArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    if args.to.exists() {
        return Err(Problem::input(format!("{} exists already: name another file", args.to.display())));
    }
    let key = key(&args.sign.open)?;
    let agent = args.sign.agent_key()?;
    let folder = &args.sign.open.at.store;
    let store = open_with(folder, key.clone())?;
    let reader = Reader::open(folder)?;
    let none = || Problem::input(format!("entry {} keeps no descriptor: see vigie descriptor list", args.entry));
    let entry = if args.entry < reader.size() { reader.entry(args.entry)? } else { return Err(none()) };
    if entry.kind != Kind::Descriptor || !matches!(row(&reader, &key, args.entry)?, DescriptorRow::Kept { .. }) {
        return Err(none());
    }
    let now = clock().stamp().wall;
    let mandate = mandates::of_entry(&store, &entry)?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let label = format!("entry {}", args.entry);
    let own = [("form", DESCRIPTOR.to_owned()), ("label", label.clone())];
    let act = actor.sign(&store, Kind::Export, now, &args.sign.purpose, &own)?;
    let row = ExportRow {
        form: DESCRIPTOR.into(),
        label: label.clone(),
        act: act.clone(),
        case: String::new(),
        exhibits: Vec::new(),
    };
    let private = json!({"label": label});
    // Logged before a byte leaves.
    actor.log(&store, &act, ActEntry { kind: Kind::Export, row: &row, private, state: Vec::new() }, now)?;
    let sealed = reader.private_part(args.entry)?.ok_or_else(none)?;
    let trying = format!("writing the descriptor to {}", args.to.display());
    let mut file = std::fs::File::create_new(&args.to).failing(&trying)?;
    std::io::Write::write_all(&mut file, &sealed).failing(&trying)?;
    file.sync_all().failing(&trying)?;
    show::line(format!(
        "entry {}: {} bytes in {}; open it with stock age, then: python3 check_descriptor.py (vigie descriptor script)",
        args.entry,
        sealed.len(),
        args.to.display()
    ))?;
    Ok(exit::OK)
}
