//! From text to an HTML tree, in time and memory that grow with the page.
//!
//! The tree builder of the standard takes time proportional to the nesting for each tag, can make
//! hundreds of elements of one tag (formatting elements are repeated), and its tokenizer compares
//! each attribute of a tag with all others. A megabyte of such input would take minutes, so that
//! a guard stands between tokenizer and tree builder.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use ego_tree::NodeId;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{ElementFlags, NodeOrText, QuirksMode, TreeBuilder, TreeBuilderOpts, TreeSink};
use html5ever::{Attribute, LocalName, QualName, TokenizerResult};
use scraper::{Html, HtmlTreeSink};

use crate::warnings::Warnings;

/// Nesting from which on elements are closed as soon as they open (Chromium's limit is 512).
const NESTING: u32 = 400;
/// Nesting at which reading stops; only reached by pages made to reach it.
const NESTING_END: u32 = 800;
/// Most elements of a page.
const ELEMENTS: u32 = 300_000;
/// Most tags of a page.
const TAGS: u32 = 1_000_000;
/// Most comparisons between attributes of the same tag, over the whole page.
const COMPARISONS: u64 = 1_000_000_000;
/// Most `<html>` and `<body>` tags; each may add attributes to the one element.
const ROOT_TAGS: u32 = 16;

/// A tree, and which form each field was given to.
pub struct Tree {
    /// The tree.
    pub html: Html,
    /// (field, form): the standard's form owner, which also holds in tables put together wrongly.
    pub owners: Vec<(NodeId, NodeId)>,
}

/// Builds the tree of a page, as a browser with scripts switched off does.
pub fn parse(text: &str, warnings: &mut Warnings) -> Tree {
    let sink = Sink {
        inner: HtmlTreeSink::new(Html::new_document()),
        elements: Cell::new(0),
        depth: Cell::new(0),
        owners: RefCell::default(),
    };
    let options = TreeBuilderOpts { scripting_enabled: false, ..TreeBuilderOpts::default() };
    let guard = Guard {
        builder: TreeBuilder::new(sink, options),
        tokens: Cell::new(0),
        tags: Cell::new(0),
        roots: Cell::new(0),
        raw: Cell::new(false),
        flat: Cell::new(false),
        closed: RefCell::default(),
        end: Cell::new(None),
    };
    let tokenizer = Tokenizer::new(guard, TokenizerOpts::default());
    feed(&tokenizer, text);
    tokenizer.end();
    if tokenizer.sink.flat.get() {
        warnings.add(format!("elements nested more than {NESTING} deep were read as if side by side"));
    }
    if let Some(reason) = tokenizer.sink.end.get() {
        warnings.add(format!("{reason}: the rest of the page was not read"));
    }
    let sink = tokenizer.sink.builder.sink;
    Tree { html: sink.inner.finish(), owners: sink.owners.into_inner() }
}

/// Feeds the tokenizer in pieces that begin at `<` or end at `>`, so that it is known where a tag
/// begins, and counts what separates attributes in it.
fn feed(tokenizer: &Tokenizer<Guard>, text: &str) {
    let guard = &tokenizer.sink;
    let (mut rest, mut spent) = (text, 0u64);
    // Whether the tokenizer stands between two tokens; separators since it last did.
    let (mut between, mut separators, mut in_tag) = (true, 0u64, false);
    while !rest.is_empty() {
        let opening = usize::from(rest.starts_with('<'));
        let end = match rest[opening..].find(['<', '>']).map(|at| opening + at) {
            Some(at) if rest.as_bytes()[at] == b'>' => at + 1,
            Some(at) => at,
            None => rest.len(),
        };
        let (piece, after) = rest.split_at(end);
        rest = after;
        if between {
            // In raw text only an end tag can be a tag; `<!` and `<?` begin no tag.
            let second = piece.as_bytes().get(1).copied().unwrap_or(b' ');
            in_tag = opening == 1 && (second == b'/' || (second.is_ascii_alphabetic() && !guard.raw.get()));
        }
        if in_tag {
            let separates = |b: &&u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c | b'/' | b'"' | b'\'');
            separators += piece.as_bytes().iter().filter(separates).count() as u64;
            if spent + separators * separators / 2 > COMPARISONS {
                guard.end.set(Some("tags with too many attributes"));
                return;
            }
        }
        let before = guard.tokens.get();
        let queue = BufferQueue::default();
        queue.push_back(StrTendril::from_slice(piece));
        while !matches!(tokenizer.feed(&queue), TokenizerResult::Done) {}
        between = guard.tokens.get() != before;
        if between {
            spent += separators * separators / 2;
            separators = 0;
        }
        if guard.end.get().is_some() {
            return;
        }
    }
}

/// Stands between tokenizer and tree builder.
struct Guard {
    builder: TreeBuilder<NodeId, Sink>,
    /// Tokens seen, without parse errors.
    tokens: Cell<u64>,
    tags: Cell<u32>,
    roots: Cell<u32>,
    /// The tokenizer reads raw text (script, style, title …).
    raw: Cell<bool>,
    /// Nesting was limited.
    flat: Cell<bool>,
    /// Names of elements that were closed as soon as they opened, whose end tags are to come.
    closed: RefCell<Vec<LocalName>>,
    /// Why reading stops.
    end: Cell<Option<&'static str>>,
}

/// Elements that hold raw text or nothing: they never nest.
const LEAVES: [&str; 25] = [
    "script",
    "style",
    "title",
    "textarea",
    "xmp",
    "iframe",
    "noembed",
    "noframes",
    "plaintext",
    "area",
    "base",
    "br",
    "col",
    "embed",
    "hr",
    "img",
    "input",
    "link",
    "meta",
    "param",
    "source",
    "track",
    "wbr",
    "frame",
    "image",
];

/// How far back the end tag of an element closed early is looked for.
const CLOSED_BACK: usize = 64;

impl Guard {
    fn start_tag(&self, tag: Tag, line: u64) -> TokenSinkResult<NodeId> {
        if matches!(&*tag.name, "html" | "body") {
            self.roots.set(self.roots.get() + 1);
            if self.roots.get() > ROOT_TAGS {
                return TokenSinkResult::Continue;
            }
        }
        let deep = self.builder.sink.depth.get() >= NESTING && !LEAVES.contains(&&*tag.name);
        if !deep {
            return self.builder.process_token(Token::TagToken(tag), line);
        }
        self.flat.set(true);
        let name = tag.name.clone();
        let end = Tag {
            kind: TagKind::EndTag,
            name: name.clone(),
            self_closing: false,
            attrs: Vec::new(),
            had_duplicate_attributes: false,
        };
        let result = self.builder.process_token(Token::TagToken(tag), line);
        self.closed.borrow_mut().push(name);
        match self.builder.process_token(Token::TagToken(end), line) {
            TokenSinkResult::Continue => result,
            other => other,
        }
    }

    fn end_tag(&self, tag: Tag, line: u64) -> TokenSinkResult<NodeId> {
        if !LEAVES.contains(&&*tag.name) {
            let mut closed = self.closed.borrow_mut();
            let near = closed.len().saturating_sub(CLOSED_BACK);
            if let Some(at) = closed[near..].iter().rposition(|name| *name == tag.name) {
                closed.truncate(near + at);
                return TokenSinkResult::Continue;
            }
            closed.clear();
            // How deep the tree builder stands now is not known; the next element tells.
            self.builder.sink.depth.set(0);
        }
        self.builder.process_token(Token::TagToken(tag), line)
    }
}

impl TokenSink for Guard {
    type Handle = NodeId;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<NodeId> {
        if matches!(token, Token::ParseError(_)) {
            return TokenSinkResult::Continue;
        }
        self.tokens.set(self.tokens.get() + 1);
        if self.end.get().is_none() {
            let tag = u32::from(matches!(token, Token::TagToken(_)));
            self.tags.set(self.tags.get() + tag);
            let sink = &self.builder.sink;
            let reached = [
                (sink.elements.get() >= ELEMENTS, "more than 300,000 elements"),
                (self.tags.get() > TAGS, "more than 1,000,000 tags"),
                (sink.depth.get() >= NESTING_END, "elements nested more than 800 deep"),
            ];
            self.end.set(reached.iter().find(|(over, _)| *over).map(|(_, reason)| *reason));
        }
        if self.end.get().is_some() && !matches!(token, Token::EOFToken) {
            return TokenSinkResult::Continue;
        }
        let is_tag = matches!(token, Token::TagToken(_));
        let result = match token {
            Token::TagToken(tag) if tag.kind == TagKind::StartTag => self.start_tag(tag, line),
            Token::TagToken(tag) => self.end_tag(tag, line),
            other => self.builder.process_token(other, line),
        };
        if is_tag {
            let raw = matches!(result, TokenSinkResult::RawData(_) | TokenSinkResult::Plaintext);
            self.raw.set(raw);
        }
        result
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// scraper's tree, counted.
struct Sink {
    inner: HtmlTreeSink,
    elements: Cell<u32>,
    /// Depth of the element that was put into the tree last.
    depth: Cell<u32>,
    owners: RefCell<Vec<(NodeId, NodeId)>>,
}

impl Sink {
    /// Notes how deep a node stands that was just put in.
    fn placed(&self, child: Option<NodeId>) {
        let html = self.inner.0.borrow();
        let Some(node) = child.and_then(|id| html.tree.get(id)) else { return };
        if node.value().is_element() {
            let depth = node.ancestors().take(NESTING_END as usize + 1).count();
            self.depth.set(u32::try_from(depth).unwrap_or(u32::MAX));
        }
    }
}

fn node(child: &NodeOrText<NodeId>) -> Option<NodeId> {
    match child {
        NodeOrText::AppendNode(id) => Some(*id),
        NodeOrText::AppendText(_) => None,
    }
}

impl TreeSink for Sink {
    type Handle = NodeId;
    type Output = ();
    type ElemName<'a> = <HtmlTreeSink as TreeSink>::ElemName<'a>;

    fn finish(self) {}
    fn parse_error(&self, _: Cow<'static, str>) {}
    fn get_document(&self) -> NodeId {
        self.inner.get_document()
    }
    fn elem_name<'a>(&'a self, target: &'a NodeId) -> Self::ElemName<'a> {
        self.inner.elem_name(target)
    }
    fn create_element(&self, name: QualName, attrs: Vec<Attribute>, flags: ElementFlags) -> NodeId {
        self.elements.set(self.elements.get() + 1);
        self.inner.create_element(name, attrs, flags)
    }
    fn create_comment(&self, text: StrTendril) -> NodeId {
        self.inner.create_comment(text)
    }
    fn create_pi(&self, target: StrTendril, data: StrTendril) -> NodeId {
        self.inner.create_pi(target, data)
    }
    fn append(&self, parent: &NodeId, child: NodeOrText<NodeId>) {
        let id = node(&child);
        self.inner.append(parent, child);
        self.placed(id);
    }
    fn append_based_on_parent_node(&self, element: &NodeId, prev: &NodeId, child: NodeOrText<NodeId>) {
        let id = node(&child);
        self.inner.append_based_on_parent_node(element, prev, child);
        self.placed(id);
    }
    fn append_doctype_to_document(&self, name: StrTendril, public: StrTendril, system: StrTendril) {
        self.inner.append_doctype_to_document(name, public, system);
    }
    fn get_template_contents(&self, target: &NodeId) -> NodeId {
        self.inner.get_template_contents(target)
    }
    fn same_node(&self, x: &NodeId, y: &NodeId) -> bool {
        x == y
    }
    fn set_quirks_mode(&self, mode: QuirksMode) {
        self.inner.set_quirks_mode(mode);
    }
    fn append_before_sibling(&self, sibling: &NodeId, child: NodeOrText<NodeId>) {
        let id = node(&child);
        self.inner.append_before_sibling(sibling, child);
        self.placed(id);
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
