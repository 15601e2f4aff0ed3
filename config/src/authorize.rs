//! The one door to the network: mandate + profile + agent + address + action + time give an
//! [`Authorization`] or a typed [`Refusal`]. An authorization has no public constructor, is not
//! `Clone` and not serialisable: one check permits one exchange.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ssh_key::PublicKey;

use crate::Sha256Digest;
pub use crate::action::{Action, Element};
use crate::limits::Limits;
use crate::mandate::{Agent, Information, Mandate};
pub use crate::media::MediaPolicy;
use crate::profile::Profile;
use crate::refusal::Refusal;
use crate::revocation::Revocations;
use crate::target::{Scheme, Target, TargetUrl, TlsPolicy};

/// How the question came up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Via {
    /// An entry point, or an address that the agent gave.
    Entry,
    /// A link on a page.
    Link,
    /// A redirect.
    Redirect {
        /// The redirecting response came over TLS or from an onion service.
        from_secure: bool,
    },
    /// An element of a page.
    Requisite {
        /// The page came over TLS or from an onion service.
        from_secure: bool,
    },
}

/// The question.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Absolute address, as found.
    pub url: &'a str,
    /// Action.
    pub action: Action,
    /// What it is for.
    pub element: Element,
    /// Links from an entry point.
    pub depth: u32,
    /// How it came up.
    pub via: Via,
}

/// What was asked of the network lately.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Requests of the last 60 minutes.
    pub requests_last_hour: u64,
    /// Bytes received since midnight UTC.
    pub bytes_today: u64,
}

/// A mandate bound to one profile and one agent. `Debug` hides the pseudonym.
#[derive(Clone)]
pub struct Powers {
    mandate: Mandate,
    profile: String,
    agent: usize,
}

impl std::fmt::Debug for Powers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Powers({:?}, agent {})", self.mandate, self.agent_code())
    }
}

/// Permission for one exchange. Only [`Powers::authorize`] makes one, and none can be copied:
///
/// ```compile_fail,E0599
/// fn twice(one: vigie_config::authorize::Authorization) -> vigie_config::authorize::Authorization {
///     one.clone()
/// }
/// ```
///
/// ```compile_fail,E0451
/// fn other(one: vigie_config::authorize::Authorization) -> vigie_config::authorize::Authorization {
///     vigie_config::authorize::Authorization { action: vigie_config::authorize::Action::Contact, ..one }
/// }
/// ```
pub struct Authorization {
    agent: String,
    profile: String,
    target: String,
    url: TargetUrl,
    element: Element,
    action: Action,
    media: MediaPolicy,
    tls: TlsPolicy,
    two_exits: bool,
    mandate: Sha256Digest,
    granted_at: Timestamp,
    _private: (),
}

impl std::fmt::Debug for Authorization {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Authorization({} on {}, {})", self.action, self.target, self.url)
    }
}

/// The agent with this key, who may act for the mandate at this time. An act needs no more: what was
/// captured may be read after the mandate has ended.
///
/// # Errors
/// [`Refusal::AgentUnknown`], [`Refusal::NotHabilitated`].
pub fn agent<'m>(mandate: &'m Mandate, key: &PublicKey, now: Timestamp) -> Result<&'m Agent, Refusal> {
    let found = mandate.agents.iter().find(|agent| agent.key.key_data() == key.key_data());
    let agent = found.ok_or_else(|| Refusal::AgentUnknown { mandate: mandate.id.clone() })?;
    habilitated(agent, now).map(|()| agent)
}

/// The first to the last day of the habilitation, in UTC.
fn habilitated(agent: &Agent, now: Timestamp) -> Result<(), Refusal> {
    let today = now.to_zoned_datetime(TimeZone::UTC).date();
    if today < agent.habilitated_from || today > agent.habilitated_until {
        return Err(Refusal::NotHabilitated {
            code: agent.code.clone(),
            from: agent.habilitated_from.to_string(),
            until: agent.habilitated_until.to_string(),
        });
    }
    Ok(())
}

impl Powers {
    /// Binds a mandate: it names the agent's key and the pseudonym, and the agent is habilitated.
    pub fn bind(mandate: Mandate, profile: &Profile, agent_key: &PublicKey, now: Timestamp) -> Result<Self, Refusal> {
        let agent = mandate
            .agents
            .iter()
            .position(|agent| agent.key.key_data() == agent_key.key_data())
            .ok_or_else(|| Refusal::AgentUnknown { mandate: mandate.id.clone() })?;
        if !mandate.pseudonyms.iter().any(|name| name == profile.name()) {
            return Err(Refusal::ProfileUnknown { mandate: mandate.id.clone() });
        }
        let powers = Self { mandate, profile: profile.name().to_owned(), agent };
        powers.standing(now)?;
        Ok(powers)
    }

    /// What holds for every exchange: validity, non-opposition, habilitation.
    fn standing(&self, now: Timestamp) -> Result<(), Refusal> {
        let mandate = &self.mandate;
        let today = now.to_zoned_datetime(TimeZone::UTC).date();
        if now < mandate.validity.from {
            return Err(Refusal::NotYetValid { mandate: mandate.id.clone(), from: mandate.validity.from.to_string() });
        }
        if now > mandate.validity.until {
            return Err(Refusal::Expired { mandate: mandate.id.clone(), until: mandate.validity.until.to_string() });
        }
        if let Some(from) = mandate.information.as_ref().map(Information::work_from).filter(|from| today < *from) {
            return Err(Refusal::BeforeNonOpposition { mandate: mandate.id.clone(), from: from.to_string() });
        }
        habilitated(&mandate.agents[self.agent], now)
    }

    /// What holds for every exchange, whatever it asks: validity, non-opposition, habilitation, no
    /// revocation, the hours of work.
    pub fn check(&self, revocations: &Revocations, now: Timestamp) -> Result<(), Refusal> {
        self.standing(now)?;
        revocations.check(&self.mandate, now)?;
        match self.mandate.limits.hours().filter(|hours| !hours.contain(now)) {
            Some(hours) => Err(Refusal::OutsideHours { hours: hours.to_string() }),
            None => Ok(()),
        }
    }

    /// Permits one exchange or says why not. Every check is made anew each time: time passes,
    /// lists arrive, limits fill.
    pub fn authorize(
        &self,
        ask: &Ask<'_>,
        revocations: &Revocations,
        usage: &Usage,
        now: Timestamp,
    ) -> Result<Authorization, Refusal> {
        self.check(revocations, now)?;
        let limits = &self.mandate.limits;
        if !self.mandate.actions.contains(&ask.action) {
            return Err(Refusal::Action(ask.action));
        }
        let url = TargetUrl::parse(ask.url)?;
        let target = self.target_for(&url)?;
        if let Via::Redirect { from_secure: true } | Via::Requisite { from_secure: true } = ask.via
            && !url.is_secure()
        {
            return Err(Refusal::Downgrade);
        }
        if ask.depth > limits.depth {
            return Err(Refusal::Depth { depth: ask.depth, limit: limits.depth });
        }
        let media = self.media_policy(ask.element);
        if media == MediaPolicy::Withhold {
            return Err(Refusal::Withheld(ask.element));
        }
        if usage.bytes_today >= limits.bytes_per_day {
            return Err(Refusal::BytesPerDay { limit: limits.bytes_per_day });
        }
        if usage.requests_last_hour >= limits.requests_per_hour {
            return Err(Refusal::RequestsPerHour { limit: limits.requests_per_hour });
        }
        Ok(Authorization {
            agent: self.agent_code().to_owned(),
            profile: self.profile.clone(),
            target: target.name.clone(),
            tls: target.tls,
            two_exits: target.two_exits,
            element: ask.element,
            action: ask.action,
            media,
            mandate: self.mandate.digest,
            granted_at: now,
            url,
            _private: (),
        })
    }

    fn target_for(&self, url: &TargetUrl) -> Result<&Target, Refusal> {
        let Some(target) = self.mandate.targets.iter().find(|target| target.same_origin(url)) else {
            // A named host at another scheme is a downgrade or an upgrade that the mandate did
            // not foresee; either way it is no target.
            return Err(Refusal::NotATarget { address: url.to_string() });
        };
        if !target.permits_path(url) {
            return Err(Refusal::PathExcluded { target: target.name.clone() });
        }
        Ok(target)
    }

    /// The target in whose scope the address lies, within the depth. A help for choosing what to
    /// visit; it permits nothing.
    pub fn target_in_scope(&self, url: &TargetUrl, depth: u32) -> Option<&str> {
        let target = self.target_for(url).ok()?;
        (depth <= self.mandate.limits.depth).then_some(target.name.as_str())
    }

    /// What the mandate lets a capture do with a class of element.
    pub fn media_policy(&self, element: Element) -> MediaPolicy {
        let media = &self.mandate.media;
        match element {
            Element::Page | Element::Frame | Element::Stylesheet | Element::Font => MediaPolicy::Capture,
            Element::ListingImage => media.listing_images,
            Element::OtherImage => media.other_images,
            Element::Media => media.video,
            Element::Script => media.scripts,
        }
    }

    /// Labels of the targets.
    pub fn target_names(&self) -> Vec<String> {
        self.mandate.targets.iter().map(|target| target.name.clone()).collect()
    }

    /// Entry points of a target, as full addresses.
    pub fn entry_urls(&self, target: &str) -> Vec<String> {
        let named = self.mandate.targets.iter().filter(|t| t.name == target);
        named.flat_map(|t| &t.entry).map(|url| url.reveal().to_owned()).collect()
    }

    /// The mandate.
    pub fn mandate(&self) -> &Mandate {
        &self.mandate
    }
    /// Its limits.
    pub fn limits(&self) -> &Limits {
        &self.mandate.limits
    }
    /// Code of the agent.
    pub fn agent_code(&self) -> &str {
        &self.mandate.agents[self.agent].code
    }
    /// The pseudonym.
    pub fn profile_name(&self) -> &str {
        &self.profile
    }
}

impl Authorization {
    /// Label of the target.
    pub fn target_name(&self) -> &str {
        &self.target
    }
    /// The address.
    pub fn url(&self) -> &TargetUrl {
        &self.url
    }
    /// Host, in full.
    pub fn host(&self) -> &str {
        self.url.host().reveal()
    }
    /// Port.
    pub fn port(&self) -> u16 {
        self.url.port()
    }
    /// Scheme.
    pub fn scheme(&self) -> Scheme {
        self.url.scheme()
    }
    /// What to do with an invalid certificate.
    pub fn tls_policy(&self) -> TlsPolicy {
        self.tls
    }
    /// The same is to be asked for once more through another exit, with a permission of its own.
    pub fn two_exits(&self) -> bool {
        self.two_exits
    }
    /// Path and query.
    pub fn path(&self) -> &str {
        self.url.path()
    }
    /// What it is for.
    pub fn element(&self) -> Element {
        self.element
    }
    /// Action.
    pub fn action(&self) -> Action {
        self.action
    }
    /// What may be kept: capture or hash-only.
    pub fn media(&self) -> MediaPolicy {
        self.media
    }
    /// Code of the agent.
    pub fn agent_code(&self) -> &str {
        &self.agent
    }
    /// The pseudonym.
    pub fn profile_name(&self) -> &str {
        &self.profile
    }
    /// Digest of the mandate.
    pub fn mandate_digest(&self) -> Sha256Digest {
        self.mandate
    }
    /// When it was given.
    pub fn granted_at(&self) -> Timestamp {
        self.granted_at
    }
}
