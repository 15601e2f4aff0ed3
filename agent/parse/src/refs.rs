//! References: resolved against the page's base, without repeats, within the limit.

use std::collections::HashSet;

use url::Url;
use vigie_wire::limits::{REFERENCES, URL_BYTES};
use vigie_wire::parse::{Requisite, RequisiteClass};

/// Resolves references against a base.
pub struct Base {
    url: Option<Url>,
}

impl Base {
    /// The page's own address.
    pub fn new(url: &str) -> Self {
        Self { url: Url::parse(url).ok() }
    }

    /// Takes a `<base href>`, resolved against the page's address.
    pub fn rebase(&mut self, href: &str) {
        if let Some(url) = self.url.as_ref().and_then(|url| url.join(href.trim()).ok())
            && matches!(url.scheme(), "http" | "https")
        {
            self.url = Some(url);
        }
    }

    /// An absolute address without fragment; `None` for what is no place (`javascript:`,
    /// `mailto:`, `data:` …) or does not parse. Other schemes are kept, so that their refusal
    /// can be recorded; so is a text that programs read differently (backslashes).
    pub fn resolve(&self, reference: &str) -> Option<String> {
        let reference = reference.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_control());
        if reference.is_empty() || reference.starts_with('#') || reference.len() > URL_BYTES {
            return None;
        }
        let mut url = self.url.as_ref()?.join(reference).ok()?;
        if matches!(url.scheme(), "javascript" | "mailto" | "data" | "tel" | "blob" | "about" | "sms" | "magnet" | "bitcoin" | "monero") {
            return None;
        }
        if reference.contains('\\') {
            return Some(reference.to_owned());
        }
        url.set_fragment(None);
        let text = String::from(url);
        (text.len() <= URL_BYTES).then_some(text)
    }
}

/// A list of requisites without repeats.
#[derive(Default)]
pub struct Requisites {
    seen: HashSet<String>,
    pub list: Vec<Requisite>,
    pub full: bool,
}

impl Requisites {
    /// Adds one.
    pub fn add(&mut self, url: Option<String>, class: RequisiteClass) {
        let Some(url) = url else { return };
        if self.list.len() >= REFERENCES {
            self.full = true;
        } else if self.seen.insert(url.clone()) {
            self.list.push(Requisite { url, class });
        }
    }
}
