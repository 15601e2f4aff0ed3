//! Who can open what is sealed.

use std::str::FromStr;

/// An age recipient: `age1…` (X25519), `age1tag1…` or `age1tagpq1…` (hardware tokens; the
/// latter cannot stand beside the others in one file).
#[derive(Clone)]
pub struct Recipient(Inner);

#[derive(Clone)]
enum Inner {
    X25519(age::x25519::Recipient),
    Tag(age::tag::Recipient),
    /// Ten times as large as the others.
    TagPq(Box<age::tagpq::Recipient>),
}

/// Text that is no age recipient. The text itself is not repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an age recipient (age1…, age1tag1… or age1tagpq1…); copy it from age-keygen -y")]
pub struct RecipientError;

impl FromStr for Recipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let inner = if text.starts_with("age1tagpq1") {
            text.parse().ok().map(Box::new).map(Inner::TagPq)
        } else if text.starts_with("age1tag1") {
            text.parse().ok().map(Inner::Tag)
        } else {
            text.parse().ok().map(Inner::X25519)
        };
        inner.map(Self).ok_or(RecipientError)
    }
}

impl Recipient {
    pub(crate) fn as_age(&self) -> &dyn age::Recipient {
        match &self.0 {
            Inner::X25519(recipient) => recipient,
            Inner::Tag(recipient) => recipient,
            Inner::TagPq(recipient) => recipient.as_ref(),
        }
    }
}

impl std::fmt::Debug for Recipient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Recipient(…)")
    }
}
