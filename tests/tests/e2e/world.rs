//! What all cases share.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::isolation::CircuitSite;
use vigie_tests::process::{Command, Output};
use vigie_tests::sites::{Site, Sites};
use vigie_tests::tornet::{HiddenService, Options, TorNet};

/// What a case gives back; any error fails it.
pub type CaseResult = Result<(), Box<dyn std::error::Error>>;

/// An onion service behind which nothing listens.
pub const NOBODY: &str = "nobody";

/// An onion service that shows itself to the holder of [`World::client_key`] alone; the site is the second market.
pub const GUARDED: &str = "guarded";
/// An onion service that offers proof of work, and suggests none; the site is the second market.
pub const WORKING: &str = "working";
/// An onion service on ports 80 and 81 whose site knows the circuits.
pub const CIRCUITS: &str = "circuits";

/// A named case.
#[derive(Clone, Copy)]
pub struct Case {
    /// `theme::what_holds`.
    pub name: &'static str,
    /// The case.
    pub run: fn(&World) -> CaseResult,
}

/// One network, one set of sites, one directory.
pub struct World {
    /// The network; services are labelled as their sites.
    pub net: TorNet,
    /// The sites.
    pub sites: Sites,
    /// The site that knows the circuits.
    pub circuits: CircuitSite,
    /// X25519 secret that opens [`GUARDED`], in Base32.
    pub client_key: String,
    dir: tempfile::TempDir,
    quiet: Mutex<()>,
}

impl World {
    /// Starts everything.
    pub fn start() -> Result<Self, String> {
        let sites = Sites::start().map_err(|e| format!("the sample sites: {e}"))?;
        let dir = tempfile::Builder::new()
            .prefix("e2e-")
            .tempdir_in(env!("CARGO_TARGET_TMPDIR"))
            .map_err(|e| format!("a directory under {}: {e}", env!("CARGO_TARGET_TMPDIR")))?;
        let service =
            |site: &Site| HiddenService { name: site.name.to_owned(), virtual_port: 80, local_port: site.port };
        let onions = [&sites.market_a, &sites.market_b, &sites.hostile, &sites.bulk];
        // Port 1 of loopback (tcpmux): nothing listens there.
        let nobody = HiddenService { name: NOBODY.to_owned(), virtual_port: 80, local_port: 1 };
        let circuits = CircuitSite::start().map_err(|e| format!("the site that knows the circuits: {e}"))?;
        let special = |name: &str, local_port| HiddenService { name: name.to_owned(), virtual_port: 80, local_port };
        let market = sites.market_b.port;
        let more = [nobody, special(GUARDED, market), special(WORKING, market), special(CIRCUITS, circuits.port)];
        let services = onions.into_iter().map(service).chain(more).collect();
        let lines = [
            (WORKING, "HiddenServicePoWDefensesEnabled 1".to_owned()),
            (CIRCUITS, format!("HiddenServicePort 81 127.0.0.1:{}", circuits.port)),
            (CIRCUITS, "HiddenServiceExportCircuitID haproxy".to_owned()),
        ];
        let lines = lines.map(|(name, line)| (name.to_owned(), line)).to_vec();
        let options = Options { services, lines, client_socks: true, dns: true };
        let mut net = TorNet::start(&dir.path().join("net"), options).map_err(|e| e.to_string())?;
        let (client_key, public) = x25519().map_err(|e| format!("a client key by openssl: {e}"))?;
        net.restrict(GUARDED, &[&format!("descriptor:x25519:{public}")]).map_err(|e| e.to_string())?;
        Ok(Self { net, sites, circuits, client_key, dir, quiet: Mutex::new(()) })
    }

    /// A new directory of a case, removed with the world.
    pub fn dir(&self, case: &str) -> std::io::Result<PathBuf> {
        let dir = self.dir.path().join(case);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// Held by a case that counts what sites were asked, against all others that hold it.
    pub fn quiet(&self) -> MutexGuard<'_, ()> {
        self.quiet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `curl` through the C tor client. What ends in curl's own time-out is asked anew, unless the case sets one: a
    /// circuit of C tor may die at the start of a busy network, and the site is what is looked at.
    pub fn curl(&self, url: &str, more: &[&str]) -> Result<Output, Box<dyn std::error::Error>> {
        /// curl(1): the operation timed out; no connection through the proxy.
        const AGAIN: [i32; 2] = [28, 97];
        let port = self.net.socks_port().ok_or("the network has no SOCKS port")?;
        let tries = if more.contains(&"--max-time") { 1 } else { 3 };
        let mut output = None;
        for _ in 0..tries {
            let ended = Command::new("curl")
                .args(["--disable", "--silent", "--show-error", "--max-time", "50", "--socks5-hostname"])
                .arg(format!("127.0.0.1:{port}"))
                .args(more)
                .arg(url)
                .run()?;
            let again = ended.code().is_some_and(|code| AGAIN.contains(&code));
            output = Some(ended);
            if !again {
                break;
            }
        }
        Ok(output.ok_or("curl was not run")?)
    }

    /// URL of a path of a site's onion service.
    pub fn onion_url(&self, site: &Site, path: &str) -> String {
        format!("http://{}{path}", self.net.onion(site.name))
    }
}

/// A new X25519 key by OpenSSL: secret and public half in Base32.
pub fn x25519() -> Result<(String, String), Box<dyn std::error::Error>> {
    let openssl = |args: &[&str]| Command::new("openssl").args(args);
    let secret = openssl(&["genpkey", "-algorithm", "X25519", "-outform", "DER"]).run()?.success()?.stdout;
    let pair = openssl(&["pkey", "-inform", "DER", "-pubout", "-outform", "DER"]).stdin(&secret);
    let public = pair.run()?.success()?.stdout;
    // RFC 8410: the key is the last 32 bytes of both.
    let last = |der: &[u8]| der.last_chunk::<32>().map(|key| data_encoding::BASE32_NOPAD.encode(key));
    Ok((last(&secret).ok_or("too short")?, last(&public).ok_or("too short")?))
}

/// Fails the case with a text unless the condition holds.
#[macro_export]
macro_rules! ensure {
    ($condition:expr, $($text:tt)+) => {
        if !$condition {
            return Err(format!($($text)+).into());
        }
    };
}
