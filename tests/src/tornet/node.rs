//! One tor process: its directory, its `torrc`, its log.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::{POLL, TorNetError};
use crate::process;

/// How long the key tools of tor may take on a busy machine.
const TOOL_LIMIT: Duration = Duration::from_secs(60);
/// Lines of a log that an error shows.
const LOG_LINES: usize = 12;

/// A tor process in a directory of its own; killed when dropped.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) dir: PathBuf,
    child: Option<Child>,
}

/// The fingerprints of a relay.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// SHA-1 of the RSA identity key, 40 upper-case hex digits.
    pub(super) rsa: String,
    /// Ed25519 identity key, Base64 without padding.
    pub(super) ed25519: String,
}

impl Node {
    /// Makes the directory (0700: tor and Arti refuse anything looser).
    pub(super) fn create(parent: &Path, name: &str) -> Result<Self, TorNetError> {
        let dir = parent.join(name);
        private_dir(&dir)?;
        Ok(Self { name: name.to_owned(), dir, child: None })
    }

    /// Where its `torrc` lies.
    pub(super) fn torrc(&self) -> PathBuf {
        self.dir.join("torrc")
    }

    /// Replaces the `torrc`.
    pub(super) fn configure(&self, torrc: &str) -> Result<(), TorNetError> {
        let path = self.torrc();
        fs::write(&path, torrc).map_err(|e| TorNetError::file("writing", &path, e))
    }

    /// Makes the long-term keys of an authority and gives the fingerprint of its v3 identity.
    pub(super) fn authority_keys(&self, dir_port: u16) -> Result<String, TorNetError> {
        let keys = self.dir.join("keys");
        private_dir(&keys)?;
        let certificate = keys.join("authority_certificate");
        process::Command::new("tor-gencert")
            .args(["--create-identity-key", "--passphrase-fd", "0", "-m", "12", "-a"])
            .arg(format!("127.0.0.1:{dir_port}"))
            .arg("-i")
            .arg(keys.join("authority_identity_key"))
            .arg("-s")
            .arg(keys.join("authority_signing_key"))
            .arg("-c")
            .arg(&certificate)
            // The key lives as long as the network: the passphrase protects nothing.
            .stdin(b"private network\n")
            .limit(TOOL_LIMIT)
            .run()
            .and_then(process::Output::success)?;
        let text = fs::read_to_string(&certificate).map_err(|e| TorNetError::file("reading", &certificate, e))?;
        field(&text, "fingerprint").ok_or_else(|| TorNetError::unexpected(&certificate, "no line `fingerprint`"))
    }

    /// Makes the relay's identity keys and gives their fingerprints.
    pub(super) fn relay_identity(&self) -> Result<Identity, TorNetError> {
        let lone = self.dir.join("identity.torrc");
        // A dummy authority keeps tor from falling back to the public ones.
        let text = format!(
            "DataDirectory \"{}\"\nAddress 127.0.0.1\nORPort 127.0.0.1:1\nSocksPort 0\nNickname {}\n\
             TestingTorNetwork 1\nAuthoritativeDirectory 0\n\
             DirAuthority x 127.0.0.1:1 FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF\nLog warn stderr\n",
            self.dir.display(),
            self.name
        );
        fs::write(&lone, text).map_err(|e| TorNetError::file("writing", &lone, e))?;
        process::Command::new("tor")
            .args(["--list-fingerprint", "--defaults-torrc", "/dev/null", "-f"])
            .arg(&lone)
            .limit(TOOL_LIMIT)
            .run()
            .and_then(process::Output::success)?;
        let _ = fs::remove_file(&lone);
        self.identity()
    }

    /// The identity that a relay has written into its directory.
    pub(super) fn identity(&self) -> Result<Identity, TorNetError> {
        Ok(Identity { rsa: self.second_word("fingerprint")?, ed25519: self.second_word("fingerprint-ed25519")? })
    }

    /// The second word of a file, where tor writes a fingerprint.
    pub(super) fn second_word(&self, file: &str) -> Result<String, TorNetError> {
        let path = self.dir.join(file);
        let text = fs::read_to_string(&path).map_err(|e| TorNetError::file("reading", &path, e))?;
        text.split_whitespace()
            .nth(1)
            .map(str::to_owned)
            .ok_or_else(|| TorNetError::unexpected(&path, "not `nickname fingerprint`"))
    }

    /// Starts tor on its `torrc`. The process leads a group of its own, so that Ctrl-C in a
    /// terminal reaches the owner of the network alone, who then stops it in order.
    pub(super) fn start(&mut self) -> Result<(), TorNetError> {
        use std::os::unix::process::CommandExt;
        let log = self.dir.join("stdout");
        let out = fs::File::create(&log).map_err(|e| TorNetError::file("writing", &log, e))?;
        let err = out.try_clone().map_err(|e| TorNetError::file("writing", &log, e))?;
        let child = Command::new("tor")
            // Only what stands here counts, not the machine's /etc/tor.
            .args(["--defaults-torrc", "/dev/null", "-f"])
            .arg(self.torrc())
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(|source| TorNetError::Program { program: "tor", source })?;
        self.child = Some(child);
        Ok(())
    }

    /// Whether the process has ended by itself.
    pub(super) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Looks at a condition until it holds; a process that ends is an error at once.
    pub(super) fn until<T>(
        &mut self,
        wanted: &str,
        limit: Duration,
        mut holds: impl FnMut() -> Result<T, String>,
    ) -> Result<T, TorNetError> {
        let deadline = Instant::now() + limit;
        loop {
            let seen = match holds() {
                Ok(value) => return Ok(value),
                Err(seen) => seen,
            };
            if let Some(status) = self.ended() {
                return Err(TorNetError::Died { name: self.name.clone(), status, log: self.last_lines() });
            }
            if Instant::now() > deadline {
                return Err(TorNetError::NotReady { wanted: wanted.to_owned(), seen, limit, log: self.last_lines() });
            }
            std::thread::sleep(POLL);
        }
    }

    /// Process id while it runs.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Asks tor to read its `torrc` again (tor(1), SIGHUP).
    pub(super) fn reload(&self) {
        if let Some(pid) = self.child.as_ref().and_then(|c| rustix::process::Pid::from_raw(c.id() as i32)) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::HUP);
        }
    }

    /// Kills the process and waits for its end.
    pub(super) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// The last lines of what it said, each with its name before it.
    pub(super) fn last_lines(&self) -> String {
        let text = fs::read_to_string(self.dir.join("stdout")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES)..].iter().map(|line| format!("\n  {}: {line}", self.name)).collect()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Creates a directory and its parents for the owner alone.
pub(super) fn private_dir(dir: &Path) -> Result<(), TorNetError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| TorNetError::file("creating", dir, e))
}

/// The rest of the first line that begins with `name`.
fn field(text: &str, name: &str) -> Option<String> {
    text.lines().find_map(|line| line.strip_prefix(name)).map(|rest| rest.trim().to_owned())
}
