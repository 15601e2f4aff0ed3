//! Orders, and looking at pictures.

use vigie_wire::draw::{CannotDraw, Element, Held, Picture, ToDrawPage};
use vigie_wire::parse::Document;

pub const HOST: &str = "http://market.test/";

pub fn document(url: &str, kind: &str, body: impl Into<Vec<u8>>) -> Document {
    Document {
        url: url.to_owned(),
        content_type: Some(kind.as_bytes().to_vec().into()),
        content_encoding: None,
        headers: Vec::new(),
        body: body.into().into(),
        cut: false,
        decoded_bytes: 32 * 1024 * 1024,
    }
}

pub fn order(html: impl Into<Vec<u8>>) -> ToDrawPage {
    ToDrawPage { page: document(HOST, "text/html; charset=utf-8", html), elements: Vec::new() }
}

pub fn with(mut order: ToDrawPage, path: &str, kind: &str, body: impl Into<Vec<u8>>) -> ToDrawPage {
    let url = format!("{HOST}{path}");
    order.elements.push(Element { held: Held::Body(document(&url, kind, body)), url });
    order
}

pub fn withheld(mut order: ToDrawPage, path: &str, why: &str) -> ToDrawPage {
    order.elements.push(Element { url: format!("{HOST}{path}"), held: Held::Withheld(why.to_owned()) });
    order
}

/// Draws on a stack as large as the process's; the harness's threads have less.
pub fn try_draw(order: ToDrawPage) -> Result<Picture, CannotDraw> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(64 * 1024 * 1024);
        thread.spawn_scoped(scope, || vigie_render::draw(&order)).unwrap().join().unwrap()
    })
}

pub fn draw(order: ToDrawPage) -> Picture {
    try_draw(order).unwrap()
}

/// Pixels of a tile, three bytes each, and its height.
pub fn pixels(picture: &Picture, tile: usize) -> (Vec<u8>, u32) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(&picture.tiles[tile].png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.color_type), (picture.width, png::ColorType::Rgb));
    (pixels, info.height)
}

pub fn at(pixels: &[u8], x: u32, y: u32) -> [u8; 3] {
    let place = (y as usize * vigie_render::WIDTH as usize + x as usize) * 3;
    pixels[place..place + 3].try_into().unwrap()
}

/// How many pixels of a part are nearly this colour.
pub fn count(pixels: &[u8], (x, y): (u32, u32), (width, height): (u32, u32), colour: [u8; 3]) -> u32 {
    let near = |x, y| at(pixels, x, y).iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 40);
    (y..y + height).map(|y| (x..x + width).filter(|x| near(*x, y)).count() as u32).sum()
}

/// A picture of one colour.
pub fn plain_png(width: u32, height: u32, colour: [u8; 3]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(png::ColorType::Rgb);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&colour.repeat(width as usize * height as usize)).unwrap();
    writer.finish().unwrap();
    out
}

pub fn warned(picture: &Picture, words: &str) -> bool {
    picture.warnings.iter().any(|line| line.contains(words))
}
