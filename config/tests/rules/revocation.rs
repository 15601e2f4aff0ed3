//! Revocations and the prosecutor's opposition.

use jiff::Timestamp;
use proptest::prelude::*;
use vigie_config::refusal::Refusal;
use vigie_config::revocation::{RevocationError, Revocations, SignedRevocation};
use vigie_config::signers::{AllowedSigners, SignatureError};

use crate::bench::{MANDATE, at, authority, key, now, public, sign, signers, verify};

fn list(text: &str, now: Timestamp) -> Result<Revocations, RevocationError> {
    let signature = sign(&authority(), "vigie-revocation", text.as_bytes());
    SignedRevocation::new(text.as_bytes().to_vec(), signature).verify(&signers(), now)
}

fn empty(issued: &str) -> String {
    format!("format = \"vigie-revocation/1\"\nissued = {issued}\nrevoked = []\n")
}

fn revoking(issued: &str, kind: &str, from: &str) -> String {
    format!(
        "format = \"vigie-revocation/1\"\nissued = {issued}\n[[revoked]]\nmandate = \"M-2026-017\"\nfrom = {from}\nreason = \"the prosecutor said so\"\nkind = \"{kind}\"\n"
    )
}

#[test]
fn freshness() {
    let mandate = verify(MANDATE).unwrap();
    assert_eq!(Revocations::none().check(&mandate, now()), Err(Refusal::RevocationsStale { days: 7 }));
    let fresh = list(&empty("2026-11-20T10:00:00Z"), now()).unwrap();
    assert_eq!(fresh.newest(), Some(at("2026-11-20T10:00:00Z")));
    assert_eq!(fresh.check(&mandate, at("2026-11-27T10:00:00Z")), Ok(()));
    assert_eq!(fresh.check(&mandate, at("2026-11-27T10:00:01Z")), Err(Refusal::RevocationsStale { days: 7 }));
    assert!(matches!(list(&empty("2026-11-24T10:10:01Z"), now()), Err(RevocationError::Future(_))));
    assert!(list(&empty("2026-11-24T10:10:00Z"), now()).is_ok(), "clocks differ a little");
}

#[test]
fn a_stop_begins_at_its_moment_and_stays() {
    let mandate = verify(MANDATE).unwrap();
    for kind in ["revocation", "opposition"] {
        let mut held = list(&revoking("2026-11-24T09:00:00Z", kind, "2026-11-25T00:00:00Z"), now()).unwrap();
        assert_eq!(held.check(&mandate, at("2026-11-24T23:59:59Z")), Ok(()));
        let stopped = held.check(&mandate, at("2026-11-25T00:00:00Z")).unwrap_err();
        assert!(stopped.is_session_fatal() && stopped.code() == "revoked" && stopped.to_string().contains(kind));
        // A newer list that does not name it takes nothing back, in either order.
        let newer = list(&empty("2026-11-24T09:59:00Z"), now()).unwrap();
        let mut reverse = newer.clone();
        reverse.merge(held.clone());
        held.merge(newer);
        for merged in [&held, &reverse] {
            assert_eq!(merged.newest(), Some(at("2026-11-24T09:59:00Z")));
            assert!(merged.check(&mandate, at("2026-11-25T00:00:00Z")).is_err());
        }
    }
}

#[test]
fn a_later_list_cannot_postpone_a_stop() {
    let mandate = verify(MANDATE).unwrap();
    let mut held = list(&revoking("2026-11-24T09:00:00Z", "revocation", "2026-11-24T09:00:00Z"), now()).unwrap();
    held.merge(list(&revoking("2026-11-24T09:30:00Z", "revocation", "2027-01-01T00:00:00Z"), now()).unwrap());
    assert!(held.check(&mandate, now()).is_err());
}

#[test]
fn another_mandate_is_not_stopped() {
    let text =
        revoking("2026-11-24T09:00:00Z", "revocation", "2026-11-24T09:00:00Z").replace("M-2026-017", "M-2026-018");
    assert_eq!(list(&text, now()).unwrap().check(&verify(MANDATE).unwrap(), now()), Ok(()));
}

#[test]
fn faults_name_their_line() {
    let good = revoking("2026-11-24T09:00:00Z", "revocation", "2026-11-24T09:00:00Z");
    for (from, to, line) in [
        ("vigie-revocation/1", "vigie-revocation/2", 1),
        ("issued = 2026-11-24T09:00:00Z", "issued = 2026-11-24", 2),
        ("issued = 2026-11-24T09:00:00Z", "issued = 2026-11-24T09:00:00+01:00", 2),
        ("M-2026-017", "M 2026", 4),
        ("M-2026-017", "*", 4),
        ("the prosecutor said so", "", 6),
        ("kind = \"revocation\"", "kind = \"pause\"", 7),
        ("kind = \"revocation\"", "kind = \"revocation\"\nuntil = 1", 8),
    ] {
        match list(&good.replace(from, to), now()) {
            Err(RevocationError::Document(complaint)) => {
                assert_eq!(complaint.line, line, "{to}: {complaint}")
            }
            other => panic!("{to}: {other:?}"),
        }
    }
}

#[test]
fn only_signers_of_this_namespace_count() {
    let text = empty("2026-11-24T09:00:00Z").into_bytes();
    for (by, namespace) in [(key(9), "vigie-revocation"), (authority(), "vigie-mandate")] {
        let signature = sign(&by, namespace, &text);
        let refused = SignedRevocation::new(text.clone(), signature).verify(&signers(), now());
        assert!(matches!(refused, Err(RevocationError::Signature(_))));
    }
}

#[test]
fn a_stop_outlives_the_key_that_signed_it() {
    let text = revoking("2026-11-24T09:00:00Z", "revocation", "2026-11-24T09:00:00Z").into_bytes();
    let signature = sign(&authority(), "vigie-revocation", &text);
    let line = format!("m@court valid-before=\"20261125Z\" {}\n", public(&authority()));
    let signers = AllowedSigners::parse(line.as_bytes()).unwrap();
    let signed = SignedRevocation::new(text, signature);
    let later = at("2026-12-24T10:00:00Z");
    assert!(matches!(
        signed.clone().verify(&signers, later),
        Err(RevocationError::Signature(SignatureError::NotAllowed(_)))
    ));
    let kept = signed.verify_at_any_time(&signers).unwrap();
    assert!(matches!(kept.check(&verify(MANDATE).unwrap(), later), Err(Refusal::Revoked { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutations_never_panic(position in 0usize..400, cut in 0usize..30, insert in "\\PC{0,10}") {
        let mut text = revoking("2026-11-24T09:00:00Z", "revocation", "2026-11-24T09:00:00Z").into_bytes();
        let start = position % text.len();
        let end = (start + cut).min(text.len());
        text.splice(start..end, insert.bytes());
        let signature = sign(&authority(), "vigie-revocation", &text);
        let _ = SignedRevocation::new(text, signature).verify(&signers(), now());
    }
}
