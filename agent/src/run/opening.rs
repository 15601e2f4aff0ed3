//! How a session begins: everything that can be checked without Tor first, then Tor, then the first entry.

use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use vigie_config::authorize::{Powers, Usage};
use vigie_config::headers::HeaderSet;
use vigie_config::refusal::Refusal;
use vigie_store::{Commitment, Kind, Recipient, StoreError};

use super::{Plan, Work, address, network, profile};
use crate::act;
use crate::bootstrap::{NotUp, bring_up};
use crate::bounds::LowerBound;
use crate::clientkeys;
use crate::descriptors::Descriptors;
use crate::error::{Failing, Problem, exit};
use crate::incoming;
use crate::jar::Jar;
use crate::mandates;
use crate::outside::{self, Outside};
use crate::parts::Net;
use crate::picture::Shelf;
use crate::rows::{FailureRow, RefusalRow, SignedAct};
use crate::session::{Session, Software, Tally};
use crate::stop::Stop;
use crate::usage::Meter;
use crate::workstation::Workstation;

/// Checks everything that can be checked before Tor is started, then starts it, and logs who
/// begins what, signed by the agent.
pub(super) async fn open(plan: Plan, work: &Work, stop: Stop) -> Result<Session, Problem> {
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
    let start = network::start(&plan.folder, &plan.workstation, &plan.launcher)?;
    let silence = Duration::from_millis(plan.workstation.fetch.silence_ms.into());
    Net::start(Arc::clone(&plan.launcher), start, silence, Arc::clone(&plan.monitor)).await
}

/// What each process put on, for the record; said loudly when something is missing.
async fn confinement(plan: &Plan, net: &Net) -> Result<serde_json::Value, Problem> {
    let pages = Arc::clone(&plan.pages);
    let parse = tokio::task::spawn_blocking(move || pages.begin()).await.failing("starting to read pages")?;
    let parse =
        parse.map_err(|unread| Problem::other(format!("starting the process that reads pages: {}", unread.0)))?;
    let own = plan.confinement.clone();
    let mut all = vec![("record", own), ("net", net.confinement()), ("parse", parse)];
    if plan.workstation.pictures.draw {
        let pictures = Arc::clone(&plan.pictures);
        let draw = tokio::task::spawn_blocking(move || pictures.begin()).await.failing("starting to draw pages")?;
        let draw = draw.map_err(|why| Problem::other(format!("starting the process that draws pages: {}", why.0)))?;
        all.push(("draw", draw));
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

/// Digests of what runs.
fn software(workstation: &Workstation) -> Software {
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
