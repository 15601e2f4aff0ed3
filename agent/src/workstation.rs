//! `vigie.toml`: what a workstation needs to know beyond its store.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};
use vigie_wire::net::Limits;

use crate::error::{Failing, Problem};

/// The configuration of a workstation. Paths in it are relative to its own folder.
#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Document {
    /// Arti's own configuration, word for word.
    #[serde(default)]
    tor: toml::Table,
    #[serde(default)]
    agent: Agent,
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    fetch: Fetch,
    #[serde(default)]
    pictures: Pictures,
    #[serde(default)]
    transports: Vec<Transport>,
}

/// Pictures of captured pages.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Pictures {
    /// Each captured page is drawn as well.
    pub draw: bool,
}

impl Default for Pictures {
    fn default() -> Self {
        Self { draw: true }
    }
}

/// A pluggable transport for bridges (pt-spec): Vigie starts the program itself, since the network process
/// may start none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transport {
    /// What it speaks, as bridge lines name it: `obfs4` …
    pub protocols: Vec<String>,
    /// Absolute path of the program.
    pub program: PathBuf,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Agent {
    /// The agent's SSH key: a private key file, or the `.pub` of a key that an SSH agent or a
    /// FIDO token holds.
    key: Option<PathBuf>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Tls {
    /// Further trust anchors (PEM), for a private network. Marks the session as test network.
    #[serde(default)]
    extra_roots: Vec<PathBuf>,
}

/// Limits of this workstation on what it asks of the network, whatever the mandate permits beyond
/// them; all but the first are of one exchange.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fetch {
    /// How long a session waits for Tor to come up before it is refused, in milliseconds.
    pub bootstrap_ms: u32,
    /// Largest response head, in bytes (1,024 … 1,048,576).
    pub head_bytes: u32,
    /// Largest response body, in bytes.
    pub body_bytes: u64,
    /// Time to reach the service, in milliseconds.
    pub connect_ms: u32,
    /// Time to the first byte, in milliseconds.
    pub first_byte_ms: u32,
    /// Longest silence, in milliseconds.
    pub idle_ms: u32,
    /// Time for the whole response, in milliseconds.
    pub total_ms: u32,
    /// Most redirects followed from one address (0 … 20).
    pub redirects: u8,
    /// Most requisites (stylesheets, fonts, images) fetched for one page.
    pub requisites: u16,
    /// How often an exchange that failed on the way is tried in all (1 … 10).
    pub attempts: u8,
    /// How long Vigie's own network process may keep silent before it is ended and started again, in
    /// milliseconds.
    pub silence_ms: u32,
}

impl Default for Fetch {
    fn default() -> Self {
        Self {
            bootstrap_ms: 180_000,
            head_bytes: 64 * 1024,
            body_bytes: 64 * 1024 * 1024,
            connect_ms: 90_000,
            first_byte_ms: 60_000,
            idle_ms: 30_000,
            total_ms: 300_000,
            redirects: 8,
            requisites: 200,
            attempts: 3,
            silence_ms: 60_000,
        }
    }
}

impl Fetch {
    /// As the limits of one exchange that reads `read_bytes` of its body.
    pub fn limits(&self, read_bytes: u32) -> Limits {
        Limits {
            head_bytes: self.head_bytes,
            body_bytes: self.body_bytes,
            read_bytes,
            connect_ms: self.connect_ms,
            first_byte_ms: self.first_byte_ms,
            idle_ms: self.idle_ms,
            total_ms: self.total_ms,
        }
    }
}

/// A workstation's configuration, read and checked.
#[derive(Debug, Clone)]
pub struct Workstation {
    /// Arti's configuration.
    pub tor: toml::Table,
    /// The agent's key file, when it names one.
    pub agent_key: Option<PathBuf>,
    /// Trust anchors beyond Mozilla's, DER.
    pub extra_roots: Vec<Vec<u8>>,
    /// Limits.
    pub fetch: Fetch,
    /// Pictures.
    pub pictures: Pictures,
    /// Pluggable transports.
    pub transports: Vec<Transport>,
    /// Hex SHA-256 of the file as read; of nothing when there is none.
    pub sha256: String,
}

/// The file to read: the one named, else `vigie.toml` beside the store directory.
pub fn path(named: Option<&Path>, store: &Path) -> Option<PathBuf> {
    if let Some(named) = named {
        return Some(named.to_owned());
    }
    let absolute = std::fs::canonicalize(store).ok()?;
    let beside = absolute.parent()?.join("vigie.toml");
    beside.exists().then_some(beside)
}

impl Workstation {
    /// Reads the file, or gives the defaults (the public Tor network) when there is none.
    pub fn open(path: Option<&Path>) -> Result<Self, Problem> {
        let Some(path) = path else {
            return Self::parse("", Path::new("."));
        };
        let text = std::fs::read_to_string(path)
            .map_err(|e| Problem::input(format!("reading the workstation's configuration {}: {e}", path.display())))?;
        Self::parse(&text, path.parent().unwrap_or(Path::new(".")))
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, Problem> {
        let document: Document = toml::from_str(text).map_err(|e| fault(text, &e))?;
        let fetch = document.fetch;
        if !(1024..=1024 * 1024).contains(&fetch.head_bytes) {
            return Err(Problem::input("vigie.toml: fetch.head_bytes must lie between 1,024 and 1,048,576"));
        }
        if fetch.redirects > 20 || !(1..=10).contains(&fetch.attempts) {
            return Err(Problem::input("vigie.toml: fetch.redirects must be at most 20 and fetch.attempts 1 to 10"));
        }
        let waits = [
            fetch.bootstrap_ms,
            fetch.connect_ms,
            fetch.first_byte_ms,
            fetch.idle_ms,
            fetch.total_ms,
            fetch.silence_ms,
        ];
        if waits.contains(&0) || fetch.body_bytes == 0 {
            return Err(Problem::input("vigie.toml: a limit under [fetch] is 0: give a positive number"));
        }
        transports(&document)?;
        let mut extra_roots = Vec::new();
        for file in &document.tls.extra_roots {
            let file = folder.join(file);
            let pem = std::fs::read(&file)
                .map_err(|e| Problem::input(format!("reading the trust anchor {}: {e}", file.display())))?;
            extra_roots.extend(certificates(&pem, &file)?);
        }
        Ok(Self {
            tor: document.tor,
            agent_key: document.agent.key.map(|key| folder.join(key)),
            extra_roots,
            fetch,
            pictures: document.pictures,
            transports: document.transports,
            sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes())),
        })
    }
}

/// Transports are named once, where Vigie can start them.
fn transports(document: &Document) -> Result<(), Problem> {
    let arti =
        document.tor.get("bridges").and_then(|bridges| bridges.get("transports")).and_then(toml::Value::as_array);
    if arti.is_some_and(|list| list.iter().any(|transport| transport.get("path").is_some())) {
        return Err(Problem::input(
            "vigie.toml: [tor.bridges] names a transport's program, which the network process may not start: \
             name it under [[transports]] with protocols and program",
        ));
    }
    if document.transports.len() > usize::from(u8::MAX) {
        return Err(Problem::input("vigie.toml: there are more than 255 [[transports]]"));
    }
    for transport in &document.transports {
        let named = |name: &String| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if transport.protocols.is_empty() || !transport.protocols.iter().all(named) {
            return Err(Problem::input(
                "vigie.toml: protocols of [[transports]] are names such as obfs4: letters, digits, underscores",
            ));
        }
        if !transport.program.is_absolute() || !transport.program.is_file() {
            return Err(Problem::input(format!(
                "vigie.toml: there is no program {} for the transport {}: give its absolute path, or install it",
                transport.program.display(),
                transport.protocols.join(", ")
            )));
        }
    }
    Ok(())
}

/// What is wrong with the document and where, without its lines.
fn fault(text: &str, error: &toml::de::Error) -> Problem {
    let line = error.span().and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    let place = line.map(|line| format!(", line {line}")).unwrap_or_default();
    Problem::input(format!("vigie.toml{place}: {}: correct it", error.message()))
}

/// The certificates of a PEM file (RFC 7468), DER.
fn certificates(pem: &[u8], file: &Path) -> Result<Vec<Vec<u8>>, Problem> {
    let text = std::str::from_utf8(pem).failing(format!("reading the trust anchor {}", file.display()))?;
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once("-----BEGIN CERTIFICATE-----") {
        let Some((body, tail)) = after.split_once("-----END CERTIFICATE-----") else { break };
        let packed: String = body.split_whitespace().collect();
        let der = data_encoding::BASE64
            .decode(packed.as_bytes())
            .map_err(|e| Problem::input(format!("the trust anchor {} is not valid PEM: {e}", file.display())))?;
        found.push(der);
        rest = tail;
    }
    if found.is_empty() {
        return Err(Problem::input(format!("the trust anchor {} holds no PEM certificate", file.display())));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_it_does_not_know() {
        let unknown = Workstation::parse("[fetch]\nbody_byte = 3\n", Path::new(".")).unwrap_err();
        assert_eq!(unknown.code, crate::error::exit::INPUT);
        assert!(unknown.line.contains("line 2") && unknown.line.contains("body_byte"), "{unknown}");
        assert!(Workstation::parse("[fetch]\nbootstrap_ms = 0\n", Path::new(".")).is_err());
        assert!(Workstation::parse("[fetch]\nidle_ms = 0\n", Path::new(".")).is_err());
        assert!(Workstation::parse("[fetch]\nredirects = 21\n", Path::new(".")).is_err());
        assert!(Workstation::parse("[fetch]\nredirects = 20\n", Path::new(".")).is_ok());
        assert!(Workstation::parse("", Path::new(".")).unwrap().pictures.draw);
        assert!(!Workstation::parse("[pictures]\ndraw = false\n", Path::new(".")).unwrap().pictures.draw);
        assert!(Workstation::parse("[pictures]\ndrow = false\n", Path::new(".")).is_err());
        let start = "[[tor.bridges.transports]]\nprotocols = [\"obfs4\"]\npath = \"/usr/bin/x\"\n";
        assert!(Workstation::parse(start, Path::new(".")).unwrap_err().line.contains("[[transports]]"));
        for (name, program) in
            [("obfs4", "/nowhere/obfs4"), ("obfs4", "true"), ("ob fs", "/bin/true"), ("", "/bin/true")]
        {
            let text = format!("[[transports]]\nprotocols = [\"{name}\"]\nprogram = \"{program}\"\n");
            assert!(Workstation::parse(&text, Path::new(".")).is_err(), "{text}");
        }
    }
}
