//! The guards that Arti keeps in its folder of state: the one place that knows the form of that file.

use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use crate::NetError;

/// Largest file of guards that is read, in bytes; Arti keeps some 60 guards, of about a kilobyte each.
const BYTES: u64 = 4 * 1024 * 1024;

/// A guard, or a bridge in the place of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptGuard {
    /// Set that it is in: `default`, `restricted` or `bridges`.
    pub set: &'static str,
    /// Its Ed25519 identity in Base64, else its RSA identity in hex, else `unknown`.
    pub id: String,
    /// Where it can be connected to.
    pub addresses: Vec<SocketAddr>,
    /// When it was chosen, as Arti writes it (RFC 3339); empty when the file does not say.
    pub added: String,
    /// When it was first used with success.
    pub confirmed: Option<String>,
    /// Arti uses it no more.
    pub disabled: bool,
}

/// Sets of guards by name, as Arti 0.47 writes them (`tor-guardmgr`, `GuardSets`).
#[derive(Deserialize)]
struct Sets {
    #[serde(default)]
    default: Sample,
    #[serde(default)]
    restricted: Sample,
    #[serde(default)]
    bridges: Sample,
}

/// One set (`GuardSample`): guards as they were chosen, and names of those that were used, in that order.
#[derive(Deserialize, Default)]
struct Sample {
    #[serde(default)]
    guards: Vec<Guard>,
    #[serde(default)]
    confirmed: Vec<Id>,
}

#[derive(Deserialize)]
struct Guard {
    #[serde(default)]
    id: Id,
    #[serde(default)]
    orports: Vec<SocketAddr>,
    added_at: Option<String>,
    confirmed_at: Option<String>,
    disabled: Option<Value>,
}

#[derive(Deserialize, Default, PartialEq)]
struct Id {
    ed25519: Option<String>,
    rsa: Option<String>,
}

/// Where Arti keeps them, below its folder of state.
pub fn guards_file(state_dir: &Path) -> PathBuf {
    state_dir.join("state/guards.json")
}

/// Reads them: of each set those that were used first, in that order, then the others as they were chosen.
/// None when there is no file yet: the first run chooses them.
///
/// # Errors
/// A file that cannot be read, or is not as Arti writes it.
pub fn guards(state_dir: &Path) -> Result<Vec<KeptGuard>, NetError> {
    let mut bytes = Vec::new();
    let opened = match std::fs::File::open(guards_file(state_dir)) {
        Ok(opened) => opened,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(NetError::Guards(error.to_string())),
    };
    opened.take(BYTES).read_to_end(&mut bytes).map_err(|e| NetError::Guards(e.to_string()))?;
    read(&bytes)
}

fn read(bytes: &[u8]) -> Result<Vec<KeptGuard>, NetError> {
    let sets: Sets = serde_json::from_slice(bytes).map_err(|e| NetError::Guards(e.to_string()))?;
    let mut found = Vec::new();
    for (set, mut sample) in [("default", sets.default), ("restricted", sets.restricted), ("bridges", sets.bridges)] {
        let confirmed = sample.confirmed;
        sample.guards.sort_by_key(|guard| confirmed.iter().position(|id| *id == guard.id).unwrap_or(usize::MAX));
        found.extend(sample.guards.into_iter().map(|guard| KeptGuard {
            set,
            id: guard.id.ed25519.or(guard.id.rsa).unwrap_or_else(|| "unknown".to_owned()),
            addresses: guard.orports,
            added: guard.added_at.unwrap_or_default(),
            confirmed: guard.confirmed_at,
            disabled: guard.disabled.is_some(),
        }));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = r#"{
        "bridges": {"guards": [{"id": {"rsa": "22"}, "orports": ["192.0.2.9:1"]}]},
        "default": {
            "guards": [
                {"id": {"ed25519": "AAAAbbbb", "rsa": "00"}, "orports": ["192.0.2.2:443", "[2001:db8::1]:9001"],
                 "added_at": "2026-11-01T00:00:00Z", "confirmed_at": null, "disabled": null, "unlisted_since": null},
                {"id": {"ed25519": "CCCCdddd", "rsa": "11"}, "added_at": "2026-11-02T00:00:00Z",
                 "confirmed_at": "2026-11-03T00:00:00Z", "disabled": {"type": "TooManyIndeterminateFailures"}}
            ],
            "confirmed": [{"ed25519": "CCCCdddd", "rsa": "11"}]
        },
        "a set of a later Arti": 7
    }"#;

    #[test]
    fn those_that_were_used_come_first() {
        let found = read(FILE.as_bytes()).unwrap();
        let ids: Vec<_> = found.iter().map(|guard| (guard.set, guard.id.as_str())).collect();
        assert_eq!(ids, [("default", "CCCCdddd"), ("default", "AAAAbbbb"), ("bridges", "22")]);
        assert!(found[0].disabled && found[0].confirmed.is_some() && found[0].addresses.is_empty());
        assert!(!found[1].disabled && found[1].confirmed.is_none() && found[1].added == "2026-11-01T00:00:00Z");
        assert_eq!(found[1].addresses, ["192.0.2.2:443".parse().unwrap(), "[2001:db8::1]:9001".parse().unwrap()]);
        assert_eq!(found[2].added, "");
    }

    #[test]
    fn no_file_is_no_guard_and_another_form_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(guards(folder.path()).unwrap(), []);
        std::fs::create_dir(folder.path().join("state")).unwrap();
        for text in ["", "{", "[1]", r#"{"default": 1}"#, r#"{"default": {"guards": [{"orports": ["here"]}]}}"#] {
            std::fs::write(guards_file(folder.path()), text).unwrap();
            let said = guards(folder.path()).unwrap_err().to_string();
            assert!(said.contains("moved away"), "{text}: {said}");
        }
        std::fs::write(guards_file(folder.path()), FILE).unwrap();
        assert_eq!(guards(folder.path()).unwrap().len(), 3);
    }

    proptest! {
        #[test]
        fn hostile_bytes_do_no_harm(at in 0..FILE.len(), byte in any::<u8>(), end in 0..FILE.len()) {
            let mut bytes = FILE.as_bytes().to_vec();
            bytes[at] = byte;
            let _ = read(&bytes);
            let _ = read(&bytes[..end]);
        }
    }
}
