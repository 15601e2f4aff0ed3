//! A workstation as an investigator has it: a desk, a store, and `vigie` typed as a user types it.
//! The program is this very test binary (see `main`), so that it is never an old build.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde_json::Value;
use vigie_tests::desk::{Desk, MandateText, Network, Target};
use vigie_tests::process::{Command, Output};

use crate::world::World;

/// Set for this binary to behave as `vigie`.
pub const AS_VIGIE: &str = "VIGIE_E2E_AS_VIGIE";
/// Set for this binary to behave as `vigie-witness`.
pub const AS_WITNESS: &str = "VIGIE_E2E_AS_WITNESS";
/// Set for this binary to behave as `vigie-verify`.
pub const AS_VERIFY: &str = "VIGIE_E2E_AS_VERIFY";
/// Passphrases of every station.
pub const STORE_PASSPHRASE: &str = "canary-store-passphrase";
/// Passphrase of the profile.
pub const PROFILE_PASSPHRASE: &str = "canary-profile-passphrase";
/// Purpose of every session; a canary like the passphrases.
pub const PURPOSE: &str = "canary-purpose of the test";

/// What a step of a case gives.
pub type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// A workstation.
pub struct Station {
    /// Keys, documents, configuration.
    pub desk: Desk,
}

impl Station {
    /// A desk for these targets, made anew in the case's directory, and nothing else.
    pub fn desk(world: &World, case: &str, targets: &[Target]) -> Outcome<Self> {
        let network = Network { arti_toml: world.net.arti_toml(), ca_pem: Some(world.sites.ca.pem().to_owned()) };
        Self::desk_on(world, case, targets, &network)
    }

    /// As [`Self::desk`], on another network.
    pub fn desk_on(world: &World, case: &str, targets: &[Target], network: &Network) -> Outcome<Self> {
        let desk = Desk::create(&world.dir(case)?, targets, network, Timestamp::now())?;
        let credentials = desk.path("credentials");
        std::fs::create_dir_all(&credentials)?;
        std::fs::write(credentials.join("vigie.store"), STORE_PASSPHRASE)?;
        std::fs::write(credentials.join("vigie.profile"), PROFILE_PASSPHRASE)?;
        Ok(Self { desk })
    }

    /// A workstation that is ready to run: store, mandate, fresh revocation list, profile.
    pub fn ready(world: &World, case: &str, targets: &[Target]) -> Outcome<Self> {
        let station = Self::desk(world, case, targets)?;
        station.set_up()?;
        Ok(station)
    }

    /// Store, mandate, fresh revocation list and profile from what lies on the desk.
    pub fn set_up(&self) -> Outcome<()> {
        self.init()?;
        self.vigie(&["mandate", "add", "mandate.toml"]).run()?.success()?;
        self.vigie(&["mandate", "revoke", "revocations.toml"]).run()?.success()?;
        self.vigie(&["profile", "new", "profile.toml"]).run()?.success()?;
        Ok(())
    }

    /// The store alone.
    pub fn init(&self) -> Outcome<()> {
        self.command(&["init", "store", "--allowed-signers", "keys/allowed_signers", "--origin", "vigie.example/e2e"])
            .run()?
            .success()?;
        Ok(())
    }

    /// Another mandate text for the desk, signed by its authority.
    pub fn sign_mandate(&self, text: &MandateText) -> Outcome<()> {
        self.desk.write_mandate("mandate.toml", text)?;
        Ok(())
    }

    /// Adds lines to `vigie.toml`.
    pub fn configure(&self, toml: &str) -> Outcome<()> {
        let path = self.desk.path("vigie.toml");
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, format!("{text}\n{toml}\n"))?;
        Ok(())
    }

    /// Has captured pages drawn, which the desk's `vigie.toml` switches off.
    pub fn with_pictures(&self) -> Outcome<()> {
        let path = self.desk.path("vigie.toml");
        let text = std::fs::read_to_string(&path)?;
        Ok(std::fs::write(&path, text.replace("draw = false", "draw = true"))?)
    }

    /// `vigie ARGS`, in the desk's directory.
    pub fn command(&self, args: &[&str]) -> Command {
        self.command_as(&std::env::current_exe().expect("this binary has a path"), args)
    }

    /// The same by another name of the program.
    pub fn command_as(&self, program: &Path, args: &[&str]) -> Command {
        Command::new(program)
            .env(AS_VIGIE, "1")
            .env("CREDENTIALS_DIRECTORY", self.desk.path("credentials"))
            .env_remove("VIGIE_STORE")
            .env_remove("VIGIE_CONFIG")
            .env("VIGIE_STATE", self.desk.path("state"))
            .env_remove("SSH_AUTH_SOCK")
            .args(args)
            .dir(self.desk.dir())
            .limit(std::time::Duration::from_secs(240))
    }

    /// `vigie ARGS` on the station's store.
    pub fn vigie(&self, args: &[&str]) -> Command {
        self.command(args).env("VIGIE_STORE", "store")
    }

    /// `vigie run --once`.
    pub fn run_once(&self) -> Command {
        self.vigie(&["run", "--once", "--purpose", PURPOSE])
    }

    /// `vigie capture URL`.
    pub fn capture(&self, url: &str) -> Command {
        self.vigie(&["capture", url, "--purpose", PURPOSE])
    }

    /// What a listing command says with `--json`.
    pub fn json(&self, args: &[&str]) -> Outcome<Value> {
        let output = self.vigie(&[args, &["--json"]].concat()).run()?.success()?;
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// Entries of a kind in `vigie log --json`.
    pub fn log(&self, kind: &str) -> Outcome<Vec<Value>> {
        let log = self.json(&["log"])?;
        let entries = log.as_array().ok_or("the log is no list")?;
        Ok(entries.iter().filter(|entry| entry["kind"] == kind).cloned().collect())
    }

    /// `vigie verify` with every identity of the desk; fails unless all is sound.
    pub fn sound(&self) -> Outcome<Value> {
        self.json(&["verify", "--unlocked", "--identity", "keys/case.txt"])
    }

    /// Takes out an exhibit and opens it with stock age and gzip; gives the WARC's bytes.
    pub fn open_exhibit(&self, number: u64) -> Outcome<Vec<u8>> {
        let (sealed, warc) = (self.desk.path(&format!("{number}.age")), self.desk.path(&format!("{number}.warc.gz")));
        for file in [&sealed, &warc] {
            let _ = std::fs::remove_file(file);
        }
        let number = number.to_string();
        self.vigie(&["exhibit", "get", &number, "--sealed", "--to"])
            .arg(&sealed)
            .args(["--purpose", "a look by the test"])
            .run()?
            .success()?;
        let stock = |program: &str| Command::new(program).dir(self.desk.dir());
        stock("age").args(["-d", "-i", "keys/case.txt", "-o"]).arg(&warc).arg(&sealed).run()?.success()?;
        Ok(stock("gzip").arg("-dc").arg(&warc).run()?.success()?.stdout)
    }

    /// The store's directory.
    pub fn store(&self) -> PathBuf {
        self.desk.path("store")
    }

    /// Files under a directory whose bytes or path hold one of the words.
    pub fn leaks(&self, dir: &Path, words: &[&str]) -> Outcome<Vec<String>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let path = entry?.path();
            let name = path.display().to_string();
            let own = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            found.extend(
                words.iter().filter(|word| own.contains(**word)).map(|word| format!("{name}: {word} in its name")),
            );
            if path.is_dir() {
                found.extend(self.leaks(&path, words)?);
            } else {
                let bytes = std::fs::read(&path)?;
                let holds = |word: &&&str| bytes.windows(word.len()).any(|window| window == word.as_bytes());
                found.extend(words.iter().filter(holds).map(|word| format!("{name}: {word}")));
            }
        }
        Ok(found)
    }
}

/// One line on standard error that says all of these, and this exit code.
pub fn refused(output: &Output, code: i32, words: &[&str]) -> Outcome<()> {
    let errors = output.errors();
    let last = errors.trim_end().lines().last().unwrap_or_default().to_owned();
    if output.code() != Some(code) {
        return Err(format!("{} ended with {:?}, expected {code}: {errors}", output.command, output.code()).into());
    }
    for word in words {
        if !last.contains(word) {
            return Err(format!("{} does not say {word:?}: {last}", output.command).into());
        }
    }
    if errors.contains("panicked") {
        return Err(format!("{} panicked: {errors}", output.command).into());
    }
    Ok(())
}
