//! What Vigie is tested and demonstrated on: a private Tor network on loopback ([`tornet`]),
//! sample sites that count and remember what they are asked ([`sites`]), a desk with keys, a
//! signed mandate and a configuration ([`desk`]), and programs run under a time limit
//! ([`process`]). Nothing here reaches beyond this machine.
//!
//! A case of the end-to-end suite is one function in `tests/e2e/<theme>.rs` that takes the shared
//! `World`; the theme lists it in its `cases()`.

#![warn(missing_docs)]

pub mod desk;
pub mod process;
pub mod sites;
pub mod tornet;
