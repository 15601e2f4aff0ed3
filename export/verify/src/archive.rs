//! The open layer: its archive (WACZ 1.1.1), the archive's own signature, and every record's digest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};

use data_encoding::{BASE64, HEXLOWER};
use p384::ecdsa::signature::hazmat::PrehashVerifier;
use p384::ecdsa::{Signature, VerifyingKey};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Unreadable;
use crate::folder::{Folder, PIECE, digest};
use crate::inventory::Inventory;
use crate::report::Report;
use crate::zip::{self, Member};

/// Where it lies.
const NAME: &str = "data/evidence.wacz";
/// What stands before the point of a P-384 public key (RFC 5480 section 2; SubjectPublicKeyInfo in DER).
const SPKI: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];
/// Longest list of its files, in bytes.
const LIST_BYTES: u64 = 64 << 20;

pub fn check(files: &Folder, inventory: &Inventory, report: &mut Report) -> Result<(), Unreadable> {
    if !files.has(NAME) {
        report.red("archive", format!("{NAME} is missing"));
        return Ok(());
    }
    let mut file = files.open(NAME)?;
    let members = match zip::members(&mut file) {
        Ok(members) => members,
        Err(why) => {
            report.red("archive", format!("{NAME}: {why}"));
            return Ok(());
        }
    };
    if let Err(why) = judged(&mut file, &members, inventory, report) {
        report.red("archive", format!("{NAME}: {why}"));
    }
    Ok(())
}

fn part<'a>(file: &'a mut File, member: &Member) -> std::io::Result<std::io::Take<&'a mut File>> {
    file.seek(SeekFrom::Start(member.at))?;
    Ok(file.take(member.length))
}

fn whole(file: &mut File, members: &[Member], name: &str) -> Result<Vec<u8>, String> {
    let member = members.iter().find(|member| member.name == name && member.length <= LIST_BYTES);
    let member = member.ok_or_else(|| format!("{name} is missing or too long"))?;
    let mut bytes = Vec::new();
    part(file, member).and_then(|mut part| part.read_to_end(&mut bytes)).map_err(|error| error.to_string())?;
    Ok(bytes)
}

fn judged(file: &mut File, members: &[Member], inventory: &Inventory, report: &mut Report) -> Result<(), String> {
    let package = whole(file, members, "datapackage.json")?;
    let digests = whole(file, members, "datapackage-digest.json")?;
    let json = |bytes: &[u8], name: &str| {
        serde_json::from_slice::<Value>(bytes).map_err(|_| format!("{name} is not JSON of its form"))
    };
    let signed = json(&digests, "datapackage-digest.json")?;
    let hash = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&package)));
    if signed["hash"] != hash || signed["signedData"]["hash"] != hash {
        report.red("archive", "the list of the archive's files was changed after it was signed");
    }
    match signature(&signed["signedData"], &hash) {
        Some(true) => report.green(
            "archive.signature",
            "archive and list belong together (signed with a key of the archive's own, which names nobody)",
        ),
        _ => report.red("archive.signature", "the archive's own signature does not hold"),
    }
    let package = json(&package, "datapackage.json")?;
    let resources = package["resources"].as_array().ok_or("datapackage.json lists no files")?;
    let mut listed: BTreeMap<&str, &Value> = BTreeMap::new();
    for one in resources {
        let path = one["path"].as_str().unwrap_or_default();
        if listed.insert(path, one).is_some() {
            report.red("archive", format!("datapackage.json lists {path} twice"));
        }
    }
    let mut exhibits = BTreeSet::new();
    let mut found = BTreeSet::new();
    let mut records = 0;
    for member in members.iter().filter(|member| !member.name.starts_with("datapackage")) {
        let Some(one) = listed.remove(member.name.as_str()) else {
            report.red("archive", format!("{} is in the archive and in no list", member.name));
            continue;
        };
        let (sum, length) = part(file, member).and_then(digest).map_err(|error| error.to_string())?;
        let sum = HEXLOWER.encode(&sum);
        if one["hash"] != format!("sha256:{sum}") || one["bytes"] != length {
            report.red("archive", format!("{} in the archive was changed after the list was made", member.name));
        }
        let Some(name) = member.name.strip_prefix("archive/") else { continue };
        let number = name.strip_prefix("exhibit-").and_then(|rest| rest.strip_suffix(".warc.gz")?.parse::<u64>().ok());
        let line = number.and_then(|number| Some((number, inventory.disclosed.get(&number)?)));
        let Some((number, line)) = line else {
            report.red("archive", format!("{} is of no exhibit that is said to be here", member.name));
            continue;
        };
        exhibits.insert(number);
        if line.open_sha256.as_ref() != Some(&sum) {
            report
                .red("archive", format!("the open layer of exhibit {number} is not the one that the inventory names"));
        }
        let source = part(file, member).map_err(|error| error.to_string())?;
        let judged = vigie_warc::check_each(BufReader::with_capacity(PIECE, source), |check| {
            records += 1;
            for fault in &check.findings {
                report.red("records", format!("exhibit {number}, record {}: {fault}", check.id));
            }
            let key = (number, check.id);
            if inventory.changed.contains(&key) {
                found.insert(key);
            }
        });
        if let Err(error) = judged {
            report.red("records", format!("exhibit {number}: {error}"));
        }
    }
    for path in listed.keys() {
        report.red("archive", format!("{path} is listed in datapackage.json and not in the archive"));
    }
    for number in inventory.disclosed.keys().filter(|number| !exhibits.contains(number)) {
        report.red("archive", format!("the open layer of exhibit {number} is missing"));
    }
    report
        .holds("archive", format!("the open layers of {} exhibits are those that the inventory names", exhibits.len()));
    report.holds("records", format!("{records} records have the digests that they claim"));
    for (number, record) in inventory.changed.difference(&found) {
        report.red("redactions", format!("a change names the record {record} of exhibit {number}, which is not there"));
    }
    report.holds(
        "redactions",
        format!("every change that is listed is of a record that is there ({} records)", found.len()),
    );
    Ok(())
}

/// Of the form that WACZ's signing note calls anonymous.
fn signature(signed: &Value, hash: &str) -> Option<bool> {
    let bytes = |name: &str| BASE64.decode(signed[name].as_str()?.as_bytes()).ok();
    let key = VerifyingKey::from_sec1_bytes(bytes("publicKey")?.strip_prefix(&SPKI)?).ok()?;
    let signature = Signature::from_slice(&bytes("signature")?).ok()?;
    Some(key.verify_prehash(&Sha256::digest(hash.as_bytes()), &signature).is_ok())
}
