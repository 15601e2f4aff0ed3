//! The text of a mandate, field by field, so that a test can change one and sign again.

use jiff::{SignedDuration, Timestamp};

use super::{AGENT, Desk, DeskError, PRINCIPAL, PSEUDONYM, utc};

/// Header set that the profile names.
pub(super) const HEADER_SET: &str = "tor-browser-linux-153";

/// A target of a mandate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Label.
    pub name: String,
    /// Host.
    pub host: String,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Port.
    pub port: u16,
    /// Entry points.
    pub entry: Vec<String>,
    /// Included paths.
    pub include: Vec<String>,
    /// Excluded paths.
    pub exclude: Vec<String>,
    /// `strict` or `record-invalid`.
    pub tls: &'static str,
    /// Everything through two exits.
    pub two_exits: bool,
}

impl Target {
    /// An onion service on port 80, all of it but `/logout`.
    pub fn onion(name: &str, host: &str) -> Self {
        Self {
            name: name.to_owned(),
            host: host.to_owned(),
            scheme: "http",
            port: 80,
            entry: vec!["/".into()],
            include: vec!["/**".into()],
            exclude: vec!["/logout**".into()],
            tls: "strict",
            two_exits: false,
        }
    }

    /// A clear-web host by TLS.
    pub fn web(name: &str, host: &str, port: u16) -> Self {
        Self { scheme: "https", port, ..Self::onion(name, host) }
    }

    fn table(&self) -> toml::Table {
        let list = |items: &[String]| toml::Value::Array(items.iter().map(|i| i.as_str().into()).collect());
        let mut table = toml::Table::new();
        table.insert("name".into(), self.name.as_str().into());
        table.insert("host".into(), self.host.as_str().into());
        table.insert("scheme".into(), self.scheme.into());
        table.insert("port".into(), i64::from(self.port).into());
        table.insert("entry".into(), list(&self.entry));
        table.insert("include".into(), list(&self.include));
        table.insert("exclude".into(), list(&self.exclude));
        table.insert("tls".into(), self.tls.into());
        if self.two_exits {
            table.insert("two_exits".into(), true.into());
        }
        table
    }
}

/// A mandate as a TOML document.
#[derive(Debug, Clone)]
pub struct MandateText {
    document: toml::Table,
}

impl MandateText {
    /// A mandate from one day before `now` until 90 days after, that permits to observe, under
    /// the generic legal basis.
    pub(super) fn around(now: Timestamp, targets: &[Target], desk: &Desk) -> Result<Self, DeskError> {
        const DAY: SignedDuration = SignedDuration::from_hours(24);
        let from = now.checked_sub(DAY)?;
        let until = now.checked_add(DAY * 90)?;
        let date = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        let recipients = desk.recipients();
        let text = format!(
            r#"format = "vigie-mandate/1"
id = "M-2026-017"
case = "C-2026-004"
title = "Ivory and reptile skins on sample sites"
legal_basis = "fr-cdd-67bis1A"
offences = ["fr-cdd-414"]
pseudonyms = ["{PSEUDONYM}"]
actions = ["observe"]

[authority]
name = "Sample prosecutor's office"
principal = "{PRINCIPAL}"
prosecutor_reference = "PR-2026-1234"

[information]
document_sha256 = "{information}"
date = {informed}
non_opposition = {informed}

[validity]
from = {from}
until = {until}
revocations_max_age_days = 7

[[agents]]
code = "{AGENT}"
key = "{agent_key}"
habilitated_from = {habilitated_from}
habilitated_until = {habilitated_until}

[limits]
requests_per_hour = 100_000
bytes_per_day = 20_000_000_000
concurrency = 16
depth = 3

[media]
listing_images = "capture"
other_images = "withhold"
video = "withhold"
scripts = "withhold"

[recipients]
case = "{case}"
escrow = "{escrow}"
review = {{ key = "{review}", until = {review_until} }}

[retention]
keep_until = {keep_until}

[sharing]
partners = []
"#,
            information = "5f".repeat(32),
            informed = date(now.checked_sub(DAY * 3)?),
            from = utc(from),
            until = utc(until),
            agent_key = desk.agent_key(),
            habilitated_from = date(now.checked_sub(DAY * 30)?),
            habilitated_until = date(now.checked_add(DAY * 365)?),
            case = recipients.case,
            escrow = recipients.escrow,
            review = recipients.review,
            review_until = date(now.checked_add(DAY * 90)?),
            keep_until = date(now.checked_add(DAY * 3650)?),
        );
        let mut document: toml::Table = text.parse()?;
        let targets = targets.iter().map(|target| toml::Value::Table(target.table())).collect();
        document.insert("targets".into(), toml::Value::Array(targets));
        Ok(Self { document })
    }

    /// Sets a field by its dotted path (`validity.until`, `agents.0.code`); tables on the way are
    /// made when missing.
    ///
    /// # Panics
    /// When the path runs through something that is neither table nor list, or beyond a list.
    #[must_use]
    pub fn with(mut self, path: &str, value: impl Into<toml::Value>) -> Self {
        let (parents, last) = path.rsplit_once('.').map_or((None, path), |(p, l)| (Some(p), l));
        let mut table = &mut self.document;
        let mut steps = parents.into_iter().flat_map(|p| p.split('.')).peekable();
        while let Some(step) = steps.next() {
            let next = table.entry(step).or_insert_with(|| toml::Value::Table(toml::Table::new()));
            table = match next {
                toml::Value::Table(table) => table,
                toml::Value::Array(items) => {
                    let index: usize = steps.next().and_then(|i| i.parse().ok()).expect("a list needs an index");
                    items[index].as_table_mut().expect("the list holds tables")
                }
                _ => panic!("`{path}` runs through a plain value"),
            };
        }
        table.insert(last.to_owned(), value.into());
        self
    }

    /// Sets the validity.
    #[must_use]
    pub fn valid(self, from: Timestamp, until: Timestamp) -> Self {
        let date = |at| utc(at).parse::<toml::value::Datetime>().expect("RFC 3339 is TOML");
        self.with("validity.from", date(from)).with("validity.until", date(until))
    }

    /// The document.
    pub fn to_toml(&self) -> String {
        toml::to_string(&self.document).expect("a table of plain values is TOML")
    }
}
