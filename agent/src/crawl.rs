//! One target, breadth first within the mandate: entry points, links, depth, limits.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use vigie_config::authorize::{Element, Via};
use vigie_config::target::TargetUrl;
use vigie_store::StateOp;

use crate::capture::{Outcome, capture};
use crate::error::Problem;
use crate::frontier::{Frontier, Item};
use crate::originals::Originals;
use crate::session::{Session, held};
use crate::wanted::Wanted;

/// How a target ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Nothing is left within the mandate.
    Exhausted,
    /// The run was stopped, or the target is left alone for a while; the next run goes on from here.
    Stopped,
}

/// Works through one target of the mandate.
pub async fn crawl(session: Arc<Session>, originals: Arc<Originals>, target: String) -> Result<End, Problem> {
    let entries = session.powers.entry_urls(&target);
    let (frontier, begin) = Frontier::open(&session.store, &session.profile_key, &target, &entries)?;
    session.store.apply(begin).map_err(Problem::from)?;
    let frontier = Arc::new(Mutex::new(frontier));
    let mut running: JoinSet<(Item, Outcome)> = JoinSet::new();
    let mut pacer = Pacer::default();
    let at_once = session.powers.limits().concurrency().max(1) as usize;
    let mut bytes = 0u64;
    // Pages that said *later*: recorded as they were, and asked once more.
    let mut later: Vec<(Instant, Item)> = Vec::new();
    loop {
        while running.len() < at_once && !session.stopping() && session.left_alone(&target).is_none() {
            let Some(item) = held(&frontier).next().or_else(|| due(&mut later)) else { break };
            if pacer.wait(&session).await.is_err() {
                break;
            }
            let (session, originals, frontier) = (Arc::clone(&session), Arc::clone(&originals), Arc::clone(&frontier));
            running.spawn(async move {
                let outcome = visit(&session, &originals, &frontier, &item).await;
                (item, outcome)
            });
        }
        let joined = match running.join_next().await {
            Some(joined) => joined,
            None => match later.iter().map(|(when, _)| *when).min() {
                Some(when) if !session.stopping() && session.left_alone(&target).is_none() => {
                    let _ = session.pause(when.saturating_duration_since(Instant::now())).await;
                    continue;
                }
                _ => break,
            },
        };
        let Ok((item, outcome)) = joined else {
            session.stop.raise("a capture ended abnormally: this is a fault of Vigie");
            continue;
        };
        match outcome {
            Outcome::Captured(captured) => {
                held(&frontier).done += 1;
                bytes += captured.wire_bytes;
                if let Some(word) = &captured.obstacle {
                    let number = captured.receipt.exhibit.unwrap_or(0);
                    let then = captured.again.map(|wait| format!(", asked once more in {} s", wait.as_secs()));
                    let then = then.unwrap_or_default();
                    session.monitor.line(&format!("exhibit {number} ({target}): in the way: {word}{then}"));
                }
                if let Some(wait) = captured.again {
                    later.push((Instant::now() + wait, Item { visits: item.visits + 1, ..item.clone() }));
                }
                if let Some(why) = &captured.incomplete {
                    session.monitor.line(&format!(
                        "exhibit {} is incomplete ({target}): {why}",
                        captured.receipt.exhibit.unwrap_or(0)
                    ));
                }
            }
            // What was refused because the session may do nothing more is for the next one.
            Outcome::Refused if session.stopping() => {}
            Outcome::Refused => give_up(&session, &frontier, &item)?,
            Outcome::Failed(line) => {
                // The page stays in the stored queue if the run is ending; else it was given up.
                if !session.stopping() {
                    session.tally.failed_pages.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    session.monitor.line(&format!("given up ({target}): {line}"));
                    // Also while the target is left alone: then it was asked for in vain, not the page.
                    if session.left_alone(&target).is_none() {
                        give_up(&session, &frontier, &item)?;
                    }
                }
            }
            Outcome::Stopped => {}
        }
        let (done, known) = {
            let frontier = held(&frontier);
            (frontier.done, frontier.known())
        };
        session.monitor.target(&target, done, known, bytes);
    }
    session.monitor.target_done(&target);
    if session.stopping() {
        return Ok(End::Stopped);
    }
    if let Some(left) = session.left_alone(&target) {
        session.monitor.line(&format!(
            "left alone ({target}): its directories are not asked again for {} min; its pages wait for the next run",
            left.as_secs().div_ceil(60)
        ));
        return Ok(End::Stopped);
    }
    let end = held(&frontier).end();
    session.store.apply(end).map_err(Problem::from)?;
    Ok(End::Exhausted)
}

/// A page that said *later*, once it is time.
fn due(later: &mut Vec<(Instant, Item)>) -> Option<Item> {
    let place = later.iter().position(|(when, _)| *when <= Instant::now())?;
    Some(later.swap_remove(place).1)
}

/// Takes a page off the queue that no capture took off.
fn give_up(session: &Session, frontier: &Mutex<Frontier>, item: &Item) -> Result<(), Problem> {
    let operations = {
        let mut frontier = held(frontier);
        frontier.done += 1;
        frontier.finished(item)
    };
    session.store.apply(operations).map_err(Problem::from)
}

async fn visit(session: &Arc<Session>, originals: &Arc<Originals>, frontier: &Mutex<Frontier>, item: &Item) -> Outcome {
    let via = if item.from.is_empty() { Via::Entry } else { Via::Link };
    let wanted = Wanted {
        url: item.url.clone(),
        element: Element::Page,
        depth: item.depth,
        via,
        referer: TargetUrl::parse(&item.from).ok(),
        crossed: false,
        visits: item.visits,
    };
    let path = if item.from.is_empty() {
        "entry point of the mandate".to_owned()
    } else {
        format!("{} links from an entry point, here from {}", item.depth, item.from)
    };
    let grow = |links: &[String], from: &TargetUrl| {
        let mut frontier = held(frontier);
        let mut operations = frontier.finished(item);
        operations.extend(grow(session, &mut frontier, links, item, from));
        operations
    };
    capture(session, originals, wanted, &path, &grow).await
}

/// Adds the links that the mandate permits on this target; another target is worked through from
/// its own entry points, on its own circuits. A link outside is no act and so no log entry: it
/// stands in the page's bytes.
fn grow(session: &Session, frontier: &mut Frontier, links: &[String], item: &Item, from: &TargetUrl) -> Vec<StateOp> {
    let mut added = Vec::new();
    for link in links {
        let Ok(url) = TargetUrl::parse(link) else { continue };
        if session.powers.target_in_scope(&url, item.depth + 1) == Some(frontier.target()) {
            added.extend(frontier.add(url.reveal(), item.depth + 1, from.reveal()));
        }
    }
    added
}

/// Randomised pauses between pages, as the profile asks.
#[derive(Default)]
struct Pacer {
    next: Option<Instant>,
}

impl Pacer {
    async fn wait(&mut self, session: &Session) -> Result<(), crate::session::Stopped> {
        if let Some(next) = self.next {
            let left = next.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                session.pause(left).await?;
            }
        }
        let (least, most) = session.profile.pacing_ms();
        let span = u64::from(most.saturating_sub(least)) + 1;
        let drawn = u64::from(least) + getrandom::u64().unwrap_or(0) % span;
        self.next = Some(Instant::now() + Duration::from_millis(drawn));
        Ok(())
    }
}
