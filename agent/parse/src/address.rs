//! From references as pages write them to absolute URLs.

use url::Url;
use vigie_wire::limits::URL_BYTES;

/// What came of a reference.
#[derive(Debug, PartialEq, Eq)]
pub enum Reading {
    /// An absolute URL without fragment, or what was written when it is no URL.
    Url(String),
    /// Empty, or a fragment of the page itself.
    Nothing,
    /// A scheme that never leads to another server.
    Dropped,
    /// Longer than [`URL_BYTES`].
    TooLong,
}

/// Schemes that address nothing one could ask a server for.
const DROPPED: [&str; 11] =
    ["javascript", "vbscript", "data", "mailto", "about", "blob", "tel", "sms", "callto", "cid", "view-source"];

/// The URL that references are resolved against.
#[derive(Clone)]
pub struct Base {
    own: String,
    base: Option<Url>,
    /// A base element has changed it.
    moved: bool,
}

impl Base {
    /// The address of the document itself.
    pub fn new(url: &str) -> Self {
        let mut base = Url::parse(url).ok();
        if let Some(base) = &mut base {
            base.set_fragment(None);
        }
        let own = base.as_ref().map_or(url, Url::as_str).to_owned();
        Self { own, base, moved: false }
    }

    /// The document's own address.
    pub fn own(&self) -> &str {
        &self.own
    }

    /// What references are resolved against.
    pub fn url(&self) -> Option<&Url> {
        self.base.as_ref()
    }

    /// How many bytes the base adds to a reference, at most.
    pub fn length(&self) -> usize {
        self.base.as_ref().map_or(0, |base| base.as_str().len())
    }

    /// Applies `<base href>` (WHATWG HTML §4.2.3): only HTTP addresses count. Gives whether the
    /// base now lies on another host.
    pub fn set(&mut self, href: &str) -> bool {
        if href.len() > URL_BYTES {
            return false;
        }
        let joined = match &self.base {
            Some(base) => base.join(href),
            None => Url::parse(href),
        };
        let Ok(mut url) = joined else { return false };
        if !matches!(url.scheme(), "http" | "https") {
            return false;
        }
        url.set_fragment(None);
        let elsewhere = self.base.as_ref().is_none_or(|base| base.host() != url.host());
        self.moved = url.as_str() != self.own;
        self.base = Some(url);
        elsewhere
    }

    /// Resolves a reference.
    ///
    /// A reference with a backslash or a control character inside reads differently to different
    /// programs, and one that is no URL at all to none: both are given as written, so that
    /// whoever decides can refuse and log them.
    pub fn resolve(&self, reference: &str) -> Reading {
        let reference = reference.trim_matches(|c: char| c.is_ascii_whitespace() || c.is_ascii_control());
        if reference.is_empty() || reference.starts_with('#') {
            // Of a page with a base elsewhere, even these lead there.
            return match &self.base {
                Some(base) if self.moved => Reading::Url(base.as_str().to_owned()),
                _ => Reading::Nothing,
            };
        }
        // Looked at before anything else: a data: address may be megabytes long.
        if scheme(reference).is_some_and(|scheme| DROPPED.contains(&scheme.as_str())) {
            return Reading::Dropped;
        }
        if reference.len() > URL_BYTES {
            return Reading::TooLong;
        }
        if reference.contains(|c: char| c == '\\' || c.is_control()) {
            return Reading::Url(reference.to_owned());
        }
        let joined = match &self.base {
            Some(base) => base.join(reference),
            None => Url::parse(reference),
        };
        match joined {
            Ok(mut url) => {
                if !matches!(url.scheme(), "http" | "https") {
                    return Reading::Url(reference.to_owned());
                }
                url.set_fragment(None);
                if url.as_str().len() > URL_BYTES { Reading::TooLong } else { Reading::Url(url.into()) }
            }
            Err(_) => Reading::Url(reference.to_owned()),
        }
    }
}

/// The scheme in lower case. A browser skips tabs and line breaks inside it (WHATWG URL §4.4).
fn scheme(reference: &str) -> Option<String> {
    let mut scheme = String::new();
    for c in reference.chars().filter(|c| !matches!(c, '\t' | '\n' | '\r')).take(32) {
        if c == ':' {
            return Some(scheme);
        }
        scheme.push(c.to_ascii_lowercase());
    }
    None
}
