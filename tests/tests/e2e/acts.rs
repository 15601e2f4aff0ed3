//! Acts of people in the log: signed by whom the mandate names, for this store and this time.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use vigie_store::{Commitment, Draft, Kind, Store};
use vigie_tests::desk::{AGENT, Target};
use vigie_tests::process::Command;

use crate::ensure;
use crate::machine::{PATIENCE, Wall, one_line};
use crate::plugin;
use crate::station::{Outcome, STORE_PASSPHRASE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "acts::whoever_holds_the_store_key_cannot_act_for_an_agent", run: forged },
        Case { name: "acts::an_exhibit_is_read_in_memory_and_its_custody_told", run: in_memory },
        Case { name: "acts::only_recipients_open_and_plugins_are_asked", run: who_may },
        Case { name: "acts::wrong_passphrases_are_noted_and_new_ones_replace_old", run: locked },
        Case { name: "acts::an_emergency_wipe_ends_a_run_and_leaves_the_evidence", run: wiped },
        Case { name: "acts::a_backup_is_tracked_and_becomes_a_store_again", run: backed_up },
        Case { name: "acts::two_captures_made_apart_are_compared", run: two_sources },
        Case { name: "acts::a_log_goes_on_on_another_workstation", run: replaced },
    ]
}

/// An act that somebody puts into the log with the store's key alone.
struct Forged {
    kind: Kind,
    /// Statement, from the honest one.
    change: fn(&str) -> String,
    /// File of the key that signs.
    key: &'static str,
    /// What verification says; empty when nothing is wrong with it.
    said: &'static str,
}

fn forged(world: &World) -> CaseResult {
    let station = Station::quick(world, "forged-acts", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    station.sound()?;
    let same: fn(&str) -> String = str::to_owned;
    let attempts = [
        Forged { kind: Kind::Read, change: same, key: "keys/agent", said: "" },
        Forged { kind: Kind::Read, change: same, key: "keys/authority", said: "nobody whom the mandate names" },
        Forged { kind: Kind::Export, change: same, key: "keys/agent", said: "an act of another kind" },
        Forged {
            kind: Kind::Read,
            change: |text| text.replace("origin ", "origin x"),
            key: "keys/agent",
            said: "another store",
        },
        Forged {
            kind: Kind::Read,
            change: |text| text.replace("sha256:", "sha256:0"),
            key: "keys/agent",
            said: "another mandate",
        },
        Forged {
            kind: Kind::Read,
            change: |text| text.replace(&format!("agent {AGENT}"), "agent A-99"),
            key: "keys/agent",
            said: "nobody whom the mandate names",
        },
        Forged { kind: Kind::Read, change: |text| at(text, -2), key: "keys/agent", said: "another time" },
        Forged { kind: Kind::Read, change: |text| at(text, 2), key: "keys/agent", said: "another time" },
        Forged { kind: Kind::Read, change: |text| at(text, -8000), key: "keys/agent", said: "not habilitated" },
    ];
    for (number, attempt) in attempts.iter().enumerate() {
        let entry = put(&station, attempt, &format!("forged-{number}"))?;
        let output = station.vigie(&["verify", "--unlocked", "--json"]).run()?;
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let problems = report["problems"].as_array().ok_or("no list")?;
        let of_this: Vec<&str> = problems
            .iter()
            .filter_map(|problem| problem.as_str())
            .filter(|problem| problem.starts_with(&format!("entry {entry}:")))
            .collect();
        let fits = match attempt.said {
            "" => of_this.is_empty() && output.code() == Some(0),
            said => of_this.iter().any(|problem| problem.contains(said)) && output.code() == Some(5),
        };
        ensure!(fits, "attempt {number}: {of_this:?}, {:?}", output.code());
    }
    Ok(())
}

/// The statement, some hours off.
fn at(text: &str, hours: i64) -> String {
    let time = Timestamp::now() + SignedDuration::from_hours(hours);
    let lines = text
        .lines()
        .map(|line| if line.starts_with("time ") { format!("time {time}\n") } else { line.to_owned() + "\n" });
    lines.collect()
}

/// Puts an act into the log; gives its entry.
fn put(station: &Station, attempt: &Forged, name: &str) -> Outcome<u64> {
    let key = vigie_store::unlock_key(&station.store(), &SecretString::from(STORE_PASSPHRASE))?;
    let store = Store::open(&station.store(), key, Arc::new(Wall), &Quiet)?;
    let document = std::fs::read(station.desk.path("mandate.toml"))?;
    let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(&document).into();
    let honest = format!(
        "vigie read\ntime {}\norigin {}\nmandate M-2026-017 sha256:{}\ncase C\nagent {AGENT}\npurpose x\nexhibit 1\n",
        Timestamp::now(),
        store.origin(),
        data_encoding::HEXLOWER.encode(&digest),
    );
    let file = station.desk.path(name);
    std::fs::write(&file, (attempt.change)(&honest))?;
    let signature = station.desk.sign(&file, "vigie-act", &station.desk.path(attempt.key))?;
    let (statement, signature) = (std::fs::read_to_string(&file)?, std::fs::read_to_string(signature)?);
    let commitments = vec![
        Commitment { name: "agent-statement", value: statement.clone().into_bytes() },
        Commitment { name: "agent-signature", value: signature.clone().into_bytes() },
    ];
    let row = serde_json::json!({"act": {"statement": statement, "signature": signature}});
    let receipt = store.append(Draft {
        kind: attempt.kind,
        mandate: Some(digest),
        session: None,
        exhibit: None,
        commitments,
        private: None,
        row: serde_json::to_vec(&row)?,
        url_row: None,
        state: Vec::new(),
    })?;
    Ok(receipt.sequence)
}

struct Quiet;

impl vigie_store::StoreEvents for Quiet {
    fn event(&self, _: &str) {}
}

/// A station with one exhibit, and the words of its page that must never lie on its disk in clear.
fn one_exhibit(world: &World, case: &str) -> Outcome<(Station, String)> {
    let path = "/offer/3".to_owned();
    let target = Target {
        entry: vec![path.clone()],
        include: vec![path],
        ..Target::onion("market-a", &world.net.onion("market-a"))
    };
    let station = Station::quick(world, case, &[target])?;
    station.run_once().run()?.exits(0)?;
    Ok((station, "<title>".to_owned()))
}

fn in_memory(world: &World) -> CaseResult {
    let (station, mark) = one_exhibit(world, "opened")?;
    let open = |args: &[&str]| {
        let fixed = ["exhibit", "open", "1", "--purpose", "daily review", "--identity"];
        station.vigie(&[&fixed[..], args].concat())
    };
    let listed = open(&["keys/review.txt", "--json"]).run()?.success()?;
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout)?;
    let records = listed.as_array().ok_or("no list")?;
    let response = records.iter().find(|record| record["kind"] == "response").ok_or("no response")?;
    ensure!(records.iter().all(|record| record["digests"] == "hold"), "{listed}");
    ensure!(response["url"].as_str().is_some_and(|url| url.ends_with("/offer/3")), "{listed}");
    let number = response["record"].to_string();
    let block = open(&["keys/review.txt", "--record", &number]).run()?.success()?;
    ensure!(block.stdout.starts_with(b"HTTP/1.1 200"), "{:?}", block.text());
    let body = open(&["keys/review.txt", "--record", &number, "--body"]).run()?.success()?;
    ensure!(body.text().contains(&mark) && !body.text().contains("HTTP/1.1"), "{:.300}", body.text());
    // Stock tools find the same bytes.
    let warc = station.open_exhibit(1)?;
    ensure!(warc.windows(block.stdout.len()).any(|window| window == block.stdout), "age and gzip give other bytes");
    std::fs::remove_file(station.desk.path("1.warc.gz"))?;
    std::fs::remove_file(station.desk.path("1.age"))?;
    let beyond = open(&["keys/review.txt", "--record", "99"]).run()?;
    one_line(&beyond, 2, &["name one of them"])?;

    // Nothing of it came to the disk: neither the page nor its gzip members.
    let leaks = station.leaks(station.desk.dir(), &[mark.as_str(), "HTTP/1.1 200", "WARC/1.1"])?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    // Unless it is asked for.
    let plain = station.desk.path("plain.warc.gz");
    open(&["keys/case.txt", "--to", "plain.warc.gz"]).run()?.success()?;
    let text = Command::new("gzip").arg("-dc").arg(&plain).run()?.success()?;
    ensure!(text.stdout == warc, "the file is not what stock tools open");
    one_line(&open(&["keys/case.txt", "--to", "plain.warc.gz"]).run()?, 2, &["exists already"])?;

    let custody = station.json(&["custody", "1"])?;
    let events = custody["events"].as_array().ok_or("no events")?;
    let whats: Vec<&str> = events.iter().filter_map(|event| event["what"].as_str()).collect();
    ensure!(
        whats[0].starts_with("session of pseudonym") && whats[1].starts_with("captured, sealed and logged; complete"),
        "{whats:?}"
    );
    let memory = whats.iter().filter(|what| **what == "opened in memory").count();
    ensure!(memory == 4 && whats.contains(&"sealed copy") && whats.contains(&"opened into a file"), "{whats:?}");
    ensure!(
        events.iter().filter(|event| event["kind"] == "read").all(|event| event["agent"] == AGENT
            && event["signed_by"].as_str().is_some_and(|key| key.starts_with("SHA256:"))
            && event["purpose"].as_str().is_some_and(|purpose| !purpose.is_empty())),
        "{custody}"
    );
    let shown = station.vigie(&["custody", "1"]).run()?.success()?;
    ensure!(shown.text().contains("daily review") && shown.text().contains("TEST NETWORK"), "{}", shown.text());
    one_line(&station.vigie(&["custody", "2"]).run()?, 2, &["no exhibit 2"])?;
    station.sound()?;
    Ok(())
}

fn who_may(world: &World) -> CaseResult {
    let (station, mark) = one_exhibit(world, "who-opens")?;
    let open = |args: &[&str]| {
        let fixed = ["exhibit", "open", "1", "--identity"];
        station.vigie(&[&fixed[..], args].concat())
    };
    // Without a purpose, nothing.
    ensure!(open(&["keys/case.txt"]).run()?.code() == Some(2), "it needs a purpose");
    one_line(&open(&["keys/case.txt", "--purpose", " "]).run()?, 2, &["purpose"])?;
    let reads = station.log("read")?.len();
    // Somebody else's identity: refused, and the log says so.
    let stranger = age::x25519::Identity::generate();
    std::fs::write(station.desk.path("keys/stranger.txt"), stranger.to_string().expose_secret())?;
    let refused = open(&["keys/stranger.txt", "--purpose", "curious"]).run()?;
    one_line(&refused, 3, &["none of the identities"])?;
    ensure!(station.rows("refusal")?.iter().any(|row| row["code"] == "not-a-recipient"), "it is not in the log");
    // An agent whom the mandate does not name.
    let key = station.desk.stranger_key("somebody")?;
    let unknown = open(&["keys/case.txt", "--purpose", "x", "--agent-key"]).arg(&key).run()?;
    ensure!(unknown.code() == Some(3), "{}", unknown.errors());
    std::fs::write(station.desk.path("keys/empty.txt"), "# nothing\n")?;
    one_line(&open(&["keys/empty.txt", "--purpose", "x"]).run()?, 2, &["holds no identity"])?;
    one_line(&open(&["keys/none.txt", "--purpose", "x"]).run()?, 2, &["none.txt"])?;
    ensure!(station.log("read")?.len() == reads, "nothing was read");

    // An identity file under a passphrase, as `age -p` and `age-keygen | age -p` make it.
    let recipient = age::scrypt::Recipient::new(SecretString::from("long words"));
    let plain = std::fs::read(station.desk.path("keys/case.txt"))?;
    std::fs::write(station.desk.path("keys/case.age"), age::encrypt_and_armor(&recipient, &plain)?)?;
    let with = |word: &str| -> Outcome<_> {
        std::fs::write(station.desk.path("credentials/vigie.identity"), word)?;
        Ok(open(&["keys/case.age", "--purpose", "x", "--json"]).run()?)
    };
    one_line(&with("other words")?, 6, &["does not open the identity file"])?;
    with("long words")?.success()?;

    // A token that only its plugin can ask.
    let folder = station.desk.path("plugins");
    std::fs::create_dir(&folder)?;
    std::os::unix::fs::symlink(std::env::current_exe()?, folder.join(plugin::NAME))?;
    std::fs::write(station.desk.path("keys/token.txt"), format!("{}\n", plugin::IDENTITY))?;
    let token = |plugged: &str| -> Outcome<_> {
        let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap_or_default());
        let open = open(&["keys/token.txt", "--purpose", "x", "--json"]);
        Ok(open.env("PATH", path).env(plugin::TOKEN, station.desk.path(plugged)).run()?)
    };
    token("keys/case.txt")?.success()?;
    one_line(&token("keys/stranger.txt")?, 3, &["none of the identities"])?;
    let missing = open(&["keys/token.txt", "--purpose", "x"]).run()?;
    ensure!(missing.code() != Some(5) && missing.errors().contains(plugin::NAME), "{}", missing.errors());
    std::fs::remove_dir_all(&folder)?;
    let leaks = station.leaks(station.desk.dir(), &[mark.as_str()])?;
    ensure!(leaks.is_empty(), "{leaks:?}");
    station.sound()?;
    Ok(())
}

fn locked(world: &World) -> CaseResult {
    let (station, _) = one_exhibit(world, "locked")?;
    let passphrase = station.desk.path("credentials/vigie.store");
    let right = std::fs::read(&passphrase)?;
    let before = station.log("refusal")?.len();
    for attempt in 0..3 {
        std::fs::write(&passphrase, format!("guess {attempt}"))?;
        one_line(&station.vigie(&["status"]).run()?, 6, &["passphrase"])?;
    }
    std::fs::write(&passphrase, &right)?;
    ensure!(station.log("refusal")?.len() == before, "nothing is signed without the key");
    // Any command that opens the store takes the notes in.
    station.vigie(&["store", "rebuild"]).run()?.success()?;
    let rows: Vec<_> = station.rows("refusal")?.into_iter().filter(|row| row["code"] == "locked").collect();
    ensure!(rows.len() == 3, "{rows:?}");
    let marked = |row: &serde_json::Value| {
        row["line"].as_str().is_some_and(|line| line.starts_with("unsigned note") && line.contains("wrong passphrase"))
    };
    ensure!(rows.iter().all(marked), "{rows:?}");
    station.sound()?;

    // A new passphrase; the old one is asked for and ends.
    let change = |old: &[u8], new: &str| -> Outcome<_> {
        std::fs::write(&passphrase, old)?;
        std::fs::write(station.desk.path("credentials/vigie.store.new"), new)?;
        Ok(station.vigie(&["passphrase"]).run()?)
    };
    one_line(&change(b"guess", "another")?, 6, &["passphrase"])?;
    change(&right, "another")?.success()?;
    one_line(&station.vigie(&["status"]).run()?, 6, &["passphrase"])?;
    std::fs::write(&passphrase, "another")?;
    station.vigie(&["status"]).run()?.success()?;
    // And a profile's.
    let profile = station.desk.path("credentials/vigie.profile");
    std::fs::write(station.desk.path("credentials/vigie.profile.new"), "pseudonym's new")?;
    station.vigie(&["profile", "passphrase"]).run()?.success()?;
    ensure!(station.run_once().run()?.code() == Some(6), "the old one opens it still");
    std::fs::write(&profile, "pseudonym's new")?;
    station.run_once().run()?.exits(0)?;
    station.sound()?;
    Ok(())
}

fn wiped(world: &World) -> CaseResult {
    let bulk = Target::onion("bulk", &world.net.onion("bulk"));
    let station = Station::paced(world, "wiped", &[bulk])?;
    let mut run = station.run_once().spawn()?;
    let seen = station.seen_during(&mut run, 3)?;
    ensure!(station.vigie(&["wipe"]).run()?.code() == Some(2), "it must be confirmed");
    let wiped = station.vigie(&["wipe", "--yes"]).run()?.success()?;
    ensure!(wiped.text().contains("3 key files"), "{}", wiped.text());
    ensure!(run.wait(PATIENCE)?.code() != Some(0), "the run went on");
    ensure!(!station.store().join("key.age").exists() && !station.store().join("log.key").exists(), "keys are there");
    ensure!(std::fs::read_dir(station.store().join("profiles"))?.next().is_none(), "profiles' keys are there");
    one_line(&station.vigie(&["status"]).run()?, 2, &["key.age is gone"])?;
    one_line(&station.run_once().run()?, 2, &["key.age is gone"])?;
    // What was acknowledged is still there for its recipients, and still verifies.
    let report = station.vigie(&["verify", "--json", "--identity", "keys/escrow.txt"]).run()?.success()?;
    let report: serde_json::Value = serde_json::from_slice(&report.stdout)?;
    ensure!(report["sound"] == true && report["opened"].as_u64() >= Some(seen.len() as u64), "{report}");
    Ok(())
}

fn backed_up(world: &World) -> CaseResult {
    let (station, _) = one_exhibit(world, "backup")?;
    let back_up = || station.vigie(&["backup", "copy", "--label", "disk 3", "--purpose", "weekly"]).run();
    let first = back_up()?.success()?;
    ensure!(first.text().contains("1 exhibits") && first.text().contains("verified"), "{}", first.text());
    station.run_once().run()?.exits(0)?;
    let made = station.log("export")?;
    back_up()?.success()?;
    ensure!(station.log("export")?.len() == 2 && made.len() == 1, "each is an entry");
    let listed = station.json(&["retention", "list"])?;
    ensure!(listed.to_string().contains(&format!("copy:{}", made[0]["entry"])), "it is not tracked: {listed}");
    // The workstation is lost.
    let size = station.json(&["log"])?.as_array().map(Vec::len);
    std::fs::remove_dir_all(station.store())?;
    let restored = station.command(&["restore", "copy", "--to", "store"]).run()?.success()?;
    ensure!(restored.text().contains("2 exhibits"), "{}", restored.text());
    ensure!(station.json(&["log"])?.as_array().map(Vec::len) == size, "a part of the log is missing");
    station.run_once().run()?.exits(0)?;
    let kinds: Vec<String> = station.entries()?.into_iter().map(|(kind, _)| kind).collect();
    ensure!(kinds.contains(&"recovery".to_owned()), "{kinds:?}");
    station.sound()?;
    one_line(&station.command(&["restore", "copy", "--to", "store"]).run()?, 2, &["exists already"])?;
    one_line(&station.command(&["restore", "keys", "--to", "other"]).run()?, 2, &["store.txt"])?;
    let foreign = station.vigie(&["backup", "keys", "--label", "x", "--purpose", "x"]).run()?;
    ensure!(foreign.code() == Some(2), "{}", foreign.errors());
    Ok(())
}

fn two_sources(world: &World) -> CaseResult {
    let path = "/offer/3".to_owned();
    let shop = |name: &str| Target {
        entry: vec![path.clone()],
        include: vec![path.clone()],
        ..Target::onion(name, &world.net.onion(name))
    };
    let web = Target::web("second-hand", vigie_tests::sites::SECOND_HAND_HOST, world.sites.second_hand.port);
    let web = Target { entry: vec!["/".into()], include: vec!["/".into()], ..web };
    let station = Station::quick(world, "sources", &[shop("market-a"), shop("market-b"), web])?;
    for _ in 0..2 {
        station.run_once().run()?;
    }
    let listed = station.json(&["exhibits"])?;
    let of = |target: &str| -> Outcome<Vec<String>> {
        let listed = listed.as_array().ok_or("no list")?;
        Ok(listed.iter().filter(|e| e["target"] == target).map(|e| e["exhibit"].to_string()).collect())
    };
    let compare = |args: &[&str]| {
        let fixed = ["corroborate", "--identity", "keys/case.txt", "--purpose", "a second look"];
        station.vigie(&[&fixed[..], args].concat())
    };
    let (a, b, web) = (of("market-a")?, of("market-b")?, of("second-hand")?);
    ensure!(a.len() == 2 && b.len() == 2 && web.len() > 1 && web.len() % 2 == 0, "{listed}");
    ensure!(station.json(&["custody", &a[0]])?["single_source"] == true, "nothing was compared yet");
    let same = compare(&[&a[0], &a[1], "--json"]).run()?.success()?;
    let same: serde_json::Value = serde_json::from_slice(&same.stdout)?;
    ensure!(same["verdict"] == "agree" && same["both"].as_array().is_some_and(|both| !both.is_empty()), "{same}");
    let tls = compare(&[&web[0], &web[web.len() / 2], "--json"]).run()?.success()?;
    let tls: serde_json::Value = serde_json::from_slice(&tls.stdout)?;
    ensure!(tls["both"][0]["same_certificate"] == true, "{tls}");
    let custody = station.json(&["custody", &a[0]])?;
    ensure!(custody["single_source"] == false && custody.to_string().contains("agree"), "{custody}");
    one_line(&compare(&[&a[0], &b[0]]).run()?, 2, &["one session"])?;
    ensure!(compare(&[&a[0], &b[1]]).run()?.code() == Some(4), "two shops do not agree");
    // Against another workstation's store.
    let second = Station::quick(world, "sources-2", &[shop("market-a")])?;
    second.run_once().run()?.exits(0)?;
    let store = second.store();
    let identity = second.desk.path("keys/case.txt");
    let across = compare(&[&a[0], "1", "--with"]).arg(&store).arg("--identity").arg(&identity).run()?.success()?;
    ensure!(across.text().contains("agree"), "{}", across.text());
    one_line(&compare(&[&a[0], "1", "--with"]).arg(&store).run()?, 3, &["none of the identities"])?;
    station.sound()?;
    Ok(())
}

fn replaced(world: &World) -> CaseResult {
    let (old, _) = one_exhibit(world, "replaced")?;
    let new = Station::desk(world, "replacing", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    new.init_quickly("store", "vigie.example/e2e-2")?;
    new.vigie(&["mandate", "add", "mandate.toml"]).run()?.success()?;
    let key_of = |station: &Station| -> Outcome<String> {
        let shown = station.vigie(&["checkpoint", "--key"]).run()?.success()?.text();
        Ok(shown.lines().next().ok_or("no key")?.to_owned())
    };
    let (old_key, new_key) = (key_of(&old)?, key_of(&new)?);
    let to = |key: &str, out: &str| old.vigie(&["handover", "to", key, "--out", out, "--purpose", "replaced"]).run();
    one_line(&to("nonsense", "x.txt")?, 2, &["no verifier key"])?;
    one_line(&to(&old_key, "x.txt")?, 2, &["own log"])?;
    to(&new_key, "handover.txt")?.success()?;
    one_line(&to(&new_key, "again.txt")?, 3, &["already"])?;
    one_line(&old.run_once().run()?, 3, &["was handed over"])?;
    ensure!(old.rows("refusal")?.iter().any(|row| row["code"] == "handed-over"), "it is not in the log");
    // What is there can still be read and verified.
    old.open_exhibit(1)?;
    old.sound()?;

    let paper = std::fs::read_to_string(old.desk.path("handover.txt"))?;
    let from = |text: &str| -> Outcome<_> {
        std::fs::write(new.desk.path("handover.txt"), text)?;
        Ok(new.vigie(&["handover", "from", "handover.txt", "--purpose", "replaced"]).run()?)
    };
    one_line(&from(&paper.replace(&new_key, &old_key))?, 2, &["another log"])?;
    one_line(&from(&paper.replacen("entry ", "entry 9", 1))?, 2, &["does not cover"])?;
    one_line(&from("nonsense")?, 2, &["no paper"])?;
    from(&paper)?.success()?;
    one_line(&from(&paper)?, 2, &["already"])?;
    let row = new.rows("handover")?.pop().ok_or("no entry")?;
    ensure!(row["form"] == "from" && row["key"] == old_key.as_str() && row["size"].as_u64() > Some(6), "{row}");
    new.sound()?;
    Ok(())
}
