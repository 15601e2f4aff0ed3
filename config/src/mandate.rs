//! The mandate: a TOML document with a detached SSH signature. It stays a [`SignedMandate`] until
//! signature, content and dates hold; only then does it become a [`Mandate`].

mod check;
pub(crate) mod document;
mod recipients;
pub(crate) mod values;

pub(crate) use values::{label, line, utc};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ssh_key::PublicKey;

use crate::Sha256Digest;
use crate::action::Action;
use crate::document::Complaint;
use crate::limits::Limits;
use crate::media::Media;
use crate::sharing::Terms;
use crate::signers::{AllowedSigners, SignatureError};
use crate::target::{Target, Validity};

/// Namespace of the signature (`ssh-keygen -Y sign -n vigie-mandate`).
pub const NAMESPACE: &str = "vigie-mandate";

/// A document and its signature, unchecked.
#[derive(Clone)]
pub struct SignedMandate {
    document: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a mandate does not count.
#[derive(Debug, thiserror::Error)]
pub enum MandateError {
    /// The signature.
    #[error("the mandate does not count: {0}")]
    Signature(#[from] SignatureError),
    /// The text.
    #[error("the mandate is not valid: {0}: the authority must correct and sign it again")]
    Document(#[from] Complaint),
    /// Signed by someone else than the authority that it names.
    #[error(
        "the mandate names the principal {named:?}, but the signature is by a key of {signed_by}: the authority must sign it"
    )]
    Principal {
        /// In the mandate.
        named: String,
        /// Principals of the key.
        signed_by: String,
    },
    /// Not yet or no longer valid.
    #[error("the mandate {id} is valid from {from} until {until}, and it is {now}: ask the authority")]
    Validity {
        /// Id.
        id: String,
        /// First moment.
        from: Timestamp,
        /// Last moment.
        until: Timestamp,
        /// Now.
        now: Timestamp,
    },
    /// Another mandate of the case names other recipients.
    #[error(
        "the mandate {new} names other recipients than {old}, though both belong to case {case}: all mandates of a case name the same"
    )]
    Recipients {
        /// New mandate.
        new: String,
        /// Old mandate.
        old: String,
        /// Case.
        case: String,
    },
}

impl MandateError {
    /// Stable code for programs and statistics; where a [`crate::refusal::Refusal`] says the same,
    /// its code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Signature(_) => "mandate-signature",
            Self::Document(_) => "mandate-document",
            Self::Principal { .. } => "mandate-principal",
            Self::Validity { from, now, .. } if now < from => "not-yet-valid",
            Self::Validity { .. } => "expired",
            Self::Recipients { .. } => "recipients",
        }
    }
}

/// A mandate that holds. `Debug` shows id and digest only: pseudonyms stay hidden.
#[derive(Clone)]
pub struct Mandate {
    pub(crate) document: Vec<u8>,
    pub(crate) digest: Sha256Digest,
    pub(crate) id: String,
    pub(crate) case: String,
    pub(crate) title: String,
    pub(crate) renews: Option<String>,
    pub(crate) legal_basis: String,
    pub(crate) offences: Vec<String>,
    pub(crate) authority: String,
    pub(crate) principal: String,
    pub(crate) prosecutor_reference: String,
    pub(crate) information: Option<Information>,
    pub(crate) validity: Validity,
    pub(crate) revocations_max_age_days: u32,
    pub(crate) agents: Vec<Agent>,
    pub(crate) pseudonyms: Vec<String>,
    pub(crate) actions: Vec<Action>,
    pub(crate) targets: Vec<Target>,
    pub(crate) limits: Limits,
    pub(crate) media: Media,
    pub(crate) recipients: Recipients,
    pub(crate) keep_until: Date,
    pub(crate) sharing: Vec<String>,
    pub(crate) producer: Option<String>,
    pub(crate) terms: Vec<Terms>,
    pub(crate) two_person_release: bool,
}

/// Proof that the prosecutor was informed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Information {
    /// SHA-256 of the document that informed the prosecutor.
    pub document: Sha256Digest,
    /// Day of the information.
    pub date: Date,
    /// Day from which work may start because the prosecutor does not oppose, when one is given.
    pub non_opposition: Option<Date>,
}

impl Information {
    /// First day of work.
    pub(crate) fn work_from(&self) -> Date {
        self.non_opposition.unwrap_or(self.date)
    }
}

/// An agent that the mandate names by code and key.
#[derive(Clone, Debug)]
pub struct Agent {
    pub(crate) code: String,
    pub(crate) key: PublicKey,
    pub(crate) habilitated_from: Date,
    pub(crate) habilitated_until: Date,
}

/// Who can open what is recorded (age X25519 recipients).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipients {
    pub(crate) case: String,
    pub(crate) escrow: String,
    pub(crate) review: Option<(String, Date)>,
}

impl Recipients {
    /// Recipient of the case.
    pub fn case(&self) -> &str {
        &self.case
    }
    /// Recipient in escrow.
    pub fn escrow(&self) -> &str {
        &self.escrow
    }
    /// Recipient for review and the last day of it (UTC).
    pub fn review(&self) -> Option<(&str, Date)> {
        self.review.as_ref().map(|(key, until)| (key.as_str(), *until))
    }
    /// Recipients at a time: the review recipient until the end of its last day (UTC).
    pub fn at(&self, now: Timestamp) -> Vec<String> {
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        let review = self.review.as_ref().filter(|(_, until)| today <= *until).map(|(key, _)| key.clone());
        [self.case.clone(), self.escrow.clone()].into_iter().chain(review).collect()
    }
}

impl SignedMandate {
    /// Document and detached signature.
    pub fn new(document: Vec<u8>, signature: Vec<u8>) -> Self {
        Self { document, signature }
    }

    /// Checks signature, content and that `now` lies within the validity.
    pub fn verify(self, signers: &AllowedSigners, now: Timestamp) -> Result<Mandate, MandateError> {
        let mandate = self.signed(signers, now)?;
        if !mandate.validity.contains(now) {
            return Err(MandateError::Validity {
                id: mandate.id,
                from: mandate.validity.from,
                until: mandate.validity.until,
                now,
            });
        }
        Ok(mandate)
    }

    /// Checks signature and content, for a mandate that only needs to be read (lists, reads of
    /// old exhibits). The signature is judged at the mandate's own first moment.
    pub fn verify_at_any_time(self, signers: &AllowedSigners) -> Result<Mandate, MandateError> {
        let from = check::mandate(&self.document)?.validity.from;
        self.signed(signers, from)
    }

    fn signed(self, signers: &AllowedSigners, at: Timestamp) -> Result<Mandate, MandateError> {
        let signer = signers.verify(NAMESPACE, &self.document, &self.signature, at)?;
        let mandate = check::mandate(&self.document)?;
        if !signer.is(&mandate.principal) {
            return Err(MandateError::Principal { named: mandate.principal, signed_by: signer.principals.join(",") });
        }
        Ok(mandate)
    }
}

/// Mandates of one case must name identical recipients, or half of its evidence would be closed to
/// whom the other half is open.
pub fn same_recipients(old: &Mandate, new: &Mandate) -> Result<(), MandateError> {
    if old.case == new.case && old.recipients != new.recipients {
        return Err(MandateError::Recipients { new: new.id.clone(), old: old.id.clone(), case: new.case.clone() });
    }
    Ok(())
}

impl std::fmt::Debug for Mandate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Mandate({} {})", self.id, self.digest)
    }
}

impl Agent {
    /// Code, which stands for the agent everywhere.
    pub fn code(&self) -> &str {
        &self.code
    }
    /// SSH key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

impl Mandate {
    /// The signed document, byte for byte.
    pub fn document(&self) -> &[u8] {
        &self.document
    }
    /// SHA-256 of the signed document.
    pub fn digest(&self) -> Sha256Digest {
        self.digest
    }
    /// Id.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// Case.
    pub fn case(&self) -> &str {
        &self.case
    }
    /// Title.
    pub fn title(&self) -> &str {
        &self.title
    }
    /// Mandate that it continues.
    pub fn renews(&self) -> Option<&str> {
        self.renews.as_deref()
    }
    /// Id of the legal basis.
    pub fn legal_basis(&self) -> &str {
        &self.legal_basis
    }
    /// Offences, by id.
    pub fn offences(&self) -> &[String] {
        &self.offences
    }
    /// Office that issued it.
    pub fn authority(&self) -> &str {
        &self.authority
    }
    /// Principal of the allowed signers file that must have signed.
    pub fn principal(&self) -> &str {
        &self.principal
    }
    /// Proof that the prosecutor was informed, when the mandate gives it.
    pub fn information(&self) -> Option<&Information> {
        self.information.as_ref()
    }
    /// The prosecutor's reference.
    pub fn prosecutor_reference(&self) -> &str {
        &self.prosecutor_reference
    }
    /// From and until.
    pub fn validity(&self) -> Validity {
        self.validity
    }
    /// Most days that the newest revocation list may be old.
    pub fn revocations_max_age_days(&self) -> u32 {
        self.revocations_max_age_days
    }
    /// Agents.
    pub fn agents(&self) -> &[Agent] {
        &self.agents
    }
    /// Pseudonyms that may be used.
    pub fn pseudonyms(&self) -> &[String] {
        &self.pseudonyms
    }
    /// Permitted actions.
    pub fn actions(&self) -> &[Action] {
        &self.actions
    }
    /// Targets.
    pub fn targets(&self) -> &[Target] {
        &self.targets
    }
    /// Limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }
    /// Media policy.
    pub fn media(&self) -> Media {
        self.media
    }
    /// Recipients.
    pub fn recipients(&self) -> &Recipients {
        &self.recipients
    }
    /// Last day of retention.
    pub fn keep_until(&self) -> Date {
        self.keep_until
    }
    /// What leaves for a court needs the signature of a second person (`[release] two_persons`).
    pub fn two_person_release(&self) -> bool {
        self.two_person_release
    }
    /// Partners who are named, without terms: nothing may leave to them under these names alone.
    pub fn sharing(&self) -> &[String] {
        &self.sharing
    }
    /// Partners to whom findings may leave, and what of them.
    pub fn sharing_terms(&self) -> &[Terms] {
        &self.terms
    }
    /// As whom partners know the service that shares.
    pub fn producer(&self) -> &str {
        self.producer.as_deref().unwrap_or("customs service")
    }
    /// The terms of one partner, by id.
    pub fn terms(&self, partner: &str) -> Option<&Terms> {
        self.terms.iter().find(|terms| terms.partner() == partner)
    }
}
