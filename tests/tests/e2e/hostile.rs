//! A server that misbehaves in every known way: what the record says of each.

use std::collections::BTreeMap;

use serde_json::Value;
use vigie_store::Kind;
use vigie_tests::desk::Target;
use vigie_tests::sites::{ELSEWHERE_HOST, hostile};

use crate::ensure;
use crate::opened::{Exhibit, Opened};
use crate::station::{Outcome, Station};
use crate::world::{Case, CaseResult, World};

/// Cases of this theme.
pub fn cases() -> Vec<Case> {
    vec![Case { name: "hostile::every_way_to_misbehave_is_on_record", run: every_way }]
}

/// Small limits, so that what has no end ends soon; pages of a megabyte still fit.
pub const FETCH: &str = "[fetch]\nhead_bytes = 32768\nbody_bytes = 1_200_000\nfirst_byte_ms = 6000\nidle_ms = 6000\n\
                     total_ms = 12_000\nattempts = 2\nredirects = 8\n";
/// Highest resident memory of a run, in bytes. Two thirds of it are the scrypt of a passphrase.
const MEMORY_BYTES: u64 = 400_000_000;
/// Facts of a page that the table lists in full.
const LISTED: [&str; 7] = ["note", "redirect-refused", "refused", "withheld", "failed", "refresh", "warning"];

/// What must be on record.
enum Found {
    /// An exhibit that is complete.
    Whole,
    /// An exhibit that is not, why, and the reason of `WARC-Truncated`.
    Cut(&'static str, &'static str),
    /// An exhibit whose bytes are whole, though the page behind its redirects is not there.
    Short(&'static str),
    /// No exhibit, but this kind of failure at each attempt.
    Failed(&'static str),
}

struct Row {
    path: &'static str,
    /// 0 when no head was understood.
    status: u64,
    found: Found,
    /// How each line of the listed facts begins, in order.
    facts: &'static [&'static str],
}

const fn whole(path: &'static str, facts: &'static [&'static str]) -> Row {
    Row { path, status: 200, found: Found::Whole, facts }
}

/// Broken off with a head that was understood.
const fn cut(path: &'static str, why: &'static str, truncated: &'static str, facts: &'static [&'static str]) -> Row {
    Row { path, status: 200, found: Found::Cut(why, truncated), facts }
}

/// Broken off before that.
const fn headless(path: &'static str, why: &'static str, truncated: &'static str) -> Row {
    Row { path, status: 0, found: Found::Cut(why, truncated), facts: &[] }
}

const fn failed(path: &'static str, kind: &'static str) -> Row {
    Row { path, status: 0, found: Found::Failed(kind), facts: &[] }
}

/// A redirect that was not followed; its own exchange is whole.
const fn redirect(path: &'static str, refusal: &'static [&'static str]) -> Row {
    Row { path, status: 302, found: Found::Whole, facts: refusal }
}

/// A redirect that leads nowhere.
const fn nowhere(path: &'static str, why: &'static str, note: &'static [&'static str]) -> Row {
    Row { path, status: 302, found: Found::Short(why), facts: note }
}

const NOT_WHOLE: &str = "warning: the body is not whole";
const HEAD: &str = "the response head is larger than allowed";
const BODY: &str = "the response body is larger than allowed";
const SLOW: &str = "the response took longer than allowed";
const CLOSED: &str = "the server closed before the end";
const OUTSIDE: &str = "redirect-refused: not-a-target: ";
const LITERAL: &str = "redirect-refused: host-address-literal: ";
const AMBIGUOUS: &str = "redirect-refused: address-ambiguous: ";
const SCHEME: &str = "redirect-refused: address-scheme: ";

/// One row for each of [`hostile::CASES`].
const TABLE: &[Row] = &[
    cut("/drip", SLOW, "time", &[NOT_WHOLE]),
    headless("/drip-head", SLOW, "time"),
    failed("/silent", "timeout"),
    failed("/hang-up", "closed-empty"),
    headless("/endless-headers", HEAD, "length"),
    headless("/long-header", HEAD, "length"),
    headless("/endless-interim", HEAD, "length"),
    cut("/endless-body", BODY, "length", &[NOT_WHOLE]),
    cut("/endless-chunks", BODY, "length", &[NOT_WHOLE]),
    cut(
        "/gzip-bomb",
        BODY,
        "length",
        &[NOT_WHOLE, "warning: decoding gzip gives more than 33554432 bytes", "warning: the page holds NUL characters"],
    ),
    cut("/length-too-long", CLOSED, "disconnect", &[NOT_WHOLE]),
    whole("/length-too-short", &[]),
    headless("/two-lengths", "not valid HTTP/1.1: invalid content-length", "unspecified"),
    whole("/length-and-chunks", &[]),
    headless("/length-negative", "not valid HTTP/1.1: invalid content-length", "unspecified"),
    cut("/broken-chunks", "not valid HTTP/1.1: ", "unspecified", &[NOT_WHOLE]),
    cut("/chunks-cut", CLOSED, "disconnect", &[NOT_WHOLE]),
    cut("/chunk-size-huge", "not valid HTTP/1.1: ", "unspecified", &[]),
    headless("/http09", "not valid HTTP/1.1: invalid HTTP version", "unspecified"),
    headless("/http2", "not valid HTTP/1.1: invalid HTTP version", "unspecified"),
    headless("/garbage", "not valid HTTP/1.1: invalid HTTP version", "unspecified"),
    headless("/nul-in-header", "not valid HTTP/1.1: invalid HTTP header", "unspecified"),
    whole("/nul-in-body", &["warning: the page holds NUL characters"]),
    whole("/folded-header", &[]),
    whole("/bare-lf", &[]),
    whole("/invalid-utf8", &["warning: bytes that are not valid UTF-8 were replaced"]),
    whole("/nested", &["warning: elements nested very deep were read as if side by side"]),
    whole("/no-charset", &[]),
    whole("/two-charsets", &["warning: contradictory character sets: ISO-8859-15 (HTTP), UTF-8 (meta)"]),
    whole("/unknown-coding", &["warning: content coding \"zebra\" is not known"]),
    whole("/lying-gzip", &["warning: the body is not gzip, although it says so"]),
    whole("/huge-attributes", &[]),
    whole("/links", &["warning: more than 10000 links"]),
    redirect("/redirect/out-1", &[OUTSIDE]),
    redirect("/redirect/out-5", &[OUTSIDE]),
    nowhere("/redirect/loop", "the redirects run in a circle", &["note: the redirects run in a circle"]),
    nowhere("/redirect/circle", "the redirects run in a circle", &["note: the redirects run in a circle"]),
    nowhere("/redirect/endless/0", "more than 8 redirects", &["note: more than 8 redirects"]),
    nowhere("/redirect/no-location", "status 302 without Location", &["note: status 302 without Location"]),
    nowhere(
        "/redirect/two-locations",
        "status 302 with Location fields that differ",
        &["note: status 302 with Location fields that differ"],
    ),
    nowhere("/redirect/empty", "the redirects run in a circle", &["note: the redirects run in a circle"]),
    redirect("/redirect/userinfo", &["redirect-refused: address-user-info: "]),
    redirect("/redirect/ipv4", &[LITERAL]),
    redirect("/redirect/ipv4-decimal", &[LITERAL]),
    redirect("/redirect/ipv6", &[LITERAL]),
    redirect("/redirect/backslash", &[AMBIGUOUS]),
    redirect("/redirect/slashes", &[OUTSIDE]),
    redirect("/redirect/data", &[AMBIGUOUS]),
    redirect("/redirect/file", &[SCHEME]),
    redirect("/redirect/ftp", &[SCHEME]),
    redirect("/redirect/javascript", &[SCHEME]),
    redirect("/redirect/excluded", &["redirect-refused: path-excluded: "]),
    headless("/redirect/crlf", "not valid HTTP/1.1: invalid HTTP header", "unspecified"),
    redirect("/redirect/port", &[OUTSIDE]),
    whole("/redirect/refresh", &["refresh: 0 http://elsewhere.test:"]),
    whole("/meta-refresh", &["refresh: 0 http://elsewhere.test:"]),
    whole(
        "/frames",
        &[
            "withheld: media http://elsewhere.test:",
            "withheld: media http://elsewhere.test:",
            "withheld: media http://elsewhere.test:",
            "withheld: other-image http://elsewhere.test:",
            "withheld: script http://elsewhere.test:",
            "withheld: other-image http://elsewhere.test:",
            "withheld: other-image http://elsewhere.test/",
            "withheld: other-image http://elsewhere.test:",
            "refused: frame http://elsewhere.test:",
        ],
    ),
    whole(
        "/base",
        &[
            "withheld: other-image http://elsewhere.test:",
            "warning: the page's base element turns its references to another host",
        ],
    ),
    whole("/alt-svc", &[]),
    whole("/onion-location", &[]),
    whole("/preload", &["refused: stylesheet http://elsewhere.test:"]),
    whole("/report", &["withheld: other-image http://"]),
];

fn every_way(world: &World) -> CaseResult {
    let targets = [Target::onion("hostile", &world.net.onion("hostile"))];
    let station = Station::desk(world, "hostile", &targets)?;
    // The pages that `/` names, and nothing that they lead to.
    station.sign_mandate(&station.desk.mandate(&targets, jiff::Timestamp::now())?.with("limits.depth", 1))?;
    station.configure(FETCH)?;
    station.set_up()?;
    let _quiet = world.quiet();
    world.sites.elsewhere.journal.clear();
    let asked_names = || world.net.dns_queries().iter().filter(|name| name.contains("elsewhere")).count();
    let before = asked_names();
    let run = station.run_once().arg("--json").run()?.exits(4)?;
    ensure!(!run.errors().contains("panicked"), "{}", run.errors());
    let peak = run.peak_memory_bytes.ok_or("no sample of the memory")?;
    ensure!(peak < MEMORY_BYTES, "{peak} bytes of memory");
    ensure!(world.sites.elsewhere.journal.connections() == 0, "somebody asked the trap");
    ensure!(asked_names() == before, "a name of the trap was resolved: {:?}", world.net.dns_queries());

    let opened = station.opened()?;
    let exhibits = opened.exhibits()?;
    let listed = station.json(&["exhibits"])?;
    let faults = compare(world, &opened, &exhibits, &listed)?;
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    let pages = TABLE.iter().filter(|row| !matches!(row.found, Found::Failed(_))).count() + 1;
    let report: Value = serde_json::from_slice(&run.stdout)?;
    ensure!(report["exhibits"] == pages && report["given_up"] == TABLE.len() + 1 - pages, "{report}");
    refusals_are_logged(&station, &opened, &exhibits)?;
    surplus_is_told_apart(&exhibits)?;
    // Stock tools find the same bytes.
    let bomb = exhibits.iter().find(|exhibit| exhibit.path() == "/gzip-bomb").ok_or("no bomb")?;
    let block = &bomb.of("response").next().ok_or("no response")?.block;
    let stock = station.open_exhibit(bomb.number)?;
    ensure!(stock.windows(block.len()).any(|window| window == block), "age and gzip give other bytes");
    let checked = station.sound()?;
    ensure!(checked["sound"] == true && checked["opened"] == pages, "{checked}");

    // Nothing of it stands in the way of a second round.
    let again = station.run_once().arg("--json").run()?.exits(4)?;
    let report: Value = serde_json::from_slice(&again.stdout)?;
    ensure!(report["exhibits"] == pages, "the second round: {report}");
    ensure!(world.sites.elsewhere.journal.connections() == 0, "somebody asked the trap");
    station.sound()?;
    Ok(())
}

/// The record against the table and against what the server said; gives what does not fit.
fn compare(world: &World, opened: &Opened, exhibits: &[Exhibit], listed: &Value) -> Outcome<Vec<String>> {
    let failures = opened.private(Kind::Failure)?;
    let paths: Vec<String> = exhibits.iter().map(Exhibit::path).collect();
    let mut faults = Vec::new();
    for case in hostile::CASES {
        let path = case.path;
        let Some(row) = TABLE.iter().find(|row| row.path == path) else {
            faults.push(format!("{path} is not in the table"));
            continue;
        };
        let at = paths.iter().position(|found| found == path);
        if paths.iter().filter(|found| *found == path).count() > 1 {
            faults.push(format!("{path} has several exhibits"));
        }
        match (at, &row.found) {
            (None, Found::Failed(kind)) => {
                let url = world.onion_url(&world.sites.hostile, path);
                let kinds: Vec<_> = failures.iter().filter(|f| f["url"] == url.as_str()).map(|f| &f["kind"]).collect();
                if kinds != [kind, kind] {
                    faults.push(format!("{path} failed with {kinds:?}"));
                }
            }
            (None, _) => faults.push(format!("{path} has no exhibit")),
            (Some(at), _) => faults.extend(judge(row, &exhibits[at], &listed[at])),
        }
    }
    let host = world.net.onion("hostile");
    let away = format!("http://{ELSEWHERE_HOST}:{}", world.sites.elsewhere.port);
    for (exhibit, response) in exhibits.iter().flat_map(|e| e.of("response").map(move |r| (e, r))) {
        let said = hostile::said(&response.path(), &host, &away);
        // What follows a response of announced length belongs to it only as far as it was read.
        let open_end = response.field("WARC-Truncated").is_some() || response.path() == "/length-too-short";
        if !(said.is(&response.block) || open_end && said.begins_with(&response.block)) {
            faults.push(format!(
                "exhibit {}: {} bytes of {} are not what was sent",
                exhibit.number,
                response.block.len(),
                response.path()
            ));
        }
    }
    Ok(faults)
}

/// One exhibit against its row.
fn judge(row: &Row, exhibit: &Exhibit, listed: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut fault = |what: String| faults.push(format!("{}: {what}", row.path));
    let why = listed["why"].as_str().unwrap_or_default();
    let (complete, wanted, truncated) = match row.found {
        Found::Whole => (true, "", None),
        Found::Cut(why, truncated) => (false, why, Some(truncated)),
        Found::Short(why) => (false, why, None),
        Found::Failed(kind) => (false, kind, None),
    };
    if listed["complete"] != complete || !why.starts_with(wanted) || complete != why.is_empty() {
        fault(format!("complete {}, {why:?}", listed["complete"]));
    }
    if listed["status"] != row.status || listed["test_network"] != true {
        fault(listed.to_string());
    }
    let marks: Vec<_> = exhibit.of("response").filter_map(|r| r.field("WARC-Truncated")).collect();
    if marks != truncated.as_slice() {
        fault(format!("truncated: {marks:?}"));
    }
    let facts: Vec<String> = exhibit
        .facts()
        .iter()
        .filter(|(name, _)| LISTED.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    if facts.len() != row.facts.len() || !facts.iter().zip(row.facts).all(|(fact, start)| fact.starts_with(start)) {
        fault(format!("{facts:#?}"));
    }
    let complete = exhibit.facts().iter().any(|(name, value)| name == "complete" && (value == "yes") == why.is_empty());
    if !complete {
        fault("the exhibit itself says something else than the list".into());
    }
    faults
}

/// 100 bytes came where 10 were announced: what is over is on record and no part of the body.
fn surplus_is_told_apart(exhibits: &[Exhibit]) -> CaseResult {
    let exhibit = exhibits.iter().find(|exhibit| exhibit.path() == "/length-too-short").ok_or("not there")?;
    let response = exhibit.of("response").next().ok_or("no response")?;
    let facts: BTreeMap<String, String> =
        exhibit.of("metadata").next().ok_or("no facts")?.facts().into_iter().collect();
    let number = |name: &str| facts.get(name).and_then(|value| value.parse::<usize>().ok()).unwrap_or(usize::MAX);
    let over = response.block.len() - number("head-bytes").min(response.block.len()) - 10;
    ensure!(number("payload-bytes") == 10 && number("surplus-bytes") == over && over > 0, "{facts:?}");
    Ok(())
}

/// Every refusal that an exhibit names is an entry, with its code, and the other way round.
fn refusals_are_logged(station: &Station, opened: &Opened, exhibits: &[Exhibit]) -> CaseResult {
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for (name, value) in exhibits.iter().flat_map(Exhibit::facts) {
        let code = match name.as_str() {
            "redirect-refused" => value.split(':').next(),
            "refused" => value.rsplit(' ').next(),
            _ => None,
        };
        if let Some(code) = code {
            *named.entry(code.to_owned()).or_default() += 1;
        }
    }
    let mut logged: BTreeMap<String, usize> = BTreeMap::new();
    for row in station.rows("refusal")? {
        *logged.entry(row["code"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    ensure!(named == logged && named.len() >= 6, "the exhibits name {named:?}, the log {logged:?}");
    let sealed = opened.private(Kind::Refusal)?;
    let urls: Vec<&str> = sealed.iter().filter_map(|part| part["refused"][0]["url"].as_str()).collect();
    for end in ["/hop-1", "/hop-5", "/userinfo", "\\backslash", "/etc/passwd", "/%6cogout", "/frame", "/a.css"] {
        ensure!(urls.iter().any(|url| url.ends_with(end)), "{end} is in no entry: {urls:?}");
    }
    // What only the workstation's key opens names no host.
    let rows = station.rows("refusal")?.iter().map(Value::to_string).collect::<String>();
    ensure!(!rows.contains("elsewhere") && !rows.contains("127.0.0.1"), "{rows}");
    Ok(())
}
