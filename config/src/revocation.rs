//! Revocations and the prosecutor's opposition: signed lists that stop a mandate, in mid-run too.
//! A list may be empty: it then only says that nothing was revoked up to its date.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use crate::document::{Complaint, Source};
use crate::mandate::{Mandate, label, line, utc};
use crate::refusal::Refusal;
use crate::signers::{AllowedSigners, SignatureError};

/// Namespace of the signature.
pub const NAMESPACE: &str = "vigie-revocation";
const FORMAT: &str = "vigie-revocation/1";
/// A list may be dated this far ahead of the workstation's clock.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: Spanned<String>,
    issued: Spanned<toml::value::Datetime>,
    #[serde(default)]
    revoked: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    mandate: Spanned<String>,
    from: Spanned<toml::value::Datetime>,
    reason: Spanned<String>,
    kind: Spanned<String>,
}

/// A list with its signature, unchecked.
#[derive(Clone)]
pub struct SignedRevocation {
    document: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a list does not count.
#[derive(Debug, thiserror::Error)]
pub enum RevocationError {
    /// The signature.
    #[error("the revocation list does not count: {0}")]
    Signature(#[from] SignatureError),
    /// The text.
    #[error("the revocation list is not valid: {0}: the authority must correct and sign it again")]
    Document(#[from] Complaint),
    /// Dated ahead.
    #[error("the revocation list is dated {0}, after this workstation's clock: check the clock")]
    Future(Timestamp),
}

impl RevocationError {
    /// Stable code for programs and statistics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signature(_) => "revocation-signature",
            Self::Document(_) => "revocation-document",
            Self::Future(_) => "revocation-date",
        }
    }
}

impl SignedRevocation {
    /// Document and detached signature.
    pub fn new(document: Vec<u8>, signature: Vec<u8>) -> Self {
        Self { document, signature }
    }

    /// Checks signature (at `now`), content and date: for a list that comes in.
    pub fn verify(self, signers: &AllowedSigners, now: Timestamp) -> Result<Revocations, RevocationError> {
        signers.verify(NAMESPACE, &self.document, &self.signature, now)?;
        let list = self.read()?;
        match list.issued {
            Some(issued) if issued > now.checked_add(AHEAD).unwrap_or(Timestamp::MAX) => {
                Err(RevocationError::Future(issued))
            }
            _ => Ok(list),
        }
    }

    /// Checks signature and content of a list that was verified when it came in. The signature is
    /// judged at the list's own date, so that what was revoked stays so after the signer's key
    /// has ended.
    pub fn verify_at_any_time(self, signers: &AllowedSigners) -> Result<Revocations, RevocationError> {
        let list = self.read()?;
        signers.verify(NAMESPACE, &self.document, &self.signature, list.issued.unwrap_or(Timestamp::MIN))?;
        Ok(list)
    }

    fn read(&self) -> Result<Revocations, RevocationError> {
        let source = Source::new(&self.document)?;
        let document: Document = source.read()?;
        if document.format.get_ref() != FORMAT {
            return Err(source.at(&document.format, format!("format must be {FORMAT:?}")).into());
        }
        let issued = utc(&source, &document.issued)?;
        let mut stops = Vec::new();
        for row in &document.revoked {
            if !matches!(row.kind.get_ref().as_str(), "revocation" | "opposition") {
                return Err(source.at(&row.kind, "kind must be \"revocation\" or \"opposition\"").into());
            }
            // An id that no mandate can have would revoke nothing, unnoticed.
            label(&source, &row.mandate, "a mandate's id")?;
            line(&source, &row.reason)?;
            stops.push(Stop {
                mandate: row.mandate.get_ref().clone(),
                from: utc(&source, &row.from)?,
                reason: row.reason.get_ref().clone(),
                kind: row.kind.get_ref().clone(),
            });
        }
        Ok(Revocations { issued: Some(issued), stops })
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Stop {
    mandate: String,
    from: Timestamp,
    reason: String,
    kind: String,
}

/// Everything that was revoked, as far as the lists in hand say.
#[derive(Clone, Debug, Default)]
pub struct Revocations {
    issued: Option<Timestamp>,
    stops: Vec<Stop>,
}

impl Revocations {
    /// No list yet.
    pub fn none() -> Self {
        Self::default()
    }

    /// When the newest list was issued; `None` without a list.
    pub fn newest(&self) -> Option<Timestamp> {
        self.issued
    }

    /// Date of the newest list, for people.
    pub fn issued(&self) -> String {
        self.issued.map_or_else(|| "never".to_owned(), |issued| issued.to_string())
    }

    /// Adds a list. What was revoked stays revoked: a newer list never takes back.
    pub fn merge(&mut self, other: Self) {
        self.issued = self.issued.max(other.issued);
        for stop in other.stops {
            if !self.stops.contains(&stop) {
                self.stops.push(stop);
            }
        }
    }

    /// The mandate is not stopped at `now`, and the newest list is fresh enough for it.
    pub fn check(&self, mandate: &Mandate, now: Timestamp) -> Result<(), Refusal> {
        let stop = self
            .stops
            .iter()
            .filter(|stop| stop.mandate == mandate.id() && stop.from <= now)
            .min_by_key(|stop| stop.from);
        if let Some(stop) = stop {
            return Err(Refusal::Revoked {
                mandate: stop.mandate.clone(),
                kind: stop.kind.clone(),
                from: stop.from.to_string(),
                reason: stop.reason.clone(),
            });
        }
        let days = mandate.revocations_max_age_days();
        let oldest = now.checked_sub(SignedDuration::from_hours(i64::from(days) * 24)).unwrap_or(Timestamp::MIN);
        if self.issued.is_none_or(|issued| issued < oldest) {
            return Err(Refusal::RevocationsStale { days });
        }
        Ok(())
    }
}
