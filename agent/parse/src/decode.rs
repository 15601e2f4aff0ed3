//! Taking content codings off (RFC 9110 §8.4), for reading only: the record keeps the wire's bytes.

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{self, Cursor, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use vigie_wire::limits::{DECODED_BODY_BYTES, PARSE_BODY_BYTES};
use vigie_wire::parse::Document;

use crate::warnings::Warnings;

/// Most codings in a chain.
const CODINGS: usize = 4;
/// Largest zstd window: 8 MiB (RFC 9659 §3).
const ZSTD_WINDOW_LOG: u32 = 23;

/// A body without its content codings.
pub struct Decoded<'a> {
    /// The bytes, at most as many as the document allows.
    pub bytes: Cow<'a, [u8]>,
    /// The codings taken off as the server listed them, or `identity`.
    pub from: String,
}

#[derive(Clone, Copy)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Coding {
    /// RFC 9110 §8.4.1, RFC 7932, RFC 8878; names in any letter case.
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    fn reader<'a>(self, mut source: Box<dyn Read + 'a>) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(source)),
            Self::Brotli => Box::new(brotli::Decompressor::new(source, 16 * 1024)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(source)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
            Self::Deflate => {
                // RFC 9110 §8.4.1.2 asks for zlib; some servers send raw deflate.
                let mut first = Vec::new();
                (&mut source).take(2).read_to_end(&mut first)?;
                let zlib = matches!(first[..], [method, flags]
                    if method & 0x0f == 8 && u16::from_be_bytes([method, flags]) % 31 == 0);
                let whole = Cursor::new(first).chain(source);
                if zlib { Box::new(ZlibDecoder::new(whole)) } else { Box::new(DeflateDecoder::new(whole)) }
            }
        })
    }
}

/// Ends with an error after `left` bytes: the limit holds for every stage of a chain, so that a
/// small result cannot hide gigabytes in the middle.
struct Limited<'a, R> {
    source: R,
    left: u64,
    /// Told here, since not every decoder hands on its source's error.
    over: &'a Cell<bool>,
}

impl<R: Read> Read for Limited<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 && !buffer.is_empty() {
            let mut probe = [0];
            return match self.source.read(&mut probe)? {
                0 => Ok(0),
                _ => {
                    self.over.set(true);
                    Err(io::Error::other("more bytes than the limit"))
                }
            };
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.source.read(&mut buffer[..most])?;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Takes the content codings off. Bytes that cannot be decoded are given as they are, or as far as
/// decoding went, with a warning.
pub fn decode<'a>(document: &'a Document, warnings: &mut Warnings) -> Decoded<'a> {
    let body: &[u8] = &document.body[..document.body.len().min(PARSE_BODY_BYTES)];
    if body.len() < document.body.len() {
        warnings.add(format!("the body is longer than {PARSE_BODY_BYTES} bytes: the rest was not read"));
    }
    if document.cut {
        warnings.add("the body is not whole");
    }
    let limit = document.decoded_bytes.min(DECODED_BODY_BYTES as u32);
    let identity = |warnings: &mut Warnings| {
        let most = body.len().min(limit as usize);
        if most < body.len() {
            warnings.add(format!("the body is longer than {most} bytes: the rest was not read"));
        }
        Decoded { bytes: Cow::Borrowed(&body[..most]), from: "identity".into() }
    };
    let field = document.content_encoding.as_deref().unwrap_or_default();
    let field = String::from_utf8_lossy(&field[..field.len().min(1024)]).into_owned();
    let names = field.split(',').map(str::trim);
    let names: Vec<&str> = names.filter(|n| !n.is_empty() && !n.eq_ignore_ascii_case("identity")).collect();
    let codings: Option<Vec<Coding>> = names.iter().map(|name| Coding::named(name)).collect();
    let codings = match codings {
        Some(codings) if codings.len() <= CODINGS => codings,
        Some(_) => {
            warnings.add(format!("more than {CODINGS} content codings: none was taken off"));
            return identity(warnings);
        }
        None => {
            warnings.add(format!("content coding {field:?} is not known: it was not taken off"));
            return identity(warnings);
        }
    };
    if codings.is_empty() || body.is_empty() {
        return identity(warnings);
    }
    let from = codings.iter().map(|coding| coding.name()).collect::<Vec<_>>().join(", ");
    let mut bytes = Vec::new();
    let over = Cell::new(false);
    let result = chain(body, &codings, limit, &over).and_then(|mut reader| read_until_error(&mut reader, &mut bytes));
    match result {
        Ok(()) => {}
        Err(_) if over.get() => {
            warnings.add(format!("decoding {from} gives more than {limit} bytes: the rest was not read"));
        }
        Err(_) if bytes.is_empty() => {
            warnings.add(format!("the body is not {from}, although it says so: read as it is"));
            return identity(warnings);
        }
        Err(_) => warnings.add(format!("the body stops being {from} after {} bytes", bytes.len())),
    }
    Decoded { bytes: Cow::Owned(bytes), from }
}

fn chain<'a>(body: &'a [u8], codings: &[Coding], limit: u32, over: &'a Cell<bool>) -> io::Result<Box<dyn Read + 'a>> {
    let mut reader: Box<dyn Read + 'a> = Box::new(body);
    // The codings are listed in the order in which they were applied.
    for coding in codings.iter().rev() {
        reader = Box::new(Limited { source: coding.reader(reader)?, left: limit.into(), over });
    }
    Ok(reader)
}

/// Keeps what came before an error.
fn read_until_error(reader: &mut dyn Read, bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = vec![0u8; 32 * 1024];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
