//! A SOCKS5 probe (RFC 1928): can this be reached through C tor?

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

/// Reply codes of RFC 1928 §6; the second is also what tor says when the service answers that
/// nothing listens behind it (its own reasons begin at 0xF0).
pub(super) const CONNECTED: u8 = 0;
pub(super) const GENERAL_FAILURE: u8 = 1;
pub(super) const REFUSED: u8 = 5;

/// Tries one connection through the SOCKS port; the stream is closed at once.
///
/// Gives SOCKS' reply code; 0xF0 … 0xF7 as in Tor's socks-extensions.txt (0xF0 = no descriptor
/// found).
pub(super) fn probe(socks_port: u16, host: &str, port: u16, limit: Duration) -> std::io::Result<u8> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, socks_port))?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(&[5, 1, 0])?;
    let mut method = [0; 2];
    stream.read_exact(&mut method)?;
    let len = u8::try_from(host.len()).map_err(|_| std::io::Error::other("the host name is too long for SOCKS"))?;
    let mut request = vec![5, 1, 0, 3, len];
    request.extend_from_slice(host.as_bytes());
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request)?;
    let mut reply = [0; 2];
    stream.read_exact(&mut reply)?;
    Ok(reply[1])
}
