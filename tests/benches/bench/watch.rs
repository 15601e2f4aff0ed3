//! One process watched from its first page to its end: processor time and memory.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use vigie_tests::process::{Output, Running, peak_memory_bytes};

use crate::site::Site;
use crate::{Outcome, stop};

/// How often the process is looked at. Small against a round, large against the cost of looking.
const POLL: Duration = Duration::from_millis(5);
/// Unit of the times in proc_pid_stat(5): `USER_HZ`, a constant of Linux's interface to programs.
const TICKS_PER_S: f64 = 100.0;

/// What was seen of a process.
pub struct Watched {
    /// What it said.
    pub output: Output,
    /// When the site was asked for the first page.
    pub first: Timestamp,
    /// When the process was seen to have ended.
    pub ended: Timestamp,
    /// User and system time between the two, in seconds.
    pub cpu_s: f64,
    /// Highest resident memory from the first page on.
    pub peak_bytes: u64,
    /// Highest resident memory before that.
    pub peak_before_bytes: u64,
    /// Share of the machine's processors that went to programs other than this one, those named
    /// as helpers and the watched one, 0 … 1.
    pub foreign: f64,
}

/// The state of the processors at one moment.
struct Moment {
    at: Instant,
    machine_s: f64,
    own_s: f64,
    watched_s: f64,
}

impl Moment {
    fn now(watched: u32, helpers: &[u32]) -> Outcome<Self> {
        let own = helpers.iter().chain([&std::process::id()]).map(|pid| cpu_s(*pid)).sum::<Outcome<f64>>()?;
        Ok(Self { at: Instant::now(), machine_s: machine_s()?, own_s: own, watched_s: cpu_s(watched)? })
    }

    /// Share of the processors since `earlier` that went to strangers.
    fn foreign(&self, earlier: &Self) -> f64 {
        let cores = std::thread::available_parallelism().map_or(1, usize::from) as f64;
        let ours = self.own_s - earlier.own_s + self.watched_s - earlier.watched_s;
        let all = self.machine_s - earlier.machine_s;
        let room = self.at.duration_since(earlier.at).as_secs_f64() * cores;
        ((all - ours) / room).clamp(0.0, 1.0)
    }
}

/// Watches a process that reads the pages of the site, to its end. `helpers` are the processes
/// between it and the site.
pub fn watch(mut running: Running, site: &Site, helpers: &[u32], limit: Duration) -> Outcome<Watched> {
    let deadline = Instant::now() + limit;
    let pid = running.pid();
    let mut began = None;
    while !running.has_ended() {
        stop::check()?;
        if Instant::now() > deadline {
            return Err(format!("a round did not end within {limit:?}").into());
        }
        if began.is_none()
            && let Some(first) = site.asked().first
        {
            began = Some((first, Moment::now(pid, helpers)?, peak_memory_bytes(pid).unwrap_or(0)));
            // Sets VmHWM to what is resident now (proc_pid_clear_refs(5)): what came before, such
            // as scrypt at the unlocking of a store, is not the memory of recording. Where the
            // kernel does not let us, the figure is that of the whole run.
            let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
        std::thread::sleep(POLL);
    }
    let ended = Timestamp::now();
    // It has ended but is not reaped yet: the kernel still tells its times.
    let last = Moment::now(pid, helpers)?;
    let output = running.wait(limit)?;
    let Some((first, before, peak_before_bytes)) = began else {
        let command = output.command.clone();
        output.success()?;
        return Err(format!("`{command}` ended without asking for a page").into());
    };
    let peak_bytes = output.peak_memory_bytes.unwrap_or(0);
    let cpu_s = last.watched_s - before.watched_s;
    Ok(Watched { output, first, ended, cpu_s, peak_bytes, peak_before_bytes, foreign: last.foreign(&before) })
}

/// User and system time of all threads of a process so far (proc_pid_stat(5)), in seconds.
fn cpu_s(pid: u32) -> Outcome<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in parentheses, may hold anything; `utime` and `stime` are fields 14 and 15.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut ticks = fields.split_whitespace().skip(11).map(str::parse::<u64>);
    let (Some(Ok(user)), Some(Ok(system))) = (ticks.next(), ticks.next()) else {
        return Err(format!("/proc/{pid}/stat is not what the kernel documents").into());
    };
    Ok((user + system) as f64 / TICKS_PER_S)
}

/// Time that all processors spent working so far (proc_stat(5)), in seconds.
fn machine_s() -> Outcome<f64> {
    let stat = std::fs::read_to_string("/proc/stat")?;
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    // user nice system idle iowait irq softirq …: neither idle nor waiting for the disk.
    let ticks: Vec<u64> = line.split_whitespace().take(7).map(str::parse).collect::<Result<_, _>>()?;
    let [user, nice, system, _, _, irq, softirq] = ticks[..] else {
        return Err("/proc/stat is not what the kernel documents".into());
    };
    Ok((user + nice + system + irq + softirq) as f64 / TICKS_PER_S)
}
