//! Writing records, each a gzip member of its own (WARC 1.1, annex D).

use std::io::{Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::reader::{HEAD_BYTES, is_token, repeated};
use crate::records::{Info, Record, RefersTo, Response};
use crate::{WarcError, new_record_id, sha256_label};

/// Writes records to `W`.
pub struct WarcWriter<W: Write> {
    out: W,
}

/// Header fields of one record, in order.
type Fields<'a> = Vec<(&'a str, String)>;

impl<W: Write> WarcWriter<W> {
    /// A writer at the start of a file.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    /// The stream below, after the last record. Every record is complete when its call returns.
    pub fn into_inner(self) -> W {
        self.out
    }

    /// `warcinfo` (§6.2); gives its record id.
    pub fn warcinfo(&mut self, date: Timestamp, info: &Info) -> Result<String, WarcError> {
        let mut fields = vec![
            ("software".to_owned(), info.software.clone()),
            ("format".to_owned(), "WARC File Format 1.1".to_owned()),
            ("operator".to_owned(), info.operator.clone()),
        ];
        fields.extend(info.extra.iter().cloned());
        let id = new_record_id();
        let mut head = base("warcinfo", &id, date);
        if let Some(name) = &info.filename {
            head.push(("WARC-Filename", name.clone()));
        }
        head.push(("Content-Type", "application/warc-fields".into()));
        self.in_memory(head, &warc_fields(&fields))?;
        Ok(id)
    }

    /// `response` (§6.4): the wire's exact bytes, streamed; `length` bytes with this SHA-256.
    ///
    /// # Errors
    /// As for [`WarcWriter::record`].
    pub fn response(
        &mut self,
        date: Timestamp,
        info_id: &str,
        response: &Response<'_>,
        block: &mut dyn Read,
        length: u64,
        sha256: [u8; 32],
    ) -> Result<(), WarcError> {
        let head = response_fields("response", date, info_id, response);
        self.stream(head, block, length, sha256)
    }

    /// `revisit` with the profile identical-payload-digest (§6.7): head only.
    pub fn revisit(
        &mut self,
        date: Timestamp,
        info_id: &str,
        response: &Response<'_>,
        refers: &RefersTo<'_>,
        head_bytes: &[u8],
    ) -> Result<(), WarcError> {
        let mut head = response_fields("revisit", date, info_id, response);
        head.push(("WARC-Profile", "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest".into()));
        head.push(("WARC-Refers-To", refers.record_id.to_owned()));
        head.push(("WARC-Refers-To-Target-URI", refers.url.to_owned()));
        head.push(("WARC-Refers-To-Date", refers.date.to_owned()));
        head.push(("Vigie-Refers-To-Exhibit", refers.exhibit.to_string()));
        self.in_memory(head, head_bytes)
    }

    /// `request` (§6.5), concurrent to a response.
    pub fn request(
        &mut self,
        date: Timestamp,
        info_id: &str,
        url: &str,
        response_id: &str,
        block: &[u8],
    ) -> Result<(), WarcError> {
        let mut head = base("request", &new_record_id(), date);
        head.push(("WARC-Target-URI", url.to_owned()));
        head.push(("WARC-Concurrent-To", response_id.to_owned()));
        head.push(("WARC-Warcinfo-ID", info_id.to_owned()));
        head.push(("Content-Type", "application/http;msgtype=request".into()));
        self.in_memory(head, block)
    }

    /// `metadata` (§6.6) as `application/warc-fields`, concurrent to a response when there is one.
    pub fn metadata(
        &mut self,
        date: Timestamp,
        info_id: &str,
        url: Option<&str>,
        concurrent_to: Option<&str>,
        fields: &[(String, String)],
    ) -> Result<(), WarcError> {
        let mut head = base("metadata", &new_record_id(), date);
        if let Some(url) = url {
            head.push(("WARC-Target-URI", url.to_owned()));
        }
        if let Some(id) = concurrent_to {
            head.push(("WARC-Concurrent-To", id.to_owned()));
        }
        head.push(("WARC-Warcinfo-ID", info_id.to_owned()));
        head.push(("Content-Type", "application/warc-fields".into()));
        self.in_memory(head, &warc_fields(fields))
    }

    /// `resource` (§6.3): payload and block are the same.
    pub fn resource(
        &mut self,
        date: Timestamp,
        info_id: &str,
        url: &str,
        content_type: &str,
        block: &[u8],
    ) -> Result<(), WarcError> {
        let mut head = base("resource", &new_record_id(), date);
        head.push(("WARC-Target-URI", url.to_owned()));
        head.push(("WARC-Warcinfo-ID", info_id.to_owned()));
        head.push(("WARC-Payload-Digest", sha256_label(&Sha256::digest(block).into())));
        head.push(("Content-Type", content_type.to_owned()));
        self.in_memory(head, block)
    }

    /// Any record, its block streamed: `length` bytes with this SHA-256.
    ///
    /// # Errors
    /// Nothing was written: the header is too long, or repeats a field that stands once only.
    /// Otherwise the stream below or the block failed, or the block is not what was announced: then
    /// the member is unfinished and the file must be thrown away.
    pub fn record(
        &mut self,
        record: &Record<'_>,
        block: &mut dyn Read,
        length: u64,
        sha256: [u8; 32],
    ) -> Result<(), WarcError> {
        let mut head = base(record.kind, record.record_id, record.date);
        head.extend(record.fields.iter().cloned());
        head.push(("Content-Type", record.content_type.to_owned()));
        self.stream(head, block, length, sha256)
    }

    fn in_memory(&mut self, head: Fields<'_>, block: &[u8]) -> Result<(), WarcError> {
        let sha256 = Sha256::digest(block).into();
        self.stream(head, &mut &block[..], block.len() as u64, sha256)
    }

    fn stream(
        &mut self,
        head: Fields<'_>,
        block: &mut dyn Read,
        length: u64,
        sha256: [u8; 32],
    ) -> Result<(), WarcError> {
        let mut head = head;
        head.push(("WARC-Block-Digest", sha256_label(&sha256)));
        head.push(("Content-Length", length.to_string()));
        if let Some(name) = repeated(head.iter().map(|(name, _)| *name)) {
            return Err(WarcError::Record(format!("{name} is repeated")));
        }
        let mut text = String::from("WARC/1.1\r\n");
        head.iter().for_each(|(name, value)| text.push_str(&line(name, value)));
        text.push_str("\r\n");
        if text.len() > HEAD_BYTES {
            return Err(WarcError::Record("its header is longer than 256 KiB".into()));
        }
        let mut member = GzEncoder::new(&mut self.out, Compression::fast());
        member.write_all(text.as_bytes())?;
        let (mut hasher, mut found) = (Sha256::new(), 0u64);
        let mut buffer = vec![0u8; COPY_BYTES];
        loop {
            // One byte more than announced is asked for, so that a longer block is noticed.
            let room = usize::try_from(length - found).unwrap_or(usize::MAX).saturating_add(1);
            let most = room.min(buffer.len());
            let read = match block.read(&mut buffer[..most]) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            found += read as u64;
            if found > length || (read == 0 && found < length) {
                return Err(WarcError::Length { announced: length, found });
            }
            if read == 0 {
                break;
            }
            hasher.update(&buffer[..read]);
            member.write_all(&buffer[..read])?;
        }
        if <[u8; 32]>::from(hasher.finalize()) != sha256 {
            return Err(WarcError::Digest);
        }
        member.write_all(b"\r\n\r\n")?;
        member.finish()?;
        Ok(())
    }
}

/// Bytes copied at once.
const COPY_BYTES: usize = 64 * 1024;

/// A field is one line: a line break inside its value, or a colon inside its name, would forge
/// another one.
fn line(name: &str, value: &str) -> String {
    let name = if name.is_empty() { "-" } else { name };
    let name: String = name.bytes().map(|b| if is_token(b) { char::from(b) } else { '-' }).collect();
    let value: String = value.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("{name}: {}\r\n", value.trim_matches(' '))
}

fn base(kind: &str, id: &str, date: Timestamp) -> Fields<'static> {
    vec![("WARC-Type", kind.to_owned()), ("WARC-Record-ID", id.to_owned()), ("WARC-Date", date.to_string())]
}

fn response_fields(kind: &str, date: Timestamp, info_id: &str, response: &Response<'_>) -> Fields<'static> {
    let mut head = base(kind, response.record_id, date);
    head.push(("WARC-Target-URI", response.url.to_owned()));
    head.push(("WARC-Warcinfo-ID", info_id.to_owned()));
    head.push(("Content-Type", "application/http;msgtype=response".into()));
    if let Some(payload) = &response.payload_sha256 {
        head.push(("WARC-Payload-Digest", sha256_label(payload)));
    }
    if let Some(reason) = response.truncated {
        head.push(("WARC-Truncated", reason.to_owned()));
    }
    for protocol in response.protocols {
        head.push(("WARC-Protocol", protocol.clone()));
    }
    if let Some(suite) = response.cipher_suite {
        head.push(("WARC-Cipher-Suite", suite.to_owned()));
    }
    head
}

/// The block of an `application/warc-fields` record: a line for each field.
fn warc_fields(fields: &[(String, String)]) -> Vec<u8> {
    fields.iter().map(|(name, value)| line(name, value)).collect::<String>().into_bytes()
}
