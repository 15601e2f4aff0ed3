//! *record*'s side of *parse*: a few processes that each read one document at a time.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use vigie_wire::control::{Confinement, FromParse, Part, Probe, Probed, ToParse};
use vigie_wire::frame::{Inbox, encode};
use vigie_wire::limits;
use vigie_wire::parse::{Document, Page, Stylesheet};

use super::Launcher;
use crate::session::held;

/// Documents that one process reads before another takes its place: what a hostile document may have
/// left behind in it does not live long.
const DOCUMENTS: u32 = 200;
/// How long a document may take, and a process to start.
const LIMIT: Duration = Duration::from_secs(60);
/// Most processes.
const MOST: usize = 8;
/// Bytes read at once.
const READ: usize = 64 * 1024;

/// Why a document was not read. It was recorded all the same.
#[derive(Debug, thiserror::Error)]
#[error("the process that reads pages failed on it twice: {0}")]
pub struct Unread(pub String);

/// The processes.
pub struct ParsePool {
    launcher: Arc<Launcher>,
    idle: Mutex<Vec<Worker>>,
    room: Mutex<usize>,
    freed: Condvar,
}

struct Worker {
    number: u32,
    socket: UnixStream,
    inbox: Inbox,
    confinement: Confinement,
    documents: u32,
}

impl ParsePool {
    /// None is started before there is something to read.
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

    /// Reads a page; blocks.
    pub fn page(&self, document: Document) -> Result<Page, Unread> {
        match self.order(&ToParse::Page(document))? {
            FromParse::Page(page) => Ok(*page),
            _ => Err(Unread("it answered something else".into())),
        }
    }

    /// Reads a stylesheet; blocks.
    pub fn stylesheet(&self, document: Document) -> Result<Stylesheet, Unread> {
        match self.order(&ToParse::Stylesheet(document))? {
            FromParse::Stylesheet(sheet) => Ok(*sheet),
            _ => Err(Unread("it answered something else".into())),
        }
    }

    /// Removes content codings: the bytes and what was odd; blocks.
    pub fn body(&self, document: Document) -> Result<(Bytes, Vec<String>), Unread> {
        match self.order(&ToParse::Body(document))? {
            FromParse::Body { bytes, warnings } => Ok((bytes, warnings)),
            _ => Err(Unread("it answered something else".into())),
        }
    }

    /// Title and visible text of a page; blocks.
    pub fn text(&self, document: Document) -> Result<(String, String), Unread> {
        match self.order(&ToParse::Text(document))? {
            FromParse::Text { title, text } => Ok((title, text)),
            _ => Err(Unread("it answered something else".into())),
        }
    }

    /// Tries something from inside a fresh process of its own. One that the kernel ended for it was
    /// refused.
    pub fn probe(&self, part: Part, probe: Probe) -> Result<Probed, Unread> {
        let mut worker = self.fresh_as(part).map_err(Unread)?;
        let answer = worker.ask(&ToParse::Probe(probe));
        let how = if answer.is_ok() { self.launcher.end(worker.number) } else { self.launcher.let_end(worker.number) };
        match answer {
            Ok(FromParse::Probed(probed)) => Ok(probed),
            Ok(_) => Err(Unread("it answered something else".into())),
            Err(_) => Ok(Probed::Refused(how)),
        }
    }

    /// A second process tries what a first one failed on: that one may have been harmed by an earlier
    /// document.
    fn order(&self, order: &ToParse) -> Result<FromParse, Unread> {
        let _room = Room::take(self);
        self.once(order, false).or_else(|_| self.once(order, true)).map_err(Unread)
    }

    fn once(&self, order: &ToParse, anew: bool) -> Result<FromParse, String> {
        let idle = if anew { None } else { held(&self.idle).pop() };
        let mut worker = match idle {
            Some(worker) => worker,
            None => self.fresh()?,
        };
        match worker.ask(order) {
            Ok(answer) => {
                worker.documents += 1;
                if worker.documents < DOCUMENTS {
                    held(&self.idle).push(worker);
                } else {
                    self.launcher.end(worker.number);
                }
                Ok(answer)
            }
            Err(why) => Err(if why.kind() == io::ErrorKind::UnexpectedEof {
                self.launcher.let_end(worker.number)
            } else {
                format!("{why}; {}", self.launcher.end(worker.number))
            }),
        }
    }

    fn fresh(&self) -> Result<Worker, String> {
        self.fresh_as(Part::Parse)
    }

    fn fresh_as(&self, part: Part) -> Result<Worker, String> {
        let (number, socket) = self.launcher.launch(part).map_err(|problem| problem.line)?;
        let inbox = Inbox::new(limits::FROM_PARSE_BYTES);
        let mut worker = Worker { number, socket, inbox, confinement: Confinement::default(), documents: 0 };
        match worker.hear(Instant::now() + LIMIT) {
            Ok(FromParse::Ready(confinement)) => {
                worker.confinement = confinement;
                Ok(worker)
            }
            Ok(FromParse::NotReady(why)) => {
                self.launcher.end(number);
                Err(why)
            }
            Ok(_) => Err("it began with an answer".into()),
            Err(why) => Err(format!("{why}; {}", self.launcher.end(number))),
        }
    }
}

impl Worker {
    fn ask(&mut self, order: &ToParse) -> io::Result<FromParse> {
        let deadline = Instant::now() + LIMIT;
        let bytes = encode(order, limits::TO_PARSE_BYTES).map_err(io::Error::other)?;
        self.socket.set_write_timeout(Some(LIMIT))?;
        self.socket.write_all(&bytes).map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        self.hear(deadline)
    }

    fn hear(&mut self, deadline: Instant) -> io::Result<FromParse> {
        let mut buffer = vec![0; READ];
        loop {
            if let Some(answer) = self.inbox.take::<FromParse>().map_err(io::Error::other)? {
                answer.check().map_err(io::Error::other)?;
                // It speaks when it is asked, once.
                return if self.inbox.is_empty() { Ok(answer) } else { Err(io::Error::other("it said too much")) };
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::Error::other(format!("nothing within {} s", LIMIT.as_secs())));
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

/// The right to have one document read.
struct Room<'p>(&'p ParsePool);

impl<'p> Room<'p> {
    fn take(pool: &'p ParsePool) -> Self {
        let mut room = held(&pool.room);
        while *room == 0 {
            room = pool.freed.wait(room).unwrap_or_else(PoisonError::into_inner);
        }
        *room -= 1;
        drop(room);
        Self(pool)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        *held(&self.0.room) += 1;
        self.0.freed.notify_one();
    }
}
