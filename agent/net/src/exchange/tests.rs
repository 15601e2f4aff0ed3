//! Exchanges over streams whose other end a test holds.

mod exits;
mod framing;
mod harness;
mod limits;
mod random;
mod reuse;
mod secure;
