//! Vigie's processes: bound by the kernel, mortal, and never the end of a run.

use std::path::PathBuf;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::Running;

use crate::ensure;
use crate::machine::{PATIENCE, until};
use crate::station::{Outcome, PURPOSE, Station, refused};
use crate::world::{Case, CaseResult, World};

/// What this binary takes from the kernel before it is `vigie`: `landlock`, `seccomp`, or both with a
/// comma.
pub const WITHOUT: &str = "VIGIE_TESTS_WITHOUT";

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "confined::each_process_is_refused_what_it_must_not_do", run: refused_from_inside },
        Case { name: "confined::what_is_missing_is_refused_or_on_record", run: missing },
        Case { name: "confined::the_processes_of_a_run_are_bound_and_know_nothing", run: bound },
        Case { name: "confined::a_network_process_that_dies_is_started_again", run: net_dies },
        Case { name: "confined::a_network_process_that_hangs_is_started_again", run: net_hangs },
        Case { name: "confined::a_page_that_kills_its_reader_is_recorded", run: parse_dies },
        Case { name: "confined::no_process_outlives_a_crash", run: crash },
    ]
}

/// A kernel that lacks what `WITHOUT` names: its calls answer as an older kernel does.
pub fn older_kernel(without: &str) {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    };
    let mut rules = std::collections::BTreeMap::new();
    if without.contains("landlock") {
        rules.insert(libc::SYS_landlock_create_ruleset, Vec::new());
    }
    if without.contains("seccomp") {
        rules.insert(libc::SYS_seccomp, Vec::new());
        let set = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, libc::PR_SET_SECCOMP as u64);
        let set = SeccompRule::new(vec![set.expect("a condition")]).expect("a rule");
        rules.insert(libc::SYS_prctl, vec![set]);
    }
    let arch = std::env::consts::ARCH.try_into().expect("an architecture with filters");
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS as u32), arch)
        .expect("a filter");
    let program: BpfProgram = filter.try_into().expect("a program");
    seccompiler::apply_filter(&program).expect("a filter put on");
}

fn slow(world: &World) -> Target {
    let include = ["/", "/page/1**"].map(str::to_owned).to_vec();
    Target { include, ..Target::onion("bulk", &world.net.onion("bulk")) }
}

fn checks(station: &Station, without: &str, options: &[&str]) -> Outcome<Vec<Value>> {
    let mut command = station.vigie(&[&["doctor", "--json"], options].concat());
    if !without.is_empty() {
        command = command.env(WITHOUT, without);
    }
    let output = command.run()?;
    let checks: Value = serde_json::from_slice(&output.stdout)?;
    Ok(checks.as_array().ok_or("no list")?.clone())
}

fn check<'c>(checks: &'c [Value], what: &str) -> Outcome<(&'c str, &'c str)> {
    let check = checks.iter().find(|check| check["what"] == what).ok_or(format!("no check of {what}"))?;
    Ok((check["state"].as_str().unwrap_or_default(), check["found"].as_str().unwrap_or_default()))
}

fn refused_from_inside(world: &World) -> CaseResult {
    let station = Station::quick(world, "doctor", &[slow(world)])?;
    let found = checks(&station, "", &[])?;
    for (process, words) in [
        ("record", "16 forbidden things tried from inside, all refused; it may: nothing else"),
        ("parse", "16 forbidden things tried from inside, all refused; it may: nothing else"),
        ("draw", "16 forbidden things tried from inside, all refused; it may: nothing else"),
        (
            "net",
            "13 forbidden things tried from inside, all refused; it may: tcp-socket, tcp6-socket, connect-loopback",
        ),
    ] {
        let (state, said) = check(&found, process)?;
        ensure!(state == "ok" && said == words, "{process}: {state}: {said}");
    }
    ensure!(check(&found, "tor")?.1.contains("TEST NETWORK") && check(&found, "landlock")?.0 == "ok", "{found:?}");
    ensure!(check(&found, "core dumps")?.0 == "ok", "{found:?}");
    // The same trials on a kernel that refuses nothing: each must be able to say so.
    let bare = checks(&station, "landlock,seccomp", &["--dangerously-without-sandbox", "landlock,seccomp"])?;
    for process in ["record", "parse", "draw", "net"] {
        let (state, said) = check(&bare, process)?;
        let able =
            ["udp-socket", "udp6-socket", "netlink-socket", "unix-socket", "listen", "read-file", "writable-code"];
        // Limits on files and processes hold *parse* and *draw* back still.
        let more: &[&str] = if matches!(process, "parse" | "draw") { &[] } else { &["write-file", "execute"] };
        let able = able.iter().chain(more);
        let missed: Vec<_> = able.filter(|able| !said.contains(**able)).collect();
        ensure!(state == "bad" && missed.is_empty(), "{process}: {missed:?} not seen: {said}");
    }
    ensure!(check(&bare, "landlock")?.0 == "bad", "{bare:?}");
    // Without files being judged, the calls still are.
    let half = checks(&station, "landlock", &["--dangerously-without-sandbox", "landlock"])?;
    let (state, said) = check(&half, "record")?;
    ensure!(state == "bad" && said == "it can do what it must not: read-file, write-file", "{said}");
    Ok(())
}

fn missing(world: &World) -> CaseResult {
    let station = Station::quick(world, "no-sandbox", &[slow(world)])?;
    station.with_pictures()?;
    let url = format!("http://{}/page/1", world.net.onion("bulk"));
    for lacks in ["landlock", "seccomp"] {
        let output = station.capture(&url).env(WITHOUT, lacks).run()?;
        refused(&output, 1, &[lacks, "--dangerously-without-sandbox"])?;
        let other = if lacks == "landlock" { "seccomp" } else { "landlock" };
        let output = station.capture(&url).args(["--dangerously-without-sandbox", other]).env(WITHOUT, lacks).run()?;
        refused(&output, 1, &[lacks, "--dangerously-without-sandbox"])?;
    }
    ensure!(station.log("session-open")?.is_empty(), "a session was opened");
    let output = station.capture(&url).args(["--dangerously-without-sandbox", "nothing"]).run()?;
    ensure!(output.code() == Some(2) && output.errors().contains("landlock, seccomp or both"), "{}", output.errors());
    let lacking = ["--dangerously-without-sandbox", "landlock"];
    let output = station.capture(&url).args(lacking).env(WITHOUT, "landlock").run()?.success()?;
    for process in ["record", "net", "parse", "draw"] {
        let warning = format!("WITHOUT SANDBOX: {process} runs without landlock");
        ensure!(output.errors().contains(&warning), "{}", output.errors());
    }
    // What may be missing is put on where it is there.
    let output = station.capture(&url).args(lacking).run()?.success()?;
    ensure!(!output.errors().contains("WITHOUT SANDBOX"), "{}", output.errors());
    Ok(())
}

/// A process below another: its number and the name that it was started under.
pub fn below(run: &Running) -> Vec<(i32, String)> {
    let mut found = Vec::new();
    let mut parents = vec![run.pid() as i32];
    while let Some(parent) = parents.pop() {
        let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|pid| pid.parse().ok()) {
            let line = std::fs::read(format!("/proc/{child}/cmdline")).unwrap_or_default();
            let name = line.split(|byte| *byte == 0).next().unwrap_or_default();
            found.push((child, String::from_utf8_lossy(name).into_owned()));
            parents.push(child);
        }
    }
    found
}

pub fn named(run: &Running, name: &str) -> Outcome<Option<i32>> {
    Ok(below(run).into_iter().find(|(_, other)| other == name).map(|(pid, _)| pid))
}

pub fn signal(pid: i32, signal: Signal) -> Outcome<()> {
    Ok(kill_process(Pid::from_raw(pid).ok_or("no process")?, signal)?)
}

/// Kills the network process of a run, and waits for the next one.
pub fn kill_net(run: &Running) -> Outcome<()> {
    let net = named(run, "vigie-net")?.ok_or("no network process")?;
    signal(net, Signal::KILL)?;
    until("another network process", || Ok(named(run, "vigie-net")?.filter(|other| *other != net)))?;
    Ok(())
}

fn bound(world: &World) -> CaseResult {
    let station = Station::paced(world, "bound", &[slow(world)])?;
    let mut run = station.run_once().env("CANARY", "canary-environment").spawn()?;
    station.seen_during(&mut run, 3)?;
    let mut processes = below(&run);
    processes.push((run.pid() as i32, "record".into()));
    for name in ["vigie-launcher", "vigie-net", "vigie-parse", "record"] {
        let pid = processes.iter().find(|(_, other)| other == name).ok_or(format!("no {name} in {processes:?}"))?.0;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        if name != "vigie-launcher" {
            ensure!(status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{name}: {status}");
            // Every thread of it.
            for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
                let status = std::fs::read_to_string(task?.path().join("status"))?;
                ensure!(status.contains("Seccomp:\t2"), "{name}: {status}");
            }
        }
        if name != "record" {
            let environment = std::fs::read(format!("/proc/{pid}/environ"))?;
            ensure!(environment.is_empty(), "{name} has an environment");
        }
        if name == "vigie-parse" {
            for file in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
                let to = std::fs::read_link(file?.path()).unwrap_or_default();
                let to = to.to_string_lossy();
                ensure!(to.starts_with("socket:") || to == "/dev/null", "{name} has {to} open");
            }
        }
        if name == "vigie-net" {
            let store = std::fs::canonicalize(station.store())?;
            for file in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
                let to = std::fs::read_link(file?.path()).unwrap_or_default();
                ensure!(!to.starts_with(&store) || to.starts_with(store.join("tor")), "{name} has {to:?} open");
            }
        }
    }
    run.signal(Signal::INT);
    run.wait(PATIENCE)?.exits(130)?;
    Ok(())
}

fn net_dies(world: &World) -> CaseResult {
    let station = Station::paced(world, "net-dies", &[slow(world)])?;
    let mut run = station.run_once().spawn()?;
    for count in [3, 30, 60] {
        station.seen_during(&mut run, count)?;
        kill_net(&run)?;
    }
    // Each page that was under way is asked for again.
    let output = run.wait(PATIENCE)?.exits(0)?;
    ensure!(output.errors().contains("the network process is started again: it was killed"), "{}", output.errors());
    ensure!(station.seen()?.len() == 112, "{} pages", station.seen()?.len());
    let kinds: Vec<_> =
        station.entries()?.into_iter().filter(|(kind, _)| kind == "failure").map(|(_, row)| row).collect();
    ensure!(kinds.iter().all(|row| row["kind"] == "network-process"), "{kinds:?}");
    station.sound()?;
    Ok(())
}

fn net_hangs(world: &World) -> CaseResult {
    let station = Station::desk(world, "net-hangs", &[slow(world)])?;
    station.pace()?;
    // The desk's table is the file's last.
    let path = station.desk.path("vigie.toml");
    let text = std::fs::read_to_string(&path)?;
    let text = match text.contains("[fetch]") {
        true => text.replace("[fetch]", "[fetch]\nsilence_ms = 3000"),
        false => format!("{text}\n[fetch]\nsilence_ms = 3000\n"),
    };
    std::fs::write(&path, text)?;
    station.set_up_quickly("store")?;
    let mut run = station.run_once().spawn()?;
    station.seen_during(&mut run, 3)?;
    let net = named(&run, "vigie-net")?.ok_or("no network process")?;
    signal(net, Signal::STOP)?;
    let output = run.wait(PATIENCE)?.exits(0)?;
    let said = "the network process is started again: it said nothing for 3 s";
    ensure!(output.errors().contains(said), "{}", output.errors());
    ensure!(station.seen()?.len() == 112, "{} pages", station.seen()?.len());
    station.sound()?;
    Ok(())
}

fn parse_dies(world: &World) -> CaseResult {
    let station = Station::quick(world, "parse-dies", &[slow(world)])?;
    let url = format!("http://{}/page/1", world.net.onion("bulk"));
    // A reader that dies whenever it is there, until the page is done with.
    let mut run = station.capture(&url).spawn()?;
    until("the end of the capture", || {
        // Each is let live until it is confined, so that the run starts.
        if !station.log("session-open")?.is_empty()
            && let Some(parse) = named(&run, "vigie-parse")?
        {
            let _ = signal(parse, Signal::KILL);
        }
        Ok(run.has_ended().then_some(()))
    })?;
    let output = run.wait(PATIENCE)?;
    let entries = station.entries()?;
    let exhibit =
        entries.iter().find(|(kind, _)| kind == "exhibit").ok_or(format!("no exhibit: {}", output.errors()))?;
    // Whether the page met a dead reader once (a second one read it) or twice is a matter of time.
    if exhibit.1["complete"] == false {
        let failure = entries.iter().find(|(kind, _)| kind == "failure").ok_or("no failure")?;
        ensure!(failure.1["kind"] == "not-read" && output.code() == Some(4), "{failure:?}");
        ensure!(failure.1["detail"].as_str().is_some_and(|why| why.contains("it was killed")), "{failure:?}");
    }
    station.sound()?;
    Ok(())
}

fn crash(world: &World) -> CaseResult {
    let station = Station::paced(world, "no-orphans", &[slow(world)])?;
    let mut run = station.vigie(&["run", "--once", "--purpose", PURPOSE]).spawn()?;
    station.seen_during(&mut run, 3)?;
    let children = below(&run);
    ensure!(children.len() >= 3, "{children:?}");
    signal(run.pid() as i32, Signal::KILL)?;
    run.wait(PATIENCE)?;
    until("the end of all its processes", || {
        let left = children.iter().any(|(pid, name)| {
            let line = std::fs::read(PathBuf::from(format!("/proc/{pid}/cmdline"))).unwrap_or_default();
            line.starts_with(name.as_bytes())
        });
        Ok((!left).then_some(()))
    })?;
    station.vigie(&["run", "--once", "--purpose", PURPOSE]).run()?.exits(0)?;
    Ok(())
}
