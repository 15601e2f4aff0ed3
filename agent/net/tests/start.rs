//! The network part from the outside, before it ever touched a network.

use vigie_net::{Net, NetConfig, NetError};
use vigie_wire::net::{CircuitKey, Event, FailureKind, Limits, Method, Request, Scope, Transport};

fn config(folder: &std::path::Path, tor: &str) -> NetConfig {
    NetConfig {
        tor: format!("{tor}\n[storage.permissions]\ndangerously_trust_everyone = true").parse().expect("TOML"),
        state_dir: folder.join("state"),
        cache_dir: folder.join("cache"),
        tls_extra_roots: Vec::new(),
    }
}

fn request() -> Request {
    let limits = Limits {
        head_bytes: 1024,
        body_bytes: 1024,
        read_bytes: 0,
        connect_ms: 60_000,
        first_byte_ms: 60_000,
        idle_ms: 60_000,
        total_ms: 60_000,
    };
    Request {
        circuit: CircuitKey([1; 32]),
        scope: Scope { host: "shop.example".into(), port: 80, transport: Transport::Plain },
        method: Method::Get,
        path: "/".into(),
        headers: vec![("Host".into(), "shop.example".into())],
        limits,
        apart_from: Vec::new(),
    }
}

async fn failure(net: &Net, request: Request) -> FailureKind {
    let mut events = net.exchange(request);
    let kind = match events.recv().await {
        Some(Event::Failed(failure)) => failure.kind,
        _ => panic!("no failure"),
    };
    assert!(events.recv().await.is_none(), "an event behind the last one");
    kind
}

#[tokio::test(flavor = "multi_thread")]
async fn each_exchange_ends_with_one_event() {
    let folder = tempfile::tempdir().expect("a folder");
    let net = Net::start(config(folder.path(), "")).expect("started");
    assert!(net.facts().public);
    assert_eq!(failure(&net, request()).await, FailureKind::TorNotReady);
    let mut elsewhere = request();
    elsewhere.headers[0].1 = "other.example".into();
    assert_eq!(failure(&net, elsewhere).await, FailureKind::OutOfScope);
    net.retire(CircuitKey([1; 32]));
    net.shutdown().await;
    assert_eq!(failure(&net, request()).await, FailureKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_configuration_is_said() {
    let folder = tempfile::tempdir().expect("a folder");
    let unknown = Net::start(config(folder.path(), "[tor_netwrok]\na = 1")).err().expect("refused");
    assert!(matches!(&unknown, NetError::Config(_)) && unknown.to_string().contains("tor_netwrok"), "{unknown}");
    let mut anchors = config(folder.path(), "");
    anchors.tls_extra_roots = vec![b"no certificate".to_vec()];
    let anchors = Net::start(anchors).err().expect("refused");
    assert!(matches!(anchors, NetError::TrustAnchor(_)), "{anchors}");
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    let folders = Net::start(config(&file, "")).err().expect("refused");
    assert!(matches!(folders, NetError::Directory(_)), "{folders}");
}
