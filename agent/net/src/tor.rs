//! Arti, the embedded Tor client. The only file that names it.

use std::collections::HashMap;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arti_client::config::dir::AuthorityContacts;
use arti_client::isolation::IsolationToken;
use arti_client::{
    BootstrapBehavior, DataStream, DirProviderBuilder, ErrorDetail, StreamPrefs, TorClient, TorClientConfig,
};
use futures::StreamExt;
use sha2::{Digest, Sha256};
use sha3::Sha3_256;
use tor_checkable::Timebound;
use tor_circmgr::CircMgr;
use tor_config::load::{ConfigResolveOptions, resolve_return_results};
use tor_config::sources::{ConfigurationSource, ConfigurationSources, MustRead};
use tor_dirmgr::{DirMgr, DirMgrConfig, DirMgrStore, DirProvider, DocId, Timeliness};
use tor_error::{ErrorKind, HasKind};
use tor_netdir::NetDirProvider;
use tor_netdoc::doc::netstatus::MdConsensus;
use tor_rtcompat::PreferredRuntime;
use vigie_wire::limits::{AUTHORITIES, CONSENSUS_BYTES};
use vigie_wire::net::{Bootstrap, CircuitKey, Consensus, Failure, FailureKind, NetworkFacts, Scope};

use crate::exchange::Dial;
use crate::tls::Trust;
use crate::{NetConfig, NetError};

/// Most memory for queues of streams and circuits, in bytes.
const QUEUE_BYTES: i64 = 512 * 1024 * 1024;

/// A Tor client.
pub struct Tor {
    client: Arc<TorClient<PreferredRuntime>>,
    directory: Arc<Directory>,
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
        let directory = Arc::new(Directory::default());
        let client = TorClient::with_runtime(runtime)
            .config(client_config)
            .dirmgr_builder::<Directory>(Arc::clone(&directory) as _)
            .bootstrap_behavior(BootstrapBehavior::Manual)
            .create_unbootstrapped()
            .map_err(|e| NetError::Client(e.to_string()))?;
        let authorities = authorities.unwrap_or_else(|| {
            let shipped = AuthorityContacts::default();
            shipped.v3idents().iter().map(|id| id.to_string().trim_start_matches('$').to_ascii_uppercase()).collect()
        });
        Ok(Self { client, directory, tokens: Mutex::default(), authorities, public, vanguards })
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

    /// The consensus that Arti uses now, from its cache, with the certificates of the authorities that
    /// signed it. Arti has checked its signatures.
    pub async fn consensus(&self) -> Result<Consensus, Failure> {
        let mut tries = CONSENSUS_TRIES;
        loop {
            tries -= 1;
            match self.directory.consensus(&self.authorities) {
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
}

/// How often a consensus is looked for, and how long in between.
const CONSENSUS_TRIES: u8 = 20;
/// See [`CONSENSUS_TRIES`].
const CONSENSUS_WAIT: Duration = Duration::from_millis(100);

/// Makes Arti's own directory manager and knows it from then on: the client gives none out that could
/// name its documents.
#[derive(Default)]
struct Directory(Mutex<Option<Known>>);

/// The directory manager, as long as the client holds it, and where it keeps its documents.
struct Known {
    manager: Weak<DirMgr<PreferredRuntime>>,
    cache: PathBuf,
}

impl DirProviderBuilder<PreferredRuntime> for Directory {
    fn build(
        &self,
        runtime: PreferredRuntime,
        store: DirMgrStore<PreferredRuntime>,
        circuits: Arc<CircMgr<PreferredRuntime>>,
        config: DirMgrConfig,
    ) -> Result<Arc<dyn DirProvider + 'static>, arti_client::Error> {
        let cache = config.cache_dir.clone();
        let manager =
            DirMgr::create_unbootstrapped(config, runtime, store, circuits).map_err(ErrorDetail::DirMgrSetup)?;
        let known = Known { manager: Arc::downgrade(&manager), cache };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(Arc::new(manager))
    }
}

impl Directory {
    fn consensus(&self, authorities: &[String]) -> Result<Consensus, String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().ok_or("Arti has not begun")?;
        let manager = known.manager.upgrade().ok_or("Arti has ended")?;
        let used = manager.netdir(Timeliness::Unchecked).map_err(|e| e.to_string())?.lifetime().clone();
        let document = blob(&known.cache, used.valid_after())?;
        let text = std::str::from_utf8(&document).map_err(|e| e.to_string())?;
        let (_, _, unchecked) = MdConsensus::parse(text).map_err(|e| e.to_string())?;
        let read = unchecked.dangerously_assume_timely();
        let signers = read.signing_cert_ids().map(DocId::AuthCert);
        let found = manager.texts(signers.take(AUTHORITIES)).map_err(|e| e.to_string())?;
        let mut certificates = Vec::new();
        for certificate in found.values() {
            certificates.push(String::from_utf8(certificate.as_ref().to_vec()).map_err(|e| e.to_string())?);
        }
        certificates.sort();
        let mut authorities = authorities.to_vec();
        authorities.sort();
        authorities.dedup();
        Ok(Consensus {
            sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(&document)),
            document: document.into(),
            certificates,
            authorities,
            valid_after: seconds(used.valid_after()),
            fresh_until: seconds(used.fresh_until()),
            valid_until: seconds(used.valid_until()),
        })
    }
}

/// The consensus of a moment among the documents that Arti keeps as files, each under the SHA3-256 of
/// its bytes.
fn blob(cache: &Path, valid_after: SystemTime) -> Result<Vec<u8>, String> {
    let folder = cache.join("dir_blobs");
    for entry in std::fs::read_dir(&folder).map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        let name = entry.file_name();
        let Some(sum) = name.to_str().and_then(|name| name.strip_prefix("con_microdesc_sha3-256-")) else { continue };
        if entry.metadata().map_or(true, |facts| facts.len() > CONSENSUS_BYTES as u64) {
            continue;
        }
        // It may be gone by now: Arti clears old ones away.
        let Ok(document) = std::fs::read(entry.path()) else { continue };
        if data_encoding::HEXLOWER.encode(&Sha3_256::digest(&document)) != sum {
            continue;
        }
        let parsed = std::str::from_utf8(&document).ok().and_then(|text| MdConsensus::parse(text).ok());
        let lifetime = parsed.map(|(_, _, unchecked)| unchecked.dangerously_assume_timely().peek_lifetime().clone());
        if lifetime.is_some_and(|lifetime| lifetime.valid_after() == valid_after) {
            return Ok(document);
        }
    }
    Err("none of the documents there is the one in use".to_owned())
}

fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
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
