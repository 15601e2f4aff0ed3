//! Nothing but Tor leaves: whole runs in a cage, watched on the wire.

use std::time::Duration;

use rustix::process::Signal;
use vigie_tests::desk::Target;
use vigie_tests::process::Command;
use vigie_tests::sites::SECOND_HAND_HOST;

use crate::attempts;
use crate::cage::{Cage, Crossed};
use crate::ensure;
use crate::machine::PATIENCE;
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// How many runs `make leak` makes; unset in `make test`, which makes one of each kind.
const RUNS: &str = "VIGIE_LEAK_RUNS";

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![
        Case { name: "leak::nothing_but_tor_crosses_the_wire", run: runs },
        Case { name: "leak::every_way_out_is_seen", run: seen },
    ]
}

/// What a run does in the cage.
#[derive(Clone, Copy, Debug)]
enum Kind {
    /// A market: pages, pictures, redirects inside and out.
    Market,
    /// A site through an exit, by TLS.
    SecondHand,
    /// Hostile pages.
    Hostile,
    /// A service that does not exist, and one that refuses.
    Absent,
    /// Ctrl-C in the middle.
    Interrupted,
    /// SIGKILL in the middle.
    Crashed,
    /// The network process killed in the middle.
    NetKilled,
    /// What `vigie doctor` tries.
    Doctor,
}

const KINDS: [Kind; 8] = [
    Kind::Market,
    Kind::SecondHand,
    Kind::Hostile,
    Kind::Absent,
    Kind::Interrupted,
    Kind::Crashed,
    Kind::NetKilled,
    Kind::Doctor,
];

/// What could make a browser ask elsewhere (tests/src/sites/hostile.rs): redirects of all kinds, elements,
/// header fields. Those that only take time are left to another theme.
const LEAKY: [&str; 12] = [
    "/",
    "/redirect/**",
    "/meta-refresh",
    "/frames",
    "/base",
    "/alt-svc",
    "/onion-location",
    "/preload",
    "/report",
    "/links",
    "/hang-up",
    "/garbage",
];

/// Of the long form all but the first round leave out what sends nothing.
const QUICK: [Kind; 7] =
    [Kind::Hostile, Kind::Market, Kind::SecondHand, Kind::Absent, Kind::Interrupted, Kind::Crashed, Kind::NetKilled];

fn runs(world: &World) -> CaseResult {
    let dir = world.dir("leak")?;
    let Some(cage) = Cage::new(&dir, world.net.relay_ports())? else { return Ok(()) };
    let most: usize = std::env::var(RUNS).ok().and_then(|runs| runs.parse().ok()).unwrap_or(KINDS.len());
    let kinds = KINDS.into_iter().chain(QUICK.into_iter().cycle()).take(most);
    let (mut done, mut packets) = (0, 0);
    for (number, kind) in kinds.enumerate() {
        let watch = cage.watch(&format!("run-{number}"))?;
        one(world, &cage, number, kind)?;
        let crossed: Crossed = watch.end()?;
        ensure!(crossed.clean(), "{kind:?}, run {number}: {crossed:#?}");
        // The doctor starts the network process and sends nothing.
        let silent = matches!(kind, Kind::Doctor);
        ensure!(silent == (crossed.tor == 0) && silent == (crossed.counted_tor == 0), "{kind:?}: {crossed:?}");
        packets += crossed.tor;
        done += 1;
        if most > KINDS.len() {
            eprintln!("{done} of {most} runs: {packets} packets of Tor, 0 others");
        }
    }
    println!("| leak | {done} runs | {packets} packets of Tor | 0 others |");
    Ok(())
}

fn one(world: &World, cage: &Cage, number: usize, kind: Kind) -> Outcome<()> {
    let name = format!("leak-{number}");
    let onion = |name: &str| Target::onion(name, &world.net.onion(name));
    let gone = vigie_tests::tornet::absent_onion();
    let targets = match kind {
        Kind::Market | Kind::Absent => {
            vec![onion("market-a"), Target::onion("gone", &gone), onion(crate::world::NOBODY)]
        }
        Kind::SecondHand => vec![Target::web("second-hand", SECOND_HAND_HOST, world.sites.second_hand.port)],
        Kind::Hostile => {
            let include = LEAKY.map(str::to_owned).to_vec();
            vec![Target { include, ..onion("hostile") }]
        }
        Kind::Interrupted | Kind::Crashed | Kind::NetKilled | Kind::Doctor => vec![onion("bulk")],
    };
    let station = Station::desk(world, &name, &targets)?;
    station.pace()?;
    if matches!(kind, Kind::Hostile) {
        station.configure(crate::hostile::FETCH)?;
    }
    station.set_up_quickly("store")?;
    let run = || cage.enter(station.run_once().limit(Duration::from_secs(600)));
    match kind {
        Kind::Market | Kind::SecondHand | Kind::Hostile => {
            let output = run().run()?;
            ensure!(matches!(output.code(), Some(0 | 3 | 4)), "{kind:?}: {:?} {}", output.code(), output.errors());
            ensure!(!station.seen()?.is_empty(), "{kind:?} recorded nothing: {}", output.errors());
        }
        Kind::Absent => {
            for host in [gone, world.net.onion(crate::world::NOBODY)] {
                let output = cage.enter(station.capture(&format!("http://{host}/"))).run()?;
                ensure!(output.code() == Some(4), "{:?} {}", output.code(), output.errors());
            }
        }
        Kind::Interrupted => {
            let mut run = run().spawn()?;
            station.seen_during(&mut run, 5)?;
            run.signal(Signal::INT);
            run.wait(PATIENCE)?.exits(130)?;
        }
        Kind::Crashed => {
            let mut run = run().spawn()?;
            station.seen_during(&mut run, 5)?;
            run.signal(Signal::KILL);
            run.wait(PATIENCE)?;
        }
        Kind::NetKilled => {
            let mut run = run().spawn()?;
            station.seen_during(&mut run, 5)?;
            crate::confined::kill_net(&run)?;
            station.seen_during(&mut run, 20)?;
            run.signal(Signal::INT);
            run.wait(PATIENCE)?.exits(130)?;
        }
        Kind::Doctor => {
            cage.enter(station.vigie(&["doctor", "--json"])).run()?.success()?;
        }
    }
    std::fs::remove_dir_all(station.desk.dir())?;
    Ok(())
}

fn seen(world: &World) -> CaseResult {
    let dir = world.dir("leak-seen")?;
    let Some(cage) = Cage::new(&dir, world.net.relay_ports())? else { return Ok(()) };
    let program = std::env::current_exe()?;
    for attempt in &attempts::ALL {
        let watch = cage.watch(attempt.name)?;
        cage.enter(Command::new(&program).env(attempts::ATTEMPT, attempt.name)).run()?.success()?;
        watch.until_other()?;
        let crossed = watch.end()?;
        ensure!(!crossed.others.is_empty(), "{}: the wire saw nothing", attempt.name);
        ensure!(crossed.counted_others > 0, "{}: the filter saw nothing", attempt.name);
        ensure!(crossed.tor == 0 && crossed.counted_tor == 0, "{}: {crossed:?}", attempt.name);
    }
    // A relay that does answer is no leak: the watchers tell the two apart.
    let watch = cage.watch("relay")?;
    let relay = format!("exec 3<>/dev/tcp/127.0.0.1/{}", world.net.relay_ports()[0]);
    cage.enter(Command::new("bash").args(["-c", &relay])).run()?.success()?;
    let crossed = watch.end()?;
    ensure!(crossed.clean() && crossed.tor > 0 && crossed.counted_tor > 0, "{crossed:?}");
    Ok(())
}
