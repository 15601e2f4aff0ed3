#![doc = include_str!("../FORMAT.md")]
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod backup;
mod catalogue;
pub mod clock;
mod commit;
pub mod disk;
mod draft;
pub mod entry;
mod erasure;
mod error;
mod files;
mod forecast;
pub mod frame;
mod given_up;
mod keys;
mod kind;
mod ledger;
mod local;
mod lock;
mod opened;
mod outside;
mod passphrase;
mod private;
mod profiles;
mod reader;
mod recipient;
mod recovery;
mod seal;
mod segment;
mod settings;
pub mod spool;
mod state;
mod store;
mod timestamps;
mod unlock;
mod verify;
mod witness;

pub use vigie_log::cosignature::{Cosignature, Cosigned, WitnessKey};
pub use vigie_log::proof::{Proof, ProofError};
pub use vigie_log::request::AddCheckpoint;
pub use vigie_log::{checkpoint, tree as log};

pub use backup::{backup, restore};
pub use draft::{Commitment, Draft, Private, Receipt};
pub use entry::{Blob, Entry};
pub use erasure::Erased;
pub use error::StoreError;
pub use forecast::{Forecast, forecast};
pub use given_up::GivenUp;
pub use keys::{ProfileKey, WorkstationKey};
pub use kind::Kind;
pub use lock::is_locked;
pub use opened::{OpenedCommitment, OpenedExhibit, OpenedPrivate};
pub use outside::Outside;
pub use passphrase::wipe_keys;
pub use reader::{Reader, Witnessed};
pub use recipient::Recipient;
pub use seal::{SealedExhibit, Sealer, seal_into};
pub use settings::{NewStore, Settings, StoreEvents};
pub use state::{STATE_VALUE_BYTES, State, StateOp};
pub use store::{CheckedHead, Store};
pub use timestamps::{Imported, Requested, Stamped, open_requests, request_stamp};
pub use unlock::unlock_key;
pub use verify::{
    KeptDescriptor, KnownHead, Problem, Progress, SessionTime, VerifyOptions, VerifyReport, verify, verify_against,
};
pub use witness::{CosignedHead, cosigned_at};
