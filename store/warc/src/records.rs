//! What the writer is told about a record.

/// Any record, for the kinds that have no helper of their own on the writer.
#[derive(Clone, Debug)]
pub struct Record<'a> {
    /// `WARC-Type` (§5.5).
    pub kind: &'a str,
    /// `WARC-Record-ID` (§5.2), with its angle brackets.
    pub record_id: &'a str,
    /// `WARC-Date` (§5.4).
    pub date: jiff::Timestamp,
    /// `Content-Type` (§5.6).
    pub content_type: &'a str,
    /// Further fields in order. Those that the writer makes itself (`WARC-Type`,
    /// `WARC-Record-ID`, `WARC-Date`, `Content-Type`, `Content-Length`, `WARC-Block-Digest`) must
    /// not be among them.
    pub fields: &'a [(&'a str, String)],
}

/// A `warcinfo` record.
#[derive(Clone, Debug)]
pub struct Info {
    /// Name and version of the software.
    pub software: String,
    /// Agent code, never a name.
    pub operator: String,
    /// File name, when there is one.
    pub filename: Option<String>,
    /// Further fields.
    pub extra: Vec<(String, String)>,
}

/// A `response` or `revisit` record.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// Target URI.
    pub url: &'a str,
    /// Its record id.
    pub record_id: &'a str,
    /// SHA-256 of the payload (body without transfer coding), when a head was understood.
    pub payload_sha256: Option<[u8; 32]>,
    /// `WARC-Truncated` (§5.13): `length`, `time`, `disconnect`, `unspecified`.
    pub truncated: Option<&'a str>,
    /// `WARC-Protocol` values (community extension).
    pub protocols: &'a [String],
    /// `WARC-Cipher-Suite` (community extension).
    pub cipher_suite: Option<&'a str>,
}

/// What a revisit refers to.
#[derive(Clone, Debug)]
pub struct RefersTo<'a> {
    /// Record id of the original.
    pub record_id: &'a str,
    /// Its URI.
    pub url: &'a str,
    /// Its `WARC-Date`.
    pub date: &'a str,
    /// Number of the exhibit that holds it.
    pub exhibit: u64,
}
