//! A witness of logs that is never connected to anything: requests come on a removable medium and
//! cosignatures leave on it (C2SP tlog-witness and tlog-cosignature). It keeps, for each log that
//! it was told to trust, the largest head it has cosigned, and cosigns only what goes on from it.
//!
//! The directory of a witness:
//!
//! | name | what it is |
//! |---|---|
//! | `witness.txt` | `vigie.witness/1`, then `key` and the witness's verifier key |
//! | `key.age` | the Ed25519 seed in an age file that the passphrase opens |
//! | `logs/HEX` | a log: its key, and size, root and time of the head cosigned last; HEX is SHA-256 of its origin |
//! | `cosigned/HEX` | the last cosigned checkpoint, for handing out again |
//! | `lock` | held while a head is compared and kept |

#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod cli;
mod error;
mod files;
mod state;
mod witness;

pub use error::WitnessError;
pub use state::LogState;
pub use witness::{Signer, Witness};
