//! The end-to-end suite: one private Tor network and one set of sample sites for all cases.
//!
//! A case is one function `fn(&World) -> CaseResult` in `e2e/<theme>.rs`, listed in that file's
//! `cases()`. Cases run on several threads; one that needs a quiet site takes
//! [`World::quiet`]. A filter that matches no case starts no network:
//! `cargo test -p vigie-tests --test e2e -- tls`.

#[path = "e2e/acts.rs"]
mod acts;
#[path = "e2e/addresses.rs"]
mod addresses;
#[path = "e2e/attempts.rs"]
mod attempts;
#[path = "e2e/bridges.rs"]
mod bridges;
#[path = "e2e/cage.rs"]
mod cage;
#[path = "e2e/chain.rs"]
mod chain;
#[path = "e2e/cli.rs"]
mod cli;
#[path = "e2e/cli_terminal.rs"]
mod cli_terminal;
#[path = "e2e/clock.rs"]
mod clock;
#[path = "e2e/confined.rs"]
mod confined;
#[path = "e2e/cookies.rs"]
mod cookies;
#[path = "e2e/court.rs"]
mod court;
#[path = "e2e/endure.rs"]
mod endure;
#[path = "e2e/exits.rs"]
mod exits;
#[path = "e2e/faults.rs"]
mod faults;
#[path = "e2e/faults_disk.rs"]
mod faults_disk;
#[path = "e2e/faults_input.rs"]
mod faults_input;
#[path = "e2e/faults_store.rs"]
mod faults_store;
#[path = "e2e/firewall.rs"]
mod firewall;
#[path = "e2e/hostile.rs"]
mod hostile;
#[path = "e2e/isolation.rs"]
mod isolation;
#[path = "e2e/leak.rs"]
mod leak;
#[path = "e2e/machine.rs"]
mod machine;
#[path = "e2e/mandates.rs"]
mod mandates;
#[path = "e2e/network.rs"]
mod network;
#[allow(dead_code, reason = "its forgeries are the other tests' affair")]
#[path = "../../store/onion/tests/onion/kit.rs"]
mod onionkit;
#[path = "e2e/opened.rs"]
mod opened;
#[path = "e2e/pictures.rs"]
mod pictures;
#[path = "e2e/plugin.rs"]
mod plugin;
#[path = "e2e/published.rs"]
mod published;
#[path = "e2e/reasons.rs"]
mod reasons;
#[path = "e2e/relays.rs"]
mod relays;
#[path = "e2e/restored.rs"]
mod restored;
#[path = "e2e/restricted.rs"]
mod restricted;
#[path = "e2e/retention.rs"]
mod retention;
#[path = "e2e/running.rs"]
mod running;
#[path = "e2e/sample_sites.rs"]
mod sample_sites;
#[path = "e2e/share.rs"]
mod share;
#[path = "e2e/station.rs"]
mod station;
#[path = "e2e/stop.rs"]
mod stop;
#[path = "e2e/time.rs"]
mod time;
#[allow(dead_code, reason = "the authority can do more than is asked of it here")]
#[path = "../../store/time/tests/time/kit.rs"]
mod tsa;
#[path = "e2e/verified.rs"]
mod verified;
#[path = "e2e/witness.rs"]
mod witness;
#[path = "e2e/witness_acts.rs"]
mod witness_acts;
#[path = "e2e/work.rs"]
mod work;
#[path = "e2e/world.rs"]
mod world;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::world::{Case, World};

/// All themes.
fn cases() -> Vec<Case> {
    [
        network::cases(),
        sample_sites::cases(),
        chain::cases(),
        hostile::cases(),
        acts::cases(),
        addresses::cases(),
        mandates::cases(),
        running::cases(),
        pictures::cases(),
        cookies::cases(),
        restored::cases(),
        restricted::cases(),
        work::cases(),
        isolation::cases(),
        reasons::cases(),
        relays::cases(),
        retention::cases(),
        clock::cases(),
        time::cases(),
        published::cases(),
        faults::cases(),
        exits::cases(),
        faults_input::cases(),
        faults_store::cases(),
        faults_disk::cases(),
        stop::cases(),
        witness::cases(),
        confined::cases(),
        bridges::cases(),
        firewall::cases(),
        leak::cases(),
        endure::cases(),
        court::cases(),
        verified::cases(),
        share::cases(),
        witness_acts::cases(),
        cli::cases(),
        cli_terminal::cases(),
    ]
    .concat()
}

fn main() -> ExitCode {
    // Before the other: a plugin inherits the environment of the vigie that calls it.
    if plugin::is_meant() {
        return plugin::main();
    }
    if let Some(name) = std::env::var_os(attempts::ATTEMPT) {
        return attempts::main(&name.to_string_lossy());
    }
    if let Some(without) = std::env::var_os(confined::WITHOUT) {
        confined::older_kernel(&without.to_string_lossy());
    }
    // Vigie starts its parts without its environment.
    let part = std::env::args_os().nth(1).is_some_and(|argument| argument == vigie_agent::PART);
    if part {
        clock::set();
    }
    if part || std::env::var_os(station::AS_VIGIE).is_some() {
        return vigie_agent::cli::main();
    }
    if std::env::var_os(station::AS_WITNESS).is_some() {
        return vigie_witness::cli::main();
    }
    if std::env::var_os(station::AS_VERIFY).is_some() {
        return vigie_verify::cli::main();
    }
    let arguments = Arguments::from_args();
    // Started by the first case that runs (so `--list` and empty filters cost nothing) and taken
    // down below, whatever the cases did.
    let world: Arc<OnceLock<Result<World, String>>> = Arc::default();
    let trials = cases()
        .into_iter()
        .map(|case| {
            let world = world.clone();
            Trial::test(case.name, move || match world.get_or_init(World::start) {
                Ok(world) => (case.run)(world).map_err(|e| Failed::from(e.to_string())),
                Err(error) => Err(Failed::from(format!("the world did not come up: {error}"))),
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    // All trials are done and dropped their share: this ends every process of the network.
    drop(Arc::into_inner(world));
    conclusion.exit_code()
}
