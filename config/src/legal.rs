//! Legal bases as data: what each can support. Shipped with the build and versioned, so that a
//! mandate cites an id and the record says which version was read.

use std::sync::OnceLock;

use serde::Deserialize;

use crate::action::Action;

const DATA: &str = include_str!("../data/legal-bases.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    version: String,
    basis: Vec<LegalBasis>,
}

/// A legal basis.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegalBasis {
    /// Id that mandates cite.
    pub id: String,
    /// ISO 3166-1 alpha-2, `XX` for none.
    pub country: String,
    /// What it permits, in its own language.
    pub title: String,
    /// The text.
    pub reference: String,
    /// Actions it can support.
    pub actions: Vec<Action>,
    /// The prosecutor must have been informed.
    pub information_required: bool,
    /// The prosecutor must not have opposed.
    pub non_opposition_required: bool,
    /// What counsel must confirm before a mandate cites it.
    pub counsel: String,
    /// Offences it can serve to find.
    pub offence: Vec<Offence>,
}

/// An offence.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offence {
    /// Id that mandates cite.
    pub id: String,
    /// The text.
    pub reference: String,
}

fn data() -> &'static Document {
    static READ: OnceLock<Document> = OnceLock::new();
    READ.get_or_init(|| toml::from_str(DATA).expect("the shipped data file is read by a test"))
}

/// Version of the shipped data.
pub fn version() -> &'static str {
    &data().version
}

/// All legal bases of this build.
pub fn all() -> &'static [LegalBasis] {
    &data().basis
}

/// One legal basis.
pub fn find(id: &str) -> Option<&'static LegalBasis> {
    all().iter().find(|basis| basis.id == id)
}
