//! Record ⇄ parse: hostile bytes in, plain values out. A bad page is data: it gives findings and
//! warnings, never an error.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// A body to read, as *net* gave it (transfer coding removed, content coding still on).
#[derive(Clone, Serialize, Deserialize)]
pub struct Document {
    /// Absolute URL that it was fetched from (base of relative references).
    pub url: String,
    /// Value of `Content-Type`, when there is one.
    pub content_type: Option<Bytes>,
    /// Values of `Content-Encoding` in order, joined with `,`, when there is one.
    pub content_encoding: Option<Bytes>,
    /// Values of `Link` and `Refresh` response fields (name in lower case, value).
    pub headers: Vec<(String, Bytes)>,
    /// Body, at most [`crate::limits::PARSE_BODY_BYTES`].
    pub body: Bytes,
    /// The body was cut (by a limit or a disconnection).
    pub cut: bool,
    /// Most bytes that decoding may give.
    pub decoded_bytes: u32,
}

/// What reading a page gave. All URLs are absolute, resolved against the page's base, without
/// fragment; they are as the page wrote them otherwise, and nothing says that they are permitted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// What the bytes are taken for.
    pub kind: PageKind,
    /// Character set used, WHATWG name, and why (`BOM`, `HTTP`, `meta`, `guess`).
    pub charset: String,
    /// Where the character set comes from.
    pub charset_source: String,
    /// What decoding did to the bytes: `identity`, `gzip`, `br`, `gzip, zstd` …
    pub decoded_from: String,
    /// Title, white space folded.
    pub title: String,
    /// `<a href>`, `<area href>`: where a reader may go next, in document order, without repeats.
    pub links: Vec<Reference>,
    /// Stylesheets, fonts, images, scripts, media, frames: what a browser would fetch by itself.
    pub requisites: Vec<Requisite>,
    /// Forms, in document order.
    pub forms: Vec<Form>,
    /// Target of `<meta http-equiv=refresh>` or a `Refresh` field, with its delay in seconds.
    pub refresh: Option<(u32, String)>,
    /// Signs that this is not the page that was asked for but something before it, the one that says most
    /// first, each once.
    pub obstacles: Vec<Obstacle>,
    /// Whatever was odd, one line each.
    pub warnings: Vec<String>,
}

/// What may stand between a reader and a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Obstacle {
    /// It says that Tor, proxies or the like are refused.
    BlocksTor,
    /// It asks to tell a person from a program.
    Captcha,
    /// It asks to wait.
    WaitingRoom,
    /// It asks for a password.
    Login,
    /// It shows nothing without scripts.
    NeedsJavascript,
}

/// Coarse nature of a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PageKind {
    /// HTML or XHTML.
    Html,
    /// CSS.
    Stylesheet,
    /// Plain text, JSON, XML and the like.
    Text,
    /// Anything that is not text.
    #[default]
    Binary,
}

/// A reference with its visible text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// Absolute URL.
    pub url: String,
    /// Text or label, folded, at most [`crate::limits::TEXT_BYTES`].
    pub text: String,
    /// Values of `rel`, lower case.
    pub rel: Vec<String>,
}

/// Something a browser would fetch to show the page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requisite {
    /// Absolute URL.
    pub url: String,
    /// What it is.
    pub class: RequisiteClass,
}

/// Element classes that the media policy of a mandate tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequisiteClass {
    /// `<link rel=stylesheet>`, `@import`.
    Stylesheet,
    /// `@font-face` sources.
    Font,
    /// An image that shows an offer (in a repeated record or a product page).
    ListingImage,
    /// Any other image: logos, banners, backgrounds, avatars.
    OtherImage,
    /// Video and audio.
    Media,
    /// `<iframe>`, `<frame>`.
    Frame,
    /// Scripts: never run; fetched only when a mandate captures them.
    Script,
}

/// A form as written; nothing is ever submitted by a crawl.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Form {
    /// Absolute URL of the action.
    pub action: String,
    /// `get`, `post` or `dialog`.
    pub method: String,
    /// Names and types of the fields (`name`, `type`).
    pub fields: Vec<(String, String)>,
}

/// What a stylesheet refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stylesheet {
    /// Imports, fonts, images, in order, without repeats.
    pub requisites: Vec<Requisite>,
    /// Whatever was odd.
    pub warnings: Vec<String>,
}
