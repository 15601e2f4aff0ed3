//! Time periods of Tor's directory of onion services, and the keys that hold for one.

use curve25519_dalek::scalar::{Scalar, clamp_integer};
use jiff::Timestamp;
use sha3::{Digest, Sha3_256};

use crate::Onion;

/// Blinding begins with this (rend-spec-v3, appendix A.2), NUL included.
const BLIND: &[u8] = b"Derive temporary signing key\0";
/// The base point, written as there.
const BASE: &[u8] = b"(15112221349535400772501151409588531511454012693041857206046113283949847762202, \
    46316835694926478169428394003475163141307993866256225615783033603165251855960)";
/// Longest period, in minutes: ten days, the largest that the consensus may name (`hsdir-interval`).
const LENGTH_MINUTES: u32 = 14_400;
/// Largest offset, in seconds: it is twelve voting intervals, which are at most a day each.
const OFFSET_S: u32 = 12 * 86_400;

/// A time period: it begins `number * length_minutes * 60 + offset_seconds` after the Epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// How many have gone by.
    pub number: u64,
    /// Its length in minutes, 1 to 14,400; 1,440 on the public network.
    pub length_minutes: u32,
    /// When the first one began, in seconds since 1970, at most twelve days; 43,200 on the public network.
    pub offset_seconds: u32,
}

impl Period {
    /// From when until when, in seconds since 1970, the end excluded; `None` for a period that is out of
    /// bounds.
    pub fn range(&self) -> Option<std::ops::Range<i64>> {
        if self.length_minutes == 0 || self.length_minutes > LENGTH_MINUTES || self.offset_seconds > OFFSET_S {
            return None;
        }
        let length = u64::from(self.length_minutes) * 60;
        let start = self.number.checked_mul(length)?.checked_add(u64::from(self.offset_seconds))?;
        let (start, end) = (i64::try_from(start).ok()?, i64::try_from(start.checked_add(length)?).ok()?);
        Timestamp::from_second(end).ok()?;
        Some(start..end)
    }

    /// The key under which the onion's descriptors of this period are signed and filed.
    pub fn blinded_key(&self, onion: &Onion) -> [u8; 32] {
        (onion.point() * Scalar::from_bytes_mod_order(self.factor(onion.key()))).compress().0
    }

    /// The factor by which the onion's key is multiplied, clamped.
    pub fn factor(&self, key: &[u8; 32]) -> [u8; 32] {
        let hash = Sha3_256::new()
            .chain_update(BLIND)
            .chain_update(key)
            .chain_update(BASE)
            .chain_update(b"key-blind")
            .chain_update(self.number.to_be_bytes())
            .chain_update(u64::from(self.length_minutes).to_be_bytes())
            .finalize();
        clamp_integer(hash.into())
    }
}
