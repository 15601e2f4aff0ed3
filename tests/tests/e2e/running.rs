//! What ends a run, or makes it wait, while it is under way.

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use rustix::process::Signal;
use serde_json::Value;
use vigie_tests::desk::{self, Target};
use vigie_tests::sites::Site;

use crate::ensure;
use crate::station::{Outcome, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "running::a_revocation_stops_a_run", run: revocation },
        Case { name: "running::an_opposition_stops_a_capture_that_waits", run: opposition },
        Case { name: "running::the_end_of_the_mandate_stops_a_run", run: end_of_mandate },
        Case { name: "running::the_bytes_of_a_day_end_a_run_that_another_goes_on_with", run: bytes_of_a_day },
        Case { name: "running::a_full_hour_makes_a_run_wait", run: full_hour },
        Case { name: "running::depth_is_counted_from_the_entry_points", run: depth },
    ]
}

/// From a stop to the end of the process; the Tor client's own end is the longest part of it.
const STOP_LIMIT: Duration = Duration::from_secs(20);
const MINUTES: Duration = Duration::from_secs(180);

/// Looks until a condition holds.
fn until(what: &str, mut holds: impl FnMut() -> Outcome<bool>) -> CaseResult {
    let deadline = Instant::now() + MINUTES;
    while !holds()? {
        ensure!(Instant::now() < deadline, "waited {MINUTES:?} until {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// A station on the bulk site whose mandate was changed, and its key ring unlocked.
fn bulk(world: &World, case: &str, change: &[(&str, i64)]) -> Outcome<Station> {
    let targets = [Target::onion("bulk", &world.net.onion("bulk"))];
    station(world, case, &targets, change)
}

fn station(world: &World, case: &str, targets: &[Target], change: &[(&str, i64)]) -> Outcome<Station> {
    let station = Station::desk(world, case, targets)?;
    let text = station.desk.mandate(targets, Timestamp::now())?;
    let text = change.iter().fold(text, |text, (path, value)| text.with(path, *value));
    station.sign_mandate(&text)?;
    station.set_up()?;
    station.vigie(&["unlock", "--minutes", "30"]).run()?.success()?;
    Ok(station)
}

/// The row of the newest `session-close`.
fn last_close(station: &Station) -> Outcome<Value> {
    Ok(station.rows("session-close")?.pop().ok_or("no session was closed")?)
}

/// Requests that Vigie sent to a site: those of a browser, not of curl.
fn asked(site: &Site) -> Vec<String> {
    let heads = site.journal.heads();
    let texts = heads.iter().map(|head| String::from_utf8_lossy(head)).filter(|head| head.contains("Firefox/"));
    texts.filter_map(|head| head.split(' ').nth(1).map(str::to_owned)).collect()
}

fn revocation(world: &World) -> CaseResult {
    let station = bulk(world, "revocation", &[("limits.concurrency", 2), ("limits.depth", 1)])?;
    let exhibits = || -> Outcome<usize> { Ok(station.log("exhibit")?.len()) };
    let mut running = station.run_once().spawn()?;
    until("some pages are recorded", || Ok(exhibits()? >= 3 || running.has_ended()))?;
    // A list about another mandate is taken in, and the run goes on.
    let now = Timestamp::now();
    station.desk.write_revocations("other.toml", &desk::revocations(now, &[("M-other", now, "revocation")]))?;
    let handed = station.vigie(&["mandate", "revoke", "other.toml"]).run()?.success()?;
    ensure!(handed.text().contains("handed to the running session"), "{}", handed.text());
    until("the list is in the log", || Ok(station.log("mandate-revoked")?.len() == 2))?;
    let then = exhibits()?;
    until("further pages are recorded", || Ok(exhibits()? > then || running.has_ended()))?;
    ensure!(!running.has_ended(), "the list of another mandate ended the run: {}", running.stderr_so_far());

    station.desk.write_revocations("stop.toml", &desk::revocations(now, &[("M-2026-017", now, "revocation")]))?;
    station.vigie(&["mandate", "revoke", "stop.toml"]).run()?.success()?;
    let run = running.wait(STOP_LIMIT)?;
    refused(
        &run,
        3,
        &["vigie: the run ended early: refused: the mandate M-2026-017 was stopped (revocation)", "sample"],
    )?;
    let close = last_close(&station)?;
    let end = close["end"].as_str().unwrap_or_default();
    ensure!(end.starts_with("refused: the mandate M-2026-017 was stopped (revocation)"), "{close}");
    ensure!(close["exhibits"] == exhibits()? && exhibits()? < 1000, "{close}, {} in the log", exhibits()?);
    // What was on its way when the list came may still be sealed, nothing after it.
    let log = station.json(&["log"])?;
    let kinds: Vec<&str> = log.as_array().ok_or("no list")?.iter().filter_map(|entry| entry["kind"].as_str()).collect();
    let list = kinds.iter().rposition(|kind| *kind == "mandate-revoked").ok_or("no list in the log")?;
    let after = kinds[list..].iter().filter(|kind| **kind == "exhibit").count();
    ensure!(after <= 2 && kinds.last() == Some(&"session-close"), "after the list: {:?}", &kinds[list..]);
    ensure!(std::fs::read_dir(station.store().join("incoming"))?.next().is_none(), "a list was left behind");
    let checked = station.sound()?;
    ensure!(checked["opened"] == close["exhibits"], "{checked} {close}");

    refused(&station.run_once().run()?, 3, &["M-2026-017 was stopped (revocation)"])?;
    // Reading goes on, for those whom the mandate names.
    station.desk.stranger_key("stranger")?;
    let get = ["exhibit", "get", "1", "--sealed", "--to", "1.age", "--purpose", "a look"];
    let output = station.vigie(&[&get[..], &["--agent-key", "keys/stranger"]].concat()).run()?;
    refused(&output, 3, &["M-2026-017 names no agent with this SSH key"])?;
    ensure!(!station.desk.path("1.age").exists(), "a stranger got an exhibit");
    station.vigie(&get).run()?.success()?;
    let rows = station.rows("refusal")?;
    let mut codes: Vec<_> = rows.iter().filter_map(|row| row["code"].as_str()).collect();
    // A page whose turn came with the list may be an entry of its own.
    codes.dedup();
    ensure!(codes == ["revoked", "agent-unknown"], "{codes:?}");
    Ok(())
}

/// The site says nothing for a minute; the prosecutor does not wait for it.
fn opposition(world: &World) -> CaseResult {
    let onion = world.net.onion("hostile");
    let station = station(world, "opposition", &[Target::onion("hostile", &onion)], &[])?;
    let _quiet = world.quiet();
    let silent = || asked(&world.sites.hostile).iter().filter(|path| *path == "/silent").count();
    let before = silent();
    let mut running = station.capture(&format!("http://{onion}/silent")).spawn()?;
    until("the site was asked", || Ok(silent() > before || running.has_ended()))?;
    let now = Timestamp::now();
    station.desk.write_revocations("stop.toml", &desk::revocations(now, &[("M-2026-017", now, "opposition")]))?;
    station.vigie(&["mandate", "revoke", "stop.toml"]).run()?.success()?;
    let run = running.wait(STOP_LIMIT)?;
    refused(&run, 3, &["the run ended early: refused: the mandate M-2026-017 was stopped (opposition)", "sample"])?;
    let close = last_close(&station)?;
    ensure!(close["end"].as_str().is_some_and(|end| end.contains("was stopped (opposition)")), "{close}");
    ensure!(close["exhibits"] == 0 && close["failures"] == 0, "{close}");
    ensure!(silent() == before + 1, "asked again");
    station.sound()?;
    Ok(())
}

fn end_of_mandate(world: &World) -> CaseResult {
    let station = bulk(world, "end", &[])?;
    // One exchange at a time: a thousand pages take longer than the second mandate lasts.
    let now = Timestamp::now();
    let until_then = now + SignedDuration::from_secs(25);
    let targets = [Target::onion("bulk", &world.net.onion("bulk"))];
    let short = station.desk.mandate(&targets, now)?.with("id", "M-short").with("limits.concurrency", 1);
    let short = short.valid(now - SignedDuration::from_hours(1), until_then);
    station.desk.write_mandate("short.toml", &short)?;
    station.vigie(&["mandate", "add", "short.toml"]).run()?.success()?;
    let run = station.run_once().args(["--mandate", "M-short"]).run()?;
    refused(&run, 3, &["the run ended early: refused: the mandate M-short ended at", "renews it"])?;
    let close = last_close(&station)?;
    ensure!(close["exhibits"].as_u64() > Some(0), "nothing was recorded before the end: {close}");
    let late = station.log("exhibit")?.into_iter().find(|entry| {
        let time = entry["time"].as_str().and_then(|time| time.parse::<Timestamp>().ok());
        // A page that was asked in time may be sealed a moment later.
        time.is_none_or(|time| time > until_then + SignedDuration::from_secs(5))
    });
    ensure!(late.is_none(), "recorded after the end: {late:?}");
    ensure!(station.rows("refusal")?.iter().any(|row| row["code"] == "expired"), "no entry says so");
    station.sound()?;
    Ok(())
}

fn bytes_of_a_day(world: &World) -> CaseResult {
    // The index and eleven pages of 80 KB.
    let onion = world.net.onion("bulk");
    let target = Target { include: vec!["/".into(), "/page/10*".into()], ..Target::onion("bulk", &onion) };
    let limits = [("limits.bytes_per_day", 300_000), ("limits.concurrency", 3), ("limits.depth", 1)];
    let station = station(world, "bytes", std::slice::from_ref(&target), &limits)?;
    let run = station.run_once().run()?;
    refused(&run, 3, &["the run ended early: refused: the mandate's limit of 300000 bytes per day", "tomorrow (UTC)"])?;
    let first = last_close(&station)?;
    let recorded = first["exhibits"].as_u64().ok_or("no count")?;
    ensure!((3..=7).contains(&recorded), "{first}");
    ensure!(first["end"].as_str().is_some_and(|end| end.contains("bytes per day")), "{first}");
    ensure!(station.rows("refusal")?.iter().all(|row| row["code"] == "bytes-per-day"), "other refusals");
    // The account is not emptied by stopping.
    let again = station.run_once().run()?;
    refused(&again, 3, &["300000 bytes per day"])?;
    ensure!(last_close(&station)?["exhibits"] == 0, "a second run asked for more");
    // Under a mandate with more, the work goes on where it stopped.
    let targets = std::slice::from_ref(&target);
    let more = station.desk.mandate(targets, Timestamp::now())?.with("id", "M-more").with("limits.depth", 1);
    station.desk.write_mandate("more.toml", &more.with("renews", "M-2026-017"))?;
    station.vigie(&["mandate", "add", "more.toml"]).run()?.success()?;
    station.run_once().args(["--mandate", "M-more"]).run()?.exits(0)?;
    let mut paths: Vec<String> = station.opened()?.exhibits()?.iter().map(|exhibit| exhibit.path()).collect();
    paths.sort();
    let mut wanted: Vec<String> = (100..110).map(|n| format!("/page/{n}")).collect();
    wanted.extend(["/".into(), "/page/10".into()]);
    wanted.sort();
    ensure!(paths == wanted, "{paths:?}");
    station.sound()?;
    Ok(())
}

fn full_hour(world: &World) -> CaseResult {
    let target = Target::onion("market-b", &world.net.onion("market-b"));
    let station = station(world, "hour", &[target], &[("limits.requests_per_hour", 5)])?;
    let _quiet = world.quiet();
    let before = asked(&world.sites.market_b).len();
    for round in ["first", "second"] {
        let mut running = station.run_once().spawn()?;
        running.wait_for("the mandate's limit of requests per hour is reached: waiting for room", MINUTES)?;
        until("all five are there", || Ok(asked(&world.sites.market_b).len() >= before + 5 || running.has_ended()))?;
        running.signal(Signal::TERM);
        let run = running.wait(STOP_LIMIT)?;
        refused(&run, 130, &["the run ended early: signal: SIGTERM"]).map_err(|e| format!("{round}: {e}"))?;
        let said = run.errors();
        ensure!(said.matches("waiting for room").count() == 1, "{round}: said more than once: {said}");
        ensure!(last_close(&station)?["end"] == "signal: SIGTERM", "{round}: {}", last_close(&station)?);
    }
    // Stopping and starting did not make room.
    let after = asked(&world.sites.market_b);
    ensure!(after.len() == before + 5, "{:?}", &after[before..]);
    ensure!(station.log("refusal")?.len() == station.rows("refusal")?.len(), "unreadable rows");
    ensure!(!station.rows("refusal")?.iter().any(|row| row["code"] == "requests-per-hour"), "waiting is no refusal");
    station.sound()?;
    Ok(())
}

fn depth(world: &World) -> CaseResult {
    let targets = [Target::onion("market-b", &world.net.onion("market-b"))];
    let station = station(world, "depth", &targets, &[("limits.depth", 0)])?;
    let paths =
        || -> Outcome<Vec<String>> { Ok(station.opened()?.exhibits()?.iter().map(|exhibit| exhibit.path()).collect()) };
    // Elements of the page that leave the mandate are refused; they are no links.
    station.run_once().run()?.exits(0)?;
    ensure!(paths()? == ["/"], "{:?}", paths()?);
    let deeper = station.desk.mandate(&targets, Timestamp::now())?.with("id", "M-deeper").with("limits.depth", 1);
    station.desk.write_mandate("deeper.toml", &deeper)?;
    station.vigie(&["mandate", "add", "deeper.toml"]).run()?.success()?;
    station.run_once().args(["--mandate", "M-deeper"]).run()?;
    let paths = paths()?;
    // The first page links to the second, and only that one to offer 7.
    ensure!(paths.iter().any(|path| path == "/?page=2") && paths.iter().any(|path| path == "/offer/1"), "{paths:?}");
    ensure!(!paths.iter().any(|path| path == "/offer/7"), "{paths:?}");
    station.sound()?;
    Ok(())
}
