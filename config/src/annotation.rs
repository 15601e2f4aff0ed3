//! What a partner answers to a share: which species a row is, how sure, whether it was confirmed. A signed TOML
//! document, about one file that was shared, read strictly: it comes from outside.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use toml::Spanned;

use crate::document::{Complaint, Source};
use crate::mandate::values::{label, line};

const FORMAT: &str = "vigie.annotation/1";
/// Most rows that one answer is about.
const ROWS: usize = 10_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: Spanned<String>,
    share: Spanned<String>,
    sha256: Spanned<String>,
    partner: Spanned<String>,
    rows: Spanned<Vec<Row>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    id: Spanned<String>,
    validated: bool,
    confidence: Confidence,
    #[serde(default)]
    taxon: Option<Spanned<String>>,
    #[serde(default)]
    remark: Option<Spanned<String>>,
}

/// How sure the partner is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "each is the word that it is")]
pub enum Confidence {
    Low,
    Medium,
    High,
}

/// What is said of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// Id of the row.
    pub id: String,
    /// A person looked and confirms what the row says, with the taxon given here.
    pub validated: bool,
    /// How sure.
    pub confidence: Confidence,
    /// Species, where the partner names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxon: Option<String>,
    /// One line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remark: Option<String>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// Id of the share.
    pub share: String,
    /// SHA-256 of the file that was shared, hex.
    pub sha256: String,
    /// Id of the partner.
    pub partner: String,
    /// By row, each once.
    pub rows: Vec<Said>,
}

impl Annotation {
    /// Reads a document of at most 1 MiB; its signature is another matter ([`crate::sharing::Terms::check_annotation`]).
    ///
    /// # Errors
    /// The line that is not as it must be, and why.
    pub fn parse(bytes: &[u8]) -> Result<Self, Complaint> {
        let source = Source::new(bytes)?;
        let document: Document = source.read()?;
        if document.format.get_ref() != FORMAT {
            return Err(source.at(&document.format, format!("format must be {FORMAT:?}")));
        }
        uuid(&source, &document.share)?;
        label(&source, &document.partner, "a partner's id")?;
        let hex = |text: &str, length| text.len() == length && text.bytes().all(|b| b"0123456789abcdef".contains(&b));
        if !hex(document.sha256.get_ref(), 64) {
            return Err(
                source.at(&document.sha256, "sha256 must be 64 lower-case hex digits: that of the file received")
            );
        }
        if document.rows.get_ref().is_empty() || document.rows.get_ref().len() > ROWS {
            return Err(source.at(&document.rows, format!("an annotation is about 1 to {ROWS} rows")));
        }
        let (mut rows, mut known) = (Vec::new(), HashSet::new());
        for row in document.rows.into_inner() {
            uuid(&source, &row.id)?;
            if !known.insert(row.id.get_ref().clone()) {
                return Err(source.at(&row.id, "this row is annotated twice"));
            }
            for text in [&row.taxon, &row.remark].into_iter().flatten() {
                line(&source, text)?;
            }
            rows.push(Said {
                id: row.id.into_inner(),
                validated: row.validated,
                confidence: row.confidence,
                taxon: row.taxon.map(Spanned::into_inner),
                remark: row.remark.map(Spanned::into_inner),
            });
        }
        Ok(Self {
            share: document.share.into_inner(),
            sha256: document.sha256.into_inner(),
            partner: document.partner.into_inner(),
            rows,
        })
    }
}

/// A UUID in its usual form, in small letters (RFC 9562 section 4).
fn uuid(source: &Source<'_>, text: &Spanned<String>) -> Result<(), Complaint> {
    let sound = text.get_ref().len() == 36
        && text.get_ref().bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b"0123456789abcdef".contains(&b),
        });
    if sound { Ok(()) } else { Err(source.at(text, "expected an id as the share has it (a UUID in small letters)")) }
}
