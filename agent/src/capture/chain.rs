//! The redirect chain of a page: each step asks the mandate anew.

use std::sync::Arc;

use vigie_config::authorize::Via;
use vigie_config::refusal::Refusal;
use vigie_config::target::TargetUrl;
use vigie_store::StateOp;

use super::Outcome;
use crate::exits::{Compared, ask};
use crate::fetch::{Exchange, Missed};
use crate::session::Session;
use crate::wanted::Wanted;

/// The redirect chain of a page.
pub(super) struct Chain {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) twice: Vec<Compared>,
    pub(super) refused: Option<Refusal>,
    pub(super) notes: Vec<String>,
}

/// Fetches the page and follows its redirects, each with a permission of its own.
pub(super) async fn follow(session: &Arc<Session>, visit: Wanted, state: &mut Vec<StateOp>) -> Result<Chain, Outcome> {
    let mut chain = Chain { exchanges: Vec::new(), twice: Vec::new(), refused: None, notes: Vec::new() };
    let mut wanted = visit;
    let mut seen = vec![wanted.url.clone()];
    loop {
        let _permit = session.permits.acquire().await;
        let (exchange, compared) = match ask(session, &wanted).await {
            Ok(answered) => answered,
            Err(Missed::Stopped) => return Err(Outcome::Stopped),
            Err(Missed::Refused(refusal)) => {
                let context = if chain.exchanges.is_empty() { "address" } else { "redirect" };
                let target = chain.exchanges.last().map_or("", |e: &Exchange| e.target.as_str()).to_owned();
                session.log_refusal(&target, &[(wanted.url.clone(), refusal.clone())], context, true).await;
                if chain.exchanges.is_empty() {
                    return Err(Outcome::Refused);
                }
                chain.refused = Some(refusal);
                return Ok(chain);
            }
            Err(Missed::Failed(failure)) => {
                if chain.exchanges.is_empty() {
                    return Err(Outcome::Failed(format!(
                        "{}: {}",
                        crate::session::kind_name(&failure),
                        failure.detail
                    )));
                }
                chain.notes.push(format!("the redirect's target did not answer: {}", failure.detail));
                return Ok(chain);
            }
        };
        if let Ok(url) = url::Url::parse(exchange.url.reveal()) {
            state.extend(session.receive_cookies(&url, &exchange.headers("set-cookie")));
        }
        chain.twice.extend(compared);
        let next = redirect(&exchange);
        let secure = exchange.url.is_secure();
        let here = exchange.url.clone();
        chain.exchanges.push(exchange);
        let location = match next {
            Next::Here => return Ok(chain),
            Next::Nowhere(note) => {
                chain.notes.push(note);
                return Ok(chain);
            }
            Next::To(location) => location,
        };
        if seen.contains(&location) {
            chain.notes.push("the redirects run in a circle".into());
            return Ok(chain);
        }
        if seen.len() > usize::from(session.workstation.fetch.redirects) {
            chain.notes.push(format!("more than {} redirects", session.workstation.fetch.redirects));
            return Ok(chain);
        }
        seen.push(location.clone());
        // The page that led here stays the referrer over redirects (WHATWG Fetch, HTTP-redirect fetch).
        let crossed = wanted.crossed || TargetUrl::parse(&location).is_ok_and(|next| next.origin() != here.origin());
        wanted = Wanted { url: location, via: Via::Redirect { from_secure: secure }, crossed, ..wanted };
    }
}

enum Next {
    Here,
    To(String),
    Nowhere(String),
}

/// Where a response redirects to (RFC 9110 §15.4). The address is only resolved here; whether it
/// may be asked is the mandate's matter.
fn redirect(exchange: &Exchange) -> Next {
    if !matches!(exchange.status(), 301 | 302 | 303 | 307 | 308) {
        return Next::Here;
    }
    let locations = exchange.headers("location");
    let Some(location) = locations.first() else {
        return Next::Nowhere(format!("status {} without Location", exchange.status()));
    };
    // Programs differ in which one they take; browsers take none.
    if locations.iter().any(|other| other != location) {
        return Next::Nowhere(format!("status {} with Location fields that differ", exchange.status()));
    }
    match resolve(&exchange.url, location) {
        Some(url) => Next::To(url),
        None => Next::Nowhere("the Location field is not an address".into()),
    }
}

/// Resolves a reference against the page it stands in. A reference with a backslash, white space
/// or control character reads differently to different programs: it is handed on as it stands,
/// and the mandate's strict reading refuses it.
fn resolve(base: &TargetUrl, reference: &str) -> Option<String> {
    let reference = reference.trim_matches([' ', '\t']);
    if reference.contains(|c: char| c == '\\' || c.is_whitespace() || c.is_control()) {
        return Some(reference.to_owned());
    }
    let base = url::Url::parse(base.reveal()).ok()?;
    match base.join(reference) {
        Ok(mut url) => {
            url.set_fragment(None);
            Some(url.into())
        }
        Err(_) => Some(reference.to_owned()),
    }
}
