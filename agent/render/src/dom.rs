//! From the limited tree to the renderer's, and what stands in place of what is not drawn.

use blitz_dom::{Attribute, BaseDocument, DocumentMutator, LocalName, NodeId, QualName, ns};
use url::Url;
use vigie_parse::{Outline, Piece, Space};

use crate::elements::Elements;
use crate::fonts::Coverage;
use crate::hints::Hints;
use crate::{Warnings, boxes};

/// How deep elements are laid out in each other; layout calls itself as often.
const DEPTH: usize = 128;
/// How deep tables are laid out in each other; each measures its cells more than once.
const TABLES: usize = 6;
/// Most columns or rows of one cell; the renderer makes each, whether the table has it or not.
const SPAN: u32 = 100;

/// Copies the page into the document and loads its stylesheets and pictures.
pub fn build(outline: &Outline, document: &mut BaseDocument, held: &Elements, warnings: &mut Warnings) {
    let root = document.root_node().id;
    let mut mutator = document.mutate();
    // Made first, so that it stands before all of the page's own styles.
    let hints = mutator.create_element(QualName::new(None, ns!(html), LocalName::from("style")), Vec::new());
    let mut builder = Builder {
        mutator,
        held,
        hints: Hints::default(),
        choice: None,
        base: Url::parse(outline.base()).ok(),
        stack: vec![Open { node: root, tag: Tag::Root }],
        skipping: 0,
        tables: 0,
        coverage: Coverage::new(),
        deep: false,
    };
    // The tree is put together first and becomes the document's at once: only then its styles are asked for.
    let mut top = Vec::new();
    outline.walk(&mut |piece| builder.piece(piece, &mut top));
    let Builder { mut mutator, coverage, deep, hints: legacy, .. } = builder;
    if let Some(&page) = top.first() {
        let text = mutator.create_text_node(&legacy.sheet());
        mutator.append_children(hints, &[text]);
        match mutator.child_ids(page).first() {
            Some(&first) => mutator.insert_nodes_before(first, &[hints]),
            None => mutator.append_children(page, &[hints]),
        }
    }
    mutator.append_children(root, &top);
    drop(mutator);
    if deep {
        warnings.add("elements or tables nested very deep are drawn side by side");
    }
    if let Some(line) = coverage.warning() {
        warnings.add(&line);
    }
}

struct Builder<'d> {
    mutator: DocumentMutator<'d>,
    held: &'d Elements,
    base: Option<Url>,
    stack: Vec<Open>,
    /// So many elements are open whose content is not drawn.
    skipping: usize,
    tables: usize,
    coverage: Coverage,
    deep: bool,
    hints: Hints,
    /// What an open list to choose from shows: the words of an option, and whether it is chosen.
    choice: Option<(String, bool)>,
}

struct Open {
    node: NodeId,
    tag: Tag,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Root,
    Style,
    /// A title or the like: text that is not laid out.
    Silent,
    Table,
    /// A closed `<details>`.
    Closed,
    /// A list to choose from.
    Select,
    /// One of its options: what it says shows in the list, when it is the one.
    Option {
        shows: bool,
    },
    Other,
}

/// What becomes of an element.
enum As {
    /// Itself, under this name.
    Element(Tag),
    /// A box with these words.
    Box(String),
    Nothing,
}

/// Attributes of an element of the page.
type Given<'p> = Vec<(&'p str, &'p str)>;

fn value<'p>(given: &Given<'p>, name: &str) -> Option<&'p str> {
    given.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
}

impl Builder<'_> {
    fn piece(&mut self, piece: Piece<'_>, top: &mut Vec<NodeId>) {
        match piece {
            Piece::Open { .. } if self.skipping > 0 => self.skipping += 1,
            Piece::Open { space, name, attributes } => self.open(space, name, attributes, top),
            Piece::Close if self.skipping > 0 => self.skipping -= 1,
            Piece::Close if self.stack.len() > 1 => {
                let Some(open) = self.stack.pop() else { return };
                match open.tag {
                    Tag::Table => self.tables -= 1,
                    Tag::Select => {
                        let (words, _) = self.choice.take().unwrap_or_default();
                        let text = self.mutator.create_text_node(words.trim());
                        self.mutator.append_children(open.node, &[text]);
                    }
                    _ => {}
                }
            }
            Piece::Close => {}
            Piece::Text(_) if self.skipping > 0 => {}
            Piece::Text(text) => self.text(text),
        }
    }

    fn text(&mut self, text: &str) {
        let Some(open) = self.stack.last() else { return };
        match open.tag {
            // Between elements of the document itself there is white space alone.
            Tag::Root | Tag::Closed | Tag::Select => return,
            Tag::Option { shows: true } => {
                self.coverage.text(text);
                if let Some((words, _)) = &mut self.choice {
                    words.push_str(text);
                }
                return;
            }
            Tag::Option { shows: false } => return,
            Tag::Style if !self.held.take_sheet(text.len()) => return,
            Tag::Style | Tag::Silent => {}
            Tag::Table | Tag::Other => self.coverage.text(text),
        }
        let parent = self.parent();
        let node = self.mutator.create_text_node(text);
        self.mutator.append_children(parent, &[node]);
    }

    /// Where what comes now belongs; beyond the deepest place, all stand side by side.
    fn parent(&self) -> NodeId {
        let at = (self.stack.len() - 1).min(DEPTH);
        self.stack[at].node
    }

    fn open(&mut self, space: Space, name: &str, mut given: Given<'_>, top: &mut Vec<NodeId>) {
        let what = match space {
            Space::Svg => {
                self.held.odd("drawing(s) inside the page (SVG) not drawn");
                As::Box(String::new())
            }
            Space::Html => self.html(name, &mut given),
            Space::Other => As::Element(Tag::Other),
        };
        let (tag, name, words) = match what {
            As::Nothing => {
                self.skipping = 1;
                return;
            }
            As::Box(words) => (Tag::Other, "span", Some(words)),
            As::Element(Tag::Table) if self.tables >= TABLES => {
                self.deep = true;
                (Tag::Other, "div", None)
            }
            As::Element(tag) if space == Space::Other => (tag, "span", None),
            As::Element(tag) => (tag, name, None),
        };
        if space == Space::Html && words.is_none() {
            self.hints.element(name, &given);
        }
        let style = words
            .is_some()
            .then(|| boxes::style(value(&given, "width"), value(&given, "height"), value(&given, "style")));
        let password = value(&given, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("password"));
        let mut attributes: Vec<Attribute> = Vec::with_capacity(given.len());
        for (name, value) in given {
            // Nothing runs, and nothing but pictures and stylesheets is asked for.
            let idle = name.starts_with("on") || matches!(name, "srcset" | "autofocus" | "srcdoc");
            let of_box = style.is_some() && !matches!(name, "class" | "id" | "title");
            let hidden = name == "value" && password;
            let value = match name {
                _ if hidden => "\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}\u{2022}",
                "colspan" | "rowspan" | "span" if value.trim().parse::<u32>().map_or(value.len() > 4, |n| n > SPAN) => {
                    "100"
                }
                _ => value,
            };
            if !idle && !of_box {
                attributes.push(attribute(name, value));
            }
        }
        if let Some((style, _)) = &style {
            attributes.push(attribute("style", style));
        }
        let node = self.mutator.create_element(QualName::new(None, ns!(html), LocalName::from(name)), attributes);
        if self.stack.len() > DEPTH {
            self.deep = true;
        }
        if self.stack.len() == 1 {
            top.push(node);
        } else {
            let parent = self.parent();
            self.mutator.append_children(parent, &[node]);
        }
        if let (Some(words), Some((_, readable))) = (words, style) {
            if readable && !words.is_empty() {
                let text = self.mutator.create_text_node(&words);
                self.mutator.append_children(node, &[text]);
            }
            self.skipping = 1;
            return;
        }
        self.tables += usize::from(tag == Tag::Table);
        self.stack.push(Open { node, tag });
    }

    fn html(&mut self, name: &str, given: &mut Given<'_>) -> As {
        match name {
            "script" | "template" | "meta" | "base" | "param" | "source" | "track" | "noembed" | "noframes"
            | "audio" | "datalist" => As::Nothing,
            // What is closed shows nothing but its summary, which the renderer knows of elements alone.
            "details" if value(given, "open").is_none() => As::Element(Tag::Closed),
            "style" if is_for_paper(value(given, "media")) => As::Nothing,
            "style" => As::Element(Tag::Style),
            "title" => As::Element(Tag::Silent),
            "table" => As::Element(Tag::Table),
            "select" => {
                self.choice = None;
                As::Element(Tag::Select)
            }
            "option" => {
                let chosen = value(given, "selected").is_some();
                let shows = match &self.choice {
                    None => true,
                    Some((_, before)) => chosen && !before,
                };
                if shows {
                    self.choice = Some((String::new(), chosen));
                }
                As::Element(Tag::Option { shows })
            }
            "link" => self.link(given),
            "img" => self.picture(given),
            "input" if value(given, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("image")) => {
                self.picture(given)
            }
            "iframe" | "frame" => {
                self.held.odd("frame(s) not drawn");
                As::Box(format!("frame: {}", value(given, "src").unwrap_or("in the page itself")))
            }
            "video" | "embed" | "canvas" | "applet" => {
                self.held.odd("video(s), canvas or plug-in(s) not drawn");
                As::Box(format!("{name}: {}", value(given, "src").unwrap_or_default()))
            }
            _ => As::Element(Tag::Other),
        }
    }

    fn resolve(&self, reference: &str) -> Option<Url> {
        let reference = reference.trim();
        let mut url = match &self.base {
            Some(base) => base.join(reference).ok()?,
            None => Url::parse(reference).ok()?,
        };
        url.set_fragment(None);
        Some(url)
    }

    /// A stylesheet that applies to a screen.
    fn link(&mut self, given: &mut Given<'_>) -> As {
        let rel = value(given, "rel").unwrap_or_default().to_ascii_lowercase();
        let rel: Vec<&str> = rel.split_ascii_whitespace().collect();
        if !rel.contains(&"stylesheet") || rel.contains(&"alternate") || is_for_paper(value(given, "media")) {
            return As::Nothing;
        }
        match value(given, "href").and_then(|href| self.resolve(href)) {
            Some(url) if self.held.has_sheet(url.as_str()) => As::Element(Tag::Silent),
            _ => As::Nothing,
        }
    }

    /// A picture: the first of its addresses that was recorded.
    fn picture(&mut self, given: &mut Given<'_>) -> As {
        let mut references: Vec<&str> = value(given, "src").into_iter().filter(|src| !src.trim().is_empty()).collect();
        let set = value(given, "srcset").unwrap_or_default();
        references.extend(set.split(',').filter_map(|one| one.split_ascii_whitespace().next()).take(16));
        let mut first = None;
        for reference in references {
            let Some(url) = self.resolve(reference) else { continue };
            match self.held.picture(url.as_str()) {
                Ok(()) => {
                    let src = value(given, "src");
                    if src != Some(reference) {
                        given.retain(|(name, _)| *name != "src");
                        given.push(("src", reference_of(given, reference)));
                    }
                    return As::Element(Tag::Other);
                }
                Err(why) => first = first.or(Some(why)),
            }
        }
        let words = first.unwrap_or_else(|| "no address".into());
        let alternative = value(given, "alt").map(str::trim).filter(|alt| !alt.is_empty());
        As::Box(format!("[picture: {words}]{}", alternative.map(|alt| format!(" {alt}")).unwrap_or_default()))
    }
}

/// The part of the page's own text that holds a reference.
fn reference_of<'p>(given: &Given<'p>, reference: &str) -> &'p str {
    let set = value(given, "srcset").unwrap_or_default();
    set.split(',')
        .filter_map(|one| one.split_ascii_whitespace().next())
        .find(|one| *one == reference)
        .unwrap_or_default()
}

/// Whether styles are for paper alone; which of the rest applies, their own conditions say.
fn is_for_paper(media: Option<&str>) -> bool {
    let media = media.unwrap_or_default().to_ascii_lowercase();
    let other = |one: &str| matches!(one.trim(), "print" | "speech" | "aural" | "braille" | "handheld" | "tty" | "tv");
    !media.trim().is_empty() && media.split(',').all(other)
}

fn attribute(name: &str, value: &str) -> Attribute {
    Attribute { name: QualName::new(None, ns!(), LocalName::from(name)), value: value.into() }
}
