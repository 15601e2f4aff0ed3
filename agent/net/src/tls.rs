//! TLS inside the Tor stream (RFC 8446, RFC 5246): Mozilla's trust anchors and those that the
//! workstation adds; the chain, protocol and cipher suite are facts of the record.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
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
    ) -> Result<(TlsStream<Records<S>>, Tls), Failure> {
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
        let stream = Records { stream, header: [0; 5], seen: 0, left: 0 };
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
        // webpki's own word for it, which holds no name.
        E::Other(other) => return format!("it is not acceptable ({other})"),
        _ => "it is not acceptable",
    }
    .to_owned()
}

/// A stream that is read one TLS record at a time (RFC 8446 §5.1, RFC 5246 §6.2.1). Of what it gets
/// at once, rustls gives nothing when a later record is an alert or does not decrypt; what came
/// before in order would be lost for the record.
pub struct Records<S> {
    stream: S,
    header: [u8; 5],
    /// Bytes of the header that have come.
    seen: usize,
    /// Bytes of the record that are still to come.
    left: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Records<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let in_header = self.left == 0;
        let most = if in_header { self.header.len() - self.seen } else { self.left }.min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        std::task::ready!(Pin::new(&mut self.stream).poll_read(cx, &mut part))?;
        let read = part.filled().len();
        if in_header {
            let seen = self.seen;
            self.header[seen..seen + read].copy_from_slice(part.filled());
            self.seen += read;
            if self.seen == self.header.len() {
                self.seen = 0;
                self.left = u16::from_be_bytes([self.header[3], self.header[4]]).into();
            }
        } else {
            self.left -= read;
        }
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Records<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
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
