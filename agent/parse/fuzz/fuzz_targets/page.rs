//! Any body, as any type, in any coding, with fields.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vigie_parse::{FAILED, page};
use vigie_wire::limits::{REFERENCES, TEXT_BYTES, URL_BYTES};
use vigie_wire::parse::Document;

const TYPES: [Option<&str>; 8] = [
    Some("text/html; charset=utf-8"),
    Some("text/html"),
    Some("application/xhtml+xml"),
    Some("text/html; charset=utf-16"),
    Some("text/html; charset=iso-2022-jp"),
    Some("text/html; charset=gb18030"),
    Some("text/plain"),
    None,
];
const CODINGS: [Option<&str>; 8] =
    [None, None, None, Some("gzip"), Some("br"), Some("zstd"), Some("deflate"), Some("deflate, gzip")];

fuzz_target!(|data: &[u8]| {
    let Some((&[kind, coding, flags, field], body)) = data.split_first_chunk::<4>() else { return };
    let (field, body) = body.split_at(usize::from(field).min(body.len()));
    let bytes = |text: &str| text.as_bytes().to_vec().into();
    let mut headers = Vec::new();
    if !field.is_empty() {
        let name = if flags & 4 == 0 { "link" } else { "refresh" };
        headers.push((name.to_owned(), field.to_vec().into()));
    }
    let document = Document {
        url: if flags & 1 == 0 { "http://market.test/dir/page" } else { "http://[::1]:8080/a?b" }.into(),
        content_type: TYPES[usize::from(kind) % TYPES.len()].map(bytes),
        content_encoding: CODINGS[usize::from(coding) % CODINGS.len()].map(bytes),
        headers,
        body: body.to_vec().into(),
        cut: flags & 2 != 0,
        decoded_bytes: 1 << 20,
    };
    let page = page(&document);
    assert!(page.links.len() <= REFERENCES && page.requisites.len() <= REFERENCES && page.forms.len() <= REFERENCES);
    assert!(page.title.len() <= TEXT_BYTES && page.warnings.iter().all(|line| line != FAILED));
    assert!(page.links.iter().all(|link| link.url.len() <= URL_BYTES && link.text.len() <= TEXT_BYTES));
    assert!(page.requisites.iter().all(|r| !r.url.is_empty() && r.url.len() <= URL_BYTES));
});
