//! `verify`: checking a store against merely hashing its files.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::numbers::{Table, median};
use crate::{Outcome, stop, world};

/// How often each is timed.
const TIMES: usize = 5;

/// Times both in turn, prints the theme and adds it to the table.
pub fn run(store: &Path, table: &mut Table) -> Outcome<()> {
    let mut segments = Vec::new();
    let mut bytes = 0;
    for entry in std::fs::read_dir(store.join("segments"))? {
        let entry = entry?;
        bytes += entry.metadata()?.len();
        segments.push(entry.path());
    }
    segments.sort();
    let vigie = world::beside("vigie")?;
    eprintln!("bench: verifying the store {TIMES} times");
    // Both once unmeasured: the files are then in the page cache for both.
    verify(&vigie, store)?;
    sum(&segments)?;
    let (mut verified, mut summed) = (Vec::new(), Vec::new());
    for _ in 0..TIMES {
        stop::check()?;
        verified.push(verify(&vigie, store)?);
        summed.push(sum(&segments)?);
    }
    let speed = |seconds: Vec<f64>| bytes as f64 / 1e6 / median(seconds);
    let (ours, theirs) = (speed(verified), speed(summed));
    println!(
        "\nverify: `vigie verify` without an identity against `sha256sum` of the same {} segment file(s), {:.1} MB, \
         page cache warm, process start included, medians of {TIMES} in turn",
        segments.len(),
        bytes as f64 / 1e6
    );
    println!("  vigie verify {ours:.0} MB/s; sha256sum {theirs:.0} MB/s");
    let (mine, peer) = (format!("{ours:.0}"), format!("{theirs:.0}"));
    table.add("verify", "MB/s vs sha256sum", mine, peer, Some(ours / theirs), "");
    Ok(())
}

fn verify(vigie: &Path, store: &Path) -> Outcome<f64> {
    timed(Command::new(vigie).args(["verify", "--quiet", "--store"]).arg(store))
}

fn sum(segments: &[PathBuf]) -> Outcome<f64> {
    timed(Command::new("sha256sum").args(segments))
}

/// Seconds of a program that must succeed. Waits in the kernel: looking now and then would be too
/// coarse for some milliseconds.
fn timed(command: &mut Command) -> Outcome<f64> {
    let started = Instant::now();
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status()?;
    let seconds = started.elapsed().as_secs_f64();
    if !status.success() {
        return Err(format!("{} ended with {status}", command.get_program().display()).into());
    }
    Ok(seconds)
}
