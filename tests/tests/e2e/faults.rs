//! What can go wrong on the way: each layer has its name in the log, one line on the terminal and
//! its exit code; the store stays sound, and a later run goes on.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use vigie_tests::desk::{Network, Target};
use vigie_tests::sites::SECOND_HAND_HOST;
use vigie_tests::tornet::{HiddenService, Options, TorNet, absent_onion};

use crate::ensure;
use crate::machine::{one_line, until};
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, NOBODY, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "faults::every_layer_that_fails_has_its_name", run: every_layer },
        Case { name: "faults::a_certificate_that_does_not_hold_is_recorded_as_such", run: recorded_certificates },
        Case { name: "faults::a_certificate_of_an_unknown_authority", run: unknown_authority },
        Case { name: "faults::a_service_that_vanished_and_came_back", run: vanished_service },
        Case { name: "faults::what_stands_in_the_way_of_a_page", run: obstacles },
        Case { name: "faults::tor_that_does_not_come_up", run: tor_not_up },
        Case { name: "faults::a_signal_ends_the_wait_for_tor", run: stopped_before_tor },
    ]
}

/// A clear-web target with one entry point.
fn web(name: &str, host: &str, port: u16, tls: &'static str) -> Target {
    Target {
        tls,
        entry: vec!["/annonce/1".into()],
        include: vec!["/annonce/1".into()],
        ..Target::web(name, host, port)
    }
}

/// Kinds of the failures that the log has, by target.
fn failures(station: &Station) -> Outcome<BTreeMap<String, Vec<String>>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (kind, row) in station.entries()? {
        let word = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
        if kind == "failure" {
            found.entry(word("target")).or_default().push(word("kind"));
            // What the log shows of a failure never names the far side.
            ensure!(!word("detail").is_empty() && !word("detail").contains(".onion"), "{row}");
            ensure!(!word("detail").contains(".test") && row["attempt"].as_u64() > Some(0), "{row}");
        }
    }
    Ok(found)
}

fn every_layer(world: &World) -> CaseResult {
    let market = Target {
        entry: vec!["/offer/3".into()],
        include: vec!["/offer/3".into()],
        ..Target::onion("healthy", &world.net.onion("market-a"))
    };
    let plain = |name: &str, host: &str, port: u16| Target { scheme: "http", port, ..Target::onion(name, host) };
    let targets = [
        market,
        Target::onion("absent", &absent_onion()),
        Target::onion("nobody", &world.net.onion(NOBODY)),
        plain("closed", "closed.test", 1),
        plain("unresolved", "unresolved.example", 80),
        web("expired", SECOND_HAND_HOST, world.sites.expired_tls.port, "strict"),
        web("misnamed", "misnamed.test", world.sites.second_hand.port, "strict"),
    ];
    let station = Station::quick(world, "layers", &targets)?;
    let first = station.run_once().arg("--json").run()?.exits(4)?;
    let report: serde_json::Value = serde_json::from_slice(&first.stdout)?;
    ensure!(report["exhibits"] == 1 && report["given_up"] == 6 && report["exit_code"] == 4, "{report}");
    ensure!(report["stopped"].is_null(), "one target's failure stops no other: {report}");
    let found = failures(&station)?;
    for (target, kind, attempts) in [
        ("absent", "descriptor-not-found", 1),
        ("nobody", "stream-refused", 1),
        ("closed", "exit-failed", 3),
        ("unresolved", "name-not-found", 1),
        ("expired", "tls", 1),
        ("misnamed", "tls", 1),
    ] {
        let kinds = found.get(target).ok_or_else(|| format!("no failure of {target}: {found:?}"))?;
        ensure!(kinds.len() == attempts && kinds.iter().all(|k| k == kind), "{target}: {kinds:?}, not {kind}");
        // Each attempt and the giving up are said as they happen.
        let said = first.errors();
        ensure!(said.contains(&format!("attempt {attempts} failed ({target}): {kind}: ")), "{said}");
        ensure!(said.contains(&format!("given up ({target}): {kind}: ")), "{said}");
    }
    ensure!(found.len() == 6, "{found:?}");
    let said = first.errors();
    ensure!(said.contains("it has expired") && said.contains("it is for another name"), "{said}");
    let status = station.json(&["status"])?;
    ensure!(status["targets"]["unresolved"]["last_failure_kind"] == "name-not-found", "{status}");
    ensure!(status["targets"]["healthy"]["exhibits"] == 1 && status["failures"] == 8, "{status}");
    // What is down and what is not known; each attempt with its wait, the last one without.
    for (target, state, reason) in [
        ("healthy", "answers", serde_json::Value::Null),
        ("absent", "unknown", "descriptor-not-found".into()),
        ("nobody", "down", "stream-refused".into()),
        ("closed", "unknown", "exit-failed".into()),
        ("unresolved", "unknown", "name-not-found".into()),
        ("expired", "unknown", "tls".into()),
    ] {
        let seen = &status["targets"][target];
        ensure!(seen["state"] == state && seen["reason"] == reason, "{target}: {seen}");
        ensure!(seen["history"].as_array().is_some_and(|spans| spans.len() == 1), "{target}: {seen}");
    }
    let closed: Vec<_> = station.rows("failure")?.into_iter().filter(|row| row["target"] == "closed").collect();
    for (place, row) in closed.iter().enumerate() {
        ensure!(row["attempt"] == place + 1 && row["verdict"] == "unknown", "{row}");
        let wait = row["wait_ms"].as_u64();
        let range = (2_000 << place)..=(6_000 << place);
        ensure!(if place < 2 { wait.is_some_and(|ms| range.contains(&ms)) } else { wait.is_none() }, "{row}");
    }
    ensure!(said.contains("left alone (absent): its directories are not asked again for"), "{said}");
    ensure!(station.rows("exhibit")?[0]["attempt"] == 1, "the number of the attempt that gave it");
    ensure!(station.last_end()? == "done", "{}", station.last_end()?);
    // A page that was given up is asked again in the next round.
    station.run_once().run()?.exits(4)?;
    let again = failures(&station)?;
    ensure!(again["unresolved"].len() == 2 && again["absent"].len() == 2, "{again:?}");
    let sound = station.sound()?;
    ensure!(sound["opened"] == 2, "{sound}");
    Ok(())
}

/// Facts about the certificate in each exhibit, by target.
fn certificates(station: &Station) -> Outcome<BTreeMap<String, String>> {
    let listed = station.json(&["exhibits"])?;
    let opened = station.opened()?;
    let mut found = BTreeMap::new();
    for listed in listed.as_array().ok_or("no list")? {
        let number = listed["exhibit"].as_u64().ok_or("no number")?;
        let exhibit = opened.exhibit(number)?;
        let facts = exhibit.of("metadata").flat_map(crate::opened::Record::facts);
        let said = facts.filter(|(name, _)| name == "tls-certificate").map(|(_, value)| value);
        found.insert(listed["target"].as_str().ok_or("no target")?.to_owned(), said.collect::<Vec<_>>().join("; "));
    }
    Ok(found)
}

fn recorded_certificates(world: &World) -> CaseResult {
    let targets = [
        web("expired", SECOND_HAND_HOST, world.sites.expired_tls.port, "record-invalid"),
        web("misnamed", "misnamed.test", world.sites.second_hand.port, "record-invalid"),
        web("good", SECOND_HAND_HOST, world.sites.second_hand.port, "record-invalid"),
    ];
    let station = Station::quick(world, "recorded-certificates", &targets)?;
    station.run_once().run()?.exits(0)?;
    let found = certificates(&station)?;
    for (target, words) in
        [("expired", "INVALID: it has expired"), ("misnamed", "INVALID: it is for another name"), ("good", "valid")]
    {
        let said = found.get(target).ok_or_else(|| format!("no exhibit of {target}"))?;
        // The page, its stylesheet and its font.
        ensure!(!said.is_empty() && said.split("; ").all(|one| one == words), "{target}: {said}");
    }
    ensure!(failures(&station)?.is_empty(), "recorded, not failed");
    station.sound()?;
    Ok(())
}

fn unknown_authority(world: &World) -> CaseResult {
    let targets = [
        web("strict", SECOND_HAND_HOST, world.sites.second_hand.port, "strict"),
        web("lenient", "lenient.test", world.sites.second_hand.port, "record-invalid"),
    ];
    let network = Network { arti_toml: world.net.arti_toml(), ca_pem: None };
    let station = Station::desk_on(world, "unknown-authority", &targets, &network)?;
    station.set_up_quickly("store")?;
    let run = station.run_once().run()?.exits(4)?;
    ensure!(
        run.errors().contains("given up (strict): tls: the certificate does not hold: its issuer is unknown"),
        "{}",
        run.errors()
    );
    ensure!(failures(&station)? == BTreeMap::from([("strict".into(), vec!["tls".into()])]), "one failure");
    let found = certificates(&station)?;
    ensure!(found["lenient"].starts_with("INVALID: its issuer is unknown"), "{found:?}");
    station.sound()?;
    Ok(())
}

/// On a network of its own, whose services can be stopped without harm to other cases.
fn vanished_service(world: &World) -> CaseResult {
    let shop = HiddenService { name: "shop".into(), virtual_port: 80, local_port: world.sites.market_b.port };
    let options = Options { services: vec![shop], client_socks: true, dns: false, ..Options::default() };
    let mut net = TorNet::start(&world.dir("vanishing-net")?, options)?;
    let onion = net.onion("shop");
    let network = Network { arti_toml: net.arti_toml(), ca_pem: None };
    let station = Station::desk_on(world, "vanishing", &[Target::onion("shop", &onion)], &network)?;
    station.configure("[fetch]\nconnect_ms = 20000\nattempts = 2")?;
    station.set_up_quickly("store")?;
    let page = format!("http://{onion}/offer/3");
    station.capture(&page).run()?.exits(0)?;

    net.stop_services();
    let gone = station.capture(&page).run()?.exits(4)?;
    let kinds = failures(&station)?;
    // Its relays know at once that it is gone, or take the introduction and nobody answers it.
    let known = ["introduction", "introduction-refused", "rendezvous", "timeout"];
    let fits = |kind: &String| known.contains(&kind.as_str());
    ensure!(kinds["shop"].len() == 2 && kinds["shop"].iter().all(fits), "{kinds:?}");
    ensure!(gone.errors().contains(&format!("not captured: {}: ", kinds["shop"][1])), "{}", gone.errors());
    ensure!(station.seen()?.len() == 1, "nothing new");

    net.start_services()?;
    station.capture(&page).run()?.exits(0)?;
    ensure!(station.seen()?.len() == 2 && station.sound()?["sound"] == true, "goes on");
    // Its history: it answered, nothing could be said of it, it answers again; never that it was down.
    let status = station.json(&["status"])?;
    let shop = &status["targets"]["shop"];
    let came: Vec<_> = shop["history"].as_array().ok_or("none")?.iter().map(|span| span["came"].clone()).collect();
    ensure!(shop["state"] == "answers" && came.first() == came.last() && came[0] == "answered", "{shop}");
    ensure!(came.len() >= 3 && came[1..came.len() - 1].iter().all(|came| came == "unknown"), "{shop}");
    let shown = station.vigie(&["status", "--svg", "reach.svg"]).run()?.success()?.text();
    ensure!(shown.contains("REACHED") && shown.contains('█') && shown.contains('x'), "{shown}");
    let drawn = std::fs::read_to_string(station.desk.path("reach.svg"))?;
    ensure!(drawn.contains(">shop</text>") && drawn.contains("1 answers") && drawn.contains(" unknown"), "{drawn}");
    one_line(&station.vigie(&["status", "--svg", "reach.svg"]).run()?, 2, &["exists already"])?;
    // One descriptor for each session that reached it.
    ensure!(shop["descriptors"] == 2, "{shop}");
    Ok(())
}

/// Pages that are not what was asked for are recorded and named; those that say *later* are asked once more.
fn obstacles(world: &World) -> CaseResult {
    let gates = ["queue", "puzzle", "login", "app", "tor", "broken"];
    let paths: Vec<String> = gates.iter().map(|gate| format!("/gate/{gate}")).collect();
    let hosts: Vec<String> = gates.iter().map(|gate| format!("{gate}.test")).collect();
    let one = |path: &str, target: Target| Target { entry: vec![path.into()], include: vec![path.into()], ..target };
    let port = world.sites.market_b.port;
    let mut targets: Vec<_> = gates
        .iter()
        .zip(paths.iter().zip(&hosts))
        .map(|(gate, (path, host))| one(path, Target { scheme: "http", port, ..Target::onion(gate, host) }))
        .collect();
    targets.push(one("/offer/3", Target::onion("honest", &world.net.onion("market-b"))));
    let station = Station::quick(world, "obstacles", &targets)?;
    let run = station.run_once().run()?;
    let rows = station.rows("exhibit")?;
    let of = |target: &str| -> Vec<String> {
        let own = rows.iter().filter(|row| row["target"] == target);
        own.map(|row| row["obstacle"].as_str().unwrap_or("none").to_owned()).collect()
    };
    for (target, words) in [
        ("puzzle", &["captcha"][..]),
        ("login", &["login"]),
        ("app", &["needs-javascript"]),
        ("tor", &["blocks-tor"]),
        ("queue", &["waiting-room", "none"]),
        ("broken", &["http-server-error", "http-server-error"]),
        ("honest", &["none"]),
    ] {
        ensure!(of(target) == words, "{target}: {:?}, not {words:?}: {}", of(target), run.errors());
    }
    ensure!(run.errors().contains("(puzzle): in the way: captcha"), "{}", run.errors());
    ensure!(run.errors().contains("(queue): in the way: waiting-room, asked once more in "), "{}", run.errors());
    ensure!(station.rows("failure")?.is_empty(), "recorded, not failed");
    let status = station.json(&["status"])?;
    for (target, state) in [("queue", "answers"), ("tor", "obstructed"), ("broken", "obstructed")] {
        ensure!(status["targets"][target]["state"] == state, "{target}: {status}");
    }
    // Plain HTTP through an exit is marked wherever it shows; an onion service's is not.
    ensure!(status["targets"]["tor"]["amber"] == 1 && status["targets"]["honest"]["amber"] == 0, "{status}");
    ensure!(station.vigie(&["status"]).run()?.success()?.text().contains("AMBER"), "status");
    ensure!(station.vigie(&["exhibits"]).run()?.success()?.text().contains("AMBER: plain HTTP"), "exhibits");
    let opened = station.opened()?.exhibits()?;
    let facts: Vec<_> = opened
        .iter()
        .flat_map(|exhibit| exhibit.of("metadata"))
        .flat_map(crate::opened::Record::facts)
        .filter(|(name, _)| name == "obstacle")
        .map(|(_, value)| value.to_string())
        .collect();
    ensure!(facts.iter().any(|word| word == "blocks-tor") && facts.len() == 7, "{facts:?}");
    station.sound()?;
    Ok(())
}

/// Directory caches and authorities that nobody runs.
pub fn unreachable(station: &Station) -> Outcome<String> {
    let path = station.desk.path("vigie.toml");
    let good = std::fs::read_to_string(&path)?;
    let mut document: toml::Table = good.parse()?;
    let caches = document["tor"]["tor_network"]["fallback_caches"].as_array_mut().ok_or("no caches")?;
    for cache in caches {
        let cache = cache.as_table_mut().ok_or("no table")?;
        // Port 1 of loopback: nothing listens there.
        cache.insert("orports".into(), toml::Value::Array(vec!["127.0.0.1:1".into()]));
    }
    std::fs::write(&path, toml::to_string(&document)?)?;
    Ok(good)
}

fn tor_not_up(world: &World) -> CaseResult {
    let station = Station::quick(world, "not-up", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let good = unreachable(&station)?;
    station.configure("[fetch]\nbootstrap_ms = 8000")?;
    let begun = Instant::now();
    let refused = station.run_once().run()?;
    let words = ["Tor is not ready: ", "not within 8000 ms, it came to: 0%", "check the clock, the network and [tor]"];
    crate::station::refused(&refused, 1, &words)?;
    ensure!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    let (kind, row) = station.entries()?.pop().ok_or("no entry")?;
    ensure!(kind == "failure" && row["kind"] == "tor-not-ready", "{kind} {row}");
    ensure!(row["elapsed_ms"].as_u64() >= Some(8000), "{row}");
    ensure!(station.log("session-open")?.is_empty(), "no session began");
    let status = station.json(&["status"])?;
    ensure!(status["failures"] == 1 && status["sessions"] == 0, "{status}");
    // Nothing is left in the way once the network is there.
    std::fs::write(station.desk.path("vigie.toml"), good)?;
    station.capture(&format!("http://{}/offer/3", world.net.onion("market-a"))).run()?.exits(0)?;
    station.sound()?;
    Ok(())
}

fn stopped_before_tor(world: &World) -> CaseResult {
    let station = Station::quick(world, "stopped-before", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    unreachable(&station)?;
    for signal in [Signal::INT, Signal::TERM] {
        let mut run = station.run_once().spawn()?;
        // The store is held once signals end a run in order.
        until("a run that holds the store", || {
            if run.has_ended() {
                return Err(format!("it ended: {}", run.stderr_so_far()).into());
            }
            Ok(vigie_store::is_locked(&station.store()).then_some(()))
        })?;
        let begun = Instant::now();
        run.signal(signal);
        let output = run.wait(Duration::from_secs(60))?;
        ensure!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
        one_line(&output, 130, &["stopped before Tor was ready"])?;
    }
    station.sound()?;
    Ok(())
}
