//! What a page is made of: stylesheets, fonts, pictures, frames, as far as the mandate lets a capture hold them.

use std::sync::Arc;

use vigie_config::authorize::{Element, MediaPolicy, Via};
use vigie_config::refusal::Refusal;
use vigie_config::target::TargetUrl;
use vigie_wire::parse::{Page, Requisite, RequisiteClass};

use super::reading::{document, read_sheet};
use crate::exits::{Compared, ask};
use crate::fetch::{Exchange, Missed};
use crate::originals::Originals;
use crate::picture::{self, Album};
use crate::record::one_line;
use crate::session::Session;
use crate::wanted::Wanted;

/// How deep stylesheets may import each other.
const IMPORT_DEPTH: u8 = 3;

/// What was fetched beside the page, and what was not.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) exchanges: Vec<Exchange>,
    pub(super) twice: Vec<Compared>,
    pub(super) refused: Vec<(String, Refusal)>,
    pub(super) facts: Vec<(String, String)>,
    pub(super) failed: u32,
    pub(super) unread: u32,
    /// What the page is drawn with.
    pub(super) album: Album,
}

/// Fetches what the mandate lets a capture hold beside the page itself.
pub(super) async fn requisites(
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
