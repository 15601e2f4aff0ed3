//! The chain from an onion address to the bytes of a descriptor.

use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;

use crate::{Descriptor, Onion, OnionError, Period};

/// By so many seconds a clock may stand before the period or after it.
pub const EARLY_S: i64 = 600;
/// A client goes on with the period of its consensus while that holds: three voting intervals of the 24 that
/// a period has (dir-spec, `valid-until`; rend-spec-v3, "Time periods").
const OVER: i64 = 8;
/// What is signed begins with this.
const PREFIX: &[u8] = b"Tor onion service descriptor sig v3";
/// Smallest certificate: head, extension count, signature (cert-spec).
const CERTIFICATE_BYTES: usize = 40 + 64;
/// Its type: a descriptor's signing key, signed by the blinded key.
const CERTIFICATE_TYPE: u8 = 8;
/// The key in it is an Ed25519 key.
const KEY_TYPE: u8 = 1;
/// The extension that names the key that signed.
const SIGNED_WITH: u8 = 4;
/// Flag of an extension that a reader must know.
const MUST_KNOW: u8 = 1;

/// What does not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DescriptorError {
    /// Not the document that it should be.
    #[error("not an onion service descriptor that can be read: {0}")]
    Malformed(&'static str),
    /// The address.
    #[error(transparent)]
    Onion(#[from] OnionError),
    /// The period has a length, offset or number that no network has.
    #[error("a time period that no Tor network has")]
    Period,
    /// The descriptor cannot have been fetched at that time for that period.
    #[error("fetched at {at}, which is not within its time period ({from} to {until})")]
    Time {
        /// When it was fetched.
        at: Timestamp,
        /// Begin of the period.
        from: Timestamp,
        /// End of the period.
        until: Timestamp,
    },
    /// Its certificate is not what cert-spec asks for.
    #[error("its certificate cannot be read: {0}")]
    Certificate(&'static str),
    /// Signed by another key than this onion's for this period.
    #[error("its certificate names another key than the onion's for this time period")]
    OtherKey,
    /// The onion's key did not sign the certificate.
    #[error("the onion's key did not sign its certificate")]
    NotCertified,
    /// The certificate had expired.
    #[error("its certificate expired at {until}, before {at}")]
    Expired {
        /// Until when it held.
        until: Timestamp,
        /// When it was fetched.
        at: Timestamp,
    },
    /// The certified key did not sign these bytes.
    #[error("the certified key did not sign these bytes")]
    NotSigned,
}

/// What was found to hold: whoever controls the onion's key, or a key that it certified, signed these bytes
/// for this period. Says nothing of when within it, nor of any page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The onion's key for the period.
    pub blinded_key: [u8; 32],
    /// The key that it certified, which signed the descriptor.
    pub signing_key: [u8; 32],
    /// Until when the certificate holds.
    pub certified_until: Timestamp,
    /// For how long directories keep it, in minutes.
    pub lifetime_minutes: u32,
    /// Its revision.
    pub revision: u64,
}

impl Descriptor<'_> {
    /// Judges the whole chain for an onion address, a time period and the moment of the fetch.
    ///
    /// # Errors
    /// [`DescriptorError`] names the first link that does not hold.
    pub fn check(&self, address: &str, period: &Period, at: Timestamp) -> Result<Proof, DescriptorError> {
        let onion = Onion::parse(address)?;
        let range = period.range().ok_or(DescriptorError::Period)?;
        let moment = |second| Timestamp::from_second(second).map_err(|_| DescriptorError::Period);
        let over = (range.end - range.start) / OVER;
        if at.as_second() < range.start - EARLY_S || at.as_second() >= range.end + over + EARLY_S {
            return Err(DescriptorError::Time { at, from: moment(range.start)?, until: moment(range.end)? });
        }
        let blinded_key = period.blinded_key(&onion);
        let certificate = Certificate::parse(&self.certificate)?;
        if certificate.signed_with != blinded_key {
            return Err(DescriptorError::OtherKey);
        }
        if !holds(&blinded_key, certificate.signed, &certificate.signature) {
            return Err(DescriptorError::NotCertified);
        }
        // As C tor has it, the last second counts.
        if at > certificate.until {
            return Err(DescriptorError::Expired { until: certificate.until, at });
        }
        if !holds(&certificate.key, &[PREFIX, self.signed].concat(), &self.signature) {
            return Err(DescriptorError::NotSigned);
        }
        Ok(Proof {
            blinded_key,
            signing_key: certificate.key,
            certified_until: certificate.until,
            lifetime_minutes: self.lifetime_minutes,
            revision: self.revision,
        })
    }
}

/// Ed25519, strictly: canonical encodings, no points of small order.
fn holds(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let signature = Signature::from_bytes(signature);
    VerifyingKey::from_bytes(key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

/// A certificate of cert-spec, read but not believed.
struct Certificate<'a> {
    key: [u8; 32],
    signed_with: [u8; 32],
    until: Timestamp,
    signed: &'a [u8],
    signature: [u8; 64],
}

impl<'a> Certificate<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, DescriptorError> {
        use DescriptorError::Certificate as Fault;
        if bytes.len() < CERTIFICATE_BYTES {
            return Err(Fault("too short"));
        }
        let (signed, signature) = bytes.split_last_chunk::<64>().ok_or(Fault("too short"))?;
        let (head, mut rest) = signed.split_first_chunk::<40>().ok_or(Fault("too short"))?;
        let [version, kind, h0, h1, h2, h3, key_kind, key @ .., count] = *head;
        if (version, kind, key_kind) != (1, CERTIFICATE_TYPE, KEY_TYPE) {
            return Err(Fault("another version or type"));
        }
        let hours = u32::from_be_bytes([h0, h1, h2, h3]);
        let until = Timestamp::from_second(i64::from(hours) * 3600).map_err(|_| Fault("its expiry"))?;
        let mut signed_with = None;
        for _ in 0..count {
            let ([l0, l1, kind, flags], behind) = rest.split_first_chunk::<4>().ok_or(Fault("an extension"))?;
            let length = usize::from(u16::from_be_bytes([*l0, *l1]));
            let (data, behind) = behind.split_at_checked(length).ok_or(Fault("an extension"))?;
            rest = behind;
            if *kind == SIGNED_WITH {
                let named = data.try_into().map_err(|_| Fault("the key that signed it"))?;
                if signed_with.replace(named).is_some() {
                    return Err(Fault("two keys that signed it"));
                }
            } else if flags & MUST_KNOW != 0 {
                return Err(Fault("an extension that must be known"));
            }
        }
        if !rest.is_empty() {
            return Err(Fault("bytes behind its extensions"));
        }
        let signed_with = signed_with.ok_or(Fault("no key that signed it"))?;
        Ok(Self { key, signed_with, until, signed, signature: *signature })
    }
}
