//! The site that every peer reads: the pages of [`bulk`], made once, and when the first was asked.

use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use tokio::net::TcpListener;
use vigie_tests::sites::bulk;

use crate::Outcome;

/// What was asked since the last [`Site::forget`].
#[derive(Debug, Default, Clone, Copy)]
pub struct Asked {
    /// When the first page was asked (the index does not count).
    pub first: Option<Timestamp>,
    /// How many pages were asked, repetitions included.
    pub pages: usize,
}

struct Content {
    index: Bytes,
    pages: Vec<Bytes>,
    asked: Mutex<Asked>,
}

/// A running server; it ends when this is dropped.
pub struct Site {
    /// Port on 127.0.0.1.
    pub port: u16,
    content: Arc<Content>,
    _runtime: tokio::runtime::Runtime,
}

impl Site {
    /// Serves an index and `count` pages on a free port.
    pub fn start(count: usize) -> Outcome<Self> {
        let links: String = (0..count).map(|number| format!("<li><a href=/page/{number}>page {number}</a>")).collect();
        let index = format!("<!DOCTYPE html><html lang=en><title>Bulk</title><h1>Bulk</h1><ul>{links}</ul></html>");
        let content = Arc::new(Content {
            index: index.into(),
            // Made beforehand: the peers must not wait for the site's processor time.
            pages: (0..count).map(bulk::page).collect(),
            asked: Mutex::default(),
        });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).thread_name("site").enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let served = content.clone();
        runtime.spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                let content = served.clone();
                let service = service_fn(move |request: Request<Incoming>| {
                    let answer = content.answer(request.uri().path());
                    async move { Ok::<_, Infallible>(answer) }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A client that leaves is none of the site's business.
                tokio::spawn(async move { drop(connection.await) });
            }
        });
        Ok(Self { port, content, _runtime: runtime })
    }

    /// What was asked so far.
    pub fn asked(&self) -> Asked {
        *self.content.asked()
    }

    /// Begins a new count.
    pub fn forget(&self) {
        *self.content.asked() = Asked::default();
    }
}

impl Content {
    fn asked(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, path: &str) -> Response<Full<Bytes>> {
        let number = path.strip_prefix("/page/").and_then(|number| number.parse::<usize>().ok());
        let body = match number.and_then(|number| self.pages.get(number)) {
            Some(page) => {
                let mut asked = self.asked();
                asked.first.get_or_insert_with(Timestamp::now);
                asked.pages += 1;
                Some(page.clone())
            }
            None => (path == "/").then(|| self.index.clone()),
        };
        let status = if body.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
        let mut answer = Response::new(Full::new(body.unwrap_or_default()));
        *answer.status_mut() = status;
        answer
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/html; charset=utf-8"));
        answer
    }
}
