//! Streams to clear-web hosts, on circuits whose exit is known before anything is sent through it.

use std::sync::PoisonError;
use std::time::Duration;

use arti_client::DataStream;
use arti_client::isolation::{IsolationToken, StreamIsolation};
use tor_circmgr::{ClientDataTunnel, TargetPort};
use tor_error::HasKind;
use tor_linkspec::HasRelayIds;
use tor_netdir::{FamilyRules, NetDir, Timeliness};
use vigie_wire::net::{CircuitKey, Exit, Failure, FailureKind, Scope, Through};

use super::{Tor, kind_layer};
use crate::exchange::Dialled;

/// How many circuits are made until one ends elsewhere. Where two exits share all the traffic, one in
/// 65,536 requests finds no other; on the public network the first or second circuit does.
const CIRCUITS: u32 = 16;
/// How long an exit may take to reach the host (Arti's own limit).
const BEGIN: Duration = Duration::from_secs(10);

impl Tor {
    /// A stream through an exit that is none of these, nor of their families or subnets. Arti's isolation
    /// alone does not see to that: circuits of two tokens may end at one relay.
    pub(super) async fn web(&self, key: CircuitKey, scope: &Scope, apart_from: &[Exit]) -> Dialled<DataStream> {
        let (tunnel, through) = match self.exit_circuit(key, scope.port, apart_from).await {
            Ok(found) => found,
            Err(failure) => return Dialled { through: None, stream: Err(failure) },
        };
        // A name and a port: the name goes to the exit, and nothing resolves it here.
        let begun = tokio::time::timeout(BEGIN, tunnel.begin_stream(&scope.host, scope.port, None)).await;
        let stream = match begun {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(failure(&error)),
            Err(_) => {
                let detail = format!("the exit did not reach the host within {} s", BEGIN.as_secs());
                Err(Failure { kind: FailureKind::Timeout, detail })
            }
        };
        if stream.as_ref().is_err_and(|failure| failure.kind == FailureKind::Timeout) {
            // It may be dead at any of its relays: the next stream gets another.
            if let Ok(circuits) = self.client.circmgr() {
                circuits.retire_circ(&tunnel.unique_id());
            }
        }
        Dialled { through: Some(through), stream }
    }

    async fn exit_circuit(
        &self,
        key: CircuitKey,
        port: u16,
        apart_from: &[Exit],
    ) -> Result<(ClientDataTunnel, Through), Failure> {
        let circuits = self.client.circmgr().map_err(|e| failure(&e))?;
        for _ in 0..CIRCUITS {
            let directory = self.directory()?;
            let isolation = StreamIsolation::builder()
                .owner_token(self.exits)
                .stream_isolation(Box::new(self.token(key)))
                .build()
                .map_err(|e| Failure { kind: FailureKind::Other, detail: e.to_string() })?;
            let ports = [TargetPort::ipv4(port)];
            let tunnel = circuits
                .get_or_launch_exit(directory.as_ref().into(), &ports, isolation)
                .await
                .map_err(|e| failure(&e))?;
            let exit = last(&tunnel)?;
            if !apart_from.iter().any(|other| self.share(&directory, &exit, other)) {
                let circuit = tunnel.unique_id().display_chan_circ().to_string();
                return Ok((tunnel, Through { exit, circuit }));
            }
            // Nobody is to get that circuit, and the key another.
            circuits.retire_circ(&tunnel.unique_id());
            self.tokens.lock().unwrap_or_else(PoisonError::into_inner).insert(key, IsolationToken::new());
        }
        let detail = format!("{CIRCUITS} circuits all ended at exits that were to be avoided");
        Err(Failure { kind: FailureKind::ExitFailed, detail })
    }

    /// Two exits count as one; without a consensus only the same relay does.
    pub(super) fn neighbours(&self, one: &Exit, other: &Exit) -> bool {
        match self.directory() {
            Ok(directory) => self.share(&directory, one, other),
            Err(_) => same(one, other),
        }
    }

    fn share(&self, directory: &NetDir, one: &Exit, other: &Exit) -> bool {
        if same(one, other) {
            return true;
        }
        let relay = |exit: &Exit| directory.by_id(&tor_llcrypto::pk::ed25519::Ed25519Identity::new(exit.ed25519));
        let (Some(one), Some(other)) = (relay(one), relay(other)) else { return false };
        let details = one.low_level_details();
        details.in_same_family(&other, FamilyRules::all_family_info()) || details.in_same_subnet(&other, &self.subnets)
    }

    fn directory(&self) -> Result<std::sync::Arc<NetDir>, Failure> {
        let manager = self.client.dirmgr().map_err(|e| failure(&e))?;
        manager.netdir(Timeliness::Timely).map_err(|_| Failure {
            kind: FailureKind::TorNotReady,
            detail: "there is no consensus that holds now".into(),
        })
    }
}

/// The relay at which a circuit ends.
fn last(tunnel: &ClientDataTunnel) -> Result<Exit, Failure> {
    let unknown = || Failure { kind: FailureKind::Other, detail: "the exit of a circuit is not known".into() };
    let tunnel: &tor_proto::ClientTunnel = tunnel.as_ref();
    let relay = tunnel.last_hop_info().ok().flatten().ok_or_else(unknown)?;
    let rsa = relay.rsa_identity().and_then(|id| id.as_bytes().try_into().ok());
    let ed25519 = relay.ed_identity().map(|id| (*id).into());
    match (rsa, ed25519) {
        (Some(rsa), Some(ed25519)) => Ok(Exit { rsa, ed25519 }),
        _ => Err(unknown()),
    }
}

/// Either key is enough: whoever holds one of them is that relay.
fn same(one: &Exit, other: &Exit) -> bool {
    one.rsa == other.rsa || one.ed25519 == other.ed25519
}

/// The detail is the kind's own text: Arti's messages can carry host names.
fn failure(error: &impl HasKind) -> Failure {
    Failure { kind: kind_layer(error.kind(), false), detail: error.kind().to_string() }
}
