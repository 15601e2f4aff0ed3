//! Stylesheets and pictures of a page: what was handed over with it, or stands in it as a `data:` address. There
//! is nowhere else to get anything from.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;
use std::sync::{Mutex, MutexGuard, PoisonError};

use blitz_traits::net::{NetHandler, NetProvider, Request};
use bytes::Bytes;
use image::{DynamicImage, ExtendedColorType, ImageFormat, ImageReader, Limits};
use url::Url;
use vigie_wire::draw::{Element, Held};
use vigie_wire::parse::Document;

use crate::Warnings;

/// Most bytes of stylesheets, those inside the page included.
const SHEETS: usize = 2 * 1024 * 1024;
/// Largest picture that is decoded, in pixels.
const PICTURE_PIXELS: u64 = 24_000_000;
/// Largest side of one, in pixels.
const PICTURE_SIDE: u32 = 16_384;
/// Most bytes that decoding one may take beside the picture itself.
const PICTURE_MEMORY: u64 = 128 * 1024 * 1024;
/// Size from which on a picture is drawn from a smaller copy, in pixels.
const COPY_PIXELS: u64 = 2_000_000;
/// Most pixels of all pictures of a page, copies counted.
const PIXELS: u64 = 24_000_000;
/// Most pictures of a page.
const PICTURES: u32 = 1_000;
/// Most requests of a page's styles and elements.
const REQUESTS: u32 = 10_000;

/// See the module.
pub struct Elements {
    held: HashMap<String, Held>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Pictures that were decoded, or why there is none.
    pictures: HashMap<String, Result<Bytes, String>>,
    pixels: u64,
    sheet_bytes: usize,
    asked: u32,
    /// Kinds of things that are not as they should be, and how often.
    odd: BTreeMap<&'static str, u32>,
    /// What is missing.
    missing: Vec<String>,
}

impl Elements {
    pub fn new(elements: &[Element]) -> Self {
        let held = elements.iter().map(|element| (key(&element.url).to_owned(), element.held.clone())).collect();
        Self { held, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts something that is not drawn as it should be.
    pub fn odd(&self, what: &'static str) {
        *self.state().odd.entry(what).or_default() += 1;
    }

    /// How often anything was asked for.
    pub fn asked(&self) -> u32 {
        self.state().asked
    }

    /// Whether a picture can be drawn; else what its box says.
    pub fn picture(&self, url: &str) -> Result<(), String> {
        self.decoded(url).map(drop)
    }

    /// Whether there is a stylesheet; a missing one is noted.
    pub fn has_sheet(&self, url: &str) -> bool {
        match self.held.get(key(url)) {
            Some(Held::Body(_)) => true,
            _ if url.starts_with("data:") => true,
            other => {
                self.miss("stylesheet", url, &reason(other));
                false
            }
        }
    }

    /// Takes the bytes of a stylesheet from what a page may have.
    pub fn take_sheet(&self, bytes: usize) -> bool {
        let mut state = self.state();
        if state.sheet_bytes + bytes > SHEETS {
            *state.odd.entry("stylesheet(s) left out: more than 2 MiB in all").or_default() += 1;
            return false;
        }
        state.sheet_bytes += bytes;
        true
    }

    fn miss(&self, what: &str, url: &str, why: &str) {
        let mut state = self.state();
        let url = if url.starts_with("data:") { "in the page itself" } else { url };
        state.missing.push(format!("{what} {url}: {why}"));
    }

    /// The picture in a form that takes no memory beyond its pixels to read.
    fn decoded(&self, url: &str) -> Result<Bytes, String> {
        let name = key(url);
        if let Some(known) = self.state().pictures.get(name) {
            return known.clone();
        }
        let body = match self.held.get(name) {
            Some(Held::Body(document)) => Ok(body(document)),
            None if name.starts_with("data:") => {
                data(url).map(|(_, bytes)| bytes).ok_or("it cannot be read".to_owned())
            }
            other => Err(reason(other)),
        };
        let picture = body.and_then(|bytes| self.decode(&bytes));
        if let Err(why) = &picture {
            self.miss("picture", url, why);
        }
        self.state().pictures.insert(name.to_owned(), picture.clone());
        picture
    }

    fn decode(&self, bytes: &[u8]) -> Result<Bytes, String> {
        if self.state().pictures.len() >= PICTURES as usize {
            return Err(format!("more than {PICTURES} pictures"));
        }
        let unread = |error: &dyn std::fmt::Display| format!("it cannot be read: {error}");
        let format = image::guess_format(bytes).map_err(|_| {
            if is_svg(bytes) { "SVG is not drawn".to_owned() } else { "its format is not known".to_owned() }
        })?;
        if !matches!(format, ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::Gif | ImageFormat::WebP) {
            return Err("its format is not known".into());
        }
        let (width, height) =
            ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().map_err(|e| unread(&e))?;
        let pixels = u64::from(width) * u64::from(height);
        if pixels > PICTURE_PIXELS || width.max(height) > PICTURE_SIDE {
            return Err(format!("{width} x {height} pixels are too many"));
        }
        let factor = (1..).find(|factor| pixels / (factor * factor) <= COPY_PIXELS).unwrap_or(1);
        if self.state().pixels + pixels / (factor * factor) > PIXELS {
            return Err(format!("the page's pictures have more than {PIXELS} pixels"));
        }
        let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
        let mut limits = Limits::default();
        (limits.max_image_width, limits.max_image_height) = (Some(PICTURE_SIDE), Some(PICTURE_SIDE));
        limits.max_alloc = Some(PICTURE_MEMORY);
        reader.limits(limits);
        // Of an animation, the first picture.
        let mut picture = reader.decode().map_err(|e| unread(&e))?;
        if factor > 1 {
            let side = |side: u32| (side / factor as u32).max(1);
            picture = DynamicImage::ImageRgba8(image::imageops::thumbnail(&picture, side(width), side(height)));
            self.odd("picture(s) of more than 2,000,000 pixels drawn from a smaller copy");
        }
        let picture = picture.into_rgba8();
        self.state().pixels += u64::from(picture.width()) * u64::from(picture.height());
        let mut plain = Vec::with_capacity(picture.as_raw().len() + 128);
        image::codecs::pnm::PnmEncoder::new(&mut plain)
            .with_subtype(image::codecs::pnm::PnmSubtype::ArbitraryMap)
            .encode(picture.as_raw().as_slice(), picture.width(), picture.height(), ExtendedColorType::Rgba8)
            .map_err(|e| unread(&e))?;
        Ok(plain.into())
    }

    fn sheet(&self, url: &Url) -> Option<Bytes> {
        let text = match self.held.get(key(url.as_str())) {
            Some(Held::Body(document)) => vigie_parse::sheet_text(document),
            _ => {
                let (kind, bytes) = data(url.as_str())?;
                vigie_parse::sheet_text(&Document { content_type: Some(kind.into_bytes().into()), ..plain(bytes) })
            }
        };
        self.take_sheet(text.len()).then(|| text.into_bytes().into())
    }

    /// In words.
    pub fn warn(&self, warnings: &mut Warnings) {
        let state = self.state();
        for (what, count) in &state.odd {
            warnings.add(&format!("{count} {what}"));
        }
        state.missing.iter().for_each(|line| warnings.add(line));
    }

    /// What a request may have: a picture, a stylesheet, nothing.
    fn answer(&self, url: &Url) -> Bytes {
        {
            let mut state = self.state();
            state.asked += 1;
            if state.asked > REQUESTS {
                *state.odd.entry("element(s) left out: more than 10,000 are asked for").or_default() += 1;
                return Bytes::new();
            }
        }
        let start = match self.held.get(key(url.as_str())) {
            Some(Held::Body(document)) => (document.content_type.clone().unwrap_or_default(), document.body.clone()),
            Some(Held::Withheld(_)) => Default::default(),
            None => match data(url.as_str()) {
                Some((kind, bytes)) => (kind.into_bytes().into(), bytes),
                None => Default::default(),
            },
        };
        let kind = String::from_utf8_lossy(&start.0).to_ascii_lowercase();
        if is_font(&start.1) || kind.contains("font") {
            self.odd("font(s) of the page itself not used");
            return Bytes::new();
        }
        if start.1.is_empty() {
            self.miss("element", url.as_str(), &reason(self.held.get(key(url.as_str()))));
            return Bytes::new();
        }
        let raster = image::guess_format(&start.1).is_ok();
        if !raster && (kind.starts_with("text/css") || !kind.starts_with("image/")) && !start.1.is_empty() {
            return self.sheet(url).unwrap_or_default();
        }
        self.decoded(url.as_str()).unwrap_or_default()
    }
}

impl NetProvider for Elements {
    /// Answers at once, with nothing where there is nothing: a page waits for its stylesheets.
    fn fetch(&self, _: usize, request: Request, handler: Box<dyn NetHandler>) {
        let bytes = self.answer(&request.url);
        handler.bytes(request.url.to_string(), bytes);
    }
}

fn reason(held: Option<&Held>) -> String {
    match held {
        Some(Held::Withheld(why)) => why.clone(),
        _ => "not recorded".into(),
    }
}

/// A URL without its fragment.
fn key(url: &str) -> &str {
    url.split_once('#').map_or(url, |(url, _)| url)
}

fn body(document: &Document) -> Bytes {
    if document.content_encoding.is_none() {
        return document.body.clone();
    }
    vigie_parse::body(document).0.into()
}

fn plain(body: Bytes) -> Document {
    Document {
        url: String::new(),
        content_type: None,
        content_encoding: None,
        headers: Vec::new(),
        decoded_bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
        body,
        cut: false,
    }
}

/// Type and bytes of a `data:` address (RFC 2397).
fn data(url: &str) -> Option<(String, Bytes)> {
    let (head, body) = url.strip_prefix("data:")?.split_once(',')?;
    let bytes: Vec<u8> = percent_encoding::percent_decode_str(body).collect();
    match head.strip_suffix(";base64") {
        Some(kind) => {
            let mut text: Vec<u8> = bytes.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
            while text.last() == Some(&b'=') {
                text.pop();
            }
            Some((kind.to_owned(), data_encoding::BASE64_NOPAD.decode(&text).ok()?.into()))
        }
        None => Some((head.to_owned(), bytes.into())),
    }
}

fn is_svg(bytes: &[u8]) -> bool {
    let start = String::from_utf8_lossy(&bytes[..bytes.len().min(1_000)]).to_ascii_lowercase();
    start.contains("<svg")
}

/// Beginnings of font files (OpenType, WOFF 1 and 2).
fn is_font(bytes: &[u8]) -> bool {
    [b"\0\x01\0\0", b"OTTO", b"true", b"typ1", b"ttcf", b"wOFF", b"wOF2"].iter().any(|start| bytes.starts_with(*start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_data() {
        let read = |url| data(url).map(|(kind, bytes)| (kind, String::from_utf8_lossy(&bytes).into_owned()));
        let found = |kind: &str, text: &str| Some((kind.to_owned(), text.to_owned()));
        assert_eq!(read("data:text/css;base64,YXs gfQ=="), found("text/css", "a{ }"));
        assert_eq!(read("data:text/css;base64,YXsgfQ%3D%3D"), found("text/css", "a{ }"));
        assert_eq!(read("data:,a%20b"), found("", "a b"));
        assert_eq!(read("data:image/png;base64,!!"), None);
        assert_eq!(read("data:image/png"), None);
        assert_eq!(read("http://a/"), None);
    }
}
