//! What may be shared with whom: the `[[sharing.with]]` clauses of a mandate, and the one place that
//! turns a clause, a format, a mark and a time into permission.

use std::collections::HashSet;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use ssh_key::PublicKey;
use toml::Spanned;

use crate::document::Source;
use crate::mandate::Mandate;
use crate::mandate::document::SharingTable;
use crate::mandate::values::{Checked, date, label, line};
use crate::signers::{AllowedSigners, SignatureError, Signer};

/// Namespace of a partner's signature (`ssh-keygen -Y sign -n vigie-annotation`).
pub const NAMESPACE: &str = "vigie-annotation";

/// A mark of the Traffic Light Protocol 2.0 (FIRST, 2022), from the widest circle to the narrowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tlp {
    /// Anyone.
    #[serde(rename = "clear")]
    Clear,
    /// The recipient's community.
    #[serde(rename = "green")]
    Green,
    /// The recipient's organisation and its clients, as needed.
    #[serde(rename = "amber")]
    Amber,
    /// The recipient's organisation.
    #[serde(rename = "amber+strict")]
    AmberStrict,
    /// The persons to whom it is given.
    #[serde(rename = "red")]
    Red,
}

impl Tlp {
    /// All, widest first.
    pub const ALL: [Self; 5] = [Self::Clear, Self::Green, Self::Amber, Self::AmberStrict, Self::Red];

    /// As documents write it: `amber+strict`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Clear => "clear",
            Self::Green => "green",
            Self::Amber => "amber",
            Self::AmberStrict => "amber+strict",
            Self::Red => "red",
        }
    }

    /// Reads a name, in any letter case, with or without `TLP:` before it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.to_ascii_lowercase();
        let name = text.strip_prefix("tlp:").unwrap_or(&text);
        Self::ALL.into_iter().find(|mark| mark.name() == name)
    }
}

impl std::fmt::Display for Tlp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TLP:{}", self.name().to_ascii_uppercase())
    }
}

/// In which form findings leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A spreadsheet (Office Open XML).
    Xlsx,
    /// RFC 4180.
    Csv,
    /// A MISP event.
    Misp,
    /// A STIX 2.1 bundle.
    Stix,
    /// One page (PDF).
    Alert,
}

impl Format {
    /// All.
    pub const ALL: [Self; 5] = [Self::Xlsx, Self::Csv, Self::Misp, Self::Stix, Self::Alert];

    /// As documents write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Xlsx => "xlsx",
            Self::Csv => "csv",
            Self::Misp => "misp",
            Self::Stix => "stix",
            Self::Alert => "alert",
        }
    }
}

/// A column of what is shared. The order is that of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each is the field of its name")]
pub enum Column {
    Id,
    FirstSeen,
    LastSeen,
    Status,
    SiteClass,
    CountryFrom,
    CountryTo,
    Taxon,
    AdvertisedName,
    EuAnnex,
    CitesAppendix,
    CitesTerm,
    Unit,
    Quantity,
    Documents,
    Price,
    Currency,
    Validated,
    SellerToken,
}

impl Column {
    /// All, in the order of the table.
    pub const ALL: [Self; 19] = [
        Self::Id,
        Self::FirstSeen,
        Self::LastSeen,
        Self::Status,
        Self::SiteClass,
        Self::CountryFrom,
        Self::CountryTo,
        Self::Taxon,
        Self::AdvertisedName,
        Self::EuAnnex,
        Self::CitesAppendix,
        Self::CitesTerm,
        Self::Unit,
        Self::Quantity,
        Self::Documents,
        Self::Price,
        Self::Currency,
        Self::Validated,
        Self::SellerToken,
    ];

    /// Its head in tables, and its name in a mandate.
    pub fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::FirstSeen => "first_seen",
            Self::LastSeen => "last_seen",
            Self::Status => "status",
            Self::SiteClass => "site_class",
            Self::CountryFrom => "country_from",
            Self::CountryTo => "country_to",
            Self::Taxon => "taxon",
            Self::AdvertisedName => "advertised_name",
            Self::EuAnnex => "eu_annex",
            Self::CitesAppendix => "cites_appendix",
            Self::CitesTerm => "cites_term",
            Self::Unit => "unit",
            Self::Quantity => "quantity",
            Self::Documents => "documents",
            Self::Price => "price",
            Self::Currency => "currency",
            Self::Validated => "validated",
            Self::SellerToken => "seller_token",
        }
    }
}

/// What the mandate says about one partner.
#[derive(Clone, Debug)]
pub struct Terms {
    pub(crate) partner: String,
    pub(crate) name: String,
    pub(crate) formats: Vec<Format>,
    pub(crate) tlp: Tlp,
    pub(crate) seller_tokens: bool,
    pub(crate) without: Vec<Column>,
    pub(crate) photos: bool,
    pub(crate) until: Option<Date>,
    pub(crate) annotation_key: Option<PublicKey>,
}

impl Terms {
    /// Id of the partner.
    pub fn partner(&self) -> &str {
        &self.partner
    }
    /// What the partner is called.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Forms in which findings may leave.
    pub fn formats(&self) -> &[Format] {
        &self.formats
    }
    /// The widest circle that a share may be marked for.
    pub fn tlp(&self) -> Tlp {
        self.tlp
    }
    /// Sellers leave as tokens; else not at all.
    pub fn seller_tokens(&self) -> bool {
        self.seller_tokens
    }
    /// Columns that stay empty.
    pub fn without(&self) -> &[Column] {
        &self.without
    }
    /// Redacted photographs may leave.
    pub fn photos(&self) -> bool {
        self.photos
    }
    /// Last day (UTC); none: as long as the mandate is valid.
    pub fn until(&self) -> Option<Date> {
        self.until
    }

    /// Checks the partner's signature over an annotation.
    ///
    /// # Errors
    /// The clause names no key, or the signature is another's, for something else, or does not match.
    pub fn check_annotation(
        &self,
        document: &[u8],
        signature: &[u8],
        now: Timestamp,
    ) -> Result<Signer, SharingRefusal> {
        let refused = |why: String| SharingRefusal::Annotation { partner: self.partner.clone(), why };
        let key =
            self.annotation_key.as_ref().ok_or_else(|| refused("the mandate names no key of this partner".into()))?;
        let key = key.to_openssh().map_err(|e| refused(e.to_string()))?;
        let line = format!("{} namespaces=\"{NAMESPACE}\" {key}\n", self.partner);
        let signers = AllowedSigners::parse(line.as_bytes()).map_err(|e| refused(e.reason))?;
        signers.verify(NAMESPACE, document, signature, now).map_err(|error| match error {
            SignatureError::NotAllowed(key) => {
                refused(format!("it is signed by {key}, which is not the partner's key"))
            }
            other => refused(other.to_string()),
        })
    }
}

/// Why something may not be shared, or an answer not be taken in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharingRefusal {
    /// No mandate of the case knows the partner.
    #[error(
        "no mandate of the case {case} lets anything be shared with {partner:?}: ask the authority for a [[sharing.with]] clause"
    )]
    NotAPartner {
        /// Case.
        case: String,
        /// As asked for.
        partner: String,
    },
    /// The clause has ended.
    #[error("sharing with {partner} ended on {until}: ask the authority")]
    Ended {
        /// Partner.
        partner: String,
        /// Last day or moment.
        until: String,
    },
    /// The clause does not name the form.
    #[error("the mandate does not let findings leave to {partner} as {format}: it names {named}")]
    Format {
        /// Partner.
        partner: String,
        /// Asked for.
        format: &'static str,
        /// Permitted.
        named: String,
    },
    /// A wider circle than the clause permits.
    #[error("{asked} is a wider circle than the mandate permits for {partner}: mark it {limit} or stricter")]
    Tlp {
        /// Partner.
        partner: String,
        /// Asked for.
        asked: Tlp,
        /// Widest.
        limit: Tlp,
    },
    /// A partner's answer.
    #[error("the annotation of {partner} does not count: {why}")]
    Annotation {
        /// Partner.
        partner: String,
        /// Why.
        why: String,
    },
}

impl SharingRefusal {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAPartner { .. } => "not-a-partner",
            Self::Ended { .. } => "sharing-ended",
            Self::Format { .. } => "sharing-format",
            Self::Tlp { .. } => "sharing-tlp",
            Self::Annotation { .. } => "annotation",
        }
    }
}

/// Whether findings may leave to a partner now, in this form, under this mark (else: the clause's own).
///
/// # Errors
/// See [`SharingRefusal`].
pub fn permit<'m>(
    mandate: &'m Mandate,
    partner: &str,
    format: Format,
    tlp: Option<Tlp>,
    now: Timestamp,
) -> Result<(&'m Terms, Tlp), SharingRefusal> {
    let terms = mandate
        .terms(partner)
        .ok_or_else(|| SharingRefusal::NotAPartner { case: mandate.case().to_owned(), partner: partner.to_owned() })?;
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    let ended = match terms.until {
        Some(until) => (today > until).then(|| until.to_string()),
        None => (!mandate.validity().contains(now)).then(|| mandate.validity().until.to_string()),
    };
    if let Some(until) = ended {
        return Err(SharingRefusal::Ended { partner: terms.partner.clone(), until });
    }
    if !terms.formats.contains(&format) {
        let named = terms.formats.iter().map(|one| one.name()).collect::<Vec<_>>().join(", ");
        return Err(SharingRefusal::Format { partner: terms.partner.clone(), format: format.name(), named });
    }
    let asked = tlp.unwrap_or(terms.tlp);
    if asked < terms.tlp {
        return Err(SharingRefusal::Tlp { partner: terms.partner.clone(), asked, limit: terms.tlp });
    }
    Ok((terms, asked))
}

/// The clauses of a mandate.
pub(crate) fn terms(source: &Source<'_>, tables: Vec<SharingTable>) -> Checked<Vec<Terms>> {
    let mut known = HashSet::new();
    let mut all = Vec::new();
    for table in tables {
        label(source, &table.partner, "a partner's id")?;
        line(source, &table.name)?;
        if !known.insert(table.partner.get_ref().clone()) {
            return Err(source.at(&table.partner, "two clauses name this partner: join them"));
        }
        let formats = crate::mandate::values::distinct(source, &table.formats, "formats")?;
        let tlp = Tlp::parse(table.tlp.get_ref())
            .ok_or_else(|| source.at(&table.tlp, "tlp must be clear, green, amber, amber+strict or red (TLP 2.0)"))?;
        let seller_tokens = match table.sellers.as_ref().map(|text| (text, text.get_ref().as_str())) {
            None | Some((_, "drop")) => false,
            Some((_, "token")) => true,
            Some((text, _)) => return Err(source.at(text, "sellers must be \"drop\" or \"token\"")),
        };
        let mut without = Vec::new();
        for column in &table.without {
            if *column.get_ref() == Column::Id {
                return Err(source.at(column, "rows cannot leave without their id: an answer could not name them"));
            }
            without.push(*column.get_ref());
        }
        let key = |text: &Spanned<String>| {
            PublicKey::from_openssh(text.get_ref())
                .map_err(|e| source.at(text, format!("annotation_key is no OpenSSH public key ({e})")))
        };
        all.push(Terms {
            formats,
            tlp,
            seller_tokens,
            without,
            photos: table.photos,
            until: table.until.as_ref().map(|until| date(source, until)).transpose()?,
            annotation_key: table.annotation_key.as_ref().map(key).transpose()?,
            partner: table.partner.into_inner(),
            name: table.name.into_inner(),
        });
    }
    Ok(all)
}
