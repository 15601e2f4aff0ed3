//! The check of a bundle without Vigie: a program of its own, and a page that a browser opens from the disk. What
//! was done to a bundle, and which check sees it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use serde_json::Value;
use vigie_export::bag;
use vigie_log::checkpoint::{Checkpoint, Verifier};
use vigie_log::proof::Proof;
use vigie_log::tiles::{WIDTH, path};
use vigie_log::tree::{Hash, inclusion_proof, leaf_hash, root_of, subtree};
use vigie_tests::process::Command;

use crate::ensure;
use crate::station::{AS_VERIFY, AS_VIGIE, Outcome};
use crate::time::stamp;
use crate::tsa::Authority;
use crate::witness::Desk;
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "verified::a_bundle_is_sound_and_what_was_done_to_it_is_seen", run: matrix }]
}

/// A bundle with a cosigned head and a time stamp; gives the desk and the authority's root.
fn bundle(world: &World, name: &str) -> Outcome<(Desk, Authority)> {
    let desk = Desk::new(world, name)?;
    let station = &desk.station;
    std::fs::write(station.desk.path("listed.txt"), "nordwind\n")?;
    let run = station.run_once().run()?;
    ensure!(matches!(run.code(), Some(0 | 3)), "{:?} {}", run.code(), run.errors());
    desk.acquainted()?;
    let cosigned = desk.cosigned("1.txt")?;
    desk.import(&cosigned)?.success()?;
    let authority = Authority::new();
    let root = authority.path("root.pem").display().to_string();
    station.vigie(&["timestamp", "trust", &root]).run()?.success()?;
    let answer = stamp(station, &authority, "stamps")?;
    station.vigie(&["timestamp", "import", &answer]).run()?.success()?;
    let fixed = ["export", "--case", "C-2026-004", "--purpose", "file for the prosecutor", "--exhibits", "all"];
    let more = ["--identity", "keys/case.txt", "--redact", "listed.txt", "--to", "bundle"];
    station.vigie(&[&fixed[..], &more].concat()).run()?.success()?;
    Ok((desk, authority))
}

/// What `vigie-verify` says: exit code and report.
fn verify(desk: &Desk, bundle: &Path, more: &[&str]) -> Outcome<(i32, Value)> {
    let command = desk.station.command(&[]).env_remove(AS_VIGIE).env(AS_VERIFY, "1");
    let said = command.arg(bundle).arg("--json").args(more).run()?;
    let report = serde_json::from_slice(&said.stdout).map_err(|error| format!("{error}: {}", said.errors()))?;
    Ok((said.code().unwrap_or(-1), report))
}

fn reds(report: &Value, status: &str) -> Vec<String> {
    let findings = report["findings"].as_array().into_iter().flatten();
    findings.filter(|one| one["status"] == status).map(|one| format!("{}: {}", one["name"], one["said"])).collect()
}

fn copy(from: &Path, to: &Path) -> CaseResult {
    let _ = std::fs::remove_dir_all(to);
    Command::new("cp").arg("-r").arg(from).arg(to).run()?.success()?;
    Ok(())
}

/// Makes both lists anew, as whoever changes a folder would.
fn lists_anew(bundle: &Path) -> CaseResult {
    let info = std::fs::read_to_string(bundle.join("bag-info.txt"))?;
    let kept = info.lines().filter(|line| !line.starts_with("Payload-Oxum")).filter_map(|line| line.split_once(": "));
    let kept: Vec<(String, String)> = kept.map(|(label, value)| (label.to_owned(), value.to_owned())).collect();
    Ok(bag::seal(bundle, &kept, |_| {})?)
}

/// One file of each kind.
fn kinds(bundle: &Path) -> Outcome<Vec<(&'static str, String)>> {
    let first = |folder: &str, end: &str| -> Outcome<String> {
        let mut names: Vec<String> = std::fs::read_dir(bundle.join(folder))?
            .filter_map(|one| one.ok()?.file_name().into_string().ok())
            .filter(|name| name.ends_with(end))
            .collect();
        names.sort();
        Ok(format!("{folder}/{}", names.first().ok_or(format!("no {end} in {folder}"))?))
    };
    let exhibit = |line: &str| serde_json::from_str::<Value>(line).ok()?["entry"].as_u64();
    let inventory = std::fs::read_to_string(bundle.join("data/inventory.jsonl"))?;
    let entry = inventory.lines().next().and_then(exhibit).ok_or("no exhibit")?;
    let mut kinds = vec![
        ("entry of an exhibit", format!("data/log/entries/{entry:08}.entry")),
        ("tile of hashes", first("data/log/tile/0", "").or_else(|_| first("data/log/tile/0/000.p", ""))?),
        ("proof", first("data/log/proofs", "")?),
        ("sealed exhibit", first("data/sealed", ".age")?),
        ("witness's head", first("data/witness", ".checkpoint")?),
        ("witness's key", first("data/witness", ".vkey")?),
        ("time stamp", first("data/time", ".tsr")?),
        ("descriptor", first("data/descriptors", ".json")?),
    ];
    if !bundle.join(&kinds[1].1).is_file() {
        kinds[1].1 = first(&kinds[1].1, "")?;
    }
    for (kind, name) in [
        ("signed head", "data/log/checkpoint"),
        ("head for openssl", "data/log/openssl/head.txt"),
        ("log's key", "data/log/log.vkey"),
        ("inventory", "data/inventory.jsonl"),
        ("inventory, table", "data/inventory.csv"),
        ("redactions", "data/redactions.jsonl"),
        ("gaps", "data/gaps.jsonl"),
        ("sessions", "data/sessions.jsonl"),
        ("custody", "data/custody.jsonl"),
        ("case.jsonld", "data/case.jsonld"),
        ("archive", "data/evidence.wacz"),
        ("VERIFY.txt", "data/VERIFY.txt"),
    ] {
        kinds.push((kind, name.to_owned()));
    }
    Ok(kinds)
}

const DEEDS: [&str; 5] = ["flip", "truncate", "delete", "swap", "reorder"];

/// Does one thing to a file; `false` when it changes nothing.
fn spoil(deed: &str, file: &Path, other: &Path) -> Outcome<bool> {
    let whole = std::fs::read(file)?;
    let changed = match deed {
        "flip" => {
            let mut bytes = whole.clone();
            let middle = bytes.len() / 2;
            if let Some(byte) = bytes.get_mut(middle) {
                *byte ^= 1;
            }
            bytes
        }
        "truncate" => whole[..whole.len() - whole.len().min(2)].to_vec(),
        "delete" => {
            std::fs::remove_file(file)?;
            return Ok(true);
        }
        "swap" => match std::fs::read(other) {
            Ok(bytes) => bytes,
            Err(_) => return Ok(false),
        },
        _ => {
            let Ok(text) = std::str::from_utf8(&whole) else { return Ok(false) };
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines.reverse();
            lines.concat().into_bytes()
        }
    };
    std::fs::write(file, &changed)?;
    Ok(changed != whole)
}

/// Writes the whole log anew under another key, with an exhibit an hour later, and everything that follows from it.
fn forge(bundle: &Path) -> CaseResult {
    let log = bundle.join("data/log");
    let note = std::fs::read_to_string(log.join("checkpoint"))?;
    let mut lines = note.lines();
    let origin = lines.next().ok_or("no origin")?.to_owned();
    let size: u64 = lines.next().ok_or("no size")?.parse()?;
    let key = SigningKey::from_bytes(&[7; 32]);
    let verifier = Verifier::new(&origin, key.verifying_key());
    let vkey = format!("{verifier}\n");
    std::fs::write(log.join("log.vkey"), &vkey)?;
    let sum = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&<sha2::Sha256 as sha2::Digest>::digest(bytes));

    let mut leaves: Vec<Hash> = Vec::new();
    for index in 0..size.div_ceil(WIDTH as u64) {
        let width = (size - index * WIDTH as u64).min(WIDTH as u64) as usize;
        leaves.extend(std::fs::read(log.join(path(Some(0), index, width)))?.as_chunks::<32>().0);
    }
    let mut renamed = BTreeMap::new();
    let mut later = None;
    let mut entries: Vec<PathBuf> = std::fs::read_dir(log.join("entries"))?.flatten().map(|one| one.path()).collect();
    entries.sort();
    for file in entries {
        let mut text = std::fs::read_to_string(&file)?;
        let sequence: usize = file.file_stem().and_then(|name| name.to_str()).ok_or("no name")?.parse()?;
        if sequence == 0 {
            let old = text.lines().find(|line| line.starts_with("digest log-vkey ")).ok_or("no key")?.to_owned();
            text = text.replace(&old, &format!("digest log-vkey {}", sum(vkey.as_bytes())));
        }
        // What others signed is of the true log: the forger leaves it out, and says nothing of it.
        if text.contains("\nkind timestamp\n") || text.contains("\nkind witness\n") {
            let kind = text.lines().nth(2).ok_or("no kind")?.to_owned();
            text = text.replace(&kind, "kind heartbeat");
            text = text.split_inclusive('\n').filter(|line| !line.starts_with("digest ")).collect();
        }
        if later.is_none() && text.contains("\nkind exhibit\n") {
            let time = text.lines().nth(3).ok_or("no time")?.to_owned();
            let forged = format!("{}1Z", &time[..time.len() - 2]);
            later = Some((time.replace("time ", ""), forged.replace("time ", "")));
            text = text.replace(&time, &forged);
        }
        let (old, new) = (leaves[sequence], leaf_hash(text.as_bytes()));
        renamed.insert(data_encoding::HEXLOWER.encode(&old), data_encoding::HEXLOWER.encode(&new));
        leaves[sequence] = new;
        std::fs::write(&file, text)?;
    }
    for (index, part) in leaves.chunks(WIDTH).enumerate() {
        std::fs::write(log.join(path(Some(0), index as u64, part.len())), part.concat())?;
        if part.len() == WIDTH && leaves.len() < WIDTH * WIDTH {
            let above: Vec<Hash> = leaves.chunks_exact(WIDTH).map(root_of).collect();
            std::fs::write(log.join(path(Some(1), 0, above.len())), above.concat())?;
        }
    }
    let head = Checkpoint { origin, size, root: root_of(&leaves) };
    let note = head.sign(&key);
    std::fs::write(log.join("checkpoint"), &note)?;
    std::fs::write(log.join("openssl/head.txt"), head.body())?;
    let packed = note.trim_end().rsplit(' ').next().ok_or("no signature")?;
    std::fs::write(log.join("openssl/head.sig"), &data_encoding::BASE64.decode(packed.as_bytes())?[4..])?;
    let public = key.verifying_key();
    let spki = [&data_encoding::HEXLOWER.decode(b"302a300506032b6570032100")?[..], public.as_bytes()];
    let pem = data_encoding::BASE64.encode(&spki.concat());
    std::fs::write(
        log.join("openssl/log-key.pem"),
        format!("-----BEGIN PUBLIC KEY-----\n{pem}\n-----END PUBLIC KEY-----\n"),
    )?;
    for file in std::fs::read_dir(log.join("proofs"))?.flatten() {
        let mut proof = Proof::parse(&std::fs::read_to_string(file.path())?)?;
        let mut node = |level, index| subtree(&leaves, level, index).ok_or("no node");
        proof.path = inclusion_proof(proof.index, size, &mut node)?.ok_or("no path")?;
        proof.checkpoint.clone_from(&note);
        std::fs::write(file.path(), proof.encode())?;
    }
    let (time, forged) = later.ok_or("no exhibit")?;
    for name in ["inventory.jsonl", "inventory.csv"] {
        let mut text = std::fs::read_to_string(bundle.join("data").join(name))?;
        let trimmed = |time: &str| time.trim_end_matches('Z').trim_end_matches('0').to_owned();
        text = text.replace(&format!("{}Z", trimmed(&time)), &forged).replace(&time, &forged);
        for (old, new) in &renamed {
            text = text.replace(old, new);
        }
        std::fs::write(bundle.join("data").join(name), text)?;
    }
    for folder in ["data/witness", "data/time"] {
        let _ = std::fs::remove_dir_all(bundle.join(folder));
    }
    lists_anew(bundle)
}

/// One line of the table.
struct Seen {
    kind: String,
    deed: String,
    folder: PathBuf,
    program: i32,
    with_fingerprint: i32,
    sums: bool,
    openssl: bool,
    page: String,
}

fn judged(desk: &Desk, folder: &Path, fingerprint: &str, kind: &str, deed: &str) -> Outcome<Seen> {
    let shell = |script: &str| {
        Ok::<_, Box<dyn std::error::Error>>(
            Command::new("sh").args(["-c", script]).dir(folder).run()?.code() == Some(0),
        )
    };
    Ok(Seen {
        kind: kind.to_owned(),
        deed: deed.to_owned(),
        folder: folder.to_owned(),
        program: verify(desk, folder, &[])?.0,
        with_fingerprint: verify(desk, folder, &["--fingerprint", fingerprint])?.0,
        sums: shell("sha256sum --check --quiet --strict tagmanifest-sha256.txt manifest-sha256.txt")?,
        openssl: shell(
            "openssl pkeyutl -verify -pubin -inkey data/log/openssl/log-key.pem -rawin \
             -in data/log/openssl/head.txt -sigfile data/log/openssl/head.sig",
        )?,
        page: "-".into(),
    })
}

/// What the page says of some folders, in a browser without a network; nothing where there is no browser.
fn in_browser(folders: &[(&Path, &str, &str, &str)]) -> Outcome<Option<Vec<String>>> {
    let here = |name: &str| Command::new("sh").args(["-c", &format!("command -v {name}")]).run();
    if here("chromium")?.code() != Some(0) || here("chromedriver")?.code() != Some(0) {
        eprintln!("verified: no chromium and chromedriver here: the page was not opened in a browser");
        return Ok(None);
    }
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verified-browser");
    std::fs::create_dir_all(&home)?;
    let jobs: Vec<Value> = folders
        .iter()
        .map(|(folder, fingerprint, language, picture)| {
            serde_json::json!({"folder": folder, "fingerprint": fingerprint, "language": language, "picture": picture})
        })
        .collect();
    let list = home.join("jobs.json");
    std::fs::write(&list, serde_json::to_vec(&jobs)?)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/browser_check.py");
    let page = folders.first().ok_or("no folder")?.0.join("data/verify.html");
    let run = Command::new("python3").args(["-B", script]).arg(page).arg(&list).arg(&home);
    let said = run.limit(std::time::Duration::from_secs(600)).run()?.success()?;
    Ok(Some(serde_json::from_slice(&said.stdout)?))
}

fn matrix(world: &World) -> CaseResult {
    let (desk, authority) = bundle(world, "verified")?;
    let (elsewhere, _) = bundle(world, "verified-other")?;
    let whole = desk.station.desk.path("bundle");
    let other = elsewhere.station.desk.path("bundle");
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verified");
    let _ = std::fs::remove_dir_all(&kept);
    std::fs::create_dir_all(&kept)?;
    copy(&whole, &kept.join("whole"))?;

    // Whole: nothing is red; what is amber is what nobody gave, and the test network.
    let (code, report) = verify(&desk, &whole, &[])?;
    ensure!(code == 4 && reds(&report, "red").is_empty(), "{code} {:?}", reds(&report, "red"));
    let print = report["fingerprint"].as_str().ok_or("no fingerprint")?.to_owned();
    let root = authority.path("root.pem").display().to_string();
    let given = ["--fingerprint", &print, "--witness", &desk.witness, "--tsa-ca", &root];
    let (code, report) = verify(&desk, &whole, &given)?;
    let left = reds(&report, "amber");
    ensure!(code == 4 && left.len() == 1 && left[0].contains("TEST NETWORK"), "{left:?}");
    // What `vigie checkpoint` prints is what is compared; an older one on paper serves as well.
    let told = desk.station.json(&["checkpoint"])?;
    let theirs = told["fingerprint"].as_str().ok_or("no fingerprint")?.replace(' ', "").to_lowercase();
    ensure!(theirs == print, "{theirs} is printed, {print} is in the bundle");
    let guide = std::fs::read_to_string(whole.join("data/VERIFY.txt"))?;
    ensure!(guide.replace(' ', "").to_lowercase().contains(&print), "{guide}");
    std::fs::write(kept.join("head"), told["checkpoint"].as_str().ok_or("no head")?)?;
    let head = kept.join("head").display().to_string();
    ensure!(reds(&verify(&desk, &whole, &["--head", &head])?.1, "red").is_empty(), "the head is refused");
    let (code, report) = verify(&desk, &other, &["--head", &head])?;
    ensure!(code == 5 && reds(&report, "red").iter().any(|one| one.contains("log.head")), "another's log is accepted");

    let mut table = Vec::new();
    let place = kept.join("spoilt");
    for (kind, name) in kinds(&whole)? {
        for deed in DEEDS {
            for anew in [false, true] {
                copy(&whole, &place)?;
                if !spoil(deed, &place.join(&name), &other.join(&name))? {
                    continue;
                }
                if anew {
                    lists_anew(&place)?;
                }
                let deed = if anew { format!("{deed}, lists anew") } else { deed.to_owned() };
                let mut seen = judged(&desk, &place, &print, kind, &deed)?;
                // The page is shown one deed of each kind, with and without new lists.
                if deed.starts_with("flip") {
                    seen.folder = kept.join(format!("{}-{anew}", kind.replace(' ', "-")));
                    copy(&place, &seen.folder)?;
                }
                table.push(seen);
            }
        }
    }
    let forged = kept.join("forged");
    copy(&whole, &forged)?;
    forge(&forged)?;
    table.push(judged(&desk, &forged, &print, "whole log", "another key, lists anew")?);

    let mut jobs: Vec<(&Path, &str, &str, &str)> = vec![
        (&whole, print.as_str(), "en", "whole-en"),
        (&whole, "", "fr", "whole-fr"),
        (&forged, print.as_str(), "fr", "forged-fr"),
        (&forged, "", "nl", "forged-nl"),
        (&other, print.as_str(), "en", "other-en"),
        (&other, "", "de", "other-de"),
    ];
    let fixed = jobs.len();
    let shown: Vec<usize> = (0..table.len()).filter(|place| table[*place].deed.starts_with("flip")).collect();
    jobs.extend(shown.iter().map(|place| (table[*place].folder.as_path(), print.as_str(), "en", "")));
    let said = in_browser(&jobs)?;
    if let Some(said) = &said {
        let pages = ["amber", "amber", "red", "amber", "red", "amber"];
        ensure!(said[..fixed] == pages, "the page says {:?}, not {pages:?}", &said[..fixed]);
        for (place, said) in shown.iter().zip(&said[fixed..]) {
            table[*place].page.clone_from(said);
        }
        if let Some(last) = table.last_mut() {
            last.page = format!("{}/{}", said[3], said[2]);
        }
    }
    print_table(&table);
    for seen in &table {
        let anew = seen.deed.contains("anew");
        ensure!(anew || (seen.program == 5 && !seen.sums), "{}: {} is not seen", seen.kind, seen.deed);
        ensure!(anew || matches!(seen.page.as_str(), "-" | "red"), "{}: the page says {}", seen.kind, seen.page);
    }
    // A log that was written anew hangs together; what reached the reader by another way shows it.
    let last = table.last().ok_or("no table")?;
    ensure!(
        last.sums && last.openssl && last.program == 4 && last.with_fingerprint == 5,
        "the forged log: {}",
        last.program
    );
    // With new lists nothing but the log's own proof can show it: of every kind that the log binds, it does.
    let unbound = [
        "custody",
        "case.jsonld",
        "VERIFY.txt",
        "sessions",
        "redactions",
        "gaps",
        "inventory, table",
        "sealed exhibit",
    ];
    // Nor can a descriptor that was taken away: not every one of the log is of an exhibit that is shown. Another that
    // the same service signed for the same period is as good; the sealed layer alone opens which one was logged.
    let gone =
        |seen: &Seen| seen.kind == "descriptor" && ["delete", "swap"].iter().any(|deed| seen.deed.starts_with(deed));
    let told = |seen: &Seen| !unbound.contains(&seen.kind.as_str()) || seen.deed.starts_with("delete");
    for seen in table.iter().filter(|seen| seen.deed.contains("anew") && told(seen)) {
        ensure!(seen.with_fingerprint == 5 || gone(seen), "{}: {} is not seen", seen.kind, seen.deed);
    }
    Ok(())
}

fn print_table(table: &[Seen]) {
    let word = |code: i32| match code {
        0 => "green",
        4 => "amber",
        5 => "RED",
        _ => "?",
    };
    let mut text = String::from(
        "| file | what was done | vigie-verify | with fingerprint | verify.html | sha256sum | openssl (head) |\n|---|---|---|---|---|---|---|\n",
    );
    for seen in table {
        let caught = |holds: bool| if holds { "-" } else { "caught" };
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {} | {} |\n",
            seen.kind,
            seen.deed,
            word(seen.program),
            word(seen.with_fingerprint),
            seen.page,
            caught(seen.sums),
            caught(seen.openssl)
        ));
    }
    eprintln!("{text}");
    let _ = std::fs::write(Path::new(env!("CARGO_TARGET_TMPDIR")).join("verified-matrix.md"), text);
}
