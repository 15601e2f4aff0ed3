//! The head of an HTTP message, line by line, so that what is not touched stays byte for byte.

use vigie_warc::Payload;

use crate::secrets::{Hit, Kind, Secrets};

/// Fields whose whole value is a means to act as somebody.
const REQUEST: [&str; 5] = ["cookie", "cookie2", "authorization", "proxy-authorization", "x-csrf-token"];
/// See [`REQUEST`].
const RESPONSE: [&str; 4] = ["set-cookie", "set-cookie2", "authentication-info", "proxy-authentication-info"];
/// Parts of the names of fields that other software uses for the same.
const TELLING: [&str; 6] = ["token", "session", "csrf", "xsrf", "api-key", "apikey"];

/// A block of an HTTP message in two.
pub struct Split<'b> {
    /// Everything before the body, interim heads too.
    pub head: &'b [u8],
    /// The body as it came over the wire.
    pub body: &'b [u8],
}

/// Splits where the body begins. A block whose head never ends is all head.
pub fn split(block: &[u8]) -> Split<'_> {
    let mut at = 0;
    loop {
        let (end, status) = one_head(&block[at..]);
        at += end;
        // Interim heads (RFC 9110 section 15.2) are followed by another; 101 is the last.
        let interim = status.is_some_and(|status| (100..200).contains(&status) && status != 101);
        if !interim || at >= block.len() {
            return Split { head: &block[..at], body: &block[at..] };
        }
    }
}

/// Length of a head with its empty line, and the status when it begins with one.
fn one_head(bytes: &[u8]) -> (usize, Option<u16>) {
    let mut at = 0;
    let mut first: Option<&[u8]> = None;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        match (text.is_empty(), first) {
            (true, None) => {}
            (true, Some(_)) => break,
            (false, None) => first = Some(text),
            (false, Some(_)) => {}
        }
    }
    let status = first.and_then(|line| {
        let rest = line.strip_prefix(b"HTTP/")?;
        let code = rest.split(|byte| *byte == b' ').nth(1)?;
        std::str::from_utf8(code).ok()?.parse().ok()
    });
    (at, status)
}

/// The payload of a response block: its body without the transfer coding.
pub fn payload(block: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Payload::default().feed(block, &mut |piece| out.extend_from_slice(piece));
    out
}

/// Value of a field, the first of that name in any letter case.
pub fn field(head: &[u8], name: &str) -> Option<String> {
    fields(head).find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Values of all fields of a name, joined as RFC 9110 section 5.3 joins them.
pub fn joined(head: &[u8], name: &str) -> Option<String> {
    let all: Vec<String> =
        fields(head).filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect();
    (!all.is_empty()).then(|| all.join(", "))
}

fn fields(head: &[u8]) -> impl Iterator<Item = (String, String)> + '_ {
    head.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = String::from_utf8_lossy(line);
        let (name, value) = line.split_once(':')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    })
}

fn secret(name: &str, request: bool) -> bool {
    let name = name.to_ascii_lowercase();
    let own: &[&str] = if request { &REQUEST } else { &RESPONSE };
    own.contains(&name.as_str()) || TELLING.iter().any(|part| name.contains(part))
}

/// Values that the head holds and that must not leave: those of cookies and credentials, each for itself, so
/// that they are found elsewhere too.
pub fn values(head: &[u8], request: bool) -> Vec<(Kind, String)> {
    let mut found = Vec::new();
    for (name, value) in fields(head).filter(|(name, _)| secret(name, request)) {
        match name.to_ascii_lowercase().as_str() {
            "cookie" | "cookie2" => {
                let pairs = value.split(';').filter_map(|pair| pair.split_once('='));
                found.extend(pairs.map(|(_, value)| (Kind::Cookie, unquoted(value))));
            }
            "set-cookie" | "set-cookie2" => {
                // The first pair is the cookie; the rest says where and how long (RFC 6265 section 4.1).
                let pair = value.split(';').next().and_then(|pair| pair.split_once('='));
                found.extend(pair.map(|(_, value)| (Kind::Cookie, unquoted(value))));
            }
            "authorization" | "proxy-authorization" => {
                let credentials = value.split_once(' ').map_or(value.as_str(), |(_, rest)| rest);
                found.push((Kind::Credential, credentials.trim().to_owned()));
            }
            _ => found.push((Kind::Credential, value)),
        }
    }
    found
}

fn unquoted(value: &str) -> String {
    value.trim().trim_matches('"').to_owned()
}

/// A change of a head.
pub struct Changed {
    /// The new head.
    pub head: Vec<u8>,
    /// Each value taken out: what, where it began, how long it was.
    pub taken: Vec<Taken>,
}

/// A value that was taken out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The value.
    pub value: String,
    /// Its kind.
    pub kind: Kind,
    /// First byte.
    pub at: usize,
    /// Bytes.
    pub bytes: usize,
    /// What stands there now.
    pub marker: String,
}

/// How the body behind the head changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It is as it came.
    AsReceived,
    /// It is so many bytes, without any coding.
    Plain(usize),
}

/// Takes secret fields out, and listed values wherever they stand; says how long a changed body is.
pub fn redact(head: &[u8], request: bool, secrets: &Secrets, framing: Framing) -> Changed {
    let mut out = Vec::with_capacity(head.len());
    let mut taken = Vec::new();
    let mut at = 0;
    let mut within_secret: Option<Kind> = None;
    let mut length_said = false;
    for line in head.split_inclusive(|byte| *byte == b'\n') {
        let begin = at;
        at += line.len();
        let content = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
        let (text, end) = line.split_at(content);
        let folded = matches!(text.first(), Some(b' ' | b'\t'));
        let colon = if folded { None } else { text.iter().position(|byte| *byte == b':') };
        if !folded {
            let name = colon.map(|colon| String::from_utf8_lossy(&text[..colon]).to_ascii_lowercase());
            let kind = |name: &str| if name.contains("cookie") { Kind::Cookie } else { Kind::Credential };
            within_secret = name.filter(|name| secret(name.trim(), request)).map(|name| kind(&name));
        }
        if let Some(kind) = within_secret.filter(|_| !text.is_empty()) {
            let start = colon.map_or(0, |colon| colon + 1);
            let value = &text[start..];
            let lead = value.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
            let value = String::from_utf8_lossy(&value[lead..]).into_owned();
            let marker = format!("REDACTED-{}", if kind == Kind::Cookie { "cookie" } else { "credential" });
            // Whatever stands before the colon: a hostile name may hold a value too.
            let (name, hits) = secrets.redact(&text[..start + lead]);
            taken.extend(hits.into_iter().map(|hit| listed(secrets, hit, begin)));
            out.extend_from_slice(&name);
            out.extend_from_slice(marker.as_bytes());
            taken.push(Taken { bytes: value.len(), value, kind, at: begin + start + lead, marker });
            out.extend_from_slice(end);
            continue;
        }
        if let (Framing::Plain(length), Some(colon)) = (framing, colon) {
            let name = String::from_utf8_lossy(&text[..colon]).trim().to_ascii_lowercase();
            match name.as_str() {
                // The body stands here without codings; the record's facts and the list of changes say what was.
                "transfer-encoding" | "content-encoding" | "content-md5" | "digest" | "repr-digest"
                | "content-digest" | "trailer" => continue,
                "content-length" if length_said => continue,
                "content-length" => {
                    length_said = true;
                    out.extend_from_slice(format!("Content-Length: {length}").as_bytes());
                    out.extend_from_slice(end);
                    continue;
                }
                _ => {}
            }
        }
        // The empty line that ends the head; those of interim heads stand before it.
        if let (Framing::Plain(length), true, false) = (framing, text.is_empty() && at == head.len(), length_said) {
            out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
            length_said = true;
        }
        let (line, hits) = secrets.redact(text);
        taken.extend(hits.into_iter().map(|hit| listed(secrets, hit, begin)));
        out.extend_from_slice(&line);
        out.extend_from_slice(end);
    }
    Changed { head: out, taken }
}

/// A listed value that stood somewhere in a line which began there.
fn listed(secrets: &Secrets, hit: Hit, begin: usize) -> Taken {
    Taken {
        kind: secrets.kind(&hit.value),
        at: begin + hit.range.start,
        bytes: hit.range.len(),
        marker: secrets.marker(&hit.value),
        value: hit.value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_the_name_of_a_secret_field_goes_too() {
        let mut secrets = Secrets::new([1; 32]);
        secrets.add(Kind::Pseudonym, "blue-heron").unwrap();
        secrets.prepare();
        let changed = redact(b"GET / HTTP/1.1\r\nX-blue-heron-token: q\r\n\r\n", true, &secrets, Framing::AsReceived);
        let text = String::from_utf8(changed.head).unwrap();
        assert!(!text.contains("heron") && changed.taken.len() == 2, "{text}");
    }

    fn none() -> Secrets {
        let mut secrets = Secrets::new([1; 32]);
        secrets.prepare();
        secrets
    }

    #[test]
    fn heads_end_where_the_body_begins() {
        let block = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\n\nmore";
        let split = split(block);
        assert_eq!(split.body, b"body\n\nmore");
        assert_eq!(super::split(b"HTTP/1.1 200 OK\r\nA: b").body, b"");
        assert_eq!(super::split(b"\r\nHTTP/1.1 200 OK\nA: b\n\nx").body, b"x");
        assert_eq!(super::split(b"").head, b"");
    }

    #[test]
    fn cookies_and_credentials_go_whole_and_folded() {
        let head = b"GET / HTTP/1.1\r\nCookie: sid=abcdef123456;\r\n theme=dark\r\nAuthorization: Basic dTpw\r\nX-Auth-Token: q1w2\r\nAccept: */*\r\n\r\n";
        let changed = redact(head, true, &none(), Framing::AsReceived);
        let text = String::from_utf8(changed.head).unwrap();
        assert_eq!(
            text,
            "GET / HTTP/1.1\r\nCookie: REDACTED-cookie\r\n REDACTED-cookie\r\nAuthorization: REDACTED-credential\r\n\
             X-Auth-Token: REDACTED-credential\r\nAccept: */*\r\n\r\n"
        );
        let values = values(head, true);
        assert!(values.contains(&(Kind::Cookie, "abcdef123456".into())), "{values:?}");
        assert!(values.contains(&(Kind::Credential, "dTpw".into())), "{values:?}");
        for taken in &changed.taken {
            assert_eq!(&head[taken.at..taken.at + taken.bytes], taken.value.as_bytes());
        }
    }

    #[test]
    fn a_changed_body_has_its_length_and_no_coding() {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip\r\nX: y\r\n\r\n";
        let changed = redact(head, false, &none(), Framing::Plain(12));
        assert_eq!(changed.head, b"HTTP/1.1 200 OK\r\nX: y\r\nContent-Length: 12\r\n\r\n");
        let head = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        let length = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(redact(head, false, &none(), Framing::Plain(12)).head, length);
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n";
        assert_eq!(
            redact(head, false, &none(), Framing::Plain(12)).head,
            b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n"
        );
    }

    #[test]
    fn an_untouched_head_stays_as_it_is() {
        let head = b"HTTP/1.1 200 OK\r\nServer:  x\r\nodd line\nA:b\r\n\r\n";
        let changed = redact(head, false, &none(), Framing::AsReceived);
        assert_eq!(changed.head, head);
        assert!(changed.taken.is_empty());
    }
}
