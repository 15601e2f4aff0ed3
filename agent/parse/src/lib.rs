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
mod html;
mod image;
mod kind;
mod labels;
mod refresh;
mod sets;
mod tree;
mod warnings;

use vigie_wire::parse::{Document, Page, PageKind, Stylesheet};

use crate::address::Base;
use crate::decode::decode;
use crate::warnings::Warnings;

/// Reads a body: what it is, and when it is HTML, what it refers to.
///
/// The result's URLs are absolute. Those of `javascript:`, `mailto:`, `data:` and the like are
/// left out; any other scheme, and references that only look like an address, stand as written,
/// for the caller to refuse.
pub fn page(document: &Document) -> Page {
    let mut warnings = Warnings::default();
    let decoded = decode(document, &mut warnings);
    let kind = kind::kind(document.content_type.as_deref(), &decoded.bytes);
    let mut page = Page { kind, decoded_from: decoded.from, ..Page::default() };
    let base = Base::new(&document.url);
    refresh::from_fields(&document.headers, &base, &mut page, &mut warnings);
    if kind == PageKind::Binary {
        page.warnings = warnings.into_lines();
        return page;
    }
    let is_html = kind == PageKind::Html;
    let charset = charset::choose(&decoded.bytes, document.content_type.as_deref(), is_html, &mut warnings);
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

/// Reads a stylesheet: imports, fonts and images, in order.
pub fn stylesheet(document: &Document) -> Stylesheet {
    let mut warnings = Warnings::default();
    let decoded = decode(document, &mut warnings);
    let charset = charset::choose_css(&decoded.bytes, document.content_type.as_deref());
    let text = charset::text(&decoded.bytes, &charset, &mut warnings);
    let base = Base::new(&document.url);
    let mut found = sets::Requisites::default();
    css::sheet(&text, &base, &mut found, &mut warnings);
    Stylesheet { requisites: found.finish(&mut warnings), warnings: warnings.into_lines() }
}
