//! Raw responses, one after the other: what is recorded, what is understood, how it ends.

use std::io::ErrorKind;

use vigie_wire::net::{Incomplete, Method};

use super::harness::*;

/// How an exchange has to end.
#[derive(Clone, Copy, Debug)]
enum End {
    Whole,
    /// Whole, and so many bytes behind it.
    Surplus(u32),
    Cut,
    /// Not HTTP; the text says so much.
    Bad(&'static str),
}
use End::{Bad, Cut, Surplus, Whole};

struct Case {
    said: Vec<u8>,
    status: u16,
    body: Vec<u8>,
    end: End,
}

fn case(said: impl Into<Vec<u8>>, status: u16, body: impl Into<Vec<u8>>, end: End) -> Case {
    Case { said: said.into(), status, body: body.into(), end }
}

/// 0 for a status that is not understood.
fn cases() -> Vec<Case> {
    let ok = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}");
    let chunked = |rest: &str| ok(&format!("Transfer-Encoding: chunked\r\n\r\n{rest}"));
    vec![
        // Content-Length.
        case(ok("Content-Length: 5\r\n\r\nhello"), 200, "hello", Whole),
        case(ok("Content-Length: 0\r\n\r\n"), 200, "", Whole),
        case(ok("Content-Length: 5\r\n\r\nhello!?"), 200, "hello", Surplus(2)),
        case(ok("Connection: close\r\nContent-Length: 5\r\n\r\nhello!?"), 200, "hello", Surplus(2)),
        case(ok("Content-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), 200, "", Surplus(19)),
        case(ok("Content-Length: 9\r\n\r\nhello"), 200, "hello", Cut),
        case(ok("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 200, "hello", Whole),
        case(ok("Content-Length: 5, 5\r\n\r\nhello"), 200, "hello", Whole),
        case(ok("Content-Length: 10\r\nContent-Length: 100\r\n\r\nhello"), 0, "", Bad("content-length")),
        case(ok("Content-Length: -5\r\n\r\nhello"), 0, "", Bad("content-length")),
        case(ok("Content-Length: +5\r\n\r\nhello"), 0, "", Bad("content-length")),
        case(ok("Content-Length: 5x\r\n\r\nhello"), 0, "", Bad("content-length")),
        case(ok("Content-Length: \r\n\r\nhello"), 0, "", Bad("content-length")),
        case(ok("Content-Length: 18446744073709551615\r\n\r\nhello"), 0, "", Bad("Content-Length is beyond")),
        case(ok("Content-Length: 99999999999999999999\r\n\r\nhello"), 0, "", Bad("content-length")),
        // Until the end.
        case(ok("\r\nhello"), 200, "hello", Whole),
        case("HTTP/1.0 200 OK\r\n\r\nhello", 200, "hello", Whole),
        case(ok("Transfer-Encoding: gzip\r\nContent-Length: 2\r\n\r\nhello"), 200, "hello", Whole),
        // Chunks.
        case(chunked("5\r\nhello\r\n0\r\n\r\n"), 200, "hello", Whole),
        case(chunked("5;a=b; c=\"d\"\r\nhello\r\n1 ;x\r\n!\r\n000\r\n\r\n"), 200, "hello!", Whole),
        case(chunked("5\r\nhello\r\n0\r\nX-Sum: 1\r\nY: z\r\n\r\n"), 200, "hello", Whole),
        case(chunked("5\r\nhello\r\n0\r\n\r\nmore"), 200, "hello", Surplus(4)),
        case(chunked("0\r\n\r\n\r\n"), 200, "", Surplus(2)),
        case(ok("Transfer-Encoding: GZIP, Chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), 200, "a", Whole),
        case(ok("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), 200, "a", Whole),
        case(ok("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), 200, "hello", Whole),
        case(chunked("5\r\nhello\r\n64\r\nwor"), 200, "hellowor", Cut),
        case(chunked("5\r\nhello\r\n0\r\n"), 200, "hello", Cut),
        case(chunked("5\r\nhello\r\n0\r\nX: y\r\n"), 200, "hello", Cut),
        case(chunked(""), 200, "", Cut),
        case(chunked("5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n"), 200, "hello", Bad("chunk size")),
        case(chunked("5\r\nhello5\r\nworld\r\n0\r\n\r\n"), 200, "hello", Bad("chunk body")),
        case(chunked("5\nhello\n0\n\n"), 200, "", Bad("chunk size")),
        case(chunked(" 5\r\nhello\r\n0\r\n\r\n"), 200, "", Bad("chunk size")),
        case(chunked("-5\r\nhello\r\n0\r\n\r\n"), 200, "", Bad("chunk size")),
        case(chunked("0x5\r\nhello\r\n0\r\n\r\n"), 200, "", Bad("chunk size")),
        case(chunked("fffffffffffffffff0\r\nhello\r\n0\r\n\r\n"), 200, "", Bad("overflow")),
        case(
            chunked(&format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000))),
            200,
            "",
            Bad("extensions over limit"),
        ),
        case(chunked(&format!("5\r\nhello\r\n0\r\nX: {}\r\n\r\n", "x".repeat(20_000))), 200, "hello", Bad("trailers")),
        case(
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            0,
            "",
            Bad("transfer-encoding"),
        ),
        // Interim heads.
        case(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
            404,
            "no",
            Whole,
        ),
        case("HTTP/1.1 100 Continue\r\n\r\n", 0, "", Cut),
        case("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n\x01\x02", 101, "", Bad("not asked for")),
        // Without a body.
        case("HTTP/1.1 204 No Content\r\n\r\n", 204, "", Whole),
        case("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", 204, "", Surplus(5)),
        case("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", Whole),
        case("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 304, "", Surplus(5)),
        // Lines.
        case("HTTP/1.1 200 OK\nContent-Length: 9\n\n<p>lf</p>", 200, "<p>lf</p>", Whole),
        case("\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 200, "hi", Whole),
        case(ok("X-Folded: one\r\n two\r\nContent-Length: 2\r\n\r\nhi"), 200, "hi", Whole),
        case(ok("Transfer-Encoding:\r\n chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"), 200, "hi", Whole),
        case(ok("X-Odd: a\0b\r\nContent-Length: 2\r\n\r\nhi"), 0, "", Bad("header")),
        case(ok("X-Odd: a\rb\r\nContent-Length: 2\r\n\r\nhi"), 0, "", Bad("header")),
        case(ok("X Odd: b\r\nContent-Length: 2\r\n\r\nhi"), 0, "", Bad("header")),
        case(ok("Content-Length : 2\r\n\r\nhi"), 0, "", Bad("header")),
        case(ok("no colon\r\nContent-Length: 2\r\n\r\nhi"), 0, "", Bad("header")),
        case(ok("X-High: \u{e9}\r\nContent-Length: 2\r\n\r\nhi"), 200, "hi", Whole),
        case("HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nhi", 999, "hi", Whole),
        case("HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nhi", 0, "", Bad("status")),
        case("HTTP/1.1 20 OK\r\n\r\nhi", 0, "", Bad("status")),
        // No HTTP/1.1 at all.
        case("<html><title>old</title><p>as in 1991</html>\n", 0, "", Bad("version")),
        case("HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 0, "", Bad("version")),
        case("HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nhi", 0, "", Bad("version")),
        case("SSH-2.0-OpenSSH_9.2\r\n", 0, "", Bad("version")),
        case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), 0, "", Bad("version")),
        case(
            (0..2000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
            0,
            "",
            Bad("version"),
        ),
        case("HTTP/1.1 200 OK\r\nContent-", 0, "", Cut),
        case("HT", 0, "", Cut),
        case("\r\n", 0, "", Cut),
    ]
}

fn ends(told: &Told, end: End) -> bool {
    let surplus = told.finished().surplus_bytes;
    match (end, told.incomplete()) {
        (Whole, None) => surplus == 0,
        (Surplus(bytes), None) => surplus == bytes,
        (Cut, Some(Incomplete::Disconnected)) => true,
        (Bad(text), Some(Incomplete::Malformed(why))) => why.contains(text),
        _ => false,
    }
}

#[tokio::test(start_paused = true)]
async fn every_response_is_recorded_as_it_came_and_ends_as_it_must() {
    for Case { said, status, body, end } in cases() {
        let mut lab = Lab::new();
        let told = lab.hear(request(), &said).await;
        let name = String::from_utf8_lossy(&said);
        assert_eq!(told.wire, said, "{name}");
        assert_eq!(told.status(), status, "{name}");
        assert_eq!(told.body, body, "{name}");
        assert!(ends(&told, end), "{name}: {:?} is not {end:?}", told.finished());
        assert_eq!(told.sent, [asked()]);
        told.check_payload();
    }
}

/// The same, with the far end cut off before each byte: never taken for whole when it is not.
#[tokio::test(start_paused = true)]
async fn a_cut_at_any_byte_is_told() {
    for said in [
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x\r\nhello\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    ] {
        for at in 0..said.len() {
            for fault in [None, Some(ErrorKind::ConnectionReset), Some(ErrorKind::ConnectionAborted)] {
                let told = Lab::new().hear_until(request(), &said.as_bytes()[..at], fault).await;
                if at == 0 {
                    assert!(told.failed.is_some());
                    continue;
                }
                let why = if fault.is_some() { Incomplete::StreamBroken } else { Incomplete::Disconnected };
                assert_eq!(told.incomplete(), Some(&why), "{}", &said[..at]);
                assert_eq!(told.wire, said.as_bytes()[..at]);
                told.check_payload();
            }
        }
        let told = Lab::new().hear(request(), said.as_bytes()).await;
        assert_eq!(told.incomplete(), None, "{said}");
    }
}

/// Without a length, only the end of the stream says that the body is whole; a broken one does not.
#[tokio::test(start_paused = true)]
async fn a_body_that_ends_with_the_stream_needs_an_orderly_end() {
    let said = b"HTTP/1.1 200 OK\r\n\r\nhello";
    assert_eq!(Lab::new().hear(request(), said).await.incomplete(), None);
    for kind in [ErrorKind::ConnectionReset, ErrorKind::ConnectionAborted, ErrorKind::Other, ErrorKind::InvalidData] {
        let told = Lab::new().hear_until(request(), said, Some(kind)).await;
        assert_eq!(told.incomplete(), Some(&Incomplete::StreamBroken), "{kind:?}");
        assert_eq!(told.body, b"hello");
    }
    let told = Lab::new().hear_until(request(), said, Some(ErrorKind::UnexpectedEof)).await;
    assert_eq!(told.incomplete(), Some(&Incomplete::Disconnected));
}

#[tokio::test(start_paused = true)]
async fn a_response_to_head_has_no_body() {
    for (fields, surplus) in
        [("Content-Length: 5\r\n\r\n", 0), ("Transfer-Encoding: chunked\r\n\r\n", 0), ("\r\nhello", 5)]
    {
        let said = format!("HTTP/1.1 200 OK\r\n{fields}");
        let told =
            Lab::new().hear(vigie_wire::net::Request { method: Method::Head, ..request() }, said.as_bytes()).await;
        assert_eq!((told.incomplete(), told.finished().surplus_bytes, told.body.len()), (None, surplus, 0), "{said}");
        assert_eq!(
            told.sent,
            [asked().iter().skip(3).fold(b"HEAD".to_vec(), |mut all, b| {
                all.push(*b);
                all
            })]
        );
    }
}

#[tokio::test(start_paused = true)]
async fn fields_stand_as_on_the_wire() {
    let said = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX-A: \t one \r\nset-cookie: b=2\r\nX-Empty:\r\nx-a: two\r\n three\r\n\
                SET-COOKIE: c=\u{e9}\r\nContent-Length: 0\r\n\r\n";
    let head = Lab::new().hear(request(), said.as_bytes()).await.head.unwrap();
    let fields: Vec<_> = head.headers.iter().map(|(n, v)| (n.as_str(), std::str::from_utf8(v).unwrap())).collect();
    assert_eq!(
        fields,
        [
            ("set-cookie", "a=1"),
            ("x-a", "one"),
            ("set-cookie", "b=2"),
            ("x-empty", ""),
            ("x-a", "two three"),
            ("set-cookie", "c=\u{e9}"),
            ("content-length", "0"),
        ]
    );
}

/// A far end that speaks before it is asked, or before it has heard all, is recorded all the same.
#[tokio::test(start_paused = true)]
async fn whoever_speaks_first_is_recorded_behind_the_request() {
    let mut lab = Lab::new();
    *lab.engine.dial().greeting.lock().unwrap() = b"SSH-2.0-OpenSSH_9.2\r\n".to_vec();
    let told = lab.hear(request(), b"").await;
    assert_eq!(told.wire, b"SSH-2.0-OpenSSH_9.2\r\n");
    assert_eq!(told.sent, [asked()]);
    assert!(matches!(told.incomplete(), Some(Incomplete::Malformed(_))));
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_half_a_request_stops_the_other_half() {
    // So small a stream that the request does not fit in it.
    let mut lab = Lab::with(16, None, &[]);
    let events = lab.order(request());
    let mut far = lab.far().await;
    let server = tokio::spawn(async move {
        far.say(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno").await;
        let mut got = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut far.stream, &mut got).await.unwrap();
        got
    });
    let told = told(events).await;
    assert_eq!((told.status(), told.incomplete(), told.body.as_slice()), (200, None, &b"no"[..]));
    let got = server.await.unwrap();
    assert!(got.len() < asked().len());
    assert_eq!(told.sent, [got], "what is told is what went out");
    assert_eq!(lab.engine.kept(), 0);
}
