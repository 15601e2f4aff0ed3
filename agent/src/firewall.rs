//! The packet filter's share: Vigie's processes cannot tell a relay's address from another, the kernel's filter
//! (nft(8)) can. What is written here is complete: loading it replaces what an earlier one loaded.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use vigie_net::Reach;

/// Which packets are judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// Those that processes of a user send.
    User(u32),
    /// Those that come in over an interface, from a network name space of Vigie's own, and are forwarded.
    Interface(String),
}

/// The relays to let through: bridges when there are any, else guards, else those that the first consensus
/// comes from.
pub fn relays(reach: &Reach, with_fallbacks: bool) -> Vec<SocketAddr> {
    let mut relays = match reach {
        Reach { bridges, .. } if !bridges.is_empty() => return bridges.clone(),
        Reach { guards, fallbacks, .. } if guards.is_empty() => return fallbacks.clone(),
        Reach { guards, .. } => guards.clone(),
    };
    if with_fallbacks {
        relays.extend(&reach.fallbacks);
        relays.sort();
        relays.dedup();
    }
    relays
}

/// A table for nft(8) that lets TCP to the relays through and refuses and counts all else.
pub fn table(relays: &[SocketAddr], from: &From) -> String {
    let mut text = String::from(
        "# Made by vigie firewall: TCP to Tor's relays, and nothing else, for Vigie's processes.\n\
         # Load it with nft -f; a new one replaces it.\n\
         table inet vigie\n\
         delete table inet vigie\n\
         table inet vigie {\n",
    );
    let family = |v4: bool| relays.iter().filter(move |relay| relay.is_ipv4() == v4);
    for (name, kind, v4) in [("relays", "ipv4_addr", true), ("relays6", "ipv6_addr", false)] {
        let _ = writeln!(text, "  set {name} {{\n    type {kind} . inet_service");
        let elements: Vec<String> = family(v4)
            .map(|relay| match relay.ip() {
                IpAddr::V4(ip) => format!("{ip} . {}", relay.port()),
                IpAddr::V6(ip) => format!("{ip} . {}", relay.port()),
            })
            .collect();
        if !elements.is_empty() {
            let _ = writeln!(text, "    elements = {{ {} }}", elements.join(",\n                 "));
        }
        text.push_str("  }\n");
    }
    let (hook, judged) = match from {
        From::User(id) => ("output", format!("meta skuid {id}")),
        From::Interface(name) => ("forward", format!("iifname \"{name}\"")),
    };
    let _ = writeln!(text, "  counter tor {{}}\n  counter refused {{}}\n  chain {hook} {{");
    let _ = writeln!(text, "    type filter hook {hook} priority 0; policy accept;");
    let _ = writeln!(text, "    {judged} ip daddr . tcp dport @relays counter name tor accept");
    let _ = writeln!(text, "    {judged} ip6 daddr . tcp dport @relays6 counter name tor accept");
    if let From::User(_) = from {
        // A pluggable transport listens here; nobody else of this machine need hear Vigie.
        let _ = writeln!(text, "    {judged} oifname \"lo\" meta l4proto tcp accept");
    }
    let _ = writeln!(text, "    {judged} counter name refused reject\n  }}\n}}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_let_through() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        let mut reach = Reach {
            bridges: vec![address("192.0.2.1:1")],
            guards: vec![address("192.0.2.2:2")],
            fallbacks: vec![address("192.0.2.3:3")],
        };
        assert_eq!(relays(&reach, true), [address("192.0.2.1:1")]);
        reach.bridges.clear();
        assert_eq!(relays(&reach, false), [address("192.0.2.2:2")]);
        assert_eq!(relays(&reach, true).len(), 2);
        reach.guards.clear();
        assert_eq!(relays(&reach, false), [address("192.0.2.3:3")]);
        let text = table(&[address("192.0.2.2:2"), address("[2001:db8::2]:3")], &From::User(1000));
        assert!(
            text.contains("elements = { 192.0.2.2 . 2 }") && text.contains("elements = { 2001:db8::2 . 3 }"),
            "{text}"
        );
    }
}
