//! What a server was asked, byte for byte.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Longest request head that is remembered whole, in bytes.
const HEAD_BYTES: usize = 256 * 1024;

/// Connections and request heads of one server since its start or the last [`Journal::clear`].
#[derive(Debug, Default)]
pub struct Journal {
    connections: AtomicU64,
    heads: Mutex<Vec<Vec<u8>>>,
}

impl Journal {
    /// Connections accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// Request heads as they came (over TLS: after decryption), the empty line included, in the
    /// order in which they were complete.
    pub fn heads(&self) -> Vec<Vec<u8>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Request targets (second word of each head), in order.
    pub fn paths(&self) -> Vec<String> {
        self.heads()
            .iter()
            .filter_map(|head| String::from_utf8_lossy(head).split(' ').nth(1).map(str::to_owned))
            .collect()
    }

    /// How often a request target was asked.
    pub fn times_asked(&self, path: &str) -> usize {
        self.paths().iter().filter(|asked| *asked == path).count()
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.connections.store(0, Ordering::SeqCst);
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn connected(&self) {
        self.connections.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn asked(&self, head: Vec<u8>) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    }
}

/// Cuts the bytes of a connection into request heads; bodies with a Content-Length are skipped.
#[derive(Debug, Default)]
pub(super) struct Splitter {
    head: Vec<u8>,
    body_left: usize,
}

impl Splitter {
    /// Takes bytes and gives the heads that they complete.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> Vec<Vec<u8>> {
        let mut whole = Vec::new();
        for &byte in bytes {
            if self.body_left > 0 {
                self.body_left -= 1;
                continue;
            }
            if self.head.len() < HEAD_BYTES {
                self.head.push(byte);
            }
            if self.head.ends_with(b"\r\n\r\n") {
                let head = std::mem::take(&mut self.head);
                self.body_left = content_length(&head);
                whole.push(head);
            }
        }
        whole
    }
}

fn content_length(head: &[u8]) -> usize {
    String::from_utf8_lossy(head)
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_cut_wherever_the_bytes_are() {
        let wire = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\ncontent-length: 4\r\n\r\n\r\n\r\nGET /c HTTP/1.1\r\n\r\n";
        for step in 1..wire.len() {
            let mut splitter = Splitter::default();
            let heads: Vec<_> = wire.chunks(step).flat_map(|chunk| splitter.feed(chunk)).collect();
            assert_eq!(heads.len(), 3);
            assert!(heads[0].starts_with(b"GET /a") && heads[1].starts_with(b"POST /b"));
            assert_eq!(heads[2], b"GET /c HTTP/1.1\r\n\r\n");
        }
    }
}
