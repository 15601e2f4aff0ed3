//! References to addresses (WHATWG URL, HTML §4.2.3).

use vigie_parse::page;
use vigie_wire::limits::URL_BYTES;
use vigie_wire::parse::{Document, RequisiteClass};

use crate::fixture::{html, links, of_class, requisites, typed};

/// The address of the only link, or `-`.
fn one(href: &str) -> String {
    let page = html(&format!("<a href=\"{href}\">x</a>"));
    links(&page).first().map_or("-", |url| url).to_owned()
}

#[test]
fn references_become_absolute() {
    for (href, url) in [
        ("x", "http://market.test/dir/x"),
        ("/x", "http://market.test/x"),
        ("../x", "http://market.test/x"),
        ("../../../x", "http://market.test/x"),
        ("?q=1", "http://market.test/dir/page?q=1"),
        ("//other.test/x", "http://other.test/x"),
        ("http:x", "http://market.test/dir/x"),
        ("https:x", "https://x/"),
        ("HTTP://MARKET.TEST:80/x", "http://market.test/x"),
        ("http://[::1]:8080/x", "http://[::1]:8080/x"),
        ("http://2130706433/x", "http://127.0.0.1/x"),
        ("http://user:pw@market.test/x", "http://user:pw@market.test/x"),
        ("x#part", "http://market.test/dir/x"),
        ("  /x\n ", "http://market.test/x"),
        ("/a b", "http://market.test/a%20b"),
        ("/%2e%2e/x", "http://market.test/x"),
        ("/é?é", "http://market.test/%C3%A9?%C3%A9"),
        ("http://клык.test/", "http://xn--j1aac8d.test/"),
        ("/&amp;&#x2f;", "http://market.test/&/"),
        ("/a\u{fffd}", "http://market.test/a%EF%BF%BD"),
    ] {
        assert_eq!(one(href), url, "{href:?}");
    }
}

/// What reads differently to different programs, or is no HTTP address, stands as written.
#[test]
fn what_only_looks_like_an_address_stands_as_written() {
    for href in [
        "http:\\\\other.test\\x",
        "/\\other.test/x",
        "\\\\other.test",
        "/a\tb",
        "ht\ntp://other.test/",
        "/a\u{1}b",
        "/a\u{7f}b",
        "/a\u{85}b",
        // Browsers skip the third slash; the url crate does not.
        "///other.test/x",
        "http://[::1",
        "http://a b/",
        "http://market.test:99999/",
        "http://",
        "ftp://market.test/x",
        "magnet:?xt=1",
        "bitcoin:1BoatSLRHtKNngkdXEeobR76b53LETtpyT",
        "irc://net/room",
        "file:///etc/passwd",
        "onion:x",
    ] {
        assert_eq!(one(href), href, "{href:?}");
    }
}

#[test]
fn what_leads_to_no_server_is_left_out() {
    for href in [
        "",
        "   ",
        "#",
        "#part",
        "javascript:alert(1)",
        "JavaScript:alert(1)",
        "java\tscript:alert(1)",
        "java\r\nscript:alert(1)",
        "\u{1}javascript:alert(1)",
        "&#1;&#x6a;avascript:alert(1)",
        "vbscript:x",
        "data:text/html,<a href=x>",
        "mailto:a@b.test",
        "tel:+32",
        "about:blank",
        "blob:http://market.test/1",
        "view-source:http://market.test/",
    ] {
        assert_eq!(one(href), "-", "{href:?}");
    }
}

#[test]
fn megabytes_of_data_are_no_address_and_cost_nothing() {
    let picture = "AAAA/+aa".repeat(250_000);
    let page =
        html(&format!("<p>{}<a href=/after>x</a>", format!("<img src=\"data:image/png;base64,{picture}\">").repeat(4)));
    assert_eq!(links(&page), ["http://market.test/after"]);
    assert!(page.requisites.is_empty());
    assert_eq!(page.warnings, Vec::<String>::new());
}

#[test]
fn an_address_has_a_longest_length() {
    let long = "a".repeat(URL_BYTES - "http://market.test/".len());
    assert_eq!(one(&format!("/{long}")).len(), URL_BYTES);
    assert_eq!(one(&format!("/{long}b")), "-");
    // Longer only once its characters are written out.
    assert_eq!(one(&format!("/{}", "é".repeat(URL_BYTES / 3))), "-");
    assert_eq!(one(&"\\".repeat(URL_BYTES + 1)), "-");
    let page = html(&format!("<a href=\"{}\">x</a>", "b".repeat(URL_BYTES + 1)));
    assert_eq!(page.warnings, ["a link's address is too long: left out"]);
}

#[test]
fn the_first_base_counts_for_the_whole_page() {
    let cases = [
        ("<a href=x></a><base href=/b/>", "http://market.test/b/x"),
        ("<base><base target=_top><base href=/b/><base href=/c/><a href=x></a>", "http://market.test/b/x"),
        ("<body><div><base href=/b/><a href=x></a>", "http://market.test/b/x"),
        ("<base href=\" /b/ \"><a href=x></a>", "http://market.test/b/x"),
        ("<base href=sub/><a href=x></a>", "http://market.test/dir/sub/x"),
        ("<base href=//other.test><a href=x></a>", "http://other.test/x"),
        ("<base href=?q><a href=x></a>", "http://market.test/dir/x"),
        // The first with an address, even if that is none to use.
        ("<base href=javascript:x><base href=/b/><a href=x></a>", "http://market.test/dir/x"),
        ("<base href=data:text/html,x><a href=x></a>", "http://market.test/dir/x"),
        ("<base href=ftp://market.test/><a href=x></a>", "http://market.test/dir/x"),
        ("<base href='http://[::1'><a href=x></a>", "http://market.test/dir/x"),
        // Not an HTML base, or not in the document.
        ("<svg><base href=/b/></svg><a href=x></a>", "http://market.test/dir/x"),
        ("<template><base href=/b/></template><a href=x></a>", "http://market.test/dir/x"),
        ("<!-- <base href=/b/> --><a href=x></a>", "http://market.test/dir/x"),
        ("<noscript><base href=/b/></noscript><a href=x></a>", "http://market.test/b/x"),
        // Where nothing else is said, even an empty reference leads to the base.
        ("<base href=//other.test/y><a href='#top'></a>", "http://other.test/y"),
        ("<base href=//other.test/y><a href></a>", "http://other.test/y"),
        ("<base href=//other.test/y#z><a href='#top'></a>", "http://other.test/y"),
    ];
    for (page, url) in cases {
        assert_eq!(links(&html(page)), [url], "{page}");
    }
}

#[test]
fn a_base_elsewhere_is_told() {
    let told = |page: &str| html(page).warnings.iter().any(|line| line.contains("another host"));
    assert!(told("<base href=//other.test/>"));
    assert!(told("<base href=\"http:\\\\other.test\\\">"));
    assert!(!told("<base href=/b/>"));
    assert!(!told("<base href=https://market.test/>"));
}

#[test]
fn an_empty_picture_is_never_fetched() {
    let page = html("<base href=//other.test/y><img src><img src='#x'><img src=' '><script src=''></script>");
    assert_eq!(requisites(&page), Vec::<&str>::new());
}

#[test]
fn the_documents_own_address_may_be_odd() {
    for (own, href, url) in [
        ("not an address", "x", "x"),
        ("not an address", "http://market.test/x", "http://market.test/x"),
        ("http://market.test/a#b", "?c", "http://market.test/a?c"),
        ("http://market.test", "x", "http://market.test/x"),
        ("data:text/html,x", "x", "x"),
    ] {
        let document = Document { url: own.into(), ..typed("text/html", format!("<a href=\"{href}\">x</a>")) };
        assert_eq!(links(&page(&document)), [url], "{own} {href}");
    }
}

#[test]
fn repeats_are_one() {
    let page = html("<a href=x>one</a><a href=./x#a>two</a><a href=http://market.test/dir/x>three</a><img src=x>");
    assert_eq!(page.links.len(), 1);
    assert_eq!(page.links[0].text, "one");
    assert_eq!(of_class(&page, RequisiteClass::OtherImage), ["http://market.test/dir/x"]);
}
