//! Papers that give entries up: two persons, and exactly one head.

use jiff::Timestamp;
use proptest::prelude::*;
use vigie_config::restoration::{Acceptance, AcceptanceError, Head, NAMESPACE, SignedAcceptance, draft};
use vigie_config::signers::{AllowedSigners, SignatureError};

use crate::bench::{at, authority, key, now, public, sign};

const NEWER: Head = Head { size: 57, root: [0xAB; 32] };
const OLDER: Head = Head { size: 41, root: [0x12; 32] };

/// The authority, a custodian, and a second key of the custodian.
fn signers() -> AllowedSigners {
    let lines = [("magistrate@court.example", authority()), ("custodian@customs.example", key(11))]
        .into_iter()
        .chain([("custodian@customs.example", key(12))])
        .map(|(who, key)| format!("{who} namespaces=\"{NAMESPACE}\" {}\n", public(&key)));
    AllowedSigners::parse(lines.collect::<String>().as_bytes()).unwrap()
}

fn paper(text: &str, keys: &[ssh_key::PrivateKey], now: Timestamp) -> Result<Acceptance, AcceptanceError> {
    let signatures = keys.iter().map(|key| sign(key, NAMESPACE, text.as_bytes())).collect();
    SignedAcceptance::new(text.as_bytes().to_vec(), signatures).verify(&signers(), now)
}

fn text() -> String {
    draft("R-1", "customs.example/desk-1", at("2026-11-24T09:00:00Z"), "the \"old\" disk burnt", &NEWER, &OLDER)
}

#[test]
fn two_persons_give_up_the_head_that_they_name() {
    let one = |keys: &[_]| matches!(paper(&text(), keys, now()), Err(AcceptanceError::OnePerson));
    assert!(one(&[]) && one(&[authority()]) && one(&[authority(), authority()]) && one(&[key(11), key(12)]));
    let read = paper(&text(), &[authority(), key(12)], now()).unwrap();
    assert_eq!((read.given_up, read.goes_on_from, read.id.as_str()), (NEWER, OLDER, "R-1"));
    assert_eq!(read.reason, "the \"old\" disk burnt");
    assert_eq!(read.signed_by, ["magistrate@court.example", "custodian@customs.example"]);
    let stranger = paper(&text(), &[authority(), key(11), key(13)], now());
    assert!(matches!(stranger, Err(AcceptanceError::Signature(SignatureError::NotAllowed(_)))));
    assert!(matches!(
        paper(&text(), &[authority(), key(11)], at("2026-11-24T08:49:59Z")),
        Err(AcceptanceError::Future(_))
    ));
}

#[test]
fn an_altered_paper_does_not_count() {
    let signatures = [authority(), key(11)].map(|key| sign(&key, NAMESPACE, text().as_bytes())).to_vec();
    for (from, to) in [("size = 57", "size = 58"), ("abab", "abac"), ("size = 41", "size = 40"), ("burnt", "went")] {
        let altered = SignedAcceptance::new(text().replacen(from, to, 1).into_bytes(), signatures.clone());
        let refused = altered.verify_at_any_time(&signers());
        assert!(matches!(refused, Err(AcceptanceError::Signature(SignatureError::Mismatch))), "{to}: {refused:?}");
    }
    let other = [authority(), key(11)].map(|key| sign(&key, "vigie-retention", text().as_bytes())).to_vec();
    let namespace = SignedAcceptance::new(text().into_bytes(), other).verify(&signers(), now());
    assert!(matches!(namespace, Err(AcceptanceError::Signature(_))));
}

#[test]
fn faults_name_their_line() {
    for (from, to, line) in [
        ("vigie-restore/1", "vigie-restore/2", 1),
        ("\"R-1\"", "\"R 1\"", 2),
        ("2026-11-24T09:00:00Z", "2026-11-24", 4),
        ("burnt", "\tburnt", 5),
        ("size = 57", "size = 41", 14),
        ("size = 57", "size = -1", 9),
        ("size = 41", "size = 0", 14),
        ("abab", "ABab", 10),
        ("reason", "cause", 5),
    ] {
        match paper(&text().replacen(from, to, 1), &[authority(), key(11)], now()) {
            Err(AcceptanceError::Document(complaint)) => assert_eq!(complaint.line, line, "{to}: {complaint}"),
            other => panic!("{to}: {other:?}"),
        }
    }
}

proptest! {
    #[test]
    fn no_text_is_read_without_signatures(text in "\\PC{0,400}") {
        prop_assert!(SignedAcceptance::new(text.into_bytes(), Vec::new()).verify(&signers(), now()).is_err());
    }

    #[test]
    fn what_is_drafted_is_read_as_it_was_meant(reason in "[ -~]{1,60}", size in 2u64..1_000_000) {
        prop_assume!(!reason.trim().is_empty());
        let (newer, older) = (Head { size, root: [7; 32] }, Head { size: size / 2, root: [8; 32] });
        let text = draft("R-1", "a.example/b", at("2026-11-24T09:00:00Z"), &reason, &newer, &older);
        let read = paper(&text, &[authority(), key(11)], now()).unwrap();
        prop_assert_eq!((read.reason, read.given_up, read.goes_on_from), (reason, newer, older));
    }
}
