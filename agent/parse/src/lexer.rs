//! Cuts a page into tags, text and raw text before the tokenizer sees it (WHATWG HTML §13.2.5).
//!
//! html5ever's tokenizer compares each attribute of a tag with all others of that tag, and keeps
//! every name it meets in a table that all pages share and whose chains a page could make as long
//! as it likes. So that a tag is handed on with those attributes only that something here reads,
//! each at most once, and comments are not handed on at all. Where tags begin and end is decided
//! as the standard does, byte for byte: the tokenizer must never think otherwise.

use std::borrow::Cow;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

use html5ever::LocalName;

/// Attributes that anything here reads, or that decide how a page looks. `color`, `face` and `size` decide whether `<font>` ends
/// foreign content (§13.2.6.5), `encoding` whether HTML goes on in MathML (§13.2.6).
const READ: [&str; 68] = [
    "action",
    "align",
    "alt",
    "aria-label",
    "as",
    "background",
    "bgcolor",
    "border",
    "cellpadding",
    "cellspacing",
    "charset",
    "checked",
    "class",
    "color",
    "cols",
    "colspan",
    "content",
    "data",
    "data-lazy",
    "data-lazy-src",
    "data-original",
    "data-src",
    "data-srcset",
    "dir",
    "disabled",
    "encoding",
    "face",
    "form",
    "height",
    "hidden",
    "href",
    "hspace",
    "http-equiv",
    "id",
    "imagesrcset",
    "itemprop",
    "itemtype",
    "lang",
    "media",
    "method",
    "multiple",
    "name",
    "nowrap",
    "open",
    "placeholder",
    "poster",
    "rel",
    "reversed",
    "role",
    "rows",
    "rowspan",
    "selected",
    "shadowrootmode",
    "size",
    "span",
    "src",
    "srcdoc",
    "srcset",
    "start",
    "style",
    "text",
    "title",
    "type",
    "valign",
    "value",
    "vspace",
    "width",
    "xlink:href",
];

/// Most names of tags beyond seven bytes that are not HTML's own.
const LONG_NAMES: usize = 1_000;
/// Stands for a name beyond those: an element without rules of its own.
const OTHER_NAME: &str = "x";

/// A tag as it stands in the text.
#[derive(Debug, PartialEq, Eq)]
pub struct Tag<'t> {
    /// Name, in any letter case.
    name: &'t str,
    /// Attributes that are read, each from its name to the end of its value.
    attributes: Vec<&'t str>,
    self_closing: bool,
    /// Where the text goes on.
    pub end: usize,
}

/// White space between attributes; a carriage return has become a line feed before the standard
/// looks at it.
fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

/// Reads the tag that begins at `start` (`<` and a letter, or `</` and a letter). `None` when the
/// text ends within it: such a tag is none (§13.2.5.32, eof-in-tag).
pub fn tag(text: &str, start: usize) -> Option<Tag<'_>> {
    let bytes = text.as_bytes();
    let closing = bytes.get(start + 1) == Some(&b'/');
    let name_at = start + 1 + usize::from(closing);
    let find = |from: usize, test: fn(u8) -> bool| Some(from + bytes.get(from..)?.iter().position(|&b| test(b))?);
    let mut at = find(name_at, |b| is_space(b) || matches!(b, b'/' | b'>'))?;
    let mut tag = Tag { name: &text[name_at..at], attributes: Vec::new(), self_closing: false, end: 0 };
    let mut seen: u128 = 0;
    loop {
        // Before an attribute name (§13.2.5.32); a solidus only counts right before the end.
        let slash = bytes.get(at) == Some(&b'/');
        match bytes.get(at)? {
            b'>' => {
                tag.end = at + 1;
                return Some(tag);
            }
            &b if is_space(b) || slash => {
                at += 1;
                tag.self_closing = slash && bytes.get(at) == Some(&b'>');
                continue;
            }
            _ => {}
        }
        // The first byte belongs to the name even if it is `=`.
        let name_end = find(at + 1, |b| is_space(b) || matches!(b, b'/' | b'>' | b'='))?;
        let name = &text[at..name_end];
        let mut end = name_end;
        let after = find(name_end, |b| !is_space(b))?;
        if bytes[after] == b'=' {
            let value = find(after + 1, |b| !is_space(b))?;
            end = match bytes[value] {
                b'"' => find(value + 1, |b| b == b'"')? + 1,
                b'\'' => find(value + 1, |b| b == b'\'')? + 1,
                b'>' => value,
                _ => find(value, |b| is_space(b) || b == b'>')?,
            };
        }
        if !closing
            && let Some(index) = READ.iter().position(|read| name.eq_ignore_ascii_case(read))
            && seen & (1 << index) == 0
        {
            seen |= 1 << index;
            tag.attributes.push(&text[at..end]);
        }
        at = end;
    }
}

/// The names of tags that a page may have, beyond HTML's own.
#[derive(Default)]
pub struct Names {
    hasher: RandomState,
    long: HashSet<u64>,
}

impl Names {
    fn known(&mut self, name: &str) -> bool {
        // Up to seven bytes stand in the name itself and take no place in the shared table.
        if name.len() <= 7 {
            return true;
        }
        let name = name.to_ascii_lowercase();
        if LocalName::try_static(&name).is_some() {
            return true;
        }
        let hash = self.hasher.hash_one(&name);
        self.long.contains(&hash) || (self.long.len() < LONG_NAMES && self.long.insert(hash))
    }

    /// The tag as the tokenizer gets it.
    pub fn write(&mut self, tag: &Tag<'_>, closing: bool) -> String {
        let name = if self.known(tag.name) { tag.name } else { OTHER_NAME };
        let mut out = String::from(if closing { "</" } else { "<" });
        out.push_str(name);
        for attribute in &tag.attributes {
            out.push(' ');
            out.push_str(attribute);
        }
        out.push_str(if tag.self_closing { " />" } else { ">" });
        without_nul(&out).into_owned()
    }
}

/// Length of the text before the next tag or comment: `<` alone is text (§13.2.5.6).
pub fn text(rest: &str) -> usize {
    let mut from = 0;
    while let Some(at) = rest[from..].find('<') {
        let next = rest.as_bytes().get(from + at + 1).copied().unwrap_or_default();
        if next.is_ascii_alphabetic() || matches!(next, b'!' | b'/' | b'?') {
            return from + at;
        }
        from += at + 1;
    }
    rest.len()
}

/// Whether the tokenizer waits for more after a text: in a character reference, or after `<`.
pub fn stays_open(text: &str) -> bool {
    let reference = |(_, rest): (&str, &str)| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'#');
    text.ends_with('<') || text.rsplit_once('&').is_some_and(reference)
}

/// A comment's end (§13.2.5.43 to 52), when `rest` begins with `<!--`.
pub fn comment_end(rest: &str) -> usize {
    let inside = &rest[4..];
    if inside.starts_with('>') {
        return 5;
    }
    if inside.starts_with("->") {
        return 6;
    }
    let mut from = 0;
    while let Some(at) = inside[from..].find("--") {
        let after = &inside[from + at + 2..];
        if after.starts_with('>') {
            return 4 + from + at + 3;
        }
        if after.starts_with("!>") {
            return 4 + from + at + 4;
        }
        // Of `--->` the last two dashes count.
        from += at + 1;
    }
    rest.len()
}

/// Where the end tag of a raw text element begins (§13.2.5.11, "appropriate end tag").
pub fn raw_end(rest: &str, name: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(at) = rest[from..].find("</") {
        let name_at = from + at + 2;
        let end = name_at + name.len();
        let fits = rest.as_bytes().get(name_at..end).is_some_and(|found| found.eq_ignore_ascii_case(name.as_bytes()));
        if fits && rest.as_bytes().get(end).is_some_and(|&b| is_space(b) || matches!(b, b'/' | b'>')) {
            return Some(from + at);
        }
        from = name_at;
    }
    None
}

/// NUL reads as U+FFFD everywhere but in plain text (§13.2.5), where nobody misses it.
pub fn without_nul(text: &str) -> Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> Option<(String, usize)> {
        let tag = tag(text, 0)?;
        Some((Names::default().write(&tag, text.starts_with("</")), tag.end))
    }

    #[test]
    fn tags_end_where_the_standard_ends_them() {
        for (text, expected, length) in [
            ("<a href=x>rest", "<a href=x>", 10),
            ("<a href = 'x>y' >", "<a href = 'x>y'>", 17),
            ("<a href=\"x\"title=y>", "<a href=\"x\" title=y>", 19),
            ("<a href=x/>", "<a href=x/>", 11),
            ("<br/>", "<br />", 5),
            ("<br / >", "<br>", 7),
            ("<a /href=x>", "<a href=x>", 11),
            ("<a href>", "<a href>", 8),
            ("<a href=>", "<a href=>", 9),
            ("<a =href=x>", "<a>", 11),
            ("<a href=x href=y HREF=z>", "<a href=x>", 24),
            ("<a onclick='>' href=x>", "<a href=x>", 22),
            ("<a b=\"'>\" href='\">'>", "<a href='\">'>", 20),
            ("<A HREF=x>", "<A HREF=x>", 10),
            ("</a href=x>", "</a>", 11),
            ("</br/>", "</br />", 6),
            ("<a\0b>", "<a\u{fffd}b>", 5),
            ("<a href=\ré>", "<a href=\ré>", 12),
        ] {
            assert_eq!(written(text), Some((expected.to_owned(), length)), "{text:?}");
        }
    }

    #[test]
    fn a_tag_that_never_ends_is_none() {
        for text in ["<a", "<a ", "<a href", "<a href=", "<a href=x", "<a href='x>", "<a href=\"x>", "<a /", "</a"] {
            assert_eq!(written(text), None, "{text:?}");
        }
    }

    #[test]
    fn only_so_many_long_names_are_kept() {
        let mut names = Names::default();
        let mut name = |text: String| {
            let tag = tag(&text, 0).unwrap();
            names.write(&tag, false)
        };
        for n in 0..LONG_NAMES {
            assert_eq!(name(format!("<element-{n}>")), format!("<element-{n}>"));
        }
        assert_eq!(name("<element-more>".into()), "<x>");
        assert_eq!(name("<ELEMENT-7>".into()), "<ELEMENT-7>", "known before");
        assert_eq!(name("<textarea>".into()), "<textarea>", "HTML's own");
        assert_eq!(name("<longer-x>".into()), "<x>");
        assert_eq!(name("<short>".into()), "<short>");
    }

    #[test]
    fn text_ends_at_the_next_tag() {
        for (rest, length) in [
            ("", 0),
            ("a<b>", 1),
            ("a < b<c>", 5),
            ("<<p>", 1),
            ("<", 1),
            ("a<é<!-- -->", 4),
            ("</p>", 0),
            ("1<2<3", 5),
        ] {
            assert_eq!(text(rest), length, "{rest:?}");
        }
    }

    #[test]
    fn comments_end_where_the_standard_ends_them() {
        for (text, end) in [
            ("<!-->x", 5),
            ("<!--->x", 6),
            ("<!---->x", 7),
            ("<!-- a -->x", 10),
            ("<!-- a --->x", 11),
            ("<!-- a --!>x", 11),
            ("<!-- a --!-->x", 13),
            ("<!-- a -- > -->x", 15),
            ("<!-- never", 10),
            ("<!----!>x", 8),
        ] {
            assert_eq!(comment_end(text), end, "{text:?}");
        }
    }

    #[test]
    fn raw_text_ends_at_its_own_end_tag() {
        for (text, name, end) in [
            ("a</script>", "script", Some(1)),
            ("a</scripts></SCRIPT x>", "script", Some(11)),
            ("</script", "script", None),
            ("<</title/>", "title", Some(1)),
            ("</ title></title\n>", "title", Some(9)),
            ("é</é</title>", "title", Some(6)),
        ] {
            assert_eq!(raw_end(text, name), end, "{text:?}");
        }
    }
}
