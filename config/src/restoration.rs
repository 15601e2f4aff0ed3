//! Entries given up for good: a signed paper that names the newer head of a log which a store
//! restored from an older backup no longer reaches. It loses evidence, so two persons sign it.

use data_encoding::HEXLOWER;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use crate::document::{Complaint, Source};
use crate::mandate::{label, line, utc};
use crate::signers::{AllowedSigners, SignatureError};

/// Namespace of the signatures.
pub const NAMESPACE: &str = "vigie-restore";
/// Value of `format`.
pub const FORMAT: &str = "vigie-restore/1";
/// A paper may be dated this far ahead of the workstation's clock.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// Persons who must sign.
const PERSONS: usize = 2;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: Spanned<String>,
    id: Spanned<String>,
    origin: Spanned<String>,
    issued: Spanned<toml::value::Datetime>,
    reason: Spanned<String>,
    given_up: HeadTable,
    goes_on_from: HeadTable,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadTable {
    size: Spanned<u64>,
    root: Spanned<String>,
}

/// A head of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Entries covered.
    pub size: u64,
    /// Root of the tree over them (RFC 6962 section 2.1).
    pub root: [u8; 32],
}

/// A paper that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acceptance {
    /// Its id.
    pub id: String,
    /// Name of the log.
    pub origin: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// Why the entries are given up.
    pub reason: String,
    /// The newer head that the log no longer reaches.
    pub given_up: Head,
    /// Where the restored store goes on: the smaller one.
    pub goes_on_from: Head,
    /// Who signed, one person each.
    pub signed_by: Vec<String>,
}

/// A paper with its signatures, unchecked.
#[derive(Clone)]
pub struct SignedAcceptance {
    document: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

/// Why a paper does not count.
#[derive(Debug, thiserror::Error)]
pub enum AcceptanceError {
    /// A signature.
    #[error("the paper does not count: {0}")]
    Signature(#[from] SignatureError),
    /// The text.
    #[error("the paper is not valid: {0}: correct and sign it again")]
    Document(#[from] Complaint),
    /// Dated ahead.
    #[error("the paper is dated {0}, after this workstation's clock: check the clock")]
    Future(Timestamp),
    /// Too few persons.
    #[error(
        "giving entries up needs the signatures of two persons: have a second allowed signer sign it (ssh-keygen -Y sign -n {NAMESPACE})"
    )]
    OnePerson,
}

impl SignedAcceptance {
    /// Document and detached signatures.
    pub fn new(document: Vec<u8>, signatures: Vec<Vec<u8>>) -> Self {
        Self { document, signatures }
    }

    /// The two heads that a paper speaks of, given up and gone on from, whoever signed it; `None` when
    /// it is no paper.
    pub fn heads(document: &[u8]) -> Option<(Head, Head)> {
        let paper = Self::new(document.to_vec(), Vec::new()).read().ok()?;
        Some((paper.given_up, paper.goes_on_from))
    }

    /// Checks every signature at `now`, content and date: for a paper that comes in.
    ///
    /// # Errors
    /// See [`AcceptanceError`].
    pub fn verify(self, signers: &AllowedSigners, now: Timestamp) -> Result<Acceptance, AcceptanceError> {
        let paper = self.read()?;
        if paper.issued > now.checked_add(AHEAD).unwrap_or(Timestamp::MAX) {
            return Err(AcceptanceError::Future(paper.issued));
        }
        self.signed(paper, signers, now)
    }

    /// Checks a paper that was verified when it came in; its signatures are judged at its own date.
    ///
    /// # Errors
    /// See [`AcceptanceError`].
    pub fn verify_at_any_time(self, signers: &AllowedSigners) -> Result<Acceptance, AcceptanceError> {
        let paper = self.read()?;
        let issued = paper.issued;
        self.signed(paper, signers, issued)
    }

    fn signed(
        self,
        mut paper: Acceptance,
        signers: &AllowedSigners,
        at: Timestamp,
    ) -> Result<Acceptance, AcceptanceError> {
        let persons = signers.persons(NAMESPACE, &self.document, &self.signatures, at)?;
        if persons.len() < PERSONS {
            return Err(AcceptanceError::OnePerson);
        }
        paper.signed_by = persons.into_iter().map(|person| person.principals.join(",")).collect();
        Ok(paper)
    }

    fn read(&self) -> Result<Acceptance, Complaint> {
        let source = Source::new(&self.document)?;
        let document: Document = source.read()?;
        if document.format.get_ref() != FORMAT {
            return Err(source.at(&document.format, format!("format must be {FORMAT:?}")));
        }
        label(&source, &document.id, "a paper's id")?;
        line(&source, &document.origin)?;
        line(&source, &document.reason)?;
        let issued = utc(&source, &document.issued)?;
        let given_up = head(&source, &document.given_up)?;
        let goes_on_from = head(&source, &document.goes_on_from)?;
        if goes_on_from.size >= given_up.size || goes_on_from.size == 0 {
            let rule = "the log must go on from at least one entry and from fewer than are given up with the head";
            return Err(source.at(&document.goes_on_from.size, rule));
        }
        Ok(Acceptance {
            id: document.id.into_inner(),
            origin: document.origin.into_inner(),
            issued,
            reason: document.reason.into_inner(),
            given_up,
            goes_on_from,
            signed_by: Vec::new(),
        })
    }
}

fn head(source: &Source<'_>, table: &HeadTable) -> Result<Head, Complaint> {
    let root = HEXLOWER.decode(table.root.get_ref().as_bytes()).ok().and_then(|root| root.try_into().ok());
    let root = root.ok_or_else(|| source.at(&table.root, "a root is 64 lower-case hex digits"))?;
    Ok(Head { size: *table.size.get_ref(), root })
}

/// The text of a paper, to be read and signed. `reason` and `id` are checked when it is read again.
pub fn draft(id: &str, origin: &str, issued: Timestamp, reason: &str, given_up: &Head, goes_on_from: &Head) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let head = |head: &Head| format!("size = {}\nroot = \"{}\"\n", head.size, HEXLOWER.encode(&head.root));
    format!(
        "format = \"{FORMAT}\"\nid = {}\norigin = {}\nissued = {}\nreason = {}\n\n\
         # The newer head: what it covers beyond the other is given up for good.\n[given_up]\n{}\n\
         # Where the restored store goes on.\n[goes_on_from]\n{}",
        quoted(id),
        quoted(origin),
        issued.strftime("%Y-%m-%dT%H:%M:%SZ"),
        quoted(reason),
        head(given_up),
        head(goes_on_from),
    )
}
