//! The TOML of a mandate, field by field, before its meaning is checked.

use serde::Deserialize;
use toml::Spanned;
use toml::value::Datetime;

use crate::action::Action;
use crate::media::Media;
use crate::sharing::{Column, Format};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Document {
    pub format: Spanned<String>,
    pub id: Spanned<String>,
    pub case: Spanned<String>,
    pub title: Spanned<String>,
    #[serde(default)]
    pub renews: Option<Spanned<String>>,
    pub legal_basis: Spanned<String>,
    pub offences: Spanned<Vec<Spanned<String>>>,
    pub pseudonyms: Spanned<Vec<Spanned<String>>>,
    pub actions: Spanned<Vec<Spanned<Action>>>,
    pub authority: Authority,
    #[serde(default)]
    pub information: Option<Information>,
    pub validity: ValidityTable,
    pub agents: Spanned<Vec<AgentTable>>,
    pub targets: Spanned<Vec<TargetTable>>,
    pub limits: LimitsTable,
    #[serde(default)]
    pub media: Media,
    pub recipients: RecipientsTable,
    pub retention: Retention,
    #[serde(default)]
    pub sharing: Sharing,
    #[serde(default)]
    pub release: Release,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authority {
    pub name: Spanned<String>,
    pub principal: Spanned<String>,
    pub prosecutor_reference: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Information {
    pub document_sha256: Spanned<String>,
    pub date: Spanned<Datetime>,
    #[serde(default)]
    pub non_opposition: Option<Spanned<Datetime>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidityTable {
    pub from: Spanned<Datetime>,
    pub until: Spanned<Datetime>,
    pub revocations_max_age_days: Spanned<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentTable {
    pub code: Spanned<String>,
    pub key: Spanned<String>,
    pub habilitated_from: Spanned<Datetime>,
    pub habilitated_until: Spanned<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetTable {
    pub name: Spanned<String>,
    pub host: Spanned<String>,
    #[serde(default)]
    pub scheme: Option<Spanned<String>>,
    #[serde(default)]
    pub port: Option<Spanned<u16>>,
    pub entry: Spanned<Vec<Spanned<String>>>,
    pub include: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    pub exclude: Vec<Spanned<String>>,
    #[serde(default)]
    pub tls: Option<Spanned<String>>,
    #[serde(default)]
    pub two_exits: Option<Spanned<bool>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsTable {
    pub requests_per_hour: Spanned<u64>,
    pub bytes_per_day: Spanned<u64>,
    pub concurrency: Spanned<u32>,
    pub depth: Spanned<u32>,
    #[serde(default)]
    pub hours: Option<HoursTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HoursTable {
    pub from: Spanned<String>,
    pub until: Spanned<String>,
    pub zone: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecipientsTable {
    pub case: Spanned<String>,
    pub escrow: Spanned<String>,
    #[serde(default)]
    pub review: Option<Review>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    pub key: Spanned<String>,
    pub until: Spanned<Datetime>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retention {
    pub keep_until: Spanned<Datetime>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    #[serde(default)]
    pub two_persons: bool,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sharing {
    #[serde(default)]
    pub partners: Vec<Spanned<String>>,
    #[serde(default)]
    pub producer: Option<Spanned<String>>,
    #[serde(default, rename = "with")]
    pub terms: Vec<SharingTable>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharingTable {
    pub partner: Spanned<String>,
    pub name: Spanned<String>,
    pub formats: Spanned<Vec<Spanned<Format>>>,
    pub tlp: Spanned<String>,
    #[serde(default)]
    pub sellers: Option<Spanned<String>>,
    #[serde(default)]
    pub without: Vec<Spanned<Column>>,
    #[serde(default)]
    pub photos: bool,
    #[serde(default)]
    pub until: Option<Spanned<Datetime>>,
    #[serde(default)]
    pub annotation_key: Option<Spanned<String>>,
}
