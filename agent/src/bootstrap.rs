//! Waiting for Tor: not for ever, and with a word on how far it came.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use vigie_wire::net::{Consensus, Failure, FailureKind};

use crate::error::Problem;
use crate::monitor::Monitor;
use crate::parts::Net;
use crate::session::held;
use crate::stop::Stop;

/// Why there is no Tor.
pub enum NotUp {
    /// It failed, or took longer than the workstation waits.
    Failed(Failure),
    /// The clock contradicts the network.
    Refused(Problem),
    /// The run was stopped first.
    Stopped,
}

/// Brings Tor up within a limit; gives the consensus that it then uses.
pub async fn bring_up(net: &Net, monitor: &Arc<dyn Monitor>, limit: Duration, stop: &Stop) -> Result<Consensus, NotUp> {
    let came_to = Arc::new(Mutex::new("nothing yet".to_owned()));
    let (told, shown) = (Arc::clone(&came_to), Arc::clone(monitor));
    let ready = async move {
        net.bootstrap(move |state| {
            shown.tor(if state.ready { 1.0 } else { state.fraction }, &state.summary);
            *held(&told) = state.summary;
        })
        .await?;
        net.consensus().await
    };
    let mut signal = stop.signal();
    tokio::select! {
        biased;
        () = signal.raised() => Err(NotUp::Stopped),
        ready = tokio::time::timeout(limit, ready) => match ready {
            Ok(Ok(consensus)) => Ok(consensus),
            Ok(Err(failure)) => Err(NotUp::Failed(failure)),
            Err(_) => Err(NotUp::Failed(Failure {
                kind: FailureKind::TorNotReady,
                detail: format!("not within {} ms, it came to: {}", limit.as_millis(), held(&came_to).trim_end_matches('.')),
            })),
        }
    }
}
