//! Two captures of the same thing, made apart: what agrees and what does not. Two stores or two
//! sessions share no circuit, so that what both saw was hardly made on the way.

use std::collections::BTreeMap;

use serde::Serialize;
use sha2::{Digest, Sha256};
use vigie_store::OpenedExhibit;
use vigie_warc::check_each_with;

use crate::error::Problem;
use crate::record::SECOND;

/// Largest block of facts read, in bytes.
const FACTS_BYTES: usize = 4 << 20;

/// What an exhibit says of one exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Seen {
    /// HTTP status.
    pub status: String,
    /// Hex SHA-256 of the payload.
    pub payload_sha256: String,
    /// Hex SHA-256 of the server's certificate; empty without TLS.
    pub certificate_sha256: String,
}

/// Exchanges of an exhibit by their URL, the last of each.
pub type Exchanges = BTreeMap<String, Seen>;

/// One URL in both.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The URL.
    pub url: String,
    /// Same status and payload.
    pub same_content: bool,
    /// Same certificate; `None` when neither used TLS.
    pub same_certificate: Option<bool>,
    /// In the first exhibit.
    pub here: Seen,
    /// In the second.
    pub there: Seen,
}

/// The comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// URLs that are in both.
    pub both: Vec<Compared>,
    /// URLs that only the first has.
    pub only_here: Vec<String>,
    /// URLs that only the second has.
    pub only_there: Vec<String>,
}

impl Comparison {
    /// Compares what two exhibits say.
    pub fn new(here: &Exchanges, there: &Exchanges) -> Self {
        let both = here
            .iter()
            .filter_map(|(url, here)| Some((url, here, there.get(url)?)))
            .map(|(url, here, there)| Compared {
                url: url.clone(),
                same_content: here.status == there.status && here.payload_sha256 == there.payload_sha256,
                same_certificate: (!here.certificate_sha256.is_empty() || !there.certificate_sha256.is_empty())
                    .then(|| here.certificate_sha256 == there.certificate_sha256),
                here: here.clone(),
                there: there.clone(),
            })
            .collect();
        let only = |one: &Exchanges, other: &Exchanges| {
            one.keys().filter(|url| !other.contains_key(*url)).cloned().collect::<Vec<_>>()
        };
        Self { both, only_here: only(here, there), only_there: only(there, here) }
    }

    /// URLs whose content agrees.
    pub fn agreeing(&self) -> usize {
        self.both.iter().filter(|one| one.same_content).count()
    }

    /// URLs with TLS whose certificates differ.
    pub fn other_certificates(&self) -> usize {
        self.both.iter().filter(|one| one.same_certificate == Some(false)).count()
    }

    /// `agree`: all that is in both is the same; `agree in part`; `differ`: nothing is the same;
    /// `not comparable`: nothing is in both. A certificate that differs is never agreement.
    pub fn verdict(&self) -> &'static str {
        let (same, all) = (self.agreeing(), self.both.len());
        match (same, all) {
            (_, 0) => "not comparable",
            (0, _) => "differ",
            _ if same == all && self.other_certificates() == 0 => "agree",
            _ => "agree in part",
        }
    }
}

/// Reads what an exhibit says of its exchanges, and checks every digest inside, in one pass. `None`
/// when one does not hold; the whole is compared with what the log committed to before anything is
/// believed.
pub fn exchanges(mut opened: OpenedExhibit) -> Result<Option<Exchanges>, Problem> {
    let (mut found, mut sound) = (Exchanges::new(), true);
    check_each_with(&mut opened, "metadata", FACTS_BYTES, |record, block| {
        sound &= record.findings.is_empty();
        let url = record.head.field("WARC-Target-URI").map(str::to_owned);
        if let (Some(url), Ok(text)) = (url, String::from_utf8(block)) {
            found.extend(seen(&text).map(|seen| (url, seen)));
        }
    })
    .map_err(|error| Problem::unsound(format!("reading an exhibit: {error}")))?;
    opened.finish()?;
    Ok(sound.then_some(found))
}

/// `application/warc-fields` of one exchange; `None` for other facts.
fn seen(text: &str) -> Option<Seen> {
    let field = |name: &str| {
        text.lines().filter_map(|line| line.split_once(':')).find(|(n, _)| *n == name).map(|(_, v)| v.trim().to_owned())
    };
    // It is there to be compared with the first answer, within its own exhibit.
    if field("answer").is_some_and(|answer| answer == SECOND) {
        return None;
    }
    let certificate = field("tls-chain").and_then(|text| data_encoding::BASE64.decode(text.as_bytes()).ok());
    Some(Seen {
        status: field("status")?,
        payload_sha256: field("payload-sha256")?,
        certificate_sha256: certificate
            .map(|der| data_encoding::HEXLOWER.encode(&Sha256::digest(der)))
            .unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(payload: &str, certificate: &str) -> Seen {
        Seen { status: "200".into(), payload_sha256: payload.into(), certificate_sha256: certificate.into() }
    }

    fn compare(here: &[(&str, Seen)], there: &[(&str, Seen)]) -> Comparison {
        let map = |list: &[(&str, Seen)]| list.iter().map(|(url, seen)| ((*url).to_owned(), seen.clone())).collect();
        Comparison::new(&map(here), &map(there))
    }

    #[test]
    fn verdicts() {
        let (a, b, tls, other) = (seen("a", ""), seen("b", ""), seen("a", "1"), seen("a", "2"));
        for (here, there, verdict) in [
            (vec![("/", a.clone())], vec![("/", a.clone())], "agree"),
            (vec![("/", a.clone())], vec![("/", b.clone())], "differ"),
            (vec![("/", a.clone())], vec![("/x", a.clone())], "not comparable"),
            (vec![("/", a.clone()), ("/x", a.clone())], vec![("/", a.clone()), ("/x", b.clone())], "agree in part"),
            (vec![("/", a.clone()), ("/x", a.clone())], vec![("/", a.clone())], "agree"),
            (vec![("/", tls.clone())], vec![("/", tls.clone())], "agree"),
            (vec![("/", tls.clone())], vec![("/", other)], "agree in part"),
            (vec![("/", tls)], vec![("/", a.clone())], "agree in part"),
            (vec![], vec![], "not comparable"),
        ] {
            let comparison = compare(&here, &there);
            assert_eq!(comparison.verdict(), verdict, "{here:?} {there:?}");
        }
        let moved = Seen { status: "404".into(), ..a.clone() };
        assert_eq!(compare(&[("/", a)], &[("/", moved)]).verdict(), "differ");
    }

    #[test]
    fn facts_of_an_exchange() {
        let chain = data_encoding::BASE64.encode(b"certificate");
        let text =
            format!("started: x\r\nstatus: 200\r\npayload-sha256: aa\r\ntls-chain: {chain}\r\ntls-chain: bb\r\n");
        let found = super::seen(&text).expect("facts");
        assert_eq!(found.certificate_sha256, data_encoding::HEXLOWER.encode(&Sha256::digest(b"certificate")));
        assert_eq!(super::seen("title: x\r\n"), None);
        let (first, second) = (format!("{text}answer: first of two exits\r\n"), format!("{text}answer: {SECOND}\r\n"));
        assert!(super::seen(&first).is_some() && super::seen(&second).is_none());
    }
}
