//! TLS inside the Tor stream (RFC 8446, RFC 5246): Mozilla's trust anchors and those that the
//! workstation adds; the chain, protocol and cipher suite are facts of the record.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vigie_wire::net::{Failure, FailureKind, Tls};

use crate::NetError;

/// Trust anchors.
pub struct Trust {
    verifier: Arc<WebPkiServerVerifier>,
    /// Hex digest over the sorted anchors.
    pub sha256: String,
    /// Anchors added by the workstation.
    pub extra: u16,
}

impl Trust {
    /// Mozilla's anchors and the given certificates (DER).
    pub fn new(extra: &[Vec<u8>]) -> Result<Self, NetError> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        for der in extra {
            roots.add(CertificateDer::from(der.clone())).map_err(|e| NetError::TrustAnchor(e.to_string()))?;
        }
        let mut anchors: Vec<Vec<u8>> = roots
            .roots
            .iter()
            .map(|anchor| [anchor.subject.as_ref(), anchor.subject_public_key_info.as_ref()].concat())
            .collect();
        anchors.sort();
        let mut hash = Sha256::new();
        anchors.iter().for_each(|anchor| hash.update(anchor));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
            .build()
            .map_err(|e| NetError::TrustAnchor(e.to_string()))?;
        Ok(Self {
            verifier,
            sha256: data_encoding::HEXLOWER.encode(&hash.finalize()),
            extra: u16::try_from(extra.len()).unwrap_or(u16::MAX),
        })
    }

    /// Performs the handshake over a stream. With `record_invalid`, a chain that does not hold is
    /// noted and the exchange goes on; the handshake's own signature must hold always.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: S,
        host: &str,
        record_invalid: bool,
    ) -> Result<(TlsStream<S>, Tls), Failure> {
        let fault = |detail: String| Failure { kind: FailureKind::Tls, detail };
        let noted = Arc::new(Mutex::new(None));
        let verifier = Noting { inner: Arc::clone(&self.verifier), record_invalid, noted: Arc::clone(&noted) };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| fault(e.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A ticket would tie two connections of different circuits together.
        config.resumption = Resumption::disabled();
        let name = ServerName::try_from(host.to_owned()).map_err(|_| fault("the host is no name for TLS".into()))?;
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.map_err(|e| {
            let rustls = e.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            fault(match rustls {
                Some(rustls::Error::InvalidCertificate(why)) => {
                    format!("the certificate does not hold: {}", reason(why))
                }
                Some(other) => format!("the handshake failed: {other}"),
                None => "the connection ended during the handshake".to_owned(),
            })
        })?;
        let (_, session) = stream.get_ref();
        let facts = Tls {
            protocol: match session.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
                other => format!("{other:?}"),
            },
            cipher_suite: session.negotiated_cipher_suite().map(|suite| iana(suite.suite())).unwrap_or_default(),
            chain: session.peer_certificates().unwrap_or_default().iter().map(|der| der.to_vec().into()).collect(),
            invalid: noted.lock().unwrap_or_else(PoisonError::into_inner).take(),
        };
        Ok((stream, facts))
    }
}

/// rustls calls TLS 1.3 suites `TLS13_…`; IANA calls them `TLS_…`.
fn iana(suite: rustls::CipherSuite) -> String {
    format!("{suite:?}").replace("TLS13_", "TLS_")
}

/// The kind of fault, without the names that rustls puts beside it.
fn reason(error: &rustls::CertificateError) -> String {
    use rustls::CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => "it has expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet",
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is for another name",
        E::UnknownIssuer => "its issuer is unknown",
        E::Revoked => "it was revoked",
        E::BadSignature => "its signature is wrong",
        E::BadEncoding => "it is malformed",
        _ => "it is not acceptable",
    }
    .to_owned()
}

#[derive(Debug)]
struct Noting {
    inner: Arc<WebPkiServerVerifier>,
    record_invalid: bool,
    noted: Arc<Mutex<Option<String>>>,
}

impl ServerCertVerifier for Noting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now) {
            Err(rustls::Error::InvalidCertificate(why)) if self.record_invalid => {
                *self.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason(&why));
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}
