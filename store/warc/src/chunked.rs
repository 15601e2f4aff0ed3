//! The payload of an HTTP response block: the body without its transfer coding (RFC 9112 §7.1).

/// Finds the payload in a block fed piece by piece, and gives it to a sink piece by piece.
///
/// The rule, tolerant as it has to hold for what hostile servers send: lines end at LF; the head
/// ends at an empty line; heads of status 1xx but 101 are skipped; 204 and 304 have no payload;
/// when the last `Transfer-Encoding` ends in `chunked`, the payload is the data of the chunks up
/// to the last chunk, up to the first broken framing, or as far as the bytes go; otherwise it is
/// everything after the head, at most `Content-Length` bytes. Content codings stay on.
#[derive(Default)]
pub struct Payload {
    state: State,
    line: Vec<u8>,
    chunked: bool,
    left: Option<u64>,
    status: u16,
}

#[derive(Default, PartialEq)]
enum State {
    #[default]
    Head,
    Whole,
    Size,
    Data(u64),
    AfterData,
    Ended,
}

/// Longest line of framing kept, in bytes.
const LINE_BYTES: usize = 256 * 1024;

impl Payload {
    /// Reads on; `sink` gets the payload's bytes.
    pub fn feed(&mut self, mut bytes: &[u8], sink: &mut impl FnMut(&[u8])) {
        while !bytes.is_empty() {
            match self.state {
                State::Ended => return,
                State::Whole => {
                    let most = self
                        .left
                        .map_or(bytes.len(), |left| bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                    sink(&bytes[..most]);
                    self.left = self.left.map(|left| left - most as u64);
                    return;
                }
                State::Data(left) => {
                    let most = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                    sink(&bytes[..most]);
                    bytes = &bytes[most..];
                    let left = left - most as u64;
                    self.state = if left == 0 { State::AfterData } else { State::Data(left) };
                }
                State::Head | State::Size | State::AfterData => {
                    let at = bytes.iter().position(|&b| b == b'\n').map_or(bytes.len(), |at| at + 1);
                    if self.line.len() + at > LINE_BYTES {
                        self.state = State::Ended;
                        return;
                    }
                    self.line.extend_from_slice(&bytes[..at]);
                    bytes = &bytes[at..];
                    if self.line.ends_with(b"\n") {
                        let line = std::mem::take(&mut self.line);
                        self.take_line(line.trim_ascii_end());
                    }
                }
            }
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        match self.state {
            State::Head if line.is_empty() => self.end_of_head(),
            State::Head => self.head_line(line),
            State::Size => {
                let digits = line.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
                let hex = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
                let text = std::str::from_utf8(digits).ok().filter(|_| hex);
                let size = text.and_then(|text| u64::from_str_radix(text, 16).ok());
                self.state = match size {
                    Some(size) if size > 0 => State::Data(size),
                    _ => State::Ended,
                };
            }
            State::AfterData => self.state = if line.is_empty() { State::Size } else { State::Ended },
            State::Whole | State::Data(_) | State::Ended => {}
        }
    }

    fn head_line(&mut self, line: &[u8]) {
        let lower = line.to_ascii_lowercase();
        if lower.starts_with(b"http/") {
            let code = lower.split(|&b| b == b' ').nth(1).and_then(|code| std::str::from_utf8(code).ok());
            self.status = code.and_then(|code| code.parse().ok()).unwrap_or(0);
        } else if let Some(value) = lower.strip_prefix(b"transfer-encoding:") {
            self.chunked = value.trim_ascii().ends_with(b"chunked");
        } else if let Some(value) = lower.strip_prefix(b"content-length:") {
            let value = value.trim_ascii();
            let digits = value.iter().all(u8::is_ascii_digit);
            let text = std::str::from_utf8(value).ok().filter(|_| digits);
            self.left = text.and_then(|text| text.parse().ok());
        }
    }

    fn end_of_head(&mut self) {
        if (100..200).contains(&self.status) && self.status != 101 {
            *self = Self::default();
        } else if matches!(self.status, 204 | 304) {
            self.state = State::Ended;
        } else {
            self.state = if self.chunked { State::Size } else { State::Whole };
        }
    }
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
            (format!("{chunked}5\nhello\n0\n\n"), "hello"),
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
