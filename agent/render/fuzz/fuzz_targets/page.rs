//! Any page, with any stylesheet and any picture beside it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use vigie_render::PAGE_HEIGHT;
use vigie_wire::draw::{CannotDraw, Element, Held, ToDrawPage};
use vigie_wire::limits::PICTURE_BYTES;
use vigie_wire::parse::Document;

fn document(url: &str, kind: &str, body: &[u8]) -> Document {
    Document {
        url: url.into(),
        content_type: Some(kind.as_bytes().to_vec().into()),
        content_encoding: None,
        headers: Vec::new(),
        body: body.to_vec().into(),
        cut: false,
        decoded_bytes: 1 << 20,
    }
}

// The input's first two bytes say where the page ends and the stylesheet ends; the rest is the picture.
fuzz_target!(|data: &[u8]| {
    let Some((&[page, sheet], rest)) = data.split_first_chunk::<2>() else { return };
    let (html, rest) = rest.split_at(rest.len() * usize::from(page) / 255);
    let (css, image) = rest.split_at(rest.len() * usize::from(sheet) / 255);
    let element = |url: &str, kind, body| Element { url: url.into(), held: Held::Body(document(url, kind, body)) };
    let order = ToDrawPage {
        page: document("http://market.test/", "text/html; charset=utf-8", html),
        elements: vec![
            element("http://market.test/a.css", "text/css", css),
            element("http://market.test/a.png", "image/png", image),
        ],
    };
    match vigie_render::draw(&order) {
        Ok(picture) => {
            assert!(picture.tiles.iter().map(|tile| tile.height).sum::<u32>() <= PAGE_HEIGHT);
            assert!(picture.tiles.iter().map(|tile| tile.png.len()).sum::<usize>() <= PICTURE_BYTES);
        }
        Err(error) => assert!(!matches!(error, CannotDraw::Failed(_)), "{error}"),
    }
});
