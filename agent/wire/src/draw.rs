//! Record ⇄ draw: a recorded page and what was recorded beside it in, pictures out.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::parse::Document;

/// A page to draw. Nothing is fetched: what does not stand in `elements` is not there.
#[derive(Clone, Serialize, Deserialize)]
pub struct ToDrawPage {
    /// The page.
    pub page: Document,
    /// Its stylesheets and pictures, at most [`crate::limits::DRAW_ELEMENTS`] with
    /// [`crate::limits::DRAW_BYTES`] of bodies in all, the page's included.
    pub elements: Vec<Element>,
}

/// Something that the page refers to.
#[derive(Clone, Serialize, Deserialize)]
pub struct Element {
    /// Absolute URL under which the page asks for it.
    pub url: String,
    /// What there is of it.
    pub held: Held,
}

/// What there is of an element.
#[derive(Clone, Serialize, Deserialize)]
pub enum Held {
    /// Its body.
    Body(Document),
    /// Nothing: a box with these words stands in its place.
    Withheld(String),
}

/// A page drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// The page from top to bottom, one picture under the other.
    pub tiles: Vec<Tile>,
    /// Width of the page, in pixels.
    pub width: u32,
    /// Height of the page, in pixels; the tiles may not reach its end, which is a warning then.
    pub height: u32,
    /// What drew it and how: (name, value), as it is recorded.
    pub facts: Vec<(String, String)>,
    /// Whatever is not as a browser without scripts would show it, one line each.
    pub warnings: Vec<String>,
}

/// A part of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tile {
    /// Where it begins, in pixels from the top of the page.
    pub top: u32,
    /// Its height, in pixels.
    pub height: u32,
    /// The picture (PNG, ISO/IEC 15948).
    pub png: Bytes,
}

/// Why a page was not drawn. It was recorded all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CannotDraw {
    /// There is no page in it.
    #[error("it is no HTML")]
    NotHtml,
    /// More elements than are laid out.
    #[error("it has {elements} elements, and more than {most} are not drawn")]
    Elements {
        /// So many.
        elements: u32,
        /// The limit.
        most: u32,
    },
    /// More text than is laid out.
    #[error("it has {bytes} bytes of text, and more than {most} are not drawn")]
    Text {
        /// So many.
        bytes: u32,
        /// The limit.
        most: u32,
    },
    /// The pictures would be larger than is kept.
    #[error("its picture would have more than {most} bytes")]
    Size {
        /// The limit.
        most: u32,
    },
    /// The renderer failed on it, in its words.
    #[error("the renderer failed on it: {0}")]
    Failed(String),
}
