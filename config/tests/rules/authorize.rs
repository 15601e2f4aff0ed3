//! The one door to the network.

use jiff::Timestamp;
use vigie_config::authorize::{Action, Ask, Authorization, Element, MediaPolicy, Powers, Usage, Via};
use vigie_config::mandate::SignedMandate;
use vigie_config::profile::Profile;
use vigie_config::refusal::Refusal;
use vigie_config::revocation::{Revocations, SignedRevocation};
use vigie_config::target::{Scheme, TlsPolicy, UrlRefusal};

use crate::bench::{MANDATE, ONION, agent, at, authority, key, now, sign, signers, verify, with};

fn profile(name: &str) -> Profile {
    let text = format!(
        "format = \"vigie-profile/1\"\nname = \"{name}\"\nheader_set = \"tor-browser-linux-153\"\nlanguage = \"en-US\"\n"
    );
    Profile::parse(text.as_bytes()).unwrap()
}

pub fn powers_of(text: &str) -> Powers {
    Powers::bind(verify(text).unwrap(), &profile("heron"), agent().public_key(), now()).unwrap()
}

/// A list of each week until the end of January, so that freshness is no matter here.
fn fresh(now: Timestamp) -> Revocations {
    let text = format!("format = \"vigie-revocation/1\"\nissued = {now}\n").into_bytes();
    let signature = sign(&authority(), "vigie-revocation", &text);
    SignedRevocation::new(text, signature).verify(&signers(), now).unwrap()
}

pub fn ask(url: &str) -> Ask<'_> {
    Ask { url, action: Action::Observe, element: Element::Page, depth: 0, via: Via::Link }
}

fn answer_at(powers: &Powers, ask: &Ask<'_>, now: Timestamp) -> Result<Authorization, Refusal> {
    powers.authorize(ask, &fresh(now), &Usage::default(), now)
}

pub fn answer(powers: &Powers, ask: &Ask<'_>) -> Result<Authorization, Refusal> {
    answer_at(powers, ask, now())
}

#[test]
fn grants_what_the_mandate_names() {
    let powers = powers_of(MANDATE);
    let url = format!("http://{ONION}/category/ivory?page=2#top");
    let granted = answer(&powers, &ask(&url)).unwrap();
    assert_eq!((granted.target_name(), granted.host(), granted.port()), ("market-a", ONION, 80));
    assert_eq!((granted.path(), granted.scheme()), ("/category/ivory?page=2", Scheme::Http));
    assert_eq!((granted.tls_policy(), granted.media()), (TlsPolicy::Strict, MediaPolicy::Capture));
    assert_eq!((granted.agent_code(), granted.profile_name()), ("A-07", "heron"));
    assert_eq!((granted.mandate_digest(), granted.granted_at()), (powers.mandate().digest(), now()));
    assert!(!format!("{granted:?} {powers:?}").contains("heron"));
    assert!(!format!("{granted:?}").contains(&ONION[..4]));
    let web = answer(&powers, &ask("https://shop.test/x")).unwrap();
    assert_eq!((web.target_name(), web.tls_policy(), web.port()), ("second-hand", TlsPolicy::RecordInvalid, 443));
    assert!(!web.two_exits() && !granted.two_exits());
}

#[test]
fn two_exits_is_what_a_clear_web_target_may_ask_for() {
    for (value, asked) in [("true", true), ("false", false)] {
        let powers = powers_of(&MANDATE.replace("tls = \"record-invalid\"", &format!("two_exits = {value}")));
        let web = answer(&powers, &ask("https://shop.test/x")).unwrap();
        assert_eq!(web.two_exits(), asked);
        // The same host by plain http is another target.
        assert!(!answer(&powers, &ask("http://shop.test/x")).unwrap().two_exits());
    }
}

#[test]
fn binding_needs_agent_habilitation_and_pseudonym() {
    let mandate = || verify(MANDATE).unwrap();
    let bind = |name: &str, seed: u8, time: &str| {
        Powers::bind(mandate(), &profile(name), key(seed).public_key(), at(time)).err().map(|r| r.code())
    };
    let noon = "2026-11-24T10:00:00Z";
    assert_eq!(bind("heron", 2, noon), None);
    assert_eq!(bind("otter", 2, noon), None);
    assert_eq!(bind("Heron", 2, noon), Some("profile-unknown"));
    assert_eq!(bind("stork", 2, noon), Some("profile-unknown"));
    assert_eq!(bind("heron", 9, noon), Some("agent-unknown"));
    assert_eq!(bind("heron", 3, noon), Some("not-habilitated"), "habilitated from December");
    assert_eq!(bind("heron", 3, "2026-12-01T00:00:00Z"), None);
    assert_eq!(bind("heron", 2, "2026-12-31T23:59:59Z"), None);
    assert_eq!(bind("heron", 2, "2027-01-01T00:00:00Z"), Some("not-habilitated"));
    assert_eq!(bind("heron", 2, "2026-10-31T23:59:59Z"), Some("not-yet-valid"));
    assert_eq!(bind("heron", 2, "2027-02-01T00:00:00Z"), Some("expired"));
    assert_eq!(bind("heron", 2, "2026-11-02T23:59:59Z"), Some("before-non-opposition"));
    assert_eq!(bind("heron", 2, "2026-11-03T00:00:00Z"), None);
}

#[test]
fn time_ends_a_session() {
    let powers = powers_of(MANDATE);
    let url = format!("http://{ONION}/");
    let code = |time: &str| {
        let refused = answer_at(&powers, &ask(&url), at(time)).err();
        assert!(refused.as_ref().is_none_or(Refusal::is_session_fatal));
        refused.map(|r| r.code())
    };
    // Brussels is at UTC+1 in winter: 08:00 to 20:00 is 07:00Z to 19:00Z.
    assert_eq!(code("2026-11-24T06:59:59Z"), Some("outside-hours"));
    assert_eq!(code("2026-11-24T07:00:00Z"), None);
    assert_eq!(code("2026-11-24T18:59:59Z"), None);
    assert_eq!(code("2026-11-24T19:00:00Z"), Some("outside-hours"));
    assert_eq!(code("2027-01-15T10:00:00Z"), Some("not-habilitated"));
    assert_eq!(code("2027-02-01T10:00:00Z"), Some("expired"));
    assert_eq!(code("2026-10-31T10:00:00Z"), Some("not-yet-valid"));
    let stale = powers.authorize(&ask(&url), &Revocations::none(), &Usage::default(), now()).unwrap_err();
    assert_eq!(stale.code(), "revocations-stale");
}

#[test]
fn summer_time_counts() {
    // A mandate over the change of 2027-03-28 (UTC+1 to UTC+2).
    let text = with("until = 2027-01-31T23:59:59Z", "until = 2027-06-30T23:59:59Z")
        .replace("habilitated_until = 2026-12-31", "habilitated_until = 2027-12-31");
    let powers = powers_of(&text);
    let url = format!("http://{ONION}/");
    for (time, open) in
        [("2027-03-27T06:30:00Z", false), ("2027-03-28T06:30:00Z", true), ("2027-03-28T18:30:00Z", false)]
    {
        assert_eq!(answer_at(&powers, &ask(&url), at(time)).is_ok(), open, "{time}");
    }
}

#[test]
fn hours_may_wrap_over_midnight() {
    let text = with("from = \"08:00\", until = \"20:00\"", "from = \"22:00\", until = \"04:00\"");
    let powers = powers_of(&text);
    let url = format!("http://{ONION}/");
    for (time, open) in [
        ("2026-11-24T20:59:59Z", false),
        ("2026-11-24T21:00:00Z", true),
        ("2026-11-25T02:59:59Z", true),
        ("2026-11-25T03:00:00Z", false),
    ] {
        assert_eq!(answer_at(&powers, &ask(&url), at(time)).is_ok(), open, "{time}");
    }
}

#[test]
fn actions_elements_depth_and_limits() {
    let powers = powers_of(MANDATE);
    let url = format!("http://{ONION}/");
    for (action, code) in
        [(Action::Authenticate, None), (Action::Register, Some("action")), (Action::Contact, Some("action"))]
    {
        assert_eq!(answer(&powers, &Ask { action, ..ask(&url) }).err().map(|r| r.code()), code);
    }
    for (element, media) in [
        (Element::Page, Some(MediaPolicy::Capture)),
        (Element::Frame, Some(MediaPolicy::Capture)),
        (Element::Stylesheet, Some(MediaPolicy::Capture)),
        (Element::Font, Some(MediaPolicy::Capture)),
        (Element::ListingImage, Some(MediaPolicy::Capture)),
        (Element::OtherImage, None),
        (Element::Media, Some(MediaPolicy::HashOnly)),
        (Element::Script, None),
    ] {
        let got = answer(&powers, &Ask { element, ..ask(&url) });
        assert_eq!(got.as_ref().ok().map(Authorization::media), media);
        assert!(media.is_some() || got.unwrap_err() == Refusal::Withheld(element));
    }
    assert!(answer(&powers, &Ask { depth: 3, ..ask(&url) }).is_ok());
    assert_eq!(answer(&powers, &Ask { depth: 4, ..ask(&url) }).unwrap_err(), Refusal::Depth { depth: 4, limit: 3 });
    for (requests_last_hour, bytes_today, code) in [
        (3_599, 1_999_999_999, None),
        (3_600, 0, Some("requests-per-hour")),
        (0, 2_000_000_000, Some("bytes-per-day")),
        (u64::MAX, u64::MAX, Some("bytes-per-day")),
    ] {
        let usage = Usage { requests_last_hour, bytes_today };
        assert_eq!(powers.authorize(&ask(&url), &fresh(now()), &usage, now()).err().map(|r| r.code()), code);
    }
}

#[test]
fn other_places_are_no_targets() {
    let powers = powers_of(MANDATE);
    let b = "sp3k262uwy4r2k3ycr5awluarykdpag6a7y33jxop4cs2lu5uz5sseqd.onion";
    for (url, code) in [
        ("http://xa4r2iadxm55fbnqgwwi5mymqdcofiu3w6rpbtqn7b2dyn7mgwj64jyd.onion/".to_owned(), "not-a-target"),
        (format!("https://{ONION}/"), "not-a-target"),
        (format!("http://{ONION}:81/"), "not-a-target"),
        (format!("http://{b}/shop/"), "not-a-target"),
        ("https://www.shop.test/".to_owned(), "not-a-target"),
        ("https://shop.test.evil.test/".to_owned(), "not-a-target"),
        ("https://shop.test:8443/".to_owned(), "not-a-target"),
        (format!("http://{b}:8080/shop/a/b"), "path-excluded"),
        (format!("http://{b}:8080/"), "path-excluded"),
        (format!("http://{b}:8080/shop/..%2f..%2fadmin"), "path-excluded"),
        (format!("http://{b}:8080/static/..%2fadmin"), "path-excluded"),
        (format!("http://{b}:8080/static/%252e%252e/admin"), "path-excluded"),
        (format!("http://www.{ONION}/"), "host-onion-subdomain"),
        (format!("http://{ONION}./"), "host-trailing-dot"),
        (format!("http://{ONION}@evil.test/"), "address-user-info"),
        ("http://127.0.0.1/".to_owned(), "host-address-literal"),
        (format!("//{ONION}/"), "address-scheme"),
        ("data:text/html,x".to_owned(), "address-scheme"),
    ] {
        let refused = answer(&powers, &ask(&url)).unwrap_err();
        assert_eq!(refused.code(), code, "{url}");
        assert!(!refused.is_session_fatal());
        let shown = format!("{refused} {refused:?}");
        assert!(!shown.contains("shop.test") && !shown.contains(&ONION[..8]) && !shown.contains("xa4r2iad"), "{shown}");
        assert!(!shown.contains('\n'));
    }
    assert!(answer(&powers, &ask(&format!("http://{b}:8080/shop/a"))).is_ok());
    assert!(answer(&powers, &ask(&format!("http://{b}:8080/static/a/b.css"))).is_ok());
}

#[test]
fn no_way_down_from_https_or_an_onion() {
    let powers = powers_of(MANDATE);
    for via in [Via::Redirect { from_secure: true }, Via::Requisite { from_secure: true }] {
        assert_eq!(answer(&powers, &Ask { via, ..ask("http://shop.test/") }).unwrap_err(), Refusal::Downgrade);
        assert!(answer(&powers, &Ask { via, ..ask("https://shop.test/") }).is_ok());
        assert!(answer(&powers, &Ask { via, ..ask(&format!("http://{ONION}/")) }).is_ok());
    }
    for via in [Via::Redirect { from_secure: false }, Via::Requisite { from_secure: false }, Via::Entry, Via::Link] {
        assert!(answer(&powers, &Ask { via, ..ask("http://shop.test/") }).is_ok());
    }
}

#[test]
fn revocation_stops_a_running_session() {
    let powers = powers_of(MANDATE);
    let url = format!("http://{ONION}/");
    let mut held = fresh(now());
    assert!(powers.authorize(&ask(&url), &held, &Usage::default(), now()).is_ok());
    let text = b"format = \"vigie-revocation/1\"\nissued = 2026-11-24T10:00:00Z\nrevoked = [{ mandate = \"M-2026-017\", from = 2026-11-24T10:00:00Z, reason = \"opposed\", kind = \"opposition\" }]\n".to_vec();
    let signature = sign(&authority(), "vigie-revocation", &text);
    held.merge(SignedRevocation::new(text, signature).verify(&signers(), now()).unwrap());
    let refused = powers.authorize(&ask(&url), &held, &Usage::default(), now()).unwrap_err();
    assert!(refused.is_session_fatal());
    assert_eq!(refused.code(), "revoked");
}

#[test]
fn refusals_come_from_the_address_too() {
    let powers = powers_of(MANDATE);
    assert_eq!(answer(&powers, &ask("http:///x")).unwrap_err(), Refusal::Address(UrlRefusal::Ambiguous));
}

#[test]
fn a_mandate_read_without_its_dates_permits_nothing() {
    let signature = sign(&authority(), "vigie-mandate", MANDATE.as_bytes());
    let mandate = SignedMandate::new(MANDATE.as_bytes().to_vec(), signature).verify_at_any_time(&signers()).unwrap();
    let refused =
        Powers::bind(mandate, &profile("heron"), agent().public_key(), at("2028-01-01T10:00:00Z")).unwrap_err();
    assert_eq!(refused.code(), "expired");
}

/// The powers of the example mandate, made once.
pub fn powers_of_example() -> Powers {
    static POWERS: std::sync::OnceLock<Powers> = std::sync::OnceLock::new();
    POWERS.get_or_init(|| powers_of(MANDATE)).clone()
}
