//! What the tests share: a key that signs in memory, a mandate that holds, the time.

use jiff::Timestamp;
use ssh_key::private::{Ed25519Keypair, PrivateKey};
use ssh_key::{HashAlg, LineEnding};
use vigie_config::mandate::{Mandate, MandateError, SignedMandate};
use vigie_config::signers::AllowedSigners;

/// A mandate that holds, with the agent key of [`agent`].
pub const MANDATE: &str = include_str!("../data/mandate.toml");
/// Principal that the mandate names.
pub const PRINCIPAL: &str = "magistrate@court.example";
/// First vector of rend-spec-v3, ONIONADDRESS: the mandate's first target.
pub const ONION: &str = "pg6mmjiyjmcrsslvykfwnntlaru7p5svn6y2ymmju6nubxndf4pscryd.onion";

/// A moment in UTC.
pub fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

/// A moment within the mandate's validity and hours.
pub fn now() -> Timestamp {
    at("2026-11-24T10:00:00Z")
}

/// An SSH key made of one byte.
pub fn key(seed: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[seed; 32]).into()
}

/// The authority's key.
pub fn authority() -> PrivateKey {
    key(1)
}

/// The agent's key, as it stands in the mandate.
pub fn agent() -> PrivateKey {
    key(2)
}

/// The public key as `ssh-ed25519 AAAA…`, without comment.
pub fn public(key: &PrivateKey) -> String {
    let mut public = key.public_key().clone();
    public.set_comment("");
    public.to_openssh().expect("a public key").trim().to_owned()
}

/// Allowed signers: the authority, for mandates and revocations.
pub fn signers() -> AllowedSigners {
    let line = format!("{PRINCIPAL} namespaces=\"vigie-mandate,vigie-revocation\" {}\n", public(&authority()));
    AllowedSigners::parse(line.as_bytes()).expect("a signers file")
}

/// A detached signature.
pub fn sign(key: &PrivateKey, namespace: &str, text: &[u8]) -> Vec<u8> {
    key.sign(namespace, HashAlg::Sha512, text).and_then(|s| s.to_pem(LineEnding::LF)).expect("a signature").into_bytes()
}

/// Signs a mandate's text and verifies it at [`now`].
pub fn verify(text: &str) -> Result<Mandate, MandateError> {
    let signature = sign(&authority(), "vigie-mandate", text.as_bytes());
    SignedMandate::new(text.as_bytes().to_vec(), signature).verify(&signers(), now())
}

/// The mandate with one text replaced by another; the replaced text occurs once.
pub fn with(from: &str, to: &str) -> String {
    assert_eq!(MANDATE.matches(from).count(), 1, "{from:?} must occur once in the mandate");
    MANDATE.replacen(from, to, 1)
}
