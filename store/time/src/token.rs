//! The parts of a time-stamp response (RFC 3161 section 2.4.2) and of the CMS in it (RFC 5652 section
//! 5), as their exact bytes. Nothing here is believed yet: [`crate::Stamp::check`] judges.

use der::asn1::ObjectIdentifier;
use der::{Tag, TagNumber};

use crate::walk::{Malformed, Walk, constructed, only, primitive};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
/// id-ct-TSTInfo.
pub(crate) const TST_INFO: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.16.1.4");

/// What the authority answered.
pub(crate) struct Response<'a> {
    /// PKIStatus: 0 and 1 grant.
    pub status: u32,
    /// The authority's words, joined.
    pub words: String,
    /// ContentInfo with tag and length.
    pub token: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut outer = only(bytes, Tag::Sequence)?;
        let mut info = outer.inside(Tag::Sequence)?;
        let status = info.small()?;
        let mut words = Vec::new();
        if let Some(mut texts) = info.inside_optional(Tag::Sequence)? {
            while !texts.is_finished() {
                let text = std::str::from_utf8(texts.content(Tag::Utf8String)?).map_err(|_| Malformed)?;
                words.push(text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect::<String>());
            }
        }
        info.optional(Tag::BitString)?;
        info.end()?;
        let token = if outer.is_finished() { None } else { Some(outer.whole()?) };
        outer.end()?;
        Ok(Self { status, words: words.join("; "), token })
    }
}

/// SignedData with its one signer.
pub(crate) struct Token<'a> {
    /// Object identifiers of the digest algorithms that the whole names.
    pub digests: Vec<ObjectIdentifier>,
    /// TSTInfo, DER: what is signed through its digest.
    pub content: &'a [u8],
    /// Certificates, DER, as they came.
    pub certificates: Vec<&'a [u8]>,
    pub signer: Signer<'a>,
}

/// SignerInfo.
pub(crate) struct Signer<'a> {
    /// Name of the issuer of its certificate, with tag and length.
    pub issuer: &'a [u8],
    /// Serial number of its certificate: INTEGER content.
    pub serial: &'a [u8],
    pub digest: ObjectIdentifier,
    /// Content of the signed attributes: their tag in the signature is that of a SET.
    pub attributes: &'a [u8],
    /// Object identifier and parameters of the signature algorithm, and both together.
    pub algorithm: (ObjectIdentifier, Option<&'a [u8]>, &'a [u8]),
    pub signature: &'a [u8],
}

impl<'a> Token<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut info = only(bytes, Tag::Sequence)?;
        if info.oid()? != SIGNED_DATA {
            return Err(Malformed);
        }
        let mut explicit = info.inside(constructed(TagNumber::N0))?;
        info.end()?;
        let mut signed = explicit.inside(Tag::Sequence)?;
        explicit.end()?;
        // 3 by RFC 5652 section 5.1 for this content; authorities are known to write others.
        if !(1..=5).contains(&signed.small()?) {
            return Err(Malformed);
        }
        let mut digests = Vec::new();
        let mut set = signed.inside(Tag::Set)?;
        while !set.is_finished() {
            digests.push(set.algorithm()?.0);
        }
        let mut encapsulated = signed.inside(Tag::Sequence)?;
        if encapsulated.oid()? != TST_INFO {
            return Err(Malformed);
        }
        let mut explicit = encapsulated.inside(constructed(TagNumber::N0))?;
        encapsulated.end()?;
        let content = explicit.content(Tag::OctetString)?;
        explicit.end()?;
        let mut certificates = Vec::new();
        if let Some(mut set) = signed.inside_optional(constructed(TagNumber::N0))? {
            while !set.is_finished() {
                // Other choices (attribute certificates) are no X.509 certificates.
                if !set.is_next(Tag::Sequence) {
                    return Err(Malformed);
                }
                certificates.push(set.whole()?);
            }
        }
        // Revocation lists are not looked at: see SECURITY.md.
        signed.optional(constructed(TagNumber::N1))?;
        let mut signers = signed.inside(Tag::Set)?;
        signed.end()?;
        let signer = Signer::parse(signers.inside(Tag::Sequence)?)?;
        // A time stamp has one signature (RFC 3161 section 2.4.2).
        signers.end()?;
        Ok(Self { digests, content, certificates, signer })
    }
}

impl<'a> Signer<'a> {
    fn parse(mut info: Walk<'a>) -> Result<Self, Malformed> {
        // Version 1 names the certificate by issuer and serial number.
        if info.small()? != 1 {
            return Err(Malformed);
        }
        let mut id = info.inside(Tag::Sequence)?;
        let issuer = id.whole()?;
        let serial = id.integer()?;
        id.end()?;
        let (digest, _) = info.algorithm()?;
        let attributes = info.content(constructed(TagNumber::N0))?;
        let content = info.content(Tag::Sequence)?;
        let mut algorithm = Walk::new(content)?;
        let oid = algorithm.oid()?;
        let parameters = if algorithm.is_finished() { None } else { Some(algorithm.whole()?) };
        algorithm.end()?;
        let signature = info.content(Tag::OctetString)?;
        info.optional(constructed(TagNumber::N1))?;
        info.end()?;
        Ok(Self { issuer, serial, digest, attributes, algorithm: (oid, parameters, content), signature })
    }

    /// The one value of a signed attribute, with tag and length; `None` when it is absent.
    pub fn attribute(&self, wanted: ObjectIdentifier) -> Result<Option<&'a [u8]>, Malformed> {
        let mut found = None;
        let mut set = Walk::new(self.attributes)?;
        while !set.is_finished() {
            let mut attribute = set.inside(Tag::Sequence)?;
            let oid = attribute.oid()?;
            let mut values = attribute.inside(Tag::Set)?;
            attribute.end()?;
            if oid != wanted {
                continue;
            }
            if found.is_some() {
                return Err(Malformed);
            }
            found = Some(values.whole()?);
            values.end()?;
        }
        Ok(found)
    }
}

/// TSTInfo: what the authority says.
pub(crate) struct Info<'a> {
    pub policy: ObjectIdentifier,
    /// Object identifier of the digest, and the digest.
    pub imprint: (ObjectIdentifier, &'a [u8]),
    /// INTEGER content.
    pub serial: &'a [u8],
    pub time: &'a str,
    /// Seconds, milliseconds, microseconds.
    pub accuracy: Option<(u32, u32, u32)>,
    /// INTEGER content.
    pub nonce: Option<&'a [u8]>,
    /// GeneralName of the authority, with tag and length.
    pub authority: Option<&'a [u8]>,
}

impl<'a> Info<'a> {
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut info = only(bytes, Tag::Sequence)?;
        if info.small()? != 1 {
            return Err(Malformed);
        }
        let policy = info.oid()?;
        let mut imprint = info.inside(Tag::Sequence)?;
        let (digest, _) = imprint.algorithm()?;
        let hashed = imprint.content(Tag::OctetString)?;
        imprint.end()?;
        let serial = info.integer()?;
        let time = std::str::from_utf8(info.content(Tag::GeneralizedTime)?).map_err(|_| Malformed)?;
        let accuracy = info.inside_optional(Tag::Sequence)?.map(accuracy).transpose()?;
        if info.is_next(Tag::Boolean) {
            info.boolean()?;
        }
        let nonce = if info.is_next(Tag::Integer) { Some(info.integer()?) } else { None };
        let authority = match info.inside_optional(constructed(TagNumber::N0))? {
            Some(mut explicit) => {
                let name = explicit.whole()?;
                explicit.end()?;
                Some(name)
            }
            None => None,
        };
        if let Some(mut extensions) = info.inside_optional(constructed(TagNumber::N1))? {
            while !extensions.is_finished() {
                let mut extension = extensions.inside(Tag::Sequence)?;
                extension.oid()?;
                // A critical extension changes what is said; none is known here.
                if extension.is_next(Tag::Boolean) && extension.boolean()? {
                    return Err(Malformed);
                }
                extension.content(Tag::OctetString)?;
                extension.end()?;
            }
        }
        info.end()?;
        Ok(Self { policy, imprint: (digest, hashed), serial, time, accuracy, nonce, authority })
    }
}

fn accuracy(mut list: Walk<'_>) -> Result<(u32, u32, u32), Malformed> {
    let seconds = if list.is_next(Tag::Integer) { list.small()? } else { 0 };
    let part = |list: &mut Walk<'_>, number| -> Result<u32, Malformed> {
        match list.optional(primitive(number))? {
            None => Ok(0),
            Some([high @ 0..=0x7f]) if *high > 0 => Ok(u32::from(*high)),
            Some([high @ 0..=3, low]) if *high > 0 || *low > 0x7f => Ok(u32::from(*high) << 8 | u32::from(*low)),
            Some(_) => Err(Malformed),
        }
    };
    let millis = part(&mut list, TagNumber::N0)?;
    let micros = part(&mut list, TagNumber::N1)?;
    list.end()?;
    if millis > 999 || micros > 999 { Err(Malformed) } else { Ok((seconds, millis, micros)) }
}

/// The first certificate that an attribute SigningCertificateV2 binds (RFC 5035 section 3), and the
/// others: digest algorithm, digest, and the serial number with its issuers when given.
pub(crate) fn bound_certificates(value: &[u8]) -> Result<Vec<Bound<'_>>, Malformed> {
    let mut outer = only(value, Tag::Sequence)?;
    let mut list = outer.inside(Tag::Sequence)?;
    if !outer.is_finished() {
        // Policies: not looked at.
        outer.content(Tag::Sequence)?;
    }
    outer.end()?;
    let mut bound = Vec::new();
    while !list.is_finished() {
        let mut one = list.inside(Tag::Sequence)?;
        let digest = if one.is_next(Tag::Sequence) { Some(one.algorithm()?.0) } else { None };
        let sum = one.content(Tag::OctetString)?;
        let issuer_serial = match one.inside_optional(Tag::Sequence)? {
            Some(mut pair) => {
                let mut names = pair.inside(Tag::Sequence)?;
                let name = names.whole()?;
                names.end()?;
                let serial = pair.integer()?;
                pair.end()?;
                Some((name, serial))
            }
            None => None,
        };
        one.end()?;
        bound.push(Bound { digest, sum, issuer_serial });
    }
    Ok(bound)
}

/// ESSCertIDv2, or ESSCertID (then without a digest algorithm).
pub(crate) struct Bound<'a> {
    /// SHA-256 when absent.
    pub digest: Option<ObjectIdentifier>,
    pub sum: &'a [u8],
    /// GeneralName of the issuer with tag and length; serial number, INTEGER content.
    pub issuer_serial: Option<(&'a [u8], &'a [u8])>,
}
