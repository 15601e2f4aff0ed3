//! Ctrl-C and SIGTERM: the bench ends in order, so that nothing it started or wrote is left.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::Outcome;

static ASKED: AtomicBool = AtomicBool::new(false);

/// Listens for both signals from now on.
pub fn listen() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            let (Ok(mut interrupt), Ok(mut terminate)) =
                (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
            else {
                return;
            };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                ASKED.store(true, Ordering::SeqCst);
            }
        });
    })?;
    Ok(())
}

/// The bench is to end.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst)
}

/// An error once the bench is to end.
pub fn check() -> Outcome<()> {
    if asked() { Err("stopped as asked; everything it started has ended".into()) } else { Ok(()) }
}
