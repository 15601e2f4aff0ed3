//! A workstation whose clock is wrong.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use jiff::{SignedDuration, Timestamp};
use vigie_tests::desk::{Target, revocations};
use vigie_tests::process::Command;

use crate::ensure;
use crate::machine::PATIENCE;
use crate::station::{Outcome, PURPOSE, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "clock::nothing_is_written_before_the_newest_entry", run: set_back },
        Case { name: "clock::a_clock_behind_the_consensus_begins_no_session", run: behind_the_consensus },
        Case { name: "clock::a_run_goes_on_when_hours_are_gone", run: hours_gone },
    ]
}

/// What libfaketime wants in the environment, for an offset in faketime(1)'s words (`-1h`). What measures spans of
/// time is left alone.
pub fn faked(offset: &str) -> Outcome<Vec<(String, String)>> {
    let set = Command::new("faketime").args(["-f", offset, "env"]).run()?.success()?.text();
    let value = |name: &str| {
        let line = set.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.map(|value| (name.to_owned(), value.to_owned())).ok_or_else(|| format!("faketime sets no {name}"))
    };
    let monotonic = ("FAKETIME_DONT_FAKE_MONOTONIC".to_owned(), "1".to_owned());
    Ok(vec![value("LD_PRELOAD")?, value("FAKETIME")?, monotonic])
}

/// The same for an offset that stands in a file, looked at anew each second.
fn faked_by(file: &Path) -> Outcome<Vec<(String, String)>> {
    let fixed = faked("+0")?.into_iter().filter(|(name, _)| name != "FAKETIME");
    let more = [("FAKETIME_TIMESTAMP_FILE", file.display().to_string()), ("FAKETIME_CACHE_DURATION", "1".to_owned())];
    Ok(fixed.chain(more.map(|(name, value)| (name.to_owned(), value))).collect())
}

/// The command under a wall clock that is off by so much (`-1h`, in faketime(1)'s words).
pub fn shifted(command: Command, offset: &str) -> Outcome<Command> {
    Ok(faked(offset)?.into_iter().fold(command, |command, (name, value)| command.env(name, value)))
}

/// Ends the name of a file beside the program: what stands in it comes into the environment of its parts, of all
/// (`parts`) or of one, which *launcher* starts without one. So a part can have another clock.
const ENVIRONMENT: &str = ".environment";

/// Starts a part anew under the clock that a file beside the program sets.
pub fn set() {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    let part = std::env::args_os().nth(2).unwrap_or_default();
    let names = [part.to_string_lossy().into_owned(), "parts".to_owned()];
    let file = |name: &String| beside.as_ref().map(|folder| folder.join(format!("{name}{ENVIRONMENT}")));
    let Some(text) = names.iter().filter_map(file).find_map(|file| std::fs::read_to_string(file).ok()) else { return };
    if std::env::var_os("LD_PRELOAD").is_some() {
        return;
    }
    let set = text.lines().filter_map(|line| line.split_once('='));
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let error = std::process::Command::new("/proc/self/exe").arg0(name).args(arguments).envs(set).exec();
    eprintln!("starting a part under another clock: {error}");
}

/// The program in a folder of its own, whose parts have another clock.
pub struct PartsClock {
    folder: PathBuf,
    file: PathBuf,
}

impl PartsClock {
    /// For one part, or for all (`parts`).
    pub fn new(station: &Station, part: &str, clock: &[(String, String)]) -> Outcome<Self> {
        let folder = station.desk.path("program");
        std::fs::create_dir_all(&folder)?;
        std::fs::hard_link(std::env::current_exe()?, folder.join("vigie"))?;
        let file = folder.join(format!("{part}{ENVIRONMENT}"));
        let lines: Vec<_> = clock.iter().map(|(name, value)| format!("{name}={value}")).collect();
        std::fs::write(&file, lines.join("\n"))?;
        Ok(Self { folder, file })
    }

    /// That program on the station's store.
    pub fn command(&self, station: &Station, args: &[&str]) -> Command {
        station.command_as(&self.folder.join("vigie"), args).env("VIGIE_STORE", "store")
    }

    /// From now on they have the right clock.
    pub fn right(&self) -> Outcome<()> {
        Ok(std::fs::remove_file(&self.file)?)
    }
}

/// Files of a store by their path; the catalogue is the database's own affair.
pub fn files(dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) -> Outcome<()> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        match path.is_dir() {
            true if path.ends_with("catalogue") => {}
            true => files(&path, found)?,
            false => drop(found.insert(path.display().to_string(), std::fs::read(&path)?)),
        }
    }
    Ok(())
}

fn set_back(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::ready(world, "clock", &[Target::onion("market-a", &onion)])?;
    let url = |mark: &str| format!("http://{onion}/offer/5?{mark}");
    station.capture(&url("before-the-clock")).run()?.exits(0)?;
    let snapshot = || -> Outcome<_> {
        let mut found = BTreeMap::new();
        files(&station.store(), &mut found)?;
        Ok(found)
    };
    let before = snapshot()?;
    for command in [
        station.vigie(&["status"]),
        station.capture(&url("by-the-wrong-clock")),
        station.run_once(),
        station.vigie(&["mandate", "add", "mandate.toml"]),
        station.vigie(&["exhibit", "get", "1", "--sealed", "--to", "1.age", "--purpose", "a look"]),
    ] {
        let output = shifted(command, "-1h")?.run()?;
        refused(&output, 3, &["the clock says", "the log's last entry was written at", "set the clock right"])?;
    }
    let status = shifted(station.vigie(&["status", "--json"]), "-1h")?.run()?;
    let status: serde_json::Value = serde_json::from_slice(&status.stdout)?;
    ensure!(status["clock_behind"] == true && status["exhibits"] == 1, "{status}");
    let after = snapshot()?;
    // Who held the lock last is no state.
    let state = after.iter().filter(|(name, _)| !name.ends_with("store/lock"));
    let changed: Vec<_> = state.filter(|(name, bytes)| before.get(*name) != Some(*bytes)).map(|(n, _)| n).collect();
    ensure!(changed.is_empty() && after.len() == before.len(), "changed: {changed:?}");
    ensure!(!station.desk.path("1.age").exists(), "an exhibit was handed out without an entry");
    let asked = world.sites.market_a.journal.paths();
    ensure!(!asked.iter().any(|path| path.contains("by-the-wrong-clock")), "the site was asked");

    station.capture(&url("after-the-clock")).run()?.exits(0)?;
    ensure!(station.json(&["status"])?["clock_behind"] == false, "the clock is right again");
    let checked = station.sound()?;
    ensure!(checked["exhibits"] == 2, "{checked}");
    Ok(())
}

fn behind_the_consensus(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::desk(world, "behind-consensus", &[Target::onion("market-a", &onion)])?;
    let url = |mark: &str| format!("http://{onion}/offer/5?{mark}");
    // Everything of this station was made by a clock that is hours behind, so nothing in it shows that.
    let list = revocations(Timestamp::now() - SignedDuration::from_hours(3), &[]);
    station.desk.write_revocations("revocations.toml", &list)?;
    let init = ["init", "store", "--allowed-signers", "keys/allowed_signers", "--origin", "vigie.example/e2e"];
    shifted(station.command(&init), "-2h")?.run()?.success()?;
    for args in [
        ["mandate", "add", "mandate.toml"],
        ["mandate", "revoke", "revocations.toml"],
        ["profile", "new", "profile.toml"],
    ] {
        shifted(station.vigie(&args), "-2h")?.run()?.success()?;
    }
    let refusal = ["the clock says", "Tor's consensus holds only from", "set the clock right and try again"];
    for command in [station.capture(&url("by-the-slow-clock")), station.run_once()] {
        refused(&shifted(command, "-1h")?.run()?, 3, &refusal)?;
    }
    let refused = station.json(&["log", "--rows", "--kind", "refusal"])?;
    let refused = refused.as_array().ok_or("no list")?;
    ensure!(refused.len() == 2, "{refused:?}");
    ensure!(refused.iter().all(|entry| entry["row"]["code"] == "clock-behind-consensus"), "{refused:?}");
    ensure!(station.log("session-open")?.is_empty(), "a session began");
    let asked = world.sites.market_a.journal.paths();
    ensure!(!asked.iter().any(|path| path.contains("by-the-slow-clock")), "the site was asked");

    // The clock is set right; the log says by how much.
    let list = revocations(Timestamp::now(), &[]);
    station.desk.write_revocations("revocations.toml", &list)?;
    station.vigie(&["mandate", "revoke", "revocations.toml"]).run()?.success()?;
    station.capture(&url("by-the-right-clock")).run()?.exits(0)?;
    let jumps = station.json(&["log", "--rows", "--kind", "clock-jump"])?;
    let moved: Vec<i64> =
        jumps.as_array().ok_or("no list")?.iter().filter_map(|jump| jump["row"]["moved_ms"].as_i64()).collect();
    ensure!(moved.len() == 2 && moved.iter().all(|ms| (ms - 3_600_000).abs() < 5_000), "{jumps}");
    let checked = station.sound()?;
    ensure!(checked["exhibits"] == 1, "{checked}");
    let notes = checked["notes"].as_array().ok_or("no notes")?;
    ensure!(
        notes.iter().filter(|note| note.as_str().is_some_and(|n| n.contains("the clock was set"))).count() == 2,
        "{notes:?}"
    );
    Ok(())
}

/// A laptop that slept: in the middle of a run the wall clock is hours later, for *record* and *net* alike.
fn hours_gone(world: &World) -> CaseResult {
    const HOURS: &str = "+5h";
    let include = ["/", "/page/1**"].map(str::to_owned).to_vec();
    let station =
        Station::desk(world, "hours-gone", &[Target { include, ..Target::onion("bulk", &world.net.onion("bulk")) }])?;
    // Ten pages a second.
    let path = station.desk.path("profile.toml");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replace("min_ms = 0", "min_ms = 100").replace("max_ms = 0", "max_ms = 100"))?;
    station.set_up_quickly("store")?;
    // Where both may read.
    let file = station.store().join("tor/clock");
    std::fs::create_dir_all(station.store().join("tor"))?;
    std::fs::write(&file, "+0\n")?;
    let fake = faked_by(&file)?;
    let clock = PartsClock::new(&station, "net", &fake)?;
    let command = clock.command(&station, &["run", "--once", "--purpose", PURPOSE]);
    let mut run = fake.into_iter().fold(command, |command, (name, value)| command.env(name, value)).spawn()?;
    station.seen_during(&mut run, 5)?;
    std::fs::write(station.desk.path("clock"), format!("{HOURS}\n"))?;
    std::fs::rename(station.desk.path("clock"), &file)?;
    let output = run.wait(PATIENCE)?.exits(0)?;
    // Whoever looks now has the later clock as well.
    let json = |args: &[&str]| -> Outcome<serde_json::Value> {
        let output = shifted(station.vigie(&[args, &["--json"]].concat()), HOURS)?.run()?.success()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let log = json(&["log", "--rows"])?;
    let log = log.as_array().ok_or("no list")?;
    let places = |kind: &str| log.iter().enumerate().filter(move |(_, e)| e["kind"] == kind).collect::<Vec<_>>();
    let jumps = places("clock-jump");
    let [(place, jump)] = jumps.as_slice() else { return Err(format!("{jumps:?} {}", output.errors()).into()) };
    let moved = jump["row"]["moved_ms"].as_i64().unwrap_or_default();
    ensure!((moved - 5 * 3_600_000).abs() < 10_000, "{jump}");
    let exhibits = places("exhibit");
    ensure!(exhibits.len() == 112, "{} pages: {}", exhibits.len(), output.errors());
    ensure!(exhibits.iter().filter(|(at, _)| at > place).count() > 10, "it did not go on: {log:?}");
    let failures = places("failure");
    ensure!(failures.is_empty(), "{failures:?}");
    let checked = json(&["verify", "--unlocked", "--identity", "keys/case.txt"])?;
    ensure!(checked["sound"] == true && checked["exhibits"] == 112, "{checked}");
    let notes = checked["notes"].as_array().ok_or("no notes")?;
    ensure!(notes.iter().any(|note| note.as_str().is_some_and(|n| n.contains("the clock was set"))), "{notes:?}");
    Ok(())
}
