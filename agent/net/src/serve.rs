//! *net* as a process of its own: orders come over the socket that is its standard input.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use vigie_confine::{ConfineError, Role};
use vigie_wire::control::{Answer, FromNet, NotStarted, Question, Start, ToNet};
use vigie_wire::frame::{Inbox, encode};
use vigie_wire::limits;
use vigie_wire::net::{Event, Failure, FailureKind};
use zeroize::Zeroize;

use crate::{Net, NetConfig, NetError};

/// Messages that wait to be written; the events of exchanges wait before them.
const WAITING: usize = 64;
/// Bytes read at once.
const READ: usize = 64 * 1024;

/// Takes orders until *record* closes the socket or says so. Binds itself before Arti is started;
/// what it cannot put on, or do, it says and ends.
pub fn serve() -> io::Result<()> {
    let mut socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut inbox = Inbox::wiping(limits::TO_NET_BYTES);
    let Some(start) = first(&mut socket, &mut inbox)? else { return Ok(()) };
    let config = match config(&start) {
        Ok(config) => config,
        Err(fault) => return say(&mut socket, &FromNet::NotStarted(fault)),
    };
    let role = Role::Net { write: vec![config.state_dir.clone(), config.cache_dir.clone()] };
    let confinement = match vigie_confine::enter(&role, &start.may_lack) {
        Ok(confinement) => confinement,
        Err(error) => {
            let input = matches!(error, ConfineError::Folder { .. });
            let line = format!("confining the network process: {error}");
            return say(&mut socket, &FromNet::NotStarted(NotStarted { input, line }));
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let net = match Net::start(config) {
            Ok(net) => net,
            Err(error) => {
                let input = matches!(error, NetError::Config(_) | NetError::Bridge { .. } | NetError::TrustAnchor(_));
                let line = format!("starting Tor: {error}");
                return say(&mut socket, &FromNet::NotStarted(NotStarted { input, line }));
            }
        };
        say(&mut socket, &FromNet::Started { facts: net.facts(), confinement })?;
        socket.set_nonblocking(true)?;
        converse(tokio::net::UnixStream::from_std(socket)?, inbox, net).await
    })
}

/// The first message, read before there is a runtime; `None` when *record* is gone.
fn first(socket: &mut UnixStream, inbox: &mut Inbox) -> io::Result<Option<Start>> {
    let mut buffer = vec![0; READ];
    loop {
        match inbox.take::<ToNet>().map_err(io::Error::other)? {
            Some(ToNet::Start(start)) => return Ok(Some(*start)),
            Some(_) => return Err(io::Error::other("the first message is no start")),
            None => match socket.read(&mut buffer)? {
                0 => return Ok(None),
                count => inbox.push(&buffer[..count]),
            },
        }
    }
}

fn say(socket: &mut UnixStream, message: &FromNet) -> io::Result<()> {
    socket.write_all(&encode(message, limits::FROM_NET_BYTES).map_err(io::Error::other)?)
}

fn config(start: &Start) -> Result<NetConfig, NotStarted> {
    let fault = |line: String| NotStarted { input: true, line };
    let tor = start.tor.parse().map_err(|e| fault(format!("the [tor] table of vigie.toml: {e}")))?;
    let config = NetConfig {
        tor,
        state_dir: PathBuf::from(&start.state_dir),
        cache_dir: PathBuf::from(&start.cache_dir),
        tls_extra_roots: start.tls_extra_roots.iter().map(|der| der.to_vec()).collect(),
    };
    for folder in [&config.state_dir, &config.cache_dir] {
        crate::tor::private_folder(folder).map_err(|e| NotStarted { input: false, line: e.to_string() })?;
    }
    Ok(config)
}

/// An exchange that is under way.
struct Running {
    task: AbortHandle,
    room: Arc<Semaphore>,
}

type Exchanges = Arc<Mutex<HashMap<u64, Running>>>;

fn held(exchanges: &Exchanges) -> MutexGuard<'_, HashMap<u64, Running>> {
    exchanges.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn converse(socket: tokio::net::UnixStream, mut inbox: Inbox, net: Net) -> io::Result<()> {
    let (mut from, mut to) = socket.into_split();
    let (out, mut waiting) = mpsc::channel::<FromNet>(WAITING);
    let writer = tokio::spawn(async move {
        while let Some(message) = waiting.recv().await {
            let Ok(bytes) = encode(&message, limits::FROM_NET_BYTES) else { break };
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    });
    let exchanges = Exchanges::default();
    let mut buffer = vec![0; READ];
    loop {
        while let Some(order) = inbox.take::<ToNet>().map_err(io::Error::other)? {
            match order {
                ToNet::Start(_) => return Err(io::Error::other("a second start")),
                ToNet::ClientKeys(keys) => {
                    if keys.len() > limits::CLIENT_KEYS {
                        return Err(io::Error::other("too many client keys"));
                    }
                    // Bad ones never get so far: nobody would be there to hear of it.
                    net.client_keys(&keys).map_err(io::Error::other)?;
                }
                ToNet::Bootstrap => bootstrap(net.clone(), out.clone()),
                ToNet::Exchange { id, request } => exchange(&net, id, *request, &exchanges, out.clone()),
                ToNet::Taken { id, events } => {
                    if let Some(running) = held(&exchanges).get(&id) {
                        running.room.add_permits(usize::from(events).min(limits::EVENTS));
                    }
                }
                ToNet::Cancel { id } => {
                    if let Some(running) = held(&exchanges).remove(&id) {
                        running.task.abort();
                    }
                }
                ToNet::Ask { id, question } => answer(net.clone(), id, question, out.clone()),
                ToNet::Ping(number) => drop(out.send(FromNet::Pong(number)).await),
                ToNet::Probe(probe) => drop(out.send(FromNet::Probed(vigie_confine::probe::attempt(probe))).await),
                ToNet::Shutdown => {
                    net.shutdown().await;
                    drop(out);
                    let _ = writer.await;
                    return Ok(());
                }
            }
        }
        match from.read(&mut buffer).await? {
            0 => return Ok(()),
            count => {
                inbox.push(&buffer[..count]);
                buffer[..count].zeroize();
            }
        }
    }
}

fn bootstrap(net: Net, out: mpsc::Sender<FromNet>) {
    tokio::spawn(async move {
        let told = out.clone();
        // What does not fit is overtaken by what comes next.
        let result = net.bootstrap(|state| drop(told.try_send(FromNet::Bootstrap(state)))).await;
        let _ = out.send(FromNet::Up(result.map_err(shortened))).await;
    });
}

fn answer(net: Net, id: u64, question: Question, out: mpsc::Sender<FromNet>) {
    tokio::spawn(async move {
        let answer = match question {
            Question::Consensus => net.consensus().await.map(|consensus| Answer::Consensus(Box::new(consensus))),
            Question::Descriptor(request) => {
                net.descriptor(*request).await.map(|descriptor| Answer::Descriptor(Box::new(descriptor)))
            }
        };
        let _ = out.send(FromNet::Answer { id, answer: answer.map_err(shortened) }).await;
    });
}

fn exchange(net: &Net, id: u64, request: vigie_wire::net::Request, exchanges: &Exchanges, out: mpsc::Sender<FromNet>) {
    let room = Arc::new(Semaphore::new(limits::EVENTS));
    let (mut events, has_room, all) = (net.exchange(request), Arc::clone(&room), Arc::clone(exchanges));
    // Held until the exchange stands in the map, so that it cannot leave it before.
    let mut map = held(exchanges);
    let task = tokio::spawn(async move {
        let mut ended = false;
        while let Some(event) = events.recv().await {
            ended = matches!(event, Event::Finished(_) | Event::Failed(_));
            let event = match event {
                Event::Failed(failure) => Event::Failed(shortened(failure)),
                event => event,
            };
            // Never closed.
            let Ok(permit) = has_room.acquire().await else { return };
            permit.forget();
            if out.send(FromNet::Event { id, event }).await.is_err() {
                return;
            }
        }
        held(&all).remove(&id);
        if !ended {
            let detail = "the exchange ended inside the network process without an answer".to_owned();
            let event = Event::Failed(Failure { kind: FailureKind::Other, detail });
            let _ = out.send(FromNet::Event { id, event }).await;
        }
    });
    map.insert(id, Running { task: task.abort_handle(), room });
}

/// A reason that fits its message.
fn shortened(mut failure: Failure) -> Failure {
    if failure.detail.len() > limits::TEXT_BYTES {
        failure.detail.truncate(failure.detail.floor_char_boundary(limits::TEXT_BYTES));
    }
    failure
}
