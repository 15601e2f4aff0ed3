//! Mandates: what holds, and each way not to hold, with its line.

use proptest::prelude::*;
use vigie_config::authorize::Action;
use vigie_config::mandate::{MandateError, SignedMandate, same_recipients};
use vigie_config::signers::SignatureError;

use crate::bench::{MANDATE, at, authority, key, now, sign, signers, verify, with};

#[test]
fn the_example_holds() {
    let mandate = verify(MANDATE).unwrap();
    assert_eq!((mandate.id(), mandate.case(), mandate.renews()), ("M-2026-017", "C-2026-004", Some("M-2026-003")));
    assert_eq!(mandate.actions(), [Action::Observe, Action::Authenticate]);
    assert_eq!(mandate.targets().len(), 4);
    assert_eq!(mandate.document(), MANDATE.as_bytes());
    assert_eq!(mandate.agents()[1].code(), "A-12");
    assert_eq!(mandate.recipients().at(at("2026-12-31T23:59:59Z")).len(), 3);
    assert_eq!(mandate.recipients().at(at("2027-01-01T00:00:00Z")).len(), 2, "review ends");
    let sha256 = std::process::Command::new("sha256sum")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/mandate.toml"))
        .output();
    assert!(String::from_utf8(sha256.unwrap().stdout).unwrap().starts_with(&mandate.digest().to_string()));
}

/// What `text` is refused with: line and reason.
fn complaint(text: &str) -> (usize, String) {
    match verify(text) {
        Err(MandateError::Document(complaint)) => (complaint.line, complaint.reason),
        other => panic!("expected a complaint, got {other:?}"),
    }
}

#[test]
fn each_fault_is_refused_with_its_line() {
    let agent = MANDATE.lines().find(|line| line.starts_with("key = ")).unwrap();
    let second = MANDATE.lines().filter(|line| line.starts_with("key = ")).nth(1).unwrap();
    let onion_b = "host = \"sp3k262uwy4r2k3ycr5awluarykdpag6a7y33jxop4cs2lu5uz5sseqd.onion\"";
    let onion_a = "host = \"pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion\"";
    let case = "case = \"age15t0w8kh3eav6ch2gy42uw3wsn2w5c0ztqys02z46yt0heun0ly6qqxc4um\"";
    // (text in the mandate, what stands there instead, what the reason must say)
    let faults: &[(&str, &str, &str)] = &[
        ("format = \"vigie-mandate/1\"", "format = \"vigie-mandate/2\"", "format must be"),
        ("id = \"M-2026-017\"", "id = \"M 2026\"", "an id has 1 to 64"),
        ("id = \"M-2026-017\"", "id = 17", "expected a string"),
        ("id = \"M-2026-017\"", "id = \"M-2026-003\"", "renew itself"),
        ("title = \"Ivory", "title = \"\\u0000Ivory", "one line"),
        ("title = \"Ivory", "title = \"\\u202eIvory", "invisible"),
        ("pseudonyms =", "pseudonym =", "unknown field `pseudonym`"),
        ("legal_basis = \"fr-cdd-67bis1A\"", "legal_basis = \"fr-nothing\"", "no such legal basis"),
        (
            "legal_basis = \"fr-cdd-67bis1A\"",
            "legal_basis = \"fr-cdd-public\"",
            "cannot support the action authenticate",
        ),
        ("offences = [\"fr-cdd-414\", \"fr-cdd-415\"]", "offences = []", "offences must not be empty"),
        ("\"fr-cdd-415\"", "\"fr-cdd-414\"", "names this twice"),
        ("\"fr-cdd-415\"", "\"be-lgda-231\"", "does not serve the offence"),
        ("pseudonyms = [\"heron\", \"otter\"]", "pseudonyms = []", "must not be empty"),
        ("\"otter\"", "\"heron\"", "names this twice"),
        ("\"authenticate\"", "\"buy\"", "unknown variant `buy`"),
        ("actions = [\"observe\", \"authenticate\"]", "actions = []", "must not be empty"),
        ("document_sha256 = \"e3b0", "document_sha256 = \"E3b0", "64 lower-case hex"),
        ("date = 2026-11-01\n", "date = 2026-02-30\n", "line"),
        ("date = 2026-11-01\n", "date = 2026-11-01T00:00:00Z\n", "YYYY-MM-DD"),
        ("non_opposition = 2026-11-03\n", "non_opposition = 2026-10-31\n", "must not lie before"),
        ("non_opposition = 2026-11-03\n", "", "add non_opposition"),
        ("from = 2026-11-01T00:00:00Z", "from = 2026-11-01T00:00:00+01:00", "UTC"),
        ("from = 2026-11-01T00:00:00Z", "from = 2026-11-01T00:00:00", "UTC"),
        ("from = 2026-11-01T00:00:00Z", "from = \"2026-11-01T00:00:00Z\"", "invalid type"),
        ("until = 2027-01-31T23:59:59Z", "until = 2026-11-01T00:00:00Z", "must lie after"),
        ("until = 2027-01-31T23:59:59Z", "until = 2027-01-31T25:59:59Z", ""),
        ("revocations_max_age_days = 7", "revocations_max_age_days = 0", "1 to 366"),
        ("revocations_max_age_days = 7", "revocations_max_age_days = -1", "invalid value"),
        ("code = \"A-12\"", "code = \"A-07\"", "two agents have this code"),
        (second, agent, "two agents have this key"),
        (agent, "key = \"ssh-ed25519 AAAA\"", "no OpenSSH public key"),
        ("habilitated_until = 2026-12-31", "habilitated_until = 2024-12-31", "lies before"),
        ("name = \"market-b\"", "name = \"market-a\"", "two targets have this name"),
        ("name = \"market-b\"", "name = \"market b\"", "a target's name has"),
        ("name = \"market-b\"", "name = \"market-b\"\nextra = 1", "unknown field `extra`"),
        (onion_a, "host = \"pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4psaryd.onion\"", "not a valid version 3"),
        (onion_b, "host = \"127.0.0.1\"", "address literal"),
        (onion_b, "host = \"expyuzz4wqqyqhjn.onion\"", "version 2"),
        ("port = 8080", "port = 0", "1 to 65535"),
        ("port = 8080", "port = 65536", "invalid value"),
        ("port = 8080", "port = \"secret.test\"", "invalid type: string, expected u16"),
        ("scheme = \"http\"\nport", "scheme = \"ftp\"\nport", "\"http\" or \"https\""),
        ("entry = [\"/shop/\"]", "entry = []", "at least one entry"),
        ("entry = [\"/shop/\"]", "entry = [\"shop\"]", "begins with /"),
        ("entry = [\"/shop/\"]", "entry = [\"/other\"]", "outside the target's own"),
        ("entry = [\"/shop/\"]", "entry = [\"/shop/%2e%2e/x\"]", "outside the target's own"),
        ("\"/shop/*\"", "\"shop\"", "begins with / or **"),
        ("\"/shop/*\"", "\"/%73hop\"", "written decoded"),
        ("\"/shop/*\"", "\"/shop//x\"", "never be met"),
        ("\"/shop/*\"", "\"/shop/../x\"", "never be met"),
        ("\"/shop/*\"", "\"/shop/***\"", "no more stars"),
        ("\"/shop/*\"", "\"/shop/#x\"", "backslash or #"),
        ("include = [\"/shop/*\", \"/static/**\"]", "include = []", "at least one include"),
        ("tls = \"record-invalid\"", "tls = \"none\"", "\"strict\" or \"record-invalid\""),
        ("port = 8080", "port = 8080\ntls = \"record-invalid\"", "no meaning for a plain http"),
        ("port = 8080", "port = 8080\ntwo_exits = true", "no meaning for an onion service"),
        ("tls = \"record-invalid\"", "two_exits = \"yes\"", "invalid type: string, expected a boolean"),
        ("requests_per_hour = 3600", "requests_per_hour = 0", "positive"),
        ("bytes_per_day = 2_000_000_000", "bytes_per_day = 0", "positive"),
        ("concurrency = 4", "concurrency = 65", "1 to 64"),
        ("depth = 3", "depth = 1001", "at most 1000"),
        ("from = \"08:00\"", "from = \"8h\"", "HH:MM"),
        ("from = \"08:00\"", "from = \"20:00\"", "are the same"),
        ("Europe/Brussels", "Europe/Atlantis", "IANA time zone"),
        ("video = \"hash-only\"", "video = \"show\"", "unknown variant"),
        ("video = \"hash-only\"", "videos = \"hash-only\"", "unknown field"),
        (case, "case = \"age15t0w8kh3eav6ch2gy42uw3wsn2w5c0ztqys02z46yt0heun0ly6qqxc4un\"", "not an age X25519"),
        (
            case,
            "case = \"AGE-SECRET-KEY-1YERDWNWVEGDLEGG7HQLTEVAS5JY867GM0JQP79FEEEHKT0YXGQ3SEK6ZQ9\"",
            "not an age X25519",
        ),
        (case, "case = \"age1y5sqjnshzndmr3alulnglzm62rm4805l9uq9huq897s8ngq8epqqzsdt5c\"", "same key"),
        (
            "age1kt7stgzkpcgc5wyumnjpxz3mkjz6p64cnh5ehlkgljpnw8terqqs5q57yz",
            "age1y5sqjnshzndmr3alulnglzm62rm4805l9uq9huq897s8ngq8epqqzsdt5c",
            "key of its own",
        ),
        ("keep_until = 2031-12-31", "keep_until = 2026-12-31", "must not lie before the end"),
        ("partners = [\"wildlife fund\"]", "partners = \"all\"", "invalid type"),
    ];
    for (from, to, says) in faults {
        let text = with(from, to);
        let (line, reason) = complaint(&text);
        assert!(reason.contains(says) || *says == "line", "{to:?}: {reason:?} does not say {says:?}");
        // The complaint points into the part that was changed, or (a thing left out, a pair that
        // does not fit together) at its neighbour; never at the top of the document.
        let first = MANDATE[..MANDATE.find(from).unwrap()].lines().count();
        let near = first.saturating_sub(12)..=first + 12;
        assert!(near.contains(&line), "{to:?}: line {line}, changed at {first}: {reason}");
        assert!(!reason.contains('\n') && !reason.contains("secret.test"), "{reason:?}");
    }
}

#[test]
fn missing_parts_are_refused() {
    for table in ["[authority]", "[information]", "[validity]", "[limits]", "[recipients]", "[retention]"] {
        let start = MANDATE.find(table).unwrap();
        let end = MANDATE[start + 1..].find("\n[").map_or(MANDATE.len(), |at| start + 1 + at + 1);
        let text = format!("{}{}", &MANDATE[..start], &MANDATE[end..]);
        assert!(matches!(verify(&text), Err(MandateError::Document(_))), "{table}");
    }
    // An observe-only basis needs no information.
    let start = MANDATE.find("[information]").unwrap();
    let end = MANDATE.find("[validity]").unwrap();
    let text = format!("{}{}", &MANDATE[..start], &MANDATE[end..])
        .replace("fr-cdd-67bis1A", "fr-cdd-public")
        .replace("\"observe\", \"authenticate\"", "\"observe\"");
    assert!(verify(&text).unwrap().information().is_none());
}

#[test]
fn exact_lines() {
    assert_eq!(
        complaint(&with("port = 8080", "port = 0")).0,
        1 + MANDATE[..MANDATE.find("port = 8080").unwrap()].matches('\n').count()
    );
    assert_eq!(complaint("format = \"vigie-mandate/1\"\nid = \n").0, 2);
    assert_eq!(verify("\u{1}").unwrap_err().to_string().lines().count(), 1);
    let not_utf8 = b"a = 1\n\xff".to_vec();
    let signature = sign(&authority(), "vigie-mandate", &not_utf8);
    let refused = SignedMandate::new(not_utf8, signature).verify(&signers(), now()).unwrap_err();
    assert!(refused.to_string().contains("line 2: the text is not UTF-8"), "{refused}");
}

#[test]
fn signature_faults() {
    let document = MANDATE.as_bytes().to_vec();
    let try_with =
        |signature: Vec<u8>| SignedMandate::new(document.clone(), signature).verify(&signers(), now()).unwrap_err();
    assert!(matches!(try_with(Vec::new()), MandateError::Signature(SignatureError::Malformed(_))));
    assert!(matches!(
        try_with(sign(&key(9), "vigie-mandate", &document)),
        MandateError::Signature(SignatureError::NotAllowed(_))
    ));
    assert!(matches!(
        try_with(sign(&authority(), "vigie-revocation", &document)),
        MandateError::Signature(SignatureError::Namespace { .. })
    ));
    assert!(matches!(
        try_with(sign(&authority(), "vigie-mandate", b"another")),
        MandateError::Signature(SignatureError::Mismatch)
    ));
    let other = with("principal = \"magistrate@court.example\"", "principal = \"clerk@court.example\"");
    assert!(matches!(verify(&other), Err(MandateError::Principal { .. })));
}

#[test]
fn validity_ends_are_included() {
    let verify_at = |time: &str| {
        let signature = sign(&authority(), "vigie-mandate", MANDATE.as_bytes());
        SignedMandate::new(MANDATE.as_bytes().to_vec(), signature).verify(&signers(), at(time))
    };
    assert!(matches!(verify_at("2026-10-31T23:59:59.999Z"), Err(MandateError::Validity { .. })));
    assert!(verify_at("2026-11-01T00:00:00Z").is_ok());
    assert!(verify_at("2027-01-31T23:59:59Z").is_ok());
    assert!(matches!(verify_at("2027-02-01T00:00:00Z"), Err(MandateError::Validity { .. })));
    let signature = sign(&authority(), "vigie-mandate", MANDATE.as_bytes());
    assert!(SignedMandate::new(MANDATE.as_bytes().to_vec(), signature).verify_at_any_time(&signers()).is_ok());
}

#[test]
fn a_case_has_one_set_of_recipients() {
    let one = verify(MANDATE).unwrap();
    let renewed = verify(&with("id = \"M-2026-017\"", "id = \"M-2026-018\"")).unwrap();
    assert!(same_recipients(&one, &renewed).is_ok());
    let other = "age1kt7stgzkpcgc5wyumnjpxz3mkjz6p64cnh5ehlkgljpnw8terqqs5q57yz";
    let start = MANDATE.find("review = {").unwrap();
    let end = start + MANDATE[start..].find('\n').unwrap();
    let text = format!("{}{}", &MANDATE[..start], &MANDATE[end..])
        .replace("age1y5sqjnshzndmr3alulnglzm62rm4805l9uq9huq897s8ngq8epqqzsdt5c", other);
    assert!(matches!(same_recipients(&one, &verify(&text).unwrap()), Err(MandateError::Recipients { .. })));
    let elsewhere = verify(&text.replace("C-2026-004", "C-2026-005")).unwrap();
    assert!(same_recipients(&one, &elsewhere).is_ok());
}

#[test]
fn nothing_shows_pseudonyms_or_hosts() {
    let mandate = verify(MANDATE).unwrap();
    let shown = format!("{mandate:?} {:?}", mandate.targets());
    for secret in ["heron", "otter", "pg6mmjiy", "sp3k262u", "shop.test", "logout"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// One changed byte anywhere: the signature no longer holds.
    #[test]
    fn a_changed_byte_fails(position in 0..MANDATE.len(), flip in 1u8..=255) {
        let signature = sign(&authority(), "vigie-mandate", MANDATE.as_bytes());
        let mut document = MANDATE.as_bytes().to_vec();
        document[position] ^= flip;
        let refused = SignedMandate::new(document, signature).verify(&signers(), now());
        prop_assert!(matches!(refused, Err(MandateError::Signature(SignatureError::Mismatch))));
    }

    /// A mandate that was signed after any change either holds or is refused in one line.
    #[test]
    fn mutations_never_panic(position in 0..MANDATE.len(), cut in 0usize..40, insert in "\\PC{0,12}") {
        let mut document = MANDATE.as_bytes().to_vec();
        let end = (position + cut).min(document.len());
        document.splice(position..end, insert.bytes());
        let signature = sign(&authority(), "vigie-mandate", &document);
        if let Err(refused) = SignedMandate::new(document, signature).verify(&signers(), now()) {
            prop_assert_eq!(refused.to_string().lines().count(), 1);
        }
    }

    /// Any bytes at all.
    #[test]
    fn any_document(document in proptest::collection::vec(any::<u8>(), 0..400)) {
        let signature = sign(&authority(), "vigie-mandate", &document);
        prop_assert!(SignedMandate::new(document, signature).verify(&signers(), now()).is_err());
    }
}
