//! The plain messages that cross Vigie's process boundaries.
//!
//! Three parties exist: *record* drives (mandates, sealing, the store; no network), *net*
//! holds Tor and HTTP (no mandate, no key of the store), *parse* turns hostile bytes into plain
//! values (nothing else at all), *draw* a recorded page into pictures. They share the types of this crate and nothing more: no handle,
//! no reference, no permission value. Every type is plain data with `serde`, so that it can
//! travel over a socket pair as well as over a channel, and every variable part has a limit that
//! the receiver enforces ([`limits`]).
//!
//! An authorization never crosses. *net* receives a [`net::Scope`] and re-derives from it that a
//! request may leave; a request that does not fit its scope is refused there a second time.

pub mod control;
pub mod draw;
pub mod frame;
pub mod limits;
pub mod net;
pub mod parse;
