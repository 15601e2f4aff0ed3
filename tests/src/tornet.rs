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
mod lone;
mod making;
mod node;
mod onion;
mod ports;
mod socks;
mod torrc;
mod waiting;

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use self::bridge::Bridge;
use self::control::Control;
use self::dns::Dns;
pub use self::ephemeral::Ephemeral;
pub use self::error::TorNetError;
pub use self::lone::LoneService;
use self::node::Node;
pub use self::onion::absent_onion;
use self::torrc::Shared;
use self::waiting::SERVICES_LIMIT;

/// Directory authorities.
const AUTHORITIES: usize = 3;
/// Relays that are not authorities.
const RELAYS: usize = 5;
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);

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
}

impl Drop for TorNet {
    fn drop(&mut self) {
        for node in self.relays.iter_mut().chain([&mut self.service_node, &mut self.client]) {
            node.stop();
        }
        let _ = std::fs::remove_dir_all(&self.root);
    }
}
