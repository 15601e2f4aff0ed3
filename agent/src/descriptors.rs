//! The signed descriptor of each onion service that a session reached: once per time period, beside the
//! captures, never in their way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use vigie_onion::Period;
use vigie_store::{Commitment, Kind};
use vigie_wire::net::{Descriptor, DescriptorRequest, Failure, FailureKind};

use crate::rows::DescriptorRow;
use crate::session::{Session, held, kind_name};

/// How long nobody asks again when there was none, or when the network has not gone on to the next period
/// yet. Tor's own clients leave a directory alone for as long (rend-spec-v3, client behaviour).
const AGAIN: SignedDuration = SignedDuration::from_mins(15);

/// What a session has of each service.
#[derive(Default)]
pub struct Descriptors {
    /// By onion.
    services: Mutex<HashMap<String, Service>>,
    running: Mutex<JoinSet<()>>,
}

/// What is known of one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Service {
    /// Not asked before; `None` while it is being asked.
    next: Option<Timestamp>,
    /// The period of the newest one that is kept.
    kept: Option<u64>,
}

impl Service {
    /// One of which nothing is known.
    const NEW: Self = Self { next: Some(Timestamp::MIN), kept: None };

    /// Whether to ask now; then nobody else asks meanwhile.
    fn take(&mut self, now: Timestamp) -> bool {
        let due = self.next.is_some_and(|next| now >= next);
        if due {
            self.next = None;
        }
        due
    }

    /// Asking brought a descriptor of the period of this number, which ends at `until`, or none. Says whether
    /// it is one to keep.
    fn answered(&mut self, period: Option<(u64, Timestamp)>, now: Timestamp) -> bool {
        let later = now.checked_add(AGAIN).unwrap_or(Timestamp::MAX);
        match period {
            Some((number, until)) if self.kept != Some(number) => {
                // A network that is behind its own clock is asked for the next one in a while.
                *self = Self { next: Some(until.max(later)), kept: Some(number) };
                true
            }
            _ => {
                self.next = Some(later);
                false
            }
        }
    }
}

/// A service was reached: its descriptor of this period is fetched unless it is kept already.
pub(crate) fn reached(session: &Arc<Session>, target: &str, onion: &str) {
    let now = session.now();
    if !held(&session.descriptors.services).entry(onion.to_owned()).or_insert(Service::NEW).take(now) {
        return;
    }
    let (session, target, onion) = (Arc::clone(session), target.to_owned(), onion.to_owned());
    let mut running = held(&session.descriptors.running);
    // What has ended leaves.
    while running.try_join_next().is_some() {}
    let own = Arc::clone(&session);
    running.spawn(async move { keep(&own, &target, &onion).await });
}

/// Waits for what is still being fetched, so that the session's last entry is its last.
pub(crate) async fn finish(session: &Session) {
    let mut running = std::mem::take(&mut *held(&session.descriptors.running));
    while running.join_next().await.is_some() {}
}

async fn keep(session: &Arc<Session>, target: &str, onion: &str) {
    let begun = Instant::now();
    let request = DescriptorRequest { onion: onion.to_owned(), limit_ms: session.workstation.fetch.connect_ms };
    let mut stop = session.stop_signal();
    let fetched = tokio::select! {
        biased;
        fetched = session.net.descriptor(request) => fetched,
        () = stop.raised() => Err(Failure {
            kind: FailureKind::Cancelled,
            detail: "the session ended before it came".into(),
        }),
    };
    let elapsed_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let judged = fetched.and_then(|descriptor| judge(descriptor, onion));
    let period = judged.as_ref().ok().map(|judged| (judged.descriptor.period_number, judged.until));
    let now = session.now();
    let fresh = {
        let mut services = held(&session.descriptors.services);
        services.entry(onion.to_owned()).or_insert(Service::NEW).answered(period, now)
    };
    match judged {
        Ok(judged) if fresh => log_kept(session, target, onion, &judged, elapsed_ms).await,
        // The network is still in the period of which one is kept.
        Ok(_) => {}
        Err(failure) => log_missing(session, target, onion, &failure, elapsed_ms).await,
    }
}

/// A descriptor whose chain holds.
struct Judged {
    descriptor: Descriptor,
    sha256: String,
    proof: vigie_onion::Proof,
    fetched: Timestamp,
    from: Timestamp,
    until: Timestamp,
}

/// Checks the whole chain without Tor's code: what could not be shown to anybody is not kept.
fn judge(descriptor: Descriptor, onion: &str) -> Result<Judged, Failure> {
    let invalid = |detail: String| Failure { kind: FailureKind::DescriptorInvalid, detail };
    let period = Period {
        number: descriptor.period_number,
        length_minutes: descriptor.period_minutes,
        offset_seconds: descriptor.period_offset_s,
    };
    let range = period.range().ok_or_else(|| invalid("a time period that no network has".into()))?;
    let time = |second| Timestamp::from_second(second).map_err(|e| invalid(e.to_string()));
    let (fetched, from, until) = (time(descriptor.fetched)?, time(range.start)?, time(range.end)?);
    let read = vigie_onion::Descriptor::parse(&descriptor.document).map_err(|e| invalid(e.to_string()))?;
    let proof = read.check(onion, &period, fetched).map_err(|e| invalid(e.to_string()))?;
    if proof.blinded_key != descriptor.blinded_key {
        return Err(invalid("Tor computed another key for this time period".into()));
    }
    let sha256 = read.sha256();
    Ok(Judged { descriptor, sha256, proof, fetched, from, until })
}

async fn log_kept(session: &Arc<Session>, target: &str, onion: &str, judged: &Judged, elapsed_ms: u64) {
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let Judged { descriptor, sha256, proof, fetched, from, until } = judged;
    let row = DescriptorRow::Kept {
        target: target.to_owned(),
        from: from.to_string(),
        until: until.to_string(),
        bytes: descriptor.document.len() as u64,
        revision: proof.revision,
        suggested_effort: descriptor.suggested_effort,
        elapsed_ms,
    };
    let valid_after = Timestamp::from_second(descriptor.consensus_valid_after).unwrap_or_default();
    let private = json!({
        "what": "kept",
        "target": target,
        "onion": onion,
        "descriptor": data_encoding::BASE64.encode(&descriptor.document),
        "sha256": sha256,
        "period": {
            "number": descriptor.period_number,
            "length_minutes": descriptor.period_minutes,
            "offset_seconds": descriptor.period_offset_s,
            "from": from.to_string(),
            "until": until.to_string(),
        },
        "blinded_key": hex(&descriptor.blinded_key),
        "hsdir": {"ed25519": hex(&descriptor.hsdir_ed25519), "rsa": hex(&descriptor.hsdir_rsa)},
        "fetched": fetched.to_string(),
        "consensus_valid_after": valid_after.to_string(),
        "elapsed_ms": elapsed_ms,
    });
    append(session, &row, private, onion, Some(sha256)).await;
}

async fn log_missing(session: &Arc<Session>, target: &str, onion: &str, failure: &Failure, elapsed_ms: u64) {
    let kind = kind_name(failure);
    let row = DescriptorRow::Missing {
        target: target.to_owned(),
        kind: kind.clone(),
        detail: failure.detail.clone(),
        elapsed_ms,
    };
    let private = json!({"what": "missing", "target": target, "onion": onion, "kind": kind,
        "detail": failure.detail, "elapsed_ms": elapsed_ms});
    append(session, &row, private, onion, None).await;
    session.monitor.line(&format!("no descriptor kept ({target}): {kind}: {}", failure.detail));
}

async fn append(session: &Arc<Session>, row: &DescriptorRow, private: Value, onion: &str, sha256: Option<&String>) {
    let mut draft = session.draft(Kind::Descriptor, row, private);
    draft.commitments.push(Commitment { name: "onion", value: onion.as_bytes().to_vec() });
    if let Some(digest) = sha256.and_then(|text| data_encoding::HEXLOWER.decode(text.as_bytes()).ok()) {
        draft.commitments.push(Commitment { name: "descriptor", value: digest });
    }
    // A store that takes nothing more stops the run by itself.
    let _ = session.append(draft).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    /// Once per period, by one task at a time, and again when the period has changed.
    #[test]
    fn once_per_period() {
        let (mut service, day) = (Service::NEW, 86_400);
        assert!(service.take(at(0)));
        assert!(!service.take(at(1)), "one is asking");
        assert!(service.answered(Some((7, at(day))), at(2)));
        for second in [3, day / 2, day - 1] {
            assert!(!service.take(at(second)), "kept for this period");
        }
        // The period is over, but the network's consensus is still the old one.
        assert!(service.take(at(day)));
        assert!(!service.answered(Some((7, at(day))), at(day + 1)));
        assert!(!service.take(at(day + 2)));
        assert!(service.take(at(day + 901)));
        assert!(service.answered(Some((8, at(2 * day))), at(day + 902)));
        assert!(!service.take(at(2 * day - 1)) && service.take(at(2 * day)));
    }

    /// A failure is not followed by another within 15 minutes, and what is kept stays.
    #[test]
    fn not_asked_again_at_once() {
        let mut service = Service::NEW;
        assert!(service.take(at(0)) && !service.answered(None, at(5)));
        assert!(!service.take(at(904)) && service.take(at(905)));
        assert!(service.answered(Some((1, at(1_000))), at(906)));
        assert_eq!(service, Service { next: Some(at(1_806)), kept: Some(1) }, "a short period is not hammered");
        assert!(service.take(at(2_000)) && !service.answered(None, at(2_001)));
        assert_eq!(service.kept, Some(1));
    }
}
