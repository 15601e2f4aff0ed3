//! Hosts, read so that only one machine can be meant: version 3 onion names whose checksum holds,
//! and clear-web names of at least two labels. Address literals in any notation, names that end in
//! a dot, subdomains of onions and old onion names are refused.

use std::net::Ipv6Addr;

use data_encoding::BASE32_NOPAD;
use sha3::{Digest, Sha3_256};

/// Characters of a version 3 onion label (rend-spec-v3, ONIONADDRESS).
const ONION_CHARS: usize = 56;
/// Characters of a version 2 onion label.
const OLD_ONION_CHARS: usize = 16;
/// Longest name and longest label in bytes (RFC 1035 section 2.3.4).
const NAME_BYTES: usize = 253;
const LABEL_BYTES: usize = 63;

/// A host that may stand in a mandate. `Display` and `Debug` hide the name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An onion service, version 3.
    Onion(OnionName),
    /// A name of the clear web.
    Web(WebHost),
}

/// `LABEL.onion`, lower case, its checksum verified.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct OnionName(String);

/// A clear-web name in lower case; other scripts as punycode (RFC 3492).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct WebHost(String);

/// Why a text is no host that Vigie asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostRefusal {
    /// Nothing stands where the host should.
    #[error("the address has no host: write it in full")]
    Empty,
    /// An IPv4 or IPv6 address in whatever notation.
    #[error("the host is an address literal, not a name: only names that a mandate can fix are asked")]
    AddressLiteral,
    /// `host.` is another name than `host` to some programs.
    #[error("the host ends in a dot: write it without")]
    TrailingDot,
    /// `www.LABEL.onion`.
    #[error("the host is a subdomain of an onion name: write the onion name alone")]
    OnionSubdomain,
    /// Wrong length, alphabet, checksum, version or script.
    #[error("the host is not a valid version 3 onion name (its length or checksum does not hold): copy it again")]
    OnionInvalid,
    /// 16 characters.
    #[error("the host is a version 2 onion name, which Tor no longer reaches: find its version 3 name")]
    OnionV2,
    /// Not a name of at least two labels of letters, digits and hyphens.
    #[error("the host is no full name of letters, digits, hyphens and dots: write it in full")]
    NotAName,
}

impl HostRefusal {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Empty => "host-empty",
            Self::AddressLiteral => "host-address-literal",
            Self::TrailingDot => "host-trailing-dot",
            Self::OnionSubdomain => "host-onion-subdomain",
            Self::OnionInvalid => "host-onion-invalid",
            Self::OnionV2 => "host-onion-v2",
            Self::NotAName => "host-not-a-name",
        }
    }
}

impl Host {
    /// Reads a host: letter case is folded, other scripts become punycode as in WHATWG URL.
    pub fn parse(text: &str) -> Result<Self, HostRefusal> {
        if text.is_empty() {
            return Err(HostRefusal::Empty);
        }
        if text.starts_with('[') || text.parse::<Ipv6Addr>().is_ok() {
            return Err(HostRefusal::AddressLiteral);
        }
        // Also what url::Url forbids in a host, so that the two readings cannot part here.
        let name = idna::domain_to_ascii_cow(text.as_bytes(), idna::AsciiDenyList::URL)
            .map_err(|_| HostRefusal::NotAName)?
            .into_owned();
        if name.ends_with('.') {
            return Err(HostRefusal::TrailingDot);
        }
        let labels: Vec<&str> = name.split('.').collect();
        let last = labels.last().copied().unwrap_or_default();
        if ends_in_number(last) {
            return Err(HostRefusal::AddressLiteral);
        }
        if last == "onion" {
            // An onion name in another script reads as a valid one to some eyes and programs only.
            return if text.is_ascii() { onion(&labels).map(Self::Onion) } else { Err(HostRefusal::OnionInvalid) };
        }
        if labels.len() < 2 || name.len() > NAME_BYTES || !labels.iter().all(|label| is_label(label)) {
            return Err(HostRefusal::NotAName);
        }
        Ok(Self::Web(WebHost(name)))
    }

    /// The full name.
    pub fn reveal(&self) -> &str {
        match self {
            Self::Onion(name) => name.reveal(),
            Self::Web(name) => name.reveal(),
        }
    }
}

/// WHATWG URL, "ends in a number checker": such a host is an IPv4 address to browsers.
fn ends_in_number(last: &str) -> bool {
    let hex = last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
}

/// Letters, digits and inner hyphens (RFC 1123 section 2.1).
fn is_label(label: &str) -> bool {
    (1..=LABEL_BYTES).contains(&label.len())
        && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn onion(labels: &[&str]) -> Result<OnionName, HostRefusal> {
    match labels {
        [label, _] if label.len() == OLD_ONION_CHARS && BASE32_NOPAD.decode(upper(label).as_bytes()).is_ok() => {
            Err(HostRefusal::OnionV2)
        }
        [label, _] => OnionName::of_label(label),
        [.., label, _] if OnionName::of_label(label).is_ok() => Err(HostRefusal::OnionSubdomain),
        _ => Err(HostRefusal::OnionInvalid),
    }
}

fn upper(label: &str) -> String {
    label.to_ascii_uppercase()
}

impl OnionName {
    /// Reads `LABEL.onion` in any letter case.
    ///
    /// # Errors
    /// [`HostRefusal::OnionInvalid`] unless length, alphabet, version and checksum hold.
    pub fn parse(text: &str) -> Result<Self, HostRefusal> {
        let text = text.to_ascii_lowercase();
        text.strip_suffix(".onion").map_or(Err(HostRefusal::OnionInvalid), Self::of_label)
    }

    /// `base32(PUBKEY | CHECKSUM | VERSION)`, CHECKSUM = the first two bytes of
    /// `SHA3-256(".onion checksum" | PUBKEY | VERSION)` (rend-spec-v3, ONIONADDRESS).
    fn of_label(label: &str) -> Result<Self, HostRefusal> {
        let bytes = (label.len() == ONION_CHARS).then(|| BASE32_NOPAD.decode(upper(label).as_bytes()).ok()).flatten();
        let bytes: [u8; 35] = bytes.and_then(|b| b.try_into().ok()).ok_or(HostRefusal::OnionInvalid)?;
        let (key, rest) = bytes.split_at(32);
        let sum = Sha3_256::new().chain_update(b".onion checksum").chain_update(key).chain_update([3]).finalize();
        if rest == [sum[0], sum[1], 3] {
            Ok(Self(format!("{}.onion", label.to_ascii_lowercase())))
        } else {
            Err(HostRefusal::OnionInvalid)
        }
    }

    /// The full name.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl WebHost {
    /// The full name.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Onion(name) => name.fmt(f),
            Self::Web(name) => name.fmt(f),
        }
    }
}

/// The last three characters before `.onion` tell an operator's targets apart and nobody else
/// which they are, as Arti's own logs do.
impl std::fmt::Display for OnionName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[…]{}.onion", &self.0[ONION_CHARS - 3..ONION_CHARS])
    }
}

impl std::fmt::Display for WebHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[web host]")
    }
}

macro_rules! debug_as_display {
    ($($name:ident),*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
    )*};
}

debug_as_display!(Host, OnionName, WebHost);
