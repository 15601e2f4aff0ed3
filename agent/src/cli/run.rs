//! `vigie run` and `vigie capture`.

use std::os::fd::RawFd;
use std::sync::Arc;

use clap::Args;
use serde::Serialize;

use super::{AgentArgs, OpenArgs, agent_key, clock, open, show, workstation};
use crate::error::{Failing, Problem, exit};
use crate::incoming;
use crate::monitor::{Monitor, Terminal};
use crate::run::{Plan, ROUND, Report, Work};
use crate::secrets::{self, Secret};
use crate::stop::Stop;

#[derive(Args)]
struct Common {
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    agent: AgentArgs,
    /// Mandate (else: the only one).
    #[arg(long, value_name = "ID")]
    mandate: Option<String>,
    /// Pseudonym (else: the case's only one).
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Read the profile's passphrase from this file descriptor.
    #[arg(long, value_name = "N")]
    profile_passphrase_fd: Option<RawFd>,
    /// Why: stands in the log and in every exhibit.
    #[arg(long, value_name = "TEXT")]
    purpose: String,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
    /// No progress bars.
    #[arg(long)]
    quiet: bool,
}

/// Work through a mandate's targets.
#[derive(Args)]
#[command(after_help = "Example:\n  vigie run --once --store store --purpose 'offers of ivory'")]
pub struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// One round: end when nothing is left within the mandate. Without it, a new round begins
    /// every six hours until Ctrl-C or the end of the mandate.
    #[arg(long)]
    once: bool,
}

/// Capture one address.
#[derive(Args)]
#[command(
    after_help = "Example:\n  vigie capture http://….onion/item/7 --store store --purpose 'offer seen by a colleague'"
)]
pub struct CaptureArgs {
    /// The address; `-` asks for it, so that it stands in no process list.
    #[arg(value_name = "URL", required_unless_present = "url_fd")]
    url: Option<String>,
    /// Read the address from this file descriptor.
    #[arg(long, value_name = "N", conflicts_with = "url")]
    url_fd: Option<RawFd>,
    #[command(flatten)]
    common: Common,
}

pub fn capture(args: CaptureArgs) -> Result<u8, Problem> {
    let url = match (args.url.as_deref(), args.url_fd) {
        (Some("-"), _) => secrets::line_from_prompt("address")?,
        (Some(url), _) => url.to_owned(),
        (None, Some(fd)) => secrets::line_from_fd(fd)?,
        (None, None) => return Err(Problem::input("which address? give it, or --url-fd N")),
    };
    work(args.common, true, move || Work::Address(url.clone()))
}

pub fn run(args: RunArgs) -> Result<u8, Problem> {
    work(args.common, args.once, || Work::Targets)
}

fn work(args: Common, once: bool, what: impl Fn() -> Work) -> Result<u8, Problem> {
    if args.purpose.trim().is_empty() {
        return Err(Problem::input("a session needs a purpose: say why with --purpose TEXT"));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().failing("starting the runtime")?;
    let stop = Stop::default();
    runtime.spawn(signals(stop.clone()));
    let profile_passphrase = secrets::passphrase(Secret::Profile, args.profile_passphrase_fd, false)?;
    let store = open(&args.open)?;
    let terminal: Arc<dyn Monitor> = Arc::new(Terminal::new(args.quiet));
    loop {
        let workstation = workstation(args.agent.config.as_deref(), &args.open.at.store)?;
        let plan = Plan {
            store: Arc::clone(&store),
            folder: args.open.at.store.clone(),
            agent: agent_key(&args.agent, &workstation)?,
            workstation,
            mandate: args.mandate.clone(),
            profile: args.profile.clone(),
            profile_passphrase: profile_passphrase.clone(),
            purpose: args.purpose.clone(),
            clock: clock(),
            monitor: Arc::clone(&terminal),
        };
        let report = runtime.block_on(crate::run::run(plan, what(), stop.clone()))?;
        tell(&report, args.json)?;
        if let Some(reason) = &report.stopped {
            show::error(&Problem::new(report.code(), format!("the run ended early: {reason}")));
        }
        if once || report.stopped.is_some() {
            return Ok(report.code());
        }
        let look =
            || incoming::between_rounds(&store, &args.open.at.store, args.mandate.as_deref(), clock().stamp().wall);
        runtime.block_on(pause(&stop, look))?;
    }
}

/// From the end of a round to the beginning of the next.
async fn pause(stop: &Stop, look: impl Fn() -> Result<(), Problem>) -> Result<(), Problem> {
    let mut signal = stop.signal();
    let next = tokio::time::Instant::now() + ROUND;
    while tokio::time::Instant::now() < next {
        tokio::select! {
            () = tokio::time::sleep(incoming::LOOK) => look()?,
            () = signal.raised() => {
                let reason = stop.reason().unwrap_or_default();
                return Err(Problem::new(exit::STOPPED, format!("ended between two rounds: {reason}")));
            }
        }
    }
    Ok(())
}

/// Ctrl-C and SIGTERM end the run in order; a second one ends it at once (the store is sound at
/// every moment, so nothing acknowledged is lost).
async fn signals(stop: Stop) {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return;
    };
    let mut count = 0u8;
    loop {
        let name = tokio::select! {
            _ = interrupt.recv() => "Ctrl-C",
            _ = terminate.recv() => "SIGTERM",
        };
        count += 1;
        if count > 1 {
            std::process::exit(i32::from(exit::STOPPED));
        }
        stop.raise(format!("signal: {name}"));
    }
}

#[derive(Serialize)]
struct Told<'a> {
    session: &'a str,
    exhibits: u64,
    incomplete: u64,
    refusals: u64,
    given_up: u64,
    log_size: u64,
    test_network: bool,
    stopped: Option<&'a str>,
    exit_code: u8,
}

fn tell(report: &Report, json: bool) -> Result<(), Problem> {
    if json {
        return show::json(&Told {
            session: &report.session,
            exhibits: report.exhibits,
            incomplete: report.incomplete,
            refusals: report.refusals,
            given_up: report.failed_pages,
            log_size: report.log_size,
            test_network: report.test_network,
            stopped: report.stopped.as_deref(),
            exit_code: report.code(),
        });
    }
    show::line(format!(
        "{} exhibits ({} incomplete), {} refusals, {} pages given up; log size {}",
        report.exhibits, report.incomplete, report.refusals, report.failed_pages, report.log_size
    ))?;
    Ok(())
}
