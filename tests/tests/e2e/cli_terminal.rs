//! Terminals, pipes, and where secrets come from and may not show.

use std::time::Duration;

use rustix::process::Signal;
use vigie_tests::desk::Target;
use vigie_tests::process::{Command, Output, Running};

use crate::ensure;
use crate::machine::{PATIENCE, one_line, until};
use crate::station::{Outcome, PROFILE_PASSPHRASE, PURPOSE, STORE_PASSPHRASE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: COLOURS, run: colours },
        Case { name: BARS, run: bars },
        Case { name: PROMPTS, run: prompts },
        Case { name: RING, run: key_ring },
        Case { name: "cli::secrets_by_file_descriptor", run: descriptors },
        Case { name: "cli::nothing_secret_stands_in_the_process_list", run: process_list },
    ]
}

const COLOURS: &str = "cli::colours_on_a_terminal_only";
const BARS: &str = "cli::progress_bars_on_a_terminal_only";
const PROMPTS: &str = "cli::a_terminal_is_asked_and_ctrl_c_leaves_the_prompt";
const RING: &str = "cli::unlock_and_lock_by_the_key_ring";

fn target(world: &World) -> Target {
    let page = vec!["/offer/3".to_owned()];
    Target { entry: page.clone(), include: page, ..Target::onion("market-a", &world.net.onion("market-a")) }
}

fn page(world: &World) -> String {
    format!("http://{}/offer/3", world.net.onion("market-a"))
}

/// The same command on a terminal of its own (script(1)); `None` where there is none.
fn on_terminal(case: &str, command: Command) -> Option<Command> {
    if !Command::new("script").arg("--version").run().is_ok_and(|output| output.code() == Some(0)) {
        eprintln!("{case}: skipped: no script(1) here");
        return None;
    }
    Some(command.through("sh", ["-c", "stty cols 120; exec \"$@\"", "sh"]).on_terminal())
}

fn colours(world: &World) -> CaseResult {
    let station = Station::quick(world, "colours", &[target(world)])?;
    station.run_once().run()?.exits(0)?;
    let commands = [
        &["status"][..],
        &["exhibits"],
        &["log", "--rows"],
        &["mandate", "list"],
        &["profile", "list"],
        &["verify"],
        &["exhibit", "get", "9", "--sealed", "--purpose", "x"],
        &["--help"],
        &["nonsense"],
    ];
    for args in commands {
        let output = station.vigie(args).run()?;
        for stream in [&output.stdout, &output.stderr] {
            ensure!(
                !stream.contains(&0x1b) && !stream.contains(&b'\r'),
                "{args:?}: {:?}",
                String::from_utf8_lossy(stream)
            );
        }
    }
    let shown = |args: &[&str], more: &[(&str, &str)]| -> Outcome<Option<Output>> {
        let command = more.iter().fold(station.vigie(args), |command, (name, value)| command.env(name, value));
        Ok(on_terminal(COLOURS, command.env("TERM", "xterm-256color")).map(Command::run).transpose()?)
    };
    let Some(output) = shown(&["status"], &[])? else { return Ok(()) };
    ensure!(output.text().contains("\u{1b}[31mTEST NETWORK\u{1b}[0m"), "{:?}", output.text());
    ensure!(shown(&["exhibits"], &[])?.is_some_and(|o| o.text().contains("\u{1b}[1mEXHIBIT")), "a bold head");
    let error = shown(&["exhibit", "get", "9", "--sealed", "--purpose", "x"], &[])?.ok_or("no script")?;
    ensure!(error.code() == Some(2) && error.text().contains("\u{1b}[31mvigie:\u{1b}[0m"), "{:?}", error.text());
    // https://no-color.org/
    let plain = shown(&["status"], &[("NO_COLOR", "1")])?.ok_or("no script")?;
    ensure!(!plain.text().contains("\u{1b}["), "NO_COLOR: {:?}", plain.text());
    Ok(())
}

fn bars(world: &World) -> CaseResult {
    let station = Station::quick(world, "bars", &[target(world)])?;
    const BAR: char = '\u{2501}';
    let piped = station.run_once().run()?.exits(0)?;
    ensure!(!piped.errors().contains([BAR, '\u{1b}', '\r']), "{:?}", piped.errors());
    ensure!(piped.errors().lines().count() == 1, "lines only: {:?}", piped.errors());
    let verified = station.vigie(&["verify"]).run()?.success()?;
    ensure!(verified.errors().is_empty(), "{:?}", verified.errors());
    let terminal = |command: Command| on_terminal(BARS, command.env("TERM", "xterm-256color"));
    let Some(run) = terminal(station.run_once()) else { return Ok(()) };
    let shown = run.run()?.exits(0)?.text();
    for words in ["tor ", "ready", "market-a ", "1/1 pages", "\u{2501}"] {
        ensure!(shown.contains(words), "no {words:?} on a terminal: {shown:?}");
    }
    let quiet = terminal(station.run_once().arg("--quiet")).ok_or("no script")?.run()?.exits(0)?.text();
    ensure!(!quiet.contains(BAR) && quiet.contains("1 exhibits (0 incomplete)"), "--quiet: {quiet:?}");
    let verify = terminal(station.vigie(&["verify"])).ok_or("no script")?.run()?.exits(0)?.text();
    ensure!(verify.contains("verify ") && verify.contains("100%"), "{verify:?}");
    Ok(())
}

/// What the shell on a terminal left in a file before it became the program.
fn left(station: &Station, name: &str) -> Outcome<String> {
    let file = station.desk.path(name);
    until("what the shell wrote", || {
        Ok(std::fs::read_to_string(&file).ok().and_then(|text| text.strip_suffix('\n').map(str::to_owned)))
    })
}

/// Waits for a prompt whose answer will not be shown.
fn asked(station: &Station, run: &mut Running, prompt: &str) -> CaseResult {
    run.wait_for(prompt, PATIENCE)?;
    let terminal = left(station, "tty")?;
    until("a terminal without echo", || {
        let settings = Command::new("stty").args(["-a", "-F", &terminal]).run()?.success()?;
        Ok(settings.text().split_whitespace().any(|word| word == "-echo").then_some(()))
    })
}

/// Answers a prompt.
fn answer(station: &Station, run: &mut Running, prompt: &str, line: &str) -> CaseResult {
    asked(station, run, prompt)?;
    run.write(format!("{line}\n").as_bytes())?;
    Ok(())
}

fn prompts(world: &World) -> CaseResult {
    let station = Station::quick(world, "prompts", &[target(world)])?;
    let ask = |args: &[&str]| -> Option<Command> {
        let command = station.vigie(args).env_remove("CREDENTIALS_DIRECTORY");
        let command = command.through("sh", ["-c", "tty > tty; echo $$ > pid; exec \"$@\"", "sh"]);
        on_terminal(PROMPTS, command)
    };
    let run = ["run", "--once", "--purpose", PURPOSE];
    let Some(command) = ask(&run) else { return Ok(()) };
    // Both passphrases are asked for, neither is shown.
    let mut running = command.spawn_with_open_input()?;
    answer(&station, &mut running, "store passphrase: ", STORE_PASSPHRASE)?;
    answer(&station, &mut running, "profile passphrase: ", PROFILE_PASSPHRASE)?;
    let shown = running.wait(PATIENCE)?.exits(0)?.text();
    ensure!(!shown.contains(STORE_PASSPHRASE) && !shown.contains(PROFILE_PASSPHRASE), "shown: {shown:?}");
    ensure!(shown.contains("1 exhibits (0 incomplete)"), "{shown:?}");
    // Ctrl-C at a prompt ends the program at once: nothing has begun.
    for (answers, prompt) in [(&[][..], "store passphrase: "), (&[STORE_PASSPHRASE], "profile passphrase: ")] {
        for name in ["pid", "tty"] {
            let _ = std::fs::remove_file(station.desk.path(name));
        }
        let mut running = ask(&run).ok_or("no script")?.spawn_with_open_input()?;
        for line in answers {
            answer(&station, &mut running, "store passphrase: ", line)?;
        }
        asked(&station, &mut running, prompt)?;
        let pid = rustix::process::Pid::from_raw(left(&station, "pid")?.parse()?).ok_or("no process id")?;
        rustix::process::kill_process(pid, Signal::INT)?;
        let output = running.wait(Duration::from_secs(60))?;
        ensure!(output.code() == Some(130), "{:?}: {}", output.code(), output.text());
    }
    // A new passphrase is asked for twice.
    let init = ["init", "new", "--allowed-signers", "keys/allowed_signers", "--origin", "vigie.example/new"];
    let mut running = ask(&init).ok_or("no script")?.spawn_with_open_input()?;
    answer(&station, &mut running, "store passphrase: ", "one")?;
    answer(&station, &mut running, "store passphrase (again): ", "other")?;
    let output = running.wait(PATIENCE)?.exits(2)?;
    ensure!(output.text().contains("the two entries of the store passphrase differ"), "{}", output.text());
    ensure!(!station.desk.path("new").exists() && station.seen()?.len() == 1, "something began");
    Ok(())
}

fn key_ring(world: &World) -> CaseResult {
    let station = Station::quick(world, "key-ring", &[target(world)])?;
    let locked = |args: &[&str]| station.vigie(args).env_remove("CREDENTIALS_DIRECTORY").through("setsid", ["--wait"]);
    let unlock = station.vigie(&["unlock", "--minutes", "1"]).run()?;
    if unlock.code() == Some(1) {
        one_line(&unlock, 1, &["key ring", "give the passphrase with each command instead"])?;
        eprintln!("{RING}: skipped: no key ring here");
        return Ok(());
    }
    ensure!(unlock.success()?.text() == "unlocked; locked again after 1 minutes without use\n", "unlock");
    for args in [&["status"][..], &["exhibits"], &["log", "--rows"], &["mandate", "list"]] {
        locked(args).run()?.success()?;
    }
    // It opens this store and no other.
    station.init_quickly("other", "vigie.example/other")?;
    one_line(
        &locked(&["status"]).env("VIGIE_STORE", "other").run()?,
        6,
        &["no terminal to ask for the store passphrase"],
    )?;
    ensure!(locked(&["lock"]).run()?.success()?.text() == "locked\n", "lock");
    one_line(&locked(&["status"]).run()?, 6, &["no terminal to ask for the store passphrase"])?;
    ensure!(locked(&["lock"]).run()?.success()?.text() == "was locked already\n", "lock");
    // A wrong passphrase unlocks nothing; nor does a time out of range.
    let wrong = locked(&["unlock", "--passphrase-fd", "0"]).stdin("not it\n").run()?;
    one_line(&wrong, 6, &["passphrase does not open"])?;
    for minutes in ["0", "721", "ten"] {
        let output = station.vigie(&["unlock", "--minutes", minutes]).run()?.exits(2)?;
        ensure!(output.errors().contains("minutes"), "{}", output.errors());
    }
    Ok(())
}

fn descriptors(world: &World) -> CaseResult {
    let station = Station::quick(world, "descriptors", &[target(world)])?;
    let page = page(world);
    for (name, secret) in
        [("s", format!("{STORE_PASSPHRASE}\n")), ("p", PROFILE_PASSPHRASE.to_owned()), ("u", format!("{page}\n"))]
    {
        std::fs::write(station.desk.path(name), secret)?;
    }
    // Without terminal and credentials: what is not given by a descriptor is not there.
    let with = |args: &[&str], redirections: &str| -> Outcome<Output> {
        let script = format!("exec \"$@\" {redirections}");
        let command = station.vigie(args).env_remove("CREDENTIALS_DIRECTORY");
        Ok(command.through("bash", ["--norc", "-c", &script, "sh"]).through("setsid", ["--wait"]).run()?)
    };
    let fds = ["--purpose", PURPOSE, "--passphrase-fd", "3", "--profile-passphrase-fd", "4"];
    with(&["status", "--passphrase-fd", "3"], "3<s")?.success()?;
    with(&["status", "--passphrase-fd", "0"], "<s")?.success()?;
    with(&["status", "--passphrase-fd", "3"], "3< <(cat s)")?.success()?;
    with(&["verify", "--passphrase-fd", "7"], "7<s")?.success()?;
    one_line(&with(&["status", "--passphrase-fd", "3"], "3<p")?, 6, &["passphrase does not open"])?;
    one_line(&with(&["status", "--passphrase-fd", "3"], "3</dev/null")?, 2, &["store passphrase is empty"])?;
    // The address as well, by a descriptor of its own or on standard input.
    with(&[&["capture", "--url-fd", "5"][..], &fds].concat(), "3<s 4< <(cat p) 5<u")?.exits(0)?;
    with(&[&["capture", "-"][..], &fds].concat(), "3<s 4<p <u")?.exits(0)?;
    with(&[&["run", "--once"][..], &fds].concat(), "3<s 4<p")?.exits(0)?;
    ensure!(station.seen()?.len() == 3, "three pages");
    one_line(&with(&[&["capture", "--url-fd", "5"][..], &fds].concat(), "3<s 4<p 5</dev/null")?, 2, &["no address"])?;
    one_line(&with(&[&["capture", "--url-fd", "9"][..], &fds].concat(), "3<s 4<p")?, 2, &["file descriptor 9"])?;
    let both = with(&[&["capture", &page, "--url-fd", "5"][..], &fds].concat(), "3<s 4<p 5<u")?.exits(2)?;
    ensure!(both.errors().contains("cannot be used with"), "{}", both.errors());
    // A new store and a new profile take theirs the same way.
    let init =
        ["init", "new", "--allowed-signers", "keys/allowed_signers", "--origin", "x.example/y", "--passphrase-fd", "3"];
    with(&init, "3<s")?.success()?;
    station.vigie(&["status"]).env("VIGIE_STORE", "new").run()?.success()?;
    station.sound()?;
    Ok(())
}

fn process_list(world: &World) -> CaseResult {
    let bulk = Target::onion("bulk", &world.net.onion("bulk"));
    let station = Station::paced(world, "process-list", &[bulk])?;
    let words = |held: &[&str]| -> Vec<String> {
        let all = [world.net.onion("bulk"), world.net.onion("bulk")[..20].to_owned()];
        held.iter().map(|word| (*word).to_owned()).chain(all).collect()
    };
    let secrets = words(&[STORE_PASSPHRASE, PROFILE_PASSPHRASE, "AGE-SECRET-KEY", "PRIVATE KEY"]);
    // Whether the command line could be read: a process that has just ended shows an empty one.
    let look = |run: &Running, word: &str| -> Outcome<bool> {
        let mut read = false;
        for name in ["cmdline", "environ", "comm"] {
            let path = format!("/proc/{}/{name}", run.pid());
            // The environment of a process that is closed to debuggers is for root alone.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            let text = String::from_utf8_lossy(&bytes).replace('\0', " ");
            for secret in &secrets {
                ensure!(!text.contains(secret), "{path} shows {secret}: {text}");
            }
            read |= name == "cmdline" && text.contains(word);
        }
        Ok(read)
    };
    // A run: secrets come from credentials, targets from the mandate.
    let mut run = station.run_once().spawn()?;
    station.seen_during(&mut run, 3)?;
    ensure!(look(&run, "--once")?, "the look finds nothing at all");
    run.signal(Signal::TERM);
    run.wait(PATIENCE)?.exits(130)?;
    // An address given on standard input.
    let mut capture = station.vigie(&["capture", "-", "--purpose", PURPOSE]).spawn_with_open_input()?;
    capture.write(format!("http://{}/page/7\n", world.net.onion("bulk")).as_bytes())?;
    let mut looks = 0;
    until("the capture's session", || {
        looks += usize::from(look(&capture, "capture")?);
        Ok((capture.has_ended() || station.log("session-open")?.len() == 2).then_some(()))
    })?;
    ensure!(looks > 0, "the look finds nothing at all");
    capture.close_input();
    capture.wait(PATIENCE)?.exits(0)?;
    Ok(())
}
