//! Time stamps of an authority made of `openssl`, good, bad and broken; each verdict beside that of
//! `openssl ts -verify`.

mod kit;
mod stamps;
