//! A bridge of the network: a relay that the consensus does not name, in the open or behind obfs4proxy.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::node::Node;
use super::{POLL, TorNet, TorNetError, ports};

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
        let ready = |path: &PathBuf, word: &str| std::fs::read_to_string(path).ok().filter(|text| text.contains(word));
        wait(&mut node, "a bridge that has the directory", || ready(&log, "Bootstrapped 100%").is_some())?;
        let fingerprint = node.second_word("fingerprint")?;
        let (line, port) = match obfs4 {
            None => (format!("127.0.0.1:{or_port} {fingerprint}"), or_port),
            Some(_) => {
                let file = node.dir.join("pt_state/obfs4_bridgeline.txt");
                wait(&mut node, "the certificate of obfs4", || ready(&file, "cert=").is_some())?;
                let text = std::fs::read_to_string(&file).map_err(|e| TorNetError::file("reading", &file, e))?;
                let certificate = text.split_whitespace().find(|word| word.starts_with("cert=")).unwrap_or_default();
                (format!("obfs4 127.0.0.1:{pt_port} {fingerprint} {certificate} iat-mode=0"), pt_port)
            }
        };
        Ok(Bridge { _node: node, line, port })
    }
}

fn wait(node: &mut Node, wanted: &str, holds: impl Fn() -> bool) -> Result<(), TorNetError> {
    let deadline = Instant::now() + LIMIT;
    while !holds() {
        if let Some(status) = node.ended() {
            return Err(TorNetError::Died { name: node.name.clone(), status, log: node.last_lines() });
        }
        if Instant::now() > deadline {
            let (wanted, seen, log) = (wanted.to_owned(), "nothing".to_owned(), node.last_lines());
            return Err(TorNetError::NotReady { wanted, seen, limit: LIMIT, log });
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
