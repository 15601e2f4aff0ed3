//! What a failure says of the far side, and whether and when to try again: the table of ARCHITECTURE.md.

use std::time::Duration;

use vigie_wire::net::FailureKind;

/// What a failed attempt says of the far side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The service itself said no, over a connection that only it can have made.
    Down,
    /// Something answered there, though nothing of use.
    Answered,
    /// Nothing can be said of the far side.
    Unknown,
}

impl Verdict {
    /// As rows and listings have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Down => "down",
            Self::Answered => "answered",
            Self::Unknown => "unknown",
        }
    }
}

/// What a kind of failure says. An exit's word is not the far side's: only what an onion service refuses
/// is evidence, since its stream comes after a handshake with the service's own keys.
pub fn verdict(kind: FailureKind, onion: bool) -> Verdict {
    match kind {
        FailureKind::StreamRefused if onion => Verdict::Down,
        FailureKind::ClosedEmpty | FailureKind::Tls => Verdict::Answered,
        _ => Verdict::Unknown,
    }
}

/// When to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Not at all: another attempt gives the same.
    Never,
    /// At most `tries` attempts; the first wait is drawn from these milliseconds, each further one is twice
    /// as long.
    Soon {
        /// Attempts in all.
        tries: u32,
        /// Shortest first wait.
        least_ms: u64,
        /// Longest first wait.
        most_ms: u64,
    },
    /// The service's directories are left alone for a time drawn from these milliseconds; nothing of the
    /// target is asked meanwhile.
    Later {
        /// Shortest pause.
        least_ms: u64,
        /// Longest pause.
        most_ms: u64,
    },
}

/// The policy for a kind of failure.
pub fn policy(kind: FailureKind) -> Policy {
    let soon =
        |tries, least_s: u64, most_s: u64| Policy::Soon { tries, least_ms: least_s * 1000, most_ms: most_s * 1000 };
    match kind {
        FailureKind::OutOfScope
        | FailureKind::ClientKeyNeeded
        | FailureKind::ProofOfWorkNeeded
        | FailureKind::StreamRefused
        | FailureKind::NameNotFound
        | FailureKind::Tls
        | FailureKind::Cancelled => Policy::Never,
        // Tor asks no directory twice within 15 minutes (rend-spec-v3), and neither do we.
        FailureKind::DescriptorNotFound | FailureKind::DescriptorInvalid | FailureKind::NotAskedAgain => {
            Policy::Later { least_ms: 15 * 60_000, most_ms: 20 * 60_000 }
        }
        FailureKind::TorNotReady => soon(3, 10, 30),
        // Faults of a path: the next attempt takes another one.
        FailureKind::DirectoryUnreachable | FailureKind::MeetingPoint | FailureKind::ExitFailed => soon(3, 2, 6),
        // The service may be restarting.
        FailureKind::Introduction | FailureKind::IntroductionRefused | FailureKind::Rendezvous => soon(3, 5, 15),
        FailureKind::Timeout => soon(3, 3, 9),
        FailureKind::ClosedEmpty | FailureKind::NetworkProcess => soon(3, 1, 4),
        FailureKind::Other => soon(2, 3, 9),
    }
}

/// The wait after attempt number `attempt` (from 1) of at most `attempts`; `None` to give up. `drawn` is any
/// random number.
pub fn wait(kind: FailureKind, attempt: u32, attempts: u32, drawn: u64) -> Option<Duration> {
    let Policy::Soon { tries, least_ms, most_ms } = policy(kind) else { return None };
    if attempt >= tries.min(attempts) {
        return None;
    }
    let first = between(least_ms, most_ms, drawn);
    Some(Duration::from_millis(first << attempt.saturating_sub(1).min(10)))
}

/// How long nothing of the target is asked after a failure; `None` when that is no matter of its directories.
pub fn pause(kind: FailureKind, drawn: u64) -> Option<Duration> {
    match policy(kind) {
        Policy::Later { least_ms, most_ms } => Some(Duration::from_millis(between(least_ms, most_ms, drawn))),
        _ => None,
    }
}

/// The wait before a page that said *later* is asked again: what the server asked for (`Retry-After`, in
/// seconds) when it is at most ten minutes, else 20 to 60 s. `None` after the second visit.
pub fn again(visit: u32, retry_after_s: Option<u64>, drawn: u64) -> Option<Duration> {
    const MOST_S: u64 = 600;
    if visit >= 2 {
        return None;
    }
    match retry_after_s {
        Some(asked) if asked > MOST_S => None,
        // Never to the second: that is what programs do.
        Some(asked) => Some(Duration::from_millis(asked * 1000 + between(500, 5_000, drawn))),
        None => Some(Duration::from_millis(between(20_000, 60_000, drawn))),
    }
}

fn between(least: u64, most: u64, drawn: u64) -> u64 {
    least + drawn % (most.saturating_sub(least) + 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [FailureKind; 21] = [
        FailureKind::OutOfScope,
        FailureKind::TorNotReady,
        FailureKind::DescriptorNotFound,
        FailureKind::DirectoryUnreachable,
        FailureKind::NotAskedAgain,
        FailureKind::DescriptorInvalid,
        FailureKind::ClientKeyNeeded,
        FailureKind::ProofOfWorkNeeded,
        FailureKind::Introduction,
        FailureKind::IntroductionRefused,
        FailureKind::MeetingPoint,
        FailureKind::Rendezvous,
        FailureKind::StreamRefused,
        FailureKind::ExitFailed,
        FailureKind::NameNotFound,
        FailureKind::Tls,
        FailureKind::Timeout,
        FailureKind::ClosedEmpty,
        FailureKind::NetworkProcess,
        FailureKind::Other,
        FailureKind::Cancelled,
    ];

    proptest! {
        /// Every wait lies in its range, whatever is drawn; no kind is tried more often than allowed.
        #[test]
        fn waits_lie_in_the_table(drawn in any::<u64>(), attempt in 1u32..20, attempts in 1u32..11) {
            for kind in ALL {
                let found = wait(kind, attempt, attempts, drawn);
                match policy(kind) {
                    Policy::Soon { tries, least_ms, most_ms } if attempt < tries.min(attempts) => {
                        let factor = 1u64 << (attempt - 1);
                        let ms = found.map_or(0, |wait| wait.as_millis());
                        prop_assert!((least_ms * factor..=most_ms * factor).contains(&(ms as u64)), "{kind:?}: {ms}");
                    }
                    _ => prop_assert_eq!(found, None),
                }
                if let Some(pause) = pause(kind, drawn) {
                    prop_assert!(pause >= Duration::from_secs(900) && pause <= Duration::from_secs(1200));
                }
            }
        }

        /// What a server asks for is waited for, and a little more, or not at all.
        #[test]
        fn a_server_that_says_later(asked in prop::option::of(any::<u64>()), drawn in any::<u64>()) {
            match (again(1, asked, drawn), asked) {
                (Some(wait), Some(asked)) => prop_assert!(wait > Duration::from_secs(asked) && asked <= 600),
                (Some(wait), None) => prop_assert!((20..=60).contains(&wait.as_secs())),
                (None, asked) => prop_assert!(asked > Some(600)),
            }
            prop_assert_eq!(again(2, asked, drawn), None);
        }
    }

    #[test]
    fn down_needs_the_services_own_word() {
        for kind in ALL {
            assert_eq!(verdict(kind, true) == Verdict::Down, kind == FailureKind::StreamRefused, "{kind:?}");
            assert_ne!(verdict(kind, false), Verdict::Down, "an exit's word: {kind:?}");
        }
        assert_eq!(verdict(FailureKind::IntroductionRefused, true), Verdict::Unknown);
        assert_eq!(verdict(FailureKind::DescriptorNotFound, true), Verdict::Unknown);
    }

    /// The table in ARCHITECTURE.md is this one.
    #[test]
    fn the_documented_table_is_the_one_in_force() {
        let page = include_str!("../../ARCHITECTURE.md");
        for kind in ALL {
            let name = serde_json::to_value(kind).expect("JSON").as_str().expect("a name").to_owned();
            let said = match policy(kind) {
                Policy::Never => "not again".to_owned(),
                Policy::Soon { tries, least_ms, most_ms } => {
                    format!("{tries} attempts, {} to {} s, doubled", least_ms / 1000, most_ms / 1000)
                }
                Policy::Later { least_ms, most_ms } => {
                    format!("not for {} to {} min", least_ms / 60_000, most_ms / 60_000)
                }
            };
            let row = page.lines().find(|line| line.starts_with('|') && line.contains(&format!("`{name}`")));
            let row = row.unwrap_or_else(|| panic!("no row for {name}"));
            assert!(row.contains(&said), "{name}: {said} is not in {row}");
        }
    }
}
