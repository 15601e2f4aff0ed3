//! The allowed signers file and signatures, side by side with OpenSSH's `ssh-keygen`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ed25519_dalek::Signer as _;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use ssh_key::public::{KeyData, SkEd25519};
use ssh_key::{Algorithm, HashAlg, LineEnding, PublicKey, Signature, SshSig};
use vigie_config::signers::{AllowedSigners, SignatureError};

use crate::bench::{at, key, now, public, sign};

/// A folder of its own with the help of `ssh-keygen`.
struct Keygen {
    folder: tempfile::TempDir,
}

impl Keygen {
    fn new() -> Self {
        Self { folder: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a key; gives its public key as `type base64`.
    fn key(&self, name: &str, arguments: &[&str]) -> String {
        let made = Command::new("ssh-keygen")
            .args(["-q", "-N", "", "-C", "a comment", "-f"])
            .arg(self.path(name))
            .args(arguments)
            .status()
            .unwrap();
        assert!(made.success());
        let text = std::fs::read_to_string(self.path(&format!("{name}.pub"))).unwrap();
        text.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    fn sign(&self, name: &str, namespace: &str, message: &[u8]) -> Vec<u8> {
        let mut run = Command::new("ssh-keygen")
            .args(["-Y", "sign", "-n", namespace, "-f"])
            .arg(self.path(name))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        run.stdin.take().unwrap().write_all(message).unwrap();
        let output = run.wait_with_output().unwrap();
        assert!(output.status.success());
        output.stdout
    }

    /// What `ssh-keygen -Y verify` says, at the moment `time` (`YYYYMMDDHHMMSSZ`).
    fn verifies(
        &self,
        signers: &str,
        identity: &str,
        namespace: &str,
        message: &[u8],
        signature: &[u8],
        time: &str,
    ) -> bool {
        let (file, sig) = (self.path("allowed"), self.path("sig"));
        std::fs::write(&file, signers).unwrap();
        std::fs::write(&sig, signature).unwrap();
        let mut run = verify_command(&file, &sig, identity, namespace, time)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        run.stdin.take().unwrap().write_all(message).ok();
        run.wait().unwrap().success()
    }
}

fn verify_command(file: &Path, signature: &Path, identity: &str, namespace: &str, time: &str) -> Command {
    let mut command = Command::new("ssh-keygen");
    command.args(["-Y", "verify", "-f"]).arg(file).args(["-I", identity, "-n", namespace, "-s"]).arg(signature);
    command.arg(format!("-Overify-time={time}"));
    command
}

/// What our own check says for the same question.
fn ours(signers: &str, identity: &str, namespace: &str, message: &[u8], signature: &[u8], time: &str) -> bool {
    let digits: Vec<&str> = [0..4, 4..6, 6..8, 8..10, 10..12, 12..14].into_iter().map(|part| &time[part]).collect();
    let now = at(&format!("{}-{}-{}T{}:{}:{}Z", digits[0], digits[1], digits[2], digits[3], digits[4], digits[5]));
    AllowedSigners::parse(signers.as_bytes())
        .is_ok_and(|signers| signers.verify(namespace, message, signature, now).is_ok_and(|signer| signer.is(identity)))
}

const MESSAGE: &[u8] = b"what the magistrate signs\n";
const NOON: &str = "20261124120000Z";

#[test]
fn agrees_with_ssh_keygen_on_keys() {
    let keygen = Keygen::new();
    let kinds: &[(&str, &[&str])] = &[
        ("ed25519", &["-t", "ed25519"]),
        ("p256", &["-t", "ecdsa", "-b", "256"]),
        ("p384", &["-t", "ecdsa", "-b", "384"]),
        ("p521", &["-t", "ecdsa", "-b", "521"]),
        ("rsa2048", &["-t", "rsa", "-b", "2048"]),
        ("rsa3072", &["-t", "rsa", "-b", "3072"]),
    ];
    for (name, arguments) in kinds {
        let line = format!("m@court {}\n", keygen.key(name, arguments));
        let signature = keygen.sign(name, "vigie-mandate", MESSAGE);
        assert!(keygen.verifies(&line, "m@court", "vigie-mandate", MESSAGE, &signature, NOON), "{name}");
        assert!(ours(&line, "m@court", "vigie-mandate", MESSAGE, &signature, NOON), "{name}");
        for (identity, namespace, message) in
            [("x@court", "vigie-mandate", MESSAGE), ("m@court", "file", MESSAGE), ("m@court", "vigie-mandate", b"else")]
        {
            assert!(!keygen.verifies(&line, identity, namespace, message, &signature, NOON), "{name}");
            assert!(!ours(&line, identity, namespace, message, &signature, NOON), "{name}");
        }
    }
}

#[test]
fn ssh_keygen_accepts_signatures_made_in_memory() {
    let keygen = Keygen::new();
    let line = format!("m@court {}\n", public(&key(1)));
    let signature = sign(&key(1), "vigie-read", MESSAGE);
    assert!(keygen.verifies(&line, "m@court", "vigie-read", MESSAGE, &signature, NOON));
}

#[test]
fn agrees_with_ssh_keygen_on_lines() {
    let keygen = Keygen::new();
    let public = keygen.key("k", &["-t", "ed25519"]);
    let other = keygen.key("other", &["-t", "ed25519"]);
    let signature = keygen.sign("k", "vigie-mandate", MESSAGE);
    // Each line ({k} stands for the key, {o} for another one), asked for m@court in vigie-mandate.
    let lines = [
        ("m@court {k}", true),
        ("m@court {k} a comment with spaces", true),
        ("  m@court   {k}  ", true),
        ("\tm@court\t{k}", true),
        ("# a comment\n\nm@court {k}\n# another", true),
        ("m@court {k}\r\n", true),
        ("\"m@court\" {k}", true),
        ("\"x@court,m@court\" {k}", true),
        ("x@court,m@court {k}", true),
        ("*@court {k}", true),
        ("m@cour? {k}", true),
        ("* {k}", true),
        ("M@court {k}", false),
        ("*@court,!m@court {k}", false),
        ("!m@court,*@court {k}", false),
        ("!x@court,*@court {k}", true),
        ("!x@court {k}", false),
        ("x@court {k}\nm@court {k}", true),
        ("m@court {o}\nm@court {k}", true),
        ("m@court {o}", false),
        ("m@court namespaces=\"vigie-mandate\" {k}", true),
        ("m@court NameSpaces=\"vigie-mandate\" {k}", true),
        ("m@court namespaces=\"file,vigie-mandate\" {k}", true),
        ("m@court namespaces=\"vigie-*\" {k}", true),
        ("m@court namespaces=\"vigie-*,!vigie-mandate\" {k}", false),
        ("m@court namespaces=\"file\" {k}", false),
        ("m@court namespaces=\"file\" {k}\nm@court {k}", true),
        ("m@court valid-after=\"20261124Z\" {k}", true),
        ("m@court valid-after=\"20261124120000Z\" {k}", true),
        ("m@court valid-after=\"20261124120001Z\" {k}", false),
        ("m@court valid-after=\"202611241201Z\" {k}", false),
        ("m@court valid-before=\"20261124Z\" {k}", false),
        ("m@court valid-before=\"20261124120000Z\" {k}", true),
        ("m@court valid-before=\"20261124115959Z\" {k}", false),
        ("m@court valid-after=\"20261101Z\",valid-before=\"20261201Z\" {k}", true),
        ("m@court namespaces=\"vigie-mandate\",valid-after=\"20261101Z\",valid-before=\"20261201Z\" {k}", true),
        ("m@court valid-after=\"20261201Z\",valid-before=\"20261101Z\" {k}", false),
        ("m@court valid-before=\"20261101Z\" {k}\nm@court valid-after=\"20261101Z\" {k}", true),
        ("m@court cert-authority {k}", false),
        ("m@court unknown-option {k}", false),
        ("m@court namespaces=\"vigie-mandate {k}", false),
        ("m@court", false),
        ("{k}", false),
    ];
    for (line, expected) in lines {
        let line = format!("{}\n", line.replace("{k}", &public).replace("{o}", &other));
        let theirs = keygen.verifies(&line, "m@court", "vigie-mandate", MESSAGE, &signature, NOON);
        let ours = ours(&line, "m@court", "vigie-mandate", MESSAGE, &signature, NOON);
        assert_eq!((theirs, ours), (expected, expected), "{line}");
    }
}

#[test]
fn faults_name_their_line() {
    let good = format!("m@court {}\n", public(&key(1)));
    for (line, says) in [
        ("m@court cert-authority ssh-ed25519 AAAA", "certificate authorities"),
        ("m@court valid-after=\"20261101\" ssh-ed25519 AAAA", "no Z"),
        ("m@court valid-after=\"20261301Z\" ssh-ed25519 AAAA", "not a time"),
        ("m@court ssh-ed25519 AAAA", "does not parse"),
        ("m@court ssh-ed25519", "no key"),
        ("m@court,,x ssh-ed25519 AAAA", "empty item"),
        ("m@court namespaces=\"a\",namespaces=\"b\" ssh-ed25519 AAAA", "repeated"),
    ] {
        let refused = AllowedSigners::parse(format!("# head\n{good}{line}\n").as_bytes()).unwrap_err();
        assert_eq!(refused.line, 3, "{line}");
        assert!(refused.reason.contains(says), "{line}: {}", refused.reason);
    }
    assert!(AllowedSigners::parse(b"# nobody\n").is_err());
}

#[test]
fn short_rsa_keys_do_not_count() {
    let keygen = Keygen::new();
    let line = format!("m@court {}\n", keygen.key("rsa1024", &["-t", "rsa", "-b", "1024"]));
    assert!(AllowedSigners::parse(line.as_bytes()).unwrap_err().reason.contains("shorter than 2048"));
}

/// A signature as a FIDO token makes it (PROTOCOL.u2f): over the hashes of application and
/// message with flags and counter between, which follow the signature.
fn token(flags: u8) -> (PublicKey, Signature) {
    let secret = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let key = SkEd25519::new(ssh_key::public::Ed25519PublicKey(secret.verifying_key().to_bytes()), "ssh:");
    let trailer = [flags, 0, 0, 0, 9];
    let mut signed = Sha256::digest(b"ssh:").to_vec();
    signed.extend(trailer);
    signed.extend(Sha256::digest(SshSig::signed_data("vigie-mandate", HashAlg::Sha512, MESSAGE).unwrap()));
    let mut data = secret.sign(&signed).to_bytes().to_vec();
    data.extend(trailer);
    (KeyData::from(key).into(), Signature::new(Algorithm::SkEd25519, data).unwrap())
}

fn armour(key: &PublicKey, signature: Signature) -> Vec<u8> {
    let signature = SshSig::new(key.key_data().clone(), "vigie-mandate", HashAlg::Sha512, signature).unwrap();
    signature.to_pem(LineEnding::LF).unwrap().into_bytes()
}

#[test]
fn a_security_key_must_be_touched() {
    let keygen = Keygen::new();
    for (flags, counts) in [(0x01, true), (0x05, true), (0x00, false), (0x04, false)] {
        let (key, signature) = token(flags);
        let line = format!("m@court {}\n", key.to_openssh().unwrap().trim());
        let armoured = armour(&key, signature);
        // OpenSSH agrees that the signature is sound; it does not insist on the touch.
        assert!(keygen.verifies(&line, "m@court", "vigie-mandate", MESSAGE, &armoured, NOON));
        let verdict =
            AllowedSigners::parse(line.as_bytes()).unwrap().verify("vigie-mandate", MESSAGE, &armoured, now());
        match verdict {
            Ok(signer) => assert!(counts && signer.user_presence == Some(true)),
            Err(refused) => assert!(!counts && refused == SignatureError::NoPresence, "{refused}"),
        }
    }
}

#[test]
fn a_false_algorithm_does_not_hide_the_missing_touch() {
    let (key, signature) = token(0x00);
    let disguised = Signature::new("vigie-disguise@example.org".parse().unwrap(), signature.as_bytes()).unwrap();
    // The library alone accepts it: this is what the check of the algorithm is for.
    let bare = SshSig::new(key.key_data().clone(), "vigie-mandate", HashAlg::Sha512, disguised.clone()).unwrap();
    assert!(key.verify("vigie-mandate", MESSAGE, &bare).is_ok());
    let line = format!("m@court {}\n", key.to_openssh().unwrap().trim());
    let verdict = AllowedSigners::parse(line.as_bytes()).unwrap().verify(
        "vigie-mandate",
        MESSAGE,
        &armour(&key, disguised),
        now(),
    );
    assert!(matches!(verdict, Err(SignatureError::Malformed(_))), "{verdict:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = AllowedSigners::parse(&bytes);
    }

    #[test]
    fn lines_never_panic(line in "[a-z@*!?,\"\\\\ =\t#-]{0,80}", options in "[a-zA-Z0-9\"\\\\,= -]{0,60}") {
        let text = format!("{line}\nm@court {options} {}\n", public(&key(1)));
        let _ = AllowedSigners::parse(text.as_bytes());
    }

    #[test]
    fn signatures_never_panic(position in 0usize..1000, byte in any::<u8>(), cut in 0usize..400) {
        let line = format!("m@court {}\n", public(&key(1)));
        let signers = AllowedSigners::parse(line.as_bytes()).unwrap();
        let mut signature = sign(&key(1), "vigie-mandate", MESSAGE);
        let at = position % signature.len();
        let changed = signature[at] != byte;
        signature[at] = byte;
        // A change of white space in the armour may leave the signature what it was.
        let white = byte.is_ascii_whitespace() || changed && b"\n\r ".contains(&byte);
        if signers.verify("vigie-mandate", MESSAGE, &signature, now()).is_ok() {
            prop_assert!(!changed || white || signature[at].is_ascii());
        }
        signature.truncate(cut);
        let _ = signers.verify("vigie-mandate", MESSAGE, &signature, now());
    }

    /// Our pattern matching is OpenSSH's: compared with a plain recursive definition.
    #[test]
    fn patterns(pattern in "[ab*?]{1,8}", text in "[ab]{0,8}") {
        fn plain(pattern: &[u8], text: &[u8]) -> bool {
            match (pattern.first(), text.first()) {
                (None, None) => true,
                (Some(b'*'), _) => plain(&pattern[1..], text) || !text.is_empty() && plain(pattern, &text[1..]),
                (Some(b'?'), Some(_)) => plain(&pattern[1..], &text[1..]),
                (Some(p), Some(t)) if p == t => plain(&pattern[1..], &text[1..]),
                _ => false,
            }
        }
        let line = format!("{pattern} {}\n", public(&key(1)));
        let signature = sign(&key(1), "vigie-mandate", MESSAGE);
        let signer = AllowedSigners::parse(line.as_bytes()).unwrap().verify("vigie-mandate", MESSAGE, &signature, now()).unwrap();
        prop_assert_eq!(signer.is(&text), plain(pattern.as_bytes(), text.as_bytes()));
    }
}
