//! From text to an HTML tree, in time and memory that grow with the page.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use ego_tree::NodeId;
use encoding_rs::Encoding;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeBuilder, TreeBuilderOpts, TreeSink};
use html5ever::{Attribute, QualName, TokenizerResult};
use scraper::{Html, HtmlTreeSink};

pub use crate::guard::Budget;
use crate::guard::{Guard, Raw};
use crate::lexer::{self, Names};
use crate::warnings::Warnings;

/// A tree, and what else building it tells.
pub struct Tree {
    /// The tree.
    pub html: Html,
    /// (field, form): the standard's form owner, which also holds in tables put together wrongly.
    pub owners: Vec<(NodeId, NodeId)>,
    /// Character set that a `<meta>` names.
    pub declared: Option<&'static Encoding>,
    /// Most open and active formatting elements at a time, where they came near their limit.
    #[cfg(test)]
    pub most: u32,
    /// How often the tree builder looked at an element.
    #[cfg(test)]
    pub looks: u64,
}

/// Builds the tree of a page, as a browser with scripts switched off does. With `xml`,
/// self-closing tags close their element.
pub fn parse(text: &str, xml: bool, budget: &Budget, warnings: &mut Warnings) -> Tree {
    let sink = Sink {
        inner: HtmlTreeSink::new(Html::new_document()),
        budget,
        created: Cell::new(0),
        last: Cell::new(None),
        owners: RefCell::default(),
        integration: RefCell::default(),
        #[cfg(test)]
        looks: Cell::new(0),
    };
    let options = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let guard = Guard::new(TreeBuilder::new(sink, options), budget, xml);
    let tokenizer = Tokenizer::new(guard, TokenizerOpts::default());
    Feeder { tokenizer: &tokenizer, names: Names::default() }.feed(text);
    tokenizer.end();
    let guard = tokenizer.sink;
    if guard.flat.get() {
        warnings.add("elements nested very deep were read as if side by side");
    }
    if guard.in_template() {
        warnings.add("a template is never closed: what follows it shows nowhere and was not read");
    }
    if let Some(reason) = guard.end.get() {
        warnings.add(format!("{reason}: the rest of the page was not read"));
    }
    #[cfg(test)]
    let most = guard.most.get();
    let declared = guard.declared.get();
    let sink = guard.builder.sink;
    Tree {
        html: sink.inner.finish(),
        owners: sink.owners.into_inner(),
        declared,
        #[cfg(test)]
        most,
        #[cfg(test)]
        looks: sink.looks.get(),
    }
}

/// Feeds the tokenizer with what [`lexer`] cuts out.
struct Feeder<'t, 'b> {
    tokenizer: &'t Tokenizer<Guard<'b>>,
    names: Names,
}

impl Feeder<'_, '_> {
    fn feed(&mut self, text: &str) {
        let mut at = 0;
        while at < text.len() && self.tokenizer.sink.end.get().is_none() {
            let rest = &text[at..];
            at += match self.tokenizer.sink.raw() {
                Raw::No => self.markup(rest),
                Raw::Until(name) => {
                    let end = lexer::raw_end(rest, &name).unwrap_or(rest.len());
                    self.push(&lexer::without_nul(&rest[..end]));
                    end + if end < rest.len() { self.tag(&rest[end..], true) } else { 0 }
                }
                Raw::Plaintext => {
                    self.push(&lexer::without_nul(rest));
                    rest.len()
                }
            };
        }
    }

    /// Feeds the text up to the next tag, or that tag; gives its length.
    fn markup(&mut self, rest: &str) -> usize {
        let text = lexer::text(rest);
        if text > 0 {
            self.text(&rest[..text]);
            return text;
        }
        let byte = |at: usize| rest.as_bytes().get(at).copied().unwrap_or_default();
        let through = |end: &str| rest.find(end).map_or(rest.len(), |at| at + end.len());
        match byte(1) {
            b'a'..=b'z' | b'A'..=b'Z' => self.tag(rest, false),
            b'/' if byte(2).is_ascii_alphabetic() => self.tag(rest, true),
            b'!' if rest.starts_with("<!--") => lexer::comment_end(rest),
            b'!' if rest.as_bytes().get(2..9).is_some_and(|word| word.eq_ignore_ascii_case(b"doctype")) => {
                let end = through(">");
                self.push(&lexer::without_nul(&rest[..end]));
                end
            }
            b'!' if rest.starts_with("<![CDATA[") && self.tokenizer.sink.foreign() => {
                let end = through("]]>");
                self.push(&lexer::without_nul(&rest[..end]));
                end
            }
            // Bogus comments (§13.2.5.41), and `</>`, which is nothing.
            _ => through(">"),
        }
    }

    /// Text without references needs no tokenizer; one with them leaves it between two tokens.
    fn text(&self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(rest.find('\0').unwrap_or(rest.len()));
            if !piece.contains('&') {
                self.tokenizer.sink.text(piece);
            } else {
                self.push(piece);
                if lexer::stays_open(piece) {
                    // A NUL ends what is open, and is dropped itself.
                    self.push("\0");
                }
            }
            rest = after.trim_start_matches('\0');
            if rest.len() < after.len() {
                self.tokenizer.sink.nul();
            }
        }
    }

    fn tag(&mut self, rest: &str, closing: bool) -> usize {
        let Some(tag) = lexer::tag(rest, 0) else { return rest.len() };
        let text = self.names.write(&tag, closing);
        let end = tag.end;
        self.push(&text);
        end
    }

    fn push(&self, text: &str) {
        if text.is_empty() {
            return;
        }
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from_slice(text));
        while !matches!(self.tokenizer.feed(&queue), TokenizerResult::Done) {}
    }
}

/// scraper's tree, counted.
pub struct Sink<'b> {
    inner: HtmlTreeSink,
    budget: &'b Budget,
    /// Elements made so far.
    pub created: Cell<u32>,
    /// The element made last.
    pub last: Cell<Option<NodeId>>,
    owners: RefCell<Vec<(NodeId, NodeId)>>,
    /// Elements of MathML in which HTML goes on (§13.2.6, HTML integration points).
    integration: RefCell<HashSet<NodeId>>,
    #[cfg(test)]
    looks: Cell<u64>,
}

impl TreeSink for Sink<'_> {
    type Handle = NodeId;
    type Output = ();
    type ElemName<'a>
        = <HtmlTreeSink as TreeSink>::ElemName<'a>
    where
        Self: 'a;

    fn finish(self) {}
    fn parse_error(&self, _: Cow<'static, str>) {}
    fn get_document(&self) -> NodeId {
        self.inner.get_document()
    }
    fn elem_name<'a>(&'a self, target: &'a NodeId) -> Self::ElemName<'a> {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
        self.inner.elem_name(target)
    }
    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, flags: ElementFlags) -> NodeId {
        self.budget.element();
        self.created.set(self.created.get() + 1);
        let integration = flags.mathml_annotation_xml_integration_point;
        let id = self.inner.create_element(name, attrs, flags);
        self.last.set(Some(id));
        if integration {
            self.integration.borrow_mut().insert(id);
        }
        id
    }
    fn is_mathml_annotation_xml_integration_point(&self, target: &NodeId) -> bool {
        self.integration.borrow().contains(target)
    }
    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.inner.create_comment(text)
    }
    fn create_pi(&self, target: StrTendril, data: StrTendril) -> NodeId {
        self.inner.create_pi(target, data)
    }
    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        self.inner.append(parent, child);
    }
    fn append_based_on_parent_node(&self, element: &NodeId, prev: &NodeId, child: NodeOrText<NodeId>) {
        self.inner.append_based_on_parent_node(element, prev, child);
    }
    fn append_doctype_to_document(&self, name: StrTendril, public: StrTendril, system: StrTendril) {
        self.inner.append_doctype_to_document(name, public, system);
    }
    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        self.inner.get_template_contents(target)
    }
    fn same_node(&self, x: &NodeId, y: &NodeId) -> bool {
        #[cfg(test)]
        self.looks.set(self.looks.get() + 1);
        x == y
    }
    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.inner.set_quirks_mode(mode);
    }
    fn append_before_sibling(&self, sibling: &NodeId, child: NodeOrText<NodeId>) {
        self.inner.append_before_sibling(sibling, child);
    }
    fn add_attrs_if_missing(&self, target: &NodeId, attrs: Vec<Attribute>) {
        self.inner.add_attrs_if_missing(target, attrs);
    }
    fn associate_with_form(&self, target: &NodeId, form: &NodeId, _: (&NodeId, Option<&NodeId>)) {
        self.owners.borrow_mut().push((*target, *form));
    }
    fn remove_from_parent(&self, target: &NodeId) {
        self.inner.remove_from_parent(target);
    }
    fn reparent_children(&self, node: &NodeId, new_parent: &NodeId) {
        self.inner.reparent_children(node, new_parent);
    }
}

#[cfg(test)]
mod tests;
