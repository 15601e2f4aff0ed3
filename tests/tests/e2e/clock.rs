//! A workstation whose clock is wrong.

use std::collections::BTreeMap;
use std::path::Path;

use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::ensure;
use crate::station::{Outcome, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "clock::nothing_is_written_before_the_newest_entry", run: set_back }]
}

/// The command under a wall clock that is off by so much (`-1h`, in faketime(1)'s words).
pub fn shifted(command: Command, offset: &str) -> Outcome<Command> {
    let set = Command::new("faketime").args(["-f", offset, "env"]).run()?.success()?.text();
    let value = |name: &str| {
        let line = set.lines().find_map(|line| line.strip_prefix(&format!("{name}=")));
        line.map(str::to_owned).ok_or_else(|| format!("faketime sets no {name}"))
    };
    Ok(command
        .env("LD_PRELOAD", value("LD_PRELOAD")?)
        .env("FAKETIME", value("FAKETIME")?)
        // What measures spans of time is left alone.
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1"))
}

/// Files of a store by their path; the catalogue is the database's own affair.
fn files(dir: &Path, found: &mut BTreeMap<String, Vec<u8>>) -> Outcome<()> {
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
