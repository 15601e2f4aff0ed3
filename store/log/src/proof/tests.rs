use ed25519_dalek::SigningKey;
use proptest::prelude::*;

use super::*;
use crate::checkpoint::Checkpoint;
use crate::cosignature::cosign;
use crate::tree::{inclusion_proof, leaf_hash, root_of, subtree};

const ORIGIN: &str = "customs.example/desk-1";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn verifier() -> Verifier {
    Verifier::new(ORIGIN, key().verifying_key())
}

/// A proof for entry `index` of a log of `size` small entries, with a witness's cosignature.
fn proof(index: u64, size: u64) -> (Proof, Hash, WitnessKey) {
    let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&n.to_be_bytes())).collect();
    let path = inclusion_proof(index, size, &mut |level, at| subtree(&leaves, level, at).ok_or(())).expect("nodes");
    let head = Checkpoint { origin: ORIGIN.into(), size, root: root_of(&leaves) };
    let witness = SigningKey::from_bytes(&[8; 32]);
    let checkpoint = head.sign(&key()) + &cosign(&head, "witness.example", &witness, 9);
    let known = WitnessKey::new("witness.example", witness.verifying_key());
    (Proof { extra: None, index, path: path.expect("in the log"), checkpoint }, leaves[index as usize], known)
}

#[test]
fn a_proof_is_written_as_the_specification_says() {
    let (proof, leaf, known) = proof(0, 2);
    let text = proof.encode();
    let hash = BASE64.encode(&leaf_hash(&1u64.to_be_bytes()));
    assert!(text.starts_with(&format!("c2sp.org/tlog-proof@v1\nindex 0\n{hash}\n\n{ORIGIN}\n2\n")), "{text}");
    assert_eq!(Proof::parse(&text), Ok(proof.clone()));
    let cosigned = proof.verify(&leaf, &verifier(), &[known]).expect("holds");
    assert_eq!((cosigned.checkpoint.size, cosigned.cosignatures[0].time), (2, 9));
    // One that another program wrote may carry more.
    let with = Proof { extra: Some(b"age-v1.2.1".to_vec()), ..proof };
    assert!(with.encode().contains("\nextra YWdlLXYxLjIuMQ==\nindex 0\n"));
    assert_eq!(Proof::parse(&with.encode()), Ok(with.clone()));
    assert!(with.verify(&leaf, &verifier(), &[]).is_ok());
}

#[test]
fn what_proves_nothing_is_refused() {
    let (good, leaf, known) = proof(5, 12);
    let text = good.encode();
    for bad in [
        text.replace("proof@v1", "proof@v2"),
        text.replace("index 5", "index 05"),
        text.replace("index 5", "index -5"),
        text.replace("index 5", "extra %\nindex 5"),
        text.replace("index 5\n", ""),
        text.replace("index 5\n", "index 5\nAAAA\n"),
        text.replace("index 5\n", &format!("index 5\n{}", format!("{}\n", BASE64.encode(&[0; 32])).repeat(62))),
        text.replace("\n\n", "\n"),
        text[..40].to_owned(),
        "x".repeat(PROOF_BYTES + 1),
    ] {
        assert!(matches!(Proof::parse(&bad), Err(ProofError::Malformed(_))), "{bad}");
    }
    let verify = |proof: &Proof| proof.verify(&leaf, &verifier(), std::slice::from_ref(&known));
    let not = Err(ProofError::NotIncluded { index: 6, size: 12 });
    assert_eq!(verify(&Proof { index: 6, ..good.clone() }), not);
    assert!(good.verify(&[1; 32], &verifier(), &[]).is_err(), "another entry");
    let other = Verifier::new(ORIGIN, SigningKey::from_bytes(&[1; 32]).verifying_key());
    assert!(matches!(good.verify(&leaf, &other, &[]), Err(ProofError::Checkpoint(_))), "another log");
    let (elsewhere, ..) = proof(5, 13);
    assert!(verify(&Proof { checkpoint: elsewhere.checkpoint, ..good.clone() }).is_err(), "another head");
    let forged = good.checkpoint.rsplit_once("witness.example ").expect("a line").0.to_owned() + "witness.example ";
    let line = crate::note::line("w", known.key_id(), &[1; 72]);
    let forged = forged + line.rsplit_once(' ').expect("base64").1;
    assert!(verify(&Proof { checkpoint: forged, ..good }).is_err(), "a forged cosignature");
}

proptest! {
    #[test]
    fn what_is_written_is_read(extra in any::<Option<Vec<u8>>>(), index in any::<u64>(), path in proptest::collection::vec(any::<[u8; 32]>(), 0..=64), checkpoint in "[ -~\n]{0,200}") {
        let proof = Proof { extra, index, path, checkpoint };
        prop_assert_eq!(Proof::parse(&proof.encode()), Ok(proof));
    }

    #[test]
    fn every_entry_of_every_log_is_proven(size in 1u64..600, at in any::<u64>()) {
        let (proof, leaf, known) = proof(at % size, size);
        let read = Proof::parse(&proof.encode()).expect("reads");
        prop_assert!(read.verify(&leaf, &verifier(), &[known]).is_ok());
    }

    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = Proof::parse(&format!("{FORMAT}\n{text}"));
        let _ = Proof::parse(&format!("{FORMAT}\nindex 1\n\n{text}")).map(|proof| proof.verify(&[0; 32], &verifier(), &[]));
    }
}
