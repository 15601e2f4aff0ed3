//! What a configuration says, without a client: for whoever wants to know before anything is started.

use arti_client::config::vanguards::VanguardConfig;

use super::bridges::{self, Bridge};
use super::{completed, network, read};
use crate::{NetConfig, NetError};

/// What the `[tor]` table leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Survey {
    /// All that defines a network is as Arti ships it for the public one.
    pub public: bool,
    /// Directory authorities.
    pub authorities: usize,
    /// `full`, `lite` or `disabled`, as it is in force.
    pub vanguards: String,
    /// Bridges stand in the place of guards.
    pub bridges_used: bool,
    /// The bridges: name of the pluggable transport when there is one, and the whole line (a secret).
    pub bridges: Vec<(Option<String>, String)>,
    /// Pluggable transports that are configured.
    pub transports: Vec<String>,
    /// Most memory for queues of streams and circuits, in bytes; `None` when Arti chooses.
    pub memory_bytes: Option<u64>,
    /// This build does the work that a service may ask for.
    pub proof_of_work: bool,
}

/// Reads a configuration as a start does. Touches no network, makes no folder.
pub fn survey(config: &NetConfig) -> Result<Survey, NetError> {
    let listed = bridges::bridges(&config.tor)?;
    let table = completed(config)?;
    let client = read(&table)?;
    let network = network(&client)?;
    let vanguards: &VanguardConfig = client.as_ref();
    let memory = table.get("system").and_then(|system| system.get("memory")).and_then(|memory| memory.get("max"));
    Ok(Survey {
        public: network.public,
        authorities: network.authorities.len(),
        vanguards: vanguards.mode().to_string(),
        bridges_used: bridges::enabled(&config.tor, &listed),
        bridges: listed.into_iter().map(|Bridge { transport, line }| (transport, line)).collect(),
        transports: bridges::transports(&config.tor),
        memory_bytes: memory.and_then(toml::Value::as_integer).and_then(|bytes| u64::try_from(bytes).ok()),
        proof_of_work: cfg!(feature = "pow"),
    })
}
