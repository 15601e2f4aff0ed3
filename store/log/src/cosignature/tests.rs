use proptest::prelude::*;

use super::*;
use crate::note::Note;

fn log() -> (SigningKey, Verifier) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let verifier = Verifier::new("customs.example/desk-1", key.verifying_key());
    (key, verifier)
}

fn head() -> Checkpoint {
    Checkpoint { origin: "customs.example/desk-1".into(), size: 42, root: [9; 32] }
}

fn witness(seed: u8, name: &str) -> (SigningKey, WitnessKey) {
    let key = SigningKey::from_bytes(&[seed; 32]);
    let witness = WitnessKey::new(name, key.verifying_key());
    (key, witness)
}

/// The example of C2SP signed-note.
#[test]
fn a_note_of_the_specification_is_read() {
    let note = "This is an example message.\n\n\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";
    let vkey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let note = Note::parse(note).expect("a note");
    let (name, key) = note::parse_vkey(vkey, note::ED25519).expect("a key");
    assert_eq!((note.lines[0].name, note.lines[0].key_id), (name, note::key_id(name, note::ED25519, &key)));
    let signature = Signature::from_slice(&note.lines[0].signature).expect("64 bytes");
    key.verify_strict(note.text.as_bytes(), &signature).expect("holds");
}

#[test]
fn a_cosignature_is_a_time_and_a_signature_over_time_and_head() {
    let (key, verifier) = log();
    let (secret, known) = witness(1, "witness.example");
    let line = cosign(&head(), "witness.example", &secret, 1_679_315_147);
    let note = format!("{}{line}", head().sign(&key));
    let cosigned = Cosigned::open(&note, &verifier, std::slice::from_ref(&known)).expect("opens");
    assert_eq!(cosigned.checkpoint, head());
    assert_eq!(cosigned.cosignatures, [Cosignature { witness: known.clone(), time: 1_679_315_147 }]);
    assert_eq!(cosigned.text, note);
    // What the specification says is signed, built by hand.
    let parsed = Note::parse(&note).expect("a note");
    let (time, signature) = parsed.lines[1].signature.split_first_chunk::<8>().expect("a time");
    assert_eq!(u64::from_be_bytes(*time), 1_679_315_147);
    let message =
        "cosignature/v1\ntime 1679315147\ncustoms.example/desk-1\n42\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n";
    let signature = Signature::from_slice(signature).expect("64 bytes");
    known.key.verify_strict(message.as_bytes(), &signature).expect("holds");
}

#[test]
fn keys_of_logs_and_witnesses_are_told_apart() {
    let (secret, known) = witness(1, "witness.example");
    let text = known.to_string();
    assert_eq!(WitnessKey::parse(&text), Some(known.clone()));
    assert_eq!(Verifier::parse(&text), None);
    let log = Verifier::new("witness.example", secret.verifying_key());
    assert_eq!(WitnessKey::parse(&log.to_string()), None);
    assert_ne!(log.key_id(), known.key_id());
    for bad in [format!("{text}\n"), text.replace('w', "W"), text.replace("+", " "), String::new(), text[1..].into()] {
        assert_eq!(WitnessKey::parse(&bad), None, "{bad}");
    }
}

#[test]
fn strangers_are_left_out_and_forgeries_refused() {
    let (key, verifier) = log();
    let (secret, known) = witness(1, "witness.example");
    let (other, _) = witness(2, "other.example");
    let signed = head().sign(&key);
    let good = cosign(&head(), "witness.example", &secret, 5);
    let strange = cosign(&head(), "other.example", &other, 5);
    let open = |text: &str| Cosigned::open(text, &verifier, std::slice::from_ref(&known));
    // A stranger's line says nothing and is not kept.
    let opened = open(&format!("{signed}{strange}{good}")).expect("opens");
    assert_eq!((opened.cosignatures.len(), opened.text), (1, format!("{signed}{good}")));
    assert_eq!(open(&format!("{signed}{strange}")).expect("opens").cosignatures, []);
    // The known name with another key has another key id: a stranger too.
    let named = cosign(&head(), "witness.example", &other, 5);
    assert_eq!(open(&format!("{signed}{named}")).expect("opens").cosignatures, []);
    // Name and key id of the known witness, but not its signature.
    let line = |payload: Vec<u8>| note::line("witness.example", known.key_id(), &payload);
    let of = |head: &Checkpoint, time: u64| {
        let text = cosign(head, "witness.example", &secret, time);
        Note::parse(&format!("x\n\n{text}")).expect("a note").lines.remove(0).signature
    };
    let moved = [&6u64.to_be_bytes()[..], &of(&head(), 5)[8..]].concat();
    let larger = of(&Checkpoint { size: 43, ..head() }, 5);
    let elsewhere = of(&Checkpoint { origin: "customs.example/desk-2".into(), ..head() }, 5);
    for (what, payload) in [
        ("another time", moved),
        ("another head", larger),
        ("another log", elsewhere),
        ("too short", of(&head(), 5)[..71].to_vec()),
        ("too long", [of(&head(), 5), vec![0]].concat()),
        ("no time", of(&head(), 0)),
        ("a time over 2^63 - 1", of(&head(), TIME_MAX + 1)),
        ("nothing", Vec::new()),
    ] {
        assert!(open(&format!("{signed}{}", line(payload))).is_err(), "{what}");
    }
    // A log's own plain signature under the witness's name is none of a witness.
    let plain = Checkpoint { origin: "witness.example".into(), ..head() }.sign(&secret);
    let plain = plain.lines().last().expect("a line").to_owned() + "\n";
    assert_eq!(open(&format!("{signed}{plain}")).expect("opens").cosignatures, []);
    // Without the log's signature nothing is opened.
    assert!(open(&format!("{}\n{good}", head().body())).is_err());
}

#[test]
fn every_flipped_bit_of_a_cosigned_head_is_seen() {
    let (key, verifier) = log();
    let (secret, known) = witness(1, "w.example");
    let text = head().sign(&key) + &cosign(&head(), "w.example", &secret, 5);
    for bit in 0..text.len() * 8 {
        let mut bytes = text.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let opened = Cosigned::open(&text, &verifier, std::slice::from_ref(&known));
        // In the name or key id, the line becomes a stranger's; anywhere else the note is refused.
        assert!(opened.is_err() || opened.is_ok_and(|cosigned| cosigned.cosignatures.is_empty()), "bit {bit}");
    }
}

proptest! {
    /// Bytes after a good head: no panic, and no word of a witness that it did not say.
    #[test]
    fn no_bytes_speak_for_a_witness(tail in "\\PC{0,120}", payload in proptest::collection::vec(any::<u8>(), 0..100), own in any::<bool>()) {
        let (key, verifier) = log();
        let (_, known) = witness(1, "witness.example");
        let signed = head().sign(&key);
        let key_id = if own { known.key_id() } else { [1; 4] };
        let line = note::line("witness.example", key_id, &payload);
        for note in [format!("{signed}{tail}"), format!("{signed}{tail}\n"), format!("{signed}\u{2014} {tail}\n"), format!("{signed}{line}")] {
            let opened = Cosigned::open(&note, &verifier, std::slice::from_ref(&known));
            prop_assert!(opened.is_err() || opened.is_ok_and(|cosigned| cosigned.cosignatures.is_empty()));
        }
        let _ = Cosigned::open(&tail, &verifier, &[]);
        prop_assert_eq!(WitnessKey::parse(&tail), None);
        prop_assert_eq!(WitnessKey::parse(&format!("witness.example+{tail}")), None);
    }

    #[test]
    fn any_head_and_time_is_cosigned(size in any::<u64>(), root in any::<[u8; 32]>(), time in 1..=TIME_MAX) {
        let (key, verifier) = log();
        let (secret, known) = witness(3, "witness.example");
        let head = Checkpoint { size, root, ..head() };
        let note = head.sign(&key) + &cosign(&head, "witness.example", &secret, time);
        let opened = Cosigned::open(&note, &verifier, &[known]).expect("opens");
        prop_assert_eq!((&opened.checkpoint, opened.cosignatures[0].time, opened.text), (&head, time, note));
    }
}
