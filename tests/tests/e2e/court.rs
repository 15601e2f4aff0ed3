//! What a court receives: judged by tools that are not ours, looked through for what must not leave, spoilt in
//! every way, stopped in the middle.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flate2::read::MultiGzDecoder;
use rustix::process::Signal;
use serde_json::Value;
use sha2::{Digest, Sha256};
use vigie_tests::desk::{PSEUDONYM, Target};
use vigie_tests::process::{Command, Output};

use crate::ensure;
use crate::machine::{Mounts, PATIENCE, one_line, until};
use crate::station::{Outcome, PROFILE_PASSPHRASE, STORE_PASSPHRASE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "court::stock_tools_accept_a_bundle_and_nothing_secret_is_in_it", run: whole },
        Case { name: "court::what_cannot_be_exported_is_refused_in_one_line", run: refused },
        Case { name: "court::an_export_that_was_killed_goes_on", run: killed },
        Case { name: "court::a_disk_that_is_full_costs_nothing", run: full },
        Case { name: "court::a_picture_of_a_changed_page_is_drawn_again", run: drawn_again },
        Case { name: "court::a_second_person_releases_it", run: released },
    ]
}

const CASE_ID: &str = "C-2026-004";
/// A vendor of the sample market, on the redaction list.
const LISTED: &str = "nordwind";
const JUDGES: [&str; 5] = ["warcio==1.8.1", "cdxj-indexer==1.5.0", "wacz==0.6.0", "bagit==1.9.0", "case-utils==0.18.0"];

/// Where the judges' programs lie; they are fetched once for a target directory.
fn judges() -> Option<PathBuf> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    MADE.get_or_init(|| {
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("judges-2");
        let bin = home.join("bin");
        if bin.join("case_validate").exists() {
            return Some(bin);
        }
        // Scripts in it name their Python by its path, so it is made where it stays.
        let _ = std::fs::remove_dir_all(&home);
        let run = |command: Command| command.run().and_then(Output::success).is_ok();
        let venv = run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let pip = Command::new(bin.join("python")).args(["-m", "pip", "install", "--quiet"]).args(JUDGES);
        let ready = venv && run(pip.limit(std::time::Duration::from_secs(600)));
        if ready {
            return Some(bin);
        }
        let _ = std::fs::remove_dir_all(&home);
        None
    })
    .clone()
}

/// A station with what a run over a market gave.
fn recorded(world: &World, name: &str) -> Outcome<Station> {
    let station = Station::quick(world, name, &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let run = station.run_once().run()?;
    ensure_code(&run, &[0, 3])?;
    Ok(station)
}

fn ensure_code(output: &Output, codes: &[i32]) -> CaseResult {
    ensure!(output.code().is_some_and(|code| codes.contains(&code)), "{:?} {}", output.code(), output.errors());
    Ok(())
}

fn export(station: &Station, more: &[&str]) -> Command {
    let fixed = ["export", "--case", CASE_ID, "--purpose", "file for the prosecutor"];
    station.vigie(&[&fixed[..], more].concat())
}

/// Runs a shell script in a bundle.
fn shell(bundle: &Path, script: &str) -> Outcome<Output> {
    Ok(Command::new("sh").args(["-c", script]).dir(bundle).run()?)
}

fn whole(world: &World) -> CaseResult {
    let station = recorded(world, "court")?;
    std::fs::write(station.desk.path("listed.txt"), format!("{LISTED}\n"))?;
    let all = station.seen()?.len();
    let preview: Value = serde_json::from_slice(
        &export(&station, &["--exhibits", "1-3", "--dry-run", "--json"]).run()?.success()?.stdout,
    )?;
    ensure!(preview["disclosed"] == "1-3" && preview["exhibits"] == all, "{preview}");
    ensure!(station.log("export")?.is_empty(), "a dry run is an entry");

    let args =
        ["--exhibits", "all", "--identity", "keys/case.txt", "--redact", "listed.txt", "--to", "bundle", "--json"];
    let report: Value = serde_json::from_slice(&export(&station, &args).run()?.success()?.stdout)?;
    ensure!(report["disclosed"] == all && report["redactions"].as_u64() > Some(0), "{report}");
    let bundle = station.desk.path("bundle");
    ensure!(!station.desk.path("bundle.part").exists(), "something was left beside the bundle");
    stock(&bundle)?;
    let inventory = lines(&bundle.join("data/inventory.jsonl"))?;
    ensure!(inventory.len() == all, "{} of {all} exhibits in the inventory", inventory.len());
    sealed_is_what_was_logged(&station, &bundle, &inventory)?;
    nothing_secret(&station, &bundle)?;
    spoilt(&bundle)?;
    // The log tells of it, the custody of each exhibit too, and the copy is outstanding.
    ensure!(station.log("export")?.len() == 1, "{:?}", station.log("export")?);
    ensure!(station.json(&["custody", "1"])?.to_string().contains("left in C-2026-004-"), "custody says nothing");
    ensure!(station.json(&["retention", "list"])?.to_string().contains("copy:"), "the copy is not tracked");
    station.sound()?;

    // The same as one file, which unpacks to a sound bag.
    let args = ["--exhibits", "1", "--identity", "keys/case.txt", "--open-only", "--to", "one.zip"];
    export(&station, &args).run()?.success()?;
    let script = "python3 -m zipfile -e one.zip zipped && cd zipped/one && sha256sum --check --quiet manifest-sha256.txt \
                  && sha256sum --check --quiet tagmanifest-sha256.txt && ls -a ../..";
    let left = shell(station.desk.dir(), script)?.success()?;
    ensure!(!left.text().contains("one.zip.part"), "something was left beside it: {}", left.text());

    // A part of the case: the rest is counted, and not told.
    let args = ["--exhibits", "2", "--identity", "keys/case.txt", "--open-only", "--to", "part"];
    export(&station, &args).run()?.success()?;
    let part = lines(&station.desk.path("part/data/inventory.jsonl"))?;
    ensure!(part.len() == all, "{} of {all}", part.len());
    let other = part.iter().find(|line| line["exhibit"] == 1).ok_or("exhibit 1 is not counted")?;
    ensure!(other["state"] == "not-chosen" && other["url"].is_null() && other["leaf_sha256"].is_string(), "{other}");
    ensure!(!station.desk.path("part/data/sealed").exists(), "a sealed layer");
    Ok(())
}

fn lines(path: &Path) -> Outcome<Vec<Value>> {
    let text = std::fs::read_to_string(path)?;
    Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
}

/// What VERIFY.txt says, typed as it stands there, and the judges of each format.
fn stock(bundle: &Path) -> CaseResult {
    let guide = std::fs::read_to_string(bundle.join("data/VERIFY.txt"))?;
    let quiet = shell(bundle, "sha256sum --check --quiet tagmanifest-sha256.txt manifest-sha256.txt")?.success()?;
    ensure!(quiet.text().is_empty(), "{}", quiet.text());
    let head = "openssl pkeyutl -verify -pubin -inkey data/log/openssl/log-key.pem -rawin \
                -in data/log/openssl/head.txt -sigfile data/log/openssl/head.sig";
    ensure!(shell(bundle, head)?.success()?.text().contains("Verified Successfully"), "the head does not verify");
    // Every command with a printed result that needs no key.
    let mut typed = 0;
    let mut rest = guide.lines().peekable();
    while let Some(line) = rest.next() {
        let Some(command) = line.trim().strip_prefix("$ ").filter(|command| command.contains("sha256sum")) else {
            continue;
        };
        let Some(prints) = rest.peek().and_then(|next| next.trim().strip_prefix("must print: ")) else { continue };
        let said = shell(bundle, command)?.success()?.text();
        ensure!(said.trim() == prints || (prints == "nothing" && said.is_empty()), "{command}: {said}, not {prints}");
        typed += 1;
    }
    ensure!(typed >= 4, "{typed} commands of VERIFY.txt were typed:\n{guide}");
    let descriptors = "python3 data/descriptors/check_descriptor.py data/descriptors/entry-*.json";
    ensure!(guide.contains(descriptors), "the guide has no check of descriptors");
    let Some(bin) = judges() else {
        eprintln!("court: no python3 with venv and pip here: the Python judges were not asked");
        return Ok(());
    };
    let judge = |name: &str, args: &[&str]| Command::new(bin.join(name)).args(args).dir(bundle).run();
    judge("bagit.py", &["--validate", "--quiet", "."])?.success()?;
    let valid = judge("wacz", &["validate", "-f", "data/evidence.wacz"])?.success()?;
    ensure!(valid.text().contains("Validation succeeded"), "{}{}", valid.text(), valid.errors());
    let case = judge("case_validate", &["data/case.jsonld"])?;
    ensure!(case.text().contains("Conforms: True"), "{}{}", case.text(), case.errors());
    let files = unpacked(bundle)?;
    let warcs = files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "gz"));
    for path in warcs.filter(|path| path.to_string_lossy().contains("archive")) {
        let path = path.to_str().ok_or("a path that is no UTF-8")?;
        judge("warcio", &["check", path])?.success()?;
    }
    Ok(())
}

/// Unpacks the archive beside the bundle; gives its files.
fn unpacked(bundle: &Path) -> Outcome<Vec<PathBuf>> {
    let to = bundle.with_extension("unpacked");
    if !to.exists() {
        let archive = bundle.join("data/evidence.wacz");
        Command::new("python3").args(["-m", "zipfile", "-e"]).arg(&archive).arg(&to).run()?.success()?;
    }
    let mut files = Vec::new();
    all_files(&to, &mut files)?;
    Ok(files)
}

fn all_files(dir: &Path, files: &mut Vec<PathBuf>) -> CaseResult {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() { all_files(&path, files)? } else { files.push(path) }
    }
    Ok(())
}

fn opened(station: &Station, file: &Path) -> Outcome<Vec<u8>> {
    Ok(Command::new("age")
        .args(["-d", "-i", "keys/case.txt"])
        .arg(file)
        .dir(station.desk.dir())
        .run()?
        .success()?
        .stdout)
}

/// Opens the sealed layer with stock age and holds every commitment against it.
fn sealed_is_what_was_logged(station: &Station, bundle: &Path, inventory: &[Value]) -> CaseResult {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let sealed = bundle.join("data/sealed");
    let redactions = lines(&bundle.join("data/redactions.jsonl"))?;
    let mut held = 0;
    for line in inventory.iter().take(4) {
        let number = line["exhibit"].as_u64().ok_or("no number")?;
        let file = sealed.join(format!("exhibit-{number:06}.age"));
        ensure!(line["sealed_sha256"] == hex(&Sha256::digest(std::fs::read(&file)?)), "{line}");
        let plain = opened(station, &file)?;
        let openings = opened(station, &sealed.join(format!("openings-{number:06}.jsonl.age")))?;
        let openings: Vec<Value> =
            String::from_utf8(openings)?.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let decode = |value: &Value| data_encoding::HEXLOWER.decode(value.as_str().unwrap_or_default().as_bytes());
        let plaintext = openings.iter().find(|one| one["name"] == "plaintext").ok_or("no opening of the plaintext")?;
        let value = data_encoding::BASE64.decode(plaintext["value_base64"].as_str().unwrap_or_default().as_bytes())?;
        ensure!(value == Sha256::digest(&plain).as_slice(), "exhibit {number} is not what was committed to");
        let sum = Sha256::new().chain_update(decode(&plaintext["salt"])?).chain_update(&value).finalize();
        ensure!(line["plaintext_commitment"] == hex(&sum), "{line}");
        let entry = format!("data/log/entries/{:08}.entry", line["entry"].as_u64().ok_or("no entry")?);
        let entry = std::fs::read_to_string(bundle.join(entry))?;
        ensure!(entry.contains(&format!("commit plaintext {}", hex(&sum))), "{entry}");
        for change in redactions.iter().filter(|change| change["exhibit"] == number) {
            let opening = openings.iter().find(|one| one["commitment"] == change["commitment"]).ok_or("no opening")?;
            let value = opening["value"].as_str().ok_or("no value")?;
            let sum = Sha256::new().chain_update(decode(&opening["salt"])?).chain_update(value).finalize();
            ensure!(change["commitment"] == hex(&sum), "{change}");
            held += 1;
        }
    }
    ensure!(held > 0, "no redaction was held against its commitment");
    let mandate = opened(station, &sealed.join("mandate-M-2026-017.toml.age"))?;
    ensure!(mandate == std::fs::read(station.desk.path("mandate.toml"))?, "another mandate");
    Ok(())
}

/// Values of cookies in the exhibits, as the custodian sees them.
fn cookies(station: &Station, bundle: &Path) -> Outcome<BTreeSet<String>> {
    let mut values = BTreeSet::new();
    let mut files = Vec::new();
    all_files(&bundle.join("data/sealed"), &mut files)?;
    for file in files.iter().filter(|file| file.to_string_lossy().contains("exhibit-")) {
        let mut plain = Vec::new();
        MultiGzDecoder::new(&opened(station, file)?[..]).read_to_end(&mut plain)?;
        let text = String::from_utf8_lossy(&plain);
        for line in text.lines().filter(|line| line.to_lowercase().starts_with("set-cookie:")) {
            values.extend(line.split(['=', ';']).nth(1).map(|value| value.trim().to_owned()));
        }
    }
    values.retain(|value| value.len() >= 8);
    Ok(values)
}

/// Looks through every byte of the open layer, packed and unpacked.
fn nothing_secret(station: &Station, bundle: &Path) -> CaseResult {
    let mut words: BTreeSet<String> = cookies(station, bundle)?;
    ensure!(!words.is_empty(), "the sample market sets no cookie: this case shows nothing");
    let agent = std::fs::read_to_string(station.desk.path("keys/agent.pub"))?;
    words.extend(agent.split(' ').nth(1).map(str::to_owned));
    words.extend([PSEUDONYM, LISTED, STORE_PASSPHRASE, PROFILE_PASSPHRASE].map(str::to_owned));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned();
    words.extend(Some(host).filter(|host| host.len() >= 4 && host != "localhost"));
    let mut files = unpacked(bundle)?;
    all_files(bundle, &mut files)?;
    let (mut looked, mut caught) = (0, 0);
    for file in &files {
        let bytes = std::fs::read(file)?;
        let mut plain = Vec::new();
        let packed = bytes.starts_with(&[0x1f, 0x8b]);
        if packed {
            MultiGzDecoder::new(&bytes[..]).read_to_end(&mut plain)?;
        }
        let both = format!("{}{}", String::from_utf8_lossy(&bytes), String::from_utf8_lossy(&plain)).to_lowercase();
        let own = file.strip_prefix(bundle).unwrap_or(file).to_string_lossy().to_lowercase();
        // The sealed layer is for its recipients.
        if own.contains("data/sealed/") && own.ends_with(".age") {
            continue;
        }
        looked += 1;
        for word in words.iter().map(|word| word.to_lowercase()) {
            ensure!(!both.contains(&word) && !own.contains(&word), "{own} holds {word}");
        }
        caught += usize::from(both.contains("redacted-"));
    }
    ensure!(looked > 10 && caught > 2, "{looked} files looked through, markers in {caught}");
    // The same look at what is sealed finds the words: it can find them.
    let plain = opened(station, &bundle.join("data/sealed/exhibit-000001.age"))?;
    let mut bytes = Vec::new();
    MultiGzDecoder::new(&plain[..]).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    ensure!(text.contains(PSEUDONYM), "the exhibit itself does not name the pseudonym");
    Ok(())
}

/// Each file flipped, cut short, or taken away: the manifests notice.
fn spoilt(bundle: &Path) -> CaseResult {
    let check = "sha256sum --check --quiet --strict tagmanifest-sha256.txt manifest-sha256.txt";
    let mut files = Vec::new();
    all_files(bundle, &mut files)?;
    files.sort();
    let mut tried = 0;
    // The list of lists is what the others are held against: it is compared on paper.
    for file in files.iter().filter(|file| !file.ends_with("tagmanifest-sha256.txt")).step_by(7) {
        let whole = std::fs::read(file)?;
        for spoil in 0..3 {
            match spoil {
                0 => {
                    let mut flipped = whole.clone();
                    let middle = flipped.len() / 2;
                    flipped[middle] ^= 1;
                    std::fs::write(file, &flipped)?;
                }
                1 => std::fs::write(file, &whole[..whole.len() - 1])?,
                _ => std::fs::remove_file(file)?,
            }
            ensure!(shell(bundle, check)?.code() != Some(0), "{}: spoil {spoil} was not noticed", file.display());
            tried += 1;
        }
        std::fs::write(file, &whole)?;
    }
    ensure!(shell(bundle, check)?.code() == Some(0) && tried > 30, "{tried} tried");
    Ok(())
}

fn refused(world: &World) -> CaseResult {
    let station = recorded(world, "court-refused")?;
    let identity = ["--identity", "keys/case.txt", "--to", "x"];
    let with = |list: &str| export(&station, &[&["--exhibits", list][..], &identity].concat());
    one_line(&with("999").run()?, 2, &["there is no exhibit 999"])?;
    one_line(&with("0").run()?, 2, &["is no exhibit"])?;
    one_line(&with("1-").run()?, 2, &["is no exhibit"])?;
    let other =
        ["export", "--case", "C-9", "--exhibits", "all", "--purpose", "x", "--identity", "keys/case.txt", "--to", "x"];
    one_line(&station.vigie(&other).run()?, 2, &["no case C-9", CASE_ID])?;
    // Somebody else's identity: refused, and the refusal is logged.
    Command::new("age-keygen").args(["-o", "keys/stranger.txt"]).dir(station.desk.dir()).run()?.success()?;
    let stranger = ["--exhibits", "1", "--identity", "keys/stranger.txt", "--to", "x"];
    one_line(&export(&station, &stranger).run()?, 3, &["is not sealed to any of these identities"])?;
    ensure!(station.rows("refusal")?.iter().any(|row| row["code"] == "not-a-recipient"), "not logged");
    // What that left is finished or removed, and nothing was made readable.
    let mut files = Vec::new();
    all_files(&station.desk.path("x.part"), &mut files)?;
    ensure!(files.len() == 1, "{files:?}");
    one_line(&with("2").run()?, 2, &["left of another export"])?;
    std::fs::remove_dir_all(station.desk.path("x.part"))?;
    std::fs::create_dir(station.desk.path("x"))?;
    one_line(&with("2").run()?, 2, &["exists already"])?;
    std::fs::write(station.desk.path("short.txt"), "ab\n")?;
    let short = ["--exhibits", "1", "--identity", "keys/case.txt", "--redact", "short.txt", "--to", "y"];
    one_line(&export(&station, &short).run()?, 2, &["redaction list", "fewer than"])?;
    station.sound()?;
    Ok(())
}

/// A word of the page goes; the picture that showed it goes too, and another is drawn without it.
fn drawn_again(world: &World) -> CaseResult {
    let station = Station::quick(world, "court-drawn", &[crate::pictures::market(world, &["/offer/3"])])?;
    station.with_pictures()?;
    station.run_once().run()?.success()?;
    let made = |to: &str, more: &[&str]| -> Outcome<Vec<(vigie_warc::RecordHead, Vec<u8>)>> {
        let fixed = ["--exhibits", "1", "--identity", "keys/case.txt", "--open-only", "--to", to];
        export(&station, &[&fixed[..], more].concat()).run()?.success()?;
        let files = unpacked(&station.desk.path(to))?;
        let warc =
            files.iter().find(|file| file.to_string_lossy().ends_with("exhibit-000001.warc.gz")).ok_or("no WARC")?;
        crate::pictures::records_of(warc)
    };
    let whole = made("whole", &[])?;
    let title =
        lines(&station.desk.path("whole/data/inventory.jsonl"))?[0]["title"].as_str().unwrap_or_default().to_owned();
    let word = title.split(' ').max_by_key(|word| word.len()).ok_or("no title")?;
    std::fs::write(station.desk.path("word.txt"), word)?;
    let changed = made("changed", &["--redact", "word.txt"])?;
    let text = |records: &[(vigie_warc::RecordHead, Vec<u8>)]| -> String {
        records.iter().map(|(_, block)| String::from_utf8_lossy(block).into_owned()).collect()
    };
    ensure!(text(&whole).contains(word) && !text(&changed).contains(word), "{word} is still there");
    let (before, after) = (crate::pictures::pictures(&whole), crate::pictures::pictures(&changed));
    let ([(urn, one)], [(same, other)]) = (&before[..], &after[..]) else {
        return Err(format!("{} and {} pictures", before.len(), after.len()).into());
    };
    ensure!(urn == same && one != other && other.starts_with(b"\x89PNG"), "{urn} {same}");
    let marked = |records: &[(vigie_warc::RecordHead, Vec<u8>)]| {
        records.iter().any(|(head, _)| head.field("Vigie-Open-Layer").is_some_and(|said| said.contains("drawn again")))
    };
    ensure!(marked(&changed) && !marked(&whole), "the record does not say so");
    let notes = lines(&station.desk.path("changed/data/inventory.jsonl"))?[0]["notes"].to_string();
    ensure!(notes.contains("drawn again"), "{notes}");
    Ok(())
}

fn killed(world: &World) -> CaseResult {
    let station = recorded(world, "court-killed")?;
    let args = ["--exhibits", "all", "--identity", "keys/case.txt", "--to", "k", "--json"];
    let mut run = export(&station, &args).spawn()?;
    let pieces = station.desk.path("k.part/pieces");
    let done = || {
        std::fs::read_dir(&pieces)
            .map_or(0, |dir| dir.flatten().filter(|file| file.path().extension().is_some_and(|e| e == "json")).count())
    };
    until("some exhibits are written", || Ok((done() >= 3 || run.has_ended()).then_some(())))?;
    run.signal(Signal::KILL);
    run.wait(PATIENCE)?;
    ensure!(!station.desk.path("k").exists(), "the export was done before it could be killed");
    let kept = done();
    export(&station, &args).run()?.success()?;
    ensure!(kept >= 3 && station.log("export")?.len() == 1, "{kept} kept, {:?}", station.log("export")?);
    let bundle = station.desk.path("k");
    shell(&bundle, "sha256sum --check --quiet tagmanifest-sha256.txt manifest-sha256.txt")?.success()?;
    ensure!(lines(&bundle.join("data/inventory.jsonl"))?.len() == station.seen()?.len(), "not whole");
    nothing_left(&bundle)?;
    station.sound()?;
    Ok(())
}

/// A medium that is too small: one line, and the same command goes on once there is room.
fn full(world: &World) -> CaseResult {
    let station = recorded(world, "court-full")?;
    let medium = station.desk.path("medium");
    std::fs::create_dir(&medium)?;
    let at = medium.display();
    let Some(mounts) = Mounts::new("court", &format!("mount -t tmpfs -o size=200k none '{at}'"))? else {
        return Ok(());
    };
    let args = ["--exhibits", "all", "--identity", "keys/case.txt", "--to", "medium/bundle/"];
    let command = || mounts.enter(export(&station, &args), station.desk.dir());
    let output = command().run()?;
    one_line(&output, 1, &["No space left"])?;
    ensure!(mounts.shell(&format!("ls '{at}'"))?.text().trim() == "bundle.part", "something else was made");
    mounts.shell(&format!("mount -o remount,size=100m '{at}'"))?;
    command().run()?.success()?;
    let check = "sha256sum --check --quiet tagmanifest-sha256.txt manifest-sha256.txt";
    mounts.shell(&format!("cd '{at}/bundle' && {check}"))?;
    ensure!(station.log("export")?.len() == 1, "{:?}", station.log("export")?);
    // A medium that is gone.
    let gone = ["--exhibits", "1", "--identity", "keys/case.txt", "--to", "nowhere/at/all"];
    std::fs::write(station.desk.path("nowhere"), "a file where a folder was")?;
    one_line(&export(&station, &gone).run()?, 1, &["nowhere/at/all.part"])?;
    station.sound()?;
    Ok(())
}

fn nothing_left(bundle: &Path) -> CaseResult {
    for name in ["pieces", "export.json"] {
        ensure!(!bundle.join(name).exists(), "{name} was left in the bundle");
    }
    Ok(())
}

fn released(world: &World) -> CaseResult {
    let targets = [Target::onion("market-a", &world.net.onion("market-a"))];
    let station = Station::desk(world, "court-released", &targets)?;
    let text = station.desk.mandate(&targets, jiff::Timestamp::now())?.with("release.two_persons", true);
    station.sign_mandate(&text)?;
    let signers = station.desk.path("keys/allowed_signers");
    let mut known = std::fs::read_to_string(&signers)?;
    for (who, key) in [("magistrate@court.example", "authority"), ("agent@customs.example", "agent")] {
        let public = std::fs::read_to_string(station.desk.path(&format!("keys/{key}.pub")))?;
        known.push_str(&format!("{who} namespaces=\"vigie-release\" {public}"));
    }
    std::fs::write(&signers, &known)?;
    station.set_up_quickly("store")?;
    station.capture(&world.onion_url(&world.sites.market_a, "/")).run()?.success()?;
    let made = export(&station, &["--exhibits", "all", "--identity", "keys/case.txt", "--to", "b"]).run()?.success()?;
    ensure!(made.text().contains("may not leave yet"), "{}", made.text());
    let manifest = station.desk.path("b/manifest-sha256.txt");
    let release = || {
        station.vigie(&["release", "b", "--signature", "b/manifest-sha256.txt.sig", "--purpose", "by the magistrate"])
    };
    // The person who made it is no second one; for another purpose, or over another manifest, it does not count.
    station.desk.sign(&manifest, "vigie-release", &station.desk.path("keys/agent"))?;
    one_line(&release().run()?, 3, &["a second person has to sign"])?;
    station.desk.sign(&manifest, "vigie-mandate", &station.desk.path("keys/authority"))?;
    one_line(&release().run()?, 3, &["the release does not count"])?;
    station.desk.sign(&manifest, "vigie-release", &station.desk.path("keys/authority"))?;
    let whole = std::fs::read(&manifest)?;
    std::fs::write(&manifest, [&whole[..], b"x"].concat())?;
    one_line(&release().run()?, 3, &["the release does not count"])?;
    std::fs::write(&manifest, &whole)?;
    let done = release().run()?.success()?;
    ensure!(done.text().contains("released by"), "{}", done.text());
    let bundle = station.desk.path("b");
    shell(&bundle, "sha256sum --check --quiet tagmanifest-sha256.txt manifest-sha256.txt")?.success()?;
    let verify = "ssh-keygen -Y verify -f ../keys/allowed_signers -I magistrate@court.example -n vigie-release \
                  -s release.sig < manifest-sha256.txt";
    ensure!(shell(&bundle, verify)?.success()?.text().contains("Good"), "ssh-keygen does not agree");
    ensure!(station.log("export")?.len() == 2, "{:?}", station.log("export")?);
    station.sound()?;
    Ok(())
}
