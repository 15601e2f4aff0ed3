//! What a finding says of an offer: the same record whether a person or, later, extraction made it. Nothing in it
//! names a person; who sells is a keyed tag.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::codes;

/// Longest text of a field, in bytes.
const TEXT_BYTES: usize = 200;

/// An offer. What is not known is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What it is called in the offer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advertised_name: Option<String>,
    /// One of [`codes::SITE_CLASS`].
    pub site_class: String,
    /// Where it stands.
    pub status: Status,
    /// First seen.
    pub first_seen: Timestamp,
    /// Last seen; not before the first.
    pub last_seen: Timestamp,
    /// Ships from (ISO 3166-1 alpha-2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_from: Option<String>,
    /// Ships to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country_to: Option<String>,
    /// How much, a decimal number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantity: Option<String>,
    /// Of [`codes::UNIT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Price as asked for, a decimal number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<String>,
    /// Of [`codes::CURRENCY`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// Where it is about wildlife.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wildlife: Option<Wildlife>,
    /// Keyed tag of the seller, hex: the same seller within a case has the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seller_tag: Option<String>,
}

/// What makes an offer one of wildlife.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wildlife {
    /// Scientific name as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taxon: Option<String>,
    /// Of [`codes::EU_ANNEX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eu_annex: Option<String>,
    /// Of [`codes::CITES_APPENDIX`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cites_appendix: Option<String>,
    /// Of [`codes::TERM`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub term: Option<String>,
    /// Of [`codes::DOCUMENTS`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documents: Option<String>,
}

/// Whether the offer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It stood when last seen.
    Active,
    /// Sold, closed or gone.
    Past,
    /// Somebody looks for it.
    Wanted,
    /// The same as another finding of the case, by its entry.
    DuplicateOf(u64),
}

impl Status {
    /// Reads `active`, `past`, `wanted`, `duplicate-of:ENTRY`.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "active" => Some(Self::Active),
            "past" => Some(Self::Past),
            "wanted" => Some(Self::Wanted),
            _ => text.strip_prefix("duplicate-of:")?.parse().ok().map(Self::DuplicateOf),
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Active => f.write_str("active"),
            Self::Past => f.write_str("past"),
            Self::Wanted => f.write_str("wanted"),
            Self::DuplicateOf(finding) => write!(f, "duplicate-of:{finding}"),
        }
    }
}

/// What is wrong with a field.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct OfferError {
    /// Field, as the options call it.
    pub field: &'static str,
    /// Why, and what is expected.
    pub why: String,
}

impl Offer {
    /// Checks every field against its list.
    ///
    /// # Errors
    /// The first field that is not as it must be.
    pub fn check(&self) -> Result<(), OfferError> {
        let wildlife = self.wildlife.clone().unwrap_or_default();
        line("name-as-advertised", self.advertised_name.as_deref())?;
        line("taxon", wildlife.taxon.as_deref())?;
        let lists: [(_, Option<&str>, _); 6] = [
            ("site-class", Some(&self.site_class), codes::SITE_CLASS),
            ("eu-annex", wildlife.eu_annex.as_deref(), codes::EU_ANNEX),
            ("cites-appendix", wildlife.cites_appendix.as_deref(), codes::CITES_APPENDIX),
            ("term", wildlife.term.as_deref(), codes::TERM),
            ("unit", self.unit.as_deref(), codes::UNIT),
            ("documents", wildlife.documents.as_deref(), codes::DOCUMENTS),
        ];
        for (field, value, list) in lists {
            if let Some(value) = value.filter(|value| !codes::has(list, value)) {
                let known = list.iter().map(|(code, _)| *code).collect::<Vec<_>>().join(", ");
                return Err(OfferError { field, why: format!("{value:?} is not in the list: {known}") });
            }
        }
        let words: [(_, &Option<String>, _, _); 3] = [
            ("country-from", &self.country_from, codes::COUNTRY, "two capital letters of ISO 3166 (XX: unknown)"),
            ("country-to", &self.country_to, codes::COUNTRY, "two capital letters of ISO 3166 (XX: unknown)"),
            ("currency", &self.currency, codes::CURRENCY, "three capital letters of ISO 4217, or BTC, ETH, LTC, XMR"),
        ];
        for (field, value, list, expected) in words {
            if let Some(value) = value.as_deref().filter(|value| !codes::has_word(list, value)) {
                return Err(OfferError { field, why: format!("{value:?} is not in the list: write {expected}") });
            }
        }
        for (field, value) in [("quantity", &self.quantity), ("price", &self.price)] {
            if let Some(value) = value.as_deref().filter(|value| !decimal(value)) {
                let why =
                    format!("{value:?} is no number: write digits, at most 12, with a point and at most 8 behind it");
                return Err(OfferError { field, why });
            }
        }
        if self.price.is_some() != self.currency.is_some() {
            return Err(OfferError { field: "price", why: "a price needs a currency, and a currency a price".into() });
        }
        if self.quantity.is_some() != self.unit.is_some() {
            let why = "a quantity needs a unit, and a unit a quantity (NO counts specimens)".into();
            return Err(OfferError { field: "quantity", why });
        }
        if self.last_seen < self.first_seen {
            return Err(OfferError { field: "last-seen", why: "it lies before first-seen".into() });
        }
        Ok(())
    }
}

/// One line without control or invisible characters, at most 200 bytes; any letters.
pub fn line(field: &'static str, text: Option<&str>) -> Result<(), OfferError> {
    let Some(text) = text else { return Ok(()) };
    let deceives =
        |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    if text.trim().is_empty() || text.len() > TEXT_BYTES || text.contains(|c: char| c.is_control() || deceives(c)) {
        let why = format!("expected one line of 1 to {TEXT_BYTES} bytes without control or invisible characters");
        return Err(OfferError { field, why });
    }
    Ok(())
}

/// Digits, perhaps a point and more: neither sign nor exponent, so that every reader takes it for the same.
fn decimal(text: &str) -> bool {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most| (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    digits(whole, 12) && digits(part, 8)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn offer() -> Offer {
        Offer {
            advertised_name: Some("=cmd|' /C calc'!A0 Éléphant 象牙".into()),
            site_class: "onion-market".into(),
            status: Status::Active,
            first_seen: "2026-11-02T10:00:00Z".parse().unwrap(),
            last_seen: "2026-11-20T10:00:00Z".parse().unwrap(),
            country_from: Some("BE".into()),
            country_to: Some("FR".into()),
            quantity: Some("2".into()),
            unit: Some("KIL".into()),
            price: Some("1250.50".into()),
            currency: Some("EUR".into()),
            wildlife: Some(Wildlife {
                taxon: Some("Loxodonta africana".into()),
                eu_annex: Some("A".into()),
                cites_appendix: Some("I".into()),
                term: Some("IVC".into()),
                documents: Some("none-claimed".into()),
            }),
            seller_tag: Some("ab".repeat(32)),
        }
    }

    #[test]
    fn fields_outside_their_lists_are_refused_by_name() {
        offer().check().unwrap();
        type Change = fn(&mut Offer);
        let faults: [(&str, Change); 13] = [
            ("site-class", |o| o.site_class = "market".into()),
            ("eu-annex", |o| o.wildlife.as_mut().unwrap().eu_annex = Some("E".into())),
            ("cites-appendix", |o| o.wildlife.as_mut().unwrap().cites_appendix = Some("IV".into())),
            ("term", |o| o.wildlife.as_mut().unwrap().term = Some("ivc".into())),
            ("unit", |o| o.unit = Some("kg".into())),
            ("country-from", |o| o.country_from = Some("be".into())),
            ("currency", |o| o.currency = Some("EURO".into())),
            ("price", |o| o.price = Some("1e3".into())),
            ("price", |o| o.currency = None),
            ("quantity", |o| o.quantity = Some("-1".into())),
            ("taxon", |o| o.wildlife.as_mut().unwrap().taxon = Some("a\nb".into())),
            ("name-as-advertised", |o| o.advertised_name = Some("\u{202e}x".into())),
            ("last-seen", |o| o.last_seen = "2026-11-01T00:00:00Z".parse().unwrap()),
        ];
        for (field, change) in faults {
            let mut offer = offer();
            change(&mut offer);
            assert_eq!(offer.check().unwrap_err().field, field);
        }
        assert_eq!(Status::parse("duplicate-of:17"), Some(Status::DuplicateOf(17)));
        assert_eq!(Status::parse("duplicate-of:x"), None);
    }
}
