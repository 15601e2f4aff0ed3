//! `record`: how fast pages become durable, sealed exhibits, and in how much memory.

use std::path::PathBuf;

use crate::numbers::{Table, median, mib};
use crate::world::{Round, World};
use crate::{Outcome, stop};

/// Rounds of all peers, interleaved, and the store of Vigie's last one.
pub struct Rounds {
    /// Vigie.
    pub vigie: Vec<Round>,
    /// Bare Arti and hyper.
    pub bare: Vec<Round>,
    /// curl through C tor.
    pub curl: Vec<Round>,
    /// What Vigie's last round left.
    pub store: PathBuf,
}

impl Rounds {
    /// Runs the peers in turn, `count` times.
    pub fn run(world: &World, count: usize, bare: bool, curl: bool) -> Outcome<Self> {
        let mut rounds = Self { vigie: Vec::new(), bare: Vec::new(), curl: Vec::new(), store: PathBuf::new() };
        for number in 1..=count {
            stop::check()?;
            eprintln!("bench: round {number} of {count}");
            let (round, store) = world.vigie(number)?;
            rounds.vigie.push(round);
            if number > 1 {
                std::fs::remove_dir_all(&rounds.store)?;
            }
            rounds.store = store;
            if bare {
                rounds.bare.push(world.bare(number)?);
            }
            if curl {
                rounds.curl.push(world.curl()?);
            }
        }
        Ok(rounds)
    }
}

impl Rounds {
    /// How far other programs disturbed the rounds, in words.
    pub fn disturbance(&self) -> String {
        let most = self.vigie.iter().chain(&self.bare).chain(&self.curl).map(|round| round.foreign).fold(0.0, f64::max);
        format!("other programs took up to {:.0} % of the processors in a round", most * 100.0)
    }
}

/// Prints the theme and adds it to the table.
pub fn report(rounds: &Rounds, pages: usize, table: &mut Table) {
    println!(
        "\nrecord: {pages} pages of 80 KB from one onion service over a private Tor network, 16 at once, medians of {} \
         rounds in turn",
        rounds.vigie.len()
    );
    println!("  clock starts: the site is asked for the first page (circuits stand, the index has been read)");
    println!("  clock ends: Vigie, its log's `session-close`, written after every exhibit is durable;");
    println!("              bare Arti 0.47 + hyper (full vanguards too), its last byte read; bodies are dropped;");
    println!(
        "              curl --parallel --parallel-max 16 (one process) through C tor, its end; bodies to /dev/null"
    );
    println!("  {}", rounds.disturbance());
    let speed = |rounds: &[Round]| median(rounds.iter().map(|round| round.pages_per_s));
    let vigie = speed(&rounds.vigie);
    for (name, peer, aim) in [("bare Arti + hyper", &rounds.bare, 0.95), ("curl + C tor", &rounds.curl, 2.0)] {
        let each: Vec<String> = rounds
            .vigie
            .iter()
            .zip(peer)
            .map(|(vigie, peer)| {
                let ratio = vigie.pages_per_s / peer.pages_per_s;
                format!("{:.0}/{:.0} = {ratio:.2}x", vigie.pages_per_s, peer.pages_per_s)
            })
            .collect();
        println!("  Vigie / {name}, pages/s by round: {}", each.join(", "));
        let (what, peer) = (format!("pages/s vs {name}"), speed(peer));
        let aim = format!(">= {aim}x");
        table.add("record", &what, format!("{vigie:.1}"), format!("{peer:.1}"), Some(vigie / peer), &aim);
    }
    let peak = |rounds: &[Round], of: fn(&Round) -> u64| rounds.iter().map(of).max().unwrap_or(0);
    let recording = |rounds: &[Round]| peak(rounds, |round| round.peak_bytes);
    let (vigie, bare) = (recording(&rounds.vigie), recording(&rounds.bare));
    println!(
        "  peak memory (VmHWM): Vigie {} while recording, {} before (scrypt takes 256 MiB to unlock); bare Arti {}",
        mib(vigie),
        mib(peak(&rounds.vigie, |round| round.peak_before_bytes)),
        mib(bare)
    );
    table.add(
        "record",
        "peak memory vs bare Arti + hyper",
        mib(vigie),
        mib(bare),
        Some(vigie as f64 / bare as f64),
        "",
    );
}
