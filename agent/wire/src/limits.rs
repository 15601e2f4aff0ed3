//! The largest sizes that a receiver accepts, whatever the sender says.

/// Longest URL or path in a message, in bytes (RFC 9110 §4.1 asks for at least 8,000).
pub const URL_BYTES: usize = 16 * 1024;
/// Most header fields in a request head.
pub const REQUEST_HEADER_FIELDS: usize = 64;
/// Longest request header value (a cookie header is the longest one seen), in bytes.
pub const HEADER_VALUE_BYTES: usize = 64 * 1024;
/// Largest chunk of wire or body bytes in one event, in bytes.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Most bytes of one body that *parse* is given, in bytes.
pub const PARSE_BODY_BYTES: usize = 8 * 1024 * 1024;
/// Most bytes that a decoded body may grow to in *parse*, in bytes.
pub const DECODED_BODY_BYTES: usize = 32 * 1024 * 1024;
/// Most bytes of visible text that *parse* returns for one page.
pub const PAGE_TEXT_BYTES: usize = 256 * 1024;
/// Most links, forms, images or other references that *parse* returns for one page, each.
pub const REFERENCES: usize = 10_000;
/// Longest text that *parse* returns in one field (title, label), in bytes.
pub const TEXT_BYTES: usize = 4 * 1024;
/// Largest consensus of a Tor network, in bytes (the public network's has about three million).
pub const CONSENSUS_BYTES: usize = 16 * 1024 * 1024;
/// Most directory authorities of a Tor network.
pub const AUTHORITIES: usize = 64;
/// Largest descriptor of an onion service, in bytes (the public network's directories take 50,000).
pub const DESCRIPTOR_BYTES: usize = 256 * 1024;
/// Most client keys of restricted services in one session.
pub const CLIENT_KEYS: usize = 256;
/// Largest message with client keys, in bytes: of each an onion name, a secret and two lengths.
pub const CLIENT_KEYS_BYTES: usize = CLIENT_KEYS * (62 + 32 + 8) + 16;
/// Events of one exchange that may be under way before *record* has taken them.
pub const EVENTS: usize = 16;
/// Largest head of a request or response, in bytes.
pub const HEAD_BYTES: usize = 1024 * 1024;
/// Most header fields of a response.
pub const RESPONSE_HEADER_FIELDS: usize = 2048;
/// Most certificates that a server sends.
pub const CERTIFICATES: usize = 64;
/// Largest chain of certificates, in bytes.
pub const CHAIN_BYTES: usize = 1024 * 1024;
/// Most exits that an exchange can be kept apart from.
pub const APART: usize = 4;
/// Longest number of a circuit, in bytes.
pub const CIRCUIT_BYTES: usize = 64;
/// Largest message to *net* (its start, with a configuration and trust anchors), in bytes.
pub const TO_NET_BYTES: usize = 4 * 1024 * 1024;
/// Largest message from *net* (a consensus with its certificates), in bytes.
pub const FROM_NET_BYTES: usize = CONSENSUS_BYTES + 1024 * 1024;
/// Largest message to *parse* (a document), in bytes.
pub const TO_PARSE_BYTES: usize = PARSE_BODY_BYTES + 1024 * 1024;
/// Largest message from *parse* (a decoded body, or a page full of references), in bytes.
pub const FROM_PARSE_BYTES: usize = 2 * DECODED_BODY_BYTES;
/// Largest message to or from *launcher*, in bytes.
pub const LAUNCHER_BYTES: usize = 32 * 1024;
/// Most elements that a page is drawn with.
pub const DRAW_ELEMENTS: usize = 2_000;
/// Most bytes of bodies that a page is drawn from.
pub const DRAW_BYTES: usize = 24 * 1024 * 1024;
/// Most bytes of one page's pictures.
pub const PICTURE_BYTES: usize = 32 * 1024 * 1024;
/// Largest message to *draw* (a page and its elements), in bytes.
pub const TO_DRAW_BYTES: usize = DRAW_BYTES + DRAW_ELEMENTS * (URL_BYTES + 1024);
/// Largest message from *draw* (pictures), in bytes.
pub const FROM_DRAW_BYTES: usize = PICTURE_BYTES + 1024 * 1024;
