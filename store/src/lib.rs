#![doc = include_str!("../FORMAT.md")]
#![deny(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]
#![warn(clippy::print_stdout, clippy::print_stderr)]

mod backup;
mod catalogue;
pub mod checkpoint;
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
mod keys;
mod kind;
mod ledger;
mod local;
mod lock;
pub mod log;
mod opened;
mod passphrase;
mod profiles;
mod reader;
mod recipient;
mod recovery;
mod seal;
mod segment;
pub mod spool;
mod state;
mod store;
mod unlock;
mod verify;

pub use backup::{backup, restore};
pub use draft::{Commitment, Draft, Private, Receipt};
pub use entry::{Blob, Entry};
pub use erasure::Erased;
pub use error::StoreError;
pub use forecast::{Forecast, forecast};
pub use keys::{ProfileKey, WorkstationKey};
pub use kind::Kind;
pub use lock::is_locked;
pub use opened::OpenedExhibit;
pub use passphrase::{change_passphrase, wipe_keys};
pub use reader::Reader;
pub use recipient::Recipient;
pub use seal::{SealedExhibit, Sealer};
pub use state::{STATE_VALUE_BYTES, State, StateOp};
pub use store::{NewStore, Settings, Store, StoreEvents};
pub use unlock::unlock_key;
pub use verify::{Problem, Progress, VerifyOptions, VerifyReport, verify};
