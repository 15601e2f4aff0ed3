//! References in document order, without repeats, within their limits.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use vigie_wire::limits::REFERENCES;
use vigie_wire::parse::{Reference, Requisite, RequisiteClass};

use crate::address::{Base, Reading};
use crate::warnings::{Warnings, fold};

/// Most bytes of one kind of reference, all together: a long base makes long addresses of short
/// references.
pub const BYTES: usize = 8 * 1024 * 1024;

/// Finds an address among those already there by its hash; the address itself is stored once.
#[derive(Default)]
struct Seen {
    hasher: RandomState,
    places: HashMap<u64, usize>,
    bytes: usize,
    over: bool,
    too_long: bool,
}

impl Seen {
    fn place<T>(&self, url: &str, found: &[T], address: fn(&T) -> &str) -> Option<usize> {
        let at = *self.places.get(&self.hasher.hash_one(url))?;
        (address(&found[at]) == url).then_some(at)
    }

    /// Whether there is room for one more.
    fn takes(&mut self, url: &str, more: usize, count: usize) -> bool {
        self.over |= count >= REFERENCES || self.bytes + url.len() + more > BYTES;
        if !self.over {
            self.bytes += url.len() + more;
            self.places.insert(self.hasher.hash_one(url), count);
        }
        !self.over
    }

    fn read(&mut self, base: &Base, reference: &str) -> Option<String> {
        match base.resolve(reference) {
            Reading::Url(url) => Some(url),
            Reading::TooLong => {
                self.too_long = true;
                None
            }
            Reading::Nothing | Reading::Dropped => None,
        }
    }

    fn warn(&self, what: &str, warnings: &mut Warnings) {
        if self.over {
            warnings.add(format!("more than {REFERENCES} {what}s, or {BYTES} bytes of them: the rest was not read"));
        }
        if self.too_long {
            warnings.add(format!("a {what}'s address is too long: left out"));
        }
    }
}

/// Requisites found so far.
#[derive(Default)]
pub struct Requisites {
    found: Vec<Requisite>,
    seen: Seen,
}

impl Requisites {
    /// Adds what a reference stands for, if it stands for anything, and says where it is.
    pub fn add(&mut self, base: &Base, reference: &str, class: RequisiteClass) -> Option<usize> {
        // An empty address is never fetched (WHATWG HTML, "update the image data" and its like),
        // and a fragment means a part of the page itself.
        let start = reference.trim_ascii_start();
        if self.seen.over || start.is_empty() || start.starts_with('#') {
            return None;
        }
        let url = self.seen.read(base, reference)?;
        if let Some(at) = self.seen.place(&url, &self.found, |r| &r.url) {
            return Some(at);
        }
        if !self.seen.takes(&url, 0, self.found.len()) {
            return None;
        }
        self.found.push(Requisite { url, class });
        Some(self.found.len() - 1)
    }

    /// A picture turned out to show an offer. An address that is something else too stays that.
    pub fn promote(&mut self, at: usize) {
        if let Some(requisite) = self.found.get_mut(at)
            && requisite.class == RequisiteClass::OtherImage
        {
            requisite.class = RequisiteClass::ListingImage;
        }
    }

    /// The address at a place.
    pub fn url(&self, at: usize) -> &str {
        self.found.get(at).map_or("", |requisite| &requisite.url)
    }

    /// All, in order.
    pub fn finish(self, warnings: &mut Warnings) -> Vec<Requisite> {
        self.seen.warn("requisite", warnings);
        self.found
    }
}

/// Links found so far.
#[derive(Default)]
pub struct Links {
    found: Vec<Reference>,
    seen: Seen,
}

impl Links {
    /// Adds what a reference stands for; of a link found again, the first text stays unless it
    /// was empty.
    pub fn add(&mut self, base: &Base, reference: &str, rel: &str, text: impl FnOnce() -> String) {
        if self.seen.over {
            return;
        }
        let Some(url) = self.seen.read(base, reference) else { return };
        if let Some(at) = self.seen.place(&url, &self.found, |link| &link.url) {
            let known = &mut self.found[at];
            if known.text.is_empty() {
                known.text = text();
            }
            return;
        }
        let text = text();
        let words = fold(rel).to_ascii_lowercase();
        if self.seen.takes(&url, text.len() + words.len(), self.found.len()) {
            let rel = words.split(' ').filter(|w| !w.is_empty()).take(16).map(str::to_owned);
            self.found.push(Reference { url, text, rel: rel.collect() });
        }
    }

    /// All, in order.
    pub fn finish(self, warnings: &mut Warnings) -> Vec<Reference> {
        self.seen.warn("link", warnings);
        self.found
    }
}
