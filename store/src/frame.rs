//! A frame: header, entry, exhibit, private part, local part, footer. One per log entry, one
//! after the other in the segments.

use sha2::{Digest, Sha256};

/// Length of a frame header in bytes.
pub const HEADER_BYTES: usize = 44;
/// Length of a frame footer in bytes.
pub const FOOTER_BYTES: usize = 120;
/// First bytes of a frame.
pub const HEADER_MAGIC: [u8; 8] = *b"vigieFR1";
/// First bytes of a footer.
pub const FOOTER_MAGIC: [u8; 8] = *b"vigieFE1";
/// Largest exhibit in bytes (1 TiB).
pub const EXHIBIT_BYTES: u64 = 1 << 40;
/// Largest private or local part in bytes (16 MiB).
pub const PART_BYTES: u32 = 16 << 20;

/// The fixed head of a frame. All integers are big-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Sequence number of the entry.
    pub sequence: u64,
    /// Length of the exhibit; 0 when there is none.
    pub exhibit_len: u64,
    /// Length of the entry.
    pub entry_len: u32,
    /// Length of the private part; 0 when there is none.
    pub private_len: u32,
    /// Length of the local part.
    pub local_len: u32,
}

impl Header {
    /// As it lies on disk; the last four bytes are the CRC32C of those before.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&HEADER_MAGIC);
        bytes[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.exhibit_len.to_be_bytes());
        bytes[24..28].copy_from_slice(&self.entry_len.to_be_bytes());
        bytes[28..32].copy_from_slice(&self.private_len.to_be_bytes());
        bytes[32..36].copy_from_slice(&self.local_len.to_be_bytes());
        // 36..40 are zero, kept for flags of a later format.
        let crc = crc32c::crc32c(&bytes[..40]);
        bytes[40..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads a header; `None` when the bytes are not one, or a length exceeds its limit.
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let header = Self {
            sequence: u64::from_be_bytes(part(bytes, 8)),
            exhibit_len: u64::from_be_bytes(part(bytes, 16)),
            entry_len: u32::from_be_bytes(part(bytes, 24)),
            private_len: u32::from_be_bytes(part(bytes, 28)),
            local_len: u32::from_be_bytes(part(bytes, 32)),
        };
        let sane = header.exhibit_len <= EXHIBIT_BYTES
            && (1..=crate::entry::ENTRY_BYTES as u32).contains(&header.entry_len)
            && header.private_len <= PART_BYTES
            && header.local_len <= PART_BYTES;
        // One encoding: magic, zeros and CRC are compared with what would be written.
        (sane && header.encode() == *bytes).then_some(header)
    }

    /// Length of the whole frame in bytes.
    pub fn frame_len(&self) -> u64 {
        self.footer_at() + FOOTER_BYTES as u64
    }

    /// Where the exhibit begins, from the frame's first byte.
    pub fn exhibit_at(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.entry_len)
    }

    /// Where the private part begins.
    pub fn private_at(&self) -> u64 {
        self.exhibit_at() + self.exhibit_len
    }

    /// Where the local part begins.
    pub fn local_at(&self) -> u64 {
        self.private_at() + u64::from(self.private_len)
    }

    /// Where the footer begins.
    pub fn footer_at(&self) -> u64 {
        self.local_at() + u64::from(self.local_len)
    }
}

/// SHA-256 and CRC32C of one part of a frame; of nothing when the part is absent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sum {
    /// SHA-256.
    pub sha256: [u8; 32],
    /// CRC32C (RFC 3720 section 12.1).
    pub crc32c: u32,
}

impl Sum {
    /// Of bytes in memory.
    pub fn of(bytes: &[u8]) -> Self {
        Self { sha256: Sha256::digest(bytes).into(), crc32c: crc32c::crc32c(bytes) }
    }
}

/// Computes a [`Sum`] piece by piece.
#[derive(Clone, Default)]
pub struct Summer {
    sha256: Sha256,
    crc32c: u32,
}

impl Summer {
    /// Takes more bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.crc32c = crc32c::crc32c_append(self.crc32c, bytes);
    }

    /// The sum of all bytes taken.
    pub fn finish(self) -> Sum {
        Sum { sha256: self.sha256.finalize().into(), crc32c: self.crc32c }
    }
}

/// The end of a frame: what its parts must hash to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footer {
    /// Of the exhibit.
    pub exhibit: Sum,
    /// Of the private part.
    pub private: Sum,
    /// Of the local part.
    pub local: Sum,
}

impl Footer {
    /// As it lies on disk; the last four bytes are the CRC32C of header, entry and the footer
    /// before them.
    pub fn encode(&self, header: &[u8; HEADER_BYTES], entry: &[u8]) -> [u8; FOOTER_BYTES] {
        let mut bytes = [0; FOOTER_BYTES];
        bytes[..8].copy_from_slice(&FOOTER_MAGIC);
        for (place, sum) in [&self.exhibit, &self.private, &self.local].into_iter().enumerate() {
            bytes[8 + 32 * place..40 + 32 * place].copy_from_slice(&sum.sha256);
            bytes[104 + 4 * place..108 + 4 * place].copy_from_slice(&sum.crc32c.to_be_bytes());
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(header), entry);
        let crc = crc32c::crc32c_append(crc, &bytes[..116]);
        bytes[116..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// Reads a footer; `None` when it does not close this header and entry.
    pub fn parse(bytes: &[u8; FOOTER_BYTES], header: &[u8; HEADER_BYTES], entry: &[u8]) -> Option<Self> {
        let sum = |place: usize| Sum {
            sha256: part(bytes, 8 + 32 * place),
            crc32c: u32::from_be_bytes(part(bytes, 104 + 4 * place)),
        };
        let footer = Self { exhibit: sum(0), private: sum(1), local: sum(2) };
        (footer.encode(header, entry) == *bytes).then_some(footer)
    }
}

/// Digest of a frame, which the next entry names in `prev`: SHA-256 over header, entry and
/// footer. The parts enter by their digests alone, so the chain outlives an erased part.
pub fn digest(header: &[u8; HEADER_BYTES], entry: &[u8], footer: &[u8; FOOTER_BYTES]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(header);
    hash.update(entry);
    hash.update(footer);
    hash.finalize().into()
}

fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[at..at + N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_flipped_bit_of_header_and_footer_is_seen() {
        let header = Header { sequence: 7, exhibit_len: 9, entry_len: 3, private_len: 2, local_len: 1 };
        let bytes = header.encode();
        assert_eq!(Header::parse(&bytes), Some(header));
        let footer = Footer { exhibit: Sum::of(b"a"), private: Sum::of(b"b"), local: Sum::of(b"c") };
        let end = footer.encode(&bytes, b"abc");
        assert_eq!(Footer::parse(&end, &bytes, b"abc"), Some(footer));
        for bit in 0..HEADER_BYTES * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Header::parse(&bad), None, "bit {bit}");
            assert_eq!(Footer::parse(&end, &bad, b"abc"), None, "bit {bit}");
        }
        for bit in 0..FOOTER_BYTES * 8 {
            let mut bad = end;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Footer::parse(&bad, &bytes, b"abc"), None, "bit {bit}");
        }
        assert_eq!(Footer::parse(&end, &bytes, b"abd"), None);
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_header_panic(bytes in proptest::array::uniform32(any::<u8>())) {
            let mut long = [0; HEADER_BYTES];
            long[..32].copy_from_slice(&bytes);
            long[..8].copy_from_slice(&HEADER_MAGIC);
            if let Some(header) = Header::parse(&long) {
                prop_assert_eq!(header.encode(), long);
            }
        }
    }
}
