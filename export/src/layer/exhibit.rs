//! Record by record: what stays, what is taken out, what is left out.

use std::collections::BTreeSet;
use std::io::Write;

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use vigie_warc::records::Record;
use vigie_warc::{RecordHead, WarcWriter, sha256_label};

use super::{Change, Layer, Made, PageLine, Redraw};
use crate::ExportError;
use crate::cdx::CdxLine;
use crate::head::{self, Framing, Taken};
use crate::secrets::Kind;

/// How the addresses of pictures of whole pages begin.
const PICTURE: &str = "urn:fullPage:";
/// Facts of a record that the open layer does not tell.
const FACTS_LEFT_OUT: [&str; 1] = ["profile"];
/// Facts that are digests of bytes which may have been changed.
const PAYLOAD_FACTS: [&str; 1] = ["payload-sha256"];

/// The exhibit that is being written.
pub(super) struct Exhibit<'l, 'a> {
    layer: &'l Layer<'a>,
    number: u64,
    pub(super) made: Made,
    main: Option<String>,
    responses: Vec<PageLine>,
    altered: BTreeSet<String>,
    /// A body was changed, so that a picture may show what was taken out.
    shown: bool,
}

/// Fields of a record: (name, value).
pub(super) type Fields = Vec<(String, String)>;

/// A record as it is written.
pub(super) struct Written {
    kind: String,
    record_id: String,
    date: Timestamp,
    content_type: String,
    block: Vec<u8>,
    pub(super) cdx: Option<CdxLine>,
}

impl Written {
    pub(super) fn write<W: Write>(
        &self,
        warc: &mut WarcWriter<W>,
        fields: &[(String, String)],
    ) -> Result<(), ExportError> {
        let fields: Vec<(&str, String)> = fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        let record = Record {
            kind: &self.kind,
            record_id: &self.record_id,
            date: self.date,
            content_type: &self.content_type,
            fields: &fields,
        };
        let sha256 = Sha256::digest(&self.block).into();
        warc.record(&record, &mut &self.block[..], self.block.len() as u64, sha256)?;
        Ok(())
    }
}

impl<'l, 'a> Exhibit<'l, 'a> {
    /// Nothing of it is written yet.
    pub(super) fn new(layer: &'l Layer<'a>, number: u64) -> Self {
        Self {
            layer,
            number,
            made: Made::default(),
            main: None,
            responses: Vec::new(),
            altered: BTreeSet::new(),
            shown: false,
        }
    }

    fn fault(&self, what: impl Into<String>) -> ExportError {
        ExportError::Record { exhibit: self.number, what: what.into() }
    }

    pub(super) fn record(&mut self, head: &RecordHead, block: &[u8]) -> Result<Option<(Written, Fields)>, ExportError> {
        let field = |name: &str| head.field(name).unwrap_or_default().to_owned();
        let (kind, id) = (field("WARC-Type"), field("WARC-Record-ID"));
        let date: Timestamp =
            field("WARC-Date").parse().map_err(|_| self.fault(format!("the record {id} has no date")))?;
        let url = field("WARC-Target-URI");
        let redacted_url = self.text(&id, "target-uri", &url);
        let mut written = Written {
            kind: kind.clone(),
            record_id: id.clone(),
            date,
            content_type: field("Content-Type"),
            block: Vec::new(),
            cdx: None,
        };
        let mut payload_sha256 = None;
        match kind.as_str() {
            "request" => {
                let split = head::split(block);
                let changed = head::redact(split.head, true, self.layer.secrets, Framing::AsReceived);
                self.taken(&id, "request-head", &changed.taken);
                written.block = changed.head;
                if !split.body.is_empty() {
                    // What was sent is what somebody typed.
                    self.whole(&id, "body", Kind::Credential, split.body);
                }
            }
            "response" | "revisit" => {
                let whole = if kind == "revisit" { self.resolve(head)? } else { None };
                if kind == "revisit" && whole.is_none() {
                    self.made.notes.push(format!("the record {id} refers to bytes that this export cannot open"));
                    return Ok(None);
                }
                written.kind = "response".to_owned();
                let response = self.response(&id, block, whole);
                let payload = head::payload(&response);
                payload_sha256 = Some(sha256_label(&Sha256::digest(&payload).into()));
                let status = status(&response);
                let mime = head::field(head::split(&response).head, "content-type");
                let mime = mime.as_deref().and_then(|mime| mime.split(';').next()).unwrap_or("unk").trim().to_owned();
                let digest = payload_sha256.clone().unwrap_or_default();
                written.cdx = CdxLine::new(&redacted_url, date, &digest, &mime, status);
                self.page(&id, &redacted_url, date, &response, &payload, &mime);
                written.block = response;
            }
            "metadata" | "warcinfo" => {
                written.block = self.facts(&id, block, head.field("WARC-Concurrent-To"));
                if kind == "metadata" {
                    // That of the page stands last and is concurrent to the page's own response.
                    self.main = head.field("WARC-Concurrent-To").map(str::to_owned).or(self.main.take());
                }
            }
            "resource" if !self.shown => {
                let (block, hits) = self.layer.secrets.redact(block);
                if !hits.is_empty() {
                    self.made.notes.push(format!("the record {id} is left out: it holds what must not be told"));
                    return Ok(None);
                }
                let digest = sha256_label(&Sha256::digest(&block).into());
                written.cdx = CdxLine::new(&redacted_url, date, &digest, &written.content_type, None);
                payload_sha256 = Some(digest);
                written.block = block;
            }
            _ => {
                if kind == "resource" && redacted_url.starts_with(PICTURE) && self.made.redraw.is_none() {
                    let info = field("WARC-Warcinfo-ID");
                    self.made.redraw = Some(Redraw { date, info, urn: redacted_url });
                } else if !redacted_url.starts_with(PICTURE) {
                    self.made.notes.push(format!("the record {id} ({kind}) is left out: what it shows was changed"));
                }
                return Ok(None);
            }
        }
        let fields = self.fields(head, &kind, &redacted_url, payload_sha256);
        Ok(Some((written, fields)))
    }

    /// Fields of a record but those that the writer makes.
    fn fields(&self, head: &RecordHead, kind: &str, url: &str, payload: Option<String>) -> Vec<(String, String)> {
        const MADE: [&str; 6] =
            ["WARC-Type", "WARC-Record-ID", "WARC-Date", "Content-Type", "Content-Length", "WARC-Block-Digest"];
        const REVISIT: [&str; 5] = [
            "WARC-Profile",
            "WARC-Refers-To",
            "WARC-Refers-To-Target-URI",
            "WARC-Refers-To-Date",
            "Vigie-Refers-To-Exhibit",
        ];
        let mut fields = Vec::new();
        for (name, value) in &head.fields {
            let is = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(name));
            if is(&MADE) || is(&["WARC-Payload-Digest"]) || (kind == "revisit" && is(&REVISIT)) {
                continue;
            }
            let value = if name.eq_ignore_ascii_case("WARC-Target-URI") {
                url.to_owned()
            } else {
                self.layer.secrets.redact_text(value)
            };
            fields.push((name.clone(), value));
        }
        fields.extend(payload.map(|digest| ("WARC-Payload-Digest".to_owned(), digest)));
        if let Some(original) = head.field("Vigie-Refers-To-Exhibit").filter(|_| kind == "revisit") {
            fields.push(("Vigie-Payload-From-Exhibit".to_owned(), original.to_owned()));
        }
        if self.altered.contains(head.field("WARC-Record-ID").unwrap_or_default()) {
            fields.push(("Vigie-Open-Layer".to_owned(), "changed: see redactions.jsonl".to_owned()));
        }
        fields
    }

    /// The payload that a revisit refers to.
    fn resolve(&self, head: &RecordHead) -> Result<Option<Vec<u8>>, ExportError> {
        let exhibit = head.field("Vigie-Refers-To-Exhibit").and_then(|number| number.parse().ok());
        let (Some(exhibit), Some(record)) = (exhibit, head.field("WARC-Refers-To")) else { return Ok(None) };
        let found = (self.layer.original)(exhibit, record)?;
        Ok(found.map(|response| head::payload(&response)))
    }

    /// A response as it may leave. `other` is a payload that stood elsewhere.
    fn response(&mut self, id: &str, block: &[u8], other: Option<Vec<u8>>) -> Vec<u8> {
        let split = head::split(block);
        let moved = other.is_some();
        let payload = other.unwrap_or_else(|| head::payload(block));
        let codings =
            head::joined(split.head, "content-encoding").filter(|codings| !codings.eq_ignore_ascii_case("identity"));
        let content_type = head::field(split.head, "content-type");
        let searched = match &codings {
            Some(codings) if !payload.is_empty() => {
                self.layer.reading.decoded(codings, content_type.as_deref(), payload.clone())
            }
            _ => Ok(payload.clone()),
        };
        let (body, framing) = match searched {
            Ok(plain) => {
                let (redacted, hits) = self.layer.secrets.redact(&plain);
                let raw = self.layer.secrets.find(split.body);
                if hits.is_empty() && raw.is_empty() && !moved {
                    (split.body.to_vec(), Framing::AsReceived)
                } else if hits.is_empty() && moved {
                    // The head's own codings still hold for the payload, but its framing does not.
                    let head = head::redact(split.head, false, self.layer.secrets, Framing::AsReceived);
                    self.taken(id, "response-head", &head.taken);
                    return [unframed(&head.head, payload.len()), payload].concat();
                } else if text_like(content_type.as_deref(), &plain) {
                    for hit in &hits {
                        self.change(
                            id,
                            "body",
                            self.layer.secrets.kind(&hit.value),
                            &hit.value,
                            hit.range.start,
                            hit.range.len(),
                            None,
                        );
                    }
                    let length = redacted.len();
                    (redacted, Framing::Plain(length))
                } else {
                    self.whole(id, "body", Kind::Listed, &plain);
                    (Vec::new(), Framing::Plain(0))
                }
            }
            Err(why) => {
                self.made.notes.push(format!("the body of {id} is left out: it cannot be looked through ({why})"));
                self.whole(id, "body", Kind::Listed, &payload);
                (Vec::new(), Framing::Plain(0))
            }
        };
        let changed = head::redact(split.head, false, self.layer.secrets, framing);
        self.taken(id, "response-head", &changed.taken);
        if framing != Framing::AsReceived {
            self.shown = true;
            self.altered.insert(id.to_owned());
        }
        [changed.head, body].concat()
    }

    fn page(&mut self, id: &str, url: &str, date: Timestamp, response: &[u8], payload: &[u8], mime: &str) {
        if !matches!(mime, "text/html" | "application/xhtml+xml" | "text/plain") {
            return;
        }
        let head = head::split(response).head;
        let content_type = head::field(head, "content-type");
        let decoded = match head::joined(head, "content-encoding") {
            Some(codings) => self.layer.reading.decoded(&codings, content_type.as_deref(), payload.to_vec()).ok(),
            None => None,
        };
        let body = decoded.as_deref().unwrap_or(payload);
        let (title, text) = self.layer.reading.text(url, content_type.as_deref(), body);
        self.responses.push(PageLine {
            id: id.to_owned(),
            url: url.to_owned(),
            ts: date.to_string(),
            title: self.layer.secrets.redact_text(&title),
            text: self.layer.secrets.redact_text(&text),
            size: body.len() as u64,
        });
    }

    /// `application/warc-fields` without what they must not tell.
    fn facts(&mut self, id: &str, block: &[u8], of: Option<&str>) -> Vec<u8> {
        let changed = of.is_some_and(|response| self.altered.contains(response));
        let mut out = Vec::with_capacity(block.len());
        let mut at = 0;
        for line in block.split_inclusive(|byte| *byte == b'\n') {
            let begin = at;
            at += line.len();
            let text = String::from_utf8_lossy(line);
            let (name, value) = text.trim_end_matches(['\r', '\n']).split_once(": ").unwrap_or((text.trim_end(), ""));
            let own = FACTS_LEFT_OUT.contains(&name);
            if own || (changed && PAYLOAD_FACTS.contains(&name)) {
                let kind = if own { Kind::Pseudonym } else { Kind::Listed };
                let marker = if own { "REDACTED-pseudonym" } else { "REDACTED-digest" };
                self.change(id, "facts", kind, value, begin + name.len() + 2, value.len(), Some(marker));
                out.extend_from_slice(format!("{name}: {marker}\r\n").as_bytes());
                continue;
            }
            let (line, hits) = self.layer.secrets.redact(line);
            for hit in hits {
                let kind = self.layer.secrets.kind(&hit.value);
                self.change(id, "facts", kind, &hit.value, begin + hit.range.start, hit.range.len(), None);
            }
            out.extend_from_slice(&line);
        }
        out
    }

    fn text(&mut self, id: &str, part: &'static str, text: &str) -> String {
        let (bytes, hits) = self.layer.secrets.redact(text.as_bytes());
        for hit in hits {
            let kind = self.layer.secrets.kind(&hit.value);
            self.change(id, part, kind, &hit.value, hit.range.start, hit.range.len(), None);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn taken(&mut self, id: &str, part: &'static str, taken: &[Taken]) {
        for one in taken {
            self.change(id, part, one.kind, &one.value, one.at, one.bytes, Some(&one.marker));
        }
    }

    /// A part that is left out as a whole; what opens its commitment is its SHA-256.
    fn whole(&mut self, id: &str, part: &'static str, kind: Kind, bytes: &[u8]) {
        let value = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(bytes)));
        self.change(id, part, kind, &value, 0, bytes.len(), Some(""));
    }

    #[allow(clippy::too_many_arguments, reason = "the columns of one line")]
    fn change(
        &mut self,
        id: &str,
        part: &'static str,
        kind: Kind,
        value: &str,
        at: usize,
        bytes: usize,
        marker: Option<&str>,
    ) {
        let opening = self.layer.secrets.opening(value);
        self.altered.insert(id.to_owned());
        self.made.changes.push(Change {
            exhibit: self.number,
            record: id.to_owned(),
            part: part.into(),
            kind,
            marker: marker.map_or_else(|| self.layer.secrets.marker(value), str::to_owned),
            at,
            bytes,
            commitment: opening.commitment.clone(),
        });
        self.made.openings.push(opening);
    }

    pub(super) fn finish(mut self) -> Made {
        let main = self.main.take();
        let mut pages: Vec<PageLine> = self.responses;
        if let Some(place) = pages.iter().position(|page| Some(&page.id) == main.as_ref()) {
            pages = vec![pages.swap_remove(place)];
        } else {
            pages.truncate(1);
        }
        for page in &mut pages {
            page.id = page.id.trim_start_matches("<urn:uuid:").trim_end_matches('>').to_owned();
            if page.title.trim().is_empty() {
                page.title = format!("Exhibit {}", self.number);
            }
        }
        self.made.pages = pages;
        self.made.openings.sort();
        self.made.openings.dedup();
        self.made
    }
}

/// A head whose body is so many bytes, under the same content coding.
fn unframed(head: &[u8], length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let name = line.split(|byte| *byte == b':').next().unwrap_or_default().to_ascii_lowercase();
        if matches!(name.as_slice(), b"transfer-encoding" | b"content-length" | b"trailer") {
            continue;
        }
        if matches!(line, b"\r\n" | b"\n") && !out.is_empty() {
            out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        out.extend_from_slice(line);
    }
    out
}

fn status(response: &[u8]) -> Option<u16> {
    let line = head::split(response).head.split(|byte| *byte == b'\n').find(|line| line.starts_with(b"HTTP/"))?;
    std::str::from_utf8(line.split(|byte| *byte == b' ').nth(1)?).ok()?.trim().parse().ok()
}

/// Whether a marker may stand in the middle of these bytes.
fn text_like(content_type: Option<&str>, body: &[u8]) -> bool {
    let mime = content_type.and_then(|value| value.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
    let named = mime.starts_with("text/")
        || ["json", "xml", "javascript", "ecmascript", "x-www-form-urlencoded"].iter().any(|part| mime.contains(part));
    // What carries no type, and what lies about it, is judged by what it holds.
    let binary = body.iter().take(4096).any(|byte| *byte == 0);
    (named || mime.is_empty()) && !binary
}
