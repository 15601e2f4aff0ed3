//! What a log asks a witness: the body of `add-checkpoint` (C2SP tlog-witness). It travels as a
//! file on a removable medium where there is no network.

use data_encoding::BASE64;

use crate::checkpoint::CHECKPOINT_BYTES;
use crate::note::{hash, number};
use crate::tree::Hash;

/// Most hashes in a request (C2SP tlog-witness).
pub const PROOF_HASHES: usize = 63;
/// Largest request read, in bytes.
pub const REQUEST_BYTES: usize = CHECKPOINT_BYTES + 4096;

/// A checkpoint, and that it goes on from a size the witness has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// Size of the log that the witness cosigned last; 0 for none.
    pub old_size: u64,
    /// Consistency proof from there.
    pub proof: Vec<Hash>,
    /// The signed note; nothing in it is checked yet.
    pub checkpoint: String,
}

/// Bytes that are not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a request to a witness (C2SP tlog-witness add-checkpoint): {0}")]
pub struct RequestError(&'static str);

impl AddCheckpoint {
    /// The body of the request.
    pub fn encode(&self) -> String {
        let mut body = format!("old {}\n", self.old_size);
        for hash in &self.proof {
            body.push_str(&BASE64.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(&self.checkpoint);
        body
    }

    /// Reads the body of a request.
    pub fn parse(body: &str) -> Result<Self, RequestError> {
        if body.len() > REQUEST_BYTES {
            return Err(RequestError("too long"));
        }
        let (head, checkpoint) = body.split_once("\n\n").ok_or(RequestError("no empty line before the checkpoint"))?;
        let mut lines = head.split('\n');
        let old_size = lines.next().and_then(|line| number(line.strip_prefix("old ")?));
        let old_size = old_size.ok_or(RequestError("the first line is not `old` and a number"))?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == PROOF_HASHES {
                return Err(RequestError("over 63 hashes"));
            }
            proof.push(hash(line).ok_or(RequestError("a line is not the base64 of a hash"))?);
        }
        Ok(Self { old_size, proof, checkpoint: checkpoint.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_the_specification_is_read() {
        let body = "old 20852014\n\
            PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
            jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
            5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
            /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\
            \n\
            example.com/behind-the-sofa\n\
            20852163\n\
            CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
            \n\
            \u{2014} example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
        let request = AddCheckpoint::parse(body).expect("a request");
        assert_eq!((request.old_size, request.proof.len()), (20_852_014, 4));
        assert!(request.checkpoint.starts_with("example.com/behind-the-sofa\n20852163\n"));
        assert_eq!(request.encode(), body);
        for bad in [
            body.replace("old 2", "old 02"),
            body.replace("old 2", "old +2"),
            body.replace("old", "new"),
            body.replace("PlRN", "PlR"),
            body.replace("\n\n", "\n"),
            body.replacen("jrJZ", &format!("{}jrJZ", "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n".repeat(60)), 1),
            body[..60].to_owned(),
            format!("{body}{}", "x".repeat(REQUEST_BYTES)),
        ] {
            assert!(AddCheckpoint::parse(&bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(old_size in any::<u64>(), proof in proptest::collection::vec(any::<[u8; 32]>(), 0..=63), checkpoint in "[ -~\n]{0,200}") {
            let request = AddCheckpoint { old_size, proof, checkpoint };
            prop_assert_eq!(AddCheckpoint::parse(&request.encode()), Ok(request));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,200}") {
            let _ = AddCheckpoint::parse(&format!("old {text}"));
            let _ = AddCheckpoint::parse(&text);
        }
    }
}
