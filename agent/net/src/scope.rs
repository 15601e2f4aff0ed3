//! The second check of a request, from its scope alone.

use vigie_wire::limits;
use vigie_wire::net::{Failure, FailureKind, Request, Scope, Transport};

/// The request fits its scope and is well-formed; else a failure that says what does not.
pub fn check(request: &Request) -> Result<(), Failure> {
    let refuse = |detail: &str| Err(Failure { kind: FailureKind::OutOfScope, detail: detail.to_owned() });
    let scope = &request.scope;
    if !host(&scope.host) {
        return refuse("the host is neither a version 3 onion name nor a clear-web name");
    }
    if scope.port == 0 {
        return refuse("the port is 0");
    }
    let path = &request.path;
    if !path.starts_with('/')
        || path.len() > limits::URL_BYTES
        || path.contains('#')
        || !path.bytes().all(|b| b.is_ascii_graphic())
    {
        return refuse("the path is not in origin form");
    }
    if request.headers.len() > limits::REQUEST_HEADER_FIELDS {
        return refuse("there are too many header fields");
    }
    let mut hosts = 0;
    for (name, value) in &request.headers {
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(token) {
            return refuse("a header name is no token");
        }
        if value.len() > limits::HEADER_VALUE_BYTES || value.bytes().any(|b| (b < 0x20 && b != b'\t') || b == 0x7f) {
            return refuse("a header value is too long or holds control characters");
        }
        if name.eq_ignore_ascii_case("host") {
            hosts += 1;
            if *value != authority(scope) {
                return refuse("the Host field names another host than the scope");
            }
        }
        if ["content-length", "transfer-encoding", "upgrade", "expect", "te"]
            .iter()
            .any(|n| name.eq_ignore_ascii_case(n))
        {
            return refuse("a header field belongs to requests that change something");
        }
    }
    if hosts != 1 {
        return refuse("there is not exactly one Host field");
    }
    Ok(())
}

/// `host` or `host:port` when the port is not the transport's own.
fn authority(scope: &Scope) -> String {
    let default = if scope.transport == Transport::Plain { 80 } else { 443 };
    if scope.port == default { scope.host.clone() } else { format!("{}:{}", scope.host, scope.port) }
}

/// A lower-case name of at least two labels that is no address literal; onion names have one
/// label of 56 base32 characters before `.onion` (Arti checks the checksum again).
fn host(name: &str) -> bool {
    if let Some(label) = name.strip_suffix(".onion") {
        return label.len() == 56 && label.bytes().all(|b| matches!(b, b'a'..=b'z' | b'2'..=b'7'));
    }
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253
        && name.contains('.')
        && name.split('.').all(label)
        && last != "onion"
        && !last.bytes().all(|b| b.is_ascii_digit())
}
