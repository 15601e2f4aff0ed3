//! Documents to read, and short ways to look at what came of them.

use vigie_parse::{page, stylesheet};
use vigie_wire::limits::DECODED_BODY_BYTES;
use vigie_wire::parse::{Document, Page, RequisiteClass, Stylesheet};

/// Where the documents of these tests come from.
pub const URL: &str = "http://market.test/dir/page";

/// A document with nothing but a body.
pub fn document(body: impl Into<Vec<u8>>) -> Document {
    Document {
        url: URL.into(),
        content_type: None,
        content_encoding: None,
        headers: Vec::new(),
        body: body.into().into(),
        cut: false,
        decoded_bytes: DECODED_BODY_BYTES as u32,
    }
}

/// The same with a type.
pub fn typed(content_type: &str, body: impl Into<Vec<u8>>) -> Document {
    Document { content_type: Some(content_type.as_bytes().to_vec().into()), ..document(body) }
}

/// Reads HTML in UTF-8.
pub fn html(body: &str) -> Page {
    page(&typed("text/html; charset=utf-8", body))
}

/// Reads a stylesheet in UTF-8.
pub fn css(body: &str) -> Stylesheet {
    stylesheet(&typed("text/css; charset=utf-8", body))
}

/// Addresses of links.
pub fn links(page: &Page) -> Vec<&str> {
    page.links.iter().map(|link| link.url.as_str()).collect()
}

/// Addresses of one class.
pub fn of_class(page: &Page, class: RequisiteClass) -> Vec<&str> {
    page.requisites.iter().filter(|r| r.class == class).map(|r| r.url.as_str()).collect()
}

/// Addresses of all requisites.
pub fn requisites(page: &Page) -> Vec<&str> {
    page.requisites.iter().map(|r| r.url.as_str()).collect()
}
