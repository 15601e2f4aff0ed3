//! Run state of a (case, profile): cookies, frontier, what was seen. Names are keyed digests,
//! values are sealed with their name inside; both under the profile's key.

use zeroize::Zeroizing;

use crate::catalogue::Catalogue;
use crate::error::StoreError;
use crate::keys::{ProfileKey, SEAL_BYTES};

/// Largest name and value together, in bytes: sled keeps larger ones apart without syncing them.
pub const STATE_VALUE_BYTES: usize = 4096 - SEAL_BYTES - 2;

/// A change of run state.
pub struct StateOp {
    key: Vec<u8>,
    change: Change,
}

enum Change {
    Put(Vec<u8>),
    Remove,
    Fault(String),
}

impl StateOp {
    /// Sets a value. Name and value together may hold [`STATE_VALUE_BYTES`]; a longer one is
    /// refused when the change is handed in.
    pub fn put(key: &ProfileKey, area: &str, name: &str, value: Vec<u8>) -> Self {
        let value = Zeroizing::new(value);
        let at = place(key, area, name);
        let change = if name.len() + value.len() > STATE_VALUE_BYTES {
            Change::Fault(format!("a name and value of run state over {STATE_VALUE_BYTES} bytes (area {area})"))
        } else {
            let mut plain = Zeroizing::new(Vec::with_capacity(2 + name.len() + value.len()));
            plain.extend_from_slice(&(name.len() as u16).to_be_bytes());
            plain.extend_from_slice(name.as_bytes());
            plain.extend_from_slice(&value);
            match key.state().seal(&at, &plain) {
                Ok(sealed) => Change::Put(sealed),
                Err(error) => Change::Fault(error.to_string()),
            }
        };
        Self { key: at, change }
    }

    /// Removes a value; no fault when there is none.
    pub fn remove(key: &ProfileKey, area: &str, name: &str) -> Self {
        Self { key: place(key, area, name), change: Change::Remove }
    }

    /// Name and value are short enough to be kept.
    pub fn fits(&self) -> bool {
        self.fault().is_none()
    }

    pub(crate) fn fault(&self) -> Option<String> {
        match &self.change {
            Change::Fault(what) => Some(what.clone()),
            _ => None,
        }
    }

    /// Key in the catalogue, and the sealed value or `None` to remove it.
    pub(crate) fn into_change(self) -> (Vec<u8>, Option<Vec<u8>>) {
        match self.change {
            Change::Put(sealed) => (self.key, Some(sealed)),
            Change::Remove | Change::Fault(_) => (self.key, None),
        }
    }
}

/// One area of a profile's run state, as of the last commit.
pub struct State<'a> {
    catalogue: &'a Catalogue,
    key: ProfileKey,
    area: String,
}

impl<'a> State<'a> {
    pub(crate) fn new(catalogue: &'a Catalogue, key: &ProfileKey, area: &str) -> Self {
        Self { catalogue, key: key.clone(), area: area.to_owned() }
    }

    /// The value of a name.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`] when it cannot be read or was altered.
    pub fn get(&self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let at = place(&self.key, &self.area, name);
        let Some(sealed) = self.catalogue.state(&at)? else { return Ok(None) };
        let (found, value) = self.open(&at, &sealed)?;
        if found != name {
            return Err(self.catalogue.damaged("a value of run state under another name"));
        }
        Ok(Some(value))
    }

    /// All names and values of the area, in no meaningful order.
    pub fn iter(&self) -> Result<std::vec::IntoIter<(String, Vec<u8>)>, StoreError> {
        let mut all = Vec::new();
        for (at, sealed) in self.catalogue.states(&area_tag(&self.key, &self.area))? {
            all.push(self.open(&at, &sealed)?);
        }
        Ok(all.into_iter())
    }

    fn open(&self, at: &[u8], sealed: &[u8]) -> Result<(String, Vec<u8>), StoreError> {
        let damaged = || self.catalogue.damaged("a value of run state does not open");
        let plain = self.key.state().open(at, sealed).ok_or_else(damaged)?;
        let (len, rest) = plain.split_first_chunk::<2>().ok_or_else(damaged)?;
        let (name, value) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len))).ok_or_else(damaged)?;
        Ok((String::from_utf8(name.to_vec()).map_err(|_| damaged())?, value.to_vec()))
    }
}

fn area_tag(key: &ProfileKey, area: &str) -> [u8; 16] {
    key.tag(&[b"area", area.as_bytes()])
}

/// 32 bytes: tag of the area, tag of the name in it.
fn place(key: &ProfileKey, area: &str, name: &str) -> Vec<u8> {
    [area_tag(key, area), key.tag(&[b"name", area.as_bytes(), name.as_bytes()])].concat()
}
