//! How long evidence is kept and when it ends: signed papers about a case. A hold stops its end, a
//! release ends the hold, a destruction certificate says which keys and copies are no more. What
//! loses evidence needs two persons; what keeps it needs one.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use toml::Spanned;

use crate::document::{Complaint, Source};
use crate::mandate::{label, line, utc};
use crate::signers::{AllowedSigners, SignatureError};

/// Namespace of the signatures.
pub const NAMESPACE: &str = "vigie-retention";
const FORMAT: &str = "vigie-retention/1";
/// A paper may be dated this far ahead of the workstation's clock.
const AHEAD: SignedDuration = SignedDuration::from_mins(10);
/// Most things that one certificate names.
const THINGS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: Spanned<String>,
    id: Spanned<String>,
    case: Spanned<String>,
    issued: Spanned<toml::value::Datetime>,
    kind: Spanned<String>,
    reason: Spanned<String>,
    releases: Option<Spanned<String>>,
    #[serde(default)]
    destroyed: Vec<Spanned<String>>,
    #[serde(default)]
    returned: Vec<Spanned<String>>,
}

/// What a paper says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// Nothing of the case may be erased until it is released.
    Hold,
    /// The hold of this id has ended.
    Release(String),
    /// These are no more, or came back.
    Destruction(BTreeSet<Thing>),
}

/// Something that opens or holds evidence of a case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thing {
    /// The identity of a recipient: `case`, `escrow` or `review`.
    Identity(String),
    /// What left the store with this log entry: `copy:17`.
    Copy(u64),
}

impl Thing {
    /// Reads `case`, `escrow`, `review` or `copy:ENTRY`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.split_once(':') {
            None if matches!(text, "case" | "escrow" | "review") => Some(Self::Identity(text.to_owned())),
            Some(("copy", entry)) if entry.bytes().all(|b| b.is_ascii_digit()) => entry.parse().ok().map(Self::Copy),
            _ => None,
        }
    }
}

impl std::fmt::Display for Thing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Identity(name) => f.write_str(name),
            Self::Copy(entry) => write!(f, "copy:{entry}"),
        }
    }
}

/// A paper that counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paper {
    /// Its id.
    pub id: String,
    /// The case it is about.
    pub case: String,
    /// When it was issued.
    pub issued: Timestamp,
    /// Why.
    pub reason: String,
    /// What it says.
    pub ruling: Ruling,
    /// Who signed, one principal each.
    pub signed_by: Vec<String>,
}

/// A paper with its signatures, unchecked.
#[derive(Clone)]
pub struct SignedPaper {
    document: Vec<u8>,
    signatures: Vec<Vec<u8>>,
}

/// Why a paper does not count.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// A signature.
    #[error("the retention paper does not count: {0}")]
    Signature(#[from] SignatureError),
    /// The text.
    #[error("the retention paper is not valid: {0}: correct and sign it again")]
    Document(#[from] Complaint),
    /// Dated ahead.
    #[error("the retention paper is dated {0}, after this workstation's clock: check the clock")]
    Future(Timestamp),
    /// Too few persons.
    #[error(
        "a {kind} needs the signatures of two persons: have a second allowed signer sign it (ssh-keygen -Y sign -n {NAMESPACE})"
    )]
    OnePerson {
        /// Kind of paper.
        kind: &'static str,
    },
}

impl SignedPaper {
    /// Document and detached signatures.
    pub fn new(document: Vec<u8>, signatures: Vec<Vec<u8>>) -> Self {
        Self { document, signatures }
    }

    /// Checks every signature at `now`, content and date: for a paper that comes in.
    ///
    /// # Errors
    /// See [`RetentionError`].
    pub fn verify(self, signers: &AllowedSigners, now: Timestamp) -> Result<Paper, RetentionError> {
        let paper = self.read()?;
        if paper.issued > now.checked_add(AHEAD).unwrap_or(Timestamp::MAX) {
            return Err(RetentionError::Future(paper.issued));
        }
        self.signed(paper, signers, now)
    }

    /// Checks a paper that was verified when it came in; its signatures are judged at its own date.
    ///
    /// # Errors
    /// See [`RetentionError`].
    pub fn verify_at_any_time(self, signers: &AllowedSigners) -> Result<Paper, RetentionError> {
        let paper = self.read()?;
        let issued = paper.issued;
        self.signed(paper, signers, issued)
    }

    fn signed(self, mut paper: Paper, signers: &AllowedSigners, at: Timestamp) -> Result<Paper, RetentionError> {
        let persons = signers.persons(NAMESPACE, &self.document, &self.signatures, at)?;
        let (kind, needed) = match paper.ruling {
            Ruling::Hold => ("hold", 1),
            Ruling::Release(_) => ("release", 2),
            Ruling::Destruction(_) => ("destruction certificate", 2),
        };
        if persons.len() < needed {
            return Err(RetentionError::OnePerson { kind });
        }
        paper.signed_by = persons.into_iter().map(|person| person.principals.join(",")).collect();
        Ok(paper)
    }

    fn read(&self) -> Result<Paper, RetentionError> {
        let source = Source::new(&self.document)?;
        let document: Document = source.read()?;
        if document.format.get_ref() != FORMAT {
            return Err(source.at(&document.format, format!("format must be {FORMAT:?}")).into());
        }
        label(&source, &document.id, "a paper's id")?;
        label(&source, &document.case, "a case's id")?;
        line(&source, &document.reason)?;
        let issued = utc(&source, &document.issued)?;
        let things = things(&source, document.destroyed.iter().chain(&document.returned))?;
        let kind = document.kind.get_ref().as_str();
        let ruling = match (kind, document.releases, things.is_empty()) {
            ("hold", None, true) => Ruling::Hold,
            ("release", Some(id), true) => {
                label(&source, &id, "a hold's id")?;
                Ruling::Release(id.into_inner())
            }
            ("destruction", None, false) => Ruling::Destruction(things),
            ("hold" | "release" | "destruction", ..) => {
                let rule = "a hold stands alone, a release has `releases`, a destruction `destroyed` or `returned`";
                return Err(source.at(&document.kind, rule).into());
            }
            _ => {
                let rule = "kind must be \"hold\", \"release\" or \"destruction\"";
                return Err(source.at(&document.kind, rule).into());
            }
        };
        Ok(Paper {
            id: document.id.into_inner(),
            case: document.case.into_inner(),
            issued,
            reason: document.reason.into_inner(),
            ruling,
            signed_by: Vec::new(),
        })
    }
}

fn things<'a>(
    source: &Source<'_>,
    names: impl Iterator<Item = &'a Spanned<String>>,
) -> Result<BTreeSet<Thing>, Complaint> {
    let mut things = BTreeSet::new();
    for name in names {
        let thing = Thing::parse(name.get_ref()).ok_or_else(|| {
            source.at(name, "name \"case\", \"escrow\", \"review\" or \"copy:ENTRY\" (see vigie retention list)")
        })?;
        if !things.insert(thing) || things.len() > THINGS {
            return Err(source.at(name, format!("it is named twice, or more than {THINGS} are")));
        }
    }
    Ok(things)
}

/// What the papers of one case say together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CasePapers {
    /// Ids of holds that were not released.
    pub holds: BTreeSet<String>,
    /// What is certified destroyed or returned.
    pub gone: BTreeSet<Thing>,
}

impl CasePapers {
    /// Takes the papers of a case in, in the order in which they came. A hold is released once and for
    /// all: one of the same id that comes later is no new hold.
    pub fn of<'p>(papers: impl Iterator<Item = &'p Paper>) -> Self {
        let (mut all, mut released) = (Self::default(), BTreeSet::new());
        for paper in papers {
            match &paper.ruling {
                Ruling::Hold => {
                    all.holds.insert(paper.id.clone());
                }
                Ruling::Release(id) => {
                    released.insert(id.clone());
                }
                Ruling::Destruction(things) => all.gone.extend(things.iter().cloned()),
            }
        }
        all.holds.retain(|id| !released.contains(id));
        all
    }
}
