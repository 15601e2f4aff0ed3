//! The lower bound of a session's time: the Tor consensus in its first entry's private part.

use std::io::Read;

use data_encoding::{BASE64, HEXLOWER};
use flate2::read::GzDecoder;
use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};
use vigie_time::{CONSENSUS_BYTES, CONSENSUS_EARLY_S, Consensus};

use super::VerifyReport;
use crate::entry::Entry;
use crate::kind::Kind;
use crate::local::PrivatePart;

/// When a session cannot have begun before, by its Tor consensus.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionTime {
    /// Its first entry.
    pub entry: u64,
    /// Hex id of the session.
    pub session: String,
    /// When the entry says that it was written.
    pub recorded: Timestamp,
    /// From when the consensus holds.
    pub not_before: Timestamp,
    /// Hex SHA-256 of the consensus.
    pub consensus_sha256: String,
    /// Authorities whose signatures on it hold.
    pub signed: usize,
    /// Authorities of the network.
    pub authorities: usize,
}

/// Checks the consensus of a `session-open` whose private part was opened.
pub(super) fn check(entry: &Entry, part: &PrivatePart, report: &mut VerifyReport) {
    if entry.kind != Kind::SessionOpen {
        return;
    }
    let statement = part.openings.iter().find(|opening| opening.name == "agent-statement");
    let statement = statement.and_then(|opening| std::str::from_utf8(&opening.value).ok()).unwrap_or_default();
    let named = |what: &str| statement.lines().find_map(|line| line.strip_prefix(what));
    let Some(sha256) = named("consensus sha256:") else {
        report.notes.push(format!("entry {}: its session keeps no Tor consensus", entry.sequence));
        return;
    };
    let authorities = named("authorities sha256:").unwrap_or_default();
    match judge(entry, &part.content["consensus"], sha256, authorities) {
        Ok(time) => report.sessions.push(time),
        Err(what) => report.problem(Some(entry.sequence), what),
    }
}

fn judge(entry: &Entry, kept: &Value, sha256: &str, authorities_sha256: &str) -> Result<SessionTime, String> {
    let packed = kept["gzip"].as_str().and_then(|text| BASE64.decode(text.as_bytes()).ok());
    let packed = packed.ok_or("its session names a Tor consensus that is not in its private part")?;
    let mut document = Vec::new();
    GzDecoder::new(&packed[..])
        .take(CONSENSUS_BYTES as u64 + 1)
        .read_to_end(&mut document)
        .map_err(|e| format!("its Tor consensus cannot be unpacked ({e})"))?;
    let consensus = Consensus::parse(&document).map_err(|e| e.to_string())?;
    if consensus.sha256() != sha256 {
        return Err("its Tor consensus is not the one that the agent signed for".to_owned());
    }
    let texts =
        |name: &str| -> Vec<&str> { kept[name].as_array().into_iter().flatten().filter_map(Value::as_str).collect() };
    let mut authorities: Vec<String> = texts("authorities").into_iter().map(str::to_owned).collect();
    authorities.sort();
    authorities.dedup();
    let listed: String = authorities.iter().map(|id| format!("{id}\n")).collect();
    if HEXLOWER.encode(&Sha256::digest(&listed)) != authorities_sha256 {
        return Err("its Tor authorities are not those that the agent signed for".to_owned());
    }
    let signed = consensus.check(&texts("certificates"), &authorities).map_err(|e| e.to_string())?;
    let recorded = entry.stamp.wall;
    if recorded.as_second() < consensus.valid_after.as_second() - CONSENSUS_EARLY_S {
        return Err(format!(
            "it says {recorded}, but its Tor consensus holds only from {}: the clock was behind, or the time is not true",
            consensus.valid_after
        ));
    }
    Ok(SessionTime {
        entry: entry.sequence,
        session: entry.session.map(|id| HEXLOWER.encode(&id)).unwrap_or_default(),
        recorded,
        not_before: consensus.valid_after,
        consensus_sha256: sha256.to_owned(),
        signed: signed.len(),
        authorities: authorities.len(),
    })
}
