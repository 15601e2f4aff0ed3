//! Kinds of log entries.

/// What an entry records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// The store was made; entry 0, written by the store.
    Init,
    /// A session began; signed by the agent.
    SessionOpen,
    /// A session ended.
    SessionClose,
    /// A session is alive.
    Heartbeat,
    /// A signed mandate was taken in.
    MandateImported,
    /// A signed list of revocations was taken in.
    MandateRevoked,
    /// A profile was made for a case.
    ProfileCreated,
    /// A session (cookies) was brought into a profile.
    ProfileSession,
    /// A sealed capture.
    Exhibit,
    /// Something was not permitted.
    Refusal,
    /// Something permitted did not succeed.
    Failure,
    /// An exhibit was taken out or opened; signed by the agent.
    Read,
    /// The index was searched.
    Search,
    /// Exhibits left in an export.
    Export,
    /// Findings were shared with a partner.
    Share,
    /// A witness was trusted, or its cosignature taken in; signed by the agent.
    Witness,
    /// A time stamp on a checkpoint was taken in, or a root fixed for them; written by the store.
    Timestamp,
    /// Copies of an exhibit were destroyed.
    Erasure,
    /// The catalogue was rebuilt from the segments; written by the store.
    Rebuild,
    /// The store was recovered after a stop in mid-write; written by the store.
    Recovery,
    /// The workstation key was unlocked.
    Unlock,
    /// The workstation key was forgotten.
    Lock,
    /// A paper that forbids the end of a case's evidence, or ends such a ban; signed by the agent.
    Hold,
    /// An exhibit was compared with another capture of the same; signed by the agent.
    Corroboration,
    /// The log ends in favour of another, or goes on from one; signed by the agent.
    Handover,
    /// The wall clock was set since the entry before; written by the store.
    ClockJump,
    /// Two persons accepted that a restored store goes on behind a newer head; signed by the agent.
    RestoreAccepted,
    /// A key of the store or of a profile got a new passphrase; signed by the agent where one acts.
    Passphrase,
    /// A signed descriptor of an onion service was kept beside the exhibits of its session, or why not.
    Descriptor,
    /// A client key of a restricted service was given to a profile, or taken away; signed by the agent.
    ProfileKey,
    /// What was seen in exhibits, or that it counts no more; signed by the agent.
    Finding,
    /// A partner's signed answer to a share; signed by the agent who took it in.
    Annotation,
}

/// Names as they stand in entries. The position is the number in the catalogue: only append.
const NAMES: [(Kind, &str); 32] = [
    (Kind::Init, "init"),
    (Kind::SessionOpen, "session-open"),
    (Kind::SessionClose, "session-close"),
    (Kind::Heartbeat, "heartbeat"),
    (Kind::MandateImported, "mandate-imported"),
    (Kind::MandateRevoked, "mandate-revoked"),
    (Kind::ProfileCreated, "profile-created"),
    (Kind::ProfileSession, "profile-session"),
    (Kind::Exhibit, "exhibit"),
    (Kind::Refusal, "refusal"),
    (Kind::Failure, "failure"),
    (Kind::Read, "read"),
    (Kind::Search, "search"),
    (Kind::Export, "export"),
    (Kind::Share, "share"),
    (Kind::Witness, "witness"),
    (Kind::Timestamp, "timestamp"),
    (Kind::Erasure, "erasure"),
    (Kind::Rebuild, "rebuild"),
    (Kind::Recovery, "recovery"),
    (Kind::Unlock, "unlock"),
    (Kind::Lock, "lock"),
    (Kind::Hold, "hold"),
    (Kind::Corroboration, "corroboration"),
    (Kind::Handover, "handover"),
    (Kind::ClockJump, "clock-jump"),
    (Kind::RestoreAccepted, "restore-accepted"),
    (Kind::Passphrase, "passphrase"),
    (Kind::Descriptor, "descriptor"),
    (Kind::ProfileKey, "profile-key"),
    (Kind::Finding, "finding"),
    (Kind::Annotation, "annotation"),
];

impl Kind {
    /// Every kind, in the order of this page.
    pub fn all() -> impl Iterator<Item = Self> {
        NAMES.iter().map(|(kind, _)| *kind)
    }

    /// Name in log entries, for example `session-open`.
    pub fn name(self) -> &'static str {
        NAMES[usize::from(self.number())].1
    }

    /// The kind of a name.
    pub fn from_name(name: &str) -> Option<Self> {
        NAMES.iter().find(|(_, known)| *known == name).map(|(kind, _)| *kind)
    }

    /// Only the store itself writes this kind: it binds files of the store by their digests.
    pub(crate) fn is_internal(self) -> bool {
        matches!(
            self,
            Self::Init
                | Self::Witness
                | Self::Rebuild
                | Self::Recovery
                | Self::Timestamp
                | Self::ClockJump
                | Self::RestoreAccepted
                | Self::Passphrase
        )
    }

    /// An act of a person: without that agent's signature it counts for nothing.
    pub fn is_signed_act(self) -> bool {
        matches!(
            self,
            Self::SessionOpen
                | Self::ProfileSession
                | Self::Read
                | Self::Search
                | Self::Export
                | Self::Share
                | Self::Witness
                | Self::Erasure
                | Self::Hold
                | Self::Corroboration
                | Self::Handover
                | Self::RestoreAccepted
                | Self::ProfileKey
                | Self::Finding
                | Self::Annotation
        )
    }

    /// Number in the catalogue.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        for (number, (kind, name)) in NAMES.iter().enumerate() {
            assert_eq!(usize::from(kind.number()), number);
            assert_eq!(kind.name(), *name);
            assert_eq!(Kind::from_name(name), Some(*kind));
        }
        assert_eq!(Kind::from_name("Exhibit"), None);
    }
}
