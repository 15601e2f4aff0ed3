//! How far a response has come, against its limits.

use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::time::Instant;
use vigie_wire::limits::CHUNK_BYTES;
use vigie_wire::net::{Event, Failure, FailureKind, Finished, Incomplete, Limits};

use super::Attempt;
use crate::wire::Tap;

/// The account of one response.
pub struct Progress {
    limits: Limits,
    events: mpsc::Sender<Event>,
    begun: Instant,
    sent: Option<Instant>,
    first: Option<Instant>,
    last: Option<Instant>,
    wire_bytes: u64,
    /// Bytes of the head while it is incomplete.
    head: Vec<u8>,
    head_bytes: Option<u32>,
    length: Option<u64>,
    body_bytes: u64,
    read_bytes: u32,
    hash: Sha256,
}

impl Progress {
    /// Nothing has happened yet.
    pub fn new(limits: Limits, events: mpsc::Sender<Event>) -> Self {
        Self {
            limits,
            events,
            begun: Instant::now(),
            sent: None,
            first: None,
            last: None,
            wire_bytes: 0,
            head: Vec::new(),
            head_bytes: None,
            length: None,
            body_bytes: 0,
            read_bytes: 0,
            hash: Sha256::new(),
        }
    }

    /// The request has left.
    pub fn sent(&mut self) {
        self.sent = Some(Instant::now());
    }

    /// Bytes read so far.
    pub fn wire_bytes(&self) -> u64 {
        self.wire_bytes
    }

    /// Bytes as they came.
    pub async fn wire(&mut self, chunk: Bytes) -> Result<(), Incomplete> {
        let now = Instant::now();
        self.first.get_or_insert(now);
        self.last = Some(now);
        self.wire_bytes += chunk.len() as u64;
        self.find_head(&chunk);
        let mut rest = chunk;
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(CHUNK_BYTES));
            self.events.send(Event::Wire(piece)).await.map_err(|_| Incomplete::Cancelled)?;
        }
        match self.head_bytes {
            None if self.head.len() as u64 > u64::from(self.limits.head_bytes) => Err(Incomplete::HeadTooLarge),
            Some(head) if head > self.limits.head_bytes => Err(Incomplete::HeadTooLarge),
            Some(head) if self.wire_bytes - u64::from(head) > self.limits.body_bytes => Err(Incomplete::BodyTooLarge),
            _ => Ok(()),
        }
    }

    /// Finds where the final head ends; interim heads (1xx) before it count as head.
    fn find_head(&mut self, chunk: &[u8]) {
        if self.head_bytes.is_some() {
            return;
        }
        let scanned = self.head.len().saturating_sub(3);
        self.head.extend_from_slice(chunk);
        let mut from = scanned;
        let mut start = 0;
        while let Some(end) = end_of_head(&self.head, from) {
            let status = self.head[start..].split(|&b| b == b' ').nth(1).unwrap_or_default();
            if status.first() == Some(&b'1') && status != b"101" {
                start = end;
                from = end;
                continue;
            }
            self.length = content_length(&self.head[start..end]);
            self.head_bytes = u32::try_from(end).ok();
            self.head = Vec::new();
            return;
        }
    }

    /// Body bytes without transfer coding.
    pub async fn body(&mut self, data: Bytes) -> Result<(), Incomplete> {
        self.body_bytes += data.len() as u64;
        self.hash.update(&data);
        let room = self.limits.read_bytes.saturating_sub(self.read_bytes);
        let most = data.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.read_bytes += u32::try_from(most).unwrap_or(u32::MAX);
        let mut rest = data.slice(..most);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(CHUNK_BYTES));
            self.events.send(Event::Body(piece)).await.map_err(|_| Incomplete::Cancelled)?;
        }
        Ok(())
    }

    /// Takes what the tap still holds.
    pub async fn drain(&mut self, tap: &Tap) -> Result<(), Incomplete> {
        while let Some(chunk) = tap.take() {
            self.wire(chunk).await?;
        }
        Ok(())
    }

    /// Bytes behind a response whose length was announced.
    pub fn surplus(&self) -> u32 {
        let (Some(head), Some(length)) = (self.head_bytes, self.length) else { return 0 };
        if self.body_bytes != length {
            return 0;
        }
        u32::try_from(self.wire_bytes.saturating_sub(u64::from(head) + length)).unwrap_or(u32::MAX)
    }

    /// When the next limit of time is reached.
    pub fn deadline(&self) -> Instant {
        let after = |from: Instant, ms: u32| from + Duration::from_millis(ms.into());
        let from = self.sent.unwrap_or(self.begun);
        let total = after(from, self.limits.total_ms);
        let next = match self.last {
            None => after(from, self.limits.first_byte_ms),
            Some(last) => after(last, self.limits.idle_ms),
        };
        total.min(next)
    }

    /// A limit of time was reached.
    pub async fn late(&mut self, tap: &Tap) -> Attempt {
        if let Err(why) = self.drain(tap).await {
            return self.end(Some(why), tap);
        }
        let from = self.sent.unwrap_or(self.begun);
        let total = Duration::from_millis(self.limits.total_ms.into());
        let why = if from.elapsed() >= total { Incomplete::TooSlow } else { Incomplete::Idle };
        self.end(Some(why), tap)
    }

    /// The last event.
    pub fn end(&mut self, incomplete: Option<Incomplete>, tap: &Tap) -> Attempt {
        if incomplete == Some(Incomplete::Cancelled) {
            return Attempt::Cancelled;
        }
        if self.wire_bytes == 0 {
            let (kind, detail) = match incomplete {
                Some(Incomplete::TooSlow | Incomplete::Idle) => {
                    (FailureKind::Timeout, format!("not one byte came within {} ms", self.limits.first_byte_ms))
                }
                _ if tap.broken() => (FailureKind::Other, "the Tor stream broke before one byte came".to_owned()),
                _ => (FailureKind::ClosedEmpty, "the far side closed without one byte".to_owned()),
            };
            return Attempt::Ended(Event::Failed(Failure { kind, detail }), None);
        }
        let since = |moment: Option<Instant>| {
            let from = self.sent.unwrap_or(self.begun);
            moment.map_or(0, |at| u32::try_from(at.saturating_duration_since(from).as_millis()).unwrap_or(u32::MAX))
        };
        Attempt::Ended(
            Event::Finished(Finished {
                incomplete,
                wire_bytes: self.wire_bytes,
                head_bytes: self.head_bytes.unwrap_or(0),
                body_bytes: self.body_bytes,
                body_sha256: std::mem::take(&mut self.hash).finalize().into(),
                first_byte_ms: since(self.first),
                total_ms: since(self.last),
                surplus_bytes: self.surplus(),
            }),
            None,
        )
    }
}

/// Position after the empty line that ends a head (bare line feeds accepted, RFC 9112 §2.2).
fn end_of_head(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    while let Some(feed) = bytes.get(at..)?.iter().position(|&b| b == b'\n') {
        let next = at + feed + 1;
        match bytes.get(next..) {
            Some([b'\n', ..]) => return Some(next + 1),
            Some([b'\r', b'\n', ..]) => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

fn content_length(head: &[u8]) -> Option<u64> {
    head.split(|&b| b == b'\n').find_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        let (name, value) = line.split_at(colon);
        if !name.eq_ignore_ascii_case(b"content-length") {
            return None;
        }
        std::str::from_utf8(value[1..].trim_ascii()).ok()?.parse().ok()
    })
}
