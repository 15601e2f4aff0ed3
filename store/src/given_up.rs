//! Entries given up: a store that was restored from an older backup goes on behind a newer head of
//! its log, and two persons signed that they accept it. The head that is given up, the paper and its
//! signatures lie in `given-up/` in clear, bound by an entry, so that anyone can judge them.

use data_encoding::HEXLOWER;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use vigie_config::restoration::{Acceptance, SignedAcceptance};
use vigie_config::signers::AllowedSigners;
use vigie_log::checkpoint::{Checkpoint, Verifier};

use crate::disk::Disk;
use crate::entry::Entry;
use crate::error::{StoreError, Trying};
use crate::files::{Layout, new_folder, read_small, replace};
use crate::kind::Kind;
use crate::log::Hash;

/// Name of the digest of the head that is given up.
const HEAD: &str = "given-up";
/// Name of the digest of the paper.
const PAPER: &str = "paper";
/// Names of the digests of its signatures begin so.
const SIGNATURE: &str = "signature-";
/// Most signatures that one paper brings.
const SIGNATURES: usize = 9;

/// What the log says of entries that it lost, and who answers for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// The entry that says so.
    pub entry: u64,
    /// Entries that the head covered which was given up.
    pub size: u64,
    /// Its root.
    pub root: Hash,
    /// Entries that the log went on from: those from here to the one before `size` are missing.
    pub goes_on_from: u64,
    /// Id of the paper.
    pub paper: String,
    /// SHA-256 of it.
    pub paper_sha256: [u8; 32],
    /// Why.
    pub reason: String,
    /// Who signed it.
    pub signed_by: Vec<String>,
    /// When it was issued.
    pub issued: Timestamp,
}

impl GivenUp {
    /// A head of this size speaks of entries that were given up.
    pub fn covers(&self, size: u64) -> bool {
        self.goes_on_from < size && size <= self.size
    }
}

impl std::fmt::Display for GivenUp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { entry, size, goes_on_from, paper, reason, signed_by, issued, .. } = self;
        let last = size.saturating_sub(1);
        let which =
            if *goes_on_from == last { format!("entry {last}") } else { format!("entries {goes_on_from} to {last}") };
        write!(
            f,
            "{which} of an earlier history are missing, which {} accepted on {issued} (paper {paper}, entry {entry}): {reason}",
            signed_by.join(" and ")
        )
    }
}

/// A paper that comes in, with the head that it gives up.
pub(crate) struct Incoming<'a> {
    /// The signed note of that head.
    pub head: &'a str,
    pub document: &'a [u8],
    pub signatures: &'a [Vec<u8>],
}

/// Reads what comes in and holds it against the log, which has `signed` entries and these roots: two
/// persons signed for this very head, the log lacks it, and went on from where the paper says.
///
/// # Errors
/// [`StoreError::NotTaken`], which says why.
pub(crate) fn check(
    incoming: &Incoming<'_>,
    signers: &[u8],
    log: &Verifier,
    now: Timestamp,
    signed: u64,
    root_at: impl Fn(u64) -> Result<Hash, StoreError>,
) -> Result<Acceptance, StoreError> {
    let not_taken = |what: String| StoreError::NotTaken { what };
    if incoming.signatures.len() > SIGNATURES {
        return Err(not_taken(format!("a paper with more than {SIGNATURES} signatures")));
    }
    let signers = AllowedSigners::parse(signers).map_err(|e| not_taken(format!("the store's allowed signers: {e}")))?;
    let paper = SignedAcceptance::new(incoming.document.to_vec(), incoming.signatures.to_vec())
        .verify(&signers, now)
        .map_err(|e| not_taken(e.to_string()))?;
    let head = Checkpoint::open(incoming.head, log).map_err(|e| not_taken(format!("the head to give up: {e}")))?;
    names(&paper, &head, log).map_err(not_taken)?;
    if head.size <= signed && root_at(head.size)? == head.root {
        return Err(not_taken(format!("the log holds the {} entries of that head: nothing is missing", head.size)));
    }
    let from = &paper.goes_on_from;
    if from.size > signed || root_at(from.size)? != from.root {
        return Err(not_taken(format!("this log does not go on from the {} entries that the paper names", from.size)));
    }
    Ok(paper)
}

/// The paper is about this log and this very head.
fn names(paper: &Acceptance, head: &Checkpoint, log: &Verifier) -> Result<(), String> {
    if paper.origin != log.name() {
        return Err(format!("the paper is about another log, {}; this one is {}", paper.origin, log.name()));
    }
    if (paper.given_up.size, paper.given_up.root) != (head.size, head.root) {
        return Err(format!(
            "the paper names another head ({} entries, root {}) than the one to give up ({} entries, root {})",
            paper.given_up.size,
            HEXLOWER.encode(&paper.given_up.root),
            head.size,
            HEXLOWER.encode(&head.root)
        ));
    }
    Ok(())
}

/// Puts the files into `given-up/`, under the names that their content gives them; gives the digests
/// that the entry binds. *A stop before the entry leaves files that no entry names, which count for
/// nothing.*
pub(crate) fn keep(layout: &Layout, incoming: &Incoming<'_>, disk: &dyn Disk) -> Result<Digests, StoreError> {
    let folder = layout.given_up();
    if !folder.is_dir() {
        new_folder(&folder)?;
        disk.sync_folder(&layout.dir).trying(|| format!("creating {}", folder.display()))?;
    }
    let signatures = (1..).zip(incoming.signatures).map(|(n, bytes)| (format!("{SIGNATURE}{n}"), &bytes[..], "sig"));
    let files =
        [(HEAD.to_owned(), incoming.head.as_bytes(), "checkpoint"), (PAPER.to_owned(), incoming.document, "toml")];
    let mut digests = Vec::new();
    for (name, bytes, ending) in files.into_iter().chain(signatures) {
        let digest: [u8; 32] = Sha256::digest(bytes).into();
        replace(&folder.join(format!("{}.{ending}", HEXLOWER.encode(&digest))), bytes, disk)?;
        digests.push((name, digest));
    }
    Ok(digests)
}

/// Digests of public files, by their names.
type Digests = Vec<(String, [u8; 32])>;
/// What an entry comes to: what it gives up and by which paper, or why it does not count.
pub(crate) type Judged = Result<(GivenUp, Acceptance), String>;

/// What the entries say, in their order.
#[derive(Default)]
pub(crate) struct Said(Vec<(u64, Digests)>);

impl Said {
    /// Takes note of an entry.
    pub fn take(&mut self, entry: &Entry) {
        if entry.kind == Kind::RestoreAccepted {
            self.0.push((entry.sequence, entry.digests.clone()));
        }
    }

    /// Judges each: the files that it binds are there, the paper counts, and it names that head. What
    /// does not count comes as the entry and why.
    pub fn judge(&self, layout: &Layout, log: &Verifier, signers: &[u8]) -> Vec<(u64, Judged)> {
        self.0.iter().map(|(entry, digests)| (*entry, one(layout, log, signers, *entry, digests))).collect()
    }
}

fn one(layout: &Layout, log: &Verifier, signers: &[u8], entry: u64, digests: &[(String, [u8; 32])]) -> Judged {
    let file = |digest: &[u8; 32], ending: &str| -> Result<Vec<u8>, String> {
        let name = format!("{}.{ending}", HEXLOWER.encode(digest));
        let bytes = read_small(&layout.given_up().join(&name)).map_err(|_| format!("given-up/{name} is not there"))?;
        if Sha256::digest(&bytes).as_slice() == digest {
            Ok(bytes)
        } else {
            Err(format!("given-up/{name} is not what its name says"))
        }
    };
    let digest = |wanted: &str| {
        let found = digests.iter().find(|(name, _)| name == wanted);
        found.map(|(_, digest)| digest).ok_or_else(|| format!("it binds no {wanted}"))
    };
    let head = file(digest(HEAD)?, "checkpoint")?;
    let document = file(digest(PAPER)?, "toml")?;
    let signatures: Vec<Vec<u8>> = digests
        .iter()
        .filter(|(name, _)| name.starts_with(SIGNATURE))
        .map(|(_, digest)| file(digest, "sig"))
        .collect::<Result<_, _>>()?;
    let signers = AllowedSigners::parse(signers).map_err(|e| format!("the store's allowed signers: {e}"))?;
    let paper = SignedAcceptance::new(document, signatures).verify_at_any_time(&signers).map_err(|e| e.to_string())?;
    let text = String::from_utf8(head).map_err(|_| "the head that it gives up is no text".to_owned())?;
    let head = Checkpoint::open(&text, log).map_err(|e| format!("the head that it gives up: {e}"))?;
    names(&paper, &head, log)?;
    if paper.goes_on_from.size > entry {
        return Err(format!("the log had no {} entries to go on from", paper.goes_on_from.size));
    }
    let given_up = GivenUp {
        entry,
        size: head.size,
        root: head.root,
        goes_on_from: paper.goes_on_from.size,
        paper: paper.id.clone(),
        paper_sha256: *digest(PAPER)?,
        reason: paper.reason.clone(),
        signed_by: paper.signed_by.clone(),
        issued: paper.issued,
    };
    Ok((given_up, paper))
}

/// Sizes that papers in `given-up/` speak of, whether they count or not: a check of the log must know
/// its roots there.
pub(crate) fn sizes(layout: &Layout) -> Vec<u64> {
    let Ok(files) = std::fs::read_dir(layout.given_up()) else { return Vec::new() };
    let papers = files.flatten().filter(|file| file.path().extension().is_some_and(|ending| ending == "toml"));
    let papers = papers.filter_map(|file| SignedAcceptance::heads(&read_small(&file.path()).ok()?));
    papers.flat_map(|(given_up, goes_on_from)| [given_up.size, goes_on_from.size]).collect()
}
