//! References in document order, without repeats, within their limit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use vigie_wire::limits::REFERENCES;
use vigie_wire::parse::{Reference, Requisite, RequisiteClass};

use crate::address::{Base, Reading};
use crate::warnings::{Warnings, fold};

/// Requisites found so far.
#[derive(Default)]
pub struct Requisites {
    found: Vec<Requisite>,
    seen: HashMap<String, usize>,
    over: bool,
    too_long: bool,
}

impl Requisites {
    /// Adds what a reference stands for, if it stands for anything. An address that is found again
    /// as a picture of an offer is one.
    pub fn add(&mut self, base: &Base, reference: &str, class: RequisiteClass) {
        if self.over {
            return;
        }
        let url = match base.resolve(reference) {
            Reading::Url(url) => url,
            Reading::TooLong => {
                self.too_long = true;
                return;
            }
            Reading::Nothing | Reading::Dropped => return,
        };
        match self.seen.entry(url) {
            Entry::Occupied(known) => {
                let known = &mut self.found[*known.get()];
                if known.class == RequisiteClass::OtherImage && class == RequisiteClass::ListingImage {
                    known.class = class;
                }
            }
            Entry::Vacant(_) if self.found.len() >= REFERENCES => self.over = true,
            Entry::Vacant(place) => {
                self.found.push(Requisite { url: place.key().clone(), class });
                place.insert(self.found.len() - 1);
            }
        }
    }

    /// All, in order.
    pub fn finish(self, warnings: &mut Warnings) -> Vec<Requisite> {
        if self.over {
            warnings.add(format!("more than {REFERENCES} requisites: the rest was not read"));
        }
        if self.too_long {
            warnings.add("a requisite's address is too long: left out");
        }
        self.found
    }
}

/// Links found so far.
#[derive(Default)]
pub struct Links {
    found: Vec<Reference>,
    seen: HashMap<String, usize>,
    over: bool,
    too_long: bool,
}

impl Links {
    /// Adds what a reference stands for; of a link found again, the first text stays unless it
    /// was empty.
    pub fn add(&mut self, base: &Base, reference: &str, rel: &str, text: impl FnOnce() -> String) {
        if self.over {
            return;
        }
        let url = match base.resolve(reference) {
            Reading::Url(url) => url,
            Reading::TooLong => {
                self.too_long = true;
                return;
            }
            Reading::Nothing | Reading::Dropped => return,
        };
        match self.seen.entry(url) {
            Entry::Occupied(known) => {
                let known = &mut self.found[*known.get()];
                if known.text.is_empty() {
                    known.text = text();
                }
            }
            Entry::Vacant(_) if self.found.len() >= REFERENCES => self.over = true,
            Entry::Vacant(place) => {
                let words = fold(rel).to_ascii_lowercase();
                let rel = words.split(' ').filter(|w| !w.is_empty()).take(16).map(str::to_owned);
                let url = place.key().clone();
                self.found.push(Reference { url, text: text(), rel: rel.collect() });
                place.insert(self.found.len() - 1);
            }
        }
    }

    /// All, in order.
    pub fn finish(self, warnings: &mut Warnings) -> Vec<Reference> {
        if self.over {
            warnings.add(format!("more than {REFERENCES} links: the rest was not read"));
        }
        if self.too_long {
            warnings.add("a link's address is too long: left out");
        }
        self.found
    }
}
