//! Which character set a page is in (WHATWG HTML §13.2.3, Encoding Standard).

use std::borrow::Cow;

use chardetng::EncodingDetector;
use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use crate::labels::{meta_labels, parameter};
use crate::warnings::Warnings;

/// How far the prescan looks, in bytes (§13.2.3.2).
const PRESCAN_BYTES: usize = 1024;
/// How much of a page a guess is made from, in bytes.
const GUESS_BYTES: usize = 256 * 1024;

/// A character set and where it comes from.
#[derive(Clone, Copy)]
pub struct Charset {
    /// The encoding.
    pub encoding: &'static Encoding,
    /// `BOM`, `HTTP`, `meta` or `guess`.
    pub source: &'static str,
}

impl Charset {
    /// WHATWG name.
    pub fn name(&self) -> String {
        self.encoding.name().into()
    }
}

/// The encoding that a label in a page stands for: a page that can say UTF-16 in ASCII letters is
/// not in UTF-16 (§13.2.3.2).
pub fn in_page(label: &str) -> Option<&'static Encoding> {
    let encoding = Encoding::for_label(label.as_bytes())?;
    Some(if encoding == UTF_16BE || encoding == UTF_16LE {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    })
}

/// Chooses in the order of the standard: byte order mark, `Content-Type`, `<meta>` within the first
/// 1,024 bytes, guess. Says when these contradict each other.
pub fn choose(bytes: &[u8], content_type: Option<&[u8]>, is_html: bool, warnings: &mut Warnings) -> Charset {
    let bom = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let label = parameter(content_type, "charset");
    let http = label.as_deref().and_then(|label| Encoding::for_label(label.as_bytes()));
    if let (Some(label), None) = (&label, http) {
        warnings.add(format!("the character set {label:?} of Content-Type is not known"));
    }
    let head = &bytes[..bytes.len().min(PRESCAN_BYTES)];
    let labels = if is_html { meta_labels(head) } else { Vec::new() };
    let meta = labels.iter().find_map(|label| in_page(label));
    let candidates = [(bom, "BOM"), (http, "HTTP"), (meta, "meta")];
    let mut declared = candidates.iter().filter_map(|(encoding, source)| Some((encoding.as_ref()?, source)));
    let Some((encoding, source)) = declared.next() else {
        return Charset { encoding: guess(bytes), source: "guess" };
    };
    for (other, from) in declared {
        if other != encoding {
            warnings.add(format!(
                "contradictory character sets: {} ({source}), {} ({from})",
                encoding.name(),
                other.name()
            ));
        }
    }
    Charset { encoding, source }
}

/// As [`choose`] for stylesheets (CSS Syntax §3.2): mark, `Content-Type`, `@charset`, UTF-8.
pub fn choose_css(bytes: &[u8], content_type: Option<&[u8]>) -> Charset {
    if let Some((encoding, _)) = Encoding::for_bom(bytes) {
        return Charset { encoding, source: "BOM" };
    }
    let label = parameter(content_type, "charset");
    if let Some(encoding) = label.and_then(|label| Encoding::for_label(label.as_bytes())) {
        return Charset { encoding, source: "HTTP" };
    }
    let rule = bytes.strip_prefix(b"@charset \"").unwrap_or_default();
    let label = rule.iter().take(100).position(|&b| b == b'"').map(|end| &rule[..end]);
    match label.and_then(|label| in_page(std::str::from_utf8(label).ok()?)) {
        Some(encoding) => Charset { encoding, source: "meta" },
        None => Charset { encoding: UTF_8, source: "guess" },
    }
}

fn guess(bytes: &[u8]) -> &'static Encoding {
    let sample = &bytes[..bytes.len().min(GUESS_BYTES)];
    let mut detector = EncodingDetector::new();
    if !detector.feed(sample, true) {
        // Only ASCII: any answer reads the same.
        return UTF_8;
    }
    detector.guess(None, true)
}

/// Reads bytes in a character set. What does not fit becomes U+FFFD, with a warning.
pub fn text<'a>(bytes: &'a [u8], charset: &Charset, warnings: &mut Warnings) -> Cow<'a, str> {
    if charset.encoding == REPLACEMENT {
        warnings.add("the page names a character set that browsers refuse to read");
    }
    let (text, malformed) = charset.encoding.decode_with_bom_removal(bytes);
    if malformed {
        warnings.add(format!("bytes that are not valid {} were replaced", charset.encoding.name()));
    }
    if text.contains('\0') {
        warnings.add("the page holds NUL characters");
    }
    text
}
