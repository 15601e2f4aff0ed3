//! One page, start to finish: redirects, requisites, sealing, the log entry.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use vigie_config::authorize::{Element, MediaPolicy, Via};
use vigie_config::refusal::Refusal;
use vigie_config::target::TargetUrl;
use vigie_store::{Commitment, Kind, Receipt, StateOp};
use vigie_wire::draw::Picture;
use vigie_wire::limits::DECODED_BODY_BYTES;
use vigie_wire::parse::{Document, Page, PageKind, Requisite, RequisiteClass, Stylesheet};

use crate::error::{Failing, Problem};
use crate::exits::{self, Compared, TwoExits, ask};
use crate::fetch::{Exchange, Missed};
use crate::obstacle;
use crate::originals::Originals;
use crate::parts::Unread;
use crate::picture::{self, Album};
use crate::record::{Capture, Part, custody, one_line, seal};
use crate::rows::{ExhibitRow, TlsRow};
use crate::session::Session;
use crate::wanted::Wanted;

/// How deep stylesheets may import each other.
const IMPORT_DEPTH: u8 = 3;

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

/// The redirect chain of a page.
struct Chain {
    exchanges: Vec<Exchange>,
    twice: Vec<Compared>,
    refused: Option<Refusal>,
    notes: Vec<String>,
}

/// Fetches the page and follows its redirects, each with a permission of its own.
async fn follow(session: &Arc<Session>, visit: Wanted, state: &mut Vec<StateOp>) -> Result<Chain, Outcome> {
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

/// Why a page was not read.
enum Reading {
    Failed(Problem),
    Unread(Unread),
}

/// Reads a page in a process of its own: it may be large and hostile.
async fn read(session: &Session, exchange: &Exchange) -> Result<Option<Page>, Reading> {
    if exchange.head.is_none() || exchange.body.is_empty() {
        return Ok(None);
    }
    let (document, pages) = (document(exchange), Arc::clone(&session.pages));
    let page = tokio::task::spawn_blocking(move || pages.page(document)).await.failing("reading a page");
    page.map_err(Reading::Failed)?.map(Some).map_err(Reading::Unread)
}

/// Reads a stylesheet in the same way.
async fn read_sheet(session: &Session, exchange: &Exchange) -> Result<Stylesheet, Unread> {
    let (document, pages) = (document(exchange), Arc::clone(&session.pages));
    let sheet = tokio::task::spawn_blocking(move || pages.stylesheet(document)).await;
    sheet.unwrap_or_else(|error| Err(Unread(error.to_string())))
}

fn document(exchange: &Exchange) -> Document {
    let head = exchange.head.as_ref();
    let value = |name| head.and_then(|head| head.header(name)).map(bytes::Bytes::copy_from_slice);
    let encodings = exchange.headers("content-encoding").join(",");
    Document {
        url: exchange.url.reveal().to_owned(),
        content_type: value("content-type"),
        content_encoding: (!encodings.is_empty()).then(|| encodings.into_bytes().into()),
        headers: head
            .map(|head| head.headers.iter().filter(|(n, _)| n == "link" || n == "refresh").cloned().collect())
            .unwrap_or_default(),
        body: exchange.body.clone().into(),
        cut: exchange.finished.incomplete.is_some() || exchange.finished.body_bytes > exchange.body.len() as u64,
        decoded_bytes: DECODED_BODY_BYTES as u32,
    }
}

/// What was fetched beside the page, and what was not.
#[derive(Default)]
struct Gathered {
    exchanges: Vec<Exchange>,
    twice: Vec<Compared>,
    refused: Vec<(String, Refusal)>,
    facts: Vec<(String, String)>,
    failed: u32,
    unread: u32,
    /// What the page is drawn with.
    album: Album,
}

/// Fetches what the mandate lets a capture hold beside the page itself.
async fn requisites(
    session: &Arc<Session>,
    originals: &Arc<Originals>,
    page_exchange: &Exchange,
    page: &Page,
) -> Gathered {
    let mut gathered = Gathered::default();
    // Each with its depth of imports and the document that asks for it: the page or a stylesheet.
    let own = &page_exchange.url;
    let mut queue: Vec<(Requisite, u8, TargetUrl)> =
        page.requisites.iter().cloned().map(|requisite| (requisite, 0, own.clone())).collect();
    let most = usize::from(session.workstation.fetch.requisites);
    let mut asked = std::collections::HashSet::new();
    let mut next = 0;
    while next < queue.len() {
        let wave: Vec<(Requisite, u8, TargetUrl)> =
            queue[next..].iter().filter(|(r, ..)| asked.insert(r.url.clone())).cloned().collect();
        next = queue.len();
        let mut running = Vec::new();
        for (requisite, depth, from) in wave {
            if let Some(elsewhere) = originals.requisite(&requisite.url) {
                gathered.facts.push((
                    "requisite-in-session".into(),
                    format!("{} {} {elsewhere}", class(requisite.class), one_line(&requisite.url)),
                ));
                match session.shelf.find(&requisite.url) {
                    Some(document) => gathered.album.add(&requisite.url, document),
                    None => gathered.miss(&requisite, format!("recorded in {elsewhere}")),
                }
                continue;
            }
            if gathered.exchanges.len() + running.len() >= most {
                gathered.facts.push((
                    "not-fetched".into(),
                    format!("{} {}: more than {most} elements", class(requisite.class), one_line(&requisite.url)),
                ));
                gathered.miss(&requisite, format!("not fetched: more than {most} elements"));
                continue;
            }
            if session.powers.media_policy(element(requisite.class)) == MediaPolicy::Withhold {
                gathered
                    .facts
                    .push(("withheld".into(), format!("{} {}", class(requisite.class), one_line(&requisite.url))));
                gathered.miss(&requisite, "withheld by the mandate".into());
                continue;
            }
            let session = Arc::clone(session);
            let wanted = Wanted {
                url: requisite.url.clone(),
                element: element(requisite.class),
                depth: 0,
                via: Via::Requisite { from_secure: own.is_secure() },
                referer: Some(from),
                crossed: false,
                visits: 1,
            };
            running.push((
                requisite,
                depth,
                tokio::spawn(async move {
                    let _permit = session.permits.acquire().await;
                    ask(&session, &wanted).await
                }),
            ));
        }
        for (requisite, depth, task) in running {
            match task.await {
                Ok(Ok((exchange, compared))) => {
                    if requisite.class == RequisiteClass::Stylesheet && depth < IMPORT_DEPTH {
                        let from = exchange.url.clone();
                        match read_sheet(session, &exchange).await {
                            Ok(sheet) => {
                                queue.extend(sheet.requisites.into_iter().map(|r| (r, depth + 1, from.clone())));
                            }
                            Err(unread) => {
                                let detail = unread.to_string();
                                session.log_unread(&exchange.target, exchange.url.reveal(), &detail).await;
                                gathered.unread += 1;
                                gathered
                                    .facts
                                    .push(("unread".into(), format!("{}: {detail}", one_line(&requisite.url))));
                            }
                        }
                    }
                    gathered.take(session, exchange, compared, &requisite);
                }
                Ok(Err(Missed::Refused(refusal))) => {
                    gathered.facts.push((
                        "refused".into(),
                        format!("{} {} {}", class(requisite.class), one_line(&requisite.url), refusal.code()),
                    ));
                    gathered.miss(&requisite, "not permitted by the mandate".into());
                    gathered.refused.push((requisite.url, refusal));
                }
                Ok(Err(Missed::Failed(failure))) => {
                    gathered.failed += 1;
                    gathered.facts.push((
                        "failed".into(),
                        format!("{} {}: {}", class(requisite.class), one_line(&requisite.url), failure.detail),
                    ));
                    gathered.miss(&requisite, "could not be fetched".into());
                }
                Ok(Err(Missed::Stopped)) | Err(_) => {}
            }
        }
    }
    gathered
}

impl Gathered {
    /// Where the page shows this element, a box says why it is not there.
    fn miss(&mut self, requisite: &Requisite, why: String) {
        if picture::shows(requisite.class) {
            self.album.miss(&requisite.url, why);
        }
    }

    /// What a picture of the page gets of an element.
    fn show(&mut self, session: &Session, exchange: &Exchange, requisite: &Requisite) {
        if requisite.class == RequisiteClass::Font {
            self.album.miss(&requisite.url, "a font of the page itself is not used".into());
        }
        if session.pictures.is_none() || !picture::shows(requisite.class) {
            return;
        }
        if exchange.media == MediaPolicy::HashOnly {
            let digest = data_encoding::HEXLOWER.encode(&exchange.payload_sha256);
            let why = format!("withheld by the mandate, sha256:{digest}, {} bytes", exchange.payload_bytes);
            self.album.miss(&requisite.url, why);
        } else if exchange.status() != 200 {
            self.album.miss(&requisite.url, format!("the server answered with status {}", exchange.status()));
        } else {
            let document = document(exchange);
            session.shelf.keep(&requisite.url, &document);
            self.album.add(&requisite.url, document);
        }
    }

    fn take(&mut self, session: &Session, exchange: Exchange, compared: Option<Compared>, requisite: &Requisite) {
        self.show(session, &exchange, requisite);
        // Where bytes are hashed and let go, so are those of the second answer.
        let hashed = exchange.media == MediaPolicy::HashOnly;
        self.twice.extend(compared.map(|all| Compared { second: all.second.filter(|_| !hashed), ..all }));
        if hashed {
            self.facts.push((
                "hash-only".into(),
                format!(
                    "{} {} sha256:{} {} bytes{}",
                    class(requisite.class),
                    one_line(&requisite.url),
                    data_encoding::HEXLOWER.encode(&exchange.payload_sha256),
                    exchange.payload_bytes,
                    exchange
                        .finished
                        .incomplete
                        .as_ref()
                        .map(|why| format!(" (incomplete: {why})"))
                        .unwrap_or_default()
                ),
            ));
        } else {
            self.exchanges.push(exchange);
        }
    }
}

/// Element of the mandate for a class of the page.
fn element(class: RequisiteClass) -> Element {
    match class {
        RequisiteClass::Stylesheet => Element::Stylesheet,
        RequisiteClass::Font => Element::Font,
        RequisiteClass::ListingImage => Element::ListingImage,
        RequisiteClass::OtherImage => Element::OtherImage,
        RequisiteClass::Media => Element::Media,
        RequisiteClass::Frame => Element::Frame,
        RequisiteClass::Script => Element::Script,
    }
}

fn class(class: RequisiteClass) -> String {
    serde_json::to_value(class).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default()
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

/// A capture that is ready to be sealed.
struct Sealing {
    url: TargetUrl,
    target: String,
    status: u16,
    exchanges: Vec<Exchange>,
    main: usize,
    tls: Option<TlsRow>,
    two_exits: Option<TwoExits>,
    page: Option<Page>,
    picture: Option<Picture>,
    facts: Vec<(String, String)>,
    incomplete: Option<String>,
    attempt: u32,
    elapsed_ms: u64,
    obstacle: Option<String>,
    again: Option<std::time::Duration>,
    state: Vec<StateOp>,
}

impl Sealing {
    async fn finish(mut self, session: &Arc<Session>, originals: &Arc<Originals>) -> Outcome {
        let wire_bytes = self.exchanges.iter().map(|e| e.finished.wire_bytes).sum();
        let date = self.exchanges.first().map_or_else(|| session.now(), |e| e.started);
        let exchanges = self.exchanges.len();
        self.facts.push(("complete".into(), self.incomplete.as_ref().map_or("yes".into(), |why| format!("no: {why}"))));
        let parts: Vec<Part> = std::mem::take(&mut self.exchanges)
            .into_iter()
            .map(|exchange| {
                let original = originals.find(&exchange);
                Part { exchange, record_id: vigie_warc::new_record_id(), original }
            })
            .collect();
        let fresh = originals.prepare(session, &parts, date);
        let mut capture = Capture {
            parts,
            main: self.main,
            page: self.page.take(),
            picture: self.picture.take(),
            facts: std::mem::take(&mut self.facts),
            date,
        };
        let sealing = Arc::clone(session);
        let sealed = tokio::task::spawn_blocking(move || seal(&sealing, &mut capture)).await;
        let sealed = match sealed.failing("sealing a capture").and_then(|sealed| sealed) {
            Ok(sealed) => sealed,
            Err(problem) => {
                session.stop.raise(problem.line.clone());
                return Outcome::Failed(problem.line);
            }
        };
        let row = ExhibitRow {
            target: self.target.clone(),
            mandate: session.powers.mandate().id().to_owned(),
            case: session.powers.mandate().case().to_owned(),
            status: self.status,
            exchanges: u32::try_from(exchanges).unwrap_or(u32::MAX),
            wire_bytes,
            complete: self.incomplete.is_none(),
            why: self.incomplete.clone().unwrap_or_default(),
            test_network: session.test_network(),
            attempt: self.attempt,
            elapsed_ms: self.elapsed_ms,
            obstacle: self.obstacle.clone(),
            amber: !self.url.is_secure(),
            tls: self.tls.take(),
            two_exits: self.two_exits.clone(),
        };
        let url = self.url.reveal().to_owned();
        let mut draft = session.draft(
            Kind::Exhibit,
            &row,
            json!({"url": url, "target": self.target, "status": self.status,
            "complete": self.incomplete.is_none(), "why": self.incomplete, "attempt": self.attempt,
            "elapsed_ms": self.elapsed_ms, "obstacle": self.obstacle, "two_exits": self.two_exits}),
        );
        draft.exhibit = Some(sealed);
        draft.commitments.push(Commitment { name: "url", value: url.clone().into_bytes() });
        draft.commitments.push(Commitment { name: "profile", value: session.profile.name().as_bytes().to_vec() });
        draft.url_row = Some((session.profile_key.clone(), url.into_bytes()));
        draft.state.append(&mut self.state);
        match session.append(draft).await {
            Ok(receipt) => {
                session.tally.exhibits.fetch_add(1, Ordering::Relaxed);
                if self.incomplete.is_some() {
                    session.tally.incomplete.fetch_add(1, Ordering::Relaxed);
                }
                let number = receipt.exhibit.unwrap_or(0);
                originals.recorded(session, fresh, number);
                if let Some(two_exits) = self.two_exits.filter(|all| all.verdict != exits::AGREE) {
                    session.monitor.line(&format!("exhibit {number} ({}): two exits: {two_exits}", self.target));
                }
                Outcome::Captured(Box::new(Captured {
                    receipt,
                    wire_bytes,
                    incomplete: self.incomplete,
                    obstacle: self.obstacle,
                    again: self.again,
                }))
            }
            Err(error) => Outcome::Failed(format!("the capture was not stored: {error}")),
        }
    }
}
