//! The exhibits of an export: open layer and sealed layer of each.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vigie_export::layer::{self, Change, Layer, Made, PageLine, Redraw};
use vigie_export::wacz::{self, About, Piece};
use vigie_export::{CdxLine, ExportError, Kind as What, Opening, Reading, Secrets};
use vigie_store::{Recipient, StoreError};
use vigie_warc::WarcReader;
use vigie_wire::draw::Picture;
use vigie_wire::limits::{DECODED_BODY_BYTES, PARSE_BODY_BYTES};
use vigie_wire::parse::Document;

use super::{Order, fault, put};
use crate::error::{Failing, Problem};
use crate::parts::ParsePool;
use crate::picture;

/// Where pieces lie until they are put together.
pub const FOLDER: &str = "pieces";
/// Bytes of payloads that revisits refer to, kept to be used again.
const KEPT_BYTES: usize = 64 << 20;

/// All pieces.
pub struct Pieces {
    /// What each exhibit's open layer came to.
    pub exhibits: BTreeMap<u64, One>,
    /// Bytes of all.
    pub bytes: u64,
}

/// One exhibit's; also what lies beside a piece that is done. No value that was taken out stands in it.
#[derive(Serialize, Deserialize)]
pub struct One {
    /// Lines of the index.
    pub cdx: Vec<CdxLine>,
    /// Pages.
    pub pages: Vec<PageLine>,
    /// Changes.
    pub changes: Vec<Change>,
    /// See [`Made::notes`].
    pub notes: Vec<String>,
    /// SHA-256 of its open layer, hex.
    pub sha256: String,
    /// Its bytes.
    pub bytes: u64,
}

/// The values that must not stand in the open layer, as far as they are known without opening an exhibit.
///
/// # Errors
/// A value of the list is too short to be looked for.
pub fn secrets(order: &Order<'_>) -> Result<Secrets, Problem> {
    let mut secrets = Secrets::new(secret(order)?);
    for mandate in &order.plan.mandates {
        for pseudonym in mandate.pseudonyms() {
            // A pseudonym of three letters is taken out of its own fields alone.
            let _ = secrets.add(What::Pseudonym, pseudonym);
        }
        for agent in mandate.agents() {
            if let Ok(line) = agent.key().to_openssh()
                && let Some(blob) = line.split(' ').nth(1)
            {
                let _ = secrets.add(What::Agent, blob);
            }
            let _ = secrets.add(What::Agent, &agent.key().fingerprint(ssh_key::HashAlg::Sha256).to_string());
        }
    }
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if host != "localhost" {
        let _ = secrets.add(What::Agent, &host);
    }
    for value in &order.listed {
        secrets.add(What::Listed, value).map_err(|e| Problem::input(format!("a line of the redaction list: {e}")))?;
    }
    Ok(secrets)
}

/// Drawn from the salts of the exhibits, which only their recipients know: the same export is the same when it
/// is made again, and nobody else can test a guess against a commitment.
fn secret(order: &Order<'_>) -> Result<[u8; 32], Problem> {
    let mut hash = Sha256::new_with_prefix(b"vigie export 1");
    for number in order.plan.disclosed() {
        let exhibit = &order.plan.exhibits[&number];
        let part =
            order.reader.open_private(&exhibit.entry, order.identities).map_err(|error| closed(number, error))?;
        for opening in part.iter().flat_map(|part| &part.openings) {
            hash.update(&opening.salt);
        }
    }
    Ok(hash.finalize().into())
}

fn closed(number: u64, error: StoreError) -> Problem {
    match error {
        StoreError::NotARecipient { .. } => Problem {
            refusal: Some("not-a-recipient"),
            ..Problem::refused(format!(
                "exhibit {number} is not sealed to any of these identities: name one of its recipients"
            ))
        },
        other => other.into(),
    }
}

/// Adds the values of cookies and credentials in all exhibits.
///
/// # Errors
/// An exhibit is damaged or closed.
pub fn gather(order: &Order<'_>, secrets: &mut Secrets) -> Result<(), Problem> {
    let total = order.plan.sealed_bytes();
    let mut done = 0;
    for number in order.plan.disclosed() {
        let mut opened = order.reader.open_exhibit(number, order.identities).map_err(|error| closed(number, error))?;
        layer::gather(&mut opened, |kind, value| {
            // Shorter ones go from their own fields.
            let _ = secrets.add(kind, value);
        })
        .map_err(|error| damaged(number, &error))?;
        done += opened.finish()?.age.map_or(0, |age| age.len);
        order.monitor.job("looking for what must not leave", done, total);
    }
    Ok(())
}

fn damaged(number: u64, error: &dyn std::fmt::Display) -> Problem {
    Problem::unsound(format!("reading exhibit {number}: {error}: run vigie verify"))
}

/// Writes every exhibit's open layer, puts them together, and lays the sealed layer beside it.
///
/// # Errors
/// An exhibit is damaged; the disk is full.
pub fn write(
    order: &Order<'_>,
    created: &Timestamp,
    part: &Path,
    data: &Path,
    secrets: &Secrets,
) -> Result<Pieces, Problem> {
    let folder = part.join(FOLDER);
    fs::create_dir_all(&folder).failing(format!("making {}", folder.display()))?;
    let reading = Pool(&order.pages);
    let kept = RefCell::new(Kept::default());
    let original = |exhibit: u64, record: &str| kept.borrow_mut().response(order, exhibit, record);
    let layer = Layer { secrets, reading: &reading, original: &original };
    let (total, mut done) = (order.plan.sealed_bytes(), 0);
    let mut pieces = Vec::new();
    let mut all = BTreeMap::new();
    for number in order.plan.disclosed() {
        let name = format!("exhibit-{number:06}.warc.gz");
        let (file, facts) = (folder.join(&name), folder.join(format!("exhibit-{number:06}.json")));
        let finished = fs::read(&facts).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let one: One = match finished {
            Some(one) => one,
            None => {
                let (one, openings) = open_layer(order, &layer, number, &name, &file)?;
                if !order.open_only {
                    sealed(order, number, &openings, data)?;
                }
                // Last: it says that the exhibit is done.
                put(&facts, &serde_json::to_vec(&one).failing("writing what was done")?)?;
                one
            }
        };
        pieces.push(Piece { name, path: file, cdx: one.cdx.clone(), pages: one.pages.clone() });
        all.insert(number, one);
        done += order.plan.exhibits[&number].entry.age.as_ref().map_or(0, |age| age.len);
        order.monitor.job("writing exhibits", done, total);
    }
    let about = About {
        title: format!("Case {}", order.plan.case),
        description: "Open layer of the exhibits; what was taken out is listed in redactions.jsonl".to_owned(),
        software: format!("vigie {}", env!("CARGO_PKG_VERSION")),
        created: *created,
    };
    let archive = data.join("evidence.wacz");
    let out = File::create(&archive).failing(format!("writing {}", archive.display()))?;
    let written = wacz::write(BufWriter::with_capacity(1 << 20, out), &about, &pieces, secrets);
    let mut out = written.map_err(|error| fault(&order.to, &error))?;
    out.flush().and_then(|()| out.get_ref().sync_all()).failing(format!("writing {}", archive.display()))?;
    let bytes = fs::metadata(&archive).map_or(0, |facts| facts.len()) + if order.open_only { 0 } else { total };
    Ok(Pieces { exhibits: all, bytes })
}

fn open_layer(
    order: &Order<'_>,
    layer: &Layer<'_>,
    number: u64,
    name: &str,
    file: &Path,
) -> Result<(One, Vec<Opening>), Problem> {
    let trying = || format!("writing {}", file.display());
    let mut opened = order.reader.open_exhibit(number, order.identities).map_err(|error| closed(number, error))?;
    let out = File::create(file).failing(trying())?;
    let mut out = Hashed { out: BufWriter::with_capacity(1 << 18, out), hash: Sha256::new(), bytes: 0 };
    let made = layer.write(number, name, &mut opened, &mut out).map_err(|error| match error {
        ExportError::Warc(vigie_warc::WarcError::Io(error)) if error.raw_os_error().is_some() => {
            fault(&order.to, &error)
        }
        ExportError::Io(error) => fault(&order.to, &error),
        other => damaged(number, &other),
    })?;
    opened.finish()?;
    out.flush().and_then(|()| out.out.get_ref().sync_all()).failing(trying())?;
    let Made { mut cdx, pages, changes, openings, redraw, mut notes } = made;
    if let Some(redraw) = redraw {
        match draw_again(order, layer.secrets, file, pages.first().map(|page| page.url.as_str())) {
            Ok(picture) => {
                let lines =
                    add_picture(layer.secrets, &redraw, &picture, name, &mut out).map_err(|e| fault(&order.to, &e))?;
                out.flush().and_then(|()| out.out.get_ref().sync_all()).failing(trying())?;
                cdx.extend(lines);
                notes.push("its picture is drawn again from the open layer".to_owned());
            }
            Err(why) => notes.push(format!("it has no picture: what it showed was changed, and {why}")),
        }
    }
    let sha256 = data_encoding::HEXLOWER.encode(&out.hash.finalize());
    Ok((One { cdx, pages, changes, notes, sha256, bytes: out.bytes }, openings))
}

/// Draws the page as the open layer has it.
fn draw_again(order: &Order<'_>, secrets: &Secrets, file: &Path, page: Option<&str>) -> Result<Picture, String> {
    let source = File::open(file).map_err(|e| e.to_string())?;
    let drawing = picture::from_warc(source, page, &order.pages).map_err(|problem| problem.line)?;
    let mut drawn = order.pictures.draw(drawing)?;
    for warning in &mut drawn.warnings {
        *warning = secrets.redact_text(warning);
    }
    Ok(drawn)
}

/// Adds a picture to the end of an open layer; gives its lines of the index.
fn add_picture(
    secrets: &Secrets,
    redraw: &Redraw,
    drawn: &Picture,
    name: &str,
    out: &mut Hashed<impl Write>,
) -> Result<Vec<CdxLine>, ExportError> {
    let mut lines = Vec::new();
    let base = redraw.urn.split('#').next().unwrap_or_default();
    for (number, tile) in (1..).zip(&drawn.tiles) {
        let urn = if number == 1 { base.to_owned() } else { format!("{base}#{number}") };
        let digest: [u8; 32] = Sha256::digest(&tile.png).into();
        let label = vigie_warc::sha256_label(&digest);
        let mut fields = vec![
            ("WARC-Target-URI", urn.clone()),
            ("WARC-Warcinfo-ID", redraw.info.clone()),
            ("WARC-Payload-Digest", label.clone()),
            ("Vigie-Open-Layer", "drawn again from the open layer".to_owned()),
        ];
        fields.extend(drawn.facts.iter().take(1).map(|(name, value)| ("Vigie-Renderer", format!("{name} {value}"))));
        let id = secrets.keyed(b"picture", format!("{name} {urn}").as_bytes());
        let id = uuid::Builder::from_random_bytes(id.first_chunk().copied().unwrap_or_default()).into_uuid();
        let record = vigie_warc::records::Record {
            kind: "resource",
            record_id: &format!("<urn:uuid:{id}>"),
            date: redraw.date,
            content_type: "image/png",
            fields: &fields,
        };
        let begin = out.bytes;
        vigie_warc::WarcWriter::new(&mut *out).record(&record, &mut &tile.png[..], tile.png.len() as u64, digest)?;
        if let Some(mut line) = CdxLine::new(&urn, redraw.date, &label, "image/png", None) {
            (line.offset, line.length, line.filename) = (begin, out.bytes - begin, name.to_owned());
            lines.push(line);
        }
    }
    Ok(lines)
}

struct Hashed<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The sealed layer: the exhibit as it was sealed, or sealed anew to others, and what opens the commitments of
/// its log entry and of the open layer.
fn sealed(order: &Order<'_>, number: u64, openings: &[Opening], data: &Path) -> Result<(), Problem> {
    let folder = data.join("sealed");
    fs::create_dir_all(&folder).failing(format!("making {}", folder.display()))?;
    let exhibit = &order.plan.exhibits[&number];
    let path = folder.join(format!("exhibit-{number:06}.age"));
    let trying = || format!("writing {}", path.display());
    let file = File::create(&path).failing(trying())?;
    if order.seal_to.is_empty() {
        let (_, mut sealed) = order.reader.exhibit(number)?;
        let mut out = BufWriter::with_capacity(1 << 18, file);
        io::copy(&mut sealed, &mut out).and_then(|_| out.flush()).failing(trying())?;
        out.get_ref().sync_all().failing(trying())?;
    } else {
        let to = recipients(order)?;
        let mut opened = order.reader.open_exhibit(number, order.identities).map_err(|error| closed(number, error))?;
        let mut out = vigie_store::seal_into(&to, file)?;
        io::copy(&mut opened, &mut out).failing(trying())?;
        opened.finish()?;
        out.finish().and_then(|file| file.sync_all()).failing(trying())?;
    }
    let private = order.reader.open_private(&exhibit.entry, order.identities).map_err(|error| closed(number, error))?;
    let mut lines = String::new();
    for opening in private.iter().flat_map(|part| &part.openings) {
        let line = serde_json::json!({"of": format!("entry {}", exhibit.entry.sequence), "name": opening.name,
            "salt": data_encoding::HEXLOWER.encode(&opening.salt),
            "value_base64": data_encoding::BASE64.encode(&opening.value)});
        lines.push_str(&format!("{line}\n"));
    }
    for opening in openings {
        let line = serde_json::json!({"of": "redactions.jsonl", "commitment": opening.commitment,
            "salt": opening.salt, "value": opening.value});
        lines.push_str(&format!("{line}\n"));
    }
    put_sealed(order, &folder.join(format!("openings-{number:06}.jsonl.age")), lines.as_bytes())
}

/// A small file of the sealed layer.
///
/// # Errors
/// The disk is full, or no recipient fits.
pub fn put_sealed(order: &Order<'_>, path: &Path, bytes: &[u8]) -> Result<(), Problem> {
    let recipients = recipients(order)?;
    let mut sealed = Vec::new();
    let mut out = vigie_store::seal_into(&recipients, &mut sealed)?;
    out.write_all(bytes).and_then(|()| out.finish().map(drop)).failing("sealing a file of the export")?;
    put(path, &sealed)
}

/// Who opens the sealed layer.
fn recipients(order: &Order<'_>) -> Result<Vec<Recipient>, Problem> {
    let parse = |key: &str| key.parse().map_err(|e| Problem::input(format!("a recipient of the sealed layer: {e}")));
    if !order.seal_to.is_empty() {
        return order.seal_to.iter().map(|key| parse(key)).collect();
    }
    let mandate = order.plan.mandates.last().ok_or_else(|| Problem::unsound("a case without a mandate"))?;
    [mandate.recipients().case(), mandate.recipients().escrow()].into_iter().map(parse).collect()
}

/// Payloads that revisits refer to.
#[derive(Default)]
struct Kept {
    responses: BTreeMap<(u64, String), Option<Vec<u8>>>,
    bytes: usize,
}

impl Kept {
    fn response(&mut self, order: &Order<'_>, exhibit: u64, record: &str) -> Result<Option<Vec<u8>>, ExportError> {
        let key = (exhibit, record.to_owned());
        if let Some(found) = self.responses.get(&key) {
            return Ok(found.clone());
        }
        let fault = |what: String| ExportError::Record { exhibit, what };
        let mut opened = match order.reader.open_exhibit(exhibit, order.identities) {
            Ok(opened) => opened,
            Err(StoreError::NotARecipient { .. }) => return Ok(None),
            Err(error) => return Err(fault(error.to_string())),
        };
        let mut found = None;
        let mut warc = WarcReader::new(&mut opened);
        while warc
            .next(|head, block| {
                if head.field("WARC-Record-ID") == Some(record) && head.length <= layer::BLOCK_BYTES {
                    let mut bytes = Vec::new();
                    block.read_to_end(&mut bytes)?;
                    found = Some(bytes);
                }
                Ok(())
            })?
            .is_some()
        {}
        opened.finish().map_err(|error| fault(error.to_string()))?;
        let bytes = found.as_ref().map_or(0, Vec::len);
        if self.bytes + bytes > KEPT_BYTES {
            *self = Self::default();
        }
        if bytes <= KEPT_BYTES {
            self.bytes += bytes;
            self.responses.insert(key, found.clone());
        }
        Ok(found)
    }
}

/// Reads hostile bytes in a process of their own.
struct Pool<'a>(&'a ParsePool);

impl Pool<'_> {
    fn document(url: &str, content_type: Option<&str>, codings: Option<&str>, body: Vec<u8>) -> Document {
        let bytes = |text: &str| Bytes::from(text.to_owned());
        Document {
            url: url.to_owned(),
            content_type: content_type.map(bytes),
            content_encoding: codings.map(bytes),
            headers: Vec::new(),
            body: body.into(),
            cut: false,
            decoded_bytes: DECODED_BODY_BYTES as u32,
        }
    }
}

impl Reading for Pool<'_> {
    fn decoded(&self, codings: &str, content_type: Option<&str>, body: Vec<u8>) -> Result<Vec<u8>, String> {
        if body.len() > PARSE_BODY_BYTES {
            return Err(format!("{} bytes in a coding", body.len()));
        }
        let document = Self::document("", content_type, Some(codings), body);
        let (bytes, warnings) = self.0.body(document).map_err(|unread| unread.to_string())?;
        // What is odd about a coding may hide bytes from whoever looks through them.
        match warnings.first() {
            Some(warning) => Err(warning.clone()),
            None => Ok(bytes.into()),
        }
    }

    fn text(&self, url: &str, content_type: Option<&str>, body: &[u8]) -> (String, String) {
        if body.len() > PARSE_BODY_BYTES {
            return (String::new(), String::new());
        }
        self.0.text(Self::document(url, content_type, None, body.to_vec())).unwrap_or_default()
    }
}
