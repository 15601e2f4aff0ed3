//! The rules of who may look at what, against real signatures and hostile input.

mod authorize;
mod bench;
mod exclude;
mod fixture;
mod headers;
mod legal;
mod mandate;
mod profile;
mod restoration;
mod retention;
mod revocation;
mod sharing;
mod signers;
mod target;
