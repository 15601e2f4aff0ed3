//! sled writes behind the back of [`vigie_store::disk::Disk`]: its own system calls are made to fail, one after
//! the other, by strace(1) around a process that writes. Nothing acknowledged is lost, and the process
//! ends with one line that says what failed.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, Ordering};

use vigie_store::{Reader, Store, StoreError, StoreEvents};

use super::{Tally, folder, parallel, runs};
use crate::kit::{Kit, Quiet, TestClock, exhibit, passphrase};

/// Names the store for the child; absent in an ordinary run of the tests.
const CHILD: &str = "VIGIE_STORE_TEST_DATABASE";
/// Exhibits that a child records.
const EXHIBITS: u64 = 3;
/// System calls of sled's that can fail, and how: its writes with a full and with a broken disk, its
/// syncs with a broken one.
const FAULTS: [(&str, &str); 5] =
    [("pwrite64", "EIO"), ("pwrite64", "ENOSPC"), ("sync_file_range", "EIO"), ("fsync", "EIO"), ("fdatasync", "EIO")];

struct Silent;

impl StoreEvents for Silent {
    fn event(&self, _: &str) {}
}

/// Not a test of its own: the writer whose database fails. It says what it was given receipts for and
/// ends with one line.
#[test]
fn child_writer() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let mut out = std::io::stdout().lock();
    let mut say = |line: String| out.write_all(format!("\n{line} .\n").as_bytes()).expect("writes");
    let mut work = || -> Result<(), StoreError> {
        let key = vigie_store::unlock_key(&dir, &passphrase())?;
        let clock = TestClock::new();
        clock.set(1_800_000_000_000);
        let store = Store::open(&dir, key, clock, &Silent)?;
        let recipients: [vigie_store::Recipient; 1] =
            [age::x25519::Identity::generate().to_public().to_string().parse().expect("a recipient")];
        for number in 0..EXHIBITS {
            let receipt = store.append(exhibit(&store, &recipients, number))?;
            let sha256 = data_encoding::HEXLOWER.encode(&receipt.age_sha256.expect("an exhibit"));
            say(format!("KEPT {} {sha256}", receipt.sequence));
        }
        Ok(())
    };
    match work() {
        Ok(()) => say("DONE".to_owned()),
        Err(error) => say(format!("FAILED {error}")),
    }
}

/// A child under strace; `fault` makes a call fail.
fn run(kit: &Kit, fault: Option<(&str, &str, u64)>) -> Output {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o"]).arg(kit.folder.path().join("trace"));
    command.arg("-P").arg(kit.dir().join("catalogue/db"));
    if let Some((call, error, at)) = fault {
        command.args(["-e", &format!("trace={call}"), "-e", &format!("inject={call}:error={error}:when={at}")]);
    }
    command
        .arg(std::env::current_exe().expect("this test"))
        .args(["proof::database::child_writer", "--exact", "--nocapture"])
        .env(CHILD, kit.dir())
        .env_remove("RUST_BACKTRACE")
        .output()
        .expect("strace runs")
}

/// strace is there and may trace here.
fn possible() -> bool {
    let tried = Command::new("strace").args(["-f", "-qq", "-o", "/dev/null", "true"]).output();
    tried.is_ok_and(|output| output.status.success())
}

/// Lines of a child's, without those of the test harness.
fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().filter_map(|line| line.strip_suffix(" .").map(str::to_owned)).collect()
}

/// A small store that is closed. The child's clock is later.
fn base() -> Kit {
    let kit = Kit::new_in(&folder());
    let store = kit.open();
    store.append(kit.exhibit(&store, 100)).expect("appends");
    drop(store);
    std::fs::write(kit.dir().join("reserve"), []).expect("empties");
    kit
}

/// One failure; whether the child said so, rather than going on without harm.
fn fail(tally: &Tally, fault: (&str, &str, u64)) -> bool {
    let what = format!("{} {} at call {}", fault.0, fault.1, fault.2);
    let kit = base();
    let output = run(&kit, Some(fault));
    tally.ran();
    let lines = said(&output);
    let errors = String::from_utf8_lossy(&output.stderr);
    let ends = lines.iter().filter(|line| *line == "DONE" || line.starts_with("FAILED ")).count();
    if ends != 1 || !errors.trim().is_empty() {
        tally.found(&tally.undetected, &format!("{what}: {lines:?}, {errors}"));
    }
    kit.clock.set(1_900_000_000_000);
    let store = match Store::open(&kit.dir(), kit.key.clone(), kit.clock.clone(), &Quiet) {
        Ok(store) => store,
        Err(error) => {
            tally.found(&tally.unopenable, &format!("{what}: {error}"));
            return true;
        }
    };
    let reader = Reader::open(&kit.dir()).expect("opens");
    for kept in lines.iter().filter_map(|line| line.strip_prefix("KEPT ")) {
        let (sequence, sha256) = kept.split_once(' ').expect("two words");
        let sequence = sequence.parse().expect("a number");
        let age = reader.entry(sequence).ok().and_then(|entry| entry.age);
        let there = age.is_some_and(|age| data_encoding::HEXLOWER.encode(&age.sha256) == sha256);
        if !there || store.row(sequence).is_err() {
            tally.found(&tally.lost, &format!("{what}: entry {sequence}"));
        }
    }
    if let Err(error) = store.append(kit.exhibit(&store, 9)) {
        tally.found(&tally.unopenable, &format!("{what}: {error}"));
    }
    drop(store);
    let problems = kit.verify_with(true, false).problems;
    if !problems.is_empty() {
        tally.found(&tally.lost, &format!("{what}: {problems:?}"));
    }
    lines.iter().any(|line| line.starts_with("FAILED "))
}

#[test]
fn a_failing_database_gives_no_false_receipt_and_one_line() {
    if !possible() {
        println!("skipped: no strace that may trace here (scripts/setup installs it)");
        return;
    }
    let kit = base();
    let whole = run(&kit, None);
    assert_eq!(said(&whole).last().map(String::as_str), Some("DONE"), "{whole:?}");
    let trace = std::fs::read_to_string(kit.folder.path().join("trace")).expect("a trace");
    let mut faults = Vec::new();
    for (call, error) in FAULTS {
        let calls = trace.lines().filter(|line| line.contains(&format!(" {call}("))).count() as u64;
        faults.extend((1..=calls).map(|at| (call, error, at)));
    }
    assert!(faults.iter().any(|(call, ..)| *call == "pwrite64"), "sled's writes are not among the calls: {trace}");
    // A part of them, spread over all.
    let wanted = runs(12.min(faults.len() as u64), faults.len() as u64);
    let (tally, refused) = (Tally::default(), AtomicU64::new(0));
    parallel(wanted, |number| {
        let at = number * faults.len() as u64 / wanted;
        refused.fetch_add(u64::from(fail(&tally, faults[at as usize])), Ordering::SeqCst);
    });
    let refused = refused.load(Ordering::SeqCst);
    tally.report(&format!("a call of sled's failing, each once, by strace ({refused} stopped the writer)"), wanted);
    assert!(refused > 0, "no failure was met");
}
