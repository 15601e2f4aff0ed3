//! Tor and HTTP, and nothing else: one [`Request`] in, its [`Event`]s out. Knows no mandate, no
//! store, no key of theirs; re-derives from each request's scope that it may leave.

mod connection;
mod error;
mod exchange;
mod pool;
mod scope;
mod serve;
mod tls;
mod tor;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::mpsc;
use vigie_wire::control::ClientKey;
use vigie_wire::limits;
use vigie_wire::net::{
    Bootstrap, CircuitKey, Consensus, Descriptor, DescriptorRequest, Event, Failure, NetworkFacts, Request,
};

pub use error::NetError;
pub use serve::serve;
pub use tor::addresses::{Reach, reach};
pub use tor::{KeptGuard, Survey, guards, guards_file, survey};

/// What the network part is started with.
#[derive(Clone, Debug)]
pub struct NetConfig {
    /// Arti's own configuration; empty means the public Tor network with Arti's defaults.
    pub tor: toml::Table,
    /// Arti's state: guards. Created with permissions 0700.
    pub state_dir: PathBuf,
    /// Arti's cache: directory documents. Created with permissions 0700.
    pub cache_dir: PathBuf,
    /// TLS trust anchors beyond Mozilla's set, DER.
    pub tls_extra_roots: Vec<Vec<u8>>,
}

/// The network part, started.
#[derive(Clone)]
pub struct Net {
    engine: Arc<exchange::Engine<tor::Tor>>,
    facts: NetworkFacts,
}

impl Net {
    /// Reads the configuration and makes a client that has not yet touched the network.
    pub fn start(config: NetConfig) -> Result<Self, NetError> {
        let trust = tls::Trust::new(&config.tls_extra_roots)?;
        let tor = tor::Tor::start(&config)?;
        let facts = tor.facts(&trust);
        Ok(Self { engine: Arc::new(exchange::Engine::new(tor, trust)), facts })
    }

    /// Facts of the network, for the record.
    pub fn facts(&self) -> NetworkFacts {
        self.facts.clone()
    }

    /// Takes the client keys of the one session that this process serves, once.
    pub fn client_keys(&self, keys: &[ClientKey]) -> Result<(), NetError> {
        self.engine.dial().client_keys(keys)
    }

    /// Brings Tor up, telling how far it is.
    pub async fn bootstrap(&self, tell: impl FnMut(Bootstrap) + Send) -> Result<(), Failure> {
        self.engine.dial().bootstrap(tell).await
    }

    /// The signed consensus that Tor uses now; there is one once [`Self::bootstrap`] has succeeded.
    pub async fn consensus(&self) -> Result<Consensus, Failure> {
        self.engine.dial().consensus().await
    }

    /// The signed descriptor of an onion service, on circuits that serve nothing else.
    pub async fn descriptor(&self, request: DescriptorRequest) -> Result<Descriptor, Failure> {
        self.engine.dial().descriptor(&request).await
    }

    /// Performs one exchange. The events end with `Finished` or `Failed`; dropping the receiver
    /// cancels the exchange. When a kept connection turns out to have died before anything came
    /// back (RFC 9112 §9.3.1), the request is made once more on a fresh one, and `Opened` and
    /// `RequestSent` are told a second time.
    pub fn exchange(&self, request: Request) -> mpsc::Receiver<Event> {
        let (sender, receiver) = mpsc::channel(limits::EVENTS);
        let engine = Arc::clone(&self.engine);
        tokio::spawn(async move { engine.run(request, sender).await });
        receiver
    }

    /// Closes the connections kept for a key; should it ever be used again, it has new circuits.
    pub fn retire(&self, key: CircuitKey) {
        self.engine.retire(key);
    }

    /// Ends running exchanges as cancelled and closes all connections; Tor's own tasks end with the
    /// last handle.
    pub async fn shutdown(&self) {
        self.engine.close();
    }
}
