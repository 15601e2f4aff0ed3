//! `vigie tor status`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{StoreArgs, clock, show, workstation};
use crate::error::{Problem, exit};
use crate::torstate::{self, TorState};

/// Tor, as this workstation has it.
#[derive(Subcommand)]
pub enum TorCommand {
    /// Network, guards, consensus, vanguards, bridges, memory, cache. Reads the configuration and what Arti keeps
    /// with the store; sends nothing, needs no passphrase.
    #[command(after_help = "Example:\n  vigie tor status --store store --json")]
    Status(StatusArgs),
}

#[derive(Args)]
pub struct StatusArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// The workstation's configuration (else: vigie.toml beside the store).
    #[arg(long, value_name = "FILE", env = "VIGIE_CONFIG")]
    config: Option<PathBuf>,
    /// Show guards and bridges in full: who has a bridge's address can block it, who knows the guards knows where
    /// to watch this workstation.
    #[arg(long)]
    reveal: bool,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub fn tor(command: TorCommand) -> Result<u8, Problem> {
    let TorCommand::Status(args) = command;
    let store = &args.at.store;
    if !store.is_dir() {
        return Err(Problem::input(format!("there is no store at {}: make one with vigie init", store.display())));
    }
    let workstation = workstation(args.config.as_deref(), store)?;
    let state = torstate::look(store, &workstation, clock().stamp().wall, args.reveal)?;
    if args.json {
        show::json(&state)?;
    } else {
        tell(&state)?;
    }
    Ok(exit::OK)
}

fn tell(state: &TorState) -> Result<(), Problem> {
    let mut rows = vec![
        vec!["network".to_owned(), state.network_words()],
        vec!["vanguards".to_owned(), state.vanguards.clone()],
        vec!["consensus".to_owned(), state.consensus_words()],
        vec!["bridges".to_owned(), state.bridge_words()],
        vec![
            "transports".to_owned(),
            if state.transports.is_empty() { "none".into() } else { state.transports.join(", ") },
        ],
        vec![
            "proof of work".to_owned(),
            if state.proof_of_work { "done when asked for" } else { "not in this build" }.to_owned(),
        ],
        vec![
            "memory limit".to_owned(),
            state.memory_bytes.map_or_else(|| "Arti's own".into(), |bytes| format!("{} MiB", bytes / (1024 * 1024))),
        ],
        vec!["cache".to_owned(), format!("{} KiB", state.cache_bytes / 1024)],
    ];
    if state.guards.is_empty() {
        rows.push(vec!["guards".to_owned(), "none yet: the first run chooses them".to_owned()]);
    }
    for guard in &state.guards {
        let since = guard.confirmed.as_deref().map_or_else(|| "never used".to_owned(), |at| format!("confirmed {at}"));
        let off = if guard.disabled { ", disabled" } else { "" };
        rows.push(vec![
            format!("guard ({})", guard.set),
            format!("{}, {since}, known since {}{off}", guard.id, guard.added),
        ]);
    }
    show::table(&["TOR", "STATE"], &rows)
}
