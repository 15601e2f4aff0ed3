//! Reading hostile bytes: content codings, character sets, HTML and CSS in; links, requisites,
//! forms and warnings out ([`vigie_wire::parse`]).
//!
//! Pure: no network, no file, no clock, no state between calls. A bad page is data: whatever is
//! odd becomes a line in `warnings`, never an error. Every step has a limit (decoded bytes,
//! elements, nesting, attributes, references), so that memory stays within a small multiple of
//! [`vigie_wire::parse::Document::decoded_bytes`] and time grows with the size of the page.

mod address;
mod charset;
mod css;
mod decode;
mod forms;
mod guard;
mod html;
mod image;
mod kind;
mod labels;
mod lexer;
mod linkfield;
mod obstacle;
mod outline;
mod refresh;
mod sets;
mod srcset;
mod text;
mod tree;
mod warnings;

use std::panic::{AssertUnwindSafe, catch_unwind};

use vigie_wire::parse::{Document, Page, PageKind, Stylesheet};

pub use crate::outline::{Outline, Piece, Space, sheet_text};

use crate::address::Base;
use crate::decode::decode;
use crate::warnings::Warnings;

/// What is said of a document on which reading itself failed.
pub const FAILED: &str = "reading failed inside the parser: nothing of this document is known";

/// Reads a body: what it is, and when it is HTML, what it refers to.
///
/// The result's URLs are absolute. Those of `javascript:`, `mailto:`, `data:` and the like are
/// left out; any other scheme, and references that only look like an address, stand as written,
/// for the caller to refuse.
pub fn page(document: &Document) -> Page {
    contained(|| read(document)).unwrap_or_else(|| Page { warnings: vec![FAILED.into()], ..Page::default() })
}

/// Reads a stylesheet: imports, fonts and images, in order.
pub fn stylesheet(document: &Document) -> Stylesheet {
    contained(|| read_sheet(document))
        .unwrap_or_else(|| Stylesheet { warnings: vec![FAILED.into()], ..Stylesheet::default() })
}

/// Title and visible text of a page, each at most so many bytes; both empty for what is no HTML, and on
/// which reading failed.
pub fn text(document: &Document, most: usize) -> (String, String) {
    contained(|| {
        let mut warnings = Warnings::default();
        let decoded = decode(document, &mut warnings);
        let content_type = document.content_type.as_deref();
        let html = kind::kind(content_type, &decoded.bytes) == PageKind::Html;
        if !html {
            return (String::new(), String::new());
        }
        let charset = charset::choose(&decoded.bytes, content_type, true, !document.cut, &mut warnings);
        html::text(document, &decoded.bytes, charset, most)
    })
    .unwrap_or_default()
}

/// The body without its content codings, and what was odd about them. What cannot be decoded is
/// given as it is; nothing beyond the limits is given.
pub fn body(document: &Document) -> (Vec<u8>, Vec<String>) {
    contained(|| {
        let mut warnings = Warnings::default();
        let decoded = decode(document, &mut warnings);
        (decoded.bytes.into_owned(), warnings.into_lines())
    })
    .unwrap_or_else(|| (Vec::new(), vec![FAILED.into()]))
}

/// A page must not escape being recorded by an error in a library that reads it. Nothing is shared
/// with what failed, so that nothing is left half done.
fn contained<T>(read: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(read)).ok()
}

fn read(document: &Document) -> Page {
    let mut warnings = Warnings::default();
    let decoded = decode(document, &mut warnings);
    let content_type = document.content_type.as_deref();
    let kind = kind::kind(content_type, &decoded.bytes);
    let mut page = Page { kind, decoded_from: decoded.from, ..Page::default() };
    let base = Base::new(&document.url);
    refresh::from_fields(&document.headers, &base, &mut page, &mut warnings);
    if kind == PageKind::Binary {
        page.warnings = warnings.into_lines();
        return page;
    }
    let is_html = kind == PageKind::Html;
    let charset = charset::choose(&decoded.bytes, content_type, is_html, !document.cut, &mut warnings);
    if is_html {
        html::read(document, &decoded.bytes, charset, base, &mut page, &mut warnings);
    } else {
        charset::text(&decoded.bytes, &charset, &mut warnings);
        page.charset = charset.name();
        page.charset_source = charset.source.into();
    }
    page.warnings = warnings.into_lines();
    page
}

fn read_sheet(document: &Document) -> Stylesheet {
    let mut warnings = Warnings::default();
    let decoded = decode(document, &mut warnings);
    let charset = charset::choose_css(&decoded.bytes, document.content_type.as_deref());
    let text = charset::text(&decoded.bytes, &charset, &mut warnings);
    let base = Base::new(&document.url);
    let mut found = sets::Requisites::default();
    let mut left = html::most_read(text.len());
    let mut add = |reference: &str, class| {
        // What a reference costs is its length once resolved.
        if left >= base.length() {
            left -= base.length();
            found.add(&base, reference, class);
        }
    };
    css::sheet(&text, &mut add, &mut warnings);
    Stylesheet { requisites: found.finish(&mut warnings), warnings: warnings.into_lines() }
}
