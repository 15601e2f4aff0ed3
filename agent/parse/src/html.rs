//! Reading HTML: title, links, requisites, forms, refresh.

use std::collections::HashMap;

use ego_tree::NodeId;
use scraper::{ElementRef, Html, Node};
use vigie_wire::limits::REFERENCES;
use vigie_wire::parse::{Document, Form, Page, RequisiteClass};

use crate::address::{Base, Reading};
use crate::charset::{self, Charset};
use crate::sets::{Links, Requisites};
use crate::warnings::{Warnings, fold, fold_into};
use crate::{css, image, refresh, tree};

/// Most nodes looked at for the text of one element.
const TEXT_NODES: usize = 2_000;
/// Most candidates of one `srcset`.
const CANDIDATES: usize = 64;

/// Reads a page into `page`.
pub fn read(document: &Document, bytes: &[u8], charset: Charset, base: Base, page: &mut Page, warnings: &mut Warnings) {
    page.charset = charset.name();
    page.charset_source = charset.source.into();
    let text = charset::text(bytes, &charset, warnings);
    let tree = tree::parse(&text, warnings);
    let mut reader = Reader {
        base,
        page,
        warnings,
        requisites: Requisites::default(),
        links: Links::default(),
        forms: HashMap::new(),
    };
    // The first base counts for the whole page, also for what stands before it (WHATWG HTML §4.2.3).
    reader.set_base(&tree.html);
    reader.link_fields(document);
    for node in tree.html.tree.nodes() {
        if let Some(element) = ElementRef::wrap(node) {
            reader.element(element);
        }
    }
    reader.fields(&tree);
    let Reader { requisites, links, .. } = reader;
    page.requisites = requisites.finish(warnings);
    page.links = links.finish(warnings);
}

struct Reader<'p> {
    base: Base,
    page: &'p mut Page,
    warnings: &'p mut Warnings,
    requisites: Requisites,
    links: Links,
    /// Place of each form in `page.forms`.
    forms: HashMap<NodeId, usize>,
}

impl Reader<'_> {
    fn set_base(&mut self, html: &Html) {
        let mut bases = html.tree.nodes().filter_map(ElementRef::wrap).filter(|e| e.value().name() == "base");
        if let Some(href) = bases.find_map(|element| element.value().attr("href"))
            && self.base.set(href)
        {
            self.warnings.add("the page's base element turns its references to another host");
        }
    }

    /// `Link` fields: what a browser would fetch because of them is a requisite, the rest are hints
    /// that nothing here follows.
    fn link_fields(&mut self, document: &Document) {
        for link in refresh::links(&document.headers) {
            let value = |name: &str| link.parameters.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
            if let Some(class) = link_class(value("rel").unwrap_or_default(), value("as")) {
                self.requisites.add(&self.base, &link.target, class);
            }
        }
    }

    fn element(&mut self, element: ElementRef<'_>) {
        let value = element.value();
        if let Some(style) = value.attr("style") {
            // A picture that a card shows as its background is one of the offer.
            let class = picture(element);
            css::inline(style, &self.base, class, &mut self.requisites, self.warnings);
        }
        self.requisite(value.attr("background"), RequisiteClass::OtherImage);
        match value.name() {
            "title" if self.page.title.is_empty() => self.page.title = text_of(element),
            "a" | "area" => {
                let label = || {
                    let text = text_of(element);
                    let other = ["title", "aria-label", "alt"].iter().find_map(|name| value.attr(name));
                    if text.is_empty() { fold(other.unwrap_or_default()) } else { text }
                };
                if let Some(href) = value.attr("href") {
                    self.links.add(&self.base, href, value.attr("rel").unwrap_or_default(), label);
                }
            }
            "link" => {
                let class = link_class(value.attr("rel").unwrap_or_default(), value.attr("as"));
                if let Some(class) = class {
                    self.requisite(value.attr("href"), class);
                }
            }
            "img" => {
                let class = picture(element);
                // Pages that load pictures by script keep the address in one of these.
                for name in ["src", "data-src", "data-original", "data-lazy-src"] {
                    self.requisite(value.attr(name), class);
                }
                self.srcset(value.attr("srcset").or(value.attr("data-srcset")), class);
            }
            "source" => {
                let class = if in_media(element) { RequisiteClass::Media } else { picture(element) };
                self.requisite(value.attr("src"), class);
                self.srcset(value.attr("srcset"), class);
            }
            "video" | "audio" | "track" | "embed" | "object" => {
                self.requisite(value.attr("src"), RequisiteClass::Media);
                self.requisite(value.attr("data"), RequisiteClass::Media);
                self.requisite(value.attr("poster"), RequisiteClass::OtherImage);
            }
            "input" if value.attr("type").is_some_and(|kind| kind.eq_ignore_ascii_case("image")) => {
                self.requisite(value.attr("src"), RequisiteClass::OtherImage);
            }
            "image" | "feImage" => {
                // SVG within the page.
                self.requisite(value.attr("href").or(value.attr("xlink:href")), RequisiteClass::OtherImage);
            }
            "iframe" | "frame" => self.requisite(value.attr("src"), RequisiteClass::Frame),
            "script" => self.requisite(value.attr("src"), RequisiteClass::Script),
            "style" => css::sheet(&raw_text(element), &self.base, &mut self.requisites, self.warnings),
            "meta" if value.attr("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh")) => {
                self.refresh(value.attr("content").unwrap_or_default());
            }
            "form" => self.form(element),
            _ => {}
        }
    }

    fn requisite(&mut self, reference: Option<&str>, class: RequisiteClass) {
        if let Some(reference) = reference {
            self.requisites.add(&self.base, reference, class);
        }
    }

    /// `a.png 1x, b.png 480w` (WHATWG HTML, srcset attributes): each candidate, since which one a
    /// browser takes depends on its window.
    fn srcset(&mut self, value: Option<&str>, class: RequisiteClass) {
        let mut rest = value.unwrap_or_default();
        for _ in 0..CANDIDATES {
            rest = rest.trim_start_matches(|c: char| c == ',' || c.is_ascii_whitespace());
            if rest.is_empty() {
                return;
            }
            let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
            let (url, after) = rest.split_at(end);
            self.requisites.add(&self.base, url.trim_end_matches(','), class);
            // The descriptor ends at a comma; one at the end of the address leaves none.
            let next = if url.ends_with(',') { Some(0) } else { after.find(',') };
            rest = next.map_or("", |at| &after[at..]);
        }
        self.warnings.add(format!("a picture has more than {CANDIDATES} candidates: the rest was not read"));
    }

    fn refresh(&mut self, content: &str) {
        match refresh::parse(content) {
            Some(found) if self.page.refresh.is_none() => {
                refresh::take(found, &self.base, self.page, self.warnings);
            }
            Some(_) => self.warnings.add("more than one refresh: only the first is followed"),
            None => self.warnings.add("a refresh that cannot be read"),
        }
    }

    fn form(&mut self, element: ElementRef<'_>) {
        if self.page.forms.len() >= REFERENCES {
            return self.warnings.add(format!("more than {REFERENCES} forms: the rest was not read"));
        }
        let value = element.value();
        let method = value.attr("method").unwrap_or_default().to_ascii_lowercase();
        let action = match value.attr("action").map(|action| self.base.resolve(action)) {
            // Without an action a form goes to the page itself.
            None | Some(Reading::Nothing) => self.base.own().to_owned(),
            Some(Reading::Url(url)) => url,
            Some(Reading::Dropped | Reading::TooLong) => String::new(),
        };
        self.forms.insert(element.id(), self.page.forms.len());
        self.page.forms.push(Form {
            action,
            method: if matches!(method.as_str(), "post" | "dialog") { method } else { "get".into() },
            fields: Vec::new(),
        });
    }

    /// Gives each field to the form that owns it.
    fn fields(&mut self, tree: &tree::Tree) {
        let mut left = REFERENCES;
        for (field, form) in &tree.owners {
            let Some(form) = self.forms.get(form).and_then(|at| self.page.forms.get_mut(*at)) else { continue };
            let Some(element) = tree.html.tree.get(*field).and_then(ElementRef::wrap) else { continue };
            let kind = match element.value().name() {
                "input" => element.value().attr("type").unwrap_or("text").to_ascii_lowercase(),
                name @ ("textarea" | "select" | "button") => name.to_owned(),
                _ => continue,
            };
            if left == 0 {
                return self.warnings.add(format!("more than {REFERENCES} form fields: the rest was not read"));
            }
            left -= 1;
            form.fields.push((fold(element.value().attr("name").unwrap_or_default()), fold(&kind)));
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
    match destination?.to_ascii_lowercase().as_str() {
        "style" => Some(RequisiteClass::Stylesheet),
        "font" => Some(RequisiteClass::Font),
        "image" => Some(RequisiteClass::OtherImage),
        "script" | "worker" => Some(RequisiteClass::Script),
        "video" | "audio" | "track" => Some(RequisiteClass::Media),
        _ => None,
    }
}

fn picture(element: ElementRef<'_>) -> RequisiteClass {
    if image::shows_offer(element) { RequisiteClass::ListingImage } else { RequisiteClass::OtherImage }
}

fn in_media(element: ElementRef<'_>) -> bool {
    element.parent().and_then(ElementRef::wrap).is_some_and(|parent| matches!(parent.value().name(), "video" | "audio"))
}

/// Visible text, folded, within its limits.
fn text_of(element: ElementRef<'_>) -> String {
    let mut text = String::new();
    for node in element.descendants().take(TEXT_NODES) {
        if let Node::Text(piece) = node.value()
            && !fold_into(&mut text, piece)
        {
            break;
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Text as it stands.
fn raw_text(element: ElementRef<'_>) -> String {
    element.children().filter_map(|node| node.value().as_text()).map(|text| &**text).collect()
}
