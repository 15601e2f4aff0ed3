//! Waiting for Tor: not for ever, and with a word on how far it came.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use vigie_wire::net::{Blocked, Consensus, Failure, FailureKind};

use crate::error::Problem;
use crate::monitor::Monitor;
use crate::parts::Net;
use crate::session::held;
use crate::stop::Stop;

/// Why there is no Tor.
pub enum NotUp {
    /// It failed, or took longer than the workstation waits.
    Failed(Failure),
    /// The clock contradicts the network.
    Refused(Problem),
    /// The run was stopped first.
    Stopped,
}

/// From this difference of clocks on nobody waits any longer: Arti takes no directory that begins to hold more
/// than a day from now (its `directory_tolerance`), and what is recorded would bear a wrong date.
const WRONG_CLOCK_S: u64 = 24 * 3600;

/// How far it came, and what was in the way.
#[derive(Default)]
struct Seen {
    summary: String,
    blocked: Option<Blocked>,
}

/// Brings Tor up within a limit; gives the consensus that it then uses. What is in the way is told as soon as
/// it is known; a clock that is wrong by a day ends the wait.
pub async fn bring_up(net: &Net, monitor: &Arc<dyn Monitor>, limit: Duration, stop: &Stop) -> Result<Consensus, NotUp> {
    let seen = Arc::new(Mutex::new(Seen { summary: "nothing yet".to_owned(), blocked: None }));
    let (told, shown) = (Arc::clone(&seen), Arc::clone(monitor));
    let (hopeless, mut given_up) = tokio::sync::mpsc::unbounded_channel();
    let ready = async move {
        net.bootstrap(move |state| {
            let doing = state.blocked.map_or_else(|| state.summary.clone(), words);
            shown.tor(if state.ready { 1.0 } else { state.fraction }, &doing);
            let mut seen = held(&told);
            if let Some(blocked) = state.blocked {
                let before = seen.blocked.replace(blocked);
                if before.map(|before| std::mem::discriminant(&before)) != Some(std::mem::discriminant(&blocked)) {
                    shown.line(&format!("Tor is not up yet: {}", words(blocked)));
                }
                if matches!(blocked, Blocked::Clock { off_s, .. } if off_s.unsigned_abs() >= WRONG_CLOCK_S) {
                    let _ = hopeless.send(blocked);
                }
            } else {
                seen.blocked = None;
            }
            seen.summary = state.summary;
        })
        .await?;
        net.consensus().await
    };
    let not_ready = |detail| NotUp::Failed(Failure { kind: FailureKind::TorNotReady, detail });
    let mut signal = stop.signal();
    tokio::select! {
        biased;
        () = signal.raised() => Err(NotUp::Stopped),
        ready = tokio::time::timeout(limit, ready) => match ready {
            Ok(Ok(consensus)) => Ok(consensus),
            Ok(Err(failure)) => Err(NotUp::Failed(failure)),
            Err(_) => {
                let seen = held(&seen);
                let came_to = seen.summary.trim_end_matches('.');
                let late = format!("not within {} ms, it came to: {came_to}", limit.as_millis());
                Err(not_ready(seen.blocked.map_or_else(|| late.clone(), |blocked| format!("{} ({late})", words(blocked)))))
            }
        },
        Some(blocked) = given_up.recv() => Err(not_ready(words(blocked))),
    }
}

/// What is in the way, in plain words.
fn words(blocked: Blocked) -> String {
    match blocked {
        Blocked::Clock { off_s, relays } => {
            let way = if off_s > 0 { "ahead" } else { "behind" };
            let said = if relays == 1 { "one relay says".to_owned() } else { format!("{relays} relays say") };
            format!("the clock is {} {way}, as {said}: set it right", span(off_s.unsigned_abs()))
        }
        Blocked::NoGuard { bridges: false } => {
            "cannot reach any guard: no relay that was tried can be connected to: is this machine online, and does \
             its firewall let Tor out? Where Tor is blocked, a bridge helps"
                .to_owned()
        }
        Blocked::NoGuard { bridges: true } => {
            "cannot reach any guard: no bridge of the configuration can be connected to: is this machine online, \
             and does the bridge still run?"
                .to_owned()
        }
        Blocked::Filtered => {
            "connections to relays are answered by something else: the network on the way filters Tor: use a bridge"
                .to_owned()
        }
        Blocked::Directory => {
            "relays answer, and no usable directory comes from them: wait, or try another network".to_owned()
        }
    }
}

/// A span of time in its largest unit, rounded.
fn span(seconds: u64) -> String {
    let (unit, name) = match seconds {
        129_600.. => (86_400, "days"),
        5400.. => (3600, "hours"),
        _ => (60, "minutes"),
    };
    let count = (seconds + unit / 2) / unit;
    format!("{count} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_said_with_its_size_and_way() {
        let said = |off_s, relays| words(Blocked::Clock { off_s, relays });
        assert_eq!(said(5 * 86_400 - 9, 3), "the clock is 5 days ahead, as 3 relays say: set it right");
        assert_eq!(said(-36 * 3600, 1), "the clock is 2 days behind, as one relay says: set it right");
        assert_eq!(said(-7205, 2), "the clock is 2 hours behind, as 2 relays say: set it right");
        assert_eq!(said(1000, 2), "the clock is 17 minutes ahead, as 2 relays say: set it right");
        assert_eq!(span(0), "0 minutes");
        assert_eq!(span(5399), "90 minutes");
    }
}
