//! The signed descriptor of an onion service, fetched beside Arti, which gives nobody the one that it used.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tor_circmgr::hspool::HsCircPool;
use tor_dirclient::RequestError;
use tor_dirclient::request::HsDescDownloadRequest;
use tor_error::HasKind;
use tor_hscrypto::Subcredential;
use tor_hscrypto::pk::{HsBlindId, HsId, HsIdKey};
use tor_linkspec::OwnedCircTarget;
use tor_netdir::{NetDir, Relay, Timeliness};
use tor_netdoc::doc::hsdesc::{HsDesc, HsDescError};
use tor_rtcompat::PreferredRuntime;
use vigie_wire::limits::DESCRIPTOR_BYTES;
use vigie_wire::net::{Descriptor, DescriptorRequest, Failure, FailureKind};

use super::{Tor, kind_layer};

impl Tor {
    /// Asks the service's directories, one after the other, for its descriptor of the time period of the
    /// consensus in use. Each has a circuit of its own: the pool gives none out twice.
    pub async fn descriptor(&self, request: &DescriptorRequest) -> Result<Descriptor, Failure> {
        let limit = Duration::from_millis(request.limit_ms.into());
        let fetched = tokio::time::timeout(limit, self.fetch_descriptor(&request.onion)).await;
        fetched.unwrap_or_else(|_| {
            let detail = format!("no descriptor within {} ms", request.limit_ms);
            Err(Failure { kind: FailureKind::Timeout, detail })
        })
    }

    async fn fetch_descriptor(&self, onion: &str) -> Result<Descriptor, Failure> {
        let key = onion.parse::<HsId>().ok().and_then(|id| HsIdKey::try_from(id).ok());
        let key = key.ok_or_else(|| fault(FailureKind::OutOfScope, "not an onion service"))?;
        let directory = self.client.dirmgr().map_err(|e| fault(kind_layer(e.kind(), true), &e.kind().to_string()))?;
        let pool = self.client.hs_circ_pool().map_err(|e| fault(kind_layer(e.kind(), true), &e.kind().to_string()))?;
        let netdir = directory
            .netdir(Timeliness::Timely)
            .map_err(|_| fault(FailureKind::TorNotReady, "there is no consensus that holds now"))?;
        let period = netdir.hs_time_period();
        let (blinded, subcredential) = key
            .compute_blinded_key(period)
            .map_err(|_| fault(FailureKind::OutOfScope, "the onion's key cannot be blinded"))?;
        let blinded = blinded.id();
        let directories = netdir
            .hs_dirs_download(blinded, period, &mut rand::rng())
            .map_err(|_| fault(FailureKind::TorNotReady, "the directories of this time period are not known"))?;
        let mut worst: Option<Failure> = None;
        for relay in &directories {
            match ask(&pool, &netdir, relay, blinded, &subcredential).await {
                Ok(document) => {
                    let text = std::str::from_utf8(&document).unwrap_or_default();
                    let suggested_effort =
                        super::work::suggested_effort(text, blinded.as_ref(), subcredential.as_ref());
                    return Ok(Descriptor {
                        document,
                        suggested_effort,
                        period_number: period.interval_num(),
                        period_minutes: period.length().as_minutes(),
                        period_offset_s: period.epoch_offset_in_sec(),
                        blinded_key: *blinded.as_ref(),
                        hsdir_ed25519: (*relay.id()).into(),
                        hsdir_rsa: relay.rsa_id().as_bytes().try_into().unwrap_or_default(),
                        fetched: super::directory::seconds(SystemTime::now()),
                        consensus_valid_after: super::directory::seconds(netdir.lifetime().valid_after()),
                    });
                }
                Err(failure) if worst.as_ref().is_none_or(|worst| rank(failure.kind) > rank(worst.kind)) => {
                    worst = Some(failure);
                }
                Err(_) => {}
            }
        }
        Err(worst.unwrap_or_else(|| fault(FailureKind::TorNotReady, "the consensus names no directory for it")))
    }
}

/// Of several answers the one that says most about the service counts.
pub(super) fn rank(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::ClientKeyNeeded => 4,
        FailureKind::DescriptorInvalid => 3,
        FailureKind::DescriptorNotFound => 2,
        FailureKind::DirectoryUnreachable => 1,
        _ => 0,
    }
}

/// Asks one directory; gives the exact bytes that it sent once Tor's own reader has accepted them.
async fn ask(
    pool: &HsCircPool<PreferredRuntime>,
    netdir: &NetDir,
    relay: &Relay<'_>,
    blinded: HsBlindId,
    subcredential: &Subcredential,
) -> Result<Bytes, Failure> {
    let unreachable = |detail: &str| fault(FailureKind::DirectoryUnreachable, detail);
    let target = OwnedCircTarget::from_circ_target(relay);
    let circuit = pool
        .get_or_launch_client_dir(netdir, target)
        .await
        .map_err(|e| unreachable(&format!("no circuit to a directory: {}", e.kind())))?;
    let mut stream = circuit
        .begin_dir_stream()
        .await
        .map_err(|e| unreachable(&format!("no stream to a directory: {}", e.kind())))?;
    let mut request = HsDescDownloadRequest::new(blinded);
    let most = usize::try_from(netdir.params().hsdir_max_desc_size.get()).unwrap_or(DESCRIPTOR_BYTES);
    request.set_max_len(most.min(DESCRIPTOR_BYTES));
    let runtime = PreferredRuntime::current().map_err(|e| fault(FailureKind::Other, &e.to_string()))?;
    let response = tor_dirclient::send_request(&runtime, &request, &mut stream, None).await;
    let text = match response {
        Ok(response) => response.into_output_string().map_err(|e| answered(&e.error))?,
        Err(tor_dirclient::Error::RequestFailed(failed)) => return Err(answered(&failed.error)),
        Err(other) => return Err(unreachable(&format!("asking a directory: {}", other.kind()))),
    };
    // A service with client authorisation hides the inside from us; what its key signed is the outside.
    match HsDesc::parse_decrypt_validate(&text, &blinded, subcredential, None) {
        Ok(_) | Err(HsDescError::MissingDecryptionKey | HsDescError::WrongDecryptionKey) => Ok(text.into()),
        Err(_) => Err(fault(FailureKind::DescriptorInvalid, "a directory gave one that does not hold")),
    }
}

/// What a directory's answer says.
pub(super) fn answered(error: &RequestError) -> Failure {
    match error {
        RequestError::HttpStatus(404, _) => fault(FailureKind::DescriptorNotFound, "a directory does not have it"),
        RequestError::ResponseTooLong(_) | RequestError::Utf8Encoding(_) => {
            fault(FailureKind::DescriptorInvalid, "a directory gave something else")
        }
        other => fault(FailureKind::DirectoryUnreachable, &format!("a directory did not answer: {}", other.kind())),
    }
}

fn fault(kind: FailureKind, detail: &str) -> Failure {
    Failure { kind, detail: detail.to_owned() }
}
