//! The test authority and the certificates that it signs.

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// A certificate authority for tests; its key lives in memory only.
#[derive(Debug)]
pub struct TestCa {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// When a server certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    /// From 2020 to 2099: fixed dates, so that tests with their own clock can use it.
    Now,
    /// It ended in 2020.
    Expired,
}

impl TestCa {
    /// Makes an authority with a new P-256 key, valid from 2000 to 2099.
    pub(super) fn create() -> Result<Self, rcgen::Error> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.distinguished_name.push(DnType::CommonName, "Test authority of the private network");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2099, 12, 31);
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Its certificate, PEM.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// Its certificate, DER.
    pub fn der(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A TLS server side for one host name; ALPN says HTTP/1.1 only.
    pub(super) fn acceptor(
        &self,
        host: &str,
        validity: Validity,
    ) -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = match validity {
            Validity::Now => date_time_ymd(2099, 1, 1),
            Validity::Expired => date_time_ymd(2020, 12, 31),
        };
        let leaf = params.signed_by(&key, &self.issuer)?;
        let chain: Vec<CertificateDer<'static>> = vec![leaf.der().clone(), self.issuer.der().clone()];
        server(chain, &key)
    }
}

/// A TLS server side for one host name whose certificate nobody signed but itself.
pub(super) fn self_signed(host: &str) -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(vec![host.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, host);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2099, 1, 1);
    let own = params.self_signed(&key)?;
    server(vec![own.der().clone()], &key)
}

fn server(
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
) -> Result<TlsAcceptor, Box<dyn std::error::Error + Send + Sync>> {
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, private)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
