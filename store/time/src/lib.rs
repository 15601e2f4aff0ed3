//! What bounds the time of an entry from both sides: RFC 3161 time stamps say that something existed
//! *before* a moment, a signed Tor consensus that something was made *after* one. Pure: bytes in,
//! facts out; no file is named here and no clock is read.
//!
//! - [`Request`] is the question to a time-stamping authority, [`Stamp::check`] judges its answer:
//!   imprint, nonce, policy, signature, the certificate it binds, and the chain to a fixed [`Root`]
//!   at the stamp's own time.
//! - [`Consensus`] reads the signed directory of a Tor network and counts the authorities whose
//!   signatures hold.
//! - [`clock_jump`] compares two readings of a machine's clocks.

mod algorithms;
mod certificate;
mod consensus;
mod jump;
mod names;
mod pem;
mod request;
mod stamp;
mod token;
mod walk;

pub use certificate::{Root, RootError};
pub use consensus::{CONSENSUS_BYTES, CONSENSUS_EARLY_S, Consensus, ConsensusError, ConsensusSignature};
pub use jump::{CLOCK_JUMP_NS, clock_jump};
pub use pem::{certificates as pem_certificates, encode_certificates as pem_encode};
pub use request::{Request, RequestError};
pub use stamp::{Accuracy, RESPONSE_BYTES, Stamp, StampError};
