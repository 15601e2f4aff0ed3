//! Sealing: an exhibit and its entry, from what was gathered.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use vigie_config::target::TargetUrl;
use vigie_store::{Commitment, Kind, StateOp};
use vigie_wire::draw::Picture;
use vigie_wire::parse::Page;

use super::{Captured, Outcome};
use crate::error::Failing;
use crate::exits::{self, TwoExits};
use crate::fetch::Exchange;
use crate::originals::Originals;
use crate::record::{Capture, Part, seal};
use crate::rows::{ExhibitRow, TlsRow};
use crate::session::Session;

/// A capture that is ready to be sealed.
pub(super) struct Sealing {
    pub(super) url: TargetUrl,
    pub(super) target: String,
    pub(super) status: u16,
    pub(super) exchanges: Vec<Exchange>,
    pub(super) main: usize,
    pub(super) tls: Option<TlsRow>,
    pub(super) two_exits: Option<TwoExits>,
    pub(super) page: Option<Page>,
    pub(super) picture: Option<Picture>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) incomplete: Option<String>,
    pub(super) attempt: u32,
    pub(super) elapsed_ms: u64,
    pub(super) obstacle: Option<String>,
    pub(super) again: Option<std::time::Duration>,
    pub(super) state: Vec<StateOp>,
}

impl Sealing {
    /// Seals it and waits for the store's receipt.
    pub(super) async fn finish(mut self, session: &Arc<Session>, originals: &Arc<Originals>) -> Outcome {
        let wire_bytes = self.exchanges.iter().map(|e| e.finished.wire_bytes).sum();
        let date = self.exchanges.first().map_or_else(|| session.now(), |e| e.started);
        let exchanges = self.exchanges.len();
        self.facts.push(("complete".into(), self.incomplete.as_ref().map_or("yes".into(), |why| format!("no: {why}"))));
        let parts: Vec<Part> = std::mem::take(&mut self.exchanges)
            .into_iter()
            .map(|exchange| {
                let original = originals.find(&exchange);
                Part { exchange, record_id: vigie_warc::new_record_id(), original }
            })
            .collect();
        let fresh = originals.prepare(session, &parts, date);
        let mut capture = Capture {
            parts,
            main: self.main,
            page: self.page.take(),
            picture: self.picture.take(),
            facts: std::mem::take(&mut self.facts),
            date,
        };
        let sealing = Arc::clone(session);
        let sealed = tokio::task::spawn_blocking(move || seal(&sealing, &mut capture)).await;
        let sealed = match sealed.failing("sealing a capture").and_then(|sealed| sealed) {
            Ok(sealed) => sealed,
            Err(problem) => {
                session.stop.raise(problem.line.clone());
                return Outcome::Failed(problem.line);
            }
        };
        let row = ExhibitRow {
            target: self.target.clone(),
            mandate: session.powers.mandate().id().to_owned(),
            case: session.powers.mandate().case().to_owned(),
            status: self.status,
            exchanges: u32::try_from(exchanges).unwrap_or(u32::MAX),
            wire_bytes,
            complete: self.incomplete.is_none(),
            why: self.incomplete.clone().unwrap_or_default(),
            test_network: session.test_network(),
            attempt: self.attempt,
            elapsed_ms: self.elapsed_ms,
            obstacle: self.obstacle.clone(),
            amber: !self.url.is_secure(),
            tls: self.tls.take(),
            two_exits: self.two_exits.clone(),
        };
        let url = self.url.reveal().to_owned();
        let mut draft = session.draft(
            Kind::Exhibit,
            &row,
            json!({"url": url, "target": self.target, "status": self.status,
            "complete": self.incomplete.is_none(), "why": self.incomplete, "attempt": self.attempt,
            "elapsed_ms": self.elapsed_ms, "obstacle": self.obstacle, "two_exits": self.two_exits}),
        );
        draft.exhibit = Some(sealed);
        draft.commitments.push(Commitment { name: "url", value: url.clone().into_bytes() });
        draft.commitments.push(Commitment { name: "profile", value: session.profile.name().as_bytes().to_vec() });
        draft.url_row = Some((session.profile_key.clone(), url.into_bytes()));
        draft.state.append(&mut self.state);
        match session.append(draft).await {
            Ok(receipt) => {
                session.tally.exhibits.fetch_add(1, Ordering::Relaxed);
                if self.incomplete.is_some() {
                    session.tally.incomplete.fetch_add(1, Ordering::Relaxed);
                }
                let number = receipt.exhibit.unwrap_or(0);
                originals.recorded(session, fresh, number);
                if let Some(two_exits) = self.two_exits.filter(|all| all.verdict != exits::AGREE) {
                    session.monitor.line(&format!("exhibit {number} ({}): two exits: {two_exits}", self.target));
                }
                Outcome::Captured(Box::new(Captured {
                    receipt,
                    wire_bytes,
                    incomplete: self.incomplete,
                    obstacle: self.obstacle,
                    again: self.again,
                }))
            }
            Err(error) => Outcome::Failed(format!("the capture was not stored: {error}")),
        }
    }
}
