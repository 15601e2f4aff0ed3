//! Content codings (RFC 9110 §8.4), undone for reading only, within a hard limit.

use std::io::Read;

use vigie_wire::limits::DECODED_BODY_BYTES;
use vigie_wire::parse::Document;

/// A body without its content codings.
pub struct Decoded {
    pub bytes: Vec<u8>,
    /// As applied, innermost first: `identity`, `gzip`, `gzip, br`.
    pub codings: String,
    pub warnings: Vec<String>,
}

/// Most codings on top of each other.
const CODINGS: usize = 4;

/// Undoes the codings of a document. What cannot be undone is given as far as it went.
pub fn decode(document: &Document) -> Decoded {
    let named = document.content_encoding.as_deref().map(String::from_utf8_lossy).unwrap_or_default().to_ascii_lowercase();
    let codings: Vec<&str> = named.split(',').map(str::trim).filter(|c| !c.is_empty() && *c != "identity").collect();
    let most = usize::try_from(document.decoded_bytes).unwrap_or(usize::MAX).min(DECODED_BODY_BYTES);
    let mut warnings = Vec::new();
    if document.cut {
        warnings.push("only the beginning of the body was read".to_owned());
    }
    let mut bytes = document.body.to_vec();
    bytes.truncate(most);
    if codings.len() > CODINGS {
        warnings.push(format!("{} content codings on top of each other: not undone", codings.len()));
        return Decoded { bytes, codings: "unknown".into(), warnings };
    }
    for coding in codings.iter().rev() {
        let Some(opened) = open(coding, &bytes) else {
            warnings.push(format!("the content coding {:?} is not known", coding.chars().take(20).collect::<String>()));
            return Decoded { bytes, codings: "unknown".into(), warnings };
        };
        let mut out = Vec::new();
        if let Err(error) = opened.take(most as u64 + 1).read_to_end(&mut out) {
            warnings.push(format!("the {coding} coding is broken after {} bytes ({})", out.len(), error.kind()));
        }
        if out.len() > most {
            out.truncate(most);
            warnings.push(format!("the {coding} coding grows beyond {most} bytes: cut there"));
        }
        bytes = out;
    }
    Decoded { bytes, codings: if codings.is_empty() { "identity".into() } else { codings.join(", ") }, warnings }
}

fn open<'b>(coding: &str, bytes: &'b [u8]) -> Option<Box<dyn Read + 'b>> {
    Some(match coding {
        "gzip" | "x-gzip" => Box::new(flate2::read::MultiGzDecoder::new(bytes)),
        // Servers say deflate and send either form; a zlib header is divisible by 31 (RFC 1950).
        "deflate" => match bytes {
            [a, b, ..] if a & 15 == 8 && (u16::from(*a) << 8 | u16::from(*b)) % 31 == 0 => Box::new(flate2::read::ZlibDecoder::new(bytes)),
            _ => Box::new(flate2::read::DeflateDecoder::new(bytes)),
        },
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::new(bytes).ok()?;
            // 8 MiB, the largest window that RFC 9659 §3 allows in HTTP.
            decoder.window_log_max(23).ok()?;
            Box::new(decoder)
        }
        _ => return None,
    })
}
