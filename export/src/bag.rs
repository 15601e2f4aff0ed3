//! BagIt 1.0 (RFC 8493): a folder whose manifest names every file with its digest.

use std::fs::File;
use std::io::{BufReader, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use zip::ZipWriter;

use crate::ExportError;

/// Where the payload lies.
pub const DATA: &str = "data";
/// Manifest of the payload.
pub const MANIFEST: &str = "manifest-sha256.txt";
/// Manifest of the other files.
pub const TAG_MANIFEST: &str = "tagmanifest-sha256.txt";

/// Lines of `bag-info.txt`: (label, value).
pub type Info = [(String, String)];

/// Seals a folder: writes declaration, information and manifests beside its `data/`. `each` hears of every
/// payload file's bytes, for progress.
///
/// # Errors
/// A file cannot be read or written, or its name is not UTF-8.
pub fn seal(dir: &Path, info: &Info, mut each: impl FnMut(u64)) -> Result<(), ExportError> {
    let mut files = Vec::new();
    collect(&dir.join(DATA), &mut files)?;
    let mut manifest = String::new();
    let (mut bytes, mut count) = (0, 0_u64);
    let mut listed: Vec<(String, PathBuf)> =
        files.into_iter().map(|path| name(dir, &path).map(|name| (name, path))).collect::<Result<_, _>>()?;
    listed.sort();
    for (name, path) in &listed {
        let (digest, length) = digest(path)?;
        manifest.push_str(&format!("{digest}  {name}\n"));
        bytes += length;
        count += 1;
        each(length);
    }
    let mut about = String::new();
    for (label, value) in info {
        about.push_str(&format!("{label}: {}\n", value.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    about.push_str(&format!("Payload-Oxum: {bytes}.{count}\n"));
    put(dir, "bagit.txt", "BagIt-Version: 1.0\nTag-File-Character-Encoding: UTF-8\n")?;
    put(dir, "bag-info.txt", &about)?;
    put(dir, MANIFEST, &manifest)?;
    seal_tags(dir)
}

/// Writes the manifest of all files beside `data/` anew: after one was added.
///
/// # Errors
/// As [`seal`].
pub fn seal_tags(dir: &Path) -> Result<(), ExportError> {
    let mut tags = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() && path.file_name().is_some_and(|name| name != TAG_MANIFEST) {
            tags.push((name(dir, &path)?, path));
        }
    }
    tags.sort();
    let mut text = String::new();
    for (name, path) in tags {
        text.push_str(&format!("{}  {name}\n", digest(&path)?.0));
    }
    put(dir, TAG_MANIFEST, &text)
}

/// A sealed folder as one ZIP file, under one folder of this name (RFC 8493 section 4), nothing compressed twice.
///
/// # Errors
/// As [`seal`].
pub fn zip(dir: &Path, name: &str, time: Timestamp, to: &Path) -> Result<(), ExportError> {
    let mut files = Vec::new();
    collect(dir, &mut files)?;
    files.sort();
    let mut archive = ZipWriter::new(std::io::BufWriter::with_capacity(1 << 20, File::create(to)?));
    for path in &files {
        let mut file = File::open(path)?;
        let within = path.strip_prefix(dir).unwrap_or(path).to_str();
        let within = within.ok_or_else(|| std::io::Error::other("a file's name is not UTF-8"))?;
        archive.start_file(format!("{name}/{within}"), crate::wacz::stored(time, file.metadata()?.len()))?;
        std::io::copy(&mut file, &mut archive)?;
    }
    let out = archive.finish()?.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    Ok(out.sync_all()?)
}

fn put(dir: &Path, name: &str, text: &str) -> Result<(), ExportError> {
    let mut file = File::create(dir.join(name))?;
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> Result<(), ExportError> {
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// A path as manifests write it (RFC 8493 section 2.1.3).
fn name(dir: &Path, path: &Path) -> Result<String, ExportError> {
    let within = path.strip_prefix(dir).unwrap_or(path);
    let text = within.to_str().ok_or_else(|| std::io::Error::other("a file's name is not UTF-8"))?;
    Ok(text.replace('%', "%25").replace('\n', "%0A").replace('\r', "%0D"))
}

fn digest(path: &Path) -> Result<(String, u64), ExportError> {
    let mut file = BufReader::with_capacity(128 * 1024, File::open(path)?);
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 128 * 1024];
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok((HEXLOWER.encode(&hash.finalize()), length));
        }
        hash.update(&buffer[..read]);
        length += read as u64;
    }
}
