//! Bridges, in the open and behind a pluggable transport that Vigie starts itself.

use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};
use vigie_tests::desk::Target;
use vigie_tests::process::Running;
use vigie_tests::tornet::Bridge;

use crate::confined::below;
use crate::ensure;
use crate::machine::{PATIENCE, until};
use crate::station::{Outcome, Station, refused};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "bridges::a_bridge_is_the_only_way_in", run: plain },
        Case { name: "bridges::obfs4_is_started_bound_and_started_again", run: obfs4 },
        Case { name: "bridges::transports_that_do_not_work_are_named", run: wrong },
    ]
}

/// What speaks obfs4 here.
fn program() -> Outcome<PathBuf> {
    let places = ["/usr/bin/obfs4proxy", "/usr/bin/lyrebird"];
    let found = places.iter().map(PathBuf::from).find(|program| program.is_file());
    Ok(found.ok_or("obfs4proxy is not installed")?)
}

/// A workstation that knows the bridge alone.
fn station(world: &World, case: &str, bridge: &Bridge, transport: Option<&Path>) -> Outcome<Station> {
    let include = ["/", "/page/1**"].map(str::to_owned).to_vec();
    let target = Target { include, ..Target::onion("bulk", &world.net.onion("bulk")) };
    let station = Station::desk(world, case, &[target])?;
    station.pace()?;
    let path = station.desk.path("vigie.toml");
    let mut table: toml::Table = std::fs::read_to_string(&path)?.parse()?;
    let tor = table.get_mut("tor").and_then(toml::Value::as_table_mut).ok_or("no [tor]")?;
    let mut bridges = toml::Table::new();
    bridges.insert("enabled".into(), true.into());
    bridges.insert("bridges".into(), bridge.line.clone().into());
    tor.insert("bridges".into(), bridges.into());
    let mut fetch = table.get("fetch").and_then(toml::Value::as_table).cloned().unwrap_or_default();
    fetch.insert("silence_ms".into(), 9000.into());
    table.insert("fetch".into(), fetch.into());
    if let Some(program) = transport {
        let mut transport = toml::Table::new();
        transport.insert("protocols".into(), vec!["obfs4".to_owned()].into());
        transport.insert("program".into(), program.display().to_string().into());
        table.insert("transports".into(), vec![toml::Value::Table(transport)].into());
    }
    std::fs::write(&path, toml::to_string(&table)?)?;
    station.set_up_quickly("store")?;
    Ok(station)
}

/// Ports of this machine that a process has connections to (proc_pid_net(5), matched by its sockets).
fn connected(pid: i32) -> Outcome<Vec<u16>> {
    let mut sockets = Vec::new();
    for file in std::fs::read_dir(format!("/proc/{pid}/fd"))? {
        let to = std::fs::read_link(file?.path()).unwrap_or_default();
        if let Some(inode) = to.to_string_lossy().strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
            sockets.push(inode.to_owned());
        }
    }
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp"))?;
    let mut ports = Vec::new();
    for line in table.lines().skip(1) {
        let words: Vec<_> = line.split_whitespace().collect();
        let far = words.get(2).and_then(|far| far.split_once(':')).map(|(_, port)| u16::from_str_radix(port, 16));
        if let (Some(Ok(port)), Some(inode)) = (far, words.get(9))
            && port > 0
            && sockets.iter().any(|socket| socket == inode)
        {
            ports.push(port);
        }
    }
    Ok(ports)
}

fn pid_of(run: &Running, name: &str) -> Outcome<i32> {
    let found = below(run);
    let one = found.iter().find(|(_, other)| other.ends_with(name)).ok_or(format!("no {name} in {found:?}"))?;
    Ok(one.0)
}

fn plain(world: &World) -> CaseResult {
    let bridge = world.net.start_bridge(&world.dir("bridge-plain-net")?, None)?;
    let station = station(world, "bridge-plain", &bridge, None)?;
    let mut run = station.run_once().spawn()?;
    station.seen_during(&mut run, 5)?;
    let ports = connected(pid_of(&run, "vigie-net")?)?;
    ensure!(!ports.is_empty() && ports.iter().all(|port| *port == bridge.port), "{ports:?}, not {}", bridge.port);
    run.signal(Signal::INT);
    run.wait(PATIENCE)?.exits(130)?;
    station.sound()?;
    Ok(())
}

fn obfs4(world: &World) -> CaseResult {
    let program = program()?;
    let bridge = world.net.start_bridge(&world.dir("bridge-obfs4-net")?, Some(&program))?;
    let station = station(world, "bridge-obfs4", &bridge, Some(&program))?;
    let name = program.file_name().and_then(|name| name.to_str()).ok_or("no name")?.to_owned();
    let mut run = station.run_once().spawn()?;
    station.seen_during(&mut run, 5)?;
    let transport = pid_of(&run, &name)?;
    let status = std::fs::read_to_string(format!("/proc/{transport}/status"))?;
    ensure!(status.contains("NoNewPrivs:\t1"), "{status}");
    // Only the transport speaks to the bridge, and the network process to it alone.
    let ports = connected(transport)?;
    ensure!(ports.contains(&bridge.port), "{ports:?}, not {}", bridge.port);
    let ports = connected(pid_of(&run, "vigie-net")?)?;
    let listens = |port: &u16| *port != bridge.port && !world.net.relay_ports().contains(port);
    ensure!(!ports.is_empty() && ports.iter().all(listens), "{ports:?}");
    // It dies: another takes its place, and the run goes on.
    kill_process(Pid::from_raw(transport).ok_or("no process")?, Signal::KILL)?;
    until("another transport", || Ok(pid_of(&run, &name).ok().filter(|other| *other != transport)))?;
    // A page that was half there stays so.
    let output = run.wait(PATIENCE)?;
    ensure!(matches!(output.code(), Some(0 | 4)), "{:?}: {}", output.code(), output.errors());
    let said = "a pluggable transport ended and was started again";
    ensure!(output.errors().contains(said), "{}", output.errors());
    ensure!(station.seen()?.len() == 112, "{} pages", station.seen()?.len());
    station.sound()?;
    Ok(())
}

fn wrong(world: &World) -> CaseResult {
    let bridge = world.net.start_bridge(&world.dir("bridge-wrong-net")?, None)?;
    for (case, script, words) in [
        ("ends", "exit 3", "it ended before it was ready"),
        ("refuses", "echo VERSION 1; echo 'CMETHOD-ERROR obfs4 not today'; sleep 60", "not today"),
        ("elsewhere", "echo 'CMETHOD obfs4 socks5 192.0.2.1:80'; sleep 60", "it offers what Arti cannot use"),
        (
            "other",
            "echo 'CMETHOD meek socks5 127.0.0.1:80'; echo CMETHODS DONE; sleep 60",
            "does not offer that protocol",
        ),
    ] {
        let dir = world.dir(&format!("transport-{case}"))?;
        // Below /usr/lib and of itself alone may a transport run: a script needs its shell there.
        let program = dir.join("transport");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n"))?;
        std::os::unix::fs::chown(&program, None, None)?;
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o700))?;
        let station = station(world, &format!("bridge-{case}"), &bridge, Some(&program))?;
        let url = format!("http://{}/page/1", world.net.onion("bulk"));
        let output = station
            .capture(&url)
            .args(["--dangerously-without-sandbox", "landlock"])
            .env(crate::confined::WITHOUT, "landlock")
            .run()?;
        refused(&output, 1, &["starting the transport obfs4", words])?;
        ensure!(station.log("session-open")?.is_empty(), "a session was opened");
    }
    Ok(())
}
