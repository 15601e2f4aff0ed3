//! Which payloads a profile recorded in this case before, so that a second copy becomes a revisit
//! record that names the exhibit. Kept under the profile's key: digests of pages are page content.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;
use vigie_config::authorize::{Element, MediaPolicy};
use vigie_store::{State, StateOp};

use crate::error::Problem;
use crate::fetch::{Answer, Exchange};
use crate::record::{Original, Part};
use crate::session::Session;

/// Area of the run state.
const AREA: &str = "payload";
/// Shorter payloads are not worth a reference, in bytes.
const SHORTEST_BYTES: u64 = 256;

/// Payloads by SHA-256, and the elements already recorded in this session by URL.
#[derive(Default)]
pub struct Originals {
    payloads: Mutex<HashMap<String, Original>>,
    elements: Mutex<HashMap<String, String>>,
}

/// What an exhibit brings that was not there before; the number follows with the receipt.
pub struct Fresh {
    payloads: Vec<(String, Original)>,
    elements: Vec<(String, String)>,
}

impl Originals {
    /// Reads what the case already holds.
    pub fn open(state: &State<'_>) -> Result<Self, Problem> {
        let mut payloads = HashMap::new();
        for (name, value) in state.iter().map_err(|e| Problem::other(e.to_string()))? {
            if let Ok(original) = serde_json::from_slice(&value) {
                payloads.insert(name, original);
            }
        }
        Ok(Self { payloads: Mutex::new(payloads), elements: Mutex::default() })
    }

    /// Where this payload stands already, if it does.
    pub fn find(&self, exchange: &Exchange) -> Option<Original> {
        // Of two answers both are kept whole, so that they can be compared by whoever has this exhibit.
        if !worthwhile(exchange) || exchange.answer != Answer::Only {
            return None;
        }
        self.payloads.lock().unwrap_or_else(PoisonError::into_inner).get(&digest(exchange)).cloned()
    }

    /// Where an element of a page was recorded earlier in this session.
    pub fn requisite(&self, url: &str) -> Option<String> {
        self.elements.lock().unwrap_or_else(PoisonError::into_inner).get(url).cloned()
    }

    /// What this exhibit will bring.
    pub fn prepare(&self, _session: &Session, parts: &[Part], date: Timestamp) -> Fresh {
        let mut fresh = Fresh { payloads: Vec::new(), elements: Vec::new() };
        for part in parts.iter().filter(|part| part.exchange.answer != Answer::Second) {
            let url = part.exchange.url.reveal().to_owned();
            let whole = part.exchange.finished.incomplete.is_none();
            if part.original.is_none() && worthwhile(&part.exchange) {
                fresh.payloads.push((
                    digest(&part.exchange),
                    Original {
                        exhibit: 0,
                        record_id: part.record_id.clone(),
                        url: url.clone(),
                        date: date.to_string(),
                    },
                ));
            }
            if whole && !matches!(part.exchange.element, Element::Page | Element::Frame) {
                fresh.elements.push((url, part.record_id.clone()));
            }
        }
        fresh
    }

    /// The exhibit is acknowledged under this number.
    pub fn recorded(&self, session: &Session, fresh: Fresh, exhibit: u64) {
        let mut payloads = self.payloads.lock().unwrap_or_else(PoisonError::into_inner);
        for (digest, mut original) in fresh.payloads {
            original.exhibit = exhibit;
            // Stored with the next entry: if that never comes, a later copy is kept in full.
            if let Ok(value) = serde_json::to_vec(&original)
                && value.len() < 3800
            {
                session.store_later(StateOp::put(&session.profile_key, AREA, &digest, value));
                payloads.insert(digest, original);
            }
        }
        let mut elements = self.elements.lock().unwrap_or_else(PoisonError::into_inner);
        for (url, record_id) in fresh.elements {
            elements.insert(url, format!("exhibit {exhibit} {record_id}"));
        }
    }
}

/// Whole, kept, successful and long enough.
fn worthwhile(exchange: &Exchange) -> bool {
    exchange.media == MediaPolicy::Capture
        && exchange.finished.incomplete.is_none()
        && exchange.status() == 200
        && exchange.payload_bytes >= SHORTEST_BYTES
}

fn digest(exchange: &Exchange) -> String {
    data_encoding::HEXLOWER.encode(&exchange.payload_sha256)
}
