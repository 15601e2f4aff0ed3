//! Arti, the embedded Tor client. The only file that names it.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use arti_client::config::dir::AuthorityContacts;
use arti_client::isolation::IsolationToken;
use arti_client::{BootstrapBehavior, DataStream, StreamPrefs, TorClient, TorClientConfig};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use tor_config::load::{ConfigResolveOptions, resolve_return_results};
use tor_config::sources::{ConfigurationSource, ConfigurationSources, MustRead};
use tor_error::{ErrorKind, HasKind};
use tor_rtcompat::PreferredRuntime;
use vigie_wire::net::{Bootstrap, CircuitKey, Failure, FailureKind, NetworkFacts, Scope};

use crate::exchange::Dial;
use crate::tls::Trust;
use crate::{NetConfig, NetError};

/// Most memory for queues of streams and circuits, in bytes.
const QUEUE_BYTES: i64 = 512 * 1024 * 1024;

/// A Tor client.
pub struct Tor {
    client: Arc<TorClient<PreferredRuntime>>,
    /// One token per key, for as long as the client lives.
    tokens: Mutex<HashMap<CircuitKey, IsolationToken>>,
    authorities: Vec<String>,
    public: bool,
    vanguards: String,
}

impl Tor {
    /// Reads the configuration; needs a running tokio runtime; touches no network.
    pub fn start(config: &NetConfig) -> Result<Self, NetError> {
        // Arti and our own TLS share one process-wide provider; a second call finds it set.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let table = completed(config)?;
        let vanguards = text(&table, &["vanguards", "mode"]).unwrap_or_else(|| "full".to_owned());
        let authorities = authorities(&table);
        let public = authorities.is_none();
        let client_config = read(&table)?;
        for folder in [&config.state_dir, &config.cache_dir] {
            private_folder(folder)?;
        }
        let runtime = PreferredRuntime::current().map_err(|e| NetError::Client(e.to_string()))?;
        let client = TorClient::with_runtime(runtime)
            .config(client_config)
            .bootstrap_behavior(BootstrapBehavior::Manual)
            .create_unbootstrapped()
            .map_err(|e| NetError::Client(e.to_string()))?;
        let authorities = authorities.unwrap_or_else(|| {
            let shipped = AuthorityContacts::default();
            shipped.v3idents().iter().map(|id| id.to_string().trim_start_matches('$').to_ascii_uppercase()).collect()
        });
        Ok(Self { client, tokens: Mutex::default(), authorities, public, vanguards })
    }

    /// Facts for the record.
    pub fn facts(&self, trust: &Trust) -> NetworkFacts {
        let mut sorted = self.authorities.clone();
        sorted.sort();
        let mut hash = Sha256::new();
        for id in &sorted {
            hash.update(id.as_bytes());
            hash.update(b"\n");
        }
        NetworkFacts {
            arti_version: "0.47.0".to_owned(),
            authorities_sha256: data_encoding::HEXLOWER.encode(&hash.finalize()),
            authorities: u16::try_from(sorted.len()).unwrap_or(u16::MAX),
            public: self.public,
            tls_roots_sha256: trust.sha256.clone(),
            tls_extra_roots: trust.extra,
            vanguards: self.vanguards.clone(),
        }
    }

    /// Brings the client up, telling how far it is.
    pub async fn bootstrap(&self, mut tell: impl FnMut(Bootstrap) + Send) -> Result<(), Failure> {
        let mut events = self.client.bootstrap_events();
        let work = self.client.bootstrap();
        tokio::pin!(work);
        loop {
            tokio::select! {
                result = &mut work => {
                    let status = self.client.bootstrap_status();
                    tell(Bootstrap { fraction: status.as_frac(), ready: result.is_ok(), summary: status.to_string() });
                    return result.map_err(|e| Failure {
                        kind: FailureKind::TorNotReady,
                        detail: status.blocked().map_or_else(|| chain(&e), |why| why.message().to_string()),
                    });
                }
                Some(status) = events.next() => {
                    tell(Bootstrap { fraction: status.as_frac(), ready: false, summary: status.to_string() });
                }
            }
        }
    }

    fn token(&self, key: CircuitKey) -> IsolationToken {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        *tokens.entry(key).or_insert_with(IsolationToken::new)
    }
}

impl Dial for Tor {
    type Stream = DataStream;

    async fn dial(&self, key: CircuitKey, scope: &Scope) -> Result<DataStream, Failure> {
        let mut prefs = StreamPrefs::new();
        prefs.set_isolation(self.token(key));
        prefs.connect_to_onion_services(tor_config::BoolOrAuto::Explicit(scope.host.ends_with(".onion")));
        // A name and a port: Arti sends the name to the exit, and nothing resolves it here.
        self.client.connect_with_prefs((scope.host.as_str(), scope.port), &prefs).await.map_err(|e| failure(&e))
    }
}

/// Which layer failed. The detail is the kind's own text: Arti's messages can carry host names.
fn failure(error: &arti_client::Error) -> Failure {
    let error_kind = error.kind();
    let kind = match error_kind {
        ErrorKind::BootstrapRequired
        | ErrorKind::DirectoryExpired
        | ErrorKind::TorAccessFailed
        | ErrorKind::TorDirectoryError => FailureKind::TorNotReady,
        ErrorKind::OnionServiceNotFound => FailureKind::DescriptorNotFound,
        ErrorKind::OnionServiceProtocolViolation | ErrorKind::OnionServiceAddressInvalid => {
            FailureKind::DescriptorInvalid
        }
        ErrorKind::OnionServiceMissingClientAuth | ErrorKind::OnionServiceWrongClientAuth => {
            FailureKind::ClientKeyNeeded
        }
        ErrorKind::OnionServiceNotRunning => FailureKind::Introduction,
        ErrorKind::OnionServiceConnectionFailed => FailureKind::Rendezvous,
        ErrorKind::RemoteConnectionRefused => FailureKind::StreamRefused,
        ErrorKind::ExitPolicyRejected | ErrorKind::RemoteNetworkFailed | ErrorKind::RemoteStreamError => {
            FailureKind::ExitFailed
        }
        ErrorKind::RemoteHostNotFound | ErrorKind::RemoteHostResolutionFailed => FailureKind::NameNotFound,
        ErrorKind::ExitTimeout | ErrorKind::TorNetworkTimeout | ErrorKind::RemoteNetworkTimeout => FailureKind::Timeout,
        _ => FailureKind::Other,
    };
    Failure { kind, detail: error_kind.to_string() }
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
    let path = |path: &Path| toml::Value::String(path.display().to_string());
    let storage = sub(&mut table, "storage")?;
    storage.entry("state_dir").or_insert_with(|| path(&config.state_dir));
    storage.entry("cache_dir").or_insert_with(|| path(&config.cache_dir));
    let keystore = sub(storage, "keystore")?;
    sub(keystore, "primary")?.insert("kind".into(), toml::Value::String("ephemeral".into()));
    sub(&mut table, "vanguards")?.entry("mode").or_insert_with(|| toml::Value::String("full".into()));
    let memory = sub(sub(&mut table, "system")?, "memory")?;
    memory.entry("max").or_insert(toml::Value::Integer(QUEUE_BYTES));
    Ok(table)
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

fn text(table: &toml::Table, path: &[&str]) -> Option<String> {
    let (last, folders) = path.split_last()?;
    let mut table = table;
    for name in folders {
        table = table.get(*name)?.as_table()?;
    }
    table.get(*last)?.as_str().map(str::to_owned)
}

/// Identities of the directory authorities, when the table names its own.
fn authorities(table: &toml::Table) -> Option<Vec<String>> {
    let own = table.get("tor_network")?.as_table()?.get("authorities")?.as_table()?;
    let ids = own.get("v3idents")?.as_array()?;
    Some(ids.iter().filter_map(|id| id.as_str()).map(|id| id.replace([' ', '$'], "").to_ascii_uppercase()).collect())
}

fn private_folder(folder: &Path) -> Result<(), NetError> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| NetError::Directory(e.to_string()))
}
