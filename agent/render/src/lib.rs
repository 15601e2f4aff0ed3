//! A recorded page as a picture: HTML, the stylesheets and pictures that were recorded beside it, and nothing
//! else in; PNG out ([`vigie_wire::draw`]).
//!
//! Pure: no file, no socket, no clock, no thread, nothing random, no script. The same bytes give the same
//! picture with the same build at the same level of SIMD, which the picture's facts name. It is an aid for whoever reads an
//! exhibit; the evidence is the recorded bytes.
//!
//! - The tree is built by [`vigie_parse`] with its limits on hostile HTML; `dom` copies it into the renderer's.
//! - A stylesheet or picture comes from the order or is not there (`elements`). Where a picture is missing or
//!   withheld, a box says so.
//! - Fonts are those of this crate (`fonts`); a page's own are never read.
//! - What is drawn has limits on elements, text, styles, pixels and height, before any layout. Time and memory
//!   that a page takes within them are for whoever runs the process.

mod boxes;
mod dom;
mod elements;
mod fonts;
mod hints;
mod paint;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use blitz_dom::{BaseDocument, DocumentConfig, StyleThreading, UserAgentStylesheet};
use blitz_traits::shell::{ColorScheme, Viewport};
use vigie_parse::Outline;
use vigie_wire::draw::{CannotDraw, Picture, ToDrawPage};
use vigie_wire::limits::TEXT_BYTES;

use crate::elements::Elements;

/// Width of the window, in pixels; CSS pixels are pixels.
pub const WIDTH: u32 = 1280;
/// Height of the window that `vh` and fixed boxes refer to, in pixels.
pub const WINDOW_HEIGHT: u32 = 800;
/// Most elements that are laid out.
pub const ELEMENTS: u32 = 30_000;
/// Most bytes of text that are laid out, those of scripts and styles counted.
pub const TEXT: u32 = 4 * 1024 * 1024;
/// Height from which on a page goes on in another picture, in pixels.
pub const TILE_HEIGHT: u32 = 16_384;
/// Height from which on a page is not drawn, in pixels.
pub const PAGE_HEIGHT: u32 = 4 * TILE_HEIGHT;

/// Releases of what draws: (name, version), each pinned in the workspace's manifest.
pub const RENDERERS: [(&str, &str); 5] = [
    ("blitz-dom", "0.3.0-beta.4"),
    ("blitz-paint", "0.3.0-beta.4"),
    ("anyrender_vello_cpu", "0.18.0"),
    ("vello_cpu", "0.3.0"),
    ("parley", "0.12.0"),
];

/// Most lines of warnings.
const WARNINGS: usize = 100;
/// How often styles may ask for what earlier ones brought: imports, and the pictures of each.
const ROUNDS: usize = 8;
/// What a page looks like before its own styles, beyond HTML's: there are no scripts.
const OWN_STYLE: &str = "noscript{display:block!important}\
    select{display:inline-block;border:1px solid #999999;padding:1px 20px 1px 4px;background:white;color:black}";

/// Draws a page.
///
/// # Errors
/// Why it cannot be drawn: the page is no HTML, passes a limit, or makes the renderer fail.
pub fn draw(order: &ToDrawPage) -> Result<Picture, CannotDraw> {
    // Nothing is shared with what failed, so that nothing is left half done.
    catch_unwind(AssertUnwindSafe(|| page(order))).unwrap_or_else(|panic| {
        let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
        let words = words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(CannotDraw::Failed(words.chars().filter(|c| !c.is_control()).take(TEXT_BYTES / 8).collect()))
    })
}

fn page(order: &ToDrawPage) -> Result<Picture, CannotDraw> {
    let outline = Outline::of(&order.page).ok_or(CannotDraw::NotHtml)?;
    let many = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let (elements, bytes) = (many(outline.elements()), many(outline.text_bytes()));
    if elements > ELEMENTS {
        return Err(CannotDraw::Elements { elements, most: ELEMENTS });
    }
    if bytes > TEXT {
        return Err(CannotDraw::Text { bytes, most: TEXT });
    }
    let held = Arc::new(Elements::new(&order.elements));
    let mut warnings = Warnings::default();
    outline.warnings().iter().for_each(|line| warnings.add(line));
    let mut document = BaseDocument::new(DocumentConfig {
        viewport: Some(Viewport::new(WIDTH, WINDOW_HEIGHT, 1.0, ColorScheme::Light)),
        base_url: Some(outline.base().to_owned()),
        ua_stylesheets: vec![UserAgentStylesheet::default_sheet(), UserAgentStylesheet::parse(OWN_STYLE)],
        net_provider: Some(Arc::clone(&held) as _),
        font_ctx: Some(fonts::context()),
        style_threading: StyleThreading::Sequential,
        ..DocumentConfig::default()
    });
    dom::build(&outline, &mut document, &held, &mut warnings);
    drop(outline);
    let mut asked = None;
    for _ in 0..ROUNDS {
        document.resolve(0.0);
        // A stylesheet or background that came with this round shows in the next.
        let now = held.asked();
        if asked == Some(now) {
            break;
        }
        asked = Some(now);
    }
    let (tiles, height) = paint::paint(&mut document, &mut warnings)?;
    held.warn(&mut warnings);
    Ok(Picture { tiles, width: WIDTH, height, facts: facts(), warnings: warnings.0 })
}

fn facts() -> Vec<(String, String)> {
    let fact = |name: &str, value: String| (name.to_owned(), value);
    let mut facts = vec![fact("renderer", format!("vigie-render {}", env!("CARGO_PKG_VERSION")))];
    facts.extend(RENDERERS.iter().map(|(name, version)| fact("renderer-part", format!("{name} {version}"))));
    facts.push(fact("renderer-simd", paint::simd()));
    facts.push(fact("window", format!("{WIDTH} x {WINDOW_HEIGHT} pixels, scale 1")));
    facts.extend(fonts::facts().map(|(name, sha256)| fact("font", format!("{name} sha256:{sha256}"))));
    facts
}

/// What is not as a browser would show it, without repeats and without end.
#[derive(Default)]
struct Warnings(Vec<String>);

impl Warnings {
    fn add(&mut self, line: &str) {
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).take(TEXT_BYTES / 8).collect();
        if self.0.len() < WARNINGS && !self.0.contains(&line) {
            self.0.push(line);
        }
    }
}
