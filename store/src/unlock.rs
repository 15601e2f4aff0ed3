//! From a passphrase to the workstation key of a store.

use std::path::Path;

use secrecy::SecretString;

use crate::error::StoreError;
use crate::files::Layout;
use crate::keys::{WorkstationKey, unwrap};

const NO_KEY: &str = "its key.age is gone (wiped, or a copy without keys); recipients still open its exhibits, \
                      and vigie verify still checks it";

/// Opens the workstation key of the store in `dir` with its passphrase.
///
/// # Errors
/// [`StoreError::WrongPassphrase`]; [`StoreError::NotAStore`] when there is no key file.
pub fn unlock_key(dir: &Path, passphrase: &SecretString) -> Result<WorkstationKey, StoreError> {
    let layout = Layout::open(dir)?;
    if !layout.wrapped_key().exists() {
        return Err(StoreError::NotAStore { dir: dir.to_owned(), why: NO_KEY.into() });
    }
    let wrapped = layout.read_small(&layout.wrapped_key())?;
    Ok(WorkstationKey::from_bytes(*unwrap(&wrapped, passphrase)?))
}
