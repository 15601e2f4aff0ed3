//! Judging a time stamp: RFC 3161 with RFC 5816, over RFC 5652 and RFC 5035.

use data_encoding::HEXLOWER;
use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};
use jiff::Timestamp;
use sha1::Sha1;
use sha2::Digest;

use crate::algorithms::{Hash, of_signer};
use crate::certificate::{Certificate, Root, chain, generalized};
use crate::names;
use crate::request::{Request, tagged};
use crate::token::{Bound, Info, Response, TST_INFO, Token, bound_certificates};
use crate::walk::{Malformed, constructed, only};

/// Most bytes of a response that is read.
pub const RESPONSE_BYTES: usize = 1 << 20;

const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");
const SIGNING_CERTIFICATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.12");
const SIGNING_CERTIFICATE_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.2.47");

/// Why a response is not taken. Each text stands after "the time stamp is not accepted: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// Not the DER of a response.
    #[error("{0} cannot be read as RFC 3161 has it")]
    Malformed(&'static str),
    /// The authority did not grant it.
    #[error("the authority did not grant it (status {status}: {words})")]
    NotGranted {
        /// PKIStatus.
        status: u32,
        /// The authority's words.
        words: String,
    },
    /// It stamps something else.
    #[error("it stamps another file than the one asked for")]
    Imprint,
    /// It answers another request.
    #[error("its nonce is not the one of the request")]
    Nonce,
    /// It was made under another policy than the one asked for.
    #[error("it was made under policy {0}, which is not the one asked for")]
    Policy(String),
    /// What the signature is over does not hold.
    #[error("{0}")]
    Signature(&'static str),
    /// Its certificate may not sign time stamps, or is not the one that it binds.
    #[error("{0}")]
    Certificate(&'static str),
    /// No chain to a fixed root at its time.
    #[error("{0}")]
    Chain(String),
}

impl StampError {
    const fn malformed(what: &'static str) -> impl Fn(Malformed) -> Self {
        move |_| Self::Malformed(what)
    }
}

/// How exact the authority says its time is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accuracy {
    /// Largest deviation either way, in microseconds.
    pub micros: u64,
}

/// A time stamp that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When the authority saw the digest.
    pub time: Timestamp,
    /// How exact that is, when the authority says it.
    pub accuracy: Option<Accuracy>,
    /// Serial number of the stamp, hex.
    pub serial: String,
    /// Policy that it was made under, as dotted numbers.
    pub policy: String,
    /// Subject of the signing certificate (RFC 4514).
    pub authority: String,
    /// Hex SHA-256 of the root at which its chain ends.
    pub root_sha256: String,
    /// Subject of that root.
    pub root: String,
    /// The signing certificate and those between it and the root, DER.
    pub chain: Vec<Vec<u8>>,
}

impl Stamp {
    /// Judges a response to a request. `others` are certificates that the response may lack, DER. The
    /// chain is judged at the stamp's own time, so that it still holds when certificates have ended.
    pub fn check(response: &[u8], request: &Request, roots: &[Root], others: &[Vec<u8>]) -> Result<Self, StampError> {
        if response.len() > RESPONSE_BYTES {
            return Err(StampError::Malformed("a response over 1 MiB"));
        }
        let response = Response::parse(response).map_err(StampError::malformed("the response"))?;
        if response.status > 1 {
            return Err(StampError::NotGranted { status: response.status, words: response.words });
        }
        let token = response.token.ok_or(StampError::Malformed("a response without a token"))?;
        let token = Token::parse(token).map_err(StampError::malformed("the token"))?;
        let info = Info::parse(token.content).map_err(StampError::malformed("what it states"))?;
        if info.imprint != (Hash::Sha256.oid(), &request.sha256[..]) {
            return Err(StampError::Imprint);
        }
        if info.nonce != Some(&request.nonce_bytes()[..]) {
            return Err(StampError::Nonce);
        }
        if request.policy.as_ref().is_some_and(|wanted| *wanted != info.policy.to_string()) {
            return Err(StampError::Policy(info.policy.to_string()));
        }
        let time = generalized(info.time).map_err(StampError::malformed("its time"))?;

        let known: Vec<&[u8]> = token.certificates.iter().copied().chain(others.iter().map(Vec::as_slice)).collect();
        let mut signer = None;
        for der in &known {
            let certificate =
                Certificate::parse(der).map_err(StampError::malformed("a certificate that comes with it"))?;
            if certificate.issuer == token.signer.issuer && certificate.serial == token.signer.serial {
                signer.get_or_insert(certificate);
            }
        }
        let signer = signer.ok_or(StampError::Certificate(
            "the certificate that signed it is not in it: give the authority's certificates along",
        ))?;
        signature_holds(&token, &signer)?;
        signer.is_for_time_stamping().map_err(StampError::Certificate)?;
        let rest: Vec<&[u8]> = known.iter().copied().filter(|der| *der != signer.der).collect();
        let (root, between) = chain(signer.der, &rest, roots, time).map_err(StampError::Chain)?;
        binds(&token, &signer, &between, root)?;
        if let Some(name) = info.authority {
            is_named(name, &signer)?;
        }
        Ok(Self {
            time,
            accuracy: info.accuracy.map(|(seconds, millis, micros)| Accuracy {
                micros: u64::from(seconds) * 1_000_000 + u64::from(millis) * 1_000 + u64::from(micros),
            }),
            serial: HEXLOWER.encode(info.serial),
            policy: info.policy.to_string(),
            authority: signer.name(),
            root_sha256: root.sha256(),
            root: root.name(),
            chain: std::iter::once(signer.der.to_vec()).chain(between).collect(),
        })
    }

    /// The imprint (when it is a SHA-256) and the nonce of a response, unchecked: to find the request
    /// that it answers. `None` when there is none in it.
    pub fn dangerously_peek(response: &[u8]) -> Option<([u8; 32], Option<u64>)> {
        let token = Response::parse(response.get(..RESPONSE_BYTES.min(response.len()))?).ok()?.token?;
        let info = Info::parse(Token::parse(token).ok()?.content).ok()?;
        let sha256 = info.imprint.1.try_into().ok().filter(|_| info.imprint.0 == Hash::Sha256.oid())?;
        let nonce = info.nonce.and_then(|bytes| {
            let mut nonce = [0; 8];
            nonce.get_mut(8_usize.wrapping_sub(bytes.len())..)?.copy_from_slice(bytes);
            Some(u64::from_be_bytes(nonce))
        });
        Some((sha256, nonce))
    }
}

/// The signed attributes name content and digest, and the signature over them is the certificate's.
fn signature_holds(token: &Token<'_>, signer: &Certificate<'_>) -> Result<(), StampError> {
    let attributes = StampError::malformed("its signed attributes");
    let info = &token.signer;
    let hash = Hash::from_oid(info.digest)
        .ok_or(StampError::Signature("it is signed over a digest that is not SHA-256, SHA-384 or SHA-512"))?;
    if !token.digests.contains(&info.digest) {
        return Err(StampError::Signature("it does not announce the digest that it is signed over"));
    }
    let content_type = info.attribute(CONTENT_TYPE).map_err(&attributes)?.unwrap_or_default();
    if crate::walk::Walk::new(content_type).and_then(|mut walk| walk.oid()) != Ok(TST_INFO) {
        return Err(StampError::Signature("its signed attributes name another kind of content"));
    }
    let digest = info.attribute(MESSAGE_DIGEST).map_err(&attributes)?.unwrap_or_default();
    if digest != tagged(Tag::OctetString, &hash.of(token.content)) {
        return Err(StampError::Signature("its signed attributes hold the digest of another content"));
    }
    // The signature is over the attributes as a SET (RFC 5652 section 5.4), in the order that they came.
    let signed = tagged(Tag::Set, info.attributes);
    let own = rustls_pki_types::CertificateDer::from(signer.der);
    let end = webpki::EndEntityCert::try_from(&own)
        .map_err(|_| StampError::Certificate("the certificate that signed it cannot be read"))?;
    let (oid, parameters, content) = info.algorithm;
    let algorithms = of_signer(oid, parameters, content, hash);
    if algorithms.is_empty() {
        return Err(StampError::Signature("it is signed with an algorithm that is not accepted here"));
    }
    let holds = |algorithm: &&dyn rustls_pki_types::SignatureVerificationAlgorithm| {
        end.verify_signature(*algorithm, &signed, info.signature).is_ok()
    };
    if algorithms.iter().any(holds) { Ok(()) } else { Err(StampError::Signature("its signature does not hold")) }
}

/// The signed attributes bind the certificate that signed, so that no other with the same key can be
/// put in its place (RFC 5816 section 2.2.1).
fn binds(token: &Token<'_>, signer: &Certificate<'_>, between: &[Vec<u8>], root: &Root) -> Result<(), StampError> {
    let malformed = StampError::malformed("the certificates that it binds");
    let fault = StampError::Certificate("it binds another certificate than the one that signed it");
    let value = token.signer.attribute(SIGNING_CERTIFICATE_V2).map_err(&malformed)?;
    let value = value.ok_or(StampError::Certificate(
        "it does not bind its certificate by a digest that is still trusted (ESSCertIDv2, RFC 5816)",
    ))?;
    let of_path: Vec<&[u8]> =
        std::iter::once(signer.der).chain(between.iter().map(Vec::as_slice)).chain([root.der()]).collect();
    let v2 = bound_certificates(value).map_err(&malformed)?;
    // The first is the signer; the others, when there are any, stand in its chain.
    let is = |bound: &Bound<'_>, der: &[u8]| {
        let hash = bound.digest.map_or(Some(Hash::Sha256), Hash::from_oid);
        hash.is_some_and(|hash| hash.of(der) == bound.sum) && issued(bound, der)
    };
    all_in_path(&v2, &of_path, is).ok_or_else(|| fault.clone())?;
    if let Some(value) = token.signer.attribute(SIGNING_CERTIFICATE).map_err(&malformed)? {
        let v1 = bound_certificates(value).map_err(&malformed)?;
        let is = |bound: &Bound<'_>, der: &[u8]| {
            bound.digest.is_none() && Sha1::digest(der).as_slice() == bound.sum && issued(bound, der)
        };
        all_in_path(&v1, &of_path, is).ok_or(fault)?;
    }
    Ok(())
}

fn all_in_path(bound: &[Bound<'_>], path: &[&[u8]], is: impl Fn(&Bound<'_>, &[u8]) -> bool) -> Option<()> {
    let (first, others) = bound.split_first()?;
    let held = is(first, path.first()?) && others.iter().all(|bound| path.iter().any(|der| is(bound, der)));
    held.then_some(())
}

/// Issuer and serial number, when the binding names them, are the certificate's.
fn issued(bound: &Bound<'_>, der: &[u8]) -> bool {
    let Some((issuer, serial)) = bound.issuer_serial else { return true };
    let Ok(certificate) = Certificate::parse(der) else { return false };
    serial == certificate.serial && issuer == tagged(constructed(TagNumber::N4), certificate.issuer)
}

/// The name that the authority gives itself is one of its certificate.
fn is_named(name: &[u8], signer: &Certificate<'_>) -> Result<(), StampError> {
    let fault = StampError::Certificate("it names another authority than its certificate does");
    let others = signer.alternative_names().map_err(StampError::malformed("a name in its certificate"))?;
    if name == tagged(constructed(TagNumber::N4), signer.subject) || others.contains(&name) {
        return Ok(());
    }
    // The same name may be written in another type of string.
    let mut walk = crate::walk::Walk::new(name).map_err(StampError::malformed("the name of its authority"))?;
    let directory = walk.content(constructed(TagNumber::N4)).map_err(|_| fault.clone())?;
    only(directory, Tag::Sequence).map_err(StampError::malformed("the name of its authority"))?;
    let same = names::text(directory) == names::text(signer.subject);
    if same && !names::text(directory).contains('#') { Ok(()) } else { Err(fault) }
}
