//! What a body is taken for.

use vigie_wire::parse::PageKind;

/// How far a body is looked at, in bytes (WHATWG MIME Sniffing §5.2 looks at 1,445).
const SNIFF_BYTES: usize = 1445;

/// From `Content-Type`; from the first bytes when there is none (MIME Sniffing §7.1).
pub fn kind(content_type: Option<&[u8]>, body: &[u8]) -> PageKind {
    let essence = essence(content_type);
    match essence.as_str() {
        "text/html" | "application/xhtml+xml" => PageKind::Html,
        "text/css" => PageKind::Stylesheet,
        "" | "unknown/unknown" | "application/unknown" | "*/*" => sniff(body),
        _ if !essence.contains('/') => sniff(body),
        "application/json"
        | "application/xml"
        | "application/javascript"
        | "application/x-javascript"
        | "application/ecmascript"
        | "application/pgp-keys"
        | "application/pgp-signature" => PageKind::Text,
        _ if essence.starts_with("text/") => PageKind::Text,
        _ if essence.ends_with("+xml") || essence.ends_with("+json") => PageKind::Text,
        _ => PageKind::Binary,
    }
}

/// Whether a type says XHTML, where self-closing tags close their element.
pub fn is_xhtml(content_type: Option<&[u8]>) -> bool {
    essence(content_type) == "application/xhtml+xml"
}

/// Type and subtype in lower case.
fn essence(content_type: Option<&[u8]>) -> String {
    let value = content_type.unwrap_or_default();
    let essence = value.split(|&b| b == b';' || b == b',').next().unwrap_or_default();
    String::from_utf8_lossy(&essence[..essence.len().min(200)]).trim().to_ascii_lowercase()
}

const OPENINGS: [&[u8]; 21] = [
    b"<!doctype html",
    b"<html",
    b"<head",
    b"<script",
    b"<iframe",
    b"<h1",
    b"<div",
    b"<font",
    b"<table",
    b"<a",
    b"<style",
    b"<title",
    b"<b",
    b"<body",
    b"<br",
    b"<p",
    b"<!--",
    b"<meta",
    b"<link",
    b"<form",
    b"<center",
];

fn sniff(body: &[u8]) -> PageKind {
    let body = &body[..body.len().min(SNIFF_BYTES)];
    let marked = body.starts_with(b"\xfe\xff") || body.starts_with(b"\xff\xfe");
    let plain = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let html = OPENINGS.iter().any(|opening| {
        let Some((start, rest)) = plain.split_at_checked(opening.len()) else { return false };
        let ends = *opening == b"<!--".as_slice() || rest.first().is_none_or(|b| b.is_ascii_whitespace() || *b == b'>');
        start.eq_ignore_ascii_case(opening) && ends
    });
    // Binary data bytes of MIME Sniffing §3.
    let binary = body.iter().any(|b| matches!(b, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f));
    match (html, binary && !marked) {
        (true, _) => PageKind::Html,
        (false, false) => PageKind::Text,
        (false, true) => PageKind::Binary,
    }
}
