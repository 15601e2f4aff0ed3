//! A private Tor network on loopback: three directory authorities, five relays (all of them
//! exits), one tor process with the onion services and, when asked for, a C tor client. Ready in
//! some ten to twenty seconds; nothing of it reaches beyond this machine.
//!
//! It lives as long as its [`TorNet`]. Every tor process also watches its owner by process id
//! (`__OwningControllerProcess`, tor(1)), so that nothing survives the owner's violent end for
//! more than some seconds.

mod arti;
mod bridge;
mod control;
mod dns;
mod ephemeral;
mod error;
mod node;
mod onion;
mod ports;
mod socks;
mod torrc;

use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

pub use self::bridge::Bridge;
use self::control::Control;
use self::dns::Dns;
pub use self::ephemeral::Ephemeral;
pub use self::error::TorNetError;
use self::node::Node;
pub use self::onion::absent_onion;
use self::torrc::{Authority, Exit, Shared};

/// Directory authorities.
const AUTHORITIES: usize = 3;
/// Relays that are not authorities.
const RELAYS: usize = 5;
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);
/// From the start to a consensus that every relay is in.
const CONSENSUS_LIMIT: Duration = Duration::from_secs(120);
/// From the consensus to the last service that can be reached.
const SERVICES_LIMIT: Duration = Duration::from_secs(120);
/// How long a service process has for its uploads before another takes its place, and how many try.
const UPLOAD_LIMIT: Duration = Duration::from_secs(40);
/// See [`UPLOAD_LIMIT`].
const UPLOADS: u32 = 3;
/// One attempt to reach a service.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

/// An onion service of the network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HiddenService {
    /// Label by which the tests know it: a-z, 0-9, `-`.
    pub name: String,
    /// Port under the onion name.
    pub virtual_port: u16,
    /// Port on 127.0.0.1 where its server listens (or will).
    pub local_port: u16,
}

/// What the network shall have.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Onion services.
    pub services: Vec<HiddenService>,
    /// Keep a C tor client with a SOCKS port.
    pub client_socks: bool,
    /// Further lines of the `torrc` for a service, by its label (tor(1), *Hidden service options*).
    pub lines: Vec<(String, String)>,
    /// Exits resolve `*.test` to 127.0.0.1; otherwise they resolve nothing.
    pub dns: bool,
}

/// A running private network.
#[derive(Debug)]
pub struct TorNet {
    // Nodes before the rest: they end first.
    relays: Vec<Node>,
    service_node: Node,
    client: Node,
    dns: Dns,
    /// That of the hostile exit.
    other_dns: Option<Dns>,
    root: PathBuf,
    shared: Shared,
    services: Vec<(HiddenService, String)>,
    or_ports: Vec<u16>,
    control_port: u16,
    socks_port: u16,
    keep_client: bool,
    lines: Vec<(String, String)>,
}

impl TorNet {
    /// Starts a network with its state in `dir/tor` (made anew) and waits until every service can
    /// be reached by a client of the network.
    ///
    /// # Errors
    /// When tor is missing or a step does not come about in time: the error shows the last lines
    /// of the logs. Nothing is left running.
    pub fn start(dir: &Path, options: Options) -> Result<Self, TorNetError> {
        Self::start_unless(dir, options, &|| false)
    }

    /// As [`TorNet::start`], but gives up as soon as `cancelled` says so (asked several times a
    /// second).
    ///
    /// # Errors
    /// As [`TorNet::start`], and [`TorNetError::Cancelled`].
    pub fn start_unless(dir: &Path, options: Options, cancelled: &dyn Fn() -> bool) -> Result<Self, TorNetError> {
        let mut net = Self::launch(dir, options, None)?;
        net.ready(cancelled)?;
        Ok(net)
    }

    /// A network with two exits, the second of which is hostile: to it, every host is at `elsewhere`.
    ///
    /// # Errors
    /// As [`TorNet::start`].
    pub fn start_with_hostile_exit(dir: &Path, options: Options, elsewhere: Ipv4Addr) -> Result<Self, TorNetError> {
        let mut net = Self::launch(dir, options, Some(elsewhere))?;
        net.ready(&|| false)?;
        // An exit refuses a circuit whose middle relay it does not know (tor(1), RefuseUnknownExits).
        for exit in AUTHORITIES + RELAYS - 2..AUTHORITIES + RELAYS {
            net.await_consensus(net.relays[exit].dir.clone(), &|| false)?;
        }
        Ok(net)
    }

    /// RSA identities of the relays, hex in upper case; of a network with a hostile exit, it is the last
    /// and the other one stands before it.
    ///
    /// # Errors
    /// When a relay has not written its own.
    pub fn relay_identities(&self) -> Result<Vec<String>, TorNetError> {
        self.relays.iter().map(|relay| relay.identity().map(|identity| identity.rsa)).collect()
    }

    /// UDP ports from which a name was asked.
    pub fn dns_askers(&self, name: &str) -> Vec<u16> {
        let others = self.other_dns.iter().flat_map(|dns| dns.askers(name));
        self.dns.askers(name).into_iter().chain(others).collect()
    }

    /// Waits until every service can be reached.
    fn ready(&mut self, cancelled: &dyn Fn() -> bool) -> Result<(), TorNetError> {
        // A service that meets a first consensus without some relays leaves its descriptors on too
        // few of them, and for minutes: so services and client start once the authorities agree on
        // all relays.
        for authority in 0..AUTHORITIES {
            self.await_consensus(self.relays[authority].dir.clone(), cancelled)?;
        }
        self.service_node.start()?;
        self.client.start()?;
        // Before the service has circuits, so that no upload goes unheard.
        let mut control = self.control(cancelled)?;
        self.await_consensus(self.client.dir.clone(), cancelled)?;
        let services: Vec<_> = self.services.iter().map(|(service, _)| service.clone()).collect();
        self.read_onions(cancelled)?;
        self.await_published(&mut control, &services, cancelled)?;
        self.await_reachable(&services, cancelled)?;
        if !self.keep_client {
            self.client.stop();
        }
        Ok(())
    }

    /// The onion name of a service.
    ///
    /// # Panics
    /// When the network has no service of that label.
    pub fn onion(&self, name: &str) -> String {
        match self.services.iter().find(|(service, _)| service.name == name) {
            Some((_, onion)) => onion.clone(),
            None => panic!("the network has no service `{name}`"),
        }
    }

    /// Labels, ports and onion names of all services, in the order in which they were asked for.
    pub fn services(&self) -> &[(HiddenService, String)] {
        &self.services
    }

    /// Arti's own configuration for this network (the content of an `arti.toml`), without places
    /// for state and cache.
    pub fn arti_toml(&self) -> String {
        arti::toml(&self.shared.authorities)
    }

    /// Port of the C tor client on 127.0.0.1, when one was asked for.
    pub fn socks_port(&self) -> Option<u16> {
        self.keep_client.then_some(self.socks_port)
    }

    /// Names that exits have resolved so far, lower case, in order.
    pub fn dns_queries(&self) -> Vec<String> {
        self.dns.asked()
    }

    /// The descriptor that a directory has of a service, as C tor gets it (control-spec, HSFETCH).
    ///
    /// # Errors
    /// When the control port does not answer, or the directory has none.
    pub fn fetch_descriptor(&self, onion: &str, hsdir_rsa: &str) -> Result<Vec<u8>, TorNetError> {
        let fetch = || Control::open(self.control_port, &self.service_node.dir)?.fetch_descriptor(onion, hsdir_rsa);
        fetch().map_err(TorNetError::Machine)
    }

    /// Process ids of everything that runs for this network.
    pub fn pids(&self) -> Vec<u32> {
        self.relays.iter().chain([&self.service_node, &self.client]).filter_map(Node::pid).collect()
    }

    /// OR ports of the relays: with 127.0.0.1, all that a client of this network may contact.
    pub fn relay_ports(&self) -> &[u16] {
        &self.or_ports
    }

    /// Where the state of the network lies while it runs.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Adds an onion service to the running network, waits until it can be reached and gives its
    /// name.
    ///
    /// # Errors
    /// As [`TorNet::start`].
    pub fn add_service(&mut self, service: HiddenService) -> Result<String, TorNetError> {
        self.check_name(&service.name)?;
        self.services.push((service.clone(), String::new()));
        self.configure_services()?;
        if self.client.pid().is_none() {
            self.client.start()?;
        }
        let never = || false;
        let mut control = self.control(&never)?;
        self.service_node.reload();
        let name = service.name.clone();
        self.read_onions(&never)?;
        self.await_published(&mut control, std::slice::from_ref(&service), &never)?;
        self.await_reachable(&[service], &never)?;
        if !self.keep_client {
            self.client.stop();
        }
        Ok(self.onion(&name))
    }

    /// Lets a service show itself to these clients alone (`authorized_clients/NAME.auth`, each
    /// `descriptor:x25519:BASE32`), and waits until every directory has its new descriptor.
    ///
    /// # Errors
    /// As [`TorNet::start`].
    pub fn restrict(&mut self, name: &str, clients: &[&str]) -> Result<(), TorNetError> {
        let folder = torrc::service_dir(&self.service_node.dir, name).join("authorized_clients");
        node::private_dir(&folder)?;
        for (number, client) in clients.iter().enumerate() {
            let file = folder.join(format!("client{number}.auth"));
            std::fs::write(&file, format!("{client}\n")).map_err(|e| TorNetError::file("writing", &file, e))?;
        }
        let never = || false;
        let mut control = self.control(&never)?;
        self.service_node.reload();
        let onions = [(name.to_owned(), self.onion(name))];
        self.await_uploads(&mut control, &onions, SERVICES_LIMIT, &never)
    }

    /// Ends the process with the onion services: they vanish, and their descriptors stay.
    pub fn stop_services(&mut self) {
        self.service_node.stop();
    }

    /// Brings the services back and waits until each can be reached.
    ///
    /// # Errors
    /// As [`TorNet::start`].
    pub fn start_services(&mut self) -> Result<(), TorNetError> {
        let never = || false;
        self.service_node.start()?;
        if self.client.pid().is_none() {
            self.client.start()?;
        }
        let mut control = self.control(&never)?;
        let services: Vec<_> = self.services.iter().map(|(service, _)| service.clone()).collect();
        self.await_published(&mut control, &services, &never)?;
        self.await_reachable(&services, &never)
    }

    fn check_name(&self, name: &str) -> Result<(), TorNetError> {
        let plain = !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !plain || self.services.iter().any(|(service, _)| service.name == name) {
            return Err(TorNetError::ServiceName(name.to_owned()));
        }
        Ok(())
    }

    /// Makes keys and configurations and starts every process.
    fn launch(dir: &Path, options: Options, hostile: Option<Ipv4Addr>) -> Result<Self, TorNetError> {
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

    fn configure_services(&self) -> Result<(), TorNetError> {
        let services: Vec<_> = self.services.iter().map(|(service, _)| service.clone()).collect();
        let node = &self.service_node;
        node.configure(&self.shared.services(&node.name, &node.dir, self.control_port, &services, &self.lines))
    }

    /// Waits until the process with this data directory knows a consensus that lists every relay
    /// with every flag.
    fn await_consensus(&mut self, dir: PathBuf, cancelled: &dyn Fn() -> bool) -> Result<(), TorNetError> {
        let consensus = dir.join("cached-microdesc-consensus");
        let want = AUTHORITIES + RELAYS;
        let flags: &[&str] = &["Exit", "HSDir", "Running", "Valid", "V2Dir", "Guard"];
        let flags = &flags[..flags.len() - usize::from(self.shared.few_guards)];
        // Clients of the tests take their own from an authority; the C tor client's may be an older one.
        let weigh = self.shared.few_guards && dir != self.client.dir;
        let limit = if weigh { 2 * CONSENSUS_LIMIT } else { CONSENSUS_LIMIT };
        self.until("a consensus that lists every relay", limit, cancelled, || {
            let text = std::fs::read_to_string(&consensus).unwrap_or_default();
            let full = text
                .lines()
                .filter_map(|line| line.strip_prefix("s "))
                .filter(|has| flags.iter().all(|want| has.split(' ').any(|flag| flag == *want)))
                .count();
            if full < want {
                return Err(format!("{full} of {want}"));
            }
            // A relay without weight is chosen by nobody: early votes know no measurements yet.
            let weights = text.lines().filter_map(|line| line.strip_prefix("w Bandwidth="));
            let weightless = weights.filter(|rest| *rest == "0" || rest.starts_with("0 ")).count();
            if weigh && weightless > 0 {
                return Err(format!("{weightless} relays without weight"));
            }
            Ok(())
        })
    }

    fn control(&mut self, cancelled: &dyn Fn() -> bool) -> Result<Control, TorNetError> {
        let (port, dir) = (self.control_port, self.service_node.dir.clone());
        self.until("a control port of the service process", SERVICES_LIMIT, cancelled, || {
            Control::open(port, &dir).map_err(|e| e.to_string())
        })
    }

    /// Waits for the `hostname` file of every service.
    fn read_onions(&mut self, cancelled: &dyn Fn() -> bool) -> Result<(), TorNetError> {
        let dir = self.service_node.dir.clone();
        let names: Vec<String> = self.services.iter().map(|(service, _)| service.name.clone()).collect();
        let onions = self.until("the names of the onion services", SERVICES_LIMIT, cancelled, || {
            names
                .iter()
                .map(|name| {
                    std::fs::read_to_string(torrc::service_dir(&dir, name).join("hostname"))
                        .ok()
                        .map(|text| text.trim().to_owned())
                        .filter(|onion| onion.ends_with(".onion"))
                        .ok_or_else(|| format!("`{name}` has none yet"))
                })
                .collect::<Result<Vec<_>, _>>()
        })?;
        for (slot, onion) in self.services.iter_mut().zip(onions) {
            slot.1 = onion;
        }
        Ok(())
    }

    fn await_published(
        &mut self,
        control: &mut Control,
        services: &[HiddenService],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), TorNetError> {
        let onions: Vec<(String, String)> =
            services.iter().map(|service| (service.name.clone(), self.onion(&service.name))).collect();
        // A tor whose upload failed for want of a circuit tries again only when the descriptor's time
        // is over, in an hour or two; a new process uploads at once.
        for _ in 1..UPLOADS {
            match self.await_uploads(control, &onions, UPLOAD_LIMIT, cancelled) {
                Err(TorNetError::NotReady { .. }) => {}
                other => return other,
            }
            self.service_node.stop();
            self.service_node.start()?;
            *control = self.control(cancelled)?;
        }
        self.await_uploads(control, &onions, SERVICES_LIMIT, cancelled)
    }

    fn await_uploads(
        &mut self,
        control: &mut Control,
        onions: &[(String, String)],
        limit: Duration,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), TorNetError> {
        self.until("descriptors on every HSDir", limit, cancelled, || {
            control.hear().map_err(|e| e.to_string())?;
            // Eight relays are fewer than the places of a descriptor's two replicas in the ring
            // (rend-spec-v3 [WHERE-HSDESC]): each of them holds it.
            for (name, onion) in onions {
                let holders = control.hsdirs(onion);
                if holders < AUTHORITIES + RELAYS {
                    return Err(format!("`{name}` is on {holders}"));
                }
            }
            Ok(())
        })
    }

    /// Waits until the client gets through to each service (with nothing listening behind it:
    /// until the service says so).
    fn await_reachable(&mut self, services: &[HiddenService], cancelled: &dyn Fn() -> bool) -> Result<(), TorNetError> {
        let socks_port = self.socks_port;
        for service in services {
            let onion = self.onion(&service.name);
            let wanted = format!("the service `{}` answering", service.name);
            self.until(&wanted, SERVICES_LIMIT, cancelled, || {
                let listens = TcpStream::connect((Ipv4Addr::LOCALHOST, service.local_port)).is_ok();
                match socks::probe(socks_port, &onion, service.virtual_port, PROBE_LIMIT) {
                    Ok(socks::CONNECTED) => Ok(()),
                    // The service itself answered that nothing listens behind it (yet).
                    Ok(socks::GENERAL_FAILURE | socks::REFUSED) if !listens => Ok(()),
                    Ok(code) => Err(format!("SOCKS reply {code:#04x}")),
                    Err(e) => Err(e.to_string()),
                }
            })?;
        }
        Ok(())
    }

    /// Looks at a condition until it holds; a tor process that ends is an error at once.
    fn until<T>(
        &mut self,
        wanted: &str,
        limit: Duration,
        cancelled: &dyn Fn() -> bool,
        mut holds: impl FnMut() -> Result<T, String>,
    ) -> Result<T, TorNetError> {
        let deadline = Instant::now() + limit;
        loop {
            let seen = match holds() {
                Ok(value) => return Ok(value),
                Err(seen) => seen,
            };
            if cancelled() {
                return Err(TorNetError::Cancelled);
            }
            for node in self.relays.iter_mut().chain([&mut self.service_node, &mut self.client]) {
                if let Some(status) = node.ended() {
                    return Err(TorNetError::Died { name: node.name.clone(), status, log: node.last_lines() });
                }
            }
            if Instant::now() > deadline {
                let log = [&self.relays[0], &self.service_node, &self.client].map(Node::last_lines).concat();
                return Err(TorNetError::NotReady { wanted: wanted.to_owned(), seen, limit, log });
            }
            std::thread::sleep(POLL);
        }
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

impl Drop for TorNet {
    fn drop(&mut self) {
        for node in self.relays.iter_mut().chain([&mut self.service_node, &mut self.client]) {
            node.stop();
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
