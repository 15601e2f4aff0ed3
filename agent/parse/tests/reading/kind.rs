//! What a body is taken for (WHATWG MIME Sniffing §7.1).

use vigie_parse::page;
use vigie_wire::parse::{Document, PageKind};

use crate::fixture::{document, typed};

#[test]
fn the_declared_type_counts() {
    for (content_type, kind) in [
        ("text/html", PageKind::Html),
        ("TEXT/HTML ; charset=utf-8", PageKind::Html),
        ("application/xhtml+xml", PageKind::Html),
        ("text/html, text/plain", PageKind::Html),
        ("text/css", PageKind::Stylesheet),
        ("text/plain", PageKind::Text),
        ("application/json", PageKind::Text),
        ("application/ld+json", PageKind::Text),
        ("image/svg+xml", PageKind::Text),
        ("application/pgp-keys", PageKind::Text),
        ("image/png", PageKind::Binary),
        ("application/octet-stream", PageKind::Binary),
        ("application/x-unheard-of", PageKind::Binary),
    ] {
        assert_eq!(page(&typed(content_type, "<html>")).kind, kind, "{content_type}");
    }
}

#[test]
fn without_a_type_the_beginning_tells() {
    let cases: [(&[u8], PageKind); 14] = [
        (b"<!DOCTYPE html>", PageKind::Html),
        (b"  \n<HTML lang=en>", PageKind::Html),
        (b"\xef\xbb\xbf<p>x", PageKind::Html),
        (b"<!-- x --><p>", PageKind::Html),
        (b"<a href=x>", PageKind::Html),
        (b"<abbr>x", PageKind::Text),
        (b"-----BEGIN PGP MESSAGE-----", PageKind::Text),
        (b"", PageKind::Text),
        (b"\xff\xfe<\0h\0", PageKind::Text),
        (b"\x89PNG\r\n\x1a\n\0\0", PageKind::Binary),
        (b"\x1f\x8b\x08\0", PageKind::Binary),
        (b"GIF89a\x01\0", PageKind::Binary),
        (b"plain \xe9", PageKind::Text),
        (b"\0<html>", PageKind::Binary),
    ];
    for (body, kind) in cases {
        assert_eq!(page(&document(body)).kind, kind, "{body:?}");
        for unknown in ["", "unknown/unknown", "*/*", "nonsense"] {
            assert_eq!(page(&typed(unknown, body)).kind, kind, "{unknown} {body:?}");
        }
    }
}

#[test]
fn only_html_refers_to_anything() {
    for content_type in ["text/plain", "image/png", "text/css", "application/json"] {
        let page = page(&typed(content_type, "<a href=/x>y</a><img src=/z>"));
        assert!(page.links.is_empty() && page.requisites.is_empty(), "{content_type}");
    }
    // But a field does, whatever the body is.
    let headers = vec![("refresh".to_owned(), "0; url=/next".into())];
    let page = page(&Document { headers, ..typed("image/png", "x") });
    assert_eq!(page.refresh, Some((0, "http://market.test/next".into())));
}
