//! A run of many rounds over services that die, hang, refuse, move and return.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use vigie_tests::desk::Target;
use vigie_tests::process::Running;
use vigie_tests::tornet::Ephemeral;

use crate::confined::below;
use crate::ensure;
use crate::machine::{PATIENCE, until};
use crate::station::{Outcome, PURPOSE, Station};
use crate::world::{Case, CaseResult, World};

/// For how many minutes `make endure` goes on; unset in `make test`, which makes three rounds.
const MINUTES: &str = "VIGIE_ENDURE_MINUTES";
/// Services.
const ONIONS: usize = 20;
/// Pages of each.
const PAGES: usize = 2;
/// Short enough that a round over hanging services ends within its distance.
const FETCH: &str = "[fetch]\nfirst_byte_ms = 8000\nidle_ms = 8000\ntotal_ms = 20_000\nattempts = 2\n";

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "endure::onions_that_die_hang_move_and_return", run: endure }]
}

/// A server that may fall silent.
struct Server {
    port: u16,
    hangs: Arc<AtomicBool>,
}

impl Server {
    fn start(name: String) -> std::io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let (port, hangs) = (listener.local_addr()?.port(), Arc::new(AtomicBool::new(false)));
        let (silent, held) = (Arc::clone(&hangs), Mutex::new(Vec::new()));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                if silent.load(Ordering::Relaxed) {
                    held.push(stream);
                    continue;
                }
                held.clear();
                let name = name.clone();
                std::thread::spawn(move || answer(stream, &name));
            }
        });
        Ok(Self { port, hangs })
    }
}

fn answer(mut stream: TcpStream, name: &str) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte)? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let page = format!("<!DOCTYPE html><title>{name}</title><p>Offers of {name}. <a href=/more>more</a>");
    let length = page.len();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{page}"
    )
}

/// What a service is made to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// Answers.
    Lives,
    /// Its process is gone; its descriptor stays.
    Dies,
    /// Takes requests and says nothing.
    Hangs,
    /// Nothing listens behind it.
    Refuses,
    /// Lives on at other introduction points.
    Moves,
}

const FATES: [Fate; 4] = [Fate::Dies, Fate::Hangs, Fate::Refuses, Fate::Moves];

/// The services, and what each does.
struct Flock<'a> {
    world: &'a World,
    members: Vec<(Ephemeral, Server, Fate)>,
    random: u64,
}

impl<'a> Flock<'a> {
    fn start(world: &'a World) -> Outcome<Self> {
        let mut members = Vec::new();
        for number in 0..ONIONS {
            let server = Server::start(name(number))?;
            members.push((world.net.new_onion(server.port)?, server, Fate::Lives));
        }
        let services: Vec<_> = members.iter().map(|(service, ..)| service.clone()).collect();
        world.net.await_onions(&services)?;
        Ok(Self { world, members, random: 1 })
    }

    fn targets(&self) -> Vec<Target> {
        let target =
            |(number, (service, ..)): (usize, &(Ephemeral, Server, Fate))| Target::onion(&name(number), &service.onion);
        self.members.iter().enumerate().map(target).collect()
    }

    /// Any number (Knuth, MMIX), the same in each run.
    fn draw(&mut self, below: usize) -> usize {
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) as usize % below
    }

    fn put(&mut self, number: usize, fate: Fate) -> CaseResult {
        let (service, server, now) = &mut self.members[number];
        server.hangs.store(fate == Fate::Hangs, Ordering::Relaxed);
        let there = *now != Fate::Dies;
        // Port 1 of loopback (tcpmux): nothing listens there.
        let port = if fate == Fate::Refuses { 1 } else { server.port };
        let anew =
            matches!((*now, fate), (_, Fate::Moves | Fate::Refuses | Fate::Dies) | (Fate::Dies | Fate::Refuses, _));
        if anew && there {
            self.world.net.end_onion(service)?;
        }
        if anew && fate != Fate::Dies {
            self.world.net.return_onion(service, port)?;
        }
        *now = if fate == Fate::Moves { Fate::Lives } else { fate };
        Ok(())
    }

    /// Some services change what they do; those that had been away return.
    fn turn(&mut self) -> Outcome<BTreeSet<usize>> {
        let mut touched = BTreeSet::new();
        for number in 0..ONIONS {
            let away = self.members[number].2 != Fate::Lives;
            if away && self.draw(2) == 0 {
                self.put(number, Fate::Lives)?;
                touched.insert(number);
            } else if !away && self.draw(5) == 0 {
                let fate = FATES[self.draw(FATES.len())];
                self.put(number, fate)?;
                touched.insert(number);
            }
        }
        Ok(touched)
    }

    fn all_return(&mut self) -> CaseResult {
        for number in 0..ONIONS {
            if self.members[number].2 != Fate::Lives {
                self.put(number, Fate::Lives)?;
            }
        }
        let services: Vec<_> = self.members.iter().map(|(service, ..)| service.clone()).collect();
        Ok(self.world.net.await_onions(&services)?)
    }
}

impl Drop for Flock<'_> {
    fn drop(&mut self) {
        for (service, _, fate) in &self.members {
            if *fate != Fate::Dies {
                let _ = self.world.net.end_onion(service);
            }
        }
    }
}

fn name(number: usize) -> String {
    format!("onion-{number:02}")
}

/// Resident bytes of a run's processes by name, those of one name together (proc_pid_status(5)).
fn resident(run: &Running) -> BTreeMap<String, u64> {
    let mut bytes = BTreeMap::new();
    let own = (i32::try_from(run.pid()).unwrap_or_default(), "record".to_owned());
    for (pid, name) in below(run).into_iter().chain([own]) {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
        *bytes.entry(name).or_default() += kib.unwrap_or(0_u64) * 1024;
    }
    bytes
}

/// What each round so far printed.
fn rounds(run: &Running) -> Vec<Value> {
    let text = run.stdout_so_far();
    serde_json::Deserializer::from_str(&text).into_iter().map_while(Result::ok).collect()
}

/// By session, in order: targets with an exhibit, and targets with anything on record.
fn by_session(station: &Station) -> Outcome<Vec<[BTreeMap<String, usize>; 2]>> {
    let mut sessions = Vec::<[BTreeMap<String, usize>; 2]>::new();
    for (kind, row) in station.entries()? {
        let target = row["target"].as_str().unwrap_or_default().to_owned();
        match (kind.as_str(), sessions.last_mut()) {
            ("session-open", _) => sessions.push(Default::default()),
            ("exhibit", Some([exhibits, all])) => {
                *exhibits.entry(target.clone()).or_default() += 1;
                *all.entry(target).or_default() += 1;
            }
            ("failure", Some([_, all])) => *all.entry(target).or_default() += 1,
            _ => {}
        }
    }
    Ok(sessions)
}

fn endure(world: &World) -> CaseResult {
    let minutes: Option<u64> = std::env::var(MINUTES).ok().and_then(|minutes| minutes.parse().ok());
    let (every, want) = minutes.map_or((1, 3), |minutes| (4, (minutes / 4).max(4)));
    let mut flock = Flock::start(world)?;
    let station = Station::desk(world, "endure", &flock.targets())?;
    station.configure(FETCH)?;
    station.set_up_quickly("store")?;
    let run = station.vigie(&["run", "--every", &format!("{every}m"), "--json", "--purpose", PURPOSE]);
    let mut run = run.limit(Duration::from_secs(minutes.unwrap_or(10) * 60 * 2 + 3600)).spawn()?;
    let mut memory = Vec::new();
    let mut whole = Vec::new();
    for done in 1..=want {
        // The first round finds all of them, and so does the last.
        let all = done == 1 || done == want;
        let mut turned = 0;
        loop {
            let so_far = rounds(&run).len() as u64;
            ensure!(!run.has_ended(), "the run ended after {so_far} rounds: {}", run.stderr_so_far());
            if so_far >= done {
                break;
            }
            // In the middle of a round too, once it has something to show.
            if !all
                && turned == 0
                && by_session(&station)?.get(done as usize - 1).is_some_and(|[_, any]| !any.is_empty())
            {
                flock.turn()?;
                turned += 1;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        memory.push(resident(&run));
        whole.push(all);
        eprintln!("| {done} of {want} rounds | {:?} |", memory.last());
        if done + 1 == want {
            flock.all_return()?;
        } else if done < want {
            flock.turn()?;
        }
    }
    run.signal(Signal::INT);
    let output = run.wait(PATIENCE)?.exits(130)?;
    ensure!(!output.errors().contains("panicked"), "{}", output.errors());

    let told: Vec<Value> =
        serde_json::Deserializer::from_slice(&output.stdout).into_iter().collect::<Result<_, _>>()?;
    for (number, round) in told.iter().enumerate() {
        ensure!(round["round"] == number + 1 && round["missed"] == 0, "{round}");
    }
    let sessions = by_session(&station)?;
    ensure!(sessions.len() >= want as usize, "{} sessions of {want} rounds", sessions.len());
    let mut outcomes = [0, 0];
    for (number, ([exhibits, any], whole)) in sessions.iter().zip(&whole).enumerate() {
        let silent: Vec<_> = (0..ONIONS).map(name).filter(|name| !any.contains_key(name)).collect();
        ensure!(silent.is_empty(), "round {}: nothing on record of {silent:?}", number + 1);
        let missing: Vec<_> = (0..ONIONS).map(name).filter(|name| exhibits.get(name) != Some(&PAGES)).collect();
        ensure!(!whole || missing.is_empty(), "round {}: not whole: {missing:?}", number + 1);
        outcomes[0] += exhibits.len();
        outcomes[1] += ONIONS - exhibits.len();
    }
    until("the store is sound", || Ok(station.sound().map(Some).unwrap_or(None)))?;
    println!("| endure | {want} rounds | {} targets read, {} not | 0 missed |", outcomes[0], outcomes[1]);
    if minutes.is_some() {
        flat(&memory)?;
    }
    Ok(())
}

/// The record process keeps running: its memory at rest is the same in the second quarter and in the last.
fn flat(memory: &[BTreeMap<String, u64>]) -> CaseResult {
    let of = |rounds: &[BTreeMap<String, u64>], name: &str| {
        let mut bytes: Vec<u64> = rounds.iter().filter_map(|round| round.get(name).copied()).collect();
        bytes.sort_unstable();
        bytes.get(bytes.len() / 2).copied().unwrap_or(0)
    };
    let quarter = memory.len() / 4;
    for name in ["record", "vigie-launcher", "vigie-parse"] {
        let (early, late) = (of(&memory[quarter..2 * quarter], name), of(&memory[memory.len() - quarter..], name));
        let ratio = late as f64 / early.max(1) as f64;
        println!("| memory of {name} | {} KiB | {} KiB | {ratio:.3} |", early / 1024, late / 1024);
        ensure!(late * 100 < early.max(1) * 105, "{name} grew from {early} to {late} bytes");
    }
    Ok(())
}
