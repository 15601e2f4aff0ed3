//! Certificates in PEM (RFC 7468).

use data_encoding::BASE64;

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// The certificates in a PEM text, DER; what stands around them is let be. `None` when there is none
/// or one is not PEM.
pub fn certificates(bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = std::str::from_utf8(bytes).ok()?;
    let mut found = Vec::new();
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let (body, tail) = after.split_once(END)?;
        let packed: String = body.split_whitespace().collect();
        found.push(BASE64.decode(packed.as_bytes()).ok()?);
        rest = tail;
    }
    (!found.is_empty()).then_some(found)
}

/// Certificates as PEM text, 64 characters a line.
pub fn encode_certificates<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut text = String::new();
    for der in certificates {
        text.push_str(BEGIN);
        let packed = BASE64.encode(der);
        for (at, c) in packed.char_indices() {
            if at % 64 == 0 {
                text.push('\n');
            }
            text.push(c);
        }
        text.push('\n');
        text.push_str(END);
        text.push('\n');
    }
    text
}
