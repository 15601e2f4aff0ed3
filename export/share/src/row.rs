//! Which fields of a finding leave to a partner, and in which form.

use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;
use uuid::Uuid;
use vigie_config::sharing::{Column, Terms};

use crate::offer::{Offer, Status};

/// Hex digits of a seller's token: 80 bits. Among a million sellers of one partner, two share a token with a chance
/// below one in a trillion; a token is a count, never a proof.
const TOKEN_DIGITS: usize = 20;

/// A finding, as the store knows it.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Its entry.
    pub entry: u64,
    /// What it says.
    pub offer: Offer,
    /// A person of the partner or of the service confirmed it.
    pub validated: bool,
}

/// A row that leaves: texts by column, in the table's order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Finding from which it comes. Never written into a share.
    pub finding: u64,
    /// Id of the row for this partner.
    pub id: Uuid,
    /// Value of each column; empty where nothing leaves.
    pub values: [String; Column::ALL.len()],
}

impl Row {
    /// The value of a column.
    pub fn value(&self, column: Column) -> &str {
        &self.values[column as usize]
    }
}

/// What one partner may get, and the secret that keeps its tokens apart from every other's.
pub struct Policy {
    partner: String,
    seller_tokens: bool,
    without: Vec<Column>,
    secret: [u8; 32],
}

impl Policy {
    /// From a clause and a secret of the store.
    pub fn new(terms: &Terms, secret: [u8; 32]) -> Self {
        Self {
            partner: terms.partner().to_owned(),
            seller_tokens: terms.seller_tokens(),
            without: terms.without().to_vec(),
            secret,
        }
    }

    /// HMAC-SHA256 over partner, purpose and value, each behind its length.
    fn keyed(&self, purpose: &str, value: &[u8]) -> [u8; 32] {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mut mac = <Hmac<Sha256> as Mac>::new_from_slice(&self.secret).expect("a key of any length");
        for part in [self.partner.as_bytes(), purpose.as_bytes(), value] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }

    /// Id of a finding's row for this partner: the same each time, another for every other partner. A UUID of
    /// version 4 by its form (RFC 9562 section 5.4); its bits are a keyed digest.
    pub fn row_id(&self, finding: u64) -> Uuid {
        let digest = self.keyed("row", &finding.to_be_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }

    /// Token of a seller for this partner.
    pub fn seller_token(&self, tag: &str) -> String {
        let hex: String = self.keyed("seller", tag.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
        hex[..TOKEN_DIGITS].to_owned()
    }

    /// What leaves of a finding.
    pub fn row(&self, finding: &Finding) -> Row {
        let (row, _) = self.decide(finding);
        row
    }

    /// The row, and for each column what becomes of it.
    pub fn decide(&self, finding: &Finding) -> (Row, Preview) {
        let id = self.row_id(finding.entry);
        let mut values = [const { String::new() }; Column::ALL.len()];
        let mut fields = Vec::new();
        for column in Column::ALL {
            let (value, fate) = self.field(finding, id, column);
            fields.push(Field { column: column.name(), value: value.clone(), fate });
            values[column as usize] = value;
        }
        (Row { finding: finding.entry, id, values }, Preview { finding: finding.entry, fields })
    }

    fn field(&self, finding: &Finding, id: Uuid, column: Column) -> (String, Fate) {
        let Offer { wildlife, .. } = &finding.offer;
        let offer = &finding.offer;
        let of_wildlife = |get: fn(&crate::offer::Wildlife) -> &Option<String>| {
            wildlife.as_ref().and_then(|wildlife| get(wildlife).clone())
        };
        // A day is enough to count by, and tells less of when somebody looked.
        let day = |at: jiff::Timestamp| Some(at.strftime("%Y-%m-%d").to_string());
        let mut keyed = false;
        let value = match column {
            Column::Id => Some(id.to_string()),
            Column::FirstSeen => day(offer.first_seen),
            Column::LastSeen => day(offer.last_seen),
            Column::Status => Some(match offer.status {
                Status::DuplicateOf(other) => format!("duplicate-of:{}", self.row_id(other)),
                status => status.to_string(),
            }),
            Column::SiteClass => Some(offer.site_class.clone()),
            Column::CountryFrom => offer.country_from.clone(),
            Column::CountryTo => offer.country_to.clone(),
            Column::Taxon => of_wildlife(|wildlife| &wildlife.taxon),
            Column::AdvertisedName => offer.advertised_name.clone(),
            Column::EuAnnex => of_wildlife(|wildlife| &wildlife.eu_annex),
            Column::CitesAppendix => of_wildlife(|wildlife| &wildlife.cites_appendix),
            Column::CitesTerm => of_wildlife(|wildlife| &wildlife.term),
            Column::Unit => offer.unit.clone(),
            Column::Quantity => offer.quantity.clone(),
            Column::Documents => of_wildlife(|wildlife| &wildlife.documents),
            Column::Price => offer.price.clone(),
            Column::Currency => offer.currency.clone(),
            Column::Validated => Some(if finding.validated { "yes" } else { "no" }.to_owned()),
            Column::SellerToken => {
                keyed = true;
                offer.seller_tag.as_deref().map(|tag| self.seller_token(tag))
            }
        };
        let Some(value) = value else { return (String::new(), Fate::Empty) };
        if self.without.contains(&column) || (column == Column::SellerToken && !self.seller_tokens) {
            return (String::new(), Fate::Withheld);
        }
        (value, if keyed { Fate::Keyed } else { Fate::Leaves })
    }
}

/// What becomes of one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// Leaves as it stands.
    Leaves,
    /// Leaves as a token that only this partner gets.
    Keyed,
    /// The mandate's clause withholds it.
    Withheld,
    /// There is nothing.
    Empty,
}

/// One field of a preview.
#[derive(Clone, Debug, Serialize)]
pub struct Field {
    /// Column.
    pub column: &'static str,
    /// Exactly what would leave.
    pub value: String,
    /// Why so.
    pub fate: Fate,
}

/// Every field of a finding, before anything leaves.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// Finding.
    pub finding: u64,
    /// Its fields, in the table's order.
    pub fields: Vec<Field>,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn policy(partner: &str, seller_tokens: bool, without: &[Column]) -> Policy {
        Policy { partner: partner.into(), seller_tokens, without: without.to_vec(), secret: [7; 32] }
    }

    pub(crate) fn finding(entry: u64) -> Finding {
        Finding { entry, offer: crate::offer::tests::offer(), validated: entry.is_multiple_of(2) }
    }

    #[test]
    fn a_seller_is_one_token_to_one_partner_and_another_to_the_next() {
        let (one, two) = (policy("fund", true, &[]), policy("europol", true, &[]));
        let token = |policy: &Policy, entry| policy.row(&finding(entry)).value(Column::SellerToken).to_owned();
        assert_eq!(token(&one, 1), token(&one, 2));
        assert_ne!(token(&one, 1), token(&two, 1));
        assert_eq!(token(&one, 1).len(), TOKEN_DIGITS);
        assert_ne!(one.row_id(1), two.row_id(1));
        assert_eq!(one.row_id(1), one.row_id(1));
        assert_eq!(one.row_id(1).get_version_num(), 4);
        let mut duplicate = finding(3);
        duplicate.offer.status = Status::DuplicateOf(1);
        assert_eq!(one.row(&duplicate).value(Column::Status), format!("duplicate-of:{}", one.row_id(1)));
    }

    #[test]
    fn what_the_clause_withholds_does_not_leave_and_the_preview_says_so() {
        let policy = policy("fund", false, &[Column::Price]);
        let (row, preview) = policy.decide(&finding(1));
        assert_eq!((row.value(Column::Price), row.value(Column::SellerToken)), ("", ""));
        let fate = |name: &str| preview.fields.iter().find(|field| field.column == name).unwrap().fate;
        assert_eq!((fate("price"), fate("seller_token")), (Fate::Withheld, Fate::Withheld));
        assert_eq!((fate("taxon"), fate("currency")), (Fate::Leaves, Fate::Leaves));
        for (column, field) in Column::ALL.iter().zip(&preview.fields) {
            assert_eq!(row.value(*column), field.value);
            assert_eq!(Column::ALL[*column as usize], *column);
        }
    }
}
