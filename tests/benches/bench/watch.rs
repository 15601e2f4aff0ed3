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
}

/// Watches a process that reads the pages of the site, to its end.
pub fn watch(mut running: Running, site: &Site, limit: Duration) -> Outcome<Watched> {
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
            began = Some((first, cpu_s(pid)?, peak_memory_bytes(pid).unwrap_or(0)));
            // Sets VmHWM to what is resident now (proc_pid_clear_refs(5)): what came before, such
            // as scrypt at the unlocking of a store, is not the memory of recording. Where the
            // kernel does not let us, the figure is that of the whole run.
            let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
        std::thread::sleep(POLL);
    }
    let ended = Timestamp::now();
    // It has ended but is not reaped yet: the kernel still tells its times.
    let total = cpu_s(pid)?;
    let output = running.wait(limit)?;
    let Some((first, before, peak_before_bytes)) = began else {
        let command = output.command.clone();
        output.success()?;
        return Err(format!("`{command}` ended without asking for a page").into());
    };
    let peak_bytes = output.peak_memory_bytes.unwrap_or(0);
    Ok(Watched { output, first, ended, cpu_s: total - before, peak_bytes, peak_before_bytes })
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
