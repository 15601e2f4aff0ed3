//! Heads in other hands: a witness on its own machine, a drawer, a folder outside the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::{Command, Output};

use crate::ensure;
use crate::machine::{Mounts, one_line};
use crate::station::{AS_WITNESS, Outcome, Station};
use crate::world::{Case, CaseResult, World};

const PASSPHRASE: &str = "canary-witness-passphrase";

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "witness::a_head_goes_to_the_witness_and_comes_back_cosigned", run: circle },
        Case { name: "witness::an_older_store_put_back_is_refused_everywhere", run: put_back },
        Case { name: "witness::what_does_not_belong_here_changes_nothing", run: bad_input },
        Case { name: "witness::a_checkpoint_leaves_as_text_picture_and_code", run: leaves },
    ]
}

/// A workstation, a medium, and a witness's machine.
pub struct Desk {
    pub station: Station,
    log: String,
    pub witness: String,
}

impl Desk {
    pub fn new(world: &World, case: &str) -> Outcome<Self> {
        let station = Station::quick(world, case, &[Target::onion("market-a", &world.net.onion("market-a"))])?;
        for folder in ["medium", "elsewhere"] {
            std::fs::create_dir(station.desk.path(folder))?;
        }
        std::fs::write(station.desk.path("credentials/vigie.witness"), PASSPHRASE)?;
        let mut desk = Self { station, log: String::new(), witness: String::new() };
        let made = desk.witness(&["init", "witness", "--name", "witness.example"]).run()?.success()?.text();
        desk.witness = made.trim_end().rsplit(' ').next().ok_or("no key")?.to_owned();
        desk.log = desk.station.json(&["checkpoint"])?["key"].as_str().ok_or("no key")?.to_owned();
        Ok(desk)
    }

    /// `vigie-witness ARGS`, in the same folder.
    pub fn witness(&self, args: &[&str]) -> Command {
        let command = self.station.command(args).env(AS_WITNESS, "1");
        command.env_remove(crate::station::AS_VIGIE)
    }

    /// Both sides know each other.
    pub fn acquainted(&self) -> CaseResult {
        self.witness(&["trust", "witness", &self.log]).run()?.success()?;
        self.act(&["witness", "trust", &self.witness]).run()?.success()?;
        Ok(())
    }

    pub fn act(&self, args: &[&str]) -> Command {
        self.station.vigie(args).args(["--purpose", "canary-purpose of the custodian"])
    }

    /// The request that `vigie witness export` writes now.
    fn asked(&self) -> Outcome<String> {
        let said = self.station.vigie(&["witness", "export", "--to", "medium"]).run()?.success()?.text();
        Ok(said.trim_end().rsplit(' ').next().ok_or("no file")?.to_owned())
    }

    /// The whole way, to a file on the medium.
    pub fn cosigned(&self, to: &str) -> Outcome<String> {
        let (request, file) = (self.asked()?, format!("medium/{to}"));
        self.witness(&["cosign", "witness", &request, "--to", &file]).run()?.success()?;
        Ok(file)
    }

    pub fn import(&self, file: &str) -> Outcome<Output> {
        Ok(self.act(&["witness", "import", file]).run()?)
    }

    /// What Python and openssl say.
    fn second_reader(&self, args: &[&str]) -> Outcome<Output> {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/witness_check.py");
        Ok(Command::new("python3").args(["-B", script]).args(args).dir(self.station.desk.dir()).run()?)
    }

    fn checked(&self, args: &[&str]) -> Outcome<Value> {
        Ok(serde_json::from_slice(&self.second_reader(args)?.success()?.stdout)?)
    }

    pub fn status(&self) -> Outcome<Value> {
        self.station.json(&["status"])
    }
}

fn circle(world: &World) -> CaseResult {
    let desk = Desk::new(world, "circle")?;
    let station = &desk.station;
    station.capture(&world.onion_url(&world.sites.market_a, "/offer/1")).run()?.exits(0)?;
    let status = desk.status()?;
    ensure!(status["unwitnessed"] == status["log_size"] && status["witnessed"].is_null(), "{status}");
    desk.acquainted()?;
    let size = desk.status()?["log_size"].as_u64().ok_or("no size")?;
    let first = desk.cosigned("1.txt")?;
    ensure!(desk.import(&first)?.success()?.text().contains(&format!("cosigned {size} entries")), "import");
    // What it says, everywhere the same: one entry lies after the head, that of the import itself.
    let status = desk.status()?;
    ensure!(status["witnessed"]["entries"] == size && status["unwitnessed"] == 1, "{status}");
    ensure!(status["witnesses"] == serde_json::json!([desk.witness]), "{status}");
    let report = station.sound()?;
    ensure!(report["witnessed"]["cosignatures"][0]["witness"] == "witness.example", "{report}");
    ensure!(report["unwitnessed"] == 1 && report["unwitnessed_since"].is_string(), "{report}");
    let text = station.vigie(&["status"]).run()?.success()?.text();
    ensure!(text.contains("unwitnessed 1 entries since") && text.contains("by witness.example at"), "{text}");
    let rows = station.vigie(&["log", "--rows", "--kind", "witness"]).run()?.success()?.text();
    ensure!(rows.contains("trusted") && rows.contains("cosigned") && rows.contains("canary-purpose of the"), "{rows}");
    // The log goes on, and the witness with it; asked twice for one head there is one file.
    station.capture(&world.onion_url(&world.sites.market_a, "/offer/2")).run()?.exits(0)?;
    ensure!(desk.asked()? == desk.asked()?, "another request for the same head");
    let second = desk.cosigned("2.txt")?;
    desk.import(&second)?.success()?;
    ensure!(desk.import(&second)?.success()?.text().contains("taken in already"), "twice");
    let kept = desk.witness(&["last", "witness", "vigie.example/e2e", "--to", "medium/again.txt"]);
    kept.run()?.success()?;
    let same = |a: &str, b: &str| -> Outcome<bool> {
        Ok(std::fs::read(station.desk.path(a))? == std::fs::read(station.desk.path(b))?)
    };
    ensure!(same(&second, "medium/again.txt")?, "the witness kept another");

    // Proofs: of an exhibit under the cosigned head, of the last entry under the signed one.
    station.vigie(&["exhibit", "proof", "1", "--to", "1.proof", "--entry-to", "1.entry"]).run()?.success()?;
    let last = (desk.status()?["log_size"].as_u64().ok_or("no size")? - 1).to_string();
    station.vigie(&["log", "proof", &last, "--to", "last.proof", "--entry-to", "last.entry"]).run()?.success()?;
    station.vigie(&["log", "tiles", "--to", "tiles"]).run()?.success()?;
    let ours = |proof: &str, entry: &str, more: &[&str]| {
        let command = station.command(&["log", "proof", "--check", proof, "--entry-file", entry]);
        command.args(["--log-key", &desk.log]).args(more).run()
    };
    let trusted = ["--witness", &desk.witness];
    let said = ours("1.proof", "1.entry", &trusted)?.success()?.text();
    ensure!(
        said.contains("PROVEN") && said.contains("witness.example cosigned") && said.contains("exhibit: 1"),
        "{said}"
    );
    let said = ours("last.proof", "last.entry", &trusted)?.success()?.text();
    ensure!(said.contains("none of the witnesses known here"), "{said}");
    ours("1.proof", "last.entry", &[])?.exits(5)?;

    // Python and openssl come to the same, and refuse what was altered.
    let (log, witness) = (["--log", &desk.log], ["--witness", &desk.witness]);
    let note = desk.checked(&[&["note", &second][..], &log, &witness].concat())?;
    ensure!(note["size"] == desk.status()?["witnessed"]["entries"], "{note}");
    let proof = desk.checked(&[&["proof", "1.proof", "1.entry"][..], &log, &witness].concat())?;
    ensure!(proof["cosigned"]["witness.example"].is_u64() && proof["size"] == note["size"], "{proof}");
    let older = ["--older", &first, "--older", &second];
    let tiles = desk.checked(&[&["tiles", "tiles"][..], &log, &older].concat())?;
    ensure!(tiles["size"] == desk.status()?["log_size"] && tiles["older"] == 2, "{tiles}");
    for (file, change) in [("1.proof", "index"), ("1.entry", "kind"), (second.as_str(), "witness.example")] {
        let path = station.desk.path(file);
        let whole = std::fs::read_to_string(&path)?;
        std::fs::write(&path, whole.replacen(change, "x", 1))?;
        let call = if file == second { ["note", file].to_vec() } else { ["proof", "1.proof", "1.entry"].to_vec() };
        let call: Vec<&str> = [&call[..], &log, &witness].concat();
        ensure!(desk.second_reader(&call)?.code() == Some(5), "{file}: the second reader takes anything");
        std::fs::write(&path, whole)?;
    }
    let bundle = file_below(&station.desk.path("tiles/tile/entries"))?;
    let mut bytes = std::fs::read(&bundle)?;
    bytes[40] ^= 1;
    std::fs::write(&bundle, bytes)?;
    ensure!(desk.second_reader(&[&["tiles", "tiles"][..], &log].concat())?.code() == Some(5), "any tiles");

    // Neither medium, witness nor tiles name a target, a pseudonym, an address or a purpose.
    let onion = world.net.onion("market-a");
    let words = [&onion[..], "market-a", "canary", "heron", "/offer/"];
    for folder in ["medium", "witness", "tiles"] {
        let leaks = station.leaks(&station.desk.path(folder), &words)?;
        ensure!(leaks.is_empty(), "{leaks:?}");
    }
    Ok(())
}

/// The first file below a folder.
fn file_below(folder: &Path) -> Outcome<PathBuf> {
    let entry = std::fs::read_dir(folder)?.next().ok_or("an empty folder")??.path();
    if entry.is_dir() { file_below(&entry) } else { Ok(entry) }
}

fn put_back(world: &World) -> CaseResult {
    let desk = Desk::new(world, "witnessed-put-back")?;
    let station = &desk.station;
    desk.acquainted()?;
    desk.import(&desk.cosigned("1.txt")?)?.success()?;
    let copy = |from: &str, to: &str| Command::new("cp").args(["-a", from, to]).dir(station.desk.dir()).run();
    let back = |to: &str| -> CaseResult {
        std::fs::remove_dir_all(station.store())?;
        copy(to, "store")?.success()?;
        Ok(())
    };
    copy("store", "old")?.success()?;
    station.capture(&world.onion_url(&world.sites.market_a, "/offer/1")).run()?.exits(0)?;
    let second = desk.cosigned("2.txt")?;
    station.vigie(&["checkpoint", "--to", "elsewhere/head.txt"]).run()?.success()?;
    let drawer = ["verify", "--quiet", "--heads", "elsewhere/head.txt"];
    station.vigie(&drawer).run()?.exits(0)?;
    copy("store", "new")?.success()?;
    let state = || copy("state", "kept-state");
    state()?.success()?;

    // The older copy lies there. What was kept outside refuses it, in one line, everywhere.
    back("old")?;
    let before = contents(&station.store())?;
    let page = world.onion_url(&world.sites.market_a, "/offer/2");
    let every = [
        station.capture(&page),
        station.run_once(),
        station.vigie(&["status"]),
        station.vigie(&["log"]),
        station.vigie(&["exhibits"]),
        station.vigie(&["checkpoint"]),
        station.vigie(&["log", "proof", "0", "--to", "p"]),
        station.vigie(&["log", "tiles", "--to", "t"]),
        station.vigie(&["witness", "export", "--to", "medium"]),
        station.vigie(&["timestamp", "export", "--to", "medium"]),
        station.vigie(&["mandate", "list"]),
        station.vigie(&["custody", "1"]),
        station.vigie(&["store", "rebuild"]),
        desk.act(&["witness", "import", &second]),
    ];
    for command in every {
        one_line(&command.run()?, 5, &["ALARM", "rollback", "kept outside the store"])?;
    }
    let checked = station.vigie(&["verify", "--quiet"]).run()?.exits(5)?.text();
    ensure!(checked.contains("rollback") && checked.contains("kept outside"), "{checked}");
    let looked = station.vigie(&["store", "check"]).run()?.exits(5)?.text();
    ensure!(looked.contains("would be refused") && looked.contains("rollback"), "{looked}");
    let now = contents(&station.store())?;
    ensure!(now == before, "the store was changed");

    // Who put the folder outside back as well, or took it away, is met by the drawer and by the witness.
    std::fs::remove_dir_all(station.desk.path("state"))?;
    station.vigie(&["verify"]).run()?.exits(0)?;
    let checked = station.vigie(&drawer).run()?.exits(5)?.text();
    ensure!(checked.contains("rollback") && checked.contains("elsewhere/head.txt"), "{checked}");
    let request = desk.asked()?;
    let cosign = ["cosign", "witness", &request, "--to", "medium/3.txt"];
    refused_by_witness(&desk.witness(&cosign).run()?, &["ALARM", "entries were taken away"])?;
    one_line(&desk.import(&second)?, 5, &["medium/2.txt", "ALARM", "rollback", "cosigned by witness.example"])?;

    // Another history, as long as the first: a fork.
    station.capture(&page).run()?.exits(0)?;
    while desk.status()?["log_size"].as_u64() < station_size(&desk, "new")? {
        station.vigie(&["mandate", "revoke", "revocations.toml"]).run()?.success()?;
    }
    station.vigie(&["mandate", "revoke", "revocations.toml"]).run()?.success()?;
    one_line(&desk.import(&second)?, 5, &["ALARM", "fork"])?;
    ensure!(station.vigie(&drawer).run()?.exits(5)?.text().contains("fork"), "the drawer");
    let request = desk.asked()?;
    let cosign = ["cosign", "witness", &request, "--to", "medium/4.txt"];
    refused_by_witness(&desk.witness(&cosign).run()?, &["export again with --old"])?;
    let old = desk.witness(&["status", "witness", "--json"]).run()?.success()?;
    let old: Value = serde_json::from_slice(&old.stdout)?;
    let old = old["logs"][0]["size"].to_string();
    let again =
        station.vigie(&["witness", "export", "--to", "elsewhere", "--witness", "witness.example", "--old", &old]);
    let request = again.run()?.success()?.text().trim_end().rsplit(' ').next().ok_or("no file")?.to_owned();
    let cosign = ["cosign", "witness", &request, "--to", "medium/4.txt"];
    refused_by_witness(&desk.witness(&cosign).run()?, &["ALARM", "rewritten"])?;

    // The rightful store and what was kept of it go on.
    back("new")?;
    std::fs::remove_dir_all(station.desk.path("state"))?;
    copy("kept-state", "state")?.success()?;
    desk.import(&second)?.success()?;
    station.vigie(&drawer).run()?.exits(0)?;
    station.sound()?;
    Ok(())
}

/// Entries of a copy of the store.
fn station_size(desk: &Desk, store: &str) -> Outcome<Option<u64>> {
    let head = std::fs::read_to_string(desk.station.desk.path(store).join("checkpoint"))?;
    Ok(head.lines().nth(1).and_then(|size| size.parse().ok()))
}

fn refused_by_witness(output: &Output, words: &[&str]) -> CaseResult {
    let errors = output.errors();
    let one = errors.lines().count() == 1 && errors.starts_with("vigie-witness: ");
    ensure!(one && matches!(output.code(), Some(3 | 5)), "{:?}: {errors}", output.code());
    ensure!(words.iter().all(|word| errors.contains(word)), "{words:?}: {errors}");
    Ok(())
}

/// Every file of the store, but the lock's and those of the database, which each opening touches.
fn contents(dir: &Path) -> Outcome<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.ends_with("catalogue") || path.ends_with("lock") {
            continue;
        }
        if path.is_dir() {
            found.extend(contents(&path)?);
        } else {
            found.insert(path.clone(), std::fs::read(&path)?);
        }
    }
    Ok(found)
}

fn bad_input(world: &World) -> CaseResult {
    let desk = Desk::new(world, "witness-bad-input")?;
    let station = &desk.station;
    // Nobody is trusted yet.
    let head = "elsewhere/head.txt";
    station.vigie(&["checkpoint", "--to", head]).run()?.success()?;
    one_line(&desk.import(head)?, 2, &["trusts no witness", "vigie witness trust"])?;
    one_line(
        &station.vigie(&["witness", "export", "--to", "medium"]).run()?,
        2,
        &["trusts no witness", "vigie witness trust"],
    )?;
    desk.acquainted()?;
    let good = desk.cosigned("good.txt")?;
    // Another log: of another name, and of the same.
    for (store, origin) in [("other", "vigie.example/other"), ("same", "vigie.example/e2e")] {
        station.init_quickly(store, origin)?;
        let vkey = station.command(&["checkpoint", "--json", "--store", store]).run()?.success()?;
        let vkey: Value = serde_json::from_slice(&vkey.stdout)?;
        let head = vkey["checkpoint"].as_str().ok_or("no head")?;
        std::fs::write(station.desk.path(&format!("elsewhere/{store}.txt")), head)?;
    }
    std::fs::write(station.desk.path("elsewhere/picture.txt"), [0xFF, 0xD8, 0xFF])?;
    std::fs::write(station.desk.path("elsewhere/long.txt"), "x".repeat(300_000))?;
    let text = std::fs::read_to_string(station.desk.path(&good))?;
    let line = text.lines().last().ok_or("no line")?;
    std::fs::write(station.desk.path("elsewhere/forged.txt"), text.replace(line, &forged(line)))?;
    std::fs::write(station.desk.path("elsewhere/cut.txt"), &text[..text.len() - 9])?;

    let before = contents(&station.store())?;
    for (file, words) in [
        ("elsewhere/other.txt", &["a checkpoint of another log, vigie.example/other"][..]),
        ("elsewhere/same.txt", &["not a checkpoint signed by this log", "no signature of the log's key"]),
        ("elsewhere/head.txt", &["none of the witnesses trusted here cosigned it", "witness.example"]),
        ("elsewhere/forged.txt", &["the cosignature of a known witness does not match"]),
        ("elsewhere/cut.txt", &["not a checkpoint"]),
        ("elsewhere/picture.txt", &["is no checkpoint", "no text"]),
        ("elsewhere/long.txt", &["longer than any such file"]),
        ("elsewhere/nothing.txt", &["reading elsewhere/nothing.txt", "No such file"]),
        ("medium", &["reading medium", "directory"]),
    ] {
        one_line(&desk.import(file)?, 2, &[&[file][..], words].concat())?;
    }
    for (file, words) in [
        ("elsewhere/other.txt", "no signature of the log's key"),
        ("elsewhere/same.txt", "no signature of the log's key"),
        ("elsewhere/picture.txt", "no text"),
        ("elsewhere/nothing.txt", "No such file"),
    ] {
        one_line(&station.vigie(&["verify", "--quiet", "--heads", file]).run()?, 2, &[file, words])?;
    }
    for vkey in ["", "witness.example", &desk.log, &desk.witness.replace("witness", "mitness")] {
        one_line(&desk.act(&["witness", "trust", vkey]).run()?, 2, &["not the verifier key of a witness"])?;
    }
    one_line(&desk.act(&["witness", "import", &good, "--mandate", "M-0"]).run()?, 2, &["no mandate M-0"])?;
    let stranger = station.desk.stranger_key("stranger")?.display().to_string();
    for purpose in ["", " ", "two\nlines"] {
        let command = station.vigie(&["witness", "import", &good, "--purpose", purpose]);
        one_line(&command.run()?, 2, &["purpose"])?;
    }
    one_line(&station.vigie(&["witness", "export", "--to", "nowhere"]).run()?, 2, &["nowhere is no folder"])?;
    one_line(
        &station.vigie(&["witness", "export", "--to", "medium", "--witness", "nobody"]).run()?,
        2,
        &["trusts no witness nobody"],
    )?;
    for args in [
        &["checkpoint", "--to", &good][..],
        &["checkpoint", "--svg", &good],
        &["log", "proof", "0", "--to", &good],
        &["log", "tiles", "--to", "medium"],
    ] {
        one_line(&station.vigie(args).run()?, 2, &["exists already"])?;
    }
    one_line(&station.vigie(&["log", "proof", "999", "--to", "p"]).run()?, 2, &["no entry 999"])?;
    one_line(&station.vigie(&["exhibit", "proof", "9", "--to", "p"]).run()?, 2, &["no exhibit 9"])?;
    // A directory that is no store; one that is inside, also by a link.
    std::os::unix::fs::symlink(station.store(), station.desk.path("way-in"))?;
    for args in [
        &["witness", "export", "--to", "medium"][..],
        &["log", "tiles", "--to", "t"],
        &["checkpoint", "--qr"],
        &["log", "proof", "0", "--to", "p"],
    ] {
        one_line(
            &station.vigie(args).env("VIGIE_STORE", "medium").run()?,
            2,
            &["medium holds no store", "vigie init"],
        )?;
        for state in ["store/state", "store", "way-in/state"] {
            let inside = station.vigie(args).env("VIGIE_STATE", state);
            one_line(&inside.run()?, 2, &[state, "lies inside the store", "VIGIE_STATE=DIR"])?;
        }
    }
    ensure!(contents(&station.store())? == before, "the store was changed");
    // An agent whom the mandate does not name may not: that is on record.
    let foreign = desk.act(&["witness", "import", &good, "--agent-key", &stranger]);
    one_line(&foreign.run()?, 3, &["names no agent with this SSH key"])?;
    ensure!(station.log("witness")?.len() == 1 && !station.log("refusal")?.is_empty(), "no record of it");
    desk.import(&good)?.success()?;
    read_only(&desk)?;
    station.sound()?;
    Ok(())
}

/// A cosignature line with one bit of its signature changed.
fn forged(line: &str) -> String {
    let at = line.len() - 20;
    let other = if &line[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &line[..at], &line[at + 1..])
}

/// A medium that cannot be written to, and a store that cannot be.
fn read_only(desk: &Desk) -> CaseResult {
    let station = &desk.station;
    let dir = station.desk.dir().display();
    std::fs::create_dir(station.desk.path("locked"))?;
    let script = format!("mount -t tmpfs -o ro none '{dir}/locked'");
    let Some(mounts) = Mounts::new("witness-read-only", &script)? else { return Ok(()) };
    let enter = |command: Command| mounts.enter(command, station.desk.dir());
    let before = (contents(&station.store())?, contents(&station.desk.path("witness"))?);
    let request = desk.asked()?;
    for args in [
        &["witness", "export", "--to", "locked"][..],
        &["checkpoint", "--to", "locked/head.txt"],
        &["checkpoint", "--svg", "locked/head.svg"],
        &["log", "proof", "0", "--to", "locked/p"],
        &["log", "tiles", "--to", "locked/tiles"],
    ] {
        one_line(&enter(station.vigie(args)).run()?, 1, &["locked/", "Read-only file system"])?;
    }
    let output = enter(desk.witness(&["cosign", "witness", &request, "--to", "locked/c.txt"])).run()?;
    let errors = output.errors();
    ensure!(output.code() == Some(1) && errors.contains("Read-only") && errors.lines().count() == 1, "{errors}");
    ensure!(before == (contents(&station.store())?, contents(&station.desk.path("witness"))?), "something moved");
    Ok(())
}

fn leaves(world: &World) -> CaseResult {
    let desk = Desk::new(world, "checkpoint-leaves")?;
    let station = &desk.station;
    let told = station.json(&["checkpoint"])?;
    let note = told["checkpoint"].as_str().ok_or("no note")?;
    ensure!(note.starts_with(&format!("vigie.example/e2e\n{}\n", told["size"])), "{note}");
    let text = station.vigie(&["checkpoint", "--qr"]).run()?.success()?.text();
    let drawn: Vec<&str> = text.strip_prefix(note).ok_or("no note before the code")?.lines().collect();
    let widths: Vec<usize> = drawn.iter().map(|line| line.chars().count()).collect();
    // A square whose lines hold two rows each; a version of a code has 17 + 4 n modules, and 8 around.
    let side = *widths.first().ok_or("no code")?;
    ensure!(widths.iter().all(|width| *width == side) && side.div_ceil(2) == widths.len(), "{widths:?}");
    ensure!((side - 8 - 17) % 4 == 0 && side <= 80, "{side} columns");
    station.vigie(&["checkpoint", "--to", "head.txt", "--svg", "head.svg"]).run()?.success()?;
    ensure!(std::fs::read_to_string(station.desk.path("head.txt"))? == note, "another text");
    let picture = std::fs::read_to_string(station.desk.path("head.svg"))?;
    ensure!(picture.starts_with("<?xml") && picture.contains("vigie.example/e2e"), "{picture}");
    let root = told["root_sha256"].as_str().ok_or("no root")?;
    ensure!(picture.contains(&root[..32]) && picture.contains(&root[32..]), "no root");
    // Both draw the same modules.
    let dark = picture.matches("h1v1h-1z").count();
    let cells = drawn.iter().flat_map(|line| line.chars());
    let drawn: usize = cells
        .map(|cell| match cell {
            '█' => 2,
            '▀' | '▄' => 1,
            _ => 0,
        })
        .sum();
    ensure!(dark == drawn && dark > 0, "{dark} and {drawn} dark modules");
    // What was scanned or typed again is a head like any other.
    station.vigie(&["verify", "--quiet", "--heads", "head.txt"]).run()?.exits(0)?;
    let shown = station.vigie(&["checkpoint", "--key"]).run()?.success()?.text();
    ensure!(shown == format!("{}\n\n{note}", desk.log), "{shown}");
    ensure!(desk.status()?["kept_outside"].as_str().is_some_and(|file| file.ends_with(".checkpoint")), "nothing kept");
    Ok(())
}
