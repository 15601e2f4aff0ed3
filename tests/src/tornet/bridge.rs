//! A bridge of the network: a relay that the consensus does not name, in the open or behind obfs4proxy.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::node::Node;
use super::{TorNet, TorNetError, ports};

/// From its start until it can serve.
const LIMIT: Duration = Duration::from_secs(120);

/// A bridge that runs; killed when dropped.
#[derive(Debug)]
pub struct Bridge {
    _node: Node,
    /// What a client's configuration names it by.
    pub line: String,
    /// The port that clients connect to.
    pub port: u16,
}

impl TorNet {
    /// Starts a bridge with its state in a new folder of `dir`; with `obfs4`, the program that speaks it.
    ///
    /// # Errors
    /// As [`TorNet::start`].
    pub fn start_bridge(&self, dir: &Path, obfs4: Option<&Path>) -> Result<Bridge, TorNetError> {
        let picked = ports::free(2).map_err(TorNetError::Machine)?;
        let (or_port, pt_port) = (picked[0], picked[1]);
        let mut node = Node::create(dir, "bridge")?;
        node.configure(&self.shared.bridge(&node.name, &node.dir, or_port, obfs4.map(|program| (program, pt_port))))?;
        node.start()?;
        let log = node.dir.join("stdout");
        let ready = |path: &PathBuf, word: &str| {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            if text.contains(word) { Ok(text) } else { Err("nothing".to_owned()) }
        };
        node.until("a bridge that has the directory", LIMIT, || ready(&log, "Bootstrapped 100%"))?;
        let fingerprint = node.second_word("fingerprint")?;
        let (line, port) = match obfs4 {
            None => (format!("127.0.0.1:{or_port} {fingerprint}"), or_port),
            Some(_) => {
                let file = node.dir.join("pt_state/obfs4_bridgeline.txt");
                let text = node.until("the certificate of obfs4", LIMIT, || ready(&file, "cert="))?;
                let certificate = text.split_whitespace().find(|word| word.starts_with("cert=")).unwrap_or_default();
                (format!("obfs4 127.0.0.1:{pt_port} {fingerprint} {certificate} iat-mode=0"), pt_port)
            }
        };
        Ok(Bridge { _node: node, line, port })
    }
}
