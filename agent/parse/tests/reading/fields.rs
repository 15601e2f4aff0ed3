//! `Refresh` and `Link`, as fields and in the page (WHATWG HTML §4.2.5.3; RFC 8288 §3).

use bytes::Bytes;
use vigie_parse::page;
use vigie_wire::parse::{Document, Page, RequisiteClass};

use crate::fixture::{URL, html, of_class, requisites, typed};

fn with(fields: &[(&str, &str)], body: &str) -> Page {
    let headers = fields.iter().map(|(name, value)| ((*name).to_owned(), Bytes::copy_from_slice(value.as_bytes())));
    page(&Document { headers: headers.collect(), ..typed("text/html; charset=utf-8", body) })
}

#[test]
fn a_refresh_is_read_as_browsers_read_it() {
    let here = URL;
    for (value, expected) in [
        ("5", Some((5, here))),
        ("0; url=/x", Some((0, "http://market.test/x"))),
        ("0;URL=/x", Some((0, "http://market.test/x"))),
        ("0,url=/x", Some((0, "http://market.test/x"))),
        ("0 url=/x", Some((0, "http://market.test/x"))),
        ("  3.7 ; uRl  =  '/x' and more", Some((3, "http://market.test/x"))),
        ("0;url=\"/x\"y\"", Some((0, "http://market.test/x"))),
        ("0;url='/x", Some((0, "http://market.test/x"))),
        ("0;/x", Some((0, "http://market.test/x"))),
        ("0;'/x'", Some((0, "http://market.test/x"))),
        ("0;url", Some((0, "http://market.test/dir/url"))),
        ("0;url/x", Some((0, "http://market.test/dir/url/x"))),
        ("0;", Some((0, here))),
        ("0;url=", Some((0, here))),
        ("0;url=#x", Some((0, here))),
        (".5;url=/x", Some((0, "http://market.test/x"))),
        ("1..2.3;/x", Some((1, "http://market.test/x"))),
        ("99999999999999999999;/x", Some((u32::MAX, "http://market.test/x"))),
        ("", None),
        ("x", None),
        ("-1;/x", None),
        ("+1;/x", None),
        ("5x;/x", None),
        ("5/x", None),
        (";url=/x", None),
        ("0;url=javascript:alert(1)", None),
        ("0;url=java\tscript:alert(1)", None),
        ("0;url=data:text/html,x", None),
        ("0;url=http:\\\\other.test\\", Some((0, "http:\\\\other.test\\"))),
        ("0;url=é", Some((0, "http://market.test/dir/%C3%A9"))),
        ("0;ur\u{131}l=x", Some((0, "http://market.test/dir/ur%C4%B1l=x"))),
    ] {
        let expected = expected.map(|(delay, url): (u32, &str)| (delay, url.to_owned()));
        let escaped = value.replace('"', "&quot;");
        let of_page = html(&format!("<meta http-equiv=ReFresh content=\"{escaped}\">"));
        assert_eq!(of_page.refresh, expected, "meta {value:?}");
        assert_eq!(of_page.warnings.is_empty(), expected.is_some(), "meta {value:?}: {:?}", of_page.warnings);
        let of_field = with(&[("Refresh", value)], "");
        assert_eq!(of_field.refresh, expected, "field {value:?}");
        assert_eq!(of_field.warnings.is_empty(), expected.is_some(), "field {value:?}: {:?}", of_field.warnings);
    }
}

#[test]
fn the_first_refresh_is_followed_and_the_others_told() {
    let two = "<meta http-equiv=refresh content='x'><meta http-equiv=refresh content='1;/a'>\
               <meta http-equiv=refresh content='2;/b'>";
    let page = html(two);
    assert_eq!(page.refresh, Some((1, "http://market.test/a".into())));
    assert_eq!(page.warnings, ["a refresh that cannot be read", "more than one refresh: only the first is followed"]);
    let page = with(&[("refresh", "7;/f"), ("refresh", "8;/g")], two);
    assert_eq!(page.refresh, Some((7, "http://market.test/f".into())));
}

#[test]
fn a_refresh_counts_wherever_it_stands_but_in_no_inert_place() {
    for (page, followed) in [
        ("<body><p><meta http-equiv=refresh content='0;/x'>", true),
        ("<noscript><meta http-equiv=refresh content='0;/x'></noscript>", true),
        ("<p><noscript><meta http-equiv=refresh content='0;/x'></noscript>", true),
        ("<template><meta http-equiv=refresh content='0;/x'></template>", false),
        ("<textarea><meta http-equiv=refresh content='0;/x'></textarea>", false),
        ("<script>'<meta http-equiv=refresh content=\"0;/x\">'</script>", false),
        ("<!--<meta http-equiv=refresh content='0;/x'>-->", false),
        ("<iframe srcdoc=\"<meta http-equiv=refresh content='0;/x'>\"></iframe>", false),
    ] {
        assert_eq!(html(page).refresh.is_some(), followed, "{page}");
    }
    let page = html("<base href=//other.test/><meta http-equiv=refresh content='0;x'>");
    assert_eq!(page.refresh, Some((0, "http://other.test/x".into())));
}

#[test]
fn link_fields_that_a_browser_fetches_are_requisites() {
    for (value, expected) in [
        ("</a.css>; rel=stylesheet", vec![("/a.css", RequisiteClass::Stylesheet)]),
        ("</a.css>;rel=\"preload\";as=style", vec![("/a.css", RequisiteClass::Stylesheet)]),
        ("</f>; rel=preload; as=font; crossorigin", vec![("/f", RequisiteClass::Font)]),
        ("</m.js>; rel=modulepreload", vec![("/m.js", RequisiteClass::Script)]),
        ("</i.png>; rel=\"x preload\"; as=IMAGE", vec![("/i.png", RequisiteClass::OtherImage)]),
        ("</v>; rel=preload; as=video", vec![("/v", RequisiteClass::Media)]),
        ("</favicon>; rel=icon", vec![("/favicon", RequisiteClass::OtherImage)]),
        (
            "</a>; rel=stylesheet, </b>;rel=stylesheet",
            vec![("/a", RequisiteClass::Stylesheet), ("/b", RequisiteClass::Stylesheet)],
        ),
        // Quoted strings may hold anything.
        ("</a>; title=\"x, <y>; rel=icon\"; rel=stylesheet", vec![("/a", RequisiteClass::Stylesheet)]),
        ("</a>; title=\"\\\", </b>; rel=icon\"; rel=stylesheet", vec![("/a", RequisiteClass::Stylesheet)]),
        // The first relation counts.
        ("</a>; rel=icon; rel=stylesheet", vec![("/a", RequisiteClass::OtherImage)]),
        // Nothing that is fetched.
        ("</a>; rel=preconnect", vec![]),
        ("</a>; rel=dns-prefetch, </b>; rel=prefetch, </c>; rel=next", vec![]),
        ("</a>; rel=preload", vec![]),
        ("</a>; rel=preload; as=fetch", vec![]),
        ("</a>; rel=stylesheet; anchor=\"/other\"", vec![]),
        ("</a>", vec![]),
        ("", vec![]),
        ("<", vec![]),
        ("</a; rel=stylesheet", vec![]),
        ("/a; rel=stylesheet", vec![]),
        ("<javascript:x>; rel=stylesheet", vec![]),
        ("<>; rel=stylesheet", vec![]),
    ] {
        let page = with(&[("Link", value)], "<p>x");
        let found: Vec<(&str, RequisiteClass)> =
            page.requisites.iter().map(|r| (r.url.trim_start_matches("http://market.test"), r.class)).collect();
        assert_eq!(found, expected, "{value}");
    }
}

#[test]
fn link_fields_are_about_the_document_and_not_its_base() {
    let page = with(&[("link", "<a.css>;rel=stylesheet")], "<base href=//other.test/><link rel=stylesheet href=b.css>");
    assert_eq!(
        of_class(&page, RequisiteClass::Stylesheet),
        ["http://market.test/dir/a.css", "http://other.test/b.css"]
    );
}

#[test]
fn fields_without_end_do_not_matter() {
    let long = format!("<{}>; rel=stylesheet", "/a".repeat(40_000));
    assert!(requisites(&with(&[("link", &long)], "")).is_empty());
    let many = "</a>; rel=stylesheet, ".repeat(5_000);
    assert_eq!(requisites(&with(&[("link", &many)], "")).len(), 1);
    let distinct: String = (0..5_000).map(|n| format!("</{n}>; rel=icon, ")).collect();
    assert_eq!(requisites(&with(&[("link", &distinct)], "")).len(), 200);
    let parameters = format!("</a>{}; rel=stylesheet", "; x=y".repeat(10_000));
    assert!(requisites(&with(&[("link", &parameters)], "")).is_empty());
    let quotes = "\"".repeat(60_000);
    assert!(requisites(&with(&[("link", &quotes), ("refresh", &quotes)], "")).is_empty());
    let digits = format!("{};url=/x", "9".repeat(60_000));
    assert!(with(&[("refresh", &digits)], "").refresh.is_some());
}
