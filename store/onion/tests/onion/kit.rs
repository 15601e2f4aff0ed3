//! An onion service's keys, and descriptors as they should and should not be.

use curve25519_dalek::constants::ED25519_BASEPOINT_TABLE;
use curve25519_dalek::scalar::{Scalar, clamp_integer};
use data_encoding::{BASE64, BASE64_NOPAD};
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha512};
use vigie_onion::{Onion, Period};

/// The period of the samples: noon to noon, as on the public network.
pub const PERIOD: Period = Period { number: 20_781, length_minutes: 1_440, offset_seconds: 43_200 };

/// A moment within it, in seconds since 1970.
pub fn inside(period: &Period) -> i64 {
    period.range().expect("a period").start + 3_600
}

/// A secret scalar and what makes its signatures' nonces.
#[derive(Clone)]
pub struct Secret {
    scalar: Scalar,
    nonces: [u8; 32],
}

impl Secret {
    /// From a seed (RFC 8032, section 5.1.5).
    pub fn new(seed: u8) -> Self {
        let hash: [u8; 64] = Sha512::digest([seed; 32]).into();
        Self::expanded(&hash)
    }

    /// From what a seed expands to, which is what C tor keeps.
    pub fn expanded(bytes: &[u8; 64]) -> Self {
        let (scalar, nonces) = bytes.split_first_chunk::<32>().expect("64 bytes");
        Self { scalar: Scalar::from_bytes_mod_order(clamp_integer(*scalar)), nonces: nonces.try_into().expect("32") }
    }

    /// Its public key.
    pub fn public(&self) -> [u8; 32] {
        (&self.scalar * ED25519_BASEPOINT_TABLE).compress().0
    }

    /// The address of the service.
    pub fn onion(&self) -> String {
        Onion::address(&self.public())
    }

    /// The key for a period (rend-spec-v3, appendix A.2).
    pub fn blinded(&self, period: &Period) -> Self {
        let factor = Scalar::from_bytes_mod_order(period.factor(&self.public()));
        Self { scalar: self.scalar * factor, nonces: self.nonces }
    }

    /// RFC 8032, section 5.1.6.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        let wide = |parts: &[&[u8]]| Scalar::from_bytes_mod_order_wide(&Sha512::digest(parts.concat()).into());
        let nonce = wide(&[&self.nonces, message]);
        let point = (&nonce * ED25519_BASEPOINT_TABLE).compress().0;
        let answer = nonce + wide(&[&point, &self.public(), message]) * self.scalar;
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&point);
        signature[32..].copy_from_slice(answer.as_bytes());
        signature
    }
}

/// What a descriptor is made of; by itself a good one.
pub struct Making {
    /// Key of the service.
    pub service: Secret,
    /// For which period.
    pub period: Period,
    /// Seed of the key that signs the descriptor.
    pub signing: u8,
    /// Hours since 1970 when the certificate expires.
    pub expires_hours: u32,
    /// Signs the certificate; the blinded key when none is given.
    pub certifier: Option<Secret>,
    /// Key that the certificate names as its signer; the blinded key when none is given.
    pub named: Option<[u8; 32]>,
    /// Further extensions: type, flags, data.
    pub extensions: Vec<(u8, u8, Vec<u8>)>,
    /// Type of the certificate.
    pub kind: u8,
    /// What the signature is over before the text.
    pub prefix: &'static str,
    /// Lines before the signature, with `{cert}` where the certificate goes.
    pub text: String,
}

impl Making {
    /// A good one.
    pub fn new(service: u8) -> Self {
        let period = PERIOD;
        Self {
            service: Secret::new(service),
            period,
            signing: 77,
            expires_hours: u32::try_from(inside(&period) / 3600 + 54).expect("hours"),
            certifier: None,
            named: None,
            extensions: Vec::new(),
            kind: 8,
            prefix: "Tor onion service descriptor sig v3",
            text: "hs-descriptor 3\ndescriptor-lifetime 180\ndescriptor-signing-key-cert\n\
                   -----BEGIN ED25519 CERT-----\n{cert}-----END ED25519 CERT-----\nrevision-counter 42\n\
                   superencrypted\n-----BEGIN MESSAGE-----\n{message}-----END MESSAGE-----\n"
                .into(),
        }
    }

    /// For another period.
    pub fn in_period(mut self, period: Period) -> Self {
        self.period = period;
        self.expires_hours = u32::try_from(inside(&period) / 3600 + 54).expect("hours");
        self
    }

    fn certificate(&self) -> Vec<u8> {
        let blinded = self.service.blinded(&self.period);
        let mut bytes = vec![1, self.kind];
        bytes.extend(self.expires_hours.to_be_bytes());
        bytes.push(1);
        bytes.extend(SigningKey::from_bytes(&[self.signing; 32]).verifying_key().to_bytes());
        bytes.push(1 + u8::try_from(self.extensions.len()).expect("few"));
        let named = self.named.unwrap_or_else(|| blinded.public()).to_vec();
        for (kind, flags, data) in std::iter::once(&(4, 0, named)).chain(&self.extensions) {
            bytes.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
            bytes.extend([*kind, *flags]);
            bytes.extend(data);
        }
        let signature = self.certifier.as_ref().unwrap_or(&blinded).sign(&bytes);
        bytes.extend(signature);
        bytes
    }

    /// The text.
    pub fn make(&self) -> Vec<u8> {
        let wrapped = |bytes: &[u8]| {
            let packed = BASE64.encode(bytes);
            packed.as_bytes().chunks(64).map(|line| [line, b"\n"].concat()).collect::<Vec<_>>().concat()
        };
        let object = |bytes: &[u8]| String::from_utf8(wrapped(bytes)).expect("ASCII");
        let message: Vec<u8> = (0..600u32).map(|i| (i * 7 % 251) as u8).collect();
        let text = self.text.replace("{cert}", &object(&self.certificate())).replace("{message}", &object(&message));
        let signed = [self.prefix.as_bytes(), text.as_bytes()].concat();
        let signature = SigningKey::from_bytes(&[self.signing; 32]).sign(&signed).to_bytes();
        format!("{text}signature {}\n", BASE64_NOPAD.encode(&signature)).into_bytes()
    }
}

/// A descriptor, what to hold it against, and whether it holds.
pub struct Sample {
    /// What it is.
    pub what: &'static str,
    /// The text.
    pub text: Vec<u8>,
    /// The address that it is said to be of.
    pub onion: String,
    /// The period that it is said to be of.
    pub period: Period,
    /// When it is said to be fetched.
    pub at: i64,
    /// It holds.
    pub holds: bool,
}

/// Good ones, and forgeries of each kind.
pub fn samples() -> Vec<Sample> {
    let (one, other) = (Secret::new(1), Secret::new(2));
    let next = Period { number: PERIOD.number + 1, ..PERIOD };
    let good = Making::new(1).make();
    let at = inside(&PERIOD);
    let sample = |what, text: Vec<u8>, holds| Sample { what, text, onion: one.onion(), period: PERIOD, at, holds };
    let made = |change: &dyn Fn(&mut Making)| {
        let mut making = Making::new(1);
        change(&mut making);
        making.make()
    };
    let text = |from: &str, to: &str| made(&|m: &mut Making| m.text = m.text.replace(from, to));
    let flipped = |at: usize| {
        let mut text = good.clone();
        text[at] ^= 1;
        text
    };
    let last = good.len();
    vec![
        sample("good", good.clone(), true),
        sample("unknown items are let through", text("revision", "later-item 1 2\nrevision"), true),
        sample("an extension that need not be known", made(&|m| m.extensions = vec![(9, 0, vec![1, 2])]), true),
        Sample { what: "another onion", onion: other.onion(), ..sample("", good.clone(), false) },
        Sample { what: "another period", period: next, at: inside(&next), ..sample("", good.clone(), false) },
        Sample {
            what: "another length of the period, at the same time",
            period: Period { number: PERIOD.number * 2, length_minutes: 720, ..PERIOD },
            ..sample("", good.clone(), false)
        },
        Sample {
            what: "before the period",
            at: PERIOD.range().expect("one").start - 601,
            ..sample("", good.clone(), false)
        },
        Sample {
            what: "long after the period",
            at: PERIOD.range().expect("one").end + 3 * 3600 + 600,
            ..sample("", good.clone(), false)
        },
        Sample {
            what: "an address with a wrong checksum",
            onion: wrong_checksum(&one.onion()),
            ..sample("", good.clone(), false)
        },
        sample("a chain of its own, without the onion's key", made(&|m| m.service = Secret::new(2)), false),
        sample("the right key named, signed by another", made(&|m| m.certifier = Some(Secret::new(3))), false),
        sample("another key named, signed by the right one", made(&|m| m.named = Some(Secret::new(3).public())), false),
        sample("signed by the key itself, not the blinded one", made(&|m| m.certifier = Some(Secret::new(1))), false),
        sample(
            "a certificate that expired",
            made(&|m| m.expires_hours = u32::try_from(at / 3600 - 1).expect("hours")),
            false,
        ),
        sample("a certificate for something else", made(&|m| m.kind = 9), false),
        sample("an extension that must be known", made(&|m| m.extensions = vec![(9, 1, vec![])]), false),
        sample("two keys that signed", made(&|m| m.extensions = vec![(4, 0, vec![0; 32])]), false),
        sample("a signature without the prefix", made(&|m| m.prefix = ""), false),
        sample(
            "another revision",
            String::from_utf8(good.clone()).expect("text").replace("counter 42", "counter 43").into(),
            false,
        ),
        sample("a bit of its first line", flipped(14), false),
        sample("a bit of its encrypted part", flipped(last - 300), false),
        sample("a bit of its signature", flipped(last - 40), false),
        sample("bytes behind it", [&good[..], b"more 1\n"].concat(), false),
        sample("its last line break", good[..last - 1].to_vec(), false),
        sample("another version", text("hs-descriptor 3", "hs-descriptor 4"), false),
        sample("something before it", text("hs-descriptor", "first 1\nhs-descriptor"), false),
        sample("two revisions", text("revision", "revision-counter 1\nrevision"), false),
        sample("a lifetime beyond the rule", text("lifetime 180", "lifetime 721"), false),
        sample("no lifetime", text("descriptor-lifetime 180\n", ""), false),
        sample("no encrypted part", text("superencrypted", "elsewhere"), false),
        sample("an object with another end", text("END MESSAGE", "END MASSAGE"), false),
        sample(
            "an object alone",
            text("revision-counter", "-----BEGIN X-----\n-----END X-----\nrevision-counter"),
            false,
        ),
        sample("carriage returns", text("\n", "\r\n"), false),
        sample("nothing", Vec::new(), false),
    ]
}

fn wrong_checksum(onion: &str) -> String {
    // Characters 51 to 54 hold the last bits of the key and the checksum.
    let swap = if &onion[53..54] == "a" { "b" } else { "a" };
    format!("{}{swap}{}", &onion[..53], &onion[54..])
}
