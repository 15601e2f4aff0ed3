//! One exchange, from the order to `Finished` or `Failed`.

mod progress;

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::time::Instant;
use vigie_wire::net::{
    CircuitKey, Event, Failure, FailureKind, Incomplete, Method, Request, ResponseHead, Scope, Transport,
};

use crate::pool::{Connection, Pool};
use crate::scope;
use crate::tls::Trust;
use crate::wire::Wire;
use progress::Progress;

/// Most header fields that a response may have.
const RESPONSE_FIELDS: usize = 2000;

/// Opens streams.
pub trait Dial: Send + Sync + 'static {
    /// What it opens.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Opens a stream to a scope's host and port on a key's own circuits.
    fn dial(&self, key: CircuitKey, scope: &Scope) -> impl Future<Output = Result<Self::Stream, Failure>> + Send;
}

/// Performs exchanges over a way to dial.
pub struct Engine<D> {
    dial: D,
    trust: Trust,
    pool: Pool,
}

/// How an attempt on one connection ended.
enum Attempt {
    /// With a last event; the connection may be kept.
    Ended(Event, Option<Connection>),
    /// A kept connection had died before anything came: worth a fresh one.
    Stale,
    /// Nobody listens any more.
    Cancelled,
}

impl<D: Dial> Engine<D> {
    /// An engine without connections.
    pub fn new(dial: D, trust: Trust) -> Self {
        Self { dial, trust, pool: Pool::default() }
    }
    /// The way to dial.
    pub fn dial(&self) -> &D {
        &self.dial
    }
    /// Closes the connections of a key.
    pub fn retire(&self, key: CircuitKey) {
        self.pool.retire(key);
    }
    /// Closes all connections.
    pub fn close(&self) {
        self.pool.close();
    }

    /// Performs one exchange and tells its events.
    pub async fn run(&self, request: Request, events: mpsc::Sender<Event>) {
        if let Err(failure) = scope::check(&request) {
            let _ = events.send(Event::Failed(failure)).await;
            return;
        }
        let mut kept = self.pool.take(request.circuit, &request.scope).await;
        loop {
            let begun = Instant::now();
            let reused = kept.is_some();
            let connection = match kept.take() {
                Some(connection) => connection,
                None => {
                    let limit = Duration::from_millis(request.limits.connect_ms.into());
                    let opened = tokio::select! {
                        opened = tokio::time::timeout(limit, self.open(&request)) => opened,
                        () = events.closed() => return,
                    };
                    match opened {
                        Ok(Ok(connection)) => connection,
                        Ok(Err(failure)) => return drop(events.send(Event::Failed(failure)).await),
                        Err(_) => {
                            let detail = format!("no stream to the service within {} ms", request.limits.connect_ms);
                            return drop(
                                events.send(Event::Failed(Failure { kind: FailureKind::Timeout, detail })).await,
                            );
                        }
                    }
                }
            };
            let facts = vigie_wire::net::Connection { reused, connect_ms: millis(begun), tls: connection.tls.clone() };
            if events.send(Event::Opened(facts)).await.is_err() {
                return;
            }
            match self.attempt(&request, connection, reused, &events).await {
                Attempt::Ended(event, connection) => {
                    if let Some(connection) = connection {
                        self.pool.keep(request.circuit, &request.scope, connection);
                    }
                    return drop(events.send(event).await);
                }
                Attempt::Stale => {}
                Attempt::Cancelled => return,
            }
        }
    }

    async fn open(&self, request: &Request) -> Result<Connection, Failure> {
        let stream = self.dial.dial(request.circuit, &request.scope).await?;
        match request.scope.transport {
            Transport::Plain => speak(stream, None, request).await,
            Transport::TlsVerified | Transport::TlsRecordInvalid => {
                let record_invalid = request.scope.transport == Transport::TlsRecordInvalid;
                let (stream, facts) = self.trust.connect(stream, &request.scope.host, record_invalid).await?;
                speak(stream, Some(facts), request).await
            }
        }
    }

    async fn attempt(
        &self,
        request: &Request,
        mut connection: Connection,
        reused: bool,
        events: &mpsc::Sender<Event>,
    ) -> Attempt {
        let head = head(request);
        connection.tap.arm(head.clone());
        let tap = connection.tap.clone();
        // Only the method matters to hyper (a response to HEAD has no body): the head that it
        // writes never leaves.
        let method = match request.method {
            Method::Get => http::Method::GET,
            Method::Head => http::Method::HEAD,
        };
        let Ok(order) =
            http::Request::builder().method(method).uri("/").header("host", "x").body(Empty::<Bytes>::new())
        else {
            return Attempt::Ended(
                Event::Failed(Failure { kind: FailureKind::Other, detail: "no request".into() }),
                None,
            );
        };
        let mut progress = Progress::new(request.limits, events.clone());
        let response = connection.sender.send_request(order);
        tokio::pin!(response);
        let mut told = false;
        let result = loop {
            if !told && tap.sent() {
                told = true;
                progress.sent();
                if events.send(Event::RequestSent(head.clone())).await.is_err() {
                    return Attempt::Cancelled;
                }
            }
            while let Some(chunk) = tap.take() {
                if let Err(why) = progress.wire(chunk).await {
                    return progress.end(Some(why), &tap);
                }
            }
            tokio::select! {
                result = &mut response => break result,
                () = tap.changed() => {}
                () = events.closed() => return Attempt::Cancelled,
                () = tokio::time::sleep_until(progress.deadline()) => return progress.late(&tap).await,
            }
        };
        if !told && tap.sent() {
            progress.sent();
            if events.send(Event::RequestSent(head)).await.is_err() {
                return Attempt::Cancelled;
            }
        }
        let response = match result {
            Ok(response) => response,
            Err(error) => {
                if let Err(why) = progress.drain(&tap).await {
                    return progress.end(Some(why), &tap);
                }
                if progress.wire_bytes() == 0 && reused {
                    return Attempt::Stale;
                }
                return progress.end(Some(why(&error, &tap)), &tap);
            }
        };
        let (parts, mut body) = response.into_parts();
        let fields = parts
            .headers
            .iter()
            .map(|(name, value)| (name.as_str().to_owned(), Bytes::copy_from_slice(value.as_bytes())));
        let understood = ResponseHead { status: parts.status.as_u16(), headers: fields.collect() };
        if events.send(Event::Head(understood)).await.is_err() {
            return Attempt::Cancelled;
        }
        loop {
            while let Some(chunk) = tap.take() {
                if let Err(why) = progress.wire(chunk).await {
                    return progress.end(Some(why), &tap);
                }
            }
            tokio::select! {
                frame = body.frame() => match frame {
                    None => break,
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() && progress.body(data).await.is_err() {
                            return Attempt::Cancelled;
                        }
                    }
                    Some(Err(error)) => {
                        if let Err(why) = progress.drain(&tap).await {
                            return progress.end(Some(why), &tap);
                        }
                        return progress.end(Some(why(&error, &tap)), &tap);
                    }
                },
                () = tap.changed() => {}
                () = events.closed() => return Attempt::Cancelled,
                () = tokio::time::sleep_until(progress.deadline()) => return progress.late(&tap).await,
            }
        }
        if let Err(why) = progress.drain(&tap).await {
            return progress.end(Some(why), &tap);
        }
        let clean = progress.surplus() == 0;
        match progress.end(None, &tap) {
            Attempt::Ended(event, _) => Attempt::Ended(event, clean.then_some(connection)),
            other => other,
        }
    }
}

/// Hyper over a stream, with the tap between them.
async fn speak<S>(stream: S, tls: Option<vigie_wire::net::Tls>, request: &Request) -> Result<Connection, Failure>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (wire, tap) = Wire::new(stream);
    let head_bytes = usize::try_from(request.limits.head_bytes).unwrap_or(usize::MAX);
    let (sender, connection) = hyper::client::conn::http1::Builder::new()
        // Our own count of head bytes comes first; this one only has to be larger.
        .max_buf_size(head_bytes.saturating_mul(2).max(64 * 1024))
        .max_headers(RESPONSE_FIELDS)
        .handshake(TokioIo::new(wire))
        .await
        .map_err(|_| Failure { kind: FailureKind::Other, detail: "the connection ended at once".into() })?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(Connection { sender, tap, tls })
}

/// The exact bytes of a request head (RFC 9112 §3).
fn head(request: &Request) -> Bytes {
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
    };
    let mut text = format!("{method} {} HTTP/1.1\r\n", request.path);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into()
}

/// Why hyper gave up, in the record's words.
fn why(error: &hyper::Error, tap: &crate::wire::Tap) -> Incomplete {
    if tap.broken() {
        Incomplete::StreamBroken
    } else if error.is_incomplete_message() || tap.ended() {
        Incomplete::Disconnected
    } else {
        Incomplete::Malformed(error.to_string())
    }
}

fn millis(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX)
}
