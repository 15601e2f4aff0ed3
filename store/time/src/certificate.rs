//! What a time stamp needs to know of a certificate beyond what webpki checks, and the roots that an
//! operator fixed.

use data_encoding::HEXLOWER;
use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};
use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use sha2::{Digest, Sha256};

use crate::algorithms::ALGORITHMS;
use crate::names;
use crate::pem;
use crate::walk::{Malformed, Walk, constructed, only};

const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
/// id-kp-timeStamping (RFC 5280 section 4.2.1.12).
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// Bits of a key usage (RFC 5280 section 4.2.1.3), most significant first.
const DIGITAL_SIGNATURE: u16 = 0x8000;
const NON_REPUDIATION: u16 = 0x4000;
const CERT_SIGN: u16 = 0x0400;

/// A certificate (RFC 5280), its fields as their exact bytes.
pub(crate) struct Certificate<'a> {
    pub der: &'a [u8],
    /// INTEGER content.
    pub serial: &'a [u8],
    /// Name with tag and length.
    pub issuer: &'a [u8],
    /// Name with tag and length.
    pub subject: &'a [u8],
    pub not_before: Timestamp,
    pub not_after: Timestamp,
    /// Content of the AlgorithmIdentifier over the whole.
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
    signed: &'a [u8],
    extensions: Vec<Extension<'a>>,
}

struct Extension<'a> {
    oid: ObjectIdentifier,
    critical: bool,
    value: &'a [u8],
}

impl<'a> Certificate<'a> {
    /// Reads one certificate; its signature is not looked at.
    pub fn parse(der: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = only(der, Tag::Sequence)?;
        let signed = outer.whole()?;
        let signature_algorithm = outer.content(Tag::Sequence)?;
        let signature = outer.content(Tag::BitString)?.strip_prefix(&[0]).ok_or(Malformed)?;
        outer.end()?;

        let mut tbs = only(signed, Tag::Sequence)?;
        let mut version = tbs.inside(constructed(TagNumber::N0))?;
        if version.small()? != 2 {
            return Err(Malformed);
        }
        version.end()?;
        let serial = tbs.integer()?;
        if tbs.content(Tag::Sequence)? != signature_algorithm {
            return Err(Malformed);
        }
        let issuer = tbs.whole()?;
        let mut validity = tbs.inside(Tag::Sequence)?;
        let (not_before, not_after) = (time(&mut validity)?, time(&mut validity)?);
        validity.end()?;
        let subject = tbs.whole()?;
        // The public key is webpki's matter.
        tbs.content(Tag::Sequence)?;
        for unique_id in [TagNumber::N1, TagNumber::N2] {
            tbs.optional(crate::walk::primitive(unique_id))?;
        }
        let mut extensions = Vec::new();
        if let Some(mut wrapped) = tbs.inside_optional(constructed(TagNumber::N3))? {
            let mut list = wrapped.inside(Tag::Sequence)?;
            wrapped.end()?;
            while !list.is_finished() {
                let mut one = list.inside(Tag::Sequence)?;
                let oid = one.oid()?;
                let critical = one.is_next(Tag::Boolean) && one.boolean()?;
                let value = one.content(Tag::OctetString)?;
                one.end()?;
                if extensions.iter().any(|known: &Extension<'_>| known.oid == oid) {
                    return Err(Malformed);
                }
                extensions.push(Extension { oid, critical, value });
            }
        }
        tbs.end()?;
        Ok(Self {
            der,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            signature_algorithm,
            signature,
            signed,
            extensions,
        })
    }

    /// The subject as RFC 4514 writes it, most specific part first.
    pub fn name(&self) -> String {
        names::text(self.subject)
    }

    fn extension(&self, oid: ObjectIdentifier) -> Option<&Extension<'a>> {
        self.extensions.iter().find(|extension| extension.oid == oid)
    }

    /// GeneralNames of the subject besides its name, each with tag and length.
    pub fn alternative_names(&self) -> Result<Vec<&'a [u8]>, Malformed> {
        let Some(extension) = self.extension(SUBJECT_ALT_NAME) else { return Ok(Vec::new()) };
        let mut list = only(extension.value, Tag::Sequence)?;
        let mut names = Vec::new();
        while !list.is_finished() {
            names.push(list.whole()?);
        }
        Ok(names)
    }

    fn key_usage(&self) -> Result<Option<u16>, Malformed> {
        let Some(extension) = self.extension(KEY_USAGE) else { return Ok(None) };
        let mut outer = Walk::new(extension.value)?;
        let bits = outer.content(Tag::BitString)?;
        outer.end()?;
        match bits {
            [unused, first] if *unused < 8 => Ok(Some(u16::from_be_bytes([*first, 0]))),
            [unused, first, second] if *unused < 8 => Ok(Some(u16::from_be_bytes([*first, *second]))),
            _ => Err(Malformed),
        }
    }

    /// The certificate may sign time stamps: its only extended key usage is timeStamping, marked
    /// critical (RFC 3161 section 2.3), and its key usage, when it has one, is for signatures alone.
    pub fn is_for_time_stamping(&self) -> Result<(), &'static str> {
        let unreadable = |_| "its certificate's key usage cannot be read";
        let usage = self.extension(EXTENDED_KEY_USAGE).ok_or("its certificate has no extended key usage")?;
        let mut list = only(usage.value, Tag::Sequence).map_err(unreadable)?;
        let first = list.oid().map_err(unreadable)?;
        if first != TIME_STAMPING || !list.is_finished() {
            return Err("the extended key usage of its certificate is not timeStamping alone");
        }
        if !usage.critical {
            return Err("the extended key usage of its certificate is not marked critical");
        }
        match self.key_usage().map_err(unreadable)? {
            Some(bits)
                if bits & !(DIGITAL_SIGNATURE | NON_REPUDIATION) != 0
                    || bits & (DIGITAL_SIGNATURE | NON_REPUDIATION) == 0 =>
            {
                Err("the key usage of its certificate is not for signatures alone")
            }
            _ => Ok(()),
        }
    }

    /// May issue certificates; gives how many further issuers may stand below it.
    pub fn issuer_depth(&self) -> Result<Option<u32>, &'static str> {
        let unreadable = |_| "its basic constraints cannot be read";
        let constraints = self.extension(BASIC_CONSTRAINTS).ok_or("it has no basic constraints")?;
        let mut list = only(constraints.value, Tag::Sequence).map_err(unreadable)?;
        let authority = list.is_next(Tag::Boolean) && list.boolean().map_err(unreadable)?;
        let depth = if list.is_finished() { None } else { Some(list.small().map_err(unreadable)?) };
        list.end().map_err(unreadable)?;
        if !authority {
            return Err("it is no certificate of an authority (basic constraints)");
        }
        match self.key_usage().map_err(|_| "its key usage cannot be read")? {
            Some(bits) if bits & CERT_SIGN == 0 => Err("its key usage does not let it sign certificates"),
            _ => Ok(depth),
        }
    }

    pub fn is_valid_at(&self, time: Timestamp) -> bool {
        self.not_before <= time && time <= self.not_after
    }
}

/// A Time: UTCTime or GeneralizedTime to the second, `Z` (RFC 5280 section 4.1.2.5).
fn time(walk: &mut Walk<'_>) -> Result<Timestamp, Malformed> {
    let (tag, content) = walk.any()?;
    let text = std::str::from_utf8(content).map_err(|_| Malformed)?;
    match tag {
        Tag::GeneralizedTime if text.len() == 15 => generalized(text),
        Tag::UtcTime if text.len() == 13 => {
            let century = if text.get(..2).ok_or(Malformed)? < "50" { "20" } else { "19" };
            generalized(&format!("{century}{text}"))
        }
        _ => Err(Malformed),
    }
}

/// `YYYYMMDDhhmmss[.f…]Z`, with at most nine decimals.
pub(crate) fn generalized(text: &str) -> Result<Timestamp, Malformed> {
    let digits = text.strip_suffix('Z').ok_or(Malformed)?;
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.len() != 14 || !all(whole) || fraction.is_some_and(|f| f.is_empty() || f.len() > 9 || !all(f)) {
        return Err(Malformed);
    }
    let text = format!(
        "{}-{}-{}T{}:{}:{}.{}Z",
        &whole[..4],
        &whole[4..6],
        &whole[6..8],
        &whole[8..10],
        &whole[10..12],
        &whole[12..],
        fraction.unwrap_or("0")
    );
    // A leap second would be read as the second before it.
    if &whole[12..] == "60" {
        return Err(Malformed);
    }
    text.parse().map_err(|_| Malformed)
}

/// A file that is not a root to trust.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the certificate of a root authority: {0}")]
pub struct RootError(&'static str);

/// A self-signed certificate that an operator fixed as the end of chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    der: Vec<u8>,
    pub(crate) depth: Option<u32>,
}

impl Root {
    /// Reads one certificate, PEM (RFC 7468) or DER: self-signed, an authority's, in its validity or
    /// not (that is judged at the time of each stamp).
    pub fn parse(bytes: &[u8]) -> Result<Self, RootError> {
        let der = match pem::certificates(bytes) {
            Some(mut list) if list.len() == 1 => list.swap_remove(0),
            Some(_) => return Err(RootError("the file must hold exactly one certificate")),
            None => bytes.to_vec(),
        };
        let certificate = Certificate::parse(&der).map_err(|_| RootError("it cannot be read as a certificate"))?;
        let depth = certificate.issuer_depth().map_err(RootError)?;
        if certificate.subject != certificate.issuer {
            return Err(RootError("another authority issued it: name the root of the chain"));
        }
        let own = CertificateDer::from(der.as_slice());
        let anchored = webpki::EndEntityCert::try_from(&own);
        // webpki takes no authority's certificate as the end of a chain; for its key alone it does.
        let holds = anchored.is_ok_and(|end| {
            ALGORITHMS
                .iter()
                .filter(|algorithm| algorithm.signature_alg_id().as_ref() == certificate.signature_algorithm)
                .any(|algorithm| end.verify_signature(*algorithm, certificate.signed, certificate.signature).is_ok())
        });
        if !holds {
            return Err(RootError("it is not signed by its own key with an algorithm that is accepted here"));
        }
        Ok(Self { depth, der: der.clone() })
    }

    /// The certificate, DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Hex SHA-256 of the certificate, by which people compare it.
    pub fn sha256(&self) -> String {
        HEXLOWER.encode(&Sha256::digest(&self.der))
    }

    /// Its subject as RFC 4514 writes it.
    pub fn name(&self) -> String {
        Certificate::parse(&self.der).map(|certificate| certificate.name()).unwrap_or_default()
    }

    /// Its validity.
    pub fn validity(&self) -> Option<(Timestamp, Timestamp)> {
        Certificate::parse(&self.der).ok().map(|certificate| (certificate.not_before, certificate.not_after))
    }
}

/// The chain from a signer to one of the roots, judged at a time.
pub(crate) fn chain<'r>(
    signer: &[u8],
    others: &[&[u8]],
    roots: &'r [Root],
    time: Timestamp,
) -> Result<(&'r Root, Vec<Vec<u8>>), String> {
    let own = CertificateDer::from(signer);
    let end = webpki::EndEntityCert::try_from(&own).map_err(|e| format!("its certificate cannot be read ({e:?})"))?;
    let roots_der: Vec<CertificateDer<'_>> =
        roots.iter().map(|root| CertificateDer::from(root.der.as_slice())).collect();
    let anchors: Vec<TrustAnchor<'_>> =
        roots_der.iter().filter_map(|root| webpki::anchor_from_trusted_cert(root).ok()).collect();
    let others: Vec<CertificateDer<'_>> = others.iter().map(|der| CertificateDer::from(*der)).collect();
    let seconds = u64::try_from(time.as_second()).map_err(|_| "its time lies before 1970".to_owned())?;
    let at = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    // 1.3.6.1.5.5.7.3.8; the signer's own is checked more closely elsewhere.
    let usage = webpki::KeyUsage::required_if_present(&[0x2b, 6, 1, 5, 5, 7, 3, 8]);
    let path = end.verify_for_usage(&ALGORITHMS, &anchors, &others, at, usage, None, None).map_err(|e| explain(&e))?;
    let root = roots
        .iter()
        .zip(&roots_der)
        .find(|(_, der)| webpki::anchor_from_trusted_cert(der).is_ok_and(|anchor| anchor == *path.anchor()))
        .map(|(root, _)| root)
        .ok_or_else(|| "its chain ends at no root that was fixed".to_owned())?;
    let between: Vec<Vec<u8>> = path.intermediate_certificates().map(|cert| cert.der().as_ref().to_vec()).collect();
    if root.depth.is_some_and(|depth| between.len() > depth as usize) {
        return Err("its chain is longer than the root permits".to_owned());
    }
    let root_valid = Certificate::parse(&root.der).is_ok_and(|certificate| certificate.is_valid_at(time));
    if !root_valid {
        return Err("the root was not valid at the stamp's time".to_owned());
    }
    for der in &between {
        Certificate::parse(der)
            .map_err(|_| "a certificate of its chain cannot be read".to_owned())?
            .issuer_depth()
            .map_err(|why| format!("a certificate of its chain may issue none: {why}"))?;
    }
    Ok((root, between))
}

fn explain(error: &webpki::Error) -> String {
    use webpki::Error::{CertExpired, CertNotValidYet, UnknownIssuer};
    match error {
        UnknownIssuer => "no chain leads from its certificate to a root that was fixed".to_owned(),
        CertExpired { .. } => "a certificate of its chain had expired at the stamp's time".to_owned(),
        CertNotValidYet { .. } => "a certificate of its chain was not yet valid at the stamp's time".to_owned(),
        other => format!("its chain does not hold ({other:?})"),
    }
}
