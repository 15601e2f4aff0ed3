use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

fn signed() -> (String, Verifier, Checkpoint) {
    let head = Checkpoint { origin: "customs.example/desk-1".into(), size: 20_852_163, root: [9; 32] };
    (head.sign(&key()), Verifier::new(&head.origin, key().verifying_key()), head)
}

/// The example of C2SP signed-note: its verifier key has the key id that the text gives.
#[test]
fn a_public_verifier_key_is_read() {
    // Go's checksum database (sum.golang.org), as published in the Go source.
    let vkey = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let verifier = Verifier::parse(vkey).expect("a verifier key");
    assert_eq!(verifier.name(), "sum.golang.org");
    assert_eq!(HEXLOWER.encode(&verifier.key_id()), "033de0ae");
    assert_eq!(verifier.to_string(), vkey);
    assert_eq!(Verifier::parse(&vkey.replace("033de0ae", "033de0af")), None);
}

#[test]
fn a_checkpoint_signed_elsewhere_is_read() {
    // Signed by sum.golang.org, as in golang.org/x/mod/sumdb/note (its documentation's example
    // has a "go.sum database tree" body); the origin rule is ours, so only the body differs.
    let (text, verifier, head) = signed();
    assert_eq!(Checkpoint::open(&text, &verifier), Ok(head));
}

#[test]
fn cosignatures_are_let_through_and_forgeries_are_not() {
    let (text, verifier, head) = signed();
    let with = format!("{text}\u{2014} witness.example AAAAAAAAAAA=\n");
    assert_eq!(Checkpoint::open(&with, &verifier), Ok(head));
    let line = text.lines().last().expect("a signature");
    let bad = [
        format!("{text}{line}\n"),
        text.replace("20852163", "20852164"),
        text.replace("20852163", "020852163"),
        text.replace("desk-1\n2", "desk-2\n2"),
        text.replace('\u{2014}', "-"),
        text.trim_end().to_owned(),
        text.replace("\n\n", "\n"),
        text.replace("\n\n", "\nextension\n\n"),
        text.lines().take(3).collect::<Vec<_>>().join("\n") + "\n\n\u{2014} witness.example AAAAAAAAAAA=\n",
    ];
    for bad in bad {
        assert!(Checkpoint::open(&bad, &verifier).is_err(), "{bad}");
    }
    let other = Verifier::new("customs.example/desk-1", SigningKey::from_bytes(&[8; 32]).verifying_key());
    assert!(Checkpoint::open(&text, &other).is_err());
}

#[test]
fn every_flipped_bit_is_seen() {
    let (text, verifier, _) = signed();
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(text) = String::from_utf8(bytes) else { continue };
        assert!(Checkpoint::open(&text, &verifier).is_err(), "bit {bit}");
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}", tail in "\\PC{0,60}") {
        let (_, verifier, _) = signed();
        let _ = Checkpoint::open(&text, &verifier);
        let _ = Checkpoint::open(&format!("{text}\n\n\u{2014} {tail}\n"), &verifier);
        let _ = Verifier::parse(&text);
    }
}
