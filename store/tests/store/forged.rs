//! Someone who can write the disk, and holds no key.

use vigie_store::{Commitment, Draft, Kind, StoreError};

use crate::kit::{Kit, copy_tree, draft};

/// Changes the catalogue's database behind the store's back.
fn in_catalogue(kit: &Kit, change: impl FnOnce(&sled::Db)) {
    // The threads of the store that was just closed may hold sled's lock a moment longer.
    let db = loop {
        match sled::open(kit.dir().join("catalogue")) {
            Err(sled::Error::Io(error)) if error.to_string().contains("could not acquire lock") => {
                std::thread::yield_now();
            }
            other => break other.expect("opens"),
        }
    };
    change(&db);
    db.flush().expect("flushes");
}

/// The lists of kinds are not sealed, the counts are: a revocation cannot be taken out, nor another
/// entry be passed off as one.
#[test]
fn a_revocation_cannot_be_hidden() {
    for forgery in 0..2 {
        let kit = Kit::new();
        let store = kit.open();
        store.append(draft(Kind::Heartbeat)).expect("appends");
        let list =
            store.append(Draft { row: b"{\"list\":1}".to_vec(), ..draft(Kind::MandateRevoked) }).expect("appends");
        assert_eq!(store.rows(Kind::MandateRevoked).expect("rows").len(), 1);
        drop(store);
        in_catalogue(&kit, |db| {
            let prefix: Vec<_> = db
                .scan_prefix(b"k")
                .keys()
                .map(|key| key.expect("reads").to_vec())
                .filter(|key| key.ends_with(&list.sequence.to_be_bytes()))
                .collect();
            assert_eq!(prefix.len(), 1, "the list of kinds is where this test looks for it");
            db.remove(&prefix[0]).expect("removes");
            if forgery == 1 {
                let heartbeat = [&prefix[0][..2], &(list.sequence - 1).to_be_bytes()].concat();
                db.insert(heartbeat, Vec::new()).expect("inserts");
            }
        });
        let store = kit.open();
        assert!(matches!(store.rows(Kind::MandateRevoked), Err(StoreError::Catalogue { .. })), "forgery {forgery}");
        drop(store);
        // The next opening reads the segments again.
        let store = kit.open();
        assert_eq!(store.rows(Kind::MandateRevoked).expect("rows")[0].1, b"{\"list\":1}");
        drop(store);
        kit.sound();
    }
}

/// A wrong node of the log in a catalogue that is behind is the catalogue's fault, not the evidence's.
#[test]
fn a_wrong_node_does_not_accuse_the_evidence() {
    let kit = Kit::new();
    let store = kit.open();
    for _ in 0..5 {
        store.append(draft(Kind::Heartbeat)).expect("appends");
    }
    drop(store);
    in_catalogue(&kit, |db| {
        for key in db.scan_prefix(b"n").keys().map(|key| key.expect("reads")).collect::<Vec<_>>() {
            db.insert(key, vec![7; 32]).expect("inserts");
        }
    });
    let old = kit.folder.path().join("old");
    copy_tree(&kit.dir().join("catalogue"), &old);
    // Behind: more is signed than the catalogue with the wrong nodes knows.
    let store = kit.open();
    store.append(draft(Kind::Heartbeat)).expect("appends");
    drop(store);
    std::fs::remove_dir_all(kit.dir().join("catalogue")).expect("removes");
    copy_tree(&old, &kit.dir().join("catalogue"));
    let store = kit.open();
    assert_eq!(store.rows(Kind::Rebuild).expect("rows").len(), 2, "once for each wrong catalogue");
    assert_eq!(store.rows(Kind::Heartbeat).expect("rows").len(), 6);
    drop(store);
    kit.sound();
}

/// Segments of headers alone behind the last one: set aside, however many, and the store goes on.
#[test]
fn empty_segments_are_set_aside() {
    let kit = Kit::new();
    let store = kit.open();
    store.append(draft(Kind::Heartbeat)).expect("appends");
    drop(store);
    let first = std::fs::read(kit.dir().join("segments/00000000.seg")).expect("reads");
    let next = vigie_store::Reader::open(&kit.dir()).expect("opens").size();
    for index in 1u64..=40 {
        let mut header = first[..40].to_vec();
        header[24..32].copy_from_slice(&index.to_be_bytes());
        header[32..40].copy_from_slice(&next.to_be_bytes());
        let crc = crc32c::crc32c(&header);
        header.extend_from_slice(&crc.to_be_bytes());
        std::fs::write(kit.dir().join(format!("segments/{index:08}.seg")), header).expect("writes");
    }
    for round in 0..3 {
        let store = kit.open();
        store.append(draft(Kind::Heartbeat)).unwrap_or_else(|e| panic!("round {round}: {e}"));
        drop(store);
        kit.sound();
    }
    assert_eq!(std::fs::read_dir(kit.dir().join("torn")).expect("lists").count(), 40, "kept, not deleted");
}

/// An act of a person that no agent signed, and one signed for another session.
#[test]
fn an_unsigned_act_fails_verification() {
    let kit = Kit::new();
    let store = kit.open();
    let act = store.append(draft(Kind::SessionOpen)).expect("appends").sequence;
    drop(store);
    for key in [false, true] {
        let problems = kit.verify_with(key, false).problems;
        assert!(
            problems.iter().any(|p| p.entry == Some(act) && p.what.contains("without its agent-signature")),
            "{problems:?}"
        );
    }

    let kit = Kit::new();
    let store = kit.open();
    let agent = ssh_key::PrivateKey::from(ssh_key::private::Ed25519Keypair::from_seed(&[4; 32]));
    for (session, sound) in [([0xCD; 16], true), ([0xCE; 16], false)] {
        let statement = format!("vigie session-open\nsession {}\n", data_encoding::HEXLOWER.encode(&session));
        let signature = agent
            .sign("vigie-act", ssh_key::HashAlg::Sha512, statement.as_bytes())
            .and_then(|signature| signature.to_pem(ssh_key::LineEnding::LF))
            .expect("signs");
        let row = format!("{{\"act\":{{\"statement\":{statement:?},\"signature\":{signature:?}}}}}");
        let commitments = vec![
            Commitment { name: "agent-statement", value: statement.into_bytes() },
            Commitment { name: "agent-signature", value: signature.into_bytes() },
        ];
        let entry = store
            .append(Draft { commitments, row: row.into_bytes(), ..draft(Kind::SessionOpen) })
            .expect("appends")
            .sequence;
        let problems = kit.verify_with(true, false).problems;
        let of_this: Vec<_> = problems.iter().filter(|problem| problem.entry == Some(entry)).collect();
        assert_eq!(of_this.is_empty(), sound, "{of_this:?}");
    }
}
