//! Which character set a page is in (WHATWG HTML §13.2.3, Encoding Standard).

use std::borrow::Cow;

use chardetng::EncodingDetector;
use encoding_rs::{Encoding, REPLACEMENT, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252, X_USER_DEFINED};

use crate::labels::{meta_labels, parameter, xml_label};
use crate::warnings::Warnings;

/// How far the prescan looks, in bytes (§13.2.3.2).
const PRESCAN_BYTES: usize = 1024;
/// How much of a page a guess is made from, in bytes.
const GUESS_BYTES: usize = 256 * 1024;
/// Of which so much may stand before the first byte that tells anything.
const CONTEXT_BYTES: usize = 64;
/// Begins the shifts of ISO-2022-JP.
const ESCAPE: u8 = 0x1b;
/// The source of a character set that nothing declares.
pub const GUESS: &str = "guess";

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
    Some(if is_wide(encoding) {
        UTF_8
    } else if encoding == X_USER_DEFINED {
        WINDOWS_1252
    } else {
        encoding
    })
}

/// UTF-16, which a `<meta>` cannot take back (§13.2.3.4).
pub fn is_wide(encoding: &Encoding) -> bool {
    encoding == UTF_16BE || encoding == UTF_16LE
}

/// Chooses in the order of the standard: byte order mark, `Content-Type`, `<meta>` or XML
/// declaration within the first 1,024 bytes, guess. Says when these contradict each other. What a
/// later `<meta>` makes of a guess is up to the caller.
pub fn choose(
    bytes: &[u8],
    content_type: Option<&[u8]>,
    is_html: bool,
    whole: bool,
    warnings: &mut Warnings,
) -> Charset {
    let bom = Encoding::for_bom(bytes).map(|(encoding, _)| encoding);
    let label = parameter(content_type, "charset");
    let http = label.as_deref().and_then(|label| Encoding::for_label(label.as_bytes()));
    if let (Some(label), None) = (&label, http) {
        warnings.add(format!("the character set {label:?} of Content-Type is not known"));
    }
    let head = &bytes[..bytes.len().min(PRESCAN_BYTES)];
    let meta = if is_html { prescan(head) } else { None };
    let candidates = [(bom, "BOM"), (http, "HTTP"), (meta, "meta")];
    let mut declared = candidates.iter().filter_map(|(encoding, source)| Some((encoding.as_ref()?, source)));
    let Some((encoding, source)) = declared.next() else {
        return Charset { encoding: guess(bytes, whole), source: GUESS };
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
    let head = &bytes[..bytes.len().min(PRESCAN_BYTES)];
    let rule = head.strip_prefix(b"@charset \"").unwrap_or_default();
    let label = rule.iter().position(|&b| b == b'"').filter(|&end| rule[end..].starts_with(b"\";"));
    match label.and_then(|end| Encoding::for_label(&rule[..end])) {
        // As for HTML, a sheet that can say this in ASCII is in neither.
        Some(encoding) if is_wide(encoding) => Charset { encoding: UTF_8, source: "meta" },
        Some(encoding) => Charset { encoding, source: "meta" },
        None => Charset { encoding: UTF_8, source: GUESS },
    }
}

/// "Prescan a byte stream to determine its encoding" (§13.2.3.2).
fn prescan(head: &[u8]) -> Option<&'static Encoding> {
    if head.starts_with(b"<\0?\0x\0") {
        return Some(UTF_16LE);
    }
    if head.starts_with(b"\0<\0?\0x") {
        return Some(UTF_16BE);
    }
    let found = meta_labels(head).iter().find_map(|label| in_page(label));
    found.or_else(|| in_page(&xml_label(head)?))
}

fn guess(bytes: &[u8], whole: bool) -> &'static Encoding {
    if let Some(encoding) = wide(&bytes[..bytes.len().min(PRESCAN_BYTES)]) {
        return encoding;
    }
    // What is only ASCII reads the same in any answer, however much of it there is.
    let Some(first) = bytes.iter().position(|b| !b.is_ascii() || *b == ESCAPE) else { return UTF_8 };
    let rest = &bytes[first.saturating_sub(CONTEXT_BYTES)..];
    let sample = &rest[..rest.len().min(GUESS_BYTES)];
    let mut detector = EncodingDetector::new();
    // Of a text that goes on, a character cut in two says nothing.
    detector.feed(sample, whole && sample.len() == rest.len());
    detector.guess(None, true)
}

/// UTF-16 without mark or label: in markup every other byte is NUL.
fn wide(head: &[u8]) -> Option<&'static Encoding> {
    let pairs = head.len() / 2;
    let zeros = |odd: usize| head.iter().skip(odd).step_by(2).take(pairs).filter(|b| **b == 0).count();
    match (zeros(0), zeros(1)) {
        _ if pairs < 16 => None,
        (0, high) if high * 2 > pairs => Some(UTF_16LE),
        (high, 0) if high * 2 > pairs => Some(UTF_16BE),
        _ => None,
    }
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
