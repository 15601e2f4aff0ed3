//! A way to dial that gives the far end of each stream to the test, and what every exchange has to
//! keep to, whatever the far end says.

use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;
use std::{io, io::ErrorKind};

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf};
use tokio::sync::mpsc;
use tokio::time::timeout;
use vigie_wire::limits::{CHUNK_BYTES, PARSE_BODY_BYTES};
use vigie_wire::net::{
    CircuitKey, Connection, Event, Exit, Failure, FailureKind, Finished, Incomplete, Limits, Method, Request,
    ResponseHead, Scope, Through, Transport,
};

use crate::exchange::{Dial, Dialled, Engine};
use crate::tls::Trust;

pub const KEY: CircuitKey = CircuitKey([7; 32]);
/// The exit of this number.
pub fn exit(number: u8) -> Exit {
    Exit { rsa: [number; 20], ed25519: [number; 32] }
}

pub const HOST: &str = "shop.example";
/// On a clock that moves on by itself, what takes this long never happens: a failure, not a halt.
pub const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// A stream that ends with an error when it is told to: what Tor's does when a circuit dies.
pub struct Line {
    inner: DuplexStream,
    fault: Arc<Mutex<Option<ErrorKind>>>,
}

impl AsyncRead for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.inner).poll_read(cx, buffer);
        let fault = *self.fault.lock().unwrap();
        match (&result, fault) {
            (Poll::Ready(Ok(())), Some(kind)) if buffer.filled().len() == before => Poll::Ready(Err(kind.into())),
            _ => result,
        }
    }
}

impl AsyncWrite for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, bytes)
    }
    /// Fails as soon as the stream has died, with bytes still to be read or not.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let fault = *self.fault.lock().unwrap();
        fault.map_or_else(|| Pin::new(&mut self.inner).poll_flush(cx), |kind| Poll::Ready(Err(kind.into())))
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

/// The far end of a stream.
pub struct Far {
    pub stream: DuplexStream,
    fault: Arc<Mutex<Option<ErrorKind>>>,
}

impl Far {
    /// Reads one request head; empty at the end of the stream.
    pub async fn request(&mut self) -> Vec<u8> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            match timeout(NEVER, self.stream.read_u8()).await.expect("a request") {
                Ok(byte) => head.push(byte),
                Err(_) => break,
            }
        }
        head
    }
    /// Sends bytes; nobody may be there to take them any more.
    pub async fn say(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }
    /// Ends the stream with an error rather than in order.
    pub fn break_off(self, kind: ErrorKind) {
        *self.fault.lock().unwrap() = Some(kind);
    }
    /// Waits until the client closes.
    pub async fn closed(&mut self) {
        let mut rest = [0; 1024];
        while timeout(NEVER, self.stream.read(&mut rest)).await.expect("an end").is_ok_and(|read| read > 0) {}
    }
}

/// What dialling does.
pub struct Fake {
    far: mpsc::UnboundedSender<Far>,
    room: usize,
    answer: Option<FailureKind>,
    /// Streams go through exits.
    pub exits: bool,
    /// What the far end says before anybody asks.
    pub greeting: Mutex<Vec<u8>>,
    pub dialled: Mutex<Vec<(CircuitKey, String, u16)>>,
    pub retired: Mutex<Vec<CircuitKey>>,
}

impl Dial for Fake {
    type Stream = Line;
    async fn dial(&self, key: CircuitKey, scope: &Scope, apart_from: &[Exit]) -> Dialled<Line> {
        self.dialled.lock().unwrap().push((key, scope.host.clone(), scope.port));
        // As many exits as there are bytes; the lowest that need not be avoided.
        let exit = (1..=u8::MAX).map(exit).find(|exit| !apart_from.iter().any(|other| self.together(exit, other)));
        let through = self.exits.then(|| Through { exit: exit.unwrap(), circuit: "1.1".into() });
        let stream = match self.answer {
            Some(FailureKind::Timeout) => std::future::pending().await,
            Some(kind) => Err(Failure { kind, detail: "no".into() }),
            None => {
                let (near, mut far) = tokio::io::duplex(self.room);
                let greeting = self.greeting.lock().unwrap().clone();
                far.write_all(&greeting).await.unwrap();
                let fault = Arc::<Mutex<Option<ErrorKind>>>::default();
                let _ = self.far.send(Far { stream: far, fault: fault.clone() });
                Ok(Line { inner: near, fault })
            }
        };
        Dialled { through, stream }
    }
    fn together(&self, one: &Exit, other: &Exit) -> bool {
        one == other
    }
    fn retire(&self, key: CircuitKey) {
        self.retired.lock().unwrap().push(key);
    }
}

/// An engine, and the far ends of the streams that it opens.
pub struct Lab {
    pub engine: Arc<Engine<Fake>>,
    pub far: mpsc::UnboundedReceiver<Far>,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(64 * 1024, None, &[])
    }
    /// With so many bytes in flight on a stream, and a failure instead of one.
    pub fn with(room: usize, answer: Option<FailureKind>, roots: &[Vec<u8>]) -> Self {
        let (sender, far) = mpsc::unbounded_channel();
        let fake = Fake {
            far: sender,
            room,
            answer,
            exits: false,
            greeting: Mutex::default(),
            dialled: Mutex::default(),
            retired: Mutex::default(),
        };
        Self { engine: Arc::new(Engine::new(fake, Trust::new(roots).unwrap())), far }
    }
    /// With streams that go through exits.
    pub fn through_exits(answer: Option<FailureKind>) -> Self {
        let (sender, far) = mpsc::unbounded_channel();
        let fake = Fake {
            far: sender,
            room: 64 * 1024,
            answer,
            exits: true,
            greeting: Mutex::default(),
            dialled: Mutex::default(),
            retired: Mutex::default(),
        };
        Self { engine: Arc::new(Engine::new(fake, Trust::new(&[]).unwrap())), far }
    }
    /// Orders an exchange; its events come to the receiver.
    pub fn order(&self, request: Request) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(16);
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move { engine.run(request, sender).await });
        receiver
    }
    /// An exchange from end to end.
    pub async fn ask(&self, request: Request) -> Told {
        told(self.order(request)).await
    }
    /// The far end of the next stream.
    pub async fn far(&mut self) -> Far {
        timeout(NEVER, self.far.recv()).await.ok().flatten().expect("a stream")
    }
    /// An exchange with a far end that reads the request, says this and closes.
    pub async fn hear(&mut self, request: Request, said: &[u8]) -> Told {
        self.hear_until(request, said, None).await
    }
    /// The same, closing with an error.
    pub async fn hear_until(&mut self, request: Request, said: &[u8], fault: Option<ErrorKind>) -> Told {
        let events = self.order(request);
        let mut far = self.far().await;
        let said = said.to_vec();
        let server = tokio::spawn(async move {
            far.request().await;
            far.say(&said).await;
            if let Some(kind) = fault {
                far.break_off(kind);
            }
        });
        let told = told(events).await;
        server.await.unwrap();
        told
    }
}

/// What was told of an exchange.
#[derive(Default)]
pub struct Told {
    pub through: Vec<Exit>,
    pub opened: Vec<Connection>,
    pub sent: Vec<Vec<u8>>,
    pub head: Option<ResponseHead>,
    pub wire: Vec<u8>,
    pub body: Vec<u8>,
    pub finished: Option<Finished>,
    pub failed: Option<Failure>,
}

/// Collects the events and checks what holds of every exchange.
pub async fn told(mut events: mpsc::Receiver<Event>) -> Told {
    let mut told = Told::default();
    let mut head = false;
    while let Some(event) = timeout(NEVER, events.recv()).await.expect("an event") {
        assert!(told.finished.is_none() && told.failed.is_none(), "an event behind the last one");
        match event {
            Event::Through(exit) => {
                assert!(told.wire.is_empty() && told.through.len() == told.opened.len());
                told.through.push(exit);
            }
            Event::Opened(connection) => {
                assert!(told.wire.is_empty(), "opened again after bytes came");
                told.opened.push(connection);
            }
            Event::RequestSent(bytes) => {
                assert!(told.wire.is_empty() && !told.opened.is_empty() && told.sent.len() < told.opened.len());
                told.sent.push(bytes.to_vec());
            }
            Event::Head(understood) => {
                assert!(!head, "two heads");
                head = true;
                told.head = Some(understood);
            }
            Event::Wire(bytes) => {
                assert!(!told.sent.is_empty(), "bytes before the request");
                assert!(!bytes.is_empty() && bytes.len() <= CHUNK_BYTES);
                told.wire.extend_from_slice(&bytes);
            }
            Event::Body(bytes) => {
                assert!(head, "body before head");
                assert!(!bytes.is_empty() && bytes.len() <= CHUNK_BYTES);
                told.body.extend_from_slice(&bytes);
            }
            Event::Finished(finished) => told.finished = Some(finished),
            Event::Failed(failure) => told.failed = Some(failure),
        }
    }
    told.check();
    told
}

impl Told {
    fn check(&self) {
        let Some(finished) = &self.finished else {
            assert!(self.failed.is_some(), "no last event");
            assert!(self.wire.is_empty() && self.head.is_none(), "bytes came, and the end denies it");
            return;
        };
        assert!(self.failed.is_none() && !self.wire.is_empty());
        assert_eq!(finished.wire_bytes, self.wire.len() as u64);
        assert_eq!(finished.body_bytes, self.body.len() as u64, "all of the body was asked for");
        assert_eq!(finished.body_sha256, <[u8; 32]>::from(Sha256::digest(&self.body)));
        let head = finished.head_bytes as usize;
        assert_eq!(self.head.is_some(), head > 0);
        if self.head.is_some() {
            assert!(self.wire[..head].ends_with(b"\n\n") || self.wire[..head].ends_with(b"\n\r\n"));
        }
        assert!(head as u64 + finished.body_bytes + u64::from(finished.surplus_bytes) <= finished.wire_bytes);
        if finished.incomplete.is_none() {
            assert!(self.head.is_some() && self.head.as_ref().is_some_and(|head| head.status != 101));
        }
        // Surplus follows what was found whole, be it too large or not what was asked for.
        if let Some(why) = finished.incomplete.as_ref().filter(|_| finished.surplus_bytes > 0) {
            assert!(matches!(why, Incomplete::HeadTooLarge | Incomplete::BodyTooLarge) || self.status() == 101);
        }
    }
    /// The checker of WARC files finds this body in these bytes.
    pub fn check_payload(&self) {
        if self.head.is_some() {
            let (mut payload, mut found) = (vigie_warc::Payload::default(), Vec::new());
            payload.feed(&self.wire, &mut |bytes| found.extend_from_slice(bytes));
            assert_eq!(found, self.body, "{:?}", String::from_utf8_lossy(&self.wire));
        }
    }
    pub fn finished(&self) -> &Finished {
        self.finished.as_ref().unwrap_or_else(|| panic!("{:?}", self.failed))
    }
    pub fn incomplete(&self) -> Option<&Incomplete> {
        self.finished().incomplete.as_ref()
    }
    pub fn failure(&self) -> &Failure {
        self.failed.as_ref().unwrap_or_else(|| panic!("{:?}", self.finished))
    }
    pub fn status(&self) -> u16 {
        self.head.as_ref().map_or(0, |head| head.status)
    }
}

pub fn limits() -> Limits {
    Limits {
        head_bytes: 64 * 1024,
        body_bytes: 4 * 1024 * 1024,
        read_bytes: PARSE_BODY_BYTES as u32,
        connect_ms: 60_000,
        first_byte_ms: 30_000,
        idle_ms: 20_000,
        total_ms: 300_000,
    }
}

/// A request for `/page?a=b`, its fields in an order and letter case that hyper would not write.
pub fn request() -> Request {
    let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Request {
        circuit: KEY,
        scope: Scope { host: HOST.into(), port: 80, transport: Transport::Plain },
        method: Method::Get,
        path: "/page?a=b".into(),
        headers: vec![
            field("User-Agent", "Mozilla/5.0"),
            field("hOST", HOST),
            field("Sec-GPC", "1"),
            field("X", "é"),
            field("x-empty", ""),
            field("Connection", "keep-alive"),
        ],
        limits: limits(),
        apart_from: Vec::new(),
    }
}

/// The bytes of [`request`].
pub fn asked() -> Vec<u8> {
    "GET /page?a=b HTTP/1.1\r\nUser-Agent: Mozilla/5.0\r\nhOST: shop.example\r\nSec-GPC: 1\r\nX: é\r\nx-empty: \r\n\
     Connection: keep-alive\r\n\r\n"
        .into()
}
