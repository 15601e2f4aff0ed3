//! `vigie custody`.

use clap::Args;
use serde::Serialize;
use serde_json::Value;
use vigie_store::Kind;

use super::{OpenArgs, key, reader, show};
use crate::custody::{Event, lives, row};
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
    let of_exhibit = row(&reader, &key, &captured)?;
    let text = |row: &Value, name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let events = lives(&reader, &key, std::slice::from_ref(&captured))?.remove(&args.number).unwrap_or_default();
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
