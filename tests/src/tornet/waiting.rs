//! When a network, or a service of it, is ready: conditions that are looked at until they hold.

use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::control::Control;
use super::node::Node;
use super::{AUTHORITIES, HiddenService, POLL, RELAYS, TorNet, TorNetError, socks, torrc};

/// From the start to a consensus that every relay is in.
const CONSENSUS_LIMIT: Duration = Duration::from_secs(120);
/// From the consensus to the last service that can be reached.
pub(super) const SERVICES_LIMIT: Duration = Duration::from_secs(120);
/// How long a service process has for its uploads before another takes its place, and how many try.
pub(super) const UPLOAD_LIMIT: Duration = Duration::from_secs(40);
/// See [`UPLOAD_LIMIT`].
pub(super) const UPLOADS: u32 = 3;
/// One attempt to reach a service.
const PROBE_LIMIT: Duration = Duration::from_secs(30);

impl TorNet {
    /// Waits until the process with this data directory knows a consensus that lists every relay
    /// with every flag.
    pub(super) fn await_consensus(&mut self, dir: PathBuf, cancelled: &dyn Fn() -> bool) -> Result<(), TorNetError> {
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

    pub(super) fn control(&mut self, cancelled: &dyn Fn() -> bool) -> Result<Control, TorNetError> {
        let (port, dir) = (self.control_port, self.service_node.dir.clone());
        self.until("a control port of the service process", SERVICES_LIMIT, cancelled, || {
            Control::open(port, &dir).map_err(|e| e.to_string())
        })
    }

    /// Waits for the `hostname` file of every service.
    pub(super) fn read_onions(&mut self, cancelled: &dyn Fn() -> bool) -> Result<(), TorNetError> {
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

    pub(super) fn await_published(
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

    pub(super) fn await_uploads(
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
    pub(super) fn await_reachable(
        &mut self,
        services: &[HiddenService],
        cancelled: &dyn Fn() -> bool,
    ) -> Result<(), TorNetError> {
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
