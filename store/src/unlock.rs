//! From a passphrase to the workstation key of a store.

use std::path::Path;

use secrecy::SecretString;

use crate::error::StoreError;
use crate::files::Layout;
use crate::keys::{WorkstationKey, unwrap};

/// Opens the workstation key of the store in `dir` with its passphrase.
///
/// # Errors
/// [`StoreError::WrongPassphrase`]; [`StoreError::NotAStore`] when there is no key file.
pub fn unlock_key(dir: &Path, passphrase: &SecretString) -> Result<WorkstationKey, StoreError> {
    let layout = Layout::open(dir)?;
    let wrapped = layout.read_small(&layout.wrapped_key())?;
    Ok(WorkstationKey::from_bytes(*unwrap(&wrapped, passphrase)?))
}
