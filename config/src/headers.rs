//! Header sets: the request fields of a browser, in its order and letter case, as data with a
//! version and an expiry date, since a browser nobody uses any more tells pseudonyms apart.

use std::sync::OnceLock;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::authorize::Element;

const SHIPPED: &[&str] = &[include_str!("../data/headers/tor-browser-linux-153.toml")];

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
    page: Vec<String>,
    frame: Vec<String>,
    stylesheet: Vec<String>,
    font: Vec<String>,
    image: Vec<String>,
    other: Vec<String>,
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
    /// Reads a header set.
    pub fn parse(text: &str) -> Result<Self, String> {
        let set: Self = toml::from_str(text).map_err(|e| e.message().to_owned())?;
        for field in [&set.page, &set.frame, &set.stylesheet, &set.font, &set.image, &set.other].into_iter().flatten() {
            let sound = field.split_once(": ").is_some_and(|(name, value)| {
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') && !value.contains(char::is_control)
            });
            if !sound {
                return Err(format!("{field:?} is no header field"));
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

    /// The fields of a request, in order. `host` carries the port when it is not the default;
    /// `secure` says whether content codings that browsers only accept over TLS or on onions
    /// (br, zstd) are offered.
    pub fn compose(
        &self,
        element: Element,
        host: &str,
        language: &str,
        cookie: Option<&str>,
        referer: Option<&str>,
        secure: bool,
    ) -> Vec<(String, String)> {
        let lines = match element {
            Element::Page => &self.page,
            Element::Frame => &self.frame,
            Element::Stylesheet => &self.stylesheet,
            Element::Font => &self.font,
            Element::ListingImage | Element::OtherImage => &self.image,
            Element::Media | Element::Script => &self.other,
        };
        let language = accept_language(language);
        let encodings = if secure { "gzip, deflate, br, zstd" } else { "gzip, deflate" };
        let site = if referer.is_some() { "same-origin" } else { "none" };
        let fill = [
            ("{host}", Some(host)),
            ("{user_agent}", Some(self.user_agent.as_str())),
            ("{language}", Some(language.as_str())),
            ("{encodings}", Some(encodings)),
            ("{referer}", referer),
            ("{cookie}", cookie),
            ("{site}", Some(site)),
        ];
        lines.iter().filter_map(|line| {
            let (name, value) = line.split_once(": ")?;
            match fill.iter().find(|(placeholder, _)| *placeholder == value) {
                Some((_, filled)) => filled.map(|filled| (name.to_owned(), filled.to_owned())),
                None => Some((name.to_owned(), value.to_owned())),
            }
        })
        .collect()
    }
}

/// As Firefox writes it: the tag, its language, English, with falling weights.
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
    let count = tags.len();
    tags.iter()
        .enumerate()
        .map(|(at, tag)| match at {
            0 => (*tag).to_owned(),
            _ => format!("{tag};q={:.1}", 1.0 - at as f32 / count as f32),
        })
        .collect::<Vec<_>>()
        .join(",")
}
