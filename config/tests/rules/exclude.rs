//! No way of writing a path dodges an exclude pattern.

use proptest::prelude::*;
use vigie_config::refusal::Refusal;

use crate::authorize::{answer, ask, powers_of, powers_of_example};
use crate::bench::{MANDATE, ONION};

#[test]
fn excluded_paths_cannot_be_dodged() {
    let powers = powers_of(MANDATE);
    for path in [
        "/logout",
        "/logout/",
        "/logout?x",
        "/logout#x",
        "/logout;jsessionid=1",
        "/LOGOUT",
        "/LogOut.php",
        "/%6cogout",
        "/%6Cogout",
        "/%256cogout",
        "/%25256cogout",
        "/a/../logout",
        "/a/%2e%2e/logout",
        "/a/.%2e/logout",
        "/a/..%2flogout",
        "/a%2f..%2flogout",
        "/./logout",
        "//logout",
        "/;/logout",
        "/;x=y/logout",
        "/%3bx/logout",
        "/%2flogout",
        "/a/b/../../logout",
        "/logout%3fx=1",
        "/logout%23x",
        "/logout%20",
        "/account/delete/me",
        "/account;a=1/delete",
        "/account//delete",
        "/account/./delete",
        "/index.php?do=logout",
        "/index.php?x=1&do=logout",
        "/index.php?do=%6cogout",
        "/index.php?do=%256cogout",
        "/index.php%3fdo=logout",
        "/INDEX.php?DO=LOGOUT",
        "/index.php?do=%u006cogout",
        "/index.php?do=%25u006cogout",
    ] {
        let url = format!("http://{ONION}{path}");
        assert_eq!(
            answer(&powers, &ask(&url)).unwrap_err(),
            Refusal::PathExcluded { target: "market-a".into() },
            "{path}"
        );
    }
    for (path, code) in [
        ("/logout%00", "address-path"),
        ("/x%00/%2e%2e%2flogout", "address-path"),
        ("/x%00/../logout", "path-excluded"),
        ("/a%5c..%5clogout", "address-path"),
        ("/%c1%acogout", "address-path"),
        ("/%u006cogout", "address-path"),
    ] {
        assert_eq!(answer(&powers, &ask(&format!("http://{ONION}{path}"))).unwrap_err().code(), code, "{path}");
    }
    for path in [
        "/log",
        "/how-to-logout",
        "/a/logout",
        "/index.php?do=login",
        "/index.php?q=%u00e9%uzz",
        "/index.php?q=%C0%80",
        "/account",
        "/account/deleted-ads-no",
        "/100%25",
        "/caf%e9",
        "/x;y=z",
    ] {
        let granted = answer(&powers, &ask(&format!("http://{ONION}{path}")));
        assert_eq!(granted.is_ok(), path != "/account/deleted-ads-no", "{path}");
    }
}

/// An include pattern is written decoded and meets what servers decode; a detour out of it is none.
#[test]
fn included_paths_may_be_encoded() {
    let powers = powers_of(MANDATE);
    let b = "http://sp3k262uwy4r2k3ycr5awluarykdpag6a7y33jxop4cs2lu5uz5sseqd.onion:8080";
    for (path, granted) in [
        ("/shop/a%20b", true),
        ("/shop/caf%C3%A9", true),
        ("/shop/100%25", true),
        ("/sho%70/a", true),
        ("/shop/a?next=/elsewhere", true),
        ("/shop/a%2fb", false),
        ("/shop/a/b", false),
        ("/shop/..%2fadmin", false),
        ("/shop%3f/a", false),
        ("/static/..;/admin", false),
        ("/Shop/a", false),
    ] {
        assert_eq!(answer(&powers, &ask(&format!("{b}{path}"))).is_ok(), granted, "{path}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    /// However its letters are encoded and wherever dots, slashes and parameters stand, a path
    /// that decodes to an excluded one is refused.
    #[test]
    fn no_encoding_dodges_an_exclude(
        rounds in proptest::collection::vec(0u8..4, 6),
        upper in any::<[bool; 6]>(),
        prefix in "(/|//|/\\./|/a/\\.\\./|/a/b/\\.\\./\\.\\./|/a/%2e%2e/|/a/%252e%252e/|/;p/|/\\.;x/|/%2f/|/a%2f\\.\\./)",
        suffix in "(|/|;x|;x=1/y|\\?a=b|%3fa|%20|/\\.|//|\\.)",
    ) {
        let mut path = prefix;
        for ((letter, rounds), upper) in "logout".chars().zip(rounds).zip(upper) {
            let letter = if upper { letter.to_ascii_uppercase() } else { letter };
            let encoded = match rounds {
                0 => letter.to_string(),
                rounds => format!("%{}{:02x}", "25".repeat(usize::from(rounds) - 1), u32::from(letter)),
            };
            path.push_str(&encoded);
        }
        path.push_str(&suffix);
        let url = format!("http://{ONION}{path}");
        prop_assert!(answer(&powers_of_example(), &ask(&url)).is_err(), "{}", path);
    }

    #[test]
    fn any_address_never_panics_and_never_leaks(text in "\\PC{0,60}", path in "[a-zA-Z0-9%./;?&=+#-]{0,40}") {
        let powers = powers_of_example();
        for url in [text, format!("http://{ONION}/{path}")] {
            match answer(&powers, &ask(&url)) {
                Ok(granted) => prop_assert_eq!(granted.host(), ONION),
                Err(refused) => {
                    let shown = format!("{refused} {refused:?}");
                    prop_assert!(!shown.contains('\n') && !shown.contains(&ONION[..8]));
                }
            }
        }
    }
}
