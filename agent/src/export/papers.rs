//! The lists of an export: the whole case's inventory, custody, what failed or was refused, who acted under what,
//! and the log's own proof of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use serde_json::{Value, json};
use vigie_export::Secrets;
use vigie_log::tiles::Tiler;
use vigie_store::checkpoint::Verifier;
use vigie_store::{Entry, Kind, log};

use super::pieces::{self, Pieces};
use super::plan::Shown;
use super::{Order, case, put};
use crate::act;
use crate::custody;
use crate::error::{Failing, Problem};

/// What an entry of an Ed25519 public key begins with (RFC 8410 section 4; SubjectPublicKeyInfo in DER).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// Kinds of entries that say what was not recorded, or no longer is.
const GAPS: [Kind; 6] =
    [Kind::Failure, Kind::Refusal, Kind::Erasure, Kind::Recovery, Kind::ClockJump, Kind::RestoreAccepted];
/// Lines of the statement of a session that an export tells.
const TOLD: [&str; 11] = [
    "time",
    "mandate",
    "case",
    "agent",
    "purpose",
    "software",
    "configuration",
    "authorities",
    "consensus",
    "consensus-valid-after",
    "tls-roots",
];

/// Writes all of them under `data/`.
///
/// # Errors
/// The log or a row is damaged; the disk is full.
pub fn write(
    order: &Order<'_>,
    data: &Path,
    secrets: &Secrets,
    pieces: &Pieces,
    bundle: &str,
    created: Timestamp,
) -> Result<(), Problem> {
    let listing = |lines: &[Value]| {
        let text: String = lines.iter().map(|line| format!("{}\n", secrets.redact_text(&line.to_string()))).collect();
        text.into_bytes()
    };
    let inventory = inventory(order, pieces);
    put(&data.join("inventory.jsonl"), &listing(&inventory))?;
    put(&data.join("inventory.csv"), secrets.redact_text(&table(&inventory)).as_bytes())?;
    let changes: Vec<Value> =
        pieces.exhibits.values().flat_map(|one| &one.changes).map(|change| json!(change)).collect();
    // A change names no value; it stays as it is.
    let text: String = changes.iter().map(|line| format!("{line}\n")).collect();
    put(&data.join("redactions.jsonl"), text.as_bytes())?;
    custody_files(order, data, secrets)?;
    let (sessions, gaps) = sessions_and_gaps(order)?;
    put(&data.join("sessions.jsonl"), &listing(&sessions))?;
    put(&data.join("gaps.jsonl"), &listing(&gaps))?;
    mandates(order, data, secrets)?;
    log_files(order, data)?;
    descriptors(order, data)?;
    let case = case::document(order, pieces, bundle, created);
    put(
        &data.join("case.jsonld"),
        secrets.redact_text(&serde_json::to_string_pretty(&case).failing("writing CASE")?).as_bytes(),
    )
}

/// Every exhibit of the case, in it or not.
fn inventory(order: &Order<'_>, pieces: &Pieces) -> Vec<Value> {
    let commitment = |entry: &Entry, name: &str| {
        entry.commitments.iter().find(|(own, _)| own == name).map(|(_, sum)| HEXLOWER.encode(sum))
    };
    order
        .plan
        .exhibits
        .values()
        .map(|exhibit| {
            let (entry, row) = (&exhibit.entry, &exhibit.row);
            let age = entry.age.as_ref();
            let mut line = json!({
                "exhibit": exhibit.number,
                "entry": entry.sequence,
                "time": entry.stamp.wall.to_string(),
                "clock": entry.stamp.clock.name(),
                "state": exhibit.shown,
                "leaf_sha256": HEXLOWER.encode(&entry.leaf_hash()),
                "sealed_sha256": age.map(|age| HEXLOWER.encode(&age.sha256)),
                "sealed_bytes": age.map(|age| age.len),
                "plaintext_commitment": commitment(entry, "plaintext"),
            });
            if exhibit.shown == Shown::Disclosed {
                let one = pieces.exhibits.get(&exhibit.number);
                let page = one.and_then(|one| one.pages.first());
                line["target"] = json!(row.target);
                line["url"] = json!(page.map(|page| &page.url));
                line["title"] = json!(page.map(|page| &page.title));
                line["status"] = json!(row.status);
                line["complete"] = json!(row.complete);
                line["why_incomplete"] = json!(row.why);
                line["test_network"] = json!(row.test_network);
                line["amber"] = json!(row.amber);
                line["obstacle"] = json!(row.obstacle);
                line["exchanges"] = json!(row.exchanges);
                line["open_sha256"] = json!(one.map(|one| &one.sha256));
                line["redactions"] = json!(one.map_or(0, |one| one.changes.len()));
                line["notes"] = json!(one.map(|one| &one.notes));
            }
            line
        })
        .collect()
}

/// The inventory as a table that opens in a spreadsheet (RFC 4180).
fn table(inventory: &[Value]) -> String {
    const COLUMNS: [&str; 11] = [
        "exhibit",
        "entry",
        "time",
        "state",
        "target",
        "url",
        "title",
        "status",
        "complete",
        "sealed_sha256",
        "leaf_sha256",
    ];
    let mut text = COLUMNS.join(",") + "\r\n";
    for line in inventory {
        let cell = |name: &&str| {
            let value = match &line[*name] {
                Value::Null => String::new(),
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            // A cell that begins like a formula is text to whoever opens it.
            let value = if value.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{value}") } else { value };
            if value.contains([',', '"', '\n', '\r']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
        };
        text.push_str(&(COLUMNS.iter().map(cell).collect::<Vec<_>>().join(",") + "\r\n"));
    }
    text
}

/// What happened to each exhibit that is in it, as lines and as a table to read.
fn custody_files(order: &Order<'_>, data: &Path, secrets: &Secrets) -> Result<(), Problem> {
    let disclosed: Vec<Entry> = order
        .plan
        .disclosed()
        .filter_map(|number| order.plan.exhibits.get(&number))
        .map(|one| one.entry.clone())
        .collect();
    let lives = custody::lives(&order.reader, order.key, &disclosed)?;
    let (mut lines, mut text) = (String::new(), String::new());
    for (number, events) in &lives {
        text.push_str(&format!("Exhibit {number}\n"));
        for event in events {
            // The key of the agent is in the sealed layer.
            let what = if event.kind == Kind::SessionOpen.name() { "session begun" } else { &event.what };
            let line = json!({"exhibit": number, "entry": event.entry, "time": event.time, "kind": event.kind,
                "agent": event.agent, "what": what, "why": event.purpose});
            lines.push_str(&format!("{line}\n"));
            let agent = event.agent.as_deref().unwrap_or("-");
            let why = event.purpose.as_deref().unwrap_or("");
            let time = event.time.get(..19).unwrap_or(&event.time);
            text.push_str(&format!(
                "  {time}Z  entry {:<6} {:<14} {agent:<10} {what}  {why}\n",
                event.entry, event.kind
            ));
        }
        text.push('\n');
    }
    put(&data.join("custody.jsonl"), secrets.redact_text(&lines).as_bytes())?;
    put(&data.join("custody.txt"), secrets.redact_text(&text).as_bytes())
}

/// The sessions of the exhibits that are in it, and what the case's other entries say was not recorded.
fn sessions_and_gaps(order: &Order<'_>) -> Result<(Vec<Value>, Vec<Value>), Problem> {
    let shown: BTreeSet<[u8; 16]> =
        order.plan.disclosed().filter_map(|number| order.plan.exhibits[&number].entry.session).collect();
    let (mut sessions, mut gaps) = (Vec::new(), Vec::new());
    for entry in order.reader.entries()? {
        let entry = entry?;
        let own = order.plan.holds(&entry);
        if entry.kind == Kind::SessionOpen && entry.session.is_some_and(|session| shown.contains(&session)) {
            let row = custody::row(&order.reader, order.key, &entry)?;
            let statement = row["act"]["statement"].as_str().unwrap_or_default();
            let mut line = json!({"entry": entry.sequence, "session": entry.session.map(|id| HEXLOWER.encode(&id)),
                "test_network": row["test_network"]});
            for name in TOLD {
                line[name.replace('-', "_")] = json!(act::line(statement, name));
            }
            sessions.push(line);
        }
        // Without a mandate they are of the workstation, and so of every case.
        if GAPS.contains(&entry.kind) && (own || entry.mandate.is_none()) {
            let row = custody::row(&order.reader, order.key, &entry)?;
            let keep = [
                "target",
                "code",
                "line",
                "kind",
                "detail",
                "attempt",
                "count",
                "verdict",
                "why",
                "form",
                "moved_ms",
                "adopted",
                "torn_bytes",
                "reason",
                "size",
            ];
            let said: BTreeMap<&str, &Value> =
                keep.iter().filter(|name| !row[**name].is_null()).map(|name| (*name, &row[*name])).collect();
            gaps.push(json!({"entry": entry.sequence, "time": entry.stamp.wall.to_string(), "kind": entry.kind.name(),
                "said": said}));
        }
    }
    Ok((sessions, gaps))
}

/// Each mandate of the case: readable without what must not be told, and whole in the sealed layer.
fn mandates(order: &Order<'_>, data: &Path, secrets: &Secrets) -> Result<(), Problem> {
    for (_, row) in crate::mandates::all(order.store)? {
        let Some(mandate) = order.plan.mandates.iter().find(|mandate| mandate.id() == row.id) else { continue };
        let text = secrets.redact_text(&row.document);
        put(&data.join(format!("mandates/{}.toml", mandate.id())), text.as_bytes())?;
        if !order.open_only {
            let sealed = data.join("sealed");
            pieces::put_sealed(
                order,
                &sealed.join(format!("mandate-{}.toml.age", mandate.id())),
                row.document.as_bytes(),
            )?;
            pieces::put_sealed(
                order,
                &sealed.join(format!("mandate-{}.toml.sig.age", mandate.id())),
                row.signature.as_bytes(),
            )?;
        }
    }
    Ok(())
}

/// The log: its head, the hashes of all entries, the text of those of the case, a proof for each exhibit, and
/// what witnesses and time-stamping authorities signed.
fn log_files(order: &Order<'_>, data: &Path) -> Result<(), Problem> {
    let (reader, folder) = (&order.reader, data.join("log"));
    put(&folder.join("checkpoint"), reader.checkpoint().as_bytes())?;
    put(&folder.join("log.vkey"), format!("{}\n", reader.verifier_key().trim_end()).as_bytes())?;
    for_openssl(reader.checkpoint(), &reader.verifier_key(), &folder)?;
    let mut tiler = Tiler::default();
    let total = reader.size();
    let keep = |path: &str| !path.starts_with("tile/entries/");
    for entry in reader.entries()? {
        let entry = entry?;
        let bytes = entry.encode();
        if entry.mandate.is_none() || order.plan.holds(&entry) {
            put(&folder.join(format!("entries/{:08}.entry", entry.sequence)), &bytes)?;
        }
        for resource in tiler.push(&bytes).failing("cutting the log into tiles")? {
            if keep(&resource.path) {
                put(&folder.join(&resource.path), &resource.bytes)?;
            }
        }
        if entry.sequence % 256 == 0 {
            order.monitor.job("writing the log", entry.sequence, total);
        }
    }
    let (rest, tree) = tiler.finish();
    for resource in rest.iter().filter(|resource| keep(&resource.path)) {
        put(&folder.join(&resource.path), &resource.bytes)?;
    }
    if tree.root() != reader.root() {
        return Err(Problem::unsound("the log's entries do not make up its signed head: run vigie verify"));
    }
    let verifier =
        Verifier::parse(&reader.verifier_key()).ok_or_else(|| Problem::unsound("the log's key is damaged"))?;
    let witnesses = reader.witnessed()?.witnesses;
    for number in order.plan.disclosed() {
        let sequence = order.plan.exhibits[&number].entry.sequence;
        let proof = reader.proof(sequence)?;
        // A proof that does not hold must not leave the store.
        proof
            .verify(&log::leaf_hash(&reader.entry_bytes(sequence)?), &verifier, &witnesses)
            .map_err(|e| Problem::unsound(format!("{e}: run vigie verify")))?;
        put(&folder.join(format!("proofs/exhibit-{number:06}.tlog-proof")), proof.encode().as_bytes())?;
    }
    for (from, to) in [("timestamps", "time"), ("witness", "witness"), ("given-up", "given-up")] {
        copy_folder(&order.store.folder().join(from), &data.join(to))?;
    }
    Ok(())
}

/// The head in the three files that `openssl pkeyutl` asks for.
fn for_openssl(checkpoint: &str, vkey: &str, folder: &Path) -> Result<(), Problem> {
    let damaged = || Problem::unsound("the log's head or key is damaged: run vigie verify");
    let (body, signatures) = checkpoint.split_once("\n\n").ok_or_else(damaged)?;
    let signature = signatures.lines().next().and_then(|line| line.rsplit(' ').next()).ok_or_else(damaged)?;
    let signature = BASE64.decode(signature.as_bytes()).map_err(|_| damaged())?;
    let key = vkey.trim_end().splitn(3, '+').nth(2).ok_or_else(damaged)?;
    let key = BASE64.decode(key.as_bytes()).map_err(|_| damaged())?;
    // Four bytes name the key (C2SP signed-note), one its algorithm.
    let (signature, key) = (signature.get(4..).ok_or_else(damaged)?, key.get(1..).ok_or_else(damaged)?);
    let der = BASE64.encode(&[&ED25519_SPKI[..], key].concat());
    put(&folder.join("openssl/head.txt"), format!("{body}\n").as_bytes())?;
    put(&folder.join("openssl/head.sig"), signature)?;
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
    put(&folder.join("openssl/log-key.pem"), pem.as_bytes())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), Problem> {
    let Ok(files) = std::fs::read_dir(from) else { return Ok(()) };
    for file in files {
        let path = file.failing(format!("listing {}", from.display()))?.path();
        if let (true, Some(name)) = (path.is_file(), path.file_name()) {
            put(&to.join(name), &std::fs::read(&path).failing(format!("reading {}", path.display()))?)?;
        }
    }
    Ok(())
}

/// Signed descriptors of the onion services behind the exhibits, with the check that needs nothing of ours.
fn descriptors(order: &Order<'_>, data: &Path) -> Result<(), Problem> {
    let shown: BTreeSet<([u8; 16], &str)> = order
        .plan
        .disclosed()
        .filter_map(|number| {
            let exhibit = &order.plan.exhibits[&number];
            Some((exhibit.entry.session?, exhibit.row.target.as_str()))
        })
        .collect();
    let folder = data.join("descriptors");
    let mut any = false;
    for entry in order.reader.entries()? {
        let entry = entry?;
        let (Kind::Descriptor, Some(session)) = (entry.kind, entry.session) else { continue };
        let row = custody::row(&order.reader, order.key, &entry)?;
        let target = row["target"].as_str().unwrap_or_default();
        if row["what"] != "kept" || !shown.contains(&(session, target)) {
            continue;
        }
        let Some(part) = order.reader.open_private(&entry, order.identities)? else { continue };
        let text = part.content["descriptor"].as_str().unwrap_or_default();
        let Ok(descriptor) = BASE64.decode(text.as_bytes()) else { continue };
        let name = format!("entry-{:08}", entry.sequence);
        put(&folder.join(format!("{name}.descriptor")), &descriptor)?;
        // As the check reads it.
        let content = json!({"entry": entry.sequence, "content": part.content});
        put(&folder.join(format!("{name}.json")), format!("{content}\n").as_bytes())?;
        any = true;
    }
    if any {
        put(&folder.join("check_descriptor.py"), vigie_onion::CHECK_SCRIPT.as_bytes())?;
    }
    Ok(())
}
