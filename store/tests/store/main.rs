//! The store as its users see it: whole, damaged, stopped in mid-write, on a failing disk.

mod backup;
mod crash;
mod damage;
mod erasure;
mod faults;
mod forged;
mod group;
mod keys;
mod kit;
mod round_trip;
