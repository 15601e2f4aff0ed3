//! What a page says to somebody who reads it: its title and its visible text, for lists and search.

use ego_tree::iter::Edge;
use scraper::{Html, Node};

use crate::warnings::start;

/// Elements whose text nobody sees (WHATWG HTML §15.3.1).
const HIDDEN: [&str; 6] = ["script", "style", "title", "template", "noframes", "datalist"];
/// Elements within a line; all others begin and end one.
const INLINE: [&str; 26] = [
    "a", "abbr", "b", "bdi", "bdo", "cite", "code", "data", "dfn", "em", "font", "i", "img", "kbd", "label", "mark",
    "q", "s", "samp", "small", "span", "strong", "sub", "sup", "time", "u",
];

/// Title and text of a page, at most `most` bytes of it, in lines without space at either end.
pub fn read(html: &Html, most: usize) -> (String, String) {
    let mut text = Text { text: String::new(), most, gap: Gap::None };
    let (mut title, mut titled, mut hidden) = (String::new(), false, 0_usize);
    for edge in html.tree.root().traverse() {
        match edge {
            Edge::Open(node) => match node.value() {
                Node::Element(element) => {
                    hidden += usize::from(HIDDEN.contains(&element.name()));
                    text.element(element.name());
                }
                Node::Text(found) => {
                    let parent =
                        node.parent().and_then(|parent| parent.value().as_element().map(|e| e.name().to_owned()));
                    if parent.as_deref() == Some("title") && !titled {
                        title.push_str(found);
                    }
                    if hidden == 0 && !text.full() {
                        text.words(found);
                    }
                }
                _ => {}
            },
            Edge::Close(node) => {
                if let Node::Element(element) = node.value() {
                    hidden = hidden.saturating_sub(usize::from(HIDDEN.contains(&element.name())));
                    titled |= element.name() == "title";
                    text.element(element.name());
                }
            }
        }
    }
    let title = title.split_whitespace().collect::<Vec<_>>().join(" ");
    (start(&title, most).to_owned(), text.text)
}

/// What stands between the text so far and the next word.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Gap {
    None,
    Space,
    Line,
}

struct Text {
    text: String,
    most: usize,
    gap: Gap,
}

impl Text {
    fn full(&self) -> bool {
        self.text.len() >= self.most
    }

    fn element(&mut self, name: &str) {
        let gap = if matches!(name, "td" | "th" | "option" | "button") {
            Gap::Space
        } else if INLINE.contains(&name) {
            Gap::None
        } else {
            Gap::Line
        };
        self.gap = self.gap.max(gap);
    }

    fn words(&mut self, found: &str) {
        if found.starts_with(char::is_whitespace) {
            self.gap = self.gap.max(Gap::Space);
        }
        let mut words = found.split_whitespace().peekable();
        while let Some(word) = words.next() {
            if !self.text.is_empty() {
                self.text.push_str(match self.gap {
                    Gap::None => "",
                    Gap::Space => " ",
                    Gap::Line => "\n",
                });
            }
            let room = self.most.saturating_sub(self.text.len());
            self.text.push_str(start(word, room));
            self.gap =
                if words.peek().is_some() || found.ends_with(char::is_whitespace) { Gap::Space } else { Gap::None };
            if self.full() {
                return;
            }
        }
    }
}
