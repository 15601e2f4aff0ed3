//! *parse* as a process of its own: documents come over the socket that is its standard input, what
//! they say goes back. It opens nothing, names nothing, and keeps nothing.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use vigie_confine::Role;
use vigie_wire::control::{FromParse, Protection, ToParse};
use vigie_wire::frame::{Inbox, encode};
use vigie_wire::limits;

/// Bytes read at once.
const READ: usize = 256 * 1024;

/// Reads documents until *record* closes the socket.
pub fn serve(role: &Role, may_lack: &[Protection]) -> io::Result<()> {
    let socket = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let say = |message: &FromParse| -> io::Result<()> {
        let bytes = encode(message, limits::FROM_PARSE_BYTES).map_err(io::Error::other)?;
        (&socket).write_all(&bytes)
    };
    match vigie_confine::enter(role, may_lack) {
        Ok(confinement) => say(&FromParse::Ready(confinement))?,
        Err(error) => return say(&FromParse::NotReady(format!("confining it: {error}"))),
    }
    let mut inbox = Inbox::new(limits::TO_PARSE_BYTES);
    let mut buffer = vec![0; READ];
    loop {
        while let Some(order) = inbox.take::<ToParse>().map_err(io::Error::other)? {
            say(&match order {
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
                ToParse::Probe(probe) => FromParse::Probed(vigie_confine::probe::attempt(probe)),
            })?;
        }
        match (&socket).read(&mut buffer)? {
            0 => return Ok(()),
            count => inbox.push(&buffer[..count]),
        }
    }
}
