//! The private network, the site and the desk, and one round of each peer over them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use vigie_tests::desk::{Desk, Network, Target};
use vigie_tests::process::{Command, Output};
use vigie_tests::sites::bulk;
use vigie_tests::tornet::{HiddenService, Options, TorNet};

use crate::site::Site;
use crate::watch::{Watched, watch};
use crate::{Outcome, bare, stop};

/// Most time for one round, bootstrap included. No measure: only an end to a run that hangs.
const LIMIT: Duration = Duration::from_secs(1800);

/// What one round of a peer came to.
#[derive(Debug, Clone, Copy)]
pub struct Round {
    /// Pages per second, from the first page's request to the end that the peer's method names.
    pub pages_per_s: f64,
    /// User and system time per page, in seconds.
    pub cpu_s: f64,
    /// Highest resident memory while pages were read.
    pub peak_bytes: u64,
    /// Highest resident memory before.
    pub peak_before_bytes: u64,
    /// Share of the processors that other programs took meanwhile.
    pub foreign: f64,
}

/// Everything that the rounds share.
pub struct World {
    net: TorNet,
    site: Site,
    desk: Desk,
    dir: PathBuf,
    onion: String,
    vigie: PathBuf,
    pages: usize,
}

impl World {
    /// Starts the network and the site, and signs a mandate for it.
    pub fn start(dir: &Path, pages: usize) -> Outcome<Self> {
        let vigie = beside("vigie")?;
        eprintln!("bench: starting a private Tor network and a site with {pages} pages");
        let site = Site::start(pages)?;
        let service = HiddenService { name: "bulk".into(), virtual_port: 80, local_port: site.port };
        let options = Options { services: vec![service], client_socks: true, dns: false, ..Options::default() };
        let net = TorNet::start_unless(&dir.join("net"), options, &stop::asked)?;
        let onion = net.onion("bulk");
        let now = Timestamp::now();
        let targets = [Target::onion("bulk", &onion)];
        let network = Network { arti_toml: net.arti_toml(), ca_pem: None };
        let desk = Desk::create(&dir.join("desk"), &targets, &network, now)?;
        let mandate = desk
            .mandate(&targets, now)?
            .with("limits.concurrency", i64::try_from(bare::AT_ONCE)?)
            // The index and what it links to: exactly the pages.
            .with("limits.depth", 1);
        desk.write_mandate("mandate.toml", &mandate)?;
        let credentials = desk.path("credentials");
        std::fs::create_dir(&credentials)?;
        for name in ["vigie.store", "vigie.profile"] {
            std::fs::write(credentials.join(name), "bench")?;
        }
        Ok(Self { net, site, desk, dir: dir.to_owned(), onion, vigie, pages })
    }

    /// Vigie records all pages into a new store, which is given back with the measures.
    pub fn vigie(&self, round: usize) -> Outcome<(Round, PathBuf)> {
        let name = format!("store-{round}");
        self.set_up(&name)?;
        let with_store = |args: &[&str]| self.command(args).arg("--store").arg(&name);
        let run = |command: Command| command.run().and_then(Output::success);

        self.site.forget();
        let command = with_store(&["run", "--once", "--quiet", "--json", "--purpose", "bench"]);
        let mut watched = watch(command.spawn()?, &self.site, &self.net.pids(), LIMIT)?;
        watched.output = watched.output.success()?;
        let told: Value = serde_json::from_slice(&watched.output.stdout)?;
        // The index is an exhibit as well.
        if told["exhibits"] != self.pages + 1 {
            return Err(
                format!("vigie recorded {} exhibits of {} pages and an index", told["exhibits"], self.pages).into()
            );
        }
        let last = run(with_store(&["log", "--json", "--last", "1"]))?;
        let last: Value = serde_json::from_slice(&last.stdout)?;
        if last[0]["kind"] != "session-close" {
            return Err(format!("the last entry of a run is not `session-close`: {}", last[0]["kind"]).into());
        }
        let ended = last[0]["time"].as_str().ok_or("an entry has no time")?.parse()?;
        Ok((self.round("vigie", &watched, ended), self.desk.path(&name)))
    }

    /// Arti and hyper alone fetch all pages and drop them.
    pub fn bare(&self, round: usize) -> Outcome<Round> {
        self.site.forget();
        let command = self.bare_command(&format!("bare-{round}"), self.pages)?;
        let mut watched = watch(command.spawn_with_open_input()?, &self.site, &self.net.pids(), LIMIT)?;
        watched.output = watched.output.success()?;
        let told: bare::Told = serde_json::from_slice(&watched.output.stdout)?;
        if told.bytes != (self.pages * bulk::PAGE_BYTES) as u64 {
            return Err(format!("bare Arti read {} bytes of {} pages", told.bytes, self.pages).into());
        }
        Ok(self.round("bare Arti + hyper", &watched, told.ended))
    }

    /// This program as bare Arti and hyper, which keep what they know of the network in this folder.
    pub fn bare_command(&self, folder: &str, pages: usize) -> Outcome<Command> {
        let command = Command::new(std::env::current_exe()?).arg(bare::COMMAND).arg(self.desk.path("arti.toml"));
        Ok(command.arg(self.dir.join(folder)).args([&self.onion, &pages.to_string()]))
    }

    /// A store of this name, ready for a run.
    pub fn set_up(&self, name: &str) -> Outcome<()> {
        let origin = format!("vigie.example/bench-{name}");
        let with_store = |args: &[&str]| self.command(args).arg("--store").arg(name);
        let run = |command: Command| command.run().and_then(Output::success);
        run(self.command(&["init", name, "--allowed-signers", "keys/allowed_signers", "--origin", &origin]))?;
        run(with_store(&["mandate", "add", "mandate.toml"]))?;
        run(with_store(&["mandate", "revoke", "revocations.toml"]))?;
        run(with_store(&["profile", "new", "profile.toml"]))?;
        Ok(())
    }

    /// One page into a store.
    pub fn capture(&self, store: &str) -> Command {
        let page = format!("http://{}/page/0", self.onion);
        self.command(&["capture", &page, "--store", store, "--quiet", "--purpose", "bench"])
    }

    /// Round after round into a store.
    pub fn rounds(&self, store: &str) -> Command {
        self.command(&["run", "--every", "1h", "--store", store, "--quiet", "--purpose", "bench"])
    }

    /// Begins a new count of what the site is asked.
    pub fn forget(&self) {
        self.site.forget();
    }

    /// When the site was first asked for a page since.
    pub fn first_asked(&self) -> Option<Timestamp> {
        self.site.asked().first
    }

    /// One curl process fetches all pages through C tor's SOCKS port and drops them.
    pub fn curl(&self) -> Outcome<Round> {
        let port = self.net.socks_port().ok_or("the network has no SOCKS port")?;
        let curl = || {
            Command::new("curl")
                .args(["--disable", "--silent", "--show-error", "--fail", "--retry", "2", "--socks5-hostname"])
                .arg(format!("127.0.0.1:{port}"))
        };
        // The index, so that circuits stand before the first page, as they do for the others.
        curl().args(["--output", "/dev/null"]).arg(format!("http://{}/", self.onion)).run()?.success()?;
        let list: String = (0..self.pages)
            .map(|number| format!("url = \"http://{}/page/{number}\"\noutput = \"/dev/null\"\n", self.onion))
            .collect();
        let config = self.dir.join("curl.conf");
        std::fs::write(&config, list)?;
        self.site.forget();
        let command = curl()
            .args(["--parallel", "--parallel-immediate", "--parallel-max", &bare::AT_ONCE.to_string()])
            .args(["--write-out", "%{size_download} %{num_connects}\n", "--config"])
            .arg(&config);
        let mut watched = watch(command.spawn()?, &self.site, &self.net.pids(), LIMIT)?;
        watched.output = watched.output.success()?;
        let (mut bytes, mut connections) = (0, 0);
        for line in watched.output.text().lines() {
            let mut numbers = line.split(' ').map(str::parse::<usize>);
            let (Some(Ok(size)), Some(Ok(opened))) = (numbers.next(), numbers.next()) else {
                return Err(format!("curl said `{line}`").into());
            };
            bytes += size;
            connections += opened;
        }
        if bytes != self.pages * bulk::PAGE_BYTES {
            return Err(format!("curl read {bytes} bytes of {} pages", self.pages).into());
        }
        let ended = watched.ended;
        let round = self.round("curl + C tor", &watched, ended);
        eprintln!("bench:   curl opened {connections} connections");
        Ok(round)
    }

    fn round(&self, name: &str, watched: &Watched, ended: Timestamp) -> Round {
        let seconds = ended.duration_since(watched.first).as_secs_f64();
        let round = Round {
            pages_per_s: self.pages as f64 / seconds,
            cpu_s: watched.cpu_s / self.pages as f64,
            peak_bytes: watched.peak_bytes,
            peak_before_bytes: watched.peak_before_bytes,
            foreign: watched.foreign,
        };
        let asked = self.site.asked().pages;
        let again = if asked > self.pages { format!(" ({} asked again)", asked - self.pages) } else { String::new() };
        eprintln!("bench:   {name}: {} pages in {seconds:.2} s{again}", self.pages);
        round
    }

    /// Vigie in the desk's folder, with the passphrases as systemd would hand them over.
    fn command(&self, args: &[&str]) -> Command {
        Command::new(&self.vigie)
            .args(args)
            .dir(self.desk.dir())
            .env("CREDENTIALS_DIRECTORY", self.desk.path("credentials"))
            .env("VIGIE_STATE", self.desk.path("state"))
            .env_remove("VIGIE_STORE")
            .env_remove("VIGIE_CONFIG")
    }
}

/// A program of the same build: this one lies in `deps/` beside it.
pub fn beside(name: &str) -> Outcome<PathBuf> {
    let here = std::env::current_exe()?;
    let program = here.parent().and_then(Path::parent).map(|dir| dir.join(name));
    program
        .filter(|program| program.is_file())
        .ok_or_else(|| format!("`{name}` is not built: cargo build --locked --release --bin {name}").into())
}
