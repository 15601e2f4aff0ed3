//! The command line as people and programs meet it: help, JSON, terminals, pipes, secrets.

use std::collections::BTreeSet;

use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::ensure;
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "cli::every_command_has_help_with_an_example", run: help },
        Case { name: "cli::json_has_these_fields", run: json },
        Case { name: "cli::completions_and_the_manual_page", run: completions },
        Case { name: "cli::a_reader_that_goes_away", run: reader_goes_away },
        Case { name: "cli::the_store_by_option_and_by_environment", run: store_named },
    ]
}

/// Names of the commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let commands = help.split("Commands:\n").nth(1).unwrap_or_default().split("\n\n").next().unwrap_or_default();
    // Deeper lines go on with a description.
    let lines = commands.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let names = lines.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}

fn help(world: &World) -> CaseResult {
    let station = Station::desk(world, "help", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    let mut waiting = vec![Vec::new()];
    let mut met = BTreeSet::new();
    while let Some(path) = waiting.pop() {
        let args: Vec<&str> = path.iter().map(String::as_str).chain(["--help"]).collect();
        let output = station.command(&args).run()?.success()?;
        let text = output.text();
        let name = path.join(" ");
        let first = text.lines().next().unwrap_or_default();
        ensure!(first.len() > 10 && !first.starts_with("Usage"), "`{name}` does not say what it does: {text}");
        let (_, example) =
            text.split_once("Example:\n").ok_or_else(|| format!("`{name} --help` has no example: {text}"))?;
        let begins = format!("  vigie {name}");
        ensure!(example.lines().any(|line| line.starts_with(begins.trim_end())), "`{name}`: another's example: {text}");
        ensure!(!text.contains('\u{1b}') && output.errors().is_empty(), "`{name}`: {text:?}");
        // `-h` is the short form of the same.
        let short: Vec<&str> = path.iter().map(String::as_str).chain(["-h"]).collect();
        ensure!(station.command(&short).run()?.success()?.text().contains("Usage: "), "`{name} -h`");
        let commands = listed(&text);
        if path.is_empty() {
            ensure!(text.contains("Exit codes:") && text.contains("130  stopped"), "no exit codes: {text}");
        }
        if !commands.is_empty() {
            // A group of commands alone is a question, answered with its help and 2.
            let bare: Vec<&str> = path.iter().map(String::as_str).collect();
            let said = station.command(&bare).run()?.exits(2)?.errors();
            ensure!(said.contains("Usage:") || said.contains("--store"), "`{name}` alone: {said}");
        }
        waiting.extend(commands.into_iter().map(|command| [&path[..], &[command]].concat()));
        met.insert(name);
    }
    for name in ["", "init", "mandate add", "profile session import", "exhibit get", "completions", "man", "verify"] {
        ensure!(met.contains(name), "`{name}` was not met: {met:?}");
    }
    let version = station.command(&["--version"]).run()?.success()?.text();
    ensure!(version.starts_with("vigie 0.") && version.lines().count() == 1, "{version}");
    let unknown = station.command(&["exhibti"]).run()?.exits(2)?.errors();
    ensure!(unknown.contains("exhibit") && !unknown.contains('\u{1b}'), "{unknown}");
    Ok(())
}

/// The names of an object's fields.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|object| object.keys().map(String::as_str).collect()).unwrap_or_default()
}

/// The first element of a list that is not empty.
fn first(value: &Value) -> Outcome<&Value> {
    Ok(value.as_array().and_then(|list| list.first()).ok_or("an empty list")?)
}

fn same(what: &str, value: &Value, wanted: &[&str]) -> CaseResult {
    let (mut found, mut wanted) = (keys(value), wanted.to_vec());
    found.sort_unstable();
    wanted.sort_unstable();
    ensure!(found == wanted, "fields of {what}: {found:?}, not {wanted:?}");
    Ok(())
}

fn json(world: &World) -> CaseResult {
    let page = vec!["/offer/3".to_owned()];
    let onion = world.net.onion("market-a");
    let target = Target { entry: page.clone(), include: page, ..Target::onion("market-a", &onion) };
    let station = Station::quick(world, "json", &[target])?;
    let ran = [
        "session",
        "round",
        "missed",
        "exhibits",
        "incomplete",
        "refusals",
        "given_up",
        "log_size",
        "test_network",
        "stopped",
        "exit_code",
    ];
    for (command, code) in [(station.run_once(), 0), (station.capture(&format!("http://{onion}/offer/3")), 0)] {
        let output = command.arg("--json").run()?.exits(code)?;
        let told: Value = serde_json::from_slice(&output.stdout)?;
        same("run", &told, &ran)?;
        ensure!(told["session"].as_str().is_some_and(|id| id.len() == 32) && told["exit_code"] == code, "{told}");
    }
    same(
        "exhibits",
        first(&station.json(&["exhibits"])?)?,
        &[
            "exhibit",
            "entry",
            "time",
            "age_bytes",
            "age_sha256",
            "target",
            "mandate",
            "case",
            "status",
            "exchanges",
            "wire_bytes",
            "complete",
            "why",
            "test_network",
            "attempt",
            "elapsed_ms",
            "amber",
            "descriptor",
        ],
    )?;
    same(
        "mandates",
        first(&station.json(&["mandate", "list"])?)?,
        &["id", "case", "title", "from", "until", "state", "entry"],
    )?;
    same(
        "profiles",
        first(&station.json(&["profile", "list"])?)?,
        &["name", "case", "header_set", "header_set_expires", "language"],
    )?;
    let entry = ["entry", "time", "clock", "kind", "exhibit", "leaf_sha256"];
    same("log", first(&station.json(&["log"])?)?, &entry)?;
    same("log with rows", first(&station.json(&["log", "--rows"])?)?, &[&entry[..], &["row"]].concat())?;
    let status = station.json(&["status"])?;
    same(
        "status",
        &status,
        &[
            "origin",
            "log_size",
            "first",
            "last",
            "running",
            "clock",
            "clock_behind",
            "exhibits",
            "incomplete",
            "sessions",
            "test_network_sessions",
            "refusals",
            "failures",
            "unwitnessed",
            "unwitnessed_since",
            "witnessed",
            "witnesses",
            "distrusted",
            "given_up",
            "kept_outside",
            "stamped",
            "unstamped",
            "open_requests",
            "clock_jump",
            "targets",
        ],
    )?;
    same(
        "a target of status",
        &status["targets"]["market-a"],
        &[
            "state",
            "reason",
            "exhibits",
            "failures",
            "amber",
            "invalid_certificates",
            "two_exits",
            "descriptors",
            "last_exhibit",
            "last_failure",
            "last_failure_kind",
            "history",
        ],
    )?;
    same(
        "verify",
        &station.sound()?,
        &[
            "sound",
            "entries",
            "exhibits",
            "bytes",
            "root",
            "opened",
            "problems",
            "notes",
            "sessions",
            "descriptors",
            "stamps",
            "witnessed",
            "unwitnessed",
            "unwitnessed_since",
            "given_up",
        ],
    )?;
    // Lists that are empty are lists.
    ensure!(station.json(&["log", "--kind", "erasure"])? == Value::Array(Vec::new()), "an empty list");
    // Times are RFC 3339 in UTC, digests lower-case hex.
    let exhibits = station.json(&["exhibits"])?;
    let exhibit = first(&exhibits)?;
    exhibit["time"].as_str().ok_or("no time")?.parse::<jiff::Timestamp>()?;
    let digest = exhibit["age_sha256"].as_str().ok_or("no digest")?;
    ensure!(digest.len() == 64 && digest.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')), "{digest}");
    Ok(())
}

fn completions(world: &World) -> CaseResult {
    let station = Station::desk(world, "completions", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    for (shell, begins) in [("bash", "_vigie()"), ("zsh", "#compdef vigie"), ("fish", "complete -c vigie")] {
        let script = station.command(&["completions", shell]).run()?.success()?.text();
        ensure!(script.contains(begins), "{shell}: {script:.300}");
        for word in ["exhibit", "revoke", "passphrase-fd", "agent-key", "completions"] {
            ensure!(script.contains(word), "{shell} does not know `{word}`");
        }
    }
    // bash reads it, and completes with it.
    let script = station.command(&["completions", "bash"]).run()?.success()?.stdout;
    let path = station.desk.path("vigie.bash");
    std::fs::write(&path, script)?;
    let complete = format!(
        ". '{}'; COMP_WORDS=(vigie exh); COMP_CWORD=1; _vigie vigie exh vigie; echo \"${{COMPREPLY[@]}}\"",
        path.display()
    );
    let completed = Command::new("bash").args(["--norc", "-c", &complete]).run()?.success()?.text();
    ensure!(completed.split_whitespace().collect::<Vec<_>>() == ["exhibits", "exhibit"], "{completed}");
    let wrong = station.command(&["completions", "sh"]).run()?.exits(2)?.errors();
    ensure!(wrong.contains("bash") && wrong.contains("fish"), "{wrong}");

    let page = station.command(&["man"]).run()?.success()?.text();
    ensure!(page.starts_with(".ie ") || page.starts_with(".TH "), "{page:.200}");
    for words in [".TH vigie 1", ".SH NAME", ".SH SYNOPSIS", ".SH SUBCOMMANDS", "Exit codes", "vigie run"] {
        ensure!(page.contains(words), "the manual page has no `{words}`");
    }
    ensure!(!page.contains('\u{1b}'), "escapes");
    // A renderer has nothing to complain of, where there is one.
    if let Ok(rendered) = Command::new("groff").args(["-man", "-Tutf8", "-ww", "-z"]).stdin(&page).run() {
        ensure!(rendered.success()?.errors().is_empty(), "groff complains");
    } else {
        eprintln!("cli::completions_and_the_manual_page: rendering skipped: no groff here");
    }
    Ok(())
}

fn reader_goes_away(world: &World) -> CaseResult {
    let station = Station::quick(world, "reader", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    // Enough entries that a pipe does not hold the list: the writer meets a closed end.
    let status = |args: &str| -> Outcome<(String, String)> {
        let script = format!("\"$0\" {args} | head -1; echo \"${{PIPESTATUS[0]}}\"");
        let output = station.vigie(&[]).through("bash", ["--norc", "-c", &script]).run()?.success()?;
        Ok((output.text(), output.errors()))
    };
    for args in ["log", "log --json", "completions zsh", "man", "exhibits", "status", "checkpoint"] {
        let (text, errors) = status(args)?;
        ensure!(text.ends_with("\n0\n") && errors.is_empty(), "{args}: {text} {errors}");
    }
    // What a command found is said by its exit code, whoever reads on.
    let segment = station.store().join("segments");
    let segment = std::fs::read_dir(segment)?.flatten().next().ok_or("no segment")?.path();
    let mut bytes = std::fs::read(&segment)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes)?;
    for filter in ["head -1", "head -c 0", "true"] {
        let script = format!("\"$0\" verify | {filter} > /dev/null; echo \"${{PIPESTATUS[0]}}\"");
        let output = station.vigie(&[]).through("bash", ["--norc", "-c", &script]).run()?.success()?;
        ensure!(
            output.text() == "5\n" && output.errors().is_empty(),
            "{filter}: {} {}",
            output.text(),
            output.errors()
        );
    }
    Ok(())
}

fn store_named(world: &World) -> CaseResult {
    let station = Station::desk(world, "store-named", &[Target::onion("market-a", &world.net.onion("market-a"))])?;
    for name in ["one", "two"] {
        station.init_quickly(name, &format!("vigie.example/{name}"))?;
    }
    let origin = |command: Command| -> Outcome<String> {
        let output = command.run()?.success()?;
        Ok(output.text().lines().next().unwrap_or_default().to_owned())
    };
    let by_option = station.command(&["checkpoint", "--store", "one"]);
    ensure!(origin(by_option)? == "vigie.example/one", "by option");
    ensure!(
        origin(station.command(&["checkpoint"]).env("VIGIE_STORE", "two"))? == "vigie.example/two",
        "by environment"
    );
    let both = station.command(&["checkpoint", "--store", "one"]).env("VIGIE_STORE", "two");
    ensure!(origin(both)? == "vigie.example/one", "the option goes first");
    let absolute = station.desk.path("two");
    let elsewhere = station.command(&["checkpoint"]).arg("--store").arg(&absolute).dir("/");
    ensure!(origin(elsewhere)? == "vigie.example/two", "from another folder");
    let neither = station.command(&["checkpoint"]).run()?.exits(2)?.errors();
    ensure!(neither.contains("--store"), "{neither}");
    Ok(())
}
