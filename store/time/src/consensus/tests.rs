use std::process::Command;

use proptest::prelude::*;
use rsa::RsaPrivateKey;
use rsa::pkcs1::{DecodeRsaPrivateKey, EncodeRsaPublicKey};

use super::*;

struct Authority {
    identity: RsaPrivateKey,
    signing: RsaPrivateKey,
}

fn key(bits: &str) -> RsaPrivateKey {
    let made = Command::new("openssl").args(["genrsa", "-traditional", bits]).output().expect("openssl runs");
    assert!(made.status.success());
    let text = String::from_utf8(made.stdout).expect("PEM");
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    RsaPrivateKey::from_pkcs1_der(&BASE64.decode(body.as_bytes()).expect("base64")).expect("a key")
}

fn public(key: &RsaPrivateKey) -> Vec<u8> {
    key.to_public_key().to_pkcs1_der().expect("DER").as_bytes().to_vec()
}

fn pem(name: &str, bytes: &[u8]) -> String {
    let packed = BASE64.encode(bytes);
    let lines: Vec<&str> = packed.as_bytes().chunks(64).map(|c| std::str::from_utf8(c).expect("ASCII")).collect();
    format!("-----BEGIN {name}-----\n{}\n-----END {name}-----\n", lines.join("\n"))
}

impl Authority {
    fn new() -> Self {
        Self { identity: key("2048"), signing: key("1024") }
    }

    fn id(&self) -> String {
        HEXUPPER.encode(&Sha1::digest(public(&self.identity)))
    }

    fn certificate(&self, from: &str, until: &str) -> String {
        let body = format!(
            "dir-key-certificate-version 3\nfingerprint {}\ndir-key-published {from}\ndir-key-expires {until}\n\
             dir-identity-key\n{}dir-signing-key\n{}dir-key-crosscert\n{}dir-key-certification\n",
            self.id(),
            pem("RSA PUBLIC KEY", &public(&self.identity)),
            pem("RSA PUBLIC KEY", &public(&self.signing)),
            pem("ID SIGNATURE", b"not looked at"),
        );
        let sum = Sha1::digest(&body);
        let signature = self.identity.sign(Pkcs1v15Sign::new_unprefixed(), &sum).expect("signs");
        body + &pem("SIGNATURE", &signature)
    }

    fn good(&self) -> String {
        self.certificate("2026-01-01 00:00:00", "2026-12-31 00:00:00")
    }

    fn sign(&self, head: &str) -> String {
        let sum = Sha256::digest(format!("{head}directory-signature "));
        let signature = self.signing.sign(Pkcs1v15Sign::new_unprefixed(), &sum).expect("signs");
        let key = HEXUPPER.encode(&Sha1::digest(public(&self.signing)));
        format!("directory-signature sha256 {} {key}\n{}", self.id(), pem("SIGNATURE", &signature))
    }
}

const HEAD: &str = "network-status-version 3 microdesc\nvote-status consensus\nconsensus-method 32\n\
    valid-after 2026-11-24 02:00:00\nfresh-until 2026-11-24 03:00:00\nvalid-until 2026-11-24 05:00:00\n\
    r relay AAAA 2038-01-01 00:00:00 127.0.0.1 1 0\ndirectory-footer\n";

#[test]
fn more_than_half_must_have_signed() {
    let all = [Authority::new(), Authority::new(), Authority::new()];
    let ids: Vec<String> = all.iter().map(Authority::id).collect();
    let certificates: Vec<String> = all.iter().map(Authority::good).collect();
    let certificates: Vec<&str> = certificates.iter().map(String::as_str).collect();
    let whole = |signers: &[usize]| signers.iter().fold(HEAD.to_owned(), |text, i| text + &all[*i].sign(HEAD));
    let check = |text: &str, certificates: &[&str], ids: &[String]| {
        Consensus::parse(text.as_bytes()).and_then(|consensus| consensus.check(certificates, ids))
    };

    let text = whole(&[0, 2]);
    let read = Consensus::parse(text.as_bytes()).expect("reads");
    assert_eq!(read.valid_after.to_string(), "2026-11-24T02:00:00Z");
    assert_eq!(read.fresh_until.to_string(), "2026-11-24T03:00:00Z");
    assert_eq!(read.valid_until.to_string(), "2026-11-24T05:00:00Z");
    assert_eq!(read.sha256(), HEXLOWER.encode(&Sha256::digest(&text)));
    let mut expected = vec![ids[0].clone(), ids[2].clone()];
    expected.sort();
    assert_eq!(check(&text, &certificates, &ids), Ok(expected));

    // Too few, twice the same, strangers, no certificates.
    let unsigned = |signed| Err(ConsensusError::Unsigned { signed, authorities: 3 });
    assert_eq!(check(&whole(&[1]), &certificates, &ids), unsigned(1));
    assert_eq!(check(&whole(&[1, 1, 1]), &certificates, &ids), unsigned(1));
    assert_eq!(check(&text, &certificates[..1], &ids), unsigned(1));
    let strangers = ["A".repeat(40), "B".repeat(40), ids[0].clone()];
    assert_eq!(check(&text, &certificates, &strangers), unsigned(1));
    assert_eq!(check(&text, &certificates, &[]), Err(ConsensusError::Unsigned { signed: 0, authorities: 0 }));

    // Each byte of what is signed counts, and each of a signature.
    for at in (0..HEAD.len()).step_by(7).chain([HEAD.len() + 200]) {
        let mut changed = text.clone().into_bytes();
        changed[at] ^= 1;
        let accepted = Consensus::parse(&changed).and_then(|consensus| consensus.check(&certificates, &ids));
        assert!(accepted.is_err(), "byte {at}");
    }

    // Certificates: their time, their own signature, their fingerprint.
    let late = all[0].certificate("2026-11-24 02:00:01", "2026-12-31 00:00:00");
    let past = all[0].certificate("2026-01-01 00:00:00", "2026-11-24 01:59:59");
    let renamed = certificates[0].replace(&ids[0], &ids[1]);
    let altered = certificates[0].replace("2026-12-31", "2027-12-31");
    for bad in [&late, &past, &renamed, &altered] {
        assert_eq!(check(&text, &[bad, certificates[2]], &ids), unsigned(1), "{bad}");
    }
}

#[test]
fn what_is_no_consensus_is_refused() {
    let signature = "directory-signature sha256 AA BB\n-----BEGIN SIGNATURE-----\nAAAA\n-----END SIGNATURE-----\n";
    let good = format!("{HEAD}{signature}");
    assert!(Consensus::parse(good.as_bytes()).is_ok());
    for bad in [
        String::new(),
        HEAD.to_owned(),
        good.replace(" microdesc", ""),
        good.replace("valid-after 2026", "valid-after 26"),
        good.replace("valid-until", "valid"),
        good.replace("fresh-until 2026-11-24 03", "valid-after 2026-11-24 03"),
        good.replace("AAAA\n-----END", "!AAA\n-----END"),
        good.replace("-----END SIGNATURE-----\n", ""),
        format!("{good}more\n"),
        format!("{HEAD}{}", signature.repeat(65)),
    ] {
        assert!(Consensus::parse(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Consensus::parse(&vec![b'a'; CONSENSUS_BYTES + 1]).is_err());
    assert!(Consensus::parse(b"network-status-version 3 microdesc\n\xff").is_err());
}

/// Whatever is cut off or changed: refused, or it says and proves the same.
#[test]
fn a_changed_consensus_is_refused_or_says_the_same() {
    let authority = Authority::new();
    let (ids, certificate) = ([authority.id()], authority.good());
    let text = HEAD.to_owned() + &authority.sign(HEAD);
    let judge = |bytes: &[u8]| {
        let read = Consensus::parse(bytes)?;
        let signed = read.check(&[&certificate], &ids)?;
        Ok::<_, ConsensusError>((read.valid_after, read.fresh_until, read.valid_until, signed))
    };
    let whole = judge(text.as_bytes()).expect("whole");
    for len in 0..text.len() {
        // Nothing but the last line's end can be missing.
        assert!(len == text.len() - 1 || judge(&text.as_bytes()[..len]).is_err(), "cut to {len}");
    }
    let (mut taken, mut tried) = (0, 0);
    for at in HEAD.len()..text.len() {
        for bit in [at % 8, 5] {
            let mut changed = text.clone().into_bytes();
            changed[at] ^= 1 << bit;
            tried += 1;
            if let Ok(other) = judge(&changed) {
                assert_eq!(other, whole, "byte {at}, bit {bit}");
                taken += 1;
            }
        }
    }
    // Hex in lower case is the same hex.
    assert!(taken * 5 < tried, "{taken} of {tried}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Nothing makes the readers panic, and noise is never signed.
    #[test]
    fn noise_is_no_consensus(noise in "(?s).{0,300}", head in 0..3, at in any::<prop::sample::Index>()) {
        let text = match head {
            0 => noise.clone(),
            1 => format!("{HEAD}directory-signature {noise}"),
            _ => {
                let mut text = format!("{HEAD}directory-signature sha256 AA BB\n");
                text.insert_str(at.index(HEAD.len()), &noise);
                text
            }
        };
        if let Ok(read) = Consensus::parse(text.as_bytes()) {
            let certificate = format!("dir-key-certificate-version 3\n{noise}\ndir-key-certification\n");
            prop_assert!(read.check(&[&noise, &certificate], &["AA".to_owned()]).is_err());
        }
    }
}
