//! The peer that only fetches: Arti and hyper, nothing else, in a process of its own (this
//! program once more, with a command of its own).

use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arti_client::isolation::IsolationToken;
use arti_client::{StreamPrefs, TorClient, TorClientConfig};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::SendRequest;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tor_config::BoolOrAuto;
use tor_config::load::resolve;
use tor_config::sources::{ConfigurationSource, ConfigurationSources, MustRead};
use tor_rtcompat::PreferredRuntime;

use crate::Outcome;

/// The hidden command: `bare-client ARTI.TOML DIR ONION PAGES`.
pub const COMMAND: &str = "bare-client";
/// Pages at once, as many as the mandate of the bench lets Vigie fetch.
pub const AT_ONCE: usize = 16;
/// How often a page is tried, as often as Vigie does by default.
const ATTEMPTS: usize = 3;

/// What the client tells on standard output.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told {
    /// When the last byte of the last page had been read.
    pub ended: Timestamp,
    /// Bytes of all bodies.
    pub bytes: u64,
}

/// Fetches the index, then all pages, [`AT_ONCE`] at a time.
pub fn main(args: &[String]) -> Outcome<()> {
    let [configuration, dir, onion, pages] = args else {
        return Err(format!("usage: {COMMAND} ARTI.TOML DIR ONION PAGES").into());
    };
    // The bench holds the other end: its end, however violent, is ours.
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(1);
    });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let config = configure(&std::fs::read_to_string(configuration)?, Path::new(dir))?;
    let pages = pages.parse()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let bytes = runtime.block_on(fetch_all(config, onion, pages))?;
    println!("{}", serde_json::to_string(&Told { ended: Timestamp::now(), bytes })?);
    Ok(())
}

/// The network's configuration with the same additions that Vigie makes.
fn configure(text: &str, dir: &Path) -> Outcome<TorClientConfig> {
    let own = format!(
        "[storage]\nstate_dir = {state}\ncache_dir = {cache}\nkeystore.primary.kind = \"ephemeral\"\n\
         [vanguards]\nmode = \"full\"\n[system.memory]\nmax = {memory}\n",
        state = toml::Value::String(dir.join("state").display().to_string()),
        cache = toml::Value::String(dir.join("cache").display().to_string()),
        memory = 512 * 1024 * 1024,
    );
    let mut sources = ConfigurationSources::new_empty();
    sources.push_source(ConfigurationSource::from_verbatim(text.to_owned()), MustRead::MustRead);
    sources.push_source(ConfigurationSource::from_verbatim(own), MustRead::MustRead);
    Ok(resolve(&sources.load()?)?)
}

type Client = TorClient<PreferredRuntime>;

/// The way to the site: one isolation for all streams, as for one target of a session.
struct Way {
    client: Arc<Client>,
    prefs: StreamPrefs,
    onion: String,
    next: AtomicUsize,
    pages: usize,
}

async fn fetch_all(config: TorClientConfig, onion: &str, pages: usize) -> Outcome<u64> {
    let client = TorClient::with_runtime(PreferredRuntime::current()?).config(config).create_bootstrapped().await?;
    let mut prefs = StreamPrefs::new();
    prefs.set_isolation(IsolationToken::new());
    prefs.connect_to_onion_services(BoolOrAuto::Explicit(true));
    let way = Arc::new(Way { client, prefs, onion: onion.to_owned(), next: AtomicUsize::new(0), pages });
    // The index first, on the connection that the first worker goes on with.
    let mut connection = None;
    way.read("/", &mut connection).await?;
    let mut workers = JoinSet::new();
    for _ in 0..AT_ONCE {
        let (way, mut connection) = (way.clone(), connection.take());
        workers.spawn(async move {
            let mut bytes = 0;
            loop {
                let number = way.next.fetch_add(1, Ordering::Relaxed);
                if number >= way.pages {
                    return Ok::<u64, Box<dyn std::error::Error + Send + Sync>>(bytes);
                }
                bytes += way.read(&format!("/page/{number}"), &mut connection).await?;
            }
        });
    }
    let mut bytes = 0;
    while let Some(worker) = workers.join_next().await {
        bytes += worker??;
    }
    Ok(bytes)
}

impl Way {
    /// Reads a page to its end on the connection, opened when there is none.
    async fn read(&self, path: &str, connection: &mut Option<SendRequest<Empty<Bytes>>>) -> Outcome<u64> {
        let mut attempt = 1;
        loop {
            match self.attempt(path, connection).await {
                Ok(bytes) => return Ok(bytes),
                Err(error) if attempt == ATTEMPTS => return Err(format!("{path}: {error}").into()),
                Err(_) => *connection = None,
            }
            attempt += 1;
        }
    }

    async fn attempt(&self, path: &str, connection: &mut Option<SendRequest<Empty<Bytes>>>) -> Outcome<u64> {
        let sender = match connection {
            Some(sender) => sender,
            None => {
                let stream = self.client.connect_with_prefs((self.onion.as_str(), 80), &self.prefs).await?;
                let (sender, driver) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
                tokio::spawn(async move { drop(driver.await) });
                connection.insert(sender)
            }
        };
        sender.ready().await?;
        let request = Request::get(path).header(http::header::HOST, &self.onion).body(Empty::new())?;
        let mut response = sender.send_request(request).await?;
        if !response.status().is_success() {
            return Err(format!("status {}", response.status()).into());
        }
        let mut bytes = 0;
        while let Some(frame) = response.body_mut().frame().await {
            bytes += frame?.data_ref().map_or(0, |data| data.len() as u64);
        }
        Ok(bytes)
    }
}
