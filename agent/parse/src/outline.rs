//! A page as whoever draws it needs it: the elements and texts of the same limited tree that links are
//! read from, one after the other.

use ego_tree::iter::Edge;
use html5ever::ns;
use scraper::{ElementRef, Node};
use vigie_wire::parse::{Document, PageKind};

use crate::address::Base;
use crate::decode::decode;
use crate::guard::OBJECT;
use crate::tree::Tree;
use crate::warnings::Warnings;
use crate::{charset, contained, html, kind};

/// Where the names of an element come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Space {
    /// HTML.
    Html,
    /// SVG.
    Svg,
    /// MathML, or one that no browser knows.
    Other,
}

/// What comes next in a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// An element begins.
    Open {
        /// Where its name comes from.
        space: Space,
        /// Its name, in lower case when it is HTML's.
        name: &'t str,
        /// Its attributes, sorted by name.
        attributes: Vec<(&'t str, &'t str)>,
    },
    /// Text.
    Text(&'t str),
    /// The element that began last and has not ended ends.
    Close,
}

/// A page whose tree is built.
pub struct Outline {
    tree: Tree,
    base: String,
    elements: usize,
    text_bytes: usize,
    warnings: Vec<String>,
}

impl Outline {
    /// Builds the tree. `None` when the body is no HTML, or when building failed inside the parser.
    pub fn of(document: &Document) -> Option<Self> {
        contained(|| Self::build(document)).flatten()
    }

    fn build(document: &Document) -> Option<Self> {
        let mut warnings = Warnings::default();
        let decoded = decode(document, &mut warnings);
        let content_type = document.content_type.as_deref();
        if kind::kind(content_type, &decoded.bytes) != PageKind::Html {
            return None;
        }
        let charset = charset::choose(&decoded.bytes, content_type, true, !document.cut, &mut warnings);
        let html::Built { tree, odd, .. } = html::build(document, &decoded.bytes, charset);
        warnings.append(odd);
        let mut base = Base::new(&document.url);
        let elements = tree.html.tree.root().descendants().filter_map(ElementRef::wrap);
        let mut bases = elements.filter(|e| e.value().name() == "base" && e.value().name.ns == ns!(html));
        if let Some(href) = bases.find_map(|element| element.value().attr("href")) {
            base.set(href);
        }
        let (mut elements, mut text_bytes) = (0, 0);
        for node in tree.html.tree.nodes() {
            match node.value() {
                Node::Element(_) => elements += 1,
                Node::Text(text) => text_bytes += text.len(),
                _ => {}
            }
        }
        let base = base.url().map_or_else(|| document.url.clone(), |url| url.as_str().to_owned());
        Some(Self { tree, base, elements, text_bytes, warnings: warnings.into_lines() })
    }

    /// What references are resolved against: an absolute URL, unless the page has none.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// How many elements there are.
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// Bytes of text in all, scripts and styles included.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// Whatever was odd, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Gives the pieces in order; each `Open` has its `Close`.
    pub fn walk<'t>(&'t self, each: &mut dyn FnMut(Piece<'t>)) {
        for edge in self.tree.html.tree.root().traverse() {
            match edge {
                Edge::Open(node) => match node.value() {
                    Node::Element(element) => {
                        let space = match &element.name.ns {
                            space if *space == ns!(html) => Space::Html,
                            space if *space == ns!(svg) => Space::Svg,
                            _ => Space::Other,
                        };
                        let name = if element.name() == OBJECT { "object" } else { element.name() };
                        // The tree keeps them in no order of its own.
                        let mut attributes: Vec<_> = element.attrs().collect();
                        attributes.sort_unstable();
                        each(Piece::Open { space, name, attributes });
                    }
                    Node::Text(text) => each(Piece::Text(text)),
                    _ => {}
                },
                Edge::Close(node) => {
                    if node.value().is_element() {
                        each(Piece::Close);
                    }
                }
            }
        }
    }
}

/// A stylesheet as text: content codings removed, in its character set (CSS Syntax §3.2).
pub fn sheet_text(document: &Document) -> String {
    contained(|| {
        let mut warnings = Warnings::default();
        let decoded = decode(document, &mut warnings);
        let charset = charset::choose_css(&decoded.bytes, document.content_type.as_deref());
        charset::text(&decoded.bytes, &charset, &mut warnings).into_owned()
    })
    .unwrap_or_default()
}
