//! What the processes say to each other, over one socket pair each.
//!
//! *record* gives orders to *net*, *parse* and *draw*; they answer. *launcher* starts them, because
//! *record* has given up the right to start anything. Nobody else listens.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::draw::{CannotDraw, Picture};
use crate::limits;
use crate::net::{Bootstrap, Consensus, Descriptor, DescriptorRequest, Event, Failure, NetworkFacts, Request};
use crate::parse::{Document, Page, Stylesheet};

/// A protection by the kernel that a process puts on before it meets hostile bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protection {
    /// Which files may be opened.
    Landlock,
    /// Which system calls may be made.
    Seccomp,
}

impl Protection {
    /// All there are.
    pub const ALL: [Self; 2] = [Self::Landlock, Self::Seccomp];

    /// As it stands in options and logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Landlock => "landlock",
            Self::Seccomp => "seccomp",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protection| protection.name() == name)
    }
}

/// What a process put on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Version of the kernel's Landlock that is in force (0 = none).
    pub landlock_abi: u8,
    /// A filter of system calls is in force.
    pub seccomp: bool,
}

impl Confinement {
    /// What is not in force.
    pub fn missing(&self) -> Vec<Protection> {
        let mut missing = Vec::new();
        if self.landlock_abi == 0 {
            missing.push(Protection::Landlock);
        }
        if !self.seccomp {
            missing.push(Protection::Seccomp);
        }
        missing
    }
}

/// What *net* is started with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Arti's configuration, TOML.
    pub tor: String,
    /// Absolute path of Arti's state.
    pub state_dir: String,
    /// Absolute path of Arti's cache.
    pub cache_dir: String,
    /// Trust anchors beyond Mozilla's, DER.
    pub tls_extra_roots: Vec<Bytes>,
    /// Protections that may be missing, as the user said.
    pub may_lack: Vec<Protection>,
}

/// What opens the descriptor of a service that shows itself to some clients only (rend-spec-v3, *restricted
/// discovery*). Overwritten when it is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
pub struct ClientKey {
    /// Canonical lower-case onion name of the service.
    pub onion: String,
    /// X25519 secret.
    pub secret: [u8; 32],
}

impl std::fmt::Debug for ClientKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ClientKey(…)")
    }
}

/// Orders to *net*.
#[derive(Clone, Serialize, Deserialize)]
pub enum ToNet {
    /// The first message, once.
    Start(Box<Start>),
    /// Keys of the session's profile, at most [`limits::CLIENT_KEYS`]; before `Bootstrap`, at most once: a
    /// process serves one session.
    ClientKeys(Vec<ClientKey>),
    /// Bring Tor up.
    Bootstrap,
    /// Perform an exchange; its events carry the number.
    Exchange {
        /// Of the conversation; never used twice.
        id: u64,
        /// The exchange.
        request: Box<Request>,
    },
    /// So many events of an exchange were taken: there is room for as many more.
    Taken {
        /// The exchange.
        id: u64,
        /// Events.
        events: u16,
    },
    /// Nobody waits for an exchange any more.
    Cancel {
        /// The exchange.
        id: u64,
    },
    /// Answer a question.
    Ask {
        /// Of the conversation; never used twice.
        id: u64,
        /// The question.
        question: Question,
    },
    /// Still there?
    Ping(u64),
    /// Try what must not work.
    Probe(Probe),
    /// End in order.
    Shutdown,
}

/// What *record* may want to know of Tor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// The signed consensus in use.
    Consensus,
    /// The signed descriptor of an onion service.
    Descriptor(Box<DescriptorRequest>),
}

/// What *net* answers.
#[derive(Clone, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Question::Consensus`].
    Consensus(Box<Consensus>),
    /// To [`Question::Descriptor`].
    Descriptor(Box<Descriptor>),
}

/// Why *net* did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotStarted {
    /// The workstation's configuration is at fault.
    pub input: bool,
    /// What, on one line.
    pub line: String,
}

/// What *net* says.
#[derive(Clone, Serialize, Deserialize)]
pub enum FromNet {
    /// Answer to `Start`.
    Started {
        /// Facts of the network.
        facts: NetworkFacts,
        /// What it put on.
        confinement: Confinement,
    },
    /// Answer to `Start`; it ends.
    NotStarted(NotStarted),
    /// How far Tor is.
    Bootstrap(Bootstrap),
    /// Tor is up, or will not come up.
    Up(Result<(), Failure>),
    /// An event of an exchange. At most [`limits::EVENTS`] are under way that were not `Taken`.
    Event {
        /// The exchange.
        id: u64,
        /// The event.
        event: Event,
    },
    /// Answer to `Ask`.
    Answer {
        /// The question's number.
        id: u64,
        /// The answer.
        answer: Result<Answer, Failure>,
    },
    /// Answer to `Ping`.
    Pong(u64),
    /// Answer to `Probe`.
    Probed(Probed),
}

/// Orders to *parse* or *draw*, one at a time.
#[derive(Clone, Serialize, Deserialize)]
pub enum ToWorker<O> {
    /// Do its work.
    Do(O),
    /// Try what must not work.
    Probe(Probe),
}

/// What *parse* or *draw* says: `Ready` or `NotReady` first, then an answer to each order.
#[derive(Clone, Serialize, Deserialize)]
pub enum FromWorker<A> {
    /// It put this on and waits for orders.
    Ready(Confinement),
    /// It did not start; it ends.
    NotReady(String),
    /// To `Do`.
    Done(A),
    /// To `Probe`.
    Probed(Probed),
}

/// Work of *parse*.
#[derive(Clone, Serialize, Deserialize)]
pub enum ToParse {
    /// Read a page.
    Page(Document),
    /// Read a stylesheet.
    Stylesheet(Document),
    /// Remove content codings.
    Body(Document),
    /// Title and visible text.
    Text(Document),
}

/// What *parse* gives.
#[derive(Clone, Serialize, Deserialize)]
pub enum FromParse {
    /// To `Page`.
    Page(Box<Page>),
    /// To `Stylesheet`.
    Stylesheet(Box<Stylesheet>),
    /// To `Body`.
    Body {
        /// Decoded bytes.
        bytes: Bytes,
        /// Whatever was odd.
        warnings: Vec<String>,
    },
    /// To `Text`.
    Text {
        /// Title.
        title: String,
        /// Visible text, at most [`limits::PAGE_TEXT_BYTES`].
        text: String,
    },
}

/// What *draw* gives.
#[derive(Clone, Serialize, Deserialize)]
pub struct FromDraw(pub Result<Picture, CannotDraw>);

/// Something a confined process must not be able to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// Open a stream socket for IPv4.
    TcpSocket,
    /// Open a stream socket for IPv6.
    Tcp6Socket,
    /// Open a datagram socket for IPv4 (DNS, QUIC, snowflake).
    UdpSocket,
    /// Open a datagram socket for IPv6.
    Udp6Socket,
    /// Open a raw socket (ping).
    RawSocket,
    /// Open a packet socket.
    PacketSocket,
    /// Open a netlink socket.
    NetlinkSocket,
    /// Open a local stream socket (other daemons of this machine).
    UnixSocket,
    /// Open a virtual-machine socket.
    VsockSocket,
    /// Listen on a port of the loopback address.
    Listen,
    /// Connect to a port of the loopback address.
    ConnectLoopback,
    /// Read a file outside of what it needs (`/etc/hostname`).
    ReadFile,
    /// Make a file in the folder for temporary files.
    WriteFile,
    /// Start a program.
    Execute,
    /// Look into another process.
    Trace,
    /// Make memory both writable and executable.
    WritableCode,
}

impl Probe {
    /// All there are.
    pub const ALL: [Self; 16] = [
        Self::TcpSocket,
        Self::Tcp6Socket,
        Self::UdpSocket,
        Self::Udp6Socket,
        Self::RawSocket,
        Self::PacketSocket,
        Self::NetlinkSocket,
        Self::UnixSocket,
        Self::VsockSocket,
        Self::Listen,
        Self::ConnectLoopback,
        Self::ReadFile,
        Self::WriteFile,
        Self::Execute,
        Self::Trace,
        Self::WritableCode,
    ];
}

/// What came of a probe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Probed {
    /// It worked.
    Worked,
    /// The kernel refused it, in its words.
    Refused(String),
}

/// Orders to *launcher*, one at a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToLauncher {
    /// Start a process; the answer carries its socket.
    Start(Part),
    /// End a process that was started, if it has not ended, and say how it ended.
    End {
        /// Its number.
        number: u32,
        /// How long it may take to end by itself, in milliseconds: one that has hung up is about to.
        patience_ms: u32,
    },
    /// Start a pluggable transport, by its place among those that *launcher* was started with, unless it
    /// runs already.
    Transport(u8),
    /// Have `ssh-keygen` sign a statement with the key that *launcher* was started with.
    Sign(String),
}

/// A pluggable transport: a program that hides what Tor's traffic looks like (pt-spec).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transport {
    /// What it speaks: `obfs4` …
    pub protocols: Vec<String>,
    /// Absolute path of the program.
    pub program: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Absolute path of a folder for its state.
    pub state: String,
}

/// A process that *launcher* can start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Part {
    /// Tor and HTTP.
    Net,
    /// Reading of hostile bytes.
    Parse,
    /// Drawing of recorded pages.
    Draw,
    /// A process bound as *record* is, that does nothing but try what it must not do.
    Recorder,
}

/// What *launcher* answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromLauncher {
    /// To `Start`: its number, with the socket.
    Started(u32),
    /// To `End`: how it ended, on one line.
    Ended(String),
    /// To `Transport`: where it takes connections for which protocols, and whether it was started anew.
    Transport {
        /// Protocol and address on this machine, each.
        methods: Vec<(String, std::net::SocketAddr)>,
        /// It did not run before.
        anew: bool,
    },
    /// To `Sign`: the signature, or what `ssh-keygen` says.
    Signed(Result<String, String>),
    /// It could not, on one line.
    Failed(String),
}

/// A message is larger than its kind may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} passes its limit")]
pub struct Oversize(pub &'static str);

fn within(ok: bool, what: &'static str) -> Result<(), Oversize> {
    if ok { Ok(()) } else { Err(Oversize(what)) }
}

impl FromNet {
    /// Checks the limits of what came.
    pub fn check(&self) -> Result<(), Oversize> {
        match self {
            Self::Event { event, .. } => match event {
                Event::Wire(bytes) | Event::Body(bytes) => {
                    within(bytes.len() <= limits::CHUNK_BYTES, "a piece of a response")
                }
                Event::Head(head) => within(
                    head.headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>() <= limits::HEAD_BYTES
                        && head.headers.len() <= limits::RESPONSE_HEADER_FIELDS,
                    "a response head",
                ),
                Event::RequestSent(bytes) => within(bytes.len() <= limits::TO_NET_BYTES, "a request"),
                Event::Opened(connection) => within(
                    connection.through.as_ref().is_none_or(|through| through.circuit.len() <= limits::CIRCUIT_BYTES)
                        && connection.tls.as_ref().is_none_or(|tls| {
                            tls.chain.iter().map(Bytes::len).sum::<usize>() <= limits::CHAIN_BYTES
                                && tls.chain.len() <= limits::CERTIFICATES
                        }),
                    "a chain of certificates or a circuit's number",
                ),
                Event::Failed(failure) => within(failure.detail.len() <= limits::TEXT_BYTES, "a reason"),
                Event::Finished(_) | Event::Through(_) => Ok(()),
            },
            Self::Bootstrap(state) => within(state.summary.len() <= limits::TEXT_BYTES, "a word on Tor"),
            Self::Answer { answer: Ok(Answer::Consensus(consensus)), .. } => within(
                consensus.document.len() <= limits::CONSENSUS_BYTES
                    && consensus.certificates.len() <= limits::AUTHORITIES
                    && consensus.authorities.len() <= limits::AUTHORITIES,
                "a consensus",
            ),
            Self::Answer { answer: Ok(Answer::Descriptor(descriptor)), .. } => {
                within(descriptor.document.len() <= limits::DESCRIPTOR_BYTES, "a descriptor")
            }
            Self::Answer { answer: Err(failure), .. } | Self::Up(Err(failure)) => {
                within(failure.detail.len() <= limits::TEXT_BYTES, "a reason")
            }
            Self::NotStarted(fault) => within(fault.line.len() <= limits::TEXT_BYTES, "a reason"),
            Self::Started { .. } | Self::Up(Ok(())) | Self::Pong(_) | Self::Probed(_) => Ok(()),
        }
    }
}

impl FromParse {
    /// Checks the limits of what came.
    pub fn check(&self) -> Result<(), Oversize> {
        let most = limits::REFERENCES;
        match self {
            Self::Page(page) => within(
                page.links.len() <= most
                    && page.requisites.len() <= most
                    && page.forms.len() <= most
                    && page.title.len() <= limits::TEXT_BYTES,
                "a page's list",
            ),
            Self::Stylesheet(sheet) => within(sheet.requisites.len() <= most, "a stylesheet's list"),
            Self::Body { bytes, .. } => within(bytes.len() <= limits::DECODED_BODY_BYTES, "a decoded body"),
            Self::Text { title, text } => {
                within(title.len().max(text.len()) <= limits::PAGE_TEXT_BYTES, "a page's text")
            }
        }
    }
}

impl FromDraw {
    /// Checks the limits of what came.
    pub fn check(&self) -> Result<(), Oversize> {
        let Ok(picture) = &self.0 else { return Ok(()) };
        let bytes: usize = picture.tiles.iter().map(|tile| tile.png.len()).sum();
        let lines = picture.warnings.iter().chain(picture.facts.iter().flat_map(|(name, value)| [name, value]));
        within(bytes <= limits::PICTURE_BYTES, "a page's picture")?;
        within(lines.map(String::len).sum::<usize>() <= limits::HEAD_BYTES, "a word on a picture")
    }
}
