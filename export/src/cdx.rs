//! The index that replay asks (CDXJ): one line for each response.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

/// A line of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CdxLine {
    /// Address in the form that sorts by host (SURT).
    pub surt: String,
    /// `YYYYMMDDhhmmss`: the floor of `WARC-Date`.
    pub time: String,
    /// Address.
    pub url: String,
    /// Digest of the payload.
    pub digest: String,
    /// Type.
    pub mime: String,
    /// HTTP status.
    pub status: Option<u16>,
    /// File.
    pub filename: String,
    /// First byte of the record in the file.
    pub offset: u64,
    /// Its bytes there.
    pub length: u64,
}

impl CdxLine {
    /// A line without a place; nothing for an address that is none.
    pub fn new(url: &str, date: Timestamp, digest: &str, mime: &str, status: Option<u16>) -> Option<Self> {
        Some(Self {
            surt: surt(url)?,
            time: date.strftime("%Y%m%d%H%M%S").to_string(),
            url: url.to_owned(),
            digest: digest.to_owned(),
            mime: mime.to_owned(),
            status,
            filename: String::new(),
            offset: 0,
            length: 0,
        })
    }

    /// As the index has it, without a line break.
    pub fn text(&self) -> String {
        let string = |text: &str| serde_json::Value::from(text).to_string();
        let status = self.status.map(|status| format!(", \"status\": \"{status}\"")).unwrap_or_default();
        format!(
            "{} {} {{\"url\": {}, \"digest\": {}, \"mime\": {}{status}, \"offset\": \"{}\", \"length\": \"{}\", \"filename\": {}}}",
            self.surt,
            self.time,
            string(&self.url),
            string(&self.digest),
            string(&self.mime),
            self.offset,
            self.length,
            string(&self.filename)
        )
    }
}

/// `http://www.x.onion:81/a?b` becomes `onion,x,www:81)/a?b`, in lower case, as the tools that read it write it
/// (they leave out a leading `www.`).
fn surt(url: &str) -> Option<String> {
    if let Some(rest) = url.strip_prefix("urn:") {
        return Some(format!("urn:{rest}").replace(' ', "%20"));
    }
    let parsed = Url::parse(url).ok()?;
    let host = parsed.host_str()?.to_ascii_lowercase();
    let host = host.strip_prefix("www.").unwrap_or(&host);
    let reversed = host.split('.').rev().collect::<Vec<_>>().join(",");
    let port = parsed.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = parsed.path().to_ascii_lowercase();
    let path = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
    let query = parsed.query().map(|query| {
        let mut parts: Vec<String> = query.to_ascii_lowercase().split('&').map(str::to_owned).collect();
        parts.sort();
        format!("?{}", parts.join("&"))
    });
    Some(format!("{reversed}{port}){path}{}", query.unwrap_or_default()).replace(' ', "%20"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_sort_by_host() {
        assert_eq!(surt("http://x.onion/a").unwrap(), "onion,x)/a");
        assert_eq!(surt("http://x.onion/").unwrap(), "onion,x)/");
        assert_eq!(surt("https://www.Shop.example:8443/A/?b=2&a=1").unwrap(), "example,shop:8443)/a?a=1&b=2");
        assert_eq!(surt("urn:fullPage:http://x.onion/").unwrap(), "urn:fullPage:http://x.onion/");
        assert!(surt("no address").is_none());
    }
}
