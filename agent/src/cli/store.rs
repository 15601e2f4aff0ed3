//! `vigie store check|rebuild`.

use clap::{Args, Subcommand};
use serde::Serialize;
use vigie_store::{Reader, Store, StoreError, forecast};

use super::{OpenArgs, clock, key, open_as, outside, reader, show};
use crate::error::{Problem, exit};
use crate::monitor::{Monitor, Terminal};

/// Look at the store's own parts, rebuild its catalogue.
#[derive(Subcommand)]
pub enum StoreCommand {
    /// Say what the next opening would do: adopt entries after a stop, set torn bytes aside, rebuild
    /// the catalogue. Changes nothing. Exit 0 when it would change nothing, 4 when it would, 5 when
    /// it would refuse.
    #[command(after_help = "Example:\n  vigie store check --store store --json")]
    Check(CheckArgs),
    /// Make the catalogue anew from the segments. Evidence is not touched; the old catalogue is set
    /// aside in torn/; cookies and frontiers of profiles are lost with it.
    #[command(after_help = "Example:\n  vigie store rebuild --store store")]
    Rebuild(RebuildArgs),
}

#[derive(Args)]
pub struct CheckArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct RebuildArgs {
    #[command(flatten)]
    open: OpenArgs,
    /// No progress bar.
    #[arg(long)]
    quiet: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    signed: u64,
    rebuild: Option<&'a str>,
    adopted: u64,
    torn_bytes: u64,
    refused: Option<&'a str>,
}

pub fn store(command: StoreCommand) -> Result<u8, Problem> {
    match command {
        StoreCommand::Check(args) => check(args),
        StoreCommand::Rebuild(args) => rebuild(args),
    }
}

fn check(args: CheckArgs) -> Result<u8, Problem> {
    let key = key(&args.open)?;
    let mut found = forecast(&args.open.at.store, &key, clock().as_ref())?;
    // What witnesses and the head outside say comes on top of what the store knows itself.
    let held = Reader::open_held(&args.open.at.store, outside(&args.open.at.store)?.as_ref());
    if let Err(error @ (StoreError::TakenAway { .. } | StoreError::Rewritten { .. } | StoreError::NotOurHead { .. })) =
        held
    {
        found.refused.get_or_insert(error.to_string());
    }
    if args.json {
        show::json(&Told {
            signed: found.signed,
            rebuild: found.rebuild.as_deref(),
            adopted: found.adopted,
            torn_bytes: found.torn_bytes,
            refused: found.refused.as_deref(),
        })?;
    } else {
        show::line(format!("the signed head covers {} entries", found.signed))?;
        if let Some(why) = &found.refused {
            show::line(format!("opening it would be refused: {why}"))?;
        }
        if let Some(why) = &found.rebuild {
            show::line(format!("the catalogue would be rebuilt from the segments ({why})"))?;
        }
        if found.adopted > 0 {
            show::line(format!("{} whole entries beyond it would be adopted and signed", found.adopted))?;
        }
        if found.torn_bytes > 0 {
            show::line(format!("{} torn bytes beyond it would be set aside in torn/", found.torn_bytes))?;
        }
        if found.is_clean() {
            show::line("opening it would change nothing")?;
        }
    }
    Ok(match (&found.refused, found.is_clean()) {
        (Some(_), _) => exit::UNSOUND,
        (None, true) => exit::OK,
        (None, false) => exit::INCOMPLETE,
    })
}

fn rebuild(args: RebuildArgs) -> Result<u8, Problem> {
    let key = key(&args.open)?;
    // An older copy is met before anything in it changes.
    reader(&args.open.at.store)?;
    Store::mark_for_rebuild(&args.open.at.store)?;
    let events = show::Rebuilding(Terminal::new(args.quiet));
    let store = open_as(&args.open.at.store, key, None, &events)?;
    events.0.finish();
    drop(store);
    let reader = reader(&args.open.at.store)?;
    show::line(format!("the catalogue was made anew from {} entries", reader.size()))?;
    Ok(exit::OK)
}
