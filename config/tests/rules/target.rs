//! Addresses: every trick fails, every permitted form has one reading.

use proptest::prelude::*;
use vigie_config::target::{Host, HostRefusal, OnionName, TargetUrl, UrlRefusal};

use crate::bench::ONION;

/// `onion_v3` rows of the selector vectors: rend-spec-v3 [ONIONADDRESS] (valid);
/// multiformats/rust-multiaddr#93 (checksum refused by tor); the first with one bit flipped.
const ONIONS: &[(&str, bool)] = &[
    ("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion", true),
    ("sp3k262uwy4r2k3ycr5awluarykdpag6a7y33jxop4cs2lu5uz5sseqd.onion", true),
    ("xa4r2iadxm55fbnqgwwi5mymqdcofiu3w6rpbtqn7b2dyn7mgwj64jyd.onion", true),
    ("pd6sf3mqkkkfrn4rk5odgcr2j5sn7m523a4tm7pzpuotk2b7rpuhaeym.onion", false),
    ("pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4psaryd.onion", false),
];

#[test]
fn onion_vectors() {
    for (name, valid) in ONIONS {
        assert_eq!(OnionName::parse(name).is_ok(), *valid, "{name}");
        assert_eq!(TargetUrl::parse(&format!("http://{name}/")).is_ok(), *valid, "{name}");
    }
}

#[test]
fn tricks_are_refused() {
    use HostRefusal::{AddressLiteral, Empty, NotAName, OnionInvalid, OnionSubdomain, OnionV2, TrailingDot};
    use UrlRefusal::{Ambiguous, Host as H, Path, Port, Scheme, UserInfo};
    let o = ONION;
    let tricks: Vec<(String, UrlRefusal)> = vec![
        (String::new(), Scheme),
        ("//shop.test/".into(), Scheme),
        ("/only/a/path".into(), Scheme),
        ("shop.test".into(), Scheme),
        ("http:/shop.test/".into(), Scheme),
        ("http:shop.test".into(), Scheme),
        ("data:text/html,x".into(), Scheme),
        ("file:///etc/passwd".into(), Scheme),
        ("ftp://shop.test/".into(), Scheme),
        ("javascript:alert(1)".into(), Scheme),
        ("ws://shop.test/".into(), Scheme),
        ("httpx://shop.test/".into(), Scheme),
        ("view-source:http://shop.test/".into(), Scheme),
        ("http:///shop.test/".into(), Ambiguous),
        ("http://shop.test\\@evil.test/".into(), Ambiguous),
        ("http:\\\\shop.test/".into(), Ambiguous),
        (" http://shop.test/".into(), Ambiguous),
        ("http://shop.test/ x".into(), Ambiguous),
        ("http://shop.test/\t".into(), Ambiguous),
        ("http://sho\np.test/".into(), Ambiguous),
        ("http://shop.test/\0".into(), Ambiguous),
        ("http://shop.test/\u{a0}".into(), Ambiguous),
        (format!("http://user@{o}/"), UserInfo),
        (format!("http://{o}@evil.test/"), UserInfo),
        (format!("http://user:pass@{o}/"), UserInfo),
        ("http://@shop.test/".into(), UserInfo),
        ("http://shop.test:/".into(), Port),
        ("http://shop.test:0/".into(), Port),
        ("http://shop.test:65536/".into(), Port),
        ("http://shop.test:+80/".into(), Port),
        ("http://shop.test:80:80/".into(), Port),
        ("http://shop.test:8 0/".into(), Ambiguous),
        ("http://".into(), H(Empty)),
        ("http://?x".into(), H(Empty)),
        ("http://127.0.0.1/".into(), H(AddressLiteral)),
        ("http://2130706433/".into(), H(AddressLiteral)),
        ("http://0x7f000001/".into(), H(AddressLiteral)),
        ("http://0177.0.0.1/".into(), H(AddressLiteral)),
        ("http://127.1/".into(), H(AddressLiteral)),
        ("http://１２７.０.０.１/".into(), H(AddressLiteral)),
        ("http://127.0.0.1./".into(), H(TrailingDot)),
        ("http://[::1]/".into(), H(AddressLiteral)),
        ("http://[::ffff:127.0.0.1]:80/".into(), H(AddressLiteral)),
        ("http://[v1.x]/".into(), H(AddressLiteral)),
        ("http://shop.test./".into(), H(TrailingDot)),
        ("http://shop.test。/".into(), H(TrailingDot)),
        (format!("http://{o}./"), H(TrailingDot)),
        (format!("http://www.{o}/"), H(OnionSubdomain)),
        (format!("http://a.b.{o}/"), H(OnionSubdomain)),
        (format!("http://{}.onion/", &o[..55]), H(OnionInvalid)),
        (format!("http://a{o}/"), H(OnionInvalid)),
        ("http://expyuzz4wqqyqhjn.onion/".into(), H(OnionV2)),
        ("http://onion/".into(), H(OnionInvalid)),
        ("http://.onion/".into(), H(OnionInvalid)),
        (format!("http://{}/", o.replace("onion", "ｏnion")), H(OnionInvalid)),
        (format!("http://ｐ{}/", &o[1..]), H(OnionInvalid)),
        ("http://localhost/".into(), H(NotAName)),
        ("http://shop%2etest/".into(), H(NotAName)),
        ("http://shop.test%00/".into(), H(NotAName)),
        ("http://shop..test/".into(), H(NotAName)),
        ("http://-shop.test/".into(), H(NotAName)),
        ("http://sh_op.test/".into(), H(NotAName)),
        ("http://shop.test/%00".into(), Path),
        ("http://shop.test/a%0d%0ab".into(), Path),
        ("http://shop.test/a%5c..%5cb".into(), Path),
        ("http://shop.test/%252500".into(), Path),
        ("http://shop.test/%c1%acogout".into(), Path),
        ("http://shop.test/%c0%ae%c0%ae/x".into(), Path),
        ("http://shop.test/%u006cogout".into(), Path),
        ("http://shop.test/%2525252525252541".into(), Path),
        (format!("http://shop.test/{}", "a".repeat(17_000)), UrlRefusal::TooLong),
    ];
    for (text, why) in tricks {
        let refused = TargetUrl::parse(&text).err();
        assert_eq!(refused, Some(why), "{text:?}");
        let shown = format!("{why} {why:?}");
        assert!(!shown.contains("shop.test") && !shown.contains(&o[..10]), "{shown}");
        assert!(why.code().bytes().all(|b| b.is_ascii_lowercase() || b == b'-' || b.is_ascii_digit()));
    }
}

#[test]
fn canonical_forms() {
    for (text, canonical) in [
        ("HTTP://SHOP.TEST", "http://shop.test/"),
        ("http://shop.test:80/", "http://shop.test/"),
        ("https://shop.test:443/a", "https://shop.test/a"),
        ("https://shop.test:0443/a", "https://shop.test/a"),
        ("https://shop.test:80/a", "https://shop.test:80/a"),
        ("http://shop.test/a#fragment", "http://shop.test/a"),
        ("http://shop.test?q=1", "http://shop.test/?q=1"),
        ("http://shop.test/a/../b/./c", "http://shop.test/b/c"),
        ("http://shop.test/a/%2e%2E/b", "http://shop.test/b"),
        ("http://shop.test/é?ü", "http://shop.test/%C3%A9?%C3%BC"),
        ("http://bücher.test/", "http://xn--bcher-kva.test/"),
        ("http://XN--BCHER-KVA.test/", "http://xn--bcher-kva.test/"),
        ("http://ｓｈｏｐ.test/", "http://shop.test/"),
    ] {
        assert_eq!(TargetUrl::parse(text).map(|url| url.reveal().to_owned()).as_deref(), Ok(canonical), "{text}");
    }
    let upper = format!("http://{}/A", ONION.to_ascii_uppercase());
    assert_eq!(TargetUrl::parse(&upper).unwrap().reveal(), format!("http://{ONION}/A"));
}

#[test]
fn display_is_redacted() {
    let onion = TargetUrl::parse(&format!("http://{ONION}/vendor/x?id=7")).unwrap();
    let web = TargetUrl::parse("https://shop.test/vendor/x").unwrap();
    let host = Host::parse("shop.test").unwrap();
    let shown = format!("{onion} {onion:?} {web} {web:?} {host} {host:?} {:?}", onion.host());
    assert!(!shown.contains("shop") && !shown.contains("vendor") && !shown.contains(&ONION[..4]), "{shown}");
}

#[test]
fn normal_paths() {
    for (path, normal) in [
        ("/", "/"),
        ("/a//b/", "/a/b/"),
        ("/%6cogout", "/logout"),
        ("/%256cogout", "/logout"),
        ("/a/%252e%252e/logout", "/logout"),
        ("/a;x/b?q=%2e", "/a;x/b"),
        ("/caf%C3%A9", "/café"),
        ("/caf%E9", "/caf\u{fffd}"),
        ("/100%", "/100%"),
    ] {
        assert_eq!(TargetUrl::parse(&format!("http://shop.test{path}")).unwrap().normal_path(), normal, "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}") {
        let _ = TargetUrl::parse(&text);
        let _ = Host::parse(&text);
        let _ = OnionName::parse(&text);
    }

    #[test]
    fn reading_what_was_read_changes_nothing(
        scheme in "(http|https|HTTP)",
        host in "(shop\\.test|Bücher\\.test|[a-z0-9.。%@:\\[\\]-]{1,20})",
        port in "(|:80|:443|:8080|:[0-9]{1,6})",
        rest in "(|[/?#][a-zA-Z0-9%./;?&=+#éß'\"<>{}|^`~!$()*,:@_-]{0,40})",
    ) {
        if let Ok(url) = TargetUrl::parse(&format!("{scheme}://{host}{port}{rest}")) {
            let again = TargetUrl::parse(url.reveal());
            prop_assert_eq!(again.as_ref().map(TargetUrl::reveal), Ok(url.reveal()));
            prop_assert_eq!(again.unwrap(), url.clone());
            prop_assert!(url.path().starts_with('/') && url.path().is_ascii());
            prop_assert!(!url.path().contains([' ', '#', '\r', '\n']));
            prop_assert!(url.normal_path().starts_with('/'));
        }
    }
}
