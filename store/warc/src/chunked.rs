//! The payload of an HTTP response block: the body without its transfer coding (RFC 9112 §7.1).

/// Finds the payload in a block fed piece by piece, and gives it to a sink piece by piece.
///
/// The rule has to hold for what hostile servers send, and for responses that were cut off: at
/// each byte it says the same as the recorder's reading of those bytes.
///
/// - Head: lines end at LF, with or without CR before it; empty lines before a status line are
///   skipped; a line that begins with white space continues the one before it (RFC 9112 §5.2).
/// - Heads of status 1xx but 101 are skipped; 101, 204 and 304 have no payload (RFC 9112 §6.3).
/// - With a `Transfer-Encoding`, the payload is the data of the chunks when the last coding of the
///   last such field is `chunked`, else everything after the head; `Content-Length` is ignored.
/// - Else it is everything after the head, at most `Content-Length` bytes (several must agree).
/// - Chunks: hexadecimal digits, then spaces or tabs, then extensions behind `;`, then CR LF; the
///   data, CR LF. The payload ends with the last chunk, at the first byte that does not fit, at a
///   size beyond 64 bits, or when the extensions of all chunks exceed 16 KiB.
///
/// Content codings stay on. The answer to a HEAD request has no payload either, but a response
/// does not tell what was asked.
#[derive(Default)]
pub struct Payload {
    state: State,
    head: Head,
    size: u64,
    extensions: u32,
}

#[derive(Default)]
enum State {
    #[default]
    Head,
    /// Everything, or so many bytes.
    Plain(Option<u64>),
    Start,
    Size,
    SizeSpace,
    Extension,
    SizeFeed,
    Data,
    DataReturn,
    DataFeed,
    Ended,
}

/// Longest line of a head, in bytes; the recorder takes no longer head.
const LINE_BYTES: usize = 1024 * 1024;
/// Most bytes of chunk extensions in one body.
const EXTENSION_BYTES: u32 = 16 * 1024;

impl Payload {
    /// Reads on; `sink` gets the payload's bytes.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(&[u8])) {
        while let Some(&byte) = bytes.first() {
            match &mut self.state {
                State::Ended => return,
                State::Head => {
                    let (read, next) = self.head.feed(bytes);
                    bytes = &bytes[read..];
                    if let Some(next) = next {
                        self.state = next;
                    }
                }
                State::Plain(None) => return sink(bytes),
                State::Plain(Some(left)) => {
                    let piece = pass(&mut bytes, left);
                    sink(piece);
                    if *left == 0 {
                        self.state = State::Ended;
                    }
                }
                State::Data => {
                    let piece = pass(&mut bytes, &mut self.size);
                    sink(piece);
                    if self.size == 0 {
                        self.state = State::DataReturn;
                    }
                }
                _ => {
                    self.state = self.framing(byte);
                    bytes = &bytes[1..];
                }
            }
        }
    }

    /// The state after one byte of framing.
    fn framing(&mut self, byte: u8) -> State {
        match (&self.state, byte) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                match self.size.checked_mul(16).and_then(|size| size.checked_add(digit.into())) {
                    Some(size) => {
                        self.size = size;
                        State::Size
                    }
                    None => State::Ended,
                }
            }
            (State::Size | State::SizeSpace, b' ' | b'\t') => State::SizeSpace,
            (State::Size | State::SizeSpace, b';') => State::Extension,
            (State::Size | State::SizeSpace | State::Extension, b'\r') => State::SizeFeed,
            (State::Extension, b'\n') => State::Ended,
            (State::Extension, _) => {
                self.extensions += 1;
                if self.extensions < EXTENSION_BYTES { State::Extension } else { State::Ended }
            }
            (State::SizeFeed, b'\n') if self.size > 0 => State::Data,
            (State::DataReturn, b'\r') => State::DataFeed,
            (State::DataFeed, b'\n') => State::Start,
            _ => State::Ended,
        }
    }
}

/// Takes as many bytes as are left.
fn pass<'b>(bytes: &mut &'b [u8], left: &mut u64) -> &'b [u8] {
    let most = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    let (piece, rest) = bytes.split_at(most);
    *bytes = rest;
    *left -= most as u64;
    piece
}

/// What a head says about the length of its body.
#[derive(Default)]
struct Head {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// The field that may be continued.
    field: Vec<u8>,
    status: Option<u16>,
    /// Whether the last `Transfer-Encoding` ends in `chunked`.
    chunked: Option<bool>,
    length: Length,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Length {
    #[default]
    Unsaid,
    Said(u64),
    /// No number, or two different ones.
    Wrong,
}

impl Head {
    /// Reads a line or a part of one: how many bytes, and the state behind the head once it has
    /// ended.
    fn feed(&mut self, bytes: &[u8]) -> (usize, Option<State>) {
        let feed = bytes.iter().position(|&b| b == b'\n');
        let read = feed.map_or(bytes.len(), |at| at + 1);
        if self.line.len() + self.field.len() + read > LINE_BYTES {
            return (read, Some(State::Ended));
        }
        self.line.extend_from_slice(&bytes[..read]);
        if feed.is_none() {
            return (read, None);
        }
        let line = std::mem::take(&mut self.line);
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        (read, self.take_line(line.strip_suffix(b"\r").unwrap_or(line)))
    }

    fn take_line(&mut self, line: &[u8]) -> Option<State> {
        let Some(status) = self.status else {
            if !line.is_empty() {
                let digits = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
                self.status = Some(digits.and_then(decimal).and_then(|code| code.try_into().ok()).unwrap_or(0));
            }
            return None;
        };
        if let [b' ' | b'\t', ..] = line {
            self.field.push(b' ');
            self.field.extend_from_slice(line.trim_ascii());
            return None;
        }
        let field = std::mem::replace(&mut self.field, line.to_vec());
        self.take_field(&field);
        if !line.is_empty() {
            return None;
        }
        let next = match (status, self.chunked, self.length) {
            (100 | 102..=199, ..) => State::Head,
            (101 | 204 | 304, ..) => State::Ended,
            (_, Some(true), _) => State::Start,
            (_, None, Length::Said(length)) => State::Plain(Some(length)),
            _ => State::Plain(None),
        };
        *self = Self::default();
        Some(next)
    }

    fn take_field(&mut self, field: &[u8]) {
        let Some(colon) = field.iter().position(|&b| b == b':') else { return };
        let (name, value) = (&field[..colon], field[colon + 1..].trim_ascii());
        let visible = value.iter().all(|&b| (b' '..=b'~').contains(&b) || b == b'\t');
        let mut list = value.split(|&b| b == b',').map(<[u8]>::trim_ascii);
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = Some(visible && list.next_back().is_some_and(|last| last.eq_ignore_ascii_case(b"chunked")));
        } else if name.eq_ignore_ascii_case(b"content-length") {
            for text in list {
                self.length = match (self.length, decimal(text).filter(|_| visible)) {
                    (Length::Unsaid, Some(length)) => Length::Said(length),
                    (Length::Said(before), Some(length)) if before == length => self.length,
                    _ => Length::Wrong,
                };
            }
        }
    }
}

/// Digits only: Rust's own reading would take a sign as well.
fn decimal(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit))?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn payload(block: &[u8], piece: usize) -> Vec<u8> {
        let (mut reader, mut out) = (Payload::default(), Vec::new());
        for part in block.chunks(piece) {
            reader.feed(part, &mut |bytes| out.extend_from_slice(bytes));
        }
        out
    }

    #[test]
    fn the_rule_case_by_case() {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let cases: &[(String, &str)] = &[
            (format!("{chunked}5\r\nhello\r\n1; a=\"b\"\r\n!\r\n0\r\nTrailer: x\r\n\r\n"), "hello!"),
            (format!("{chunked}5\r\nhel"), "hel"),
            (format!("{chunked}5\r\nhello6\r\n"), "hello"),
            (format!("{chunked}+5\r\nhello\r\n0\r\n\r\n"), ""),
            (format!("{chunked}fffffffffffffffffff\r\nhello"), ""),
            (format!("{chunked}5\nhello\n0\n\n"), ""),
            (format!("{chunked}5\r\nhello\n0\r\n\r\n"), "hello"),
            (format!("{chunked} 5\r\nhello\r\n"), ""),
            (format!("{chunked}5 \t;x\r\nhello\r\n0005\r\nworld\r\n"), "helloworld"),
            (format!("{chunked}5;a\nhello\r\n"), ""),
            (format!("{chunked}\r\nhello\r\n"), ""),
            (format!("{chunked}ffffffffffffffff\r\nhello"), "hello"),
            (format!("{chunked}1;{}\r\na\r\n1;{}\r\nb\r\n", "x".repeat(16_000), "x".repeat(383)), "ab"),
            (format!("{chunked}1;{}\r\na\r\n1;{}\r\nb\r\n", "x".repeat(16_000), "x".repeat(384)), "a"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n gzip,\r\n\tChunked\r\n\r\n1\r\na\r\n".into(), "a"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n1\r\na".into(), "1\r\na"),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\nContent-Length: 1\r\n\r\nabc".into(), "abc"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n".into(), "ab"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2, 02\r\ncontent-length: 2\r\n\r\nabc".into(), "ab"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabcdef".into(), "abcdef"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nabc".into(), ""),
            ("\r\n\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n \r\n\r\nabc".into(), "ab"),
            ("HTTP/1.1 101 Switching Protocols\r\n\r\nabc".into(), ""),
            ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef".into(), "abc"),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdef".into(), "abcdef"),
            ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nabcdef".into(), "abcdef"),
            ("HTTP/1.1 200 OK\n\nabc".into(), "abc"),
            ("HTTP/1.1 204 No Content\r\n\r\nabc".into(), ""),
            ("HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n".into(), ""),
            ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabc".into(), "abc"),
            ("HTTP/1.1 200 OK\r\nX: y".into(), ""),
        ];
        for (block, expected) in cases {
            for piece in [1, 2, 7, 4096] {
                assert_eq!(payload(block.as_bytes(), piece), expected.as_bytes(), "{block:?} by {piece}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn chunks_come_off(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8), piece in 1usize..50) {
            let mut block = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
            for chunk in &chunks {
                block.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                block.extend_from_slice(chunk);
                block.extend_from_slice(b"\r\n");
            }
            block.extend_from_slice(b"0\r\n\r\n");
            prop_assert_eq!(payload(&block, piece), chunks.concat());
        }

        #[test]
        fn any_bytes_are_read_the_same_in_any_pieces(block in prop::collection::vec(any::<u8>(), 0..400), piece in 1usize..50) {
            let mut with_head = b"HTTP/1.1 200 OK\r\ntransfer-encoding:chunked\r\n\r\n".to_vec();
            with_head.extend_from_slice(&block);
            prop_assert_eq!(payload(&block, piece), payload(&block, 4096));
            prop_assert_eq!(payload(&with_head, piece), payload(&with_head, 4096));
        }
    }
}
