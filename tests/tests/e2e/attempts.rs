//! Twenty ways to send what is not Tor, each of which the watchers must see (Tails tests its own the
//! same way). They run in a cage; every address is one of documentation or of the cage.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::Duration;

use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, sendto, socket};

/// Set for this binary to try one of them.
pub const ATTEMPT: &str = "VIGIE_TESTS_ATTEMPT";

/// A way out.
pub struct Attempt {
    /// What it is.
    pub name: &'static str,
    run: fn() -> io::Result<()>,
}

/// RFC 5737 and RFC 3849: addresses that are nobody's.
const NOBODY: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const NOBODY6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// All of them.
pub const ALL: [Attempt; 22] = [
    Attempt { name: "dns", run: || udp(NOBODY.into(), 53) },
    Attempt { name: "dns-of-this-machine", run: || udp(Ipv4Addr::LOCALHOST.into(), 53) },
    Attempt { name: "dns-of-systemd", run: || udp(Ipv4Addr::new(127, 0, 0, 53).into(), 53) },
    Attempt { name: "dns-over-ipv6", run: || udp(NOBODY6.into(), 53) },
    Attempt { name: "dns-over-tcp", run: || tcp(NOBODY.into(), 53) },
    Attempt { name: "dns-over-tls", run: || tcp(NOBODY.into(), 853) },
    Attempt { name: "http", run: || tcp(NOBODY.into(), 80) },
    Attempt { name: "https", run: || tcp(NOBODY.into(), 443) },
    Attempt { name: "http-over-ipv6", run: || tcp(NOBODY6.into(), 80) },
    Attempt { name: "ipv6-link-local", run: || udp("fe80::1".parse().map_err(io::Error::other)?, 5353) },
    Attempt { name: "loopback", run: || tcp(Ipv4Addr::LOCALHOST.into(), 1) },
    Attempt { name: "other-loopback", run: || tcp(Ipv4Addr::new(127, 1, 2, 3).into(), 9050) },
    Attempt { name: "quic", run: || udp(NOBODY.into(), 443) },
    Attempt { name: "ntp", run: || udp(NOBODY.into(), 123) },
    Attempt { name: "stun", run: || udp(NOBODY.into(), 3478) },
    Attempt { name: "mdns", run: || udp(Ipv4Addr::new(224, 0, 0, 251).into(), 5353) },
    Attempt { name: "llmnr", run: || udp(Ipv4Addr::new(224, 0, 0, 252).into(), 5355) },
    Attempt { name: "ssdp", run: || udp(Ipv4Addr::new(239, 255, 255, 250).into(), 1900) },
    Attempt { name: "broadcast", run: broadcast },
    Attempt { name: "ping", run: || raw(AddressFamily::INET, NOBODY.into()) },
    Attempt { name: "ping-over-ipv6", run: || raw(AddressFamily::INET6, NOBODY6.into()) },
    Attempt { name: "unknown-protocol", run: protocol },
];

/// Tries the one that is named.
pub fn main(name: &str) -> ExitCode {
    match ALL.iter().find(|attempt| attempt.name == name).map(|attempt| (attempt.run)()) {
        Some(Ok(())) => ExitCode::SUCCESS,
        Some(Err(error)) => {
            eprintln!("{name}: {error}");
            ExitCode::FAILURE
        }
        None => ExitCode::FAILURE,
    }
}

fn udp(to: IpAddr, port: u16) -> io::Result<()> {
    let from: SocketAddr =
        if to.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
    let mut to = SocketAddr::new(to, port);
    if let SocketAddr::V6(to) = &mut to {
        // A link-local address needs its link: the second and last one of the cage.
        to.set_scope_id(link()?);
    }
    UdpSocket::bind(from)?.send_to(b"out", to).map(drop)
}

/// The wire, by its place among the links.
fn link() -> io::Result<u32> {
    for link in std::fs::read_to_string("/proc/net/if_inet6")?.lines() {
        if let Some(index) = link.split_whitespace().nth(1) {
            return u32::from_str_radix(index, 16).map_err(io::Error::other);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

/// The first packet is enough; nobody answers.
fn tcp(to: IpAddr, port: u16) -> io::Result<()> {
    let _ = TcpStream::connect_timeout(&SocketAddr::new(to, port), Duration::from_millis(300));
    Ok(())
}

fn broadcast() -> io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_broadcast(true)?;
    socket.send_to(b"out", (Ipv4Addr::BROADCAST, 67)).map(drop)
}

fn raw(family: AddressFamily, to: IpAddr) -> io::Result<()> {
    // Echo request of RFC 792 and RFC 4443; the sum of the first is right, the kernel makes the second.
    let (protocol, packet) = match to {
        IpAddr::V4(_) => (ipproto::ICMP, [8, 0, 0xf7, 0xff, 0, 0, 0, 0]),
        IpAddr::V6(_) => (ipproto::ICMPV6, [128, 0, 0, 0, 0, 0, 0, 0]),
    };
    let socket = socket(family, SocketType::RAW, Some(protocol))?;
    sendto(socket, &packet, SendFlags::empty(), &SocketAddr::new(to, 0))?;
    Ok(())
}

/// Protocol 253 is for experiments (RFC 3692).
fn protocol() -> io::Result<()> {
    let number = rustix::net::Protocol::from_raw(std::num::NonZeroU32::new(253).ok_or(io::ErrorKind::InvalidInput)?);
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(number))?;
    sendto(socket, b"out", SendFlags::empty(), &SocketAddr::new(NOBODY.into(), 0))?;
    Ok(())
}
