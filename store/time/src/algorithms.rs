//! The signature algorithms that a time stamp and its certificates may use: RSA of 2,048 to 8,192 bits
//! (PKCS #1 v1.5 and PSS) and ECDSA on P-256, P-384 and P-521, with SHA-256, SHA-384 or SHA-512.
//! SHA-1 and what is older is refused.

use der::asn1::ObjectIdentifier;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::traits::PublicKeyParts;
use rsa::{Pkcs1v15Sign, Pss, RsaPublicKey};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A digest that is still trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

impl Hash {
    /// The digest of an object identifier (RFC 5754 section 2).
    pub fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|hash| hash.oid() == oid)
    }

    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    pub fn oid(self) -> ObjectIdentifier {
        ObjectIdentifier::new_unwrap(match self {
            Self::Sha256 => "2.16.840.1.101.3.4.2.1",
            Self::Sha384 => "2.16.840.1.101.3.4.2.2",
            Self::Sha512 => "2.16.840.1.101.3.4.2.3",
        })
    }

    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(bytes).to_vec(),
            Self::Sha384 => Sha384::digest(bytes).to_vec(),
            Self::Sha512 => Sha512::digest(bytes).to_vec(),
        }
    }

    /// What stands before the digest in PKCS #1 v1.5 (RFC 8017 section 9.2, note 1).
    fn prefix(self) -> &'static [u8; 19] {
        match self {
            Self::Sha256 => b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
            Self::Sha384 => b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
            Self::Sha512 => b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
        }
    }
}

/// A key type with its way of signing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Scheme {
    Pkcs1,
    Pss,
    P256,
    P384,
    P521,
}

/// One signature algorithm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Algorithm(Scheme, Hash);

use Hash::{Sha256 as H256, Sha384 as H384, Sha512 as H512};
use Scheme::{P256, P384, P521, Pkcs1, Pss as RsaPss};

/// Every algorithm that is accepted.
pub(crate) const ALGORITHMS: [&dyn SignatureVerificationAlgorithm; 15] = [
    &Algorithm(Pkcs1, H256),
    &Algorithm(Pkcs1, H384),
    &Algorithm(Pkcs1, H512),
    &Algorithm(RsaPss, H256),
    &Algorithm(RsaPss, H384),
    &Algorithm(RsaPss, H512),
    &Algorithm(P256, H256),
    &Algorithm(P256, H384),
    &Algorithm(P256, H512),
    &Algorithm(P384, H256),
    &Algorithm(P384, H384),
    &Algorithm(P384, H512),
    &Algorithm(P521, H256),
    &Algorithm(P521, H384),
    &Algorithm(P521, H512),
];

impl SignatureVerificationAlgorithm for Algorithm {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let Self(scheme, hash) = self;
        let digest = hash.of(message);
        let holds = match scheme {
            Scheme::Pkcs1 => rsa_key(key)
                .and_then(|key| {
                    let padding =
                        Pkcs1v15Sign { hash_len: Some(digest.len()), prefix: hash.prefix().as_slice().into() };
                    key.verify(padding, &digest, signature).ok()
                })
                .is_some(),
            // The salt is as long as the digest: the parameters that `signature_alg_id` demands say so.
            Scheme::Pss => rsa_key(key)
                .and_then(|key| {
                    let padding = match hash {
                        Hash::Sha256 => Pss::new_with_salt::<Sha256>(digest.len()),
                        Hash::Sha384 => Pss::new_with_salt::<Sha384>(digest.len()),
                        Hash::Sha512 => Pss::new_with_salt::<Sha512>(digest.len()),
                    };
                    key.verify(padding, &digest, signature).ok()
                })
                .is_some(),
            Scheme::P256 => p256(key, &digest, signature).is_some(),
            Scheme::P384 => p384(key, &digest, signature).is_some(),
            // A digest under half the curve's size counts as the same number with zeros before it.
            Scheme::P521 => p521(key, &[&[0; 66][digest.len()..], &digest].concat(), signature).is_some(),
        };
        if holds { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        match self.0 {
            Scheme::Pkcs1 | Scheme::Pss => alg_id::RSA_ENCRYPTION,
            Scheme::P256 => alg_id::ECDSA_P256,
            Scheme::P384 => alg_id::ECDSA_P384,
            Scheme::P521 => alg_id::ECDSA_P521,
        }
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        match (self.0, self.1) {
            (Scheme::Pkcs1, Hash::Sha256) => alg_id::RSA_PKCS1_SHA256,
            (Scheme::Pkcs1, Hash::Sha384) => alg_id::RSA_PKCS1_SHA384,
            (Scheme::Pkcs1, Hash::Sha512) => alg_id::RSA_PKCS1_SHA512,
            (Scheme::Pss, Hash::Sha256) => alg_id::RSA_PSS_SHA256,
            (Scheme::Pss, Hash::Sha384) => alg_id::RSA_PSS_SHA384,
            (Scheme::Pss, Hash::Sha512) => alg_id::RSA_PSS_SHA512,
            (_, Hash::Sha256) => alg_id::ECDSA_SHA256,
            (_, Hash::Sha384) => alg_id::ECDSA_SHA384,
            (_, Hash::Sha512) => alg_id::ECDSA_SHA512,
        }
    }
}

/// rsaEncryption: CMS lets a signer name the key type alone, the digest standing apart (RFC 3370
/// section 3.2).
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The algorithms that a signer's AlgorithmIdentifier (its content) can mean together with the digest
/// that it names apart; the certificate's key decides among them.
pub(crate) fn of_signer(
    oid: ObjectIdentifier,
    parameters: Option<&[u8]>,
    content: &[u8],
    hash: Hash,
) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
    let no_parameters = parameters.is_none_or(|bytes| bytes == [5, 0]);
    let rsa = [alg_id::RSA_PKCS1_SHA256, alg_id::RSA_PKCS1_SHA384, alg_id::RSA_PKCS1_SHA512];
    let wanted = match oid {
        RSA_ENCRYPTION if no_parameters => {
            rsa.into_iter().zip(Hash::ALL).find(|(_, of)| *of == hash).map(|(id, _)| id.as_ref().to_vec())
        }
        _ => Some(content.to_vec()),
    };
    let digests = |id: &AlgorithmIdentifier| match id {
        id if [alg_id::RSA_PKCS1_SHA256, alg_id::RSA_PSS_SHA256, alg_id::ECDSA_SHA256].contains(id) => Hash::Sha256,
        id if [alg_id::RSA_PKCS1_SHA384, alg_id::RSA_PSS_SHA384, alg_id::ECDSA_SHA384].contains(id) => Hash::Sha384,
        _ => Hash::Sha512,
    };
    ALGORITHMS
        .into_iter()
        .filter(|algorithm| {
            let id = algorithm.signature_alg_id();
            Some(id.as_ref()) == wanted.as_deref() && digests(&id) == hash
        })
        .collect()
}

/// An RSA key (PKCS #1) of 2,048 to 8,192 bits.
fn rsa_key(key: &[u8]) -> Option<RsaPublicKey> {
    // `RsaPublicKey` itself stops at 4,096 bits; keys of authorities can be longer.
    let parts = rsa::pkcs1::RsaPublicKey::try_from(key).ok()?;
    let number = |bytes: rsa::pkcs1::UintRef<'_>| rsa::BigUint::from_bytes_be(bytes.as_bytes());
    let key = RsaPublicKey::new_with_max_size(number(parts.modulus), number(parts.public_exponent), 8192).ok()?;
    (key.n().bits() >= 2048).then_some(key)
}

/// An RSA key (PKCS #1) of Tor's directory, from 1,024 bits.
pub(crate) fn directory_key(key: &[u8]) -> Option<RsaPublicKey> {
    RsaPublicKey::from_pkcs1_der(key).ok().filter(|key| key.n().bits() >= 1024)
}

macro_rules! ecdsa {
    ($name:ident) => {
        fn $name(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
            use $name::ecdsa::signature::hazmat::PrehashVerifier;
            let key = $name::ecdsa::VerifyingKey::from_sec1_bytes(key).ok()?;
            let signature = $name::ecdsa::Signature::from_der(signature).ok()?;
            key.verify_prehash(digest, &signature).ok()
        }
    };
}
ecdsa!(p256);
ecdsa!(p384);
ecdsa!(p521);
