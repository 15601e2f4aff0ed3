//! Reading TOML so that every complaint names its line.

use serde::de::DeserializeOwned;
use toml::Spanned;

/// Largest document read, in bytes.
const DOCUMENT_BYTES: usize = 1024 * 1024;

/// A complaint about a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct Complaint {
    /// 1-based line.
    pub line: usize,
    /// What is wrong and what is expected.
    pub reason: String,
}

/// A document's text, for turning byte positions into lines.
pub struct Source<'t> {
    text: &'t str,
}

impl<'t> Source<'t> {
    /// The text of a document.
    pub fn new(bytes: &'t [u8]) -> Result<Self, Complaint> {
        if bytes.len() > DOCUMENT_BYTES {
            return Err(Complaint { line: 1, reason: "the document is larger than 1 MiB".into() });
        }
        let text = std::str::from_utf8(bytes).map_err(|e| {
            let before = bytes.get(..e.valid_up_to()).unwrap_or_default();
            Complaint { line: before.split(|&b| b == b'\n').count(), reason: "the text is not UTF-8".into() }
        })?;
        Ok(Self { text })
    }

    /// Reads the document; unknown fields and wrong types are refused with their line.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Complaint> {
        toml::from_str(self.text).map_err(|e| Complaint {
            line: e.span().map_or(1, |span| self.line(span.start)),
            reason: without_values(&e.message().split_whitespace().collect::<Vec<_>>().join(" ")),
        })
    }

    /// A complaint about a value.
    pub fn at<T>(&self, value: &Spanned<T>, reason: impl Into<String>) -> Complaint {
        Complaint { line: self.line(value.span().start), reason: reason.into() }
    }

    fn line(&self, position: usize) -> usize {
        self.text.as_bytes().iter().take(position).filter(|&&b| b == b'\n').count() + 1
    }
}

/// serde quotes the text that it found instead of another type; it could be a host or a pseudonym.
fn without_values(message: &str) -> String {
    for kind in ["invalid type: string ", "invalid value: string "] {
        if let Some(found) = message.strip_prefix(kind)
            && let Some((_, expected)) = found.rsplit_once(", expected ")
        {
            return format!("{}, expected {expected}", kind.trim_end());
        }
    }
    message.to_owned()
}
