use data_encoding::HEXLOWER;
use proptest::prelude::*;

use super::*;

/// MTH of RFC 6962 section 2.1, word for word.
fn reference(leaves: &[Vec<u8>]) -> Hash {
    match leaves {
        [] => Sha256::digest([]).into(),
        [leaf] => leaf_hash(leaf),
        _ => {
            let mut k = 1;
            while k * 2 < leaves.len() {
                k *= 2;
            }
            node_hash(&reference(&leaves[..k]), &reference(&leaves[k..]))
        }
    }
}

/// PATH of RFC 6962 section 2.1.1, word for word.
fn reference_path(index: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let mut k = 1;
    while k * 2 < leaves.len() {
        k *= 2;
    }
    if index < k {
        let mut path = reference_path(index, &leaves[..k]);
        path.push(reference(&leaves[k..]));
        path
    } else {
        let mut path = reference_path(index - k, &leaves[k..]);
        path.push(reference(&leaves[..k]));
        path
    }
}

/// Leaves and roots of Certificate Transparency's own tests (certificate-transparency,
/// cpp/merkletree/merkle_tree_test.cc).
const VECTORS: [(&str, &str); 8] = [
    ("", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"),
    ("00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"),
    ("10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"),
    ("2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"),
    ("3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"),
    ("40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"),
    ("5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"),
    ("606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"),
];

#[test]
fn roots_are_those_of_certificate_transparency() {
    let mut tree = Tree::default();
    assert_eq!(HEXLOWER.encode(&tree.root()), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (leaf, root) in VECTORS {
        tree.append(leaf_hash(&HEXLOWER.decode(leaf.as_bytes()).expect("hex")));
        assert_eq!(HEXLOWER.encode(&tree.root()), root);
    }
}

#[test]
fn every_size_up_to_300_agrees_with_the_definition() {
    let leaves: Vec<Vec<u8>> = (0..300u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let mut tree = Tree::default();
    let mut nodes = std::collections::HashMap::new();
    for size in 0..=leaves.len() {
        assert_eq!(tree.root(), reference(&leaves[..size]), "size {size}");
        let mut look = |level, index| nodes.get(&(level, index)).copied().ok_or(());
        assert_eq!(Tree::restore(size as u64, &mut look), Ok(tree.clone()), "size {size}");
        for index in (0..size).step_by(7) {
            let path =
                inclusion_proof(index as u64, size as u64, &mut look).expect("nodes are there").expect("in the tree");
            assert_eq!(path, reference_path(index, &leaves[..size]), "{index} in {size}");
            let leaf = leaf_hash(&leaves[index]);
            let holds =
                |index: u64, size: u64, path: &[Hash], root: &Hash| verify_inclusion(&leaf, index, size, path, root);
            let root = tree.root();
            assert!(holds(index as u64, size as u64, &path, &root));
            assert!(!holds(index as u64 + 1, size as u64, &path, &root));
            assert!(!holds(index as u64, size as u64, &path, &[0; 32]));
            assert!(!verify_inclusion(&[0; 32], index as u64, size as u64, &path, &root));
            if let Some(shorter) = path.len().checked_sub(1) {
                assert!(!holds(index as u64, size as u64, &path[..shorter], &root));
            }
        }
        assert_eq!(inclusion_proof(size as u64, size as u64, &mut look), Ok(None));
        if let Some(leaf) = leaves.get(size) {
            for node in tree.append(leaf_hash(leaf)) {
                assert_eq!(nodes.insert((node.level, node.index), node.hash), None, "a node is completed once");
            }
        }
    }
}

proptest! {
    #[test]
    fn no_path_makes_the_check_panic(index in any::<u64>(), size in any::<u64>(), path in proptest::collection::vec(any::<[u8; 32]>(), 0..70)) {
        prop_assert!(!verify_inclusion(&[1; 32], index, size, &path, &[2; 32]));
    }
}

/// PROOF of RFC 6962 section 2.1.2, word for word.
fn reference_consistency(m: usize, leaves: &[Vec<u8>]) -> Vec<Hash> {
    fn subproof(m: usize, leaves: &[Vec<u8>], whole: bool) -> Vec<Hash> {
        if m == leaves.len() {
            return if whole { Vec::new() } else { vec![reference(leaves)] };
        }
        let mut k = 1;
        while k * 2 < leaves.len() {
            k *= 2;
        }
        if m <= k {
            let mut proof = subproof(m, &leaves[..k], whole);
            proof.push(reference(&leaves[k..]));
            proof
        } else {
            let mut proof = subproof(m - k, &leaves[k..], false);
            proof.push(reference(&leaves[..k]));
            proof
        }
    }
    subproof(m, leaves, true)
}

fn nodes(leaves: &[Hash]) -> impl FnMut(u8, u64) -> Result<Hash, ()> + '_ {
    |level, index| subtree(leaves, level, index).ok_or(())
}

#[test]
fn consistency_proofs_are_those_of_the_definition() {
    let entries: Vec<Vec<u8>> = (0..70u32).map(|n| n.to_be_bytes().to_vec()).collect();
    let leaves: Vec<Hash> = entries.iter().map(|entry| leaf_hash(entry)).collect();
    let mut node = nodes(&leaves);
    for size in 1..=entries.len() {
        let root = reference(&entries[..size]);
        for old in 0..=size {
            let old_root = reference(&entries[..old]);
            let proof = consistency_proof(old as u64, size as u64, &mut node).expect("nodes").expect("a proof");
            if old > 0 {
                assert_eq!(proof, reference_consistency(old, &entries[..size]), "{old} to {size}");
            }
            let holds = |old: u64, old_root: &Hash, root: &Hash, proof: &[Hash]| {
                verify_consistency(old, old_root, size as u64, root, proof)
            };
            assert!(holds(old as u64, &old_root, &root, &proof), "{old} to {size}");
            assert!(!holds(old as u64, &[0; 32], &root, &proof));
            // From the empty tree every root follows: it has nothing in it to contradict.
            assert_eq!(holds(old as u64, &old_root, &[0; 32], &proof), old == 0);
            assert!(!holds(size as u64 + 1, &old_root, &root, &proof));
        }
        assert_eq!(consistency_proof(size as u64 + 1, size as u64, &mut node), Ok(None));
    }
}

#[test]
fn a_subtree_is_complete_or_none() {
    let leaves: Vec<Hash> = (0..11u8).map(|n| leaf_hash(&[n])).collect();
    assert_eq!(subtree(&leaves, 0, 10), Some(leaves[10]));
    assert_eq!(subtree(&leaves, 1, 4), Some(node_hash(&leaves[8], &leaves[9])));
    assert_eq!(subtree(&leaves, 3, 0), Some(root_of(&leaves[..8])));
    for (level, index) in [(1, 5), (2, 2), (3, 1), (63, 1), (64, 0), (200, 7), (0, u64::MAX), (63, u64::MAX)] {
        assert_eq!(subtree(&leaves, level, index), None, "{level} {index}");
    }
}

/// Every way to spoil a path that its length and its hashes allow.
fn spoilt(path: &[Hash], flip: usize) -> Vec<Vec<Hash>> {
    let mut all = vec![[path, &[[7; 32]]].concat(), [&[[7; 32]], path].concat()];
    for at in 0..path.len() {
        let mut flipped = path.to_vec();
        flipped[at][flip / 8 % 32] ^= 1 << (flip % 8);
        all.push(flipped);
        all.push([&path[..at], &path[at + 1..]].concat());
        all.push([&path[..=at], &path[at..]].concat());
        if at > 0 {
            let mut swapped = path.to_vec();
            swapped.swap(at - 1, at);
            all.push(swapped);
        }
    }
    all.retain(|spoilt| spoilt != path);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Trees of up to some thousand leaves: proofs hold, and no spoilt one does.
    #[test]
    fn no_spoilt_proof_holds(size in 1u64..4000, at in any::<u64>(), salt in any::<u64>(), flip in 0usize..256) {
        let leaves: Vec<Hash> = (0..size).map(|n| leaf_hash(&(salt ^ n).to_be_bytes())).collect();
        let root = root_of(&leaves);
        let mut node = nodes(&leaves);
        let index = at % size;
        let leaf = leaves[index as usize];
        let path = inclusion_proof(index, size, &mut node).expect("nodes").expect("in the tree");
        prop_assert!(verify_inclusion(&leaf, index, size, &path, &root));
        for bad in spoilt(&path, flip) {
            prop_assert!(!verify_inclusion(&leaf, index, size, &bad, &root));
        }
        for other in [index ^ 1, index / 2, size - 1 - index, size, u64::MAX] {
            prop_assert!(other == index || !verify_inclusion(&leaf, other, size, &path, &root));
        }
        let old = 1 + at % size;
        let old_root = root_of(&leaves[..old as usize]);
        let path = consistency_proof(old, size, &mut node).expect("nodes").expect("not larger");
        prop_assert!(verify_consistency(old, &old_root, size, &root, &path));
        for bad in spoilt(&path, flip) {
            prop_assert!(!verify_consistency(old, &old_root, size, &root, &bad));
        }
        // A tree that differs in one leaf of the old one is no continuation of it.
        let mut forked = leaves.clone();
        forked[(at % old) as usize][0] ^= 1;
        let fork = root_of(&forked);
        let path = consistency_proof(old, size, &mut nodes(&forked)).expect("nodes").expect("not larger");
        prop_assert!(!verify_consistency(old, &old_root, size, &fork, &path));
    }

    #[test]
    fn no_proof_makes_the_check_panic(old in any::<u64>(), size in any::<u64>(), path in proptest::collection::vec(any::<[u8; 32]>(), 0..70)) {
        prop_assert!(!verify_consistency(old, &[1; 32], size, &[2; 32], &path));
        prop_assert!(consistency_proof(old, size, &mut |_, _| Ok::<_, ()>([0; 32])).is_ok());
    }
}
