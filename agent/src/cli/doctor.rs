//! `vigie doctor`.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use jiff::Timestamp;
use vigie_store::{Entry, Reader};

use super::{SandboxArgs, StoreArgs, clock, show, workstation};
use crate::doctor::{Patient, State, examine};
use crate::error::{Failing, Problem, exit};
use crate::monitor::{Monitor, Terminal};
use crate::parts::Launcher;
use crate::run::transports;

/// Whether this workstation is fit: what the kernel offers, what each process can really do, clock,
/// disk, memory, Tor, header sets. Sends nothing.
#[derive(Args)]
#[command(
    after_help = "Exit 0 when a run is possible (warnings included), 1 when something is bad.\n\nExample:\n  vigie doctor --store store"
)]
pub struct DoctorArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// The workstation's configuration (else: vigie.toml beside the store).
    #[arg(long, value_name = "FILE", env = "VIGIE_CONFIG")]
    config: Option<PathBuf>,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

pub fn doctor(args: DoctorArgs) -> Result<u8, Problem> {
    let store = &args.at.store;
    let newest = newest(&Reader::open(store)?)?;
    let workstation = workstation(args.config.as_deref(), store)?;
    let launcher =
        Arc::new(Launcher::start(&args.sandbox.dangerously_without_sandbox, None, &transports(store, &workstation)?)?);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().failing("starting the runtime")?;
    let monitor: Arc<dyn Monitor> = Arc::new(Terminal::new(true));
    let patient = Patient { store, workstation: &workstation, launcher, clock: clock(), newest, monitor };
    let checks = runtime.block_on(examine(&patient));
    let bad = checks.iter().any(|check| check.state == State::Bad);
    if args.json {
        show::json(&checks)?;
    } else {
        let word = |state| match state {
            State::Ok => "ok",
            State::Warning => "WARNING",
            State::Bad => "BAD",
        };
        let rows: Vec<_> = checks
            .iter()
            .map(|check| vec![check.what.to_owned(), word(check.state).to_owned(), check.found.clone()])
            .collect();
        show::table(&["CHECK", "STATE", "FOUND"], &rows)?;
    }
    Ok(if bad { exit::FAILED } else { exit::OK })
}

/// Time of the newest entry.
fn newest(reader: &Reader) -> Result<Option<Timestamp>, Problem> {
    let Some(last) = reader.size().checked_sub(1) else { return Ok(None) };
    let bytes = reader.entry_bytes(last)?;
    Entry::parse(&bytes)
        .map(|entry| Some(entry.stamp.wall))
        .map_err(|_| Problem::unsound("the newest entry of the log cannot be read: run vigie verify"))
}
