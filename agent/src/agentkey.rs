//! The agent's SSH key: it signs who acted (session-open, each read). A plain key file is used
//! here; a key that only an SSH agent or a FIDO token can use is asked through `ssh-keygen -Y
//! sign`, which both understand.

use std::io::Write;
use std::os::fd::RawFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use ssh_key::{HashAlg, LineEnding, PrivateKey, PublicKey, SshSig};

use crate::error::{Failing, Problem};
use crate::parts::Launcher;
use crate::secrets::{self, Secret};

/// Namespace of every statement an agent signs (PROTOCOL.sshsig).
pub const NAMESPACE: &str = "vigie-act";

/// A key that can sign statements.
pub enum AgentKey {
    /// In memory.
    Held(Box<PrivateKey>),
    /// Elsewhere: the file given to `ssh-keygen -Y sign -f`, by *launcher* once this process may start no
    /// program.
    Asked { file: PathBuf, public: PublicKey, launcher: Option<Arc<Launcher>> },
}

impl AgentKey {
    /// Opens a private key file, or the public half of a key held by an agent or a token.
    pub fn open(file: &Path, passphrase_fd: Option<RawFd>) -> Result<Self, Problem> {
        let text = std::fs::read_to_string(file)
            .map_err(|e| Problem::input(format!("reading the agent's SSH key {}: {e}", file.display())))?;
        if let Ok(public) = PublicKey::from_openssh(text.trim()) {
            return Ok(Self::Asked { file: file.to_owned(), public, launcher: None });
        }
        let key = PrivateKey::from_openssh(&text).map_err(|e| {
            Problem::input(format!("{} is not an OpenSSH key ({e}): make one with ssh-keygen", file.display()))
        })?;
        if matches!(key.algorithm(), ssh_key::Algorithm::SkEd25519 | ssh_key::Algorithm::SkEcdsaSha2NistP256) {
            return Ok(Self::Asked { file: file.to_owned(), public: key.public_key().clone(), launcher: None });
        }
        if !key.is_encrypted() {
            return Ok(Self::Held(Box::new(key)));
        }
        use secrecy::ExposeSecret;
        let passphrase = secrets::passphrase(Secret::Agent, passphrase_fd, false)?;
        let key = key.decrypt(passphrase.expose_secret()).map_err(|_| {
            Problem::locked(format!("the passphrase does not open the agent's SSH key {}", file.display()))
        })?;
        Ok(Self::Held(Box::new(key)))
    }

    /// The public half, which the mandate names.
    pub fn public(&self) -> &PublicKey {
        match self {
            Self::Held(key) => key.public_key(),
            Self::Asked { public, .. } => public,
        }
    }

    /// Signs a statement; gives the armoured SSHSIG.
    pub fn sign(&self, statement: &str) -> Result<String, Problem> {
        match self {
            Self::Held(key) => SshSig::sign(key.as_ref(), NAMESPACE, HashAlg::Sha512, statement.as_bytes())
                .and_then(|signature| signature.to_pem(LineEnding::LF))
                .failing("signing the act with the agent's SSH key"),
            Self::Asked { launcher: Some(launcher), .. } => launcher.sign(statement),
            Self::Asked { file, launcher: None, .. } => ask(file, statement, None).map_err(Problem::locked),
        }
    }

    /// File of a key that is held elsewhere.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Self::Held(_) => None,
            Self::Asked { file, .. } => Some(file),
        }
    }

    /// From now on *launcher* asks for signatures.
    pub fn through(&mut self, by: &Arc<Launcher>) {
        if let Self::Asked { launcher, .. } = self {
            *launcher = Some(Arc::clone(by));
        }
    }
}

/// Asks `ssh-keygen`, in a process group that may ask for a PIN at the terminal (`None`: our own). An
/// error is what it says.
pub fn ask(file: &Path, statement: &str, group: Option<i32>) -> Result<String, String> {
    let failing =
        |why: &dyn std::fmt::Display| format!("asking ssh-keygen to sign the act with the agent's SSH key: {why}");
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "sign", "-n", NAMESPACE, "-f"]).arg(file);
    if let Some(group) = group {
        command.process_group(group);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|e| failing(&e))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(statement.as_bytes()).map_err(|e| failing(&e))?;
    }
    let output = child.wait_with_output().map_err(|e| failing(&e))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(failing(&why.lines().last().unwrap_or("it failed")));
    }
    String::from_utf8(output.stdout).map_err(|e| failing(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_keygen_accepts_what_we_sign() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("agent");
        let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&file).status();
        assert!(made.expect("ssh-keygen is installed").success());
        let key = AgentKey::open(&file, None).expect("opens");
        let signature = folder.path().join("sig");
        std::fs::write(&signature, key.sign("who acted\n").expect("signs")).expect("written");
        let check = |message: &str| {
            let mut child = Command::new("ssh-keygen")
                .args(["-Y", "check-novalidate", "-n", NAMESPACE, "-s"])
                .arg(&signature)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starts");
            child.stdin.take().expect("piped").write_all(message.as_bytes()).expect("written");
            child.wait().expect("ends").success()
        };
        assert!(check("who acted\n"));
        assert!(!check("who else acted\n"), "an altered statement must fail");
    }
}
