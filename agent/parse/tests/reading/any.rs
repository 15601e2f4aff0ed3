//! Whatever the bytes are: reading ends, and what comes out is within its limits.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use vigie_parse::{FAILED, page, stylesheet};
use vigie_wire::limits::{REFERENCES, URL_BYTES};
use vigie_wire::parse::{Document, Page};

use crate::fixture::{URL, document};
use crate::limits::assert_within_limits;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn content_type() -> impl Strategy<Value = Option<Vec<u8>>> {
    let known = select(
        &[
            "text/html",
            "text/html; charset=utf-8",
            "text/html; charset=windows-1251",
            "text/html; charset=utf-16",
            "text/html; charset=iso-2022-jp",
            "text/html; charset=gb18030",
            "text/html;charset=\"shift_jis",
            "application/xhtml+xml",
            "text/css",
            "text/plain",
            "image/png",
        ][..],
    );
    prop_oneof![
        6 => known.prop_map(|text| Some(text.as_bytes().to_vec())),
        1 => Just(None),
        1 => vec(any::<u8>(), 0..60).prop_map(Some),
    ]
}

fn content_encoding() -> impl Strategy<Value = Option<Vec<u8>>> {
    let known = select(&["gzip", "br", "zstd", "deflate", "gzip, br", "identity", "gzip,gzip,gzip,gzip,gzip"][..]);
    prop_oneof![
        4 => Just(None),
        2 => known.prop_map(|text| Some(text.as_bytes().to_vec())),
        1 => vec(any::<u8>(), 0..40).prop_map(Some),
    ]
}

fn field() -> impl Strategy<Value = (String, Vec<u8>)> {
    let piece = select(
        &[
            "<",
            ">",
            "/x",
            ";",
            ",",
            "=",
            "\"",
            "'",
            "\\",
            " ",
            "rel",
            "stylesheet",
            "preload",
            "as",
            "style",
            "url",
            "0",
            "5",
            ".",
            "javascript:",
            "data:",
            "//other.test",
            "anchor",
            "é",
            "\t",
        ][..],
    );
    let grammar = vec(piece, 0..20).prop_map(|pieces| pieces.concat().into_bytes());
    let value = prop_oneof![3 => grammar, 1 => vec(any::<u8>(), 0..80)];
    (select(&["link", "refresh", "Link", "Refresh"][..]), value).prop_map(|(name, value)| (name.to_owned(), value))
}

/// Pieces of markup, most of them broken.
fn markup() -> impl Strategy<Value = String> {
    let name = select(
        &[
            "a",
            "b",
            "p",
            "div",
            "table",
            "tr",
            "td",
            "img",
            "svg",
            "math",
            "script",
            "style",
            "title",
            "template",
            "form",
            "input",
            "select",
            "option",
            "iframe",
            "object",
            "base",
            "meta",
            "link",
            "body",
            "html",
            "frameset",
            "noscript",
            "textarea",
            "plaintext",
            "picture",
            "source",
            "video",
            "li",
            "article",
            "image",
            "foreignObject",
            "font",
            "h1",
        ][..],
    );
    let attribute = (
        select(
            &[
                "href",
                "src",
                "srcset",
                "style",
                "class",
                "id",
                "charset",
                "http-equiv",
                "content",
                "rel",
                "as",
                "type",
                "action",
                "form",
                "name",
                "srcdoc",
                "xlink:href",
                "data-src",
                "background",
                "shadowrootmode",
                "width",
                "x",
            ][..],
        ),
        select(&["", "=", "='", "=\"", " = "][..]),
        select(
            &[
                "x",
                "/a b",
                "//other.test",
                "javascript:x",
                "java\tscript:x",
                "data:,",
                "http:\\\\x",
                "#",
                "http://[",
                "é",
                "a 1x, b 2x",
                "url(x)",
                "0;url=/x",
                "refresh",
                "utf-16",
                "windows-1251",
                "open",
                "<p>",
                "1",
                "image",
                "\0",
            ][..],
        ),
        select(&["", "'", "\"", " "][..]),
    )
        .prop_map(|(name, equals, value, end)| format!(" {name}{equals}{value}{end}"));
    let start = (name.clone(), vec(attribute, 0..4), select(&[">", ">", ">", "/>", "", " "][..]))
        .prop_map(|(name, attributes, end)| format!("<{name}{}{end}", attributes.concat()));
    let end = (name, select(&[">", ">", ">", "", " x>"][..])).prop_map(|(name, end)| format!("</{name}{end}"));
    let other = select(
        &[
            "text",
            " ",
            "90 EUR",
            "&amp;",
            "&am",
            "&#x0;",
            "<!--",
            "-->",
            "<![CDATA[",
            "]]>",
            "<!doctype html>",
            "<?",
            ">",
            "<",
            "\0",
            "\u{feff}",
            "\r\n",
            "é",
            "\u{202e}",
            "]]>",
            "a{b:url(x)}",
            "@import 'y';",
        ][..],
    )
    .prop_map(str::to_owned);
    prop_oneof![5 => start, 3 => end, 3 => other]
}

fn sheet() -> impl Strategy<Value = String> {
    let piece = select(
        &[
            "a",
            "{",
            "}",
            "(",
            ")",
            "[",
            "]",
            "url(",
            "url('",
            "\"",
            "'",
            "@import",
            "@font-face",
            "@media",
            "@layer",
            "@charset",
            "@namespace",
            ";",
            ":",
            ",",
            "x.png",
            "image-set(",
            "format(",
            "/*",
            "*/",
            "\\",
            "\\28 ",
            "<!--",
            "-->",
            "\n",
            "é",
            "\0",
            "#f",
            "1e999",
            "U+?",
            "!important",
            "data:,",
            "//other.test/",
            "src",
        ][..],
    );
    vec(piece, 0..60).prop_map(|pieces| pieces.join(""))
}

/// Absolute, or as the page wrote it: nothing is made up.
fn assert_written(url: &str, body: &str) {
    let absolute = url.starts_with("http://") || url.starts_with("https://");
    assert!(absolute || body.contains(url) || url == URL, "{url:?}");
    assert!(!url.to_ascii_lowercase().starts_with("javascript:") && !url.to_ascii_lowercase().starts_with("data:"));
}

fn assert_good(page: &Page) {
    assert_within_limits(page);
    assert!(page.links.iter().all(|link| !link.url.is_empty()));
    assert!(page.requisites.iter().all(|r| !r.url.is_empty()));
    let mut urls: Vec<&str> = page.links.iter().map(|link| link.url.as_str()).collect();
    let count = urls.len();
    urls.sort_unstable();
    urls.dedup();
    assert_eq!(urls.len(), count, "no link twice");
}

proptest! {
    #![proptest_config(cases(2_000))]

    #[test]
    fn any_bytes(
        body in vec(any::<u8>(), 0..2_000),
        content_type in content_type(),
        content_encoding in content_encoding(),
        headers in vec(field(), 0..3),
        cut in any::<bool>(),
        decoded_bytes in select(&[0u32, 1, 100, u32::MAX][..]),
        url in select(&[URL, "", "x", "http://[", "data:,x", "https://u:p@h.test:8/é?#"][..]),
    ) {
        let document = Document {
            url: url.into(),
            content_type: content_type.map(Into::into),
            content_encoding: content_encoding.map(Into::into),
            headers: headers.into_iter().map(|(name, value)| (name, value.into())).collect(),
            body: body.into(),
            cut,
            decoded_bytes,
        };
        assert_good(&page(&document));
        let sheet = stylesheet(&document);
        prop_assert!(sheet.requisites.len() <= REFERENCES && !sheet.warnings.iter().any(|line| line == FAILED));
    }

    #[test]
    fn any_broken_page(
        pieces in vec(markup(), 0..60),
        content_type in content_type(),
        headers in vec(field(), 0..3),
        cut_at in any::<prop::sample::Index>(),
    ) {
        let text = pieces.concat();
        // Ends anywhere, also within a character.
        let bytes = &text.as_bytes()[..cut_at.index(text.len() + 1)];
        let document = Document {
            content_type: content_type.map(Into::into),
            headers: headers.into_iter().map(|(name, value)| (name, value.into())).collect(),
            ..document(bytes)
        };
        assert_good(&page(&document));
    }

    #[test]
    fn any_address_is_absolute_or_as_written(pieces in vec(markup(), 0..40)) {
        let text = pieces.concat();
        let page = page(&Document { content_type: Some("text/html; charset=utf-8".into()), ..document(text.as_bytes()) });
        assert_good(&page);
        let text = text.replace("&amp;", "&").replace("&#x0;", "\0").replace('\0', "\u{fffd}").replace("\r\n", "\n");
        let forms = page.forms.iter().map(|form| &form.action).filter(|action| !action.is_empty());
        let urls = page.links.iter().map(|l| &l.url).chain(page.requisites.iter().map(|r| &r.url));
        for url in urls.chain(forms).chain(page.refresh.iter().map(|(_, url)| url)) {
            assert_written(url, &text);
        }
    }

    #[test]
    fn any_broken_stylesheet(text in sheet(), repeat in select(&[1usize, 1, 1, 50][..])) {
        let text = text.repeat(repeat);
        let sheet = stylesheet(&document(text.as_bytes()));
        prop_assert!(sheet.requisites.iter().all(|r| r.url.len() <= URL_BYTES));
        prop_assert!(!sheet.warnings.iter().any(|line| line == FAILED), "{}", text);
    }

    /// A page reads the same however often it is read, and a body that ends early gives no more
    /// links than the whole.
    #[test]
    fn reading_has_no_memory(pieces in vec(markup(), 0..30)) {
        let text = pieces.concat();
        let once = page(&document(text.as_bytes()));
        prop_assert_eq!(&once, &page(&document(text.as_bytes())));
    }
}
