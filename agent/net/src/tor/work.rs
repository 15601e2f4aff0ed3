//! How much work an onion service suggests to its clients (hspow-spec, `pow-params`). It stands in the inner
//! part of the descriptor, and Arti without its feature `hs-pow-full` throws it away; so the two layers are
//! opened here once more (rend-spec-v3, HS-DESC-ENCRYPTION-KEYS).

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use sha3::digest::{ExtendableOutput, Update, XofReader};
use sha3::{Digest, Sha3_256, Shake256};

/// Bytes of the salt before, and of the code after an encrypted layer.
const SALT: usize = 16;
/// See [`SALT`].
const CODE: usize = 32;

/// What a layer's keys are made of.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a> {
    /// The service's blinded key for the time period.
    pub blinded: &'a [u8; 32],
    /// Its subcredential.
    pub subcredential: &'a [u8],
    /// Revision of the descriptor.
    pub revision: u64,
}

/// The suggested effort: 0 when the service asks for no work; `None` when a layer does not open (a service that
/// shows itself to some clients only) or the text is no descriptor.
pub(super) fn suggested_effort(descriptor: &str, blinded: &[u8; 32], subcredential: &[u8]) -> Option<u32> {
    let revision = descriptor.lines().find_map(|line| line.strip_prefix("revision-counter "))?.trim().parse().ok()?;
    let secrets = Secrets { blinded, subcredential, revision };
    let middle = secrets.open(&message(descriptor, "superencrypted")?, b"hsdir-superencrypted-data")?;
    let middle = String::from_utf8(middle).ok()?;
    let inner = secrets.open(&message(&middle, "encrypted")?, b"hsdir-encrypted-data")?;
    effort(&String::from_utf8(inner).ok()?)
}

/// The effort of the scheme that C tor and Arti know, in the text of the inner layer. A line that is there and
/// cannot be read says nothing.
fn effort(inner: &str) -> Option<u32> {
    // The lines of introduction points come after those of the service.
    let own = inner.lines().take_while(|line| !line.starts_with("introduction-point "));
    let Some(line) = own.into_iter().find_map(|line| line.strip_prefix("pow-params v1 ")) else { return Some(0) };
    line.split_whitespace().nth(1)?.parse().ok()
}

/// The bytes of the `MESSAGE` after a keyword.
fn message(text: &str, keyword: &str) -> Option<Vec<u8>> {
    const BEGIN: &str = "-----BEGIN MESSAGE-----";
    let after = text.split_once(&format!("\n{keyword}\n")).map(|(_, after)| after)?;
    let body = after.strip_prefix(BEGIN)?.split_once("-----END MESSAGE-----")?.0;
    let packed: String = body.split_whitespace().collect();
    data_encoding::BASE64.decode(packed.as_bytes()).ok()
}

impl Secrets<'_> {
    /// Opens a layer; `None` when its code does not hold.
    fn open(self, sealed: &[u8], name: &[u8]) -> Option<Vec<u8>> {
        let (salt, rest) = sealed.split_first_chunk::<SALT>()?;
        let (hidden, code) = rest.split_last_chunk::<CODE>()?;
        let (mut cipher, authenticated) = self.keys(salt, name);
        // Not secret: everybody can compute the keys of a descriptor that is for everybody.
        if authenticated(hidden) != *code {
            return None;
        }
        let mut plain = hidden.to_vec();
        cipher.apply_keystream(&mut plain);
        // The outer of the two is padded.
        while plain.last() == Some(&0) {
            plain.pop();
        }
        Some(plain)
    }

    fn keys(self, salt: &[u8; SALT], name: &[u8]) -> (Ctr128BE<Aes256>, impl Fn(&[u8]) -> [u8; CODE]) {
        let mut kdf = Shake256::default();
        for part in [self.blinded, self.subcredential, &self.revision.to_be_bytes(), salt, name] {
            kdf.update(part);
        }
        let mut stream = kdf.finalize_xof();
        let (mut key, mut iv, mut code_key) = ([0; 32], [0; 16], [0; 32]);
        stream.read(&mut key);
        stream.read(&mut iv);
        stream.read(&mut code_key);
        let salt = *salt;
        let code = move |hidden: &[u8]| {
            let mut hash = Sha3_256::new();
            for part in [&code_key[..], &salt] {
                Digest::update(&mut hash, (part.len() as u64).to_be_bytes());
                Digest::update(&mut hash, part);
            }
            Digest::update(&mut hash, hidden);
            hash.finalize().into()
        };
        (Ctr128BE::new(&key.into(), &iv.into()), code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BLINDED: [u8; 32] = [7; 32];
    const SUBCREDENTIAL: [u8; 32] = [9; 32];
    const INNER: &str = "create2-formats 2\nintroduction-point AwAGfwAAAQ\n";

    fn seal(revision: u64, name: &[u8], plain: &[u8]) -> String {
        let secrets = Secrets { blinded: &BLINDED, subcredential: &SUBCREDENTIAL, revision };
        let salt = [3; SALT];
        let (mut cipher, code) = secrets.keys(&salt, name);
        let mut hidden = plain.to_vec();
        cipher.apply_keystream(&mut hidden);
        let sealed = [&salt[..], &hidden, &code(&hidden)].concat();
        format!("-----BEGIN MESSAGE-----\n{}\n-----END MESSAGE-----\n", data_encoding::BASE64.encode(&sealed))
    }

    fn descriptor(inner: &str) -> String {
        let middle =
            format!("desc-auth-type x25519\nencrypted\n{}", seal(42, b"hsdir-encrypted-data", inner.as_bytes()));
        let padded = [middle.as_bytes(), &[0; 100]].concat();
        let outer = seal(42, b"hsdir-superencrypted-data", &padded);
        format!("hs-descriptor 3\nrevision-counter 42\nsuperencrypted\n{outer}signature x\n")
    }

    #[test]
    fn the_effort_is_found_in_the_inner_part() {
        let asks = |params: &str| {
            suggested_effort(&descriptor(&INNER.replacen('\n', &format!("\n{params}"), 1)), &BLINDED, &SUBCREDENTIAL)
        };
        assert_eq!(asks(""), Some(0));
        assert_eq!(asks("pow-params v1 c2VlZA 614 2026-11-24T12:00:00\n"), Some(614));
        assert_eq!(asks("pow-params v1 c2VlZA 0 2026-11-24T12:00:00\n"), Some(0));
        assert_eq!(asks("pow-params v9 c2VlZA 614\n"), Some(0), "a scheme that nobody knows is not asked of anybody");
        assert_eq!(asks("pow-params v1 c2VlZA many 2026\n"), None);
        assert_eq!(asks("pow-params v1 c2VlZA\n"), None);
        // What an introduction point says is not the service's word.
        assert_eq!(effort("introduction-point AwA\npow-params v1 c2VlZA 9 2026\n"), Some(0));
        // Anti-test: without the right keys nothing is seen.
        let text = descriptor(INNER);
        assert_eq!(suggested_effort(&text, &[8; 32], &SUBCREDENTIAL), None);
        assert_eq!(suggested_effort(&text, &BLINDED, &[8; 32]), None);
        assert_eq!(suggested_effort(&text.replace("counter 42", "counter 43"), &BLINDED, &SUBCREDENTIAL), None);
    }

    proptest! {
        #[test]
        fn hostile_texts_give_nothing(text in "(?s)(revision-counter [0-9]{0,25}\n)?(superencrypted\n-----BEGIN MESSAGE-----)?.{0,300}") {
            prop_assert_eq!(suggested_effort(&text, &BLINDED, &SUBCREDENTIAL), None);
        }

        #[test]
        fn hostile_insides_do_no_harm(inner in "(?s).{0,200}(pow-params v1 .{0,60})?\n?.{0,50}") {
            let _ = suggested_effort(&descriptor(&inner), &BLINDED, &SUBCREDENTIAL);
        }
    }
}
