//! What the catalogue keeps about each log entry: plain values that the store seals under the
//! workstation key. No page byte, title or URL: those lie under the case's recipients and the
//! profile's key. Targets appear by the label that the mandate gives them.

use serde::{Deserialize, Serialize};

use crate::exits::TwoExits;

/// `mandate-imported`: the document and its signature, so that the workstation key alone brings
/// them back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MandateRow {
    /// Mandate id.
    pub id: String,
    /// Case id.
    pub case: String,
    /// Title.
    pub title: String,
    /// The signed TOML, as given.
    pub document: String,
    /// The SSH signature, armoured, as given.
    pub signature: String,
}

/// `mandate-revoked`: a signed list of revocations and oppositions (perhaps empty: a fresh list).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RevocationRow {
    /// The signed TOML, as given.
    pub document: String,
    /// The SSH signature, armoured.
    pub signature: String,
}

/// `profile-created`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileRow {
    /// Pseudonym.
    pub name: String,
    /// Case it belongs to.
    pub case: String,
    /// The profile's TOML, as given.
    pub document: String,
}

/// An act with the agent's signature over its statement.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SignedAct {
    /// Lines of text, as signed.
    pub statement: String,
    /// SSHSIG, armoured, namespace `vigie-act`.
    pub signature: String,
}

/// `session-open`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionRow {
    /// Mandate id.
    pub mandate: String,
    /// Case id.
    pub case: String,
    /// Agent code.
    pub agent: String,
    /// Pseudonym.
    pub profile: String,
    /// The network is not the public Tor network, or a trust anchor was added.
    pub test_network: bool,
    /// Who acted.
    pub act: SignedAct,
}

/// `session-close`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionEndRow {
    /// Exhibits, refusals and failures of the session.
    pub exhibits: u64,
    /// Refusals logged.
    pub refusals: u64,
    /// Failures logged.
    pub failures: u64,
    /// `done`, `stopped`, `refused: …`.
    pub end: String,
}

/// `exhibit`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExhibitRow {
    /// Label of the target.
    pub target: String,
    /// Mandate id.
    pub mandate: String,
    /// Case id.
    pub case: String,
    /// HTTP status of the last exchange of the page itself.
    pub status: u16,
    /// Exchanges in it.
    pub exchanges: u32,
    /// Bytes received.
    pub wire_bytes: u64,
    /// Everything that was to be recorded is there, whole.
    pub complete: bool,
    /// Why not, else empty; no URL.
    pub why: String,
    /// Recorded on a network that is not the public Tor network.
    pub test_network: bool,
    /// Which attempt gave the page itself, from 1; 0 in older entries.
    #[serde(default)]
    pub attempt: u32,
    /// What that attempt took, in milliseconds.
    #[serde(default)]
    pub elapsed_ms: u64,
    /// What stood in the way of the page, when something did: `captcha`, `http-server-error` …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obstacle: Option<String>,
    /// The page itself came over plain HTTP through an exit: anyone between could have altered it.
    #[serde(default)]
    pub amber: bool,
    /// How the page itself came by TLS, when it did; none in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsRow>,
    /// What the answers through two exits are to each other, where the mandate asks for two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub two_exits: Option<TwoExits>,
}

/// What TLS showed of a page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TlsRow {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: String,
    /// IANA name of the cipher suite.
    pub cipher_suite: String,
    /// Hex SHA-256 of the server's certificate.
    pub certificate_sha256: String,
    /// Certificates that the server sent.
    pub certificates: u32,
    /// Why the chain does not hold, or `None` when it does.
    pub invalid: Option<String>,
}

impl TlsRow {
    /// Of the facts of a connection.
    pub fn of(tls: &vigie_wire::net::Tls) -> Self {
        use sha2::{Digest, Sha256};
        let leaf = tls.chain.first().map(|leaf| data_encoding::HEXLOWER.encode(&Sha256::digest(leaf)));
        Self {
            protocol: tls.protocol.clone(),
            cipher_suite: tls.cipher_suite.clone(),
            certificate_sha256: leaf.unwrap_or_default(),
            certificates: u32::try_from(tls.chain.len()).unwrap_or(u32::MAX),
            invalid: tls.invalid.clone(),
        }
    }
}

/// `refusal`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RefusalRow {
    /// Stable code of the first refusal.
    pub code: String,
    /// Redacted line.
    pub line: String,
    /// Label of the target whose page led there, when there is one.
    pub target: String,
    /// How many addresses were refused together (requisites of one page).
    pub count: u32,
}

/// `failure`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct FailureRow {
    /// Label of the target.
    pub target: String,
    /// Layer (`descriptor-not-found`, `timeout` …).
    pub kind: String,
    /// Detail, without host names.
    pub detail: String,
    /// 1-based number of the attempt.
    pub attempt: u32,
    /// Milliseconds spent.
    pub elapsed_ms: u64,
    /// Milliseconds until the next attempt; none when there was no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
    /// What it says of the far side: `down`, `answered`, `unknown`; none in older entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verdict: Option<String>,
}

/// `read`: who took out what, and why.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReadRow {
    /// Exhibit number.
    pub exhibit: u64,
    /// Purpose given.
    pub purpose: String,
    /// Sealed copy or plain text.
    pub form: String,
    /// Who acted.
    pub act: SignedAct,
}

/// `witness`: a witness trusted or struck off, or a head that witnesses cosigned taken in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum WitnessRow {
    /// A witness's key.
    Trusted {
        /// Its verifier key (C2SP tlog-cosignature).
        witness: String,
        /// Mandate id under which the agent acted.
        mandate: String,
        /// Purpose given.
        purpose: String,
        /// Who acted.
        act: SignedAct,
    },
    /// A witness that is trusted no more.
    Distrusted {
        /// Its verifier key.
        witness: String,
        /// Mandate id under which the agent acted.
        mandate: String,
        /// Purpose given.
        purpose: String,
        /// Who acted.
        act: SignedAct,
    },
    /// A cosigned head.
    Cosigned {
        /// Entries covered.
        size: u64,
        /// Hex root at that size.
        root: String,
        /// By whom and when.
        cosignatures: Vec<CosignatureRow>,
        /// Mandate id under which the agent acted.
        mandate: String,
        /// Purpose given.
        purpose: String,
        /// Who acted.
        act: SignedAct,
    },
}

/// A witness's word on a head.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CosignatureRow {
    /// Its verifier key.
    pub witness: String,
    /// Seconds since the Epoch by its clock.
    pub time: u64,
}

/// `profile-session`: cookies imported into a profile.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileSessionRow {
    /// Pseudonym.
    pub profile: String,
    /// Mandate id.
    pub mandate: String,
    /// Cookies taken.
    pub cookies: u64,
    /// Purpose given.
    pub purpose: String,
    /// Who acted.
    pub act: SignedAct,
}

/// `profile-key`: a client key of a restricted service was given to a profile, or taken away.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ProfileKeyRow {
    /// `added` or `removed`.
    pub what: String,
    /// Pseudonym.
    pub profile: String,
    /// Mandate id.
    pub mandate: String,
    /// Label of the target.
    pub target: String,
    /// Purpose given.
    pub purpose: String,
    /// Who acted.
    pub act: SignedAct,
}

/// `timestamp`: a root that was fixed, or a stamp that was taken in.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum TimestampRow {
    /// A root certificate.
    Root {
        /// Its subject.
        name: String,
        /// Hex SHA-256 of it.
        sha256: String,
        /// From when and until when it is valid.
        validity: Option<[String; 2]>,
    },
    /// A time stamp.
    Stamp {
        /// Entries that the stamped head covers.
        size: u64,
        /// When the authority saw the head.
        time: String,
        /// Largest deviation of that, in microseconds, when the authority says it.
        accuracy_us: Option<u64>,
        /// Serial number, hex.
        serial: String,
        /// Policy, as dotted numbers.
        policy: String,
        /// Subject of the authority's certificate.
        authority: String,
        /// Hex SHA-256 of the root.
        trusted: String,
        /// Name of its files in `timestamps/`, without their ends.
        stem: String,
    },
}

/// `clock-jump`: the wall clock was set between two entries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClockJumpRow {
    /// Wall clock at the entry before.
    pub before: String,
    /// Wall clock now.
    pub after: String,
    /// By how much it was set, in milliseconds, forward being positive.
    pub moved_ms: i64,
}

/// `descriptor`: the signed descriptor of an onion service that a session reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum DescriptorRow {
    /// It is kept, and its chain holds.
    Kept {
        /// Label of the target.
        target: String,
        /// Begin of its time period.
        from: String,
        /// End of its time period.
        until: String,
        /// Its length.
        bytes: u64,
        /// Its revision.
        revision: u64,
        /// The work that it suggests (0 = none); none when its inside is hidden, and in older entries.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suggested_effort: Option<u32>,
        /// Milliseconds that it took.
        elapsed_ms: u64,
    },
    /// There is none.
    Missing {
        /// Label of the target.
        target: String,
        /// Layer that failed, as in a failure.
        kind: String,
        /// Detail, without host names.
        detail: String,
        /// Milliseconds spent.
        elapsed_ms: u64,
    },
}

/// Form of a read: a copy as it lies in the store left.
pub const SEALED_COPY: &str = "sealed copy";
/// Form of a read: a file in clear left.
pub const OPENED_FILE: &str = "opened into a file";
/// Form of a read: nothing left but what was shown.
pub const OPENED_MEMORY: &str = "opened in memory";

/// Form of an export: a copy of the whole store.
pub const BACKUP: &str = "backup";
/// Form of an export for a court.
pub const BUNDLE: &str = "bundle";
/// Form of a second signature that lets one leave.
pub const RELEASE: &str = "release";
/// Form of an export: the sealed part of an entry that keeps a descriptor.
pub const DESCRIPTOR: &str = "descriptor";

/// `export`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExportRow {
    /// `backup`, `descriptor`, `bundle` or `release`.
    pub form: String,
    /// What the medium or the bundle is called, or which entry's descriptor it is.
    pub label: String,
    /// Case of a bundle.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub case: String,
    /// Exhibits in a bundle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exhibits: Vec<u64>,
    /// Who acted.
    pub act: SignedAct,
}

/// `corroboration`: an exhibit compared with another capture of the same.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CorroborationRow {
    /// Exhibits of this store that were compared.
    pub exhibits: Vec<u64>,
    /// Origin of the log that the other exhibit is in.
    pub origin: String,
    /// Its number there.
    pub other: u64,
    /// Leaf of its entry there, hex.
    pub leaf_sha256: String,
    /// `agree`, `agree in part`, `differ`, `not comparable`.
    pub verdict: String,
    /// Addresses in both.
    pub compared: u64,
    /// Those with the same status and payload.
    pub agreeing: u64,
    /// Those whose certificates differ.
    pub other_certificates: u64,
    /// Who acted.
    pub act: SignedAct,
}

/// `handover`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HandoverRow {
    /// `to`: this log ended; `from`: it goes on from another.
    pub form: String,
    /// Verifier key of the other log.
    pub key: String,
    /// Size of the other log's head; 0 for `to`.
    pub size: u64,
    /// Its root, base64; empty for `to`.
    pub root: String,
    /// Who acted.
    pub act: SignedAct,
}

/// `restore-accepted`: entries of an earlier history are missing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoreRow {
    /// Id of the paper.
    pub paper: String,
    /// Entries that the head covered which was given up.
    pub size: u64,
    /// Its root, hex.
    pub root: String,
    /// Entries that the log went on from.
    pub goes_on_from: u64,
    /// Why.
    pub reason: String,
    /// Who signed the paper.
    pub signed_by: Vec<String>,
    /// Who took it in.
    pub act: SignedAct,
}

/// `passphrase`: a key got a new one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PassphraseRow {
    /// `store` or `profile`.
    pub of: String,
    /// Case of the profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub case: Option<String>,
    /// Pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Purpose given.
    pub purpose: String,
    /// Code of the agent who acted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// Who acted, where an agent's key was at hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<SignedAct>,
}

/// A retention paper; `hold`, and within `erasure`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PaperRow {
    /// Its id.
    pub id: String,
    /// Case id.
    pub case: String,
    /// The signed TOML, as given.
    pub document: String,
    /// The SSH signatures, armoured.
    pub signatures: Vec<String>,
    /// Who took it in; not within `erasure`, which has its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<SignedAct>,
}

/// `erasure`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErasureRow {
    /// `certificate` or `erased`.
    pub form: String,
    /// Id of the certificate, or of the mandate whose evidence was erased.
    pub id: String,
    /// Case id.
    pub case: String,
    /// Exhibits that were erased.
    pub exhibits: Vec<u64>,
    /// The certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paper: Option<PaperRow>,
    /// Who acted.
    pub act: SignedAct,
}
