//! WACZ 1.1.1: the open layer as one archive that ReplayWeb.page opens
//! (<https://specs.webrecorder.net/wacz/1.1.1/>), with the anonymous signature that its reader shows
//! (<https://specs.webrecorder.net/wacz-auth/0.1.0/>).
//!
//! Everything lies uncompressed in the ZIP file: records are compressed already, and a reader takes them by
//! their place.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::PathBuf;

use data_encoding::{BASE64, HEXLOWER};
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use p384::ecdsa::signature::hazmat::PrehashSigner;
use p384::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::ExportError;
use crate::cdx::CdxLine;
use crate::layer::PageLine;
use crate::secrets::Secrets;

/// Lines of the index in one compressed piece.
const LINES: usize = 256;
/// Version of the signature's form.
const SIGNATURE_VERSION: &str = "0.1.0";
/// What stands before the point of a P-384 public key (RFC 5480 section 2; SubjectPublicKeyInfo in DER).
const SPKI: [u8; 23] = [
    0x30, 0x76, 0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x05, 0x2b, 0x81, 0x04, 0x00,
    0x22, 0x03, 0x62, 0x00,
];

/// What the archive says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Title.
    pub title: String,
    /// Description.
    pub description: String,
    /// Software and version.
    pub software: String,
    /// When it was made.
    pub created: Timestamp,
}

/// One WARC file and what its open layer came to.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Name under `archive/`.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    /// Lines of the index.
    pub cdx: Vec<CdxLine>,
    /// Pages.
    pub pages: Vec<PageLine>,
}

struct Archive<W: Write + Seek> {
    zip: ZipWriter<W>,
    time: Timestamp,
    resources: Vec<Value>,
}

impl<W: Write + Seek> Archive<W> {
    fn add(&mut self, path: &str, mut source: impl Read, bytes: u64) -> Result<(), ExportError> {
        self.begin(path, bytes)?;
        let mut hash = Sha256::new();
        let mut length = 0;
        let mut buffer = vec![0; 128 * 1024];
        loop {
            let read = source.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            hash.update(&buffer[..read]);
            self.zip.write_all(&buffer[..read])?;
            length += read as u64;
        }
        let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
        let hash = format!("sha256:{}", HEXLOWER.encode(&hash.finalize()));
        self.resources.push(json!({"name": name, "path": path, "hash": hash, "bytes": length}));
        Ok(())
    }

    fn begin(&mut self, path: &str, bytes: u64) -> Result<(), ExportError> {
        Ok(self.zip.start_file(path, stored(self.time, bytes))?)
    }
}

/// Writes the archive.
///
/// # Errors
/// A piece cannot be read, or `out` not be written.
pub fn write<W: Write + Seek>(out: W, about: &About, pieces: &[Piece], secrets: &Secrets) -> Result<W, ExportError> {
    let mut archive = Archive { zip: ZipWriter::new(out), time: about.created, resources: Vec::new() };
    for piece in pieces {
        let file = File::open(&piece.path)?;
        let bytes = file.metadata()?.len();
        archive.add(&format!("archive/{}", piece.name), file, bytes)?;
    }
    let (compressed, index) = index(pieces)?;
    archive.add("indexes/index.cdx.gz", &compressed[..], compressed.len() as u64)?;
    archive.add("indexes/index.idx", index.as_bytes(), index.len() as u64)?;
    let pages = pages(&about.title, pieces)?;
    archive.add("pages/pages.jsonl", pages.as_bytes(), pages.len() as u64)?;

    let created = about.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut package = json!({
        "profile": "data-package",
        "wacz_version": "1.1.1",
        "created": created,
        "software": about.software,
        "title": about.title,
        "description": about.description,
        "resources": archive.resources,
    });
    if let Some(main) = pieces.iter().flat_map(|piece| &piece.pages).next() {
        package["mainPageUrl"] = json!(main.url);
        package["mainPageDate"] = json!(main.ts);
    }
    let package = serde_json::to_vec_pretty(&package)?;
    archive.begin("datapackage.json", 0)?;
    archive.zip.write_all(&package)?;
    let hash = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(&package)));
    let digest = json!({
        "path": "datapackage.json",
        "hash": hash,
        "signedData": signed(&hash, &created, &about.software, secrets),
    });
    archive.begin("datapackage-digest.json", 0)?;
    archive.zip.write_all(&serde_json::to_vec_pretty(&digest)?)?;
    Ok(archive.zip.finish()?)
}

/// The index in pieces of some hundred lines, and the list of pieces.
fn index(pieces: &[Piece]) -> Result<(Vec<u8>, String), ExportError> {
    let mut lines: Vec<String> = pieces.iter().flat_map(|piece| &piece.cdx).map(CdxLine::text).collect();
    lines.sort_unstable();
    let mut compressed = Vec::new();
    let mut list = String::from("!meta 0 {\"format\": \"cdxj-gzip-1.0\", \"filename\": \"index.cdx.gz\"}\n");
    for piece in lines.chunks(LINES) {
        let begin = compressed.len();
        let mut member = GzEncoder::new(&mut compressed, Compression::best());
        for line in piece {
            member.write_all(line.as_bytes())?;
            member.write_all(b"\n")?;
        }
        member.finish()?;
        let member = &compressed[begin..];
        let key: Vec<&str> = piece[0].splitn(3, ' ').take(2).collect();
        let digest = format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(member)));
        list.push_str(&format!(
            "{} {{\"offset\": {begin}, \"length\": {}, \"digest\": \"{digest}\", \"filename\": \"index.cdx.gz\"}}\n",
            key.join(" "),
            member.len()
        ));
    }
    Ok((compressed, list))
}

fn pages(title: &str, pieces: &[Piece]) -> Result<String, ExportError> {
    let mut text = json!({"format": "json-pages-1.0", "id": "pages", "title": title, "hasText": true}).to_string();
    text.push('\n');
    for page in pieces.iter().flat_map(|piece| &piece.pages) {
        text.push_str(&serde_json::to_string(page)?);
        text.push('\n');
    }
    Ok(text)
}

/// The signature of a key that belongs to this archive alone: it shows that hash and archive go together, and
/// nothing of who made them.
fn signed(hash: &str, created: &str, software: &str, secrets: &Secrets) -> Value {
    let key = (0_u8..=255).find_map(|count| {
        let half = |side: u8| secrets.keyed(b"archive-key", &[count, side]);
        let scalar = [half(0), half(1)].concat();
        SigningKey::from_slice(&scalar[..48]).ok()
    });
    let Some(key) = key else { return Value::Null };
    // Readers of WACZ expect SHA-256 on this curve; the crate's own choice would be SHA-384.
    let Ok(signature) = PrehashSigner::<Signature>::sign_prehash(&key, &Sha256::digest(hash.as_bytes())) else {
        return Value::Null;
    };
    let point = key.verifying_key().to_encoded_point(false);
    let public = [&SPKI[..], point.as_bytes()].concat();
    json!({
        "hash": hash,
        "created": created,
        "software": software,
        "version": SIGNATURE_VERSION,
        "signature": BASE64.encode(&signature.to_bytes()),
        "publicKey": BASE64.encode(&public),
    })
}

/// How a file of so many bytes lies in an archive: uncompressed, under a fixed time.
pub(crate) fn stored(time: Timestamp, bytes: u64) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .last_modified_time(zip_time(time))
        .unix_permissions(0o644)
        // Room for sizes beyond 32 bits only where it is needed: some readers know no other form.
        .large_file(bytes >= u64::from(u32::MAX))
}

/// A time as ZIP files have it: from 1980 on.
fn zip_time(time: Timestamp) -> DateTime {
    let utc = jiff::tz::TimeZone::UTC.to_datetime(time);
    let part = |value: i8| u8::try_from(value).unwrap_or(0);
    let year = u16::try_from(utc.year()).unwrap_or(1980);
    DateTime::from_date_and_time(
        year,
        part(utc.month()),
        part(utc.day()),
        part(utc.hour()),
        part(utc.minute()),
        part(utc.second()),
    )
    .unwrap_or_default()
}
