//! What came, given to a process of its own to be read.

use std::sync::Arc;

use vigie_wire::limits::DECODED_BODY_BYTES;
use vigie_wire::parse::{Document, Page, Stylesheet};

use crate::error::{Failing, Problem};
use crate::fetch::Exchange;
use crate::parts::Unread;
use crate::session::Session;

/// Why a page was not read.
pub(super) enum Reading {
    Failed(Problem),
    Unread(Unread),
}

/// Reads a page in a process of its own: it may be large and hostile.
pub(super) async fn read(session: &Session, exchange: &Exchange) -> Result<Option<Page>, Reading> {
    if exchange.head.is_none() || exchange.body.is_empty() {
        return Ok(None);
    }
    let (document, pages) = (document(exchange), Arc::clone(&session.pages));
    let page = tokio::task::spawn_blocking(move || pages.page(document)).await.failing("reading a page");
    page.map_err(Reading::Failed)?.map(Some).map_err(Reading::Unread)
}

/// Reads a stylesheet in the same way.
pub(super) async fn read_sheet(session: &Session, exchange: &Exchange) -> Result<Stylesheet, Unread> {
    let (document, pages) = (document(exchange), Arc::clone(&session.pages));
    let sheet = tokio::task::spawn_blocking(move || pages.stylesheet(document)).await;
    sheet.unwrap_or_else(|error| Err(Unread(error.to_string())))
}

pub(super) fn document(exchange: &Exchange) -> Document {
    let head = exchange.head.as_ref();
    let value = |name| head.and_then(|head| head.header(name)).map(bytes::Bytes::copy_from_slice);
    let encodings = exchange.headers("content-encoding").join(",");
    Document {
        url: exchange.url.reveal().to_owned(),
        content_type: value("content-type"),
        content_encoding: (!encodings.is_empty()).then(|| encodings.into_bytes().into()),
        headers: head
            .map(|head| head.headers.iter().filter(|(n, _)| n == "link" || n == "refresh").cloned().collect())
            .unwrap_or_default(),
        body: exchange.body.clone().into(),
        cut: exchange.finished.incomplete.is_some() || exchange.finished.body_bytes > exchange.body.len() as u64,
        decoded_bytes: DECODED_BODY_BYTES as u32,
    }
}
