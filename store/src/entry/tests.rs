use proptest::prelude::*;

use super::*;

pub(crate) fn sample() -> Entry {
    Entry {
        sequence: 12,
        kind: Kind::Exhibit,
        stamp: Stamp {
            wall: "2026-11-24T02:14:00.000000007Z".parse().expect("a time"),
            monotonic_ns: 99,
            boot_id: "5f0c-unknown".into(),
            clock: ClockStatus::Synchronised,
        },
        mandate: Some([1; 32]),
        session: Some([2; 16]),
        exhibit: Some(3),
        age: Some(Blob { sha256: [4; 32], len: 81_000 }),
        private: Some(Blob { sha256: [5; 32], len: 700 }),
        previous: [6; 32],
        digests: vec![("log-vkey".into(), [7; 32]), ("store".into(), [7; 32])],
        commitments: vec![("plaintext".into(), [8; 32]), ("url".into(), [9; 32])],
    }
}

#[test]
fn an_entry_reads_as_the_format_says() {
    let text = String::from_utf8(sample().encode()).expect("ASCII");
    let hex = |byte: &str, count: usize| byte.repeat(count);
    let expected = format!(
        "vigie.entry/1\nseq 12\nkind exhibit\ntime 2026-11-24T02:14:00.000000007Z\nmono 99\nboot 5f0c-unknown\n\
         clock synchronised\nmandate {}\nsession {}\nexhibit 3\nage {} 81000\nprivate {} 700\nprev {}\n\
         digest log-vkey {}\ndigest store {}\ncommit plaintext {}\ncommit url {}\n",
        hex("01", 32),
        hex("02", 16),
        hex("04", 32),
        hex("05", 32),
        hex("06", 32),
        hex("07", 32),
        hex("07", 32),
        hex("08", 32),
        hex("09", 32),
    );
    assert_eq!(text, expected);
    assert_eq!(Entry::parse(expected.as_bytes()), Ok(sample()));
}

#[test]
fn every_other_spelling_is_refused() {
    let text = String::from_utf8(sample().encode()).expect("ASCII");
    let bad = [
        text.replace("seq 12", "seq 012"),
        text.replace("seq 12", "seq +12"),
        text.replace("seq 12", "seq  12"),
        text.replace("seq 12", "seq 12 "),
        text.replace("seq 12\nkind exhibit", "kind exhibit\nseq 12"),
        text.replace("kind exhibit", "kind Exhibit"),
        text.replace("kind exhibit", "kind refusal"),
        text.replace("exhibit 3\n", ""),
        text.replace("exhibit 3\n", "exhibit 0\n"),
        text.replace("000000007Z", "7Z"),
        text.replace("000000007Z", "000000007+00:00"),
        text.replace("T02", "t02"),
        text.replace("0808", "080A"),
        text.replace("boot 5f0c-unknown", "boot "),
        text.replace("boot 5f0c-unknown", "boot a b"),
        text.replace("commit plaintext", "commit url"),
        text.replace("commit plaintext", "commit Plaintext"),
        text.replace('\n', "\r\n"),
        text.trim_end().to_owned(),
        format!("{text}\n"),
        format!("{text}more 1\n"),
        format!(" {text}"),
    ];
    for (place, bad) in bad.iter().enumerate() {
        assert!(Entry::parse(bad.as_bytes()).is_err(), "{place}: {bad}");
    }
    assert!(Entry::parse(&vec![b'a'; ENTRY_BYTES + 1]).is_err());
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = proptest::sample::select(Kind::all().collect::<Vec<_>>());
    let clock =
        proptest::sample::select(vec![ClockStatus::Synchronised, ClockStatus::Unsynchronised, ClockStatus::Unknown]);
    let blob = (any::<[u8; 32]>(), any::<u64>()).prop_map(|(sha256, len)| Blob { sha256, len });
    let names = || proptest::collection::btree_map("[a-z0-9-]{1,32}", any::<[u8; 32]>(), 0..5);
    let head = (
        any::<u64>(),
        kind,
        -62_167_219_200i64..253_402_300_799,
        0i32..1_000_000_000,
        any::<u64>(),
        "[0-9A-Za-z-]{1,64}",
        clock,
    );
    let rest = (
        any::<Option<[u8; 32]>>(),
        any::<Option<[u8; 16]>>(),
        1u64..,
        blob.clone(),
        proptest::option::of(blob),
        any::<[u8; 32]>(),
        names(),
        names(),
    );
    (head, rest).prop_map(
        |(
            (sequence, kind, second, nano, monotonic_ns, boot_id, clock),
            (mandate, session, number, age, private, previous, digests, commitments),
        )| {
            let exhibit = kind == Kind::Exhibit;
            Entry {
                sequence,
                kind,
                stamp: Stamp { wall: Timestamp::new(second, nano).unwrap_or_default(), monotonic_ns, boot_id, clock },
                mandate,
                session,
                exhibit: exhibit.then_some(number),
                age: exhibit.then_some(age),
                private,
                previous,
                digests: digests.into_iter().collect(),
                commitments: commitments.into_iter().collect(),
            }
        },
    )
}

proptest! {
    #[test]
    fn entries_come_back(entry in entry()) {
        prop_assert_eq!(Entry::parse(&entry.encode()), Ok(entry));
    }

    #[test]
    fn what_is_read_is_written_the_same(entry in entry(), at in any::<proptest::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = entry.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = Entry::parse(&bytes) {
            prop_assert_eq!(read.encode(), bytes);
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Entry::parse(&bytes);
        let _ = Entry::parse(&[&b"vigie.entry/1\n"[..], &bytes].concat());
    }
}
