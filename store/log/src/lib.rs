//! What a log and its witnesses share: the Merkle tree of RFC 6962 with its proofs, the signed
//! head (C2SP tlog-checkpoint), cosignatures (tlog-cosignature), the files that carry them
//! between machines (tlog-witness, tlog-proof, tlog-tiles), and the passphrase around a key.
//! Bytes in, values out: nothing here opens a file, knows the time or keeps a store.

#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

pub mod checkpoint;
pub mod cosignature;
mod note;
pub mod proof;
pub mod request;
pub mod tiles;
pub mod tree;
pub mod wrapped;
