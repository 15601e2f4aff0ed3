//! The store as its users see it: whole, damaged, stopped in mid-write, on a failing disk.

mod backup;
mod damage;
mod descriptors;
mod erasure;
mod forged;
mod group;
mod keys;
mod kit;
mod old_stores;
#[allow(dead_code, reason = "it makes more than is asked of it here")]
#[path = "../../onion/tests/onion/kit.rs"]
mod onion;
mod proof;
mod restored;
mod round_trip;
mod timestamps;
#[allow(dead_code, reason = "the authority can do more than is asked of it here")]
#[path = "../../time/tests/time/kit.rs"]
mod tsa;
mod witness;
