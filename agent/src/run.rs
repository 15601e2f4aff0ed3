//! A run: opens a session, works through the mandate's targets, closes it.

mod network;
mod opening;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use secrecy::SecretString;
use tokio::task::JoinSet;
use vigie_config::authorize::{Element, Via};
use vigie_config::mandate::Mandate;
use vigie_config::profile::Profile;
use vigie_store::clock::Clock;
use vigie_store::{Kind, Store};
use vigie_wire::control::Confinement;

pub use self::network::{start, transports};
use self::opening::open;
use crate::agentkey::AgentKey;
use crate::capture::{Outcome, capture};
use crate::crawl::crawl;
use crate::descriptors;
use crate::error::{Failing, Problem, exit};
use crate::incoming;
use crate::mandates;
use crate::monitor::Monitor;
use crate::originals::Originals;
use crate::parts::{DrawPool, Launcher, ParsePool};
use crate::rows::ProfileRow;
use crate::session::Session;
use crate::stop::Stop;
use crate::wanted::Wanted;
use crate::workstation::Workstation;

/// What a run needs, given by the command line.
pub struct Plan {
    /// The open store.
    pub store: Arc<Store>,
    /// Its directory.
    pub folder: PathBuf,
    /// Configuration of the workstation.
    pub workstation: Workstation,
    /// Mandate, or the only one.
    pub mandate: Option<String>,
    /// Pseudonym, or the only one.
    pub profile: Option<String>,
    /// Opens the profile.
    pub profile_passphrase: SecretString,
    /// Signs who acted.
    pub agent: Arc<AgentKey>,
    /// Why the agent looks.
    pub purpose: String,
    /// Clock.
    pub clock: Arc<dyn Clock>,
    /// Who watches.
    pub monitor: Arc<dyn Monitor>,
    /// Starts the other processes.
    pub launcher: Arc<Launcher>,
    /// Reads pages.
    pub pages: Arc<ParsePool>,
    /// Draws pages.
    pub pictures: Arc<DrawPool>,
    /// What this process put on.
    pub confinement: Confinement,
}

/// How a run ended.
pub struct Report {
    /// Session id, hex.
    pub session: String,
    /// Exhibits acknowledged, by number.
    pub exhibits: u64,
    /// Of these, not whole.
    pub incomplete: u64,
    /// Refusal entries.
    pub refusals: u64,
    /// Refused addresses that were asked for.
    pub refused_pages: u64,
    /// Pages given up.
    pub failed_pages: u64,
    /// Why it ended before the work was done, else `None`.
    pub stopped: Option<String>,
    /// Log size after the run.
    pub log_size: u64,
    /// Recorded on a test network.
    pub test_network: bool,
}

impl Report {
    /// Exit code that tells it to a script.
    pub fn code(&self) -> u8 {
        match &self.stopped {
            Some(reason) if reason.starts_with("refused") => exit::REFUSED,
            Some(reason) if reason.starts_with("signal") => exit::STOPPED,
            Some(_) => exit::FAILED,
            None if self.incomplete > 0 || self.failed_pages > 0 => exit::INCOMPLETE,
            None if self.refused_pages > 0 => exit::REFUSED,
            None => exit::OK,
        }
    }
}

/// What to work on.
pub enum Work {
    /// Each target from its entry points, until nothing is left.
    Targets,
    /// One address, no links followed.
    Address(String),
}

/// Opens a session, does the work, closes the session, and shuts the network part down.
pub async fn run(plan: Plan, work: Work, stop: Stop) -> Result<Report, Problem> {
    let session = Arc::new(open(plan, &work, stop).await?);
    incoming::look(&session);
    let watch = tokio::spawn(incoming::watch(Arc::clone(&session)));
    let result = do_work(&session, work).await;
    descriptors::finish(&session).await;
    watch.abort();
    let end = match (&result, session.stop_reason()) {
        (Err(problem), _) => problem.line.clone(),
        (Ok(()), Some(reason)) => reason,
        (Ok(()), None) => "done".to_owned(),
    };
    let closed = session.log_close(&end).await;
    session.net.shutdown().await;
    session.monitor.finish();
    result?;
    let closed = closed?;
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    Ok(Report {
        session: data_encoding::HEXLOWER.encode(&session.id),
        exhibits: count(&session.tally.exhibits),
        incomplete: count(&session.tally.incomplete),
        refusals: count(&session.tally.refusals),
        refused_pages: count(&session.tally.refused_pages),
        failed_pages: count(&session.tally.failed_pages),
        stopped: session.stop_reason(),
        log_size: closed.log_size,
        test_network: session.test_network(),
    })
}

async fn do_work(session: &Arc<Session>, work: Work) -> Result<(), Problem> {
    let originals = Arc::new(Originals::open(&session.store.state(&session.profile_key, "payload"))?);
    match work {
        Work::Targets => {
            let mut running = JoinSet::new();
            for target in session.powers.target_names() {
                running.spawn(crawl(Arc::clone(session), Arc::clone(&originals), target));
            }
            let mut first = Ok(());
            while let Some(joined) = running.join_next().await {
                let ended = joined.failing("working on a target").and_then(|ended| ended.map(drop));
                if let Err(problem) = ended {
                    session.stop.raise(problem.line.clone());
                    first = first.and(Err(problem));
                }
            }
            first
        }
        Work::Address(url) => {
            let wanted = address(&url);
            let none = |_: &[String], _: &vigie_config::target::TargetUrl| Vec::new();
            match capture(session, &originals, wanted, "address given by the agent", &none).await {
                Outcome::Captured(captured) => {
                    let number = captured.receipt.exhibit.unwrap_or(0);
                    let state =
                        captured.incomplete.as_ref().map_or("complete".into(), |why| format!("incomplete: {why}"));
                    let obstacle = captured.obstacle.map(|word| format!("; in the way: {word}")).unwrap_or_default();
                    session.monitor.line(&format!("exhibit {number} recorded, {state}{obstacle}"));
                }
                Outcome::Refused => {}
                Outcome::Failed(line) => {
                    session.tally.failed_pages.fetch_add(1, Ordering::Relaxed);
                    session.monitor.line(&format!("not captured: {line}"));
                }
                Outcome::Stopped => {}
            }
            Ok(())
        }
    }
}

/// The question for an address that the agent gave.
fn address(url: &str) -> Wanted {
    Wanted {
        url: url.to_owned(),
        element: Element::Page,
        depth: 0,
        via: Via::Entry,
        referer: None,
        crossed: false,
        visits: 1,
    }
}

/// The profile of a case, by name or the only one.
pub fn profile(store: &Store, case: &str, name: Option<&str>) -> Result<Profile, Problem> {
    let known: Vec<ProfileRow> = mandates::rows::<ProfileRow>(store, Kind::ProfileCreated)?
        .into_iter()
        .map(|(_, row)| row)
        .filter(|row| row.case == case)
        .collect();
    let row = match name {
        Some(name) => known.into_iter().find(|row| row.name == name),
        None if known.len() > 1 => {
            return Err(Problem::input("this case has several profiles: name one with --profile NAME"));
        }
        None => known.into_iter().next(),
    };
    let row = row.ok_or_else(|| {
        Problem::input("no such profile for the mandate's case: make one with vigie profile new FILE")
    })?;
    Profile::parse(row.document.as_bytes()).map_err(|e| Problem::unsound(format!("a profile in this store: {e}")))
}

/// Checks that a mandate would let a session begin, without beginning one.
pub fn check_profile(mandate: &Mandate, profile: &Profile) -> Result<(), Problem> {
    if mandate.pseudonyms().iter().any(|name| name == profile.name()) {
        Ok(())
    } else {
        Err(Problem::refused(format!("the mandate {} does not name this pseudonym", mandate.id())))
    }
}
