//! Connections kept alive, by circuit key and scope: never shared between two of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http1::SendRequest;
use vigie_wire::net::{CircuitKey, Scope, Tls, Transport};

use crate::wire::Tap;

/// Most idle connections kept for one key and scope.
const IDLE: usize = 64;

/// An open connection.
pub struct Connection {
    /// Hyper's sending half.
    pub sender: SendRequest<Empty<Bytes>>,
    /// What is read and written.
    pub tap: Tap,
    /// TLS facts.
    pub tls: Option<Tls>,
}

type Key = (CircuitKey, String, u16, Transport);

/// The idle connections.
#[derive(Default)]
pub struct Pool {
    idle: Mutex<HashMap<Key, Vec<Connection>>>,
}

fn key(circuit: CircuitKey, scope: &Scope) -> Key {
    (circuit, scope.host.clone(), scope.port, scope.transport)
}

impl Pool {
    /// An idle connection that is still of use.
    pub async fn take(&self, circuit: CircuitKey, scope: &Scope) -> Option<Connection> {
        loop {
            let mut connection = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                idle.get_mut(&key(circuit, scope))?.pop()?
            };
            // Ready at once when it is still open; an error when the far side closed it. Bytes
            // that came in between belong to no exchange: such a connection is not used again.
            let ready = tokio::time::timeout(std::time::Duration::from_secs(1), connection.sender.ready()).await;
            if matches!(ready, Ok(Ok(()))) && connection.tap.is_quiet() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection.
    pub fn keep(&self, circuit: CircuitKey, scope: &Scope, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let list = idle.entry(key(circuit, scope)).or_default();
        if list.len() < IDLE {
            list.push(connection);
        }
    }

    /// Closes what is kept for a circuit key.
    pub fn retire(&self, circuit: CircuitKey) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).retain(|(key, ..), _| *key != circuit);
    }

    /// Closes everything.
    pub fn close(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
