//! Header sets: exact order and letter case, and nothing smuggled in.

use vigie_config::authorize::Element;
use vigie_config::headers::{From, HeaderSet};
use vigie_config::target::TargetUrl;

use crate::bench::{ONION, at};

fn url(text: &str) -> TargetUrl {
    TargetUrl::parse(text).unwrap()
}

fn lines(fields: Vec<(String, String)>) -> Vec<String> {
    fields.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
}

#[test]
fn every_shipped_set_is_sound() {
    assert!(!HeaderSet::all().is_empty());
    for set in HeaderSet::all() {
        assert!(HeaderSet::builtin(set.id()).is_some());
        assert!(set.recorded() < set.expires());
        let elements = [
            Element::Page,
            Element::Frame,
            Element::Stylesheet,
            Element::Font,
            Element::ListingImage,
            Element::OtherImage,
            Element::Media,
            Element::Script,
        ];
        for element in elements {
            let page = url("https://shop.test/");
            for (language, cookie, page, to, secure) in [
                ("en-US", None, None, "http://shop.test/x", false),
                ("fr-FR", Some("a=b"), Some(&page), "https://shop.test/x", true),
            ] {
                let fields = set.compose(element, &url(to), language, cookie, From { page, crossed: false });
                assert_eq!(fields[0], ("Host".to_owned(), "shop.test".to_owned()));
                assert!(fields.iter().all(|(_, value)| !value.is_empty() && !value.contains(['{', '}', '\r', '\n'])));
                assert_eq!(fields.iter().any(|(name, value)| name == "Cookie" && value == "a=b"), cookie.is_some());
                assert_eq!(fields.iter().any(|(name, _)| name.starts_with("Sec-Fetch-")), secure);
            }
        }
    }
    assert!(HeaderSet::builtin("mosaic-1").is_none());
}

/// Byte for byte what the browser sent, for every element it asked for.
#[test]
fn requests_are_those_of_the_browser() {
    let set = HeaderSet::builtin("tor-browser-linux-153").unwrap();
    assert!(set.verified());
    let recorded = include_str!("../data/firefox-esr-153.heads");
    let mut compared = 0;
    for part in recorded.split("\n@ ").skip(1) {
        let (scheme, head) = part.split_once('\n').unwrap();
        let mut head: Vec<&str> = head.trim_end().lines().collect();
        let path = head.remove(0).split(' ').nth(1).unwrap();
        let value = |name: &str| head.iter().find_map(|line| line.strip_prefix(name));
        let to = url(&format!("{scheme}://{}{path}", value("Host: ").unwrap()));
        let page = value("Referer: ").map(url);
        let element = match path {
            "/" | "/next" => Element::Page,
            "/frame" => Element::Frame,
            "/style.css" => Element::Stylesheet,
            "/face.ttf" => Element::Font,
            "/pic.png" => Element::ListingImage,
            "/s.js" => Element::Script,
            "/v.webm" => Element::Media,
            other => panic!("{other}"),
        };
        let from = From { page: page.as_ref(), crossed: false };
        assert_eq!(lines(set.compose(element, &to, "en-US", value("Cookie: "), from)), head, "{scheme} {path}");
        compared += 1;
    }
    assert_eq!(compared, 14, "heads in the recording");
}

#[test]
fn languages() {
    let set = HeaderSet::builtin("tor-browser-linux-153").unwrap();
    for (language, sent) in [
        ("en-US", "en-US,en;q=0.9"),
        ("fr-FR", "fr,fr-FR;q=0.9,en-US;q=0.8,en;q=0.7"),
        ("nl", "nl,en-US;q=0.9,en;q=0.8"),
        ("pt-BR", "pt-BR,pt;q=0.9,en-US;q=0.8,en;q=0.7"),
        ("da", "da,en-US;q=0.9,en;q=0.8"),
    ] {
        let fields = set.compose(Element::Page, &url("https://shop.test/"), language, None, From::default());
        assert!(fields.contains(&("Accept-Language".to_owned(), sent.to_owned())), "{language}: {fields:?}");
    }
}

#[test]
fn no_field_can_be_smuggled_in() {
    let set = HeaderSet::builtin("tor-browser-linux-153").unwrap();
    let fields =
        set.compose(Element::Page, &url("https://shop.test/"), "en-US", Some("a=b\r\nX-Evil: 1"), From::default());
    assert!(fields.iter().all(|(name, value)| name != "Cookie" && !value.contains('\n')));
}

/// What a site learns of the page before: a link between two targets must not tie them together.
#[test]
fn referer_ends_at_the_origin() {
    let set = HeaderSet::builtin("tor-browser-linux-153").unwrap();
    let other = "sp3k262uwy4r2k3ycr5awluarykdpag6a7y33jxop4cs2lu5uz5sseqd.onion";
    let onion = format!("http://{ONION}/a?b");
    let cases = [
        (None, "https://shop.test/", false, None, "none"),
        (Some("https://shop.test/a?b"), "https://shop.test/c", false, Some("https://shop.test/a?b"), "same-origin"),
        (Some("https://shop.test/a"), "https://shop.test/c", true, Some("https://shop.test/a"), "cross-site"),
        (Some("https://shop.test/a"), "https://shop.test:444/", false, Some("https://shop.test/"), "same-site"),
        (Some("https://shop.test/a"), "https://else.test/", false, Some("https://shop.test/"), "cross-site"),
        (Some("http://shop.test:81/a"), "https://else.test/", false, Some("http://shop.test:81/"), "cross-site"),
        (Some(onion.as_str()), &format!("http://{ONION}/c"), false, Some(onion.as_str()), "same-origin"),
        (Some(onion.as_str()), &format!("http://{other}/"), false, None, "cross-site"),
        (Some(onion.as_str()), "https://shop.test/", false, None, "cross-site"),
    ];
    for (page, to, crossed, referer, site) in cases {
        let page = page.map(url);
        let fields = set.compose(Element::Page, &url(to), "en-US", None, From { page: page.as_ref(), crossed });
        let value = |name: &str| fields.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str());
        assert_eq!((value("Referer"), value("Sec-Fetch-Site")), (referer, Some(site)), "{page:?} -> {to}");
    }
}

#[test]
fn expiry() {
    let set = HeaderSet::builtin("tor-browser-linux-153").unwrap();
    let last = set.expires().yesterday().unwrap();
    assert!(!set.expired(at(&format!("{last}T23:59:59Z"))));
    assert!(set.expired(at(&format!("{}T00:00:00Z", set.expires()))));
}

#[test]
fn faulty_sets_are_refused() {
    let text = include_str!("../../data/headers/tor-browser-linux-153.toml");
    assert!(HeaderSet::parse(text).is_ok());
    for (from, to) in [
        ("verified = true", "verified = true\nextra = 1"),
        ("expires = 2027-01-19", "expires = 2026-01-19"),
        ("\"Cookie: {cookie}\"", "\"Cookie\""),
        ("\"Cookie: {cookie}\"", "\"Cookie: {jar}\""),
        ("\"Cookie: {cookie}\"", "\"Coo kie: {cookie}\""),
        ("\"Cookie: {cookie}\"", "\"Cookie: a\\r\\nb\""),
        ("\"Host: {host}\"", "\"Host: shop.test\""),
        ("Mozilla/5.0", "Mozilla\\n5.0"),
    ] {
        assert!(HeaderSet::parse(&text.replacen(from, to, 1)).is_err(), "{to}");
    }
}
