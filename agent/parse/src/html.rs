//! Reading HTML: title, links, requisites, forms, refresh.

use html5ever::{Namespace, ns};
use scraper::{ElementRef, Node};
use vigie_wire::parse::{Document, Page, RequisiteClass};

use crate::address::Base;
use crate::charset::{self, Charset};
use crate::forms::Forms;
use crate::guard::OBJECT;
use crate::image::{self, Picture};
use crate::sets::{Links, Requisites};
use crate::tree::{self, Budget, Tree};
use crate::warnings::{LOOK_BYTES, Warnings, fold, fold_into, start};
use crate::{css, kind, linkfield, obstacle, refresh, srcset};

/// Most nodes looked at for the text of one element.
const TEXT_NODES: usize = 2_000;
/// Most frames whose document stands in the page itself.
const INNER_FRAMES: usize = 100;

/// A page's tree and what it was built from.
pub struct Built {
    /// The tree.
    pub tree: Tree,
    /// The character set in the end.
    pub charset: Charset,
    /// What is left of the limits.
    pub budget: Budget,
    /// What was odd.
    pub odd: Warnings,
    /// Bytes of text.
    pub length: usize,
}

/// Builds the tree, a second time where a `<meta>` corrects the guess of the character set.
pub fn build(document: &Document, bytes: &[u8], mut charset: Charset) -> Built {
    let xml = kind::is_xhtml(document.content_type.as_deref());
    let build = |charset: &Charset| {
        let (mut odd, budget) = (Warnings::default(), Budget::default());
        let text = charset::text(bytes, charset, &mut odd);
        let tree = tree::parse(&text, xml, &budget, &mut odd);
        (tree, budget, odd, text.len())
    };
    let (mut tree, mut budget, mut odd, mut length) = build(&charset);
    // A `<meta>` further down corrects a guess (WHATWG HTML §13.2.3.4).
    if charset.source == charset::GUESS
        && !charset::is_wide(charset.encoding)
        && let Some(encoding) = tree.declared
    {
        let other = encoding != charset.encoding;
        charset = Charset { encoding, source: "meta" };
        if other {
            drop(tree);
            (tree, budget, odd, length) = build(&charset);
        }
    }
    Built { tree, charset, budget, odd, length }
}

/// Title and visible text of a page.
pub fn text(document: &Document, bytes: &[u8], charset: Charset, most: usize) -> (String, String) {
    crate::text::read(&build(document, bytes, charset).tree.html, most)
}

/// Reads a page into `page`.
pub fn read(document: &Document, bytes: &[u8], charset: Charset, base: Base, page: &mut Page, warnings: &mut Warnings) {
    let Built { tree, charset, budget, odd, length } = build(document, bytes, charset);
    warnings.append(odd);
    page.charset = charset.name();
    page.charset_source = charset.source.into();
    let mut reader = Reader {
        base,
        page,
        warnings,
        requisites: Requisites::default(),
        links: Links::default(),
        forms: Forms::default(),
        pictures: Vec::new(),
        frames: Vec::new(),
        framed: false,
        left: most_read(length),
    };
    // Fields are about the document, wherever its base element points (RFC 8288 §3.2).
    reader.link_fields(document);
    reader.tree(&tree);
    reader.inner_frames(&budget);
    let Reader { requisites, links, forms, page, warnings, .. } = reader;
    page.requisites = requisites.finish(warnings);
    page.links = links.finish(warnings);
    page.forms = forms.finish(warnings);
    page.obstacles = obstacle::find(&tree.html, page);
}

/// How many bytes of values and texts are read of a document: a tree repeats some of them (a link
/// that is never closed stands in each paragraph), but no honest page comes near four times.
pub fn most_read(length: usize) -> usize {
    4 * length + (1 << 20)
}

struct Reader<'p> {
    base: Base,
    page: &'p mut Page,
    warnings: &'p mut Warnings,
    requisites: Requisites,
    links: Links,
    forms: Forms,
    pictures: Vec<Picture>,
    /// Documents of frames that stand in the page, and the base of each.
    frames: Vec<(String, Base)>,
    /// The tree being read is such a frame's.
    framed: bool,
    /// What is left of [`most_read`].
    left: usize,
}

impl<'p> Reader<'p> {
    fn tree(&mut self, tree: &Tree) {
        // The first base counts for the whole page, also for what stands before it (§4.2.3).
        self.set_base(tree);
        for element in tree.html.tree.root().descendants().filter_map(ElementRef::wrap) {
            match Space::of(&element.value().name.ns) {
                Space::Html => self.element(element),
                Space::Svg => self.svg(element),
                Space::MathMl => self.math(element),
                Space::Other => {}
            }
        }
        self.forms.end_tree(&tree.owners);
        let pictures = std::mem::take(&mut self.pictures);
        for place in image::offers(&tree.html, &pictures, &self.requisites, &self.page.title) {
            self.requisites.promote(place);
        }
    }

    fn set_base(&mut self, tree: &Tree) {
        let elements = tree.html.tree.root().descendants().filter_map(ElementRef::wrap);
        let mut bases = elements.filter(|e| e.value().name() == "base" && e.value().name.ns == ns!(html));
        if let Some(href) = bases.find_map(|element| element.value().attr("href"))
            && self.base.set(href)
        {
            self.warnings.add("the page's base element turns its references to another host");
        }
    }

    /// `Link` fields: what a browser would fetch because of them is a requisite, the rest are hints
    /// that nothing here follows.
    fn link_fields(&mut self, document: &Document) {
        for link in linkfield::read(&document.headers) {
            if let Some(class) = link_class(link.parameter("rel").unwrap_or_default(), link.parameter("as")) {
                self.add(&link.target, class);
            }
        }
    }

    /// Frames with a document of their own (§4.8.5): a browser shows it without asking anyone.
    fn inner_frames(&mut self, budget: &Budget) {
        self.framed = true;
        for (text, base) in std::mem::take(&mut self.frames) {
            let tree = tree::parse(&text, false, budget, self.warnings);
            self.base = base;
            self.tree(&tree);
        }
        if !self.frames.is_empty() {
            self.warnings.add("documents of frames within frames were not read");
        }
    }

    fn element(&mut self, element: ElementRef<'_>) {
        let name = element.value().name();
        if let Some(style) = self.value(element, "style") {
            // A picture that a card shows as its background is one of the offer.
            let mut found = Vec::new();
            css::inline(style, &mut |reference, _| found.push(reference.to_owned()), self.warnings);
            self.picture(element, found.iter().map(String::as_str));
        }
        match name {
            "title" if self.page.title.is_empty() && !self.framed => self.page.title = self.text_of(element),
            "a" | "area" => {
                if let Some(href) = self.value(element, "href") {
                    self.link(element, href);
                }
            }
            "link" => self.link_element(element),
            "img" => self.img(element),
            "source" => self.source(element),
            "video" | "audio" | "track" => {
                self.requisite(element, "src", RequisiteClass::Media);
                if name == "video" {
                    let poster = self.value(element, "poster");
                    self.picture(element, poster.into_iter());
                }
            }
            "embed" => self.plugin(element, "src"),
            OBJECT => self.plugin(element, "data"),
            "input" => {
                if self.value(element, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("image")) {
                    self.requisite(element, "src", RequisiteClass::OtherImage);
                }
                self.forms.field(element);
            }
            "textarea" | "select" | "button" => self.forms.field(element),
            "form" => self.forms.form(element, &self.base),
            "body" | "table" | "thead" | "tbody" | "tfoot" | "tr" | "td" | "th" => {
                self.requisite(element, "background", RequisiteClass::OtherImage);
            }
            "iframe" | "frame" => self.frame(element),
            "script" => self.script(element),
            "style" => self.sheet(element),
            "meta" if !self.framed => self.refresh(element),
            _ => {}
        }
    }

    /// SVG within the page (SVG 2 §16): links, pictures, drawings to repeat.
    fn svg(&mut self, element: ElementRef<'_>) {
        let Some(href) = self.foreign_href(element) else {
            if element.value().name() == "style" {
                self.sheet(element);
            }
            return;
        };
        match element.value().name() {
            "a" => self.link(element, href),
            "image" => self.picture(element, std::iter::once(href)),
            "feImage" | "use" => {
                self.add(href, RequisiteClass::OtherImage);
            }
            "script" => {
                self.add(href, RequisiteClass::Script);
            }
            _ => {}
        }
    }

    /// Any element of MathML may be a link (MathML 3 §6.4.3); browsers of today still follow it.
    fn math(&mut self, element: ElementRef<'_>) {
        if let Some(href) = self.foreign_href(element) {
            self.link(element, href);
        }
    }

    /// `href`, or else `xlink:href`.
    fn foreign_href<'e>(&mut self, element: ElementRef<'e>) -> Option<&'e str> {
        let find = |space: Namespace| {
            element.value().attrs.iter().find(|(name, _)| &*name.local == "href" && name.ns == space)
        };
        let (_, href) = find(ns!()).or_else(|| find(ns!(xlink)))?;
        self.spend(href.len() + 1).then_some(&**href)
    }

    /// Whether so many bytes may be read.
    fn spend(&mut self, bytes: usize) -> bool {
        let enough = self.left >= bytes;
        if enough {
            self.left -= bytes;
        } else {
            self.left = 0;
            self.warnings.add("the page repeats its references too often: the rest was not read");
        }
        enough
    }

    fn value<'e>(&mut self, element: ElementRef<'e>, name: &str) -> Option<&'e str> {
        let value = element.value().attr(name)?;
        self.spend(value.len() + 1).then_some(value)
    }

    fn add(&mut self, reference: &str, class: RequisiteClass) -> Option<usize> {
        // What a reference costs is its length once resolved.
        if !self.spend(self.base.length()) {
            return None;
        }
        self.requisites.add(&self.base, reference, class)
    }

    fn requisite(&mut self, element: ElementRef<'_>, name: &str, class: RequisiteClass) {
        if let Some(reference) = self.value(element, name) {
            self.add(reference, class);
        }
    }

    fn link(&mut self, element: ElementRef<'_>, href: &str) {
        if !self.spend(self.base.length()) {
            return;
        }
        let rel = self.value(element, "rel").unwrap_or_default();
        let mut links = std::mem::take(&mut self.links);
        links.add(&self.base.clone(), href, rel, || self.label(element));
        self.links = links;
    }

    /// What a reader sees of a link, or else what is said in its place.
    fn label(&mut self, element: ElementRef<'_>) -> String {
        let text = self.text_of(element);
        if !text.is_empty() {
            return text;
        }
        let said = ["title", "aria-label", "alt"].into_iter().find_map(|name| self.value(element, name));
        if let Some(said) = said.map(fold).filter(|said| !said.is_empty()) {
            return said;
        }
        let inside = element.descendants().take(TEXT_NODES).filter_map(ElementRef::wrap);
        let mut alternatives = inside.filter_map(|e| e.value().attr("alt")).map(fold);
        alternatives.find(|alt| !alt.is_empty()).unwrap_or_default()
    }

    /// Visible text, folded, within its limits.
    fn text_of(&mut self, element: ElementRef<'_>) -> String {
        let mut text = String::new();
        for node in element.descendants().take(TEXT_NODES) {
            let Node::Text(piece) = node.value() else { continue };
            let piece = start(piece, LOOK_BYTES);
            if !self.spend(piece.len()) || !fold_into(&mut text, piece) {
                break;
            }
        }
        text.truncate(text.trim_end().len());
        text
    }

    /// Takes the addresses of one picture; the first is what shows until a script changes it.
    fn picture<'e>(&mut self, element: ElementRef<'_>, references: impl Iterator<Item = &'e str>) {
        let places: Vec<usize> =
            references.filter_map(|reference| self.add(reference, RequisiteClass::OtherImage)).collect();
        if !places.is_empty() {
            self.pictures.push(Picture { node: element.id(), first: None, places });
        }
    }

    fn img(&mut self, element: ElementRef<'_>) {
        let shown = self.value(element, "src").and_then(|src| self.add(src, RequisiteClass::OtherImage));
        let mut places: Vec<usize> = shown.into_iter().collect();
        places.extend(self.srcset(element, "srcset"));
        // Pages that load pictures by script keep the address in one of these.
        let before = places.len();
        for name in ["data-src", "data-original", "data-lazy-src", "data-lazy"] {
            if let Some(src) = self.value(element, name) {
                places.extend(self.add(src, RequisiteClass::OtherImage));
            }
        }
        places.extend(self.srcset(element, "data-srcset"));
        let first = shown.filter(|_| places.len() > before);
        if !places.is_empty() {
            self.pictures.push(Picture { node: element.id(), first, places });
        }
    }

    fn source(&mut self, element: ElementRef<'_>) {
        match element.parent().and_then(ElementRef::wrap).map(|parent| parent.value().name()) {
            Some("video" | "audio") => self.requisite(element, "src", RequisiteClass::Media),
            Some("picture") => {
                let mut places = self.srcset(element, "srcset");
                places.extend(self.srcset(element, "data-srcset"));
                if !places.is_empty() {
                    self.pictures.push(Picture { node: element.id(), first: None, places });
                }
            }
            _ => {}
        }
    }

    fn srcset(&mut self, element: ElementRef<'_>, name: &str) -> Vec<usize> {
        let value = self.value(element, name).unwrap_or_default();
        let (candidates, more) = srcset::candidates(value);
        if more {
            let most = srcset::CANDIDATES;
            self.warnings.add(format!("a picture has more than {most} candidates: the rest was not read"));
        }
        candidates.into_iter().filter_map(|url| self.add(url, RequisiteClass::OtherImage)).collect()
    }

    /// `<object>` and `<embed>` show what their type says: a picture, a page, or else media.
    fn plugin(&mut self, element: ElementRef<'_>, name: &str) {
        let Some(reference) = self.value(element, name) else { return };
        let kind = start(self.value(element, "type").unwrap_or_default(), 64).to_ascii_lowercase();
        let path = start(reference.split(['?', '#']).next().unwrap_or_default(), 4_096).to_ascii_lowercase();
        let ends = |endings: &[&str]| kind.is_empty() && endings.iter().any(|end| path.ends_with(end));
        if kind.starts_with("image/") || ends(&[".png", ".jpg", ".jpeg", ".gif", ".webp", ".avif", ".svg", ".bmp"]) {
            self.picture(element, std::iter::once(reference));
        } else if matches!(kind.as_str(), "text/html" | "application/xhtml+xml") || ends(&[".html", ".htm"]) {
            self.add(reference, RequisiteClass::Frame);
        } else {
            self.add(reference, RequisiteClass::Media);
        }
    }

    fn frame(&mut self, element: ElementRef<'_>) {
        let inner = if element.value().name() == "iframe" { self.value(element, "srcdoc") } else { None };
        match inner {
            Some(text) if self.frames.len() < INNER_FRAMES => self.frames.push((text.to_owned(), self.base.clone())),
            Some(_) => self.warnings.add(format!("more than {INNER_FRAMES} frames with documents of their own")),
            None => self.requisite(element, "src", RequisiteClass::Frame),
        }
    }

    /// A script of a type that browsers do not know is data, and not fetched (§4.12.1.1).
    fn script(&mut self, element: ElementRef<'_>) {
        let kind = start(self.value(element, "type").unwrap_or_default(), 64).trim_ascii().to_ascii_lowercase();
        let known = matches!(kind.as_str(), "" | "module")
            || kind.ends_with("/javascript")
            || kind.ends_with("/ecmascript")
            || matches!(kind.as_str(), "application/x-javascript" | "application/x-ecmascript" | "text/jscript")
            || kind.starts_with("text/javascript1.");
        if known {
            self.requisite(element, "src", RequisiteClass::Script);
        }
    }

    fn sheet(&mut self, element: ElementRef<'_>) {
        let text: String = element.children().filter_map(|node| node.value().as_text()).map(|text| &**text).collect();
        if !self.spend(text.len()) {
            return;
        }
        let (base, requisites) = (&self.base, &mut self.requisites);
        let (length, mut left) = (base.length(), self.left);
        let mut add = |reference: &str, class: RequisiteClass| {
            if left > length {
                left -= length;
                requisites.add(base, reference, class);
            }
        };
        css::sheet(&text, &mut add, self.warnings);
        self.left = left;
    }

    fn link_element(&mut self, element: ElementRef<'_>) {
        let rel = self.value(element, "rel").unwrap_or_default();
        let Some(class) = link_class(rel, self.value(element, "as")) else { return };
        self.requisite(element, "href", class);
        if class == RequisiteClass::OtherImage {
            self.srcset(element, "imagesrcset");
        }
    }

    fn refresh(&mut self, element: ElementRef<'_>) {
        if !self.value(element, "http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh")) {
            return;
        }
        match refresh::parse(self.value(element, "content").unwrap_or_default()) {
            Some(found) if self.page.refresh.is_none() => {
                refresh::take(found, &self.base, self.page, self.warnings);
            }
            Some(_) => self.warnings.add("more than one refresh: only the first is followed"),
            None => self.warnings.add("a refresh that cannot be read"),
        }
    }
}

enum Space {
    Html,
    Svg,
    MathMl,
    Other,
}

impl Space {
    fn of(namespace: &Namespace) -> Self {
        if *namespace == ns!(html) {
            Self::Html
        } else if *namespace == ns!(svg) {
            Self::Svg
        } else if *namespace == ns!(mathml) {
            Self::MathMl
        } else {
            Self::Other
        }
    }
}

/// What a browser would fetch because of a link's relation (WHATWG HTML §4.6.7); prefetch,
/// preconnect, dns-prefetch and the like are hints that nothing here follows.
fn link_class(rel: &str, destination: Option<&str>) -> Option<RequisiteClass> {
    let is = |name: &str| rel.split_ascii_whitespace().any(|found| found.eq_ignore_ascii_case(name));
    if is("stylesheet") {
        return Some(RequisiteClass::Stylesheet);
    }
    if is("icon") || is("apple-touch-icon") || is("mask-icon") {
        return Some(RequisiteClass::OtherImage);
    }
    if is("modulepreload") {
        return Some(RequisiteClass::Script);
    }
    if !is("preload") {
        return None;
    }
    match start(destination?, 16).to_ascii_lowercase().as_str() {
        "style" => Some(RequisiteClass::Stylesheet),
        "font" => Some(RequisiteClass::Font),
        "image" => Some(RequisiteClass::OtherImage),
        "script" | "worker" => Some(RequisiteClass::Script),
        "video" | "audio" | "track" => Some(RequisiteClass::Media),
        _ => None,
    }
}
