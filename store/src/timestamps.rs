//! Time stamps on signed heads (RFC 3161): requests that leave on a medium, answers that come in. The
//! files lie in `timestamps/`, in clear, since stock tools are to check them; entries of kind
//! `timestamp` bind them by digest.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use vigie_time::{RESPONSE_BYTES, Request, Root, Stamp};

use crate::checkpoint::{CHECKPOINT_BYTES, Checkpoint};
use crate::disk::{Disk, RealDisk};
use crate::draft::{Draft, Receipt};
use crate::error::{StoreError, Trying};
use crate::files::{Layout, new_folder, read_small, write_new};
use crate::keys::random;
use crate::kind::Kind;
use crate::log::{Tree, leaf_hash};
use crate::reader::Reader;
use crate::store::{Store, internal};

/// Names of the digests in an entry of kind `timestamp`.
pub(crate) const CERTIFICATES: &str = "certificates";
pub(crate) const CHECKPOINT: &str = "checkpoint";
pub(crate) const REQUEST: &str = "request";
pub(crate) const RESPONSE: &str = "response";
pub(crate) const ROOT: &str = "root";

/// A request that was made for the signed head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requested {
    /// Entries that the head covers.
    pub size: u64,
    /// Hex SHA-256 of the head, which is what the request names.
    pub sha256: String,
    /// The request for the authority.
    pub request: PathBuf,
    /// The head beside it.
    pub checkpoint: PathBuf,
}

/// An answer that was taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// What the authority says.
    pub stamp: Stamp,
    /// Entries that the stamped head covers.
    pub size: u64,
    /// Where head, request, response and certificates lie: `STEM.checkpoint` and so on.
    pub stem: PathBuf,
    /// Its entry.
    pub receipt: Receipt,
}

/// Makes a request over the exact bytes of the signed head, keeps it in the store, and writes it with
/// the head into `to` (made when it is not there). Needs no key; a session may be running.
///
/// # Errors
/// A policy that is no object identifier ([`StoreError::NotAccepted`]), a disk that does not write;
/// then store and folder are as they were.
pub fn request_stamp(dir: &Path, to: &Path, policy: Option<&str>) -> Result<Requested, StoreError> {
    let layout = Layout::open(dir)?;
    let (text, head) = layout.signed_head(&layout.verifier()?)?;
    let request = Request::over(text.as_bytes(), random()?, policy)
        .map_err(|e| not_accepted("the request", format!("{e}; give it as dotted numbers")))?;
    let stem = format!("{:08}-{:016x}", head.size, request.nonce);
    let files = [(format!("{stem}.checkpoint"), text.into_bytes()), (format!("{stem}.tsq"), request.encode())];
    let mut attempt = Attempt::default();
    let part = |name: &str| to.join(format!("{name}.part"));
    // The medium is tried first: one that takes nothing leaves nothing behind. The files get their
    // names there last: an answer to a request that is not in the store could not be taken in.
    attempt.folder(to)?;
    for (name, bytes) in &files {
        attempt.write(part(name), bytes)?;
    }
    let folder = layout.make_timestamps()?;
    for (name, bytes) in &files {
        attempt.write(folder.join(name), bytes)?;
    }
    let trying = |folder: &Path| format!("writing to {}", folder.display());
    RealDisk.sync_folder(&folder).trying(|| trying(&folder))?;
    for (name, _) in &files {
        RealDisk.rename(&part(name), &to.join(name)).trying(|| trying(to))?;
        attempt.0.push(to.join(name));
    }
    RealDisk.sync_folder(to).trying(|| trying(to))?;
    attempt.0.clear();
    let [checkpoint, asked] = files.map(|(name, _)| to.join(name));
    Ok(Requested { size: head.size, sha256: HEXLOWER.encode(&request.sha256), request: asked, checkpoint })
}

/// Files and folders that were made on the way to something; gone with it when it is not reached.
#[derive(Default)]
struct Attempt(Vec<PathBuf>);

impl Attempt {
    fn folder(&mut self, path: &Path) -> Result<(), StoreError> {
        if !path.is_dir() {
            new_folder(path)?;
            self.0.push(path.to_owned());
        }
        Ok(())
    }

    fn write(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), StoreError> {
        // What is there already is not ours to take away.
        if !path.exists() {
            self.0.push(path.clone());
        }
        write_new(&path, bytes, &RealDisk)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        for path in self.0.iter().rev() {
            // The failure that led here is the one that is told.
            let _ = if path.is_dir() { std::fs::remove_dir(path) } else { std::fs::remove_file(path) };
        }
    }
}

/// Stems of the requests that no entry of the log answers, oldest head first.
pub fn open_requests(dir: &Path) -> Result<Vec<String>, StoreError> {
    let layout = Layout::open(dir)?;
    let names = layout.timestamp_files()?;
    let mut answered = BTreeSet::new();
    for entry in Reader::open(dir)?.entries()? {
        let asked = entry?.digests.into_iter().find(|(name, _)| name == REQUEST);
        answered.extend(asked.map(|(_, sum)| sum));
    }
    let mut stems = Vec::new();
    for (name, stem) in names.iter().filter_map(|name| Some((name, name.strip_suffix(".tsq")?))) {
        let sum: [u8; 32] = Sha256::digest(read_small(&layout.timestamps().join(name))?).into();
        if !answered.contains(&sum) {
            stems.push(stem.to_owned());
        }
    }
    Ok(stems)
}

impl Store {
    /// Fixes a root certificate (one, PEM or DER) at which chains of time stamps may end, from now on;
    /// without a receipt when it was fixed already.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] when it is none.
    pub fn trust_root(&self, certificate: &[u8]) -> Result<(Root, Option<Receipt>), StoreError> {
        let root = Root::parse(certificate).map_err(|e| not_accepted("the root", e))?;
        let layout = Layout::open(self.folder())?;
        if trusted_roots(&layout, self.folder())?.contains(&root) {
            return Ok((root, None));
        }
        let text = vigie_time::pem_encode([root.der()]);
        let folder = layout.make_timestamps()?;
        let file = folder.join(format!("root-{}.pem", &root.sha256()[..16]));
        write_again(&file, text.as_bytes())?;
        RealDisk.sync_folder(&folder).trying(|| "making timestamps/ durable".into())?;
        let validity = root.validity().map(|(from, until)| [from.to_string(), until.to_string()]);
        let row = serde_json::json!({
            "what": "root", "name": root.name(), "sha256": root.sha256(), "validity": validity,
        });
        let receipt = self.append_internal(draft(row), vec![digest(ROOT, text.as_bytes())])?;
        Ok((root, Some(receipt)))
    }

    /// Takes in the answer of an authority to a request of this store. `others` are certificates that
    /// it may lack, DER; with `only`, its chain must end at that one of the fixed roots.
    ///
    /// # Errors
    /// [`StoreError::NotAccepted`] with the reason; [`StoreError::OtherHistory`] when it is good but the
    /// log no longer holds the head that was stamped.
    pub fn import_stamp(
        &self,
        response: &[u8],
        others: &[Vec<u8>],
        only: Option<&Root>,
    ) -> Result<Imported, StoreError> {
        let layout = Layout::open(self.folder())?;
        let (stem, request) = answered(&layout, response)?;
        let file = |end: &str| layout.timestamps().join(format!("{stem}.{end}"));
        let text = read_small(&file("checkpoint"))?;
        let head = std::str::from_utf8(&text)
            .ok()
            .filter(|text| text.len() <= CHECKPOINT_BYTES && request.sha256 == <[u8; 32]>::from(Sha256::digest(text)))
            .and_then(|text| Checkpoint::open(text, &layout.verifier().ok()?).ok());
        let head = head.ok_or_else(|| {
            StoreError::damaged(format!("timestamps/{stem}.checkpoint is not the head that was sent"))
        })?;
        let mut roots = trusted_roots(&layout, self.folder())?;
        if let Some(only) = only {
            roots.retain(|root| root == only);
            if roots.is_empty() {
                let why = format!("{} is not fixed; fix it with vigie timestamp trust FILE", only.name());
                return Err(not_accepted("the root", why));
            }
        }
        if roots.is_empty() {
            return Err(not_accepted("the time stamp", "no root is fixed; fix one with vigie timestamp trust FILE"));
        }
        let stamp = Stamp::check(response, &request, &roots, others).map_err(|e| not_accepted("the time stamp", e))?;
        let reader = Reader::open(self.folder())?;
        holds_head(&reader, &head).map_err(|what| StoreError::OtherHistory {
            file: format!("timestamps/{stem}.checkpoint"),
            size: head.size,
            what,
        })?;
        let asked = digest(REQUEST, &request.encode());
        for entry in reader.entries()? {
            let entry = entry?;
            if entry.digests.contains(&asked) {
                let why = format!("an answer to its request is in the log already, as entry {}", entry.sequence);
                return Err(not_accepted("the time stamp", why));
            }
        }
        let root = roots
            .iter()
            .find(|root| root.sha256() == stamp.root_sha256)
            .map(|root| vigie_time::pem_encode([root.der()]));
        let root = root.ok_or_else(|| StoreError::damaged("a root that was fixed is not in timestamps/"))?;
        let certificates = vigie_time::pem_encode(stamp.chain.iter().map(Vec::as_slice));
        write_again(&file("pem"), certificates.as_bytes())?;
        write_again(&file("tsr"), response)?;
        RealDisk.sync_folder(&layout.timestamps()).trying(|| "making timestamps/ durable".into())?;
        let row = serde_json::json!({
            "what": "stamp", "size": head.size, "root": HEXLOWER.encode(&head.root), "time": stamp.time.to_string(),
            "accuracy_us": stamp.accuracy.map(|accuracy| accuracy.micros), "serial": stamp.serial,
            "policy": stamp.policy, "authority": stamp.authority, "trusted": stamp.root_sha256, "stem": stem,
        });
        let digests = vec![
            digest(CERTIFICATES, certificates.as_bytes()),
            digest(CHECKPOINT, &text),
            asked,
            digest(RESPONSE, response),
            digest(ROOT, root.as_bytes()),
        ];
        let receipt = self.append_internal(draft(row), digests)?;
        Ok(Imported { stamp, size: head.size, stem: layout.timestamps().join(stem), receipt })
    }
}

fn draft(row: serde_json::Value) -> Draft {
    Draft { kind: Kind::Timestamp, ..internal(row) }
}

fn digest(name: &str, bytes: &[u8]) -> (String, [u8; 32]) {
    (name.to_owned(), Sha256::digest(bytes).into())
}

fn not_accepted(what: &'static str, why: impl std::fmt::Display) -> StoreError {
    StoreError::NotAccepted { what, why: why.to_string() }
}

/// The request that a response answers, by what it says itself.
fn answered(layout: &Layout, response: &[u8]) -> Result<(String, Request), StoreError> {
    let Some((sha256, nonce)) = Stamp::dangerously_peek(response) else {
        // Says why, when it holds no token.
        let none = Request { sha256: [0; 32], nonce: 1, policy: None };
        let why = Stamp::check(response, &none, &[], &[]).err().map_or_else(String::new, |e| e.to_string());
        return Err(not_accepted("the time stamp", format!("{why}; ask the authority again with the request")));
    };
    let mut same_file = false;
    for name in layout.timestamp_files()? {
        let Some(stem) = name.strip_suffix(".tsq") else { continue };
        let read = read_small(&layout.timestamps().join(&name))?;
        let Ok(request) = Request::parse(&read) else { continue };
        same_file |= request.sha256 == sha256;
        if request.sha256 == sha256 && Some(request.nonce) == nonce {
            return Ok((stem.to_owned(), request));
        }
    }
    Err(not_accepted(
        "the time stamp",
        if same_file {
            "its nonce is that of no request of this store: take the answer to a request that vigie timestamp export made"
        } else {
            "it answers no request of this store, but one for another file or of another store"
        },
    ))
}

/// The roots that entries of the log fixed and whose files are still what was fixed.
fn trusted_roots(layout: &Layout, dir: &Path) -> Result<Vec<Root>, StoreError> {
    let mut fixed = Vec::new();
    for entry in Reader::open(dir)?.entries()? {
        let entry = entry?;
        if entry.kind == Kind::Timestamp
            && let [(name, sum)] = entry.digests.as_slice()
            && name == ROOT
        {
            fixed.push(*sum);
        }
    }
    let mut roots = Vec::new();
    for name in layout.timestamp_files()? {
        if name.starts_with("root-") {
            let bytes = read_small(&layout.timestamps().join(&name))?;
            if fixed.contains(&Sha256::digest(&bytes).into())
                && let Ok(root) = Root::parse(&bytes)
            {
                roots.push(root);
            }
        }
    }
    Ok(roots)
}

/// The log has the root of a head at its size; else what it has instead.
fn holds_head(reader: &Reader, head: &Checkpoint) -> Result<(), String> {
    if reader.size() < head.size {
        return Err(format!("the log has only {}", reader.size()));
    }
    let mut tree = Tree::default();
    for entry in reader.entries().map_err(|e| e.to_string())?.take(usize::try_from(head.size).unwrap_or(usize::MAX)) {
        tree.append(leaf_hash(&entry.map_err(|e| e.to_string())?.encode()));
    }
    if tree.root() == head.root { Ok(()) } else { Err("the log has other entries there".to_owned()) }
}

/// Writes a file that an interrupted attempt may have left.
fn write_again(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).trying(|| format!("writing {}", path.display()))
        }
        _ => write_new(path, bytes, &RealDisk),
    }
}

impl Layout {
    pub fn timestamps(&self) -> PathBuf {
        self.dir.join("timestamps")
    }

    /// The folder, made with the first request or root.
    fn make_timestamps(&self) -> Result<PathBuf, StoreError> {
        let folder = self.timestamps();
        if !folder.is_dir() {
            new_folder(&folder)?;
            RealDisk.sync_folder(&self.dir).trying(|| format!("creating {}", folder.display()))?;
        }
        Ok(folder)
    }

    /// Names of the files in it, sorted; none when it is not there.
    pub fn timestamp_files(&self) -> Result<Vec<String>, StoreError> {
        list(&self.timestamps())
    }
}

/// Names of the files in a folder, sorted; none when it is not there.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>, StoreError> {
    let trying = || format!("listing {}", folder.display());
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.trying(trying)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.extend(entry.trying(trying)?.file_name().to_str().map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// What the log says of a time stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// Its entry.
    pub entry: u64,
    /// Entries that the stamped head covers.
    pub size: u64,
    /// When the authority saw the head.
    pub time: Timestamp,
    /// Subject of the authority's certificate.
    pub authority: String,
    /// Serial number of the stamp, hex.
    pub serial: String,
}

const _: () = assert!(RESPONSE_BYTES <= 4 << 20, "responses are among the small files");
