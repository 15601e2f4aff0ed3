//! Runs that are ended from outside: in order, at once, or by a crash.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::process::Signal;
use vigie_tests::desk::{Target, revocations};
use vigie_tests::process::Running;

use crate::ensure;
use crate::machine::{PATIENCE, Seen, until};
use crate::station::{Outcome, PURPOSE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "stop::signals_end_a_run_in_order_and_the_next_goes_on", run: signals },
        Case { name: "stop::five_crashes_lose_nothing", run: crashes },
        Case { name: "stop::a_second_signal_ends_at_once", run: second_signal },
        Case { name: "stop::a_continuous_run_waits_for_its_next_round", run: continuous },
        Case { name: "stop::a_revocation_between_two_rounds_ends_the_run", run: revoked_between_rounds },
    ]
}

/// A signal must have ended a run within this time, on a machine that works on other cases as well.
const SOON: Duration = Duration::from_secs(15);

/// Of the bulk site's 1,000 pages, those whose number begins with 1, 2 or 3, and the list of all.
fn bulk(world: &World) -> Target {
    let include = ["/", "/page/1**", "/page/2**", "/page/3**"].map(str::to_owned).to_vec();
    Target { include, ..Target::onion("bulk", &world.net.onion("bulk")) }
}

const PAGES: usize = 3 * 111 + 1;

/// How often each page is in the store, by path; and that each copy is whole.
fn pages(station: &Station) -> Outcome<BTreeMap<String, usize>> {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for exhibit in station.opened()?.exhibits()? {
        *found.entry(exhibit.path()).or_default() += 1;
        let facts = exhibit.facts();
        ensure!(
            facts.iter().any(|(name, value)| name == "complete" && value == "yes"),
            "{}: {facts:?}",
            exhibit.number
        );
    }
    Ok(found)
}

fn signals(world: &World) -> CaseResult {
    let station = Station::paced(world, "signals", &[bulk(world)])?;
    let mut before = Vec::new();
    for (signal, more, name) in [(Signal::INT, 40, "Ctrl-C"), (Signal::TERM, 60, "SIGTERM")] {
        let mut run = station.run_once().arg("--json").spawn()?;
        let seen = station.seen_during(&mut run, before.len() + more)?;
        ensure!(seen.starts_with(&before), "others than before");
        let begun = Instant::now();
        run.signal(signal);
        let output = run.wait(SOON)?.exits(130)?;
        ensure!(begun.elapsed() < SOON, "{name}: ended after {:?}", begun.elapsed());
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        ensure!(report["stopped"] == format!("signal: {name}") && report["exit_code"] == 130, "{report}");
        ensure!(report["given_up"] == 0 && report["incomplete"] == 0, "{report}");
        ensure!(
            !output.errors().contains("failed")
                && !output.errors().replace("vigie: the run ended early: signal", "").contains("vigie:"),
            "{}",
            output.errors()
        );
        ensure!(station.last_end()? == format!("signal: {name}"), "{}", station.last_end()?);
        // What was acknowledged is there; what was not is not begun anew as something else.
        let now = station.seen()?;
        ensure!(now.starts_with(&seen) && now.len() < PAGES, "{} of {} exhibits", now.len(), seen.len());
        ensure!(report["exhibits"] == now.len() - before.len(), "{report}, {} exhibits", now.len());
        station.sound()?;
        before = now;
    }
    station.run_once().run()?.exits(0)?;
    ensure!(station.last_end()? == "done", "{}", station.last_end()?);
    let found = pages(&station)?;
    let twice: Vec<_> = found.iter().filter(|(_, times)| **times != 1).collect();
    ensure!(twice.is_empty() && found.len() == PAGES, "{} pages, not once: {twice:?}", found.len());
    ensure!(found.contains_key("/page/199") && !found.contains_key("/page/4"), "others than the mandate's");
    let sessions = station.log("session-open")?.len();
    ensure!(sessions == 3 && station.log("session-close")?.len() == 3, "{sessions} sessions");
    ensure!(station.log("recovery")?.is_empty(), "an orderly end needs no recovery");
    station.sound()?;
    Ok(())
}

fn crashes(world: &World) -> CaseResult {
    let station = Station::paced(world, "crashes", &[bulk(world)])?;
    let mut known: Vec<Seen> = Vec::new();
    let mut recoveries = 0;
    for more in [1, 30, 55, 20, 40] {
        let mut run = station.run_once().spawn()?;
        let seen = station.seen_during(&mut run, known.len() + more)?;
        run.signal(Signal::KILL);
        let output = run.wait(PATIENCE)?;
        ensure!(output.code().is_none(), "it ended by itself: {:?}", output.code());
        ensure!(seen.starts_with(&known), "the crash before took something away");
        // The kernel drops the lock with the process.
        ensure!(station.json(&["status"])?["running"] == false, "still locked");
        known = seen;
        recoveries += usize::from(output.errors().contains("store: recovered after a stop in mid-write"));
        // A reader needs no recovery to find it sound.
        ensure!(station.json(&["verify"])?["sound"] == true, "unsound after a crash");
    }
    let last = station.run_once().run()?.exits(0)?;
    recoveries += usize::from(last.errors().contains("store: recovered after a stop in mid-write"));
    let now = station.seen()?;
    ensure!(now.starts_with(&known), "of {} acknowledged exhibits some are gone", known.len());
    ensure!(station.log("recovery")?.len() == recoveries, "{recoveries} recoveries were told");
    ensure!(station.log("rebuild")?.is_empty(), "the catalogue was lost");
    // No page is lost. One that was written and not acknowledged is visited again: it may be there twice.
    let found = pages(&station)?;
    ensure!(found.len() == PAGES, "{} of {PAGES} pages", found.len());
    let again = now.len() - PAGES;
    ensure!(again <= 5 * 16, "{again} pages twice: more than were under way in five crashes");
    // Sessions that ended without a word show as such: six begun, one closed.
    ensure!(station.log("session-open")?.len() == 6 && station.log("session-close")?.len() == 1, "sessions");
    let sound = station.sound()?;
    ensure!(sound["opened"] == now.len(), "{sound}");
    Ok(())
}

fn second_signal(world: &World) -> CaseResult {
    let station = Station::paced(world, "second-signal", &[bulk(world)])?;
    let mut run = station.run_once().spawn()?;
    let seen = station.seen_during(&mut run, 10)?;
    // Both wait for a process that sleeps, and reach it together: no time for an orderly end.
    run.signal(Signal::STOP);
    run.signal(Signal::INT);
    run.signal(Signal::TERM);
    let begun = Instant::now();
    run.signal(Signal::CONT);
    let output = run.wait(SOON)?.exits(130)?;
    ensure!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    ensure!(output.stdout.is_empty(), "an orderly end: {}", output.text());
    ensure!(station.log("session-close")?.is_empty(), "an orderly end");
    ensure!(station.seen()?.starts_with(&seen), "something acknowledged is gone");
    station.sound()?;
    let mut run = station.run_once().spawn()?;
    station.seen_during(&mut run, seen.len() + 5)?;
    run.signal(Signal::TERM);
    run.wait(PATIENCE)?.exits(130)?;
    Ok(())
}

/// `vigie run` until its first round is over.
fn first_round(world: &World, station: &Station) -> Outcome<Running> {
    let run = ["run", "--purpose", PURPOSE];
    let mut run = station.vigie(&run).spawn()?;
    run.wait_for("the next round begins at ", PATIENCE)?;
    ensure!(!run.has_ended() && vigie_store::is_locked(&station.store()), "{}", run.stderr_so_far());
    let asked = world.net.onion("market-a").len();
    ensure!(asked == 62 && station.seen()?.len() == 1, "one page in the first round");
    Ok(run)
}

fn one_page(world: &World) -> Target {
    let page = vec!["/offer/3".to_owned()];
    Target { entry: page.clone(), include: page, ..Target::onion("market-a", &world.net.onion("market-a")) }
}

fn continuous(world: &World) -> CaseResult {
    let station = Station::quick(world, "continuous", &[one_page(world)])?;
    for signal in [Signal::TERM, Signal::INT] {
        let size = station.json(&["status"])?["exhibits"].as_u64().ok_or("no count")?;
        let mut run = station.vigie(&["run", "--purpose", PURPOSE]).spawn()?;
        run.wait_for("the next round begins at ", PATIENCE)?;
        ensure!(!run.has_ended() && station.json(&["status"])?["running"] == true, "it waits with the store");
        ensure!(station.json(&["status"])?["exhibits"] == size + 1, "a round was done");
        ensure!(run.stdout_so_far().contains("1 exhibits (0 incomplete)"), "{}", run.stdout_so_far());
        ensure!(station.last_end()? == "done", "the round's session is closed: {}", station.last_end()?);
        let begun = Instant::now();
        run.signal(signal);
        let output = run.wait(SOON)?.exits(130)?;
        ensure!(
            begun.elapsed() < SOON
                && !output.errors().replace("vigie: the run ended early: signal", "").contains("vigie:"),
            "{}",
            output.errors()
        );
        ensure!(station.last_end()? == "done", "nothing to add");
    }
    station.sound()?;
    Ok(())
}

fn revoked_between_rounds(world: &World) -> CaseResult {
    let station = Station::quick(world, "revoked-between", &[one_page(world)])?;
    let run = first_round(world, &station)?;
    // A fresh list that does not mean the mandate is taken in, and the run stays.
    let lists = || -> Outcome<usize> { Ok(station.log("mandate-revoked")?.len()) };
    station.desk.write_revocations("fresh.toml", &revocations(Timestamp::now(), &[]))?;
    let handed = station.vigie(&["mandate", "revoke", "fresh.toml"]).run()?.success()?;
    ensure!(handed.text().contains("handed to the running session"), "{}", handed.text());
    until("the fresh list in the log", || Ok((lists()? == 2).then_some(())))?;
    // One that means it ends the run.
    let now = Timestamp::now();
    station.desk.write_revocations("stop.toml", &revocations(now, &[("M-2026-017", now, "opposition")]))?;
    station.vigie(&["mandate", "revoke", "stop.toml"]).run()?.success()?;
    let output = run.wait(PATIENCE)?;
    crate::station::refused(&output, 3, &["M-2026-017"])?;
    ensure!(lists()? == 3 && station.seen()?.len() == 1, "taken in, nothing more recorded");
    crate::station::refused(&station.run_once().run()?, 3, &["M-2026-017"])?;
    station.sound()?;
    Ok(())
}
