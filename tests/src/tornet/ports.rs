//! Free loopback ports, picked at run time.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Ports below the range that Linux hands out for outgoing connections (32768 …, see ip(7),
/// `ip_local_port_range`), so that a chosen port is not taken by a passing client before tor
/// binds it.
const RANGE: std::ops::Range<u16> = 12_000..32_000;

/// Picks `count` different ports on which nothing listens now, by TCP or UDP.
pub(super) fn free(count: usize) -> std::io::Result<Vec<u16>> {
    let mut found = BTreeSet::new();
    for _ in 0..10_000 {
        if found.len() == count {
            break;
        }
        let mut seed = [0_u8; 2];
        getrandom::fill(&mut seed).map_err(|e| std::io::Error::other(e.to_string()))?;
        let port = RANGE.start + u16::from_le_bytes(seed) % (RANGE.end - RANGE.start);
        let here = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(here).is_ok() && UdpSocket::bind(here).is_ok() {
            found.insert(port);
        }
    }
    if found.len() < count {
        return Err(std::io::Error::other(format!(
            "found only {} of {count} free ports between {} and {}",
            found.len(),
            RANGE.start,
            RANGE.end
        )));
    }
    // The set is ordered; roles get ports in that order, which is as good as any.
    Ok(found.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_differ_and_a_taken_one_is_left_out() {
        let ports = free(20).unwrap();
        assert_eq!(ports.iter().collect::<BTreeSet<_>>().len(), 20);
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, ports[0])).unwrap();
        // Every port of the range would have to be drawn to see it; the bind is what matters.
        assert!(TcpListener::bind(taken.local_addr().unwrap()).is_err());
    }
}
