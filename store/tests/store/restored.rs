//! A store that was restored behind a newer head: refused until two persons accept it, and then said.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use ssh_key::private::{Ed25519Keypair, KeypairData};
use ssh_key::{HashAlg, LineEnding, PrivateKey};
use vigie_config::restoration::{Head, NAMESPACE, draft as paper_text};
use vigie_store::{
    Commitment, Draft, Kind, KnownHead, Outside, Reader, Receipt, Settings, Store, StoreError, VerifyOptions,
    VerifyReport, backup, restore,
};

use crate::kit::{Kit, Quiet, draft};

fn key(seed: u8) -> PrivateKey {
    let pair = Ed25519Keypair::from_seed(&[seed; 32]);
    PrivateKey::new(KeypairData::Ed25519(pair), "").expect("a key")
}

fn sign(key: &PrivateKey, namespace: &str, text: &str) -> Vec<u8> {
    let signature = key.sign(namespace, HashAlg::Sha512, text.as_bytes()).expect("signs");
    signature.to_pem(LineEnding::LF).expect("armoured").into_bytes()
}

/// Two persons; the second has two keys.
fn signers() -> Vec<u8> {
    [("custodian@customs.example", 1), ("magistrate@court.example", 2), ("magistrate@court.example", 3)]
        .map(|(who, seed)| {
            format!("{who} namespaces=\"{NAMESPACE}\" {}\n", key(seed).public_key().to_openssh().expect("text"))
        })
        .concat()
        .into_bytes()
}

/// A store, its backup, what it grew to afterwards, and a store made of the backup.
struct Lost {
    kit: Kit,
    outside: Outside,
    restored: PathBuf,
    /// The newest head of the lost store.
    newer: String,
    /// Heads on the way there: (entries, note).
    between: Vec<(u64, String)>,
}

const KEPT: u64 = 4;

fn head_in(dir: &Path) -> (u64, String) {
    let text = std::fs::read_to_string(dir.join("checkpoint")).expect("is there");
    (text.lines().nth(1).and_then(|size| size.parse().ok()).expect("a size"), text)
}

impl Lost {
    fn new() -> Self {
        let kit = Kit::with_signers(&crate::proof::folder(), &signers());
        let outside = Outside::new(kit.folder.path().join("state/heads"));
        let copy = kit.folder.path().join("copy");
        let settings = Settings { outside: Some(outside.clone()), ..Settings::default() };
        let store = kit.open_with(settings).expect("opens");
        for number in 1..KEPT {
            store.append(kit.exhibit(&store, number)).expect("appends");
        }
        backup(&kit.dir(), &copy, &Quiet).expect("copies");
        let mut between = Vec::new();
        for number in 0..5 {
            store.append(kit.exhibit(&store, 10 + number)).expect("appends");
            between.push(head_in(&kit.dir()));
        }
        drop(store);
        let restored = kit.folder.path().join("restored");
        restore(&copy, &restored, &Quiet).expect("restores");
        let newer = head_in(&kit.dir()).1;
        Self { kit, outside, restored, newer, between }
    }

    fn open(&self, giving_up: Option<(u64, [u8; 32])>) -> Result<Store, StoreError> {
        let settings = Settings { outside: Some(self.outside.clone()), giving_up, ..Settings::default() };
        Store::open_with(&self.restored, self.kit.key.clone(), self.kit.clock.clone(), &Quiet, settings)
    }

    fn newer(&self) -> Head {
        let reader = Reader::open(&self.kit.dir()).expect("opens");
        Head { size: reader.size(), root: reader.root() }
    }

    fn from(&self) -> Head {
        let reader = Reader::open(&self.restored).expect("opens");
        Head { size: KEPT, root: reader.root_of(KEPT).expect("is there") }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millisecond(self.kit.clock.now()).expect("a time")
    }

    fn paper(&self) -> String {
        paper_text("R-1", "customs.example/desk-1", self.now(), "the disk burnt", &self.newer(), &self.from())
    }

    fn check(&self, text: &str, signatures: &[Vec<u8>]) -> Result<(), String> {
        let reader = Reader::open(&self.restored).expect("opens");
        let checked = reader.check_restore(&self.newer, text.as_bytes(), signatures, self.now());
        checked.map(|_| ()).map_err(|error| {
            assert!(matches!(error, StoreError::NotTaken { .. }), "{error}");
            error.to_string()
        })
    }

    fn accept(&self) -> Receipt {
        let newer = self.newer();
        let text = self.paper();
        let signatures = [sign(&key(1), NAMESPACE, &text), sign(&key(2), NAMESPACE, &text)];
        self.check(&text, &signatures).expect("counts");
        let store = self.open(Some((newer.size, newer.root))).expect("opens");
        store.accept_restore(&self.newer, text.as_bytes(), &signatures, self.now(), act()).expect("is accepted")
    }

    fn verify(&self, heads: &[(u64, String)]) -> VerifyReport {
        let heads = heads.iter().map(|(size, text)| KnownHead { whence: format!("drawer-{size}"), text: text.clone() });
        let options =
            VerifyOptions { heads: heads.collect(), outside: Some(self.outside.clone()), ..VerifyOptions::default() };
        vigie_store::verify(&self.restored, options, &Quiet).expect("a report")
    }
}

/// An act as the agent's part of the program makes it.
fn act() -> Draft {
    let commitment = |name| Commitment { name, value: b"x".to_vec() };
    Draft {
        commitments: vec![commitment("agent-signature"), commitment("agent-statement")],
        ..draft(Kind::RestoreAccepted)
    }
}

#[test]
fn a_restored_store_goes_on_when_two_persons_accept_what_is_lost() {
    let lost = Lost::new();
    assert!(matches!(lost.open(None).map(drop), Err(StoreError::TakenAway { signed: KEPT, .. })));
    let receipt = lost.accept();
    // The newer head lies aside, byte for byte, and the store's own has its place.
    let file = lost.outside.file(&lost.restored).expect("a name");
    assert_eq!(std::fs::read_to_string(&file).expect("is there"), head_in(&lost.restored).1);
    let folder = file.parent().expect("a folder");
    let aside: Vec<_> = std::fs::read_dir(folder)
        .expect("lists")
        .map(|file| file.expect("lists").path())
        .filter(|path| path.to_string_lossy().contains("given-up"))
        .collect();
    assert_eq!(aside.len(), 1);
    assert_eq!(std::fs::read_to_string(&aside[0]).expect("is there"), lost.newer);

    // It goes on, and says from here on what is missing, without any key.
    let store = lost.open(None).expect("goes on");
    store.append(lost.kit.exhibit(&store, 50)).expect("appends");
    drop(store);
    let report = lost.verify(&[]);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    let said = report.given_up[0].to_string();
    let last = lost.newer().size - 1;
    for word in [
        &format!("entries {KEPT} to {last} of an earlier history are missing"),
        "custodian@customs.example and magistrate@court.example accepted",
        "the disk burnt",
        "paper R-1",
        &format!("entry {}", receipt.sequence),
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(report.notes.contains(&said));
    assert_eq!(
        Reader::open_held(&lost.restored, Some(&lost.outside)).expect("opens").given_up().expect("counts").len(),
        1
    );

    // Whoever holds one of the newer heads is told, with the act named; the older ones still hold.
    for (size, head) in &lost.between {
        let report = lost.verify(&[(*size, head.clone())]);
        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        assert!(report.problems[0].what.contains(&said), "{}", report.problems[0]);
    }
    // The newer head put back in its place is an alarm again.
    std::fs::copy(&aside[0], &file).expect("copies");
    assert!(lost.open(None).is_err());
    let known = Reader::open(&lost.restored).expect("opens").given_up().expect("counts");
    Reader::open(&lost.restored).expect("opens").finish_restore(&lost.outside, &known[0]).expect("is put aside again");
    drop(lost.open(None).expect("goes on"));
    // And an older copy of what goes on is met as ever.
    assert!(matches!(
        Store::open_with(
            &lost.kit.folder.path().join("copy"),
            lost.kit.key.clone(),
            lost.kit.clock.clone(),
            &Quiet,
            Settings { outside: Some(lost.outside.clone()), ..Settings::default() }
        )
        .map(drop),
        Err(StoreError::TakenAway { signed: KEPT, .. })
    ));
}

#[test]
fn a_paper_that_does_not_name_this_head_or_lacks_a_person_is_refused() {
    let lost = Lost::new();
    let text = lost.paper();
    let by = |text: &str, seeds: &[u8]| seeds.iter().map(|seed| sign(&key(*seed), NAMESPACE, text)).collect::<Vec<_>>();
    let refused = |text: &str, signatures: &[Vec<u8>], word: &str| {
        let why = lost.check(text, signatures).expect_err(word);
        assert!(why.contains(word), "{word}: {why}");
    };
    refused(&text, &[], "two persons");
    refused(&text, &by(&text, &[1]), "two persons");
    refused(&text, &by(&text, &[1, 1]), "two persons");
    refused(&text, &by(&text, &[2, 3]), "two persons");
    refused(&text, &by(&text, &[1, 9]), "no allowed signer");
    refused(&text, &[sign(&key(1), "vigie-act", &text), sign(&key(2), NAMESPACE, &text)], "namespace");
    refused(&text, &by(&text.replace("burnt", "sank"), &[1, 2]), "does not match");
    let (newer, from) = (lost.newer(), lost.from());
    let of = |origin: &str, newer: Head, from: Head| paper_text("R-1", origin, lost.now(), "lost", &newer, &from);
    let origin = "customs.example/desk-1";
    for (text, word) in [
        (of("customs.example/desk-2", newer, from), "another log"),
        (of(origin, Head { size: newer.size - 1, ..newer }, from), "another head"),
        (of(origin, Head { root: [7; 32], ..newer }, from), "another head"),
        (of(origin, newer, Head { root: [7; 32], ..from }), "does not go on from"),
        (of(origin, newer, Head { size: KEPT + 1, ..from }), "does not go on from"),
    ] {
        refused(&text, &by(&text, &[1, 2]), word);
    }
    // Nothing was changed; the store that has everything gives nothing up.
    assert!(matches!(lost.open(None).map(drop), Err(StoreError::TakenAway { .. })));
    let whole = Reader::open(&lost.kit.dir()).expect("opens");
    let why = whole.check_restore(&lost.newer, text.as_bytes(), &by(&text, &[1, 2]), lost.now()).expect_err("whole");
    assert!(why.to_string().contains("nothing is missing"), "{why}");
    // An act of another kind binds nothing, and opening for one head gives up no other.
    let store = lost.open(Some((newer.size, newer.root))).expect("opens");
    let other = store.accept_restore(&lost.newer, text.as_bytes(), &by(&text, &[1, 2]), lost.now(), draft(Kind::Hold));
    assert!(matches!(other, Err(StoreError::Invalid { .. })));
    assert!(store.append(act()).is_err(), "an acceptance without a paper");
    drop(store);
    assert!(matches!(lost.open(None).map(drop), Err(StoreError::TakenAway { .. })), "the head outside stays");
    assert!(lost.open(Some((newer.size, [7; 32]))).is_err());
}

#[test]
fn what_an_acceptance_binds_cannot_be_altered_or_taken_away() {
    let lost = Lost::new();
    let receipt = lost.accept();
    let folder = lost.restored.join("given-up");
    let mut files = 0;
    for file in std::fs::read_dir(&folder).expect("lists") {
        let path = file.expect("lists").path();
        let whole = std::fs::read(&path).expect("reads");
        files += 1;
        for bytes in [None, Some([&whole[..], b"\n"].concat()), Some(whole[..whole.len() / 2].to_vec())] {
            match bytes {
                None => std::fs::remove_file(&path).expect("removes"),
                Some(bytes) => std::fs::write(&path, bytes).expect("writes"),
            }
            let report = lost.verify(&[]);
            let told = report.problems.iter().find(|problem| problem.entry == Some(receipt.sequence));
            assert!(told.is_some_and(|problem| problem.what.contains("given-up/")), "{:?}", report.problems);
            assert!(report.given_up.is_empty());
            assert!(Reader::open(&lost.restored).expect("opens").given_up().is_err());
        }
        std::fs::write(&path, whole).expect("writes");
    }
    assert_eq!(files, 4, "head, paper, two signatures");
    assert!(lost.verify(&[]).problems.is_empty());
    // Papers that no entry binds count for nothing.
    std::fs::write(folder.join("x.toml"), lost.paper()).expect("writes");
    assert_eq!(lost.verify(&[]).given_up.len(), 1);
}
