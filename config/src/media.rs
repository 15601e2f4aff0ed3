//! What may be kept of pictures, video and scripts.

use serde::Deserialize;

/// What a capture does with an element.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MediaPolicy {
    /// Not fetched.
    #[default]
    Withhold,
    /// Fetched, hashed and discarded.
    HashOnly,
    /// Kept in the sealed exhibit.
    Capture,
}

/// Policy by element class. Pages, frames, stylesheets and fonts are always captured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// Pictures of offers.
    pub listing_images: MediaPolicy,
    /// Other pictures.
    pub other_images: MediaPolicy,
    /// Video and audio.
    pub video: MediaPolicy,
    /// Scripts (never run).
    pub scripts: MediaPolicy,
}
