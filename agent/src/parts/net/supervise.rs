//! Keeping a network process running, and what goes to and fro.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use vigie_wire::control::{FromNet, ToNet};
use vigie_wire::frame::encode_within;
use vigie_wire::limits;
use zeroize::Zeroize;

use super::start::launch;
use super::{Process, READ, Shared};
use crate::parts::Launcher;

/// Waits before it is started again: the first, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(60));
/// A process that lived so long was sound: the next wait is the first one again.
const SOUND: Duration = Duration::from_secs(120);

/// Keeps a process running until the end is wanted.
pub async fn supervise(shared: Arc<Shared>, first: Process, mut orders: mpsc::UnboundedReceiver<ToNet>) {
    let mut process = first;
    let mut wait = AGAIN.0;
    loop {
        let began = Instant::now();
        let number = process.number;
        let why = converse(&shared, process, orders).await;
        let launcher = Arc::clone(&shared.launcher);
        // One that hung up may keep what Arti remembers first, its guards above all.
        let hung_up = why.is_empty();
        let end = move || if hung_up { launcher.let_end(number) } else { launcher.end(number) };
        let how = tokio::task::spawn_blocking(end).await.unwrap_or_default();
        let why = if why.is_empty() { how } else { format!("{why}; {how}") };
        if began.elapsed() > SOUND {
            wait = AGAIN.0;
        }
        loop {
            shared.state.send_modify(|state| {
                state.up = None;
                if let Some(told) = &mut state.told {
                    told.ready = false;
                    told.summary = format!("the network process is started again: {why}");
                }
            });
            shared.close_line(&why);
            if shared.ending.load(Ordering::Relaxed) {
                shared.ended.send_replace(true);
                return;
            }
            shared.monitor.line(&format!("the network process is started again: {why}"));
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(AGAIN.1);
            match launch(&shared.launcher, &shared.start).await {
                Ok((next, facts, confinement)) if facts == shared.facts && confinement == shared.confinement => {
                    process = next;
                    orders = shared.open_line();
                    shared.hand_keys();
                    if shared.wanted.load(Ordering::Relaxed) {
                        shared.order(ToNet::Bootstrap);
                    }
                    break;
                }
                Ok((next, ..)) => {
                    shared.launcher.end(next.number);
                    shared.monitor.line("the network process came back on another network: it was ended");
                }
                Err(problem) => shared.monitor.line(&problem.line),
            }
        }
    }
}

/// Carries orders and answers; ends with the process, or with a reason to end it.
async fn converse(shared: &Shared, process: Process, mut orders: mpsc::UnboundedReceiver<ToNet>) -> String {
    let Process { mut from, mut to, mut inbox, .. } = process;
    let silence = shared.silence;
    let write = async move {
        let mut ping = tokio::time::interval(silence / 3);
        let mut number = 0;
        loop {
            let order = tokio::select! {
                order = orders.recv() => match order {
                    Some(order) => order,
                    None => return String::new(),
                },
                _ = ping.tick() => {
                    number += 1;
                    ToNet::Ping(number)
                }
            };
            let secret = matches!(order, ToNet::ClientKeys(_));
            let room = if secret { limits::CLIENT_KEYS_BYTES } else { 0 };
            let encoded = encode_within(&order, limits::TO_NET_BYTES, room);
            let Ok(mut bytes) = encoded else { return "an order is too long".into() };
            let written = to.write_all(&bytes).await;
            if secret {
                bytes.zeroize();
            }
            if written.is_err() {
                // The reader hears why.
                std::future::pending::<()>().await;
            }
        }
    };
    let read = async {
        let mut buffer = vec![0; READ];
        loop {
            loop {
                match inbox.take::<FromNet>() {
                    Ok(Some(message)) => {
                        if let Err(why) = shared.take(message) {
                            return format!("it broke the rules of the conversation: {why}");
                        }
                    }
                    Ok(None) => break,
                    Err(error) => return format!("it broke the rules of the conversation: {error}"),
                }
            }
            match tokio::time::timeout(silence, from.read(&mut buffer)).await {
                Ok(Ok(0) | Err(_)) => return String::new(),
                Ok(Ok(count)) => inbox.push(&buffer[..count]),
                Err(_) => return format!("it said nothing for {} s", silence.as_secs()),
            }
        }
    };
    tokio::select! {
        why = read => why,
        why = write => why,
        why = transports(&shared.launcher, silence / 3) => why,
    }
}

/// Ends when a pluggable transport has ended: another one takes its place at another address, which only
/// a new network process learns.
async fn transports(launcher: &Arc<Launcher>, every: Duration) -> String {
    if launcher.transports == 0 {
        std::future::pending::<()>().await;
    }
    loop {
        tokio::time::sleep(every).await;
        for place in 0..launcher.transports {
            let by = Arc::clone(launcher);
            match tokio::task::spawn_blocking(move || by.transport(place)).await {
                Ok(Ok((_, false))) => {}
                Ok(Ok((_, true))) => return "a pluggable transport ended and was started again".into(),
                Ok(Err(problem)) => return problem.line,
                Err(error) => return error.to_string(),
            }
        }
    }
}
