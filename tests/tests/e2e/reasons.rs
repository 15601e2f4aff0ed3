//! Why Tor does not come up, in words that an investigator can act on, on the terminal and on record.

use std::os::unix::process::CommandExt;

use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::ensure;
use crate::faults::unreachable;
use crate::machine::one_line;
use crate::station::{Outcome, PURPOSE, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "reasons::a_clock_that_is_days_ahead", run: |world| wrong_clock(world, "ahead", "+5d") },
        Case { name: "reasons::a_clock_that_is_days_behind", run: |world| wrong_clock(world, "behind", "-5d") },
        Case { name: "reasons::no_guard_can_be_reached", run: no_guard },
        Case { name: "reasons::a_bridge_line_that_is_wrong", run: wrong_bridge },
    ]
}

/// Beside the program: what stands in it comes into the environment of its parts, which *launcher* starts without
/// one. So a part can have another clock.
const ENVIRONMENT: &str = "parts.environment";

/// Starts a part anew under the clock that a file beside the program sets.
pub fn set_clock() {
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(ENVIRONMENT)));
    let Some(text) = beside.and_then(|file| std::fs::read_to_string(file).ok()) else { return };
    if std::env::var_os("LD_PRELOAD").is_some() {
        return;
    }
    let set = text.lines().filter_map(|line| line.split_once('='));
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let error = std::process::Command::new("/proc/self/exe").arg0(name).args(arguments).envs(set).exec();
    eprintln!("starting a part under another clock: {error}");
}

/// The last failure on record.
fn recorded(station: &Station) -> Outcome<String> {
    let (kind, row) = station.entries()?.pop().ok_or("no entry")?;
    ensure!(kind == "failure" && row["kind"] == "tor-not-ready" && row["verdict"] == "unknown", "{kind} {row}");
    ensure!(station.log("session-open")?.is_empty(), "a session began");
    Ok(row["detail"].as_str().unwrap_or_default().to_owned())
}

fn wrong_clock(world: &World, way: &str, offset: &str) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::quick(world, &format!("clock-{way}"), &[Target::onion("market-a", &onion)])?;
    let folder = station.desk.path("program");
    std::fs::create_dir_all(&folder)?;
    let program = folder.join("vigie");
    std::fs::hard_link(std::env::current_exe()?, &program)?;
    let set = Command::new("faketime").args(["-f", offset, "env"]).run()?.success()?.text();
    let wanted = ["LD_PRELOAD=", "FAKETIME="];
    let mut lines: Vec<_> = set.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))).collect();
    lines.push("FAKETIME_DONT_FAKE_MONOTONIC=1");
    std::fs::write(folder.join(ENVIRONMENT), lines.join("\n"))?;
    let url = format!("http://{onion}/offer/3");
    let args = ["capture", &url, "--purpose", PURPOSE];
    let output = station.command_as(&program, &args).env("VIGIE_STORE", "store").run()?;
    let said = format!("the clock is 5 days {way}");
    refused(&output, 1, &["Tor is not ready: ", &said, "set it right"])?;
    ensure!(recorded(&station)?.contains(&said), "{}", recorded(&station)?);
    // The same with the right clock.
    std::fs::remove_file(folder.join(ENVIRONMENT))?;
    station.command_as(&program, &args).env("VIGIE_STORE", "store").run()?.exits(0)?;
    station.sound()?;
    Ok(())
}

fn no_guard(world: &World) -> CaseResult {
    let station = Station::quick(world, "no-guard", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    unreachable(&station)?;
    station.configure("[fetch]\nbootstrap_ms = 15000")?;
    let output = station.run_once().run()?;
    refused(&output, 1, &["Tor is not ready: cannot reach any guard", "not within 15000 ms"])?;
    // Said while there is still hope, too.
    ensure!(output.errors().contains("Tor is not up yet: cannot reach any guard"), "{}", output.errors());
    ensure!(recorded(&station)?.starts_with("cannot reach any guard"), "{}", recorded(&station)?);
    Ok(())
}

fn wrong_bridge(world: &World) -> CaseResult {
    let station = Station::quick(world, "wrong-bridge", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let good = std::fs::read_to_string(station.desk.path("vigie.toml"))?;
    station.configure("[tor.bridges]\nbridges = [\"192.0.2.83:80 4352e58420e68f5e40bade74faddccd9d1349413\", \"192.0.2.84:80 nonsense\"]")?;
    let words = ["bridge line 2 of 2 in [tor.bridges] is wrong", "fingerprint"];
    let output = station.run_once().run()?;
    one_line(&output, 2, &words)?;
    ensure!(!output.errors().contains("192.0.2"), "{}", output.errors());
    ensure!(recorded(&station)?.contains(words[0]), "{}", recorded(&station)?);
    one_line(&station.vigie(&["tor", "status"]).run()?, 2, &words)?;
    std::fs::write(station.desk.path("vigie.toml"), good)?;
    station.sound()?;
    Ok(())
}
