//! Relays that take a connection and then let nothing through: cells that vanish on the way.

use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::cage::Cage;
use crate::ensure;
use crate::machine::PATIENCE;
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "relays::cells_that_vanish_end_a_run_with_a_reason_and_cost_no_page", run: all },
        Case { name: "relays::a_guard_that_swallows_cells_is_left_for_another", run: one },
    ]
}

/// Short limits, so that each of them is met in a test.
const LIMITS: &str =
    "[fetch]\nattempts = 2\nconnect_ms = 20000\nfirst_byte_ms = 4000\nidle_ms = 4000\ntotal_ms = 20000";

/// A table of the packet filter in a cage that lets connections stand (their packets without data are short) and
/// drops what carries cells (514 bytes, tor-spec) to these ports.
fn swallow(cage: &Cage, ports: &[u16]) -> Outcome<()> {
    let ports = ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
    let rules = format!(
        "add table inet swallow; add chain inet swallow out {{ type filter hook output priority -10; }}; \
         add rule inet swallow out tcp dport {{ {ports} }} meta length > 200 counter drop"
    );
    cage.enter(Command::new("nft").arg(rules)).run()?.success()?;
    Ok(())
}

/// Lets everything through again; gives whether something was dropped.
fn let_through(cage: &Cage) -> Outcome<bool> {
    let listed = cage.enter(Command::new("nft").args(["list", "table", "inet", "swallow"])).run()?.success()?;
    cage.enter(Command::new("nft").args(["delete", "table", "inet", "swallow"])).run()?.success()?;
    Ok(!listed.text().contains("packets 0 "))
}

/// Some pages of the bulk site, a second or so apart, in a cage.
fn station(world: &World, case: &str, pages: usize) -> Outcome<Station> {
    let entry: Vec<String> = (1..=pages).map(|number| format!("/page/{number}")).collect();
    let targets = [Target { include: entry.clone(), entry, ..Target::onion("bulk", &world.net.onion("bulk")) }];
    let station = Station::desk(world, case, &targets)?;
    station.sign_mandate(&station.desk.mandate(&targets, jiff::Timestamp::now())?.with("limits.concurrency", 2))?;
    let path = station.desk.path("profile.toml");
    let text = std::fs::read_to_string(&path)?;
    std::fs::write(&path, text.replace("min_ms = 0", "min_ms = 900").replace("max_ms = 0", "max_ms = 900"))?;
    // Arti waits a minute for a new circuit until it has learned how long they take.
    let path = station.desk.path("vigie.toml");
    let mut table: toml::Table = std::fs::read_to_string(&path)?.parse()?;
    let parameters = table["tor"]["override_net_params"].as_table_mut().ok_or("no parameters")?;
    parameters.insert("cbtinitialtimeout".into(), 6000.into());
    std::fs::write(&path, toml::to_string(&table)?)?;
    station.configure(LIMITS)?;
    station.set_up_quickly("store")?;
    Ok(station)
}

/// Pages that exhibits show, each once.
fn paths(station: &Station) -> Outcome<Vec<String>> {
    let mut paths: Vec<_> = station.opened()?.exhibits()?.iter().map(crate::opened::Exhibit::path).collect();
    paths.sort();
    paths.dedup();
    Ok(paths)
}

fn all(world: &World) -> CaseResult {
    const PAGES: usize = 6;
    let dir = world.dir("swallow-all-cage")?;
    let Some(cage) = Cage::new(&dir, world.net.relay_ports())? else { return Ok(()) };
    let station = station(world, "swallow-all", PAGES)?;
    let mut run = cage.enter(station.run_once()).spawn()?;
    let before = station.seen_during(&mut run, 2)?;
    swallow(&cage, world.net.relay_ports())?;
    let output = run.wait(PATIENCE)?;
    ensure!(let_through(&cage)?, "nothing was dropped: {}", output.errors());
    ensure!(output.code() == Some(4) && !output.errors().contains("panicked"), "{}", output.errors());
    let said = output.errors();
    let last = said.trim_end().lines().last().unwrap_or_default();
    ensure!(last.starts_with("vigie: ") || said.contains("given up (bulk): "), "{said}");
    // Each attempt is on record with its reason; none says anything of the service.
    let failures = station.rows("failure")?;
    let known = ["timeout", "meeting-point", "introduction", "rendezvous", "directory-unreachable", "tor-not-ready"];
    let fits = |row: &Value| known.iter().any(|kind| row["kind"] == *kind) && row["verdict"] == "unknown";
    ensure!(!failures.is_empty() && failures.iter().all(fits), "{failures:?}");
    let held = station.seen()?;
    ensure!(held.len() >= before.len() && held.len() < PAGES, "{} pages: {said}", held.len());
    station.sound()?;

    // The same workstation, guards and all, once cells come through again.
    let output = cage.enter(station.run_once()).run()?.exits(0)?;
    ensure!(station.seen()?[..held.len()] == held[..], "what was kept is gone: {}", output.errors());
    ensure!(paths(&station)?.len() == PAGES, "{:?}: {}", paths(&station)?, output.errors());
    station.sound()?;
    Ok(())
}

fn one(world: &World) -> CaseResult {
    const PAGES: usize = 12;
    let dir = world.dir("swallow-one-cage")?;
    let Some(cage) = Cage::new(&dir, world.net.relay_ports())? else { return Ok(()) };
    let station = station(world, "swallow-one", PAGES)?;
    // Arti's first choice of guard is known once it was used.
    let url = format!("http://{}/page/1", world.net.onion("bulk"));
    cage.enter(station.capture(&url)).run()?.exits(0)?;
    let kept = vigie_net::guards(&station.store().join("tor/state"))?;
    let guard = kept.iter().find(|guard| guard.confirmed.is_some()).ok_or("no guard was used")?;
    let ports: Vec<u16> = guard.addresses.iter().map(std::net::SocketAddr::port).collect();
    let mut run = cage.enter(station.run_once()).spawn()?;
    let before = station.seen_during(&mut run, 2)?.len();
    swallow(&cage, &ports)?;
    let output = run.wait(PATIENCE)?;
    ensure!(let_through(&cage)?, "nothing was dropped: {}", output.errors());
    let pages = station.seen()?.len();
    ensure!(pages > before + 2, "{before} and then {pages} pages: {}", output.errors());
    station.sound()?;
    Ok(())
}
