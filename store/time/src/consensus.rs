//! The signed directory of a Tor network (dir-spec version 3, microdescriptor flavour): it names the
//! moment from which it holds, so whoever has it has it after its authorities made it.

use std::collections::BTreeSet;

use data_encoding::{BASE64, HEXLOWER, HEXUPPER};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::algorithms::directory_key;

/// Most bytes of a consensus that is read; the public network's has about three million.
pub const CONSENSUS_BYTES: usize = 16 << 20;
/// By so many seconds a record may lie before the moment from which its consensus holds: authorities
/// hand the next one out a few minutes early, and clocks differ a little.
pub const CONSENSUS_EARLY_S: i64 = 600;
/// Most signatures or certificates looked at.
const SIGNATURES: usize = 64;

/// Text that is not a consensus, or one that its authorities did not sign.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsensusError {
    /// Not the document that it should be.
    #[error("not a Tor consensus that can be read: {0}")]
    Malformed(&'static str),
    /// Too few signatures hold.
    #[error(
        "the Tor consensus has valid signatures of {signed} of {authorities} authorities, and needs more than half"
    )]
    Unsigned {
        /// Authorities whose signature holds.
        signed: usize,
        /// Authorities of the network.
        authorities: usize,
    },
}

/// A signature as the document has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsensusSignature {
    /// `sha256` or `sha1`.
    pub algorithm: String,
    /// Upper-case hex SHA-1 of the authority's identity key: its v3 identity.
    pub identity: String,
    /// Upper-case hex SHA-1 of the key that signed.
    pub signing_key: String,
    signature: Vec<u8>,
}

/// A consensus, read but not believed.
#[derive(Clone, Debug)]
pub struct Consensus<'a> {
    /// From when it holds; authorities sign it some minutes before.
    pub valid_after: Timestamp,
    /// When a newer one is due.
    pub fresh_until: Timestamp,
    /// When it ceases to hold.
    pub valid_until: Timestamp,
    /// Its signatures.
    pub signatures: Vec<ConsensusSignature>,
    signed: &'a [u8],
    whole: &'a [u8],
}

impl<'a> Consensus<'a> {
    /// Reads head and signatures of a consensus.
    pub fn parse(text: &'a [u8]) -> Result<Self, ConsensusError> {
        use ConsensusError::Malformed;
        if text.len() > CONSENSUS_BYTES {
            return Err(Malformed("over 16 MiB"));
        }
        let document = std::str::from_utf8(text).map_err(|_| Malformed("not text"))?;
        if !document.starts_with("network-status-version 3 microdesc\n") {
            return Err(Malformed("its first line names another document"));
        }
        // The signed part ends behind the space of the first such item (dir-spec, "signature formats").
        let start = document.find("\ndirectory-signature ").ok_or(Malformed("no signature"))? + 1;
        let signed = &text[..start + "directory-signature ".len()];
        let time = |name: &str| {
            let head = document[..start].lines().take(64);
            let mut found = head.filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            match (found.next().and_then(moment), found.next()) {
                (Some(time), None) => Ok(time),
                _ => Err(Malformed("its lifetime")),
            }
        };
        Ok(Self {
            valid_after: time("valid-after")?,
            fresh_until: time("fresh-until")?,
            valid_until: time("valid-until")?,
            signatures: signatures(&document[start..])?,
            signed,
            whole: text,
        })
    }

    /// Hex SHA-256 of the whole document.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(self.whole))
    }

    /// The authorities whose signatures hold, which are more than half of those of the network
    /// (`authorities`: v3 identities, upper-case hex). `certificates` are the authorities' key
    /// certificates, each judged at the moment from which the consensus holds.
    pub fn check(&self, certificates: &[&str], authorities: &[String]) -> Result<Vec<String>, ConsensusError> {
        let known: BTreeSet<&str> = authorities.iter().map(String::as_str).collect();
        let keys: Vec<KeyCertificate> =
            certificates.iter().take(SIGNATURES).filter_map(|text| KeyCertificate::parse(text)).collect();
        let sums = (Sha256::digest(self.signed).to_vec(), Sha1::digest(self.signed).to_vec());
        let mut signed = BTreeSet::new();
        for signature in &self.signatures {
            let sum = match signature.algorithm.as_str() {
                "sha256" => &sums.0,
                "sha1" => &sums.1,
                _ => continue,
            };
            let holds = keys.iter().any(|certificate| {
                certificate.identity == signature.identity
                    && certificate.signing_key == signature.signing_key
                    && certificate.from <= self.valid_after
                    && self.valid_after <= certificate.until
                    && holds(&certificate.key, sum, &signature.signature)
            });
            if holds && known.contains(signature.identity.as_str()) {
                signed.insert(signature.identity.clone());
            }
        }
        if signed.len() * 2 > known.len() {
            Ok(signed.into_iter().collect())
        } else {
            Err(ConsensusError::Unsigned { signed: signed.len(), authorities: known.len() })
        }
    }
}

/// `YYYY-MM-DD hh:mm:ss`, UTC.
fn moment(text: &str) -> Option<Timestamp> {
    if text.len() != 19 {
        return None;
    }
    let civil: jiff::civil::DateTime = text.replace(' ', "T").parse().ok()?;
    TimeZone::UTC.to_timestamp(civil).ok()
}

/// Items `directory-signature [algorithm] identity key-digest`, each with its object.
fn signatures(text: &str) -> Result<Vec<ConsensusSignature>, ConsensusError> {
    use ConsensusError::Malformed;
    let mut found = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split(' ').collect();
        let (algorithm, identity, signing_key) = match words[..] {
            ["directory-signature", algorithm, identity, key] => (algorithm, identity, key),
            ["directory-signature", identity, key] => ("sha1", identity, key),
            _ => return Err(Malformed("something else among its signatures")),
        };
        let signature = object(&mut lines, "SIGNATURE").ok_or(Malformed("a signature"))?;
        if found.len() == SIGNATURES {
            return Err(Malformed("more signatures than there can be authorities"));
        }
        found.push(ConsensusSignature {
            algorithm: algorithm.to_owned(),
            identity: identity.to_ascii_uppercase(),
            signing_key: signing_key.to_ascii_uppercase(),
            signature,
        });
    }
    Ok(found)
}

/// The object that follows an item (dir-spec, "document meta-format").
fn object<'a>(lines: &mut impl Iterator<Item = &'a str>, name: &str) -> Option<Vec<u8>> {
    if lines.next()? != format!("-----BEGIN {name}-----") {
        return None;
    }
    let end = format!("-----END {name}-----");
    let mut packed = String::new();
    for line in lines {
        if line == end {
            return BASE64.decode(packed.as_bytes()).ok();
        }
        packed.push_str(line);
    }
    None
}

/// PKCS #1 v1.5 over a bare digest, as Tor's directory has it.
fn holds(key: &RsaPublicKey, sum: &[u8], signature: &[u8]) -> bool {
    key.verify(Pkcs1v15Sign::new_unprefixed(), sum, signature).is_ok()
}

/// An authority's key certificate (dir-spec, "creating key certificates") whose own signature holds.
struct KeyCertificate {
    identity: String,
    signing_key: String,
    key: RsaPublicKey,
    from: Timestamp,
    until: Timestamp,
}

impl KeyCertificate {
    fn parse(text: &str) -> Option<Self> {
        if !text.starts_with("dir-key-certificate-version 3\n") {
            return None;
        }
        let end = text.find("\ndir-key-certification\n")? + "\ndir-key-certification\n".len();
        let sum = Sha1::digest(&text.as_bytes()[..end]);
        let item = |name: &str| {
            let mut lines = text[..end].lines();
            let value = lines.by_ref().find_map(|line| line.strip_prefix(name))?;
            Some((value.trim_start(), lines))
        };
        let key = |name: &str| {
            let (_, mut lines) = item(name)?;
            object(&mut lines, "RSA PUBLIC KEY")
        };
        let (identity_der, signing_der) = (key("dir-identity-key")?, key("dir-signing-key")?);
        let certification = object(&mut text[end..].lines(), "SIGNATURE")?;
        if !holds(&directory_key(&identity_der)?, &sum, &certification) {
            return None;
        }
        let identity = HEXUPPER.encode(&Sha1::digest(&identity_der));
        (item("fingerprint")?.0.to_ascii_uppercase() == identity).then_some(())?;
        Some(Self {
            identity,
            signing_key: HEXUPPER.encode(&Sha1::digest(&signing_der)),
            key: directory_key(&signing_der)?,
            from: moment(item("dir-key-published")?.0)?,
            until: moment(item("dir-key-expires")?.0)?,
        })
    }
}

#[cfg(test)]
mod tests;
