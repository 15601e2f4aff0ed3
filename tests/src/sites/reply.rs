//! Building answers.

use std::io::Write;

use bytes::Bytes;
use http::{HeaderMap, Method, Response, Uri};
use http_body_util::Full;

/// A request as the sample sites see it.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(super) method: Method,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Ask {
    /// A header as text.
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or("")
    }

    /// A number of the query, or the default.
    pub(super) fn number(&self, name: &str, default: usize) -> usize {
        self.uri
            .query()
            .unwrap_or("")
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .and_then(|(_, value)| value.parse().ok())
            .unwrap_or(default)
    }
}

/// An answer.
pub(super) type Reply = Response<Full<Bytes>>;

/// A content coding (RFC 9110 §8.4.1, RFC 7932, RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    Identity,
    Gzip,
    Brotli,
    Zstd,
}

impl Coding {
    fn token(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Gzip => "gzip",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    fn encode(self, plain: &[u8]) -> std::io::Result<Vec<u8>> {
        match self {
            Self::Identity => Ok(plain.to_vec()),
            Self::Gzip => {
                let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                coder.write_all(plain)?;
                coder.finish()
            }
            Self::Brotli => {
                let mut coded = Vec::new();
                brotli::CompressorWriter::new(&mut coded, 4096, 5, 20).write_all(plain)?;
                Ok(coded)
            }
            Self::Zstd => zstd::stream::encode_all(plain, 3),
        }
    }
}

/// An answer with a body of some type. The header values that the sample sites use are all valid.
pub(super) fn body(status: u16, content_type: &str, bytes: impl Into<Bytes>) -> Reply {
    Response::builder()
        .status(status)
        .header("content-type", content_type)
        .body(Full::new(bytes.into()))
        .expect("status and content type of a sample page are valid")
}

/// A plain text.
pub(super) fn text(status: u16, words: &str) -> Reply {
    body(status, "text/plain; charset=utf-8", words.to_owned())
}

/// An HTML page in a content coding, when the client accepts it.
pub(super) fn html(ask: &Ask, coding: Coding, page: String) -> Reply {
    let accepted = ask.header("accept-encoding").split(',').any(|c| c.trim() == coding.token());
    let coding = if accepted { coding } else { Coding::Identity };
    let Ok(coded) = coding.encode(page.as_bytes()) else { return text(500, "the coder failed") };
    let mut reply = body(200, "text/html; charset=utf-8", coded);
    if coding != Coding::Identity {
        set(&mut reply, "content-encoding", coding.token());
    }
    set(&mut reply, "vary", "accept-encoding");
    reply
}

/// A redirect.
pub(super) fn redirect(status: u16, location: &str) -> Reply {
    let mut reply = text(status, "");
    set(&mut reply, "location", location);
    reply
}

/// Something that carries an ETag (RFC 9110 §8.8.3): 304 when the client has it.
pub(super) fn tagged(ask: &Ask, content_type: &str, bytes: Vec<u8>) -> Reply {
    use sha2::{Digest, Sha256};
    let tag = format!("\"{}\"", &data_encoding::HEXLOWER.encode(&Sha256::digest(&bytes))[..16]);
    let has = ask.header("if-none-match").split(',').any(|t| t.trim() == tag);
    let mut reply = if has { body(304, content_type, Bytes::new()) } else { body(200, content_type, bytes) };
    set(&mut reply, "etag", &tag);
    set(&mut reply, "cache-control", "max-age=3600");
    reply
}

/// Sets a header.
pub(super) fn set(reply: &mut Reply, name: &'static str, value: &str) {
    if let Ok(value) = value.parse() {
        reply.headers_mut().insert(name, value);
    }
}
