//! kill -9 of a writer at random points: nothing acknowledged is lost, and the store opens.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use vigie_store::{Kind, Reader, Settings, Store, WorkstationKey};

use crate::kit::{Heard, Kit, TestClock};

/// Names the store for the child; absent in an ordinary run of the tests.
const CHILD: &str = "VIGIE_STORE_TEST_CHILD";
/// Runs of the fast subset.
const RUNS: u32 = 60;

/// Later than anything an earlier writer saw: twenty times as fast as the machine's clock, since
/// the test clock goes on with each look.
fn later() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    2_000_000_000_000 + (now.as_millis() as i64 % 100_000_000_000) * 20
}

/// Not a test of its own: the writer that is killed.
#[test]
fn child_writer() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let key = vigie_store::unlock_key(&dir, &crate::kit::passphrase()).expect("unlocks");
    let clock = TestClock::new();
    clock.set(later());
    let settings = Settings { segment_bytes: 60_000, ..Settings::default() };
    let store = Store::open_with(&dir, key, clock, &crate::kit::Quiet, settings).expect("opens");
    let kit = Kit::new();
    let out = Arc::new(Mutex::new(std::io::stdout()));
    for number in 0.. {
        let out = Arc::clone(&out);
        let draft = kit.exhibit(&store, number);
        store.submit(
            draft,
            Box::new(move |result| {
                let receipt = result.expect("appends");
                let mut out = out.lock().expect("not poisoned");
                // The line is written by one system call: it is whole or absent.
                let line = format!(
                    "\nKEPT {} {} .\n",
                    receipt.sequence,
                    data_encoding::HEXLOWER.encode(&receipt.age_sha256.expect("an exhibit"))
                );
                out.write_all(line.as_bytes()).and_then(|()| out.flush()).expect("writes");
            }),
        );
    }
}

#[test]
fn kill_at_random_points_loses_nothing_acknowledged() {
    let kit = Kit::new();
    let mut kept: Vec<(u64, String)> = Vec::new();
    let mut recovered = 0;

    let mut noise = 0x9E37_79B9_7F4A_7C15u64;
    for run in 0..RUNS {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["crash::child_writer", "--exact", "--nocapture"])
            .env(CHILD, kit.dir())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let stdout = child.stdout.take().expect("piped");
        let lines = std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            lines.filter(|line| line.starts_with("KEPT ") && line.ends_with(" .")).collect::<Vec<_>>()
        });
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // A third of them while it opens.
        let span = if run % 3 == 0 { 30 } else { 300 };
        std::thread::sleep(Duration::from_millis((noise >> 33) % span));
        child.kill().expect("kills");
        child.wait().expect("ends");
        for line in lines.join().expect("read") {
            let words: Vec<&str> = line.split(' ').collect();
            kept.push((words[1].parse().expect("a number"), words[2].to_owned()));
        }
        // The next child opens and recovers; every tenth time the parent looks.
        if run % 10 == 9 || run + 1 == RUNS {
            recovered = check(&kit, &kept);
        }
    }
    println!("{RUNS} kills, {} acknowledged, {recovered} recoveries seen, 0 lost", kept.len());
    assert!(kept.len() > 100, "the writer got to write: {}", kept.len());
}

fn check(kit: &Kit, kept: &[(u64, String)]) -> usize {
    kit.clock.set(later());
    let heard = Heard::default();
    let key: WorkstationKey = kit.key.clone();
    let store = Store::open(&kit.dir(), key, kit.clock.clone(), &heard).expect("opens after a kill");
    let reader = Reader::open(&kit.dir()).expect("opens");
    for (sequence, sha256) in kept {
        let entry = reader.entry(*sequence).unwrap_or_else(|e| panic!("entry {sequence} was acknowledged: {e}"));
        assert_eq!(data_encoding::HEXLOWER.encode(&entry.age.expect("an exhibit").sha256), *sha256);
        store.row(*sequence).expect("its row is in the catalogue");
    }
    let recoveries = store.rows(Kind::Recovery).expect("rows").len();
    assert_eq!(store.rows(Kind::Rebuild).expect("rows").len(), 0, "no kill costs the catalogue: {:?}", heard.0);
    drop(store);
    let report = kit.verify_with(true, false);
    assert!(report.problems.is_empty(), "{:?}", report.problems);
    recoveries
}
