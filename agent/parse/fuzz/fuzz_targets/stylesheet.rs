//! Any stylesheet.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vigie_parse::{FAILED, stylesheet};
use vigie_wire::limits::{REFERENCES, URL_BYTES};
use vigie_wire::parse::Document;

fuzz_target!(|data: &[u8]| {
    let document = Document {
        url: "http://market.test/css/main.css".into(),
        content_type: Some(b"text/css".to_vec().into()),
        content_encoding: None,
        headers: Vec::new(),
        body: data.to_vec().into(),
        cut: false,
        decoded_bytes: 1 << 20,
    };
    let sheet = stylesheet(&document);
    assert!(sheet.requisites.len() <= REFERENCES && sheet.warnings.iter().all(|line| line != FAILED));
    assert!(sheet.requisites.iter().all(|r| !r.url.is_empty() && r.url.len() <= URL_BYTES));
});
