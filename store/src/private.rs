//! Opening a private part as one of its recipients.

use std::io::Read;

use crate::local::PrivatePart;

/// Largest plaintext of a private part read, in bytes.
const PRIVATE_BYTES: u64 = 32 << 20;

/// Why a private part could not be read.
#[derive(Debug)]
pub(crate) enum Closed {
    /// age says why; `NoMatchingKeys` when none of the identities is a recipient's.
    Age(age::DecryptError),
    /// What came out is not of the format.
    Format,
}

/// Opens the age file of a private part.
pub(crate) fn open<'a>(
    sealed: &[u8],
    identities: impl Iterator<Item = &'a dyn age::Identity>,
) -> Result<PrivatePart, Closed> {
    let mut plain = Vec::new();
    age::Decryptor::new_buffered(sealed)
        .and_then(|age| age.decrypt(identities))
        .and_then(|reader| reader.take(PRIVATE_BYTES).read_to_end(&mut plain).map_err(age::DecryptError::Io))
        .map_err(Closed::Age)?;
    let part: Option<PrivatePart> = serde_json::from_slice(&plain).ok();
    part.filter(|part| part.format == PrivatePart::FORMAT).ok_or(Closed::Format)
}
