//! A desk: what an authority, a custodian and an agent have prepared before the first capture,
//! made with stock tools (`ssh-keygen`, `age-keygen`) in one directory.
//!
//! ```text
//! keys/authority  keys/authority.pub  keys/allowed_signers      the authority's SSH key
//! keys/agent      keys/agent.pub                                the agent's SSH key
//! keys/case.txt   keys/escrow.txt     keys/review.txt           age identities
//! mandate.toml    mandate.toml.sig    revocations.toml(.sig)    signed by the authority
//! profile.toml    vigie.toml          arti.toml    ca.pem       the workstation
//! ```

mod mandate;

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

pub use self::mandate::{MandateText, Target};
use crate::process::{Command, ProcessError};

/// Principal of the authority in `allowed_signers`.
pub const PRINCIPAL: &str = "magistrate@court.example";
/// Code of the agent in the mandate.
pub const AGENT: &str = "A-07";
/// Pseudonym of the profile.
pub const PSEUDONYM: &str = "heron";
/// Signature namespace of mandates.
pub const MANDATE_NAMESPACE: &str = "vigie-mandate";
/// Signature namespace of revocation lists.
pub const REVOCATION_NAMESPACE: &str = "vigie-revocation";

/// Why a desk could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// A file.
    #[error("{action} {path}: {source}")]
    File {
        /// What was done.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A stock tool.
    #[error(transparent)]
    Tool(#[from] ProcessError),
    /// A tool wrote something else than it documents.
    #[error("{path} is not what `{tool}` writes")]
    Unexpected {
        /// File.
        path: PathBuf,
        /// Tool.
        tool: &'static str,
    },
    /// Arti's configuration does not parse.
    #[error("the Tor configuration of the desk is not valid TOML: {0}")]
    Tor(#[from] toml::de::Error),
    /// The configuration cannot be written as TOML.
    #[error("the configuration of the desk cannot be written as TOML: {0}")]
    Configuration(#[from] toml::ser::Error),
    /// A date beyond what the calendar has.
    #[error("the time given to the desk is too near the end of the calendar: {0}")]
    Time(#[from] jiff::Error),
}

/// Where the workstation's network is.
#[derive(Debug, Clone, Default)]
pub struct Network {
    /// Arti's own configuration; empty for the public network.
    pub arti_toml: String,
    /// A further TLS trust anchor, PEM.
    pub ca_pem: Option<String>,
}

/// A prepared directory.
#[derive(Debug, Clone)]
pub struct Desk {
    dir: PathBuf,
    recipients: Recipients,
    agent_key: String,
}

/// age X25519 recipients (`age1…`) of the three identities.
#[derive(Debug, Clone)]
pub struct Recipients {
    /// Of `keys/case.txt`.
    pub case: String,
    /// Of `keys/escrow.txt`.
    pub escrow: String,
    /// Of `keys/review.txt`.
    pub review: String,
}

impl Desk {
    /// Makes keys and configuration in `dir` (created when missing; keys that lie there are
    /// replaced), then a mandate for the targets that holds from a day before `now` until 90 days
    /// after it, and a revocation list issued at `now` that revokes nothing.
    ///
    /// # Errors
    /// When a tool is missing or fails, or a file cannot be written.
    pub fn create(dir: &Path, targets: &[Target], network: &Network, now: Timestamp) -> Result<Self, DeskError> {
        let dir = std::path::absolute(dir).map_err(|e| file("finding", dir, e))?;
        private_dir(&dir)?;
        private_dir(&dir.join("keys"))?;
        for key in ["authority", "agent"] {
            ssh_key(&dir.join("keys").join(key), key)?;
        }
        let recipients = Recipients {
            case: age_identity(&dir.join("keys/case.txt"))?,
            escrow: age_identity(&dir.join("keys/escrow.txt"))?,
            review: age_identity(&dir.join("keys/review.txt"))?,
        };
        let desk = Self { agent_key: public_key(&dir.join("keys/agent.pub"))?, recipients, dir };
        let authority = public_key(&desk.path("keys/authority.pub"))?;
        desk.write(
            "keys/allowed_signers",
            format!("{PRINCIPAL} namespaces=\"{MANDATE_NAMESPACE},{REVOCATION_NAMESPACE}\" {authority}\n"),
        )?;
        desk.write_profile()?;
        desk.write_configuration(network)?;
        desk.write_mandate("mandate.toml", &desk.mandate(targets, now)?)?;
        desk.write_revocations("revocations.toml", &revocations(now, &[]))?;
        Ok(desk)
    }

    /// The directory, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The age recipients.
    pub fn recipients(&self) -> &Recipients {
        &self.recipients
    }

    /// The agent's public key, `ssh-ed25519 AAAA…`.
    pub fn agent_key(&self) -> &str {
        &self.agent_key
    }

    /// A mandate for these targets, valid around `now`, to be changed by the caller and written
    /// with [`Desk::write_mandate`].
    ///
    /// # Errors
    /// When `now` is within 90 days of the calendar's ends.
    pub fn mandate(&self, targets: &[Target], now: Timestamp) -> Result<MandateText, DeskError> {
        MandateText::around(now, targets, self)
    }

    /// Writes a mandate and signs it with the authority's key (`NAME.sig` beside it).
    ///
    /// # Errors
    /// When a file cannot be written or `ssh-keygen` fails.
    pub fn write_mandate(&self, name: &str, mandate: &MandateText) -> Result<PathBuf, DeskError> {
        let path = self.write(name, mandate.to_toml())?;
        self.sign(&path, MANDATE_NAMESPACE, &self.path("keys/authority"))?;
        Ok(path)
    }

    /// Writes a revocation list and signs it with the authority's key.
    ///
    /// # Errors
    /// When a file cannot be written or `ssh-keygen` fails.
    pub fn write_revocations(&self, name: &str, toml: &str) -> Result<PathBuf, DeskError> {
        let path = self.write(name, toml)?;
        self.sign(&path, REVOCATION_NAMESPACE, &self.path("keys/authority"))?;
        Ok(path)
    }

    /// Signs a file with any private key, in any namespace: `FILE.sig` (replaced when it exists).
    ///
    /// # Errors
    /// When `ssh-keygen` fails.
    pub fn sign(&self, file_path: &Path, namespace: &str, key: &Path) -> Result<PathBuf, DeskError> {
        let signature = PathBuf::from(format!("{}.sig", file_path.display()));
        remove(&signature)?;
        Command::new("ssh-keygen")
            .args(["-q", "-Y", "sign", "-n", namespace, "-f"])
            .arg(key)
            .arg(file_path)
            // Never the agent of whoever runs the tests.
            .env_remove("SSH_AUTH_SOCK")
            .run()?
            .success()?;
        Ok(signature)
    }

    /// Makes a further ed25519 key pair in `keys/` (one that no `allowed_signers` knows, for
    /// example) and gives the path of its private half.
    ///
    /// # Errors
    /// When `ssh-keygen` fails.
    pub fn stranger_key(&self, name: &str) -> Result<PathBuf, DeskError> {
        let path = self.dir.join("keys").join(name);
        ssh_key(&path, name)?;
        Ok(path)
    }

    fn write_profile(&self) -> Result<(), DeskError> {
        let header_set = mandate::HEADER_SET;
        let text = format!(
            "format = \"vigie-profile/1\"\nname = \"{PSEUDONYM}\"\nheader_set = \"{header_set}\"\nlanguage = \"en-US\"\n\n\
             [pacing]\nmin_ms = 0\nmax_ms = 0\n"
        );
        self.write("profile.toml", text)?;
        Ok(())
    }

    fn write_configuration(&self, network: &Network) -> Result<(), DeskError> {
        let mut document = toml::Table::new();
        let mut agent = toml::Table::new();
        agent.insert("key".into(), "keys/agent".into());
        document.insert("agent".into(), agent.into());
        if let Some(pem) = &network.ca_pem {
            self.write("ca.pem", pem)?;
            let mut tls = toml::Table::new();
            tls.insert("extra_roots".into(), toml::Value::Array(vec!["ca.pem".into()]));
            document.insert("tls".into(), tls.into());
        }
        // Drawing is slow where little is optimised: cases that are about pictures ask for them.
        let mut pictures = toml::Table::new();
        pictures.insert("draw".into(), false.into());
        document.insert("pictures".into(), pictures.into());
        let tor: toml::Table = network.arti_toml.parse()?;
        document.insert("tor".into(), tor.into());
        self.write("arti.toml", &network.arti_toml)?;
        self.write("vigie.toml", toml::to_string(&document)?)?;
        Ok(())
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<PathBuf, DeskError> {
        let path = self.path(name);
        fs::write(&path, bytes).map_err(|e| file("writing", &path, e))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(|e| file("protecting", &path, e))?;
        Ok(path)
    }
}

/// A revocation list: each entry is (mandate id, from when, `revocation` or `opposition`).
pub fn revocations(issued: Timestamp, revoked: &[(&str, Timestamp, &str)]) -> String {
    let mut text = format!("format = \"vigie-revocation/1\"\nissued = {}\n", utc(issued));
    if revoked.is_empty() {
        text.push_str("revoked = []\n");
    }
    for (mandate, from, kind) in revoked {
        text.push_str(&format!(
            "\n[[revoked]]\nmandate = \"{mandate}\"\nfrom = {}\nreason = \"sample\"\nkind = \"{kind}\"\n",
            utc(*from)
        ));
    }
    text
}

/// RFC 3339 in UTC, whole seconds.
fn utc(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn file(action: &'static str, path: &Path, source: std::io::Error) -> DeskError {
    DeskError::File { action, path: path.to_owned(), source }
}

fn private_dir(dir: &Path) -> Result<(), DeskError> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| file("creating", dir, e))
}

fn remove(path: &Path) -> Result<(), DeskError> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(file("removing", path, e)),
        _ => Ok(()),
    }
}

/// An ed25519 key pair without passphrase.
fn ssh_key(path: &Path, comment: &str) -> Result<(), DeskError> {
    remove(path)?;
    remove(&path.with_extension("pub"))?;
    Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-C", comment, "-f"])
        .arg(path)
        .run()?
        .success()?;
    Ok(())
}

/// Type and key of a `.pub` file, without its comment.
fn public_key(path: &Path) -> Result<String, DeskError> {
    let text = fs::read_to_string(path).map_err(|e| file("reading", path, e))?;
    let mut words = text.split_whitespace();
    match (words.next(), words.next()) {
        (Some(kind), Some(key)) => Ok(format!("{kind} {key}")),
        _ => Err(DeskError::Unexpected { path: path.to_owned(), tool: "ssh-keygen" }),
    }
}

/// An age identity file; gives its recipient.
fn age_identity(path: &Path) -> Result<String, DeskError> {
    remove(path)?;
    Command::new("age-keygen").arg("-o").arg(path).run()?.success()?;
    let text = fs::read_to_string(path).map_err(|e| file("reading", path, e))?;
    text.lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .map(|key| key.trim().to_owned())
        .ok_or_else(|| DeskError::Unexpected { path: path.to_owned(), tool: "age-keygen" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stock_tools_accept_what_lies_on_the_desk() {
        let dir = tempfile::tempdir().unwrap();
        let now: Timestamp = "2026-11-10T12:00:00Z".parse().unwrap();
        let targets =
            [Target::onion("market-a", &crate::tornet::absent_onion()), Target::web("shop", "brocante.test", 4433)];
        let network = Network { arti_toml: "[tor_network]\nfallback_caches = []\n".into(), ca_pem: Some("x".into()) };
        let desk = Desk::create(dir.path(), &targets, &network, now).unwrap();
        for name in ["mandate.toml", "revocations.toml"] {
            let namespace = if name == "mandate.toml" { MANDATE_NAMESPACE } else { REVOCATION_NAMESPACE };
            let verify = |namespace: &str| {
                Command::new("ssh-keygen")
                    .args(["-Y", "verify", "-I", PRINCIPAL, "-n", namespace, "-f"])
                    .arg(desk.path("keys/allowed_signers"))
                    .arg("-s")
                    .arg(desk.path(&format!("{name}.sig")))
                    .stdin(fs::read(desk.path(name)).unwrap())
                    .run()
                    .unwrap()
                    .success()
            };
            verify(namespace).unwrap();
            assert!(verify("file").is_err(), "another namespace does not count");
        }
        let vigie: toml::Table = fs::read_to_string(desk.path("vigie.toml")).unwrap().parse().unwrap();
        assert!(vigie["tor"]["tor_network"]["fallback_caches"].is_array());
        assert_eq!(vigie["tls"]["extra_roots"][0].as_str(), Some("ca.pem"));
        let mandate: toml::Table = fs::read_to_string(desk.path("mandate.toml")).unwrap().parse().unwrap();
        assert_eq!(mandate["targets"].as_array().unwrap().len(), 2);
        assert_eq!(mandate["agents"][0]["key"].as_str(), Some(desk.agent_key()));
        let empty: toml::Table = revocations(now, &[("M-1", now, "revocation")]).parse().unwrap();
        assert_eq!(empty["revoked"][0]["mandate"].as_str(), Some("M-1"));
        assert!(desk.stranger_key("stranger").unwrap().exists());
    }
}
