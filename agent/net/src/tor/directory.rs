//! The documents of Arti's directory: the signed consensus that is in use.

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

/// The consensus of a moment among the documents that Arti keeps as files, each under the SHA3-256 of
/// its bytes.
fn blob(cache: &Path, valid_after: SystemTime) -> Result<Vec<u8>, String> {
    let folder = cache.join("dir_blobs");
    for entry in std::fs::read_dir(&folder).map_err(|e| e.to_string())? {
        let entry = entry.map_err(|e| e.to_string())?;
        let name = entry.file_name();
        let Some(sum) = name.to_str().and_then(|name| name.strip_prefix("con_microdesc_sha3-256-")) else { continue };
        if entry.metadata().map_or(true, |facts| facts.len() > CONSENSUS_BYTES as u64) {
            continue;
        }
        // It may be gone by now: Arti clears old ones away.
        let Ok(document) = std::fs::read(entry.path()) else { continue };
        if data_encoding::HEXLOWER.encode(&Sha3_256::digest(&document)) != sum {
            continue;
        }
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
