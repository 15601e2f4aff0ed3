//! `start`: from the command to the first page, and what the processes hold at work and at rest.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use vigie_tests::process::{Output, Running};

use crate::numbers::{Table, median, mib};
use crate::world::World;
use crate::{Outcome, stop};

/// How often something is looked for.
const POLL: Duration = Duration::from_millis(5);
/// From the command to the site. No measure: only an end to a start that hangs.
const LIMIT: Duration = Duration::from_secs(300);

/// Starts each in turn, `rounds` times after a first one that fetches the network's directory.
pub fn run(world: &World, rounds: usize, table: &mut Table) -> Outcome<()> {
    let (mut vigie, mut bare) = (Vec::new(), Vec::new());
    let mut at_work = BTreeMap::new();
    world.set_up("store-start")?;
    for round in 0..=rounds {
        stop::check()?;
        let (begun, running) = (Timestamp::now(), world.capture("store-start").spawn()?);
        let first = first(world, running, |running| at_work = resident(running))?;
        vigie.push(first.duration_since(begun).as_secs_f64());
        let (begun, running) = (Timestamp::now(), world.bare_command("bare-start", 1)?.spawn_with_open_input()?);
        let first = self::first(world, running, |_| {})?;
        bare.push(first.duration_since(begun).as_secs_f64());
        eprintln!("bench:   start {round} of {rounds}: Vigie {:.2} s, bare Arti {:.2} s", vigie[round], bare[round]);
    }
    println!("\nstart: from the command to the site's first request, medians of {rounds} starts in turn");
    println!("  Vigie asks for one page; its store and its profile are under passphrases (scrypt, 256 MiB each)");
    println!("  first start, with nothing of the network known: Vigie {:.2} s, bare Arti {:.2} s", vigie[0], bare[0]);
    let (vigie, bare) = (median(vigie[1..].iter().copied()), median(bare[1..].iter().copied()));
    let (own, peer) = (format!("{vigie:.2} s"), format!("{bare:.2} s"));
    table.add("start", "start to first page vs bare Arti", own, peer, Some(vigie / bare), "");

    let at_rest = at_rest(world)?;
    for (when, all) in [("at the first page", &at_work), ("at rest between two rounds", &at_rest)] {
        let each: Vec<String> = all.iter().map(|(name, bytes)| format!("{name} {}", mib(*bytes))).collect();
        println!("  resident {when}: {}", each.join(", "));
        let total = all.values().sum();
        table.add("start", &format!("memory {when}, all processes"), mib(total), String::new(), None, "");
    }
    Ok(())
}

/// When the site was asked for a page; `look` sees the process at that moment.
fn first(world: &World, mut running: Running, mut look: impl FnMut(&Running)) -> Outcome<Timestamp> {
    world.forget();
    let deadline = std::time::Instant::now() + LIMIT;
    while std::time::Instant::now() < deadline {
        if let Some(first) = world.first_asked() {
            look(&running);
            running.wait(LIMIT).and_then(Output::success)?;
            return Ok(first);
        }
        if running.has_ended() {
            break;
        }
        std::thread::sleep(POLL);
    }
    let output = running.wait(Duration::from_secs(1))?;
    Err(format!("`{}` asked for no page: {}", output.command, output.errors()).into())
}

/// Memory of a run that waits for its next round.
fn at_rest(world: &World) -> Outcome<BTreeMap<String, u64>> {
    world.set_up("store-rest")?;
    let mut running = world.rounds("store-rest").spawn()?;
    running.wait_for("the next round begins", LIMIT)?;
    let bytes = resident(&running);
    running.signal(rustix::process::Signal::INT);
    running.wait(LIMIT)?;
    Ok(bytes)
}

/// Resident bytes of a process and those below it, by name (proc_pid_status(5)).
fn resident(running: &Running) -> BTreeMap<String, u64> {
    let mut bytes = BTreeMap::new();
    let mut all = vec![running.pid()];
    while let Some(pid) = all.pop() {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let children = read(&format!("task/{pid}/children"));
        all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        let line = read("cmdline");
        let name = line.split('\0').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
        let status = read("status");
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        *bytes.entry(name.replace("vigie-", "")).or_default() += kib.unwrap_or(0_u64) * 1024;
    }
    bytes
}
