//! Why the network part does not start.

/// A start that failed.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The `[tor]` table.
    #[error("the [tor] table is not a valid configuration of Arti: {0}: correct it in vigie.toml")]
    Config(String),
    /// A line of `bridges.bridges`.
    #[error("bridge line {line} of {of} in [tor.bridges] is wrong: {why}: copy it again from whoever gave it")]
    Bridge {
        /// Which, from 1.
        line: usize,
        /// Of how many.
        of: usize,
        /// What is wrong with it, without its content.
        why: &'static str,
    },
    /// A client key of a restricted service.
    #[error("handing Arti a client key: {0}")]
    ClientKey(String),
    /// A directory.
    #[error("making Arti's directory: {0}: check its owner and permissions (0700)")]
    Directory(String),
    /// The guards that Arti keeps.
    #[error("Tor's file of guards cannot be read ({0}): Arti makes it anew when it is moved away")]
    Guards(String),
    /// A trust anchor.
    #[error("a trust anchor of [tls] extra_roots is not a certificate: {0}")]
    TrustAnchor(String),
    /// Arti itself.
    #[error("Arti does not start: {0}")]
    Client(String),
}
