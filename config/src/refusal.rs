//! Why something is not permitted: a typed reason, one redacted line, one stable code.

use crate::action::{Action, Element};
use crate::target::UrlRefusal;

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The mandate has not begun.
    #[error("the mandate {mandate} is not valid before {from}: wait, or ask the authority")]
    NotYetValid {
        /// Mandate id.
        mandate: String,
        /// First moment.
        from: String,
    },
    /// The mandate has ended.
    #[error("the mandate {mandate} ended at {until}: ask the authority for one that renews it")]
    Expired {
        /// Mandate id.
        mandate: String,
        /// Last moment.
        until: String,
    },
    /// Revoked, or opposed by the prosecutor.
    #[error("the mandate {mandate} was stopped ({kind}) from {from}: {reason}; end the work and ask the authority")]
    Revoked {
        /// Mandate id.
        mandate: String,
        /// `revocation` or `opposition`.
        kind: String,
        /// From when.
        from: String,
        /// As the list says.
        reason: String,
    },
    /// No revocation list, or one older than the mandate allows.
    #[error(
        "no revocation list of the last {days} days is in the store: take in a fresh one with vigie mandate revoke FILE"
    )]
    RevocationsStale {
        /// Most days that a list may be old.
        days: u32,
    },
    /// The prosecutor's non-opposition runs from a later date.
    #[error("the prosecutor's non-opposition to mandate {mandate} runs from {from}: wait until then")]
    BeforeNonOpposition {
        /// Mandate id.
        mandate: String,
        /// Date.
        from: String,
    },
    /// The agent is not in the mandate.
    #[error("the mandate {mandate} names no agent with this SSH key: use the key that it names")]
    AgentUnknown {
        /// Mandate id.
        mandate: String,
    },
    /// The habilitation has lapsed or not begun.
    #[error("agent {code} is not habilitated at this date ({from} to {until}): ask the service")]
    NotHabilitated {
        /// Agent code.
        code: String,
        /// First day.
        from: String,
        /// Last day.
        until: String,
    },
    /// The pseudonym is not in the mandate.
    #[error("the mandate {mandate} does not name this pseudonym: use one that it names")]
    ProfileUnknown {
        /// Mandate id.
        mandate: String,
    },
    /// The action is not in the mandate.
    #[error("the mandate does not permit the action {0}: ask the authority for one that does")]
    Action(Action),
    /// Outside the hours.
    #[error("the mandate permits work from {hours} only: go on then")]
    OutsideHours {
        /// Hours and zone.
        hours: String,
    },
    /// The hour's requests are used up.
    #[error("the mandate's limit of {limit} requests per hour is reached: wait")]
    RequestsPerHour {
        /// Limit.
        limit: u64,
    },
    /// The day's bytes are used up.
    #[error("the mandate's limit of {limit} bytes per day is reached: go on tomorrow (UTC)")]
    BytesPerDay {
        /// Limit.
        limit: u64,
    },
    /// The address is not one that Vigie asks.
    #[error("{0}")]
    Address(#[from] UrlRefusal),
    /// No target of the mandate has this scheme, host and port.
    #[error("{address} is no target of the mandate: ask the authority to name it")]
    NotATarget {
        /// Redacted.
        address: String,
    },
    /// The path is outside the target's scope.
    #[error(
        "the path lies outside what the mandate includes for target {target}: leave it, or ask the authority to include it"
    )]
    PathExcluded {
        /// Label.
        target: String,
    },
    /// From TLS to plain HTTP.
    #[error(
        "the address leads from HTTPS or an onion service to plain HTTP, where anyone could alter the page: leave it"
    )]
    Downgrade,
    /// Too many links from an entry point.
    #[error(
        "the page lies {depth} links from an entry point and the mandate permits {limit}: leave it, or ask the authority for a greater depth"
    )]
    Depth {
        /// Links.
        depth: u32,
        /// Limit.
        limit: u32,
    },
    /// The media policy withholds this class.
    #[error(
        "the mandate's media policy withholds this class of element ({0}): leave it, or ask the authority to permit it"
    )]
    Withheld(Element),
}

impl Refusal {
    /// Stable code for programs and statistics.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::Expired { .. } => "expired",
            Self::Revoked { .. } => "revoked",
            Self::RevocationsStale { .. } => "revocations-stale",
            Self::BeforeNonOpposition { .. } => "before-non-opposition",
            Self::AgentUnknown { .. } => "agent-unknown",
            Self::NotHabilitated { .. } => "not-habilitated",
            Self::ProfileUnknown { .. } => "profile-unknown",
            Self::Action(_) => "action",
            Self::OutsideHours { .. } => "outside-hours",
            Self::RequestsPerHour { .. } => "requests-per-hour",
            Self::BytesPerDay { .. } => "bytes-per-day",
            Self::Address(refusal) => refusal.code(),
            Self::NotATarget { .. } => "not-a-target",
            Self::PathExcluded { .. } => "path-excluded",
            Self::Downgrade => "downgrade",
            Self::Depth { .. } => "depth",
            Self::Withheld(_) => "withheld",
        }
    }

    /// Nothing else can be permitted in this session either.
    pub fn is_session_fatal(&self) -> bool {
        matches!(
            self,
            Self::NotYetValid { .. }
                | Self::Expired { .. }
                | Self::Revoked { .. }
                | Self::RevocationsStale { .. }
                | Self::BeforeNonOpposition { .. }
                | Self::AgentUnknown { .. }
                | Self::NotHabilitated { .. }
                | Self::ProfileUnknown { .. }
                | Self::OutsideHours { .. }
                | Self::BytesPerDay { .. }
        )
    }
}
