//! What a picture is made of when the page lies in a WARC file.

use std::collections::BTreeMap;
use std::io::Read;

use vigie_warc::{Payload, WarcError, WarcReader};
use vigie_wire::draw::ToDrawPage;
use vigie_wire::limits::{DECODED_BODY_BYTES, PARSE_BODY_BYTES};
use vigie_wire::parse::{Document, PageKind};

use super::Album;
use crate::error::Problem;
use crate::parts::ParsePool;

/// Most bytes of a record's block that are read.
const BLOCK_BYTES: u64 = PARSE_BODY_BYTES as u64 + 1024 * 1024;
/// Most bytes of a WARC file's bodies that are kept.
const KEPT_BYTES: usize = 256 * 1024 * 1024;

/// The page and all that is recorded beside it, the first answer for each address.
pub fn from_warc(source: impl Read, url: Option<&str>, pages: &ParsePool) -> Result<ToDrawPage, Problem> {
    let unread = |error: WarcError| Problem::input(format!("{error}: name a sound WARC file"));
    let mut warc = WarcReader::new(source);
    let mut answers: Vec<Document> = Vec::new();
    let mut missing = BTreeMap::new();
    let mut kept = 0;
    while let Some(found) = warc
        .next(|head, block| {
            let kind = head.field("WARC-Type").unwrap_or_default();
            let url = head.field("WARC-Target-URI").unwrap_or_default().to_owned();
            if !matches!(kind, "response" | "revisit" | "metadata") {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            block.take(BLOCK_BYTES).read_to_end(&mut bytes)?;
            Ok(Some((kind.to_owned(), url, bytes, head.field("WARC-Truncated").is_some())))
        })
        .map_err(unread)?
    {
        let Some((kind, url, bytes, cut)) = found else { continue };
        match kind.as_str() {
            "response" => {
                let (status, document) = answer(&url, &bytes, cut);
                kept += document.body.len();
                if kept > KEPT_BYTES {
                    return Err(Problem::input("it holds more than 256 MiB of answers: take the page's exhibit alone"));
                }
                if status == 200 || answers.is_empty() {
                    answers.push(document);
                } else {
                    missing.entry(url).or_insert_with(|| format!("the server answered with status {status}"));
                }
            }
            "revisit" => {
                missing.entry(url).or_insert_with(|| "recorded in an earlier exhibit".to_owned());
            }
            _ => not_there(&String::from_utf8_lossy(&bytes), &mut missing),
        }
    }
    let place = match url {
        Some(url) => answers
            .iter()
            .position(|document| document.url == url)
            .ok_or_else(|| Problem::input("it holds no answer of that address: leave out --url, or name another"))?,
        None => first_page(&answers, pages)?,
    };
    let page = answers.remove(place);
    let mut album = Album::default();
    for document in answers {
        let url = document.url.clone();
        album.add(&url, document);
    }
    for (url, why) in missing {
        album.miss(&url, why);
    }
    Ok(album.order(page))
}

/// The first answer that is HTML, as *parse* takes it.
fn first_page(answers: &[Document], pages: &ParsePool) -> Result<usize, Problem> {
    for (place, document) in answers.iter().enumerate() {
        if !document.body.is_empty() && pages.page(document.clone()).is_ok_and(|page| page.kind == PageKind::Html) {
            return Ok(place);
        }
    }
    Err(Problem::input("it holds no page: name a WARC file with an answer that is HTML"))
}

/// Status and body of a recorded answer.
fn answer(url: &str, block: &[u8], cut: bool) -> (u16, Document) {
    let end = block.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(block.len());
    let head = String::from_utf8_lossy(&block[..end]);
    let status = head.split_ascii_whitespace().nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let values = |name: &str| {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        let values: Vec<&str> =
            fields.filter(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect();
        values
    };
    let mut body = Vec::new();
    Payload::default().feed(block, &mut |bytes| body.extend_from_slice(bytes));
    let encodings = values("content-encoding").join(",");
    let document = Document {
        url: url.to_owned(),
        content_type: values("content-type").first().map(|value| value.as_bytes().to_vec().into()),
        content_encoding: (!encodings.is_empty()).then(|| encodings.into_bytes().into()),
        headers: Vec::new(),
        cut: cut || body.len() > PARSE_BODY_BYTES,
        body: body[..body.len().min(PARSE_BODY_BYTES)].to_vec().into(),
        decoded_bytes: DECODED_BODY_BYTES as u32,
    };
    (status, document)
}

/// What an exhibit's own facts say of elements whose bytes it does not hold.
fn not_there(facts: &str, missing: &mut BTreeMap<String, String>) {
    for (name, value) in facts.lines().filter_map(|line| line.split_once(": ")) {
        let mut words = value.split(' ').skip(1);
        let Some(url) = words.next().map(|url| url.trim_end_matches(':').to_owned()) else { continue };
        let rest = words.collect::<Vec<_>>().join(" ");
        let why = match name {
            "withheld" => "withheld by the mandate".to_owned(),
            "hash-only" => format!("withheld by the mandate, {rest}"),
            "refused" => "not permitted by the mandate".to_owned(),
            "failed" => "could not be fetched".to_owned(),
            "not-fetched" => format!("not fetched: {rest}"),
            "requisite-in-session" => format!("recorded in {rest}"),
            _ => continue,
        };
        missing.entry(url).or_insert(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let block = b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nTransfer-Encoding: chunked\r\nContent-Encoding: \
                      gzip\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        let (status, document) = answer("http://a.test/", block, false);
        assert_eq!((status, &document.body[..], document.cut), (200, &b"abc"[..], false));
        assert_eq!(document.content_type.as_deref(), Some(&b"text/html"[..]));
        assert_eq!(document.content_encoding.as_deref(), Some(&b"gzip"[..]));
        let (status, document) = answer("http://a.test/", b"\xff\xfe", true);
        assert_eq!((status, document.cut, document.content_type), (0, true, None));
    }

    #[test]
    fn facts_of_an_exhibit() {
        let mut missing = BTreeMap::new();
        not_there(
            "mandate: M-1\r\nwithheld: listing-image http://a.test/1.png\r\nhash-only: other-image http://a.test/2.png \
             sha256:00ff 7 bytes\r\nfailed: stylesheet http://a.test/a.css: timed out\r\nodd: line\r\n",
            &mut missing,
        );
        let why = |url: &str| missing.get(url).map(String::as_str);
        assert_eq!(why("http://a.test/1.png"), Some("withheld by the mandate"));
        assert_eq!(why("http://a.test/2.png"), Some("withheld by the mandate, sha256:00ff 7 bytes"));
        assert_eq!(why("http://a.test/a.css"), Some("could not be fetched"));
        assert_eq!(missing.len(), 3);
    }
}
