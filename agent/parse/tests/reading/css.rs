//! What stylesheets refer to (CSS Syntax, Cascade §2, Images, Fonts).

use vigie_parse::stylesheet;
use vigie_wire::parse::RequisiteClass::{Font, OtherImage, Stylesheet};
use vigie_wire::parse::{Document, RequisiteClass};

use crate::fixture::{css, html, typed};

#[test]
fn references_have_a_class() {
    let cases: &[(&str, &[(&str, RequisiteClass)])] = &[
        ("a{background:url(x.png)}", &[("x.png", OtherImage)]),
        ("a{background:url( 'x.png' )}", &[("x.png", OtherImage)]),
        ("a{background:URL(\"x.png\")}", &[("x.png", OtherImage)]),
        ("a{background:u\\72l(x.png)}", &[("x.png", OtherImage)]),
        ("a{background:url(x\\.png)}", &[("x.png", OtherImage)]),
        ("a{background:url(x.png), url(y.png)}", &[("x.png", OtherImage), ("y.png", OtherImage)]),
        ("a{cursor:url(c.cur),auto;content:url(d)}", &[("c.cur", OtherImage), ("d", OtherImage)]),
        ("a{b:image-set('x.png' 1x, url(y.png) 2x)}", &[("x.png", OtherImage), ("y.png", OtherImage)]),
        ("a{b:-webkit-image-set(url(y.png) type('image/png'))}", &[("y.png", OtherImage)]),
        ("a{b:cross-fade(url(x), url(y))}", &[("x", OtherImage), ("y", OtherImage)]),
        ("@media print{a{b:url(x)}}", &[("x", OtherImage)]),
        ("@layer a{@supports (b:c){d{e:url(x)}}}", &[("x", OtherImage)]),
        ("@font-face{src:local('L'),url(f.woff2) format('woff2')}", &[("f.woff2", Font)]),
        ("@font-face{font-family:x;src:url('f');}a{b:url(x)}", &[("f", Font), ("x", OtherImage)]),
        ("@FONT-FACE{src:url(f)}", &[("f", Font)]),
        ("@import 'a.css';", &[("a.css", Stylesheet)]),
        ("@import url(a.css) screen and (min-width:1px);", &[("a.css", Stylesheet)]),
        ("@import url('a.css') layer(x) supports(b:url(no));", &[("a.css", Stylesheet)]),
        ("@charset 'x';@layer a,b;@import 'a';@import 'b'", &[("a", Stylesheet), ("b", Stylesheet)]),
        ("<!-- @import 'a'; --> ", &[("a", Stylesheet)]),
        ("/* @import 'no'; */@import 'a'", &[("a", Stylesheet)]),
        // An import counts only first, and only with an address.
        ("a{}@import 'no';", &[]),
        ("@media x{}@import 'no';", &[]),
        ("@font-face{}@import 'no';", &[]),
        ("@namespace x 'y';@import 'no';", &[]),
        ("@layer a{}@import 'no';", &[]),
        ("a{@import 'no';}", &[]),
        ("@media x{@import 'no';}", &[]),
        ("@import no 'no';", &[]),
        ("@import;", &[]),
        // Conditions and names fetch nothing.
        ("@namespace svg url(http://www.w3.org/2000/svg);", &[]),
        ("@supports (background:url(no)){a{b:url(x)}}", &[("x", OtherImage)]),
        ("@-moz-document url(http://no.test){a{b:url(x)}}", &[("x", OtherImage)]),
        ("a[href='no']{b:'no'}", &[]),
        ("a{b:format('no')}", &[]),
        ("a{b:url(#part);c:url();d:url('')}", &[]),
        ("a{b:url(data:image/png;base64,AAAA)}", &[]),
        // Broken, and read on.
        ("a{b:url(no no)}c{d:url(x)}", &[("x", OtherImage)]),
        ("a{b:'no\n;c:url(x)}", &[("x", OtherImage)]),
        ("a{b:url(x", &[("x", OtherImage)]),
        ("a{b:url('x", &[("x", OtherImage)]),
        ("}}}a{b:url(x)}", &[("x", OtherImage)]),
        ("a{b:url(x)/*", &[("x", OtherImage)]),
        ("a{b:url(x)}\u{0}{c:url(y)}", &[("x", OtherImage), ("y", OtherImage)]),
    ];
    for (text, expected) in cases {
        let sheet = css(text);
        let found: Vec<(&str, RequisiteClass)> =
            sheet.requisites.iter().map(|r| (r.url.trim_start_matches("http://market.test/dir/"), r.class)).collect();
        assert_eq!(&found, expected, "{text}");
        // The same in a page.
        let page = html(&format!("<style>{text}</style>"));
        if !text.contains("<!--") && !text.contains('\0') {
            assert_eq!(page.requisites, sheet.requisites, "{text}");
        }
    }
}

#[test]
fn style_attributes_know_no_rules() {
    for (style, urls) in [
        ("background:url(x)", vec!["http://market.test/dir/x"]),
        ("background:url(&quot;x&quot;)", vec!["http://market.test/dir/x"]),
        ("@import url(no)", vec![]),
        ("@import 'no'", vec![]),
        ("@font-face{src:url(no)}", vec![]),
        ("a{b:url(no)}", vec![]),
        ("{b:url(no)} c:url(x)", vec!["http://market.test/dir/x"]),
        ("color:red", vec![]),
    ] {
        let page = html(&format!("<p style=\"{style}\">x"));
        let found: Vec<&str> = page.requisites.iter().map(|r| r.url.as_str()).collect();
        assert_eq!(found, urls, "{style}");
    }
}

#[test]
fn addresses_are_relative_to_the_sheet() {
    let sheet =
        stylesheet(&Document { url: "http://cdn.test/css/a.css".into(), ..typed("text/css", "a{b:url(../x)}") });
    assert_eq!(sheet.requisites[0].url, "http://cdn.test/x");
}

#[test]
fn nesting_is_looked_into_so_far() {
    let nested = |depth: usize| format!("{}b:url(x){}c{{d:url(y)}}", "a{".repeat(depth), "}".repeat(depth));
    let sheet = css(&nested(30));
    assert_eq!(sheet.requisites.len(), 2);
    assert!(sheet.warnings.is_empty());
    let sheet = css(&nested(100));
    assert_eq!(sheet.requisites.len(), 1, "what follows is read");
    assert!(sheet.warnings[0].contains("nested more than 32 deep"));
    for open in ["a{", "(", "[", "f(", "a{(", "{(}", "@media{", "url(", "\"", "/*", "\\"] {
        let sheet = css(&format!("x{{y:url(z)}}{}", open.repeat(200_000)));
        assert_eq!(sheet.requisites.len(), 1, "{open}");
    }
}

#[test]
fn there_are_only_so_many() {
    let many: String = (0..20_000).map(|n| format!("a{{b:url({n})}}")).collect();
    let sheet = css(&many);
    assert_eq!(sheet.requisites.len(), 10_000);
    assert!(sheet.warnings.iter().any(|line| line.contains("more than 10000 requisites")), "{:?}", sheet.warnings);
    assert_eq!(css(&"a{b:url(same)}".repeat(100_000)).requisites.len(), 1);
}
