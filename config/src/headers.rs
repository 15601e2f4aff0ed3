//! Header sets: the request fields of a browser, in its order and letter case, as data with a
//! version and an expiry date, since a browser nobody uses any more tells pseudonyms apart.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::action::Element;
use crate::target::{Scheme, TargetUrl};

const SHIPPED: &[&str] = &[include_str!("../data/headers/tor-browser-linux-153.toml")];

/// What a field's value may stand for; it is then the whole value.
const PLACEHOLDERS: [&str; 7] =
    ["{host}", "{user_agent}", "{language}", "{encodings}", "{referer}", "{cookie}", "{site}"];

/// A header set.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderSet {
    id: String,
    version: u32,
    #[serde(deserialize_with = "date")]
    recorded: Date,
    #[serde(deserialize_with = "date")]
    expires: Date,
    verified: bool,
    user_agent: String,
    /// Language tag → `Accept-Language` as the browser of that language sends it.
    #[serde(default)]
    languages: BTreeMap<String, String>,
    fields: Fields,
}

/// `Name: value` in the order and letter case in which they go out, by class of element.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    page: Vec<String>,
    frame: Vec<String>,
    stylesheet: Vec<String>,
    font: Vec<String>,
    image: Vec<String>,
    script: Vec<String>,
    media: Vec<String>,
}

impl Fields {
    fn lists(&self) -> [&[String]; 7] {
        [&self.page, &self.frame, &self.stylesheet, &self.font, &self.image, &self.script, &self.media]
    }

    fn of(&self, element: Element) -> &[String] {
        match element {
            Element::Page => &self.page,
            Element::Frame => &self.frame,
            Element::Stylesheet => &self.stylesheet,
            Element::Font => &self.font,
            Element::ListingImage | Element::OtherImage => &self.image,
            Element::Script => &self.script,
            Element::Media => &self.media,
        }
    }
}

/// A TOML local date as a calendar date.
pub(crate) fn date<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Date, D::Error> {
    use serde::de::Error;
    let value = toml::value::Datetime::deserialize(input)?;
    match (value.date, value.time, value.offset) {
        (Some(date), None, None) => Date::new(
            i16::try_from(date.year).map_err(D::Error::custom)?,
            i8::try_from(date.month).map_err(D::Error::custom)?,
            i8::try_from(date.day).map_err(D::Error::custom)?,
        )
        .map_err(D::Error::custom),
        _ => Err(D::Error::custom("expected a date such as 2026-11-24")),
    }
}

impl HeaderSet {
    /// Reads a header set (TOML; the shipped files show the format). Errors say which field is
    /// wrong; unknown fields are refused.
    pub fn parse(text: &str) -> Result<Self, String> {
        let set: Self = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        for value in set.languages.values().chain([&set.user_agent, &set.id]) {
            if value.is_empty() || !value.bytes().all(|b| (0x20..0x7f).contains(&b)) {
                return Err(format!("{value:?} is no header value"));
            }
        }
        if set.expires <= set.recorded {
            return Err("expires must lie after recorded".to_owned());
        }
        if set.fields.lists().iter().any(|list| list.first().map(String::as_str) != Some("Host: {host}")) {
            return Err("each list begins with \"Host: {host}\"".to_owned());
        }
        for field in set.fields.lists().into_iter().flatten() {
            let sound = field.split_once(": ").is_some_and(|(name, value)| {
                !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                    && !value.contains(char::is_control)
            });
            if !sound {
                return Err(format!("{field:?} is no header field"));
            }
            let known = |value: &str| PLACEHOLDERS.contains(&value) || !value.contains(['{', '}']);
            if !field.split_once(": ").is_some_and(|(_, value)| known(value)) {
                return Err(format!("{field:?} has an unknown placeholder; known: {}", PLACEHOLDERS.join(" ")));
            }
        }
        Ok(set)
    }

    /// Every set of this build.
    pub fn all() -> &'static [Self] {
        static READ: OnceLock<Vec<HeaderSet>> = OnceLock::new();
        READ.get_or_init(|| {
            SHIPPED.iter().map(|text| Self::parse(text).expect("the shipped data files are read by a test")).collect()
        })
    }

    /// A set of this build.
    pub fn builtin(id: &str) -> Option<Self> {
        Self::all().iter().find(|set| set.id == id).cloned()
    }

    /// Id, as profiles name it.
    pub fn id(&self) -> &str {
        &self.id
    }
    /// Version of the set.
    pub fn version(&self) -> u32 {
        self.version
    }
    /// Day of recording.
    pub fn recorded(&self) -> Date {
        self.recorded
    }
    /// Day from which it is out of date.
    pub fn expires(&self) -> Date {
        self.expires
    }
    /// It was compared with a recording of the browser that it stands for.
    pub fn verified(&self) -> bool {
        self.verified
    }
    /// The set is out of date.
    pub fn expired(&self, now: Timestamp) -> bool {
        now.to_zoned_datetime(TimeZone::UTC).date() >= self.expires
    }

    /// The fields of a request, in order. Over TLS browsers offer the content codings br and zstd
    /// as well. A field without a value, or with one that holds control characters, is left out.
    pub fn compose(
        &self,
        element: Element,
        to: &TargetUrl,
        language: &str,
        cookie: Option<&str>,
        from: From<'_>,
    ) -> Vec<(String, String)> {
        let lines = self.fields.of(element);
        let secure = to.scheme() == Scheme::Https;
        // Fetch Metadata goes to trustworthy addresses only (W3C Fetch Metadata §2); Tor Browser
        // counts onion services among them.
        let trustworthy = secure || to.is_onion();
        let language = self.languages.get(language).cloned().unwrap_or_else(|| accept_language(language));
        let encodings = if secure { "gzip, deflate, br, zstd" } else { "gzip, deflate" };
        let host = to.authority();
        let (referer, site) = from.seen_by(to);
        let fill = [
            ("{host}", Some(host.as_str())),
            ("{user_agent}", Some(self.user_agent.as_str())),
            ("{language}", Some(language.as_str())),
            ("{encodings}", Some(encodings)),
            ("{referer}", referer.as_deref()),
            ("{cookie}", cookie),
            ("{site}", Some(site)),
        ];
        lines
            .iter()
            .filter_map(|line| {
                let (name, value) = line.split_once(": ")?;
                if !trustworthy && name.starts_with("Sec-Fetch-") {
                    return None;
                }
                let value = match fill.iter().find(|(placeholder, _)| *placeholder == value) {
                    // A value that would break the line is left out: it could smuggle a field in.
                    Some((_, filled)) => (*filled).filter(|filled| !filled.contains(char::is_control))?,
                    None => value,
                };
                Some((name.to_owned(), value.to_owned()))
            })
            .collect()
    }
}

/// Where a request comes from, as far as its far side may see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct From<'a> {
    /// The page with the link or element; none for an address that was typed in.
    pub page: Option<&'a TargetUrl>,
    /// A redirect on the way here led through another origin.
    pub crossed: bool,
}

impl From<'_> {
    /// `Referer` and `Sec-Fetch-Site`: within an origin the whole address; to another one the
    /// origin alone, and nothing from an onion service or down from TLS (W3C Referrer Policy,
    /// strict-origin-when-cross-origin; Tor Browser's `network.http.referer.hideOnionSource`).
    fn seen_by(&self, to: &TargetUrl) -> (Option<String>, &'static str) {
        let Some(page) = self.page else { return (None, "none") };
        let same_origin = page.origin() == to.origin();
        let referer = if same_origin {
            Some(page.reveal().to_owned())
        } else {
            (!page.is_onion() && (to.is_secure() || !page.is_secure())).then(|| format!("{}/", page.origin()))
        };
        let site = match () {
            () if same_origin && !self.crossed => "same-origin",
            () if page.scheme() == to.scheme() && page.host() == to.host() && !self.crossed => "same-site",
            () => "cross-site",
        };
        (referer, site)
    }
}

/// For languages that the set does not list: the tag, its language, English, with the weights of
/// Firefox 153 (a tenth less each, at least 0.1).
fn accept_language(tag: &str) -> String {
    let base = tag.split('-').next().unwrap_or(tag);
    let mut tags = vec![tag];
    for more in [base, "en-US", "en"] {
        if !tags.contains(&more) {
            tags.push(more);
        }
    }
    if base == "en" {
        // Tor Browser in English sends just these two.
        tags.truncate(2);
    }
    let weighted = tags.iter().enumerate().map(|(at, tag)| match at {
        0 => (*tag).to_owned(),
        _ => format!("{tag};q=0.{}", 10 - at),
    });
    weighted.collect::<Vec<_>>().join(",")
}
