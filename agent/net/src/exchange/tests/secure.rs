//! TLS inside the stream: what is recorded of it, what it refuses, how it ends.

use std::io::ErrorKind;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{HandshakeKind, ServerConfig, SupportedProtocolVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use vigie_wire::net::{FailureKind, Incomplete, Request, Tls, Transport};

use super::harness::*;

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const UNTIL_END: &[u8] = b"HTTP/1.1 200 OK\r\n\r\nhello";
const BOTH: [&SupportedProtocolVersion; 2] = [&rustls::version::TLS12, &rustls::version::TLS13];

/// An authority that the client trusts, one between, and what servers show.
struct Authority {
    root: Vec<u8>,
    between: (Vec<u8>, Issuer<'static, KeyPair>),
}

impl Authority {
    fn new(name: &str) -> Self {
        let ca = |rank: &str| {
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.distinguished_name.push(rcgen::DnType::CommonName, format!("{name} {rank}"));
            (params, KeyPair::generate().unwrap())
        };
        let (params, key) = ca("root");
        let root = params.self_signed(&key).unwrap().der().to_vec();
        let issuer = Issuer::new(params, key);
        let (params, key) = ca("between");
        let between = params.signed_by(&key, &issuer).unwrap().der().to_vec();
        Self { root, between: (between, Issuer::new(params, key)) }
    }
    /// A server's chain and key; `change` spoils what it likes.
    fn shows(&self, change: impl FnOnce(&mut CertificateParams)) -> (Vec<Vec<u8>>, KeyPair) {
        let mut params = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let leaf = params.signed_by(&key, &self.between.1).unwrap().der().to_vec();
        (vec![leaf, self.between.0.clone()], key)
    }
    fn lab(&self) -> Lab {
        Lab::with(64 * 1024, None, std::slice::from_ref(&self.root))
    }
}

/// Shows a chain whatever key it is for.
#[derive(Debug)]
struct Shows(Arc<CertifiedKey>);

impl ResolvesServerCert for Shows {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.clone())
    }
}

fn acceptor(chain: &[Vec<u8>], key: &KeyPair, version: &'static SupportedProtocolVersion) -> TlsAcceptor {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = provider.key_provider.load_private_key(PrivateKeyDer::try_from(key.serialize_der()).unwrap()).unwrap();
    let chain = chain.iter().cloned().map(CertificateDer::from).collect();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Shows(Arc::new(CertifiedKey::new(chain, key)))));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A server that would gladly resume a session.
    config.ticketer = rustls::crypto::ring::Ticketer::new().unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn secure(transport: Transport) -> Request {
    let mut request = request();
    request.scope.port = 443;
    request.scope.transport = transport;
    request
}

/// How a server takes its leave.
#[derive(Clone, Copy)]
enum Leave {
    Notify,
    Silently,
    Broken,
}

/// One exchange with a server that says something and leaves; what kind of handshake it saw.
async fn serve(mut far: Far, acceptor: TlsAcceptor, said: &'static [u8], leave: Leave) -> Option<HandshakeKind> {
    let mut stream = acceptor.accept(&mut far.stream).await.ok()?;
    let kind = stream.get_ref().1.handshake_kind();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    assert_eq!(stream.get_ref().1.server_name(), Some(HOST));
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    assert_eq!(head, asked());
    stream.write_all(said).await.ok()?;
    stream.flush().await.ok()?;
    match leave {
        Leave::Notify => stream.shutdown().await.ok()?,
        Leave::Silently => {}
        Leave::Broken => {
            drop(stream);
            far.break_off(ErrorKind::ConnectionAborted);
        }
    }
    kind
}

async fn ask(
    lab: &mut Lab,
    transport: Transport,
    acceptor: &TlsAcceptor,
    said: &'static [u8],
    leave: Leave,
) -> (Told, JoinHandle<Option<HandshakeKind>>) {
    let events = lab.order(secure(transport));
    let server = tokio::spawn(serve(lab.far().await, acceptor.clone(), said, leave));
    (told(events).await, server)
}

fn facts(told: &Told) -> &Tls {
    told.opened[0].tls.as_ref().expect("TLS facts")
}

#[tokio::test(start_paused = true)]
async fn facts_of_a_sound_connection_are_told() {
    let authority = Authority::new("ours");
    for (version, name, suite) in [
        (BOTH[0], "TLSv1.2", "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (BOTH[1], "TLSv1.3", "TLS_AES_256_GCM_SHA384"),
    ] {
        for transport in [Transport::TlsVerified, Transport::TlsRecordInvalid] {
            let (chain, key) = authority.shows(|_| {});
            let mut lab = authority.lab();
            let (told, _) = ask(&mut lab, transport, &acceptor(&chain, &key, version), HELLO, Leave::Notify).await;
            assert_eq!((told.wire.as_slice(), told.incomplete()), (HELLO, None), "the plaintext is recorded");
            let facts = facts(&told);
            assert_eq!((facts.protocol.as_str(), facts.cipher_suite.as_str()), (name, suite));
            assert_eq!(facts.chain, chain, "leaf first, as sent");
            assert_eq!(facts.invalid, None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_that_does_not_hold_is_refused_or_noted() {
    let authority = Authority::new("ours");
    let stranger = Authority::new("a stranger's");
    let own = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    let own_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(vec![HOST.to_owned()]).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let (mut short, short_key) = authority.shows(|_| {});
    short.truncate(1);
    let cases = [
        (stranger.shows(|_| {}), "its issuer is unknown"),
        ((vec![own.self_signed(&own_key).unwrap().der().to_vec()], own_key), "its issuer is unknown"),
        ((short, short_key), "its issuer is unknown"),
        ((vec![ca.self_signed(&ca_key).unwrap().der().to_vec()], ca_key), "it is not acceptable (CaUsedAsEndEntity)"),
        (authority.shows(|params| params.not_after = date_time_ymd(2020, 1, 1)), "it has expired"),
        (authority.shows(|params| params.not_before = date_time_ymd(4000, 1, 1)), "it is not valid yet"),
        (
            authority.shows(|params| {
                *params = CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap();
            }),
            "it is for another name",
        ),
    ];
    for ((chain, key), why) in cases {
        for version in BOTH {
            let acceptor = acceptor(&chain, &key, version);
            let mut lab = authority.lab();
            let (told, _) = ask(&mut lab, Transport::TlsVerified, &acceptor, HELLO, Leave::Notify).await;
            let failure = told.failure();
            assert_eq!(failure.kind, FailureKind::Tls, "{why}");
            assert!(failure.detail.contains(why), "{} is not {why}", failure.detail);
            assert!(!failure.detail.contains("example"), "{}", failure.detail);
            assert!(told.opened.is_empty() && told.sent.is_empty(), "nothing went out");

            let (told, _) = ask(&mut lab, Transport::TlsRecordInvalid, &acceptor, HELLO, Leave::Notify).await;
            assert_eq!((told.wire.as_slice(), told.incomplete()), (HELLO, None));
            assert!(facts(&told).invalid.as_ref().is_some_and(|text| text.contains(why)), "{why}");
            assert_eq!(facts(&told).chain, chain);
        }
    }
}

/// To note a bad chain is one thing; who does not hold the key of the chain shown is nobody.
#[tokio::test(start_paused = true)]
async fn a_chain_without_its_key_is_always_refused() {
    let authority = Authority::new("ours");
    for version in BOTH {
        for transport in [Transport::TlsVerified, Transport::TlsRecordInvalid] {
            let (chain, _) = authority.shows(|_| {});
            let acceptor = acceptor(&chain, &KeyPair::generate().unwrap(), version);
            let (told, _) = ask(&mut authority.lab(), transport, &acceptor, HELLO, Leave::Notify).await;
            assert_eq!(told.failure().kind, FailureKind::Tls);
            assert!(told.opened.is_empty());
        }
    }
}

/// Without its closure alert, the end of TLS may be an attacker's (RFC 8446 §6.1): it does not make
/// a body whole whose end nothing else shows.
#[tokio::test(start_paused = true)]
async fn only_a_closure_alert_ends_a_body_without_length() {
    let authority = Authority::new("ours");
    let (chain, key) = authority.shows(|_| {});
    for version in BOTH {
        let acceptor = acceptor(&chain, &key, version);
        for (leave, incomplete) in [
            (Leave::Notify, None),
            (Leave::Silently, Some(Incomplete::Disconnected)),
            (Leave::Broken, Some(Incomplete::StreamBroken)),
        ] {
            let (told, _) = ask(&mut authority.lab(), Transport::TlsVerified, &acceptor, UNTIL_END, leave).await;
            assert_eq!((told.wire.as_slice(), told.incomplete()), (UNTIL_END, incomplete.as_ref()));
            assert_eq!(told.body, b"hello");
            let mut lab = authority.lab();
            let (told, _) = ask(&mut lab, Transport::TlsVerified, &acceptor, HELLO, leave).await;
            assert_eq!((told.wire.as_slice(), told.incomplete()), (HELLO, None));
        }
    }
}

/// Two connections of one key, and of two keys, have nothing in common that a server could see.
#[tokio::test(start_paused = true)]
async fn no_session_is_resumed() {
    let authority = Authority::new("ours");
    let (chain, key) = authority.shows(|_| {});
    for version in BOTH {
        let mut lab = authority.lab();
        let acceptor = acceptor(&chain, &key, version);
        for _ in 0..3 {
            let (told, server) = ask(&mut lab, Transport::TlsVerified, &acceptor, UNTIL_END, Leave::Notify).await;
            assert_eq!(told.incomplete(), None);
            assert_eq!(server.await.unwrap(), Some(HandshakeKind::Full));
        }
    }
}

/// Extensions of a ClientHello (RFC 8446 §4.1.2): their numbers and contents.
fn extensions(hello: &[u8]) -> Vec<(u16, Vec<u8>)> {
    // Record header 5, handshake header 4, version 2, random 32.
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(hello[at]);
    let short = |at: usize| usize::from(u16::from_be_bytes([hello[at], hello[at + 1]]));
    at += 2 + short(at);
    at += 1 + usize::from(hello[at]);
    let end = at + 2 + short(at);
    at += 2;
    let mut found = Vec::new();
    while at < end {
        let length = short(at + 2);
        found.push((short(at) as u16, hello[at + 4..at + 4 + length].to_vec()));
        at += 4 + length;
    }
    found
}

#[tokio::test(start_paused = true)]
async fn the_first_message_says_no_more_than_it_must() {
    let mut lab = Lab::new();
    let mut randoms = Vec::new();
    for _ in 0..2 {
        let events = lab.order(secure(Transport::TlsVerified));
        let mut far = lab.far().await;
        let mut hello = vec![0; 5];
        far.stream.read_exact(&mut hello).await.unwrap();
        let length = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        hello.resize(5 + length, 0);
        far.stream.read_exact(&mut hello[5..]).await.unwrap();
        randoms.push(hello[11..43].to_vec());
        let extensions = extensions(&hello);
        let find = |number| extensions.iter().find(|(n, _)| *n == number).map(|(_, bytes)| bytes.clone());
        // server_name (RFC 6066 §3) and application_layer_protocol_negotiation (RFC 7301 §3.1).
        assert_eq!(find(0).unwrap(), [&[0, 15, 0, 0, 12][..], HOST.as_bytes()].concat());
        assert_eq!(find(16).unwrap(), [&[0, 9, 8][..], b"http/1.1"].concat());
        // session_ticket, pre_shared_key, early_data, cookie.
        for number in [35, 41, 42, 44] {
            assert_eq!(find(number), None, "extension {number}");
        }
        drop(far);
        let told = told(events).await;
        assert_eq!(told.failure().kind, FailureKind::Tls);
    }
    assert_ne!(randoms[0], randoms[1]);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_comes_to_nothing_is_told() {
    for (said, closes, kind) in [
        (&b""[..], false, FailureKind::Timeout),
        (b"\x16\x03\x03", false, FailureKind::Timeout),
        (b"", true, FailureKind::Tls),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", false, FailureKind::Tls),
        // A fatal alert: handshake_failure.
        (b"\x15\x03\x03\x00\x02\x02\x28", false, FailureKind::Tls),
    ] {
        let mut lab = Lab::new();
        let events = lab.order(secure(Transport::TlsRecordInvalid));
        let mut far = lab.far().await;
        let mut hello = [0; 100];
        far.stream.read_exact(&mut hello).await.unwrap();
        far.say(said).await;
        let held = (!closes).then_some(far);
        let told = told(events).await;
        assert_eq!(told.failure().kind, kind, "{said:?}: {}", told.failure().detail);
        assert!(told.opened.is_empty());
        drop(held);
    }
}

/// A connection on which a bad chain was let pass is none for those who insist on a good one.
#[tokio::test(start_paused = true)]
async fn a_connection_with_a_bad_chain_is_not_lent() {
    let authority = Authority::new("ours");
    let (chain, key) = Authority::new("a stranger's").shows(|_| {});
    let acceptor = acceptor(&chain, &key, BOTH[1]);
    let mut lab = authority.lab();
    let events = lab.order(secure(Transport::TlsRecordInvalid));
    let mut far = lab.far().await;
    let accepting = acceptor.clone();
    let server = tokio::spawn(async move {
        let mut stream = accepting.accept(&mut far.stream).await.unwrap();
        let mut head = vec![0; asked().len()];
        stream.read_exact(&mut head).await.unwrap();
        stream.write_all(HELLO).await.unwrap();
        stream.flush().await.unwrap();
        // Until the client closes, in order.
        stream.read(&mut [0; 100]).await.unwrap()
    });
    assert_eq!(told(events).await.incomplete(), None);
    assert_eq!(lab.engine.kept(), 1);
    let (told, _) = ask(&mut lab, Transport::TlsVerified, &acceptor, HELLO, Leave::Notify).await;
    assert_eq!(told.failure().kind, FailureKind::Tls);
    assert_eq!(lab.engine.kept(), 1);
    lab.engine.retire(KEY);
    let heard = tokio::time::timeout(NEVER, server).await.expect("an end");
    assert_eq!(heard.unwrap(), 0, "the far end is told that the connection is closed");
}

/// What was received in order is recorded, whatever follows it in the same breath.
#[tokio::test(start_paused = true)]
async fn nonsense_behind_a_response_does_not_take_it_away() {
    let authority = Authority::new("ours");
    let (chain, key) = authority.shows(|_| {});
    for version in BOTH {
        let acceptor = acceptor(&chain, &key, version);
        let mut lab = authority.lab();
        let events = lab.order(secure(Transport::TlsVerified));
        let mut far = lab.far().await;
        let server = tokio::spawn(async move {
            let mut stream = acceptor.accept(&mut far.stream).await.unwrap();
            let mut head = vec![0; asked().len()];
            stream.read_exact(&mut head).await.unwrap();
            stream.write_all(UNTIL_END).await.unwrap();
            stream.flush().await.unwrap();
            // Bytes that are no TLS record of this session.
            stream.get_mut().0.write_all(b"\x17\x03\x03\x00\x20nonsensenonsensenonsensenonsense").await.unwrap();
            stream.read(&mut [0; 100]).await.is_err()
        });
        let told = told(events).await;
        assert_eq!(told.incomplete(), Some(&Incomplete::StreamBroken), "altered on the way");
        assert_eq!(told.wire, UNTIL_END);
        assert!(server.await.unwrap(), "the far end is told of it");
    }
}
