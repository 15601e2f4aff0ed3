//! Pages made to take for ever, or all memory. That each of these ends is what is tested: a reader
//! that takes quadratic time would not, within the patience of anyone who runs tests.

use vigie_parse::{FAILED, page};
use vigie_wire::limits::{REFERENCES, TEXT_BYTES, URL_BYTES};
use vigie_wire::parse::Page;

use crate::fixture::{html, links, requisites, typed};

const MEGABYTE: usize = 1 << 20;

fn filled(text: &str, bytes: usize) -> String {
    text.repeat(bytes / text.len())
}

fn numbered(text: &str, count: usize) -> String {
    (0..count).map(|n| text.replace('#', &n.to_string())).collect()
}

/// Everything a page gives stays within its limits.
pub fn assert_within_limits(page: &Page) {
    assert!(page.links.len() <= REFERENCES && page.requisites.len() <= REFERENCES && page.forms.len() <= REFERENCES);
    assert!(page.forms.iter().map(|form| form.fields.len()).sum::<usize>() <= REFERENCES);
    assert!(page.title.len() <= TEXT_BYTES && page.warnings.len() <= 100);
    assert!(!page.warnings.iter().any(|line| line.len() > TEXT_BYTES || line == FAILED), "{:?}", page.warnings);
    for link in &page.links {
        assert!(link.url.len() <= URL_BYTES && link.text.len() <= TEXT_BYTES && link.rel.len() <= 16);
    }
    assert!(page.requisites.iter().all(|r| r.url.len() <= URL_BYTES));
    for form in &page.forms {
        assert!(form.action.len() <= URL_BYTES);
        assert!(form.fields.iter().all(|(name, kind)| name.len() <= TEXT_BYTES && kind.len() <= TEXT_BYTES));
    }
    assert!(page.links.iter().map(|link| link.url.len() + link.text.len()).sum::<usize>() <= 8 << 20);
    assert!(page.requisites.iter().map(|r| r.url.len()).sum::<usize>() <= 8 << 20);
}

/// Hostile, then a link: the reader comes through to it.
#[test]
fn what_is_hostile_does_not_hide_what_follows() {
    let cases: Vec<(&str, String)> = vec![
        ("nested blocks", filled("<div>", MEGABYTE)),
        ("nested blocks with other ends", filled("<div><span></span></x>", MEGABYTE)),
        ("bold", filled("<b>", MEGABYTE / 2)),
        ("bold, each its own", numbered("<b id=x#>", 50_000)),
        ("bold with many attributes", numbered(&format!("<b id=x# {}>", filled("a='b' ", 2_000)), 1_000)),
        ("attributes", format!("<p{}>", numbered(" a#=v", 100_000))),
        ("attributes after a reference", format!("&a<p{}>", numbered(" a#=v", 100_000))),
        ("attributes after an angle", format!("<<p{}>", numbered(" a#=v", 100_000))),
        ("attributes in an end tag", format!("</p{}>", numbered(" a#=v", 100_000))),
        ("attributes of a raw element", format!("<script{0}></script{0}>", numbered(" a#=v", 100_000))),
        ("the same attribute", format!("<p{}>", " href=x".repeat(100_000))),
        ("long attribute names", format!("<p{}>", numbered(" a-long-attribute-name-#", 50_000))),
        ("long names of tags", numbered("<a-long-element-name-#>", 50_000)),
        ("bold over paragraphs", format!("<p><b{}></p>{}", numbered(" a#=v", 20_000), "<p>x</p>".repeat(20_000))),
        (
            "a style over paragraphs",
            format!("<p><b style='{}'></p>{}", "a:url(x);".repeat(10_000), "<p>x</p>".repeat(10_000)),
        ),
        (
            "markers left behind",
            format!("<table><tr>{}</table>{}", "<td><object>".repeat(20_000), "<b></b>".repeat(80_000)),
        ),
        ("tables in tables", filled("<table><tr><td>", MEGABYTE)),
        ("foster parents", format!("<table>{}", "<b>x<p>".repeat(20_000)) + "</table>"),
        ("adoption", format!("{}{}", "<b><p>".repeat(60_000), "</b>".repeat(60_000))),
        ("adoption by links", format!("{}{}", "<a><p>".repeat(60_000), "</a>".repeat(60_000))),
        ("paragraphs never closed", filled("<p>", MEGABYTE / 2)),
        ("forms", filled("<form>", MEGABYTE)),
        ("lists in lists", filled("<ul><li>", MEGABYTE)),
        ("options", filled("<select><option>", MEGABYTE)),
        ("bodies", numbered("<body class=c#><html id=h#>", 50_000)),
        ("svg", filled("<svg><g>", MEGABYTE)),
        ("svg and html in turn", filled("<svg><foreignObject><p>", MEGABYTE)),
        ("templates", filled("<template>", MEGABYTE) + &"</template>".repeat(MEGABYTE / 10)),
        ("shadow trees", filled("<div><template shadowrootmode=open>", MEGABYTE)),
        ("angles", filled("<", MEGABYTE)),
        ("ampersands", filled("&", MEGABYTE)),
        ("references", filled("&lt;", 2 * MEGABYTE)),
        ("references without end", format!("&{}", filled("a", 4 * MEGABYTE))),
        ("numbers without end", format!("&#{} ", filled("9", 4 * MEGABYTE))),
        ("NUL", filled("\0", 4 * MEGABYTE)),
        ("NUL and text", filled("\0x", 2 * MEGABYTE)),
        ("comments", filled("<!---->", 4 * MEGABYTE)),
        ("comments that almost end", format!("<!--{}-->", filled("--!", 4 * MEGABYTE))),
        ("bogus comments", filled("<?>", 4 * MEGABYTE)),
        ("end tags", filled("</x>", 2 * MEGABYTE)),
        ("raw text that almost ends", format!("<script>{}</script>", filled("</scrip", 4 * MEGABYTE))),
        ("raw text", filled("<style></style>", 2 * MEGABYTE)),
        ("CSS in CSS", format!("<style>{}</style>", filled("a{", 2 * MEGABYTE))),
        ("CSS, all brackets", format!("<style>{}</style>", filled("a{(}[", 2 * MEGABYTE))),
        ("frames", filled("<iframe srcdoc='<p>'></iframe>", MEGABYTE)),
        (
            "a frame of frames",
            format!("<iframe srcdoc=\"{}\"></iframe>", filled("<iframe srcdoc='<p>'></iframe>", MEGABYTE)),
        ),
        ("pictures of one page", filled("<img src=x>", MEGABYTE)),
        ("cards", numbered("<li class=c><a href=x><img src=#.png></a>1 EUR", 30_000)),
        (
            "a class of pictures",
            format!("<div class='{}'>{}</div>", filled("abc ", MEGABYTE), "<img src=x>".repeat(20_000)),
        ),
        ("candidates", format!("<img srcset='{}'>", numbered("#.png 1x, ", 100_000))),
        ("white space", filled(" ", 4 * MEGABYTE)),
    ];
    for (name, start) in cases {
        let read = html(&format!("<a href=/before>x</a>{start}<a href=/after>y</a>"));
        assert_within_limits(&read);
        let found = links(&read);
        assert_eq!(found.first(), Some(&"http://market.test/before"), "{name}");
        assert!(found.contains(&"http://market.test/after"), "{name}: {:?}", read.warnings);
    }
}

#[test]
fn reading_stops_where_a_page_has_too_much_of_anything() {
    for (what, text, count) in [
        ("300,000 elements", "<br>", 310_000),
        ("1,000,000 tags", "</x>", 1_010_000),
        ("1,000,000 errors", "&#0;", 1_010_000),
    ] {
        let read = html(&format!("<a href=/before>x</a>{}<a href=/after>y</a>", text.repeat(count)));
        assert_eq!(links(&read), ["http://market.test/before"], "{what}");
        let line = format!("more than {what}: the rest of the page was not read");
        assert!(read.warnings.contains(&line), "{what}: {:?}", read.warnings);
    }
    // Frames in the page draw on the same account.
    let frame = format!("<iframe srcdoc='{}'></iframe>", "<br>".repeat(40_000));
    let read = html(&frame.repeat(10));
    assert!(read.warnings.iter().any(|line| line.contains("300,000 elements")), "{:?}", read.warnings);
}

#[test]
fn there_are_only_so_many_references() {
    let read = html(&numbered("<a href=/l/#>#</a><img src=/p/#>", 20_000));
    assert_eq!((read.links.len(), read.requisites.len()), (REFERENCES, REFERENCES));
    for what in ["links", "requisites"] {
        assert!(read.warnings.iter().any(|line| line.contains(&format!("more than {REFERENCES} {what}"))));
    }
    let read = html(&filled("<a href=x>y</a>", 2 * MEGABYTE));
    assert_eq!(read.links.len(), 1);
}

/// A base of 16 KB makes 160 MB of ten thousand links of a few bytes each.
#[test]
fn a_long_base_does_not_multiply() {
    let base = format!("<base href='/{}/'>", "a".repeat(16_000));
    let read = html(&(base.clone() + &numbered("<a href=#></a><img src=i#>", 10_000)));
    assert_within_limits(&read);
    assert!(read.warnings.iter().any(|line| line.contains("repeats its references too often")), "{:?}", read.warnings);
    let read = html(&(base.clone() + &format!("<style>{}</style>", numbered("a{b:url(#)}", 10_000))));
    assert_within_limits(&read);
    let read = html(&(base + &"<img src=same>".repeat(50_000)));
    assert_within_limits(&read);
}

/// White space may fill megabytes and fold to nothing, once for each link around it.
#[test]
fn nothing_is_read_again_and_again() {
    let nested = "<a href=#><table><tr><td>";
    let read = html(&(numbered(nested, 90) + &filled(" ", 4 * MEGABYTE)));
    assert_within_limits(&read);
    let read = html(&format!("<p><a href='{}'></p>{}", filled(" ", 4 * MEGABYTE), "<p>x</p>".repeat(20_000)));
    assert_within_limits(&read);
    assert!(read.warnings.iter().any(|line| line.contains("repeats its references too often")), "{:?}", read.warnings);
    let read = html(&format!("<p><a href=x title='{}'></p>{}", filled(" ", MEGABYTE), "<p><br></p>".repeat(20_000)));
    assert_within_limits(&read);
}

#[test]
fn texts_are_cut_between_characters() {
    let long = "é".repeat(TEXT_BYTES);
    let read = html(&format!("<title>{long}</title><a href=x title='{long}'></a><form><input name='{long}'></form>"));
    assert_within_limits(&read);
    assert_eq!(read.title.len(), TEXT_BYTES);
    let read = html(&format!("<title>x{long}</title>"));
    assert_eq!(read.title.len(), TEXT_BYTES - 1);
}

#[test]
fn the_largest_pages_end() {
    for text in ["<p>x", "<a href=x>y</a> ", "&amp;", "\u{1}", "<td>", "é"] {
        assert_within_limits(&html(&filled(text, 8 * MEGABYTE)));
    }
    for byte in [0u8, b'<', b'&', 0x80, 0xff] {
        for content_type in ["text/html", "text/html; charset=utf-16", "text/html; charset=shift_jis", ""] {
            assert_within_limits(&page(&typed(content_type, vec![byte; 8 * MEGABYTE])));
        }
    }
}

#[test]
fn what_was_nested_too_deep_is_still_read() {
    let deep = format!("{}<p><a href=/deep>deep</a><img src=/deep.png>", "<div><span></span>".repeat(5_000));
    let read = html(&deep);
    assert_eq!(links(&read), ["http://market.test/deep"]);
    assert_eq!(read.links[0].text, "deep", "links keep their text");
    assert_eq!(requisites(&read), ["http://market.test/deep.png"]);
    assert_eq!(read.warnings, ["elements nested very deep were read as if side by side"]);
    // When all is closed again, nothing of it is left.
    let closed = format!("{}{}<a href=/after><b>after</b></a>", "<div>".repeat(5_000), "</div>".repeat(5_000));
    assert_eq!(html(&closed).links[0].text, "after");
}
