//! Waiting for Tor: not for ever, and with a word on how far it came.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use vigie_net::Net;
use vigie_wire::net::{Failure, FailureKind};

use crate::monitor::Monitor;
use crate::session::held;
use crate::stop::Stop;

/// Why there is no Tor.
pub enum NotUp {
    /// It failed, or took longer than the workstation waits.
    Failed(Failure),
    /// The run was stopped first.
    Stopped,
}

/// Brings Tor up within a limit.
pub async fn bring_up(net: &Net, monitor: &Arc<dyn Monitor>, limit: Duration, stop: &Stop) -> Result<(), NotUp> {
    let came_to = Arc::new(Mutex::new("nothing yet".to_owned()));
    let (told, shown) = (Arc::clone(&came_to), Arc::clone(monitor));
    let ready = net.bootstrap(move |state| {
        shown.tor(if state.ready { 1.0 } else { state.fraction }, &state.summary);
        *held(&told) = state.summary;
    });
    let mut signal = stop.signal();
    tokio::select! {
        biased;
        () = signal.raised() => Err(NotUp::Stopped),
        ready = tokio::time::timeout(limit, ready) => match ready {
            Ok(Ok(())) => Ok(()),
            Ok(Err(failure)) => Err(NotUp::Failed(failure)),
            Err(_) => Err(NotUp::Failed(Failure {
                kind: FailureKind::TorNotReady,
                detail: format!("not within {} ms, it came to: {}", limit.as_millis(), held(&came_to).trim_end_matches('.')),
            })),
        }
    }
}
