//! A capture as WARC/1.1 records (ISO 28500), written straight into the age file: the wire's
//! exact bytes, and beside them what a court asks about how they came.

use std::io::Write;

use jiff::Timestamp;
use vigie_store::{SealedExhibit, Sealer};
use vigie_warc::{WarcWriter, records};
use vigie_wire::draw::Picture;
use vigie_wire::parse::Page;

use crate::error::{Failing, Problem};
use crate::fetch::{Answer, Exchange};
use crate::session::Session;

/// How the record calls an answer that is there to be compared with the first.
pub const SECOND: &str = "second of two exits";

/// Where a payload was recorded before, within the same case.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
pub struct Original {
    /// Exhibit number.
    pub exhibit: u64,
    /// `WARC-Record-ID` of the response that holds it.
    pub record_id: String,
    /// Its URL.
    pub url: String,
    /// Its `WARC-Date`.
    pub date: String,
}

/// One exchange of a capture, and how it is to be written.
pub struct Part {
    /// The exchange.
    pub exchange: Exchange,
    /// `WARC-Record-ID` of its response record.
    pub record_id: String,
    /// The payload was recorded before: write a revisit record.
    pub original: Option<Original>,
}

/// Everything that one exhibit holds.
pub struct Capture {
    /// Exchanges in the order in which they were made.
    pub parts: Vec<Part>,
    /// What *parse* read in the page.
    pub page: Option<Page>,
    /// What the page looks like.
    pub picture: Option<Picture>,
    /// Which of them is the page.
    pub main: usize,
    /// Facts for the page's metadata record: (name, value).
    pub facts: Vec<(String, String)>,
    /// The date of the capture event (identical in all its records).
    pub date: Timestamp,
}

/// Writes a capture into a new age file for the session's recipients.
pub fn seal(session: &Session, capture: &mut Capture) -> Result<SealedExhibit, Problem> {
    let sealer = Sealer::create(session.store.spool_dir(), &session.recipients).failing("sealing a capture")?;
    let mut warc = WarcWriter::new(sealer);
    write(session, capture, &mut warc).failing("writing the WARC records of a capture")?;
    warc.into_inner().finish().failing("sealing a capture")
}

fn write<W: Write>(
    session: &Session,
    capture: &mut Capture,
    warc: &mut WarcWriter<W>,
) -> Result<(), vigie_warc::WarcError> {
    let date = capture.date;
    let info = records::Info {
        software: session.software.version.clone(),
        operator: session.powers.agent_code().to_owned(),
        filename: None,
        extra: session_fields(session),
    };
    let info_id = warc.warcinfo(date, &info)?;
    for part in &mut capture.parts {
        exchange(warc, date, &info_id, part)?;
    }
    let main = capture.parts.get(capture.main).map(|part| part.record_id.clone());
    let mut fields = std::mem::take(&mut capture.facts);
    if let Some(page) = &capture.page {
        fields.extend(page_fields(page));
    }
    let url = capture.parts.first().map(|part| part.exchange.url.reveal().to_owned());
    warc.metadata(date, &info_id, url.as_deref(), main.as_deref(), &fields)?;
    if let (Some(drawn), Some(main)) = (capture.picture.take(), capture.parts.get(capture.main)) {
        picture(warc, date, &info_id, main, &drawn)?;
    }
    Ok(())
}

/// The page as a picture: one record per tile, `urn:fullPage:URL`, from the second on with `#2`, `#3` …, and one
/// that says what drew it and what is missing in it.
fn picture<W: Write>(
    warc: &mut WarcWriter<W>,
    date: Timestamp,
    info_id: &str,
    page: &Part,
    drawn: &Picture,
) -> Result<(), vigie_warc::WarcError> {
    let urn = format!("urn:fullPage:{}", page.exchange.url.reveal());
    let mut fields = vec![
        field("picture-of", &page.record_id),
        field("picture-is", "drawn by Vigie from recorded bytes, without scripts: an aid, not what was received"),
        field("page-size", format!("{} x {} pixels", drawn.width, drawn.height)),
    ];
    fields.extend(drawn.facts.iter().map(|(name, value)| field(name, one_line(value))));
    for (number, tile) in (1..).zip(&drawn.tiles) {
        let name = if number == 1 { urn.clone() } else { format!("{urn}#{number}") };
        warc.resource(date, info_id, &name, "image/png", &tile.png)?;
        fields.push(field("tile", format!("{number}: {} pixels from {} on", tile.height, tile.top)));
    }
    fields.extend(drawn.warnings.iter().map(|warning| field("picture-warning", one_line(warning))));
    warc.metadata(date, info_id, Some(&urn), Some(&page.record_id), &fields)
}

fn exchange<W: Write>(
    warc: &mut WarcWriter<W>,
    date: Timestamp,
    info_id: &str,
    part: &mut Part,
) -> Result<(), vigie_warc::WarcError> {
    let exchange = &mut part.exchange;
    let Some(mut wire) = exchange.wire.take() else { return Ok(()) };
    let url = exchange.url.reveal().to_owned();
    let truncated = exchange.finished.incomplete.as_ref().map(|why| why.warc_truncated());
    let tls = exchange.connection.as_ref().and_then(|connection| connection.tls.as_ref());
    let mut protocols = vec!["http/1.1".to_owned()];
    protocols.extend(tls.map(|tls| tls.protocol.to_ascii_lowercase().replace("tlsv", "tls/")));
    let response = records::Response {
        url: &url,
        record_id: &part.record_id,
        payload_sha256: exchange.head.is_some().then_some(exchange.payload_sha256),
        truncated,
        protocols: &protocols,
        cipher_suite: tls.map(|tls| tls.cipher_suite.as_str()),
    };
    match &part.original {
        Some(original) => {
            // Only the head is written again; the payload stands in the exhibit it refers to.
            let head_bytes = u64::from(exchange.finished.head_bytes);
            let mut head = Vec::new();
            std::io::Read::read_to_end(&mut std::io::Read::take(&mut wire, head_bytes), &mut head)?;
            let refers = records::RefersTo {
                record_id: &original.record_id,
                url: &original.url,
                date: &original.date,
                exhibit: original.exhibit,
            };
            warc.revisit(date, info_id, &response, &refers, &head)?;
        }
        None => {
            let (length, sha256) = (wire.len(), wire.sha256());
            warc.response(date, info_id, &response, &mut wire, length, sha256)?;
        }
    }
    warc.request(date, info_id, &url, &part.record_id, &exchange.request)?;
    let fields = exchange_fields(exchange, &part.original);
    warc.metadata(date, info_id, Some(&url), Some(&part.record_id), &fields)?;
    Ok(())
}

fn field(name: &str, value: impl std::fmt::Display) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn session_fields(session: &Session) -> Vec<(String, String)> {
    let facts = &session.facts;
    vec![
        field("vigie-software", &session.software.version),
        field("vigie-binary-sha256", &session.software.binary_sha256),
        field("vigie-configuration-sha256", &session.software.config_sha256),
        field(
            "vigie-network",
            if session.test_network() { "TEST NETWORK, not the public Tor network" } else { "public Tor network" },
        ),
        field("vigie-tor-client", format!("arti {}", facts.arti_version)),
        field("vigie-tor-authorities", format!("{} sha256:{}", facts.authorities, facts.authorities_sha256)),
        field("vigie-tls-roots", format!("sha256:{} ({} added)", facts.tls_roots_sha256, facts.tls_extra_roots)),
        field("vigie-tor-vanguards", &facts.vanguards),
    ]
}

/// The custody facts and the session-state sheet (no row is blank; what is unknown says so).
pub fn custody(session: &Session, path: &str, cookies_at_start: usize) -> Vec<(String, String)> {
    let stamp = session.clock.stamp();
    let mandate = session.powers.mandate();
    let pairs = [
        ("mandate", mandate.id().to_owned()),
        ("mandate-sha256", data_encoding::HEXLOWER.encode(&mandate.digest().0)),
        ("case", mandate.case().to_owned()),
        ("agent", session.powers.agent_code().to_owned()),
        ("profile", session.profile.name().to_owned()),
        ("purpose", one_line(&session.purpose)),
        ("session", data_encoding::HEXLOWER.encode(&session.id)),
        ("clock", format!("{} ({:?}), boot {} + {} ns", stamp.wall, stamp.clock, stamp.boot_id, stamp.monotonic_ns)),
        ("cookies-at-start", cookies_at_start.to_string()),
        (
            "cache",
            "none: nothing is served from an earlier visit; elements recorded earlier in the session are named as such"
                .to_owned(),
        ),
        ("proxy", "none but Tor".to_owned()),
        ("ip-address", "not known to Vigie: circuits hide it from the far side".to_owned()),
        ("header-set", session.headers.id().to_owned()),
        ("circuit-isolation", "one set of circuits per mandate, profile, target and session".to_owned()),
        ("scripts", "never run".to_owned()),
        ("navigation-path", one_line(path)),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What is known of one exchange beyond its bytes.
fn exchange_fields(exchange: &Exchange, original: &Option<Original>) -> Vec<(String, String)> {
    let finished = &exchange.finished;
    let mut fields = vec![
        field("started", exchange.started),
        field("element", format!("{:?}", exchange.element)),
        field("target", &exchange.target),
        field("status", exchange.status()),
        field(
            "complete",
            match &finished.incomplete {
                None => "yes".to_owned(),
                Some(why) => format!("no: {why}"),
            },
        ),
        field("wire-bytes", finished.wire_bytes),
        field("head-bytes", finished.head_bytes),
        field("payload-bytes", exchange.payload_bytes),
        field("payload-sha256", data_encoding::HEXLOWER.encode(&exchange.payload_sha256)),
        field("surplus-bytes", finished.surplus_bytes),
        field("attempt", exchange.attempt),
        field("elapsed-ms", exchange.elapsed_ms),
        field("first-byte-ms", finished.first_byte_ms),
        field("total-ms", finished.total_ms),
        field("cookies-sent", exchange.cookies_sent),
        field("content-encoding", exchange.header("content-encoding").unwrap_or_else(|| "identity".into())),
    ];
    if let Some(connection) = &exchange.connection {
        fields.push(field("connection", if connection.reused { "kept alive from an earlier exchange" } else { "new" }));
        fields.push(field("connect-ms", connection.connect_ms));
        match &connection.tls {
            None => fields.push(field("tls", "none")),
            Some(tls) => {
                fields.push(field("tls", &tls.protocol));
                fields.push(field("tls-cipher-suite", &tls.cipher_suite));
                fields.push(field(
                    "tls-certificate",
                    match &tls.invalid {
                        None => "valid".to_owned(),
                        Some(why) => format!("INVALID: {why}"),
                    },
                ));
                for certificate in &tls.chain {
                    fields.push(field("tls-chain", data_encoding::BASE64.encode(certificate)));
                }
            }
        }
    }
    if let Some(through) = exchange.connection.as_ref().and_then(|connection| connection.through.as_ref()) {
        fields.push(field("exit", through.exit));
        fields.push(field("exit-circuit", &through.circuit));
    }
    match exchange.answer {
        Answer::Only => {}
        Answer::First => fields.push(field("answer", "first of two exits")),
        Answer::Second => fields.push(field("answer", SECOND)),
    }
    if !exchange.url.is_secure() {
        fields.push(field("amber", "plain HTTP through an exit: anyone between could have altered it"));
    }
    if let Some(original) = original {
        fields.push(field("payload-in-exhibit", original.exhibit));
    }
    fields
}

/// What *parse* read, so that a reader sees it without running a parser.
fn page_fields(page: &Page) -> Vec<(String, String)> {
    let mut fields = vec![
        field("page-kind", format!("{:?}", page.kind)),
        field("charset", format!("{} (from {})", page.charset, page.charset_source)),
        field("decoded-from", &page.decoded_from),
        field("title", one_line(&page.title)),
        field("links", page.links.len()),
        field("requisites", page.requisites.len()),
    ];
    for form in &page.forms {
        let names: Vec<_> = form.fields.iter().map(|(name, kind)| format!("{name}:{kind}")).collect();
        fields.push(field("form", one_line(&format!("{} {} [{}]", form.method, form.action, names.join(", ")))));
    }
    if let Some((delay, url)) = &page.refresh {
        fields.push(field("refresh", one_line(&format!("{delay} {url}"))));
    }
    fields.extend(page.warnings.iter().map(|warning| field("warning", one_line(warning))));
    fields
}

/// `application/warc-fields` has one line per field.
pub fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
