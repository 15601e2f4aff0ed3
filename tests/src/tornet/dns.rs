//! The name server that the exits of the private network ask: `*.test` (RFC 6761 §6.2) is this
//! machine, nothing else exists. It remembers every name and who asked, so that a test can show it.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Record types (RFC 1035 §3.2.2, RFC 3596).
const TYPE_A: u16 = 1;
/// Class Internet.
const CLASS_IN: u16 = 1;
/// Response codes (RFC 1035 §4.1.1).
const NO_ERROR: u8 = 0;
const FORMAT_ERROR: u8 = 1;
const NAME_ERROR: u8 = 3;

/// Names asked, and the UDP port that each question came from.
type Asked = Arc<Mutex<Vec<(String, u16)>>>;

/// A running name server; stops when dropped.
#[derive(Debug)]
pub(super) struct Dns {
    address: SocketAddr,
    asked: Asked,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Dns {
    /// Starts on a free loopback port. `*.test` is this address; without one, every name is unknown.
    pub(super) fn start(answers: Option<Ipv4Addr>) -> std::io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        // Short enough that stopping is not noticed, long enough to cost nothing.
        socket.set_read_timeout(Some(Duration::from_millis(100)))?;
        let address = socket.local_addr()?;
        let asked = Asked::default();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = std::thread::Builder::new().name("dns".into()).spawn({
            let (asked, stop) = (asked.clone(), stop.clone());
            move || serve(&socket, answers, &asked, &stop)
        })?;
        Ok(Self { address, asked, stop, thread: Some(thread) })
    }

    /// Its UDP port.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Names asked so far, lower case, in order.
    pub(super) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(name, _)| name.clone()).collect()
    }

    /// UDP ports that a name was asked from.
    pub(super) fn askers(&self, name: &str) -> Vec<u16> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.iter().filter(|(asked, _)| asked == name).map(|(_, port)| *port).collect()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, answers: Option<Ipv4Addr>, asked: &Mutex<Vec<(String, u16)>>, stop: &AtomicBool) {
    let mut packet = [0_u8; 1500];
    while !stop.load(Ordering::Relaxed) {
        let Ok((len, from)) = socket.recv_from(&mut packet) else { continue };
        let Some((name, reply)) = answer(&packet[..len], answers) else { continue };
        asked.lock().unwrap_or_else(PoisonError::into_inner).push((name, from.port()));
        let _ = socket.send_to(&reply, from);
    }
}

/// The name asked (lower case) and the reply to one query, or nothing when the packet is no query.
fn answer(query: &[u8], answers: Option<Ipv4Addr>) -> Option<(String, Vec<u8>)> {
    let header = query.get(..12)?;
    let is_response = header[2] & 0x80 != 0;
    if is_response {
        return None;
    }
    let (name, question) = question(query).unwrap_or_default();
    let kind = u16::from_be_bytes(last_pair(question, 4).unwrap_or_default());
    let class = u16::from_be_bytes(last_pair(question, 2).unwrap_or_default());
    let lower = name.to_ascii_lowercase();
    let answers = answers.filter(|_| lower == "test" || lower.ends_with(".test"));
    let known = answers.is_some();
    let code = match () {
        () if question.is_empty() => FORMAT_ERROR,
        () if known => NO_ERROR,
        () => NAME_ERROR,
    };
    let address = answers.filter(|_| kind == TYPE_A && class == CLASS_IN);

    let mut reply = Vec::with_capacity(64);
    reply.extend_from_slice(&header[..2]);
    // Response, authoritative, recursion desired (copied) and available.
    reply.push(0x84 | (header[2] & 0x01));
    reply.push(0x80 | code);
    reply.extend_from_slice(&u16::from(!question.is_empty()).to_be_bytes());
    reply.extend_from_slice(&u16::from(address.is_some()).to_be_bytes());
    reply.extend_from_slice(&[0; 4]);
    // Word for word: resolvers vary the letter case and compare it.
    reply.extend_from_slice(question);
    if let Some(address) = address {
        // A pointer to the name in the question (RFC 1035 §4.1.4), lifetime 60 s.
        reply.extend_from_slice(&[0xc0, 0x0c, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        reply.extend_from_slice(&address.octets());
    }
    Some((lower, reply))
}

/// Two bytes that begin `from_end` bytes before the end.
fn last_pair(bytes: &[u8], from_end: usize) -> Option<[u8; 2]> {
    let start = bytes.len().checked_sub(from_end)?;
    bytes.get(start..start + 2)?.try_into().ok()
}

/// The first question: its name and its bytes (labels, type, class).
fn question(query: &[u8]) -> Option<(String, &[u8])> {
    let mut at = 12;
    let mut labels = Vec::new();
    loop {
        let len = usize::from(*query.get(at)?);
        at += 1;
        if len == 0 {
            break;
        }
        // A pointer cannot stand in a first question.
        if len > 63 {
            return None;
        }
        labels.push(String::from_utf8_lossy(query.get(at..at + len)?).into_owned());
        at += len;
    }
    Some((labels.join("."), query.get(12..at + 4)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(name: &str, kind: u8) -> Vec<u8> {
        let mut q = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in name.split('.') {
            q.push(label.len() as u8);
            q.extend_from_slice(label.as_bytes());
        }
        q.extend_from_slice(&[0, 0, kind, 0, 1]);
        q
    }

    #[test]
    fn test_names_are_this_machine_and_others_do_not_exist() {
        let (name, reply) = answer(&query("BrocAnte.tEst", 1), Some(Ipv4Addr::LOCALHOST)).unwrap();
        assert_eq!(name, "brocante.test");
        assert_eq!(reply[3] & 0x0f, NO_ERROR);
        assert_eq!(&reply[6..8], &[0, 1]);
        assert!(reply.ends_with(&[127, 0, 0, 1]));
        assert!(reply.windows(8).any(|w| w == b"BrocAnte"), "letter case is kept");

        let (_, reply) = answer(&query("example.org", 1), Some(Ipv4Addr::LOCALHOST)).unwrap();
        assert_eq!(reply[3] & 0x0f, NAME_ERROR);
        let (_, reply) = answer(&query("brocante.test", 1), None).unwrap();
        assert_eq!(reply[3] & 0x0f, NAME_ERROR);
        let (_, reply) = answer(&query("brocante.test", 28), Some(Ipv4Addr::LOCALHOST)).unwrap();
        assert_eq!((reply[3] & 0x0f, &reply[6..8]), (NO_ERROR, &[0, 0][..]));
    }

    #[test]
    fn broken_queries_do_not_panic() {
        let whole = query("a.test", 1);
        for len in 0..whole.len() {
            if let Some((_, reply)) = answer(&whole[..len], Some(Ipv4Addr::LOCALHOST)) {
                assert_eq!(reply[3] & 0x0f, FORMAT_ERROR);
            }
        }
    }
}
