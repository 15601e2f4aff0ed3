//! What the cases of faults and stops do to a station's machine: stores that open quickly, a look
//! at what is acknowledged, mounts that only some processes see, programs without a terminal.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use vigie_store::clock::{Clock, ClockStatus, Stamp};
use vigie_store::{NewStore, Store};
use vigie_tests::desk::Target;
use vigie_tests::process::{Command, Output, Running};

use crate::station::{Outcome, STORE_PASSPHRASE, Station, refused};
use crate::world::World;

/// How long a condition may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// The machine's wall clock, and no other.
pub struct Wall;

impl Clock for Wall {
    fn stamp(&self) -> Stamp {
        let (wall, boot_id) = (Timestamp::now(), "unknown".to_owned());
        Stamp { wall, monotonic_ns: 0, boot_id, clock: ClockStatus::Unknown }
    }
}

/// An acknowledged exhibit as a reader sees it: number, SHA-256 of its age file.
pub type Seen = (u64, String);

impl Station {
    /// As [`Station::ready`], with a store whose passphrases cost little.
    pub fn quick(world: &World, case: &str, targets: &[Target]) -> Outcome<Self> {
        let station = Self::desk(world, case, targets)?;
        station.set_up_quickly("store")?;
        Ok(station)
    }

    /// As [`Station::quick`], with a pause between two pages, so that a run over many pages is
    /// still under way when a case has looked at it, on a fast machine as well.
    pub fn paced(world: &World, case: &str, targets: &[Target]) -> Outcome<Self> {
        let station = Self::desk(world, case, targets)?;
        station.pace()?;
        station.set_up_quickly("store")?;
        Ok(station)
    }

    /// The profile's pause, before the profile is made: some 30 pages a second.
    pub fn pace(&self) -> Outcome<()> {
        let path = self.desk.path("profile.toml");
        let text = std::fs::read_to_string(&path)?;
        std::fs::write(&path, text.replace("min_ms = 0", "min_ms = 30").replace("max_ms = 0", "max_ms = 30"))?;
        Ok(())
    }

    /// Store, mandate, fresh revocation list and profile in a folder of the desk.
    pub fn set_up_quickly(&self, store: &str) -> Outcome<()> {
        self.init_quickly(store, "vigie.example/e2e")?;
        for args in [
            ["mandate", "add", "mandate.toml"],
            ["mandate", "revoke", "revocations.toml"],
            ["profile", "new", "profile.toml"],
        ] {
            self.vigie(&args).env("VIGIE_STORE", store).run()?.success()?;
        }
        Ok(())
    }

    /// A store alone: as `vigie init`, with 2^8 instead of 2^18 rounds of scrypt.
    pub fn init_quickly(&self, store: &str, origin: &str) -> Outcome<()> {
        let new = NewStore {
            origin: origin.to_owned(),
            allowed_signers: std::fs::read(self.desk.path("keys/allowed_signers"))?,
            passphrase: SecretString::from(STORE_PASSPHRASE),
            scrypt_log_n: Some(8),
        };
        Store::create(&self.desk.path(store), new, Arc::new(Wall))?;
        Ok(())
    }

    /// What `vigie exhibits` lists now.
    pub fn seen(&self) -> Outcome<Vec<Seen>> {
        let listed = self.json(&["exhibits"])?;
        let listed = listed.as_array().ok_or("no list")?;
        let seen = |e: &Value| Some((e["exhibit"].as_u64()?, e["age_sha256"].as_str()?.to_owned()));
        Ok(listed.iter().map(|e| seen(e).ok_or("no number or digest")).collect::<Result<_, _>>()?)
    }

    /// Waits until a run has this many acknowledged exhibits; gives those that a reader saw.
    pub fn seen_during(&self, run: &mut Running, count: usize) -> Outcome<Vec<Seen>> {
        until(&format!("{count} exhibits"), || {
            let seen = self.seen()?;
            if seen.len() < count && run.has_ended() {
                return Err(format!("the run ended with {} exhibits: {}", seen.len(), run.stderr_so_far()).into());
            }
            Ok((seen.len() >= count).then_some(seen))
        })
    }

    /// Short names and values of the entries' rows: kind, row.
    pub fn entries(&self) -> Outcome<Vec<(String, Value)>> {
        let log = self.json(&["log", "--rows"])?;
        let log = log.as_array().ok_or("the log is no list")?;
        Ok(log.iter().map(|e| (e["kind"].as_str().unwrap_or_default().to_owned(), e["row"].clone())).collect())
    }

    /// Why the last session ended, when its last entry says so.
    pub fn last_end(&self) -> Outcome<String> {
        let (kind, row) = self.entries()?.pop().ok_or("an empty log")?;
        Ok(if kind == "session-close" { row["end"].as_str().unwrap_or_default().to_owned() } else { kind })
    }
}

/// Waits until something is there.
pub fn until<T>(wanted: &str, mut look: impl FnMut() -> Outcome<Option<T>>) -> Outcome<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        if Instant::now() > deadline {
            return Err(format!("not within {PATIENCE:?}: {wanted}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// [`refused`], with exactly one line on standard error and nothing on standard output.
pub fn one_line(output: &Output, code: i32, words: &[&str]) -> Outcome<()> {
    refused(output, code, words)?;
    let errors = output.errors();
    let lines: Vec<_> = errors.lines().filter(|line| !line.starts_with("TEST NETWORK")).collect();
    if lines.len() != 1 || !lines[0].starts_with("vigie: ") || !output.stdout.is_empty() {
        return Err(format!("{} does not answer in one line: {}{errors}", output.command, output.text()).into());
    }
    Ok(())
}

/// The same command with no terminal to ask anything on.
pub fn without_terminal(command: Command) -> Command {
    command.through("setsid", ["--wait"])
}

/// A mount namespace (mount_namespaces(7)): what is mounted in it, only its processes see.
pub struct Mounts {
    holder: Running,
    user: bool,
}

impl Mounts {
    /// Mounts with a shell script, as root or as root of a user namespace; nothing where the
    /// machine permits neither.
    pub fn new(case: &str, script: &str) -> Outcome<Option<Self>> {
        for (args, user) in [(&["-m"][..], false), (&["-r", "-m"][..], true)] {
            let possible = Command::new("unshare").args(args).args(["sh", "-c", "mount -t tmpfs none /mnt"]).run();
            if !possible.is_ok_and(|output| output.code() == Some(0)) {
                continue;
            }
            let held = format!("{script} && echo mounted && exec cat");
            let mut holder = Command::new("unshare").args(args).args(["sh", "-c", &held]).spawn_with_open_input()?;
            holder.wait_for("mounted", Duration::from_secs(20))?;
            return Ok(Some(Self { holder, user }));
        }
        eprintln!("{case}: skipped: no namespaces here");
        Ok(None)
    }

    /// The same command among these mounts, in a directory.
    pub fn enter(&self, command: Command, dir: &Path) -> Command {
        let mut args = vec!["--target".to_owned(), self.holder.pid().to_string(), "--mount".to_owned()];
        if self.user {
            args.extend(["--user".to_owned(), "--preserve-credentials".to_owned()]);
        }
        args.extend(["sh", "-c", "cd \"$1\" && shift && exec \"$@\"", "sh"].map(str::to_owned));
        args.push(dir.display().to_string());
        command.through("nsenter", args)
    }

    /// Runs a shell command among the mounts.
    pub fn shell(&self, script: &str) -> Outcome<Output> {
        Ok(self.enter(Command::new("sh").args(["-c", script]), Path::new("/")).run()?.success()?)
    }
}
