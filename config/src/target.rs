//! Addresses, read so strictly that no two programs can read them differently, and the targets
//! that a mandate names. Hosts and URLs show themselves redacted; [`TargetUrl::reveal`] is the
//! deliberate way to the full text.

mod host;
mod path;

pub use host::{Host, HostRefusal, OnionName, WebHost};
pub use path::{PathPattern, PatternError};

use jiff::Timestamp;

/// Longest address, in bytes.
const URL_BYTES: usize = 16 * 1024;

/// How a target speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// `http`
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// As in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
    /// Port when none is written.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// What to do with a certificate that does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsPolicy {
    /// The exchange ends.
    #[default]
    Strict,
    /// The fault is recorded and the exchange goes on.
    RecordInvalid,
}

/// An absolute http or https address in canonical form, without fragment.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct TargetUrl {
    text: String,
    scheme: Scheme,
    host: Host,
    port: u16,
    path_at: usize,
}

/// Why a text is no address that Vigie asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlRefusal {
    /// Longer than 16 KiB.
    #[error("the address is longer than 16 KiB: shorten it or leave the page out")]
    TooLong,
    /// Backslash, white space or control character.
    #[error(
        "the address holds a backslash, white space or control character, or two programs read it differently: write it percent-encoded and in full"
    )]
    Ambiguous,
    /// Not `http://` or `https://`.
    #[error("the address does not begin with http:// or https://: only these are asked")]
    Scheme,
    /// `user@host`.
    #[error("the address carries a user name: write it without what stands before @")]
    UserInfo,
    /// Port missing after the colon, zero or too large.
    #[error("the address has a port that is no number from 1 to 65535: correct it or leave it out")]
    Port,
    /// The host is not acceptable.
    #[error(transparent)]
    Host(#[from] HostRefusal),
    /// The path hides something (NUL, endless encoding).
    #[error("the path of the address is encoded so that servers read it differently: write it plainly")]
    Path,
}

impl UrlRefusal {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLong => "address-too-long",
            Self::Ambiguous => "address-ambiguous",
            Self::Scheme => "address-scheme",
            Self::UserInfo => "address-user-info",
            Self::Port => "address-port",
            Self::Host(host) => host.code(),
            Self::Path => "address-path",
        }
    }
}

impl TargetUrl {
    /// Reads an address. Canonical: lower-case scheme and host, punycode, no default port, no
    /// fragment, dot segments removed and unsafe bytes percent-encoded as WHATWG URL does, which
    /// is also what goes out.
    pub fn parse(text: &str) -> Result<Self, UrlRefusal> {
        if text.len() > URL_BYTES {
            return Err(UrlRefusal::TooLong);
        }
        if text.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
            return Err(UrlRefusal::Ambiguous);
        }
        let (scheme, rest) = scheme(text)?;
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') {
            return Err(UrlRefusal::UserInfo);
        }
        let (name, port) = split_port(authority, scheme)?;
        let host = Host::parse(name)?;
        let url = url::Url::parse(text).map_err(|_| UrlRefusal::Ambiguous)?;
        // A second reading by another parser must agree on where the request goes.
        if url.host_str() != Some(host.reveal()) || url.port_or_known_default() != Some(port) {
            return Err(UrlRefusal::Ambiguous);
        }
        let mut canonical = format!("{}://{}", scheme.as_str(), host.reveal());
        if port != scheme.default_port() {
            canonical.push_str(&format!(":{port}"));
        }
        let path_at = canonical.len();
        canonical.push_str(url.path());
        if let Some(query) = url.query() {
            canonical.push('?');
            canonical.push_str(query);
        }
        if canonical.len() > URL_BYTES {
            return Err(UrlRefusal::TooLong);
        }
        let parsed = Self { text: canonical, scheme, host, port, path_at };
        path::readings(parsed.path()).ok_or(UrlRefusal::Path)?;
        Ok(parsed)
    }

    /// The full text.
    pub fn reveal(&self) -> &str {
        &self.text
    }
    /// Scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
    /// Host.
    pub fn host(&self) -> &Host {
        &self.host
    }
    /// Port.
    pub fn port(&self) -> u16 {
        self.port
    }
    /// Host, with the port when it is not the scheme's own (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let start = self.scheme.as_str().len() + "://".len();
        self.text[start..self.path_at].to_owned()
    }
    /// Scheme, host and port (RFC 6454 §6.2).
    pub fn origin(&self) -> &str {
        &self.text[..self.path_at]
    }
    /// Path and query, origin form (RFC 9112 §3.2.1).
    pub fn path(&self) -> &str {
        &self.text[self.path_at..]
    }
    /// The path as most servers read it: percent-decoded until stable, dot segments removed,
    /// repeated slashes folded, without query.
    pub fn normal_path(&self) -> String {
        path::normal(self.path()).expect("parse refuses a path that has no stable reading")
    }
    /// The bytes cannot be altered on the way: an onion service or TLS.
    pub fn is_secure(&self) -> bool {
        self.is_onion() || self.scheme == Scheme::Https
    }
    /// The host is an onion service.
    pub fn is_onion(&self) -> bool {
        matches!(self.host, Host::Onion(_))
    }
}

fn scheme(text: &str) -> Result<(Scheme, &str), UrlRefusal> {
    for scheme in [Scheme::Http, Scheme::Https] {
        let name = scheme.as_str();
        if let Some(head) = text.get(..name.len() + 3)
            && head.to_ascii_lowercase() == format!("{name}://")
        {
            let rest = &text[name.len() + 3..];
            return if rest.starts_with('/') { Err(UrlRefusal::Ambiguous) } else { Ok((scheme, rest)) };
        }
    }
    Err(UrlRefusal::Scheme)
}

fn split_port(authority: &str, scheme: Scheme) -> Result<(&str, u16), UrlRefusal> {
    if authority.starts_with('[') {
        return Err(HostRefusal::AddressLiteral.into());
    }
    match authority.split_once(':') {
        None => Ok((authority, scheme.default_port())),
        Some((name, port)) => {
            if port.is_empty() || port.len() > 5 || !port.bytes().all(|b| b.is_ascii_digit()) {
                return Err(UrlRefusal::Port);
            }
            match port.parse() {
                Ok(0) | Err(_) => Err(UrlRefusal::Port),
                Ok(port) => Ok((name, port)),
            }
        }
    }
}

impl std::fmt::Display for TargetUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}/…", self.scheme.as_str(), self.host)
    }
}

impl std::fmt::Debug for TargetUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TargetUrl({self})")
    }
}

/// A target that a mandate names.
#[derive(Clone, Debug)]
pub struct Target {
    pub(crate) name: String,
    pub(crate) host: Host,
    pub(crate) scheme: Scheme,
    pub(crate) port: u16,
    pub(crate) entry: Vec<TargetUrl>,
    pub(crate) include: Vec<PathPattern>,
    pub(crate) exclude: Vec<PathPattern>,
    pub(crate) tls: TlsPolicy,
    pub(crate) two_exits: bool,
}

impl Target {
    /// Label in logs and lists.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Host.
    pub fn host(&self) -> &Host {
        &self.host
    }
    /// Scheme.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }
    /// Port (1 … 65535).
    pub fn port(&self) -> u16 {
        self.port
    }
    /// Entry points.
    pub fn entry(&self) -> &[TargetUrl] {
        &self.entry
    }
    /// What to do with an invalid certificate.
    pub fn tls(&self) -> TlsPolicy {
        self.tls
    }
    /// Everything of it is asked for through two exits, and the answers compared.
    pub fn two_exits(&self) -> bool {
        self.two_exits
    }
    /// Same scheme, host and port.
    pub(crate) fn same_origin(&self, url: &TargetUrl) -> bool {
        self.scheme == url.scheme && self.host == url.host && self.port == url.port
    }
    /// The path is included at every reading and excluded at none.
    pub(crate) fn permits_path(&self, url: &TargetUrl) -> bool {
        let Some(readings) = path::readings(url.path()) else {
            return false;
        };
        readings.iter().all(|reading| self.include.iter().any(|pattern| pattern.includes(reading)))
            && !readings.iter().any(|reading| self.exclude.iter().any(|pattern| pattern.excludes(reading)))
    }
}

/// A span of time, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// First moment.
    pub from: Timestamp,
    /// Last moment.
    pub until: Timestamp,
}

impl Validity {
    /// `now` lies within.
    pub fn contains(&self, now: Timestamp) -> bool {
        self.from <= now && now <= self.until
    }
}
