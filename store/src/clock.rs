//! Time, as handed to the store by its caller: the store reads no clock of its own.

use jiff::Timestamp;

/// What the machine knew about time at one instant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Wall clock, UTC.
    pub wall: Timestamp,
    /// Time since boot in nanoseconds, suspended time included where the system tells.
    pub monotonic_ns: u64,
    /// Identity of this boot: 1 to 64 letters, digits or `-`; `unknown` where the system gives none.
    pub boot_id: String,
    /// Whether a time service vouches for the wall clock.
    pub clock: ClockStatus,
}

impl Stamp {
    /// How far the wall clock was set until a later stamp of the same boot, in nanoseconds, forward
    /// being positive; `None` when it was not (tolerance: [`vigie_time::CLOCK_JUMP_NS`]) or nothing
    /// tells.
    pub fn jump_to(&self, later: &Self) -> Option<i128> {
        if self.boot_id != later.boot_id || self.boot_id == "unknown" {
            return None;
        }
        let reading = |stamp: &Self| (stamp.wall.as_nanosecond(), stamp.monotonic_ns);
        vigie_time::clock_jump(reading(self), reading(later))
    }
}

/// Whether a time service keeps the wall clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockStatus {
    /// A time service says that the clock is right.
    Synchronised,
    /// A time service says that it is not.
    Unsynchronised,
    /// Nothing tells.
    Unknown,
}

impl ClockStatus {
    /// Name in log entries.
    pub fn name(self) -> &'static str {
        match self {
            Self::Synchronised => "synchronised",
            Self::Unsynchronised => "unsynchronised",
            Self::Unknown => "unknown",
        }
    }

    /// The status of a name in a log entry.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Synchronised, Self::Unsynchronised, Self::Unknown].into_iter().find(|status| status.name() == name)
    }
}

/// A source of stamps.
pub trait Clock: Send + Sync {
    /// The time now.
    fn stamp(&self) -> Stamp;
}
