//! What an investigator can get wrong: each is answered with one line that says what to do, the
//! right exit code, nothing on standard output, and no entry but where somebody tried to act.

use std::path::PathBuf;

use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::ensure;
use crate::machine::{one_line, without_terminal};
use crate::station::{Outcome, PROFILE_PASSPHRASE, PURPOSE, STORE_PASSPHRASE, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "faults_input::passphrases", run: passphrases },
        Case { name: "faults_input::keys_of_agents", run: keys_of_agents },
        Case { name: "faults_input::names_numbers_and_files", run: names_numbers_and_files },
        Case { name: "faults_input::purposes", run: purposes },
        Case { name: "faults_input::vigie_toml", run: vigie_toml },
        Case { name: "faults_input::directories_that_are_no_store", run: no_store },
    ]
}

fn station(world: &World, case: &str) -> Outcome<Station> {
    Station::quick(world, case, &[Target::onion("market-a", &world.net.onion("market-a"))])
}

fn page(world: &World) -> String {
    format!("http://{}/offer/3", world.net.onion("market-a"))
}

/// A folder of systemd credentials with these in it.
fn credentials(station: &Station, name: &str, held: &[(&str, &str)]) -> Outcome<PathBuf> {
    let folder = station.desk.path(name);
    std::fs::create_dir_all(&folder)?;
    for (credential, secret) in held {
        std::fs::write(folder.join(credential), secret)?;
    }
    Ok(folder)
}

fn passphrases(world: &World) -> CaseResult {
    let station = station(world, "passphrases")?;
    let size = station.json(&["status"])?["log_size"].clone();
    let (store, profile) = (("vigie.store", STORE_PASSPHRASE), ("vigie.profile", PROFILE_PASSPHRASE));
    let with = |name: &str, held: &[(&str, &str)]| credentials(&station, name, held);

    let wrong = with("wrong", &[("vigie.store", "not it"), profile])?;
    for args in [&["status"][..], &["exhibits"], &["mandate", "list"], &["log", "--rows"], &["unlock"]] {
        let output = station.vigie(args).env("CREDENTIALS_DIRECTORY", &wrong).run()?;
        one_line(&output, 6, &["passphrase does not open"])?;
    }
    one_line(&station.run_once().env("CREDENTIALS_DIRECTORY", &wrong).run()?, 6, &["passphrase does not open"])?;
    let wrong_profile = with("wrong-profile", &[store, ("vigie.profile", "not it")])?;
    let output = station.run_once().env("CREDENTIALS_DIRECTORY", &wrong_profile).run()?;
    one_line(&output, 6, &["passphrase does not open the profile"])?;
    let empty = with("empty", &[("vigie.store", "\n"), profile])?;
    one_line(
        &station.vigie(&["status"]).env("CREDENTIALS_DIRECTORY", &empty).run()?,
        2,
        &["store passphrase is empty"],
    )?;

    // Nobody to ask: the line says how to give it.
    let none = with("none", &[])?;
    let alone = |command: Command| without_terminal(command.env("CREDENTIALS_DIRECTORY", &none)).run();
    let how = ["no terminal to ask for the store passphrase", "--passphrase-fd", "vigie.store"];
    for args in [&["status"][..], &["verify", "--unlocked"], &["mandate", "add", "mandate.toml"], &["unlock"]] {
        one_line(&alone(station.vigie(args))?, 6, &how)?;
    }
    one_line(&alone(station.run_once())?, 6, &how)?;
    let how = ["no terminal to ask for the store passphrase", "--passphrase-fd"];
    one_line(
        &alone(station.command(&[
            "init",
            "new",
            "--allowed-signers",
            "keys/allowed_signers",
            "--origin",
            "x.example/y",
        ]))?,
        6,
        &how,
    )?;
    ensure!(!station.desk.path("new").exists(), "a store without passphrase");
    let only_store = with("only-store", &[store])?;
    let output = without_terminal(station.run_once().env("CREDENTIALS_DIRECTORY", &only_store)).run()?;
    one_line(
        &output,
        6,
        &["no terminal to ask for the profile passphrase", "--profile-passphrase-fd", "vigie.profile"],
    )?;
    // A number that nobody opened.
    let output = station.vigie(&["status", "--passphrase-fd", "77"]).run()?;
    one_line(&output, 2, &["file descriptor 77", "3<FILE"])?;

    // A wrong passphrase is noted, and nothing else is left.
    let noted = station.rows("refusal")?.iter().filter(|row| row["code"] == "locked").count() as u64;
    let size = size.as_u64().map(|size| size + noted);
    ensure!(noted > 0 && station.json(&["status"])?["log_size"].as_u64() == size, "it left another entry");
    station.sound()?;
    Ok(())
}

fn keys_of_agents(world: &World) -> CaseResult {
    let station = station(world, "agents")?;
    let page = page(world);
    let with = |key: &str| station.capture(&page).args(["--agent-key", key]);
    one_line(&with("keys/nobody").run()?, 2, &["reading the agent's SSH key keys/nobody", "No such file"])?;
    one_line(&with("mandate.toml").run()?, 2, &["mandate.toml is not an OpenSSH key", "ssh-keygen"])?;
    let size = station.json(&["status"])?["log_size"].as_u64().ok_or("no size")?;
    station.desk.stranger_key("stranger")?;
    one_line(&with("keys/stranger").run()?, 3, &["SSH key"])?;
    ensure!(station.entries()?.last().is_some_and(|(kind, _)| kind == "refusal"), "who tried is in the log");
    ensure!(station.json(&["status"])?["log_size"] == size + 1, "one entry");

    // The agent's own key, encrypted.
    std::fs::copy(station.desk.path("keys/agent"), station.desk.path("keys/locked"))?;
    Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "", "-N", "canary-agent-passphrase", "-f", "keys/locked"])
        .dir(station.desk.dir())
        .run()?
        .success()?;
    let held = [("vigie.store", STORE_PASSPHRASE), ("vigie.profile", PROFILE_PASSPHRASE)];
    let wrong = credentials(&station, "wrong", &[&held[..], &[("vigie.agent", "not it")]].concat())?;
    let output = with("keys/locked").env("CREDENTIALS_DIRECTORY", &wrong).run()?;
    one_line(&output, 6, &["the passphrase does not open the agent's SSH key keys/locked"])?;
    let output = without_terminal(with("keys/locked")).run()?;
    one_line(&output, 6, &["no terminal to ask for the passphrase of the agent's SSH key", "--agent-passphrase-fd"])?;
    ensure!(station.seen()?.is_empty(), "nobody acted");
    let right = credentials(&station, "right", &[&held[..], &[("vigie.agent", "canary-agent-passphrase")]].concat())?;
    with("keys/locked").env("CREDENTIALS_DIRECTORY", &right).run()?.exits(0)?;

    // Nobody named at all.
    let path = station.desk.path("vigie.toml");
    let mut document: toml::Table = std::fs::read_to_string(&path)?.parse()?;
    document.remove("agent");
    std::fs::write(&path, toml::to_string(&document)?)?;
    one_line(&station.capture(&page).run()?, 2, &["who acts?", "--agent-key FILE"])?;
    station.sound()?;
    Ok(())
}

fn names_numbers_and_files(world: &World) -> CaseResult {
    let station = station(world, "names")?;
    station.capture(&page(world)).run()?.exits(0)?;
    let size = station.json(&["status"])?["log_size"].clone();
    let at = |args: &[&str]| station.vigie(args).run();
    let get = |number: &str, to: &str| at(&["exhibit", "get", number, "--sealed", "--to", to, "--purpose", "a look"]);
    for number in ["0", "2", "18446744073709551615"] {
        one_line(&get(number, "out.age")?, 2, &[&format!("no exhibit {number}"), "vigie exhibits"])?;
        ensure!(!station.desk.path("out.age").exists(), "a file of nothing");
    }
    one_line(&get("1", "mandate.toml")?, 2, &["mandate.toml exists already", "name another file"])?;
    one_line(&get("1", "nowhere/1.age")?, 1, &["writing the exhibit to nowhere/1.age", "No such file"])?;
    one_line(&station.run_once().args(["--profile", "egret"]).run()?, 2, &["no such profile", "vigie profile new"])?;
    one_line(&station.run_once().args(["--mandate", "M-0"]).run()?, 2, &["no mandate M-0", "vigie mandate add"])?;
    one_line(&at(&["mandate", "show", "M-0"])?, 2, &["no mandate M-0"])?;
    one_line(&at(&["log", "--kind", "exhibition"])?, 2, &["\"exhibition\" is not a kind of entry"])?;
    one_line(&at(&["mandate", "add", "none.toml"])?, 2, &["reading none.toml", "No such file"])?;
    one_line(&at(&["profile", "new", "profile.toml"])?, 2, &["has a profile of this name already"])?;
    one_line(&at(&["verify", "--identity", "none.txt"])?, 2, &["reading the identity file none.txt"])?;
    let output = station.vigie(&["capture", "-"]).args(["--purpose", PURPOSE]).stdin("\n").run()?;
    refused(&output, 2, &["no address was given"])?;
    // What the attempts to read left: only the one that went as far as a copy.
    let added = station.json(&["status"])?["log_size"].as_u64().zip(size.as_u64()).map(|(now, then)| now - then);
    ensure!(added == Some(1) && station.log("read")?.len() == 1, "{added:?} entries");

    // Several mandates, none named; none at all.
    let second =
        station.desk.mandate(&[Target::onion("market-b", &world.net.onion("market-b"))], jiff::Timestamp::now())?;
    station.desk.write_mandate("second.toml", &second.with("id", "M-2026-018"))?;
    at(&["mandate", "add", "second.toml"])?.success()?;
    for command in [station.run_once(), station.capture(&page(world))] {
        one_line(&command.run()?, 2, &["several mandates", "--mandate ID"])?;
    }
    station.capture(&page(world)).args(["--mandate", "M-2026-017"]).run()?.exits(0)?;
    station.init_quickly("bare", "vigie.example/bare")?;
    for command in
        [station.run_once(), station.capture(&page(world)), station.vigie(&["profile", "new", "profile.toml"])]
    {
        one_line(&command.env("VIGIE_STORE", "bare").run()?, 2, &["no mandate", "vigie mandate add"])?;
    }
    station.vigie(&["mandate", "add", "mandate.toml"]).env("VIGIE_STORE", "bare").run()?.success()?;
    one_line(&station.run_once().env("VIGIE_STORE", "bare").run()?, 2, &["no such profile", "vigie profile new"])?;
    station.sound()?;
    Ok(())
}

fn purposes(world: &World) -> CaseResult {
    let station = station(world, "purposes")?;
    let page = page(world);
    station.capture(&page).run()?.exits(0)?;
    let size = station.json(&["status"])?["log_size"].clone();
    let long = "é".repeat(501);
    for (purpose, words) in [
        ("", "needs a purpose"),
        (" \t", "needs a purpose"),
        ("offers\nagent A-08", "one line"),
        ("red \u{1b}[31m", "one line"),
        ("c1 \u{9b}31m", "one line"),
        (&long, "at most 1000 bytes"),
    ] {
        for args in [
            &["run", "--once"][..],
            &["capture", &page],
            &["exhibit", "get", "1", "--sealed", "--to", "out.age"],
            &["profile", "session", "import", "cookies.txt"],
        ] {
            let output = station.vigie(args).args(["--purpose", purpose]).run()?;
            one_line(&output, 2, &["purpose", words])?;
        }
    }
    ensure!(
        station.json(&["status"])?["log_size"] == size && !station.desk.path("out.age").exists(),
        "something was done"
    );
    Ok(())
}

fn vigie_toml(world: &World) -> CaseResult {
    let station = station(world, "vigie-toml")?;
    let path = station.desk.path("vigie.toml");
    let good = std::fs::read_to_string(&path)?;
    let lines = good.lines().count();
    let size = station.json(&["status"])?["log_size"].clone();
    let unknown_key = format!("line {}", lines + 3);
    for (more, words) in [
        ("[tro]\nx = 1", &["vigie.toml", "unknown field `tro`"][..]),
        ("[fetch]\nbody_byte = 1", &["unknown field `body_byte`", "body_bytes", &unknown_key]),
        ("[fetch]\nbootstrap_ms = 0", &["a limit under [fetch] is 0"]),
        ("[fetch]\nattempts = 0", &["fetch.attempts 1 to 10"]),
        ("[fetch]\nattempts = \"three\"", &["invalid type", "line"]),
        ("[tor.stoarge]\nx = 1", &["[tor]", "stoarge", "no option of Arti"]),
        ("[tor.vanguards]\nmode = \"half\"", &["[tor] table is not a valid configuration of Arti"]),
        ("nonsense", &["vigie.toml, line"]),
    ] {
        std::fs::write(&path, format!("{good}\n{more}\n"))?;
        one_line(&station.run_once().run()?, 2, words)?;
    }
    std::fs::write(&path, good.replace("\"ca.pem\"", "\"none.pem\""))?;
    one_line(&station.run_once().run()?, 2, &["reading the trust anchor", "none.pem"])?;
    std::fs::write(&path, good.replace("\"ca.pem\"", "\"mandate.toml\""))?;
    one_line(&station.run_once().run()?, 2, &["mandate.toml holds no PEM certificate"])?;
    one_line(
        &station.run_once().args(["--config", "none.toml"]).run()?,
        2,
        &["configuration none.toml", "No such file"],
    )?;
    // What Tor itself did not take is on record, twice; commands that need no configuration do not read it.
    std::fs::write(&path, "nonsense")?;
    let now = station.json(&["status"])?["log_size"].clone();
    ensure!(now.as_u64() == size.as_u64().map(|size| size + 2), "{size} entries, then {now}");
    ensure!(station.log("failure")?.len() == 2, "other entries than failures");
    std::fs::write(&path, &good)?;
    station.capture(&page(world)).run()?.exits(0)?;
    Ok(())
}

fn no_store(world: &World) -> CaseResult {
    let station = station(world, "no-store")?;
    let commands = [
        &["run", "--once", "--purpose", "x"][..],
        &["capture", "http://a.test/", "--purpose", "x"],
        &["mandate", "add", "mandate.toml"],
        &["mandate", "list"],
        &["profile", "list"],
        &["status"],
        &["exhibits"],
        &["log"],
        &["checkpoint"],
        &["verify"],
        &["unlock"],
        &["exhibit", "get", "1", "--sealed", "--purpose", "x"],
    ];
    let every = |store: &str, words: &[&str]| -> CaseResult {
        for args in commands {
            one_line(&station.vigie(args).env("VIGIE_STORE", store).run()?, 2, words)?;
        }
        Ok(())
    };
    every("missing", &["missing", "vigie init"])?;
    std::fs::create_dir(station.desk.path("folder"))?;
    every("folder", &["folder holds no store", "vigie init"])?;
    // A store that a later version made.
    let facts = station.store().join("store.txt");
    let text = std::fs::read_to_string(&facts)?;
    std::fs::write(&facts, text.replace("vigie.store/1", "vigie.store/2"))?;
    every("store", &["\"vigie.store/2\"", "not \"vigie.store/1\"", "the version of vigie that made it"])?;
    std::fs::write(&facts, text)?;
    station.sound()?;
    // A directory that is there is never made a store.
    let output = station
        .command(&["init", "folder", "--allowed-signers", "keys/allowed_signers", "--origin", "vigie.example/x"])
        .run()?;
    one_line(&output, 2, &["folder exists already"])?;
    let output = station
        .command(&["init", "new", "--allowed-signers", "keys/allowed_signers", "--origin", "two words"])
        .run()?;
    one_line(&output, 2, &["a log's origin is"])?;
    let output = station.command(&["init", "new", "--allowed-signers", "mandate.toml", "--origin", "x"]).run()?;
    one_line(&output, 2, &["the allowed signers mandate.toml"])?;
    ensure!(!station.desk.path("new").exists(), "made in spite of it");
    Ok(())
}
