//! What is told of one response, and how far it is from its limits of time.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;
use vigie_wire::limits::{CHUNK_BYTES, PARSE_BODY_BYTES};
use vigie_wire::net::{Event, Failure, FailureKind, Finished, Incomplete, Limits, ResponseHead};

use crate::wire::{Read, Tap};

/// Nobody listens any more.
pub struct Gone;

/// The account of one response.
pub struct Progress<'e> {
    limits: Limits,
    request: Bytes,
    events: &'e mpsc::Sender<Event>,
    tap: Tap,
    begun: Instant,
    told: bool,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Since when we wait for the far side, rather than it for us.
    since: Instant,
    wire_bytes: u64,
    status: Option<u16>,
    body_bytes: u64,
    read_bytes: usize,
    hash: Sha256,
}

impl<'e> Progress<'e> {
    /// Nothing has happened yet.
    pub fn new(limits: Limits, request: Bytes, events: &'e mpsc::Sender<Event>, tap: Tap) -> Self {
        let now = Instant::now();
        Self {
            limits,
            request,
            events,
            tap,
            begun: now,
            told: false,
            first: None,
            last: None,
            since: now,
            wire_bytes: 0,
            status: None,
            body_bytes: 0,
            read_bytes: 0,
            hash: Sha256::new(),
        }
    }

    /// Where the events go.
    pub fn events(&self) -> &'e mpsc::Sender<Event> {
        self.events
    }

    /// The request was told.
    pub fn told(&self) -> bool {
        self.told
    }

    /// Bytes read so far.
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// Status of the response, once its head was understood.
    pub fn status(&self) -> Option<u16> {
        self.status
    }

    async fn tell(&self, event: Event) -> Result<(), Gone> {
        self.events.send(event).await.map_err(|_| Gone)
    }

    /// The request has left, as far as it has: a far side that answers before it has all of it
    /// gets no more.
    pub async fn sent(&mut self) -> Result<(), Gone> {
        if self.told {
            return Ok(());
        }
        self.told = true;
        let left = self.request.slice(..self.tap.written().min(self.request.len()));
        self.tell(Event::RequestSent(left)).await
    }

    /// Bytes as they came.
    pub async fn wire(&mut self, (at, bytes): Read) -> Result<(), Gone> {
        self.sent().await?;
        self.first.get_or_insert(at);
        self.last = Some(at);
        self.wire_bytes += bytes.len() as u64;
        let mut rest = bytes;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(CHUNK_BYTES));
            self.tell(Event::Wire(piece)).await?;
        }
        Ok(())
    }

    /// Takes what the tap still holds.
    pub async fn drain(&mut self) -> Result<(), Gone> {
        while let Some(read) = self.tap.take() {
            self.wire(read).await?;
        }
        Ok(())
    }

    /// The head as hyper understood it. Hyper groups fields of one name; here they stand as on the
    /// wire.
    pub async fn head(&mut self, parts: &http::response::Parts) -> Result<(), Gone> {
        let status = parts.status.as_u16();
        self.status = Some(status);
        let names = self.tap.head().map(|(_, names)| names).unwrap_or_default();
        let field =
            |(name, value): (&str, &http::HeaderValue)| (name.to_owned(), Bytes::copy_from_slice(value.as_bytes()));
        let mut values: HashMap<&str, _> =
            parts.headers.keys().map(|name| (name.as_str(), parts.headers.get_all(name).iter())).collect();
        let ordered: Vec<_> =
            names.iter().filter_map(|name| Some(field((name, values.get_mut(name.as_str())?.next()?)))).collect();
        let headers = if ordered.len() == parts.headers.len() {
            ordered
        } else {
            parts.headers.iter().map(|(name, value)| field((name.as_str(), value))).collect()
        };
        self.tell(Event::Head(ResponseHead { status, headers })).await
    }

    /// Body bytes without transfer coding.
    pub async fn body(&mut self, data: Bytes) -> Result<(), Gone> {
        self.body_bytes += data.len() as u64;
        self.hash.update(&data);
        let most = usize::try_from(self.limits.read_bytes).unwrap_or(usize::MAX).min(PARSE_BODY_BYTES);
        let mut rest = data.slice(..data.len().min(most.saturating_sub(self.read_bytes)));
        self.read_bytes += rest.len();
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(CHUNK_BYTES));
            self.tell(Event::Body(piece)).await?;
        }
        Ok(())
    }

    /// What came was dealt with: the silence that follows is the far side's. The time that the
    /// receiver of the events took is not.
    pub fn touch(&mut self) {
        self.since = Instant::now();
    }

    fn from(&self) -> Instant {
        self.tap.sent().unwrap_or(self.begun)
    }

    fn total(&self) -> Instant {
        self.from() + Duration::from_millis(self.limits.total_ms.into())
    }

    /// When the next limit of time is reached.
    pub fn deadline(&self) -> Instant {
        let next = match self.last {
            None => self.from() + Duration::from_millis(self.limits.first_byte_ms.into()),
            Some(_) => self.since + Duration::from_millis(self.limits.idle_ms.into()),
        };
        self.total().min(next)
    }

    /// The limit of time that was reached.
    pub fn late(&self) -> Option<Incomplete> {
        let now = Instant::now();
        if now >= self.total() {
            Some(Incomplete::TooSlow)
        } else {
            (now >= self.deadline()).then_some(Incomplete::Idle)
        }
    }

    /// The last event.
    pub async fn end(&mut self, incomplete: Option<Incomplete>, surplus_bytes: u32) -> Result<Event, Gone> {
        if self.tap.written() > 0 {
            self.sent().await?;
        }
        if self.wire_bytes == 0 {
            return Ok(Event::Failed(self.nothing(incomplete)));
        }
        let since = |moment: Option<Instant>| {
            let after = moment.map_or(0, |at| at.saturating_duration_since(self.from()).as_millis());
            u32::try_from(after).unwrap_or(u32::MAX)
        };
        let head = self.tap.head().filter(|_| self.status.is_some()).map_or(0, |(end, _)| end);
        Ok(Event::Finished(Finished {
            incomplete,
            wire_bytes: self.wire_bytes,
            head_bytes: u32::try_from(head).unwrap_or(u32::MAX),
            body_bytes: self.body_bytes,
            body_sha256: self.hash.clone().finalize().into(),
            first_byte_ms: since(self.first),
            total_ms: since(self.last),
            surplus_bytes,
        }))
    }

    /// Why not one byte came.
    fn nothing(&self, incomplete: Option<Incomplete>) -> Failure {
        let within = |ms: u32| (FailureKind::Timeout, format!("not one byte came within {ms} ms"));
        let (kind, detail) = match incomplete {
            Some(Incomplete::TooSlow) => within(self.limits.total_ms),
            Some(Incomplete::Idle) => within(self.limits.first_byte_ms),
            Some(Incomplete::Cancelled) => return super::cancelled(),
            Some(Incomplete::StreamBroken) => {
                (FailureKind::Other, "the Tor stream broke before one byte came".to_owned())
            }
            _ => (FailureKind::ClosedEmpty, "the far side closed without one byte".to_owned()),
        };
        Failure { kind, detail }
    }
}
