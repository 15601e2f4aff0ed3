//! `vigie run` and `vigie capture`.

use std::fs::DirBuilder;
use std::ops::ControlFlow;
use std::os::fd::RawFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use vigie_confine::Role;
use vigie_store::Store;
use vigie_wire::control::Confinement;

use super::{
    SandboxArgs, SignArgs, WhoseArgs, agent_key, clock, head_leaves, key, open_with, outside, show, workstation,
};
use crate::error::{Failing, Problem, exit};
use crate::monitor::{Monitor, Terminal};
use crate::parts::{DrawPool, Launcher, ParsePool};
use crate::run::{Plan, Report, Work, transports};
use crate::schedule::{self, Schedule};
use crate::secrets::{self, Secret};
use crate::stop::Stop;

/// How often a run that waits for its next round looks for lists of revocations.
const LOOK: Duration = Duration::from_millis(500);

#[derive(Args)]
struct Common {
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    whose: WhoseArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
    /// No progress bars.
    #[arg(long)]
    quiet: bool,
}

/// Work through a mandate's targets.
#[derive(Args)]
#[command(
    after_help = "Example:\n  vigie run --once --store store --purpose 'offers of ivory'\n  vigie run --every 2h --store store --purpose 'offers of ivory'"
)]
pub struct RunArgs {
    #[command(flatten)]
    common: Common,
    /// One round: end when nothing is left within the mandate. Without it, round follows round until
    /// Ctrl-C or the end of the mandate.
    #[arg(long)]
    once: bool,
    /// From the begin of a round to the begin of the next: 1m to 7d.
    #[arg(long, value_name = "TIME", default_value = "6h", value_parser = schedule::distance, conflicts_with = "once")]
    every: SignedDuration,
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
    if url.is_empty() {
        return Err(Problem::input("no address was given: give one, on its own line"));
    }
    work(args.common, None, move || Work::Address(url.clone()))
}

pub fn run(args: RunArgs) -> Result<u8, Problem> {
    work(args.common, (!args.once).then_some(args.every), || Work::Targets)
}

/// One round, or one after the other at a distance.
fn work(args: Common, every: Option<SignedDuration>, what: impl Fn() -> Work) -> Result<u8, Problem> {
    args.sign.check()?;
    let folder = &args.sign.open.at.store;
    let workstation = workstation(args.sign.agent.config.as_deref(), folder)?;
    // Everything that may be asked for is asked before the first round, and once.
    let key = key(&args.sign.open)?;
    let profile_passphrase = secrets::passphrase(Secret::Profile, args.whose.profile_passphrase_fd, false)?;
    let mut agent = agent_key(&args.sign.agent, &workstation)?;
    let launcher = Arc::new(Launcher::start(
        &args.sandbox.dangerously_without_sandbox,
        agent.file(),
        &transports(folder, &workstation)?,
    )?);
    agent.through(&launcher);
    let agent = Arc::new(agent);
    let pages = Arc::new(ParsePool::new(Arc::clone(&launcher)));
    let pictures = Arc::new(DrawPool::new(Arc::clone(&launcher)));
    let confinement = confine(folder, &launcher)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().failing("starting the runtime")?;
    let stop = Stop::default();
    // From here on a signal ends the run in order; until here it ended the program, a prompt too.
    runtime.block_on(async { signals(stop.clone()) }).failing("preparing for signals")?;
    let store = open_with(folder, key)?;
    let terminal: Arc<dyn Monitor> = Arc::new(Terminal::new(args.quiet));
    let mut schedule = every.map(|every| Schedule::new(every, clock().stamp().wall));
    let (mut number, mut missed) = (1, 0);
    loop {
        let plan = Plan {
            store: Arc::clone(&store),
            folder: folder.clone(),
            agent: Arc::clone(&agent),
            workstation: workstation.clone(),
            mandate: args.whose.mandate.clone(),
            profile: args.whose.profile.clone(),
            profile_passphrase: profile_passphrase.clone(),
            purpose: args.sign.purpose.clone(),
            clock: clock(),
            monitor: Arc::clone(&terminal),
            launcher: Arc::clone(&launcher),
            pages: Arc::clone(&pages),
            pictures: Arc::clone(&pictures),
            confinement: confinement.clone(),
        };
        let round = runtime.block_on(crate::run::run(plan, what(), stop.clone()));
        // The store stays open for the next round; what this session wrote is met again from now on.
        head_leaves(folder)?;
        let code = match round {
            Ok(report) => {
                tell(&report, number, missed, args.json)?;
                if let Some(reason) = &report.stopped {
                    show::error(&Problem::new(report.code(), format!("the run ended early: {reason}")));
                    return Ok(report.code());
                }
                report.code()
            }
            // A network that is away for a round may be back for the next; a refusal stays one.
            Err(problem) if problem.code == exit::FAILED && schedule.is_some() => {
                show::error(&problem);
                problem.code
            }
            Err(problem) => return Err(problem),
        };
        let Some(schedule) = &mut schedule else { return Ok(code) };
        let next = schedule.next(clock().stamp().wall);
        if next.missed > 0 {
            let missed = next.missed;
            terminal.line(&format!("{missed} rounds left out: the last one, or a suspended machine, took their time"));
        }
        (number, missed) = (number + 1, next.missed);
        terminal.line(&format!("the next round begins at {}", next.at.strftime("%Y-%m-%dT%H:%M:%SZ")));
        if runtime.block_on(rest(&store, args.whose.mandate.as_deref(), &stop, schedule, next.at))?.is_break() {
            return Ok(exit::STOPPED);
        }
    }
}

/// Gives up what this process does not need, for good: it asks for nothing any more, and the next bytes
/// that it sees are a stranger's.
fn confine(folder: &Path, launcher: &Launcher) -> Result<Confinement, Problem> {
    let store = std::fs::canonicalize(folder)
        .map_err(|e| Problem::input(format!("there is no store at {}: {e}", folder.display())))?;
    let mut write = vec![store];
    if let Some(outside) = outside(folder)? {
        // Where it cannot be made, keeping a head there warns later.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(outside.folder());
        write.extend(std::fs::canonicalize(outside.folder()));
    }
    // Its own digest, which the session's record names; facts of the clock; the number of processors.
    let read = ["/proc/self/exe", "/proc/sys/kernel/random", "/sys/fs/cgroup", "/proc/self"];
    let read = read.iter().map(PathBuf::from).filter(|path| path.exists()).collect();
    vigie_confine::enter(&Role::Record { write, read }, &launcher.may_lack)
        .map_err(|error| Problem::other(format!("confining the recording process: {error}")))
}

/// Ctrl-C and SIGTERM end the run in order; a second one ends it at once (the store is sound at
/// every moment, so nothing acknowledged is lost). Needs a runtime to run in.
fn signals(stop: Stop) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
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
    });
    Ok(())
}

/// Waits for the next round. A list of revocations that comes meanwhile is taken in within a
/// second, and ends the run when its mandate is meant.
async fn rest(
    store: &Store,
    mandate: Option<&str>,
    stop: &Stop,
    schedule: &Schedule,
    next: Timestamp,
) -> Result<ControlFlow<()>, Problem> {
    let begun = Instant::now();
    let mut signal = stop.signal();
    while !schedule.due(next, clock().stamp().wall, begun.elapsed()) {
        tokio::select! {
            biased;
            () = signal.raised() => return Ok(ControlFlow::Break(())),
            () = tokio::time::sleep(LOOK) => {}
        }
        let now = clock().stamp().wall;
        for list in crate::incoming::take(store, store.folder(), store.key(), now) {
            let mandate = crate::mandates::find(store, mandate)?;
            let mandate = crate::mandates::read(store, &mandate.id)?;
            list?.check(&mandate, now).map_err(|refusal| Problem::refused(refusal.to_string()))?;
        }
    }
    Ok(ControlFlow::Continue(()))
}

#[derive(Serialize)]
struct Told<'a> {
    session: &'a str,
    /// From 1.
    round: u64,
    /// Planned rounds left out before this one.
    missed: u64,
    exhibits: u64,
    incomplete: u64,
    refusals: u64,
    given_up: u64,
    log_size: u64,
    test_network: bool,
    stopped: Option<&'a str>,
    exit_code: u8,
}

fn tell(report: &Report, round: u64, missed: u64, json: bool) -> Result<(), Problem> {
    if json {
        return show::json(&Told {
            session: &report.session,
            round,
            missed,
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
