//! An open stream with hyper on it. Nothing runs beside the exchange: hyper is polled by whoever
//! has the connection, so that what it has read and what it made of it are known together.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop::unconstrained;
use vigie_wire::net::{Failure, FailureKind, Through, Tls};

use crate::wire::{FIELDS, HEAD_BYTES, Tap, Wire};

/// How long a far side may take to hear that we close.
const FAREWELL: Duration = Duration::from_secs(5);

/// Hyper's part that moves bytes.
trait Drive: Send {
    /// Moves them; ready when hyper is done with the stream (why, it tells whoever has asked).
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()>;
    /// How many bytes hyper has read and made nothing of.
    fn left(self: Box<Self>) -> usize;
}

impl<S> Drive for http1::Connection<TokioIo<Wire<S>>, Empty<Bytes>>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    fn drive(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(self).poll(cx).map(drop)
    }
    fn left(self: Box<Self>) -> usize {
        self.into_parts().read_buf.len()
    }
}

/// The response that is being waited for.
pub type Answer = Pin<Box<dyn Future<Output = hyper::Result<http::Response<Incoming>>> + Send>>;

/// An open connection.
pub struct Connection {
    sender: SendRequest<Empty<Bytes>>,
    driver: Box<dyn Drive>,
    done: bool,
    /// What is read and written.
    pub tap: Tap,
    /// TLS facts.
    pub tls: Option<Tls>,
    /// Exit and circuit.
    pub through: Option<Through>,
}

impl Connection {
    /// Hyper over a stream, with the tap between them.
    pub async fn open<S>(stream: S, tls: Option<Tls>, through: Option<Through>) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (wire, tap) = Wire::new(stream);
        let (sender, driver) = http1::Builder::new()
            // The tap counts first, for each exchange anew; this only has to be larger.
            .max_buf_size(2 * HEAD_BYTES as usize)
            .max_headers(FIELDS)
            // RFC 9112 §5.2: a user agent must read a folded line as one with spaces.
            .allow_obsolete_multiline_headers_in_responses(true)
            .handshake(TokioIo::new(wire))
            .await
            .map_err(|_| Failure { kind: FailureKind::Other, detail: "the connection ended at once".into() })?;
        Ok(Self { sender, driver: Box::new(driver), done: false, tap, tls, through })
    }

    /// Orders a request. Only its method matters to hyper (a response to HEAD has no body): the
    /// head that hyper writes never leaves.
    pub fn ask(&mut self, method: http::Method) -> Answer {
        let mut order = http::Request::new(Empty::new());
        *order.method_mut() = method;
        order.headers_mut().insert(http::header::HOST, http::HeaderValue::from_static("x"));
        Box::pin(self.sender.send_request(order))
    }

    /// Moves bytes as far as they go.
    pub fn drive(&mut self, cx: &mut Context<'_>) {
        self.done = self.done || self.driver.drive(cx).is_ready();
    }

    /// Nothing is under way, the far side has not closed, and nothing came that was not asked for.
    pub async fn is_idle(&mut self) -> bool {
        // Hyper may give way to others in the middle of its work.
        for _ in 0..3 {
            unconstrained(poll_fn(|cx| {
                self.drive(cx);
                Poll::Ready(())
            }))
            .await;
            if self.done || self.sender.is_ready() {
                break;
            }
            tokio::task::yield_now().await;
        }
        !self.done && self.sender.is_ready() && self.tap.is_usable()
    }

    /// Ends the connection; how many bytes were read behind the response.
    pub fn surplus(self) -> usize {
        self.driver.left()
    }

    /// Closes in order. With TLS the far side is told (RFC 8446 §6.1), as browsers do.
    pub fn close(mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.done {
            return;
        }
        runtime.spawn(async move {
            drop(self.sender);
            let farewell = poll_fn(|cx| self.driver.drive(cx));
            let _ = tokio::time::timeout(FAREWELL, farewell).await;
        });
    }
}
