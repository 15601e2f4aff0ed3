//! What bounds the time of the record: the Tor consensus from below, time stamps from above.

use std::collections::BTreeMap;

use vigie_tests::desk::Target;
use vigie_tests::process::Command;
use vigie_time::Request;

use crate::chain::{another_implementation_reads_it, second_reader};
use crate::clock::{files, shifted};
use crate::ensure;
use crate::machine::{Mounts, one_line};
use crate::station::{Outcome, Station, refused};
use crate::tsa::{Authority, GOOD_USAGE, Reply};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "time::a_session_keeps_the_consensus_that_bounds_it", run: lower_bound },
        Case { name: "time::a_stamp_from_request_to_verdict", run: upper_bound },
        Case { name: "time::a_log_that_was_put_back_is_an_alarm", run: put_back },
        Case { name: "time::what_is_no_answer_changes_nothing", run: no_answer },
        Case { name: READ_ONLY, run: read_only },
        Case { name: "time::a_stamp_outlives_its_authority", run: outlived },
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
pub fn stamp(station: &Station, authority: &Authority, medium: &str) -> Result<String, Box<dyn std::error::Error>> {
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
    let (path, request) = asked(&station, "second")?;
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
    // Another program comes to the same, and sees what is altered.
    another_implementation_reads_it(&station)?;
    let first = station.store().join("timestamps").join(format!("{stem}.tsr"));
    std::fs::write(&first, std::fs::read(&first)?.split_off(1))?;
    let theirs = second_reader(&station)?;
    ensure!(theirs["stamps"] == 1 && theirs["problems"].as_array().is_some_and(|p| p.len() == 1), "{theirs}");
    station.vigie(&["verify"]).run()?.exits(5)?;
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
    let theirs = second_reader(&station)?;
    ensure!(theirs["problems"][0].as_str().is_some_and(|p| p.contains("more entries than the log has")), "{theirs}");
    Ok(())
}

/// Every file of the store but the catalogue, and what the folder of a medium holds.
fn snapshot(station: &Station, medium: Option<&str>) -> Outcome<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    files(&station.store(), &mut found)?;
    if let Some(medium) = medium {
        files(&station.desk.path(medium), &mut found)?;
    }
    // It names the process that wrote last.
    found.retain(|name, _| !name.ends_with("/lock"));
    Ok(found)
}

/// The one request on a medium that has no answer yet.
fn asked(station: &Station, medium: &str) -> Outcome<(std::path::PathBuf, Request)> {
    let paths = std::fs::read_dir(station.desk.path(medium))?.filter_map(|entry| Some(entry.ok()?.path()));
    let path = paths.into_iter().find(|path| path.extension().is_some_and(|end| end == "tsq")).ok_or("no request")?;
    let request = Request::parse(&std::fs::read(&path)?)?;
    Ok((path, request))
}

fn no_answer(world: &World) -> CaseResult {
    let station = Station::quick(world, "no-answer", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let authority = Authority::new();
    let root = authority.path("root.pem").display().to_string();
    station.vigie(&["timestamp", "trust", &root]).run()?.success()?;
    station.vigie(&["timestamp", "export", "--to", "medium"]).run()?.success()?;
    let (path, request) = asked(&station, "medium")?;
    let before = snapshot(&station, Some("medium"))?;
    let good = authority.reply(&request, &Reply::default());
    authority.root("stranger", "P-256");
    authority.certificate("other", "P-256", "stranger", GOOD_USAGE);
    authority.certificate("web", "P-256", "root", "extendedKeyUsage=critical,serverAuth\n");
    let middle = good.len() / 2;
    let broken = [&good[..middle], &[good[middle] ^ 1], &good[middle + 1..]].concat();
    let reply = |request: &Request, signer| authority.reply(request, &Reply { signer, ..Reply::default() });
    let over = |sha256| Request { sha256, ..request.clone() };
    let denied = Request { policy: Some("1.2.3.4.99".into()), ..request.clone() };
    let cases: [(&str, Vec<u8>, &[&str]); 8] = [
        ("another hash", reply(&over([1; 32]), "tsa"), &["answers no request of this store"]),
        (
            "an unknown authority",
            reply(&request, "other"),
            &["no chain leads from its certificate to a root that was fixed"],
        ),
        ("no authority for time", authority.forge(&good, "web", &["-cades"]), &["not timeStamping alone"]),
        ("a denial", reply(&denied, "tsa"), &["did not grant it"]),
        ("a changed bit", broken, &["the time stamp is not accepted"]),
        ("cut off", good[..good.len() - 1].to_vec(), &["cannot be read as RFC 3161 has it"]),
        ("the request itself", request.encode(), &["cannot be read as RFC 3161 has it", "ask the authority again"]),
        ("nothing", Vec::new(), &["cannot be read as RFC 3161 has it"]),
    ];
    let answer = station.desk.path("answer.tsr");
    for (what, bytes, words) in cases {
        std::fs::write(&answer, bytes)?;
        let output = station.vigie(&["timestamp", "import", "answer.tsr"]).run()?;
        one_line(&output, 2, words).map_err(|e| format!("{what}: {e}"))?;
    }
    let large = std::fs::File::create(&answer)?;
    large.set_len(2 << 20)?;
    one_line(&station.vigie(&["timestamp", "import", "answer.tsr"]).run()?, 2, &["over 1 MiB"])?;
    one_line(&station.vigie(&["timestamp", "import", "nowhere.tsr"]).run()?, 2, &["nowhere.tsr", "No such file"])?;
    one_line(&station.vigie(&["timestamp", "import", "."]).run()?, 2, &["directory"])?;
    one_line(&station.vigie(&["timestamp", "import", "/dev/zero"]).run()?, 2, &["over 1 MiB"])?;
    one_line(&station.vigie(&["timestamp", "trust", "answer.tsr"]).run()?, 2, &["over 1 MiB"])?;
    one_line(&station.vigie(&["verify", "--quiet", "--heads", "nowhere"]).run()?, 2, &["nowhere"])?;
    one_line(&station.vigie(&["verify", "--quiet", "--heads", "keys"]).run()?, 2, &["holds no head"])?;
    ensure!(snapshot(&station, Some("medium"))? == before, "something was changed");
    // The good one still counts, once all that was tried.
    std::fs::write(path.with_extension("tsr"), good)?;
    station.vigie(&["timestamp", "import", &path.with_extension("tsr").display().to_string()]).run()?.success()?;
    station.vigie(&["verify", "--quiet", "--heads", "medium"]).run()?.success()?;
    Ok(())
}

const READ_ONLY: &str = "time::a_medium_that_takes_nothing";

fn read_only(world: &World) -> CaseResult {
    let station = Station::quick(world, "medium", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let authority = Authority::new();
    let root = authority.path("root.pem").display().to_string();
    station.vigie(&["timestamp", "trust", &root]).run()?.success()?;
    for folder in ["stick", "full"] {
        std::fs::create_dir(station.desk.path(folder))?;
    }
    let desk = station.desk.dir().display();
    let script = format!(
        "mount -t tmpfs -o ro,size=1m none '{desk}/stick' && mount -t tmpfs -o size=4k none '{desk}/full' \
         && cat /dev/zero 2>/dev/null > '{desk}/full/fill' || true"
    );
    let Some(mounts) = Mounts::new(READ_ONLY, &script)? else { return Ok(()) };
    let before = snapshot(&station, None)?;
    let export = |to: &str| mounts.enter(station.vigie(&["timestamp", "export", "--to", to]), station.desk.dir()).run();
    one_line(&export("stick")?, 1, &["stick/", "Read-only file system"])?;
    one_line(&export("stick/new")?, 1, &["stick/new", "Read-only file system"])?;
    one_line(&export("full")?, 1, &["full/", "No space left on device"])?;
    one_line(&export("vigie.toml")?, 1, &["vigie.toml"])?;
    ensure!(snapshot(&station, None)? == before, "the store was changed");
    ensure!(mounts.shell(&format!("ls '{desk}/full'"))?.text().trim() == "fill", "something is left on the medium");
    ensure!(station.json(&["timestamp", "list"])?["open_requests"] == serde_json::json!([]), "a request waits");

    // With room again; and an answer is taken from a medium that cannot be written.
    mounts.shell(&format!("mount -o remount,rw,size=1m '{desk}/stick'"))?;
    export("stick")?.success()?;
    let copy = format!("cp '{desk}/stick/'*.tsq '{desk}/' && ls '{desk}/stick'");
    let listed = mounts.shell(&copy)?.text();
    ensure!(listed.lines().count() == 2 && !listed.contains(".part"), "{listed}");
    let (path, request) = asked(&station, ".")?;
    std::fs::write(path.with_extension("tsr"), authority.reply(&request, &Reply::default()))?;
    let name = path.with_extension("tsr").file_name().ok_or("no name")?.to_string_lossy().into_owned();
    mounts.shell(&format!("cp '{desk}/{name}' '{desk}/stick/' && mount -o remount,ro '{desk}/stick'"))?;
    let answer = format!("stick/{name}");
    mounts.enter(station.vigie(&["timestamp", "import", &answer]), station.desk.dir()).run()?.success()?;
    ensure!(station.json(&["verify"])?["stamps"].as_array().is_some_and(|stamps| stamps.len() == 1), "no stamp");
    Ok(())
}

fn outlived(world: &World) -> CaseResult {
    let station = Station::quick(world, "outlived", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let authority = Authority::new();
    let root = authority.path("root.pem").display().to_string();
    station.vigie(&["timestamp", "trust", &root]).run()?.success()?;
    let answer = stamp(&station, &authority, "medium")?;
    station.vigie(&["timestamp", "import", &answer]).run()?.success()?;
    // The authority's certificate holds for a day, its root for ten years.
    for later in ["+3d", "+7000d"] {
        let checked = shifted(station.vigie(&["verify", "--json"]), later)?.run()?.success()?;
        let checked: serde_json::Value = serde_json::from_slice(&checked.stdout)?;
        ensure!(checked["sound"] == true && checked["stamps"].as_array().is_some_and(|s| s.len() == 1), "{checked}");
    }
    let listed = station.json(&["timestamp", "list"])?;
    let row = &listed["entries"][1];
    let (stem, time) = (row["stem"].as_str().ok_or("no stem")?, row["time"].as_str().ok_or("no time")?);
    let time = time.parse::<jiff::Timestamp>()?.as_second();
    let check = |at: i64| {
        let folder = station.store().join("timestamps");
        let file = |end: &str| format!("{stem}.{end}");
        let args = ["ts", "-verify", "-data", &file("checkpoint"), "-in", &file("tsr")].map(str::to_owned);
        let chain = ["-CAfile", &root, "-untrusted", &file("pem"), "-attime", &at.to_string()].map(str::to_owned);
        Command::new("openssl").args(args).args(chain).dir(&folder).run()
    };
    check(time)?.success()?;
    ensure!(check(time + 3 * 86_400)?.code() != Some(0), "it is the certificate's end that is tested");
    Ok(())
}
