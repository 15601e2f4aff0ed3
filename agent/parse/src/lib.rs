//! Hostile bytes in, plain values out: content codings, character sets, HTML, CSS. No network, no
//! file, no clock. A bad page is data: it gives warnings, never an error, and never a panic.

mod charset;
mod decode;
mod html;
mod image;
mod refs;
mod sheet;
mod text;

use vigie_wire::parse::{Document, Page, PageKind, Stylesheet};

/// Reads a page.
pub fn page(document: &Document) -> Page {
    let decoded = decode::decode(document);
    let mut page = Page { decoded_from: decoded.codings, warnings: decoded.warnings, ..Page::default() };
    let kind = text::kind(document.content_type.as_deref(), &decoded.bytes);
    page.kind = kind;
    if kind == PageKind::Binary {
        return page;
    }
    let chosen = charset::decode(document.content_type.as_deref(), &decoded.bytes, kind == PageKind::Html);
    page.charset = chosen.name;
    page.charset_source = chosen.source;
    page.warnings.extend(chosen.warnings);
    match kind {
        PageKind::Html => html::read(document, &chosen.text, &mut page),
        PageKind::Stylesheet => {
            let sheet = sheet::read(&document.url, &chosen.text);
            page.requisites = sheet.requisites;
            page.warnings.extend(sheet.warnings);
        }
        PageKind::Text | PageKind::Binary => {}
    }
    page
}

/// Reads a stylesheet.
pub fn stylesheet(document: &Document) -> Stylesheet {
    let decoded = decode::decode(document);
    let chosen = charset::decode(document.content_type.as_deref(), &decoded.bytes, false);
    let mut sheet = sheet::read(&document.url, &chosen.text);
    sheet.warnings.splice(0..0, decoded.warnings.into_iter().chain(chosen.warnings));
    sheet
}
