//! What the holder of an onion's key published: the signed descriptor beside the exhibits of a session.

use serde_json::Value;
use vigie_store::Kind;
use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::ensure;
use crate::machine::{PATIENCE, one_line};
use crate::station::{Outcome, PURPOSE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "published::a_session_keeps_each_services_signed_descriptor", run: kept },
        Case { name: "published::a_service_that_publishes_anew_in_the_middle_of_a_run", run: anew },
        Case { name: "published::others_check_it_without_us", run: others },
    ]
}

fn kept(world: &World) -> CaseResult {
    let targets = [
        Target::onion("market-a", &world.net.onion("market-a")),
        Target::onion("market-b", &world.net.onion("market-b")),
        Target { scheme: "http", port: world.sites.market_a.port, ..Target::onion("web", "shop.test") },
    ];
    let station = Station::quick(world, "published", &targets)?;
    let page = |name: &str, path: &str| format!("http://{}{path}", world.net.onion(name));
    station.capture(&page("market-a", "/offer/1")).run()?.exits(0)?;
    station.capture(&page("market-b", "/offer/1")).run()?.exits(0)?;
    station.capture(&page("market-a", "/offer/2")).run()?.exits(0)?;
    station.capture(&format!("http://shop.test:{}/offer/3", world.sites.market_a.port)).run()?;

    // One for each session that reached an onion, before the session's last entry.
    let rows = station.rows("descriptor")?;
    ensure!(rows.len() == 3 && rows.iter().all(|row| row["what"] == "kept"), "{rows:?}");
    let named: Vec<_> = rows.iter().map(|row| row["target"].as_str().unwrap_or_default()).collect();
    ensure!(named == ["market-a", "market-b", "market-a"], "{named:?}");
    let kinds: Vec<String> = station.entries()?.into_iter().map(|(kind, _)| kind).collect();
    for (place, kind) in kinds.iter().enumerate().filter(|(_, kind)| *kind == "descriptor") {
        let rest = &kinds[place..];
        let close = rest.iter().position(|kind| kind == "session-close");
        let open = rest.iter().position(|kind| kind == "session-open");
        ensure!(close.is_some() && (open.is_none() || close < open), "{kind} lies within its session: {kinds:?}");
    }
    // The rows hold no address, and no listing does.
    let listed = station.json(&["descriptor", "list"])?;
    ensure!(!listed.to_string().contains(".onion"), "{listed}");
    let listed = listed.as_array().ok_or("no list")?;
    let exhibits: Vec<_> = listed.iter().map(|one| one["exhibits"].clone()).collect();
    ensure!(exhibits == [serde_json::json!([1]), serde_json::json!([2]), serde_json::json!([3])], "{listed:?}");

    // Verification says for each exhibit of a service in which entry its descriptor is.
    let checked = station.sound()?;
    let found = checked["descriptors"].as_array().ok_or("none")?;
    ensure!(found.len() == 3, "{checked}");
    for (found, listed) in found.iter().zip(listed) {
        for field in ["entry", "session", "target", "from", "until", "exhibits", "revision"] {
            ensure!(found[field] == listed[field], "{field}: {found} {listed}");
        }
        let target = found["target"].as_str().ok_or("no target")?;
        ensure!(found["onion"] == world.net.onion(target), "{found}");
        let time = |name: &str| found[name].as_str().unwrap_or_default().parse::<jiff::Timestamp>();
        ensure!(time("from")? < time("until")?, "{found}");
    }
    ensure!(
        station.json(&["verify", "--unlocked"])?["descriptors"] == serde_json::json!([]),
        "claimed without looking"
    );
    let shown =
        station.vigie(&["verify", "--unlocked", "--identity", "keys/case.txt", "--quiet"]).run()?.success()?.text();
    ensure!(shown.contains("the holder of market-a's onion key signed") && shown.contains("exhibit 3"), "{shown}");
    let custody = station.vigie(&["custody", "1"]).run()?.success()?.text();
    ensure!(custody.contains("kept the service's signed descriptor"), "{custody}");
    let exhibits = station.json(&["exhibits"])?;
    ensure!(
        exhibits[0]["descriptor"] == found[0]["entry"] && exhibits[1]["descriptor"] == found[1]["entry"],
        "{exhibits}"
    );
    ensure!(station.vigie(&["exhibits"]).run()?.success()?.text().contains("DESCRIPTOR"), "no column");
    Ok(())
}

/// The service comes back with its key and other introduction points. The run finds its new descriptor and goes on;
/// a session keeps one descriptor of each time period, the first, and the next session keeps the new one.
fn anew(world: &World) -> CaseResult {
    let mut lone = world.net.start_lone_service(&world.dir("anew-net")?, "anew", world.sites.bulk.port, &[])?;
    let include = ["/", "/page/1**"].map(str::to_owned).to_vec();
    let station = Station::paced(world, "anew", &[Target { include, ..Target::onion("anew", &lone.onion) }])?;
    let mut run = station.run_once().spawn()?;
    station.seen_during(&mut run, 5)?;
    let onion = lone.onion.clone();
    lone.stop();
    lone.start()?;
    ensure!(lone.onion == onion, "it has another name");
    // A stream to points that are gone may take its 90 s, more than once.
    let output = run.wait(3 * PATIENCE)?;
    let failures = station.rows("failure")?;
    ensure!(matches!(output.code(), Some(0 | 4)) && !failures.is_empty(), "{:?} {}", output.code(), output.errors());
    // What was under way was cut, its relays knew it no more, or nobody came.
    let known = ["introduction", "introduction-refused", "rendezvous", "timeout", "closed-empty", "other"];
    let fits = |row: &Value| row["kind"].as_str().is_some_and(|kind| known.contains(&kind));
    ensure!(failures.iter().all(fits), "{failures:?}");
    let entries = station.entries()?;
    let failed = entries.iter().position(|(kind, _)| kind == "failure").ok_or("nothing failed")?;
    let later = entries[failed..].iter().filter(|(kind, _)| kind == "exhibit").count();
    ensure!(later > 50, "{later} pages after the first failure: {}", output.errors());

    station.capture(&format!("http://{onion}/page/1")).run()?.exits(0)?;
    let listed = station.json(&["descriptor", "list"])?;
    let listed = listed.as_array().ok_or("no list")?;
    let sessions: Vec<_> = listed.iter().map(|one| one["session"].clone()).collect();
    let (last, run) = sessions.split_last().ok_or("none was kept")?;
    ensure!(!run.is_empty() && run.iter().all(|session| session == &run[0] && session != last), "{listed:?}");
    // More than one of a session only when a period ended meanwhile (here they last 8 minutes).
    let mut periods: Vec<_> = listed[..run.len()].iter().map(|one| one["from"].to_string()).collect();
    periods.dedup();
    ensure!(periods.len() == run.len(), "{listed:?}");
    let revision = |one: &Value| one["revision"].as_u64();
    let (first, second) = (&listed[0], &listed[listed.len() - 1]);
    ensure!(first["from"] != second["from"] || revision(first) < revision(second), "{listed:?}");
    let found = station.sound()?["descriptors"].as_array().ok_or("none")?.clone();
    ensure!(found.len() == listed.len() && found.iter().all(|one| one["onion"] == onion), "{found:?}");
    Ok(())
}

/// Runs the shipped check; gives what it says.
fn script(station: &Station, args: &[&str]) -> Outcome<(i32, String)> {
    let output = Command::new("python3").args(["-I", "-B", "check_descriptor.py"]).args(args).dir(station.desk.dir());
    let output = output.run()?;
    Ok((output.code().ok_or("a signal")?, output.text()))
}

fn others(world: &World) -> CaseResult {
    let onion = world.net.onion("market-a");
    let station = Station::quick(world, "published-others", &[Target::onion("market-a", &onion)])?;
    station.capture(&format!("http://{onion}/offer/1")).run()?.exits(0)?;
    let listed = station.json(&["descriptor", "list"])?;
    let entry = listed[0]["entry"].as_u64().ok_or("none")?.to_string();

    // Out of the store, signed for and logged; opened with stock age; judged by Python alone.
    let get = |entry: &str, to: &str| station.vigie(&["descriptor", "get", entry, "--to", to, "--purpose", PURPOSE]);
    one_line(&get("0", "0.age").run()?, 2, &["keeps no descriptor"])?;
    one_line(&get("999", "0.age").run()?, 2, &["keeps no descriptor"])?;
    get(&entry, "part.age").run()?.success()?;
    one_line(&get(&entry, "part.age").run()?, 2, &["exists already"])?;
    let export = station.rows("export")?;
    ensure!(export.len() == 1 && export[0]["form"] == "descriptor", "{export:?}");
    let age = Command::new("age").args(["-d", "-i", "keys/case.txt", "-o", "part.json", "part.age"]);
    age.dir(station.desk.dir()).run()?.success()?;
    let text = station.command(&["descriptor", "script"]).run()?.success()?;
    std::fs::write(station.desk.path("check_descriptor.py"), &text.stdout)?;
    let (code, said) = script(&station, &["part.json"])?;
    ensure!(code == 0 && said.starts_with("HOLDS"), "{said}");

    let part: Value = serde_json::from_slice(&std::fs::read(station.desk.path("part.json"))?)?;
    let content = &part["content"];
    let raw = data_encoding::BASE64.decode(content["descriptor"].as_str().ok_or("none")?.as_bytes())?;
    std::fs::write(station.desk.path("descriptor"), &raw)?;
    if let Some(folder) = std::env::var_os("VIGIE_E2E_KEEP_DESCRIPTOR") {
        let folder = std::path::PathBuf::from(folder);
        std::fs::write(folder.join("ctor.descriptor"), &raw)?;
        std::fs::write(folder.join("ctor.json"), format!("{content:#}"))?;
    }
    // C tor gets the same bytes from the same directory.
    let hsdir = content["hsdir"]["rsa"].as_str().ok_or("no directory")?.to_uppercase();
    let theirs = world.net.fetch_descriptor(&onion, &hsdir)?;
    // Unless the service published another revision since.
    if revision(&theirs) == revision(&raw) {
        ensure!(theirs == raw, "C tor has other bytes of the same revision");
    } else {
        eprintln!("published::others: another revision was published meanwhile: not compared with C tor");
    }

    // By hand, and with each thing wrong once.
    let period = &content["period"];
    let number = |name: &str| period[name].as_u64().unwrap_or_default();
    let (period, length, offset) = (number("number"), number("length_minutes"), number("offset_seconds"));
    let fetched = content["fetched"].as_str().ok_or("no time")?;
    let ask = |file: &str, onion: &str, period: u64, fetched: &str| {
        let (period, length, offset) = (period.to_string(), length.to_string(), offset.to_string());
        script(&station, &[file, onion, &period, &length, &offset, fetched])
    };
    let (code, said) = ask("descriptor", &onion, period, fetched)?;
    ensure!(code == 0 && said.contains(content["blinded_key"].as_str().unwrap_or("?")), "{said}");
    let next = fetched.parse::<jiff::Timestamp>()? + jiff::Span::new().minutes(i64::try_from(length)?);
    let later = next + jiff::Span::new().hours(24);
    for (onion, period, fetched, words) in [
        (world.net.onion("market-b"), period, fetched.to_owned(), "another key"),
        (onion.clone(), period + 1, next.to_string(), "another key"),
        (onion.clone(), period + 99, fetched.to_owned(), "not fetched in that time period"),
        (onion.clone(), period, later.to_string(), "not fetched in that time period"),
    ] {
        let (code, said) = ask("descriptor", &onion, period, &fetched)?;
        ensure!(code == 1 && said.starts_with("DOES NOT HOLD") && said.contains(words), "{said}");
    }
    let middle = raw.len() / 2;
    let altered = [&raw[..middle], &[raw[middle] ^ 1], &raw[middle + 1..]].concat();
    std::fs::write(station.desk.path("altered"), altered)?;
    ensure!(ask("altered", &onion, period, fetched)?.0 == 1, "an altered one passed");

    // What is sealed is what the entry commits to, and names the directory and the consensus.
    let sealed = station.opened()?.private(Kind::Descriptor)?;
    ensure!(sealed.len() == 1 && sealed[0] == *content, "{sealed:?}");
    let consensus = &station.sound()?["sessions"][0]["not_before"];
    let used = content["consensus_valid_after"].as_str().unwrap_or_default();
    ensure!(used >= consensus.as_str().unwrap_or("~"), "{used} {consensus}");
    Ok(())
}

fn revision(descriptor: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(descriptor);
    text.lines().find(|line| line.starts_with("revision-counter ")).map(str::to_owned)
}
