use std::collections::BTreeMap;

use super::*;

fn tiled(entries: &[Vec<u8>]) -> (BTreeMap<String, Vec<u8>>, Tree) {
    let mut tiler = Tiler::default();
    let mut files = BTreeMap::new();
    let mut keep = |resources: Vec<Resource>| {
        for resource in resources {
            assert_eq!(files.insert(resource.path, resource.bytes), None, "each file once");
        }
    };
    for entry in entries {
        keep(tiler.push(entry).expect("fits"));
    }
    let (partial, tree) = tiler.finish();
    keep(partial);
    (files, tree)
}

fn entries(size: u32) -> Vec<Vec<u8>> {
    (0..size).map(|n| n.to_be_bytes().to_vec()).collect()
}

#[test]
fn paths_are_those_of_the_specification() {
    assert_eq!(path(Some(0), 1_234_067, WIDTH), "tile/0/x001/x234/067");
    assert_eq!(path(Some(3), 7, 9), "tile/3/007.p/9");
    assert_eq!(path(None, 1000, WIDTH), "tile/entries/x001/000");
    assert_eq!(path(None, 999, 255), "tile/entries/999.p/255");
}

/// "A tree of size 70,000 will be represented by 273 full level 0 tiles, one partial level 0 tile
/// of width 112, one full level 1 tile, one partial level 1 tile of width 17, and one partial
/// level 2 tile of width 1." (C2SP tlog-tiles)
#[test]
fn the_example_of_the_specification_is_cut_so() {
    let (files, tree) = tiled(&entries(70_000));
    assert_eq!(tree.size(), 70_000);
    let full = |prefix: &str| files.keys().filter(|path| path.starts_with(prefix) && !path.contains(".p/")).count();
    let partial: Vec<&str> = files.keys().map(String::as_str).filter(|path| path.contains(".p/")).collect();
    assert_eq!((full("tile/0/"), full("tile/1/"), full("tile/2/"), full("tile/entries/")), (273, 1, 0, 273));
    assert_eq!(partial, ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1", "tile/entries/273.p/112"]);
    assert!(files.iter().all(|(path, bytes)| path.contains("entries") || path.contains(".p/") || bytes.len() == 8192));
    assert_eq!(files["tile/2/000.p/1"], root_of_entries(&entries(65_536)));
}

fn root_of_entries(entries: &[Vec<u8>]) -> Vec<u8> {
    root_of(&entries.iter().map(|entry| leaf_hash(entry)).collect::<Vec<_>>()).to_vec()
}

#[test]
fn borders_have_no_empty_tile() {
    for (size, expected) in [
        (0, vec![]),
        (1, vec!["tile/0/000.p/1", "tile/entries/000.p/1"]),
        (255, vec!["tile/0/000.p/255", "tile/entries/000.p/255"]),
        (256, vec!["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]),
        (257, vec!["tile/0/000", "tile/0/001.p/1", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/1"]),
    ] {
        assert_eq!(tiled(&entries(size)).0.into_keys().collect::<Vec<_>>(), expected, "{size}");
    }
}

#[test]
fn bundles_give_the_entries_back() {
    let wanted: Vec<Vec<u8>> = (0..600usize).map(|n| vec![n as u8; n * 7 % 301]).collect();
    let (files, _) = tiled(&wanted);
    let mut found = Vec::new();
    for bundle in ["tile/entries/000", "tile/entries/001", "tile/entries/002.p/88"] {
        let mut rest = &files[bundle][..];
        while let Some((len, tail)) = rest.split_first_chunk::<2>() {
            let (entry, tail) = tail.split_at(u16::from_be_bytes(*len).into());
            found.push(entry.to_vec());
            rest = tail;
        }
    }
    assert_eq!(found, wanted);
}

#[test]
fn the_longest_entry_fits_and_no_longer_one() {
    let mut tiler = Tiler::default();
    assert_eq!(tiler.push(&[0; ENTRY_BYTES]), Ok(vec![]));
    assert_eq!(tiler.push(&[0; ENTRY_BYTES + 1]), Err(EntryTooLong(65_536)));
}
