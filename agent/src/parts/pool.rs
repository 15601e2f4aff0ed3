//! *record*'s side of *parse* and *draw*: a few processes that each do one piece of work at a time.

use std::io::{self, Read, Write};
use std::marker::PhantomData;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use vigie_wire::control::{
    Confinement, FromDraw, FromParse, FromWorker, Oversize, Part, Probe, Probed, ToParse, ToWorker,
};
use vigie_wire::draw::{Picture, ToDrawPage};
use vigie_wire::frame::{Inbox, encode};
use vigie_wire::limits;
use vigie_wire::parse::{Document, Page, Stylesheet};

use super::Launcher;
use crate::session::held;

/// How long a process may take to start.
const START: Duration = Duration::from_secs(60);
/// Most processes of a kind.
const MOST: usize = 8;
/// Bytes read at once.
const READ: usize = 64 * 1024;

/// What a process of a kind does, on both sides of its socket.
pub trait Work: 'static {
    /// What it is told.
    type Order: Serialize + DeserializeOwned;
    /// What it says.
    type Answer: Serialize + DeserializeOwned;
    /// The process.
    const PART: Part;
    /// Largest message to it, in bytes.
    const ORDER_BYTES: usize;
    /// Largest message from it, in bytes.
    const ANSWER_BYTES: usize;
    /// Orders that one process takes before another takes its place: what a hostile document may have left
    /// behind in it does not live long.
    const ORDERS: u32;
    /// How long an order may take.
    const LIMIT: Duration;
    /// How many processes try an order: a first one may have been harmed by an earlier document.
    const TRIES: u32;

    /// Does it, in the process.
    fn work(order: Self::Order) -> Self::Answer;

    /// Checks the limits of what came.
    ///
    /// # Errors
    /// Which it passes.
    fn check(answer: &Self::Answer) -> Result<(), Oversize>;
}

/// Hostile bytes in, plain values out.
pub struct Reading;

impl Work for Reading {
    type Order = ToParse;
    type Answer = FromParse;
    const PART: Part = Part::Parse;
    const ORDER_BYTES: usize = limits::TO_PARSE_BYTES;
    const ANSWER_BYTES: usize = limits::FROM_PARSE_BYTES;
    const ORDERS: u32 = 200;
    const LIMIT: Duration = Duration::from_secs(60);
    const TRIES: u32 = 2;

    fn work(order: ToParse) -> FromParse {
        match order {
            ToParse::Page(document) => FromParse::Page(Box::new(vigie_parse::page(&document))),
            ToParse::Stylesheet(document) => FromParse::Stylesheet(Box::new(vigie_parse::stylesheet(&document))),
            ToParse::Body(document) => {
                let (bytes, warnings) = vigie_parse::body(&document);
                FromParse::Body { bytes: bytes.into(), warnings }
            }
            ToParse::Text(document) => {
                let (title, text) = vigie_parse::text(&document, limits::PAGE_TEXT_BYTES);
                FromParse::Text { title, text }
            }
        }
    }

    fn check(answer: &FromParse) -> Result<(), Oversize> {
        answer.check()
    }
}

/// Recorded pages in, pictures out.
pub struct Drawing;

impl Work for Drawing {
    type Order = ToDrawPage;
    type Answer = FromDraw;
    const PART: Part = Part::Draw;
    const ORDER_BYTES: usize = limits::TO_DRAW_BYTES;
    const ANSWER_BYTES: usize = limits::FROM_DRAW_BYTES;
    const ORDERS: u32 = 50;
    const LIMIT: Duration = Duration::from_secs(20);
    // A picture is worth no second wait.
    const TRIES: u32 = 1;

    fn work(order: ToDrawPage) -> FromDraw {
        FromDraw(vigie_render::draw(&order))
    }

    fn check(answer: &FromDraw) -> Result<(), Oversize> {
        answer.check()
    }
}

/// Processes that read.
pub type ParsePool = Pool<Reading>;
/// Processes that draw.
pub type DrawPool = Pool<Drawing>;

/// Why a document was not read. It was recorded all the same.
#[derive(Debug, thiserror::Error)]
#[error("the process that reads pages failed on it twice: {0}")]
pub struct Unread(pub String);

/// The processes.
pub struct Pool<W: Work> {
    launcher: Arc<Launcher>,
    idle: Mutex<Vec<Worker<W>>>,
    room: Mutex<usize>,
    freed: Condvar,
}

struct Worker<W: Work> {
    number: u32,
    socket: UnixStream,
    inbox: Inbox,
    confinement: Confinement,
    orders: u32,
    work: PhantomData<fn() -> W>,
}

impl Pool<Reading> {
    /// Reads a page; blocks.
    pub fn page(&self, document: Document) -> Result<Page, Unread> {
        match self.order(ToParse::Page(document)).map_err(Unread)? {
            FromParse::Page(page) => Ok(*page),
            _ => Err(Unread("it answered something else".into())),
        }
    }

    /// Reads a stylesheet; blocks.
    pub fn stylesheet(&self, document: Document) -> Result<Stylesheet, Unread> {
        match self.order(ToParse::Stylesheet(document)).map_err(Unread)? {
            FromParse::Stylesheet(sheet) => Ok(*sheet),
            _ => Err(Unread("it answered something else".into())),
        }
    }

    /// Removes content codings: the bytes and what was odd; blocks.
    pub fn body(&self, document: Document) -> Result<(Bytes, Vec<String>), Unread> {
        match self.order(ToParse::Body(document)).map_err(Unread)? {
            FromParse::Body { bytes, warnings } => Ok((bytes, warnings)),
            _ => Err(Unread("it answered something else".into())),
        }
    }

    /// Title and visible text of a page; blocks.
    pub fn text(&self, document: Document) -> Result<(String, String), Unread> {
        match self.order(ToParse::Text(document)).map_err(Unread)? {
            FromParse::Text { title, text } => Ok((title, text)),
            _ => Err(Unread("it answered something else".into())),
        }
    }
}

impl Pool<Drawing> {
    /// Draws a page; blocks. Why not, on one line.
    pub fn draw(&self, order: ToDrawPage) -> Result<Picture, String> {
        match self.order(order) {
            Ok(FromDraw(drawn)) => drawn.map_err(|why| why.to_string()),
            Err(why) => Err(format!("the process that draws pages failed on it: {why}")),
        }
    }
}

impl<W: Work> Pool<W> {
    /// None is started before there is something to do.
    pub fn new(launcher: Arc<Launcher>) -> Self {
        let room = std::thread::available_parallelism().map_or(1, usize::from).min(MOST);
        Self { launcher, idle: Mutex::default(), room: Mutex::new(room), freed: Condvar::new() }
    }

    /// Begins a session: processes of an earlier one end, so that nothing which a document left in them
    /// meets another's; starts one and gives what it put on.
    pub fn begin(&self) -> Result<Confinement, Unread> {
        for worker in std::mem::take(&mut *held(&self.idle)) {
            self.launcher.end(worker.number);
        }
        let worker = self.fresh().map_err(Unread)?;
        let confinement = worker.confinement.clone();
        held(&self.idle).push(worker);
        Ok(confinement)
    }

    /// Tries something from inside a fresh process of its own. One that the kernel ended for it was
    /// refused.
    pub fn probe(&self, part: Part, probe: Probe) -> Result<Probed, Unread> {
        let mut worker = self.fresh_as(part).map_err(Unread)?;
        let answer = worker.ask(&ToWorker::Probe(probe));
        let how = if answer.is_ok() { self.launcher.end(worker.number) } else { self.launcher.let_end(worker.number) };
        match answer {
            Ok(FromWorker::Probed(probed)) => Ok(probed),
            Ok(_) => Err(Unread("it answered something else".into())),
            Err(_) => Ok(Probed::Refused(how)),
        }
    }

    /// The first try is made by a process that is there, further ones by fresh ones.
    fn order(&self, order: W::Order) -> Result<W::Answer, String> {
        let _room = Room::take(self);
        let order = ToWorker::Do(order);
        let mut tried = self.once(&order, false);
        for _ in 1..W::TRIES {
            tried = tried.or_else(|_| self.once(&order, true));
        }
        tried
    }

    fn once(&self, order: &ToWorker<W::Order>, anew: bool) -> Result<W::Answer, String> {
        let idle = if anew { None } else { held(&self.idle).pop() };
        let mut worker = match idle {
            Some(worker) => worker,
            None => self.fresh()?,
        };
        match worker.ask(order) {
            Ok(FromWorker::Done(answer)) => {
                worker.orders += 1;
                if worker.orders < W::ORDERS {
                    held(&self.idle).push(worker);
                } else {
                    self.launcher.end(worker.number);
                }
                Ok(answer)
            }
            Ok(_) => Err(format!("it answered something else; {}", self.launcher.end(worker.number))),
            Err(why) => Err(if why.kind() == io::ErrorKind::UnexpectedEof {
                self.launcher.let_end(worker.number)
            } else {
                format!("{why}; {}", self.launcher.end(worker.number))
            }),
        }
    }

    fn fresh(&self) -> Result<Worker<W>, String> {
        self.fresh_as(W::PART)
    }

    fn fresh_as(&self, part: Part) -> Result<Worker<W>, String> {
        let (number, socket) = self.launcher.launch(part).map_err(|problem| problem.line)?;
        let (inbox, confinement) = (Inbox::new(W::ANSWER_BYTES), Confinement::default());
        let mut worker = Worker { number, socket, inbox, confinement, orders: 0, work: PhantomData };
        match worker.hear(START) {
            Ok(FromWorker::Ready(confinement)) => {
                worker.confinement = confinement;
                Ok(worker)
            }
            Ok(FromWorker::NotReady(why)) => {
                self.launcher.end(number);
                Err(why)
            }
            Ok(_) => Err("it began with an answer".into()),
            Err(why) => Err(format!("{why}; {}", self.launcher.end(number))),
        }
    }
}

impl<W: Work> Worker<W> {
    fn ask(&mut self, order: &ToWorker<W::Order>) -> io::Result<FromWorker<W::Answer>> {
        let bytes = encode(order, W::ORDER_BYTES).map_err(io::Error::other)?;
        self.socket.set_write_timeout(Some(W::LIMIT))?;
        self.socket.write_all(&bytes).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        self.hear(W::LIMIT)
    }

    fn hear(&mut self, limit: Duration) -> io::Result<FromWorker<W::Answer>> {
        let deadline = Instant::now() + limit;
        let mut buffer = vec![0; READ];
        loop {
            if let Some(answer) = self.inbox.take::<FromWorker<W::Answer>>().map_err(io::Error::other)? {
                if let FromWorker::Done(answer) = &answer {
                    W::check(answer).map_err(io::Error::other)?;
                }
                // It speaks when it is asked, once.
                return if self.inbox.is_empty() { Ok(answer) } else { Err(io::Error::other("it said too much")) };
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::other(format!("nothing within {} s", limit.as_secs())));
            }
            self.socket.set_read_timeout(Some(left))?;
            match self.socket.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => self.inbox.push(&buffer[..count]),
                Err(error) => match error.kind() {
                    // The loop looks at the time.
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {}
                    io::ErrorKind::ConnectionReset => return Err(io::ErrorKind::UnexpectedEof.into()),
                    _ => return Err(error),
                },
            }
        }
    }
}

/// The right to give one order.
struct Room<'p, W: Work>(&'p Pool<W>);

impl<'p, W: Work> Room<'p, W> {
    fn take(pool: &'p Pool<W>) -> Self {
        let mut room = held(&pool.room);
        while *room == 0 {
            room = pool.freed.wait(room).unwrap_or_else(PoisonError::into_inner);
        }
        *room -= 1;
        drop(room);
        Self(pool)
    }
}

impl<W: Work> Drop for Room<'_, W> {
    fn drop(&mut self) {
        *held(&self.0.room) += 1;
        self.0.freed.notify_one();
    }
}
