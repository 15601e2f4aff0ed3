//! The list of the case's exhibits against the log, the sealed layer and the list of changes.

use std::collections::{BTreeMap, BTreeSet};

use data_encoding::HEXLOWER;
use serde::Deserialize;
use serde_json::Value;

use crate::Unreadable;
use crate::folder::Folder;
use crate::log::{Log, sum};
use crate::report::Report;

/// Kinds of entries that say what was not recorded.
const GAPS: [&str; 6] = ["failure", "refusal", "erasure", "recovery", "clock-jump", "restore-accepted"];

/// A line of `inventory.jsonl`.
#[derive(Deserialize)]
pub struct Line {
    exhibit: u64,
    entry: u64,
    time: String,
    state: String,
    leaf_sha256: String,
    sealed_sha256: Option<String>,
    sealed_bytes: Option<u64>,
    plaintext_commitment: Option<String>,
    #[serde(default)]
    test_network: bool,
    #[serde(default)]
    pub open_sha256: Option<String>,
    #[serde(default)]
    redactions: Option<u64>,
    #[serde(default)]
    notes: Option<Vec<String>>,
}

/// What the check of the archive needs.
#[derive(Default)]
pub struct Inventory {
    /// Exhibits that are in the bundle.
    pub disclosed: BTreeMap<u64, Line>,
    /// Records in which something was changed: (exhibit, record).
    pub changed: BTreeSet<(u64, String)>,
}

/// Each line of a list as JSON.
fn each<T: serde::de::DeserializeOwned>(
    files: &Folder,
    name: &'static str,
    finding: &'static str,
    report: &mut Report,
    mut one: impl FnMut(T, &mut Report),
) -> Result<(), Unreadable> {
    if !files.has(name) {
        report.red(finding, format!("{name} is missing"));
        return Ok(());
    }
    for (number, line) in (1_u64..).zip(files.lines(name)?) {
        match line.and_then(|line| serde_json::from_str(&line).map_err(|_| "it is not of its form")) {
            Ok(value) => one(value, report),
            Err(why) => report.red(finding, format!("line {number} of {name}: {why}")),
        }
    }
    Ok(())
}

pub fn check(files: &Folder, log: &Log, report: &mut Report) -> Result<Inventory, Unreadable> {
    let name = "inventory";
    let mut all: BTreeMap<u64, Line> = BTreeMap::new();
    let mut test_network = false;
    let mut last = 0;
    each(files, "data/inventory.jsonl", name, report, |line: Line, report| {
        if line.exhibit <= last {
            report.red(name, format!("exhibit {} is listed twice or out of order", line.exhibit));
        }
        last = last.max(line.exhibit);
        test_network |= line.test_network;
        fits(log, &line, report);
        all.insert(line.exhibit, line);
    })?;
    for (entry, _) in log.entries.values() {
        if let Some(number) = entry.exhibit.filter(|number| !all.contains_key(number)) {
            report.red(name, format!("exhibit {number} is in the log and not in the inventory"));
        }
    }
    let mandates: BTreeSet<&str> = log.entries.values().filter_map(|(entry, _)| entry.mandate.as_deref()).collect();
    report.holds(
        name,
        format!(
            "the inventory lists all {} exhibits that the log has under the {} mandates of the case, each as the log has it",
            all.len(),
            mandates.len()
        ),
    );
    each(files, "data/sessions.jsonl", "sessions", report, |line: Value, report| {
        test_network |= line["test_network"] == true;
        told(log, &line, "session-open", "sessions", report);
    })?;
    let mut gaps = BTreeSet::new();
    each(files, "data/gaps.jsonl", "gaps", report, |line: Value, report| {
        let kind = line["kind"].as_str().unwrap_or_default().to_owned();
        gaps.extend(line["entry"].as_u64());
        told(log, &line, &kind, "gaps", report);
    })?;
    for (entry, _) in log.entries.values().filter(|(entry, _)| GAPS.contains(&entry.kind.as_str())) {
        if !gaps.contains(&entry.sequence) {
            report.red(
                "gaps",
                format!(
                    "entry {} says what was not recorded ({}), and gaps.jsonl does not",
                    entry.sequence, entry.kind
                ),
            );
        }
    }
    report.holds("gaps", format!("all {} entries that say what was not recorded are told", gaps.len()));
    each(files, "data/custody.jsonl", "custody", report, |line: Value, report| {
        let entry = line["entry"].as_u64().and_then(|number| log.entries.get(&number));
        // What befell an exhibit under another case's mandate is told too, without the entry's text.
        let other = entry.is_some_and(|(entry, _)| line["kind"] != entry.kind.as_str());
        if other || line["exhibit"].as_u64().is_none_or(|number| !all.contains_key(&number)) {
            report.red(
                "custody",
                format!("a line of custody.jsonl is not of the entry that it names ({})", line["entry"]),
            );
        }
    })?;
    for number in all.iter().filter(|(_, line)| line.state == "disclosed").map(|(number, _)| number) {
        if !files.has(&format!("data/log/proofs/exhibit-{number:06}.tlog-proof")) {
            report.red("log.proofs", format!("the proof of exhibit {number} is missing"));
        }
    }
    table(files, &all, report)?;
    sealed(files, &all, report)?;
    if test_network {
        report.amber(
            "network",
            "TEST NETWORK: recorded on a network that is not the public Tor network; this is no evidence of what a public service showed",
        );
    }
    let changed = changes(files, &all, report)?;
    let disclosed = all.into_iter().filter(|(_, line)| line.state == "disclosed").collect();
    Ok(Inventory { disclosed, changed })
}

/// A line is what the log holds of its exhibit.
fn fits(log: &Log, line: &Line, report: &mut Report) {
    let own = || {
        let (entry, leaf) = log.entries.get(&line.entry)?;
        let (sealed, bytes) = entry.age.as_ref()?;
        let commit = entry.commits.iter().find(|(name, _)| name == "plaintext").map(|(_, sum)| sum);
        let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
        Some(
            entry.exhibit == Some(line.exhibit)
                && HEXLOWER.encode(leaf) == line.leaf_sha256
                && line.sealed_sha256.as_ref() == Some(sealed)
                && line.sealed_bytes == Some(*bytes)
                && line.plaintext_commitment.as_ref() == commit
                && time(&line.time).is_some_and(|at| Some(at) == time(&entry.time)),
        )
    };
    if own() != Some(true) {
        report.red("inventory", format!("the line of exhibit {} is not what the log holds of it", line.exhibit));
    }
    if !matches!(line.state.as_str(), "disclosed" | "not-chosen" | "erased") {
        report.red("inventory", format!("exhibit {} has a state that there is not", line.exhibit));
    }
}

/// A line of a list names an entry of that kind, when its text is here.
fn told(log: &Log, line: &Value, kind: &str, name: &'static str, report: &mut Report) {
    let entry = line["entry"].as_u64().and_then(|number| log.entries.get(&number));
    if entry.is_none_or(|(entry, _)| entry.kind != kind) {
        report.red(name, format!("a line of {name}.jsonl names no entry of its kind ({})", line["entry"]));
    } else if let (Some((entry, _)), Some(session)) = (entry, line["session"].as_str())
        && entry.session.as_deref() != Some(session)
    {
        report.red(name, format!("a line of {name}.jsonl names another session than entry {}", line["entry"]));
    }
}

/// The table for a spreadsheet says the same.
fn table(files: &Folder, all: &BTreeMap<u64, Line>, report: &mut Report) -> Result<(), Unreadable> {
    let name = "data/inventory.csv";
    let text = files.text(name, 256 << 20)?.unwrap_or_default();
    let mut rows = records(&text).into_iter();
    let head = rows.next().unwrap_or_default();
    let place = |column: &str| head.iter().position(|own| own == column);
    let columns = (place("exhibit"), place("state"), place("leaf_sha256"));
    let mut seen = 0;
    let mut same = true;
    for row in rows {
        seen += 1;
        let cell = |at: Option<usize>| at.and_then(|at| row.get(at)).map(String::as_str);
        let line = cell(columns.0).and_then(|number| number.parse().ok()).and_then(|number: u64| all.get(&number));
        same &=
            line.is_some_and(|line| cell(columns.1) == Some(&line.state) && cell(columns.2) == Some(&line.leaf_sha256));
    }
    if !same || seen != all.len() {
        report.red("inventory.table", format!("{name} does not say what inventory.jsonl says"));
    }
    Ok(())
}

/// Records of a table (RFC 4180).
fn records(text: &str) -> Vec<Vec<String>> {
    let (mut all, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' if quoted && rest.peek() == Some(&'"') => cell.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                all.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            other => cell.push(other),
        }
    }
    all
}

/// The sealed layer has the bytes that the log names.
fn sealed(files: &Folder, all: &BTreeMap<u64, Line>, report: &mut Report) -> Result<(), Unreadable> {
    if files.under("data/sealed/").next().is_none() {
        report.limit("there is no sealed layer here: what was taken out of the open one cannot be looked at");
        return Ok(());
    }
    let (mut same, mut other) = (0, 0);
    for (number, line) in all.iter().filter(|(_, line)| line.state == "disclosed") {
        let name = format!("data/sealed/exhibit-{number:06}.age");
        match sum(files, &name)? {
            None => report.red("sealed", format!("{name} is missing")),
            Some(found)
                if Some(&found) == line.sealed_sha256.as_ref()
                    && files.files.get(&name) == line.sealed_bytes.as_ref() =>
            {
                same += 1
            }
            Some(_) => other += 1,
        }
    }
    for name in files.under("data/sealed/") {
        let number = name.strip_prefix("exhibit-").and_then(|rest| rest.strip_suffix(".age")?.parse::<u64>().ok());
        if number.is_some_and(|number| all.get(&number).is_none_or(|line| line.state != "disclosed")) {
            report.red("sealed", format!("data/sealed/{name} is of no exhibit that is said to be here"));
        }
    }
    match (same, other) {
        (0, 0) => {}
        (_, 0) => report.holds("sealed", format!("{same} sealed exhibits are byte for byte those that were logged")),
        (0, _) => report.amber(
            "sealed",
            format!("{other} sealed exhibits were sealed anew for their readers, or changed: what is inside is bound by each entry's commitment, which its recipients can open"),
        ),
        _ => report.red("sealed", format!("{other} sealed exhibits are not those that were logged, while {same} are")),
    }
    Ok(())
}

#[derive(Deserialize)]
struct Change {
    exhibit: u64,
    record: String,
    #[serde(rename = "part")]
    _part: String,
    kind: String,
    #[serde(rename = "marker")]
    _marker: String,
    #[serde(rename = "at")]
    _at: u64,
    #[serde(rename = "bytes")]
    _bytes: u64,
    commitment: String,
}

/// The list of changes is of its form, and as long as the inventory says.
fn changes(
    files: &Folder,
    all: &BTreeMap<u64, Line>,
    report: &mut Report,
) -> Result<BTreeSet<(u64, String)>, Unreadable> {
    let name = "redactions";
    let mut counted: BTreeMap<u64, u64> = BTreeMap::new();
    let mut changed = BTreeSet::new();
    each(files, "data/redactions.jsonl", name, report, |change: Change, report| {
        *counted.entry(change.exhibit).or_default() += 1;
        let known = matches!(change.kind.as_str(), "pseudonym" | "cookie" | "credential" | "listed" | "agent");
        if !known || HEXLOWER.decode(change.commitment.as_bytes()).map(|sum| sum.len()) != Ok(32) {
            report.red(name, format!("a change of exhibit {} is not of its form", change.exhibit));
        }
        // A record that is left out as a whole is named in the exhibit's notes.
        let noted = all
            .get(&change.exhibit)
            .and_then(|line| line.notes.as_ref())
            .is_some_and(|notes| notes.iter().any(|note| note.contains(&change.record)));
        if !noted {
            changed.insert((change.exhibit, change.record));
        }
    })?;
    for (number, line) in all {
        let said = line.redactions.unwrap_or(0);
        if counted.remove(number).unwrap_or(0) != said {
            report
                .red(name, format!("exhibit {number} has another number of changes than the inventory says ({said})"));
        }
    }
    if let Some(number) = counted.keys().next() {
        report.red(name, format!("there are changes of exhibit {number}, which is not in the inventory"));
    }
    Ok(changed)
}
