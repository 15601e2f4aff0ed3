//! What a store is made with and opened with.

use std::sync::Arc;

use secrecy::SecretString;

use crate::disk::{Disk, RealDisk};
use crate::outside::Outside;

/// A segment is closed before it grows beyond this many bytes (a single frame may).
const SEGMENT_BYTES: u64 = 1 << 30;
/// What a new store begins with.
pub struct NewStore {
    /// Name of the log in checkpoints: 1 to 255 printable ASCII characters, no space, no `+`,
    /// unique to the workstation (a host and path by custom, C2SP tlog-checkpoint).
    pub origin: String,
    /// The allowed signers file, fixed from now on (ssh-keygen(1), ALLOWED SIGNERS).
    pub allowed_signers: Vec<u8>,
    /// Wraps the workstation key.
    pub passphrase: SecretString,
    /// scrypt work factor, 1 to 22, also of profiles' keys; `None` is 18 (256 MiB, about a second).
    pub scrypt_log_n: Option<u8>,
}

/// What tests and unusual machines may want otherwise.
#[derive(Clone)]
pub struct Settings {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// A segment is closed before it grows beyond this many bytes.
    pub segment_bytes: u64,
    /// Where the newest head is kept outside the store, if anywhere.
    pub outside: Option<Outside>,
    /// Size and root of the head outside that is about to be given up: the store opens although it
    /// does not reach it, and leaves it where it is until [`crate::Store::accept_restore`].
    pub giving_up: Option<(u64, [u8; 32])>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { disk: Arc::new(RealDisk), segment_bytes: SEGMENT_BYTES, outside: None, giving_up: None }
    }
}

/// Hears what happens while a store opens.
pub trait StoreEvents {
    /// One line, without secrets.
    fn event(&self, text: &str);

    /// `done` of `total` entries were taken into a catalogue that is made anew.
    fn rebuilding(&self, _done: u64, _total: u64) {}
}
