//! The question to a time-stamping authority (RFC 3161 section 2.4.1).

use der::asn1::ObjectIdentifier;
use der::{Encode, Tag};
use sha2::{Digest, Sha256};

use crate::algorithms::Hash;
use crate::walk::{Malformed, only};

/// Most bytes of a request that is read.
const REQUEST_BYTES: usize = 4096;

/// A request over the SHA-256 of a file, with a nonce, for a token that holds its certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// SHA-256 of the file.
    pub sha256: [u8; 32],
    /// A random number, not 0, below 2^63 (authorities take 64 bits as a rule).
    pub nonce: u64,
    /// Policy that the stamp must be made under, as dotted numbers.
    pub policy: Option<String>,
}

/// Bytes that are not a request that Vigie makes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a time-stamp request: {0}")]
pub struct RequestError(&'static str);

impl Request {
    /// Over the exact bytes of a file. `random` makes the nonce.
    pub fn over(file: &[u8], random: [u8; 8], policy: Option<&str>) -> Result<Self, RequestError> {
        if let Some(policy) = policy {
            policy.parse::<ObjectIdentifier>().map_err(|_| RequestError("the policy is no object identifier"))?;
        }
        // The top bit would make it negative, and 0 would be no nonce.
        let nonce = (u64::from_be_bytes(random) & (u64::MAX >> 1)).max(1);
        Ok(Self { sha256: Sha256::digest(file).into(), nonce, policy: policy.map(str::to_owned) })
    }

    /// The request, DER.
    pub fn encode(&self) -> Vec<u8> {
        // Every part is well below 128 bytes but the whole may not be; `der` writes the lengths.
        let integer = self.nonce.to_der().unwrap_or_default();
        let policy = self.policy.as_ref().and_then(|text| text.parse::<ObjectIdentifier>().ok());
        let policy = policy.and_then(|oid| oid.to_der().ok()).unwrap_or_default();
        let body = [&[2, 1, 1][..], &imprint(&self.sha256), &policy, &integer, &[1, 1, 0xff]].concat();
        tagged(Tag::Sequence, &body)
    }

    /// Reads a request of Vigie's own making.
    pub fn parse(bytes: &[u8]) -> Result<Self, RequestError> {
        if bytes.len() > REQUEST_BYTES {
            return Err(RequestError("longer than any"));
        }
        let request = Self::read(bytes).map_err(|_| RequestError("it is not DER of the right form"))?;
        if request.encode() == bytes { Ok(request) } else { Err(RequestError("it is not one that Vigie made")) }
    }

    fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut outer = only(bytes, Tag::Sequence)?;
        outer.small()?;
        let mut imprint = outer.inside(Tag::Sequence)?;
        imprint.algorithm()?;
        let sha256 = imprint.content(Tag::OctetString)?.try_into().map_err(|_| Malformed)?;
        imprint.end()?;
        let policy = if outer.is_next(Tag::ObjectIdentifier) { Some(outer.oid()?.to_string()) } else { None };
        let number = outer.integer()?;
        let mut nonce = [0; 8];
        nonce.get_mut(8_usize.wrapping_sub(number.len())..).ok_or(Malformed)?.copy_from_slice(number);
        outer.boolean()?;
        outer.end()?;
        Ok(Self { sha256, nonce: u64::from_be_bytes(nonce), policy })
    }

    /// The nonce as the content of an INTEGER.
    pub(crate) fn nonce_bytes(&self) -> Vec<u8> {
        self.nonce.to_der().ok().and_then(|der| der.get(2..).map(<[u8]>::to_vec)).unwrap_or_default()
    }
}

/// MessageImprint of a SHA-256.
fn imprint(sha256: &[u8; 32]) -> Vec<u8> {
    let oid = Hash::Sha256.oid().to_der().unwrap_or_default();
    let algorithm = tagged(Tag::Sequence, &[&oid[..], &[5, 0]].concat());
    tagged(Tag::Sequence, &[algorithm, tagged(Tag::OctetString, sha256)].concat())
}

/// A value with tag and length.
pub(crate) fn tagged(tag: Tag, content: &[u8]) -> Vec<u8> {
    let header = der::Header::new(tag, content.len()).and_then(|header| header.to_der()).unwrap_or_default();
    [&header[..], content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_come_back_and_have_one_spelling() {
        for (random, policy) in
            [([0; 8], None), ([0xff; 8], Some("1.3.6.1.4.1.13762.3")), ([0, 0, 0, 0, 0, 0, 0x80, 1], None)]
        {
            let request = Request::over(b"a checkpoint", random, policy).expect("a request");
            let der = request.encode();
            assert_eq!(Request::parse(&der), Ok(request));
            for at in 0..der.len() {
                let mut other = der.clone();
                other[at] ^= 1;
                if let Ok(read) = Request::parse(&other) {
                    assert_eq!(read.encode(), other);
                }
            }
        }
        assert!(Request::over(b"", [1; 8], Some("a policy")).is_err());
        assert!(Request::parse(b"").is_err() && Request::parse(&[0x30; 9000]).is_err());
    }
}
