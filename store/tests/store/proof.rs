//! Faults in numbers: what is acknowledged stays, what is damaged is seen. `make test` runs a part
//! of each, `make soak` all (`VIGIE_SOAK=1`). Every test prints one row of a table:
//!
//! ```text
//! | fault | runs | lost | unopenable | undetected |
//! ```
//!
//! *Lost* are acknowledged entries that are gone, *unopenable* stores that should open and do not,
//! *undetected* alterations that neither an error nor a report shows.

mod crash;
mod database;
pub mod faults;
mod flips;
mod power;
mod rollback;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The one place that decides how much is run.
fn is_soak() -> bool {
    std::env::var_os("VIGIE_SOAK").is_some_and(|value| value == "1")
}

/// `full` runs in a soak, else `fast`.
pub fn runs(fast: u64, full: u64) -> u64 {
    if is_soak() { full } else { fast }
}

/// Where stores under test lie: in memory where the machine offers that, since nothing here waits
/// for a disk to forget.
pub fn folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    parent.to_owned()
}

/// What a fault did, summed over its runs.
#[derive(Default)]
pub struct Tally {
    pub runs: AtomicU64,
    pub lost: AtomicU64,
    pub unopenable: AtomicU64,
    pub undetected: AtomicU64,
    /// Of an anti-test: what is found is wanted, and not worth saying.
    quiet: bool,
}

impl Tally {
    pub fn of_an_anti_test() -> Self {
        Self { quiet: true, ..Self::default() }
    }

    pub fn ran(&self) {
        self.runs.fetch_add(1, Ordering::SeqCst);
    }

    /// Counts a fault of the store's and says where.
    pub fn found(&self, counter: &AtomicU64, what: &str) {
        counter.fetch_add(1, Ordering::SeqCst);
        if !self.quiet {
            println!("FOUND {what}");
        }
    }

    /// The counters but the runs.
    pub fn faults(&self) -> [u64; 3] {
        [&self.lost, &self.unopenable, &self.undetected].map(|counter| counter.load(Ordering::SeqCst))
    }

    fn is_clean(&self, wanted: u64) -> bool {
        self.runs.load(Ordering::SeqCst) >= wanted && self.faults() == [0; 3]
    }

    /// Prints the row; fails on anything found and on fewer runs than wanted.
    pub fn report(&self, fault: &str, wanted: u64) {
        let runs = self.runs.load(Ordering::SeqCst);
        let [lost, unopenable, undetected] = self.faults();
        println!("\n| {fault} | {runs} | {lost} | {unopenable} | {undetected} |");
        assert!(self.is_clean(wanted), "{fault}: {wanted} runs wanted, nothing to be found");
    }
}

/// Does `work` for 0..`count` on all cores; each worker takes the next number.
pub fn parallel(count: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    if number >= count {
                        return;
                    }
                    work(number);
                }
            });
        }
    });
}

/// Chance that is the same in every run (Knuth's MMIX constants).
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Self {
        let mut noise = Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03);
        noise.next();
        noise
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// A number below `end`; 0 when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.next() % end }
    }

    /// True once in `count`.
    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// The anti-test of every table here.
#[test]
fn a_fault_found_or_a_run_missing_fails_the_table() {
    for place in 0..3 {
        let tally = Tally::of_an_anti_test();
        tally.ran();
        assert!(tally.is_clean(1) && !tally.is_clean(2));
        tally.found([&tally.lost, &tally.unopenable, &tally.undetected][place], "one");
        assert!(!tally.is_clean(1));
    }
}
