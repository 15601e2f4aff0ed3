//! One request and its response on one connection.

use std::error::Error as _;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming};
use tokio::sync::{mpsc, watch};
use tokio::task::coop::unconstrained;
use vigie_wire::net::{Event, Incomplete, Method, Request};

use super::progress::{Gone, Progress};
use crate::connection::{Answer, Connection};
use crate::wire::{FIELDS, Read, Tap};

/// How an attempt on one connection ended.
#[expect(clippy::large_enum_variant, reason = "one lives at a time, on the stack of its exchange")]
pub enum Attempt {
    /// With a last event; the connection may be kept.
    Ended(Event, Option<Connection>),
    /// A kept connection had died before anything came back: worth one on a fresh connection, once.
    Stale,
    /// Nobody listens any more.
    Gone,
}

/// What happens next.
enum Step {
    /// The request has left.
    Sent,
    /// Bytes came.
    Read(Read),
    /// Hyper understood the head, or gave up.
    Answer(hyper::Result<http::Response<Incoming>>),
    /// Hyper understood a piece of the body, its end, or gave up.
    Frame(Option<hyper::Result<Frame<Bytes>>>),
    /// Reading has stopped, and hyper has said all it can about what was read.
    Stalled,
    /// A limit of time was reached.
    Late,
    /// The network part is shut down.
    Closing,
}

/// What is being waited for from hyper.
enum Awaited {
    Answer(Answer),
    Body(Incoming),
}

/// Sends a request and tells what comes back.
pub async fn attempt(
    request: &Request,
    mut connection: Connection,
    reused: bool,
    events: &mpsc::Sender<Event>,
    closing: &mut watch::Receiver<bool>,
) -> Attempt {
    let head = head(request);
    if !connection.tap.arm(head.clone(), &request.limits) {
        connection.close();
        return Attempt::Stale;
    }
    let mut awaited = Awaited::Answer(connection.ask(match request.method {
        Method::Get => http::Method::GET,
        Method::Head => http::Method::HEAD,
    }));
    let mut progress = Progress::new(request.limits, head, events, connection.tap.clone());
    let end = match exchange(&mut connection, &mut awaited, &mut progress, closing).await {
        Ok(end) => end,
        Err(Gone) => return Attempt::Gone,
    };
    if let Err(Gone) = progress.drain().await {
        return Attempt::Gone;
    }
    if reused && progress.wire_bytes() == 0 && matches!(end, End::Error(_)) {
        return Attempt::Stale;
    }
    let end = match end {
        End::Whole => return whole(request, connection, progress).await,
        End::Error(error) => why(&error, &connection.tap),
        End::Stopped(why) => why,
    };
    match progress.end(Some(end), 0).await {
        Ok(event) => Attempt::Ended(event, None),
        Err(Gone) => Attempt::Gone,
    }
}

/// How hyper's reading ended.
enum End {
    Whole,
    Error(hyper::Error),
    Stopped(Incomplete),
}

async fn exchange(
    connection: &mut Connection,
    awaited: &mut Awaited,
    progress: &mut Progress<'_>,
    closing: &mut watch::Receiver<bool>,
) -> Result<End, Gone> {
    let mut stop = None;
    let mut stalled = 0;
    loop {
        // Not left to the timer alone: a server that always has more to say would never let it.
        if stop.is_none()
            && let Some(why) = progress.late()
        {
            connection.tap.stop();
            stop = Some(why);
        }
        let events = progress.events();
        let step = tokio::select! {
            biased;
            () = events.closed() => return Err(Gone),
            _ = closing.wait_for(|closing| *closing), if stop.is_none() => Step::Closing,
            // Pending has to mean that nothing is left to do, not that this task had its share.
            step = unconstrained(poll_fn(|cx| poll(connection, awaited, progress.told(), stop.is_some(), cx))) => step,
            () = tokio::time::sleep_until(progress.deadline()), if stop.is_none() => Step::Late,
        };
        match step {
            Step::Stalled if stalled > 1 => {
                return Ok(End::Stopped(stop.or_else(|| connection.tap.over()).unwrap_or(Incomplete::Cancelled)));
            }
            // Hyper may have given way to others in the middle of its work.
            Step::Stalled => {
                stalled += 1;
                tokio::task::yield_now().await;
                continue;
            }
            Step::Late => continue,
            Step::Closing => {
                connection.tap.stop();
                stop = Some(Incomplete::Cancelled);
                continue;
            }
            Step::Sent => progress.sent().await?,
            Step::Read(read) => progress.wire(read).await?,
            Step::Answer(Ok(response)) => {
                let (parts, body) = response.into_parts();
                progress.head(&parts).await?;
                *awaited = Awaited::Body(body);
            }
            Step::Frame(None) => return Ok(End::Whole),
            Step::Frame(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data() {
                    progress.body(data).await?;
                }
            }
            Step::Answer(Err(error)) | Step::Frame(Some(Err(error))) => return Ok(End::Error(error)),
        }
        stalled = 0;
        progress.touch();
    }
}

fn poll(
    connection: &mut Connection,
    awaited: &mut Awaited,
    told: bool,
    stopped: bool,
    cx: &mut Context<'_>,
) -> Poll<Step> {
    connection.drive(cx);
    if !told && connection.tap.sent().is_some() {
        return Poll::Ready(Step::Sent);
    }
    // Bytes are told before what hyper makes of them.
    if let Some(read) = connection.tap.take() {
        return Poll::Ready(Step::Read(read));
    }
    let step = match awaited {
        Awaited::Answer(answer) => answer.as_mut().poll(cx).map(Step::Answer),
        Awaited::Body(body) => Pin::new(body).poll_frame(cx).map(Step::Frame),
    };
    match step {
        Poll::Pending if stopped || connection.tap.over().is_some() => Poll::Ready(Step::Stalled),
        step => step,
    }
}

/// The end of a response that hyper found whole.
async fn whole(request: &Request, mut connection: Connection, mut progress: Progress<'_>) -> Attempt {
    // Bytes behind the response show now, and count as this exchange's.
    let idle = connection.is_idle().await;
    if let Err(Gone) = progress.drain().await {
        return Attempt::Gone;
    }
    let kept = idle && !wants_close(request);
    let tap = connection.tap.clone();
    let (connection, surplus) = match (idle, kept) {
        (true, true) => (Some(connection), 0),
        (true, false) => {
            connection.close();
            (None, 0)
        }
        (false, _) => (None, connection.surplus() as u64),
    };
    let head = tap.head().map_or(0, |(end, _)| end);
    let body = progress.wire_bytes().saturating_sub(head).saturating_sub(surplus);
    let incomplete = if head > u64::from(request.limits.head_bytes) {
        Some(Incomplete::HeadTooLarge)
    } else if body > request.limits.body_bytes {
        Some(Incomplete::BodyTooLarge)
    } else if progress.status() == Some(101) {
        // RFC 9110 §7.8: not without an Upgrade field in the request, and we send none.
        Some(Incomplete::Malformed("the server switches to a protocol that was not asked for".into()))
    } else {
        None
    };
    let kept = connection.filter(|_| incomplete.is_none());
    match progress.end(incomplete, u32::try_from(surplus).unwrap_or(u32::MAX)).await {
        Ok(event) => {
            if let Some(connection) = &kept {
                connection.tap.rest();
            }
            Attempt::Ended(event, kept)
        }
        Err(Gone) => Attempt::Gone,
    }
}

/// The request itself asks for the connection to be closed (RFC 9112 §9.6).
fn wants_close(request: &Request) -> bool {
    request
        .headers
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("connection"))
        .any(|(_, value)| value.split(',').any(|token| token.trim().eq_ignore_ascii_case("close")))
}

/// The exact bytes of a request head (RFC 9112 §3).
fn head(request: &Request) -> Bytes {
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
    };
    let mut text = format!("{method} {} HTTP/1.1\r\n", request.path);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.into()
}

/// Why hyper gave up, in the record's words.
fn why(error: &hyper::Error, tap: &Tap) -> Incomplete {
    if error.is_parse() && tap.fields() > FIELDS {
        return Incomplete::HeadTooLarge;
    }
    if !error.is_parse() && tap.broken() {
        return Incomplete::StreamBroken;
    }
    if !error.is_parse() && tap.ended() {
        return Incomplete::Disconnected;
    }
    let mut text = match error.to_string() {
        // Hyper's word for a head with a Content-Length near 2^64 as well.
        text if text == "message head is too large" => "Content-Length is beyond all bounds".to_owned(),
        text => text,
    };
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    Incomplete::Malformed(text)
}
