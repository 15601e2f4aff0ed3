//! Values that must not leave, where they stand in bytes, and what takes their place.

use std::collections::BTreeMap;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickBuilder, MatchKind};
use data_encoding::HEXLOWER;
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::spelling;

/// Shortest value that is looked for, in characters: a shorter one stands in ordinary text.
pub const SHORTEST: usize = 4;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A pseudonym.
    Pseudonym,
    /// The value of a cookie.
    Cookie,
    /// A password or another means to open an account.
    Credential,
    /// What a list of the export's maker names: an account, a handle, a watermark.
    Listed,
    /// Who acts: a key, a workstation, a name.
    Agent,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Pseudonym => "pseudonym",
            Self::Cookie => "cookie",
            Self::Credential => "credential",
            Self::Listed => "listed",
            Self::Agent => "agent",
        }
    }
}

/// A value that is too short to be looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a value of fewer than {SHORTEST} characters cannot be taken out: it stands in ordinary text")]
pub struct TooShort;

/// What shows a redacted value to whoever may see it: `SHA-256(salt ‖ value)` is the commitment.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Opening {
    /// SHA-256 of salt and value, hex.
    pub commitment: String,
    /// 32 bytes, hex.
    pub salt: String,
    /// The value.
    pub value: String,
}

/// The values of one export. Markers and salts are drawn from its secret, so that the same export made
/// twice is the same, and nobody without the secret can test a guess.
pub struct Secrets {
    secret: [u8; 32],
    values: BTreeMap<String, Kind>,
    search: Option<Search>,
}

struct Search {
    folded: AhoCorasick,
    exact: AhoCorasick,
    /// Of each pattern, the value.
    folded_of: Vec<String>,
    exact_of: Vec<String>,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Bytes.
    pub range: Range<usize>,
    /// The value.
    pub value: String,
}

impl Secrets {
    /// None yet.
    pub fn new(secret: [u8; 32]) -> Self {
        Self { secret, values: BTreeMap::new(), search: None }
    }

    /// Adds a value; one that is known keeps its kind.
    ///
    /// # Errors
    /// [`TooShort`].
    pub fn add(&mut self, kind: Kind, value: &str) -> Result<(), TooShort> {
        let value = value.trim();
        if value.chars().count() < SHORTEST {
            return Err(TooShort);
        }
        self.values.entry(value.to_owned()).or_insert(kind);
        self.search = None;
        Ok(())
    }

    /// Makes ready to look for all values; to be called after the last [`Secrets::add`].
    pub fn prepare(&mut self) {
        let patterns = |spellings: fn(&str) -> Vec<Vec<u8>>| {
            let mut all = Vec::new();
            let mut of = Vec::new();
            for value in self.values.keys() {
                for spelling in spellings(value) {
                    all.push(spelling);
                    of.push(value.clone());
                }
            }
            (all, of)
        };
        let (folded, folded_of) = patterns(spelling::folded);
        let (exact, exact_of) = patterns(spelling::exact);
        let build = |patterns: &[Vec<u8>], fold: bool| {
            AhoCorasickBuilder::new()
                .match_kind(MatchKind::LeftmostLongest)
                .ascii_case_insensitive(fold)
                .build(patterns)
                .ok()
        };
        self.search = match (build(&folded, true), build(&exact, false)) {
            (Some(folded), Some(exact)) => Some(Search { folded, exact, folded_of, exact_of }),
            _ => None,
        };
    }

    /// Every place at which a value stands, in order, none within another.
    ///
    /// # Panics
    /// Before [`Secrets::prepare`] there is nothing to look with: that would let values through.
    pub fn find(&self, bytes: &[u8]) -> Vec<Hit> {
        if self.values.is_empty() {
            return Vec::new();
        }
        #[allow(clippy::expect_used, reason = "looking without the list would let values out")]
        let search = self.search.as_ref().expect("the values are prepared before they are looked for");
        let mut hits: Vec<Hit> = Vec::new();
        let mut take = |automaton: &AhoCorasick, of: &[String], view: &[u8], from: Option<&[usize]>| {
            for found in automaton.find_iter(view) {
                let range = match from {
                    None => found.start()..found.end(),
                    Some(from) => from[found.start()]..from[found.end()],
                };
                hits.push(Hit { range, value: of[found.pattern().as_usize()].clone() });
            }
        };
        take(&search.folded, &search.folded_of, bytes, None);
        take(&search.exact, &search.exact_of, bytes, None);
        if let Some(view) = spelling::undone(bytes) {
            take(&search.folded, &search.folded_of, &view.bytes, Some(&view.from));
            take(&search.exact, &search.exact_of, &view.bytes, Some(&view.from));
        }
        hits.sort_by_key(|hit| (hit.range.start, std::cmp::Reverse(hit.range.end)));
        let mut apart: Vec<Hit> = Vec::new();
        for hit in hits {
            match apart.last_mut() {
                // What overlaps goes as a whole.
                Some(last) if hit.range.start < last.range.end => last.range.end = last.range.end.max(hit.range.end),
                _ => apart.push(hit),
            }
        }
        apart
    }

    /// The bytes with a marker in place of each value, and where they stood.
    pub fn redact(&self, bytes: &[u8]) -> (Vec<u8>, Vec<Hit>) {
        let hits = self.find(bytes);
        let mut out = Vec::with_capacity(bytes.len());
        let mut at = 0;
        for hit in &hits {
            out.extend_from_slice(&bytes[at..hit.range.start]);
            out.extend_from_slice(self.marker(&hit.value).as_bytes());
            at = hit.range.end;
        }
        out.extend_from_slice(&bytes[at..]);
        (out, hits)
    }

    /// As [`Secrets::redact`], of text.
    pub fn redact_text(&self, text: &str) -> String {
        String::from_utf8_lossy(&self.redact(text.as_bytes()).0).into_owned()
    }

    /// Kind of a value.
    pub fn kind(&self, value: &str) -> Kind {
        self.values.get(value).copied().unwrap_or(Kind::Credential)
    }

    /// What stands in place of a value: letters, digits and hyphens, so that it is whole in a URL, a header,
    /// a page or a script, and the same wherever the value stood.
    pub fn marker(&self, value: &str) -> String {
        let tag = self.keyed(b"marker", value.as_bytes());
        format!("REDACTED-{}-{}", self.kind(value).name(), HEXLOWER.encode(&tag[..5]))
    }

    /// The opening of a value.
    pub fn opening(&self, value: &str) -> Opening {
        let salt = self.keyed(b"salt", value.as_bytes());
        let commitment = Sha256::new().chain_update(salt).chain_update(value.as_bytes()).finalize();
        Opening { commitment: HEXLOWER.encode(&commitment), salt: HEXLOWER.encode(&salt), value: value.to_owned() }
    }

    /// 32 bytes that only the holder of the secret can make.
    pub fn keyed(&self, purpose: &[u8], value: &[u8]) -> [u8; 32] {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of any length");
        mac.update(&(purpose.len() as u64).to_be_bytes());
        mac.update(purpose);
        mac.update(value);
        mac.finalize().into_bytes().into()
    }
}
