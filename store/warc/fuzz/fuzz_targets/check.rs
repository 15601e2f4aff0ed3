//! The reader and checker of WARC files, and the rule for payloads, on any bytes.
//!
//! ```text
//! cd store/warc && CARGO_TARGET_DIR=../../target/fuzz RUSTC_BOOTSTRAP=1 cargo fuzz run check
//! ```
#![no_main]

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use libfuzzer_sys::fuzz_target;
use vigie_warc::{Payload, WarcReader, check};

/// Between the members of a file that is packed here.
const CUT: &[u8] = b"\xff\xfe";

fuzz_target!(|data: &[u8]| {
    let Some((&how, bytes)) = data.split_first() else { return };
    match how % 4 {
        // A file as it comes: mostly what is wrong with gzip.
        0 => file(bytes),
        // Texts of members with right checksums, which a fuzzer would not find by itself.
        1 | 2 => file(&packed(bytes)),
        _ => payload(how, bytes),
    }
});

fn packed(mut bytes: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    loop {
        let cut = bytes.windows(CUT.len()).position(|window| window == CUT);
        let text = &bytes[..cut.unwrap_or(bytes.len())];
        let mut member = GzEncoder::new(&mut file, Compression::none());
        member.write_all(text).expect("written");
        member.finish().expect("written");
        match cut {
            Some(at) => bytes = &bytes[at + CUT.len()..],
            None => return file,
        }
    }
}

/// The checker and the reader agree on what is a record, and what is visited in part is skipped.
fn file(bytes: &[u8]) {
    let checked = check(bytes);
    let (mut reader, mut records) = (WarcReader::new(bytes), 0);
    let read = loop {
        let next = reader.next(|head, block| {
            assert!(head.fields.iter().all(|(name, value)| !name.is_empty() && !value.contains(['\r', '\n'])));
            let mut start = [0; 3];
            let read = block.read(&mut start)?;
            assert_eq!(read == 0, head.length == 0);
            Ok(())
        });
        match next {
            Ok(Some(())) => records += 1,
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    match (&checked, &read) {
        (Ok(checked), Ok(())) => assert_eq!(checked.len(), records),
        (Err(_), Err(_)) => assert!(reader.next(|_, _| Ok(())).is_ok_and(|next| next.is_none())),
        _ => panic!("{checked:?} and {read:?}"),
    }
}

/// A payload does not depend on the pieces in which its block comes.
fn payload(how: u8, bytes: &[u8]) {
    let found = |piece: usize| {
        let (mut payload, mut found) = (Payload::default(), Vec::new());
        bytes.chunks(piece).for_each(|part| payload.feed(part, &mut |bytes| found.extend_from_slice(bytes)));
        found
    };
    let whole = found(usize::MAX);
    assert!(whole.len() <= bytes.len());
    assert_eq!(found(usize::from(how >> 2) + 1), whole);
}
