//! Stands between tokenizer and tree builder, so that a page costs time in proportion to its size.
//!
//! The tree construction of the standard (WHATWG HTML §13.2.6) looks through all open elements and
//! all active formatting elements for most tags, and repeats formatting elements as often as a
//! page likes. The guard keeps both short:
//!
//! - Elements nested too deep are closed as soon as they open, so that what follows stands beside
//!   them. What is in them is still read.
//! - Formatting elements (`<b>`, `<font>` …) reach the tree builder without attributes, which the
//!   element gets back afterwards. The "Noah's Ark clause" (§13.2.4.3) then keeps at most three of
//!   each name to repeat, and what is repeated refers to nothing.
//! - `<object>`, `<applet>` and `<marquee>` would leave markers behind in the list of active
//!   formatting elements when tables close around them. They are read as plain elements.
//! - What is in a `<template>` belongs to no document (§4.12.3) and never shows without scripts:
//!   it is left out, unless it declares a shadow tree.

use std::cell::{Cell, RefCell};

use ego_tree::NodeId;
use encoding_rs::Encoding;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::states::{Rawtext, Rcdata, ScriptData};
use html5ever::tokenizer::{Tag, TagKind, Token, TokenSink, TokenSinkResult};
use html5ever::tree_builder::{Tracer, TreeBuilder, TreeSink};
use html5ever::{Attribute, LocalName};

use crate::charset;
use crate::labels::from_content;
use crate::tree::Sink;

/// Open and active formatting elements from which on new ones are closed as soon as they open.
/// Chromium's limit of open elements is 512.
const NESTING: u32 = 400;
/// The same for links, whose text one wants to have even there.
const NESTING_LINKS: u32 = NESTING + 64;
/// More than the above can ever come to: so many open, so many to repeat, and those repeated; a
/// few more that the tree builder remembers.
const NESTING_MOST: u32 = 3 * NESTING_LINKS + 8;
/// Most elements of a page.
const ELEMENTS: u32 = 300_000;
/// Most tags of a page.
const TAGS: u32 = 1_000_000;
/// Most errors that the tokenizer may find in a page; each makes it write a message.
const ERRORS: u32 = 1_000_000;
/// Most NULs in text that are handed on.
const NULS: u32 = 1_000;
/// How far back the end tag of an element closed early is looked for.
const CLOSED_BACK: usize = 64;

/// The name under which `<object>` is read, see above.
pub const OBJECT: &str = "x-object";

/// What is left of a page's limits; frames inside the page share them.
#[derive(Default)]
pub struct Budget {
    elements: Cell<u32>,
    tags: Cell<u32>,
}

impl Budget {
    /// Counts an element.
    pub fn element(&self) {
        self.elements.set(self.elements.get() + 1);
    }
}

/// What the tokenizer reads next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    /// Tags and text.
    No,
    /// Text up to the end tag of this name.
    Until(LocalName),
    /// Text up to the end.
    Plaintext,
}

/// See the module.
pub struct Guard<'b> {
    pub builder: TreeBuilder<NodeId, Sink<'b>>,
    budget: &'b Budget,
    /// Self-closing tags close their element, as in XML.
    xml: bool,
    raw: RefCell<Raw>,
    /// Text that came in pieces; the tree builder gets it at once.
    text: RefCell<StrTendril>,
    /// At most as many open and active formatting elements as this, and whether just as many.
    size: Cell<(u32, bool)>,
    /// Elements created when `size` was set.
    created: Cell<u32>,
    /// Names of elements that were closed as soon as they opened, whose end tags are to come.
    closed: RefCell<Vec<LocalName>>,
    /// How deep the tokens stand in templates that are left out, and in SVG or MathML there.
    inert: Cell<(u32, u32)>,
    /// Templates that declare a shadow tree.
    shadows: Cell<u32>,
    errors: Cell<u32>,
    nuls: Cell<u32>,
    /// Nesting was limited.
    pub flat: Cell<bool>,
    /// Why reading stops.
    pub end: Cell<Option<&'static str>>,
    /// Character set that a `<meta>` names.
    pub declared: Cell<Option<&'static Encoding>>,
    #[cfg(test)]
    pub most: Cell<u32>,
}

const VOID: [&str; 16] = [
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "image", "input", "keygen",
    "link", "meta", "param",
];

/// Elements that hold nothing: they never nest.
fn is_void(name: &str) -> bool {
    VOID.contains(&name) || matches!(name, "source" | "track" | "wbr")
}

/// Elements whose content the tokenizer reads as text (§13.2.6.4.4 and §13.2.6.4.7).
fn raw_result(name: &str) -> Option<TokenSinkResult<NodeId>> {
    Some(match name {
        "title" | "textarea" => TokenSinkResult::RawData(Rcdata),
        "style" | "xmp" | "iframe" | "noembed" | "noframes" => TokenSinkResult::RawData(Rawtext),
        "script" => TokenSinkResult::RawData(ScriptData),
        "plaintext" => TokenSinkResult::Plaintext,
        _ => return None,
    })
}

/// §13.2.4.3, but for `<a>`, of which there is only ever one.
fn is_formatting(name: &str) -> bool {
    matches!(
        name,
        "b" | "big" | "code" | "em" | "font" | "i" | "nobr" | "s" | "small" | "strike" | "strong" | "tt" | "u"
    )
}

#[derive(Default)]
struct Count(Cell<u32>);

impl Tracer for Count {
    type Handle = NodeId;

    fn trace_handle(&self, _: &NodeId) {
        self.0.set(self.0.get() + 1);
    }
}

impl<'b> Guard<'b> {
    pub fn new(builder: TreeBuilder<NodeId, Sink<'b>>, budget: &'b Budget, xml: bool) -> Self {
        Self {
            builder,
            budget,
            xml,
            raw: RefCell::new(Raw::No),
            text: RefCell::default(),
            size: Cell::new((0, true)),
            created: Cell::new(0),
            closed: RefCell::default(),
            inert: Cell::new((0, 0)),
            shadows: Cell::new(0),
            errors: Cell::new(0),
            nuls: Cell::new(0),
            flat: Cell::new(false),
            end: Cell::new(None),
            declared: Cell::new(None),
            #[cfg(test)]
            most: Cell::new(0),
        }
    }

    /// What the tokenizer reads next.
    pub fn raw(&self) -> Raw {
        self.raw.borrow().clone()
    }

    /// A template that is left out was never closed.
    pub fn in_template(&self) -> bool {
        self.inert.get().0 > 0
    }

    /// The tree builder stands in SVG or MathML.
    pub fn foreign(&self) -> bool {
        !self.in_template() && self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }

    /// Open and active formatting elements. Counting them takes as long as the tree builder takes
    /// for a tag, so that it is only done where an upper bound does not say enough.
    fn size(&self) -> u32 {
        let created = self.builder.sink.created.get();
        let (mut size, exact) = self.size.get();
        size += created - self.created.get();
        if size >= NESTING && !exact {
            let count = Count::default();
            self.builder.trace_handles(&count);
            size = count.0.get();
            debug_assert!(size <= NESTING_MOST, "nesting is limited");
            #[cfg(test)]
            self.most.set(self.most.get().max(size));
            self.size.set((size, true));
            self.created.set(created);
        }
        size
    }

    /// After tokens that may have changed the size in other ways than by creating elements.
    fn grown(&self, by: u32) {
        let (size, _) = self.size.get();
        self.size.set((size + by, false));
    }

    /// Takes text; the tree builder gets it at the next tag.
    pub fn text(&self, piece: &str) {
        if !self.in_template() {
            self.text.borrow_mut().push_slice(piece);
        }
    }

    /// Takes a NUL in text. It is dropped in a body, but begins one (§13.2.6.4.1 to 7): it is enough
    /// that the tree builder knows of some.
    pub fn nul(&self) {
        let count = self.nuls.get();
        if count < NULS && !self.in_template() {
            self.nuls.set(count + 1);
            self.flush(0);
            let _ = self.builder.process_token(Token::NullCharacterToken, 0);
        }
    }

    fn flush(&self, line: u64) {
        let text = std::mem::take(&mut *self.text.borrow_mut());
        if !text.is_empty() {
            let _ = self.builder.process_token(Token::CharacterTokens(text), line);
            self.grown(0);
        }
    }

    fn start_tag(&self, mut tag: Tag, line: u64) -> TokenSinkResult<NodeId> {
        if self.in_template() {
            return self.inert_start(&tag);
        }
        match &*tag.name {
            "template" if self.foreign() => tag.name = LocalName::from("g"),
            "template" if declares_shadow(&tag) => {
                self.shadows.set(self.shadows.get() + 1);
                tag.name = LocalName::from("div");
            }
            "template" => {
                if !(self.xml && tag.self_closing) {
                    self.inert.set((1, 0));
                }
                return TokenSinkResult::Continue;
            }
            "object" => tag.name = LocalName::from(OBJECT),
            "applet" | "marquee" => tag.name = LocalName::from("span"),
            "meta" => self.meta(&tag),
            _ => {}
        }
        let name = tag.name.clone();
        let foreign = self.foreign();
        // In SVG and MathML these are elements like any other, and nest.
        let leaf = !foreign && (is_void(&name) || raw_result(&name).is_some());
        let limit = if &*name == "a" { NESTING_LINKS } else { NESTING };
        let shallow = leaf || (tag.self_closing && foreign);
        let deep = !shallow && self.size() >= limit;
        let closes = deep || (self.xml && tag.self_closing && !is_void(&name) && !foreign);
        let formatting = if is_formatting(&name) { keep_apart(&mut tag, foreign) } else { Vec::new() };
        let sink = &self.builder.sink;
        let before = sink.created.get();
        sink.last.set(None);
        let result = self.builder.process_token(Token::TagToken(tag), line);
        let last = sink.last.get();
        if let Some(last) = last
            && !formatting.is_empty()
        {
            sink.add_attrs_if_missing(&last, formatting);
        }
        // A tag that made nothing opened nothing.
        if !closes || last.is_none() {
            // One more may stand in the list of active formatting elements.
            self.grown(1);
            return result;
        }
        let _ = self.builder.process_token(Token::TagToken(end_of(name.clone())), line);
        if deep {
            self.flat.set(true);
            self.closed.borrow_mut().push(name);
        }
        match self.size.get() {
            // What came has gone again.
            (_, true) if deep && sink.created.get() == before + 1 => self.created.set(sink.created.get()),
            _ => self.grown(1),
        }
        TokenSinkResult::Continue
    }

    fn inert_start(&self, tag: &Tag) -> TokenSinkResult<NodeId> {
        let (depth, foreign) = self.inert.get();
        match &*tag.name {
            "template" => self.inert.set((depth + 1, foreign)),
            "svg" | "math" if !tag.self_closing => self.inert.set((depth, foreign + 1)),
            _ => {}
        }
        if tag.self_closing && (foreign > 0 || self.xml) {
            return TokenSinkResult::Continue;
        }
        raw_result(&tag.name).unwrap_or(TokenSinkResult::Continue)
    }

    fn end_tag(&self, mut tag: Tag, line: u64) -> TokenSinkResult<NodeId> {
        if self.in_template() {
            let (depth, foreign) = self.inert.get();
            match &*tag.name {
                "template" => self.inert.set((depth - 1, if depth == 1 { 0 } else { foreign })),
                "svg" | "math" => self.inert.set((depth, foreign.saturating_sub(1))),
                _ => {}
            }
            return TokenSinkResult::Continue;
        }
        match &*tag.name {
            "template" if self.foreign() => tag.name = LocalName::from("g"),
            "template" if self.shadows.get() > 0 => {
                self.shadows.set(self.shadows.get() - 1);
                tag.name = LocalName::from("div");
            }
            "template" => return TokenSinkResult::Continue,
            "object" => tag.name = LocalName::from(OBJECT),
            "applet" | "marquee" => tag.name = LocalName::from("span"),
            _ => {}
        }
        {
            let mut closed = self.closed.borrow_mut();
            let near = closed.len().saturating_sub(CLOSED_BACK);
            if let Some(at) = closed[near..].iter().rposition(|name| *name == tag.name) {
                closed.truncate(near + at);
                return TokenSinkResult::Continue;
            }
        }
        let result = self.builder.process_token(Token::TagToken(tag), line);
        self.grown(0);
        if self.size() < NESTING / 2 {
            // Whatever was closed early lies behind.
            self.closed.borrow_mut().clear();
        }
        result
    }

    /// "Change the encoding" (§13.2.3.4) looks at these.
    fn meta(&self, tag: &Tag) {
        let value = |name: &str| tag.attrs.iter().find(|a| &*a.name.local == name).map(|a| &*a.value);
        let pragma = value("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("content-type"));
        let label = match value("charset") {
            Some(label) => Some(label.to_owned()),
            None => value("content").filter(|_| pragma).and_then(from_content),
        };
        if self.declared.get().is_none() {
            self.declared.set(label.and_then(|label| charset::in_page(&label)));
        }
    }

    fn count(&self, tag: bool) {
        let budget = self.budget;
        budget.tags.set(budget.tags.get() + u32::from(tag));
        let reached = [
            (budget.elements.get() >= ELEMENTS, "more than 300,000 elements"),
            (budget.tags.get() > TAGS, "more than 1,000,000 tags"),
            (self.errors.get() > ERRORS, "more than 1,000,000 errors"),
        ];
        if self.end.get().is_none() {
            self.end.set(reached.iter().find(|(over, _)| *over).map(|(_, reason)| *reason));
        }
    }
}

fn declares_shadow(tag: &Tag) -> bool {
    let mode = tag.attrs.iter().find(|a| &*a.name.local == "shadowrootmode");
    mode.is_some_and(|a| a.value.eq_ignore_ascii_case("open") || a.value.eq_ignore_ascii_case("closed"))
}

/// Takes the attributes off a formatting element, except for one that ends the foreign content it
/// stands in (§13.2.6.5).
fn keep_apart(tag: &mut Tag, foreign: bool) -> Vec<Attribute> {
    let attributes = std::mem::take(&mut tag.attrs);
    let ends = attributes.iter().find(|a| matches!(&*a.name.local, "color" | "face" | "size"));
    if foreign
        && &*tag.name == "font"
        && let Some(attribute) = ends
    {
        let mut name = attribute.name.clone();
        name.local = LocalName::from("color");
        tag.attrs.push(Attribute { name, value: StrTendril::new() });
    }
    attributes
}

fn end_of(name: LocalName) -> Tag {
    Tag { kind: TagKind::EndTag, name, self_closing: false, attrs: Vec::new(), had_duplicate_attributes: false }
}

impl TokenSink for Guard<'_> {
    type Handle = NodeId;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<NodeId> {
        match token {
            Token::ParseError(_) => {
                self.errors.set(self.errors.get() + 1);
                if self.errors.get() > ERRORS {
                    self.count(false);
                }
            }
            // The lexer hands NUL in text on by itself; nothing reads comments.
            Token::NullCharacterToken | Token::CommentToken(_) => {}
            Token::CharacterTokens(text) => self.text(&text),
            Token::TagToken(tag) => {
                self.count(true);
                if self.end.get().is_some() {
                    return TokenSinkResult::Continue;
                }
                self.flush(line);
                let name = tag.name.clone();
                let result = match tag.kind {
                    TagKind::StartTag => self.start_tag(tag, line),
                    TagKind::EndTag => self.end_tag(tag, line),
                };
                let raw = match result {
                    TokenSinkResult::RawData(_) => Raw::Until(name),
                    TokenSinkResult::Plaintext => Raw::Plaintext,
                    _ => Raw::No,
                };
                self.raw.replace(raw);
                return match result {
                    TokenSinkResult::RawData(_) | TokenSinkResult::Plaintext => result,
                    // Scripts are not run, and the character set is not changed on the way.
                    _ => TokenSinkResult::Continue,
                };
            }
            Token::DoctypeToken(_) | Token::EOFToken => {
                self.flush(line);
                let _ = self.builder.process_token(token, line);
            }
        }
        TokenSinkResult::Continue
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}
