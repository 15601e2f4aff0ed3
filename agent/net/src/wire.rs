//! The layer between the stream and hyper: every byte read is kept for the record, and the head
//! that hyper writes is replaced by our own, byte for byte (hyper's public interface fixes neither
//! order nor letter case of header fields).

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// Bytes that may wait for the record before reading stops.
const WAITING_BYTES: usize = 256 * 1024;

/// What the layer and the exchange share.
#[derive(Clone, Default)]
pub struct Tap {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    shared: Mutex<Shared>,
    changed: Notify,
}

#[derive(Default)]
struct Shared {
    chunks: VecDeque<Bytes>,
    waiting: usize,
    reader: Option<Waker>,
    head: Option<Bytes>,
    sent: bool,
    ended: bool,
    broken: bool,
}

impl Tap {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.inner.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head to write in place of hyper's next one.
    pub fn arm(&self, head: Bytes) {
        let mut shared = self.shared();
        shared.head = Some(head);
        shared.sent = false;
    }

    /// Nothing was read that belongs to no exchange.
    pub fn is_quiet(&self) -> bool {
        let shared = self.shared();
        shared.chunks.is_empty() && !shared.ended && !shared.broken
    }

    /// The armed head has left for the stream.
    pub fn sent(&self) -> bool {
        self.shared().sent
    }

    /// The stream ended in order.
    pub fn ended(&self) -> bool {
        self.shared().ended
    }

    /// The stream broke.
    pub fn broken(&self) -> bool {
        self.shared().broken
    }

    /// Bytes read, if any wait.
    pub fn take(&self) -> Option<Bytes> {
        let mut shared = self.shared();
        let chunk = shared.chunks.pop_front()?;
        shared.waiting -= chunk.len();
        if shared.waiting < WAITING_BYTES
            && let Some(reader) = shared.reader.take()
        {
            reader.wake();
        }
        Some(chunk)
    }

    /// Returns when something was read, sent or ended since the last call.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }

    fn tell(&self) {
        self.inner.changed.notify_one();
    }
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
        {
            let mut shared = self.tap.shared();
            if shared.waiting >= WAITING_BYTES {
                shared.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let mut shared = self.tap.shared();
        match &result {
            Poll::Pending => return result,
            Poll::Ready(Ok(())) if buffer.filled().len() == before => shared.ended = true,
            Poll::Ready(Ok(())) => {
                let chunk = Bytes::copy_from_slice(&buffer.filled()[before..]);
                shared.waiting += chunk.len();
                shared.chunks.push_back(chunk);
            }
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => shared.ended = true,
            Poll::Ready(Err(_)) => shared.broken = true,
        }
        drop(shared);
        self.tap.tell();
        result
    }
}

impl<S: AsyncWrite + Unpin> Wire<S> {
    /// Writes what is left of our head.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(written)) => drop(self.out.split_to(written)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(Ok(()))
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
                let Some(head) = self.tap.shared().head.take() else {
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
        std::task::ready!(self.poll_out(cx))?;
        std::task::ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        if self.leaving {
            self.leaving = false;
            self.tap.shared().sent = true;
            self.tap.tell();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        std::task::ready!(self.poll_out(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
