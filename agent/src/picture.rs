//! The picture of a captured page: drawn by *draw* from what was recorded, never from anything asked anew.
//!
//! It is an aid. A page that cannot be drawn is captured all the same, and the exhibit says why it has no
//! picture.

mod recorded;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use vigie_wire::draw::{Element, Held, Picture, ToDrawPage};
use vigie_wire::limits::{DRAW_BYTES, DRAW_ELEMENTS};
use vigie_wire::parse::{Document, RequisiteClass};

pub use self::recorded::from_warc;
use crate::session::{Session, held};

/// Most bytes of elements kept for later pages of a session.
const SHELF_BYTES: usize = 32 * 1024 * 1024;

/// Stylesheets and pictures recorded earlier in a session: later pages refer to them and are drawn with them.
#[derive(Default)]
pub struct Shelf(Mutex<(HashMap<String, Document>, usize)>);

impl Shelf {
    /// Keeps an element, while there is room.
    pub fn keep(&self, url: &str, document: &Document) {
        let mut shelf = held(&self.0);
        if shelf.1 + document.body.len() <= SHELF_BYTES && !shelf.0.contains_key(url) {
            shelf.1 += document.body.len();
            shelf.0.insert(url.to_owned(), document.clone());
        }
    }

    /// An element that was kept.
    pub fn find(&self, url: &str) -> Option<Document> {
        held(&self.0).0.get(url).cloned()
    }
}

/// What a picture of a page is made of, as the capture goes on.
#[derive(Default)]
pub struct Album {
    elements: Vec<Element>,
    bytes: usize,
}

impl Album {
    /// An element whose bytes are there. Beyond the limits a box stands in its place.
    pub fn add(&mut self, url: &str, document: Document) {
        if self.elements.len() >= DRAW_ELEMENTS {
            return;
        }
        if self.bytes + document.body.len() > DRAW_BYTES {
            return self.miss(url, "recorded; the page has more elements than are drawn".into());
        }
        self.bytes += document.body.len();
        self.push(url, Held::Body(document));
    }

    /// An element that is not there, and why.
    pub fn miss(&mut self, url: &str, why: String) {
        self.push(url, Held::Withheld(why));
    }

    fn push(&mut self, url: &str, held: Held) {
        if self.elements.len() < DRAW_ELEMENTS {
            self.elements.push(Element { url: url.to_owned(), held });
        }
    }

    /// The order to draw a page with them.
    pub fn order(mut self, page: Document) -> ToDrawPage {
        // The page itself counts too; what was added last goes first.
        while self.bytes + page.body.len() > DRAW_BYTES {
            let Some(last) = self.elements.iter_mut().rfind(|element| matches!(element.held, Held::Body(_))) else {
                break;
            };
            if let Held::Body(document) = &last.held {
                self.bytes -= document.body.len();
            }
            last.held = Held::Withheld("recorded; the page has more elements than are drawn".into());
        }
        ToDrawPage { page, elements: self.elements }
    }
}

/// Whether elements of a class show in a picture.
pub fn shows(class: RequisiteClass) -> bool {
    matches!(class, RequisiteClass::Stylesheet | RequisiteClass::ListingImage | RequisiteClass::OtherImage)
}

/// Draws a page; `None` when the workstation wants no pictures.
pub async fn draw(session: &Session, page: Document, album: Album) -> Option<Result<Picture, String>> {
    let pictures = Arc::clone(session.pictures.as_ref()?);
    let order = album.order(page);
    let drawn = tokio::task::spawn_blocking(move || pictures.draw(order)).await;
    Some(drawn.unwrap_or_else(|error| Err(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(bytes: usize) -> Document {
        Document {
            url: String::new(),
            content_type: None,
            content_encoding: None,
            headers: Vec::new(),
            body: vec![7; bytes].into(),
            cut: false,
            decoded_bytes: 0,
        }
    }

    fn bodies(order: &ToDrawPage) -> usize {
        let bytes = order.elements.iter().map(|element| match &element.held {
            Held::Body(document) => document.body.len(),
            Held::Withheld(_) => 0,
        });
        bytes.sum::<usize>() + order.page.body.len()
    }

    #[test]
    fn a_shelf_is_finite() {
        let shelf = Shelf::default();
        shelf.keep("a", &document(SHELF_BYTES - 1));
        shelf.keep("b", &document(2));
        shelf.keep("c", &document(1));
        assert!(shelf.find("a").is_some() && shelf.find("b").is_none() && shelf.find("c").is_some());
        // What is known already takes no room.
        shelf.keep("a", &document(1));
        assert_eq!(shelf.find("a").unwrap().body.len(), SHELF_BYTES - 1);
    }

    #[test]
    fn an_order_keeps_to_its_limits() {
        let mut album = Album::default();
        for number in 0..DRAW_ELEMENTS + 5 {
            album.add(&number.to_string(), document(10 * 1024));
        }
        album.miss("x", "refused".into());
        let order = album.order(document(8 * 1024 * 1024));
        assert_eq!(order.elements.len(), DRAW_ELEMENTS);
        let bytes = bodies(&order);
        assert!(bytes <= DRAW_BYTES && bytes > DRAW_BYTES - 20 * 1024, "{bytes}");
        assert!(matches!(order.elements[0].held, Held::Body(_)));
        assert!(
            matches!(&order.elements[DRAW_ELEMENTS - 1].held, Held::Withheld(why) if why.contains("more elements"))
        );
    }
}
