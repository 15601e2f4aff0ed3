//! hyper servers with a tap on what they read.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::journal::{Journal, Splitter};
use super::reply::{Ask, Reply};

/// Largest request body that a sample site reads, in bytes.
const BODY_BYTES: usize = 64 * 1024;

/// Serves until the runtime ends.
pub(super) fn spawn(
    runtime: &tokio::runtime::Runtime,
    listener: TcpListener,
    journal: Arc<Journal>,
    tls: Option<TlsAcceptor>,
    answer: impl Fn(&Ask) -> Reply + Send + Sync + 'static,
) {
    let answer = Arc::new(answer);
    runtime.spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            journal.connected();
            let (journal, tls, answer) = (journal.clone(), tls.clone(), answer.clone());
            tokio::spawn(async move {
                match tls {
                    None => connection(stream, journal, answer).await,
                    Some(tls) => {
                        if let Ok(stream) = tls.accept(stream).await {
                            connection(stream, journal, answer).await;
                        }
                    }
                }
            });
        }
    });
}

async fn connection<S, A>(stream: S, journal: Arc<Journal>, answer: Arc<A>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(&Ask) -> Reply + Send + Sync + 'static,
{
    let tap = Tap { stream, journal, splitter: Splitter::default() };
    let service = service_fn(move |request: http::Request<Incoming>| {
        let answer = answer.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = http_body_util::Limited::new(body, BODY_BYTES)
                .collect()
                .await
                .map(http_body_util::Collected::to_bytes)
                .unwrap_or_default();
            let ask = Ask { method: head.method, uri: head.uri, headers: head.headers, body };
            Ok::<_, Infallible>(answer(&ask))
        }
    });
    // A client that leaves early is none of the server's business.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(tap), service).await;
}

/// Passes bytes on and notes request heads in the journal.
struct Tap<S> {
    stream: S,
    journal: Arc<Journal>,
    splitter: Splitter,
}

impl<S: AsyncRead + Unpin> AsyncRead for Tap<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        for head in self.splitter.feed(&buf.filled()[before..]) {
            self.journal.asked(head);
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Tap<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
