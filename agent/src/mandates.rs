//! Mandates and revocations as the store keeps them: sealed in their log entries, verified anew
//! each time they are used.

use jiff::Timestamp;
use serde_json::json;
use vigie_config::mandate::{Mandate, SignedMandate, same_recipients};
use vigie_config::revocation::{Revocations, SignedRevocation};
use vigie_config::signers::AllowedSigners;
use vigie_store::{Commitment, Draft, Entry, Kind, Private, Receipt, Recipient, Store};

use crate::agentkey::AgentKey;
use crate::error::{Failing, Problem};
use crate::rows::{ExhibitRow, MandateRow, RevocationRow};

/// The allowed signers that were fixed when the workstation was set up.
pub fn signers(store: &Store) -> Result<AllowedSigners, Problem> {
    AllowedSigners::parse(store.allowed_signers())
        .map_err(|e| Problem::unsound(format!("reading the store's allowed signers: {e}")))
}

/// Rows of one kind, oldest first; a row that cannot be read is damage.
pub fn rows<T: serde::de::DeserializeOwned>(store: &Store, kind: Kind) -> Result<Vec<(u64, T)>, Problem> {
    store
        .rows(kind)?
        .into_iter()
        .map(|(sequence, row)| {
            serde_json::from_slice(&row).map(|row| (sequence, row)).map_err(|e| {
                Problem::unsound(format!(
                    "the catalogue row of entry {sequence} cannot be read ({e}): run vigie verify"
                ))
            })
        })
        .collect()
}

/// All mandates that were imported, newest of each id last.
pub fn all(store: &Store) -> Result<Vec<(u64, MandateRow)>, Problem> {
    rows(store, Kind::MandateImported)
}

/// The mandate to use: by id, or the only one there is. Verified at `now`.
pub fn open(store: &Store, id: Option<&str>, now: Timestamp) -> Result<Mandate, Problem> {
    let row = find(store, id)?;
    SignedMandate::new(row.document.into_bytes(), row.signature.into_bytes())
        .verify(&signers(store)?, now)
        .map_err(Problem::from)
}

/// A mandate to be read, whatever its dates.
pub fn read(store: &Store, id: &str) -> Result<Mandate, Problem> {
    let row = find(store, Some(id))?;
    SignedMandate::new(row.document.into_bytes(), row.signature.into_bytes())
        .verify_at_any_time(&signers(store)?)
        .map_err(|e| Problem::unsound(e.to_string()))
}

/// The newest mandate that lets this agent act; else the newest, whose refusal says why.
pub fn acting(store: &Store, agent: &AgentKey, now: Timestamp) -> Result<Mandate, Problem> {
    let mandates = all(store)?.into_iter().rev().map(|(_, row)| read(store, &row.id));
    chosen(mandates, agent, now)?
        .ok_or_else(|| Problem::input("this store holds no mandate, so nobody may act: vigie mandate add FILE"))
}

/// The one of that id, if one is named; else as [`acting`].
pub fn named_or_acting(store: &Store, id: Option<&str>, agent: &AgentKey, now: Timestamp) -> Result<Mandate, Problem> {
    id.map_or_else(|| acting(store, agent, now), |id| read(store, id))
}

/// Of mandates, newest first: the first that lets the agent act; else the first. `None` of none.
pub fn chosen<M: std::borrow::Borrow<Mandate>>(
    mandates: impl Iterator<Item = Result<M, Problem>>,
    agent: &AgentKey,
    now: Timestamp,
) -> Result<Option<M>, Problem> {
    let mut newest = None;
    for mandate in mandates {
        let mandate = mandate?;
        if vigie_config::authorize::agent(mandate.borrow(), agent.public(), now).is_ok() {
            return Ok(Some(mandate));
        }
        newest = newest.or(Some(mandate));
    }
    Ok(newest)
}

/// The mandate under which an exhibit was captured, whatever its dates.
pub fn of_exhibit(store: &Store, entry: &Entry) -> Result<Mandate, Problem> {
    let row: ExhibitRow = serde_json::from_slice(&store.row(entry.sequence)?).map_err(|e| {
        let number = entry.exhibit.unwrap_or_default();
        Problem::unsound(format!("the row of exhibit {number} cannot be read ({e})"))
    })?;
    read(store, &row.mandate)
}

/// The mandate under which an entry was made, whatever its dates.
pub fn of_entry(store: &Store, entry: &Entry) -> Result<Mandate, Problem> {
    for (_, row) in all(store)?.into_iter().rev() {
        let mandate = read(store, &row.id)?;
        if entry.mandate == Some(mandate.digest().0) {
            return Ok(mandate);
        }
    }
    Err(Problem::unsound(format!("no mandate of this store is the one of entry {}", entry.sequence)))
}

/// The row of a mandate.
pub fn find(store: &Store, id: Option<&str>) -> Result<MandateRow, Problem> {
    let mut known = all(store)?;
    match id {
        Some(id) => known.into_iter().rev().find(|(_, row)| row.id == id).map(|(_, row)| row).ok_or_else(|| {
            Problem::input(format!(
                "no mandate {id} in this store: add it with vigie mandate add FILE, or see vigie mandate list"
            ))
        }),
        None => {
            let Some((_, newest)) = known.pop() else {
                return Err(Problem::input("this store holds no mandate: add one with vigie mandate add FILE"));
            };
            if known.iter().any(|(_, row)| row.id != newest.id) {
                return Err(Problem::input(
                    "this store holds several mandates: name one with --mandate ID (see vigie mandate list)",
                ));
            }
            Ok(newest)
        }
    }
}

/// Every revocation list imported so far, verified and merged.
pub fn revocations(store: &Store) -> Result<Revocations, Problem> {
    let signers = signers(store)?;
    let mut merged = Revocations::none();
    for (sequence, row) in rows::<RevocationRow>(store, Kind::MandateRevoked)? {
        let list = SignedRevocation::new(row.document.into_bytes(), row.signature.into_bytes())
            // Judged when it was taken in; a signer's key may have ended since.
            .verify_at_any_time(&signers)
            .map_err(|e| Problem::refused(format!("the revocation list of entry {sequence}: {e}")))?;
        merged.merge(list);
    }
    Ok(merged)
}

/// The recipients that a mandate names; a review recipient only while its end date is not past.
pub fn recipients(mandate: &Mandate, now: Timestamp) -> Result<Vec<Recipient>, Problem> {
    mandate
        .recipients()
        .at(now)
        .iter()
        .map(|key| key.parse::<Recipient>().map_err(|e| Problem::input(format!("a recipient of the mandate: {e}"))))
        .collect()
}

/// Imports a verified mandate: refused when another mandate of its case names other recipients.
pub fn add(
    store: &Store,
    document: Vec<u8>,
    signature: Vec<u8>,
    now: Timestamp,
) -> Result<(Mandate, Receipt), Problem> {
    let row_document =
        String::from_utf8(document.clone()).map_err(|_| Problem::input("the mandate is not UTF-8 text"))?;
    let row_signature = String::from_utf8(signature.clone())
        .map_err(|_| Problem::input("the signature is not an armoured SSH signature"))?;
    let signers = signers(store)?;
    let mandate = SignedMandate::new(document, signature).verify(&signers, now)?;
    for (_, other) in all(store)? {
        if other.id == mandate.id() && other.document != row_document {
            let line = format!(
                "a different mandate {} is already in this store: give the new one another id and say renews = {:?}",
                other.id, other.id
            );
            return Err(Problem { refusal: Some("mandate-id-taken"), ..Problem::refused(line) });
        }
        if other.case != mandate.case() {
            continue;
        }
        // An older mandate of the case may have ended since: only its recipients matter here.
        let other = SignedMandate::new(other.document.into_bytes(), other.signature.into_bytes())
            .verify_at_any_time(&signers)
            .map_err(|e| Problem::unsound(format!("a mandate in this store: {e}")))?;
        same_recipients(&other, &mandate)?;
    }
    let row = MandateRow {
        id: mandate.id().to_owned(),
        case: mandate.case().to_owned(),
        title: mandate.title().to_owned(),
        document: row_document.clone(),
        signature: row_signature.clone(),
    };
    let draft = Draft {
        kind: Kind::MandateImported,
        mandate: Some(mandate.digest().0),
        session: None,
        exhibit: None,
        commitments: vec![Commitment { name: "mandate-id", value: mandate.id().as_bytes().to_vec() }],
        private: Some(Private {
            recipients: recipients(&mandate, now)?,
            json: json!({"document": row_document, "signature": row_signature}).to_string().into_bytes(),
        }),
        row: serde_json::to_vec(&row).failing("preparing the entry")?,
        url_row: None,
        state: Vec::new(),
    };
    let receipt = store.append(draft)?;
    Ok((mandate, receipt))
}

/// Imports a verified revocation list.
pub fn revoke(
    store: &Store,
    document: Vec<u8>,
    signature: Vec<u8>,
    now: Timestamp,
) -> Result<(Revocations, Receipt), Problem> {
    let row = RevocationRow {
        document: String::from_utf8(document.clone()).map_err(|_| Problem::input("the list is not UTF-8 text"))?,
        signature: String::from_utf8(signature.clone())
            .map_err(|_| Problem::input("the signature is not an armoured SSH signature"))?,
    };
    let list = SignedRevocation::new(document, signature).verify(&signers(store)?, now)?;
    let draft = Draft {
        kind: Kind::MandateRevoked,
        mandate: None,
        session: None,
        exhibit: None,
        commitments: vec![Commitment { name: "list", value: row.document.as_bytes().to_vec() }],
        private: None,
        row: serde_json::to_vec(&row).failing("preparing the entry")?,
        url_row: None,
        state: Vec::new(),
    };
    let receipt = store.append(draft)?;
    Ok((list, receipt))
}
