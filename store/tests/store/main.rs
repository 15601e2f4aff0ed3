//! The store as its users see it: whole, damaged, stopped in mid-write, on a failing disk.

mod backup;
mod damage;
mod erasure;
mod forged;
mod group;
mod keys;
mod kit;
mod old_stores;
mod proof;
mod restored;
mod round_trip;
mod timestamps;
#[allow(dead_code, reason = "the authority can do more than is asked of it here")]
#[path = "../../time/tests/time/kit.rs"]
mod tsa;
mod witness;
