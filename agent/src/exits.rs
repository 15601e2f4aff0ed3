//! The same through two exits: whoever alters pages at one of them is seen at the other. A difference is
//! no failure: pages are made anew for each reader. What differs is said, and both answers are kept.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use vigie_wire::net::{Exit, Failure, FailureKind};

use crate::fetch::{Answer, Exchange, Known, Missed, Way, fetch};
use crate::record::one_line;
use crate::session::{Session, kind_name};
use crate::wanted::Wanted;

/// A part in which two answers can differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// The status code.
    Status,
    /// Where it redirects to.
    Location,
    /// The media type and charset that it says.
    ContentType,
    /// The body without transfer coding.
    Payload,
    /// One is whole and the other is not.
    Completeness,
    /// The server's certificate.
    Certificate,
    /// The certificates that it sent beside its own.
    Chain,
}

impl Part {
    /// As in the record.
    pub fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Location => "location",
            Self::ContentType => "content-type",
            Self::Payload => "payload",
            Self::Completeness => "completeness",
            Self::Certificate => "certificate",
            Self::Chain => "chain",
        }
    }
}

/// What two answers are to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same in all parts.
    Agree,
    /// Not the same in these.
    Differ(Vec<Part>),
    /// There is one answer; why there is no other, without any address.
    Alone(String),
}

/// What was asked for through two exits.
pub struct Compared {
    /// The second answer, when both came.
    pub second: Option<Box<Exchange>>,
    /// What they are to each other.
    pub verdict: Verdict,
    /// The line for the record: address, verdict, exits, digests.
    pub line: String,
}

/// What an exhibit's answers are to each other, for its row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TwoExits {
    /// `agree`, `differ` or `one answer`.
    pub verdict: String,
    /// The parts that differ, of whatever was compared.
    pub differ: Vec<Part>,
    /// Questions with two answers that were compared.
    pub compared: u32,
    /// Questions with one answer.
    pub alone: u32,
    /// Why there is one answer, the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// The verdict of a row when all agree.
pub const AGREE: &str = "agree";
/// When something differs.
pub const DIFFER: &str = "differ";
/// When there was one answer to something, and nothing differs.
pub const ALONE: &str = "one answer";

impl TwoExits {
    /// Of all that an exhibit holds; `None` when nothing was asked for twice.
    pub fn of<'a>(verdicts: impl Iterator<Item = &'a Verdict>) -> Option<Self> {
        let mut all = Self { verdict: String::new(), differ: Vec::new(), compared: 0, alone: 0, why: None };
        for verdict in verdicts {
            match verdict {
                Verdict::Agree => all.compared += 1,
                Verdict::Differ(parts) => {
                    all.compared += 1;
                    all.differ.extend(parts);
                }
                Verdict::Alone(why) => {
                    all.alone += 1;
                    all.why.get_or_insert_with(|| why.clone());
                }
            }
        }
        all.differ.sort_unstable();
        all.differ.dedup();
        all.verdict = match (all.compared + all.alone, all.differ.is_empty(), all.alone) {
            (0, ..) => return None,
            (_, false, _) => DIFFER,
            (_, true, 0) => AGREE,
            (_, true, _) => ALONE,
        }
        .to_owned();
        Some(all)
    }
}

impl std::fmt::Display for TwoExits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.verdict)?;
        if !self.differ.is_empty() {
            write!(f, " ({})", self.differ.iter().map(|part| part.name()).collect::<Vec<_>>().join(", "))?;
        }
        self.why.iter().try_for_each(|why| write!(f, "; one answer only to {}: {why}", self.alone))
    }
}

/// Asks once, or twice where the mandate wants two exits. When the first way fails where an exit could
/// have made it fail, the second is gone all the same: one bad exit must not cost the page.
pub async fn ask(session: &Arc<Session>, wanted: &Wanted) -> Result<(Exchange, Option<Compared>), Missed> {
    let mut known = Known::default();
    let first = fetch(session, wanted, Way::First, &mut known).await;
    if !known.two_exits {
        return first.map(|exchange| (exchange, None));
    }
    let first = match first {
        Ok(exchange) => Ok(exchange),
        Err(Missed::Failed(failure)) if exits_may_cause(failure.kind) => Err(failure),
        Err(missed) => return Err(missed),
    };
    let target = known.target.clone();
    // What the first exchange went through last is what the second keeps apart from.
    let exits = known.exits.clone();
    let second = fetch(session, wanted, Way::Second(&exits), &mut known).await;
    match (first, second) {
        (Ok(first), Ok(second)) => {
            // *net* sees to it; what the record says of it is not its word alone.
            let verdict = match (through(&first), through(&second)) {
                (Some(one), Some(other)) if one != other => compare(&first, &second),
                _ => Verdict::Alone("the two exits are not known to differ".to_owned()),
            };
            let line = line(&first.url, &verdict, Some(&first), Some(&second));
            Ok((first, Some(Compared { second: Some(Box::new(second)), verdict, line })))
        }
        (Ok(first), Err(missed)) => {
            let why = match missed {
                Missed::Stopped => return Err(Missed::Stopped),
                Missed::Failed(failure) => format!("the second exit failed: {}", reason(&failure)),
                Missed::Refused(refusal) => {
                    let why = format!("the second request was refused: {}", refusal.code());
                    session.log_refusal(&target, &[(wanted.url.clone(), refusal)], "second exit", false).await;
                    why
                }
            };
            let verdict = Verdict::Alone(why);
            let line = line(&first.url, &verdict, Some(&first), None);
            Ok((first, Some(Compared { second: None, verdict, line })))
        }
        (Err(failure), Ok(second)) => {
            let verdict = Verdict::Alone(format!("the first exit failed: {}", reason(&failure)));
            let line = line(&second.url, &verdict, None, Some(&second));
            // There is no other to read.
            let only = Exchange { answer: Answer::First, ..second };
            Ok((only, Some(Compared { second: None, verdict, line })))
        }
        (Err(_), Err(Missed::Stopped)) => Err(Missed::Stopped),
        (Err(failure), Err(_)) => Err(Missed::Failed(failure)),
    }
}

fn reason(failure: &Failure) -> String {
    format!("{}: {}", kind_name(failure), failure.detail)
}

/// Failures that say nothing of the far side when an exit wants to be in the way.
fn exits_may_cause(kind: FailureKind) -> bool {
    matches!(
        kind,
        FailureKind::Tls
            | FailureKind::ExitFailed
            | FailureKind::NameNotFound
            | FailureKind::StreamRefused
            | FailureKind::ClosedEmpty
            | FailureKind::Timeout
    )
}

fn compare(one: &Exchange, other: &Exchange) -> Verdict {
    let chain = |exchange: &Exchange| {
        let tls = exchange.connection.as_ref().and_then(|connection| connection.tls.as_ref());
        tls.map(|tls| tls.chain.clone()).unwrap_or_default()
    };
    let (ours, theirs) = (chain(one), chain(other));
    let rest = |chain: &[bytes::Bytes]| chain.iter().skip(1).cloned().collect::<Vec<_>>();
    let same = [
        (Part::Status, one.status() == other.status()),
        (Part::Location, one.headers("location") == other.headers("location")),
        (Part::ContentType, one.headers("content-type") == other.headers("content-type")),
        (Part::Payload, one.payload_sha256 == other.payload_sha256 && one.payload_bytes == other.payload_bytes),
        (Part::Completeness, one.finished.incomplete.is_some() == other.finished.incomplete.is_some()),
        (Part::Certificate, ours.first() == theirs.first()),
        (Part::Chain, rest(&ours) == rest(&theirs)),
    ];
    let differ: Vec<Part> = same.into_iter().filter(|(_, same)| !same).map(|(part, _)| part).collect();
    if differ.is_empty() { Verdict::Agree } else { Verdict::Differ(differ) }
}

/// One line of the record.
fn line(
    url: &vigie_config::target::TargetUrl,
    verdict: &Verdict,
    first: Option<&Exchange>,
    second: Option<&Exchange>,
) -> String {
    let verdict = match verdict {
        Verdict::Agree => AGREE.to_owned(),
        Verdict::Differ(parts) => {
            format!("{DIFFER}: {}", parts.iter().map(|part| part.name()).collect::<Vec<_>>().join(", "))
        }
        Verdict::Alone(why) => format!("{ALONE}: {why}"),
    };
    let mut text = format!("{verdict}; {}", one_line(url.reveal()));
    for (name, exchange) in [("first", first), ("second", second)] {
        let Some(exchange) = exchange else { continue };
        let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
        text.push_str(&format!("; {name} exit {}", exit(exchange)));
        text.push_str(&format!(", status {}, payload sha256:{}", exchange.status(), hex(&exchange.payload_sha256)));
        let tls = exchange.connection.as_ref().and_then(|connection| connection.tls.as_ref());
        if let Some(leaf) = tls.and_then(|tls| tls.chain.first()) {
            text.push_str(&format!(", certificate sha256:{}", hex(&Sha256::digest(leaf))));
        }
    }
    text
}

fn exit(exchange: &Exchange) -> String {
    through(exchange).map_or_else(|| "unknown".to_owned(), |exit| exit.to_string())
}

fn through(exchange: &Exchange) -> Option<Exit> {
    Some(exchange.connection.as_ref()?.through.as_ref()?.exit)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use vigie_config::authorize::{Element, MediaPolicy};
    use vigie_config::target::TargetUrl;
    use vigie_wire::net::{Connection, Finished, Incomplete, ResponseHead, Through, Tls};

    use super::*;

    fn exchange(number: u8) -> Exchange {
        let exit = Exit { rsa: [number; 20], ed25519: [number; 32] };
        let tls = Tls {
            protocol: "TLSv1.3".into(),
            cipher_suite: "TLS_AES_256_GCM_SHA384".into(),
            chain: vec![Bytes::from_static(b"leaf"), Bytes::from_static(b"issuer")],
            invalid: None,
        };
        let field = |name: &str, value: &'static str| (name.to_owned(), Bytes::from_static(value.as_bytes()));
        Exchange {
            url: TargetUrl::parse("https://shop.example/a").unwrap(),
            target: "shop".into(),
            element: Element::Page,
            media: MediaPolicy::Capture,
            started: jiff::Timestamp::UNIX_EPOCH,
            request: Bytes::new(),
            wire: None,
            head: Some(ResponseHead {
                status: 200,
                headers: vec![field("content-type", "text/html"), field("location", "/b"), field("date", "now")],
            }),
            finished: Finished {
                incomplete: None,
                wire_bytes: 9,
                head_bytes: 4,
                body_bytes: 5,
                body_sha256: [0; 32],
                first_byte_ms: number.into(),
                total_ms: 1,
                surplus_bytes: 0,
            },
            connection: Some(Connection {
                reused: false,
                connect_ms: number.into(),
                tls: Some(tls),
                through: Some(Through { exit, circuit: number.to_string() }),
            }),
            body: Vec::new(),
            cookies_sent: 0,
            payload_sha256: [7; 32],
            payload_bytes: 5,
            attempt: 1,
            elapsed_ms: number.into(),
            answer: Answer::First,
        }
    }

    #[test]
    fn each_part_that_differs_is_named_and_no_other() {
        let chain = |exchange: &mut Exchange, place: usize| {
            let tls = exchange.connection.as_mut().and_then(|connection| connection.tls.as_mut()).unwrap();
            tls.chain[place] = Bytes::from_static(b"other");
        };
        let header = |exchange: &mut Exchange, place: usize| {
            exchange.head.as_mut().unwrap().headers[place].1 = Bytes::from_static(b"other");
        };
        type Change<'c> = &'c dyn Fn(&mut Exchange);
        let changes: [(Change<'_>, &[Part]); 9] = [
            (&|_| {}, &[]),
            // What no two answers have in common.
            (&|exchange| header(exchange, 2), &[]),
            (&|exchange| exchange.head.as_mut().unwrap().status = 404, &[Part::Status]),
            (&|exchange| header(exchange, 1), &[Part::Location]),
            (&|exchange| header(exchange, 0), &[Part::ContentType]),
            (&|exchange| exchange.payload_sha256 = [8; 32], &[Part::Payload]),
            (&|exchange| exchange.finished.incomplete = Some(Incomplete::Disconnected), &[Part::Completeness]),
            (&|exchange| chain(exchange, 0), &[Part::Certificate]),
            (&|exchange| chain(exchange, 1), &[Part::Chain]),
        ];
        for (change, parts) in changes {
            let (one, mut other) = (exchange(1), exchange(2));
            change(&mut other);
            let expected = if parts.is_empty() { Verdict::Agree } else { Verdict::Differ(parts.to_vec()) };
            assert_eq!(compare(&one, &other), expected);
            assert_eq!(compare(&other, &one), expected);
            let line = line(&one.url, &expected, Some(&one), Some(&other));
            assert!(line.contains(&"01".repeat(20)) && line.contains(&"02".repeat(32)), "{line}");
            assert!(parts.iter().all(|part| line.split(';').next().unwrap().contains(part.name())), "{line}");
        }
        // One by TLS and the other not: there is no certificate beside the first.
        let (one, mut other) = (exchange(1), exchange(2));
        other.connection.as_mut().unwrap().tls = None;
        assert_eq!(compare(&one, &other), Verdict::Differ(vec![Part::Certificate, Part::Chain]));
    }

    #[test]
    fn a_difference_says_more_than_a_missing_answer() {
        let (agree, alone) = (Verdict::Agree, Verdict::Alone("the second exit failed: tls: no".into()));
        let differ = Verdict::Differ(vec![Part::Payload, Part::Status]);
        let certificate = Verdict::Differ(vec![Part::Certificate, Part::Payload]);
        assert_eq!(TwoExits::of([].iter()), None);
        for (verdicts, word, shown) in [
            (vec![&agree, &agree], AGREE, "agree"),
            (vec![&agree, &alone], ALONE, "one answer; one answer only to 1: the second exit failed: tls: no"),
            (vec![&agree, &differ, &certificate], DIFFER, "differ (status, payload, certificate)"),
            (
                vec![&differ, &alone],
                DIFFER,
                "differ (status, payload); one answer only to 1: the second exit failed: tls: no",
            ),
        ] {
            let all = TwoExits::of(verdicts.into_iter()).unwrap();
            assert_eq!((all.verdict.as_str(), all.to_string().as_str()), (word, shown));
            let json = serde_json::to_string(&all).unwrap();
            assert_eq!(serde_json::from_str::<TwoExits>(&json).unwrap(), all);
        }
    }

    #[test]
    fn what_the_workstation_itself_does_is_no_fault_of_an_exit() {
        for kind in [FailureKind::OutOfScope, FailureKind::TorNotReady, FailureKind::NetworkProcess, FailureKind::Other]
        {
            assert!(!exits_may_cause(kind), "{kind:?}");
        }
        assert!(exits_may_cause(FailureKind::Tls) && exits_may_cause(FailureKind::NameNotFound));
    }
}
