//! What a caller hands in to be logged, and what it gets back.

use crate::entry::{COMMITMENTS, is_name};
use crate::error::StoreError;
use crate::frame::{PART_BYTES, Sum};
use crate::keys::{ProfileKey, random};
use crate::kind::Kind;
use crate::local::{Inside, Opening, PrivatePart};
use crate::recipient::Recipient;
use crate::seal::{SealedExhibit, seal_bytes};
use crate::state::StateOp;

/// Name of the commitment that the store itself makes to an exhibit's plaintext.
pub(crate) const PLAINTEXT: &str = "plaintext";
/// Commitments whose openings the workstation key may know as well: their values stand in the
/// row anyway. All others open for the case's recipients alone.
const LOCAL_OPENINGS: [&str; 4] = ["agent-signature", "agent-statement", "list", "mandate-id"];

/// An entry to append.
pub struct Draft {
    /// What it records; `Init`, `Rebuild` and `Recovery` are the store's own.
    pub kind: Kind,
    /// SHA-256 of the mandate's document.
    pub mandate: Option<[u8; 32]>,
    /// Id of the session.
    pub session: Option<[u8; 16]>,
    /// The sealed capture; present exactly when the kind is `Exhibit`.
    pub exhibit: Option<SealedExhibit>,
    /// Values that the entry commits to without showing them (at most 63).
    pub commitments: Vec<Commitment>,
    /// What only recipients may read.
    pub private: Option<Private>,
    /// What the workstation key may read: kept in the catalogue.
    pub row: Vec<u8>,
    /// A row for the profile's key alone.
    pub url_row: Option<(ProfileKey, Vec<u8>)>,
    /// Changes of run state, applied with the entry or not at all.
    pub state: Vec<StateOp>,
}

/// A value that an entry commits to: SHA-256(salt || value), the salt made by the store.
pub struct Commitment {
    /// 1 to 32 of `a-z`, `0-9`, `-`; not `plaintext`, which the store makes itself.
    pub name: &'static str,
    /// Any bytes.
    pub value: Vec<u8>,
}

/// What only recipients may read.
pub struct Private {
    /// The case's recipients.
    pub recipients: Vec<Recipient>,
    /// A JSON document.
    pub json: Vec<u8>,
}

/// The entry is durable: it survives kill, power loss and a full disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Place in the log, from 0.
    pub sequence: u64,
    /// Number of the exhibit, from 1.
    pub exhibit: Option<u64>,
    /// SHA-256 of the exhibit's age file.
    pub age_sha256: Option<[u8; 32]>,
    /// Size of the log whose signed head covers the entry.
    pub log_size: u64,
    /// Root of that size.
    pub root: [u8; 32],
}

/// A draft with everything done that the caller's thread can do.
pub(crate) struct Prepared {
    pub kind: Kind,
    pub mandate: Option<[u8; 32]>,
    pub session: Option<[u8; 16]>,
    pub exhibit: Option<SealedExhibit>,
    pub digests: Vec<(String, [u8; 32])>,
    pub commitments: Vec<(String, [u8; 32])>,
    pub private: Vec<u8>,
    pub private_sum: Sum,
    pub local_openings: Vec<Opening>,
    pub row: Vec<u8>,
    pub url_row: Option<(ProfileKey, Vec<u8>)>,
    pub state: Vec<StateOp>,
}

impl Prepared {
    /// Checks a draft, salts its commitments and seals its private part.
    pub fn new(draft: Draft) -> Result<Self, StoreError> {
        if draft.kind.is_internal() {
            return Err(StoreError::invalid(format!("entries of kind {} are made by the store alone", draft.kind)));
        }
        Self::internal(draft, Vec::new())
    }

    /// As [`Self::new`], for the store's own kinds too, with digests of public files.
    pub fn internal(draft: Draft, mut digests: Vec<(String, [u8; 32])>) -> Result<Self, StoreError> {
        if draft.exhibit.is_some() != (draft.kind == Kind::Exhibit) {
            return Err(StoreError::invalid("an entry of kind exhibit has an exhibit, any other has none"));
        }
        if let Some(fault) = draft.state.iter().find_map(StateOp::fault) {
            return Err(StoreError::invalid(fault));
        }
        let mut openings = Vec::with_capacity(draft.commitments.len() + 1);
        for commitment in draft.commitments {
            if !is_name(commitment.name) || commitment.name == PLAINTEXT {
                return Err(StoreError::invalid(format!("{:?} as the name of a commitment", commitment.name)));
            }
            openings.push(opening(commitment.name, commitment.value)?);
        }
        if let Some(exhibit) = &draft.exhibit {
            openings.push(opening(PLAINTEXT, exhibit.plaintext_sha256.to_vec())?);
        }
        openings.sort_by(|a, b| a.name.cmp(&b.name));
        if openings.windows(2).any(|pair| pair[0].name == pair[1].name) || openings.len() > COMMITMENTS {
            return Err(StoreError::invalid("two commitments of one name, or over 64"));
        }
        digests.sort();
        let commitments = openings.iter().map(|opening| (opening.name.clone(), opening.commitment())).collect();
        let inside = draft
            .exhibit
            .as_ref()
            .map(|exhibit| Inside { sha256: exhibit.plaintext_sha256.to_vec(), bytes: exhibit.plaintext_len });
        let (private, local_openings) = match draft.private {
            Some(private) => private_part(private, openings, inside)?,
            // Nobody else could ever open them.
            None => (Vec::new(), openings),
        };
        Ok(Self {
            kind: draft.kind,
            mandate: draft.mandate,
            session: draft.session,
            exhibit: draft.exhibit,
            digests,
            commitments,
            private_sum: Sum::of(&private),
            private,
            local_openings,
            row: draft.row,
            url_row: draft.url_row,
            state: draft.state,
        })
    }
}

fn opening(name: &str, value: Vec<u8>) -> Result<Opening, StoreError> {
    Ok(Opening { name: name.to_owned(), salt: random::<32>()?.to_vec(), value })
}

fn private_part(
    private: Private,
    openings: Vec<Opening>,
    exhibit: Option<Inside>,
) -> Result<(Vec<u8>, Vec<Opening>), StoreError> {
    let content = serde_json::from_slice(&private.json)
        .map_err(|e| StoreError::invalid(format!("a private part that is not JSON ({e})")))?;
    let part = PrivatePart { format: PrivatePart::FORMAT.into(), openings, exhibit, content };
    let plain = serde_json::to_vec(&part).map_err(|e| StoreError::invalid(format!("a private part ({e})")))?;
    let sealed = seal_bytes(&private.recipients, &plain)?;
    if sealed.len() > PART_BYTES as usize {
        return Err(StoreError::invalid("a private part over 16 MiB"));
    }
    let local = part.openings.into_iter().filter(|opening| LOCAL_OPENINGS.contains(&opening.name.as_str())).collect();
    Ok((sealed, local))
}
