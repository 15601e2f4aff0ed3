//! Whose signature counts: the `allowed_signers` file (ssh-keygen(1), ALLOWED SIGNERS) and the
//! check of a detached SSH signature (OpenSSH PROTOCOL.sshsig) against it.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, HashAlg, PublicKey, SshSig};

/// Largest file read, in bytes.
const FILE_BYTES: usize = 1024 * 1024;
/// Flag of a security key signature: the person touched the token (PROTOCOL.u2f).
const USER_PRESENT: u8 = 0x01;
/// Shortest RSA modulus accepted, in bits (NIST SP 800-131A).
const RSA_BITS: usize = 2048;

/// A line of the file.
#[derive(Clone, Debug)]
struct Entry {
    /// Pattern list (ssh_config(5), PATTERNS): `*`, `?`, `!` before a pattern excludes.
    principals: Vec<String>,
    namespaces: Option<Vec<String>>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
    key: PublicKey,
}

/// The signers whose signatures a workstation accepts.
#[derive(Clone, Debug)]
pub struct AllowedSigners {
    entries: Vec<Entry>,
}

/// Who signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Principal patterns of the lines that matched, in the file's order, to show to people.
    pub principals: Vec<String>,
    /// The same by line: a negated pattern only concerns its own line.
    lines: Vec<Vec<String>>,
    /// `SHA256:…` fingerprint of the key.
    pub key_fingerprint: String,
    /// For a security key: the person was present (touched it); `None` for other keys.
    pub user_presence: Option<bool>,
}

impl Signer {
    /// The signature counts for this principal: a line with the key, the namespace and the time
    /// names it.
    pub fn is(&self, principal: &str) -> bool {
        self.lines.iter().any(|patterns| matches_list(patterns, principal))
    }
}

/// The file is not an allowed signers file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {reason}: correct the allowed signers file")]
pub struct SignersError {
    /// 1-based line.
    pub line: usize,
    /// What is wrong.
    pub reason: String,
}

/// A signature does not count.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SignatureError {
    /// Not an armoured SSH signature.
    #[error("the signature is not an armoured SSH signature ({0}): sign with ssh-keygen -Y sign")]
    Malformed(String),
    /// Made for something else.
    #[error("the signature was made for the namespace {found:?}, not {wanted:?}: sign with -n {wanted}")]
    Namespace {
        /// In the signature.
        found: String,
        /// Needed here.
        wanted: String,
    },
    /// No allowed signer has this key now and for this namespace.
    #[error(
        "the signature is by {0}, which is no allowed signer for this at this time: ask the authority to sign with its own key"
    )]
    NotAllowed(String),
    /// The cryptographic check failed.
    #[error("the signature does not match: the document was altered or another one was signed")]
    Mismatch,
    /// A security key signed without its owner touching it.
    #[error("the security key signed without anyone touching it: sign again and touch the key")]
    NoPresence,
}

impl AllowedSigners {
    /// Reads a file: one signer per line, `principals [options] keytype base64 [comment]`; empty
    /// lines and `#` lines are skipped. Certificate authorities are not supported and refused.
    pub fn parse(bytes: &[u8]) -> Result<Self, SignersError> {
        let fault = |line: usize, reason: &str| SignersError { line, reason: reason.to_owned() };
        if bytes.len() > FILE_BYTES {
            return Err(fault(1, "the file is larger than 1 MiB"));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| fault(1, "the file is not UTF-8 text"))?;
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim_matches([' ', '\t', '\r']);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            entries.push(entry(line).map_err(|reason| SignersError { line: index + 1, reason })?);
        }
        if entries.is_empty() {
            return Err(fault(1, "the file names no signer"));
        }
        Ok(Self { entries })
    }

    /// Checks a detached signature over `message` for `namespace` at `now`. Stricter than
    /// `ssh-keygen -Y verify` in two points: a security key must report that it was touched, and
    /// its signature must carry the key's own algorithm.
    pub fn verify(
        &self,
        namespace: &str,
        message: &[u8],
        signature_pem: &[u8],
        now: Timestamp,
    ) -> Result<Signer, SignatureError> {
        let malformed = |e: &dyn std::fmt::Display| SignatureError::Malformed(e.to_string());
        let text = std::str::from_utf8(signature_pem).map_err(|e| malformed(&e))?;
        let signature = SshSig::from_pem(text.trim_start()).map_err(|e| malformed(&e))?;
        if signature.namespace() != namespace {
            return Err(SignatureError::Namespace {
                found: signature.namespace().to_owned(),
                wanted: namespace.to_owned(),
            });
        }
        let fingerprint = PublicKey::from(signature.public_key().clone()).fingerprint(HashAlg::Sha256).to_string();
        let entries =
            self.entries.iter().filter(|e| e.key.key_data() == signature.public_key() && e.allows(namespace, now));
        let lines: Vec<Vec<String>> = entries.map(|entry| entry.principals.clone()).collect();
        if lines.is_empty() {
            return Err(SignatureError::NotAllowed(fingerprint));
        }
        let key = PublicKey::from(signature.public_key().clone());
        if !same_algorithm(&key.algorithm(), &signature.algorithm()) {
            return Err(SignatureError::Malformed("its algorithm is not the key's".into()));
        }
        key.verify(namespace, message, &signature).map_err(|_| SignatureError::Mismatch)?;
        // Neither `ssh-key` nor `ssh-keygen -Y verify` insists on the flags of a security key.
        let user_presence = presence(&signature);
        if user_presence == Some(false) {
            return Err(SignatureError::NoPresence);
        }
        Ok(Signer { principals: lines.concat(), lines, key_fingerprint: fingerprint, user_presence })
    }
}

impl AllowedSigners {
    /// Checks every signature over one message; gives the persons who made them. The same key twice,
    /// or two keys of one person, are one person.
    ///
    /// # Errors
    /// The first signature that does not count.
    pub fn persons(
        &self,
        namespace: &str,
        message: &[u8],
        signatures: &[Vec<u8>],
        at: Timestamp,
    ) -> Result<Vec<Signer>, SignatureError> {
        let mut persons: Vec<Signer> = Vec::new();
        for signature in signatures {
            let signer = self.verify(namespace, message, signature, at)?;
            let known = persons.iter().any(|person| {
                person.key_fingerprint == signer.key_fingerprint
                    || person.principals.iter().any(|name| signer.principals.contains(name))
            });
            if !known {
                persons.push(signer);
            }
        }
        Ok(persons)
    }
}

/// `ssh-key` verifies a security key's signature whatever algorithm it claims; a false claim would
/// hide the presence flag. RSA keys sign with SHA-2 only (PROTOCOL.sshsig, "signature").
fn same_algorithm(key: &Algorithm, signature: &Algorithm) -> bool {
    match (key, signature) {
        (Algorithm::Rsa { .. }, Algorithm::Rsa { hash }) => hash.is_some(),
        (key, signature) => key == signature,
    }
}

/// The presence flag of a security key's signature: its blob ends in flags (1 byte) and a counter
/// (4 bytes), which `ssh-key` keeps in the signature's bytes. `None` for other keys.
fn presence(signature: &SshSig) -> Option<bool> {
    match signature.public_key() {
        KeyData::SkEd25519(_) | KeyData::SkEcdsaSha2NistP256(_) => {
            let bytes = signature.signature_bytes();
            let flags = bytes.len().checked_sub(5).and_then(|at| bytes.get(at)).copied();
            Some(flags.is_some_and(|flags| flags & USER_PRESENT != 0))
        }
        _ => None,
    }
}

impl Entry {
    fn allows(&self, namespace: &str, now: Timestamp) -> bool {
        self.namespaces.as_ref().is_none_or(|list| matches_list(list, namespace))
            // Whole seconds with both ends included, as ssh-keygen counts.
            && self.valid_after.is_none_or(|after| now.as_second() >= after.as_second())
            && self.valid_before.is_none_or(|before| now.as_second() <= before.as_second())
    }
}

fn entry(line: &str) -> Result<Entry, String> {
    let (principals, rest) = word(line)?;
    let principals = list(&principals)?;
    let (mut second, mut rest) = word(rest)?;
    let mut namespaces = None;
    let (mut valid_after, mut valid_before) = (None, None);
    if !is_key_type(&second) {
        for option in options(&second)? {
            let (name, value) = option.split_once('=').map_or((option.as_str(), None), |(n, v)| (n, Some(v)));
            let value = value.map(unquote).transpose()?;
            match (name.to_ascii_lowercase().as_str(), value) {
                ("cert-authority", None) => {
                    return Err("certificate authorities are not supported: name the signer's own key".into());
                }
                ("namespaces", Some(value)) if namespaces.is_none() => namespaces = Some(list(&value)?),
                ("valid-after", Some(value)) if valid_after.is_none() => valid_after = Some(time(&value)?),
                ("valid-before", Some(value)) if valid_before.is_none() => valid_before = Some(time(&value)?),
                (name, _) => {
                    return Err(format!("option {name:?} is unknown, repeated, or has no value"));
                }
            }
        }
        if let (Some(after), Some(before)) = (valid_after, valid_before)
            && after >= before
        {
            return Err("valid-after does not lie before valid-before".into());
        }
        (second, rest) = word(rest)?;
    }
    // What follows the key is a comment.
    let (data, _) = word(rest)?;
    if data.is_empty() {
        return Err("no key: expected principals, options, key type and key".into());
    }
    let key =
        PublicKey::from_openssh(&format!("{second} {data}")).map_err(|e| format!("the key does not parse ({e})"))?;
    match key.key_data() {
        KeyData::Rsa(rsa) if rsa.n.as_positive_bytes().map_or(0, <[u8]>::len) * 8 < RSA_BITS => {
            return Err(format!("the RSA key is shorter than {RSA_BITS} bits: use a longer one, or Ed25519"));
        }
        KeyData::Rsa(_)
        | KeyData::Ecdsa(_)
        | KeyData::Ed25519(_)
        | KeyData::SkEd25519(_)
        | KeyData::SkEcdsaSha2NistP256(_) => {}
        _ => {
            return Err("keys of this type do not count: use Ed25519, ECDSA, RSA or a security key".into());
        }
    }
    Ok(Entry { principals, namespaces, valid_after, valid_before, key })
}

/// The next field: up to white space outside double quotes.
fn word(text: &str) -> Result<(String, &str), String> {
    let text = text.trim_start_matches([' ', '\t']);
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Ok((text[..at].to_owned(), &text[at..])),
            _ => {}
        }
    }
    if quoted {
        return Err("a double quote is not closed".into());
    }
    Ok((text.to_owned(), ""))
}

/// Comma-separated options; commas inside quotes belong to the value.
fn options(text: &str) -> Result<Vec<String>, String> {
    let mut found = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                found.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(last) = found.last_mut() {
            last.push(c);
        }
    }
    if found.iter().any(String::is_empty) { Err("an option is empty".into()) } else { Ok(found) }
}

fn unquote(value: &str) -> Result<String, String> {
    let inner = match value.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').ok_or("a double quote is not closed")?,
        None => value,
    };
    Ok(inner.replace("\\\"", "\""))
}

fn list(text: &str) -> Result<Vec<String>, String> {
    let items: Vec<String> = unquote(text)?.split(',').map(str::to_owned).collect();
    if items.iter().any(|item| item.is_empty() || item == "!") {
        Err("a list has an empty item".into())
    } else {
        Ok(items)
    }
}

fn is_key_type(word: &str) -> bool {
    word.starts_with("ssh-")
        || word.starts_with("ecdsa-")
        || word.starts_with("sk-ssh-")
        || word.starts_with("sk-ecdsa-")
        || word.starts_with("rsa-")
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`, with `Z` for UTC. Without `Z` ssh-keygen takes
/// the machine's time zone; a permission must not depend on that, so `Z` is required here.
fn time(text: &str) -> Result<Timestamp, String> {
    let fault = || format!("{text:?} is not a time: write YYYYMMDD[HHMM[SS]]Z");
    let digits = text
        .strip_suffix(['Z', 'z'])
        .ok_or_else(|| format!("{text:?} has no Z: times must be UTC (YYYYMMDD[HHMM[SS]]Z)"))?;
    if !digits.bytes().all(|b| b.is_ascii_digit()) || !matches!(digits.len(), 8 | 12 | 14) {
        return Err(fault());
    }
    let number =
        |at: usize, len: usize| digits.get(at..at + len).map_or(Ok(0), |part| part.parse::<i16>().map_err(|_| fault()));
    let small = |at: usize| number(at, 2).and_then(|n| i8::try_from(n).map_err(|_| fault()));
    let civil = DateTime::new(number(0, 4)?, small(4)?, small(6)?, small(8)?, small(10)?, small(12)?, 0)
        .map_err(|_| fault())?;
    civil.to_zoned_datetime(TimeZone::UTC).map(|zoned| zoned.timestamp()).map_err(|_| fault())
}

/// ssh_config(5), PATTERNS: a list matches when a pattern matches and no negated one does.
fn matches_list(patterns: &[String], text: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(negated) if glob(negated.as_bytes(), text.as_bytes()) => return false,
            Some(_) => {}
            None => found |= glob(pattern.as_bytes(), text.as_bytes()),
        }
    }
    found
}

/// `*` any run, `?` one character; linear in time but for one point of return.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut back = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((after, at)) => {
                    p = after;
                    t = at + 1;
                    back = Some((after, at + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}
