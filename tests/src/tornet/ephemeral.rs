//! Onion services that come and go while the network runs (control-spec, ADD_ONION and DEL_ONION).

use super::control::Control;
use super::{TorNet, TorNetError};

/// Key of a service that may be there or not.
#[derive(Debug, Clone)]
pub struct Ephemeral {
    /// Its name.
    pub onion: String,
    key: String,
}

impl TorNet {
    /// A new service whose port 80 leads to this port of 127.0.0.1.
    ///
    /// # Errors
    /// When the control port refuses or does not answer.
    pub fn new_onion(&self, local_port: u16) -> Result<Ephemeral, TorNetError> {
        let answer = self.ask_services(&add("NEW:ED25519-V3", local_port))?;
        let value = |name: &str| answer.iter().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        match (value("ServiceID="), value("PrivateKey=")) {
            (Some(id), Some(key)) => Ok(Ephemeral { onion: format!("{id}.onion"), key }),
            _ => Err(TorNetError::Machine(std::io::Error::other("ADD_ONION gave no name or no key"))),
        }
    }

    /// Ends a service: its descriptor stays until it is too old, and nobody answers.
    ///
    /// # Errors
    /// As [`TorNet::new_onion`].
    pub fn end_onion(&self, service: &Ephemeral) -> Result<(), TorNetError> {
        let label = service.onion.trim_end_matches(".onion");
        self.ask_services(&format!("DEL_ONION {label}")).map(drop)
    }

    /// Brings a service back, at introduction points of a new choice.
    ///
    /// # Errors
    /// As [`TorNet::new_onion`].
    pub fn return_onion(&self, service: &Ephemeral, local_port: u16) -> Result<(), TorNetError> {
        self.ask_services(&add(&service.key, local_port)).map(drop)
    }

    /// Waits until each of these services has a descriptor on some directory of the network.
    ///
    /// # Errors
    /// When one has none in two minutes.
    pub fn await_onions(&self, services: &[Ephemeral]) -> Result<(), TorNetError> {
        let deadline = std::time::Instant::now() + super::SERVICES_LIMIT;
        let directories = self.relay_identities()?;
        for service in services {
            while !directories.iter().any(|relay| self.fetch_descriptor(&service.onion, relay).is_ok()) {
                if std::time::Instant::now() > deadline {
                    return Err(TorNetError::Machine(std::io::Error::other("a service has no descriptor anywhere")));
                }
                std::thread::sleep(super::POLL);
            }
        }
        Ok(())
    }

    fn ask_services(&self, command: &str) -> Result<Vec<String>, TorNetError> {
        let ask = || Control::open(self.control_port, &self.service_node.dir)?.ask(command);
        ask().map_err(TorNetError::Machine)
    }
}

/// `Detach`: the service outlives the control connection.
fn add(key: &str, local_port: u16) -> String {
    format!("ADD_ONION {key} Flags=Detach Port=80,127.0.0.1:{local_port}")
}
