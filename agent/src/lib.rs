//! Vigie's recorder: drives the capture of what a mandate permits, seals it, and shows what the
//! store holds. It opens no socket; *net* does, and only for an authorization.

mod act;
mod agentkey;
mod audit;
mod bootstrap;
mod bounds;
mod capture;
pub mod cli;
mod clientkeys;
mod clock;
mod corroborate;
mod crawl;
mod descriptors;
mod doctor;
mod error;
mod exits;
mod fetch;
mod firewall;
mod frontier;
mod handover;
mod identities;
mod incoming;
mod jar;
mod locked;
mod mandates;
mod monitor;
mod obstacle;
mod originals;
mod outside;
mod parts;
mod picture;
mod protect;
mod reach;
mod record;
mod retention;
mod retry;
mod rows;
mod run;
mod secrets;
mod session;
mod stop;
mod torstate;
mod usage;
mod wanted;
mod workstation;

pub use parts::PART;
