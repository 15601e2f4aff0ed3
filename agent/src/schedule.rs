//! When the rounds of a continuous run begin: at equal distances of wall-clock time, from the first on.

use jiff::{SignedDuration, Timestamp};

/// Shortest distance: below it, a round of a small mandate would not end before the next begins.
pub const LEAST: SignedDuration = SignedDuration::from_mins(1);
/// Longest distance.
pub const MOST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The rounds of one run.
#[derive(Clone, Debug)]
pub struct Schedule {
    every: SignedDuration,
    planned: Timestamp,
}

/// The round that comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// When it begins; past, when the round before took longer than the distance.
    pub at: Timestamp,
    /// Rounds that were planned since and are left out, because their whole time has passed.
    pub missed: u64,
}

impl Schedule {
    /// The first round begins `now`.
    pub fn new(every: SignedDuration, now: Timestamp) -> Self {
        Self { every: every.clamp(LEAST, MOST), planned: now }
    }

    /// Plans the next round, `now` that one has ended. A clock that was set back by more than the distance
    /// begins the schedule anew, so that nobody waits for a time that the clock showed before.
    pub fn next(&mut self, now: Timestamp) -> Next {
        let every = self.every.as_millis().max(1);
        let since = now.duration_since(self.planned).as_millis();
        if since < -every {
            self.planned = now;
        }
        let missed = (since / every - 1).max(0);
        let steps = i64::try_from(every * (missed + 1)).unwrap_or(i64::MAX);
        self.planned = self.planned.checked_add(SignedDuration::from_millis(steps)).unwrap_or(now);
        Next { at: self.planned, missed: u64::try_from(missed).unwrap_or(0) }
    }

    /// Whether a round planned for `at` begins now. A clock that was set back meanwhile lets nobody wait
    /// longer than the distance; `waited` counts in the time of a clock that cannot be set.
    pub fn due(&self, at: Timestamp, now: Timestamp, waited: std::time::Duration) -> bool {
        now >= at || waited >= self.every.unsigned_abs()
    }
}

/// Reads a distance as people write it: `30m`, `1h 30m`, `6h`, `1d`.
///
/// # Errors
/// What is no duration, or outside one minute to seven days.
pub fn distance(text: &str) -> Result<SignedDuration, String> {
    let span: jiff::Span = text.parse().map_err(|_| "write it like 30m, 6h or 1d".to_owned())?;
    let whole = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours());
    let whole = whole.map_err(|_| "write it like 30m, 6h or 1d".to_owned())?;
    if (LEAST..=MOST).contains(&whole) { Ok(whole) } else { Err("between 1m and 7d".to_owned()) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[test]
    fn rounds_keep_their_distance_whatever_each_takes() {
        let mut schedule = Schedule::new(SignedDuration::from_mins(10), at(0));
        assert_eq!(schedule.next(at(90)), Next { at: at(600), missed: 0 });
        // 14 minutes long: the next begins at once, for its time is not over.
        assert_eq!(schedule.next(at(1440)), Next { at: at(1200), missed: 0 });
        // Suspended for an hour: what has passed as a whole is left out and said.
        assert_eq!(schedule.next(at(5000)), Next { at: at(4800), missed: 5 });
        assert_eq!(schedule.next(at(4900)), Next { at: at(5400), missed: 0 });
    }

    #[test]
    fn a_clock_set_back_lets_nobody_wait() {
        let mut schedule = Schedule::new(SignedDuration::from_mins(10), at(0));
        assert_eq!(schedule.next(at(-86_400)), Next { at: at(-85_800), missed: 0 });
        assert!(!schedule.due(at(600), at(0), Duration::from_secs(599)));
        assert!(schedule.due(at(600), at(0), Duration::from_secs(600)));
        assert!(schedule.due(at(600), at(600), Duration::ZERO));
    }

    #[test]
    fn distances_as_people_write_them() {
        assert_eq!(distance("30m"), Ok(SignedDuration::from_mins(30)));
        assert_eq!(distance("1h 30m"), Ok(SignedDuration::from_mins(90)));
        assert_eq!(distance("1d"), Ok(SignedDuration::from_hours(24)));
        for wrong in ["", "5", "-6h", "59s", "8d", "1 month", "6h later", "99999999999999999999d"] {
            assert!(distance(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        /// The next round is less than one distance away in either direction, and on the grid.
        #[test]
        fn the_next_round_is_near(every in 60i64..604_800, now in 0i64..10_000_000) {
            let mut schedule = Schedule::new(SignedDuration::from_secs(every), at(0));
            let next = schedule.next(at(now));
            let away = next.at.duration_since(at(now)).as_secs();
            prop_assert!(away.abs() <= every, "{away}");
            prop_assert_eq!(next.at.duration_since(at(0)).as_secs() % every, 0);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,40}") {
            let _ = distance(&text);
        }
    }
}
