//! Holds, releases and destruction certificates.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;
use vigie_config::retention::{CasePapers, Paper, RetentionError, Ruling, SignedPaper, Thing};
use vigie_config::signers::{AllowedSigners, SignatureError};

use crate::bench::{at, authority, key, now, public, sign};

/// The authority, a custodian, and a second key of the custodian.
fn signers() -> AllowedSigners {
    let lines = [("magistrate@court.example", authority()), ("custodian@customs.example", key(11))]
        .into_iter()
        .chain([("custodian@customs.example", key(12))])
        .map(|(who, key)| format!("{who} namespaces=\"vigie-retention\" {}\n", public(&key)));
    AllowedSigners::parse(lines.collect::<String>().as_bytes()).unwrap()
}

fn paper(text: &str, keys: &[ssh_key::PrivateKey], now: Timestamp) -> Result<Paper, RetentionError> {
    let signatures = keys.iter().map(|key| sign(key, "vigie-retention", text.as_bytes())).collect();
    SignedPaper::new(text.as_bytes().to_vec(), signatures).verify(&signers(), now)
}

fn text(id: &str, kind: &str, more: &str) -> String {
    format!(
        "format = \"vigie-retention/1\"\nid = \"{id}\"\ncase = \"C-2026-88\"\nissued = 2026-11-24T09:00:00Z\n\
         kind = \"{kind}\"\nreason = \"as ordered\"\n{more}\n"
    )
}

fn destruction() -> String {
    text("D-1", "destruction", "destroyed = [\"case\", \"copy:17\"]\nreturned = [\"copy:18\"]")
}

#[test]
fn what_loses_evidence_needs_two_persons() {
    let hold = paper(&text("H-1", "hold", ""), &[authority()], now()).unwrap();
    assert_eq!((hold.ruling, hold.signed_by.len()), (Ruling::Hold, 1));
    for text in [destruction(), text("R-1", "release", "releases = \"H-1\"")] {
        let one = |keys: &[_]| matches!(paper(&text, keys, now()), Err(RetentionError::OnePerson { .. }));
        assert!(one(&[authority()]) && one(&[authority(), authority()]), "one key twice is one person");
        assert!(one(&[key(11), key(12)]), "two keys of one person are one person");
        let two = paper(&text, &[key(12), authority()], now()).unwrap();
        assert_eq!(two.signed_by, ["custodian@customs.example", "magistrate@court.example"]);
        // A third signature that does not count spoils the paper.
        let stranger = paper(&text, &[key(12), authority(), key(13)], now());
        assert!(matches!(stranger, Err(RetentionError::Signature(SignatureError::NotAllowed(_)))));
    }
    let things: BTreeSet<_> = [Thing::Identity("case".into()), Thing::Copy(17), Thing::Copy(18)].into_iter().collect();
    let read = paper(&destruction(), &[authority(), key(11)], now()).unwrap();
    assert_eq!(read.ruling, Ruling::Destruction(things));
    assert!(matches!(paper(&destruction(), &[], now()), Err(RetentionError::OnePerson { .. })));
}

#[test]
fn an_altered_or_early_paper_does_not_count() {
    let text = destruction();
    let signatures = [authority(), key(11)].map(|key| sign(&key, "vigie-retention", text.as_bytes())).to_vec();
    let altered = SignedPaper::new(text.replace("copy:17", "copy:19").into_bytes(), signatures.clone());
    assert!(matches!(altered.verify(&signers(), now()), Err(RetentionError::Signature(SignatureError::Mismatch))));
    let early = SignedPaper::new(text.into_bytes(), signatures.clone()).verify(&signers(), at("2026-11-24T08:49:59Z"));
    assert!(matches!(early, Err(RetentionError::Future(_))));
    let other = sign(&authority(), "vigie-mandate", destruction().as_bytes());
    let namespace = SignedPaper::new(destruction().into_bytes(), vec![other]).verify(&signers(), now());
    assert!(matches!(namespace, Err(RetentionError::Signature(SignatureError::Namespace { .. }))));
}

#[test]
fn faults_name_their_line() {
    for (from, to, line) in [
        ("vigie-retention/1", "vigie-retention/2", 1),
        ("\"D-1\"", "\"D 1\"", 2),
        ("C-2026-88", "", 3),
        ("2026-11-24T09:00:00Z", "2026-11-24", 4),
        ("\"destruction\"", "\"erasure\"", 5),
        ("\"destruction\"", "\"hold\"", 5),
        ("\"destruction\"", "\"release\"", 5),
        ("as ordered", "as\\nordered", 6),
        ("\"copy:17\"", "\"copy:x\"", 7),
        ("\"copy:17\"", "\"key\"", 7),
        ("\"copy:18\"", "\"copy:17\"", 8),
        ("returned", "burned", 8),
    ] {
        let text = destruction().replacen(from, to, 1);
        match paper(&text, &[authority(), key(11)], now()) {
            Err(RetentionError::Document(complaint)) => assert_eq!(complaint.line, line, "{to}: {complaint}"),
            other => panic!("{to}: {other:?}"),
        }
    }
    let none = destruction().lines().take(6).collect::<Vec<_>>().join("\n");
    assert!(matches!(paper(&none, &[authority(), key(11)], now()), Err(RetentionError::Document(_))));
}

#[test]
fn papers_of_a_case_together() {
    let read = |text: String| paper(&text, &[authority(), key(11)], now()).unwrap();
    let papers = [
        read(text("H-1", "hold", "")),
        read(text("H-2", "hold", "")),
        read(text("R-1", "release", "releases = \"H-1\"")),
        read(destruction()),
        read(text("H-1", "hold", "")),
    ];
    let state = CasePapers::of(papers.iter());
    assert_eq!(state.holds.iter().collect::<Vec<_>>(), ["H-2"], "what was released stays so");
    assert_eq!(state.gone.len(), 3);
    assert_eq!(CasePapers::of(papers[..2].iter()).holds.len(), 2);
    assert_eq!(CasePapers::of(papers.iter().rev()), state, "the order does not matter");
}

proptest! {
    #[test]
    fn no_text_is_read_without_signatures(text in "\\PC{0,400}") {
        prop_assert!(SignedPaper::new(text.into_bytes(), Vec::new()).verify(&signers(), now()).is_err());
    }

    #[test]
    fn things_have_one_spelling(text in "[a-z]{0,8}:?[0-9+ -]{0,20}") {
        if let Some(thing) = Thing::parse(&text) {
            // Only leading zeros are let pass.
            prop_assert_eq!(Thing::parse(&thing.to_string()), Some(thing));
        }
    }
}
