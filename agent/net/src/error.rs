//! Why the network part does not start.

/// A start that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The `[tor]` table.
    #[error("the [tor] table is not a valid configuration of Arti: {0}: correct it in vigie.toml")]
    Config(String),
    /// A directory.
    #[error("making Arti's directory: {0}: check its owner and permissions (0700)")]
    Directory(String),
    /// A trust anchor.
    #[error("a trust anchor of [tls] extra_roots is not a certificate: {0}")]
    TrustAnchor(String),
    /// Arti itself.
    #[error("Arti does not start: {0}")]
    Client(String),
}
