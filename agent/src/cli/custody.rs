//! `vigie custody`.

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use vigie_store::{Entry, Kind, WorkstationKey};

use super::{OpenArgs, key, reader, show};
use crate::act;
use crate::error::{Problem, exit};

/// The life of one exhibit.
#[derive(Args)]
#[command(after_help = "Example:\n  vigie custody 3 --store store")]
pub struct CustodyArgs {
    /// Exhibit number.
    #[arg(value_name = "N")]
    number: u64,
    #[command(flatten)]
    open: OpenArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

/// One thing that happened to it.
#[derive(Serialize)]
struct Event {
    entry: u64,
    time: String,
    kind: String,
    /// Code of the agent who signed the act.
    agent: Option<String>,
    /// SHA-256 fingerprint of the SSH key that signed.
    signed_by: Option<String>,
    purpose: Option<String>,
    what: String,
}

#[derive(Serialize)]
struct Custody {
    exhibit: u64,
    entry: u64,
    mandate: String,
    case: String,
    target: String,
    age_bytes: u64,
    age_sha256: String,
    leaf_sha256: String,
    test_network: bool,
    /// No other capture was compared with it.
    single_source: bool,
    events: Vec<Event>,
}

/// Reads beside a running session: it needs the store's key, not its lock.
pub fn custody(args: CustodyArgs) -> Result<u8, Problem> {
    let key = key(&args.open)?;
    let reader = reader(&args.open.at.store)?;
    let captured = reader.exhibit_entry(args.number)?;
    let row = |entry: &Entry, key: &WorkstationKey| -> Result<Value, Problem> {
        serde_json::from_slice(&reader.row(entry.sequence, key)?).map_err(|e| {
            Problem::unsound(format!("the row of entry {} cannot be read ({e}): run vigie verify", entry.sequence))
        })
    };
    let of_exhibit = row(&captured, &key)?;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let mut events = Vec::new();
    for entry in reader.entries()? {
        let entry = entry?;
        let concerned = match entry.kind {
            Kind::SessionOpen => captured.session.is_some() && entry.session == captured.session,
            Kind::Exhibit => entry.sequence == captured.sequence,
            Kind::Descriptor => {
                captured.session.is_some()
                    && entry.session == captured.session
                    && row(&entry, &key)?["target"] == of_exhibit["target"]
            }
            kind => kind.is_signed_act() && names(&row(&entry, &key)?, args.number),
        };
        if concerned {
            events.push(event(&entry, &row(&entry, &key)?));
        }
    }
    let age = captured.age.as_ref().ok_or_else(|| Problem::unsound("the entry of an exhibit without an exhibit"))?;
    let custody = Custody {
        exhibit: args.number,
        entry: captured.sequence,
        mandate: text(&of_exhibit, "mandate"),
        case: text(&of_exhibit, "case"),
        target: text(&of_exhibit, "target"),
        age_bytes: age.len,
        age_sha256: data_encoding::HEXLOWER.encode(&age.sha256),
        leaf_sha256: data_encoding::HEXLOWER.encode(&captured.leaf_hash()),
        test_network: of_exhibit["test_network"] == true,
        single_source: !events.iter().any(|event| event.kind == Kind::Corroboration.name()),
        events,
    };
    if args.json {
        show::json(&custody)?
    } else {
        tell(&custody)?
    }
    Ok(exit::OK)
}

/// Whether the row of an act is about the exhibit: alone, or among others.
fn names(row: &Value, number: u64) -> bool {
    row["exhibit"] == number || row["exhibits"].as_array().is_some_and(|all| all.iter().any(|one| *one == number))
}

fn event(entry: &Entry, row: &Value) -> Event {
    let statement = row["act"]["statement"].as_str().unwrap_or_default();
    let line = |name: &str| act::line(statement, name).map(str::to_owned);
    let what = match entry.kind {
        Kind::SessionOpen => format!("session of pseudonym {}", line("profile").unwrap_or_default()),
        Kind::Exhibit if row["complete"] == true => "captured, sealed and logged; complete".to_owned(),
        Kind::Exhibit => {
            format!("captured, sealed and logged; incomplete: {}", row["why"].as_str().unwrap_or_default())
        }
        Kind::Corroboration => {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            format!("compared with exhibit {} of {}: {}", row["other"], text("origin"), text("verdict"))
        }
        Kind::Descriptor => {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            match text("what") {
                "kept" => format!(
                    "kept the service's signed descriptor for {} to {}: its key's holder published it",
                    text("from"),
                    text("until")
                ),
                _ => format!("no signed descriptor of the service: {}: {}", text("kind"), text("detail")),
            }
        }
        Kind::Erasure => "erased: its bytes are gone from this store".to_owned(),
        _ => row["form"].as_str().unwrap_or(entry.kind.name()).to_owned(),
    };
    Event {
        entry: entry.sequence,
        time: entry.stamp.wall.to_string(),
        kind: entry.kind.name().to_owned(),
        agent: line("agent"),
        signed_by: row["act"]["signature"].as_str().and_then(act::fingerprint),
        purpose: line("purpose"),
        what,
    }
}

fn tell(custody: &Custody) -> Result<(), Problem> {
    let network = if custody.test_network { "  TEST NETWORK" } else { "" };
    show::line(format!(
        "exhibit {}  entry {}  mandate {}  case {}  target {}{network}",
        custody.exhibit, custody.entry, custody.mandate, custody.case, custody.target
    ))?;
    show::line(format!("{} bytes, sha256:{}", custody.age_bytes, custody.age_sha256))?;
    if custody.single_source {
        show::line("single source: compare it with a capture made apart (vigie corroborate)")?;
    }
    show::line(format!("leaf sha256:{}\n", custody.leaf_sha256))?;
    let shown = |value: &Option<String>| value.clone().unwrap_or_default();
    let rows: Vec<_> = custody
        .events
        .iter()
        .map(|e| {
            let time = e.time.get(..19).unwrap_or(&e.time).to_owned() + "Z";
            vec![time, e.entry.to_string(), e.kind.clone(), shown(&e.agent), e.what.clone(), shown(&e.purpose)]
        })
        .collect();
    show::table(&["TIME", "ENTRY", "KIND", "AGENT", "WHAT", "WHY"], &rows)
}
