//! Whether the holder of an onion service's key signed a descriptor (rend-spec-v3). Pure: bytes in, facts
//! out; no file is named here, no clock is read, and nothing of Tor is linked.
//!
//! - [`Onion`] is an address whose checksum holds, hence a public key.
//! - [`Period`] is a time period of the directory; with the onion's key it gives the blinded key.
//! - [`Descriptor`] is the outer layer of a signed descriptor. [`Descriptor::check`] judges the whole chain:
//!   address and period, blinded key, certificate, its expiry, signature, lifetime.
//!
//! [`CHECK_SCRIPT`] judges the same by other code.

mod address;
mod document;
mod judge;
mod period;

pub use address::{Onion, OnionError};
pub use document::{DESCRIPTOR_BYTES, Descriptor};
pub use judge::{DescriptorError, EARLY_S, Proof};
pub use period::Period;

/// A check of a descriptor in Python that needs nothing but Python: for whoever does not want to believe us.
pub const CHECK_SCRIPT: &str = include_str!("../check_descriptor.py");
