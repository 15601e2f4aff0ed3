//! What has been asked of the network lately, against the mandate's limits. Kept per mandate, in
//! buckets of a minute, so that neither stopping and starting nor another profile empties the
//! account.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use vigie_config::authorize::Usage;
use vigie_store::{ProfileKey, State, StateOp};

use crate::error::Problem;

/// Area of the run state.
const AREA: &str = "usage";
/// A bucket, in seconds.
const BUCKET_S: i64 = 60;
/// Buckets older than a day count for nothing.
const DAY_S: i64 = 86_400;

/// Requests and bytes by minute.
#[derive(Default)]
pub struct Meter {
    /// Minute number -> (requests, bytes).
    buckets: BTreeMap<i64, (u64, u64)>,
    /// Minutes that changed since they were last kept.
    changed: BTreeSet<i64>,
}

impl Meter {
    /// Reads the account.
    pub fn open(state: &State<'_>) -> Result<Self, Problem> {
        let mut buckets = BTreeMap::new();
        for (name, value) in state.iter().map_err(|e| Problem::other(e.to_string()))? {
            if let (Ok(minute), Ok(counts)) = (name.parse(), serde_json::from_slice(&value)) {
                buckets.insert(minute, counts);
            }
        }
        Ok(Self { buckets, changed: BTreeSet::new() })
    }

    /// One request leaves.
    pub fn request(&mut self, now: Timestamp) {
        self.bucket(now).0 += 1;
    }

    /// Bytes came.
    pub fn bytes(&mut self, now: Timestamp, count: u64) {
        self.bucket(now).1 += count;
    }

    fn bucket(&mut self, now: Timestamp) -> &mut (u64, u64) {
        let minute = now.as_second() / BUCKET_S;
        self.changed.insert(minute);
        self.buckets.entry(minute).or_default()
    }

    /// What counts against the limits: requests of the last 60 minutes, bytes of this UTC day.
    pub fn usage(&self, now: Timestamp) -> Usage {
        let minute = now.as_second() / BUCKET_S;
        let midnight = now.as_second() / DAY_S * DAY_S / BUCKET_S;
        Usage {
            requests_last_hour: self.buckets.range(minute - 59..).map(|(_, counts)| counts.0).sum(),
            bytes_today: self.buckets.range(midnight..).map(|(_, counts)| counts.1).sum(),
        }
    }

    /// The changes to keep: buckets that changed, and the removal of those that no longer count.
    pub fn kept(&mut self, now: Timestamp, key: &ProfileKey) -> Vec<StateOp> {
        let old = (now.as_second() - DAY_S) / BUCKET_S;
        let keep = self.buckets.split_off(&old);
        let gone = std::mem::replace(&mut self.buckets, keep);
        let mut operations: Vec<StateOp> =
            gone.keys().map(|minute| StateOp::remove(key, AREA, &minute.to_string())).collect();
        for minute in std::mem::take(&mut self.changed) {
            if let Some(value) = self.buckets.get(&minute).and_then(|counts| serde_json::to_vec(counts).ok()) {
                operations.push(StateOp::put(key, AREA, &minute.to_string(), value));
            }
        }
        operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_and_a_day_are_told_apart() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let mut meter = Meter::default();
        meter.bytes(at("2026-03-01T23:59:00Z"), 7);
        meter.request(at("2026-03-01T23:59:00Z"));
        meter.request(at("2026-03-02T00:10:00Z"));
        meter.bytes(at("2026-03-02T00:10:00Z"), 5);
        let usage = meter.usage(at("2026-03-02T00:30:00Z"));
        assert_eq!((usage.requests_last_hour, usage.bytes_today), (2, 5));
        let later = meter.usage(at("2026-03-02T01:05:00Z"));
        assert_eq!((later.requests_last_hour, later.bytes_today), (1, 5));
    }

    #[test]
    fn every_minute_that_changed_is_kept() {
        let at = |text: &str| text.parse::<Timestamp>().expect("a time");
        let mut meter = Meter::default();
        for minute in 0..5 {
            meter.bytes(at(&format!("2026-03-02T00:0{minute}:30Z")), 1);
        }
        let changed: Vec<i64> = meter.changed.iter().copied().collect();
        assert_eq!(changed.len(), 5, "a page that takes five minutes counts in each");
    }
}
