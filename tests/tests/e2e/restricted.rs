//! Services that show themselves to some clients only, and services that ask for work.

use vigie_tests::desk::Target;

use crate::ensure;
use crate::machine::PATIENCE;
use crate::station::{Outcome, PURPOSE, Station, refused};
use crate::world::{Case, CaseResult, GUARDED, WORKING, World, x25519};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "restricted::a_service_opens_to_the_profile_that_has_its_key", run: keys },
        Case { name: "restricted::what_is_no_key_or_has_no_right_to_be_kept", run: bad_keys },
        Case { name: "restricted::keys_are_handed_over_again_to_a_network_process_that_is_started_again", run: again },
        Case { name: "restricted::work_that_is_offered_and_not_asked_for", run: work },
    ]
}

/// A second pseudonym, `egret`, beside the desk's own.
pub fn second_profile(station: &Station) -> Outcome<()> {
    let text = std::fs::read_to_string(station.desk.path("profile.toml"))?.replace("\"heron\"", "\"egret\"");
    std::fs::write(station.desk.path("egret.toml"), text)?;
    station.vigie(&["profile", "new", "egret.toml"]).run()?.success()?;
    Ok(())
}

/// `vigie profile key ARGS`.
fn key(station: &Station, args: &[&str]) -> vigie_tests::process::Command {
    station.vigie(&[&["profile", "key"], args].concat())
}

fn one_page(name: &str, onion: &str) -> Target {
    Target { entry: vec!["/offer/3".into()], include: vec!["/offer/3".into()], ..Target::onion(name, onion) }
}

fn keys(world: &World) -> CaseResult {
    let onion = world.net.onion(GUARDED);
    let targets = [one_page("guarded", &onion)];
    let station = Station::desk(world, "client-keys", &targets)?;
    let list = |words: [&'static str; 2]| words.map(toml::Value::from).to_vec();
    let text = station.desk.mandate(&targets, jiff::Timestamp::now())?;
    let text = text.with("actions", list(["observe", "authenticate"])).with("pseudonyms", list(["heron", "egret"]));
    station.sign_mandate(&text)?;
    station.set_up_quickly("store")?;
    second_profile(&station)?;
    let label = onion.trim_end_matches(".onion");
    let (wrong, _) = x25519()?;
    let sign = ["--purpose", PURPOSE, "--profile", "heron"];
    let url = format!("http://{onion}/offer/3");
    let locked = |profile: &str| -> Outcome<()> {
        let before = station.rows("failure")?.len();
        station.capture(&url).args(["--profile", profile]).run()?.exits(4)?;
        let rows = station.rows("failure")?;
        // Never asked again: the key would be the same.
        ensure!(rows.len() == before + 1, "{rows:?}");
        let row = &rows[before];
        ensure!(row["kind"] == "client-key-needed" && row["wait_ms"].is_null() && row["attempt"] == 1, "{row}");
        Ok(())
    };
    locked("heron")?;
    std::fs::write(station.desk.path("wrong.auth_private"), format!("{label}:descriptor:x25519:{wrong}\n"))?;
    key(&station, &["add", "wrong.auth_private"]).args(sign).run()?.success()?;
    locked("heron")?;
    let again = key(&station, &["add", "wrong.auth_private"]).args(sign).run()?;
    refused(&again, 2, &["has a key for guarded already", "vigie profile key remove guarded"])?;
    key(&station, &["remove", "guarded"]).args(sign).run()?.success()?;

    // The right one, by a file descriptor and without the name.
    let file = station.desk.path("credentials/key");
    std::fs::write(&file, format!("descriptor:x25519:{}", world.client_key.to_lowercase()))?;
    let add = key(&station, &["add", "--key-fd", "7", "--target", "guarded"]).args(sign);
    let added = add.through("sh", ["-c", "exec \"$@\" 7<credentials/key", "sh"]).run()?.success()?;
    ensure!(added.text().contains("descriptor:x25519:"), "{}", added.text());
    std::fs::remove_file(&file)?;
    std::fs::remove_file(station.desk.path("wrong.auth_private"))?;
    station.capture(&url).args(["--profile", "heron"]).run()?.exits(0)?;
    // Another profile of the same mandate does not have it, and neither does the key's own session lend it.
    locked("egret")?;

    let listed = station.json(&["profile", "key", "list", "--profile", "heron"])?;
    ensure!(listed[0]["onion"] == *onion && listed[0]["target"] == "guarded" && listed[1].is_null(), "{listed}");
    let none = station.json(&["profile", "key", "list", "--profile", "egret"])?;
    ensure!(none.as_array().is_some_and(Vec::is_empty), "{none}");
    std::fs::write(station.desk.path("other"), "not the passphrase")?;
    let shut = key(&station, &["list", "--profile", "heron", "--profile-passphrase-fd", "7"]);
    let shut = shut.through("sh", ["-c", "exec \"$@\" 7<other", "sh"]).run()?;
    ensure!(shut.code() == Some(6) && !shut.text().contains(label), "{}{}", shut.text(), shut.errors());

    let rows = station.rows("profile-key")?;
    let told: Vec<_> = rows.iter().map(|row| row["what"].as_str().unwrap_or_default()).collect();
    ensure!(told == ["added", "removed", "added"], "{rows:?}");
    ensure!(rows.iter().all(|row| row["target"] == "guarded" && row["purpose"] == PURPOSE), "{rows:?}");
    // In no file in clear: neither as it was typed nor as bytes.
    for secret in [&world.client_key, &wrong] {
        let lower = secret.to_lowercase();
        let bytes = data_encoding::BASE32_NOPAD.decode(secret.as_bytes())?;
        let hex = data_encoding::HEXLOWER.encode(&bytes);
        for dir in [station.store(), station.desk.path("state")] {
            let leaks = station.leaks(&dir, &[secret, &lower, &hex, label])?;
            ensure!(leaks.is_empty(), "{leaks:?}");
            ensure!(!holds(&dir, &bytes)?, "the key lies in {}", dir.display());
        }
    }
    // Anti-test: a key that does lie there is seen.
    let bytes = data_encoding::BASE32_NOPAD.decode(wrong.as_bytes())?;
    let planted = station.desk.path("state/planted");
    std::fs::write(&planted, &bytes)?;
    ensure!(holds(&station.desk.path("state"), &bytes)?, "the scan sees nothing");
    std::fs::remove_file(planted)?;
    station.sound()?;
    Ok(())
}

/// A network process that takes the place of another knows nothing; the session's keys come to it from *record*.
fn again(world: &World) -> CaseResult {
    let onion = world.net.onion(GUARDED);
    let targets = [Target::onion("guarded", &onion)];
    let station = Station::desk(world, "client-keys-again", &targets)?;
    let actions = ["observe", "authenticate"].map(toml::Value::from).to_vec();
    station.sign_mandate(&station.desk.mandate(&targets, jiff::Timestamp::now())?.with("actions", actions))?;
    station.pace()?;
    station.set_up_quickly("store")?;
    let label = onion.trim_end_matches(".onion");
    std::fs::write(station.desk.path("key"), format!("{label}:descriptor:x25519:{}", world.client_key))?;
    key(&station, &["add", "key", "--purpose", PURPOSE]).run()?.success()?;
    let mut run = station.run_once().spawn()?;
    station.seen_during(&mut run, 3)?;
    crate::confined::kill_net(&run)?;
    let output = run.wait(PATIENCE)?;
    let said = output.errors();
    ensure!(said.contains("the network process is started again: it was killed"), "{said}");
    let entries = station.entries()?;
    let failures: Vec<_> = entries.iter().filter(|(kind, _)| kind == "failure").map(|(_, row)| row).collect();
    ensure!(failures.iter().all(|row| row["kind"] == "network-process"), "{failures:?}");
    // What was under way when it died is a failure; whatever came after the last of them came with the key.
    let died = entries.iter().rposition(|(kind, _)| kind == "failure").ok_or("nothing was under way")?;
    let later = entries[died..].iter().filter(|(kind, _)| kind == "exhibit").count();
    ensure!(later >= 3, "{later} pages after it: {said}");
    ensure!(station.log("session-open")?.len() == 1, "one session");
    station.sound()?;
    Ok(())
}

/// A file under a directory holds these bytes.
fn holds(dir: &std::path::Path, wanted: &[u8]) -> Outcome<bool> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        let found = if path.is_dir() {
            holds(&path, wanted)?
        } else {
            std::fs::read(&path)?.windows(wanted.len()).any(|window| window == wanted)
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

fn bad_keys(world: &World) -> CaseResult {
    let onion = world.net.onion(GUARDED);
    let targets = [one_page("guarded", &onion), Target::web("shop", "brocante.test", 443)];
    let station = Station::desk(world, "bad-client-keys", &targets)?;
    let text = station.desk.mandate(&targets, jiff::Timestamp::now())?;
    let actions = ["observe", "authenticate"].map(toml::Value::from).to_vec();
    station.sign_mandate(&text.clone().with("actions", actions))?;
    station.set_up_quickly("store")?;
    let label = onion.trim_end_matches(".onion");
    let other = world.net.onion("market-a");
    let other = other.trim_end_matches(".onion");
    let secret = &world.client_key;
    for (content, more, code, words) in [
        (format!("{label}:descriptor:x25519:{}", &secret[..50]), &[][..], 2, &["not as Tor writes it"][..]),
        (format!("{label}:basic:{secret}"), &[], 2, &["of another type"]),
        (String::new(), &[], 2, &["it has no colon"]),
        ("x".repeat(20_000), &[], 2, &["too long for a client key"]),
        (format!("descriptor:x25519:{secret}"), &[], 2, &["does not say which service", "--target LABEL"]),
        (format!("descriptor:x25519:{secret}"), &["--target", "shop"], 3, &["has no onion target shop"]),
        (format!("{other}:descriptor:x25519:{secret}"), &[], 3, &["outside of the mandate M-2026-017"]),
        (format!("{other}:descriptor:x25519:{secret}"), &["--target", "guarded"], 3, &["for another service"]),
    ] {
        std::fs::write(station.desk.path("key"), content)?;
        let output = key(&station, &["add", "key", "--purpose", PURPOSE]).args(more).run()?;
        crate::machine::one_line(&output, code, words)?;
        let said = output.errors();
        ensure!(!said.contains(&secret[..20]) && !said.contains(label) && !said.contains(other), "{said}");
    }
    let gone = key(&station, &["remove", "guarded", "--purpose", PURPOSE]).run()?;
    refused(&gone, 2, &["has no key for guarded"])?;
    // A mandate that only lets look does not let anybody show a key.
    let second = station.desk.write_mandate("second.toml", &text.with("id", "M-2026-018"))?;
    station.vigie(&["mandate", "add"]).arg(second).run()?.success()?;
    std::fs::write(station.desk.path("key"), format!("{label}:descriptor:x25519:{secret}"))?;
    let args = ["add", "key", "--purpose", PURPOSE, "--mandate", "M-2026-018"];
    refused(&key(&station, &args).run()?, 3, &["M-2026-018 does not permit `authenticate`"])?;
    ensure!(station.log("profile-key")?.is_empty(), "a key is in the log");
    station.sound()?;
    Ok(())
}

/// C tor's own descriptor with `pow-params`: what it suggests is read, and a service that asks for no work is
/// captured without.
fn work(world: &World) -> CaseResult {
    let onion = world.net.onion(WORKING);
    let station = Station::quick(world, "work", &[one_page("working", &onion)])?;
    station.capture(&format!("http://{onion}/offer/3")).run()?.exits(0)?;
    ensure!(station.rows("failure")?.is_empty(), "nothing failed");
    let row = station.rows("descriptor")?.pop().ok_or("no descriptor")?;
    ensure!(row["what"] == "kept" && row["suggested_effort"] == 0, "{row}");
    station.sound()?;
    Ok(())
}
