//! What can be done on a target, and for what part of a page: the words in which mandates permit and
//! legal bases support.

use serde::Deserialize;

/// What a person may do on a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Look at pages.
    Observe,
    /// Open an account.
    Register,
    /// Log in.
    Authenticate,
    /// Write to someone.
    Contact,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Observe => "observe",
            Self::Register => "register",
            Self::Authenticate => "authenticate",
            Self::Contact => "contact",
        })
    }
}

/// What an exchange is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Element {
    /// A page.
    Page,
    /// A frame in a page.
    Frame,
    /// A stylesheet.
    Stylesheet,
    /// A font.
    Font,
    /// A picture of an offer.
    ListingImage,
    /// Any other picture.
    OtherImage,
    /// Video or audio.
    Media,
    /// A script.
    Script,
}

impl std::fmt::Display for Element {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Page => "page",
            Self::Frame => "frame",
            Self::Stylesheet => "stylesheet",
            Self::Font => "font",
            Self::ListingImage => "listing image",
            Self::OtherImage => "other image",
            Self::Media => "video or audio",
            Self::Script => "script",
        })
    }
}
