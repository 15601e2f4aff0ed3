//! A witness as its keeper uses it, and as a log that lies meets it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Barrier;

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use secrecy::SecretString;
use vigie_log::checkpoint::{Checkpoint, Verifier};
use vigie_log::cosignature::{Cosigned, WitnessKey};
use vigie_log::request::AddCheckpoint;
use vigie_log::tree::{Hash, consistency_proof, leaf_hash, root_of, subtree};
use vigie_witness::{Signer, Witness, WitnessError};

const ORIGIN: &str = "customs.example/desk-1";
const NOW: u64 = 1_790_000_000;

/// A log in memory; another `history` is another log under the same name and key.
struct Log {
    secret: SigningKey,
    leaves: Vec<Hash>,
}

impl Log {
    fn new(size: u64, history: &str) -> Self {
        let mut log = Self { secret: SigningKey::from_bytes(&[7; 32]), leaves: Vec::new() };
        log.grow(size, history);
        log
    }

    fn grow(&mut self, entries: u64, history: &str) {
        let first = self.leaves.len() as u64;
        self.leaves.extend((first..first + entries).map(|n| leaf_hash(format!("{history} {n}").as_bytes())));
    }

    fn key(&self) -> Verifier {
        Verifier::new(ORIGIN, self.secret.verifying_key())
    }

    fn head(&self) -> Checkpoint {
        Checkpoint { origin: ORIGIN.into(), size: self.leaves.len() as u64, root: root_of(&self.leaves) }
    }

    fn request(&self, old_size: u64) -> String {
        let size = self.leaves.len() as u64;
        let proof = consistency_proof(old_size, size, &mut |level, at| subtree(&self.leaves, level, at).ok_or(()));
        let proof = proof.expect("nodes").unwrap_or_default();
        AddCheckpoint { old_size, proof, checkpoint: self.head().sign(&self.secret) }.encode()
    }
}

struct Desk {
    folder: tempfile::TempDir,
    witness: Witness,
    signer: Signer,
}

fn passphrase() -> SecretString {
    SecretString::from("correct horse")
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let witness = Witness::init(&folder.path().join("witness"), "witness.example", &passphrase(), Some(1));
        let witness = witness.expect("is made");
        let signer = witness.unlock(&passphrase()).expect("opens");
        Self { folder, witness, signer }
    }

    /// One that trusts the log and stands at its size.
    fn at(log: &Log) -> Self {
        let desk = Self::new();
        assert!(desk.witness.trust(&log.key().to_string()).expect("trusts"));
        desk.witness.cosign(&desk.signer, &log.request(0), NOW).expect("cosigns");
        desk
    }

    fn cosign(&self, request: &str) -> Result<String, WitnessError> {
        self.witness.cosign(&self.signer, request, NOW + 1)
    }

    /// Everything that it keeps.
    fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        contents(&self.folder.path().join("witness"))
    }
}

fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).expect("a folder") {
        let path = entry.expect("a name").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.clone(), std::fs::read(&path).expect("a file"));
        }
    }
    found
}

#[test]
fn a_log_that_grows_is_cosigned_each_time() {
    let mut log = Log::new(3, "a");
    let desk = Desk::new();
    assert!(matches!(desk.cosign(&log.request(0)), Err(WitnessError::UnknownLog { .. })));
    assert!(desk.witness.trust(&format!("{}\n", log.key())).expect("trusts"));
    assert!(!desk.witness.trust(&log.key().to_string()).expect("trusts"), "it was trusted");
    let mut old = 0;
    for grown in [0, 1, 1, 0, 5, 300] {
        log.grow(grown, "a");
        let text = desk.cosign(&log.request(old)).expect("cosigns");
        let cosigned = Cosigned::open(&text, &log.key(), &[desk.witness.key().clone()]).expect("holds");
        assert_eq!((&cosigned.checkpoint, cosigned.cosignatures[0].time), (&log.head(), NOW + 1));
        assert_eq!(desk.witness.last(ORIGIN).expect("is kept"), text);
        old = log.head().size;
    }
    let logs = desk.witness.logs().expect("lists");
    assert_eq!((logs.len(), logs[0].size, logs[0].root), (1, 310, log.head().root));
}

#[test]
fn what_does_not_go_on_from_what_was_cosigned_is_refused_and_changes_nothing() {
    let log = Log::new(10, "a");
    let desk = Desk::at(&log);
    let before = desk.contents();
    let forked = Log::new(10, "b");
    let mut longer = Log::new(10, "a");
    longer.grow(7, "a");
    let mut branch = Log::new(8, "a");
    branch.grow(9, "b");
    let shorter = Log::new(8, "a");
    let said = |request: &str| desk.cosign(request).expect_err("is refused");

    assert!(matches!(said(&shorter.request(8)), WitnessError::Smaller { size: 8, known: 10 }));
    assert!(matches!(said(&shorter.request(0)), WitnessError::Smaller { .. }));
    assert!(matches!(said(&forked.request(10)), WitnessError::Forked { size: 10 }));
    assert!(matches!(said(&forked.request(0)), WitnessError::Forked { .. }), "whatever it says of where it begins");
    assert!(matches!(said(&branch.request(10)), WitnessError::Inconsistent { size: 17, known: 10 }));
    assert!(matches!(said(&longer.request(9)), WitnessError::Conflict { old: 9, known: 10 }));
    assert!(matches!(said(&longer.request(0)), WitnessError::Conflict { .. }));
    let unproven = AddCheckpoint { old_size: 10, proof: Vec::new(), checkpoint: longer.head().sign(&longer.secret) };
    assert!(matches!(said(&unproven.encode()), WitnessError::Inconsistent { .. }));
    let backwards = AddCheckpoint { old_size: 11, ..unproven.clone() };
    let backwards = AddCheckpoint { checkpoint: log.head().sign(&log.secret), ..backwards };
    assert!(matches!(said(&backwards.encode()), WitnessError::Backwards { old: 11, size: 10 }));
    // Another key, another name, no name, no signature.
    let stranger = SigningKey::from_bytes(&[8; 32]);
    let signed = AddCheckpoint { checkpoint: longer.head().sign(&stranger), ..unproven.clone() };
    assert!(matches!(said(&signed.encode()), WitnessError::Signature(_)));
    let named = Checkpoint { origin: "customs.example/desk-2".into(), ..longer.head() }.sign(&longer.secret);
    assert!(matches!(
        said(&AddCheckpoint { checkpoint: named, ..unproven.clone() }.encode()),
        WitnessError::UnknownLog { .. }
    ));
    for text in ["", "\n", "old 10\n\n", "old 10\n\n\n\n", "x\n\ny"] {
        assert!(matches!(said(text), WitnessError::Request(_) | WitnessError::Nameless), "{text:?}");
    }
    // Every bit of a good request but those of spelling that a decoder never sees.
    let good = longer.request(10);
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone().into_bytes();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(text) = String::from_utf8(bytes) {
            assert!(desk.cosign(&text).is_err(), "bit {bit}: {text}");
        }
    }
    // A clock that was set back; a key under a name that is taken.
    assert!(matches!(
        desk.witness.cosign(&desk.signer, &good, NOW - 1),
        Err(WitnessError::ClockBehind { now, last: NOW }) if now == NOW - 1
    ));
    let other = Verifier::new(ORIGIN, stranger.verifying_key()).to_string();
    assert!(matches!(desk.witness.trust(&other), Err(WitnessError::OtherKey { .. })));
    let own = desk.witness.key().to_string();
    assert!(matches!(desk.witness.trust(&own), Err(WitnessError::NotALogKey)), "a witness is no log");
    assert_eq!(desk.contents(), before);
    desk.cosign(&good).expect("the good one is cosigned still");
}

/// Of two histories that come at the same moment one is cosigned.
#[test]
fn two_at_once_never_split_the_witness() {
    for round in 0..20 {
        let log = Log::new(4, "a");
        let desk = Desk::at(&log);
        let requests: Vec<String> = ["b", "c", "d", "e"]
            .iter()
            .map(|history| {
                let mut log = Log::new(4, "a");
                log.grow(3, history);
                log.request(4)
            })
            .collect();
        let barrier = Barrier::new(requests.len());
        let won: Vec<bool> = std::thread::scope(|scope| {
            let running: Vec<_> = requests
                .iter()
                .map(|request| {
                    scope.spawn(|| {
                        barrier.wait();
                        desk.cosign(request).is_ok()
                    })
                })
                .collect();
            running.into_iter().map(|thread| thread.join().expect("ends")).collect()
        });
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}");
    }
}

/// What a stop leaves at each step: half a file beside the old one; the head without its cosignature.
#[test]
fn a_stop_leaves_a_witness_that_goes_on_and_never_goes_back() {
    let mut log = Log::new(4, "a");
    let desk = Desk::at(&log);
    let folder = desk.folder.path().join("witness");
    let (old_state, old_text) = (contents(&folder.join("logs")), contents(&folder.join("cosigned")));
    log.grow(2, "a");
    let text = desk.cosign(&log.request(4)).expect("cosigns");
    let (new_state, new_text) = (contents(&folder.join("logs")), contents(&folder.join("cosigned")));
    let put = |files: &BTreeMap<PathBuf, Vec<u8>>| {
        for (path, bytes) in files {
            std::fs::write(path, bytes).expect("writes");
        }
    };
    // Before the state was in place: nothing happened, and the request is cosigned.
    put(&old_state);
    put(&old_text);
    for (path, bytes) in &new_state {
        std::fs::write(path.with_extension("part"), &bytes[..bytes.len() / 2]).expect("writes");
    }
    assert_eq!(desk.witness.logs().expect("lists").len(), 1);
    assert_eq!(desk.cosign(&log.request(4)).expect("cosigns"), text);
    // Between state and cosignature: it stands at the new head, says so, and cosigns that one again.
    put(&new_state);
    put(&old_text);
    assert!(matches!(desk.witness.last(ORIGIN), Err(WitnessError::NothingYet { .. })));
    assert!(matches!(desk.cosign(&log.request(4)), Err(WitnessError::Conflict { old: 4, known: 6 })));
    let again = desk.cosign(&log.request(6)).expect("cosigns");
    assert_eq!(Checkpoint::open(&again, &log.key()).expect("signed"), log.head());
    put(&new_text);
    assert_eq!(desk.witness.last(ORIGIN).expect("is kept"), text);
}

#[test]
fn damage_to_what_it_keeps_is_an_alarm_and_nothing_is_cosigned() {
    let log = Log::new(4, "a");
    let desk = Desk::at(&log);
    let folder = desk.folder.path().join("witness");
    let state = contents(&folder.join("logs")).into_keys().next().expect("a state");
    let whole = std::fs::read(&state).expect("reads");
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&state, bytes).expect("writes");
        // Size, root or time may become others in a right spelling: then no request fits, or it is damage.
        assert!(desk.cosign(&log.request(4)).is_err() || bit / 8 > whole.len() - 12, "bit {bit}");
    }
    std::fs::write(&state, &whole[..20]).expect("writes");
    assert!(matches!(desk.witness.logs(), Err(WitnessError::Damaged { .. })));
    std::fs::write(&state, whole).expect("writes");
    let key = folder.join("key.age");
    let sealed = std::fs::read(&key).expect("reads");
    std::fs::write(&key, &sealed[..sealed.len() - 1]).expect("writes");
    assert!(desk.witness.unlock(&passphrase()).is_err());
    assert!(matches!(Witness::open(desk.folder.path()), Err(WitnessError::NotAWitness { .. })));
}

fn run(args: &[&str], dir: &Path, passphrase: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vigie-witness"))
        .args(args)
        .current_dir(dir)
        .env_remove("CREDENTIALS_DIRECTORY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    // A command that refuses first does not read it.
    let _ = child.stdin.take().expect("an input").write_all(passphrase.as_bytes());
    child.wait_with_output().expect("ends")
}

/// One line on standard error that says these words, this exit code, and the witness as it was.
fn refused(desk: &Path, args: &[&str], code: i32, words: &[&str]) {
    let before = contents(desk);
    let output = run(args, desk, "correct horse\n");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), said.lines().count()), (Some(code), 1), "{args:?}: {said}");
    assert!(words.iter().all(|word| said.contains(word)), "{args:?}: {said}");
    assert_eq!(contents(desk), before, "{args:?}");
}

#[test]
fn the_program_from_init_to_alarm() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let desk = folder.path();
    let done = |args: &[&str]| {
        let output = run(args, desk, "correct horse\n");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let init = done(&["init", "w", "--name", "witness.example", "--passphrase-fd", "0"]);
    let key = init.lines().last().and_then(|line| line.rsplit(' ').next()).and_then(WitnessKey::parse).expect("a key");
    let mut log = Log::new(5, "a");
    std::fs::write(desk.join("request"), log.request(0)).expect("writes");
    let cosign = ["cosign", "w", "request", "--to", "out", "--passphrase-fd", "0"];
    refused(desk, &["init", "w", "--name", "x", "--passphrase-fd", "0"], 2, &["exists already"]);
    refused(desk, &["init", "v", "--name", "a name", "--passphrase-fd", "0"], 2, &["without space"]);
    refused(desk, &["status", "."], 2, &["holds no witness"]);
    refused(desk, &cosign, 3, &["not a log that this witness knows", "vigie-witness trust"]);
    refused(desk, &["trust", "w", "nonsense"], 2, &["verifier key"]);
    done(&["trust", "w", &log.key().to_string()]);
    refused(desk, &["last", "w", ORIGIN, "--to", "out"], 2, &["cosign a request first"]);
    refused(desk, &["cosign", "w", "nothing", "--to", "out"], 2, &["reading the request nothing"]);
    std::fs::write(desk.join("long"), "x".repeat(100_000)).expect("writes");
    refused(desk, &["cosign", "w", "long", "--to", "out"], 2, &["longer than any request"]);
    // A place that nothing can be written to: known before the witness moves.
    refused(desk, &["cosign", "w", "request", "--to", "/proc/out", "--passphrase-fd", "0"], 1, &["writing /proc/out"]);
    refused(desk, &["cosign", "w", "request", "--to", "long", "--passphrase-fd", "0"], 2, &["exists already"]);
    let before = contents(&desk.join("w"));
    let wrong = run(&cosign, desk, "wrong\n");
    assert_eq!(wrong.status.code(), Some(6));
    assert_eq!(contents(&desk.join("w")), before);
    assert!(!desk.join("out").exists());

    assert!(done(&cosign).contains("cosigned 5 entries"));
    let text = std::fs::read_to_string(desk.join("out")).expect("is there");
    let cosigned = Cosigned::open(&text, &log.key(), &[key]).expect("holds");
    assert_eq!((cosigned.checkpoint, cosigned.cosignatures.len()), (log.head(), 1));
    done(&["last", "w", ORIGIN, "--to", "again"]);
    assert_eq!(std::fs::read_to_string(desk.join("again")).expect("is there"), text);
    let status: serde_json::Value = serde_json::from_str(&done(&["status", "w", "--json"])).expect("JSON");
    assert_eq!((&status["logs"][0]["origin"], &status["logs"][0]["size"]), (&ORIGIN.into(), &5.into()));

    log.grow(4, "b");
    std::fs::write(desk.join("fork"), Log::new(9, "c").request(5)).expect("writes");
    std::fs::write(desk.join("older"), Log::new(3, "a").request(3)).expect("writes");
    let at = |file: &'static str| ["cosign", "w", file, "--to", "next", "--passphrase-fd", "0"];
    refused(desk, &at("fork"), 5, &["ALARM", "it was rewritten"]);
    refused(desk, &at("older"), 5, &["ALARM", "this witness has cosigned 5"]);
    std::fs::write(desk.join("wrong-start"), log.request(4)).expect("writes");
    refused(desk, &at("wrong-start"), 3, &["export again with --old 5"]);
    std::fs::write(desk.join("good"), log.request(5)).expect("writes");
    assert!(done(&at("good")).contains("cosigned 9 entries"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes on the medium, the witness says no and stays as it is.
    #[test]
    fn no_request_makes_it_panic_or_move(text in "(old [0-9]{1,20}\n)?([A-Za-z0-9+/=]{0,60}\n){0,3}\n?\\PC{0,80}\n?[0-9]{0,3}\n?\\PC{0,60}\n{0,2}\\PC{0,60}\n?") {
        let log = Log::new(4, "a");
        let desk = Desk::at(&log);
        let before = desk.contents();
        prop_assert!(desk.cosign(&text).is_err());
        let good = log.request(4);
        prop_assert!(desk.cosign(&(good + &text)).is_err() || text.is_empty());
        prop_assert_eq!(desk.contents(), before);
    }
}
