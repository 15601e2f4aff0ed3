//! The payload of an HTTP response block: the body without its transfer coding (RFC 9112 §7.1).

/// Finds the payload in a block fed piece by piece, and gives it to a sink piece by piece.
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
                    let most = self.left.map_or(bytes.len(), |left| bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
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
                let size = std::str::from_utf8(digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
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
            self.chunked |= value.trim_ascii().ends_with(b"chunked");
        } else if let Some(value) = lower.strip_prefix(b"content-length:") {
            self.left = std::str::from_utf8(value.trim_ascii()).ok().and_then(|text| text.parse().ok());
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
