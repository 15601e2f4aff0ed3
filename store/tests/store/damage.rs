//! Damage of every kind is seen; and what is not damage is not called so.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use vigie_store::{Kind, Reader, Settings, StoreError, frame};

use crate::kit::{Heard, Kit, copy_tree, draft};

/// A store of eight exhibits in several segments, closed.
fn stocked() -> Kit {
    let kit = Kit::new();
    let store = kit.open_with(Settings { segment_bytes: 9000, ..Settings::default() }).expect("opens");
    for number in 1..=8 {
        store.append(kit.exhibit(&store, number)).expect("appends");
    }
    store.append(draft(Kind::SessionClose)).expect("appends");
    drop(store);
    kit.sound();
    kit
}

fn segment(kit: &Kit, index: u64) -> PathBuf {
    kit.dir().join(format!("segments/{index:08}.seg"))
}

fn segments(kit: &Kit) -> u64 {
    std::fs::read_dir(kit.dir().join("segments")).expect("lists").count() as u64
}

fn flip(path: &Path, bit: u64) {
    let file = std::fs::File::options().read(true).write(true).open(path).expect("opens");
    let mut byte = [0];
    file.read_exact_at(&mut byte, bit / 8).expect("reads");
    byte[0] ^= 1 << (bit % 8);
    file.write_all_at(&byte, bit / 8).expect("writes");
}

/// Frames of a segment: (offset, length).
fn frames(path: &Path) -> Vec<(usize, usize)> {
    let bytes = std::fs::read(path).expect("reads");
    let mut found = Vec::new();
    let mut at = 44;
    while at < bytes.len() {
        let header =
            frame::Header::parse(bytes[at..at + frame::HEADER_BYTES].try_into().expect("a header")).expect("a header");
        found.push((at, header.frame_len() as usize));
        at += header.frame_len() as usize;
    }
    found
}

#[test]
fn flipped_bits_in_segments_are_all_seen_without_any_key() {
    let kit = stocked();
    assert!(segments(&kit) >= 3);
    let mut flips = 0;
    for index in 0..segments(&kit) {
        let path = segment(&kit, index);
        let bits = std::fs::metadata(&path).expect("is there").len() * 8;
        // An odd stride, so that every bit of a byte has its turn.
        for bit in (0..bits).step_by(173) {
            flip(&path, bit);
            let report = kit.verify_with(false, false);
            assert!(!report.problems.is_empty(), "segment {index}, bit {bit}");
            assert!(
                report.entries >= 6,
                "one fault does not hide the rest: {} (segment {index}, bit {bit})",
                report.entries
            );
            flip(&path, bit);
            flips += 1;
        }
    }
    println!("{flips} flipped bits, each seen");
    assert!(flips > 500);
    kit.sound();
}

#[test]
fn flipped_bits_in_the_files_beside_are_seen() {
    let kit = stocked();
    for name in ["checkpoint", "log.vkey", "allowed_signers", "store.txt"] {
        let path = kit.dir().join(name);
        for bit in 0..std::fs::metadata(&path).expect("is there").len() * 8 {
            flip(&path, bit);
            let options = vigie_store::VerifyOptions::default();
            let seen = match vigie_store::verify(&kit.dir(), options, &crate::kit::Quiet) {
                Ok(report) => !report.problems.is_empty(),
                Err(error) => error.is_damage() || matches!(error, StoreError::NotAStore { .. }),
            };
            assert!(seen, "{name}, bit {bit}");
            if bit % 97 == 0 {
                assert!(kit.try_open().is_err(), "{name}, bit {bit}: the store opened");
            }
            flip(&path, bit);
        }
    }
    for name in ["log.key", "key.age"] {
        let path = kit.dir().join(name);
        flip(&path, 8 * 60);
        let seen = if name == "log.key" {
            kit.try_open().is_err()
        } else {
            vigie_store::unlock_key(&kit.dir(), &crate::kit::passphrase()).is_err()
        };
        assert!(seen, "{name}");
        flip(&path, 8 * 60);
    }
    kit.sound();
}

#[test]
fn cut_segments_raise_the_alarm() {
    let kit = stocked();
    let last = segments(&kit) - 1;
    for index in [0, 1, last] {
        let path = segment(&kit, index);
        let whole = std::fs::read(&path).expect("reads");
        for len in [whole.len() - 1, whole.len() - 130, whole.len() / 2, 44, 43, 0] {
            std::fs::write(&path, &whole[..len]).expect("cuts");
            assert!(!kit.verify_with(false, false).problems.is_empty(), "segment {index} cut to {len}");
            let opened = kit.try_open().map(drop);
            assert!(opened.as_ref().is_err_and(StoreError::is_damage), "segment {index} cut to {len}: {opened:?}");
        }
        std::fs::remove_file(&path).expect("removes");
        assert!(!kit.verify_with(false, false).problems.is_empty(), "segment {index} removed");
        assert!(matches!(kit.try_open().map(drop), Err(StoreError::Missing { .. })), "segment {index} removed");
        std::fs::write(&path, &whole).expect("restores");
    }
    kit.sound();
    kit.open();
}

#[test]
fn removed_swapped_and_repeated_frames_are_seen() {
    let kit = stocked();
    let path = segment(&kit, 1);
    let whole = std::fs::read(&path).expect("reads");
    let frames = frames(&path);
    assert!(frames.len() >= 3);
    let take = |place: usize| whole[frames[place].0..frames[place].0 + frames[place].1].to_vec();
    let head = whole[..44].to_vec();
    let of = |places: &[usize]| [head.clone(), places.iter().flat_map(|place| take(*place)).collect()].concat();
    let all: Vec<usize> = (0..frames.len()).collect();
    let mut swapped = all.clone();
    swapped.swap(0, 1);
    let mut repeated = all.clone();
    repeated.insert(1, 0);
    for order in [&all[1..], &all[..all.len() - 1], &swapped, &repeated] {
        std::fs::write(&path, of(order)).expect("writes");
        assert!(!kit.verify_with(false, false).problems.is_empty(), "{order:?}");
    }
    // The anti-test of this test: the same bytes in their order are no damage.
    std::fs::write(&path, of(&all)).expect("writes");
    assert_eq!(kit.verify_with(false, false).problems, []);
}

#[test]
fn a_frame_of_another_store_is_not_taken_for_ones_own() {
    let (kit, other) = (stocked(), stocked());
    std::fs::copy(segment(&other, 1), segment(&kit, 1)).expect("copies");
    assert!(!kit.verify_with(false, false).problems.is_empty());
}

#[test]
fn a_rewritten_frame_with_right_checksums_is_seen() {
    // Someone who can write the disk changes an exhibit and makes header, footer and CRCs fit.
    let kit = stocked();
    let path = segment(&kit, 1);
    let mut bytes = std::fs::read(&path).expect("reads");
    let (at, _) = frames(&path)[0];
    let header_bytes: [u8; frame::HEADER_BYTES] = bytes[at..at + frame::HEADER_BYTES].try_into().expect("a header");
    let header = frame::Header::parse(&header_bytes).expect("a header");
    let range = |from: u64, to: u64| at + from as usize..at + to as usize;
    let entry = bytes[range(frame::HEADER_BYTES as u64, header.exhibit_at())].to_vec();
    bytes[at + header.exhibit_at() as usize + 300] ^= 1;
    let footer = frame::Footer {
        exhibit: frame::Sum::of(&bytes[range(header.exhibit_at(), header.private_at())]),
        private: frame::Sum::of(&bytes[range(header.private_at(), header.local_at())]),
        local: frame::Sum::of(&bytes[range(header.local_at(), header.footer_at())]),
    };
    let footer_at = range(header.footer_at(), header.frame_len());
    bytes[footer_at].copy_from_slice(&footer.encode(&header_bytes, &entry));
    std::fs::write(&path, &bytes).expect("writes");
    assert!(!kit.verify_with(false, false).problems.is_empty(), "the entry still names the old digest");
}

#[test]
fn a_forged_tail_is_never_signed() {
    let kit = stocked();
    let other = Kit::new();
    // A whole and consistent frame for the next place, made with another workstation key.
    let store = kit.open();
    drop(store);
    copy_tree(&kit.dir(), &other.folder.path().join("copy"));
    let path = segment(&kit, segments(&kit) - 1);
    let (at, len) = *frames(&path).last().expect("a frame");
    let whole = std::fs::read(&path).expect("reads");
    let mut forged = whole[at..at + len].to_vec();
    let header_bytes: [u8; frame::HEADER_BYTES] = forged[..frame::HEADER_BYTES].try_into().expect("a header");
    let mut header = frame::Header::parse(&header_bytes).expect("a header");
    let entry = forged[frame::HEADER_BYTES..header.exhibit_at() as usize].to_vec();
    let footer: [u8; frame::FOOTER_BYTES] = forged[header.footer_at() as usize..].try_into().expect("a footer");
    let mut next = vigie_store::Entry::parse(&entry).expect("an entry");
    next.sequence += 1;
    next.previous = frame::digest(&header_bytes, &entry, &footer);
    let body = forged.split_off(header.exhibit_at() as usize);
    let body = &body[..body.len() - frame::FOOTER_BYTES];
    let entry = next.encode();
    header.sequence = next.sequence;
    header.entry_len = entry.len() as u32;
    let split = (header.exhibit_len + u64::from(header.private_len)) as usize;
    let sums = frame::Footer {
        exhibit: frame::Sum::of(&[]),
        private: frame::Sum::of(&[]),
        local: frame::Sum::of(&body[split..]),
    };
    let mut tail = [&header.encode()[..], &entry, body].concat();
    tail.extend_from_slice(&sums.encode(&header.encode(), &entry));
    std::fs::write(&path, [&whole[..], &tail].concat()).expect("writes");

    let signed = Reader::open(&kit.dir()).expect("opens").size();
    let heard = Heard::default();
    let store = vigie_store::Store::open(&kit.dir(), kit.key.clone(), kit.clock.clone(), &heard).expect("opens");
    assert_eq!(store.rows(Kind::SessionClose).expect("rows").len(), 1, "the forged one is not among them");
    assert_eq!(store.rows(Kind::Recovery).expect("rows").len(), 1);
    drop(store);
    let text = heard.0.lock().expect("heard").join("\n");
    assert!(text.contains(&format!("0 unsigned entries adopted, {} torn bytes", tail.len())), "{text}");
    let aside: Vec<_> = std::fs::read_dir(kit.dir().join("torn")).expect("lists").collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read(aside[0].as_ref().expect("a file").path()).expect("reads"), tail, "kept, not deleted");
    assert_eq!(kit.sound().entries, signed + 1);
}

#[test]
fn torn_tails_are_set_aside_and_whole_ones_adopted() {
    let kit = stocked();
    let before = kit.folder.path().join("before");
    copy_tree(&kit.dir(), &before);
    let store = kit.open();
    store.append(kit.exhibit(&store, 9)).expect("appends");
    drop(store);
    let path = segment(&kit, segments(&kit) - 1);
    let grown = std::fs::read(&path).expect("reads");
    let old = std::fs::metadata(before.join("segments").join(path.file_name().expect("a name")))
        .map_or(0, |file| file.len() as usize);
    let (at, len) = *frames(&path).last().expect("a frame");
    assert!(at >= old);
    let mut adopted = 0;
    // Head and catalogue as they were, the segment with ever more of the new frame.
    for end in (at..at + len).step_by(97).chain([at + len - 1, at + len]) {
        let dir = kit.dir();
        std::fs::remove_dir_all(&dir).expect("removes");
        copy_tree(&before, &dir);
        std::fs::write(&path, &grown[..end]).expect("writes");
        let store = kit.open();
        let exhibits = store.rows(Kind::Exhibit).expect("rows").len();
        assert_eq!(exhibits, if end == at + len { 9 } else { 8 }, "cut at {end}");
        adopted += usize::from(exhibits == 9);
        let said = store.rows(Kind::Recovery).expect("rows").len();
        assert_eq!(said, usize::from(end != old.max(44)), "cut at {end}");
        store.append(kit.exhibit(&store, 10)).expect("appends");
        drop(store);
        kit.sound();
    }
    assert_eq!(adopted, 1);
}

#[test]
fn an_older_head_is_refused() {
    let kit = stocked();
    let head = std::fs::read(kit.dir().join("checkpoint")).expect("reads");
    let store = kit.open();
    store.append(draft(Kind::Heartbeat)).expect("appends");
    drop(store);
    std::fs::write(kit.dir().join("checkpoint"), head).expect("puts back");
    assert!(matches!(kit.try_open().map(drop), Err(StoreError::RolledBack { .. })));
}

#[test]
fn an_older_catalogue_catches_up() {
    let kit = stocked();
    let old = kit.folder.path().join("old");
    copy_tree(&kit.dir().join("catalogue"), &old);
    let store = kit.open();
    store.append(kit.exhibit(&store, 9)).expect("appends");
    let rows = store.rows(Kind::Exhibit).expect("rows");
    drop(store);
    std::fs::remove_dir_all(kit.dir().join("catalogue")).expect("removes");
    copy_tree(&old, &kit.dir().join("catalogue"));
    let store = kit.open();
    assert_eq!(store.rows(Kind::Exhibit).expect("rows"), rows);
    drop(store);
    kit.sound();
}

#[test]
fn damage_to_the_catalogue_never_costs_an_exhibit() {
    let kit = stocked();
    let rows = {
        let store = kit.open();
        store.rows(Kind::Exhibit).expect("rows")
    };
    let kept = kit.folder.path().join("kept");
    copy_tree(&kit.dir(), &kept);
    let bytes = std::fs::read(kit.dir().join("catalogue/db")).expect("reads");
    let used: Vec<u64> = (0..bytes.len() as u64).filter(|at| bytes[*at as usize] != 0).collect();
    let mut rebuilt = 0;
    for place in 0..24u64 {
        std::fs::remove_dir_all(kit.dir()).expect("removes");
        copy_tree(&kept, &kit.dir());
        for bit in 0..6 {
            let at = used[(place * 1_000_003 + bit * 7919) as usize % used.len()];
            flip(&kit.dir().join("catalogue/db"), at * 8 + bit);
        }
        // Some damage shows when it opens, some on reading: then the next opening rebuilds.
        let found = loop {
            let store = kit.open();
            match store.rows(Kind::Exhibit) {
                Ok(found) => {
                    rebuilt += store.rows(Kind::Rebuild).expect("rows").len();
                    break found;
                }
                Err(StoreError::Catalogue { .. }) => {}
                Err(other) => panic!("{other}"),
            }
        };
        assert_eq!(found, rows, "place {place}");
        kit.sound();
    }
    println!("24 damaged catalogues, {rebuilt} rebuilt");
    assert!(rebuilt >= 5, "the damage was met: {rebuilt}");
    std::fs::write(kit.dir().join("catalogue/snap.00.generating"), b"half").expect("writes");
    assert_eq!(kit.open().rows(Kind::Exhibit).expect("rows"), rows);
}
