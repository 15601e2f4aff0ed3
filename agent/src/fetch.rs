//! One exchange, from permission to recorded bytes. The only caller of *net*: it takes an
//! [`Authorization`] and nothing else can make a request leave.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use vigie_config::authorize::{Authorization, Element, MediaPolicy};
use vigie_config::headers::From;
use vigie_config::refusal::Refusal;
use vigie_config::target::{Scheme, TargetUrl, TlsPolicy};
use vigie_store::spool::{Spool, SpoolReader};
use vigie_wire::limits::{APART, PARSE_BODY_BYTES};
use vigie_wire::net::{
    CircuitKey, Connection, DescriptorRequest, Event, Exit, Failure, FailureKind, Finished, Method, Request,
    ResponseHead, Scope, Transport,
};

use crate::descriptors;
use crate::retry;
use crate::session::{Attempt, Session, held};
use crate::wanted::Wanted;

/// Wire bytes of one response kept in memory; more goes to an encrypted spool file.
const MEMORY_BYTES: usize = 1024 * 1024;

/// A recorded exchange.
pub struct Exchange {
    /// Where it went.
    pub url: TargetUrl,
    /// Label of the target.
    pub target: String,
    /// What it was for.
    pub element: Element,
    /// What the mandate says about keeping its bytes.
    pub media: MediaPolicy,
    /// When the request was ordered.
    pub started: Timestamp,
    /// Exact request bytes.
    pub request: Bytes,
    /// Exact response bytes; `None` when the policy is to hash and discard.
    pub wire: Option<SpoolReader>,
    /// Response head as understood.
    pub head: Option<ResponseHead>,
    /// How it ended.
    pub finished: Finished,
    /// Stream facts.
    pub connection: Option<Connection>,
    /// Body for reading (transfer coding removed), cut at the reading limit.
    pub body: Vec<u8>,
    /// Cookies that went out with it.
    pub cookies_sent: usize,
    /// SHA-256 of the payload (ISO 28500 §6.3.2): the body without transfer coding, found in the
    /// recorded bytes by the rule that also checks them, whatever hyper made of them.
    pub payload_sha256: [u8; 32],
    /// Its length in bytes.
    pub payload_bytes: u64,
    /// Which attempt it was, from 1.
    pub attempt: u32,
    /// What that attempt took in all, in milliseconds.
    pub elapsed_ms: u64,
    /// Whether it is one of two.
    pub answer: Answer,
}

/// Which of the answers to one question it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The mandate asks for one.
    Only,
    /// Of two: the one that is read.
    First,
    /// Of two: the one that is compared with it.
    Second,
}

impl Exchange {
    /// HTTP status, 0 when no head was understood.
    pub fn status(&self) -> u16 {
        self.head.as_ref().map_or(0, |head| head.status)
    }
    /// A header value as text; bytes that are not UTF-8 are replaced.
    pub fn header(&self, name: &str) -> Option<String> {
        self.head.as_ref()?.header(name).map(|value| String::from_utf8_lossy(value).into_owned())
    }
    /// All values of a header.
    pub fn headers(&self, name: &str) -> Vec<String> {
        self.head
            .iter()
            .flat_map(|head| &head.headers)
            .filter(|(n, _)| n == name)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }
}

/// Why there is no exchange.
pub enum Missed {
    /// The mandate says no. Not logged yet: the caller knows the context.
    Refused(Refusal),
    /// All attempts failed; each is in the log.
    Failed(Failure),
    /// The run was stopped.
    Stopped,
}

/// Which way a request goes.
#[derive(Clone, Copy)]
pub enum Way<'a> {
    /// On the target's circuits.
    First,
    /// On other circuits of the target, that end at none of these exits.
    Second(&'a [Exit]),
}

/// What came to be known on the way, also of an exchange that failed.
#[derive(Default)]
pub struct Known {
    /// Label of the target.
    pub target: String,
    /// The target wants two answers.
    pub two_exits: bool,
    /// The exits that were met.
    pub exits: Vec<Exit>,
    /// That of the last attempt.
    pub exit: Option<Exit>,
}

impl Known {
    fn meet(&mut self, exit: Exit) {
        self.exit = Some(exit);
        if self.exits.last() != Some(&exit) {
            self.exits.push(exit);
        }
    }
}

/// Asks for permission and performs the exchange; an attempt that failed on the way is tried
/// again (each time with a new permission), and each failure is a log entry.
pub async fn fetch(
    session: &Arc<Session>,
    wanted: &Wanted,
    way: Way<'_>,
    known: &mut Known,
) -> Result<Exchange, Missed> {
    let attempts = u32::from(session.workstation.fetch.attempts);
    let mut attempt = 1;
    loop {
        let authorization = permission(session, wanted).await?;
        let (target, onion) = (authorization.target_name().to_owned(), authorization.host().ends_with(".onion"));
        (known.target, known.two_exits) = (target.clone(), authorization.two_exits());
        let begun = Instant::now();
        known.exit = None;
        let failure = match exchange(session, authorization, wanted, way, known).await {
            Ok(exchange) => return Ok(Exchange { attempt, elapsed_ms: millis(begun), ..exchange }),
            Err(failure) if failure.kind == FailureKind::Cancelled => {
                // Nothing to say when the run is ending already: the first reason stays.
                session.stop.raise(failure.detail);
                return Err(Missed::Stopped);
            }
            Err(failure) => failure,
        };
        let elapsed_ms = millis(begun);
        let failure = work_wanted(session, &target, wanted, failure).await;
        let drawn = getrandom::u64().unwrap_or(0);
        let wait = retry::wait(failure.kind, attempt, attempts, drawn);
        let wait_ms = wait.map(|wait| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        let verdict = retry::verdict(failure.kind, onion).name().to_owned();
        let attempted =
            Attempt { number: attempt, elapsed_ms, wait_ms, verdict, exit: known.exit.map(|exit| exit.to_string()) };
        session.log_failure(&target, wanted, &failure, attempted).await;
        if let Some(pause) = retry::pause(failure.kind, drawn) {
            session.leave_alone(&target, pause);
        }
        let Some(wait) = wait else { return Err(Missed::Failed(failure)) };
        session.pause(wait).await.map_err(|_| Missed::Stopped)?;
        attempt += 1;
    }
}

/// How long the descriptor of a service that did not come is waited for, in milliseconds.
const WORK_MS: u32 = 20_000;

/// A service that was introduced to and did not come may want work that this build does not do: its descriptor
/// says how much it suggests. That is a hint, not its word, and said so; each target is asked about once a session.
async fn work_wanted(session: &Arc<Session>, target: &str, wanted: &Wanted, failure: Failure) -> Failure {
    let silent = matches!(
        failure.kind,
        FailureKind::Introduction | FailureKind::IntroductionRefused | FailureKind::Rendezvous | FailureKind::Timeout
    );
    let onion = TargetUrl::parse(&wanted.url).ok().filter(TargetUrl::is_onion);
    let Some(onion) = onion.filter(|_| silent && !session.facts.proof_of_work) else { return failure };
    let asked = held(&session.work_asked).get(target).copied();
    let effort = match asked {
        Some(effort) => effort,
        None => {
            let request = DescriptorRequest { onion: onion.host().reveal().to_owned(), limit_ms: WORK_MS };
            let effort = session.net.descriptor(request).await.ok().and_then(|found| found.suggested_effort);
            held(&session.work_asked).insert(target.to_owned(), effort);
            effort
        }
    };
    judged_by_work(failure, effort)
}

/// The failure as it is called once the suggested effort is known.
fn judged_by_work(failure: Failure, effort: Option<u32>) -> Failure {
    match effort {
        Some(effort) if effort > 0 => Failure {
            kind: FailureKind::ProofOfWorkNeeded,
            detail: format!(
                "it did not come ({}), and its descriptor suggests work of effort {effort}, which this build does \
                 not do: build it with the feature pow",
                failure.detail
            ),
        },
        _ => failure,
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The permission, once pacing and the mandate's hourly limit leave room for it.
async fn permission(session: &Session, wanted: &Wanted) -> Result<Authorization, Missed> {
    loop {
        if session.stopping() {
            return Err(Missed::Stopped);
        }
        match session.authorize(wanted) {
            Ok(authorization) => return Ok(authorization),
            // Not a step outside the mandate: the hour is full. The run waits for room.
            Err(refusal) if refusal.code() == "requests-per-hour" => {
                session.waiting_for_limit();
                session.pause(Duration::from_secs(5)).await.map_err(|_| Missed::Stopped)?;
            }
            Err(refusal) => return Err(Missed::Refused(refusal)),
        }
    }
}

/// Sends what the authorization permits and records what comes back.
async fn exchange(
    session: &Arc<Session>,
    authorization: Authorization,
    wanted: &Wanted,
    way: Way<'_>,
    known: &mut Known,
) -> Result<Exchange, Failure> {
    let url = authorization.url().clone();
    let media = authorization.media();
    let keep = media == MediaPolicy::Capture;
    let plain_url = url::Url::parse(url.reveal()).map_err(|_| out_of_scope("the address does not parse"))?;
    let (cookie, cookies_sent) = session.cookies(&plain_url);
    let headers = session.headers.compose(
        authorization.element(),
        &url,
        session.profile.language(),
        cookie.as_deref(),
        From { page: wanted.referer.as_ref(), crossed: wanted.crossed },
    );
    let read_bytes = match authorization.element() {
        Element::Page | Element::Frame | Element::Stylesheet => PARSE_BODY_BYTES as u32,
        // Pages are drawn with their pictures.
        Element::ListingImage | Element::OtherImage
            if session.pictures.is_some()
                && session.powers.media_policy(authorization.element()) == MediaPolicy::Capture =>
        {
            PARSE_BODY_BYTES as u32
        }
        _ => 0,
    };
    let request = Request {
        circuit: circuit(session, authorization.target_name(), way),
        scope: Scope {
            host: authorization.host().to_owned(),
            port: authorization.port(),
            transport: match (authorization.scheme(), authorization.tls_policy()) {
                (Scheme::Http, _) => Transport::Plain,
                (Scheme::Https, TlsPolicy::Strict) => Transport::TlsVerified,
                (Scheme::Https, TlsPolicy::RecordInvalid) => Transport::TlsRecordInvalid,
            },
        },
        method: Method::Get,
        path: authorization.path().to_owned(),
        headers,
        limits: session.workstation.fetch.limits(read_bytes),
        apart_from: match way {
            Way::First => Vec::new(),
            // The exits met last are those that matter.
            Way::Second(exits) => exits.iter().rev().take(APART).copied().collect(),
        },
    };
    let started = session.now();
    let target = authorization.target_name().to_owned();
    let element = authorization.element();
    let mut events = session.net.exchange(request);
    let mut spool =
        if keep { Some(Spool::create(session.store.spool_dir(), MEMORY_BYTES).map_err(disk)?) } else { None };
    let mut recorded = Recorded::default();
    let mut stop = session.stop_signal();
    loop {
        let event = tokio::select! {
            biased;
            event = events.recv() => event,
            () = stop.raised() => return Err(Failure { kind: FailureKind::Cancelled, detail: "stopped".into() }),
        };
        let Some(event) = event else {
            return Err(Failure {
                kind: FailureKind::Other,
                detail: "the network part ended without an answer".into(),
            });
        };
        match event {
            Event::Through(exit) => known.meet(exit),
            Event::Opened(connection) => {
                // A kept stream was opened by an earlier exchange.
                if let Some(through) = &connection.through {
                    known.meet(through.exit);
                }
                recorded.connection = Some(connection);
                if url.is_onion() {
                    descriptors::reached(session, &target, url.host().reveal());
                }
            }
            Event::RequestSent(bytes) => recorded.request = bytes,
            Event::Head(head) => recorded.head = Some(head),
            Event::Wire(bytes) => {
                session.usage_bytes(bytes.len() as u64);
                session.wire_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
                recorded.payload(&bytes);
                if let Some(spool) = spool.as_mut() {
                    spool.write_all(&bytes).map_err(disk)?;
                }
            }
            Event::Body(bytes) => {
                let room = PARSE_BODY_BYTES.saturating_sub(recorded.body.len());
                recorded.body.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Event::Finished(finished) => {
                return Ok(Exchange {
                    url,
                    target,
                    element,
                    media,
                    started,
                    request: recorded.request,
                    wire: spool.map(Spool::finish).transpose().map_err(disk)?,
                    head: recorded.head,
                    finished,
                    connection: recorded.connection,
                    body: recorded.body,
                    cookies_sent,
                    payload_sha256: recorded.sha256.finalize().into(),
                    payload_bytes: recorded.payload_bytes,
                    attempt: 1,
                    elapsed_ms: 0,
                    answer: match way {
                        Way::Second(_) => Answer::Second,
                        Way::First if known.two_exits => Answer::First,
                        Way::First => Answer::Only,
                    },
                });
            }
            Event::Failed(failure) => return Err(failure),
        }
    }
}

#[derive(Default)]
struct Recorded {
    connection: Option<Connection>,
    request: Bytes,
    head: Option<ResponseHead>,
    body: Vec<u8>,
    payload: vigie_warc::Payload,
    sha256: Sha256,
    payload_bytes: u64,
}

impl Recorded {
    /// Hashes what of the wire's bytes is payload.
    fn payload(&mut self, wire: &[u8]) {
        let Self { payload, sha256, payload_bytes, .. } = self;
        payload.feed(wire, &mut |piece| {
            sha256.update(piece);
            *payload_bytes += piece.len() as u64;
        });
    }
}

/// Isolation: nothing about the mandate can be computed from the key without the session secret.
fn circuit(session: &Session, target: &str, way: Way<'_>) -> CircuitKey {
    let mut hash = Sha256::new();
    hash.update(session.secret);
    hash.update(target.as_bytes());
    if let Way::Second(_) = way {
        // No label of a target holds a NUL.
        hash.update(b"\0second");
    }
    CircuitKey(hash.finalize().into())
}

/// The workstation's own disk: no fault of the far side, so the run ends and the page stays to be
/// visited.
fn disk(error: impl std::fmt::Display) -> Failure {
    let detail = format!("spooling a response: {error}: see to the disk, then run again");
    Failure { kind: FailureKind::Cancelled, detail }
}

fn out_of_scope(detail: &str) -> Failure {
    Failure { kind: FailureKind::OutOfScope, detail: detail.into() }
}
