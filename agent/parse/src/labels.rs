//! Character-set labels: in `Content-Type`, and in `<meta>` by the prescan of WHATWG HTML
//! §13.2.3.2.

/// Longest label looked at, in bytes.
const LABEL_BYTES: usize = 100;

/// A parameter of a `Content-Type` value (RFC 9110 §8.3.1; WHATWG MIME Sniffing §4.4), the first
/// of its name.
pub fn parameter(content_type: Option<&[u8]>, name: &str) -> Option<String> {
    let value = content_type?;
    let value = String::from_utf8_lossy(&value[..value.len().min(1024)]);
    let mut rest = value.split_once(';')?.1;
    loop {
        let end = rest.find([';', '=']).unwrap_or(rest.len());
        let found = rest[..end].trim();
        rest = &rest[end..];
        let mut text = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            rest = after;
            if let Some(quoted) = rest.strip_prefix('"') {
                rest = unquote(quoted, &mut text);
            } else {
                let end = rest.find(';').unwrap_or(rest.len());
                text.push_str(rest[..end].trim_end());
            }
        }
        if found.eq_ignore_ascii_case(name) && !text.is_empty() {
            return Some(text.chars().take(LABEL_BYTES).collect());
        }
        rest = rest.split_once(';')?.1;
    }
}

/// Reads a quoted string whose opening quote is gone (RFC 9110 §5.6.4); gives what follows it.
fn unquote<'t>(quoted: &'t str, out: &mut String) -> &'t str {
    let mut escaped = false;
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                out.push(c);
            }
            '\\' => escaped = true,
            '"' => return &quoted[at + 1..],
            _ => out.push(c),
        }
    }
    ""
}

/// The label in `content="text/html; charset=…"` (§2.4.1, "extracting a character encoding").
pub fn from_content(content: &str) -> Option<String> {
    let mut rest = content;
    loop {
        let at = rest.as_bytes().windows(7).position(|w| w.eq_ignore_ascii_case(b"charset"))?;
        rest = rest[at + 7..].trim_ascii_start();
        if let Some(value) = rest.strip_prefix('=') {
            let value = value.trim_ascii_start();
            let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
            let label = match quote {
                // A quote that is never closed makes it nothing.
                Some(quote) => value[1..].split_once(quote)?.0,
                None => value.split([' ', '\t', '\n', '\r', '\x0c', ';']).next()?,
            };
            return Some(label.chars().take(LABEL_BYTES).collect());
        }
    }
}

/// Labels of all `<meta>` elements in the beginning of a page, in order.
pub fn meta_labels(head: &[u8]) -> Vec<String> {
    let mut labels = Vec::new();
    let mut at = 0;
    while at < head.len() {
        let rest = &head[at..];
        if rest.starts_with(b"<!--") {
            // The two dashes may be those that opened the comment.
            let end = rest[2..].windows(3).position(|w| w == b"-->");
            let Some(end) = end else { break };
            at += 2 + end + 3;
        } else if starts_with_tag(rest, b"<meta") {
            at += 6;
            let mut attributes = Vec::new();
            while attributes.len() < 32 {
                let Some(attribute) = attribute(head, &mut at) else { break };
                attributes.push(attribute);
            }
            labels.extend(label(&attributes));
        } else if rest.len() > 2
            && rest[0] == b'<'
            && (rest[1].is_ascii_alphabetic() || (rest[1] == b'/' && rest[2].is_ascii_alphabetic()))
        {
            at += rest.iter().position(|b| is_space(*b) || *b == b'>').unwrap_or(rest.len());
            while attribute(head, &mut at).is_some() {}
        } else if rest.len() > 1 && rest[0] == b'<' && matches!(rest[1], b'!' | b'/' | b'?') {
            at += rest.iter().position(|&b| b == b'>').unwrap_or(rest.len());
        } else {
            at += 1;
        }
    }
    labels
}

/// The label in an XML declaration ("get an XML encoding").
pub fn xml_label(head: &[u8]) -> Option<String> {
    let declaration = head.strip_prefix(b"<?xml")?;
    let declaration = &declaration[..declaration.iter().position(|&b| b == b'>')?];
    let at = declaration.windows(8).position(|w| w == b"encoding")?;
    let skip = |bytes: &'_ [u8]| bytes.iter().take_while(|&&b| b <= 0x20).count();
    let mut rest = &declaration[at + 8..];
    rest = rest[skip(rest)..].strip_prefix(b"=")?;
    rest = &rest[skip(rest)..];
    let quote = *rest.first().filter(|b| matches!(b, b'"' | b'\''))?;
    let label = rest[1..].split(|&b| b == quote).next().filter(|label| label.len() < rest.len() - 1)?;
    let plain = label.len() <= LABEL_BYTES && label.iter().all(|&b| b > 0x20);
    plain.then(|| String::from_utf8_lossy(label).into_owned())
}

fn starts_with_tag(rest: &[u8], tag: &[u8]) -> bool {
    rest.len() > tag.len()
        && rest[..tag.len()].eq_ignore_ascii_case(tag)
        && (is_space(rest[tag.len()]) || rest[tag.len()] == b'/')
}

fn label(attributes: &[(String, String)]) -> Option<String> {
    let value = |name: &str| attributes.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str());
    if let Some(label) = value("charset") {
        return Some(label.trim().to_owned());
    }
    let pragma = value("http-equiv").is_some_and(|v| v.eq_ignore_ascii_case("content-type"));
    value("content").filter(|_| pragma).and_then(from_content)
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b'\t' | b'\n' | 0x0c | b'\r' | b' ')
}

/// "Get an attribute" of the prescan: name in lower case, value; `None` at the end of the tag.
fn attribute(head: &[u8], at: &mut usize) -> Option<(String, String)> {
    while head.get(*at).is_some_and(|&b| is_space(b) || b == b'/') {
        *at += 1;
    }
    if *head.get(*at)? == b'>' {
        *at += 1;
        return None;
    }
    let mut name = String::new();
    loop {
        let byte = *head.get(*at)?;
        match byte {
            b'=' if !name.is_empty() => break,
            b'/' | b'>' => return Some((name, String::new())),
            _ if is_space(byte) => break,
            _ => name.push(byte.to_ascii_lowercase().into()),
        }
        *at += 1;
    }
    while head.get(*at).is_some_and(|&b| is_space(b)) {
        *at += 1;
    }
    if *head.get(*at)? != b'=' {
        return Some((name, String::new()));
    }
    *at += 1;
    while head.get(*at).is_some_and(|&b| is_space(b)) {
        *at += 1;
    }
    let quote = *head.get(*at)?;
    let mut value = String::new();
    if matches!(quote, b'"' | b'\'') {
        *at += 1;
        loop {
            let byte = *head.get(*at)?;
            *at += 1;
            if byte == quote {
                return Some((name, value));
            }
            value.push(byte.into());
        }
    }
    loop {
        let byte = *head.get(*at)?;
        if is_space(byte) || byte == b'>' {
            return Some((name, value));
        }
        value.push(byte.into());
        *at += 1;
    }
}
