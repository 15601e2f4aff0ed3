//! What others signed: witnesses, time-stamping authorities, onion services, and the person who released it.

use std::collections::BTreeSet;

use data_encoding::{BASE64, HEXLOWER};
use jiff::Timestamp;
use serde_json::Value;
use vigie_log::checkpoint::{CHECKPOINT_BYTES, Checkpoint};
use vigie_log::cosignature::{Cosigned, WitnessKey};
use vigie_onion::{Descriptor, Period};
use vigie_time::{RESPONSE_BYTES, Request, Root, Stamp, pem_certificates};

use crate::bag::{self, SMALL};
use crate::folder::Folder;
use crate::log::{Log, sum};
use crate::report::Report;
use crate::{Known, Unreadable};

const RELEASE: &str = "release.sig";

pub fn check(files: &Folder, log: &Log, known: &Known, now: Timestamp, report: &mut Report) -> Result<(), Unreadable> {
    bound(files, log, report)?;
    witnesses(files, log, known, report)?;
    stamps(files, log, known, report)?;
    descriptors(files, log, report)?;
    release(files, known, now, report)?;
    if files.under("data/given-up/").next().is_some() || log.entries.values().any(|(e, _)| e.kind == "restore-accepted")
    {
        report.amber("given-up", "the store was once put back to an older state under two signatures: data/gaps.jsonl and data/given-up say which entries are missing");
    }
    Ok(())
}

/// Entries of the log name files of these folders by digest: each is there.
fn bound(files: &Folder, log: &Log, report: &mut Report) -> Result<(), Unreadable> {
    for (kind, folder) in
        [("timestamp", "data/time/"), ("witness", "data/witness/"), ("restore-accepted", "data/given-up/")]
    {
        let mut there = BTreeSet::new();
        for name in files.under(folder) {
            there.extend(sum(files, &format!("{folder}{name}"))?);
        }
        for (entry, _) in log.entries.values().filter(|(entry, _)| entry.kind == kind) {
            for (name, digest) in &entry.digests {
                if !there.contains(digest) {
                    report.red(
                        "others.files",
                        format!("entry {} names a file ({name}) that is not in {folder}", entry.sequence),
                    );
                }
            }
        }
    }
    Ok(())
}

/// A head of this log: signed with its key, and with its root at that size.
fn is_of_log(log: &Log, text: &str) -> Result<Checkpoint, String> {
    let verifier = log.verifier.as_ref().ok_or("the log's own head does not hold")?;
    let head = Checkpoint::open(text, verifier).map_err(|error| error.to_string())?;
    if log.roots.get(&head.size) == Some(&head.root) {
        return Ok(head);
    }
    Err("it is a head of another log, or covers entries that are not here".to_owned())
}

fn witnesses(files: &Folder, log: &Log, known: &Known, report: &mut Report) -> Result<(), Unreadable> {
    let (name, folder) = ("witness", "data/witness/");
    let mut travelled = Vec::new();
    for file in files.under(folder).filter(|file| file.ends_with(".vkey")) {
        match files.text(&format!("{folder}{file}"), SMALL)?.as_deref().map(str::trim_end).and_then(WitnessKey::parse) {
            Some(key) => travelled.push(key),
            None => report.red(name, format!("{folder}{file} is not the key of a witness")),
        }
    }
    let mut cosigned: Vec<(u64, u64, WitnessKey)> = Vec::new();
    let all = [&known.witnesses[..], &travelled].concat();
    for file in files.under(folder).filter(|file| file.ends_with(".checkpoint")) {
        let text = files.text(&format!("{folder}{file}"), CHECKPOINT_BYTES as u64)?.unwrap_or_default();
        let judged = is_of_log(log, &text).and_then(|head| {
            let verifier = log.verifier.as_ref().ok_or("no key")?;
            let found = Cosigned::open(&text, verifier, &all).map_err(|error| error.to_string())?;
            Ok((head.size, found.cosignatures))
        });
        match judged {
            Err(why) => report.red(name, format!("{folder}{file}: {why}")),
            Ok((_, found)) if found.is_empty() => {
                report.red(name, format!("{folder}{file} has no cosignature of a witness whose key is here"))
            }
            Ok((size, found)) => cosigned.extend(found.into_iter().map(|one| (size, one.time, one.witness))),
        }
    }
    for witness in &known.witnesses {
        let best = cosigned.iter().filter(|(_, _, key)| key == witness).max_by_key(|(size, time, _)| (*size, *time));
        match best {
            Some((size, time, _)) => report
                .green(name, format!("the witness {} cosigned {size} entries at {}", witness.name(), moment(*time))),
            None => report.amber(name, format!("the witness {} has cosigned no head that is here", witness.name())),
        }
    }
    let given = |key: &WitnessKey| known.witnesses.contains(key);
    let rest: BTreeSet<&str> =
        cosigned.iter().filter(|(_, _, key)| !given(key)).map(|(_, _, key)| key.name()).collect();
    if !rest.is_empty() && known.witnesses.is_empty() {
        let names = rest.into_iter().collect::<Vec<_>>().join(", ");
        report.amber(name, format!("cosignatures of {names} hold under keys that travelled with the bundle: get the key from the witness and give it with --witness"));
    } else if cosigned.is_empty() && known.witnesses.is_empty() {
        report.limit("no witness has cosigned a head of this log that is here");
    }
    Ok(())
}

fn moment(seconds: u64) -> String {
    i64::try_from(seconds).ok().and_then(|at| Timestamp::from_second(at).ok()).map_or("?".into(), |at| at.to_string())
}

fn stamps(files: &Folder, log: &Log, known: &Known, report: &mut Report) -> Result<(), Unreadable> {
    let (name, folder) = ("time", "data/time/");
    let mut travelled = Vec::new();
    for file in files.under(folder).filter(|file| file.starts_with("root-") && file.ends_with(".pem")) {
        match files.small(&format!("{folder}{file}"), SMALL)?.map(|bytes| Root::parse(&bytes)) {
            Some(Ok(root)) => travelled.push(root),
            _ => report.red(name, format!("{folder}{file} is not the certificate of a root")),
        }
    }
    let mut any = false;
    for stem in files.under(folder).filter_map(|file| file.strip_suffix(".tsr")) {
        any = true;
        match stamp(files, log, known, &travelled, &format!("{folder}{stem}"))? {
            Err(why) => report.red(name, format!("the time stamp {stem} is not accepted: {why}")),
            Ok((said, true)) => report.green(name, said),
            Ok((said, false)) => report.amber(
                name,
                format!(
                    "{said}; its root travelled with the bundle: get it from the authority and give it with --tsa-ca"
                ),
            ),
        }
    }
    for head in files.under(folder).filter(|file| file.ends_with(".checkpoint")) {
        let text = files.text(&format!("{folder}{head}"), CHECKPOINT_BYTES as u64)?.unwrap_or_default();
        if let Err(why) = is_of_log(log, &text) {
            report.red(name, format!("{folder}{head}: {why}"));
        }
    }
    if !any {
        report.limit("there is no time stamp of an authority: nothing here but the workstation's clock bounds the time from above");
    }
    Ok(())
}

type Stamped = Result<(String, bool), String>;

fn stamp(files: &Folder, log: &Log, known: &Known, travelled: &[Root], stem: &str) -> Result<Stamped, Unreadable> {
    let response = files.small(&format!("{stem}.tsr"), RESPONSE_BYTES as u64)?;
    let request = files.small(&format!("{stem}.tsq"), SMALL)?;
    let head = files.text(&format!("{stem}.checkpoint"), CHECKPOINT_BYTES as u64)?;
    let chain =
        files.small(&format!("{stem}.pem"), SMALL)?.and_then(|bytes| pem_certificates(&bytes)).unwrap_or_default();
    let (Some(response), Some(request), Some(head)) = (response, request, head) else {
        return Ok(Err("its request, its head or itself is missing".into()));
    };
    let judge = || -> Stamped {
        let request = Request::parse(&request).map_err(|error| error.to_string())?;
        if request.sha256 != crate::fingerprint(&head) {
            return Err("its request is about another file".into());
        }
        let head = is_of_log(log, &head)?;
        let (found, own) = match Stamp::check(&response, &request, &known.roots, &chain) {
            Ok(found) => (found, true),
            Err(_) => (Stamp::check(&response, &request, travelled, &chain).map_err(|error| error.to_string())?, false),
        };
        Ok((format!("{} stamped the log's head of {} entries at {}", found.authority, head.size, found.time), own))
    };
    Ok(judge())
}

fn descriptors(files: &Folder, log: &Log, report: &mut Report) -> Result<(), Unreadable> {
    let (name, folder) = ("descriptors", "data/descriptors/");
    let mut held = 0;
    for file in files.under(folder).filter(|file| file.ends_with(".json")) {
        let bytes = files.small(&format!("{folder}{file}"), SMALL)?.unwrap_or_default();
        let raw = files.small(&format!("{folder}{}", file.replace(".json", ".descriptor")), SMALL)?;
        match descriptor(log, &bytes, raw.as_deref()) {
            Ok(()) => held += 1,
            Err(why) => report.red(name, format!("{folder}{file}: {why}")),
        }
    }
    if held > 0 {
        report.holds(name, format!("{held} descriptors were signed with the onion services' own keys for their day"));
    }
    Ok(())
}

fn descriptor(log: &Log, bytes: &[u8], raw: Option<&[u8]>) -> Result<(), String> {
    let json: Value = serde_json::from_slice(bytes).map_err(|_| "it is not JSON of its form")?;
    let content = &json["content"];
    let text = |name: &str| content[name].as_str().ok_or(format!("it has no {name}"));
    let number = |name: &str| content["period"][name].as_u64().ok_or(format!("its period has no {name}"));
    let entry = json["entry"].as_u64().and_then(|number| log.entries.get(&number));
    if entry.is_none_or(|(entry, _)| entry.kind != "descriptor") {
        return Err("it names no entry of the log that is of its kind".into());
    }
    let document = BASE64.decode(text("descriptor")?.as_bytes()).map_err(|_| "its descriptor is not base64")?;
    if raw != Some(&document[..]) {
        return Err("the descriptor beside it is another".into());
    }
    let short = |value: u64| u32::try_from(value).map_err(|_| "its period is none".to_owned());
    let period = Period {
        number: number("number")?,
        length_minutes: short(number("length_minutes")?)?,
        offset_seconds: short(number("offset_seconds")?)?,
    };
    let at: Timestamp = text("fetched")?.parse().map_err(|_| "it has no time")?;
    let found = Descriptor::parse(&document).map_err(|error| error.to_string())?;
    if found.sha256() != text("sha256")? {
        return Err("it has another digest than it says".into());
    }
    let proof = found.check(text("onion")?, &period, at).map_err(|error| error.to_string())?;
    if HEXLOWER.encode(&proof.blinded_key) != text("blinded_key")? {
        return Err("it names another key of the service".into());
    }
    Ok(())
}

fn release(files: &Folder, known: &Known, now: Timestamp, report: &mut Report) -> Result<(), Unreadable> {
    let name = "release";
    let needed = bag::field(files, "Vigie-Release")?.is_some();
    let Some(signature) = files.small(RELEASE, SMALL)? else {
        if needed {
            report.red(name, "a second person has to sign before it may leave, and nobody has");
        }
        return Ok(());
    };
    let (Some(signers), Some(manifest)) = (&known.signers, files.small(bag::MANIFEST, 64 << 20)?) else {
        report.amber(
            name,
            "a second person signed its release: give the list of allowed signers with --allowed-signers to see who",
        );
        return Ok(());
    };
    match signers.verify("vigie-release", &manifest, &signature, now) {
        Ok(signer) => report.green(name, format!("released by {}", signer.principals.join(", "))),
        Err(error) => report.red(name, format!("the release does not count: {error}")),
    }
    Ok(())
}
