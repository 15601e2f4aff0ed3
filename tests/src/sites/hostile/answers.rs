//! What the hostile server says to each path.

use std::fmt::Write as _;
use std::sync::OnceLock;

use flate2::{Compress, Compression, Crc, FlushCompress};

/// How an answer goes out.
#[derive(Debug)]
pub(super) enum Answer {
    /// Bytes, then the next request.
    Keep(Vec<u8>),
    /// Bytes, then the end.
    Close(Vec<u8>),
    /// Nothing, until the client leaves.
    Silent,
    /// Bytes, then single bytes of the second part, one a second, for ever.
    Drip(Vec<u8>, &'static [u8]),
    /// Bytes, then the second part for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// [`bomb`].
    Bomb,
}

use Answer::{Close, Drip, Endless, Keep, Silent};

/// Head of the compressed zeros.
pub(super) const BOMB_HEAD: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n";

/// The answer to a request target. `host` is what the client called us, `away` the base URL of
/// the trap.
pub(super) fn to(target: &str, host: &str, away: &str) -> Answer {
    if let Some(kind) = target.strip_prefix("/redirect/") {
        return redirect(kind, host, away);
    }
    match target {
        "/" => Keep(page("Hostile", &index())),
        "/drip" => Drip(head(&["Content-Type: text/html", "Content-Length: 1000000"]), b"<p>drop</p>"),
        "/drip-head" => Drip(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-Drop: 1\r\n"),
        "/silent" => Silent,
        "/hang-up" => Close(Vec::new()),
        "/endless-headers" => Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), b"X-More: and more and more\r\n".to_vec()),
        "/long-header" => Endless(b"HTTP/1.1 200 OK\r\nX-Long: ".to_vec(), b"longer ".to_vec()),
        "/endless-interim" => Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()),
        "/endless-body" => {
            Endless(head(&["Content-Type: text/html", "Connection: close"]), b"<p>and on</p>\n".to_vec())
        }
        "/endless-chunks" => Endless(
            head(&["Content-Type: text/html", "Transfer-Encoding: chunked"]),
            b"10\r\n<p>chunk</p>....\r\n".to_vec(),
        ),
        "/gzip-bomb" => Answer::Bomb,
        "/length-too-long" => Close(with(&["Content-Type: text/html", "Content-Length: 1000"], &[b'a'; 100])),
        "/length-too-short" => Close(with(&["Content-Type: text/html", "Content-Length: 10"], &[b'a'; 100])),
        "/two-lengths" => Close(with(&["Content-Length: 10", "Content-Length: 100"], &[b'a'; 100])),
        "/length-and-chunks" => {
            Close(with(&["Content-Length: 3", "Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"))
        }
        "/length-negative" => Close(with(&["Content-Length: -5"], b"hello")),
        "/broken-chunks" => Close(with(&["Transfer-Encoding: chunked"], b"5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n")),
        "/chunks-cut" => Close(with(&["Transfer-Encoding: chunked"], b"5\r\nhello\r\n64\r\nwor")),
        "/chunk-size-huge" => Close(with(&["Transfer-Encoding: chunked"], b"fffffffffffffffff0\r\nhello\r\n0\r\n\r\n")),
        "/http09" => Close(b"<html><title>old</title><p>as in 1991</html>\n".to_vec()),
        "/http2" => Close(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi".to_vec()),
        "/garbage" => Close((0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()),
        "/nul-in-header" => Close(with(&["X-Odd: a\0b", "Content-Length: 2"], b"hi")),
        "/nul-in-body" => Keep(labelled(
            "text/html; charset=utf-8",
            b"<ht\0ml><ti\0tle>n\0ul</title><p>\0\0\0<a href=\"/a\0b\">x</a>",
        )),
        "/folded-header" => Close(with(&["X-Folded: one\r\n two", "Content-Length: 2"], b"hi")),
        "/bare-lf" => Close(b"HTTP/1.1 200 OK\nContent-Type: text/html\nContent-Length: 9\n\n<p>lf</p>".to_vec()),
        "/invalid-utf8" => Keep(labelled(
            "text/html; charset=utf-8",
            b"<title>\xff\xfe\xc3\x28</title><p>\xe2\x28\xa1 \xf0\x9f <a href=\"/\xe9t\xe9\">x</a>",
        )),
        "/nested" => Keep(labelled("text/html; charset=utf-8", "<div>".repeat(1_048_576 / 5).as_bytes())),
        "/no-charset" => Keep(labelled("text/html", b"<title>d\xe9fense</title><p>Ivoire d'\xe9l\xe9phant \x80 480")),
        "/two-charsets" => Keep(labelled(
            "text/html; charset=iso-8859-15",
            b"<meta charset=utf-8><title>two</title><p>\xa4 or \xc3\xa9?",
        )),
        "/unknown-coding" => Close(with(
            &["Content-Type: text/html", "Content-Encoding: zebra", "Content-Length: 4"],
            b"\x01\x02\x03\x04",
        )),
        "/lying-gzip" => {
            Close(with(&["Content-Type: text/html", "Content-Encoding: gzip", "Content-Length: 12"], b"<p>plain</p>"))
        }
        "/huge-attributes" => {
            let mut html = String::from("<p");
            for n in 0..100_000 {
                let _ = write!(html, " a{n}=v");
            }
            Keep(page("Attributes", &(html + ">x</p>")))
        }
        "/links" => {
            let mut html = String::new();
            for n in 0..20_000 {
                let _ = write!(html, "<a href=/l/{n}>{n}</a>");
            }
            Keep(page("Links", &html))
        }
        "/meta-refresh" => Keep(page("Refresh", &format!("<meta http-equiv=refresh content=\"0; url={away}/meta\">"))),
        "/frames" => Keep(page(
            "Frames",
            &format!(
                "<iframe src=\"{away}/frame\"></iframe><object data=\"{away}/object\"></object><embed src=\"{away}/embed\">\
                 <iframe srcdoc=\"<img src='{away}/srcdoc.png'>\"></iframe><video src=\"{away}/v.webm\" poster=\"{away}/p.png\"></video>\
                 <script src=\"{away}/s.js\"></script><img srcset=\"{away}/1.png 1x, //elsewhere.test/2.png 2x\">"
            ),
        )),
        "/base" => Keep(page("Base", &format!("<base href=\"{away}/\"><a href=relative>x</a><img src=picture.png>"))),
        "/alt-svc" => {
            let authority = away.trim_start_matches("http://");
            let field = format!("Alt-Svc: h2=\"{authority}\"; ma=86400, h3=\":443\"");
            Keep(with_page(&[&field], "Alt-Svc", "<p>elsewhere, it says</p>"))
        }
        "/onion-location" => {
            let field = format!("Onion-Location: {away}/onion");
            Keep(with_page(
                &[&field],
                "Onion-Location",
                &format!("<meta http-equiv=onion-location content=\"{away}/\">"),
            ))
        }
        "/preload" => {
            let link = format!(
                "Link: <{away}/a.css>; rel=preload; as=style, <{away}>; rel=preconnect, <{away}>; rel=dns-prefetch"
            );
            let mut bytes = format!("HTTP/1.1 103 Early Hints\r\n{link}\r\n\r\n").into_bytes();
            bytes.extend(with_page(&[&link], "Preload", &format!("<link rel=prefetch href=\"{away}/next\">")));
            Keep(bytes)
        }
        "/report" => {
            let fields = [
                format!("Report-To: {{\"group\":\"g\",\"max_age\":99,\"endpoints\":[{{\"url\":\"{away}/report\"}}]}}"),
                "NEL: {\"report_to\":\"g\",\"max_age\":99,\"success_fraction\":1}".to_owned(),
                format!("Content-Security-Policy: default-src 'none'; report-uri {away}/csp"),
            ];
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            Keep(with_page(&fields, "Report", "<img src=/blocked.png>"))
        }
        _ => Keep(with_status("404 Not Found", &["Content-Type: text/plain", "Content-Length: 3"], b"no\n")),
    }
}

fn redirect(kind: &str, host: &str, away: &str) -> Answer {
    let authority = away.trim_start_matches("http://");
    let port = authority.rsplit(':').next().unwrap_or("80");
    let to =
        |location: &str| Keep(with_status("302 Found", &[&format!("Location: {location}"), "Content-Length: 0"], b""));
    if let Some(hop) = kind.strip_prefix("endless/").and_then(|n| n.parse::<u32>().ok()) {
        return to(&format!("/redirect/endless/{}", hop.saturating_add(1)));
    }
    match kind {
        "out-1" => to(&format!("{away}/hop-1")),
        "out-5" => to("/redirect/out-5/2"),
        "out-5/2" => to("/redirect/out-5/3"),
        "out-5/3" => to("/redirect/out-5/4"),
        "out-5/4" => to("/redirect/out-5/5"),
        "out-5/5" => to(&format!("{away}/hop-5")),
        "loop" => to("/redirect/loop"),
        "circle" => to("/redirect/circle/back"),
        "circle/back" => to("/redirect/circle"),
        "no-location" => Keep(with_status("302 Found", &["Content-Length: 0"], b"")),
        "two-locations" => {
            let second = format!("Location: {away}/second");
            Keep(with_status("302 Found", &["Location: /", &second, "Content-Length: 0"], b""))
        }
        "empty" => to(""),
        "userinfo" => to(&format!("http://{host}@{authority}/userinfo")),
        "ipv4" => to(&format!("http://127.0.0.1:{port}/ipv4")),
        "ipv4-decimal" => to(&format!("http://2130706433:{port}/ipv4")),
        "ipv6" => to(&format!("http://[::1]:{port}/ipv6")),
        "backslash" => to(&format!("http:\\\\{authority}\\backslash")),
        "slashes" => to(&format!("//{authority}/slashes")),
        "data" => to("data:text/html,<p>from nowhere"),
        "file" => to("file:///etc/passwd"),
        "ftp" => to(&format!("ftp://{authority}/ftp")),
        "javascript" => to("javascript:alert(1)"),
        "excluded" => to("/%6cogout"),
        "crlf" => to(&format!("/\t\u{1}{away}")),
        "port" => to(&format!("http://{}:{port}/port", host.split(':').next().unwrap_or(host))),
        "refresh" => Keep(with_page(&[&format!("Refresh: 0; url={away}/refresh")], "Refresh", "")),
        _ => Keep(with_status("404 Not Found", &["Content-Length: 0"], b"")),
    }
}

fn index() -> String {
    super::CASES.iter().fold(String::new(), |mut html, case| {
        let _ = write!(html, "<li><a href=\"{}\">{}</a>", case.path, case.what);
        html
    })
}

fn with_status(status: &str, fields: &[&str], body: &[u8]) -> Vec<u8> {
    let mut bytes = format!("HTTP/1.1 {status}\r\n").into_bytes();
    for field in fields {
        bytes.extend_from_slice(field.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(body);
    bytes
}

fn with(fields: &[&str], body: &[u8]) -> Vec<u8> {
    with_status("200 OK", fields, body)
}

fn head(fields: &[&str]) -> Vec<u8> {
    with(fields, b"")
}

/// An honest head around a body of some type.
fn labelled(content_type: &str, body: &[u8]) -> Vec<u8> {
    with(&[&format!("Content-Type: {content_type}"), &format!("Content-Length: {}", body.len())], body)
}

fn with_page(fields: &[&str], title: &str, middle: &str) -> Vec<u8> {
    let html = format!("<!DOCTYPE html><html lang=en><meta charset=utf-8><title>{title}</title>{middle}</html>\n");
    let length = format!("Content-Length: {}", html.len());
    let all: Vec<&str> = fields.iter().copied().chain(["Content-Type: text/html; charset=utf-8", &length]).collect();
    with(&all, html.as_bytes())
}

fn page(title: &str, middle: &str) -> Vec<u8> {
    with_page(&[], title, middle)
}

/// Zeros in one block of the compressed stream, in bytes.
const BLOCK_ZEROS: usize = 16 * 1024 * 1024;
/// Blocks: together 10 GiB.
const BLOCKS: usize = 10 * 64;

/// 10 GiB of zeros as one gzip member (RFC 1952): its header, a block to send [`BLOCKS`] times,
/// how often, and its end. About 10 MB go over the wire.
pub(super) fn bomb() -> (Vec<u8>, &'static [u8], usize, Vec<u8>) {
    static BLOCK: OnceLock<(Vec<u8>, [u8; 4])> = OnceLock::new();
    let (block, crc) = BLOCK.get_or_init(|| {
        let zeros = vec![0; BLOCK_ZEROS];
        let mut block = Vec::with_capacity(BLOCK_ZEROS / 512);
        // A full flush ends on a byte and forgets the window: the block can be repeated.
        let _ = Compress::new(Compression::best(), false).compress_vec(&zeros, &mut block, FlushCompress::Full);
        let mut one = Crc::new();
        one.update(&zeros);
        let mut all = Crc::new();
        for _ in 0..BLOCKS {
            all.combine(&one);
        }
        (block, all.sum().to_le_bytes())
    });
    let header = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    // An empty final block with fixed codes, the checksum, the length modulo 2^32.
    let mut end = vec![0x03, 0x00];
    end.extend_from_slice(crc);
    end.extend_from_slice(&((BLOCK_ZEROS as u64 * BLOCKS as u64) as u32).to_le_bytes());
    (header, block, BLOCKS, end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn every_case_has_an_answer_of_its_own() {
        for case in super::super::CASES {
            if let Keep(bytes) = to(case.path, "h.onion", "http://elsewhere.test:1") {
                assert!(!bytes.starts_with(b"HTTP/1.1 404"), "{}", case.path);
            }
        }
    }

    #[test]
    fn the_bomb_is_valid_gzip() {
        let (start, block, blocks, end) = bomb();
        assert_eq!(blocks as u64 * BLOCK_ZEROS as u64, 10 << 30);
        assert!(block.len() * blocks < 16 << 20, "small on the wire");
        let few = [&start[..], block, block, &end].concat();
        let mut plain = Vec::new();
        // Two blocks only: all but the final sums fit.
        let error = flate2::read::GzDecoder::new(&few[..]).read_to_end(&mut plain).unwrap_err();
        assert_eq!(plain.len(), 2 * BLOCK_ZEROS);
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    }
}
