//! A service that wants work of its clients. C tor's own asks for none until it is flooded, so what it published is
//! signed anew here, with its own key, and asks for some.

use aes::Aes256;
use ctr::Ctr128BE;
use ctr::cipher::{KeyIvInit, StreamCipher};
use data_encoding::{BASE64, BASE64_NOPAD};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::Value;
use sha3::digest::{ExtendableOutput, Update, XofReader};
use sha3::{Digest, Sha3_256, Shake256};
use vigie_onion::Period;
use vigie_tests::desk::Target;
use vigie_tests::process::Command;

use crate::ensure;
use crate::onionkit::Secret;
use crate::station::{Outcome, PURPOSE, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "work::a_service_that_wants_work_and_does_not_come_is_named", run: wanted }]
}

/// Bytes of the salt before, and of the code after an encrypted layer (rend-spec-v3, HS-DESC-ENCRYPTION-KEYS).
const SALT: usize = 16;
/// See [`SALT`].
const CODE: usize = 32;

/// Whose layer it is.
struct Layers {
    blinded: [u8; 32],
    subcredential: [u8; 32],
    revision: u64,
}

impl Layers {
    fn new(service: &Secret, period: &Period, revision: u64) -> Self {
        let hash = |parts: &[&[u8]]| -> [u8; 32] { Sha3_256::digest(parts.concat()).into() };
        let blinded = service.blinded(period).public();
        let credential = hash(&[b"credential", &service.public()]);
        Self { blinded, subcredential: hash(&[b"subcredential", &credential, &blinded]), revision }
    }

    /// Cipher of a layer, and the code over what it made.
    fn keys(&self, salt: &[u8], name: &[u8]) -> (Ctr128BE<Aes256>, impl Fn(&[u8]) -> [u8; CODE]) {
        let mut kdf = Shake256::default();
        for part in [&self.blinded[..], &self.subcredential, &self.revision.to_be_bytes(), salt, name] {
            kdf.update(part);
        }
        let mut stream = kdf.finalize_xof();
        let (mut key, mut iv, mut code_key) = ([0; 32], [0; 16], [0; 32]);
        stream.read(&mut key);
        stream.read(&mut iv);
        stream.read(&mut code_key);
        let salt = salt.to_vec();
        let code = move |hidden: &[u8]| {
            let (key_length, salt_length) = (32_u64.to_be_bytes(), (SALT as u64).to_be_bytes());
            Sha3_256::digest([&key_length[..], &code_key, &salt_length, &salt, hidden].concat()).into()
        };
        (Ctr128BE::new(&key.into(), &iv.into()), code)
    }

    fn open(&self, sealed: &[u8], name: &[u8]) -> Outcome<Vec<u8>> {
        let (salt, rest) = sealed.split_at_checked(SALT).ok_or("too short")?;
        let (hidden, code) = rest.split_last_chunk::<CODE>().ok_or("too short")?;
        let (mut cipher, judge) = self.keys(salt, name);
        ensure!(judge(hidden) == *code, "a layer does not open");
        let mut plain = hidden.to_vec();
        cipher.apply_keystream(&mut plain);
        Ok(plain)
    }

    fn seal(&self, plain: &[u8], name: &[u8]) -> Vec<u8> {
        let salt = [3; SALT];
        let (mut cipher, code) = self.keys(&salt, name);
        let mut hidden = plain.to_vec();
        cipher.apply_keystream(&mut hidden);
        [&salt[..], &hidden, &code(&hidden)].concat()
    }
}

/// An object of a document: what is between the lines that begin and end it, decoded; and where it lies.
fn object(text: &str, from: usize, name: &str) -> Option<(std::ops::Range<usize>, Vec<u8>)> {
    let (begin, end) = (format!("-----BEGIN {name}-----\n"), format!("-----END {name}-----"));
    let start = from + text[from..].find(&begin)? + begin.len();
    let stop = start + text[start..].find(&end)?;
    let packed: String = text[start..stop].split_whitespace().collect();
    Some((start..stop, BASE64.decode(packed.as_bytes()).ok()?))
}

fn wrapped(bytes: &[u8]) -> String {
    let packed = BASE64.encode(bytes);
    let lines = packed.as_bytes().chunks(64).map(|line| format!("{}\n", String::from_utf8_lossy(line)));
    lines.collect()
}

/// A certificate with another signer (cert-spec): its key is the extension that begins at byte 44.
fn certified(certificate: &[u8], signer: &[u8; 32], sign: impl Fn(&[u8]) -> [u8; 64]) -> Outcome<Vec<u8>> {
    ensure!(certificate.len() == 140 && certificate[42] == 4, "not a certificate with one extension");
    let mut other = [&certificate[..44], signer].concat();
    let signature = sign(&other);
    other.extend(signature);
    Ok(other)
}

/// The text with each object of a name replaced.
fn replaced(text: &str, name: &str, with: impl Fn(Vec<u8>) -> Outcome<Vec<u8>>) -> Outcome<String> {
    let (mut text, mut from) = (text.to_owned(), 0);
    while let Some((place, bytes)) = object(&text, from, name) {
        let other = wrapped(&with(bytes)?);
        from = place.start + other.len();
        text.replace_range(place, &other);
    }
    Ok(text)
}

const OUTER: &[u8] = b"hsdir-superencrypted-data";
const INNER: &[u8] = b"hsdir-encrypted-data";

/// The same descriptor with another suggested effort and revision, for a time period, signed by the service.
fn asking(
    descriptor: &str,
    service: &Secret,
    of: &Period,
    period: &Period,
    effort: u32,
    revision: u64,
) -> Outcome<String> {
    let before = descriptor.lines().find_map(|line| line.strip_prefix("revision-counter ")).ok_or("no revision")?;
    let theirs = Layers::new(service, of, before.parse()?);
    let layers = Layers::new(service, period, revision);
    let signing = SigningKey::from_bytes(&[78; 32]);
    let signer = signing.verifying_key().to_bytes();

    let (_, sealed) = object(descriptor, 0, "MESSAGE").ok_or("no outer layer")?;
    let outer = String::from_utf8(theirs.open(&sealed, OUTER)?)?;
    let (_, sealed) = object(&outer, 0, "MESSAGE").ok_or("no inner layer")?;
    let inner = String::from_utf8(theirs.open(&sealed, INNER)?)?;
    let params = inner.lines().find(|line| line.starts_with("pow-params v1 ")).ok_or("it offers no work")?;
    let mut words: Vec<_> = params.split(' ').map(str::to_owned).collect();
    words[3] = effort.to_string();
    let inner = inner.replace(params, &words.join(" "));
    let inner = replaced(&inner, "ED25519 CERT", |certificate| {
        certified(&certificate, &signer, |text| signing.sign(text).to_bytes())
    })?;
    let outer = replaced(&outer, "MESSAGE", |_| Ok(layers.seal(inner.as_bytes(), INNER)))?;

    let blinded = service.blinded(period);
    let text = descriptor.split_once("\nsignature ").ok_or("no signature")?.0;
    let text =
        format!("{text}\n").replace(&format!("revision-counter {before}\n"), &format!("revision-counter {revision}\n"));
    let text = replaced(&text, "MESSAGE", |_| Ok(layers.seal(outer.as_bytes(), OUTER)))?;
    let text = replaced(&text, "ED25519 CERT", |certificate| {
        // Of another key that signs the text: bytes 7 to 39.
        let certificate = [&certificate[..7], &signer, &certificate[39..]].concat();
        certified(&certificate, &blinded.public(), |text| blinded.sign(text))
    })?;
    let signature = signing.sign(format!("Tor onion service descriptor sig v3{text}").as_bytes());
    Ok(format!("{text}signature {}\n", BASE64_NOPAD.encode(&signature.to_bytes())))
}

/// What Vigie kept of the service: its descriptor and the time period of it.
fn kept(station: &Station) -> Outcome<(String, Period)> {
    let entry = station.json(&["descriptor", "list"])?[0]["entry"].to_string();
    station.vigie(&["descriptor", "get", &entry, "--to", "part.age", "--purpose", PURPOSE]).run()?.success()?;
    let age = Command::new("age").args(["-d", "-i", "keys/case.txt", "part.age"]);
    let part: Value = serde_json::from_slice(&age.dir(station.desk.dir()).run()?.success()?.stdout)?;
    let content = &part["content"];
    let text = BASE64.decode(content["descriptor"].as_str().ok_or("no descriptor")?.as_bytes())?;
    let number = |name: &str| content["period"][name].as_u64().ok_or("no period");
    let period = Period {
        number: number("number")?,
        length_minutes: u32::try_from(number("length_minutes")?)?,
        offset_seconds: u32::try_from(number("offset_seconds")?)?,
    };
    Ok((String::from_utf8(text)?, period))
}

fn wanted(world: &World) -> CaseResult {
    let lines = ["HiddenServicePoWDefensesEnabled 1"];
    let mut lone = world.net.start_lone_service(&world.dir("work-net")?, "wants", world.sites.market_b.port, &lines)?;
    let paths = vec!["/offer/3".to_owned()];
    let targets = [Target { entry: paths.clone(), include: paths, ..Target::onion("wants", &lone.onion) }];
    let station = Station::desk(world, "wants-work", &targets)?;
    station.configure("[fetch]\nattempts = 1\nconnect_ms = 60000")?;
    station.set_up_quickly("store")?;
    let url = format!("http://{}/offer/3", lone.onion);
    // It suggests none: it is captured like any other.
    station.capture(&url).run()?.exits(0)?;
    let (descriptor, of) = kept(&station)?;
    let service = Secret::expanded(&lone.secret_key()?);
    ensure!(service.onion() == lone.onion, "another key");

    lone.stop();
    // First without work, which is the anti-test: then that it does not come is all that can be said.
    for (effort, revision, kind) in [(0, 1 << 40, "introduction-refused"), (614, 1 << 41, "proof-of-work-needed")] {
        // The network may go on to its next time period meanwhile.
        for number in [of.number, of.number + 1] {
            let text = asking(&descriptor, &service, &of, &Period { number, ..of }, effort, revision)?;
            world.net.post_descriptor(&lone.onion, text.as_bytes())?;
        }
        let output = station.capture(&url).run()?.exits(4)?;
        let row = station.rows("failure")?.pop().ok_or("no failure")?;
        ensure!(
            row["kind"] == kind && row["wait_ms"].is_null() && row["verdict"] == "unknown",
            "effort {effort}: {row}"
        );
        ensure!(output.errors().contains(&format!("not captured: {kind}: ")), "{}", output.errors());
        let named = row["detail"].as_str().is_some_and(|detail| detail.contains("work of effort 614"));
        ensure!(named == (effort > 0), "{row}");
    }
    ensure!(station.seen()?.len() == 1, "{:?}", station.seen()?);
    station.sound()?;
    Ok(())
}
