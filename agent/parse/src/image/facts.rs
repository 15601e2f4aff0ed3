//! What stands around a picture, counted once for each element that is asked about.

use std::collections::{HashMap, HashSet};

use ego_tree::iter::Edge;
use ego_tree::{NodeId, NodeRef};
use scraper::{ElementRef, Html, Node};

use super::{marks, price};
use crate::warnings::{fold_into, start};

/// Most nodes looked at under one element.
const NODES: usize = 600;
/// Most nodes looked at for all elements.
const ALL_NODES: usize = 2_000_000;
/// Siblings looked at on each side.
const SIBLINGS: usize = 8;
/// Longest class compared, in bytes.
const CLASS_BYTES: usize = 200;
/// Longest link compared, in bytes.
const LINK_BYTES: usize = 400;

/// What is under an element.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Letters of text.
    pub letters: usize,
    /// A price is among it.
    pub price: bool,
    /// A heading is.
    pub heading: bool,
    /// A price follows the heading of the page.
    pub headed: bool,
    /// A field to write in is.
    pub field: bool,
    /// Target of the link with the longest text, as written; not of one to a person.
    pub title: Option<String>,
}

/// Facts of one page.
pub struct Scene<'t> {
    html: &'t Html,
    facts: HashMap<NodeId, Facts>,
    /// Without what is in records.
    rest: HashMap<NodeId, Facts>,
    alike: HashMap<NodeId, bool>,
    flow: HashMap<NodeId, bool>,
    left: usize,
}

impl<'t> Scene<'t> {
    pub fn new(html: &'t Html) -> Self {
        Self {
            html,
            facts: HashMap::new(),
            rest: HashMap::new(),
            alike: HashMap::new(),
            flow: HashMap::new(),
            left: ALL_NODES,
        }
    }

    pub fn element(&self, id: NodeId) -> Option<ElementRef<'t>> {
        self.html.tree.get(id).and_then(ElementRef::wrap)
    }

    /// What is under an element.
    pub fn facts(&mut self, id: NodeId) -> Facts {
        if let Some(known) = self.facts.get(&id) {
            return known.clone();
        }
        let facts = self.look(id, &HashSet::new());
        self.facts.insert(id, facts.clone());
        facts
    }

    /// What is under an element, without what is under the records in it.
    pub fn rest(&mut self, id: NodeId, records: &HashSet<NodeId>) -> Facts {
        if let Some(known) = self.rest.get(&id) {
            return known.clone();
        }
        let facts = self.look(id, records);
        self.rest.insert(id, facts.clone());
        facts
    }

    fn look(&mut self, id: NodeId, without: &HashSet<NodeId>) -> Facts {
        let mut facts = Facts::default();
        let Some(node) = self.html.tree.get(id) else { return facts };
        let mut text = String::new();
        let (mut longest, mut skipped, mut headline) = (0, None, None);
        for edge in node.traverse().take(2 * NODES.min(self.left)) {
            match edge {
                Edge::Open(at) if skipped.is_none() => {
                    self.left = self.left.saturating_sub(1);
                    if at.id() != id && (without.contains(&at.id()) || (!without.is_empty() && is_frame(at))) {
                        skipped = Some(at.id());
                        continue;
                    }
                    match at.value() {
                        Node::Text(piece) => {
                            let piece = start(piece, 1_000);
                            facts.price |= price::is_word(piece) && !is_chosen(at);
                            fold_into(&mut text, piece);
                        }
                        Node::Element(element) => {
                            // What stands in two elements is not one word.
                            fold_into(&mut text, " ");
                            facts.heading |= matches!(element.name(), "h1" | "h2" | "h3");
                            // The vocabulary of schema.org: a price that may only be written in an attribute.
                            facts.price |= element.attr("itemprop") == Some("price");
                            if element.name() == "h1" {
                                headline.get_or_insert(text.len());
                            }
                            facts.field |= element.name() == "input" && is_written(element.attr("type"));
                            let length = if element.name() == "a" { letters_under(at) } else { 0 };
                            if length > longest
                                && let Some(href) = element.attr("href")
                                && !marks::leads_to_person(start(href, LINK_BYTES))
                            {
                                longest = length;
                                facts.title = Some(start(href, LINK_BYTES).trim_ascii().to_owned());
                            }
                        }
                        _ => {}
                    }
                }
                Edge::Close(at) if skipped == Some(at.id()) => skipped = None,
                _ => {}
            }
        }
        facts.letters = text.chars().filter(|c| c.is_alphabetic()).count();
        facts.price |= price::is_in(&text);
        facts.headed = headline.and_then(|at| text.get(at..)).is_some_and(price::is_in);
        facts
    }

    /// Whether an element beside it is built like this one, as rows and cards are.
    pub fn repeats(&mut self, id: NodeId) -> bool {
        if let Some(&known) = self.alike.get(&id) {
            return known;
        }
        let repeats = self.siblings(id).next().is_some();
        self.alike.insert(id, repeats);
        repeats
    }

    /// Whether one of those beside it has a price.
    pub fn priced_sibling(&mut self, id: NodeId) -> bool {
        let siblings: Vec<NodeId> = self.siblings(id).collect();
        siblings.into_iter().any(|other| self.facts(other).price)
    }

    /// Whether a price follows before the next of those beside it: of a term and its definition, or
    /// of two rows, the second has it.
    pub fn priced_after(&mut self, id: NodeId) -> bool {
        let Some(element) = self.element(id) else { return false };
        let after = element.next_siblings().filter_map(ElementRef::wrap).take(SIBLINGS);
        let others: Vec<NodeId> = after.take_while(|other| !alike(element, *other)).map(|other| other.id()).collect();
        others.into_iter().any(|other| self.facts(other).price)
    }

    /// Whether it is one of a flat list: of elements alike, each followed by its text in the same
    /// parent, and two at least by a price before the next one.
    pub fn priced_in_flow(&mut self, id: NodeId) -> bool {
        let Some(element) = self.element(id) else { return false };
        if !self.in_flow(element) {
            return false;
        }
        self.siblings(id)
            .take(SIBLINGS)
            .any(|other| self.element(other).is_some_and(|other| self.in_flow(other) && !self.adjoins(element, other)))
    }

    /// No letters between two elements: they belong to the same text.
    fn adjoins(&mut self, one: ElementRef<'t>, other: ElementRef<'t>) -> bool {
        let forward = one.next_siblings().take(2 * SIBLINGS).any(|node| node.id() == other.id());
        let (from, to) = if forward { (one, other) } else { (other, one) };
        let between: Vec<_> = from.next_siblings().take(2 * SIBLINGS).take_while(|node| node.id() != to.id()).collect();
        !between.into_iter().any(|node| self.letters(node) > 0)
    }

    fn letters(&mut self, node: NodeRef<'t, Node>) -> usize {
        match node.value() {
            Node::Text(text) => start(text, 100).chars().filter(|c| c.is_alphabetic()).count(),
            Node::Element(_) => self.facts(node.id()).letters,
            _ => 0,
        }
    }

    /// Whether a price follows before a rule, a heading, or the next element alike after any text.
    fn in_flow(&mut self, element: ElementRef<'t>) -> bool {
        if let Some(&known) = self.flow.get(&element.id()) {
            return known;
        }
        let flows = self.price_follows(element);
        self.flow.insert(element.id(), flows);
        flows
    }

    fn price_follows(&mut self, element: ElementRef<'t>) -> bool {
        let (mut text, mut letters) = (String::new(), 0);
        for node in element.next_siblings().take(2 * SIBLINGS) {
            if let Some(other) = ElementRef::wrap(node) {
                let ends = matches!(other.value().name(), "hr" | "h1" | "h2");
                if ends || (alike(element, other) && (letters > 0 || self.letters(node) > 0)) {
                    break;
                }
                if self.facts(node.id()).price {
                    return true;
                }
            }
            letters += self.letters(node);
            if let Some(piece) = node.value().as_text() {
                let piece = start(piece, 1_000);
                if price::is_word(piece) {
                    return true;
                }
                fold_into(&mut text, piece);
            }
        }
        price::is_in(&text)
    }

    fn siblings(&self, id: NodeId) -> impl Iterator<Item = NodeId> + use<'t> {
        let element = self.element(id);
        element.into_iter().flat_map(|element| {
            let near = element.prev_siblings().take(2 * SIBLINGS).chain(element.next_siblings().take(2 * SIBLINGS));
            near.filter_map(ElementRef::wrap).filter(move |other| alike(element, *other)).map(|other| other.id())
        })
    }
}

fn alike(one: ElementRef<'_>, other: ElementRef<'_>) -> bool {
    let (one, other) = (one.value(), other.value());
    if one.name() != other.name() {
        return false;
    }
    let classes = |class: Option<&str>| -> Vec<String> {
        let class = start(class.unwrap_or_default(), CLASS_BYTES);
        class.split_ascii_whitespace().map(str::to_owned).collect()
    };
    let (ours, theirs) = (classes(one.attr("class")), classes(other.attr("class")));
    if ours.is_empty() && theirs.is_empty() {
        // Parts of a layout have ids of their own; those of records differ by a number.
        let id = |id: Option<&str>| start(id.unwrap_or_default(), CLASS_BYTES).trim_end_matches(numbering).to_owned();
        return id(one.attr("id")) == id(other.attr("id"));
    }
    // A class more or less marks the first, the last or an advertised one.
    ours.iter().any(|class| theirs.contains(class))
}

/// Parts of a page whose prices belong to no offer.
fn is_frame(node: NodeRef<'_, Node>) -> bool {
    node.value().as_element().is_some_and(|element| matches!(element.name(), "nav" | "footer"))
}

/// The text of something to press or choose says no price.
fn is_chosen(node: NodeRef<'_, Node>) -> bool {
    let parent = node.parent().and_then(|parent| parent.value().as_element());
    parent.is_some_and(|element| matches!(element.name(), "a" | "button" | "option" | "label" | "title"))
}

fn is_written(kind: Option<&str>) -> bool {
    kind.is_none_or(|kind| matches!(start(kind, 16).to_ascii_lowercase().as_str(), "" | "text" | "password" | "number"))
}

fn numbering(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, '-' | '_')
}

fn letters_under(node: NodeRef<'_, Node>) -> usize {
    let texts = node.descendants().take(50).filter_map(|node| node.value().as_text());
    texts.map(|text| start(text, 200).chars().filter(|c| c.is_alphabetic()).count()).sum()
}
