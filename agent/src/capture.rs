//! One page, start to finish: redirects, requisites, sealing, the log entry.

mod chain;
mod reading;
mod requisites;
mod sealing;

use std::sync::Arc;

use vigie_config::target::TargetUrl;
use vigie_store::{Receipt, StateOp};
use vigie_wire::parse::{Page, PageKind};

use self::chain::follow;
use self::reading::{Reading, document, read};
use self::requisites::{Gathered, requisites};
use self::sealing::Sealing;
use crate::exits::TwoExits;
use crate::fetch::Exchange;
use crate::obstacle;
use crate::originals::Originals;
use crate::picture;
use crate::record::{custody, one_line};
use crate::rows::TlsRow;
use crate::session::Session;
use crate::wanted::Wanted;

/// What came of a page.
pub enum Outcome {
    /// Sealed and acknowledged.
    Captured(Box<Captured>),
    /// The mandate did not permit it; logged.
    Refused,
    /// Every attempt failed; logged.
    Failed(String),
    /// The run was stopped before the page was sealed; nothing of it is kept.
    Stopped,
}

/// An acknowledged capture.
pub struct Captured {
    /// The store's receipt.
    pub receipt: Receipt,
    /// Bytes received.
    pub wire_bytes: u64,
    /// Why it is not whole, else `None`.
    pub incomplete: Option<String>,
    /// What stood in the way of the page, when something did.
    pub obstacle: Option<String>,
    /// After how long the page is to be asked once more, when what stood in the way says so.
    pub again: Option<std::time::Duration>,
}

/// What a crawl adds to the exhibit's transaction once the page's links are known: the frontier
/// loses the page and gains its links together, so that a crash loses neither.
pub type Grow<'a> = &'a (dyn Fn(&[String], &TargetUrl) -> Vec<StateOp> + Send + Sync);

/// Captures a page. What `grow` gives is stored in the same transaction as the exhibit.
pub async fn capture(
    session: &Arc<Session>,
    originals: &Arc<Originals>,
    visit: Wanted,
    path: &str,
    grow: Grow<'_>,
) -> Outcome {
    let mut state = Vec::new();
    let visits = visit.visits;
    let cookies_at_start = url::Url::parse(&visit.url).map_or(0, |url| session.cookies(&url).1);
    let chain = match follow(session, visit, &mut state).await {
        Ok(chain) => chain,
        Err(outcome) => return outcome,
    };
    let Some(last) = chain.exchanges.last() else { return Outcome::Failed("nothing was received".into()) };
    let mut notes = chain.notes.clone();
    let mut twice = chain.twice;
    let page = match read(session, last).await {
        Ok(page) => page,
        Err(Reading::Failed(problem)) => return Outcome::Failed(problem.line),
        Err(Reading::Unread(unread)) => {
            // Recorded all the same: what the page links to and is made of is not known.
            let detail = unread.to_string();
            session.log_unread(&last.target, last.url.reveal(), &detail).await;
            notes.push(detail);
            None
        }
    };
    let mut gathered = match &page {
        Some(page) if page.kind == PageKind::Html => requisites(session, originals, last, page).await,
        _ => Gathered::default(),
    };
    let mut picture = None;
    if page.as_ref().is_some_and(|page| page.kind == PageKind::Html) {
        let album = std::mem::take(&mut gathered.album);
        match picture::draw(session, document(last), album).await {
            Some(Ok(drawn)) => picture = Some(drawn),
            Some(Err(why)) => {
                session.monitor.line(&format!("a page of {} has no picture: {why}", last.target));
                gathered.facts.push(("picture".into(), format!("none: {}", one_line(&why))));
            }
            None => {}
        }
    }
    if session.stopping() {
        return Outcome::Stopped;
    }
    let target = last.target.clone();
    let obstacle = obstacle::find(last.status(), page.as_ref());
    let again = obstacle.and_then(|word| obstacle::later(word, last, visits));
    if !gathered.refused.is_empty() {
        session.log_refusal(&target, &gathered.refused, "elements of a page", false).await;
    }
    let mut facts = custody(session, path, cookies_at_start);
    facts.extend(obstacle.map(|word| ("obstacle".to_owned(), word.to_owned())));
    if let Some(refusal) = &chain.refused {
        facts.push(("redirect-refused".into(), format!("{}: {refusal}", refusal.code())));
    }
    facts.extend(notes.iter().map(|note| ("note".to_owned(), note.clone())));
    facts.append(&mut gathered.facts);
    twice.append(&mut gathered.twice);
    facts.extend(twice.iter().map(|compared| ("two-exits".to_owned(), compared.line.clone())));
    state.extend(grow(&links(&page), &last.url));
    let sealing = Sealing {
        url: last.url.clone(),
        status: last.status(),
        target,
        incomplete: incomplete(&chain.exchanges, &notes, &gathered),
        attempt: last.attempt,
        elapsed_ms: last.elapsed_ms,
        obstacle: obstacle.map(str::to_owned),
        again,
        page,
        picture,
        facts,
        main: chain.exchanges.len() - 1,
        two_exits: TwoExits::of(twice.iter().map(|compared| &compared.verdict)),
        tls: last.connection.as_ref().and_then(|connection| connection.tls.as_ref()).map(TlsRow::of),
        exchanges: {
            // What is compared stands behind what is read.
            let second = twice.into_iter().filter_map(|compared| compared.second).map(|second| *second);
            chain.exchanges.into_iter().chain(gathered.exchanges).chain(second).collect()
        },
        state,
    };
    sealing.finish(session, originals).await
}

/// Links to read next; a meta refresh is one of them.
fn links(page: &Option<Page>) -> Vec<String> {
    let Some(page) = page else { return Vec::new() };
    page.links.iter().map(|link| link.url.clone()).chain(page.refresh.iter().map(|(_, url)| url.clone())).collect()
}

/// Why a capture is not whole.
fn incomplete(exchanges: &[Exchange], notes: &[String], gathered: &Gathered) -> Option<String> {
    let cut = exchanges.iter().chain(&gathered.exchanges).find_map(|e| e.finished.incomplete.as_ref());
    if let Some(why) = cut {
        return Some(why.to_string());
    }
    if let Some(note) = notes.first() {
        return Some(note.clone());
    }
    if gathered.failed > 0 {
        return Some(format!("{} element(s) of the page could not be fetched", gathered.failed));
    }
    (gathered.unread > 0).then(|| format!("{} stylesheet(s) of the page could not be read", gathered.unread))
}
