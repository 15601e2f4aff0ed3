//! Connections kept alive, by circuit key and scope: never shared between two of them.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vigie_wire::net::{CircuitKey, Scope, Transport};

use crate::connection::Connection;

/// Most idle connections kept for one key and scope.
const IDLE: usize = 64;
/// Most idle connections kept in all: each holds a Tor stream and with it a circuit.
const IDLE_IN_ALL: usize = 256;
/// Longest that a connection is kept idle: servers seldom wait longer (RFC 9112 §9.5), and a
/// circuit with an open stream on it never expires.
const IDLE_TIME: Duration = Duration::from_secs(60);

type Key = (CircuitKey, String, u16, Transport);

struct Idle {
    key: Key,
    since: Instant,
    connection: Connection,
}

/// The idle connections, the one kept longest first.
#[derive(Default)]
pub struct Pool {
    idle: Mutex<VecDeque<Idle>>,
}

fn key(circuit: CircuitKey, scope: &Scope) -> Key {
    (circuit, scope.host.clone(), scope.port, scope.transport)
}

impl Pool {
    /// An idle connection that is still of use, and that `fits`; those that do not are closed.
    pub async fn take(
        &self,
        circuit: CircuitKey,
        scope: &Scope,
        fits: impl Fn(&Connection) -> bool,
    ) -> Option<Connection> {
        let key = key(circuit, scope);
        self.remove(|idle| idle.since.elapsed() >= IDLE_TIME);
        loop {
            let mut connection = {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                let at = idle.iter().rposition(|idle| idle.key == key)?;
                idle.remove(at)?.connection
            };
            // What came in between shows now: an end, or bytes that belong to no exchange.
            if fits(&connection) && connection.is_idle().await {
                return Some(connection);
            }
            connection.close();
        }
    }

    /// Keeps a connection.
    pub fn keep(&self, circuit: CircuitKey, scope: &Scope, connection: Connection) {
        let key = key(circuit, scope);
        self.remove(|idle| idle.since.elapsed() >= IDLE_TIME);
        let mut over = None;
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            let same = |idle: &Idle| idle.key == key;
            if idle.iter().filter(|idle| same(idle)).count() >= IDLE {
                over = idle.iter().position(same).and_then(|at| idle.remove(at));
            } else if idle.len() >= IDLE_IN_ALL {
                over = idle.pop_front();
            }
            idle.push_back(Idle { key, since: Instant::now(), connection });
        }
        if let Some(over) = over {
            over.connection.close();
        }
    }

    /// Closes what is kept for a circuit key.
    pub fn retire(&self, circuit: CircuitKey) {
        self.remove(|idle| idle.key.0 == circuit);
    }

    /// Closes everything.
    pub fn close(&self) {
        self.remove(|_| true);
    }

    /// How many connections are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn remove(&self, of: impl Fn(&Idle) -> bool) {
        let mut removed = Vec::new();
        {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            for kept in std::mem::take(&mut *idle) {
                if of(&kept) {
                    removed.push(kept);
                } else {
                    idle.push_back(kept);
                }
            }
        }
        removed.into_iter().for_each(|idle| idle.connection.close());
    }
}
