//! DER values one after the other, with their exact bytes. `der` does the strict reading (lengths in
//! their shortest form, no indefinite ones); this keeps what was read as it came, since that is what
//! digests and signatures are made over.

use der::asn1::{AnyRef, IntRef, ObjectIdentifier};
use der::{Reader, SliceReader, Tag, TagNumber, Tagged};

/// Bytes that are not the DER that was expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<der::Error> for Malformed {
    fn from(_: der::Error) -> Self {
        Self
    }
}

/// Values in a constructed value, or the one value of a file.
pub(crate) struct Walk<'a>(SliceReader<'a>);

impl<'a> Walk<'a> {
    /// Over the content of a constructed value.
    pub fn new(content: &'a [u8]) -> Result<Self, Malformed> {
        Ok(Self(SliceReader::new(content)?))
    }

    /// Nothing is left.
    pub fn is_finished(&self) -> bool {
        self.0.is_finished()
    }

    /// Fails unless nothing is left.
    pub fn end(self) -> Result<(), Malformed> {
        if self.is_finished() { Ok(()) } else { Err(Malformed) }
    }

    /// The next value is of this tag.
    pub fn is_next(&self, tag: Tag) -> bool {
        !self.is_finished() && self.0.peek_tag() == Ok(tag)
    }

    /// The next value with its tag and length.
    pub fn whole(&mut self) -> Result<&'a [u8], Malformed> {
        Ok(self.0.tlv_bytes()?)
    }

    /// The content of the next value, of whatever tag.
    pub fn any(&mut self) -> Result<(Tag, &'a [u8]), Malformed> {
        let any: AnyRef<'a> = self.0.decode()?;
        Ok((any.tag(), any.value()))
    }

    /// The content of the next value, which must have this tag.
    pub fn content(&mut self, tag: Tag) -> Result<&'a [u8], Malformed> {
        let (found, content) = self.any()?;
        if found == tag { Ok(content) } else { Err(Malformed) }
    }

    /// As [`Self::content`], or `None` when the next value has another tag.
    pub fn optional(&mut self, tag: Tag) -> Result<Option<&'a [u8]>, Malformed> {
        if self.is_next(tag) { self.content(tag).map(Some) } else { Ok(None) }
    }

    /// Into a constructed value.
    pub fn inside(&mut self, tag: Tag) -> Result<Walk<'a>, Malformed> {
        Walk::new(self.content(tag)?)
    }

    /// As [`Self::inside`], or `None` when the next value has another tag.
    pub fn inside_optional(&mut self, tag: Tag) -> Result<Option<Walk<'a>>, Malformed> {
        self.optional(tag)?.map(Walk::new).transpose()
    }

    pub fn oid(&mut self) -> Result<ObjectIdentifier, Malformed> {
        Ok(self.0.decode()?)
    }

    /// An INTEGER's bytes: two's complement, as short as can be, without leading zeros when positive.
    pub fn integer(&mut self) -> Result<&'a [u8], Malformed> {
        let integer: IntRef<'a> = self.0.decode()?;
        Ok(integer.as_bytes())
    }

    /// A small, not negative INTEGER.
    pub fn small(&mut self) -> Result<u32, Malformed> {
        Ok(self.0.decode()?)
    }

    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        Ok(self.0.decode()?)
    }

    /// An AlgorithmIdentifier: its object identifier, and its parameters with tag and length.
    pub fn algorithm(&mut self) -> Result<(ObjectIdentifier, Option<&'a [u8]>), Malformed> {
        let mut inner = self.inside(Tag::Sequence)?;
        let oid = inner.oid()?;
        let parameters = if inner.is_finished() { None } else { Some(inner.whole()?) };
        inner.end()?;
        Ok((oid, parameters))
    }
}

/// The one value that some bytes are, as its content.
pub(crate) fn only(bytes: &[u8], tag: Tag) -> Result<Walk<'_>, Malformed> {
    let mut walk = Walk::new(bytes)?;
    let inner = walk.inside(tag)?;
    walk.end()?;
    Ok(inner)
}

/// `[number]`, constructed (EXPLICIT, or IMPLICIT over a constructed type).
pub(crate) const fn constructed(number: TagNumber) -> Tag {
    Tag::ContextSpecific { constructed: true, number }
}

/// `[number]`, primitive (IMPLICIT over a primitive type).
pub(crate) const fn primitive(number: TagNumber) -> Tag {
    Tag::ContextSpecific { constructed: false, number }
}
