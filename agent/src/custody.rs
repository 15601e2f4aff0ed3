//! The life of exhibits: what the log says happened to each.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use vigie_store::{Entry, Kind, Reader, WorkstationKey};

use crate::act;
use crate::error::Problem;

/// One thing that happened to an exhibit.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Entry of the log.
    pub entry: u64,
    /// Its time.
    pub time: String,
    /// Its kind.
    pub kind: String,
    /// Code of the agent who signed the act.
    pub agent: Option<String>,
    /// SHA-256 fingerprint of the SSH key that signed.
    pub signed_by: Option<String>,
    /// Why.
    pub purpose: Option<String>,
    /// What.
    pub what: String,
}

/// The row of an entry.
///
/// # Errors
/// It cannot be read.
pub fn row(reader: &Reader, key: &WorkstationKey, entry: &Entry) -> Result<Value, Problem> {
    serde_json::from_slice(&reader.row(entry.sequence, key)?).map_err(|e| {
        Problem::unsound(format!("the row of entry {} cannot be read ({e}): run vigie verify", entry.sequence))
    })
}

/// The events of these exhibits, by number and in the order of the log, in one reading of it.
///
/// # Errors
/// The log or a row cannot be read.
pub fn lives(reader: &Reader, key: &WorkstationKey, exhibits: &[Entry]) -> Result<BTreeMap<u64, Vec<Event>>, Problem> {
    let mut lives: BTreeMap<u64, Vec<Event>> = BTreeMap::new();
    let mut of_session: BTreeMap<[u8; 16], Vec<(u64, Value)>> = BTreeMap::new();
    let mut by_entry = BTreeMap::new();
    for exhibit in exhibits {
        let Some(number) = exhibit.exhibit else { continue };
        lives.insert(number, Vec::new());
        by_entry.insert(exhibit.sequence, number);
        if let Some(session) = exhibit.session {
            of_session.entry(session).or_default().push((number, row(reader, key, exhibit)?["target"].clone()));
        }
    }
    for entry in reader.entries()? {
        let entry = entry?;
        let session = entry.session.and_then(|session| of_session.get(&session));
        let concerned: Vec<u64> = match entry.kind {
            Kind::SessionOpen => session.into_iter().flatten().map(|(number, _)| *number).collect(),
            Kind::Exhibit => by_entry.get(&entry.sequence).copied().into_iter().collect(),
            Kind::Descriptor => {
                let Some(session) = session else { continue };
                let target = row(reader, key, &entry)?["target"].clone();
                session.iter().filter(|(_, own)| *own == target).map(|(number, _)| *number).collect()
            }
            kind if kind.is_signed_act() => {
                let row = row(reader, key, &entry)?;
                lives.keys().copied().filter(|number| names(&row, *number)).collect()
            }
            _ => continue,
        };
        if concerned.is_empty() {
            continue;
        }
        let event = event(&entry, &row(reader, key, &entry)?);
        for number in concerned {
            lives.entry(number).or_default().push(event.clone());
        }
    }
    Ok(lives)
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
        Kind::Finding if row["what"] == "withdrawn" => format!("finding {} was withdrawn", row["finding"]),
        Kind::Finding => "cited by a finding".to_owned(),
        Kind::Share => {
            let text = |name: &str| row[name].as_str().unwrap_or_default();
            format!("findings that cite it were shared with {} as {}", text("partner"), text("format"))
        }
        Kind::Annotation => {
            format!("findings that cite it were annotated by {}", row["partner"].as_str().unwrap_or_default())
        }
        Kind::Export => format!("left in {}", row["label"].as_str().unwrap_or_default()),
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
