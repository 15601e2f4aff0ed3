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
    if request.apart_from.len() > limits::APART {
        return refuse("there are too many exits to be kept apart from");
    }
    if !request.apart_from.is_empty() && scope.host.ends_with(".onion") {
        return refuse("an onion service is reached through no exit");
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
    name.len() <= 253 && name.contains('.') && name.split('.').all(label) && last != "onion" && !number(last)
}

/// A last label by which some programs take the whole name for an IPv4 address (the WHATWG URL
/// standard's "ends in a number"): an exit might be one of them.
fn number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
    hex || label.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use vigie_wire::net::{CircuitKey, Exit, Limits, Method};

    use super::*;

    fn request(host: &str, port: u16, transport: Transport) -> Request {
        let limits = Limits {
            head_bytes: 1,
            body_bytes: 1,
            read_bytes: 0,
            connect_ms: 1,
            first_byte_ms: 1,
            idle_ms: 1,
            total_ms: 1,
        };
        Request {
            circuit: CircuitKey([0; 32]),
            scope: Scope { host: host.into(), port, transport },
            method: Method::Get,
            path: "/".into(),
            headers: vec![("Host".into(), host.into())],
            limits,
            apart_from: Vec::new(),
        }
    }

    fn refused(change: impl FnOnce(&mut Request)) -> bool {
        let mut request = request("shop.example", 80, Transport::Plain);
        change(&mut request);
        match check(&request) {
            Ok(()) => false,
            Err(failure) => {
                assert_eq!(failure.kind, FailureKind::OutOfScope);
                assert!(!failure.detail.contains("example"));
                true
            }
        }
    }

    #[test]
    fn hosts_are_names_and_no_addresses() {
        let onion = format!("{}.onion", "a2".repeat(28));
        for host in [onion.as_str(), "shop.example", "xn--bcher-kva.example", "a-1.b.c", "1.2.3.4a"] {
            assert!(check(&request(host, 80, Transport::Plain)).is_ok(), "{host}");
        }
        for host in [
            "",
            "localhost",
            "127.0.0.1",
            "1.2.3",
            "0.1",
            "1.2.3.0x7f",
            "a.0x",
            "[::1]",
            "::1",
            "Shop.example",
            "shop.example.",
            ".example",
            "a..b",
            "sh_op.example",
            "shop.example:80",
            "a@b.example",
            "bücher.example",
            "a.onion",
            "onion",
            ".onion",
            "shop.onion",
            &format!("www.{onion}"),
            &onion.replace('2', "1"),
            &onion.to_uppercase(),
            &format!("{}.example", "a".repeat(64)),
            &"a.".repeat(130),
        ] {
            assert!(check(&request(host, 80, Transport::Plain)).is_err(), "{host}");
        }
        assert!(refused(|request| request.scope.port = 0));
    }

    #[test]
    fn exits_to_be_kept_apart_from_are_few_and_no_matter_of_onions() {
        let exits = |count: usize| vec![Exit { rsa: [1; 20], ed25519: [2; 32] }; count];
        assert!(!refused(|request| request.apart_from = exits(limits::APART)));
        assert!(refused(|request| request.apart_from = exits(limits::APART + 1)));
        let mut onion = request(&format!("{}.onion", "a2".repeat(28)), 80, Transport::Plain);
        assert!(check(&onion).is_ok());
        onion.apart_from = exits(1);
        assert!(check(&onion).is_err());
    }

    #[test]
    fn the_host_field_names_the_scope() {
        for (port, transport, field) in [
            (80, Transport::Plain, "shop.example"),
            (443, Transport::Plain, "shop.example:443"),
            (443, Transport::TlsVerified, "shop.example"),
            (443, Transport::TlsRecordInvalid, "shop.example"),
            (80, Transport::TlsVerified, "shop.example:80"),
        ] {
            let mut right = request("shop.example", port, transport);
            right.headers[0] = ("hOsT".into(), field.into());
            assert!(check(&right).is_ok(), "{field}");
            for wrong in ["other.example", "Shop.example", "shop.example:81", "shop.example ", ""] {
                right.headers[0].1 = wrong.into();
                assert!(check(&right).is_err(), "{wrong}");
            }
        }
        assert!(refused(|request| request.headers.clear()));
        assert!(refused(|request| request.headers.push(("HOST".into(), "shop.example".into()))));
    }

    #[test]
    fn paths_and_fields_cannot_make_a_second_request() {
        for path in
            ["", "a", "*", "http://shop.example/", "/ HTTP/1.1\r\nX: y", "/a b", "/\t", "/é", "/#a", "/\0", "/\x7f"]
        {
            assert!(refused(|request| request.path = path.into()), "{path:?}");
        }
        assert!(refused(|request| request.path = format!("/{}", "a".repeat(limits::URL_BYTES))));
        assert!(!refused(|request| request.path = format!("/{}", "a".repeat(limits::URL_BYTES - 1))));
        assert!(!refused(|request| request.path = "//a/../?x=%0d%0a;'\\\"".into()));
        let field = |name: &str, value: &str| {
            let pair = (name.to_owned(), value.to_owned());
            refused(|request| request.headers.push(pair))
        };
        for name in ["", "A B", "A:", "A\r\nB", "é", "A\0", "(A)"] {
            assert!(field(name, "x"), "{name:?}");
        }
        for value in ["a\r\nX: y", "\n", "\r", "\0", "\x1b", "\x7f"] {
            assert!(field("A", value), "{value:?}");
        }
        assert!(!field("A!#$%&'*+-.^_`|~9", "") && !field("A", "a\tb é"));
        for name in ["Content-Length", "transfer-encoding", "UPGRADE", "Expect", "TE"] {
            assert!(field(name, "x"), "{name}");
        }
        assert!(field("A", &"a".repeat(limits::HEADER_VALUE_BYTES + 1)));
        let many = |more: usize| vec![("A".to_owned(), String::new()); more];
        assert!(refused(|request| request.headers.extend(many(limits::REQUEST_HEADER_FIELDS))));
        assert!(!refused(|request| request.headers.extend(many(limits::REQUEST_HEADER_FIELDS - 1))));
    }
}
