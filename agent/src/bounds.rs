//! The lower bound of a session's time: the signed Tor consensus, as it goes into the session's first
//! entry. Nobody can have had it before its authorities made it.

use std::io::Write;

use jiff::Timestamp;
use serde_json::{Value, json};
use vigie_time::CONSENSUS_EARLY_S;
use vigie_wire::net::{Consensus, Failure, FailureKind};

use crate::bootstrap::NotUp;
use crate::error::Problem;

/// A consensus that was checked, ready for the record.
pub struct LowerBound {
    /// Hex SHA-256 of the document.
    pub sha256: String,
    /// From when it holds.
    pub valid_after: Timestamp,
    /// What the private part of the session's first entry says.
    pub record: Value,
}

impl LowerBound {
    /// Checks the signatures once more, without Arti's code, and the clock (`now`) against the consensus.
    pub fn new(consensus: &Consensus, now: Timestamp) -> Result<Self, NotUp> {
        let certificates: Vec<&str> = consensus.certificates.iter().map(String::as_str).collect();
        let read = vigie_time::Consensus::parse(&consensus.document).map_err(not_read)?;
        let signed = read.check(&certificates, &consensus.authorities).map_err(not_read)?;
        if now.as_second() < read.valid_after.as_second() - CONSENSUS_EARLY_S {
            let problem = Problem::refused(format!(
                "the clock says {now}, but Tor's consensus holds only from {}: set the clock right and try again",
                read.valid_after
            ));
            return Err(NotUp::Refused(Problem { refusal: Some("clock-behind-consensus"), ..problem }));
        }
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        let packed = packed.write_all(&consensus.document).and_then(|()| packed.finish()).map_err(not_read)?;
        let sha256 = read.sha256();
        let record = json!({
            "sha256": sha256,
            "valid_after": read.valid_after.to_string(),
            "fresh_until": read.fresh_until.to_string(),
            "valid_until": read.valid_until.to_string(),
            "authorities": consensus.authorities,
            "signed_by": signed,
            "certificates": consensus.certificates,
            "gzip": data_encoding::BASE64.encode(&packed),
        });
        Ok(Self { sha256, valid_after: read.valid_after, record })
    }
}

/// Arti uses it, and it cannot stand in the record.
fn not_read(why: impl std::fmt::Display) -> NotUp {
    let detail = format!("reading its consensus for the record: {why}");
    NotUp::Failed(Failure { kind: FailureKind::TorNotReady, detail })
}
