//! Keys, configurations and processes of a network that is started.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::dns::Dns;
use super::node::{self, Node};
use super::ports;
use super::torrc::{Authority, Exit, Shared};
use super::{AUTHORITIES, Options, RELAYS, TorNet, TorNetError};

impl TorNet {
    /// Makes keys and configurations and starts every process.
    pub(super) fn launch(dir: &Path, options: Options, hostile: Option<Ipv4Addr>) -> Result<Self, TorNetError> {
        node::private_dir(dir)?;
        let root = std::path::absolute(dir).map_err(|e| TorNetError::file("finding", dir, e))?.join("tor");
        if root.exists() {
            std::fs::remove_dir_all(&root).map_err(|e| TorNetError::file("removing", &root, e))?;
        }
        node::private_dir(&root)?;
        let dns = Dns::start(options.dns.then_some(Ipv4Addr::LOCALHOST)).map_err(TorNetError::Machine)?;
        let resolv_conf = resolver(&root, "resolv.conf", &dns)?;
        let other_dns = hostile.map(|address| Dns::start(Some(address))).transpose().map_err(TorNetError::Machine)?;
        let other = other_dns.as_ref().map(|dns| resolver(&root, "other-resolv.conf", dns)).transpose()?;
        // Without a hostile exit every relay is one; with it, it and the one before it.
        let exit = |place: usize| match &other {
            None => Exit::Asks(resolv_conf.clone()),
            Some(other) if place + 1 == AUTHORITIES + RELAYS => Exit::Asks(other.clone()),
            Some(_) if place + 2 == AUTHORITIES + RELAYS => Exit::Asks(resolv_conf.clone()),
            Some(_) => Exit::No,
        };

        let mut ports = ports::free(2 * (AUTHORITIES + RELAYS) + 2).map_err(TorNetError::Machine)?.into_iter();
        let mut port = || ports.next().expect("as many ports were asked for as are taken here");
        let mut relays = Vec::new();
        let mut making = Vec::new();
        for i in 0..AUTHORITIES {
            let (or_port, dir_port) = (port(), port());
            let node = Node::create(&root, &format!("authority{i}"))?;
            making.push(move || {
                // Two RSA keys of 3072 bits and one of 1024: the slow part, hence in parallel.
                let v3_identity = node.authority_keys(dir_port)?;
                let relay = node.relay_identity()?;
                let authority = Authority { name: node.name.clone(), or_port, dir_port, v3_identity, relay };
                Ok::<_, TorNetError>((node, authority))
            });
        }
        let threads: Vec<_> = making.into_iter().map(std::thread::spawn).collect();
        let mut authorities = Vec::new();
        for thread in threads {
            let made =
                thread.join().map_err(|_| TorNetError::Machine(std::io::Error::other("making keys panicked")))?;
            let (node, authority) = made?;
            relays.push(node);
            authorities.push(authority);
        }
        let shared = Shared {
            authorities,
            resolv_conf: resolv_conf.clone(),
            few_guards: hostile.is_some(),
            bandwidths: root.join("bandwidths"),
        };
        for (place, (node, authority)) in relays.iter().zip(&shared.authorities).enumerate() {
            node.configure(&shared.authority(authority, &node.dir, &exit(place)))?;
        }
        let mut or_ports: Vec<u16> = shared.authorities.iter().map(|a| a.or_port).collect();
        for i in 0..RELAYS {
            let node = Node::create(&root, &format!("relay{i}"))?;
            let (or_port, dir_port) = (port(), port());
            or_ports.push(or_port);
            node.configure(&shared.relay(&node.name, &node.dir, (or_port, dir_port), &exit(AUTHORITIES + i)))?;
            relays.push(node);
        }
        let mut bandwidths = format!("{}\n", jiff::Timestamp::now().as_second());
        for relay in &relays {
            bandwidths.push_str(&format!("node_id=${} bw=1000\n", relay.relay_identity()?.rsa));
        }
        std::fs::write(&shared.bandwidths, bandwidths)
            .map_err(|e| TorNetError::file("writing", &shared.bandwidths, e))?;
        let (control_port, socks_port) = (port(), port());
        let service_node = Node::create(&root, "services")?;
        let client = Node::create(&root, "client")?;
        client.configure(&shared.client(&client.name, &client.dir, socks_port))?;
        let mut net = Self {
            relays,
            service_node,
            client,
            dns,
            other_dns,
            root,
            shared,
            services: Vec::new(),
            or_ports,
            control_port,
            socks_port,
            keep_client: options.client_socks,
            lines: options.lines,
        };
        for service in options.services {
            net.check_name(&service.name)?;
            net.services.push((service, String::new()));
        }
        net.configure_services()?;
        await_vote_phase();
        for node in &mut net.relays {
            node.start()?;
        }
        Ok(net)
    }

    pub(super) fn configure_services(&self) -> Result<(), TorNetError> {
        let services: Vec<_> = self.services.iter().map(|(service, _)| service.clone()).collect();
        let node = &self.service_node;
        node.configure(&self.shared.services(&node.name, &node.dir, self.control_port, &services, &self.lines))
    }
}

/// A file that names a name server.
fn resolver(root: &Path, name: &str, dns: &Dns) -> Result<PathBuf, TorNetError> {
    let path = root.join(name);
    std::fs::write(&path, format!("nameserver 127.0.0.1:{}\n", dns.port()))
        .map_err(|e| TorNetError::file("writing", &path, e))?;
    Ok(path)
}

/// Authorities vote 4 s before each full 5 s until there is a consensus, and a relay that misses
/// that first vote waits 20 s for the next. So the network starts right after such a moment: 4 s
/// are enough for every relay to publish itself.
fn await_vote_phase() {
    const INTERVAL_MS: i64 = 5_000;
    const JUST_VOTED_MS: i64 = 1_100;
    let phase = jiff::Timestamp::now().as_millisecond().rem_euclid(INTERVAL_MS);
    let wait = (JUST_VOTED_MS - phase).rem_euclid(INTERVAL_MS);
    if wait < INTERVAL_MS - 500 {
        std::thread::sleep(Duration::from_millis(u64::try_from(wait).unwrap_or(0)));
    }
}
