//! A pseudonym and how it appears.

use serde::Deserialize;
use toml::Spanned;

use crate::document::{Complaint, Source};

const FORMAT: &str = "vigie-profile/1";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: Spanned<String>,
    name: Spanned<String>,
    header_set: Spanned<String>,
    language: Spanned<String>,
    #[serde(default)]
    pacing: Option<Spanned<Pacing>>,
    #[serde(default)]
    notes: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pacing {
    min_ms: u32,
    max_ms: u32,
}

/// A profile. Its name is a pseudonym: `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Profile {
    name: String,
    header_set: String,
    language: String,
    pacing: Pacing,
    notes: String,
}

impl Profile {
    /// Reads a profile's TOML.
    pub fn parse(bytes: &[u8]) -> Result<Self, Complaint> {
        let source = Source::new(bytes)?;
        let document: Document = source.read()?;
        if document.format.get_ref() != FORMAT {
            return Err(source.at(&document.format, format!("format must be {FORMAT:?}")));
        }
        let plain = |text: &str, most: usize| {
            !text.is_empty() && text.len() <= most && !text.contains(char::is_control) && text.trim() == text
        };
        if !plain(document.name.get_ref(), 64) {
            return Err(source
                .at(&document.name, "name must have 1 to 64 bytes, without control characters or outer white space"));
        }
        if !plain(document.header_set.get_ref(), 64) {
            return Err(source.at(&document.header_set, "header_set must be the id of a shipped header set"));
        }
        let language = document.language.get_ref();
        let tag = |part: &str| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric());
        if language.is_empty() || !language.split('-').all(tag) {
            return Err(source.at(&document.language, "language must be a BCP 47 tag such as en-US or fr"));
        }
        let pacing = match &document.pacing {
            None => Pacing { min_ms: 2_000, max_ms: 8_000 },
            Some(pacing) => {
                let value = *pacing.get_ref();
                if value.min_ms > value.max_ms || value.max_ms > 3_600_000 {
                    return Err(source.at(pacing, "pacing needs min_ms <= max_ms <= 3600000"));
                }
                value
            }
        };
        Ok(Self {
            name: document.name.into_inner(),
            header_set: document.header_set.into_inner(),
            language: document.language.into_inner(),
            pacing,
            notes: document.notes,
        })
    }

    /// The pseudonym.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Id of the header set.
    pub fn header_set(&self) -> &str {
        &self.header_set
    }
    /// BCP 47 language tag.
    pub fn language(&self) -> &str {
        &self.language
    }
    /// Least and most pause between two pages, in milliseconds.
    pub fn pacing_ms(&self) -> (u32, u32) {
        (self.pacing.min_ms, self.pacing.max_ms)
    }
    /// Free text.
    pub fn notes(&self) -> &str {
        &self.notes
    }
}

impl std::fmt::Debug for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Profile(…)")
    }
}
