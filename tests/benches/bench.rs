//! Speed and memory of Vigie, each as a ratio to a peer that did comparable work in the same run.
//! No duration is asserted: the numbers are for reading.
//!
//! ```text
//! cargo build --locked --release --bin vigie
//! cargo bench --locked -p vigie-tests --bench bench -- [THEME …]
//! ```
//!
//! Themes (all without arguments): `record` (pages per second and memory, against bare Arti with
//! hyper and against curl through C tor), `cpu` (processor time per page, against bare Arti with
//! hyper), `verify` (against `sha256sum`), `start` (from the command to
//! the first page, against bare Arti; memory of all processes), `append` (durable appends, against SQLite and redb), `proof`
//! (inclusion proofs from a million entries, against `tlog_tiles`), `scale` (a large store: opening, look-ups,
//! proofs, memory, space; against the aims alone), `pictures` (pages drawn, against headless Chromium where there is one).
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `VIGIE_BENCH_PAGES` | pages recorded in each round, 1 … 1000 | 1000 |
//! | `VIGIE_BENCH_ROUNDS` | rounds of `record`, `cpu`, `append` and `proof` | 3 |
//! | `VIGIE_BENCH_ENTRIES` | entries of the store of `proof` | 100000 |
//! | `VIGIE_BENCH_APPENDS` | appends of one thread in a round of `append` | 300 |
//! | `VIGIE_BENCH_EXHIBITS` | exhibits in the store of `scale` | 1,000,000 |

#[path = "bench/append.rs"]
mod append;
#[path = "bench/bare.rs"]
mod bare;
#[path = "bench/cpu.rs"]
mod cpu;
#[path = "bench/machine.rs"]
mod machine;
#[path = "bench/numbers.rs"]
mod numbers;
#[path = "bench/pictures.rs"]
mod pictures;
#[path = "bench/proof.rs"]
mod proof;
#[path = "bench/record.rs"]
mod record;
#[path = "bench/scale.rs"]
mod scale;
#[path = "bench/site.rs"]
mod site;
#[path = "bench/start.rs"]
mod start;
#[path = "bench/stop.rs"]
mod stop;
#[path = "bench/verify.rs"]
mod verify;
#[path = "bench/watch.rs"]
mod watch;
#[path = "bench/world.rs"]
mod world;

use std::process::ExitCode;

use crate::numbers::Table;
use crate::record::Rounds;
use crate::world::World;

/// Result of anything here; an error ends the bench with its text.
type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

const USAGE: &str = "usage: cargo bench --locked -p vigie-tests --bench bench -- [record] [cpu] [verify] [start] [append] [proof] [scale] [pictures]";

/// What to measure, in the order in which it is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Theme {
    Record,
    Cpu,
    Verify,
    Start,
    Append,
    Proof,
    Scale,
    Pictures,
}

const ALL: [Theme; 8] = [
    Theme::Record,
    Theme::Cpu,
    Theme::Verify,
    Theme::Start,
    Theme::Append,
    Theme::Proof,
    Theme::Scale,
    Theme::Pictures,
];

/// Pages of the site in `start`.
const START_PAGES: usize = 20;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    pages: usize,
    rounds: usize,
    appends: usize,
    entries: usize,
    exhibits: usize,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.split_first() {
        Some((command, rest)) if command == bare::COMMAND => bare::main(rest),
        Some((command, rest)) if command == scale::COMMAND => scale::main(rest),
        Some((command, rest)) if command == pictures::COMMAND => pictures::main(rest),
        // cargo adds `--bench` to whatever it is given.
        _ => match themes(args.iter().map(String::as_str).filter(|arg| *arg != "--bench")) {
            Some(themes) => bench(&themes),
            None => {
                eprintln!("{USAGE}");
                return ExitCode::from(2);
            }
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn themes<'a>(args: impl Iterator<Item = &'a str>) -> Option<Vec<Theme>> {
    let named = args
        .map(|arg| match arg {
            "record" => Some(Theme::Record),
            "cpu" => Some(Theme::Cpu),
            "verify" => Some(Theme::Verify),
            "start" => Some(Theme::Start),
            "append" => Some(Theme::Append),
            "proof" => Some(Theme::Proof),
            "scale" => Some(Theme::Scale),
            "pictures" => Some(Theme::Pictures),
            _ => None,
        })
        .collect::<Option<Vec<_>>>()?;
    Some(if named.is_empty() { ALL.to_vec() } else { named })
}

fn bench(themes: &[Theme]) -> Outcome<()> {
    let asked = |theme| themes.contains(&theme);
    let sizes = Sizes {
        pages: size("VIGIE_BENCH_PAGES", 1000)?.min(vigie_tests::sites::bulk::PAGES),
        rounds: size("VIGIE_BENCH_ROUNDS", 3)?,
        appends: size("VIGIE_BENCH_APPENDS", 300)?,
        entries: size("VIGIE_BENCH_ENTRIES", 100_000)?,
        exhibits: size("VIGIE_BENCH_EXHIBITS", 1_000_000)?,
    };
    stop::listen()?;
    machine::print();
    // Removed with everything in it when this function ends, however it ends.
    let dir = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut table = Table::default();

    if asked(Theme::Record) || asked(Theme::Cpu) || asked(Theme::Verify) {
        let world = World::start(dir.path(), sizes.pages)?;
        let rounds = match (asked(Theme::Record), asked(Theme::Cpu)) {
            (true, _) => Rounds::run(&world, sizes.rounds, true, true)?,
            (false, true) => Rounds::run(&world, sizes.rounds, true, false)?,
            // One store is enough to verify.
            (false, false) => Rounds::run(&world, 1, false, false)?,
        };
        // What follows needs the processors for itself.
        drop(world);
        if asked(Theme::Record) {
            record::report(&rounds, sizes.pages, &mut table);
        }
        if asked(Theme::Cpu) {
            cpu::report(&rounds, sizes.pages, &mut table);
        }
        if asked(Theme::Verify) {
            verify::run(&rounds.store, &mut table)?;
        }
    }
    if asked(Theme::Start) {
        let world = World::start(&dir.path().join("start"), START_PAGES)?;
        start::run(&world, sizes.rounds, &mut table)?;
    }
    if asked(Theme::Append) {
        append::run(dir.path(), sizes.rounds, sizes.appends, &mut table)?;
    }
    if asked(Theme::Proof) {
        proof::run(dir.path(), sizes.rounds, sizes.entries, &mut table)?;
    }
    if asked(Theme::Scale) {
        scale::run(dir.path(), sizes.exhibits, &mut table)?;
    }
    if asked(Theme::Pictures) {
        pictures::run(dir.path(), sizes.rounds, &mut table)?;
    }
    table.print();
    Ok(())
}

fn size(variable: &str, default: usize) -> Outcome<usize> {
    match std::env::var(variable) {
        Err(_) => Ok(default),
        Ok(text) => match text.parse() {
            Ok(number) if number > 0 => Ok(number),
            _ => Err(format!("{variable} must be a positive whole number, not `{text}`").into()),
        },
    }
}
