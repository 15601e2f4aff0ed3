//! Random responses: well-formed ones have to come out as they went in, others have to end.

use std::io::ErrorKind;
use std::ops::Range;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use tokio::time::sleep;
use vigie_wire::net::{Incomplete, Request};

use super::harness::*;

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A well-formed response.
#[derive(Clone)]
struct Script {
    said: Vec<u8>,
    status: u16,
    payload: Vec<u8>,
    /// The far end closes behind it.
    closes: bool,
    /// Where what is said is split, and how long the far end waits there, in milliseconds.
    splits: Vec<(Index, u16)>,
}

impl std::fmt::Debug for Script {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let start = &self.said[..self.said.len().min(3000)];
        write!(f, "\"{}\" closes {} splits {:?}", start.escape_ascii(), self.closes, self.splits)
    }
}

fn field() -> impl Strategy<Value = Vec<u8>> {
    let value = prop::collection::vec(prop_oneof![0x20..0x7f_u8, 0x80..=0xff_u8, Just(b'\t')], 0..60);
    let fold = prop_oneof![4 => Just(""), 1 => Just("\r\n \t"), 1 => Just("\n ")];
    let end = prop_oneof![5 => Just("\r\n"), 1 => Just("\n")];
    ("X-[!#$%&'*+.^_`|~0-9A-Za-z-]{0,20}", value, fold, "[a-z]{0,5}", end).prop_map(|(name, value, fold, more, end)| {
        [name.as_bytes(), b":", &value, fold.as_bytes(), more.as_bytes(), end.as_bytes()].concat()
    })
}

fn fields() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(field(), 0..6).prop_map(|fields| fields.concat())
}

fn interim() -> impl Strategy<Value = Vec<u8>> {
    (prop_oneof![Just(100_u16), 102..200_u16], fields())
        .prop_map(|(status, fields)| [format!("HTTP/1.1 {status} x\r\n").as_bytes(), &fields, b"\r\n"].concat())
}

#[derive(Clone, Debug)]
enum Framing {
    Length,
    Chunked { sizes: Vec<u16>, extension: String, trailer: Vec<u8> },
    Nothing(u16),
    UntilEnd,
}

fn framing() -> impl Strategy<Value = Framing> {
    let chunked = (
        prop::collection::vec(1..3000_u16, 1..8),
        prop_oneof![Just(String::new()), "[ \t]{0,2};[ -~]{0,20}"],
        prop_oneof![Just(Vec::new()), field()],
    );
    prop_oneof![
        4 => Just(Framing::Length),
        4 => chunked.prop_map(|(sizes, extension, trailer)| Framing::Chunked { sizes, extension, trailer }),
        1 => prop_oneof![Just(204_u16), Just(304)].prop_map(Framing::Nothing),
        1 => Just(Framing::UntilEnd),
    ]
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..2000),
        (any::<u8>(), 0..300_000_usize).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

fn script() -> impl Strategy<Value = Script> {
    let status = prop_oneof![Just(200_u16), 200..204_u16, 205..304_u16, 305..1000_u16];
    let heads = (prop::collection::vec(interim(), 0..3), fields(), fields(), any::<bool>());
    let splits = prop::collection::vec((any::<Index>(), prop_oneof![3 => Just(0_u16), 1 => 1..2000_u16]), 0..12);
    (status, heads, framing(), payload(), 0..4_u8, splits).prop_map(
        |(status, (interim, before, after, old), framing, payload, connection, splits)| {
            let old = old && !matches!(framing, Framing::Chunked { .. });
            let (mut status, mut payload) = (status, payload);
            let mut closes = connection == 0 || (old && connection != 1);
            let (own, body) = match framing {
                Framing::Length => (format!("Content-Length: {}\r\n", payload.len()), payload.clone()),
                Framing::Chunked { sizes, extension, trailer } => {
                    let (mut body, mut rest, mut sizes) = (Vec::new(), &payload[..], sizes.iter().cycle());
                    while !rest.is_empty() {
                        let size = usize::from(*sizes.next().unwrap_or(&1)).max(rest.len() / 100).min(rest.len());
                        body.extend_from_slice(format!("{size:X}{extension}\r\n").as_bytes());
                        body.extend_from_slice(&rest[..size]);
                        body.extend_from_slice(b"\r\n");
                        rest = &rest[size..];
                    }
                    body.extend_from_slice(format!("0{extension}\r\n").as_bytes());
                    // A trailer field has no folds and ends in CR LF, or hyper takes it for broken.
                    if !trailer.is_empty() && !trailer.contains(&b'\n') {
                        body.extend_from_slice(&trailer);
                    } else if !trailer.is_empty() {
                        body.extend_from_slice(b"X-Sum: 1\r\n");
                    }
                    body.extend_from_slice(b"\r\n");
                    ("Transfer-Encoding: chunked\r\n".to_owned(), body)
                }
                Framing::Nothing(without) => {
                    (status, payload) = (without, Vec::new());
                    ("Content-Length: 1\r\n".to_owned(), Vec::new())
                }
                Framing::UntilEnd => {
                    closes = true;
                    (String::new(), payload.clone())
                }
            };
            let kept = match connection {
                0 => "Connection: close\r\n",
                1 => "Connection: Keep-Alive\r\n",
                _ => "",
            };
            let line = format!("HTTP/1.{} {status} Some Reason\r\n", u8::from(!old));
            let parts = [
                &interim.concat()[..],
                line.as_bytes(),
                &before,
                own.as_bytes(),
                kept.as_bytes(),
                &after,
                b"\r\n",
                &body,
            ];
            Script { said: parts.concat(), status, payload, closes, splits }
        },
    )
}

impl Script {
    fn pieces(&self) -> Vec<(Range<usize>, u16)> {
        let length = self.said.len();
        let mut at: Vec<_> = self.splits.iter().map(|(index, wait)| (index.index(length), *wait)).collect();
        at.sort_unstable();
        at.push((length, 0));
        let mut from = 0;
        at.into_iter().map(|(to, wait)| (std::mem::replace(&mut from, to)..to, wait)).collect()
    }
}

/// Answers requests with scripts, one after the other, until one closes.
async fn serve(mut far: Far, scripts: Vec<Script>) -> Vec<Vec<u8>> {
    let mut asked = Vec::new();
    for script in scripts {
        asked.push(far.request().await);
        for (piece, wait) in script.pieces() {
            far.say(&script.said[piece]).await;
            match wait {
                0 => tokio::task::yield_now().await,
                wait => sleep(Duration::from_millis(wait.into())).await,
            }
        }
        if script.closes {
            return asked;
        }
    }
    far.closed().await;
    asked
}

fn paused() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().expect("a runtime")
}

/// Path and fields of a request as *record* may order it.
type Order = (String, Vec<(String, String)>);

fn order() -> impl Strategy<Value = Order> {
    let name = "[A-Z][a-zA-Z-]{0,12}".prop_filter("not one that net refuses", |name| {
        !["host", "te", "expect", "upgrade", "connection"].contains(&name.to_ascii_lowercase().as_str())
    });
    let value = prop_oneof!["[ -~]{0,40}", "[a-zé€\t ]{0,20}"];
    let fields = prop::collection::vec((name, value), 0..8);
    ("/[!-\"$-~]{0,60}", fields, any::<Index>()).prop_map(|(path, mut fields, at)| {
        fields.insert(at.index(fields.len() + 1), ("Host".into(), HOST.into()));
        (path, fields)
    })
}

fn bytes_of((path, fields): &Order) -> Vec<u8> {
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("GET {path} HTTP/1.1\r\n{fields}\r\n").into_bytes()
}

proptest! {
    #![proptest_config(config(200))]

    #[test]
    fn well_formed_responses_come_out_as_they_went_in(
        scripts in prop::collection::vec((order(), script()), 1..=5),
        room in prop_oneof![1..64_usize, 1024..100_000_usize],
    ) {
        paused().block_on(async {
            let mut lab = Lab::with(room, None, &[]);
            let mut servers = Vec::new();
            let mut fresh = true;
            for (at, (order, script)) in scripts.iter().enumerate() {
                let (path, headers) = order.clone();
                let events = lab.order(Request { path, headers, ..request() });
                if fresh {
                    let far = lab.far().await;
                    servers.push(tokio::spawn(serve(far, scripts[at..].iter().map(|(_, s)| s.clone()).collect())));
                }
                let told = told(events).await;
                assert_eq!(told.opened.len(), 1);
                assert_eq!(told.opened[0].reused, !fresh);
                assert!(told.wire == script.said, "{} bytes of {}", told.wire.len(), script.said.len());
                assert_eq!(told.status(), script.status);
                assert!(told.body == script.payload);
                assert_eq!(told.incomplete(), None);
                assert_eq!(told.finished().surplus_bytes, 0);
                assert_eq!(told.sent, [bytes_of(order)]);
                told.check_payload();
                fresh = script.closes;
            }
            lab.engine.close();
            let mut asked = Vec::new();
            for server in servers {
                asked.extend(server.await.expect("the server ends"));
            }
            asked.retain(|head| !head.is_empty());
            assert_eq!(asked, scripts.iter().map(|(order, _)| bytes_of(order)).collect::<Vec<_>>());
        });
    }
}

/// How the far end leaves.
#[derive(Clone, Copy, Debug)]
enum Leave {
    Close,
    Break,
    Stay,
}

/// One change of bytes.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, Index),
    Repeat(Index, Index),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let token = prop::sample::select(vec![
        "\r\n",
        "\n",
        "\r",
        "\0",
        " ",
        "\t",
        ":",
        ";",
        "0",
        "5\r\n",
        "HTTP/1.1 200 OK\r\n",
        "HTTP/1.1 100 x\r\n\r\n",
        "Content-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Transfer-Encoding: \r\n gzip\r\n",
        "0\r\n\r\n",
        "Connection: close\r\n",
        "\r\n\r\n",
        "ffffffffffffffff\r\n",
    ]);
    let byte = prop_oneof![any::<u8>(), prop::sample::select(b"\r\n:; \t0aF\0,".to_vec())];
    prop_oneof![
        (any::<Index>(), byte).prop_map(|(at, byte)| Change::Set(at, byte)),
        (any::<Index>(), token).prop_map(|(at, token)| Change::Insert(at, token.into())),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Remove(a, b)),
        (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Change::Repeat(a, b)),
        any::<Index>().prop_map(Change::Cut),
    ]
}

fn changed(mut said: Vec<u8>, changes: &[Change]) -> Vec<u8> {
    for change in changes {
        // Most that matters is at the beginning.
        let near = said.len().min(400);
        if near == 0 {
            break;
        }
        let range = |a: &Index, b: &Index| {
            let (a, b) = (a.index(near), b.index(near));
            a.min(b)..a.max(b).min(a.min(b) + 20)
        };
        match change {
            Change::Set(at, byte) => said[at.index(near)] = *byte,
            Change::Insert(at, bytes) => drop(said.splice(at.index(near)..at.index(near), bytes.iter().copied())),
            Change::Remove(a, b) => drop(said.drain(range(a, b))),
            Change::Repeat(a, b) => {
                let copy = said[range(a, b)].to_vec();
                said.splice(range(a, b).start..range(a, b).start, copy);
            }
            Change::Cut(at) => said.truncate(at.index(said.len())),
        }
    }
    said
}

proptest! {
    #![proptest_config(config(1500))]

    #[test]
    fn broken_responses_end_once_and_are_recorded_as_far_as_they_were_read(
        script in script(),
        changes in prop::collection::vec(change(), 1..6),
        leave in prop::sample::select(vec![Leave::Close, Leave::Break, Leave::Stay]),
        head_bytes in prop_oneof![Just(64 * 1024_u32), 1..500_u32],
        body_bytes in prop_oneof![Just(1_000_000_u64), 0..3000_u64],
        garbage in prop_oneof![9 => Just(None), 1 => prop::collection::vec(any::<u8>(), 1..2000).prop_map(Some)],
    ) {
        let said = garbage.unwrap_or_else(|| changed(script.said.clone(), &changes));
        let script = Script { said, closes: true, ..script };
        let told = paused().block_on(async {
            let mut lab = Lab::new();
            let mut order = request();
            order.limits.head_bytes = head_bytes;
            order.limits.body_bytes = body_bytes;
            let events = lab.order(order);
            let mut far = lab.far().await;
            let server = script.clone();
            tokio::spawn(async move {
                far.request().await;
                for (piece, wait) in server.pieces() {
                    far.say(&server.said[piece]).await;
                    sleep(Duration::from_millis(wait.into())).await;
                }
                match leave {
                    Leave::Close => {}
                    Leave::Break => far.break_off(ErrorKind::ConnectionReset),
                    Leave::Stay => far.closed().await,
                }
            });
            let told = told(events).await;
            if told.finished.is_some() {
                assert!(script.said.starts_with(&told.wire));
            }
            told
        });
        told.check_payload();
        if let Some(finished) = &told.finished {
            let body = finished.wire_bytes - u64::from(finished.head_bytes) - u64::from(finished.surplus_bytes);
            match &finished.incomplete {
                None => {
                    prop_assert!(finished.head_bytes <= head_bytes && body <= body_bytes);
                    let length = (told.wire.len() as u64 - u64::from(finished.surplus_bytes)) as usize;
                    prop_assert!(is_whole(&told.wire[..length], matches!(leave, Leave::Close)));
                }
                Some(Incomplete::HeadTooLarge) => {
                    prop_assert!(told.head.is_none() || finished.head_bytes > head_bytes);
                }
                Some(Incomplete::BodyTooLarge) => prop_assert!(body > body_bytes),
                Some(Incomplete::StreamBroken) => prop_assert!(matches!(leave, Leave::Break)),
                Some(Incomplete::Disconnected) => prop_assert!(matches!(leave, Leave::Close)),
                Some(Incomplete::Idle) => prop_assert!(matches!(leave, Leave::Stay)),
                Some(Incomplete::Malformed(why)) => prop_assert!(!why.is_empty()),
                Some(other) => prop_assert!(false, "{other:?}"),
            }
        }
    }
}

/// A second opinion: these bytes are one whole response (RFC 9112 §6.3 and §7.1), `ended` when the
/// stream ended behind them.
fn is_whole(said: &[u8], ended: bool) -> bool {
    let text: String = said.iter().map(|&byte| if byte.is_ascii() { char::from(byte) } else { '?' }).collect();
    let mut rest = text.trim_start_matches(['\r', '\n']);
    let (status, head, body) = loop {
        let ends = ["\n\r\n", "\n\n"].map(|end| rest.find(end).map(|at| at + end.len()));
        let Some(end) = ends.into_iter().flatten().min() else { return false };
        let (head, body) = rest.split_at(end);
        let status: u16 = head.get(9..12).and_then(|code| code.parse().ok()).unwrap_or(0);
        if !(100..200).contains(&status) {
            break (status, head.replace('\r', "").replace("\n ", " ").replace("\n\t", " "), body);
        }
        rest = body.trim_start_matches(['\r', '\n']);
    };
    let all = |name: &str| -> Vec<String> {
        let fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned()).collect()
    };
    let (codings, lengths) = (all("transfer-encoding"), all("content-length"));
    if matches!(status, 204 | 304) {
        return body.is_empty();
    }
    if let Some(last) = codings.last() {
        let chunked = last.rsplit(',').next().is_some_and(|last| last.trim().eq_ignore_ascii_case("chunked"));
        return if chunked { chunks(body) } else { ended };
    }
    match lengths.first() {
        Some(length) => length.split(',').next().is_some_and(|first| first.trim().parse() == Ok(body.len())),
        None => ended,
    }
}

fn chunks(mut rest: &str) -> bool {
    loop {
        let Some((line, after)) = rest.split_once("\r\n") else { return false };
        let digits = line.split([';', ' ', '\t']).next().unwrap_or_default();
        let Ok(size) = usize::from_str_radix(digits, 16) else { return false };
        if size == 0 {
            return after == "\r\n" || after.ends_with("\r\n\r\n");
        }
        let Some(next) = after.get(size..).and_then(|after| after.strip_prefix("\r\n")) else { return false };
        rest = next;
    }
}
