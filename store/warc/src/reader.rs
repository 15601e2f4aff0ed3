//! Reading records from gzip members, with limits on hostile input.

use std::io::{BufRead, BufReader, Read};

use flate2::bufread::GzDecoder;

use crate::WarcError;

/// Longest record header that is read, in bytes.
pub const HEAD_BYTES: usize = 256 * 1024;

/// Fields that a record may hold once only (§5: all but `WARC-Concurrent-To` and the community's
/// `WARC-Protocol` and `WARC-Cipher-Suite`; unknown fields are let pass). Two of them would let two
/// programs read two different records.
const ONCE: [&str; 20] = [
    "WARC-Type",
    "WARC-Record-ID",
    "WARC-Date",
    "Content-Type",
    "WARC-Block-Digest",
    "WARC-Payload-Digest",
    "WARC-Target-URI",
    "WARC-Truncated",
    "WARC-Warcinfo-ID",
    "WARC-Filename",
    "WARC-Profile",
    "WARC-Refers-To",
    "WARC-Refers-To-Target-URI",
    "WARC-Refers-To-Date",
    "WARC-IP-Address",
    "WARC-Identified-Payload-Type",
    "WARC-Segment-Number",
    "WARC-Segment-Origin-ID",
    "WARC-Segment-Total-Length",
    "Content-Length",
];

/// The field among these that stands more than once and must not.
pub(crate) fn repeated<'f>(fields: impl Iterator<Item = &'f str> + Clone) -> Option<&'static str> {
    ONCE.into_iter().find(|once| fields.clone().filter(|name| name.eq_ignore_ascii_case(once)).count() > 1)
}

/// Header of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordHead {
    /// Fields in order, names as written.
    pub fields: Vec<(String, String)>,
    /// `Content-Length`.
    pub length: u64,
}

impl RecordHead {
    /// First value of a field, any letter case.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Reads one record after the other from a gzip-compressed WARC file.
pub struct WarcReader<R: Read> {
    source: Option<BufReader<R>>,
    record: u64,
}

/// The block of the record just read, streamed.
pub struct Block<'r> {
    reader: &'r mut dyn Read,
    left: u64,
}

impl Read for Block<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let read = self.reader.read(&mut buffer[..most])?;
        if read == 0 {
            return Err(std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "the block ends early"));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

impl<R: Read> WarcReader<R> {
    /// A reader at the start of a file.
    pub fn new(source: R) -> Self {
        Self { source: Some(BufReader::new(source)), record: 0 }
    }

    /// Reads the next record and hands its header and block to `visit`; `None` at the end of the
    /// file. What `visit` leaves of the block is read and thrown away, so that the member's own
    /// checksum is always compared.
    ///
    /// # Errors
    /// The stream below failed, or the record is not what the standard asks for, or `visit` gave
    /// an error. Nothing can be read after an error: the next call gives `None`.
    pub fn next<T>(
        &mut self,
        visit: impl FnOnce(&RecordHead, &mut Block<'_>) -> Result<T, WarcError>,
    ) -> Result<Option<T>, WarcError> {
        let Some(mut source) = self.source.take() else {
            return Ok(None);
        };
        if source.fill_buf()?.is_empty() {
            return Ok(None);
        }
        self.record += 1;
        let mut member = BufReader::new(GzDecoder::new(source));
        let head = self.head(&mut member)?;
        let mut block = Block { reader: &mut member, left: head.length };
        let result = visit(&head, &mut block)?;
        std::io::copy(&mut block, &mut std::io::sink())?;
        let mut end = Vec::new();
        (&mut member).take(5).read_to_end(&mut end)?;
        if end != b"\r\n\r\n" {
            return Err(self.malformed("the block is not followed by two line breaks and the end of its gzip member"));
        }
        self.source = Some(member.into_inner().into_inner());
        Ok(Some(result))
    }

    fn malformed(&self, reason: impl Into<String>) -> WarcError {
        WarcError::Malformed { record: self.record, reason: reason.into() }
    }

    fn head(&self, member: &mut impl BufRead) -> Result<RecordHead, WarcError> {
        let mut left = HEAD_BYTES;
        let version = self.line(member, &mut left)?;
        if version != "WARC/1.1" && version != "WARC/1.0" {
            return Err(self.malformed("it does not begin with WARC/1.1"));
        }
        let mut fields: Vec<(String, String)> = Vec::new();
        loop {
            let line = self.line(member, &mut left)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| self.malformed("a header line has no colon"))?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return Err(self.malformed("a header field has no proper name"));
            }
            let value = value.trim_matches([' ', '\t']);
            if value.contains(|c: char| c.is_control() && c != '\t') {
                return Err(self.malformed("a header value holds a control character"));
            }
            fields.push((name.to_owned(), value.to_owned()));
        }
        if let Some(name) = repeated(fields.iter().map(|(name, _)| name.as_str())) {
            return Err(self.malformed(format!("{name} is repeated")));
        }
        let length = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let (_, length) = length.ok_or_else(|| self.malformed("Content-Length is missing"))?;
        let length = decimal(length).ok_or_else(|| self.malformed("Content-Length is no number"))?;
        Ok(RecordHead { fields, length })
    }

    fn line(&self, member: &mut impl BufRead, left: &mut usize) -> Result<String, WarcError> {
        let mut bytes = Vec::new();
        let read = member.take(*left as u64).read_until(b'\n', &mut bytes)?;
        *left -= read;
        if !bytes.ends_with(b"\r\n") {
            return Err(self.malformed(if *left == 0 {
                "the header is longer than 256 KiB"
            } else {
                "a header line does not end in CR LF"
            }));
        }
        bytes.truncate(bytes.len() - 2);
        String::from_utf8(bytes).map_err(|_| self.malformed("the header is not UTF-8"))
    }
}

/// A character of a field name (RFC 9110 §5.6.2).
pub(crate) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Digits only: Rust's own reading would take a sign as well.
fn decimal(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}
