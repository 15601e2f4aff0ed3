//! Evidence that was erased: its holes verify when, and only when, a later entry says so.

use std::os::unix::fs::{FileExt, MetadataExt};

use vigie_store::{Commitment, Draft, Erased, Kind, Reader, Store, StoreError};

use crate::kit::{Kit, draft};

pub const MANDATE: [u8; 32] = [0xAB; 32];

/// An erasure that an agent signed, of a form and under a mandate.
pub fn erasure(mandate: [u8; 32], form: &str) -> Draft {
    let agent = ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[4; 32]));
    let statement = "vigie erasure\n".to_owned();
    let signature = agent
        .sign("vigie-act", ssh_key::HashAlg::Sha512, statement.as_bytes())
        .and_then(|signature| signature.to_pem(ssh_key::LineEnding::LF))
        .expect("signs");
    let act = format!("{{\"statement\":{statement:?},\"signature\":{signature:?}}}");
    Draft {
        mandate: Some(mandate),
        session: None,
        row: format!("{{\"form\":{form:?},\"act\":{act}}}").into_bytes(),
        commitments: vec![
            Commitment { name: "agent-statement", value: statement.into_bytes() },
            Commitment { name: "agent-signature", value: signature.into_bytes() },
        ],
        ..draft(Kind::Erasure)
    }
}

/// Three exhibits under one mandate, one under another.
fn filled(kit: &Kit) -> Store {
    let store = kit.open();
    for number in 0..3 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    let other = kit.exhibit(&store, 3);
    store.append(Draft { mandate: Some([0xEE; 32]), ..other }).expect("appends");
    store
}

fn segment(kit: &Kit) -> std::path::PathBuf {
    kit.dir().join("segments/00000000.seg")
}

#[test]
fn an_erasure_leaves_entries_and_takes_bytes() {
    let kit = Kit::new();
    let store = filled(&kit);
    let before = Reader::open(&kit.dir()).expect("opens");
    let order = store.append(erasure(MANDATE, "erased")).expect("appends").sequence;
    let mut told = Vec::new();
    let erased = store.erase(order, |done, total| told.push((done, total))).expect("erases");
    assert_eq!((erased.frames, erased.exhibits), (3, 3));
    assert!(erased.bytes > 3000 && told.last() == Some(&(order, order)), "{erased:?} {told:?}");
    // Done again, the same; the file is as long as before.
    assert_eq!(store.erase(order, |_, _| {}).expect("erases"), erased);

    let reader = Reader::open(&kit.dir()).expect("opens");
    for number in 1..=3 {
        assert!(matches!(reader.exhibit(number).err(), Some(StoreError::Erased { number: n }) if n == number));
    }
    reader.exhibit(4).expect("another mandate's is there");
    for entry in 0..order {
        let (old, new) = (before.entry(entry).expect("is there"), reader.entry(entry).expect("is there"));
        assert_eq!(old.leaf_hash(), new.leaf_hash());
    }
    for (key, identity) in [(false, false), (true, false), (true, true)] {
        let report = kit.verify_with(key, identity);
        assert!(report.problems.is_empty(), "{:?}", report.problems);
        assert_eq!((report.exhibits, report.erased, report.opened), (4, 3, u64::from(identity)));
        assert!(report.notes.iter().any(|note| note.contains("3 exhibits were erased")), "{:?}", report.notes);
    }
    // Nothing of the ciphertext is left in the file; what is recorded later is untouched.
    store.append(kit.exhibit(&store, 7)).expect("appends");
    drop(store);
    let bytes = std::fs::read(segment(&kit)).expect("reads");
    let age = b"age-encryption.org/v1";
    assert_eq!(bytes.windows(age.len()).filter(|window| window == age).count(), 4, "exhibit and private part of two");
    assert!(kit.verify().problems.is_empty());
    // The catalogue can be made anew from what is left.
    Store::mark_for_rebuild(&kit.dir()).expect("marks");
    drop(kit.open());
    assert!(kit.verify().problems.is_empty());
    let facts = std::fs::metadata(segment(&kit)).expect("is there");
    assert!(facts.blocks() * 512 <= facts.len() + 8192);
}

#[test]
fn only_an_erasure_erases() {
    let kit = Kit::new();
    let store = filled(&kit);
    for sequence in [0, 1] {
        assert!(matches!(store.erase(sequence, |_, _| {}), Err(StoreError::Invalid { .. })));
    }
    assert!(matches!(store.erase(99, |_, _| {}), Err(StoreError::NoSuchEntry { .. })));
    let nothing = store.append(erasure([0x77; 32], "erased")).expect("appends").sequence;
    assert_eq!(store.erase(nothing, |_, _| {}).expect("nothing bears that mandate"), Erased::default());
    kit.sound();
}

/// Zeros over the exhibit of an entry, as somebody with the disk may write them; `part` of it.
fn zero(kit: &Kit, exhibit: u64, part: f64) {
    let reader = Reader::open(&kit.dir()).expect("opens");
    let (entry, mut age) = reader.exhibit(exhibit).expect("is there");
    let mut sealed = Vec::new();
    std::io::Read::read_to_end(&mut age, &mut sealed).expect("reads");
    let private = reader.private_part(entry.sequence).expect("reads").expect("is there");
    let path = segment(kit);
    let bytes = std::fs::read(&path).expect("reads");
    let at = bytes.windows(sealed.len()).position(|window| window == sealed).expect("is there");
    let len = ((sealed.len() + private.len()) as f64 * part) as usize;
    std::fs::File::options()
        .write(true)
        .open(path)
        .expect("opens")
        .write_all_at(&vec![0; len], at as u64)
        .expect("writes");
}

#[test]
fn holes_that_nothing_orders_are_damage() {
    // (what is logged before, what of exhibit 2 is zeroed, what is logged after, whether W finds more)
    let cases = [
        (None, 1.0, None, false, false),
        (None, 1.0, Some(erasure(MANDATE, "erased")), true, true),
        (None, 1.0, Some(erasure([0xEE; 32], "erased")), false, false),
        (None, 0.5, Some(erasure(MANDATE, "erased")), false, false),
        (Some(erasure(MANDATE, "erased")), 1.0, None, false, false),
        // A certificate is no order: only whoever has W can tell them apart.
        (None, 1.0, Some(erasure(MANDATE, "certificate")), true, false),
    ];
    for (number, (before, part, after, sound, sound_with_key)) in cases.into_iter().enumerate() {
        let kit = Kit::new();
        let store = kit.open();
        store.append(kit.exhibit(&store, 1)).expect("appends");
        if let Some(before) = before {
            store.append(before).expect("appends");
        }
        store.append(kit.exhibit(&store, 2)).expect("appends");
        if let Some(after) = after {
            store.append(after).expect("appends");
        }
        drop(store);
        zero(&kit, 2, part);
        for (key, sound) in [(false, sound), (true, sound_with_key)] {
            let problems = kit.verify_with(key, key).problems;
            assert_eq!(problems.is_empty(), sound, "{number}, {key}: {problems:?}");
        }
    }
}
