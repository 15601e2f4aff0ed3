//! What is told of the exit of a stream, and that a kept one is not lent where its exit is to be avoided.

use vigie_wire::net::{CircuitKey, FailureKind, Request, Transport};

use super::harness::*;

const HELLO: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

fn lab() -> Lab {
    Lab::through_exits(None)
}

fn apart(numbers: &[u8]) -> Request {
    Request { apart_from: numbers.iter().map(|number| exit(*number)).collect(), ..request() }
}

#[tokio::test(start_paused = true)]
async fn the_exit_is_told_before_the_connection_and_with_it() {
    let told = lab().hear(request(), HELLO).await;
    assert_eq!(told.through, [exit(1)]);
    let through = told.opened[0].through.as_ref().unwrap();
    assert_eq!((through.exit, through.circuit.as_str()), (exit(1), "1.1"));
    let told = lab().hear(apart(&[1, 2]), HELLO).await;
    assert_eq!((told.through.as_slice(), told.opened[0].through.as_ref().unwrap().exit), (&[exit(3)][..], exit(3)));
    // An onion service's stream has none.
    let told = Lab::new().hear(request(), HELLO).await;
    assert!(told.through.is_empty() && told.opened[0].through.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_exit_of_a_stream_that_fails_is_told() {
    let failed = Lab::through_exits(Some(FailureKind::ExitFailed)).ask(request()).await;
    assert_eq!((failed.through.as_slice(), failed.failure().kind), (&[exit(1)][..], FailureKind::ExitFailed));
    assert!(failed.opened.is_empty());
    // A handshake that comes to nothing.
    let mut lab = lab();
    let mut request = request();
    request.scope.transport = Transport::TlsVerified;
    request.scope.port = 443;
    let events = lab.order(request);
    let mut far = lab.far().await;
    far.say(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
    let told = told(events).await;
    assert_eq!((told.through.as_slice(), told.failure().kind), (&[exit(1)][..], FailureKind::Tls));
}

#[tokio::test(start_paused = true)]
async fn a_kept_connection_is_lent_only_where_its_exit_may_be_used() {
    let mut lab = lab();
    let mut far = hear_and_keep(&mut lab, request()).await;
    assert_eq!(lab.engine.kept(), 1);
    // Another exit is to be avoided: the kept one serves.
    let events = lab.order(apart(&[2]));
    far.request().await;
    far.say(HELLO).await;
    let again = told(events).await;
    assert!(again.opened[0].reused && again.through.is_empty());
    assert_eq!(again.opened[0].through.as_ref().unwrap().exit, exit(1));
    // Its own: it is closed, and a stream through another one opened.
    let fresh = lab.hear(apart(&[1]), HELLO).await;
    assert!(!fresh.opened[0].reused);
    assert_eq!(fresh.through, [exit(2)]);
    far.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_way_that_is_not_known_is_not_one_apart() {
    let mut lab = Lab::new();
    let mut far = hear_and_keep(&mut lab, request()).await;
    let events = lab.order(apart(&[1]));
    let mut other = lab.far().await;
    other.request().await;
    other.say(HELLO).await;
    assert!(!told(events).await.opened[0].reused);
    far.closed().await;
}

#[tokio::test(start_paused = true)]
async fn keys_share_no_connection_whatever_their_exits() {
    let mut lab = lab();
    let far = hear_and_keep(&mut lab, request()).await;
    let other = Request { circuit: CircuitKey([8; 32]), ..request() };
    assert!(!lab.hear(other, HELLO).await.opened[0].reused);
    drop(far);
}

/// One exchange; the far end of its stream stays open.
async fn hear_and_keep(lab: &mut Lab, request: Request) -> Far {
    let events = lab.order(request);
    let mut far = lab.far().await;
    far.request().await;
    far.say(HELLO).await;
    told(events).await;
    far
}
