//! Limits of size and time, back-pressure, cancelling. The clock stands still and moves on by
//! itself when nothing else is left to do, so that no limit is waited for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::sleep;
use vigie_wire::net::{Event, FailureKind, Incomplete, Limits, Request};

use super::harness::*;

fn limited(change: impl FnOnce(&mut Limits)) -> Request {
    let mut request = request();
    change(&mut request.limits);
    request
}

/// An exchange with a far end that says something, then something else for ever.
async fn endless(request: Request, start: &[u8], again: &[u8]) -> Told {
    let mut lab = Lab::new();
    let events = lab.order(request);
    let mut far = lab.far().await;
    let (start, again) = (start.to_vec(), again.repeat(64 * 1024 / again.len()));
    tokio::spawn(async move {
        far.request().await;
        far.say(&start).await;
        while far.say(&again).await {}
    });
    told(events).await
}

/// The same, one byte a second.
async fn drip(request: Request, start: &[u8], again: &'static [u8]) -> Told {
    let mut lab = Lab::new();
    let events = lab.order(request);
    let mut far = lab.far().await;
    let start = start.to_vec();
    tokio::spawn(async move {
        far.request().await;
        far.say(&start).await;
        for byte in again.iter().cycle() {
            sleep(Duration::from_secs(1)).await;
            if !far.say(&[*byte]).await {
                break;
            }
        }
    });
    told(events).await
}

#[tokio::test(start_paused = true)]
async fn a_head_stops_at_its_limit() {
    for (start, again) in [
        ("HTTP/1.1 200 OK\r\n", "X-More: and more\r\n"),
        ("HTTP/1.1 200 OK\r\nX-Long: ", "longer "),
        ("", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("HTTP/1.1 200 OK\r\n", "a: bcdef\n"),
        ("", "\r\n"),
    ] {
        let told = endless(limited(|limits| limits.head_bytes = 10_000), start.as_bytes(), again.as_bytes()).await;
        assert_eq!(told.incomplete(), Some(&Incomplete::HeadTooLarge), "{start}{again}");
        assert_eq!(told.wire.len(), 10_001, "one byte shows that there are more: {start}{again}");
        assert!(told.head.is_none());
    }
    // The largest head there may be, and not one byte more, whatever a request says.
    let told = endless(limited(|limits| limits.head_bytes = u32::MAX), b"HTTP/1.1 200 OK\r\nX: ", b"x").await;
    assert_eq!((told.incomplete(), told.wire.len()), (Some(&Incomplete::HeadTooLarge), 1024 * 1024 + 1));
}

#[tokio::test(start_paused = true)]
async fn a_head_may_fill_its_limit() {
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    for before in ["", interim] {
        let said = format!("{before}HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
        let head = said.len() as u32 - 5;
        let told = Lab::new().hear(limited(|limits| limits.head_bytes = head), said.as_bytes()).await;
        assert_eq!((told.incomplete(), told.finished().head_bytes), (None, head));
        for less in [1, 2, 20] {
            let told = Lab::new().hear(limited(|limits| limits.head_bytes = head - less), said.as_bytes()).await;
            assert_eq!(told.incomplete(), Some(&Incomplete::HeadTooLarge), "{less} less");
            assert_eq!(told.wire.len() as u32, head - less + 1);
            told.check_payload();
        }
    }
    let many = |fields: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "a: b\r\n".repeat(fields));
    assert_eq!(Lab::new().hear(request(), many(2000).as_bytes()).await.incomplete(), None);
    let told = Lab::new().hear(request(), many(2001).as_bytes()).await;
    assert_eq!(told.incomplete(), Some(&Incomplete::HeadTooLarge));
}

#[tokio::test(start_paused = true)]
async fn a_body_stops_at_its_limit() {
    for (fields, again) in [
        ("", "<p>and on</p>\n"),
        ("Content-Length: 9000000000\r\n", "0123456789"),
        ("Transfer-Encoding: chunked\r\n", "10\r\n<p>chunk</p>....\r\n"),
        ("Transfer-Encoding: chunked\r\n", "1\r\na\r\n"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        for most in [0, 1, 7, 100_000, 1_000_003] {
            let told = endless(limited(|limits| limits.body_bytes = most), head.as_bytes(), again.as_bytes()).await;
            assert_eq!(told.incomplete(), Some(&Incomplete::BodyTooLarge), "{head}{most}");
            let head = u64::from(told.finished().head_bytes);
            // A head's limit is not known before its end: what came with it counts from there.
            assert!(told.wire.len() as u64 - head <= most.max(u64::from(limits().head_bytes) - head) + 1);
            assert!(told.wire.len() as u64 - head > most);
            told.check_payload();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_may_fill_its_limit() {
    let body = "x".repeat(100_000);
    let chunked = format!("Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    for rest in [format!("Content-Length: {}\r\n\r\n{body}", body.len()), format!("\r\n{body}"), chunked] {
        let said = format!("HTTP/1.1 200 OK\r\n{rest}");
        let most = (said.len() - said.find("\r\n\r\n").unwrap() - 4) as u64;
        let told = Lab::new().hear(limited(|limits| limits.body_bytes = most), said.as_bytes()).await;
        assert_eq!((told.incomplete(), told.wire.len()), (None, said.len()));
        for less in [1, 2, 50_000] {
            let told = Lab::new().hear(limited(|limits| limits.body_bytes = most - less), said.as_bytes()).await;
            assert_eq!(told.incomplete(), Some(&Incomplete::BodyTooLarge), "{less} less");
            told.check_payload();
        }
    }
}

/// What follows a whole response is no part of its body, however much it is.
#[tokio::test(start_paused = true)]
async fn endless_surplus_does_not_spoil_a_whole_response() {
    let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    let told = endless(limited(|limits| limits.body_bytes = 50), head, b"surplus").await;
    assert_eq!(told.incomplete(), None);
    assert_eq!(told.finished().surplus_bytes as usize, told.wire.len() - head.len());
    assert!(told.wire.len() <= 64 * 1024 + 1);
    told.check_payload();
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_by_where_it_falls() {
    let mut lab = Lab::new();
    let events = lab.order(request());
    let mut far = lab.far().await;
    tokio::spawn(async move {
        far.request().await;
        far.closed().await;
    });
    let nothing = told(events).await;
    assert_eq!(nothing.failure().kind, FailureKind::Timeout);
    assert!(nothing.failure().detail.contains("30000 ms"), "{}", nothing.failure().detail);
    assert_eq!(nothing.sent, [asked()]);

    for (said, status) in [("HTTP/1.1 200 OK\r\nX:", 0), ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", 200)] {
        let mut lab = Lab::new();
        let events = lab.order(request());
        let mut far = lab.far().await;
        tokio::spawn(async move {
            far.request().await;
            far.say(said.as_bytes()).await;
            far.closed().await;
        });
        let told = told(events).await;
        assert_eq!((told.incomplete(), told.status()), (Some(&Incomplete::Idle), status));
        assert_eq!(told.wire, said.as_bytes());
        told.check_payload();
    }
}

/// A far end that never falls silent for long meets the limit of the whole.
#[tokio::test(start_paused = true)]
async fn a_drip_meets_the_limit_of_the_whole() {
    let body = drip(request(), b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"<p>drop</p>").await;
    assert_eq!((body.incomplete(), body.status()), (Some(&Incomplete::TooSlow), 200));
    // One byte a second in 300 seconds.
    assert!((298..=301).contains(&body.body.len()), "{}", body.body.len());
    body.check_payload();
    let head = drip(request(), b"HTTP/1.1 200 OK\r\n", b"X-Drop: 1\r\n").await;
    assert_eq!((head.incomplete(), head.status()), (Some(&Incomplete::TooSlow), 0));
    let interim = drip(request(), b"", b"HTTP/1.1 100 Continue\r\n\r\n").await;
    assert_eq!((interim.incomplete(), interim.status()), (Some(&Incomplete::TooSlow), 0));
    // A limit of the whole that is shorter than that of the first byte.
    let told = drip(limited(|limits| limits.total_ms = 500), b"", b"HTTP").await;
    assert_eq!(told.failure().kind, FailureKind::Timeout);
    assert!(told.failure().detail.contains(" 500 ms"), "{}", told.failure().detail);
}

/// Bytes that never stop do not hide that the time is up.
#[tokio::test(start_paused = true)]
async fn a_flood_meets_the_limit_of_the_whole() {
    let mut lab = Lab::new();
    let events = lab.order(limited(|limits| limits.body_bytes = u64::MAX));
    let mut far = lab.far().await;
    tokio::spawn(async move {
        far.request().await;
        far.say(b"HTTP/1.1 200 OK\r\n\r\n").await;
        while far.say(&[b'x'; 1000]).await {
            // The far end sees to it that there is always something to read.
            tokio::time::advance(Duration::from_millis(100)).await;
        }
    });
    let told = told(events).await;
    assert_eq!(told.incomplete(), Some(&Incomplete::TooSlow));
    told.check_payload();
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_does_not_open_is_given_up() {
    let lab = Lab::with(1024, Some(FailureKind::Timeout), &[]);
    let told = lab.ask(request()).await;
    assert_eq!(told.failure().kind, FailureKind::Timeout);
    assert!(told.opened.is_empty() && told.sent.is_empty());
    let lab = Lab::with(1024, Some(FailureKind::Introduction), &[]);
    assert_eq!(lab.ask(request()).await.failure().kind, FailureKind::Introduction);
}

/// A far end that does not take the request cannot hold the exchange.
#[tokio::test(start_paused = true)]
async fn a_request_that_cannot_leave_is_given_up() {
    let mut lab = Lab::with(16, None, &[]);
    let events = lab.order(request());
    let far = lab.far().await;
    let told = told(events).await;
    assert_eq!(told.failure().kind, FailureKind::Timeout);
    assert_eq!(told.sent, [&asked()[..16]], "what went out is told, and no more");
    drop(far);
}

/// A receiver that takes nothing stops the far end, too; when it goes on, all is there, and the
/// silence was not the far end's.
#[tokio::test(start_paused = true)]
async fn a_slow_receiver_is_waited_for() {
    const BODY: usize = 3 * 1024 * 1024;
    let mut lab = Lab::new();
    let mut events = lab.order(limited(|limits| limits.total_ms = u32::MAX));
    let mut far = lab.far().await;
    let said = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&said);
    tokio::spawn(async move {
        far.request().await;
        far.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n").as_bytes()).await;
        for _ in 0..BODY / 1024 {
            far.say(&[b'x'; 1024]).await;
            count.fetch_add(1024, Ordering::Relaxed);
        }
        far.closed().await;
    });
    sleep(Duration::from_secs(3600)).await;
    let before = said.load(Ordering::Relaxed);
    // 16 events of 64 KiB, what waits for them, what hyper holds, what the stream holds.
    assert!(before <= 2 * 1024 * 1024, "{before}");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(said.load(Ordering::Relaxed), before);
    let (mut wire, mut last) = (0, None);
    while let Some(event) = events.recv().await {
        sleep(Duration::from_secs(30)).await;
        match event {
            Event::Wire(bytes) => wire += bytes.len(),
            Event::Finished(finished) => last = Some(finished),
            Event::Failed(failure) => panic!("{failure:?}"),
            _ => {}
        }
    }
    let last = last.unwrap();
    assert_eq!((last.incomplete, last.body_bytes as usize, last.wire_bytes as usize), (None, BODY, wire));
}

#[tokio::test(start_paused = true)]
async fn the_body_for_reading_is_cut_and_its_digest_is_not() {
    for (most, given) in [(0, 0), (3, 3), (5, 5), (100, 5), (u32::MAX, 5)] {
        let mut lab = Lab::new();
        let mut events = lab.order(limited(|limits| limits.read_bytes = most));
        let mut far = lab.far().await;
        tokio::spawn(async move {
            far.request().await;
            far.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n").await;
        });
        let mut body = Vec::new();
        while let Some(event) = events.recv().await {
            match event {
                Event::Body(bytes) => body.extend_from_slice(&bytes),
                Event::Finished(finished) => {
                    assert_eq!(finished.body_bytes, 5);
                    assert_eq!(finished.body_sha256, <[u8; 32]>::from(<sha2::Sha256 as sha2::Digest>::digest("hello")));
                }
                _ => {}
            }
        }
        assert_eq!(body, &b"hello"[..given]);
    }
}

/// Whoever drops the receiver ends the exchange, whatever it is waiting for.
#[tokio::test(start_paused = true)]
async fn a_dropped_receiver_closes_the_stream() {
    for (said, taken) in [(&b""[..], 0), (b"HTTP/1.1 200 OK\r\n", 0), (b"HTTP/1.1 200 OK\r\n\r\nhello", 4)] {
        for blocked in [false, true] {
            let mut lab = Lab::new();
            let mut events = lab.order(request());
            let mut far = lab.far().await;
            far.request().await;
            far.say(said).await;
            for _ in 0..taken {
                events.recv().await.unwrap();
            }
            let flood = [b'x'; 64 * 1024];
            if blocked && taken > 0 {
                for _ in 0..40 {
                    tokio::select! { _ = far.say(&flood) => {}, () = sleep(Duration::from_secs(1)) => {} }
                }
            }
            drop(events);
            far.closed().await;
            assert_eq!(lab.engine.kept(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn shutting_down_ends_what_runs() {
    let lab = Lab::with(1024, Some(FailureKind::Timeout), &[]);
    let events = lab.order(request());
    sleep(Duration::from_secs(1)).await;
    lab.engine.close();
    assert_eq!(told(events).await.failure().kind, FailureKind::Cancelled);

    for (said, status) in [("", 0), ("HTTP/1.1 200 OK\r\nX:", 0), ("HTTP/1.1 200 OK\r\n\r\nhello", 200)] {
        let mut lab = Lab::new();
        let events = lab.order(request());
        let mut far = lab.far().await;
        far.request().await;
        far.say(said.as_bytes()).await;
        sleep(Duration::from_secs(1)).await;
        lab.engine.close();
        let told = told(events).await;
        if said.is_empty() {
            assert_eq!(told.failure().kind, FailureKind::Cancelled);
        } else {
            assert_eq!((told.incomplete(), told.status()), (Some(&Incomplete::Cancelled), status));
            assert_eq!(told.wire, said.as_bytes());
        }
        far.closed().await;
        assert_eq!(lab.ask(request()).await.failure().kind, FailureKind::Cancelled, "and nothing begins");
    }
}
