//! An onion service in a process of its own beside the network's: it can end and come back, publishing anew, without
//! harm to other services.

use std::path::Path;
use std::time::Instant;

use super::control::Control;
use super::node::Node;
use super::waiting::{UPLOAD_LIMIT, UPLOADS};
use super::{AUTHORITIES, HiddenService, RELAYS, TorNet, TorNetError, ports, torrc};

/// A service on port 80; killed when dropped.
#[derive(Debug)]
pub struct LoneService {
    node: Node,
    name: String,
    control_port: u16,
    /// Its onion name.
    pub onion: String,
}

impl TorNet {
    /// Makes a service with its state in a new folder of `dir` and starts it, as [`LoneService::start`]. Port 80 of
    /// it leads to a port of 127.0.0.1; `lines` are further ones of its `torrc` (tor(1), *Hidden service options*).
    ///
    /// # Errors
    /// As [`TorNet::start`].
    pub fn start_lone_service(
        &self,
        dir: &Path,
        name: &str,
        local_port: u16,
        lines: &[&str],
    ) -> Result<LoneService, TorNetError> {
        let control_port = ports::free(1).map_err(TorNetError::Machine)?[0];
        let node = Node::create(dir, "lone")?;
        let service = HiddenService { name: name.to_owned(), virtual_port: 80, local_port };
        let lines: Vec<_> = lines.iter().map(|line| (name.to_owned(), (*line).to_owned())).collect();
        node.configure(&self.shared.services(&node.name, &node.dir, control_port, &[service], &lines))?;
        let mut lone = LoneService { node, name: name.to_owned(), control_port, onion: String::new() };
        lone.start()?;
        Ok(lone)
    }

    /// Gives every directory a descriptor of somebody's making (control-spec, HSPOST), and waits until all took it.
    ///
    /// # Errors
    /// When the control port of the service process does not answer, or a directory does not take it in time.
    pub fn post_descriptor(&self, onion: &str, descriptor: &[u8]) -> Result<(), TorNetError> {
        let hsdirs = self.relay_identities()?;
        let mut control = Control::open(self.control_port, &self.service_node.dir).map_err(TorNetError::Machine)?;
        control.post_descriptor(onion, &hsdirs, descriptor).map_err(TorNetError::Machine)?;
        let deadline = Instant::now() + UPLOAD_LIMIT;
        while let Err(seen) = on_all(&mut control, onion) {
            if Instant::now() > deadline {
                let (wanted, log) = ("a posted descriptor on every HSDir".to_owned(), self.service_node.last_lines());
                return Err(TorNetError::NotReady { wanted, seen, limit: UPLOAD_LIMIT, log });
            }
        }
        Ok(())
    }
}

impl LoneService {
    /// Starts its process and waits until every directory has a descriptor of it with the introduction points of
    /// this process.
    ///
    /// # Errors
    /// As [`TorNet::start`].
    pub fn start(&mut self) -> Result<(), TorNetError> {
        let mut last = None;
        // A tor whose upload failed for want of a circuit tries again in an hour or two: a new process does at once.
        for _ in 0..UPLOADS {
            match self.try_start() {
                Err(error @ TorNetError::NotReady { .. }) => last = Some(error),
                other => return other,
            }
        }
        last.map_or(Ok(()), Err)
    }

    fn try_start(&mut self) -> Result<(), TorNetError> {
        self.node.stop();
        self.node.start()?;
        let (port, dir) = (self.control_port, self.node.dir.clone());
        let mut control = self.node.until("a control port of the service", UPLOAD_LIMIT, || {
            Control::open(port, &dir).map_err(|e| e.to_string())
        })?;
        let hostname = torrc::service_dir(&dir, &self.name).join("hostname");
        self.onion = self.node.until("the name of the service", UPLOAD_LIMIT, || {
            let text = std::fs::read_to_string(&hostname).unwrap_or_default();
            if text.trim().ends_with(".onion") { Ok(text.trim().to_owned()) } else { Err("none yet".to_owned()) }
        })?;
        let onion = self.onion.clone();
        self.node.until("the service's descriptor on every HSDir", UPLOAD_LIMIT, || on_all(&mut control, &onion))
    }

    /// Ends its process; its descriptors stay.
    pub fn stop(&mut self) {
        self.node.stop();
    }

    /// The secret key of its name, as C tor keeps it: 64 bytes (rend-spec-v3: the expanded key of RFC 8032).
    ///
    /// # Errors
    /// A file that cannot be read or is none.
    pub fn secret_key(&self) -> Result<[u8; 64], TorNetError> {
        let file = torrc::service_dir(&self.node.dir, &self.name).join("hs_ed25519_secret_key");
        let bytes = std::fs::read(&file).map_err(|e| TorNetError::file("reading", &file, e))?;
        bytes.last_chunk().copied().ok_or_else(|| TorNetError::unexpected(&file, "shorter than a key"))
    }
}

/// Eight relays are fewer than the places of a descriptor's two replicas in the ring (rend-spec-v3 [WHERE-HSDESC]):
/// each of them holds it.
fn on_all(control: &mut Control, onion: &str) -> Result<(), String> {
    control.hear().map_err(|e| e.to_string())?;
    match control.hsdirs(onion) {
        holders if holders < AUTHORITIES + RELAYS => Err(format!("it is on {holders}")),
        _ => Ok(()),
    }
}
