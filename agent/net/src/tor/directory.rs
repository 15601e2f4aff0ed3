//! The documents of Arti's directory: the signed consensus that is in use.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use arti_client::{DirProviderBuilder, ErrorDetail};
use sha2::{Digest, Sha256};
use sha3::Sha3_256;
use tor_checkable::Timebound;
use tor_circmgr::CircMgr;
use tor_dirmgr::{DirMgr, DirMgrConfig, DirMgrStore, DirProvider, DocId, Timeliness};
use tor_netdir::NetDirProvider;
use tor_netdoc::doc::netstatus::MdConsensus;
use tor_rtcompat::PreferredRuntime;
use vigie_wire::limits::{AUTHORITIES, CONSENSUS_BYTES};
use vigie_wire::net::Consensus;

/// Makes Arti's own directory manager and knows it from then on: the client gives none out that could
/// name its documents.
#[derive(Default)]
pub(super) struct Directory(Mutex<Option<Known>>);

/// The directory manager, as long as the client holds it, and where it keeps its documents.
struct Known {
    manager: Weak<DirMgr<PreferredRuntime>>,
    cache: PathBuf,
}

impl DirProviderBuilder<PreferredRuntime> for Directory {
    fn build(
        &self,
        runtime: PreferredRuntime,
        store: DirMgrStore<PreferredRuntime>,
        circuits: Arc<CircMgr<PreferredRuntime>>,
        config: DirMgrConfig,
    ) -> Result<Arc<dyn DirProvider + 'static>, arti_client::Error> {
        let cache = config.cache_dir.clone();
        let manager =
            DirMgr::create_unbootstrapped(config, runtime, store, circuits).map_err(ErrorDetail::DirMgrSetup)?;
        let known = Known { manager: Arc::downgrade(&manager), cache };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(Arc::new(manager))
    }
}

impl Directory {
    /// The consensus in use, its signers' certificates and the network's authorities; else why not.
    pub fn consensus(&self, authorities: &[String]) -> Result<Consensus, String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().ok_or("Arti has not begun")?;
        let manager = known.manager.upgrade().ok_or("Arti has ended")?;
        let used = manager.netdir(Timeliness::Unchecked).map_err(|e| e.to_string())?.lifetime().clone();
        let document = blob(&known.cache, used.valid_after())?;
        let text = std::str::from_utf8(&document).map_err(|e| e.to_string())?;
        let (_, _, unchecked) = MdConsensus::parse(text).map_err(|e| e.to_string())?;
        let read = unchecked.dangerously_assume_timely();
        let signers = read.signing_cert_ids().map(DocId::AuthCert);
        let found = manager.texts(signers.take(AUTHORITIES)).map_err(|e| e.to_string())?;
        let mut certificates = Vec::new();
        for certificate in found.values() {
            certificates.push(String::from_utf8(certificate.as_ref().to_vec()).map_err(|e| e.to_string())?);
        }
        certificates.sort();
        let mut authorities = authorities.to_vec();
        authorities.sort();
        authorities.dedup();
        Ok(Consensus {
            sha256: data_encoding::HEXLOWER.encode(&Sha256::digest(&document)),
            document: document.into(),
            certificates,
            authorities,
            valid_after: seconds(used.valid_after()),
            fresh_until: seconds(used.fresh_until()),
            valid_until: seconds(used.valid_until()),
        })
    }
}

/// Takes out of Arti's cache what are no longer the bytes that it wrote there (a disk that was full or lost power, or
/// somebody's hand). Arti asks the network for a consensus that is not there; over one whose signatures do not hold
/// it gives up, at every start.
///
/// # Errors
/// A folder that cannot be listed, or a file that cannot be removed; no folder is no error.
pub(super) fn discard_altered(cache: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(cache.join(BLOBS)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        if named_sum(&entry).is_some_and(|sum| as_named(&entry, &sum).is_none()) {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Folder of Arti's cache with the documents that it keeps as files.
const BLOBS: &str = "dir_blobs";

/// The SHA3-256 under which Arti keeps a consensus, in hex; `None` of other files, and of one that it is writing.
fn named_sum(entry: &std::fs::DirEntry) -> Option<String> {
    let name = entry.file_name();
    let sum = name.to_str()?.strip_prefix("con_microdesc_sha3-256-")?;
    (sum.len() == 64).then(|| sum.to_owned())
}

/// The bytes of a file when they are those that its name says.
fn as_named(entry: &std::fs::DirEntry, sum: &str) -> Option<Vec<u8>> {
    if entry.metadata().map_or(true, |facts| facts.len() > CONSENSUS_BYTES as u64) {
        return None;
    }
    let document = std::fs::read(entry.path()).ok()?;
    (data_encoding::HEXLOWER.encode(&Sha3_256::digest(&document)) == sum).then_some(document)
}

/// The consensus of a moment among the documents that Arti keeps as files, each under the SHA3-256 of
/// its bytes.
fn blob(cache: &Path, valid_after: SystemTime) -> Result<Vec<u8>, String> {
    for entry in std::fs::read_dir(cache.join(BLOBS)).map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        // It may be gone by now: Arti clears old ones away.
        let Some(document) = named_sum(&entry).and_then(|sum| as_named(&entry, &sum)) else { continue };
        let parsed = std::str::from_utf8(&document).ok().and_then(|text| MdConsensus::parse(text).ok());
        let lifetime = parsed.map(|(_, _, unchecked)| unchecked.dangerously_assume_timely().peek_lifetime().clone());
        if lifetime.is_some_and(|lifetime| lifetime.valid_after() == valid_after) {
            return Ok(document);
        }
    }
    Err("none of the documents there is the one in use".to_owned())
}

/// Seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_altered_documents_are_taken_out() {
        let cache = tempfile::tempdir().unwrap();
        discard_altered(cache.path()).unwrap();
        let folder = cache.path().join(BLOBS);
        std::fs::create_dir(&folder).unwrap();
        let sum = |bytes: &[u8]| data_encoding::HEXLOWER.encode(&Sha3_256::digest(bytes));
        let name = |bytes: &[u8]| format!("con_microdesc_sha3-256-{}", sum(bytes));
        let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
        write(&name(b"whole"), b"whole");
        write(&name(b"altered"), b"Altered");
        write(&name(b"cut"), b"cu");
        write(&name(b"empty"), b"");
        write(&format!("{}.tmp", name(b"half")), b"ha");
        write("other", b"no consensus");
        discard_altered(cache.path()).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        left.sort();
        let mut wanted = [name(b"whole"), format!("{}.tmp", name(b"half")), "other".to_owned()];
        wanted.sort();
        assert_eq!(left, wanted);
    }
}
