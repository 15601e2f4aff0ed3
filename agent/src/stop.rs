//! One signal that ends a run in order: Ctrl-C, SIGTERM, a revocation, a full disk.

use tokio::sync::watch;

/// The sending half, held by the session.
#[derive(Clone)]
pub struct Stop {
    sender: std::sync::Arc<watch::Sender<Option<String>>>,
}

/// The waiting half.
pub struct StopSignal {
    receiver: watch::Receiver<Option<String>>,
}

impl Default for Stop {
    fn default() -> Self {
        Self { sender: std::sync::Arc::new(watch::Sender::new(None)) }
    }
}

impl Stop {
    /// Ends the run; the first reason stays.
    pub fn raise(&self, reason: impl Into<String>) {
        self.sender.send_if_modified(|held| {
            let first = held.is_none();
            if first {
                *held = Some(reason.into());
            }
            first
        });
    }
    /// The reason, once raised.
    pub fn reason(&self) -> Option<String> {
        self.sender.borrow().clone()
    }
    /// A waiting half.
    pub fn signal(&self) -> StopSignal {
        StopSignal { receiver: self.sender.subscribe() }
    }
}

impl StopSignal {
    /// Returns once the run is to end.
    pub async fn raised(&mut self) {
        // The sender lives in the session for as long as anyone waits.
        let _ = self.receiver.wait_for(Option::is_some).await;
    }
}
