//! One exchange, from the order to `Finished` or `Failed`.

mod attempt;
mod progress;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use vigie_wire::net::{CircuitKey, Event, Failure, FailureKind, Request, Scope, Transport};

use crate::connection::Connection;
use crate::pool::Pool;
use crate::scope;
use crate::tls::Trust;
use attempt::{Attempt, attempt};

/// Opens streams.
pub trait Dial: Send + Sync + 'static {
    /// What it opens.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Opens a stream to a scope's host and port on a key's own circuits.
    fn dial(&self, key: CircuitKey, scope: &Scope) -> impl Future<Output = Result<Self::Stream, Failure>> + Send;
    /// A key is not used any more.
    fn retire(&self, key: CircuitKey);
}

/// Performs exchanges over a way to dial.
pub struct Engine<D> {
    dial: D,
    trust: Trust,
    pool: Pool,
    closing: watch::Sender<bool>,
}

impl<D: Dial> Engine<D> {
    /// An engine without connections.
    pub fn new(dial: D, trust: Trust) -> Self {
        Self { dial, trust, pool: Pool::default(), closing: watch::Sender::new(false) }
    }
    /// The way to dial.
    pub fn dial(&self) -> &D {
        &self.dial
    }
    /// Closes the connections of a key.
    pub fn retire(&self, key: CircuitKey) {
        self.pool.retire(key);
        self.dial.retire(key);
    }
    /// Ends running exchanges and closes all connections.
    pub fn close(&self) {
        self.closing.send_replace(true);
        self.pool.close();
    }

    /// Performs one exchange and tells its events.
    pub async fn run(&self, request: Request, events: mpsc::Sender<Event>) {
        let last = match scope::check(&request) {
            Ok(()) => self.exchange(&request, &events).await,
            Err(failure) => Some(Event::Failed(failure)),
        };
        if let Some(last) = last {
            // Nobody need listen any more.
            let _ = events.send(last).await;
        }
    }

    /// The last event; `None` when nobody listens any more.
    async fn exchange(&self, request: &Request, events: &mpsc::Sender<Event>) -> Option<Event> {
        let mut closing = self.closing.subscribe();
        let mut kept = self.pool.take(request.circuit, &request.scope).await;
        loop {
            let begun = Instant::now();
            let reused = kept.is_some();
            let connection = match kept.take() {
                Some(connection) => connection,
                None => {
                    let limit = Duration::from_millis(request.limits.connect_ms.into());
                    let opened = tokio::select! {
                        biased;
                        () = events.closed() => return None,
                        _ = closing.wait_for(|closing| *closing) => return Some(Event::Failed(cancelled())),
                        opened = tokio::time::timeout(limit, self.open(request)) => opened,
                    };
                    match opened {
                        Ok(Ok(connection)) => connection,
                        Ok(Err(failure)) => return Some(Event::Failed(failure)),
                        Err(_) => {
                            let detail = format!("no stream to the service within {} ms", request.limits.connect_ms);
                            return Some(Event::Failed(Failure { kind: FailureKind::Timeout, detail }));
                        }
                    }
                }
            };
            let facts = vigie_wire::net::Connection { reused, connect_ms: millis(begun), tls: connection.tls.clone() };
            events.send(Event::Opened(facts)).await.ok()?;
            match attempt(request, connection, reused, events, &mut closing).await {
                Attempt::Ended(event, connection) => {
                    match connection {
                        Some(connection) if *self.closing.borrow() => connection.close(),
                        Some(connection) => self.pool.keep(request.circuit, &request.scope, connection),
                        None => {}
                    }
                    return Some(event);
                }
                // On a fresh connection this cannot come again.
                Attempt::Stale => {}
                Attempt::Gone => return None,
            }
        }
    }

    /// How many connections are kept.
    #[cfg(test)]
    fn kept(&self) -> usize {
        self.pool.len()
    }

    async fn open(&self, request: &Request) -> Result<Connection, Failure> {
        let stream = self.dial.dial(request.circuit, &request.scope).await?;
        match request.scope.transport {
            Transport::Plain => Connection::open(stream, None).await,
            Transport::TlsVerified | Transport::TlsRecordInvalid => {
                let record_invalid = request.scope.transport == Transport::TlsRecordInvalid;
                let (stream, facts) = self.trust.connect(stream, &request.scope.host, record_invalid).await?;
                Connection::open(stream, Some(facts)).await
            }
        }
    }
}

fn cancelled() -> Failure {
    Failure { kind: FailureKind::Cancelled, detail: "the network part was shut down".into() }
}

fn millis(since: Instant) -> u32 {
    u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX)
}
