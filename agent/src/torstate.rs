//! What Tor keeps for this workstation, read from its folder beside the store and from the configuration:
//! nothing is sent, nothing is opened that a run could be writing.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;
use vigie_net::{KeptGuard, NetConfig};

use crate::error::Problem;
use crate::parts::name_transports;
use crate::workstation::Workstation;

/// Bytes of a consensus in which its times stand (dir-spec version 3: the preamble).
const PREAMBLE_BYTES: u64 = 4096;
/// Arti still uses a consensus that ended so long ago (`directory_tolerance.post_valid_tolerance`).
const TOLERANCE: jiff::SignedDuration = jiff::SignedDuration::from_hours(72);

/// All of it.
#[derive(Debug, Serialize)]
pub struct TorState {
    /// `public` or `test`.
    pub network: &'static str,
    /// Directory authorities.
    pub authorities: usize,
    /// `full`, `lite` or `disabled`.
    pub vanguards: String,
    /// Guards that Arti has chosen, those that were used first.
    pub guards: Vec<Guard>,
    /// The newest consensus in the cache.
    pub consensus: Option<ConsensusState>,
    /// Bridges stand in the place of guards.
    pub bridges_used: bool,
    /// The bridges.
    pub bridges: Vec<BridgeState>,
    /// Pluggable transports that are configured.
    pub transports: Vec<String>,
    /// Most memory for queues, in bytes.
    pub memory_bytes: Option<u64>,
    /// Bytes of the cache.
    pub cache_bytes: u64,
    /// This build does the work that a service may ask for.
    pub proof_of_work: bool,
}

/// A guard.
#[derive(Debug, Serialize)]
pub struct Guard {
    /// Set of guards that it is in: `default`, `restricted` or `bridges`.
    pub set: String,
    /// Its Ed25519 identity, or the first four characters of it.
    pub id: String,
    /// When it was chosen.
    pub added: String,
    /// When it was first used with success.
    pub confirmed: Option<String>,
    /// Arti uses it no more.
    pub disabled: bool,
}

/// A consensus.
#[derive(Debug, Serialize)]
pub struct ConsensusState {
    /// From when it holds.
    pub valid_after: String,
    /// When it ceases to hold.
    pub valid_until: String,
    /// `fresh`, `old` (Arti still begins with it) or `expired`.
    pub state: &'static str,
}

/// A bridge.
#[derive(Debug, Serialize)]
pub struct BridgeState {
    /// Pluggable transport.
    pub transport: Option<String>,
    /// The line, when it is to be shown.
    pub line: Option<String>,
}

/// Looks.
///
/// # Errors
/// The configuration is wrong, or a file that is there cannot be read.
pub fn look(store: &Path, workstation: &Workstation, now: Timestamp, reveal: bool) -> Result<TorState, Problem> {
    let folder = store.join("tor");
    let absolute = std::path::absolute(&folder).map_err(|e| Problem::input(format!("finding the store: {e}")))?;
    // Nothing is started, so nobody knows yet where a transport will listen.
    let somewhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
    let protocols = workstation.transports.iter().flat_map(|transport| transport.protocols.clone());
    let mut tor = workstation.tor.clone();
    name_transports(&mut tor, protocols.map(|protocol| (protocol, somewhere)))?;
    let config = NetConfig {
        tor,
        state_dir: absolute.join("state"),
        cache_dir: absolute.join("cache"),
        tls_extra_roots: Vec::new(),
    };
    let survey = vigie_net::survey(&config).map_err(|e| Problem::input(e.to_string()))?;
    let guards = vigie_net::guards(&config.state_dir).map_err(|e| Problem::other(e.to_string()))?;
    let shown = |(transport, line)| BridgeState { transport, line: reveal.then_some(line) };
    Ok(TorState {
        network: if survey.public { "public" } else { "test" },
        authorities: survey.authorities,
        vanguards: survey.vanguards,
        guards: guards.into_iter().map(|kept| guard(kept, reveal)).collect(),
        consensus: consensus(&folder.join("cache/dir_blobs"), now),
        bridges_used: survey.bridges_used,
        bridges: survey.bridges.into_iter().map(shown).collect(),
        transports: survey.transports,
        memory_bytes: survey.memory_bytes,
        cache_bytes: bytes(&folder.join("cache")),
        proof_of_work: survey.proof_of_work,
    })
}

/// A guard as it is shown: its identity in full, or enough of it to tell two apart.
fn guard(kept: KeptGuard, reveal: bool) -> Guard {
    let KeptGuard { set, id, added, confirmed, disabled, addresses: _ } = kept;
    let id = if reveal { id } else { format!("{}…", id.chars().take(4).collect::<String>()) };
    Guard { set: set.to_owned(), id, added, confirmed, disabled }
}

/// The newest consensus among the documents that Arti keeps as files.
fn consensus(folder: &Path, now: Timestamp) -> Option<ConsensusState> {
    let mut newest: Option<(Timestamp, Timestamp)> = None;
    for entry in std::fs::read_dir(folder).ok()?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with("con_microdesc_") {
            continue;
        }
        let mut head = Vec::new();
        let Ok(file) = std::fs::File::open(entry.path()) else { continue };
        if file.take(PREAMBLE_BYTES).read_to_end(&mut head).is_err() {
            continue;
        }
        let text = String::from_utf8_lossy(&head);
        let time = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            format!("{}Z", line.trim().replacen(' ', "T", 1)).parse::<Timestamp>().ok()
        };
        if let (Some(after), Some(until)) = (time("valid-after "), time("valid-until "))
            && newest.is_none_or(|(known, _)| after > known)
        {
            newest = Some((after, until));
        }
    }
    let (after, until) = newest?;
    let state = if now <= until {
        "fresh"
    } else if now <= until + TOLERANCE {
        "old"
    } else {
        "expired"
    };
    Some(ConsensusState { valid_after: after.to_string(), valid_until: until.to_string(), state })
}

/// Bytes of all files of a folder; what cannot be read counts for nothing.
fn bytes(folder: &Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        sum += match entry.metadata() {
            Ok(facts) if facts.is_dir() => bytes(&entry.path()),
            Ok(facts) => facts.len(),
            Err(_) => 0,
        };
    }
    sum
}

impl TorState {
    /// On one line.
    pub fn network_words(&self) -> String {
        if self.network == "public" {
            format!("the public Tor network, {} authorities", self.authorities)
        } else {
            format!("a TEST NETWORK of {} authorities", self.authorities)
        }
    }

    /// On one line.
    pub fn consensus_words(&self) -> String {
        match &self.consensus {
            None => "none yet".to_owned(),
            Some(known) => {
                let word = match known.state {
                    "fresh" => "holds",
                    "old" => "past its time, and Arti still begins with it",
                    _ => "expired: the next run fetches another",
                };
                format!("{} to {}: {word}", known.valid_after, known.valid_until)
            }
        }
    }

    /// On one line.
    pub fn bridge_words(&self) -> String {
        if self.bridges.is_empty() {
            return "none".to_owned();
        }
        let one = |bridge: &BridgeState| {
            bridge.line.clone().unwrap_or_else(|| bridge.transport.clone().unwrap_or_else(|| "plain".into()))
        };
        let listed: Vec<_> = self.bridges.iter().map(one).collect();
        let used = if self.bridges_used { "in the place of guards" } else { "not used (bridges.enabled = false)" };
        format!("{}, {used}: {}", self.bridges.len(), listed.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_are_hidden_unless_asked_for() {
        let kept = |id: &str| KeptGuard {
            set: "default",
            id: id.to_owned(),
            addresses: vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 443))],
            added: "2026-11-01T00:00:00Z".to_owned(),
            confirmed: None,
            disabled: true,
        };
        let hidden = guard(kept("CCCCdddd"), false);
        assert!(hidden.id == "CCCC…" && hidden.disabled && hidden.set == "default", "{hidden:?}");
        assert_eq!(guard(kept("é"), false).id, "é…");
        assert_eq!(guard(kept("CCCCdddd"), true).id, "CCCCdddd");
    }

    #[test]
    fn the_newest_consensus_and_whether_it_holds() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, after: &str, until: &str| {
            let text = format!(
                "network-status-version 3 microdesc\nvalid-after {after}\nfresh-until {until}\nvalid-until {until}\n"
            );
            std::fs::write(folder.path().join(name), text).expect("written");
        };
        let state = |now: &str| consensus(folder.path(), now.parse().expect("a time")).map(|found| found.state);
        assert_eq!(state("2026-11-24T12:00:00Z"), None);
        write("con_microdesc_sha3-256-00", "2026-11-24 10:00:00", "2026-11-24 13:00:00");
        write("con_microdesc_sha3-256-11", "2026-11-24 09:00:00", "2026-11-24 23:00:00");
        write("other", "2027-11-24 09:00:00", "2027-11-24 23:00:00");
        std::fs::write(folder.path().join("con_microdesc_x"), [0xFF; 100]).expect("written");
        assert_eq!(state("2026-11-24T12:00:00Z"), Some("fresh"));
        assert_eq!(state("2026-11-24T13:00:01Z"), Some("old"));
        assert_eq!(state("2026-11-27T13:00:01Z"), Some("expired"));
    }
}
