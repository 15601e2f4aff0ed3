//! What leaves for a court: a BagIt folder with an open layer that anyone in the proceedings may read, a sealed
//! layer for fewer, and what shows that both are what was logged.
//!
//! One way through: [`plan`] says what goes in and counts the whole case, [`pieces`] writes each exhibit's open
//! layer and copies its sealed one, [`papers`] writes the lists, [`guide`] how to check them; [`make`] calls them
//! in that order and seals the folder last. Until then it is called `NAME.part`, and the same command goes on
//! where it was stopped.

mod case;
mod guide;
mod papers;
mod pieces;
pub mod plan;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vigie_export::bag;
use vigie_store::{Kind, Reader, Store, WorkstationKey};

use crate::act::{ActEntry, Actor};
use crate::error::{Failing, Problem};
use crate::identities::Identities;
use crate::monitor::Monitor;
use crate::parts::{DrawPool, ParsePool};
use crate::rows::{BUNDLE, ExportRow};
use plan::Plan;

/// State of an export that is under way.
const STATE: &str = "export.json";
/// The folder itself while it is made, beside the state.
const BAG: &str = "bundle";

/// What is asked for, and with what.
pub struct Order<'a> {
    /// The open store.
    pub store: &'a Store,
    /// Its reader.
    pub reader: Reader,
    /// Its key.
    pub key: &'a WorkstationKey,
    /// What opens the exhibits.
    pub identities: &'a Identities,
    /// What goes in.
    pub plan: Plan,
    /// Values that must not stand in the open layer.
    pub listed: Vec<String>,
    /// Who opens the sealed layer instead of those to whom the exhibits are sealed; empty for these.
    pub seal_to: Vec<String>,
    /// Without a sealed layer.
    pub open_only: bool,
    /// The folder.
    pub to: PathBuf,
    /// Reads pages.
    pub pages: Arc<ParsePool>,
    /// Draws pages.
    pub pictures: DrawPool,
    /// Hears of progress.
    pub monitor: &'a dyn Monitor,
}

/// What an export came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Its name.
    pub bundle: String,
    /// Entry that says so.
    pub entry: u64,
    /// Where it lies.
    pub folder: String,
    /// Exhibits of the case.
    pub exhibits: usize,
    /// Of these, in it.
    pub disclosed: usize,
    /// Values taken out of the open layer, each place counted.
    pub redactions: usize,
    /// What a reader must know.
    pub notes: Vec<String>,
    /// Another person has to sign before it may leave.
    pub awaits_release: bool,
}

/// An export that was begun: the same command goes on with it.
#[derive(Serialize, Deserialize, PartialEq, Eq, Clone)]
struct State {
    bundle: String,
    entry: u64,
    created: Timestamp,
    exhibits: Vec<u64>,
    sealed: String,
    listed_sha256: String,
}

/// Signs and logs the export, then makes it. What was begun before under the same name goes on, without another
/// entry.
///
/// # Errors
/// The folder exists, the disk is full, an exhibit is damaged, or one that was asked for cannot be opened.
pub fn make(order: &mut Order<'_>, actor: &Actor<'_>, purpose: &str, now: Timestamp) -> Result<Report, Problem> {
    let part = part(&order.to);
    let state = begin(order, actor, purpose, now, &part)?;
    // The head covers the entry of the export itself.
    order.reader = Reader::open(order.store.folder())?.with_key(order.key);
    let folder = part.join(BAG);
    let data = folder.join(bag::DATA);
    let mut secrets = pieces::secrets(order)?;
    pieces::gather(order, &mut secrets)?;
    secrets.prepare();
    let made = pieces::write(order, &state.created, &part, &data, &secrets)?;
    let mut notes: Vec<String> = Vec::new();
    for (number, one) in &made.exhibits {
        notes.extend(one.notes.iter().map(|note| format!("exhibit {number}: {note}")));
    }
    papers::write(order, &data, &secrets, &made, &state.bundle, state.created)?;
    guide::write(order, &data, &state.bundle, state.created)?;
    let awaits_release = order.plan.two_persons;
    let info = information(order, &state, awaits_release);
    let total = made.bytes;
    let mut done = 0;
    bag::seal(&folder, &info, |bytes| {
        done += bytes;
        order.monitor.job("sealing the folder", done.min(total), total);
    })
    .map_err(|error| fault(&order.to, &error))?;
    sync(&folder)?;
    let made_whole = if order.to.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("zip")) {
        let archive = part.join("bundle.zip");
        let name = order.to.file_stem().and_then(|name| name.to_str()).unwrap_or(BAG);
        bag::zip(&folder, name, state.created, &archive).map_err(|error| fault(&order.to, &error))?;
        archive
    } else {
        folder
    };
    fs::rename(&made_whole, &order.to).failing(format!("naming {}", order.to.display()))?;
    fs::remove_dir_all(&part).failing(format!("removing {}, which is no longer needed", part.display()))?;
    order.monitor.finish();
    Ok(Report {
        bundle: state.bundle,
        entry: state.entry,
        folder: order.to.display().to_string(),
        exhibits: order.plan.exhibits.len(),
        disclosed: order.plan.disclosed().count(),
        redactions: made.exhibits.values().map(|one| one.changes.len()).sum(),
        notes,
        awaits_release,
    })
}

/// Where an export lies until it is whole.
pub fn part(to: &Path) -> PathBuf {
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

fn begin(order: &Order<'_>, actor: &Actor<'_>, purpose: &str, now: Timestamp, part: &Path) -> Result<State, Problem> {
    use sha2::{Digest, Sha256};
    let exhibits: Vec<u64> = order.plan.disclosed().collect();
    let listed_sha256 = data_encoding::HEXLOWER.encode(&Sha256::digest(order.listed.join("\n").as_bytes()));
    let sealed = match (order.open_only, order.seal_to.is_empty()) {
        (true, _) => "none".to_owned(),
        (_, true) => "as captured".to_owned(),
        _ => order.seal_to.join(" "),
    };
    let file = part.join(STATE);
    if part.exists() {
        let before: Option<State> = fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let same = before.filter(|before| {
            before.exhibits == exhibits && before.sealed == sealed && before.listed_sha256 == listed_sha256
        });
        return same.ok_or_else(|| {
            Problem::input(format!(
                "{} is left of another export: finish that one with its own options, or remove the folder",
                part.display()
            ))
        });
    }
    let bundle = format!("{}-{}", order.plan.case, now.strftime("%Y%m%dT%H%M%SZ"));
    let own = [
        ("form", BUNDLE.to_owned()),
        ("label", bundle.clone()),
        ("case", order.plan.case.clone()),
        ("exhibits", plan::ranges(&exhibits)),
        ("sealed", sealed.clone()),
    ];
    let act = actor.sign(order.store, Kind::Export, now, purpose, &own)?;
    let row = ExportRow {
        form: BUNDLE.into(),
        label: bundle.clone(),
        act: act.clone(),
        case: order.plan.case.clone(),
        exhibits: exhibits.clone(),
    };
    let private = serde_json::json!({"label": bundle, "exhibits": exhibits});
    // Logged before a byte is made readable.
    let receipt =
        actor.log(order.store, &act, ActEntry { kind: Kind::Export, row: &row, private, state: Vec::new() }, now)?;
    let state = State { bundle, entry: receipt.sequence, created: now, exhibits, sealed, listed_sha256 };
    fs::create_dir_all(part.join(BAG).join(bag::DATA)).failing(format!("making {}", part.display()))?;
    fs::write(&file, serde_json::to_vec(&state).failing("preparing the export")?)
        .failing(format!("writing {}", file.display()))?;
    Ok(state)
}

/// `bag-info.txt` (RFC 8493 section 2.2.2).
fn information(order: &Order<'_>, state: &State, awaits_release: bool) -> Vec<(String, String)> {
    let head = order.reader.size();
    let mut info = vec![
        ("Bagging-Date".to_owned(), state.created.strftime("%Y-%m-%d").to_string()),
        ("External-Identifier".to_owned(), state.bundle.clone()),
        ("External-Description".to_owned(), format!("Evidence of case {}, open and sealed layer", order.plan.case)),
        ("Bag-Software-Agent".to_owned(), format!("vigie {}", env!("CARGO_PKG_VERSION"))),
        ("Vigie-Bundle".to_owned(), "vigie.bundle/1".to_owned()),
        ("Vigie-Log".to_owned(), format!("{} with {head} entries", order.reader.origin())),
    ];
    if awaits_release {
        info.push((
            "Vigie-Release".to_owned(),
            "a second person must sign manifest-sha256.txt: see release.sig".into(),
        ));
    }
    info
}

/// A failure with a file of the export.
pub fn fault(to: &Path, error: &dyn std::fmt::Display) -> Problem {
    Problem::other(format!(
        "making the export {}: {error}; what is done is kept: the same command goes on from there",
        to.display()
    ))
}

/// A file of the export, written whole.
pub fn put(path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let trying = || format!("writing {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).failing(trying())?;
    }
    let mut file = fs::File::create(path).failing(trying())?;
    std::io::Write::write_all(&mut file, bytes).and_then(|()| file.sync_all()).failing(trying())
}

fn sync(folder: &Path) -> Result<(), Problem> {
    fs::File::open(folder).and_then(|folder| folder.sync_all()).failing("writing the export to the disk")
}
