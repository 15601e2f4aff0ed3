//! Where the head of a response ends, found in the bytes as they come. Hyper reads heads but does
//! not say how long they are, nor in which order their fields stood; both belong in the record.

/// Most header fields that a response may have. One name more than that is kept and no further
/// one, so that a head of nothing but fields cannot fill the memory.
pub const FIELDS: usize = 2000;

/// Follows heads up to the end of the final one. It draws its lines as hyper's parser does (for
/// heads that hyper accepts): empty lines before a status line are skipped, a line ends at LF with
/// or without CR (RFC 9112 §2.2), an interim head (RFC 9110 §15.2) is followed by another one.
#[derive(Default)]
pub struct Scan {
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// Status code of the head that is being read; 0 when its first line is no status line.
    status: Option<u16>,
    names: Vec<String>,
    bytes: u64,
    end: Option<u64>,
}

impl Scan {
    /// Reads on.
    pub fn feed(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while self.end.is_none() && !rest.is_empty() {
            let feed = rest.iter().position(|&b| b == b'\n');
            let (line, next) = rest.split_at(feed.map_or(rest.len(), |at| at + 1));
            self.line.extend_from_slice(line);
            self.bytes += line.len() as u64;
            rest = next;
            if feed.is_some() {
                let line = std::mem::take(&mut self.line);
                let line = line.strip_suffix(b"\n").unwrap_or(&line);
                self.take_line(line.strip_suffix(b"\r").unwrap_or(line));
            }
        }
    }

    fn take_line(&mut self, line: &[u8]) {
        match self.status {
            None if line.is_empty() => {}
            None => self.status = Some(status(line)),
            Some(status) if line.is_empty() => {
                if (100..200).contains(&status) && status != 101 {
                    self.status = None;
                    self.names.clear();
                } else {
                    self.end = Some(self.bytes);
                }
            }
            // A line that begins with white space continues the field before it (RFC 9112 §5.2).
            Some(_) if line[0] == b' ' || line[0] == b'\t' || self.names.len() > FIELDS => {}
            Some(_) => {
                let name = line.split(|&b| b == b':').next().unwrap_or_default();
                self.names.push(String::from_utf8_lossy(name).to_ascii_lowercase());
            }
        }
    }

    /// Bytes up to the end of the final head, once it is there.
    pub fn end(&self) -> Option<u64> {
        self.end
    }

    /// Lower-case names of the final head's fields, as often and in the order in which they stand.
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// The status code of `HTTP/1.1 200 OK`.
fn status(line: &[u8]) -> u16 {
    let digits = line.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    digits.and_then(|digits| std::str::from_utf8(digits).ok()).and_then(|code| code.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The end, whatever the pieces in which the bytes come.
    fn end(bytes: &[u8]) -> Option<u64> {
        let mut ends: Vec<_> = (1..=bytes.len())
            .map(|piece| {
                let mut scan = Scan::default();
                bytes.chunks(piece).for_each(|part| scan.feed(part));
                (scan.end(), scan.names().to_vec())
            })
            .collect();
        ends.dedup();
        assert_eq!(ends.len(), 1, "{}: {ends:?}", String::from_utf8_lossy(bytes));
        ends[0].0
    }

    #[test]
    fn ends_are_found_in_any_pieces() {
        for (head, rest) in [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "body\r\n\r\n"),
            ("HTTP/1.1 200 OK\nA: b\n\n", "\n\n"),
            ("HTTP/1.1 200 OK\r\nA: b\n\r\n", "x"),
            ("HTTP/1.1 200\r\n\r\n", ""),
            ("\r\n\n\r\nHTTP/1.0 404 Not Found\r\n\r\n", "x"),
            ("HTTP/1.1 200 OK\r\nA: b\r\n \r\n\t\r\n\r\n", "x"),
            ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "x"),
            ("HTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 204 No Content\r\nB: c\r\n\r\n", "x"),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", "\x01\x02"),
        ] {
            assert_eq!(end(format!("{head}{rest}").as_bytes()), Some(head.len() as u64), "{head:?}");
        }
        for open in
            ["HTTP/1.1 200 OK\r\nA: b\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "\r\n\r\n", "HTTP/1.1 200 OK\r\n\r"]
        {
            assert_eq!(end(open.as_bytes()), None, "{open:?}");
        }
    }

    #[test]
    fn names_are_those_of_the_final_head() {
        let mut scan = Scan::default();
        scan.feed(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nB: 1\r\na: 2\r\n fold: 3\r\nb: 4\r\n\r\nC: 5\r\n");
        assert_eq!(scan.names(), ["b", "a", "b"]);
        let mut many = Scan::default();
        many.feed(b"HTTP/1.1 200 OK\r\n");
        (0..2 * FIELDS).for_each(|_| many.feed(b"a: b\r\n"));
        assert_eq!(many.names().len(), FIELDS + 1);
    }
}
