//! Entries outside of any session: what was refused or failed before there was one.

use serde_json::json;
use vigie_config::Sha256Digest;
use vigie_config::mandate::Mandate;
use vigie_store::{Commitment, Draft, Kind, Private, Recipient, Store};

use crate::error::Problem;
use crate::mandates;
use crate::rows::RefusalRow;

/// An entry to be.
pub struct Outside<'a> {
    /// Refusal or failure.
    pub kind: Kind,
    /// The mandate concerned, when it can be read.
    pub mandate: Option<&'a Mandate>,
    /// Who can read the private part; nobody leaves it out.
    pub recipients: &'a [Recipient],
    /// What it commits to.
    pub commitment: Commitment,
    /// Its row.
    pub row: Result<Vec<u8>, serde_json::Error>,
    /// Its private part.
    pub private: serde_json::Value,
}

impl Outside<'_> {
    /// Logs it; the problem says so when that fails too.
    pub fn log(self, store: &Store, problem: Problem) -> Problem {
        let json = self.private.to_string().into_bytes();
        let draft = Draft {
            kind: self.kind,
            mandate: self.mandate.map(|mandate| mandate.digest().0),
            session: None,
            exhibit: None,
            commitments: vec![self.commitment],
            private: (!self.recipients.is_empty()).then(|| Private { recipients: self.recipients.to_vec(), json }),
            row: self.row.unwrap_or_default(),
            url_row: None,
            state: Vec::new(),
        };
        match store.append(draft) {
            Ok(_) => problem,
            Err(error) => Problem {
                refusal: problem.refusal,
                ..Problem::new(problem.code, format!("{}; and it could not be logged: {error}", problem.line))
            },
        }
    }
}

/// Logs that something was refused outside of a session. `about` is what the entry commits to; a
/// mandate that can be read is named, and its case and escrow recipients can read the reason.
pub fn refuse(store: &Store, about: Commitment, problem: Problem) -> Problem {
    let id = (about.name == MANDATE_ID).then(|| String::from_utf8_lossy(&about.value).into_owned());
    let mandate = id.as_deref().and_then(|id| mandates::read(store, id).ok());
    let recipients: Vec<Recipient> = mandate.as_ref().map_or_else(Vec::new, |mandate| {
        let named = [mandate.recipients().case(), mandate.recipients().escrow()];
        named.iter().filter_map(|key| key.parse().ok()).collect()
    });
    let row = RefusalRow {
        code: problem.refusal.unwrap_or("refused").to_owned(),
        line: problem.line.clone(),
        target: String::new(),
        count: 1,
    };
    let outside = Outside {
        kind: Kind::Refusal,
        mandate: mandate.as_ref(),
        recipients: &recipients,
        commitment: about,
        row: serde_json::to_vec(&row),
        private: json!({"context": "outside a session", "mandate": id, "reason": problem.line}),
    };
    outside.log(store, problem)
}

/// Name of the commitment to a mandate's id.
const MANDATE_ID: &str = "mandate-id";

/// A mandate, as what an entry commits to.
pub fn about_mandate(id: &str) -> Commitment {
    Commitment { name: MANDATE_ID, value: id.as_bytes().to_vec() }
}

/// A document that did not count, as what an entry commits to.
pub fn about_document(document: &[u8]) -> Commitment {
    Commitment { name: "document-sha256", value: Sha256Digest::of(document).0.to_vec() }
}
