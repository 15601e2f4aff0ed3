//! Whether a workstation is fit for a run: what its kernel offers, what each process can really do,
//! clock, disk, memory, Tor, header sets. Looks, tries, changes nothing.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;
use vigie_config::headers::HeaderSet;
use vigie_confine::{Role, probe};
use vigie_store::clock::{Clock, ClockStatus};
use vigie_wire::control::{Part, Probe, Probed};

use crate::monitor::Monitor;
use crate::parts::{DrawPool, Launcher, Net, ParsePool, Pool, Work};
use crate::run::start;
use crate::workstation::Workstation;

/// Below this share of free space exhibits are refused, in percent.
const LEAST_FREE: u64 = 5;
/// Below this share somebody should see to the disk, in percent.
const LITTLE_FREE: u64 = 15;

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// As it should be.
    Ok,
    /// A run is possible; somebody should know.
    Warning,
    /// A run is refused, or a protection does not hold.
    Bad,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub what: &'static str,
    /// How it came out.
    pub state: State,
    /// In words: what was found, and what to do.
    pub found: String,
}

impl Check {
    fn new(what: &'static str, state: State, found: impl Into<String>) -> Self {
        Self { what, state, found: found.into() }
    }
}

/// What is looked at.
pub struct Patient<'a> {
    /// The store's folder.
    pub store: &'a Path,
    /// Configuration.
    pub workstation: &'a Workstation,
    /// Starts the processes that are tried.
    pub launcher: Arc<Launcher>,
    /// The machine's clock.
    pub clock: Arc<dyn Clock>,
    /// Time of the store's newest entry.
    pub newest: Option<Timestamp>,
    /// Who watches.
    pub monitor: Arc<dyn Monitor>,
}

/// All checks, in the order in which they are shown.
pub async fn examine(patient: &Patient<'_>) -> Vec<Check> {
    let mut checks = vec![landlock(), seccomp()];
    checks.extend(processes(patient).await);
    checks.push(network_space());
    checks.push(clock(patient));
    checks.push(disk(patient.store));
    checks.push(swap());
    checks.push(core_dumps());
    checks.push(guards(patient.store));
    checks.push(header_sets(patient.clock.stamp().wall));
    checks
}

fn landlock() -> Check {
    match vigie_confine::offered().landlock_abi {
        0 => Check::new(
            "landlock",
            State::Bad,
            "the kernel does not restrict files: boot with lsm=landlock,… or use Linux 6.2 or newer",
        ),
        abi @ 1..3 => Check::new("landlock", State::Bad, format!("version {abi} is too old: use Linux 6.2 or newer")),
        abi => Check::new("landlock", State::Ok, format!("version {abi}")),
    }
}

fn seccomp() -> Check {
    if vigie_confine::offered().seccomp {
        Check::new("seccomp", State::Ok, "the kernel filters system calls")
    } else {
        Check::new("seccomp", State::Bad, "the kernel does not filter system calls: use one with CONFIG_SECCOMP_FILTER")
    }
}

/// Starts each process as a run does, and tries from inside.
async fn processes(patient: &Patient<'_>) -> Vec<Check> {
    let pages = Arc::new(ParsePool::new(Arc::clone(&patient.launcher)));
    let pictures = Arc::new(DrawPool::new(Arc::clone(&patient.launcher)));
    let nothing = Role::Record { write: Vec::new(), read: Vec::new() };
    let mut checks = vec![
        worker("record", &pages, Part::Recorder, &nothing).await,
        worker("parse", &pages, Part::Parse, &Role::Parse).await,
        worker("draw", &pictures, Part::Draw, &Role::Draw).await,
    ];
    checks.extend(net(patient).await);
    checks
}

async fn worker<W: Work>(what: &'static str, pool: &Arc<Pool<W>>, part: Part, role: &Role) -> Check {
    let tries = Arc::clone(pool);
    let tried = tokio::task::spawn_blocking(move || {
        Probe::ALL.map(|probe| (probe, tries.probe(part, probe).map_err(|unread| unread.0)))
    });
    match tried.await {
        Ok(tried) => judged(what, probe::meant(role), tried),
        Err(error) => Check::new(what, State::Bad, error.to_string()),
    }
}

async fn net(patient: &Patient<'_>) -> Vec<Check> {
    let silence = std::time::Duration::from_millis(patient.workstation.fetch.silence_ms.into());
    let meant = probe::meant(&Role::Net { write: Vec::new() });
    let mut tried = Vec::new();
    let mut facts = None;
    // What it is meant to do is not tried: a connection would be a packet.
    for probe in Probe::ALL.into_iter().filter(|probe| !meant.contains(probe)) {
        let start = match start(patient.store, patient.workstation, &patient.launcher) {
            Ok(start) => start,
            Err(problem) => return vec![Check::new("net", State::Bad, problem.line)],
        };
        match Net::start(Arc::clone(&patient.launcher), start, silence, Arc::clone(&patient.monitor)).await {
            Ok(net) => {
                facts = Some(net.facts());
                tried.push((probe, Ok(net.probe(probe).await)));
                net.shutdown().await;
            }
            Err(problem) => return vec![Check::new("net", State::Bad, problem.line)],
        }
    }
    let mut checks = vec![judged("net", meant, tried)];
    if let Some(facts) = facts {
        let network = if facts.public {
            "the public Tor network".to_owned()
        } else {
            format!("a TEST NETWORK of {} authorities", facts.authorities)
        };
        let state = if facts.public { State::Ok } else { State::Warning };
        let found = format!("Arti {} on {network}, vanguards {}", facts.arti_version, facts.vanguards);
        checks.push(Check::new("tor", state, found));
    }
    checks
}

/// What a process could do, against what it is meant to.
fn judged(
    what: &'static str,
    meant: &[Probe],
    tried: impl IntoIterator<Item = (Probe, Result<Probed, String>)>,
) -> Check {
    let (mut refused, mut wrong, mut unknown) = (0, Vec::new(), None);
    for (probe, outcome) in tried {
        match outcome {
            Ok(Probed::Worked) => wrong.push(named(probe)),
            Ok(Probed::Refused(_)) => refused += 1,
            Err(why) => unknown = Some(why),
        }
    }
    if let Some(why) = unknown {
        return Check::new(what, State::Bad, format!("it could not be tried: {why}"));
    }
    if !wrong.is_empty() {
        return Check::new(what, State::Bad, format!("it can do what it must not: {}", wrong.join(", ")));
    }
    let able: Vec<_> = meant.iter().map(|probe| named(*probe)).collect();
    let able = if able.is_empty() { "nothing else".to_owned() } else { able.join(", ") };
    Check::new(what, State::Ok, format!("{refused} forbidden things tried from inside, all refused; it may: {able}"))
}

fn named(probe: Probe) -> String {
    serde_json::to_value(probe).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}

/// The processes' own limits do not tell a relay's address from another.
fn network_space() -> Check {
    let own = std::fs::read_link("/proc/self/ns/net");
    let first = std::fs::read_link("/proc/1/ns/net");
    match (own, first) {
        (Ok(own), Ok(first)) if own != first => Check::new(
            "packet filter",
            State::Ok,
            "in a network name space of its own: what leaves it is its filter's matter",
        ),
        (Ok(_), Ok(_)) => Check::new(
            "packet filter",
            State::Warning,
            "on the machine's own network: a network process that was taken over could reach any address; \
             see vigie firewall and the systemd unit",
        ),
        _ => Check::new("packet filter", State::Warning, "whether the network is its own cannot be told by this user"),
    }
}

fn clock(patient: &Patient<'_>) -> Check {
    let stamp = patient.clock.stamp();
    if let Some(newest) = patient.newest.filter(|newest| *newest > stamp.wall) {
        let found = format!("{} is before the newest entry ({newest}): set the clock right", stamp.wall);
        return Check::new("clock", State::Bad, found);
    }
    match stamp.clock {
        ClockStatus::Synchronised => Check::new("clock", State::Ok, format!("{}, synchronised", stamp.wall)),
        ClockStatus::Unsynchronised => Check::new(
            "clock",
            State::Warning,
            format!("{}: a time service runs and has not set it yet: compare with a reliable clock", stamp.wall),
        ),
        ClockStatus::Unknown => Check::new(
            "clock",
            State::Warning,
            format!("{}: nobody keeps it: compare with a reliable clock", stamp.wall),
        ),
    }
}

fn disk(store: &Path) -> Check {
    match rustix::fs::statvfs(store) {
        Ok(facts) if facts.f_blocks > 0 => {
            let percent = facts.f_bavail * 100 / facts.f_blocks;
            let found = format!("{percent} % free ({} MiB)", facts.f_bavail * facts.f_frsize / (1024 * 1024));
            match percent {
                ..LEAST_FREE => Check::new("disk", State::Bad, format!("{found}: exhibits are refused; make room")),
                LEAST_FREE..LITTLE_FREE => {
                    Check::new("disk", State::Warning, format!("{found}: exhibits are refused below {LEAST_FREE} %"))
                }
                _ => Check::new("disk", State::Ok, found),
            }
        }
        Ok(_) => Check::new("disk", State::Warning, "how much is free is not known"),
        Err(error) => Check::new("disk", State::Bad, format!("asking how much is free: {error}")),
    }
}

fn swap() -> Check {
    let areas = std::fs::read_to_string("/proc/swaps").map(|text| text.lines().skip(1).count());
    let locked = getrlimit(Resource::Memlock).current.is_none();
    match areas {
        Ok(0) => Check::new("swap", State::Ok, "off"),
        Ok(_) if locked => Check::new("swap", State::Ok, "on; Vigie's memory is locked"),
        Ok(_) => Check::new(
            "swap",
            State::Warning,
            "on, and memory cannot be locked: keys may reach the disk; turn it off or set LimitMEMLOCK=infinity",
        ),
        Err(error) => Check::new("swap", State::Warning, format!("whether there is any is not known: {error}")),
    }
}

fn core_dumps() -> Check {
    let off = getrlimit(Resource::Core).current == Some(0);
    let closed = rustix::process::dumpable_behavior() == Ok(rustix::process::DumpableBehavior::NotDumpable);
    if off && closed {
        Check::new("core dumps", State::Ok, "none is made, and no debugger of this user may look in")
    } else {
        Check::new("core dumps", State::Bad, "they could be made: switch them off for this machine")
    }
}

/// Guards that stay the same are what makes Tor safe over time.
fn guards(store: &Path) -> Check {
    let file = vigie_net::guards_file(&store.join("tor/state"));
    match std::fs::metadata(&file).and_then(|facts| facts.modified()) {
        Ok(since) => {
            let since = Timestamp::try_from(since).map(|since| since.to_string()).unwrap_or_default();
            Check::new("guards", State::Ok, format!("kept with the store; last changed {since}"))
        }
        Err(_) => Check::new("guards", State::Ok, "none yet: the first run chooses them"),
    }
}

fn header_sets(now: Timestamp) -> Check {
    let sets: Vec<String> = HeaderSet::all()
        .iter()
        .map(|set| format!("{} recorded {}, good until {}", set.id(), set.recorded(), set.expires()))
        .collect();
    let old = HeaderSet::all().iter().any(|set| set.expired(now));
    let unverified = HeaderSet::all().iter().any(|set| !set.verified());
    let found = sets.join("; ");
    match (old, unverified) {
        (true, _) => Check::new("header sets", State::Warning, format!("{found}: out of date, refresh it")),
        (_, true) => {
            Check::new("header sets", State::Warning, format!("{found}: not compared with a recording of the browser"))
        }
        _ => Check::new("header sets", State::Ok, found),
    }
}
