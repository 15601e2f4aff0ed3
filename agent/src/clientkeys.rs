//! Client keys of restricted services (rend-spec-v3, *restricted discovery*): without its key a service's
//! descriptor does not open. They belong to a profile and lie sealed under its key P, as its cookies do.

use data_encoding::BASE32_NOPAD;
use jiff::Timestamp;
use vigie_config::authorize::Action;
use vigie_config::mandate::Mandate;
use vigie_config::target::{Host, OnionName};
use vigie_store::{ProfileKey, State, StateOp};
use vigie_wire::control::ClientKey;
use vigie_wire::limits::CLIENT_KEYS;
use zeroize::{Zeroize, Zeroizing};

use crate::error::Problem;

/// Area of the run state that holds them: under a service's onion name the secret (32 bytes), then when it was
/// added (8 bytes, seconds since 1970, big-endian).
pub const AREA: &str = "client-key";
/// Largest key file, in bytes.
pub const FILE_BYTES: u64 = 16 * 1024;
/// Algorithm of Arti's own key files.
const ARTI: &str = "x25519@spec.torproject.org";

/// What a key file says.
pub struct Given {
    /// The service that it is for, when the file says it.
    pub onion: Option<OnionName>,
    /// X25519 secret.
    pub secret: Zeroizing<[u8; 32]>,
}

/// Reads a key: C tor's `ONION:descriptor:x25519:BASE32` (its `.auth_private` files) with or without the name,
/// or the OpenSSH-like text in which Arti keeps one.
///
/// # Errors
/// It is neither. Nothing of the text is repeated.
pub fn parse(text: &str) -> Result<Given, Problem> {
    let text = text.trim();
    if text.starts_with("-----BEGIN") {
        return Ok(Given { onion: None, secret: arti(text)? });
    }
    let wrong = |what: &str| {
        Problem::input(format!(
            "the client key is not as Tor writes it ({what}): ONION:descriptor:x25519:KEY or descriptor:x25519:KEY, \
             where KEY is 52 letters and digits, or a key file of Arti"
        ))
    };
    let (name, rest) = text.split_once(':').ok_or_else(|| wrong("it has no colon"))?;
    let (onion, rest) = if name == "descriptor" {
        (None, text)
    } else {
        let label = name.trim_end_matches(".onion");
        let onion = OnionName::parse(&format!("{label}.onion"));
        (Some(onion.map_err(|_| wrong("the name before the first colon is no version 3 onion name"))?), rest)
    };
    let encoded = rest.strip_prefix("descriptor:x25519:").ok_or_else(|| wrong("it is of another type"))?;
    let upper = Zeroizing::new(encoded.to_ascii_uppercase());
    let decoded = BASE32_NOPAD.decode(upper.as_bytes()).map(Zeroizing::new);
    let decoded = decoded.map_err(|_| wrong("the key is not in Base32, or has another length"))?;
    let secret = <[u8; 32]>::try_from(&decoded[..]).map_err(|_| wrong("the key has not 32 bytes"))?;
    Ok(Given { onion, secret: Zeroizing::new(secret) })
}

fn arti(text: &str) -> Result<Zeroizing<[u8; 32]>, Problem> {
    let wrong =
        || Problem::input("the file is no X25519 key as Arti keeps them: give its ks_hsc_desc_enc.x25519_private");
    let key = ssh_key::PrivateKey::from_openssh(text).map_err(|_| wrong())?;
    let opaque = key.key_data().other().filter(|key| key.algorithm().as_str() == ARTI).ok_or_else(wrong)?;
    let secret = <[u8; 32]>::try_from(opaque.private.as_ref()).map_err(|_| wrong())?;
    Ok(Zeroizing::new(secret))
}

/// The public half as the service's operator has it: `descriptor:x25519:BASE32`.
pub fn public(secret: &[u8; 32]) -> String {
    let point = curve25519_dalek::montgomery::MontgomeryPoint::mul_base_clamped(*secret);
    format!("descriptor:x25519:{}", BASE32_NOPAD.encode(point.as_bytes()))
}

/// A key that is kept.
pub struct Kept {
    /// The service.
    pub key: ClientKey,
    /// When it was added.
    pub added: Timestamp,
}

/// All keys of a profile, by name.
pub fn kept(state: &State<'_>) -> Result<Vec<Kept>, Problem> {
    let mut found = Vec::new();
    for (onion, value) in state.iter()? {
        let value = Zeroizing::new(value);
        let (Some((secret, rest)), true) = (value.split_first_chunk::<32>(), value.len() == 40) else {
            return Err(Problem::unsound("a client key in this store is not 40 bytes long: run vigie verify"));
        };
        let seconds = i64::from_be_bytes(rest.try_into().unwrap_or_default());
        found.push(Kept {
            key: ClientKey { onion, secret: *secret },
            added: Timestamp::from_second(seconds).unwrap_or_default(),
        });
    }
    found.sort_by(|a, b| a.key.onion.cmp(&b.key.onion));
    Ok(found)
}

/// Keeps a key.
pub fn put(profile: &ProfileKey, onion: &OnionName, secret: &[u8; 32], now: Timestamp) -> StateOp {
    let mut value = Vec::with_capacity(40);
    value.extend_from_slice(secret);
    value.extend_from_slice(&now.as_second().to_be_bytes());
    // Overwritten by it.
    StateOp::put(profile, AREA, onion.reveal(), value)
}

/// Forgets a key.
pub fn remove(profile: &ProfileKey, onion: &OnionName) -> StateOp {
    StateOp::remove(profile, AREA, onion.reveal())
}

/// Label and name of the mandate's target that is this onion service, or has this label.
pub fn target(
    mandate: &Mandate,
    onion: Option<&OnionName>,
    label: Option<&str>,
) -> Result<(String, OnionName), Problem> {
    let id = mandate.id();
    let services = mandate.targets().iter().filter_map(|target| match target.host() {
        Host::Onion(name) => Some((target.name(), name)),
        Host::Web(_) => None,
    });
    let found = match (onion, label) {
        (None, None) => {
            return Err(Problem::input("the key does not say which service it is for: name it with --target LABEL"));
        }
        (onion, label) => services
            .into_iter()
            .find(|(name, host)| onion.is_none_or(|onion| onion == *host) && label.is_none_or(|label| label == *name)),
    };
    found.map(|(label, name)| (label.to_owned(), name.clone())).ok_or_else(|| {
        Problem::refused(match label {
            Some(label) if onion.is_none() => {
                format!("the mandate {id} has no onion target {label}: see vigie mandate show")
            }
            Some(label) => format!("the key is for another service than the target {label} of the mandate {id}"),
            None => {
                format!("the key is for an onion service outside of the mandate {id}: a key is kept for a target alone")
            }
        })
    })
}

/// The mandate lets the pseudonym show who it is.
pub fn permitted(mandate: &Mandate) -> bool {
    mandate.actions().contains(&Action::Authenticate)
}

/// What a session hands to Tor: the keys of its mandate's targets, and none when the mandate does not permit to
/// authenticate. With the labels of those targets, for the record.
pub fn of_session(state: &State<'_>, mandate: &Mandate) -> Result<(Vec<ClientKey>, Vec<String>), Problem> {
    let mut labels = Vec::new();
    let mut keys = Vec::new();
    if !permitted(mandate) {
        return Ok((keys, labels));
    }
    for kept in kept(state)? {
        let named = mandate.targets().iter().filter(|target| target.host().reveal() == kept.key.onion);
        let before = labels.len();
        labels.extend(named.map(|target| target.name().to_owned()));
        if labels.len() > before && keys.len() < CLIENT_KEYS {
            keys.push(kept.key);
        }
    }
    Ok((keys, labels))
}

/// Reads a key's text; what it was read into is overwritten.
pub fn read(mut reader: impl std::io::Read, from: &str) -> Result<Zeroizing<String>, Problem> {
    use std::io::Read;
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(FILE_BYTES).unwrap_or_default() + 1));
    reader
        .by_ref()
        .take(FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| Problem::input(format!("reading the client key from {from}: {e}")))?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(Problem::input(format!("{from} is too long for a client key: give the key's own file")));
    }
    let text = std::str::from_utf8(&bytes).map(str::to_owned);
    let text = text.map_err(|_| Problem::input(format!("{from} is no text, so no client key of Tor or Arti")))?;
    bytes.zeroize();
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Made by OpenSSL (`openssl genpkey -algorithm X25519`), with the public key that it gives.
    const SECRET: &str = "401f83e9e5e8aa8d0ab20a10ea2d95266edf9a763ae09b4952a6ead6f8826d57";
    /// See [`SECRET`].
    const PUBLIC: &str = "bde7ac6728353b13a06fd749e7003dcf95f6f9c3dad167070315e633cd40a715";
    const ONION: &str = "2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid";

    fn bytes(hex: &str) -> [u8; 32] {
        data_encoding::HEXLOWER.decode(hex.as_bytes()).expect("hex").try_into().expect("32 bytes")
    }

    #[test]
    fn the_public_half_is_openssls() {
        let shown = public(&bytes(SECRET));
        let point = BASE32_NOPAD.decode(shown.trim_start_matches("descriptor:x25519:").as_bytes()).expect("Base32");
        assert_eq!(data_encoding::HEXLOWER.encode(&point), PUBLIC);
    }

    #[test]
    fn both_of_c_tors_forms_are_read() {
        let key = BASE32_NOPAD.encode(&bytes(SECRET));
        for (text, named) in [
            (format!("{ONION}:descriptor:x25519:{key}\n"), true),
            (format!("{ONION}.onion:descriptor:x25519:{}", key.to_lowercase()), true),
            (format!("  descriptor:x25519:{key}"), false),
        ] {
            let given = parse(&text).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((*given.secret, given.onion.is_some()), (bytes(SECRET), named), "{text}");
        }
    }

    #[test]
    fn what_is_no_key_is_said_without_its_text() {
        let key = BASE32_NOPAD.encode(&bytes(SECRET));
        for (text, word) in [
            (String::new(), "no colon"),
            (key.clone(), "no colon"),
            (format!("descriptor:x25519:{}", &key[..51]), "Base32"),
            (format!("descriptor:x25519:{}", &key[..48]), "32 bytes"),
            (format!("descriptor:x25519:{key}AAAAAAAA"), "32 bytes"),
            (format!("descriptor:ed25519:{key}"), "another type"),
            (format!("basic:x25519:{key}"), "no version 3 onion name"),
            (format!("{}a:descriptor:x25519:{key}", &ONION[..55]), "no version 3 onion name"),
            (format!("descriptor:x25519:0{}", &key[1..]), "Base32"),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n".into(), "Arti"),
        ] {
            let said = parse(&text).err().unwrap_or_else(|| panic!("taken: {text}")).line;
            assert!(said.contains(word) && !said.contains(&key[..20]) && !said.contains(&ONION[..20]), "{said}");
            assert!(!said.contains('\n'), "{said}");
        }
    }

    proptest! {
        #[test]
        fn hostile_texts_do_no_harm(text in "(-----BEGIN OPENSSH PRIVATE KEY-----\n)?[a-z2-7:.\\n]{0,300}") {
            let _ = parse(&text);
        }
    }
}
