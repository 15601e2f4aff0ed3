//! Connections kept alive: when one is used again, when it must not be, and when one has died.

use std::io::ErrorKind;
use std::time::Duration;

use tokio::time::sleep;
use vigie_wire::net::{CircuitKey, FailureKind, Incomplete, Method, Request, Transport};

use super::harness::*;

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

/// One exchange answered with [`HELLO`], and the far end of its stream.
async fn first(lab: &mut Lab, request: Request, said: &[u8]) -> (Told, Far) {
    let events = lab.order(request);
    let mut far = lab.far().await;
    far.request().await;
    far.say(said).await;
    (told(events).await, far)
}

/// One more exchange on a stream that is open.
async fn again(lab: &Lab, far: &mut Far, request: Request, said: &[u8]) -> (Vec<u8>, Told) {
    let events = lab.order(request);
    let head = far.request().await;
    far.say(said).await;
    (head, told(events).await)
}

#[tokio::test(start_paused = true)]
async fn a_connection_serves_many_exchanges_and_mixes_none() {
    let mut lab = Lab::new();
    let (told, mut far) = first(&mut lab, request(), HELLO).await;
    assert!(!told.opened[0].reused);
    for said in [
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX: y\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n1",
    ] {
        let (head, told) = again(&lab, &mut far, request(), said.as_bytes()).await;
        assert_eq!(head, asked());
        assert_eq!(told.sent, [asked()]);
        assert!(told.opened.len() == 1 && told.opened[0].reused);
        assert_eq!((told.wire, told.finished.unwrap().incomplete), (said.as_bytes().to_vec(), None));
    }
    assert_eq!(lab.engine.dial().dialled.lock().unwrap().len(), 1);
}

/// The method of each request decides whether a body follows, not that of the first.
#[tokio::test(start_paused = true)]
async fn head_and_get_share_a_connection() {
    let mut lab = Lab::new();
    let head = || Request { method: Method::Head, ..request() };
    let (told, mut far) = first(&mut lab, head(), b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n").await;
    assert_eq!((told.incomplete(), told.body.len()), (None, 0));
    let (_, told) = again(&lab, &mut far, request(), HELLO).await;
    assert_eq!((told.incomplete(), told.body.as_slice()), (None, &b"hello"[..]));
}

/// Limits are those of each exchange, not of the one that opened the connection.
#[tokio::test(start_paused = true)]
async fn a_kept_connection_takes_the_limits_of_its_exchange() {
    let mut lab = Lab::with(1024 * 1024, None, &[]);
    let mut small = request();
    small.limits.head_bytes = 1000;
    let (told, mut far) = first(&mut lab, small.clone(), HELLO).await;
    assert_eq!(told.incomplete(), None);
    let mut large = request();
    large.limits.head_bytes = 1024 * 1024;
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(600_000));
    let (_, told) = again(&lab, &mut far, large, long.as_bytes()).await;
    assert!(told.opened[0].reused);
    assert_eq!(told.incomplete(), None);
    let (_, told) = again(&lab, &mut far, small, &long.as_bytes()[..5000]).await;
    assert_eq!(told.incomplete(), Some(&Incomplete::HeadTooLarge));
}

#[tokio::test(start_paused = true)]
async fn what_must_close_is_not_kept() {
    let ok = |rest: &str| format!("HTTP/1.1 200 OK\r\n{rest}");
    for said in [
        ok("Connection: close\r\nContent-Length: 5\r\n\r\nhello"),
        ok("Connection: Keep-Alive, CLOSE\r\nContent-Length: 5\r\n\r\nhello"),
        ok("Connection: close\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"),
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello".into(),
        ok("Content-Length: 5\r\n\r\nhello\r\n"),
        ok("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n\0"),
        "HTTP/1.1 204 No Content\r\n\r\n\r\n".into(),
        "HTTP/1.1 101 Switching Protocols\r\n\r\n".into(),
        ok("Transfer-Encoding: chunked\r\n\r\nzz\r\n"),
        ok("X\0: y\r\n\r\n"),
    ] {
        let mut lab = Lab::new();
        let (_, mut far) = first(&mut lab, request(), said.as_bytes()).await;
        assert_eq!(lab.engine.kept(), 0, "{said}");
        far.closed().await;
        let (told, _) = first(&mut lab, request(), HELLO).await;
        assert!(!told.opened[0].reused, "{said}");
    }
    // The request asks for it.
    let mut lab = Lab::new();
    let mut closing = request();
    closing.headers.last_mut().unwrap().1 = "TE, Close".into();
    let (told, mut far) = first(&mut lab, closing, HELLO).await;
    assert_eq!((told.incomplete(), lab.engine.kept()), (None, 0));
    far.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_for_one_key_and_one_scope() {
    let mut lab = Lab::new();
    let (_, _far) = first(&mut lab, request(), HELLO).await;
    let mut others = vec![request(), request(), request()];
    others[0].circuit = CircuitKey([8; 32]);
    others[1].scope.host = "other.example".into();
    others[2].scope.port = 8080;
    others[1].headers[1].1 = "other.example".into();
    others[2].headers[1].1 = "shop.example:8080".into();
    for other in others {
        let (told, _) = first(&mut lab, other, HELLO).await;
        assert!(!told.opened[0].reused);
    }
    let mut secure = request();
    secure.scope.transport = Transport::TlsVerified;
    secure.headers[1].1 = "shop.example:80".into();
    let told = lab.ask(secure).await;
    assert!(told.failed.is_some() && told.opened.is_empty(), "TLS is not spoken on a stream kept without it");
    let dialled: Vec<_> = lab.engine.dial().dialled.lock().unwrap().clone();
    assert_eq!(dialled[1], (CircuitKey([8; 32]), HOST.to_owned(), 80));
    assert_eq!(dialled[2], (KEY, "other.example".to_owned(), 80));
    assert_eq!(dialled[3], (KEY, HOST.to_owned(), 8080));
}

/// Bytes that nobody asked for are no answer to the next request.
#[tokio::test(start_paused = true)]
async fn bytes_that_come_in_between_end_a_connection() {
    for ended in [false, true] {
        let mut lab = Lab::new();
        let (_, mut far) = first(&mut lab, request(), HELLO).await;
        assert_eq!(lab.engine.kept(), 1);
        far.say(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n").await;
        if ended {
            drop(far);
        }
        let (told, _) = first(&mut lab, request(), HELLO).await;
        assert_eq!((told.opened.len(), told.opened[0].reused), (1, false));
        assert_eq!(told.wire, HELLO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_ended_while_idle_is_not_used() {
    for fault in [None, Some(ErrorKind::ConnectionReset)] {
        let mut lab = Lab::new();
        let (_, far) = first(&mut lab, request(), HELLO).await;
        match fault {
            Some(kind) => far.break_off(kind),
            None => drop(far),
        }
        let (told, _) = first(&mut lab, request(), HELLO).await;
        assert_eq!((told.opened.len(), told.opened[0].reused), (1, false));
        assert_eq!(told.wire, HELLO);
    }
}

/// A request that got no answer on a kept connection is made once more, on a fresh one.
#[tokio::test(start_paused = true)]
async fn a_stale_connection_is_replaced_once() {
    for fault in [None, Some(ErrorKind::ConnectionReset)] {
        for answered in [true, false] {
            let mut lab = Lab::new();
            let (_, mut far) = first(&mut lab, request(), HELLO).await;
            let events = lab.order(request());
            assert_eq!(far.request().await, asked());
            match fault {
                Some(kind) => far.break_off(kind),
                None => drop(far),
            }
            let mut fresh = lab.far().await;
            assert_eq!(fresh.request().await, asked());
            if answered {
                fresh.say(HELLO).await;
            }
            drop(fresh);
            let told = told(events).await;
            assert_eq!(told.opened.iter().map(|opened| opened.reused).collect::<Vec<_>>(), [true, false]);
            assert_eq!(told.sent, [asked(), asked()]);
            if answered {
                assert_eq!((told.wire.as_slice(), told.incomplete()), (HELLO, None));
            } else {
                assert_eq!(told.failure().kind, FailureKind::ClosedEmpty);
            }
            assert_eq!(lab.engine.dial().dialled.lock().unwrap().len(), 2);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_however_short_is_not_asked_for_again() {
    for said in [&b"H"[..], b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", b"\0"] {
        let mut lab = Lab::new();
        let (_, mut far) = first(&mut lab, request(), HELLO).await;
        let events = lab.order(request());
        far.request().await;
        far.say(said).await;
        drop(far);
        let told = told(events).await;
        assert!(told.opened.len() == 1 && told.opened[0].reused);
        assert_eq!(told.wire, said);
        assert!(told.incomplete().is_some());
        assert_eq!(lab.engine.dial().dialled.lock().unwrap().len(), 1);
    }
    // Silence is no death: the far end may be at work.
    let mut lab = Lab::new();
    let (_, mut far) = first(&mut lab, request(), HELLO).await;
    let events = lab.order(request());
    far.request().await;
    assert_eq!(told(events).await.failure().kind, FailureKind::Timeout);
    assert_eq!(lab.engine.dial().dialled.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_not_kept_for_ever() {
    let mut lab = Lab::new();
    let (_, mut far) = first(&mut lab, request(), HELLO).await;
    sleep(Duration::from_secs(59)).await;
    let (_, told) = again(&lab, &mut far, request(), HELLO).await;
    assert!(told.opened[0].reused);
    sleep(Duration::from_secs(60)).await;
    let (told, _other) = first(&mut lab, request(), HELLO).await;
    assert!(!told.opened[0].reused);
    far.closed().await;
    assert_eq!(lab.engine.kept(), 1);
}

#[tokio::test(start_paused = true)]
async fn retired_and_shut_down_connections_are_closed() {
    let mut lab = Lab::new();
    let (_, mut far) = first(&mut lab, request(), HELLO).await;
    let mut other = request();
    other.circuit = CircuitKey([8; 32]);
    let (_, mut theirs) = first(&mut lab, other, HELLO).await;
    lab.engine.retire(KEY);
    far.closed().await;
    assert_eq!(lab.engine.kept(), 1);
    assert_eq!(*lab.engine.dial().retired.lock().unwrap(), [KEY]);
    lab.engine.close();
    theirs.closed().await;
    assert_eq!(lab.engine.kept(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_pool_is_bounded() {
    let mut lab = Lab::new();
    let mut fars = Vec::new();
    let mut running = Vec::new();
    // All at once, so that none can use another's connection.
    for _ in 0..70 {
        running.push(lab.order(request()));
        fars.push(lab.far().await);
    }
    for far in &mut fars {
        far.request().await;
        far.say(HELLO).await;
    }
    for events in running {
        assert_eq!(told(events).await.incomplete(), None);
    }
    assert_eq!(lab.engine.kept(), 64);
    for n in 0..300_u16 {
        let mut other = request();
        other.circuit.0[..2].copy_from_slice(&n.to_be_bytes());
        let (told, far) = first(&mut lab, other, HELLO).await;
        assert!(!told.opened[0].reused);
        fars.push(far);
    }
    assert_eq!(lab.engine.kept(), 256);
}
