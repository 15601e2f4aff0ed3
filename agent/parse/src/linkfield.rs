//! `Link` response fields (RFC 8288 §3).

use bytes::Bytes;
use vigie_wire::limits::HEADER_VALUE_BYTES;

/// Most links read from all fields.
const LINKS: usize = 200;
/// Most parameters of one link.
const PARAMETERS: usize = 20;

/// One link: target as written, and parameters with names in lower case.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// Between the angle brackets.
    pub target: String,
    parameters: Vec<(String, String)>,
}

impl Link {
    /// The first parameter of a name; later ones of the same name are ignored (§3.3, §3.4.1).
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the fields. A link about something else than the page (`anchor`, §3.2) is left out.
pub fn read(fields: &[(String, Bytes)]) -> Vec<Link> {
    let mut links = Vec::new();
    for (_, value) in fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link")) {
        let value = String::from_utf8_lossy(&value[..value.len().min(HEADER_VALUE_BYTES)]);
        let mut rest = &*value;
        while links.len() < LINKS {
            let Some((target, after)) = rest.split_once('<').and_then(|(_, after)| after.split_once('>')) else {
                break;
            };
            let (parameters, after) = parameters(after);
            rest = after;
            let link = Link { target: target.trim().to_owned(), parameters };
            if link.parameter("anchor").is_none_or(str::is_empty) {
                links.push(link);
            }
        }
    }
    links
}

/// Parameters up to the comma that ends a link, and what comes after it. In a quoted string a
/// backslash stands for the character after it (RFC 9110 §5.6.4).
fn parameters(text: &str) -> (Vec<(String, String)>, &str) {
    let mut parameters = Vec::new();
    let mut part = String::new();
    let mut take = |part: &mut String| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = name.trim().to_ascii_lowercase();
        if !name.is_empty() && parameters.len() < PARAMETERS {
            parameters.push((name, value.trim().to_owned()));
        }
        part.clear();
    };
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => {
                escaped = false;
                part.push(c);
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                take(&mut part);
                return (parameters, &text[at + 1..]);
            }
            ';' if !quoted => take(&mut part),
            _ => part.push(c),
        }
    }
    take(&mut part);
    (parameters, "")
}
