//! kill -9 of a writer at random points: nothing acknowledged is lost, and the store opens.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use vigie_store::{Kind, Reader, Settings, Store, StoreError};

use super::{Noise, Tally, folder, parallel, runs};
use crate::kit::{Heard, Kit, Quiet, TestClock, exhibit, passphrase};

/// Names the store for the child; absent in an ordinary run of the tests.
const CHILD: &str = "VIGIE_STORE_TEST_CHILD";
/// Set in the process that starts and kills children. It holds no locks of other tests: a child has
/// the files of its parent open for a moment, until it is another program, and with them their locks.
const RUNNER: &str = "VIGIE_STORE_TEST_RUNNER";
/// Kills of one store: the next has a new one, so that looking at it stays quick.
const KILLS: u64 = 50;
/// The parent looks at the store after this many kills; the next child opens it in any case.
const LOOK: u64 = 10;

/// Later than anything an earlier writer saw: twenty times as fast as the machine's clock, since
/// the test clock goes on with each look.
fn later() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    2_000_000_000_000 + (now.as_millis() as i64 % 100_000_000_000) * 20
}

/// Written by one system call: a line is whole or absent.
fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line} .\n").as_bytes()).and_then(|()| out.flush()).expect("writes");
}

/// Not a test of its own: the writer that is killed.
#[test]
fn child_writer() {
    let Some(dir) = std::env::var_os(CHILD).map(PathBuf::from) else { return };
    let key = vigie_store::unlock_key(&dir, &passphrase()).expect("unlocks");
    let clock = TestClock::new();
    clock.set(later());
    let settings = Settings { segment_bytes: 60_000, ..Settings::default() };
    say("OPENING");
    let store = loop {
        match Store::open_with(&dir, key.clone(), clock.clone(), &Quiet, settings.clone()) {
            Ok(store) => break store,
            // Another child that has just been started still has the parent's files open.
            Err(StoreError::Locked { .. }) => std::thread::yield_now(),
            Err(error) => return say(&format!("UNOPENABLE {error}")),
        }
    };
    say("OPENED");
    let recipients: [vigie_store::Recipient; 1] =
        [age::x25519::Identity::generate().to_public().to_string().parse().expect("a recipient")];
    let write = || {
        for number in 0.. {
            store.submit(
                exhibit(&store, &recipients, number),
                Box::new(|result| {
                    let receipt = result.expect("appends");
                    let sha256 = data_encoding::HEXLOWER.encode(&receipt.age_sha256.expect("an exhibit"));
                    say(&format!("KEPT {} {sha256}", receipt.sequence));
                }),
            );
        }
    };
    // Two seal, so that there is nearly always something to write.
    std::thread::scope(|scope| {
        scope.spawn(write);
        scope.spawn(write);
    });
}

/// What a killed child had said.
#[derive(Default)]
struct Said {
    opening: Option<Instant>,
    opened: Option<Instant>,
    unopenable: Option<String>,
    kept: Vec<(u64, String)>,
}

/// What a kill waits for, before it comes at a random moment.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Opening,
    Opened,
    Kept,
}

/// Runs a child and kills it.
fn kill_one(kit: &Kit, noise: &mut Noise, after: After, opening_us: &AtomicU64) -> Said {
    let mut child = Command::new(std::env::current_exe().expect("this test"))
        .args(["proof::crash::child_writer", "--exact", "--nocapture"])
        .env(CHILD, kit.dir())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let mut said = Said::default();
    let hear = |line: String, said: &mut Said| {
        let Some(line) = line.strip_suffix(" .") else { return };
        match line.split_once(' ').unwrap_or((line, "")) {
            ("OPENING", _) => said.opening = Some(Instant::now()),
            ("OPENED", _) => said.opened = Some(Instant::now()),
            ("UNOPENABLE", why) => said.unopenable = Some(why.to_owned()),
            ("KEPT", rest) => {
                let (sequence, sha256) = rest.split_once(' ').expect("two words");
                said.kept.push((sequence.parse().expect("a number"), sha256.to_owned()));
            }
            _ => {}
        }
    };
    let awaited = |said: &Said| {
        said.unopenable.is_some()
            || match after {
                After::Opening => said.opening.is_some(),
                After::Opened => said.opened.is_some(),
                After::Kept => !said.kept.is_empty(),
            }
    };
    while !awaited(&said) {
        hear(lines.next().expect("the child says how far it is"), &mut said);
    }
    let span_us = if after == After::Opening { opening_us.load(Ordering::SeqCst) } else { 25_000 };
    // The fault itself, not a wait for something: the kill comes at any moment of the span.
    std::thread::sleep(Duration::from_micros(noise.below(span_us)));
    child.kill().expect("kills");
    child.wait().expect("ends");
    lines.for_each(|line| hear(line, &mut said));
    if let (false, Some(opening), Some(opened)) = (after == After::Opening, said.opening, said.opened) {
        // Half the last figure, half the new one.
        let new = opened.duration_since(opening).as_micros() as u64;
        opening_us.store(opening_us.load(Ordering::SeqCst).midpoint(new), Ordering::SeqCst);
    }
    said
}

/// Acknowledged entries that are not in the store, and its recoveries.
fn look(kit: &Kit, kept: &[(u64, String)]) -> Result<(u64, u64), String> {
    kit.clock.set(later());
    let heard = Heard::default();
    let store =
        Store::open(&kit.dir(), kit.key.clone(), kit.clock.clone(), &heard).map_err(|error| error.to_string())?;
    let reader = Reader::open(&kit.dir()).map_err(|error| error.to_string())?;
    let there = |(sequence, sha256): &(u64, String)| {
        let found = reader.entry(*sequence).ok().and_then(|entry| entry.age);
        found.is_some_and(|age| data_encoding::HEXLOWER.encode(&age.sha256) == *sha256) && store.row(*sequence).is_ok()
    };
    let lost = kept.iter().filter(|one| !there(one)).count() as u64;
    let recoveries = store.rows(Kind::Recovery).expect("rows").len() as u64;
    assert_eq!(store.rows(Kind::Rebuild).expect("rows").len(), 0, "no kill costs the catalogue: {:?}", heard.0);
    drop(store);
    let report = kit.verify_with(true, false);
    if report.problems.is_empty() { Ok((lost, recoveries)) } else { Err(format!("{:?}", report.problems)) }
}

#[test]
fn kill_at_random_points_loses_nothing_acknowledged() {
    if std::env::var_os(RUNNER).is_none() {
        let runner = Command::new(std::env::current_exe().expect("this test"))
            .args(["proof::crash::kill_at_random_points_loses_nothing_acknowledged", "--exact", "--nocapture"])
            .env(RUNNER, "1")
            .output()
            .expect("runs");
        println!("{}", String::from_utf8_lossy(&runner.stdout));
        assert!(runner.status.success(), "{}", String::from_utf8_lossy(&runner.stderr));
        return;
    }
    let wanted = runs(60, 10_000);
    let tally = Tally::default();
    let [acknowledged, recovered, while_opening] = [(); 3].map(|()| AtomicU64::new(0));
    let opening_us = AtomicU64::new(10_000);
    let batches = wanted.div_ceil(KILLS);
    parallel(batches, |batch| {
        let kit = Kit::new_in(&folder());
        let mut noise = Noise::new(batch);
        let mut kept = Vec::new();
        let kills = KILLS.min(wanted - batch * KILLS);
        for run in 0..kills {
            // Some of those that are aimed at the opening come just behind it: a third is to meet it.
            let after = match run % 8 {
                0..=3 => After::Opening,
                4 | 5 => After::Opened,
                _ => After::Kept,
            };
            let said = kill_one(&kit, &mut noise, after, &opening_us);
            tally.ran();
            while_opening.fetch_add(u64::from(said.opened.is_none()), Ordering::SeqCst);
            if let Some(why) = said.unopenable {
                tally.found(&tally.unopenable, &format!("batch {batch}, kill {run}: {why}"));
                return;
            }
            kept.extend(said.kept);
            if run % LOOK == LOOK - 1 || run + 1 == kills {
                match look(&kit, &kept) {
                    Ok((0, _)) => {}
                    Ok((lost, _)) => tally.found(&tally.lost, &format!("batch {batch}, kill {run}: {lost} entries")),
                    Err(why) => tally.found(&tally.unopenable, &format!("batch {batch}, kill {run}: {why}")),
                }
            }
        }
        acknowledged.fetch_add(kept.len() as u64, Ordering::SeqCst);
        recovered.fetch_add(look(&kit, &[]).map_or(0, |(_, recoveries)| recoveries), Ordering::SeqCst);
    });
    let figure = |counter: &AtomicU64| counter.load(Ordering::SeqCst);
    let [acknowledged, recovered, while_opening] = [&acknowledged, &recovered, &while_opening].map(figure);
    tally.report(
        &format!(
            "kill -9 of a writer ({while_opening} while it opens; {acknowledged} acknowledged, {recovered} recoveries)"
        ),
        wanted,
    );
    assert!(acknowledged * 5 > wanted, "the writer got to write");
    // Few kills meet the moment between a frame and its signed head, and a busy machine opens more slowly
    // than it did: in a small run perhaps none does.
    assert!(wanted < 1000 || recovered > 0 && while_opening * 3 >= wanted, "kills met writing and opening");
}

/// The anti-test: an acknowledged entry that is not there is seen, and so is a wrong one.
#[test]
fn a_receipt_for_nothing_is_seen() {
    let kit = Kit::new_in(&folder());
    let store = kit.open();
    let receipt = store.append(kit.exhibit(&store, 1)).expect("appends");
    drop(store);
    let sha256 = data_encoding::HEXLOWER.encode(&receipt.age_sha256.expect("an exhibit"));
    let right = (receipt.sequence, sha256.clone());
    assert_eq!(look(&kit, &[right.clone(), (99, sha256.clone()), (0, sha256)]), Ok((2, 0)));
    let heads = std::fs::metadata(kit.dir().join("segments/00000000.seg")).expect("is there").len();
    let segment = std::fs::File::options().write(true).open(kit.dir().join("segments/00000000.seg")).expect("opens");
    segment.set_len(heads - 1).expect("cuts");
    assert!(look(&kit, &[right]).is_err());
}
