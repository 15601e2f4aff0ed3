//! How much, how fast, how deep and when.

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::TimeZone;

/// Limits of a mandate.
#[derive(Clone, Debug)]
pub struct Limits {
    pub(crate) requests_per_hour: u64,
    pub(crate) bytes_per_day: u64,
    pub(crate) concurrency: u32,
    pub(crate) depth: u32,
    pub(crate) hours: Option<Hours>,
}

/// Hours of the day in which work is permitted.
#[derive(Clone, Debug)]
pub struct Hours {
    pub(crate) from: Time,
    pub(crate) until: Time,
    pub(crate) zone: TimeZone,
    pub(crate) zone_name: String,
}

impl Limits {
    /// Most requests in any 60 minutes (1 …).
    pub fn requests_per_hour(&self) -> u64 {
        self.requests_per_hour
    }
    /// Most bytes received on a UTC day (1 …).
    pub fn bytes_per_day(&self) -> u64 {
        self.bytes_per_day
    }
    /// Most exchanges at once (1 … 64).
    pub fn concurrency(&self) -> u32 {
        self.concurrency
    }
    /// Most links between an entry point and a page (0 = entry points only).
    pub fn depth(&self) -> u32 {
        self.depth
    }
    /// Hours of the day, when there is such a limit.
    pub fn hours(&self) -> Option<&Hours> {
        self.hours.as_ref()
    }
}

impl Hours {
    /// The time of day, in the mandate's zone, lies within the hours; a span over midnight
    /// (`22:00` until `04:00`) wraps.
    pub fn contain(&self, now: Timestamp) -> bool {
        let time = now.to_zoned_datetime(self.zone.clone()).time();
        if self.from <= self.until {
            self.from <= time && time < self.until
        } else {
            time >= self.from || time < self.until
        }
    }
}

impl std::fmt::Display for Hours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} to {} ({})", self.from.strftime("%H:%M"), self.until.strftime("%H:%M"), self.zone_name)
    }
}
