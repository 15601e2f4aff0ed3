//! Onion names that are valid and belong to nobody.

use data_encoding::BASE32_NOPAD;
use sha3::{Digest, Sha3_256};

/// The public key of RFC 8032 §7.1, test 1: its private half is printed there, and no service
/// answers under it.
const NOBODY: [u8; 32] = [
    0xd7, 0x5a, 0x98, 0x01, 0x82, 0xb1, 0x0a, 0xb7, 0xd5, 0x4b, 0xfe, 0xd3, 0xc9, 0x64, 0x07, 0x3a, 0x0e, 0xe1, 0x72,
    0xf3, 0xda, 0xa6, 0x23, 0x25, 0xaf, 0x02, 0x1a, 0x68, 0xf7, 0x07, 0x51, 0x1a,
];

/// The v3 name of a public key (rend-spec-v3 \[ONIONADDRESS\]).
fn name(key: &[u8; 32]) -> String {
    const VERSION: u8 = 3;
    let digest = Sha3_256::new().chain_update(b".onion checksum").chain_update(key).chain_update([VERSION]).finalize();
    let mut address = [0_u8; 35];
    address[..32].copy_from_slice(key);
    address[32..34].copy_from_slice(&digest[..2]);
    address[34] = VERSION;
    format!("{}.onion", BASE32_NOPAD.encode(&address).to_ascii_lowercase())
}

/// A well-formed v3 onion name for which no descriptor exists on the network.
pub fn absent_onion() -> String {
    name(&NOBODY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_specification() {
        // The public key and name of the Tor Project's own site, as Tor publishes them.
        let shown = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion";
        let bytes = BASE32_NOPAD.decode(shown[..56].to_ascii_uppercase().as_bytes()).unwrap();
        let key: [u8; 32] = bytes[..32].try_into().unwrap();
        assert_eq!(name(&key), shown);
        assert_eq!(absent_onion().len(), 62);
    }
}
