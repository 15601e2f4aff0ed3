//! Clear-web targets: what an exit does, and what the record says of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use vigie_store::Kind;
use vigie_tests::desk::{Network, Target};
use vigie_tests::sites::{DATA_PAGE, ELSEWHERE, SECOND_HAND_HOST, Swap};
use vigie_tests::tornet::{Options, TorNet};

use crate::ensure;
use crate::opened::{Exhibit, Record};
use crate::station::{Outcome, PURPOSE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "exits::two_exits_are_two_relays_and_both_answers_are_kept", run: two_exits },
        Case { name: "exits::an_exit_that_alters_pages_is_caught", run: hostile_exit },
        Case { name: "exits::both_requests_count", run: both_count },
        Case { name: "exits::a_downgrade_is_refused_and_on_record", run: downgrade },
        Case { name: "exits::what_tls_showed_is_listed", run: tls_is_listed },
        Case { name: "exits::names_are_resolved_by_exits_alone", run: names },
        Case { name: "exits::embedded_data_is_kept_byte_for_byte", run: embedded_data },
    ]
}

/// A clear-web target with one page.
fn one(name: &str, host: &str, scheme: &'static str, port: u16, path: &str) -> Target {
    Target {
        scheme,
        entry: vec![path.into()],
        // What its pages are made of.
        include: [path, "/style.css", "/face.ttf", "/photo/*", "/picture/*"].map(Into::into).to_vec(),
        exclude: Vec::new(),
        ..Target::web(name, host, port)
    }
}

fn twice(target: Target) -> Target {
    Target { two_exits: true, ..target }
}

/// Rows of the exhibits, by target; each has one.
fn rows(station: &Station) -> Outcome<BTreeMap<String, Value>> {
    let rows = station.rows("exhibit")?;
    Ok(rows.into_iter().map(|row| (row["target"].as_str().unwrap_or_default().to_owned(), row)).collect())
}

/// Facts of one exchange.
fn fact(record: &Record, name: &str) -> Option<String> {
    record.facts().into_iter().find(|(n, _)| n == name).map(|(_, value)| value)
}

/// Facts of each exchange of an exhibit: all its metadata records but the page's.
fn exchanges(exhibit: &Exhibit) -> Vec<&Record> {
    exhibit.of("metadata").filter(|record| fact(record, "wire-bytes").is_some()).collect()
}

/// The body of a response of an exhibit, without chunks (these sites send none).
fn bodies<'e>(exhibit: &'e Exhibit, path: &str) -> Vec<&'e [u8]> {
    let responses = exhibit.of("response").filter(|record| record.path() == path);
    responses
        .filter_map(|record| {
            let end = record.block.windows(4).position(|four| four == b"\r\n\r\n")?;
            Some(&record.block[end + 4..])
        })
        .collect()
}

fn two_exits(world: &World) -> CaseResult {
    let second_hand = world.sites.second_hand.port;
    let market = world.sites.market_b.port;
    let targets = [
        twice(Target {
            entry: vec!["/annonce/1".into(), "/annonce/2".into(), "/annonce/3".into()],
            ..one("secure", SECOND_HAND_HOST, "https", second_hand, "/annonce/*")
        }),
        twice(one("plain", "plain.test", "http", market, "/offer/3")),
        one("single", "single.test", "http", market, "/offer/3"),
    ];
    let targets = targets.map(|mut target| {
        target.entry.retain(|path| !path.contains('*'));
        target
    });
    let station = Station::quick(world, "two-exits", &targets)?;
    let run = station.run_once().run()?.exits(0)?;
    ensure!(!run.errors().contains("two exits:"), "agreement is nothing to report: {}", run.errors());
    let known: BTreeSet<String> = world.net.relay_identities()?.into_iter().collect();
    let mut circuits: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let mut asked = 0;
    for exhibit in station.opened()?.exhibits()? {
        let mut pairs: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
        for record in exchanges(&exhibit) {
            let exit = fact(record, "exit").ok_or("an exchange without its exit")?;
            let rsa = exit.split(' ').next().unwrap_or_default().to_owned();
            ensure!(known.contains(&rsa), "{exit} is no relay of the network");
            let answer = fact(record, "answer").unwrap_or_default();
            let target = fact(record, "target").unwrap_or_default();
            let circuit = fact(record, "exit-circuit").ok_or("an exchange without its circuit")?;
            circuits.entry((target, answer.clone())).or_default().insert(circuit);
            pairs
                .entry(record.field("WARC-Target-URI").unwrap_or_default().to_owned())
                .or_default()
                .push((answer, exit));
            asked += 1;
        }
        let two = exhibit.facts().into_iter().filter(|(name, _)| name == "two-exits").collect::<Vec<_>>();
        if pairs.keys().any(|url| url.contains("single.test")) {
            ensure!(two.is_empty() && pairs.values().all(|all| all.len() == 1 && all[0].0.is_empty()), "{pairs:?}");
            continue;
        }
        ensure!(two.len() == pairs.len() && two.iter().all(|(_, line)| line.starts_with("agree; http")), "{two:?}");
        for (url, all) in &pairs {
            let [(first, exit), (second, other)] = all.as_slice() else {
                return Err(format!("not two answers of {url}: {all:?}").into());
            };
            ensure!((first.as_str(), second.as_str()) == ("first of two exits", "second of two exits"), "{all:?}");
            ensure!(exit != other, "{url} came twice through {exit}");
            // Both whole exchanges.
            for kind in ["request", "response"] {
                let of = exhibit.of(kind).filter(|record| record.field("WARC-Target-URI") == Some(url)).count();
                ensure!(of == 2, "{of} {kind} records of {url}");
            }
        }
    }
    // No circuit serves two targets, nor both ways of one; each serves more than one exchange.
    let all: Vec<_> = circuits.values().flatten().collect();
    ensure!(circuits.len() == 5, "{circuits:?}");
    ensure!(all.iter().collect::<BTreeSet<_>>().len() == all.len(), "a circuit is shared: {circuits:?}");
    ensure!(all.len() < asked, "{asked} exchanges on {} circuits: {circuits:?}", all.len());
    let rows = rows(&station)?;
    for (target, verdict) in [("secure", json!("agree")), ("plain", json!("agree")), ("single", Value::Null)] {
        ensure!(rows[target]["two_exits"]["verdict"] == verdict, "{target}: {}", rows[target]);
    }
    ensure!(rows["plain"]["amber"] == true && rows["plain"]["tls"].is_null(), "{}", rows["plain"]);
    let status = station.json(&["status"])?;
    ensure!(status["targets"]["secure"]["two_exits"] == json!({"agree": 3, "differ": 0, "one_answer": 0}), "{status}");
    let shown = station.vigie(&["exhibits"]).run()?.success()?.text();
    ensure!(shown.contains("two exits: agree") && shown.contains("AMBER"), "{shown}");
    station.sound()?;
    crate::chain::another_implementation_reads_it(&station)
}

/// A network with two exits, one of which leads every host to servers of its own.
fn hostile_exit(world: &World) -> CaseResult {
    let options = Options { services: Vec::new(), client_socks: false, dns: true, ..Options::default() };
    let net = TorNet::start_with_hostile_exit(&world.dir("hostile-exit-net")?, options, ELSEWHERE)?;
    let sites = &world.sites;
    // It alters one site, passes another on as it is, and stands in for two more with its own certificate.
    let swapped = sites.in_the_way(&sites.market_b, Some(Swap { from: "sans facture", to: "avec facture" }))?;
    let passed = sites.in_the_way(&sites.market_a, None)?;
    let impostor = sites.impostor(ELSEWHERE, sites.second_hand.port, false)?;
    let other = sites.impostor(ELSEWHERE, sites.expired_tls.port, true)?;
    let targets = [
        twice(one("altered", "altered.test", "http", sites.market_b.port, "/offer/3")),
        twice(one("honest", "honest.test", "http", sites.market_a.port, "/offer/3")),
        twice(one("secure", SECOND_HAND_HOST, "https", sites.second_hand.port, "/annonce/1")),
        twice(Target {
            tls: "record-invalid",
            ..one("lenient", SECOND_HAND_HOST, "https", sites.expired_tls.port, "/annonce/1")
        }),
    ];
    let network = Network { arti_toml: net.arti_toml(), ca_pem: Some(sites.ca.pem()) };
    let station = Station::desk_on(world, "hostile-exit", &targets, &network)?;
    station.set_up_quickly("store")?;
    let run = station.run_once().run()?;
    let said = run.errors();
    let rows = rows(&station)?;
    let verdicts: BTreeMap<_, _> = rows.iter().map(|(target, row)| (target.as_str(), &row["two_exits"])).collect();
    ensure!(verdicts.len() == 4, "{verdicts:?}: {said}");
    ensure!(
        verdicts["altered"]["verdict"] == "differ" && verdicts["altered"]["differ"] == json!(["payload"]),
        "{verdicts:?}"
    );
    ensure!(swapped.load(Ordering::Relaxed) == 1, "one page is altered, once");
    ensure!(said.contains("(altered): two exits: differ (payload)"), "{said}");
    // The same exit, when it alters nothing.
    ensure!(
        verdicts["honest"]["verdict"] == "agree" && verdicts["honest"]["compared"].as_u64() >= Some(1),
        "{verdicts:?}"
    );
    ensure!(!said.contains("(honest)") && passed.load(Ordering::Relaxed) == 0, "{said}");
    // Its certificate does not hold: that answer is none, and the page is kept from the other exit.
    ensure!(verdicts["secure"]["verdict"] == "one answer", "{verdicts:?}");
    ensure!(
        verdicts["secure"]["why"].as_str().is_some_and(|why| why.contains("tls: the certificate does not hold")),
        "{verdicts:?}"
    );
    ensure!(rows["secure"]["tls"]["invalid"].is_null() && impostor.journal.heads().is_empty(), "{}", rows["secure"]);
    ensure!(impostor.journal.connections() > 0, "it was met");
    // Where the mandate lets an invalid certificate be recorded, the two certificates differ.
    ensure!(verdicts["lenient"]["differ"] == json!(["certificate", "chain"]), "{verdicts:?}");
    ensure!(!other.journal.heads().is_empty(), "it was asked");

    let identities = net.relay_identities()?;
    let [honest, hostile] = &identities[identities.len() - 2..] else { return Err("no relays".into()) };
    let opened = station.opened()?;
    for exhibit in opened.exhibits()? {
        let facts = exhibit.facts();
        let lines: Vec<_> = facts.iter().filter(|(name, _)| name == "two-exits").map(|(_, line)| line).collect();
        if !exchanges(&exhibit).iter().any(|record| fact(record, "target").is_some_and(|t| t == "altered")) {
            continue;
        }
        let page =
            lines.iter().find(|line| line.contains("altered.test") && line.contains("/offer/3")).ok_or("none")?;
        ensure!(page.starts_with("differ: payload; ") && page.contains(honest.as_str()), "{page}");
        ensure!(page.contains(hostile.as_str()), "{page}");
        ensure!(
            lines.iter().filter(|line| line.starts_with("differ")).count() == 1,
            "only the page differs: {lines:?}"
        );
        let bodies: Vec<_> = bodies(&exhibit, "/offer/3").into_iter().map(String::from_utf8_lossy).collect();
        let with = |words: &str| bodies.iter().filter(|body| body.contains(words)).count();
        ensure!((bodies.len(), with("sans facture"), with("avec facture")) == (2, 1, 1), "{bodies:?}");
        // Each stands beside the exit that it came through.
        for record in exchanges(&exhibit).into_iter().filter(|record| record.path() == "/offer/3") {
            let exit = fact(record, "exit").unwrap_or_default();
            let response =
                exhibit.of("response").find(|r| r.field("WARC-Record-ID") == record.field("WARC-Concurrent-To"));
            let text = String::from_utf8_lossy(&response.ok_or("no response of these facts")?.block).into_owned();
            ensure!(text.contains("avec facture") == exit.starts_with(hostile.as_str()), "{exit}: {text:.400}");
        }
    }
    // Whose exit it was is on record also where nothing came back.
    let failures = opened.private(Kind::Failure)?;
    ensure!(!failures.is_empty(), "{said}");
    for failure in &failures {
        ensure!(failure["target"] == "secure" && failure["kind"] == "tls", "{failure}");
        ensure!(failure["exit"].as_str().is_some_and(|exit| exit.starts_with(hostile.as_str())), "{failure}");
    }
    let status = station.json(&["status"])?;
    ensure!(status["targets"]["altered"]["two_exits"]["differ"] == 1, "{status}");
    let shown = station.vigie(&["status"]).run()?.success()?.text();
    ensure!(shown.contains("two exits   1 exhibits agree, 2 differ, 1 have one answer only"), "{shown}");
    station.sound()?;
    Ok(())
}

/// Each of the two needs a permission of its own, so the mandate's limit counts both.
fn both_count(world: &World) -> CaseResult {
    let site = &world.sites.market_b;
    let target = twice(one("counted", "counted.test", "http", site.port, "/robots.txt"));
    let station = Station::desk(world, "both-count", std::slice::from_ref(&target))?;
    let text = station
        .desk
        .mandate(std::slice::from_ref(&target), jiff::Timestamp::now())?
        .with("limits.requests_per_hour", 1);
    station.sign_mandate(&text)?;
    station.set_up_quickly("store")?;
    let _quiet = world.quiet();
    site.journal.clear();
    let mut run = station.run_once().spawn()?;
    run.wait_for("the mandate's limit of requests per hour is reached", Duration::from_secs(60))?;
    run.signal(Signal::TERM);
    run.wait(Duration::from_secs(30))?;
    ensure!(site.journal.times_asked("/robots.txt") == 1, "{:?}", site.journal.paths());
    ensure!(station.seen()?.is_empty(), "half a comparison is no exhibit");
    Ok(())
}

fn downgrade(world: &World) -> CaseResult {
    let port = world.sites.second_hand.port;
    let there = |name: &str, scheme| one(name, SECOND_HAND_HOST, scheme, port, "/ancien");
    // The mandate names the plain site as well: it is the step down that is refused.
    let plain = Target { entry: vec!["/style.css".into()], include: vec!["/**".into()], ..there("plain", "http") };
    let station = Station::quick(world, "downgrade", &[there("secure", "https"), plain])?;
    let url = world.sites.second_hand_url("/ancien");
    let said = station.capture(&url).run()?.exits(3)?.errors();
    ensure!(said.contains("refused (redirect, secure): "), "{said}");
    ensure!(!said.contains(SECOND_HAND_HOST), "{said}");
    let refusals = station.rows("refusal")?;
    ensure!(refusals.len() == 1 && refusals[0]["code"] == "downgrade", "{refusals:?}");
    // What led there is kept, and says so.
    let exhibit = station.opened()?.exhibit(1)?;
    let refused = exhibit.facts().into_iter().find(|(name, _)| name == "redirect-refused").ok_or("no such fact")?;
    ensure!(refused.1.starts_with("downgrade: "), "{refused:?}");
    ensure!(exhibit.of("response").count() == 1, "the redirect alone");
    let private = station.opened()?.private(Kind::Refusal)?;
    ensure!(private[0]["refused"][0]["url"] == format!("http://{SECOND_HAND_HOST}:{port}/"), "{private:?}");
    // Asked for as itself, that address is within the mandate.
    let asked = station.capture(&format!("http://{SECOND_HAND_HOST}:{port}/style.css")).run()?;
    ensure!(!asked.errors().contains("refused"), "{}", asked.errors());
    Ok(())
}

fn tls_is_listed(world: &World) -> CaseResult {
    let sites = &world.sites;
    let own = sites.impostor(std::net::Ipv4Addr::LOCALHOST, 0, true)?;
    let (good, expired) = (sites.second_hand.port, sites.expired_tls.port);
    let page = |name: &str, host: &str, port, tls| Target { tls, ..one(name, host, "https", port, "/annonce/1") };
    let targets = [
        page("good", SECOND_HAND_HOST, good, "strict"),
        page("expired", SECOND_HAND_HOST, expired, "record-invalid"),
        page("misnamed", "misnamed.test", good, "record-invalid"),
        page("own", SECOND_HAND_HOST, own.port, "record-invalid"),
        page("own-strict", "strict.test", own.port, "strict"),
    ];
    let station = Station::quick(world, "tls-listed", &targets)?;
    let run = station.run_once().run()?.exits(4)?;
    ensure!(run.errors().contains("given up (own-strict): tls: the certificate does not hold: "), "{}", run.errors());
    let shown = station.vigie(&["exhibits"]).run()?.success()?.text();
    let listed = station.json(&["exhibits"])?;
    let listed = listed.as_array().ok_or("no list")?;
    ensure!(listed.len() == 4, "{listed:?}");
    for (target, certificates, invalid) in [
        ("good", 2, None),
        ("expired", 2, Some("it has expired")),
        ("misnamed", 2, Some("it is for another name")),
        ("own", 1, Some("its issuer is unknown")),
    ] {
        let row = listed.iter().find(|row| row["target"] == target).ok_or(target)?;
        let tls = &row["tls"];
        ensure!(tls["protocol"] == "TLSv1.3" && tls["certificates"] == certificates, "{target}: {tls}");
        ensure!(tls["cipher_suite"].as_str().is_some_and(|suite| suite.starts_with("TLS_")), "{target}: {tls}");
        ensure!(tls["invalid"].as_str() == invalid, "{target}: {tls}");
        if let Some(why) = invalid {
            ensure!(shown.contains(&format!("INVALID CERTIFICATE: {why}")), "{shown}");
        }
        // Opened, it says the same of each exchange, with every certificate's digest.
        let number = row["exhibit"].to_string();
        let open = ["exhibit", "open", &number, "--identity", "keys/case.txt", "--purpose", PURPOSE];
        let opened = station.vigie(&open).run()?.success()?.text();
        let suite = tls["cipher_suite"].as_str().unwrap_or_default();
        let leaf = tls["certificate_sha256"].as_str().unwrap_or_default();
        let held =
            invalid.map_or("tls-certificate: valid".to_owned(), |why| format!("tls-certificate: INVALID: {why}"));
        for words in
            ["tls: TLSv1.3", &format!("tls-cipher-suite: {suite}"), &format!("tls-chain: sha256:{leaf}"), &held]
        {
            ensure!(opened.contains(words), "{target} does not say {words}: {opened}");
        }
        let chain = opened.lines().filter(|line| line.contains("tls-chain: sha256:")).count();
        ensure!(chain % certificates as usize == 0 && chain > 0, "{target}: {opened}");
        // And so does the record itself.
        let exhibit = station.opened()?.exhibit(row["exhibit"].as_u64().ok_or("no number")?)?;
        let response = exhibit.of("response").next().ok_or("no response")?;
        ensure!(response.field("WARC-Cipher-Suite") == Some(suite), "{target}");
    }
    let status = station.json(&["status"])?;
    ensure!(status["targets"]["own"]["invalid_certificates"] == 1, "{status}");
    ensure!(status["targets"]["good"]["invalid_certificates"] == 0, "{status}");
    Ok(())
}

/// The name server of the tests hears each name, and from nobody but a relay's process.
fn names(world: &World) -> CaseResult {
    let port = world.sites.market_b.port;
    let target = one("named", "resolved-by-exits.test", "http", port, "/robots.txt");
    let station = Station::quick(world, "exit-names", &[target])?;
    ensure!(world.net.dns_askers("resolved-by-exits.test").is_empty(), "before anybody asked");
    station.run_once().run()?.exits(0)?;
    let askers = world.net.dns_askers("resolved-by-exits.test");
    ensure!(!askers.is_empty(), "{:?}", world.net.dns_queries());
    let relays = world.net.pids();
    for asker in askers {
        let holders = holders_of_udp(asker)?;
        ensure!(!holders.is_empty() && holders.iter().all(|pid| relays.contains(pid)), "{holders:?} asked: {relays:?}");
    }
    // The look itself finds whoever has a socket.
    let own = std::net::UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    ensure!(holders_of_udp(own.local_addr()?.port())? == [std::process::id()], "the look is blind");
    Ok(())
}

/// Processes that hold a UDP socket of this port (proc(5): `/proc/net/udp`, `/proc/PID/fd`).
fn holders_of_udp(port: u16) -> Outcome<Vec<u32>> {
    let table = std::fs::read_to_string("/proc/net/udp")?;
    let wanted = format!(":{port:04X}");
    let inode = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields
            .get(1)
            .is_some_and(|local| local.ends_with(&wanted))
            .then(|| fields.get(9).map(|i| format!("socket:[{i}]")))?
    };
    let sockets: Vec<String> = table.lines().filter_map(inode).collect();
    let mut holders = Vec::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else { continue };
        // Processes come and go while this looks.
        let Ok(files) = std::fs::read_dir(entry.path().join("fd")) else { continue };
        let held = |file: std::fs::DirEntry| std::fs::read_link(file.path()).ok();
        if files.flatten().filter_map(held).any(|to| sockets.iter().any(|socket| to.as_os_str() == socket.as_str())) {
            holders.push(pid);
        }
    }
    Ok(holders)
}

fn embedded_data(world: &World) -> CaseResult {
    let target = one("data", SECOND_HAND_HOST, "https", world.sites.second_hand.port, "/donnees");
    let station = Station::quick(world, "embedded-data", &[target])?;
    station.capture(&world.sites.second_hand_url("/donnees")).run()?.exits(0)?;
    let exhibit = station.opened()?.exhibit(1)?;
    ensure!(bodies(&exhibit, "/donnees") == [DATA_PAGE], "the body is not as it was sent");
    let row = &station.rows("exhibit")?[0];
    ensure!(row["obstacle"] == "needs-javascript" && row["complete"] == true, "{row}");
    // Read through the product as well.
    let open = ["exhibit", "open", "1", "--identity", "keys/case.txt", "--purpose", PURPOSE, "--record", "2", "--body"];
    let shown = station.vigie(&open).run()?.success()?;
    ensure!(shown.stdout == DATA_PAGE, "{:?}", String::from_utf8_lossy(&shown.stdout));
    station.sound()?;
    Ok(())
}
