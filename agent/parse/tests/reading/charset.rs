//! Character sets (WHATWG HTML §13.2.3, Encoding, CSS Syntax §3.2): which one, and why.

use encoding_rs::{EUC_JP, ISO_2022_JP, SHIFT_JIS, WINDOWS_1251};
use vigie_parse::{page, stylesheet};
use vigie_wire::parse::Document;

use crate::fixture::{document, typed};

/// Content-Type, body, name and source of the character set, title.
type Case<'a> = (Option<&'a str>, Vec<u8>, &'a str, &'a str, &'a str);

fn read(content_type: Option<&str>, body: Vec<u8>) -> vigie_wire::parse::Page {
    page(&Document { content_type: content_type.map(|t| t.as_bytes().to_vec().into()), ..document(body) })
}

fn utf16(text: &str, mark: bool, big: bool) -> Vec<u8> {
    let units = mark.then_some(0xfeff).into_iter().chain(text.encode_utf16());
    units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

#[test]
fn the_first_declaration_counts() {
    let html = "text/html";
    let cases: Vec<Case<'_>> = vec![
        (Some("text/html; charset=utf-8"), "<title>é</title>".into(), "UTF-8", "HTTP", "é"),
        (Some("text/html;charset=\"UTF-8\""), "<title>é</title>".into(), "UTF-8", "HTTP", "é"),
        (Some("text/html; x=\"a;charset=koi8-r\"; charset=utf-8"), "<title>é</title>".into(), "UTF-8", "HTTP", "é"),
        (Some("text/html; x=\"\\\";charset=koi8-r\"; charset=utf-8"), "<title>é</title>".into(), "UTF-8", "HTTP", "é"),
        (Some("text/html; charset=utf-8; charset=koi8-r"), "<title>é</title>".into(), "UTF-8", "HTTP", "é"),
        (Some("text/html; charset=iso-8859-1"), b"<title>\xe9\x80</title>".into(), "windows-1252", "HTTP", "é€"),
        (Some("text/html; charset=koi8-r"), b"<title>\xeb\xcc\xd9\xcb</title>".into(), "KOI8-R", "HTTP", "Клык"),
        // A byte order mark is stronger than anything.
        (Some("text/html; charset=koi8-r"), "\u{feff}<title>é</title>".into(), "UTF-8", "BOM", "é"),
        (Some("text/html; charset=utf-8"), utf16("<title>é</title>", true, false), "UTF-16LE", "BOM", "é"),
        (Some(html), utf16("<title>é</title>", true, true), "UTF-16BE", "BOM", "é"),
        (Some("text/html; charset=utf-16"), utf16("<title>é</title>", false, false), "UTF-16LE", "HTTP", "é"),
        // HTTP is stronger than the page.
        (
            Some("text/html; charset=windows-1251"),
            b"<meta charset=utf-8><title>\xca</title>".into(),
            "windows-1251",
            "HTTP",
            "К",
        ),
        (Some(html), b"<meta charset=windows-1251><title>\xca</title>".into(), "windows-1251", "meta", "К"),
        (
            Some(html),
            b"<META http-equiv=Content-Type content='text/html; CHARSET = windows-1251'><title>\xca</title>".into(),
            "windows-1251",
            "meta",
            "К",
        ),
        // An unknown one counts for nothing.
        (Some("text/html; charset=nonsense"), "<meta charset=utf-8><title>é</title>".into(), "UTF-8", "meta", "é"),
        (Some(html), "<meta charset=nonsense><meta charset=utf-8><title>é</title>".into(), "UTF-8", "meta", "é"),
        // A comment declares nothing, nor does an attribute of another element.
        (Some(html), "<!-- <meta charset=koi8-r> --><meta charset=utf-8><title>é</title>".into(), "UTF-8", "meta", "é"),
        (Some(html), "<p x='<meta charset=koi8-r>'><meta charset=utf-8><title>é</title>".into(), "UTF-8", "meta", "é"),
        (Some(html), "<meta charset=koi8-r<p>><title>é</title>".into(), "UTF-8", "guess", "é"),
        // What can say UTF-16 in ASCII is not in UTF-16.
        (Some(html), "<meta charset=utf-16><title>é</title>".into(), "UTF-8", "meta", "é"),
        (Some(html), b"<meta charset=x-user-defined><title>\xe9</title>".into(), "windows-1252", "meta", "é"),
        // XHTML served as HTML.
        (
            Some(html),
            b"<?xml version='1.0' encoding='windows-1251'?><title>\xca</title>".into(),
            "windows-1251",
            "meta",
            "К",
        ),
        (Some(html), utf16("<?xml version='1.0'?><title>é</title>", false, true), "UTF-16BE", "meta", "é"),
    ];
    for (content_type, body, name, source, title) in cases {
        let page = read(content_type, body);
        let found = (page.charset.as_str(), page.charset_source.as_str(), page.title.as_str());
        assert_eq!(found, (name, source, title), "{content_type:?}");
    }
}

/// A `<meta>` further down than browsers look at first still corrects a guess, and nothing else.
#[test]
fn a_late_meta_corrects_a_guess() {
    let filler = format!("<script>{}</script>", "x".repeat(3_000));
    let page_of = |meta: &str| [filler.as_bytes(), meta.as_bytes(), b"<title>\xca\xeb\xfb\xea</title>"].concat();
    for (meta, content_type, name, source) in [
        ("<meta charset=windows-1251>", "text/html", "windows-1251", "meta"),
        ("<meta charset=koi8-r><meta charset=windows-1251>", "text/html", "KOI8-R", "meta"),
        ("<body><p><meta charset=windows-1251>", "text/html", "windows-1251", "meta"),
        ("<meta http-equiv=content-type content='x;charset=koi8-r'>", "text/html", "KOI8-R", "meta"),
        ("<template><meta charset=koi8-r></template>", "text/html", "windows-1251", "guess"),
        ("<link rel=stylesheet charset=koi8-r href=x>", "text/html", "windows-1251", "guess"),
        ("<meta charset=windows-1251>", "text/html; charset=koi8-r", "KOI8-R", "HTTP"),
    ] {
        let text = "Продам клыки, когти и шкуры. Цена договорная, отправка почтой. ".repeat(4);
        let (text, ..) = WINDOWS_1251.encode(&text);
        let page = read(Some(content_type), [page_of(meta), text.into_owned()].concat());
        assert_eq!((page.charset.as_str(), page.charset_source.as_str()), (name, source), "{meta}");
    }
}

#[test]
fn contradictions_are_told() {
    let page = read(Some("text/html; charset=iso-8859-15"), "<meta charset=utf-8><title>x</title>".into());
    assert!(page.warnings.iter().any(|w| w.contains("ISO-8859-15 (HTTP), UTF-8 (meta)")), "{:?}", page.warnings);
    let page = read(Some("text/html; charset=\"\u{202e}\""), "<title>x</title>".into());
    assert!(page.warnings.iter().any(|w| w.contains("is not known")), "{:?}", page.warnings);
}

#[test]
fn what_nothing_declares_is_guessed() {
    let russian = "<title>Продам</title><p>Продам клык моржа, резьба, отличное состояние. Отправлю в любой город.";
    let japanese =
        "<title>象牙</title><p>象牙の彫刻を売ります。状態は良好です。お問い合わせください。ありがとうございます。";
    let french = "<title>Défense</title><p>Ivoire d'éléphant, très ancien, à débattre, prix élevé. Très bon état.";
    let cases: Vec<(Vec<u8>, &str, &str)> = vec![
        (WINDOWS_1251.encode(russian).0.into_owned(), "windows-1251", "Продам"),
        // A superset of KOI8-R.
        (encoding_rs::KOI8_R.encode(russian).0.into_owned(), "KOI8-U", "Продам"),
        (russian.into(), "UTF-8", "Продам"),
        (SHIFT_JIS.encode(japanese).0.into_owned(), "Shift_JIS", "象牙"),
        (EUC_JP.encode(japanese).0.into_owned(), "EUC-JP", "象牙"),
        (ISO_2022_JP.encode(japanese).0.into_owned(), "ISO-2022-JP", "象牙"),
        (encoding_rs::WINDOWS_1252.encode(french).0.into_owned(), "windows-1252", "Défense"),
        (b"<title>plain</title>".to_vec(), "UTF-8", "plain"),
        (utf16("<title>offers of today</title><p>and more of them", false, false), "UTF-16LE", "offers of today"),
        (utf16("<title>offers of today</title><p>and more of them", false, true), "UTF-16BE", "offers of today"),
    ];
    for (body, name, title) in cases {
        let page = read(Some("text/html"), body);
        assert_eq!((page.charset.as_str(), page.charset_source.as_str()), (name, "guess"), "{title}");
        assert_eq!(page.title, title, "{name}");
    }
}

/// The text that tells may come after hundreds of kilobytes that do not, and a sample may end
/// within a character.
#[test]
fn a_guess_finds_the_text_that_tells() {
    let style = format!("<style>{}</style>", "a{b:c}".repeat(60_000));
    let russian = "Продам клык моржа, отличное состояние. ";
    let late = [style.into_bytes(), WINDOWS_1251.encode(&russian.repeat(20)).0.into_owned()].concat();
    assert_eq!(read(Some("text/html"), late).charset, "windows-1251");
    for shift in 0..4 {
        let long = format!("{}{}", "x".repeat(shift), russian.repeat(6_000));
        assert_eq!(read(Some("text/html"), long.into()).charset, "UTF-8", "{shift}");
    }
    // Of a body that was cut, the last character may be half.
    let cut = Document { cut: true, ..typed("text/html", "Клык".as_bytes()[..7].to_vec()) };
    assert_eq!(page(&cut).charset, "UTF-8");
}

#[test]
fn what_does_not_fit_is_replaced_and_told() {
    let cases: [(&str, &[u8], &str); 7] = [
        ("utf-8", b"<title>a\xffb</title>", "a\u{fffd}b"),
        // Overlong `<`, a surrogate, beyond Unicode: none of them is a character.
        ("utf-8", b"<title>\xc0\xbcb</title>", "\u{fffd}\u{fffd}b"),
        ("utf-8", b"<title>\xed\xa0\x80</title>", "\u{fffd}\u{fffd}\u{fffd}"),
        ("utf-8", b"<title>\xf5\x80\x80\x80</title>", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ("shift_jis", b"<title>\x81</title>", "\u{fffd}"),
        ("iso-2022-jp", b"<title>\x1b$B\x21\x1b(Bx</title>", "\u{fffd}x"),
        ("utf-16le", b"<\0t\0i\0t\0l\0e\0>\0\x00\xd8x\0<\0/\0t\0i\0t\0l\0e\0>\0", "\u{fffd}x"),
    ];
    for (label, body, title) in cases {
        let page = page(&typed(&format!("text/html; charset={label}"), body));
        assert!(page.title.starts_with(title), "{label}: {:?}", page.title);
        let told = page.warnings.iter().any(|line| line.contains("were replaced"));
        assert_eq!(told, title.contains('\u{fffd}'), "{label}: {:?}", page.warnings);
    }
}

/// An overlong or multi-byte character must never hide or make markup.
#[test]
fn no_half_character_eats_markup() {
    for (label, body) in [
        ("shift_jis", &b"<a title=\"\x81\" href=/x>y</a>"[..]),
        ("gbk", b"<a title='\x81' href=/x>y</a>"),
        ("utf-8", b"<a title=\"\xf0\x9f\" href=/x>y</a>"),
        ("big5", b"<a title=\"\xa4\" href=/x>y</a>"),
    ] {
        let page = page(&typed(&format!("text/html; charset={label}"), body));
        assert_eq!(page.links.len(), 1, "{label}: {page:?}");
        assert_eq!(page.links[0].url, "http://market.test/x", "{label}");
    }
}

#[test]
fn character_sets_that_browsers_refuse_give_nothing() {
    let page = page(&typed("text/html; charset=iso-2022-kr", "<a href=/x>y</a>"));
    assert!(page.links.is_empty());
    assert!(page.warnings.iter().any(|line| line.contains("browsers refuse")), "{:?}", page.warnings);
}

#[test]
fn nul_is_told() {
    let page = page(&typed("text/html; charset=utf-8", "<a href=\"/a\0b\">a\0b</a>"));
    assert!(page.warnings.iter().any(|line| line.contains("NUL")), "{:?}", page.warnings);
    assert_eq!(page.links[0].text, "ab");
    assert_eq!(page.links[0].url, "http://market.test/a%EF%BF%BDb");
}

#[test]
fn stylesheets_have_their_own_order() {
    let image = |label: &str, body: &[u8]| {
        let sheet = stylesheet(&typed(label, body));
        sheet.requisites.first().map(|r| r.url.clone()).unwrap_or_default()
    };
    for (label, body, url) in [
        ("text/css; charset=windows-1251", &b"a{b:url(/\xca)}"[..], "http://market.test/%D0%9A"),
        ("text/css", b"@charset \"windows-1251\";a{b:url(/\xca)}", "http://market.test/%D0%9A"),
        ("text/css", b"@charset \"utf-16\";a{b:url(/\xc3\xa9)}", "http://market.test/%C3%A9"),
        // Only the very form of the standard counts.
        ("text/css", b"@charset 'windows-1251';a{b:url(/\xc3\xa9)}", "http://market.test/%C3%A9"),
        ("text/css", b"@charset \"windows-1251\" ;a{b:url(/\xc3\xa9)}", "http://market.test/%C3%A9"),
        ("text/css", b" @charset \"windows-1251\";a{b:url(/\xc3\xa9)}", "http://market.test/%C3%A9"),
        ("text/css; charset=windows-1251", b"\xef\xbb\xbfa{b:url(/\xc3\xa9)}", "http://market.test/%C3%A9"),
    ] {
        assert_eq!(image(label, body), url, "{label} {body:?}");
    }
}
