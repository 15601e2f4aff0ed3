//! The layer between the stream and hyper: every byte read is kept for the record, and the head
//! that hyper writes is replaced by our own, byte for byte (hyper's public interface fixes neither
//! order nor letter case of header fields). Reading stops here when a limit of size is reached.

mod scan;

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use vigie_wire::limits::CHUNK_BYTES;
use vigie_wire::net::{Incomplete, Limits};

pub use scan::FIELDS;
use scan::Scan;

/// Bytes that may wait for the record before reading stops. Whoever takes them polls hyper again,
/// so no waker is kept for that.
const WAITING_BYTES: usize = 256 * 1024;
/// Longest response head, in bytes, whatever the limits say.
pub const HEAD_BYTES: u32 = 1024 * 1024;

/// Bytes of one read, and when they came.
pub type Read = (Instant, Bytes);

/// What the layer and the exchange share.
#[derive(Clone, Default)]
pub struct Tap {
    shared: Arc<Mutex<Shared>>,
}

/// Whose the bytes are that come in.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Turn {
    /// Nobody's: no request was ever made on this stream. Nothing is read, so that a server that
    /// speaks first is recorded behind the request all the same.
    #[default]
    Fresh,
    /// Nobody's: the exchange before is over.
    Resting,
    /// Nobody's either: the next request is ready but has not begun to leave.
    Armed,
    /// The exchange's.
    Asked,
}

#[derive(Default)]
struct Shared {
    turn: Turn,
    /// The head to write in place of hyper's next one.
    head: Option<Bytes>,
    length: usize,
    written: usize,
    sent: Option<Instant>,
    /// The far side answered before it had the whole request: no more of it goes out.
    cut: bool,
    chunks: VecDeque<Read>,
    waiting: usize,
    /// Bytes came that belong to no exchange.
    spoiled: bool,
    ended: bool,
    broken: bool,
    stopped: bool,
    read: u64,
    scan: Scan,
    limits: (u64, u64),
}

impl Shared {
    /// How many more bytes may be read; one more than the limit, so that reaching it shows.
    fn room(&self) -> u64 {
        match self.turn {
            Turn::Fresh => 0,
            _ if self.stopped || self.waiting >= WAITING_BYTES => 0,
            Turn::Resting | Turn::Armed => CHUNK_BYTES as u64,
            Turn::Asked if self.over().is_some() => 0,
            Turn::Asked => {
                let (head, body) = self.limits;
                let most = self.scan.end().map_or(head, |end| end.saturating_add(body));
                most.saturating_add(1).saturating_sub(self.read).min(CHUNK_BYTES as u64)
            }
        }
    }

    fn over(&self) -> Option<Incomplete> {
        let (head, body) = self.limits;
        match self.scan.end() {
            None if self.read > head => Some(Incomplete::HeadTooLarge),
            Some(end) if end > head => Some(Incomplete::HeadTooLarge),
            Some(end) if self.read - end > body => Some(Incomplete::BodyTooLarge),
            _ => None,
        }
    }

    fn note(&mut self, bytes: &[u8]) {
        if self.turn != Turn::Asked {
            self.spoiled = true;
            return;
        }
        if self.sent.is_none() {
            // Written in full, it has left even when the stream has not said so yet.
            self.cut = self.written < self.length;
            self.sent = (!self.cut).then(Instant::now);
        }
        self.scan.feed(bytes);
        self.read += bytes.len() as u64;
        self.waiting += bytes.len();
        self.chunks.push_back((Instant::now(), Bytes::copy_from_slice(bytes)));
    }
}

impl Tap {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Readies the next exchange: the head to write in place of hyper's, and its limits of size.
    /// False when the stream is of no use any more.
    pub fn arm(&self, head: Bytes, limits: &Limits) -> bool {
        let mut shared = self.shared();
        if !usable(&shared) {
            return false;
        }
        shared.length = head.len();
        shared.head = Some(head);
        (shared.written, shared.sent, shared.cut) = (0, None, false);
        (shared.read, shared.scan, shared.stopped) = (0, Scan::default(), false);
        shared.limits = (limits.head_bytes.min(HEAD_BYTES).into(), limits.body_bytes);
        if shared.turn == Turn::Resting {
            shared.turn = Turn::Armed;
        }
        true
    }

    /// The exchange is over: what comes now belongs to none.
    pub fn rest(&self) {
        self.shared().turn = Turn::Resting;
    }

    /// The stream is open and gave nothing that belongs to no exchange.
    pub fn is_usable(&self) -> bool {
        usable(&self.shared())
    }

    /// When the whole request had left.
    pub fn sent(&self) -> Option<Instant> {
        self.shared().sent
    }

    /// How much of the request has left.
    pub fn written(&self) -> usize {
        self.shared().written
    }

    /// The stream ended, in order or not.
    pub fn ended(&self) -> bool {
        self.shared().ended
    }

    /// The stream broke.
    pub fn broken(&self) -> bool {
        self.shared().broken
    }

    /// The limit of size that was reached.
    pub fn over(&self) -> Option<Incomplete> {
        self.shared().over()
    }

    /// Reads no more.
    pub fn stop(&self) {
        self.shared().stopped = true;
    }

    /// Bytes before the body, once the final head has ended, and the names of its fields.
    pub fn head(&self) -> Option<(u64, Vec<String>)> {
        let shared = self.shared();
        shared.scan.end().map(|end| (end, shared.scan.names().to_vec()))
    }

    /// How many fields the final head has so far.
    pub fn fields(&self) -> usize {
        self.shared().scan.names().len()
    }

    /// Bytes read, if any wait.
    pub fn take(&self) -> Option<Read> {
        let mut shared = self.shared();
        let read = shared.chunks.pop_front()?;
        shared.waiting -= read.1.len();
        Some(read)
    }
}

fn usable(shared: &Shared) -> bool {
    shared.chunks.is_empty() && !shared.spoiled && !shared.ended && !shared.broken && !shared.cut
}

/// A stream with a tap.
pub struct Wire<S> {
    stream: S,
    tap: Tap,
    /// How much of `\r\n\r\n` hyper's head has shown.
    matched: usize,
    out: Bytes,
    leaving: bool,
}

impl<S> Wire<S> {
    /// Taps a stream.
    pub fn new(stream: S) -> (Self, Tap) {
        let tap = Tap::default();
        (Self { stream, tap: tap.clone(), matched: 0, out: Bytes::new(), leaving: false }, tap)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = usize::try_from(self.tap.shared().room()).unwrap_or(usize::MAX);
        if room == 0 {
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let most = room.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        let result = Pin::new(&mut self.stream).poll_read(cx, &mut part);
        let read = part.filled().len();
        buffer.advance(read);
        let mut shared = self.tap.shared();
        match &result {
            Poll::Pending => {}
            Poll::Ready(Ok(())) if read == 0 => shared.ended |= most > 0,
            Poll::Ready(Ok(())) => shared.note(&buffer.filled()[before..]),
            Poll::Ready(Err(error)) if is_end(error) => shared.ended = true,
            Poll::Ready(Err(_)) => shared.broken = true,
        }
        drop(shared);
        result
    }
}

/// The far side ended its part of the stream, if not in order: TLS without its closure alert
/// (RFC 8446 §6.1), or with an alert that says what went wrong there.
fn is_end(error: &io::Error) -> bool {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    error.kind() == io::ErrorKind::UnexpectedEof || matches!(inner, Some(rustls::Error::AlertReceived(_)))
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Writes what is left of our head.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            if self.tap.shared().cut {
                return Poll::Pending;
            }
            let written = match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return self.failed(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(written)) => written,
                Poll::Ready(Err(error)) => return self.failed(error),
                Poll::Pending => return Poll::Pending,
            };
            drop(self.out.split_to(written));
            self.tap.shared().written += written;
        }
        Poll::Ready(Ok(()))
    }

    fn failed<T>(&self, error: io::Error) -> Poll<io::Result<T>> {
        self.tap.shared().broken = true;
        Poll::Ready(Err(error))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        std::task::ready!(self.poll_out(cx))?;
        // Requests have no body, so all that hyper writes is heads: swallowed up to their end.
        for (at, &byte) in buffer.iter().enumerate() {
            let wanted = b"\r\n\r\n"[self.matched];
            self.matched = if byte == wanted { self.matched + 1 } else { usize::from(byte == b'\r') };
            if self.matched == 4 {
                self.matched = 0;
                let head = {
                    let mut shared = self.tap.shared();
                    shared.turn = Turn::Asked;
                    shared.head.take()
                };
                let Some(head) = head else {
                    return Poll::Ready(Err(io::Error::other("a request without its head")));
                };
                self.out = head;
                self.leaving = true;
                return Poll::Ready(Ok(at + 1));
            }
        }
        Poll::Ready(Ok(buffer.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // Hyper flushes at every turn. With nothing to flush, the stream is not asked: it could
        // only say that it has died, and hyper would then not read what it still holds.
        if !self.leaving {
            return Poll::Ready(Ok(()));
        }
        std::task::ready!(self.poll_out(cx))?;
        match std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx)) {
            Ok(()) => {}
            Err(error) => return self.failed(error),
        }
        self.leaving = false;
        self.tap.shared().sent.get_or_insert_with(Instant::now);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alert_is_the_far_ends_end_and_a_wrong_record_is_not() {
        let error = |inner: rustls::Error| io::Error::new(io::ErrorKind::InvalidData, inner);
        assert!(is_end(&error(rustls::Error::AlertReceived(rustls::AlertDescription::InternalError))));
        assert!(is_end(&io::ErrorKind::UnexpectedEof.into()));
        assert!(!is_end(&error(rustls::Error::DecryptError)));
        assert!(!is_end(&io::ErrorKind::ConnectionReset.into()));
    }
}
