//! The main job: from a signed mandate to an exhibit that stock tools open and check.

use std::time::{Duration, Instant};

use vigie_tests::desk::{AGENT, PSEUDONYM, Target};
use vigie_tests::process::Command;
use vigie_tests::sites::SECOND_HAND_HOST;

use crate::ensure;
use crate::station::{PROFILE_PASSPHRASE, PURPOSE, STORE_PASSPHRASE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "chain::three_targets_from_mandate_to_opened_exhibit", run: three_targets },
        Case { name: "chain::a_second_round_refers_to_the_first", run: a_second_round },
        Case { name: "chain::no_core_dump_is_ever_written", run: no_core_dump },
        Case { name: "chain::requests_leave_as_the_header_set_says", run: exact_requests },
    ]
}

/// The desk of the demo, on the suite's sites.
fn targets(world: &World) -> Vec<Target> {
    vec![
        Target::onion("market-a", &world.net.onion("market-a")),
        Target::onion("market-b", &world.net.onion("market-b")),
        Target::web("second-hand", SECOND_HAND_HOST, world.sites.second_hand.port),
    ]
}

fn three_targets(world: &World) -> CaseResult {
    let station = Station::ready(world, "three", &targets(world))?;
    let _quiet = world.quiet();
    world.sites.elsewhere.journal.clear();
    let run = station.run_once().arg("--json").run()?.exits(3)?;
    let report: serde_json::Value = serde_json::from_slice(&run.stdout)?;
    let exhibits = report["exhibits"].as_u64().ok_or("no count")?;
    ensure!(exhibits > 60 && report["incomplete"] == 0 && report["given_up"] == 0, "{report}");
    ensure!(report["test_network"] == true && run.errors().contains("TEST NETWORK"), "{}", run.errors());
    // Redirects, links, pictures and frames that leave the mandate: refused, logged, never asked.
    ensure!(report["refusals"].as_u64() > Some(2), "{report}");
    ensure!(!station.log("refusal")?.is_empty(), "refusals are in the log");
    ensure!(world.sites.elsewhere.journal.connections() == 0, "somebody asked the trap");

    let listed = station.json(&["exhibits"])?;
    let listed = listed.as_array().ok_or("no list")?;
    ensure!(listed.len() as u64 == exhibits, "{} listed, {exhibits} reported", listed.len());
    for target in ["market-a", "market-b", "second-hand"] {
        ensure!(listed.iter().any(|e| e["target"] == target && e["test_network"] == true), "{target} has no exhibit");
    }
    let checked = station.sound()?;
    ensure!(checked["sound"] == true && checked["opened"] == exhibits, "{checked}");

    // The custodian opens one with stock tools: the wire's bytes are in it.
    let first =
        listed.iter().find(|e| e["target"] == "second-hand").ok_or("none")?["exhibit"].as_u64().ok_or("none")?;
    let warc = station.open_exhibit(first)?;
    let text = String::from_utf8_lossy(&warc);
    for words in [
        "WARC/1.1\r\n",
        "WARC-Type: response",
        "WARC-Protocol: tls/1.3",
        "WARC-Cipher-Suite: TLS_",
        "vigie-network: TEST NETWORK",
        "tls-chain: ",
        "operator: A-07",
        "cookies-at-start: 0",
        &format!("profile: {PSEUDONYM}"),
        &format!("purpose: {PURPOSE}"),
    ] {
        ensure!(text.contains(words), "exhibit {first} has no `{words}`: {text:.3000}");
    }
    ensure!(!text.contains("\r\n\r\nnull"), "a field without a value");
    another_implementation_reads_it(&station)?;
    // Nothing in clear on disk: the whole tree of the workstation, Tor's state included.
    let onion = world.net.onion("market-a");
    let words = [
        onion.as_str(),
        &onion[..20],
        SECOND_HAND_HOST,
        PSEUDONYM,
        AGENT,
        PURPOSE,
        STORE_PASSPHRASE,
        PROFILE_PASSPHRASE,
        "Blue Bazaar",
        "La Brocante",
        "Carved ivory",
        "/vendor/",
        "M-2026-017",
        "C-2026-004",
    ];
    let leaks = station.leaks(&station.store(), &words)?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    // The scan itself finds what it looks for.
    std::fs::write(station.store().join("tor/planted"), format!("x{PURPOSE}x"))?;
    ensure!(station.leaks(&station.store(), &words)?.len() == 1, "the scan is blind");
    Ok(())
}

/// A reader in another language, written from FORMAT.md, comes to the same root.
pub fn another_implementation_reads_it(station: &Station) -> CaseResult {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/second_reader.py");
    let tmp = station.desk.path("second-reader");
    std::fs::create_dir_all(&tmp)?;
    let read = Command::new("python3")
        .arg("-B")
        .arg(script)
        .arg(station.store())
        .args(["--identity", "keys/case.txt", "--tmp"])
        .arg(&tmp)
        .dir(station.desk.dir())
        .run()?
        .success()?;
    let theirs: serde_json::Value = serde_json::from_slice(&read.stdout)?;
    let ours = station.sound()?;
    for field in ["entries", "exhibits", "root", "opened"] {
        ensure!(theirs[field] == ours[field], "{field}: {theirs} {ours}");
    }
    Ok(())
}

fn a_second_round(world: &World) -> CaseResult {
    let station = Station::ready(world, "second-round", &targets(world)[1..2])?;
    let first = station.run_once().run()?;
    ensure!(first.code() == Some(3), "{}", first.errors());
    let count = || -> Result<usize, Box<dyn std::error::Error>> {
        Ok(station.json(&["exhibits"])?.as_array().ok_or("no list")?.len())
    };
    let before = count()?;
    station.run_once().run()?.exits(3)?;
    let after = count()?;
    ensure!(after == 2 * before, "a round of {before}, then {}", after - before);
    let warc = station.open_exhibit(before as u64 + 1)?;
    let text = String::from_utf8_lossy(&warc);
    for words in ["WARC-Type: revisit", "identical-payload-digest", "WARC-Refers-To: ", "payload-in-exhibit: "] {
        ensure!(text.contains(words), "the second copy has no `{words}`: {text:.3000}");
    }
    station.sound()?;
    Ok(())
}

fn no_core_dump(world: &World) -> CaseResult {
    let station = Station::desk(world, "core", &targets(world)[..1])?;
    let capture = ["capture", "-", "--purpose", PURPOSE];
    let mut waiting = station.vigie(&capture).spawn_with_open_input()?;
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", waiting.pid()))?;
        let cores = limits.lines().find(|line| line.starts_with("Max core file size")).ok_or("no such limit")?;
        if cores.split_whitespace().filter(|word| *word == "0").count() == 2 {
            break;
        }
        ensure!(!waiting.has_ended() && Instant::now() < deadline, "soft and hard limit: {cores}");
    }
    waiting.signal(rustix::process::Signal::ABORT);
    let ended = waiting.wait(Duration::from_secs(30))?;
    ensure!(ended.code().is_none(), "ended by the signal: {:?}", ended.status);
    let files = std::fs::read_dir(station.desk.dir())?.filter_map(Result::ok);
    let cores: Vec<_> = files.filter(|file| file.file_name().to_string_lossy().starts_with("core")).collect();
    ensure!(cores.is_empty(), "{cores:?}");
    Ok(())
}

fn exact_requests(world: &World) -> CaseResult {
    let station = Station::ready(world, "requests", &targets(world)[..1])?;
    let onion = world.net.onion("market-a");
    station.capture(&format!("http://{onion}/offer/3")).run()?.exits(0)?;
    let head = format!(
        "GET /offer/3 HTTP/1.1\r\nHost: {onion}\r\n\
         User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0\r\n\
         Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n\
         Accept-Language: en-US,en;q=0.9\r\nAccept-Encoding: gzip, deflate\r\nConnection: keep-alive\r\n\
         Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n\
         Sec-Fetch-Site: none\r\nSec-Fetch-User: ?1\r\nPriority: u=0, i\r\n\r\n"
    );
    let heads = world.sites.market_a.journal.heads();
    ensure!(heads.iter().any(|seen| seen == head.as_bytes()), "no such head came: {head}");
    // What the record says left is what came.
    let warc = station.open_exhibit(1)?;
    ensure!(warc.windows(head.len()).any(|window| window == head.as_bytes()), "the record has another request");
    // Elements say where they belong, and only there.
    let referer = format!("Referer: http://{onion}/offer/3\r\n");
    let styles = heads.iter().map(|head| String::from_utf8_lossy(head).into_owned());
    ensure!(
        styles.clone().any(|h| h.starts_with("GET /style.css")
            && h.contains(&referer)
            && h.contains("Sec-Fetch-Site: same-origin")),
        "a stylesheet was asked without its page: {:?}",
        styles.filter(|h| h.starts_with("GET /style.css")).collect::<Vec<_>>()
    );
    Ok(())
}
