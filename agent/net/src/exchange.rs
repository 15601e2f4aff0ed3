//! One exchange, from the order to `Finished` or `Failed`.

mod attempt;
mod progress;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use vigie_wire::net::{CircuitKey, Event, Exit, Failure, FailureKind, Request, Scope, Through, Transport};

use crate::connection::Connection;
use crate::pool::Pool;
use crate::scope;
use crate::tls::Trust;
use attempt::{Attempt, attempt};

/// Opens streams.
pub trait Dial: Send + Sync + 'static {
    /// What it opens.
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    /// Opens a stream to a scope's host and port on a key's own circuits, and through none of these
    /// exits, their families and subnets.
    fn dial(
        &self,
        key: CircuitKey,
        scope: &Scope,
        apart_from: &[Exit],
    ) -> impl Future<Output = Dialled<Self::Stream>> + Send;
    /// Two exits that count as one: the same relay, or one family or subnet.
    fn together(&self, one: &Exit, other: &Exit) -> bool;
    /// A key is not used any more.
    fn retire(&self, key: CircuitKey);
}

/// What came of dialling: the way, as far as it is known, and the stream.
pub struct Dialled<S> {
    /// Exit and circuit, also of a stream that did not open.
    pub through: Option<Through>,
    /// The stream.
    pub stream: Result<S, Failure>,
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
        let fits = |connection: &Connection| match &connection.through {
            Some(through) => !request.apart_from.iter().any(|other| self.dial.together(&through.exit, other)),
            None => request.apart_from.is_empty(),
        };
        let mut kept = self.pool.take(request.circuit, &request.scope, fits).await;
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
                        opened = tokio::time::timeout(limit, self.open(request, events)) => opened,
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
            let facts = vigie_wire::net::Connection {
                reused,
                connect_ms: millis(begun),
                tls: connection.tls.clone(),
                through: connection.through.clone(),
            };
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

    async fn open(&self, request: &Request, events: &mpsc::Sender<Event>) -> Result<Connection, Failure> {
        let Dialled { through, stream } = self.dial.dial(request.circuit, &request.scope, &request.apart_from).await;
        // Told before TLS: whose exit it was matters most when the handshake fails.
        if let Some(through) = &through {
            // Nobody need listen any more: then the exchange ends at its next word.
            let _ = events.send(Event::Through(through.exit)).await;
        }
        let stream = stream?;
        match request.scope.transport {
            Transport::Plain => Connection::open(stream, None, through).await,
            Transport::TlsVerified | Transport::TlsRecordInvalid => {
                let record_invalid = request.scope.transport == Transport::TlsRecordInvalid;
                let (stream, facts) = self.trust.connect(stream, &request.scope.host, record_invalid).await?;
                Connection::open(stream, Some(facts), through).await
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
