//! *record*'s side of *net*: one process, started again when it ends, with exchanges and questions that
//! survive it as failures with a name.

mod start;
mod supervise;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use vigie_wire::control::{Answer, ClientKey, Confinement, FromNet, Probe, Probed, Question, Start, ToNet};
use vigie_wire::frame::Inbox;
use vigie_wire::limits;
use vigie_wire::net::{
    Bootstrap, Consensus, Descriptor, DescriptorRequest, Event, Failure, FailureKind, NetworkFacts, Request,
};

use self::start::launch;
pub use self::start::name_transports;
use self::supervise::supervise;
use super::Launcher;
use crate::error::Problem;
use crate::monitor::Monitor;
use crate::session::held;

/// How long an orderly end may take.
const END: Duration = Duration::from_secs(10);
/// Beyond the limits of an exchange, how long *net* may keep silent about it.
const SLACK: Duration = Duration::from_secs(30);
/// Events after which *net* is told that they were taken.
const TAKEN: u16 = limits::EVENTS as u16 / 2;
/// Bytes read at once.
const READ: usize = 64 * 1024;

/// The network part.
#[derive(Clone)]
pub struct Net {
    shared: Arc<Shared>,
}

struct Shared {
    launcher: Arc<Launcher>,
    start: Start,
    facts: NetworkFacts,
    confinement: Confinement,
    monitor: Arc<dyn Monitor>,
    /// How long the process may keep silent when it is asked whether it is there.
    silence: Duration,
    /// Orders to the process that runs, and who waits for its answers.
    line: Mutex<Line>,
    next: AtomicU64,
    /// Client keys of the session, for a process that takes the place of another.
    keys: Mutex<Vec<ClientKey>>,
    /// Somebody wants Tor up.
    wanted: AtomicBool,
    ending: AtomicBool,
    state: watch::Sender<State>,
    ended: watch::Sender<bool>,
}

#[derive(Default)]
struct Line {
    orders: Option<mpsc::UnboundedSender<ToNet>>,
    waiting: HashMap<u64, Waiting>,
    probe: Option<oneshot::Sender<Probed>>,
}

enum Waiting {
    Exchange(mpsc::Sender<Event>),
    Question(oneshot::Sender<Result<Answer, Failure>>),
}

/// How far Tor is in the process that runs.
#[derive(Clone, Default)]
struct State {
    told: Option<Bootstrap>,
    up: Option<Result<(), Failure>>,
}

/// A process that has started.
struct Process {
    number: u32,
    from: OwnedReadHalf,
    to: OwnedWriteHalf,
    inbox: Inbox,
}

impl Net {
    /// Starts the process; it touches no network before [`Self::bootstrap`].
    pub async fn start(
        launcher: Arc<Launcher>,
        start: Start,
        silence: Duration,
        monitor: Arc<dyn Monitor>,
    ) -> Result<Self, Problem> {
        let (process, facts, confinement) = launch(&launcher, &start).await?;
        let shared = Arc::new(Shared {
            launcher,
            start,
            facts,
            confinement,
            monitor,
            silence,
            line: Mutex::default(),
            next: AtomicU64::new(0),
            keys: Mutex::default(),
            wanted: AtomicBool::new(false),
            ending: AtomicBool::new(false),
            state: watch::Sender::default(),
            ended: watch::Sender::new(false),
        });
        let orders = shared.open_line();
        tokio::spawn(supervise(Arc::clone(&shared), process, orders));
        Ok(Self { shared })
    }

    /// Facts of the network, for the record.
    pub fn facts(&self) -> NetworkFacts {
        self.shared.facts.clone()
    }

    /// What the process put on.
    pub fn confinement(&self) -> Confinement {
        self.shared.confinement.clone()
    }

    /// Gives the process the client keys of its session, before [`Self::bootstrap`] and once.
    pub fn client_keys(&self, keys: Vec<ClientKey>) {
        *held(&self.shared.keys) = keys;
        self.shared.hand_keys();
    }

    /// Brings Tor up, telling how far it is. A process that ends meanwhile is started again.
    pub async fn bootstrap(&self, mut tell: impl FnMut(Bootstrap) + Send) -> Result<(), Failure> {
        let mut state = self.shared.state.subscribe();
        self.shared.wanted.store(true, Ordering::Relaxed);
        self.shared.order(ToNet::Bootstrap);
        loop {
            if state.changed().await.is_err() {
                return Err(self.shared.gone("it is not running"));
            }
            let now = state.borrow_and_update().clone();
            if let Some(told) = now.told {
                tell(told);
            }
            if let Some(up) = now.up {
                return up;
            }
        }
    }

    /// The signed consensus that Tor uses now.
    pub async fn consensus(&self) -> Result<Consensus, Failure> {
        match self.ask(Question::Consensus).await? {
            Answer::Consensus(consensus) => Ok(*consensus),
            Answer::Descriptor(_) => Err(self.shared.gone("it answered another question")),
        }
    }

    /// The signed descriptor of an onion service, as a directory has it now.
    pub async fn descriptor(&self, request: DescriptorRequest) -> Result<Descriptor, Failure> {
        match self.ask(Question::Descriptor(Box::new(request))).await? {
            Answer::Descriptor(descriptor) => Ok(*descriptor),
            Answer::Consensus(_) => Err(self.shared.gone("it answered another question")),
        }
    }

    async fn ask(&self, question: Question) -> Result<Answer, Failure> {
        let (sender, receiver) = oneshot::channel();
        let id = self.shared.number();
        if !self.shared.send(id, Waiting::Question(sender), ToNet::Ask { id, question }) {
            return Err(self.shared.gone("it is not running"));
        }
        receiver.await.unwrap_or_else(|_| Err(self.shared.gone("it gave no answer")))
    }

    /// Performs one exchange. The events end with `Finished` or `Failed`; dropping them cancels it.
    pub fn exchange(&self, request: Request) -> Events {
        let limits = &request.limits;
        let connect = Duration::from_millis(limits.connect_ms.into());
        let longest = Duration::from_millis(u64::from(limits.total_ms) + u64::from(limits.first_byte_ms));
        // A kept connection that died costs a second attempt.
        let deadline = Instant::now() + 2 * (connect + longest) + SLACK;
        let (sender, receiver) = mpsc::channel(limits::EVENTS + 1);
        let id = self.shared.number();
        let shared = Arc::clone(&self.shared);
        if shared.is_up() {
            shared.begin(id, request, sender);
        } else {
            // Started again a moment ago: Tor needs a while.
            tokio::spawn(async move {
                match tokio::time::timeout(connect, shared.up()).await {
                    Ok(Ok(())) => shared.begin(id, request, sender),
                    Ok(Err(failure)) => drop(sender.send(Event::Failed(failure)).await),
                    Err(_) => {
                        let failure = shared.gone("it was started again and has no Tor yet");
                        let _ = sender.send(Event::Failed(failure)).await;
                    }
                }
            });
        }
        Events { id, receiver, shared: Arc::clone(&self.shared), untold: 0, ended: false, deadline }
    }

    /// Tries something from inside the process; `None` when it ended over it, in words.
    pub async fn probe(&self, probe: Probe) -> Probed {
        let (sender, receiver) = oneshot::channel();
        held(&self.shared.line).probe = Some(sender);
        self.shared.order(ToNet::Probe(probe));
        receiver.await.unwrap_or_else(|_| Probed::Refused("the kernel ended the process for it".into()))
    }

    /// Ends running exchanges as cancelled, and the process.
    pub async fn shutdown(&self) {
        self.shared.ending.store(true, Ordering::Relaxed);
        self.shared.order(ToNet::Shutdown);
        let mut ended = self.shared.ended.subscribe();
        let _ = tokio::time::timeout(END, ended.wait_for(|ended| *ended)).await;
    }
}

impl Shared {
    fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn is_up(&self) -> bool {
        matches!(self.state.borrow().up, Some(Ok(())))
    }

    /// Waits for Tor; fails when it will not come up.
    async fn up(&self) -> Result<(), Failure> {
        let mut state = self.state.subscribe();
        match state.wait_for(|state| matches!(state.up, Some(Ok(())))).await {
            Ok(_) => Ok(()),
            Err(_) => Err(self.gone("it is not running")),
        }
    }

    fn open_line(&self) -> mpsc::UnboundedReceiver<ToNet> {
        let (sender, receiver) = mpsc::unbounded_channel();
        held(&self.line).orders = Some(sender);
        receiver
    }

    /// Hands the session's client keys over, if it has any.
    fn hand_keys(&self) {
        let keys = held(&self.keys).clone();
        if !keys.is_empty() {
            self.order(ToNet::ClientKeys(keys));
        }
    }

    /// An order that nobody waits for.
    fn order(&self, order: ToNet) {
        if let Some(orders) = &held(&self.line).orders {
            let _ = orders.send(order);
        }
    }

    /// An order that somebody waits for; `false` when there is no process.
    fn send(&self, id: u64, waiting: Waiting, order: ToNet) -> bool {
        let mut line = held(&self.line);
        let sent = line.orders.as_ref().is_some_and(|orders| orders.send(order).is_ok());
        if sent {
            line.waiting.insert(id, waiting);
        }
        sent
    }

    fn begin(&self, id: u64, request: Request, events: mpsc::Sender<Event>) {
        let order = ToNet::Exchange { id, request: Box::new(request) };
        if !self.send(id, Waiting::Exchange(events.clone()), order) {
            let _ = events.try_send(Event::Failed(self.gone("it is not running")));
        }
    }

    fn cancel(&self, id: u64) {
        let mut line = held(&self.line);
        if line.waiting.remove(&id).is_some()
            && let Some(orders) = &line.orders
        {
            let _ = orders.send(ToNet::Cancel { id });
        }
    }

    /// The process ended: whoever waits is told why.
    fn close_line(&self, why: &str) {
        let mut line = held(&self.line);
        line.orders = None;
        line.probe = None;
        for (_, waiting) in line.waiting.drain() {
            let failure = self.gone(why);
            match waiting {
                // There is room for one more than may be under way.
                Waiting::Exchange(events) => drop(events.try_send(Event::Failed(failure))),
                Waiting::Question(answer) => drop(answer.send(Err(failure))),
            }
        }
    }

    fn gone(&self, why: &str) -> Failure {
        if self.ending.load(Ordering::Relaxed) {
            return Failure { kind: FailureKind::Cancelled, detail: "the network process was ended".into() };
        }
        Failure { kind: FailureKind::NetworkProcess, detail: format!("the network process: {why}") }
    }

    /// Hands on what the process said; an error when it broke the rules.
    fn take(&self, message: FromNet) -> Result<(), String> {
        message.check().map_err(|e| e.to_string())?;
        match message {
            FromNet::Started { .. } | FromNet::NotStarted(_) => return Err("it started twice".into()),
            FromNet::Bootstrap(told) => self.state.send_modify(|state| state.told = Some(told)),
            FromNet::Up(result) => self.state.send_modify(|state| state.up = Some(result)),
            FromNet::Event { id, event } => {
                let mut line = held(&self.line);
                let last = matches!(event, Event::Finished(_) | Event::Failed(_));
                let full = match line.waiting.get(&id) {
                    Some(Waiting::Exchange(events)) => {
                        matches!(events.try_send(event), Err(mpsc::error::TrySendError::Full(_)))
                    }
                    Some(Waiting::Question(_)) => return Err("an event answers a question".into()),
                    // Given up a moment ago.
                    None => false,
                };
                if full {
                    return Err("it said more than there was room for".into());
                }
                if last {
                    line.waiting.remove(&id);
                }
            }
            FromNet::Answer { id, answer } => match held(&self.line).waiting.remove(&id) {
                Some(Waiting::Question(sender)) => drop(sender.send(answer)),
                Some(Waiting::Exchange(_)) => return Err("an answer to an exchange".into()),
                None => {}
            },
            FromNet::Pong(_) => {}
            FromNet::Probed(probed) => {
                if let Some(sender) = held(&self.line).probe.take() {
                    let _ = sender.send(probed);
                }
            }
        }
        Ok(())
    }
}

/// The events of one exchange.
pub struct Events {
    id: u64,
    receiver: mpsc::Receiver<Event>,
    shared: Arc<Shared>,
    untold: u16,
    ended: bool,
    deadline: Instant,
}

impl Events {
    /// The next event; `None` after the last.
    pub async fn recv(&mut self) -> Option<Event> {
        if self.ended {
            return None;
        }
        let event = match tokio::time::timeout_at(self.deadline, self.receiver.recv()).await {
            Ok(Some(event)) => event,
            Ok(None) => Event::Failed(self.shared.gone("it gave up an exchange without a word")),
            Err(_) => {
                self.shared.cancel(self.id);
                Event::Failed(self.shared.gone("it kept silent about an exchange"))
            }
        };
        self.ended = matches!(event, Event::Finished(_) | Event::Failed(_));
        self.untold += 1;
        if self.untold >= TAKEN && !self.ended {
            self.shared.order(ToNet::Taken { id: self.id, events: self.untold });
            self.untold = 0;
        }
        Some(event)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.cancel(self.id);
        }
    }
}
