//! A run: opens a session, works through the mandate's targets, closes it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use vigie_config::authorize::{Element, Powers, Usage, Via};
use vigie_config::headers::HeaderSet;
use vigie_config::mandate::Mandate;
use vigie_config::profile::Profile;
use vigie_config::refusal::Refusal;
use vigie_store::clock::Clock;
use vigie_store::{Commitment, Kind, Recipient, Store, StoreError};
use vigie_wire::control::{Confinement, Start, Transport};

use crate::act;
use crate::agentkey::AgentKey;
use crate::bootstrap::{NotUp, bring_up};
use crate::bounds::LowerBound;
use crate::capture::{Outcome, capture};
use crate::clientkeys;
use crate::crawl::crawl;
use crate::descriptors::{self, Descriptors};
use crate::error::{Failing, Problem, exit};
use crate::incoming;
use crate::jar::Jar;
use crate::mandates;
use crate::monitor::Monitor;
use crate::originals::Originals;
use crate::outside::{self, Outside};
use crate::parts::{DrawPool, Launcher, Net, ParsePool};
use crate::picture::Shelf;
use crate::rows::{FailureRow, ProfileRow, RefusalRow, SignedAct};
use crate::session::{Session, Software, Tally};
use crate::stop::Stop;
use crate::usage::Meter;
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
            let wanted = Wanted {
                url,
                element: Element::Page,
                depth: 0,
                via: Via::Entry,
                referer: None,
                crossed: false,
                visits: 1,
            };
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

/// Checks everything that can be checked before Tor is started, then starts it, and logs who
/// begins what, signed by the agent.
async fn open(plan: Plan, work: &Work, stop: Stop) -> Result<Session, Problem> {
    let now = plan.clock.stamp().wall;
    for list in incoming::take(&plan.store, &plan.folder, plan.store.key(), now) {
        list?;
    }
    let row = mandates::find(&plan.store, plan.mandate.as_deref())?;
    if let Some(ended) = crate::handover::ended(&plan.store)? {
        let line = format!("this log was handed over to {}: capture on that workstation", ended.key);
        let problem = Problem { refusal: Some("handed-over"), ..Problem::refused(line) };
        return Err(outside::refuse(&plan.store, outside::about_mandate(&row.id), problem));
    }
    let mandate = match mandates::open(&plan.store, Some(&row.id), now) {
        Ok(mandate) => mandate,
        Err(problem) => return Err(outside::refuse(&plan.store, outside::about_mandate(&row.id), problem)),
    };
    let recipients = mandates::recipients(&mandate, now)?;
    let revocations = mandates::revocations(&plan.store)?;
    let profile = profile(&plan.store, mandate.case(), plan.profile.as_deref())?;
    let headers = HeaderSet::builtin(profile.header_set()).ok_or_else(|| {
        Problem::input("the profile names a header set that this build does not ship: see vigie profile list")
    })?;
    if headers.expired(now) {
        plan.monitor
            .line("the profile's header set is past its date: a site may tell this browser from others; refresh it");
    }
    let bound = Powers::bind(mandate, &profile, plan.agent.public(), now)
        .and_then(|powers| powers.check(&revocations, now).map(|()| powers));
    let powers = match bound {
        Ok(powers) => powers,
        Err(refusal) => return Err(outside::refuse(&plan.store, outside::about_mandate(&row.id), refusal.into())),
    };
    if let Work::Address(url) = work
        && let Err(refusal) = powers.authorize(&address(url).ask(), &revocations, &Usage::default(), now)
    {
        // Before Tor is started: nobody waits for a no.
        return Err(refuse_address(&plan, &powers, &recipients, url, &refusal));
    }
    let profile_key = plan
        .store
        .unlock_profile(powers.mandate().case(), profile.name(), &plan.profile_passphrase)
        .map_err(|error| match error {
            StoreError::WrongPassphrase => Problem::locked("the passphrase does not open the profile; try again"),
            other => Problem::from(other),
        })?;
    let (keys, keys_of) = clientkeys::of_session(&plan.store.state(&profile_key, clientkeys::AREA), powers.mandate())?;
    let net = match start_net(&plan).await {
        Ok(net) => net,
        // A configuration that leads nowhere is on record as well: it says why nothing was captured.
        Err(problem) => {
            return Err(log_not_ready(&plan, &powers, &recipients, &problem.line.clone(), Duration::ZERO, problem));
        }
    };
    net.client_keys(keys);
    let confinement = confinement(&plan, &net).await?;
    let begun = Instant::now();
    let limit = Duration::from_millis(plan.workstation.fetch.bootstrap_ms.into());
    let up = bring_up(&net, &plan.monitor, limit, &stop).await;
    let consensus = match up.and_then(|consensus| LowerBound::new(&consensus, plan.clock.stamp().wall)) {
        Ok(consensus) => consensus,
        Err(why) => {
            net.shutdown().await;
            plan.monitor.finish();
            return Err(match why {
                NotUp::Failed(failure) => {
                    let problem = Problem::other(format!(
                        "Tor is not ready: {}: check the clock, the network and [tor] in vigie.toml, then try again",
                        failure.detail
                    ));
                    log_not_ready(&plan, &powers, &recipients, &failure.detail, begun.elapsed(), problem)
                }
                NotUp::Refused(problem) => outside::refuse(&plan.store, outside::about_mandate(&row.id), problem),
                NotUp::Stopped => Problem::new(exit::STOPPED, "stopped before Tor was ready"),
            });
        }
    };
    let account_key = plan.store.mandate_key(&powers.mandate().digest().0);
    let concurrency = powers.limits().concurrency().max(1) as usize;
    let mut id = [0u8; 16];
    let mut secret = [0u8; 32];
    getrandom::fill(&mut id).failing("drawing random bytes")?;
    getrandom::fill(&mut secret).failing("drawing random bytes")?;
    let session = Session {
        id,
        secret,
        jar: Mutex::new(Jar::open(&plan.store.state(&profile_key, "jar"))?),
        meter: Mutex::new(Meter::open(&plan.store.state(&account_key, "usage"))?),
        account_key,
        facts: net.facts(),
        consensus,
        net,
        pages: plan.pages,
        pictures: plan.workstation.pictures.draw.then_some(plan.pictures),
        shelf: Shelf::default(),
        confinement,
        software: software(&plan.workstation),
        workstation: plan.workstation,
        store: plan.store,
        clock: plan.clock,
        monitor: plan.monitor,
        powers,
        profile,
        profile_key,
        headers,
        recipients,
        purpose: plan.purpose,
        wire_bytes: AtomicU64::new(0),
        permits: Arc::new(Semaphore::new(concurrency)),
        revocations: RwLock::new(revocations),
        stop,
        tally: Tally::default(),
        waiting: AtomicBool::new(false),
        later: Mutex::default(),
        descriptors: Descriptors::default(),
        client_keys: keys_of,
        work_asked: Mutex::default(),
        left_alone: Mutex::default(),
    };
    if session.test_network() {
        session.monitor.line("TEST NETWORK: this is not the public Tor network; every record says so");
    }
    let statement = statement(&session);
    let signature = plan.agent.sign(&statement)?;
    session.log_open(SignedAct { statement, signature }).await?;
    Ok(session)
}

/// Starts the network part; touches no network.
async fn start_net(plan: &Plan) -> Result<Net, Problem> {
    let start = start(&plan.folder, &plan.workstation, &plan.launcher)?;
    let silence = Duration::from_millis(plan.workstation.fetch.silence_ms.into());
    Net::start(Arc::clone(&plan.launcher), start, silence, Arc::clone(&plan.monitor)).await
}

/// Pluggable transports of a workstation, with a folder for the state of each beside Tor's.
pub fn transports(store: &Path, workstation: &Workstation) -> Result<Vec<Transport>, Problem> {
    let text = |path: PathBuf| {
        path.into_os_string().into_string().map_err(|_| Problem::input("a path is not UTF-8: move the store"))
    };
    let folder = std::fs::canonicalize(store)
        .map_err(|e| Problem::input(format!("there is no store at {}: {e}", store.display())))?
        .join("tor/transports");
    let one = |transport: &crate::workstation::Transport| {
        Ok(Transport {
            state: text(folder.join(&transport.protocols[0]))?,
            protocols: transport.protocols.clone(),
            program: text(transport.program.clone())?,
            arguments: transport.arguments.clone(),
        })
    };
    workstation.transports.iter().map(one).collect()
}

/// What the network part of a workstation is started with.
pub fn start(store: &Path, workstation: &Workstation, launcher: &Launcher) -> Result<Start, Problem> {
    let folder = std::fs::canonicalize(store).failing("finding the store's folder")?.join("tor");
    let named = |name: &str| {
        folder
            .join(name)
            .into_os_string()
            .into_string()
            .map_err(|_| Problem::input("the path of the store is not UTF-8, which Arti needs: move the store"))
    };
    Ok(Start {
        tor: toml::to_string(&workstation.tor).failing("handing [tor] of vigie.toml on")?,
        state_dir: named("state")?,
        cache_dir: named("cache")?,
        tls_extra_roots: workstation.extra_roots.iter().map(|der| der.clone().into()).collect(),
        may_lack: launcher.may_lack.clone(),
    })
}

/// What each process put on, for the record; said loudly when something is missing.
async fn confinement(plan: &Plan, net: &Net) -> Result<serde_json::Value, Problem> {
    let pages = Arc::clone(&plan.pages);
    let parse = tokio::task::spawn_blocking(move || pages.confinement()).await.failing("starting to read pages")?;
    let parse =
        parse.map_err(|unread| Problem::other(format!("starting the process that reads pages: {}", unread.0)))?;
    let own = plan.confinement.clone();
    let mut all = vec![("record", own), ("net", net.confinement()), ("parse", parse)];
    if plan.workstation.pictures.draw {
        let pictures = Arc::clone(&plan.pictures);
        let draw =
            tokio::task::spawn_blocking(move || pictures.confinement()).await.failing("starting to draw pages")?;
        all.push((
            "draw",
            draw.map_err(|why| Problem::other(format!("starting the process that draws pages: {}", why.0)))?,
        ));
    }
    let mut record = serde_json::Map::new();
    for (name, put_on) in all {
        for missing in put_on.missing() {
            plan.monitor.line(&format!("WITHOUT SANDBOX: {name} runs without {}", missing.name()));
        }
        record.insert(name.to_owned(), json!({"landlock": put_on.landlock_abi, "seccomp": put_on.seccomp}));
    }
    Ok(record.into())
}

/// The statement that the agent signs: who begins what, with which software, on which network.
fn statement(session: &Session) -> String {
    let software = &session.software;
    let own = [
        ("session", data_encoding::HEXLOWER.encode(&session.id)),
        ("profile", session.profile.name().to_owned()),
        ("software", format!("{} sha256:{}", software.version, software.binary_sha256)),
        ("configuration", format!("sha256:{}", software.config_sha256)),
        ("authorities", format!("sha256:{}", session.facts.authorities_sha256)),
        ("consensus", format!("sha256:{}", session.consensus.sha256)),
        ("consensus-valid-after", session.consensus.valid_after.to_string()),
        ("tls-roots", format!("sha256:{}", session.facts.tls_roots_sha256)),
    ];
    let (mandate, agent) = (session.powers.mandate(), session.powers.agent_code());
    let purpose = &session.purpose;
    act::statement(Kind::SessionOpen, session.now(), session.store.origin(), mandate, agent, purpose, &own)
}

/// An address that the agent gave and the mandate does not permit.
fn refuse_address(plan: &Plan, powers: &Powers, recipients: &[Recipient], url: &str, refusal: &Refusal) -> Problem {
    let row =
        RefusalRow { code: refusal.code().to_owned(), line: refusal.to_string(), target: String::new(), count: 1 };
    let outside = Outside {
        kind: Kind::Refusal,
        mandate: Some(powers.mandate()),
        recipients,
        commitment: Commitment { name: "url", value: url.as_bytes().to_vec() },
        row: serde_json::to_vec(&row),
        private: json!({"context": "address", "agent": powers.agent_code(), "purpose": plan.purpose,
            "refused": [{"url": url, "code": refusal.code(), "reason": refusal.to_string()}]}),
    };
    let problem = Problem::refused(format!("refused (address): {refusal}"));
    outside.log(&plan.store, Problem { refusal: Some(refusal.code()), ..problem })
}

/// Tor did not come up, or could not be started.
fn log_not_ready(
    plan: &Plan,
    powers: &Powers,
    recipients: &[Recipient],
    detail: &str,
    waited: Duration,
    problem: Problem,
) -> Problem {
    let row = FailureRow {
        target: String::new(),
        kind: "tor-not-ready".to_owned(),
        detail: detail.to_owned(),
        attempt: 1,
        elapsed_ms: u64::try_from(waited.as_millis()).unwrap_or(u64::MAX),
        wait_ms: None,
        verdict: Some(crate::retry::Verdict::Unknown.name().to_owned()),
    };
    let outside = Outside {
        kind: Kind::Failure,
        mandate: Some(powers.mandate()),
        recipients,
        commitment: Commitment { name: "mandate-id", value: powers.mandate().id().as_bytes().to_vec() },
        private: json!({"kind": row.kind, "detail": row.detail}),
        row: serde_json::to_vec(&row),
    };
    outside.log(&plan.store, problem)
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

/// Digests of what runs.
pub fn software(workstation: &Workstation) -> Software {
    let binary = std::env::current_exe()
        .and_then(std::fs::File::open)
        .and_then(|mut file| {
            let mut hash = Sha256::new();
            std::io::copy(&mut file, &mut hash)?;
            Ok(data_encoding::HEXLOWER.encode(&hash.finalize()))
        })
        .unwrap_or_else(|_| "unknown".to_owned());
    Software {
        version: format!("vigie {}", env!("CARGO_PKG_VERSION")),
        binary_sha256: binary,
        config_sha256: workstation.sha256.clone(),
    }
}

/// Checks that a mandate would let a session begin, without beginning one.
pub fn check_profile(mandate: &Mandate, profile: &Profile) -> Result<(), Problem> {
    if mandate.pseudonyms().iter().any(|name| name == profile.name()) {
        Ok(())
    } else {
        Err(Problem::refused(format!("the mandate {} does not name this pseudonym", mandate.id())))
    }
}

/// How often a continuous run begins a new round.
pub const ROUND: Duration = Duration::from_secs(6 * 3600);
