//! What bounds the time of the record: the Tor consensus from below, time stamps from above.

use vigie_tests::desk::Target;
use vigie_tests::process::Command;
use vigie_time::Request;

use crate::ensure;
use crate::station::{Station, refused};
use crate::tsa::{Authority, GOOD_USAGE, Reply};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "time::a_session_keeps_the_consensus_that_bounds_it", run: lower_bound },
        Case { name: "time::a_stamp_from_request_to_verdict", run: upper_bound },
        Case { name: "time::a_log_that_was_put_back_is_an_alarm", run: put_back },
    ]
}

fn lower_bound(world: &World) -> CaseResult {
    let station = Station::ready(world, "lower-bound", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    for path in ["/offer/1", "/offer/2"] {
        station.capture(&world.onion_url(&world.sites.market_a, path)).run()?.exits(0)?;
    }
    let ours = station.sound()?;
    let sessions = ours["sessions"].as_array().ok_or("no sessions")?;
    ensure!(sessions.len() == 2, "{ours}");
    for session in sessions {
        ensure!(session["signed"] == 3 && session["authorities"] == 3, "{session}");
        let time = |name: &str| session[name].as_str().unwrap_or_default().parse::<jiff::Timestamp>();
        ensure!(time("not_before")? <= time("recorded")?, "{session}");
    }
    // Without an identity nobody sees the consensus, and nothing is claimed.
    ensure!(station.json(&["verify"])?["sessions"] == serde_json::json!([]), "claimed without looking");
    // Stock age and Python alone come to the same.
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/consensus_check.py");
    let check =
        || Command::new("python3").args(["-B", script, "store", "--identity", "keys/case.txt"]).dir(station.desk.dir());
    let theirs: serde_json::Value = serde_json::from_slice(&check().run()?.success()?.stdout)?;
    let theirs = theirs.as_array().ok_or("no list")?;
    ensure!(theirs.len() == sessions.len(), "{theirs:?}");
    for (ours, theirs) in sessions.iter().zip(theirs) {
        for field in ["session", "not_before", "consensus_sha256", "signed", "authorities"] {
            ensure!(ours[field] == theirs[field], "{field}: {ours} {theirs}");
        }
    }
    let shown =
        station.vigie(&["verify", "--unlocked", "--identity", "keys/case.txt", "--quiet"]).run()?.success()?.text();
    ensure!(shown.contains("signed by 3 of 3 authorities"), "{shown}");
    Ok(())
}

/// Makes a request on the station's medium and lets the authority answer it.
fn stamp(station: &Station, authority: &Authority, medium: &str) -> Result<String, Box<dyn std::error::Error>> {
    station.vigie(&["timestamp", "export", "--to", medium]).run()?.success()?;
    let mut asked = Vec::new();
    for entry in std::fs::read_dir(station.desk.path(medium))? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "tsq") && !path.with_extension("tsr").exists() {
            asked.push(path);
        }
    }
    let [path] = &asked[..] else { return Err(format!("one request: {asked:?}").into()) };
    let request = Request::parse(&std::fs::read(path)?)?;
    let answer = path.with_extension("tsr");
    std::fs::write(&answer, authority.reply(&request, &Reply { precision: 3, ..Reply::default() }))?;
    Ok(answer.display().to_string())
}

fn upper_bound(world: &World) -> CaseResult {
    let station = Station::ready(world, "upper-bound", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let authority = Authority::new();
    let root = authority.path("root.pem").display().to_string();
    let status = station.json(&["status"])?;
    ensure!(status["stamped"].is_null() && status["unstamped"] == status["log_size"], "{status}");

    let answer = stamp(&station, &authority, "medium")?;
    // No root is fixed; a root that is none; then the answer, once.
    refused(
        &station.vigie(&["timestamp", "import", &answer]).run()?,
        2,
        &["no root is fixed", "vigie timestamp trust"],
    )?;
    let leaf = authority.path("tsa.pem").display().to_string();
    refused(&station.vigie(&["timestamp", "trust", &leaf]).run()?, 2, &["not the certificate of a root authority"])?;
    station.vigie(&["timestamp", "trust", &root]).run()?.success()?;
    let shown = station.vigie(&["timestamp", "import", &answer, "--tsa-ca", &root]).run()?.success()?.text();
    ensure!(shown.contains("CN=tsa,O=Tests,C=BE") && shown.contains("covers  entries 0 to 3"), "{shown}");
    refused(&station.vigie(&["timestamp", "import", &answer]).run()?, 2, &["in the log already, as entry 5"])?;

    // What it says, everywhere the same.
    let listed = station.json(&["timestamp", "list"])?;
    ensure!(listed["entries"][0]["what"] == "root" && listed["entries"][1]["what"] == "stamp", "{listed}");
    let time = listed["entries"][1]["time"].as_str().ok_or("no time")?.to_owned();
    let status = station.json(&["status"])?;
    ensure!(status["stamped"]["time"] == time && status["unstamped"] == 2 && status["log_size"] == 6, "{status}");
    let checked = station.json(&["verify"])?;
    ensure!(checked["sound"] == true && checked["stamps"][0]["time"] == time, "{checked}");
    ensure!(station.vigie(&["status"]).run()?.success()?.text().contains("entries 0 to 3 existed by"), "status");
    ensure!(station.vigie(&["log", "--rows", "--kind", "timestamp"]).run()?.success()?.text().contains(&time), "log");

    // Stock tools on what lies in the store and on what was on the medium.
    let stem = listed["entries"][1]["stem"].as_str().ok_or("no stem")?;
    let own = format!("store/timestamps/root-{}.pem", &listed["entries"][0]["sha256"].as_str().ok_or("none")?[..16]);
    let at = time.parse::<jiff::Timestamp>()?.as_second().to_string();
    for folder in ["store/timestamps", "medium"] {
        let head = format!("{folder}/{stem}.checkpoint");
        let (answer, chain) = (format!("{folder}/{stem}.tsr"), format!("store/timestamps/{stem}.pem"));
        let options = ["-CAfile", &own, "-untrusted", &chain, "-attime", &at];
        let ts = |more: [&str; 4]| {
            Command::new("openssl").args(["ts", "-verify"]).args(more).args(options).dir(station.desk.dir())
        };
        ts(["-data", &head, "-in", &answer]).run()?.success()?;
        let request = format!("{folder}/{stem}.tsq");
        ts(["-queryfile", &request, "-in", &answer]).run()?.success()?;
        let other = format!("{folder}/{stem}.tsq");
        ensure!(ts(["-data", &other, "-in", &answer]).run()?.code() != Some(0), "openssl takes anything");
    }

    // An authority that nobody fixed.
    authority.root("stranger", "P-256");
    authority.certificate("other", "P-256", "stranger", GOOD_USAGE);
    station.vigie(&["timestamp", "export", "--to", "second", "--policy", "1.2.3.4.5"]).run()?.success()?;
    let second = std::fs::read_dir(station.desk.path("second"))?.filter_map(|e| Some(e.ok()?.path()));
    let path = second.into_iter().find(|p| p.extension().is_some_and(|e| e == "tsq")).ok_or("no request")?;
    let request = Request::parse(&std::fs::read(&path)?)?;
    let foreign = path.with_extension("tsr").display().to_string();
    std::fs::write(&foreign, authority.reply(&request, &Reply { signer: "other", ..Reply::default() }))?;
    refused(&station.vigie(&["timestamp", "import", &foreign]).run()?, 2, &["no chain leads"])?;
    ensure!(station.json(&["status"])?["open_requests"].as_array().is_some_and(|list| list.len() == 1), "one waits");
    std::fs::write(&foreign, authority.reply(&request, &Reply::default()))?;
    let shown = station.vigie(&["timestamp", "import", &foreign]).run()?.success()?.text();
    ensure!(shown.contains("covers  entries 0 to 5"), "{shown}");
    refused(
        &station.vigie(&["timestamp", "export", "--to", "third", "--policy", "mine"]).run()?,
        2,
        &["dotted numbers"],
    )?;
    station.sound()?;
    Ok(())
}

fn put_back(world: &World) -> CaseResult {
    let station = Station::ready(world, "put-back", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let authority = Authority::new();
    let root = authority.path("root.pem").display().to_string();
    station.vigie(&["timestamp", "trust", &root]).run()?.success()?;
    let copy = |from: &str, to: &str| Command::new("cp").args(["-a", from, to]).dir(station.desk.dir()).run();
    copy("store", "old")?.success()?;
    // A mandate comes in and the head leaves for its stamp; then all goes back to what it was.
    station.vigie(&["mandate", "revoke", "revocations.toml"]).run()?.success()?;
    let answer = stamp(&station, &authority, "medium")?;
    std::fs::rename(station.desk.path("store"), station.desk.path("new"))?;
    copy("old", "store")?.success()?;
    // Nor does it anything that was kept outside the store: that is another theme's.
    std::fs::remove_dir_all(station.desk.path("state"))?;
    ensure!(station.json(&["verify"])?["sound"] == true, "nothing inside shows it");
    let checked = station.vigie(&["verify", "--heads", "medium", "--quiet"]).run()?.exits(5)?;
    ensure!(checked.text().contains("rollback"), "{}", checked.text());
    // The request is known again: its answer is good and the log is not.
    for file in std::fs::read_dir(station.desk.path("medium"))? {
        let path = file?.path();
        if path.extension().is_some_and(|end| end != "tsr") {
            std::fs::copy(&path, station.store().join("timestamps").join(path.file_name().ok_or("no name")?))?;
        }
    }
    refused(&station.vigie(&["timestamp", "import", &answer]).run()?, 5, &["ALARM", "the log has only 5"])?;
    station.vigie(&["verify"]).run()?.exits(5)?;
    Ok(())
}
