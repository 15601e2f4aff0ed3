//! Arti, the embedded Tor client. This module is the only one that names it.

pub mod addresses;
mod blocked;
mod bridges;
mod descriptor;
mod directory;
mod exit;
mod guards;
mod survey;
mod work;

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arti_client::config::dir::{FallbackDir, NetworkConfigBuilder};
use arti_client::config::vanguards::VanguardConfig;
use arti_client::isolation::IsolationToken;
use arti_client::{BootstrapBehavior, DataStream, KeystoreSelector, StreamPrefs, TorClient, TorClientConfig};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tor_cell::relaycell::hs::IntroduceAckStatus;
use tor_circmgr::PathConfig;
use tor_config::load::{ConfigResolveOptions, resolve_return_results};
use tor_config::sources::{ConfigurationSource, ConfigurationSources, MustRead};
use tor_error::{ErrorKind, HasKind};
use tor_hsclient::{ConnError, DescriptorErrorDetail, FailedAttemptError};
use tor_hscrypto::pk::{HsClientDescEncSecretKey, HsId};
use tor_llcrypto::pk::curve25519::StaticSecret;
use tor_netdir::SubnetConfig;
use tor_netdoc::doc::hsdesc::HsDescError;
use tor_rtcompat::PreferredRuntime;
use vigie_wire::control::ClientKey;
use vigie_wire::net::{Bootstrap, CircuitKey, Consensus, Exit, Failure, FailureKind, NetworkFacts, Scope};

use self::blocked::Ways;
use self::directory::Directory;
pub use self::guards::{KeptGuard, guards, guards_file};
pub use self::survey::{Survey, survey};
use crate::exchange::{Dial, Dialled};
use crate::tls::Trust;
use crate::{NetConfig, NetError};

/// Most memory for queues of streams and circuits, in bytes.
const QUEUE_BYTES: i64 = 512 * 1024 * 1024;

/// A Tor client.
pub struct Tor {
    client: Arc<TorClient<PreferredRuntime>>,
    directory: Arc<Directory>,
    /// One token per key, until the key is retired.
    tokens: Mutex<HashMap<CircuitKey, IsolationToken>>,
    /// When a key was last given fresh circuits because a stream was not answered.
    left: Mutex<HashMap<CircuitKey, Instant>>,
    /// Keeps circuits to exits apart from all others.
    exits: IsolationToken,
    /// Which relays are neighbours.
    subnets: SubnetConfig,
    network: Network,
    vanguards: String,
    /// Relays that a first directory may come from.
    fallbacks: Vec<FallbackDir>,
    /// Bridges stand in the place of guards and of those relays.
    bridges: bool,
    /// Client keys were handed over: a process has one session's.
    keys_given: AtomicBool,
}

/// Which network the client is on.
#[derive(Debug, PartialEq, Eq)]
struct Network {
    /// Identities of the directory authorities, upper case, sorted.
    authorities: Vec<String>,
    /// All that defines a network is as Arti ships it for the public one.
    public: bool,
}

impl Tor {
    /// Reads the configuration; needs a running tokio runtime; touches no network.
    pub fn start(config: &NetConfig) -> Result<Self, NetError> {
        // Arti and our own TLS share one process-wide provider; a second call finds it set.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let bridges = bridges::bridges(&config.tor)?;
        let bridges = bridges::enabled(&config.tor, &bridges);
        let client_config = read(&completed(config)?)?;
        let network = network(&client_config)?;
        let directories = client_config.dir_mgr_config().map_err(|e| NetError::Config(chain(&e)))?;
        let fallbacks = directories.fallbacks().iter().cloned().collect();
        let vanguards: &VanguardConfig = client_config.as_ref();
        let vanguards = vanguards.mode().to_string();
        let paths: &PathConfig = client_config.as_ref();
        let subnets = paths.subnet_config();
        for folder in [&config.state_dir, &config.cache_dir] {
            private_folder(folder)?;
        }
        directory::discard_altered(&config.cache_dir).map_err(|e| NetError::Directory(e.to_string()))?;
        let runtime = PreferredRuntime::current().map_err(|e| NetError::Client(e.to_string()))?;
        let directory = Arc::new(Directory::default());
        let client = TorClient::with_runtime(runtime)
            .config(client_config)
            .dirmgr_builder::<Directory>(Arc::clone(&directory) as _)
            .bootstrap_behavior(BootstrapBehavior::Manual)
            .create_unbootstrapped()
            .map_err(|e| NetError::Client(e.to_string()))?;
        Ok(Self {
            client,
            directory,
            tokens: Mutex::default(),
            left: Mutex::default(),
            exits: IsolationToken::new(),
            subnets,
            network,
            vanguards,
            fallbacks,
            bridges,
            keys_given: AtomicBool::new(false),
        })
    }

    /// Hands Arti the client keys of the one session that this process serves. They lie in its key store in
    /// memory and go with the process: no other session can have them.
    pub fn client_keys(&self, keys: &[ClientKey]) -> Result<(), NetError> {
        if self.keys_given.swap(true, Ordering::Relaxed) {
            return Err(NetError::ClientKey("this process has those of a session already".into()));
        }
        for key in keys {
            let onion: HsId =
                key.onion.parse().map_err(|_| NetError::ClientKey("it is not for an onion service".into()))?;
            let secret = HsClientDescEncSecretKey::from(StaticSecret::from(key.secret));
            self.client
                .insert_service_discovery_key(KeystoreSelector::Primary, onion, secret)
                .map_err(|e| NetError::ClientKey(e.kind().to_string()))?;
        }
        Ok(())
    }

    /// Facts for the record.
    pub fn facts(&self, trust: &Trust) -> NetworkFacts {
        let mut hash = Sha256::new();
        for id in &self.network.authorities {
            hash.update(id.as_bytes());
            hash.update(b"\n");
        }
        NetworkFacts {
            arti_version: "0.47.0".to_owned(),
            authorities_sha256: data_encoding::HEXLOWER.encode(&hash.finalize()),
            authorities: u16::try_from(self.network.authorities.len()).unwrap_or(u16::MAX),
            public: self.network.public,
            tls_roots_sha256: trust.sha256.clone(),
            tls_extra_roots: trust.extra,
            vanguards: self.vanguards.clone(),
            proof_of_work: cfg!(feature = "pow"),
        }
    }

    /// Brings the client up, telling how far it is and what is in the way.
    pub async fn bootstrap(&self, mut tell: impl FnMut(Bootstrap) + Send) -> Result<(), Failure> {
        let mut events = self.client.bootstrap_events();
        let (found, mut findings) = mpsc::channel(1);
        let ways = Ways { fallbacks: self.fallbacks.clone(), bridges: self.bridges };
        // Ends with this set.
        let mut watch = JoinSet::new();
        watch.spawn(blocked::watch(Arc::clone(&self.client), ways, found));
        let mut blocked = None;
        let work = self.client.bootstrap();
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => {
                    drop(watch);
                    let status = self.client.bootstrap_status();
                    let ready = result.is_ok();
                    tell(Bootstrap {
                        fraction: status.as_frac(),
                        ready,
                        summary: status.to_string(),
                        blocked: blocked.filter(|_| !ready),
                    });
                    return result.map_err(|e| Failure {
                        kind: FailureKind::TorNotReady,
                        detail: status.blocked().map_or_else(|| chain(&e), |why| why.message().to_string()),
                    });
                }
                Some(status) = events.next() => {
                    tell(Bootstrap { fraction: status.as_frac(), ready: false, summary: status.to_string(), blocked });
                }
                Some(finding) = findings.recv() => {
                    blocked = finding;
                    let status = self.client.bootstrap_status();
                    tell(Bootstrap { fraction: status.as_frac(), ready: false, summary: status.to_string(), blocked });
                }
            }
        }
    }

    /// The consensus that Arti uses now, from its cache, with the certificates of the authorities that
    /// signed it. Arti has checked its signatures.
    pub async fn consensus(&self) -> Result<Consensus, Failure> {
        let mut tries = CONSENSUS_TRIES;
        loop {
            tries -= 1;
            match self.directory.consensus(&self.network.authorities) {
                // Arti may be replacing one consensus by the next.
                Err(_) if tries > 0 => tokio::time::sleep(CONSENSUS_WAIT).await,
                Err(why) => {
                    let detail = format!("reading the consensus from Arti's cache: {why}");
                    return Err(Failure { kind: FailureKind::TorNotReady, detail });
                }
                Ok(consensus) => return Ok(consensus),
            }
        }
    }

    fn token(&self, key: CircuitKey) -> IsolationToken {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens.entry(key).or_insert_with(IsolationToken::new)
    }

    /// Leaves the circuits of a key for fresh ones, unless that was done a short while ago. Says whether it did.
    fn leave(&self, key: CircuitKey, now: Instant) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        if left.get(&key).is_some_and(|before| now.saturating_duration_since(*before) < LEAVE) {
            return false;
        }
        left.insert(key, now);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(key, IsolationToken::new());
        true
    }
}

/// How long a key keeps circuits that it was given in the place of others. With fresh ones Arti asks for the
/// descriptor anew: in a quarter of an hour less often than there are directories that have it (six, rend-spec-v3).
const LEAVE: Duration = Duration::from_secs(180);

/// How often a consensus is looked for, and how long in between.
const CONSENSUS_TRIES: u8 = 20;
/// See [`CONSENSUS_TRIES`].
const CONSENSUS_WAIT: Duration = Duration::from_millis(100);

impl Dial for Tor {
    type Stream = DataStream;

    async fn dial(&self, key: CircuitKey, scope: &Scope, apart_from: &[Exit]) -> Dialled<DataStream> {
        if scope.host.ends_with(".onion") {
            Dialled { through: None, stream: self.onion(key, scope).await }
        } else {
            self.web(key, scope, apart_from).await
        }
    }

    fn together(&self, one: &Exit, other: &Exit) -> bool {
        self.neighbours(one, other)
    }

    fn retire(&self, key: CircuitKey) {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        self.tokens.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
    }
}

impl Tor {
    /// A stream to an onion service.
    async fn onion(&self, key: CircuitKey, scope: &Scope) -> Result<DataStream, Failure> {
        let mut prefs = StreamPrefs::new();
        prefs.set_isolation(self.token(key));
        prefs.connect_to_onion_services(tor_config::BoolOrAuto::Explicit(true));
        let opened = self.client.connect_with_prefs((scope.host.as_str(), scope.port), &prefs).await;
        opened.map_err(|e| {
            let kind = layer(&e, e.kind());
            // A relay on the way may let nothing through any more. Arti keeps such a circuit for the next stream.
            if kind == FailureKind::Timeout {
                self.leave(key, Instant::now());
            }
            // The detail is the kind's own text: Arti's messages can carry host names.
            Failure { kind, detail: e.kind().to_string() }
        })
    }
}

/// Which layer failed on the way to an onion service. How far it came is told by its own error, further down.
fn layer(error: &dyn std::error::Error, kind: ErrorKind) -> FailureKind {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(onion) = inner.downcast_ref::<ConnError>().and_then(onion_layer) {
            return onion;
        }
        cause = inner.source();
    }
    kind_layer(kind, true)
}

/// Arti tries several introduction and rendezvous points: the attempt that came farthest counts.
fn onion_layer(error: &ConnError) -> Option<FailureKind> {
    match error {
        ConnError::DescriptorDownload(attempts) => {
            attempts.sources().filter_map(|e| descriptor_layer(&e.0.error)).max_by_key(|kind| descriptor::rank(*kind))
        }
        ConnError::NoUsableHsDirs => Some(FailureKind::NotAskedAgain),
        ConnError::NoHsDirs => Some(FailureKind::TorNotReady),
        ConnError::NoUsableIntroPoints => Some(FailureKind::DescriptorInvalid),
        ConnError::Failed(attempts) => {
            attempts.sources().filter_map(attempt_layer).max_by_key(|(far, _)| *far).map(|(_, kind)| kind)
        }
        _ => None,
    }
}

/// What one directory's answer says of a descriptor.
fn descriptor_layer(error: &DescriptorErrorDetail) -> Option<FailureKind> {
    use DescriptorErrorDetail as E;
    match error {
        E::Timeout | E::Circuit(_) | E::Stream(_) => Some(FailureKind::DirectoryUnreachable),
        E::Directory(error) => Some(descriptor::answered(error).kind),
        E::Descriptor(HsDescError::MissingDecryptionKey | HsDescError::WrongDecryptionKey) => {
            Some(FailureKind::ClientKeyNeeded)
        }
        E::Descriptor(_) | E::ParameterMismatch(_) | E::OutsideValidityPeriod(_) => {
            Some(FailureKind::DescriptorInvalid)
        }
        _ => None,
    }
}

/// How far an attempt came, and which layer stopped it.
fn attempt_layer(error: &FailedAttemptError) -> Option<(u8, FailureKind)> {
    use FailedAttemptError as E;
    match error {
        E::UnusableIntro { .. } => Some((0, FailureKind::DescriptorInvalid)),
        E::RendezvousCircuitObtain { .. } | E::RendezvousEstablishTimeout { .. } | E::RendezvousEstablish { .. } => {
            Some((1, FailureKind::MeetingPoint))
        }
        // Its word counts before the silence of others.
        E::IntroductionFailed { status: IntroduceAckStatus::NOT_RECOGNIZED, .. } => {
            Some((3, FailureKind::IntroductionRefused))
        }
        E::IntroductionCircuitObtain { .. }
        | E::IntroductionExchange { .. }
        | E::IntroductionFailed { .. }
        | E::IntroductionTimeout { .. } => Some((2, FailureKind::Introduction)),
        E::RendezvousCompletionTimeout { .. }
        | E::RendezvousCompletionCircuitError { .. }
        | E::RendezvousCompletionHandshake { .. } => Some((4, FailureKind::Rendezvous)),
        _ => None,
    }
}

/// The layer by Arti's kind of error alone.
fn kind_layer(kind: ErrorKind, onion: bool) -> FailureKind {
    match kind {
        ErrorKind::BootstrapRequired
        | ErrorKind::DirectoryExpired
        | ErrorKind::TorAccessFailed
        | ErrorKind::TorDirectoryError
        | ErrorKind::TorDirectoryUnusable
        | ErrorKind::LocalNetworkError
        | ErrorKind::ClockSkew
        | ErrorKind::NoPath => FailureKind::TorNotReady,
        ErrorKind::OnionServiceNotFound => FailureKind::DescriptorNotFound,
        ErrorKind::OnionServiceProtocolViolation => FailureKind::DescriptorInvalid,
        ErrorKind::OnionServiceMissingClientAuth | ErrorKind::OnionServiceWrongClientAuth => {
            FailureKind::ClientKeyNeeded
        }
        ErrorKind::OnionServiceNotRunning => FailureKind::Introduction,
        ErrorKind::OnionServiceConnectionFailed => FailureKind::Rendezvous,
        ErrorKind::ExitTimeout | ErrorKind::TorNetworkTimeout | ErrorKind::RemoteNetworkTimeout => FailureKind::Timeout,
        ErrorKind::RemoteConnectionRefused => FailureKind::StreamRefused,
        // An onion service does not say why (C tor gives DONE or MISC): there is no exit to blame.
        ErrorKind::ExitPolicyRejected
        | ErrorKind::RemoteNetworkFailed
        | ErrorKind::RemoteStreamError
        | ErrorKind::RemoteStreamClosed
        | ErrorKind::RemoteStreamReset
        | ErrorKind::RemoteHostNotFound
        | ErrorKind::RemoteHostResolutionFailed
        | ErrorKind::RelayTooBusy
            if onion =>
        {
            FailureKind::StreamRefused
        }
        ErrorKind::RemoteHostNotFound | ErrorKind::RemoteHostResolutionFailed => FailureKind::NameNotFound,
        ErrorKind::ExitPolicyRejected
        | ErrorKind::RemoteNetworkFailed
        | ErrorKind::RemoteStreamError
        | ErrorKind::RemoteStreamClosed
        | ErrorKind::RemoteStreamReset
        | ErrorKind::RelayTooBusy
        | ErrorKind::NoExit => FailureKind::ExitFailed,
        ErrorKind::InvalidStreamTarget | ErrorKind::ForbiddenStreamTarget | ErrorKind::OnionServiceAddressInvalid => {
            FailureKind::OutOfScope
        }
        _ => FailureKind::Other,
    }
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    text
}

/// The workstation's table with what Vigie sets itself: where state lies, an ephemeral key store
/// (the native one names files by onion), full vanguards and a memory limit unless said otherwise.
fn completed(config: &NetConfig) -> Result<toml::Table, NetError> {
    let mut table = config.tor.clone();
    let storage = sub(&mut table, "storage")?;
    set(storage, "state_dir", literal(&config.state_dir)?)?;
    set(storage, "cache_dir", literal(&config.cache_dir)?)?;
    set(sub(sub(storage, "keystore")?, "primary")?, "kind", "ephemeral".into())?;
    sub(&mut table, "vanguards")?.entry("mode").or_insert_with(|| "full".into());
    let memory = sub(sub(&mut table, "system")?, "memory")?;
    memory.entry("max").or_insert(toml::Value::Integer(QUEUE_BYTES));
    Ok(table)
}

/// Sets what is not the workstation's to set.
fn set(table: &mut toml::Table, name: &str, value: toml::Value) -> Result<(), NetError> {
    match table.insert(name.to_owned(), value.clone()) {
        Some(other) if other != value => Err(NetError::Config(format!("{name} is set by Vigie itself"))),
        _ => Ok(()),
    }
}

/// A path in which Arti expands no `~` and no `${...}`.
fn literal(path: &Path) -> Result<toml::Value, NetError> {
    let text = path.to_str().ok_or_else(|| NetError::Directory("its path is not UTF-8".into()))?;
    Ok(toml::Value::Table(toml::Table::from_iter([("literal".to_owned(), text.into())])))
}

fn sub<'t>(table: &'t mut toml::Table, name: &str) -> Result<&'t mut toml::Table, NetError> {
    table
        .entry(name)
        .or_insert_with(|| toml::Value::Table(toml::Table::new()))
        .as_table_mut()
        .ok_or_else(|| NetError::Config(format!("{name} must be a table")))
}

/// Arti's own reading; a key that it does not know is an error, since a misspelt option silently
/// left out could be the one that protects someone.
fn read(table: &toml::Table) -> Result<TorClientConfig, NetError> {
    let fault = |e: &dyn std::fmt::Display| NetError::Config(e.to_string());
    let text = toml::to_string(table).map_err(|e| fault(&e))?;
    let mut sources = ConfigurationSources::new_empty();
    sources.push_source(ConfigurationSource::from_verbatim(text), MustRead::MustRead);
    let tree = sources.load().map_err(|e| fault(&e))?;
    let results = resolve_return_results::<TorClientConfig>(&tree, &ConfigResolveOptions::default())
        .map_err(|e| NetError::Config(chain(&e)))?;
    if let Some(key) = results.unrecognized.first() {
        return Err(NetError::Config(format!("{key} is no option of Arti 0.47")));
    }
    Ok(results.value)
}

/// The network that a configuration leads to. Whoever changes anything that defines one is on a
/// network that we cannot vouch for: the authorities, the fallback directories through which the
/// first consensus comes, or parameters of the consensus.
fn network(config: &TorClientConfig) -> Result<Network, NetError> {
    let fault = |e: &dyn std::error::Error| NetError::Config(chain(e));
    let directory = config.dir_mgr_config().map_err(|e| fault(&e))?;
    let shipped = NetworkConfigBuilder::default().build().map_err(|e| fault(&e))?;
    let ids = directory.network.authorities().v3idents().iter();
    let mut authorities: Vec<_> = ids.map(|id| id.to_string().trim_start_matches('$').to_ascii_uppercase()).collect();
    authorities.sort();
    let overrides = directory.override_net_params.iter().next().is_some();
    Ok(Network { authorities, public: directory.network == shipped && !overrides })
}

/// Makes a folder that nobody else may look into, as Arti asks for.
pub fn private_folder(folder: &Path) -> Result<(), NetError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| NetError::Directory(e.to_string()))
}

#[cfg(test)]
mod tests;
