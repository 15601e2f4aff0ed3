//! The open layer of one exhibit: its WARC records without what must not be told.
//!
//! A record in which nothing stood that must not leave keeps its block byte for byte. In others each value
//! has a marker in its place ([`crate::Secrets::marker`]); a body that held one is written without its
//! transfer and content coding, since a changed body has another length. The list of changes names each with
//! its place and a salted commitment; who has the sealed layer can show that nothing else was changed.

mod exhibit;

use std::borrow::Cow;
use std::cell::Cell;
use std::io::{Read, Write};
use std::rc::Rc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vigie_warc::{WarcReader, WarcWriter};

use self::exhibit::Exhibit;
use crate::cdx::CdxLine;
use crate::head;
use crate::secrets::{Kind, Opening, Secrets};
use crate::{ExportError, Reading};

/// Largest block that is looked through, in bytes; a longer one is left out of the open layer and said.
pub const BLOCK_BYTES: u64 = 128 << 20;

/// One change, as a line of `redactions.jsonl`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Number of the exhibit.
    pub exhibit: u64,
    /// `WARC-Record-ID`.
    pub record: String,
    /// `request-head`, `response-head`, `body` (without codings), `target-uri`, `facts`, `record`.
    pub part: Cow<'static, str>,
    /// What was taken out.
    pub kind: Kind,
    /// What stands there now; empty when the whole is left out.
    pub marker: String,
    /// First byte in the original part.
    pub at: usize,
    /// Bytes taken out.
    pub bytes: usize,
    /// SHA-256 of salt and value; the sealed layer opens it.
    pub commitment: String,
}

/// A page for the list of pages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageLine {
    /// `WARC-Record-ID` without its brackets and scheme.
    pub id: String,
    /// Address.
    pub url: String,
    /// `WARC-Date`.
    pub ts: String,
    /// Title, or the exhibit's number where there is none.
    pub title: String,
    /// Visible text.
    pub text: String,
    /// Bytes of the body.
    pub size: u64,
}

/// What the open layer of one exhibit came to.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// Lines of the index.
    pub cdx: Vec<CdxLine>,
    /// Its page, when there is one.
    pub pages: Vec<PageLine>,
    /// Changes, in order.
    pub changes: Vec<Change>,
    /// What opens the commitments of the changes.
    pub openings: Vec<Opening>,
    /// The page's picture is left out, since what it shows was changed: its date, and the record of the warcinfo.
    pub redraw: Option<Redraw>,
    /// What a reader must know: records left out, bodies that could not be looked through.
    pub notes: Vec<String>,
}

/// A picture that is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redraw {
    /// `WARC-Date` of the capture.
    pub date: Timestamp,
    /// Its `WARC-Warcinfo-ID`.
    pub info: String,
    /// Its address, without what must not be told.
    pub urn: String,
}

/// Where a payload lies that a `revisit` record refers to: exhibit, record id; gives its response block.
pub type Original<'a> = dyn Fn(u64, &str) -> Result<Option<Vec<u8>>, ExportError> + 'a;

/// Makes open layers.
pub struct Layer<'a> {
    /// What must not stand in them.
    pub secrets: &'a Secrets,
    /// Reads hostile bytes.
    pub reading: &'a dyn Reading,
    /// Finds what revisits refer to.
    pub original: &'a Original<'a>,
}

/// Collects the values that a WARC file holds and that must not leave.
///
/// # Errors
/// The file is no WARC file, or the stream below failed.
pub fn gather(source: impl Read, mut value: impl FnMut(Kind, &str)) -> Result<(), ExportError> {
    let mut reader = WarcReader::new(source);
    while reader
        .next(|head, block| {
            let kind = head.field("WARC-Type").unwrap_or_default();
            if matches!(kind, "request" | "response" | "revisit") {
                let mut bytes = Vec::new();
                // No head is longer.
                block.take(4 << 20).read_to_end(&mut bytes)?;
                let request = kind == "request";
                let found = head::values(head::split(&bytes).head, request);
                found.iter().filter(|(_, found)| telling(found)).for_each(|(kind, found)| value(*kind, found));
            }
            Ok(())
        })?
        .is_some()
    {}
    Ok(())
}

/// Whether the value of a cookie or credential tells its holder from others: settings (`dark`, `en-GB`, `1`) stand
/// in every page, and taking them out there would spoil it for nothing. In its own field each value goes.
fn telling(value: &str) -> bool {
    let varied =
        value.bytes().any(|byte| byte.is_ascii_digit()) && value.bytes().any(|byte| byte.is_ascii_alphabetic());
    value.len() >= 16 || (value.len() >= 8 && varied)
}

struct Counted<W> {
    out: W,
    count: Rc<Cell<u64>>,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.count.set(self.count.get() + written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

impl<'a> Layer<'a> {
    /// Writes the open layer of an exhibit (a `.warc.gz`) to `out`; `file` is its name in the index.
    ///
    /// # Errors
    /// The source is damaged, or a stream failed.
    pub fn write(&self, number: u64, file: &str, source: impl Read, out: impl Write) -> Result<Made, ExportError> {
        let count = Rc::new(Cell::new(0));
        let mut warc = WarcWriter::new(Counted { out, count: Rc::clone(&count) });
        let mut exhibit = Exhibit::new(self, number);
        let mut reader = WarcReader::new(source);
        loop {
            let mut too_long = None;
            let taken = reader.next(|head, block| {
                let mut bytes = Vec::new();
                if head.length > BLOCK_BYTES {
                    too_long = Some(head.length);
                } else {
                    block.read_to_end(&mut bytes)?;
                }
                Ok((head.clone(), bytes))
            })?;
            let Some((head, block)) = taken else { break };
            if let Some(length) = too_long {
                exhibit.made.notes.push(format!("a record of {length} bytes is left out: too long to look through"));
                continue;
            }
            let begin = count.get();
            let Some((record, fields)) = exhibit.record(&head, &block)? else { continue };
            record.write(&mut warc, &fields)?;
            if let Some(mut line) = record.cdx {
                (line.offset, line.length) = (begin, count.get() - begin);
                line.filename = file.to_owned();
                exhibit.made.cdx.push(line);
            }
        }
        warc.into_inner().flush()?;
        Ok(exhibit.finish())
    }
}
