//! *parse* and *draw* as processes of their own: orders come over the socket that is their standard input, what
//! comes of them goes back. They open nothing, name nothing, and keep nothing.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use vigie_confine::Role;
use vigie_wire::control::{FromWorker, Protection, ToWorker};
use vigie_wire::frame::{Inbox, encode};

use super::pool::Work;

/// Bytes read at once.
const READ: usize = 256 * 1024;

/// Works until *record* closes the socket.
pub fn serve<W: Work>(role: &Role, may_lack: &[Protection]) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let say = |message: &FromWorker<W::Answer>| -> io::Result<()> {
        let bytes = encode(message, W::ANSWER_BYTES).map_err(io::Error::other)?;
        (&socket).write_all(&bytes)
    };
    match vigie_confine::enter(role, may_lack) {
        Ok(confinement) => say(&FromWorker::Ready(confinement))?,
        Err(error) => return say(&FromWorker::NotReady(format!("confining it: {error}"))),
    }
    let mut inbox = Inbox::new(W::ORDER_BYTES);
    let mut buffer = vec![0; READ];
    loop {
        while let Some(order) = inbox.take::<ToWorker<W::Order>>().map_err(io::Error::other)? {
            say(&match order {
                ToWorker::Do(order) => FromWorker::Done(W::work(order)),
                ToWorker::Probe(probe) => FromWorker::Probed(vigie_confine::probe::attempt(probe)),
            })?;
        }
        match (&socket).read(&mut buffer)? {
            0 => return Ok(()),
            count => inbox.push(&buffer[..count]),
        }
    }
}
