//! A session: one mandate, one profile, one agent, from `session-open` to `session-close`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::Semaphore;
use vigie_config::authorize::{Authorization, Powers};
use vigie_config::headers::HeaderSet;
use vigie_config::profile::Profile;
use vigie_config::refusal::Refusal;
use vigie_config::revocation::Revocations;
use vigie_store::clock::Clock;
use vigie_store::{Commitment, Draft, Kind, Private, ProfileKey, Receipt, Recipient, StateOp, Store, StoreError};
use vigie_wire::net::{Failure, NetworkFacts};

use crate::act;
use crate::bounds::LowerBound;
use crate::descriptors::Descriptors;
use crate::error::Problem;
use crate::jar::Jar;
use crate::monitor::Monitor;
use crate::parts::{DrawPool, Net, ParsePool};
use crate::picture::Shelf;
use crate::rows::{FailureRow, RefusalRow, SessionEndRow, SessionRow, SignedAct};
use crate::stop::{Stop, StopSignal};
use crate::usage::Meter;
use crate::wanted::Wanted;
use crate::workstation::Workstation;

/// Everything that a capture needs. Shared by the tasks of one run.
pub struct Session {
    /// Random id, in every entry of the session.
    pub id: [u8; 16],
    /// Random secret of the session; circuits are keyed by it.
    pub secret: [u8; 32],
    /// The store.
    pub store: Arc<Store>,
    /// The network part.
    pub net: Net,
    /// Who reads what it brings.
    pub pages: Arc<ParsePool>,
    /// Who draws it, unless the workstation wants no pictures.
    pub pictures: Option<Arc<DrawPool>>,
    /// What later pages are drawn with.
    pub shelf: Shelf,
    /// What each process put on, for the record.
    pub confinement: serde_json::Value,
    /// Facts of the network.
    pub facts: NetworkFacts,
    /// The signed consensus of the network when the session opened.
    pub consensus: LowerBound,
    /// This workstation's configuration.
    pub workstation: Workstation,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Who watches.
    pub monitor: Arc<dyn Monitor>,
    /// Mandate, profile and agent, bound.
    pub powers: Powers,
    /// The pseudonym.
    pub profile: Profile,
    /// Its key.
    pub profile_key: ProfileKey,
    /// Key of the mandate's account of requests and bytes.
    pub account_key: ProfileKey,
    /// Its header set.
    pub headers: HeaderSet,
    /// Who can open what is recorded.
    pub recipients: Vec<Recipient>,
    /// Why the agent looks.
    pub purpose: String,
    /// Digests of the software and its configuration.
    pub software: Software,
    /// Bytes received in this session.
    pub wire_bytes: AtomicU64,
    /// Exchanges at once, as the mandate allows.
    pub permits: Arc<Semaphore>,
    pub(crate) jar: Mutex<Jar>,
    pub(crate) meter: Mutex<Meter>,
    pub(crate) revocations: RwLock<Revocations>,
    pub(crate) stop: Stop,
    pub(crate) tally: Tally,
    pub(crate) waiting: std::sync::atomic::AtomicBool,
    pub(crate) later: Mutex<Vec<StateOp>>,
    pub(crate) descriptors: Descriptors,
    /// Targets whose client keys Tor was given.
    pub(crate) client_keys: Vec<String>,
    /// Targets whose descriptor was asked about proof of work, and the effort that it suggests.
    pub(crate) work_asked: Mutex<std::collections::HashMap<String, Option<u32>>>,
    pub(crate) left_alone: Mutex<std::collections::HashMap<String, std::time::Instant>>,
}

/// One attempt that failed.
pub(crate) struct Attempt {
    /// From 1.
    pub number: u32,
    /// What it took, in milliseconds.
    pub elapsed_ms: u64,
    /// The wait before the next one, in milliseconds; `None` when there is none.
    pub wait_ms: Option<u64>,
    /// What it says of the far side.
    pub verdict: String,
    /// The exit that it went through, when that is known.
    pub exit: Option<String>,
}

/// Counts of a session.
#[derive(Default)]
pub struct Tally {
    /// Exhibits acknowledged.
    pub exhibits: AtomicU64,
    /// Exhibits that are not whole.
    pub incomplete: AtomicU64,
    /// Refusal entries.
    pub refusals: AtomicU64,
    /// Refusals of something that was asked for: an address, a redirect of a page.
    pub refused_pages: AtomicU64,
    /// Failure entries.
    pub failures: AtomicU64,
    /// Pages given up after the last attempt.
    pub failed_pages: AtomicU64,
}

/// Digests that let a court compare the software with a published build.
#[derive(Clone, Debug)]
pub struct Software {
    /// `vigie 0.1.0`.
    pub version: String,
    /// Hex SHA-256 of the running binary, or `unknown`.
    pub binary_sha256: String,
    /// Hex SHA-256 of `vigie.toml`.
    pub config_sha256: String,
}

pub(crate) fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    /// Time now.
    pub fn now(&self) -> Timestamp {
        self.clock.stamp().wall
    }

    /// The session records a network that is not the public Tor network.
    pub fn test_network(&self) -> bool {
        !self.facts.public || self.facts.tls_extra_roots > 0
    }

    /// Asks the mandate; what it permits counts as a request of its account.
    pub fn authorize(&self, wanted: &Wanted) -> Result<Authorization, Refusal> {
        let now = self.now();
        let revocations = self.revocations.read().unwrap_or_else(PoisonError::into_inner);
        // The request is counted under the same lock that looked for room: many ask at once.
        let mut meter = held(&self.meter);
        let answer = self.powers.authorize(&wanted.ask(), &revocations, &meter.usage(now), now);
        if answer.is_ok() {
            meter.request(now);
            self.waiting.store(false, Ordering::Relaxed);
        }
        drop(meter);
        if let Err(refusal) = &answer
            && refusal.is_session_fatal()
        {
            self.stop.raise(format!("refused: {refusal}"));
        }
        answer
    }

    /// The run is to end.
    pub fn stopping(&self) -> bool {
        self.stop.reason().is_some()
    }

    /// Why the run is to end.
    pub fn stop_reason(&self) -> Option<String> {
        self.stop.reason()
    }

    /// Raised when the run is to end.
    pub fn stop_signal(&self) -> StopSignal {
        self.stop.signal()
    }

    /// Waits, unless the run is to end first.
    pub async fn pause(&self, wait: Duration) -> Result<(), Stopped> {
        let mut stop = self.stop_signal();
        tokio::select! {
            () = tokio::time::sleep(wait) => Ok(()),
            () = stop.raised() => Err(Stopped),
        }
    }

    /// Nothing of the target is asked for so long.
    pub(crate) fn leave_alone(&self, target: &str, pause: Duration) {
        let until = std::time::Instant::now() + pause;
        held(&self.left_alone).insert(target.to_owned(), until);
    }

    /// How long nothing of the target is asked yet.
    pub(crate) fn left_alone(&self, target: &str) -> Option<Duration> {
        let until = held(&self.left_alone).get(target).copied()?;
        Some(until.saturating_duration_since(std::time::Instant::now())).filter(|left| !left.is_zero())
    }

    pub(crate) fn usage_bytes(&self, count: u64) {
        held(&self.meter).bytes(self.now(), count);
    }

    pub(crate) fn waiting_for_limit(&self) {
        if !self.waiting.swap(true, Ordering::Relaxed) {
            self.monitor.line("the mandate's limit of requests per hour is reached: waiting for room");
        }
    }

    /// `Cookie` field for a URL and how many cookies it holds.
    pub(crate) fn cookies(&self, url: &url::Url) -> (Option<String>, usize) {
        let jar = held(&self.jar);
        (jar.header(url), jar.count(url))
    }

    /// Keeps what a response set; gives the state to store with its exhibit.
    pub(crate) fn receive_cookies(&self, url: &url::Url, fields: &[String]) -> Vec<StateOp> {
        held(&self.jar).receive(url, fields, &self.profile_key)
    }

    /// A change that may wait for the next entry.
    pub(crate) fn store_later(&self, operation: StateOp) {
        held(&self.later).push(operation);
    }

    /// The account of requests and bytes, to be stored with an entry.
    pub(crate) fn usage_state(&self) -> Vec<StateOp> {
        held(&self.meter).kept(self.now(), &self.account_key)
    }

    /// An entry of this session without its content.
    pub(crate) fn draft(&self, kind: Kind, row: &impl serde::Serialize, private: serde_json::Value) -> Draft {
        Draft {
            kind,
            mandate: Some(self.powers.mandate().digest().0),
            session: Some(self.id),
            exhibit: None,
            commitments: Vec::new(),
            private: Some(Private { recipients: self.recipients.clone(), json: private.to_string().into_bytes() }),
            row: serde_json::to_vec(row).unwrap_or_default(),
            url_row: None,
            state: {
                let mut state = self.usage_state();
                state.append(&mut held(&self.later));
                state
            },
        }
    }

    /// Appends an entry; any error stops the run (fail closed).
    pub(crate) async fn append(&self, draft: Draft) -> Result<Receipt, StoreError> {
        let (sender, receiver) = tokio::sync::oneshot::channel();
        self.store.submit(draft, Box::new(move |result| drop(sender.send(result))));
        let result = receiver.await.unwrap_or(Err(StoreError::Closed));
        if let Err(error) = &result {
            self.stop.raise(format!("the store accepts nothing more: {error}"));
        }
        result
    }

    /// Logs that something was not permitted. `refused` pairs each address with its reason.
    pub(crate) async fn log_refusal(
        &self,
        target: &str,
        refused: &[(String, Refusal)],
        context: &str,
        asked_for: bool,
    ) {
        let Some((_, first)) = refused.first() else { return };
        let row = RefusalRow {
            code: first.code().to_owned(),
            line: first.to_string(),
            target: target.to_owned(),
            count: u32::try_from(refused.len()).unwrap_or(u32::MAX),
        };
        let list: Vec<_> = refused
            .iter()
            .map(|(url, refusal)| json!({"url": url, "code": refusal.code(), "reason": refusal.to_string()}))
            .collect();
        let mut draft = self.draft(Kind::Refusal, &row, json!({"target": target, "context": context, "refused": list}));
        draft.commitments.push(Commitment { name: "url", value: refused[0].0.clone().into_bytes() });
        self.tally.refusals.fetch_add(1, Ordering::Relaxed);
        if asked_for {
            self.tally.refused_pages.fetch_add(1, Ordering::Relaxed);
        }
        if self.append(draft).await.is_ok() && asked_for {
            let place = if target.is_empty() { context.to_owned() } else { format!("{context}, {target}") };
            self.monitor.line(&format!("refused ({place}): {first}"));
        }
    }

    /// Logs one failed attempt.
    pub(crate) async fn log_failure(&self, target: &str, wanted: &Wanted, failure: &Failure, attempt: Attempt) {
        let Attempt { number: attempt, elapsed_ms, wait_ms, verdict, exit } = attempt;
        let row = FailureRow {
            target: target.to_owned(),
            kind: kind_name(failure),
            detail: failure.detail.clone(),
            attempt,
            elapsed_ms,
            wait_ms,
            verdict: Some(verdict),
        };
        let private = json!({"url": wanted.url, "target": target, "kind": row.kind, "detail": failure.detail,
            "attempt": attempt, "elapsed_ms": elapsed_ms, "wait_ms": wait_ms, "verdict": row.verdict, "exit": exit});
        let mut draft = self.draft(Kind::Failure, &row, private);
        draft.commitments.push(Commitment { name: "url", value: wanted.url.clone().into_bytes() });
        self.tally.failures.fetch_add(1, Ordering::Relaxed);
        if self.append(draft).await.is_ok() {
            self.monitor.line(&format!("attempt {attempt} failed ({target}): {}: {}", row.kind, row.detail));
        }
    }

    /// Logs that something was recorded and not read.
    pub(crate) async fn log_unread(&self, target: &str, url: &str, detail: &str) {
        let kind = "not-read".to_owned();
        let row = FailureRow {
            target: target.to_owned(),
            kind,
            detail: detail.to_owned(),
            attempt: 1,
            elapsed_ms: 0,
            wait_ms: None,
            verdict: Some(crate::retry::Verdict::Answered.name().to_owned()),
        };
        let private = json!({"url": url, "target": target, "kind": row.kind, "detail": detail});
        let mut draft = self.draft(Kind::Failure, &row, private);
        draft.commitments.push(Commitment { name: "url", value: url.as_bytes().to_vec() });
        self.tally.failures.fetch_add(1, Ordering::Relaxed);
        if self.append(draft).await.is_ok() {
            self.monitor.line(&format!("recorded, not read ({target}): {detail}"));
        }
    }

    /// First entry of the session.
    pub(crate) async fn log_open(&self, act: SignedAct) -> Result<Receipt, Problem> {
        let mandate = self.powers.mandate();
        let row = SessionRow {
            mandate: mandate.id().to_owned(),
            case: mandate.case().to_owned(),
            agent: self.powers.agent_code().to_owned(),
            profile: self.profile.name().to_owned(),
            test_network: self.test_network(),
            act: act.clone(),
        };
        let private = json!({
            "statement": act.statement, "signature": act.signature,
            "software": self.software.version, "binary_sha256": self.software.binary_sha256,
            "config_sha256": self.software.config_sha256,
            "network": {"arti": self.facts.arti_version, "authorities": self.facts.authorities,
                "authorities_sha256": self.facts.authorities_sha256, "public": self.facts.public,
                "tls_roots_sha256": self.facts.tls_roots_sha256, "tls_extra_roots": self.facts.tls_extra_roots,
                "vanguards": self.facts.vanguards, "proof_of_work": self.facts.proof_of_work},
            "consensus": self.consensus.record,
            "confinement": self.confinement,
            "client_keys": self.client_keys,
        });
        let mut draft = self.draft(Kind::SessionOpen, &row, private);
        draft.commitments.extend(act::commitments(&act));
        self.append(draft).await.map_err(Problem::from)
    }

    /// Last entry of the session.
    pub(crate) async fn log_close(&self, end: &str) -> Result<Receipt, Problem> {
        let row = SessionEndRow {
            exhibits: self.tally.exhibits.load(Ordering::Relaxed),
            refusals: self.tally.refusals.load(Ordering::Relaxed),
            failures: self.tally.failures.load(Ordering::Relaxed),
            end: end.to_owned(),
        };
        let private = json!({"end": end});
        let draft = self.draft(Kind::SessionClose, &row, private);
        self.append(draft).await.map_err(Problem::from)
    }
}

/// The run is to end.
#[derive(Debug)]
pub struct Stopped;

/// Stable name of a failure's layer.
pub(crate) fn kind_name(failure: &Failure) -> String {
    serde_json::to_value(failure.kind).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
}
