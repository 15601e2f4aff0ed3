//! Small helpers on text and types.

use vigie_wire::limits::TEXT_BYTES;
use vigie_wire::parse::PageKind;

/// White space folded, cut at the limit of a message.
pub fn fold(text: &str) -> String {
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.push_str(word);
        if out.len() > TEXT_BYTES {
            break;
        }
    }
    let mut end = out.len().min(TEXT_BYTES);
    while !out.is_char_boundary(end) {
        end -= 1;
    }
    out.truncate(end);
    out
}

/// What a body is, by its type; without one, by its first bytes.
pub fn kind(content_type: Option<&[u8]>, bytes: &[u8]) -> PageKind {
    let named = content_type.map(|value| String::from_utf8_lossy(value).to_ascii_lowercase()).unwrap_or_default();
    let essence = named.split(';').next().unwrap_or_default().trim();
    match essence {
        "text/html" | "application/xhtml+xml" => PageKind::Html,
        "text/css" => PageKind::Stylesheet,
        "" | "application/octet-stream" | "text/plain" if looks_like_html(bytes) => PageKind::Html,
        "" if std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0) => PageKind::Text,
        essence
            if essence.starts_with("text/")
                || essence.ends_with("json")
                || essence.ends_with("xml")
                || essence.ends_with("javascript") =>
        {
            PageKind::Text
        }
        _ => PageKind::Binary,
    }
}

/// The MIME sniffing standard's idea: an HTML tag at the start, after white space.
fn looks_like_html(bytes: &[u8]) -> bool {
    let start = bytes[..bytes.len().min(512)].trim_ascii_start().to_ascii_lowercase();
    let start = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&start).trim_ascii_start();
    [&b"<!doctype html"[..], b"<html", b"<head", b"<body", b"<title", b"<table", b"<div", b"<h1", b"<a ", b"<p>", b"<!--"]
        .iter()
        .any(|tag| start.starts_with(tag))
}
