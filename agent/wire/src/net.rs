//! Record ⇄ net: one HTTP exchange at a time, no redirect followed.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Which circuits an exchange may share: one key per (mandate, profile, target, session), made
/// by *record* (32 random or derived bytes; *net* learns nothing from it). Exchanges with
/// different keys never share a circuit, a connection or a TLS session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CircuitKey(pub [u8; 32]);

impl std::fmt::Debug for CircuitKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CircuitKey(…)")
    }
}

/// How the bytes reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Transport {
    /// HTTP/1.1 straight on the Tor stream (onion services; clear-web `http`, marked amber).
    Plain,
    /// TLS inside the Tor stream; an invalid certificate chain ends the exchange.
    TlsVerified,
    /// TLS inside the Tor stream; an invalid chain is recorded and the exchange goes on. Only for
    /// targets whose mandate says `tls = "record-invalid"`.
    TlsRecordInvalid,
}

/// The least that *net* must know to check a request by itself: where it may go and how.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scope {
    /// Canonical lower-case host: a v3 onion name with a valid checksum or a clear-web ASCII
    /// (punycode) name. Never an address literal.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Transport.
    pub transport: Transport,
}

/// The methods that Vigie sends by itself (a crawl never changes the other side's state).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// RFC 9110 §9.3.1.
    Get,
    /// RFC 9110 §9.3.2.
    Head,
}

/// One exchange that *record* asks for.
#[derive(Clone, Serialize, Deserialize)]
pub struct Request {
    /// Circuits that it may use.
    pub circuit: CircuitKey,
    /// Where it may go; *net* refuses a request whose `Host` field differs.
    pub scope: Scope,
    /// Method.
    pub method: Method,
    /// Origin form of the request target (RFC 9112 §3.2.1): path and optional query, ASCII,
    /// starting with `/`, without fragment, white space or control characters.
    pub path: String,
    /// Header fields in the order and letter case in which they go out; `Host` among them.
    pub headers: Vec<(String, String)>,
    /// Limits of this exchange.
    pub limits: Limits,
    /// Exits that the stream must not end at, nor at a relay of their family or subnet; at most
    /// [`crate::limits::APART`], and only for a clear-web host.
    pub apart_from: Vec<Exit>,
}

/// A relay by its two identities, as the consensus of the Tor network names it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Exit {
    /// SHA-1 of its RSA identity key.
    pub rsa: [u8; 20],
    /// Its Ed25519 identity key.
    pub ed25519: [u8; 32],
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let hex = |f: &mut std::fmt::Formatter<'_>, bytes: &[u8], upper: bool| {
            bytes.iter().try_for_each(|b| if upper { write!(f, "{b:02X}") } else { write!(f, "{b:02x}") })
        };
        hex(f, &self.rsa, true)?;
        f.write_str(" ed25519:")?;
        hex(f, &self.ed25519, false)
    }
}

impl std::fmt::Debug for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exit({self})")
    }
}

/// How a stream to a clear-web host goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Through {
    /// Relay at which its circuit ends.
    pub exit: Exit,
    /// Number of that circuit, unique within one run of *net*; at most
    /// [`crate::limits::CIRCUIT_BYTES`].
    pub circuit: String,
}

/// Limits of one exchange. Reaching one ends the exchange with the matching [`Incomplete`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Response head, all interim heads included, in bytes (1 … 1 MiB).
    pub head_bytes: u32,
    /// Response body as it crosses the wire, chunk framing included, in bytes.
    pub body_bytes: u64,
    /// How much of the body is also given to *record* without its transfer coding, so that
    /// *parse* can read it, in bytes (0 = none; at most [`crate::limits::PARSE_BODY_BYTES`]).
    pub read_bytes: u32,
    /// From the order until the stream to the server is open (circuits, descriptor, introduction,
    /// rendezvous, TLS), in milliseconds.
    pub connect_ms: u32,
    /// From the last byte of the request until the first byte of the response, in milliseconds.
    pub first_byte_ms: u32,
    /// Longest silence between two reads of the response, in milliseconds.
    pub idle_ms: u32,
    /// From the last byte of the request until the last byte of the response, in milliseconds.
    pub total_ms: u32,
}

/// What *net* tells of one exchange, in this order:
/// `Through` (a fresh stream to a clear-web host only, and before it is known whether it opens), `Opened`, `RequestSent`, (`Head` | `Wire` | `Body`)*, then exactly one of `Finished` and
/// `Failed`. `Wire` carries every byte read from the server for this exchange, in order, head and
/// framing included; `Head` and `Body` are readings of the same bytes, never a substitute.
#[derive(Clone, Serialize, Deserialize)]
pub enum Event {
    /// The circuit of a fresh stream ends at this exit.
    Through(Exit),
    /// A stream to the server is open.
    Opened(Connection),
    /// These exact bytes went out.
    RequestSent(Bytes),
    /// The final response head was understood.
    Head(ResponseHead),
    /// Bytes as they came (over TLS: after decryption, before HTTP).
    Wire(Bytes),
    /// Body bytes without their transfer coding, at most `read_bytes` in all.
    Body(Bytes),
    /// The exchange ended with a response, whole or not.
    Finished(Finished),
    /// There is no response to record (nothing, or not one byte, came back).
    Failed(Failure),
}

/// Facts of the stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Connection {
    /// The stream was kept alive from an earlier exchange with the same key and scope.
    pub reused: bool,
    /// From the order to the open stream, in milliseconds.
    pub connect_ms: u32,
    /// TLS facts when there is TLS.
    pub tls: Option<Tls>,
    /// Exit and circuit of a clear-web host's stream; none for an onion service's.
    pub through: Option<Through>,
}

/// What TLS showed (recorded beside the exchange, because the record is made inside it).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: String,
    /// IANA name of the cipher suite.
    pub cipher_suite: String,
    /// Certificates as the server sent them, DER, leaf first.
    pub chain: Vec<Bytes>,
    /// Why the chain does not hold, or `None` when it does.
    pub invalid: Option<String>,
}

/// The response head as understood (RFC 9112 §4); values are the wire's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResponseHead {
    /// 100–999.
    pub status: u16,
    /// Fields in wire order; names in lower case.
    pub headers: Vec<(String, Bytes)>,
}

impl ResponseHead {
    /// First value of a field by lower-case name.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_ref())
    }
}

/// End of an exchange that gave bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// `None` when the response is whole; else why it is not.
    pub incomplete: Option<Incomplete>,
    /// Bytes read in all.
    pub wire_bytes: u64,
    /// Of these, the bytes before the body (interim heads included); 0 when no head was understood.
    pub head_bytes: u32,
    /// Body length without transfer coding, in bytes.
    pub body_bytes: u64,
    /// SHA-256 of the body without transfer coding (the WARC payload).
    pub body_sha256: [u8; 32],
    /// From the last request byte to the first response byte, in milliseconds.
    pub first_byte_ms: u32,
    /// From the last request byte to the last response byte, in milliseconds.
    pub total_ms: u32,
    /// Surplus bytes that followed the response and belong to no exchange (part of `Wire`).
    pub surplus_bytes: u32,
}

/// Why a recorded response is not whole. Never silent: it goes into the exhibit and the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Incomplete {
    /// The head passed its limit.
    HeadTooLarge,
    /// The body passed its limit.
    BodyTooLarge,
    /// The whole took longer than allowed.
    TooSlow,
    /// Silence longer than allowed.
    Idle,
    /// The server closed early (Content-Length or last chunk not reached).
    Disconnected,
    /// The Tor stream broke (END with another reason than DONE, circuit lost).
    StreamBroken,
    /// The bytes are not HTTP/1.x as RFC 9112 defines it; the text says what is wrong.
    Malformed(String),
    /// *record* gave up (stop, revocation).
    Cancelled,
}

impl Incomplete {
    /// The `WARC-Truncated` value (WARC 1.1 §5.13).
    pub fn warc_truncated(&self) -> &'static str {
        match self {
            Self::HeadTooLarge | Self::BodyTooLarge => "length",
            Self::TooSlow | Self::Idle => "time",
            Self::Disconnected | Self::StreamBroken => "disconnect",
            Self::Malformed(_) | Self::Cancelled => "unspecified",
        }
    }
}

impl std::fmt::Display for Incomplete {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::HeadTooLarge => f.write_str("the response head is larger than allowed"),
            Self::BodyTooLarge => f.write_str("the response body is larger than allowed"),
            Self::TooSlow => f.write_str("the response took longer than allowed"),
            Self::Idle => f.write_str("the server went silent"),
            Self::Disconnected => f.write_str("the server closed before the end"),
            Self::StreamBroken => f.write_str("the Tor stream broke before the end"),
            Self::Malformed(what) => write!(f, "not valid HTTP/1.1: {what}"),
            Self::Cancelled => f.write_str("stopped before the end"),
        }
    }
}

/// Why there is no response at all. The layers are kept apart because investigators must know
/// whether the service, the path or the workstation is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Which layer.
    pub kind: FailureKind,
    /// What happened, without any host name.
    pub detail: String,
}

/// Layer and nature of a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The request does not fit its scope (a fault of ours: refused by *net*).
    OutOfScope,
    /// Tor itself is not ready (no consensus, no guard, clock skew).
    TorNotReady,
    /// The directories do not have a descriptor of the onion service (unknown whether it is down).
    DescriptorNotFound,
    /// None of the directories that would have the descriptor could be asked (a fault of the path).
    DirectoryUnreachable,
    /// All directories were asked a short while ago, and Tor does not ask them again yet.
    NotAskedAgain,
    /// A descriptor was found but is not valid.
    DescriptorInvalid,
    /// The service asks for a client key that we do not have (restricted discovery).
    ClientKeyNeeded,
    /// The service asks for proof of work that this build does not do.
    ProofOfWorkNeeded,
    /// No introduction point answered.
    Introduction,
    /// The introduction points answered that the service is not connected to them: it went away, or its
    /// descriptor is an old one.
    IntroductionRefused,
    /// No relay could be made a meeting point (a fault of the path, not of the service).
    MeetingPoint,
    /// The introduction was passed on, and the service did not come to the meeting point.
    Rendezvous,
    /// The far side refused the stream (nothing listens on that port).
    StreamRefused,
    /// The exit refused or could not reach the clear-web host.
    ExitFailed,
    /// The exit found no address for the clear-web name.
    NameNotFound,
    /// TLS failed: certificate or handshake.
    Tls,
    /// Nothing came in the time allowed.
    Timeout,
    /// The connection closed without one byte of response.
    ClosedEmpty,
    /// Vigie's own network process ended or hung; it is started again.
    NetworkProcess,
    /// Anything else.
    Other,
    /// *record* gave up (stop, revocation).
    Cancelled,
}

/// What keeps Tor from coming up, as far as *net* can tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Blocked {
    /// This machine's clock differs from that of the relays, by so many seconds (positive: it is ahead), as
    /// the median of so many relays has it.
    Clock {
        /// Seconds.
        off_s: i64,
        /// Relays.
        relays: u8,
    },
    /// No relay and no bridge that was tried could be connected to.
    NoGuard {
        /// Bridges are configured: they are what was tried.
        bridges: bool,
    },
    /// Connections are made, and what answers is no relay: something between alters or filters them.
    Filtered,
    /// Relays answer, and the directory that they give is of no use.
    Directory,
}

/// How far Tor has come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// 0.0 … 1.0.
    pub fraction: f32,
    /// Ready for traffic.
    pub ready: bool,
    /// In Arti's words: what it is doing, or what blocks it.
    pub summary: String,
    /// What keeps it from going on.
    pub blocked: Option<Blocked>,
}

/// Facts of the Tor network that a session records, so that the public network and a test network
/// can be told apart in court.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkFacts {
    /// Arti's version.
    pub arti_version: String,
    /// Hex SHA-256 over the sorted upper-case v3 identities of the directory authorities, one per
    /// line, each followed by a newline.
    pub authorities_sha256: String,
    /// How many authorities.
    pub authorities: u16,
    /// The authorities are the ones that Arti ships for the public Tor network.
    pub public: bool,
    /// Hex SHA-256 over the sorted TLS trust anchors (each: subject and public key, DER).
    pub tls_roots_sha256: String,
    /// Trust anchors added to Mozilla's set by this workstation's configuration.
    pub tls_extra_roots: u16,
    /// `full`, `lite` or `disabled`.
    pub vanguards: String,
    /// This build does the work that a service may ask for (hspow-spec).
    pub proof_of_work: bool,
}

/// The signed directory of the Tor network as Tor used it when a session opened: a lower bound of
/// the session's time, since nobody has it before its authorities made it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Consensus {
    /// The document (dir-spec version 3, microdescriptor flavour), byte for byte, with its signatures;
    /// at most [`crate::limits::CONSENSUS_BYTES`].
    pub document: Bytes,
    /// Key certificates of the authorities that signed it, each as text; at most
    /// [`crate::limits::AUTHORITIES`].
    pub certificates: Vec<String>,
    /// v3 identities of all authorities of the network, upper-case hex, sorted.
    pub authorities: Vec<String>,
    /// Hex SHA-256 of the document.
    pub sha256: String,
    /// From when it holds, in seconds since 1970.
    pub valid_after: i64,
    /// When a newer one is due, in seconds since 1970.
    pub fresh_until: i64,
    /// When it ceases to hold, in seconds since 1970.
    pub valid_until: i64,
}

/// Asks for the signed descriptor of an onion service (rend-spec-v3) once more than Tor itself did.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescriptorRequest {
    /// Canonical lower-case onion name with a valid checksum.
    pub onion: String,
    /// How long to try, in milliseconds.
    pub limit_ms: u32,
}

/// A service's signed descriptor, exactly as a directory sent it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Descriptor {
    /// The text, byte for byte; at most [`crate::limits::DESCRIPTOR_BYTES`].
    pub document: Bytes,
    /// Number of the time period.
    pub period_number: u64,
    /// Length of time periods, in minutes.
    pub period_minutes: u32,
    /// When the first time period began, in seconds since 1970.
    pub period_offset_s: u32,
    /// The service's key for that period.
    pub blinded_key: [u8; 32],
    /// Ed25519 identity of the directory that sent it.
    pub hsdir_ed25519: [u8; 32],
    /// RSA identity (SHA-1) of the same.
    pub hsdir_rsa: [u8; 20],
    /// When it came, in seconds since 1970.
    pub fetched: i64,
    /// From when the consensus holds that names that directory and period, in seconds since 1970.
    pub consensus_valid_after: i64,
    /// The effort that the service suggests to its clients (hspow-spec): 0 when it asks for none; `None` when
    /// the inside of the descriptor is hidden from us.
    pub suggested_effort: Option<u32>,
}
