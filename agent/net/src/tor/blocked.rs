//! What keeps Tor from coming up, found by asking the relays that Arti itself begins with.

use std::sync::Arc;
use std::time::Duration;

use arti_client::TorClient;
use arti_client::config::dir::FallbackDir;
use arti_client::status::BlockageKind;
use rand::seq::IndexedRandom;
use tokio::sync::mpsc;
use tor_chanmgr::{ChannelUsage, Error};
use tor_rtcompat::PreferredRuntime;
use vigie_wire::net::Blocked;

/// When Tor is not up after so long, somebody should know why.
const FIRST: Duration = Duration::from_secs(3);
/// How long until the next look.
const AGAIN: Duration = Duration::from_secs(10);
/// How long one relay may take to answer.
const ANSWER: Duration = Duration::from_secs(10);
/// Relays that are asked: one of them may lie about the time.
const ASKED: usize = 3;
/// From here on a difference of clocks is worth a word: where Arti begins to warn.
const NOTEWORTHY_S: f64 = 15.0 * 60.0;

/// Relays to ask, and whether bridges stand in their place. Relays of the public list are left alone by whoever
/// has bridges: their addresses would tell the network that Tor is used.
pub(super) struct Ways {
    pub fallbacks: Vec<FallbackDir>,
    pub bridges: bool,
}

/// Looks until somebody aborts it; tells each finding.
pub(super) async fn watch(client: Arc<TorClient<PreferredRuntime>>, ways: Ways, found: mpsc::Sender<Option<Blocked>>) {
    tokio::time::sleep(FIRST).await;
    loop {
        if found.send(look(&client, &ways).await).await.is_err() {
            return;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn look(client: &TorClient<PreferredRuntime>, ways: &Ways) -> Option<Blocked> {
    let kind = client.bootstrap_status().blocked().map(|blocked| blocked.kind());
    if ways.bridges {
        return arti(kind?);
    }
    let manager = client.chanmgr().ok()?;
    let chosen: Vec<FallbackDir> = ways.fallbacks.sample(&mut rand::rng(), ASKED).cloned().collect();
    let asked = chosen.iter().map(|relay| {
        let manager = Arc::clone(&manager);
        async move {
            match tokio::time::timeout(ANSWER, manager.get_or_launch(relay, ChannelUsage::Dir)).await {
                Ok(Ok((channel, _))) => Heard::Clock(channel.clock_skew().as_secs_f64()),
                Ok(Err(error)) => heard(&error),
                Err(_) => Heard::Nothing,
            }
        }
    });
    judge(&futures::future::join_all(asked).await, kind)
}

/// What one relay said.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Heard {
    /// By how many seconds our clock is ahead of its own.
    Clock(f64),
    /// It could not be connected to.
    Nothing,
    /// Something answered that is not the relay.
    Stranger,
    /// Another attempt to connect to it is under way.
    Unknown,
}

/// What an attempt that failed says.
fn heard(error: &Error) -> Heard {
    if let Some(skew) = error.clock_skew() {
        return Heard::Clock(skew.as_secs_f64());
    }
    match error {
        Error::Connect { .. } | Error::ChanTimeout { .. } => Heard::Nothing,
        Error::Io { .. } | Error::Proto { .. } => Heard::Stranger,
        _ => Heard::Unknown,
    }
}

/// What all of them say together; `kind` is what Arti thinks of it.
fn judge(heard: &[Heard], kind: Option<BlockageKind>) -> Option<Blocked> {
    let mut clocks: Vec<f64> =
        heard.iter().filter_map(|heard| if let Heard::Clock(off) = heard { Some(*off) } else { None }).collect();
    clocks.sort_by(f64::total_cmp);
    if let Some(median) = clocks.get(clocks.len() / 2).copied() {
        if median.abs() >= NOTEWORTHY_S {
            let relays = u8::try_from(clocks.len()).unwrap_or(u8::MAX);
            return Some(Blocked::Clock { off_s: median as i64, relays });
        }
        return matches!(kind, Some(BlockageKind::CantBootstrap)).then_some(Blocked::Directory);
    }
    let all = |wanted: Heard| !heard.is_empty() && heard.iter().all(|one| *one == wanted);
    if all(Heard::Nothing) {
        Some(Blocked::NoGuard { bridges: false })
    } else if heard.contains(&Heard::Stranger) {
        Some(Blocked::Filtered)
    } else {
        arti(kind?)
    }
}

/// What Arti says by itself. That a clock is wrong it says without a number.
fn arti(kind: BlockageKind) -> Option<Blocked> {
    match kind {
        BlockageKind::Offline | BlockageKind::CantReachTor => Some(Blocked::NoGuard { bridges: true }),
        BlockageKind::Filtering => Some(Blocked::Filtered),
        BlockageKind::CantBootstrap => Some(Blocked::Directory),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_several_relays_say_together() {
        let day = 86_400.0;
        use Heard::{Clock, Nothing, Stranger, Unknown};
        let clock = |off_s, relays| Some(Blocked::Clock { off_s, relays });
        // One that lies is outvoted, one that is silent says nothing.
        assert_eq!(judge(&[Clock(2.0 * day), Clock(-9.0), Clock(2.0 * day)], None), clock(172_800, 3));
        assert_eq!(judge(&[Clock(-3.0 * day), Nothing, Unknown], None), clock(-259_200, 1));
        assert_eq!(judge(&[Clock(1.0), Clock(90.0 * day), Clock(0.0)], None), None);
        assert_eq!(judge(&[Clock(0.0)], Some(BlockageKind::CantBootstrap)), Some(Blocked::Directory));
        assert_eq!(judge(&[Clock(899.0)], None), None);
        assert_eq!(judge(&[Clock(900.0)], None), clock(900, 1));
        assert_eq!(judge(&[Nothing, Nothing, Nothing], None), Some(Blocked::NoGuard { bridges: false }));
        assert_eq!(judge(&[Nothing, Stranger, Nothing], None), Some(Blocked::Filtered));
        assert_eq!(judge(&[Nothing, Unknown], None), None, "not known yet");
        assert_eq!(judge(&[], None), None);
        assert_eq!(arti(BlockageKind::Offline), Some(Blocked::NoGuard { bridges: true }));
        assert_eq!(arti(BlockageKind::Disabled), None);
    }
}
