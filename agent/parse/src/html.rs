//! Reading HTML: title, links, requisites, forms, refresh.

use std::collections::HashSet;

use scraper::{ElementRef, Html};
use vigie_wire::limits::REFERENCES;
use vigie_wire::parse::{Document, Form, Page, Reference, RequisiteClass};

use crate::image;
use crate::refs::{Base, Requisites};
use crate::sheet;
use crate::text::fold;

/// Deepest nesting of tags that is built into a tree: deeper pages are flattened first, since
/// work on a tree grows with its depth.
const NESTING: usize = 512;

/// Reads a page's text into `page`.
pub fn read(document: &Document, text: &str, page: &mut Page) {
    let flat = flatten(text);
    if flat.is_some() {
        page.warnings
            .push(format!("tags are nested more than {NESTING} deep: the deeper ones were not built into the tree"));
    }
    if text.contains('\0') {
        page.warnings.push("the page holds NUL characters".into());
    }
    let html = Html::parse_document(flat.as_deref().unwrap_or(text));
    let mut reader = Reader {
        base: Base::new(&document.url),
        requisites: Requisites::default(),
        links: HashSet::new(),
        based: false,
    };
    for (name, value) in &document.headers {
        let value = String::from_utf8_lossy(value);
        match name.as_str() {
            "refresh" => page.refresh = page.refresh.take().or_else(|| reader.refresh(&value)),
            "link" => reader.link_field(&value),
            _ => {}
        }
    }
    for node in html.tree.nodes() {
        if let Some(element) = ElementRef::wrap(node) {
            reader.element(element, page);
        }
    }
    if reader.requisites.full || page.links.len() >= REFERENCES {
        page.warnings.push("the page refers to more than can be listed".into());
    }
    page.requisites = reader.requisites.list;
}

struct Reader {
    base: Base,
    requisites: Requisites,
    links: HashSet<String>,
    based: bool,
}

impl Reader {
    fn element(&mut self, element: ElementRef<'_>, page: &mut Page) {
        let value = element.value();
        let resolve = |reader: &Self, name: &str| value.attr(name).and_then(|text| reader.base.resolve(text));
        if let Some(style) = value.attr("style") {
            sheet::collect(&self.base, style, &mut self.requisites);
        }
        if let Some(background) = resolve(self, "background") {
            self.requisites.add(Some(background), RequisiteClass::OtherImage);
        }
        match value.name() {
            "title" if page.title.is_empty() => page.title = fold(&element.text().collect::<String>()),
            "base" if !self.based => {
                if let Some(href) = value.attr("href") {
                    self.base.rebase(href);
                    self.based = true;
                }
            }
            "a" | "area" => {
                if let Some(url) = resolve(self, "href")
                    && page.links.len() < REFERENCES
                    && self.links.insert(url.clone())
                {
                    let text = fold(&element.text().take(200).collect::<String>());
                    let text = if text.is_empty() {
                        fold(value.attr("title").or(value.attr("aria-label")).unwrap_or_default())
                    } else {
                        text
                    };
                    page.links.push(Reference { url, text, rel: rel(value.attr("rel")) });
                }
            }
            "link" => self.link(element),
            "img" => {
                let class =
                    if image::shows_offer(element) { RequisiteClass::ListingImage } else { RequisiteClass::OtherImage };
                for name in ["src", "data-src"] {
                    let url = resolve(self, name);
                    self.requisites.add(url, class);
                }
                self.srcset(value.attr("srcset"), class);
            }
            "source" => {
                let class = if in_media(element) { RequisiteClass::Media } else { RequisiteClass::OtherImage };
                let url = resolve(self, "src");
                self.requisites.add(url, class);
                self.srcset(value.attr("srcset"), class);
            }
            "video" | "audio" | "track" | "embed" | "object" => {
                for name in ["src", "data"] {
                    let url = resolve(self, name);
                    self.requisites.add(url, RequisiteClass::Media);
                }
                let poster = resolve(self, "poster");
                self.requisites.add(poster, RequisiteClass::OtherImage);
            }
            "input" if value.attr("type").is_some_and(|kind| kind.eq_ignore_ascii_case("image")) => {
                let url = resolve(self, "src");
                self.requisites.add(url, RequisiteClass::OtherImage);
            }
            "iframe" | "frame" => {
                let url = resolve(self, "src");
                self.requisites.add(url, RequisiteClass::Frame);
            }
            "script" => {
                let url = resolve(self, "src");
                self.requisites.add(url, RequisiteClass::Script);
            }
            "style" => sheet::collect(&self.base, &element.text().collect::<String>(), &mut self.requisites),
            "meta" if value.attr("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("refresh")) => {
                let found = value.attr("content").and_then(|content| self.refresh(content));
                page.refresh = page.refresh.take().or(found);
            }
            "form" if page.forms.len() < REFERENCES => page.forms.push(self.form(element)),
            _ => {}
        }
    }

    fn link(&mut self, element: ElementRef<'_>) {
        let value = element.value();
        let url = value.attr("href").and_then(|href| self.base.resolve(href));
        let rel = rel(value.attr("rel"));
        let is = |name: &str| rel.iter().any(|found| found == name);
        let class = if is("stylesheet") {
            RequisiteClass::Stylesheet
        } else if is("icon") || is("apple-touch-icon") {
            RequisiteClass::OtherImage
        } else if is("preload") {
            match value.attr("as") {
                Some("style") => RequisiteClass::Stylesheet,
                Some("font") => RequisiteClass::Font,
                Some("image") => RequisiteClass::OtherImage,
                Some("script") => RequisiteClass::Script,
                Some("video" | "audio") => RequisiteClass::Media,
                _ => return,
            }
        } else {
            // prefetch, preconnect, dns-prefetch and the like: hints that nothing here follows.
            return;
        };
        self.requisites.add(url, class);
    }

    /// A `Link` field (RFC 8288): only stylesheets are part of how the page looks.
    fn link_field(&mut self, value: &str) {
        for part in value.split(',').take(64) {
            let Some((target, parameters)) = part.trim().strip_prefix('<').and_then(|rest| rest.split_once('>')) else {
                continue;
            };
            let lower = parameters.to_ascii_lowercase();
            if lower.contains("rel=stylesheet") || lower.contains("rel=\"stylesheet\"") {
                let url = self.base.resolve(target);
                self.requisites.add(url, RequisiteClass::Stylesheet);
            }
        }
    }

    /// `url 2x, url 480w`: each candidate.
    fn srcset(&mut self, value: Option<&str>, class: RequisiteClass) {
        for candidate in value.unwrap_or_default().split(", ").take(32) {
            let url =
                candidate.split_whitespace().next().and_then(|text| self.base.resolve(text.trim_end_matches(',')));
            self.requisites.add(url, class);
        }
    }

    /// `5; url=/next` (HTML standard, shared declarative refresh steps).
    fn refresh(&self, content: &str) -> Option<(u32, String)> {
        let content = content.trim_start();
        let digits = content.find(|c: char| !c.is_ascii_digit()).unwrap_or(content.len());
        let delay = content[..digits].parse().unwrap_or(0);
        let rest = content[digits..]
            .trim_start_matches(|c: char| c.is_ascii_digit() || c == '.' || c == ';' || c == ',' || c.is_whitespace());
        let rest = match rest.get(..3) {
            Some(name) if name.eq_ignore_ascii_case("url") => {
                rest[3..].trim_start().strip_prefix('=').map_or(rest, str::trim_start)
            }
            _ => rest,
        };
        let rest = rest.trim_matches(['"', '\'']);
        self.base.resolve(rest).map(|url| (delay, url))
    }

    fn form(&self, element: ElementRef<'_>) -> Form {
        let value = element.value();
        let method = value.attr("method").unwrap_or("get").to_ascii_lowercase();
        let mut fields = Vec::new();
        for node in element.descendants().take(REFERENCES) {
            let Some(field) = ElementRef::wrap(node) else { continue };
            let kind = match field.value().name() {
                "input" => field.value().attr("type").unwrap_or("text").to_ascii_lowercase(),
                name @ ("textarea" | "select" | "button") => name.to_owned(),
                _ => continue,
            };
            fields.push((fold(field.value().attr("name").unwrap_or_default()), fold(&kind)));
        }
        Form {
            action: value
                .attr("action")
                .and_then(|action| self.base.resolve(action))
                .or_else(|| self.base.resolve("?"))
                .unwrap_or_default(),
            method: if matches!(method.as_str(), "post" | "dialog") { method } else { "get".into() },
            fields,
        }
    }
}

fn rel(value: Option<&str>) -> Vec<String> {
    value.unwrap_or_default().split_whitespace().take(16).map(|word| fold(&word.to_ascii_lowercase())).collect()
}

fn in_media(element: ElementRef<'_>) -> bool {
    element.parent().and_then(ElementRef::wrap).is_some_and(|parent| matches!(parent.value().name(), "video" | "audio"))
}

/// Leaves out the opening tags that would nest deeper than the limit. A rough count is enough:
/// void and unclosed tags only make it count too much, and then only on pages that nobody reads.
fn flatten(text: &str) -> Option<String> {
    let mut depth = 0usize;
    let mut out: Option<String> = None;
    let mut kept_to = 0;
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(found) = bytes[at..].iter().position(|&b| b == b'<') {
        let start = at + found;
        let end = bytes[start..].iter().position(|&b| b == b'>').map_or(bytes.len(), |end| start + end + 1);
        at = end;
        match bytes.get(start + 1) {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(letter) if letter.is_ascii_alphabetic() => {
                let name: String = text[start + 1..end]
                    .chars()
                    .take_while(char::is_ascii_alphanumeric)
                    .collect::<String>()
                    .to_ascii_lowercase();
                if matches!(
                    name.as_str(),
                    "img"
                        | "br"
                        | "hr"
                        | "input"
                        | "meta"
                        | "link"
                        | "source"
                        | "area"
                        | "base"
                        | "a"
                        | "p"
                        | "li"
                        | "tr"
                        | "td"
                        | "option"
                ) {
                    continue;
                }
                depth += 1;
                if depth > NESTING {
                    let out = out.get_or_insert_with(String::new);
                    out.push_str(&text[kept_to..start]);
                    kept_to = end;
                }
            }
            _ => {}
        }
    }
    out.map(|mut out| {
        out.push_str(&text[kept_to..]);
        out
    })
}
