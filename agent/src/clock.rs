//! The only place that reads the machine's clocks; everything else is handed a [`Stamp`].

use jiff::Timestamp;
use vigie_store::clock::{Clock, ClockStatus, Stamp};

/// Wall clock, monotonic clock and boot identity of this machine.
pub struct SystemClock {
    boot_id: String,
}

impl SystemClock {
    /// Reads the boot identity once; `unknown` where the kernel does not tell.
    pub fn new() -> Self {
        let boot_id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .map(|text| text.trim().to_owned())
            .unwrap_or_else(|_| "unknown".to_owned());
        Self { boot_id }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn stamp(&self) -> Stamp {
        let monotonic = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(monotonic.tv_sec).unwrap_or(0);
        let nanoseconds = u64::try_from(monotonic.tv_nsec).unwrap_or(0);
        Stamp {
            wall: Timestamp::now(),
            monotonic_ns: seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds),
            boot_id: self.boot_id.clone(),
            clock: synchronisation(),
        }
    }
}

/// Whether a time service says that it keeps the clock. systemd-timesyncd leaves these
/// marks; a machine with another service, or none, is `Unknown`, never presumed right.
fn synchronisation() -> ClockStatus {
    if std::path::Path::new("/run/systemd/timesync/synchronized").exists() {
        ClockStatus::Synchronised
    } else if std::path::Path::new("/run/systemd/timesync").exists() {
        ClockStatus::Unsynchronised
    } else {
        ClockStatus::Unknown
    }
}
