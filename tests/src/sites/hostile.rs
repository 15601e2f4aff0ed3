//! A server that misbehaves, one path per way; raw TCP, because no honest library would say this.

mod answers;

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use self::answers::Answer;
use super::journal::{Journal, Splitter};

/// One way to misbehave.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// Path to ask.
    pub path: &'static str,
    /// What happens.
    pub what: &'static str,
}

const fn case(path: &'static str, what: &'static str) -> Case {
    Case { path, what }
}

/// All of them. `/` is an honest page that links to each.
pub const CASES: &[Case] = &[
    case("/drip", "one byte of the body per second, for ever"),
    case("/drip-head", "one byte of the head per second, for ever"),
    case("/silent", "reads the request and says nothing"),
    case("/hang-up", "closes without a byte"),
    case("/endless-headers", "header fields for ever"),
    case("/long-header", "one header field for ever"),
    case("/endless-interim", "100 Continue for ever"),
    case("/endless-body", "a body without Content-Length for ever"),
    case("/endless-chunks", "chunks for ever"),
    case("/gzip-bomb", "10 GB of zeros, content-encoding gzip"),
    case("/length-too-long", "Content-Length 1000, 100 bytes, close"),
    case("/length-too-short", "Content-Length 10, 100 bytes"),
    case("/two-lengths", "two different Content-Length fields"),
    case("/length-and-chunks", "Content-Length beside Transfer-Encoding"),
    case("/length-negative", "Content-Length -5"),
    case("/broken-chunks", "a chunk size that is no number"),
    case("/chunks-cut", "closes within a chunk"),
    case("/chunk-size-huge", "a chunk size beyond 64 bits"),
    case("/http09", "HTTP/0.9: a page without a head"),
    case("/http2", "claims HTTP/2.0 in its status line"),
    case("/garbage", "bytes that are no HTTP at all"),
    case("/nul-in-header", "NUL in a header value"),
    case("/nul-in-body", "NUL bytes all over the page"),
    case("/folded-header", "an obsolete folded header line"),
    case("/bare-lf", "lines that end with LF alone"),
    case("/invalid-utf8", "a page labelled UTF-8 that is not"),
    case("/nested", "1 MB of nested tags"),
    case("/no-charset", "windows-1252 without saying so"),
    case("/two-charsets", "header and meta tag disagree"),
    case("/unknown-coding", "content-encoding that nobody knows"),
    case("/lying-gzip", "labelled gzip, is plain text"),
    case("/huge-attributes", "a tag with 100,000 attributes"),
    case("/links", "20,000 links"),
    case("/redirect/out-1", "leaves scope at hop 1"),
    case("/redirect/out-5", "leaves scope at hop 5"),
    case("/redirect/loop", "redirects to itself"),
    case("/redirect/circle", "two pages that redirect to each other"),
    case("/redirect/endless/0", "a new address at each hop, for ever"),
    case("/redirect/no-location", "302 without Location"),
    case("/redirect/two-locations", "302 with two Location fields"),
    case("/redirect/empty", "302 with an empty Location"),
    case("/redirect/userinfo", "Location with user information that looks like the right host"),
    case("/redirect/ipv4", "Location with an IPv4 literal"),
    case("/redirect/ipv4-decimal", "Location with an IPv4 address as one number"),
    case("/redirect/ipv6", "Location with an IPv6 literal"),
    case("/redirect/backslash", "Location with backslashes"),
    case("/redirect/slashes", "Location `//host/`"),
    case("/redirect/data", "Location `data:`"),
    case("/redirect/file", "Location `file:`"),
    case("/redirect/ftp", "Location `ftp:`"),
    case("/redirect/javascript", "Location `javascript:`"),
    case("/redirect/excluded", "to /%6cogout, which dodges a naive exclude"),
    case("/redirect/crlf", "Location with control characters"),
    case("/redirect/port", "same host, another port"),
    case("/redirect/refresh", "200 with a Refresh header that leaves"),
    case("/meta-refresh", "meta refresh that leaves"),
    case("/frames", "frames and objects that leave"),
    case("/base", "a base element that turns relative links outward"),
    case("/alt-svc", "Alt-Svc to another host"),
    case("/onion-location", "Onion-Location to another service"),
    case("/preload", "Link: preload, preconnect, dns-prefetch and 103 Early Hints"),
    case("/report", "Report-To, NEL and CSP report-uri to another host"),
];

/// What the server says to one request.
#[derive(Debug)]
pub struct Said {
    start: Vec<u8>,
    /// What follows for ever; empty when nothing follows.
    again: Vec<u8>,
}

/// What the server says to a request target, when the client calls it `host` and the trap is at
/// `away`.
pub fn said(target: &str, host: &str, away: &str) -> Said {
    let (start, again) = match answers::to(target, host, away) {
        Answer::Keep(bytes) | Answer::Close(bytes) => (bytes, Vec::new()),
        Answer::Silent => (Vec::new(), Vec::new()),
        Answer::Drip(start, rest) => (start, rest.to_vec()),
        Answer::Endless(start, again) => (start, again),
        Answer::Bomb => {
            let (start, block, _, _) = answers::bomb();
            ([answers::BOMB_HEAD, &start].concat(), block.to_vec())
        }
    };
    Said { start, again }
}

impl Said {
    /// It begins with these bytes.
    pub fn begins_with(&self, bytes: &[u8]) -> bool {
        self.start.iter().chain(self.again.iter().cycle()).take(bytes.len()).eq(bytes)
    }

    /// It is these bytes and no more.
    pub fn is(&self, bytes: &[u8]) -> bool {
        self.again.is_empty() && self.start == bytes
    }
}

/// Serves until the runtime ends.
pub(super) fn spawn(runtime: &tokio::runtime::Runtime, listener: TcpListener, journal: Arc<Journal>, away: String) {
    runtime.spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            journal.connected();
            let (journal, away) = (journal.clone(), away.clone());
            tokio::spawn(async move {
                // Broken pipes are what a client that protects itself leaves behind.
                let _ = connection(stream, &journal, &away).await;
            });
        }
    });
}

async fn connection(mut stream: TcpStream, journal: &Journal, away: &str) -> std::io::Result<()> {
    let mut splitter = Splitter::default();
    let mut chunk = [0; 4096];
    loop {
        let len = stream.read(&mut chunk).await?;
        if len == 0 {
            return Ok(());
        }
        for head in splitter.feed(&chunk[..len]) {
            let target = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or("/").to_owned();
            let host = host_of(&head);
            journal.asked(head);
            if !say(&mut stream, answers::to(&target, &host, away)).await? {
                return Ok(());
            }
        }
    }
}

fn host_of(head: &[u8]) -> String {
    String::from_utf8_lossy(head)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("host"))
        .map_or_else(String::new, |(_, value)| value.trim().to_owned())
}

/// Says it; tells whether the connection stays open.
async fn say(stream: &mut TcpStream, answer: Answer) -> std::io::Result<bool> {
    match answer {
        Answer::Keep(bytes) => {
            stream.write_all(&bytes).await?;
            Ok(true)
        }
        Answer::Close(bytes) => {
            stream.write_all(&bytes).await?;
            stream.shutdown().await?;
            Ok(false)
        }
        Answer::Silent => {
            // Until the client gives up.
            let mut rest = [0; 1024];
            while stream.read(&mut rest).await? > 0 {}
            Ok(false)
        }
        Answer::Drip(start, rest) => {
            stream.write_all(&start).await?;
            for byte in rest.iter().cycle() {
                stream.write_all(&[*byte]).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok(false)
        }
        Answer::Endless(start, again) => {
            stream.write_all(&start).await?;
            // Large writes: the client's limit is to be met, not the patience of the test.
            let again = again.repeat((64 * 1024_usize).div_ceil(again.len().max(1)));
            loop {
                stream.write_all(&again).await?;
            }
        }
        Answer::Bomb => {
            stream.write_all(answers::BOMB_HEAD).await?;
            let (start, block, blocks, end) = answers::bomb();
            stream.write_all(&start).await?;
            for _ in 0..blocks {
                stream.write_all(block).await?;
            }
            stream.write_all(&end).await?;
            stream.shutdown().await?;
            Ok(false)
        }
    }
}
