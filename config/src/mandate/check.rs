//! The meaning of a mandate's fields; each complaint names its line.

use std::collections::HashSet;

use jiff::civil::Time;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use ssh_key::PublicKey;
use toml::Spanned;

use super::document::{AgentTable, Document, HoursTable, LimitsTable, TargetTable};
use super::recipients::recipients;
use super::values::{Checked, date, distinct, label, line, utc};
use super::{Agent, Information, Mandate};
use crate::Sha256Digest;
use crate::document::Source;
use crate::legal;
use crate::limits::{Hours, Limits};
use crate::target::{Host, PathPattern, Scheme, Target, TargetUrl, TlsPolicy, Validity};

const FORMAT: &str = "vigie-mandate/1";
/// Most exchanges at once that a mandate may allow.
const CONCURRENCY: u32 = 64;

/// Reads and checks a mandate's document.
pub fn mandate(bytes: &[u8]) -> Checked<Mandate> {
    let source = Source::new(bytes)?;
    let document: Document = source.read()?;
    if document.format.get_ref() != FORMAT {
        return Err(source.at(&document.format, format!("format must be {FORMAT:?}")));
    }
    for id in [&document.id, &document.case].into_iter().chain(&document.renews) {
        label(&source, id, "an id")?;
    }
    for text in [
        &document.title,
        &document.authority.name,
        &document.authority.principal,
        &document.authority.prosecutor_reference,
    ] {
        line(&source, text)?;
    }
    if document.renews.as_ref().is_some_and(|renews| renews.get_ref() == document.id.get_ref()) {
        return Err(source.at(&document.id, "a mandate cannot renew itself"));
    }
    let validity =
        Validity { from: utc(&source, &document.validity.from)?, until: utc(&source, &document.validity.until)? };
    if validity.until <= validity.from {
        return Err(source.at(&document.validity.until, "validity.until must lie after validity.from"));
    }
    let days = *document.validity.revocations_max_age_days.get_ref();
    if !(1..=366).contains(&days) {
        return Err(source.at(&document.validity.revocations_max_age_days, "revocations_max_age_days must be 1 to 366"));
    }
    let information = legal_basis(&source, &document)?;
    let keep_until = date(&source, &document.retention.keep_until)?;
    if keep_until < validity.until.to_zoned_datetime(TimeZone::UTC).date() {
        return Err(source.at(&document.retention.keep_until, "keep_until must not lie before the end of the mandate"));
    }
    for name in &document.pseudonyms.get_ref()[..] {
        line(&source, name)?;
    }
    for partner in document.sharing.partners.iter().chain(&document.sharing.producer) {
        line(&source, partner)?;
    }
    Ok(Mandate {
        document: bytes.to_vec(),
        digest: Sha256Digest::of(bytes),
        offences: distinct(&source, &document.offences, "offences")?,
        pseudonyms: distinct(&source, &document.pseudonyms, "pseudonyms")?,
        actions: distinct(&source, &document.actions, "actions")?,
        agents: agents(&source, &document.agents)?,
        targets: targets(&source, &document.targets)?,
        limits: limits(&source, &document.limits)?,
        recipients: recipients(&source, &document.recipients)?,
        media: document.media,
        id: document.id.into_inner(),
        case: document.case.into_inner(),
        title: document.title.into_inner(),
        renews: document.renews.map(Spanned::into_inner),
        legal_basis: document.legal_basis.into_inner(),
        authority: document.authority.name.into_inner(),
        principal: document.authority.principal.into_inner(),
        prosecutor_reference: document.authority.prosecutor_reference.into_inner(),
        information,
        validity,
        revocations_max_age_days: days,
        keep_until,
        two_person_release: document.release.two_persons,
        producer: document.sharing.producer.map(Spanned::into_inner),
        terms: crate::sharing::terms(&source, document.sharing.terms)?,
        sharing: document.sharing.partners.into_iter().map(Spanned::into_inner).collect(),
    })
}

/// What the legal basis can support and asks for.
fn legal_basis(source: &Source<'_>, document: &Document) -> Checked<Option<Information>> {
    let id = &document.legal_basis;
    let basis = legal::find(id.get_ref()).ok_or_else(|| {
        let known: Vec<&str> = legal::all().iter().map(|basis| basis.id.as_str()).collect();
        source.at(id, format!("no such legal basis in this build; known: {}", known.join(", ")))
    })?;
    for action in document.actions.get_ref() {
        if !basis.actions.contains(action.get_ref()) {
            return Err(source.at(action, format!("{} cannot support the action {}", basis.id, action.get_ref())));
        }
    }
    for offence in document.offences.get_ref() {
        if !basis.offence.iter().any(|known| known.id == *offence.get_ref()) {
            return Err(source.at(offence, format!("{} does not serve the offence {:?}", basis.id, offence.get_ref())));
        }
    }
    let Some(information) = &document.information else {
        return if basis.information_required || basis.non_opposition_required {
            Err(source
                .at(id, format!("{} asks for proof that the prosecutor was informed: add [information]", basis.id)))
        } else {
            Ok(None)
        };
    };
    let digest = data_encoding::HEXLOWER.decode(information.document_sha256.get_ref().as_bytes()).ok();
    let digest: [u8; 32] = digest
        .and_then(|digest| digest.try_into().ok())
        .ok_or_else(|| source.at(&information.document_sha256, "document_sha256 must be 64 lower-case hex digits"))?;
    let informed = date(source, &information.date)?;
    let non_opposition = match &information.non_opposition {
        None if basis.non_opposition_required => {
            return Err(source.at(
                &information.date,
                format!("{} asks that the prosecutor does not oppose: add non_opposition", basis.id),
            ));
        }
        None => None,
        Some(value) => {
            let from = date(source, value)?;
            if from < informed {
                return Err(source.at(value, "non_opposition must not lie before the information"));
            }
            Some(from)
        }
    };
    Ok(Some(Information { document: Sha256Digest(digest), date: informed, non_opposition }))
}

fn agents(source: &Source<'_>, tables: &Spanned<Vec<AgentTable>>) -> Checked<Vec<Agent>> {
    if tables.get_ref().is_empty() {
        return Err(source.at(tables, "the mandate names no agent"));
    }
    let mut codes = HashSet::new();
    let mut found: Vec<Agent> = Vec::new();
    for table in tables.get_ref() {
        label(source, &table.code, "an agent code")?;
        if !codes.insert(table.code.get_ref().clone()) {
            return Err(source.at(&table.code, "two agents have this code"));
        }
        let key = PublicKey::from_openssh(table.key.get_ref())
            .map_err(|e| source.at(&table.key, format!("key is no OpenSSH public key ({e})")))?;
        if found.iter().any(|agent| agent.key.key_data() == key.key_data()) {
            return Err(source.at(&table.key, "two agents have this key"));
        }
        let habilitated_from = date(source, &table.habilitated_from)?;
        let habilitated_until = date(source, &table.habilitated_until)?;
        if habilitated_until < habilitated_from {
            return Err(source.at(&table.habilitated_until, "habilitated_until lies before habilitated_from"));
        }
        found.push(Agent { code: table.code.get_ref().clone(), key, habilitated_from, habilitated_until });
    }
    Ok(found)
}

fn targets(source: &Source<'_>, tables: &Spanned<Vec<TargetTable>>) -> Checked<Vec<Target>> {
    if tables.get_ref().is_empty() {
        return Err(source.at(tables, "the mandate names no target"));
    }
    let mut names = HashSet::new();
    let mut found: Vec<Target> = Vec::new();
    for table in tables.get_ref() {
        label(source, &table.name, "a target's name")?;
        if !names.insert(table.name.get_ref().clone()) {
            return Err(source.at(&table.name, "two targets have this name"));
        }
        let target = target(source, table)?;
        if found
            .iter()
            .any(|other| other.host == target.host && other.port == target.port && other.scheme == target.scheme)
        {
            return Err(source.at(&table.host, "two targets have this scheme, host and port: join them"));
        }
        found.push(target);
    }
    Ok(found)
}

fn target(source: &Source<'_>, table: &TargetTable) -> Checked<Target> {
    let host = Host::parse(table.host.get_ref()).map_err(|e| source.at(&table.host, e.to_string()))?;
    let onion = matches!(host, Host::Onion(_));
    let scheme = match table.scheme.as_ref().map(|scheme| (scheme, scheme.get_ref().as_str())) {
        None if onion => Scheme::Http,
        None => Scheme::Https,
        Some((_, "http")) => Scheme::Http,
        Some((_, "https")) => Scheme::Https,
        Some((scheme, _)) => return Err(source.at(scheme, "scheme must be \"http\" or \"https\"")),
    };
    let port = match &table.port {
        None => scheme.default_port(),
        Some(port) if *port.get_ref() == 0 => {
            return Err(source.at(port, "port must be 1 to 65535"));
        }
        Some(port) => *port.get_ref(),
    };
    let tls = match table.tls.as_ref().map(|tls| (tls, tls.get_ref().as_str())) {
        None | Some((_, "strict")) => TlsPolicy::Strict,
        Some((_, "record-invalid")) if scheme == Scheme::Https => TlsPolicy::RecordInvalid,
        Some((tls, "record-invalid")) => {
            return Err(source.at(tls, "tls has no meaning for a plain http target"));
        }
        Some((tls, _)) => {
            return Err(source.at(tls, "tls must be \"strict\" or \"record-invalid\""));
        }
    };
    let two_exits = match &table.two_exits {
        Some(value) if *value.get_ref() && onion => {
            let why = "two_exits has no meaning for an onion service: nothing on the way to it can alter a page";
            return Err(source.at(value, why));
        }
        value => value.as_ref().is_some_and(|value| *value.get_ref()),
    };
    if table.entry.get_ref().is_empty() {
        return Err(source.at(&table.entry, "a target needs at least one entry point"));
    }
    if table.include.get_ref().is_empty() {
        return Err(
            source.at(&table.include, "a target needs at least one include pattern (\"/**\" is the whole host)")
        );
    }
    let pattern =
        |text: &Spanned<String>| PathPattern::parse(text.get_ref()).map_err(|e| source.at(text, e.to_string()));
    let include = table.include.get_ref().iter().map(pattern).collect::<Checked<Vec<_>>>()?;
    let exclude = table.exclude.iter().map(pattern).collect::<Checked<Vec<_>>>()?;
    let mut target = Target {
        name: table.name.get_ref().clone(),
        host,
        scheme,
        port,
        entry: Vec::new(),
        include,
        exclude,
        tls,
        two_exits,
    };
    for entry in table.entry.get_ref() {
        if !entry.get_ref().starts_with('/') {
            return Err(source.at(entry, "an entry point is a path and begins with /"));
        }
        let url = format!("{}://{}:{port}{}", scheme.as_str(), target.host.reveal(), entry.get_ref());
        let url = TargetUrl::parse(&url).map_err(|e| source.at(entry, e.to_string()))?;
        if !target.permits_path(&url) {
            return Err(source.at(entry, "the entry point lies outside the target's own include and exclude patterns"));
        }
        target.entry.push(url);
    }
    Ok(target)
}

fn limits(source: &Source<'_>, table: &LimitsTable) -> Checked<Limits> {
    for limit in [&table.requests_per_hour, &table.bytes_per_day] {
        if *limit.get_ref() == 0 {
            return Err(source.at(limit, "a limit of 0 permits nothing: give a positive number"));
        }
    }
    if !(1..=CONCURRENCY).contains(table.concurrency.get_ref()) {
        return Err(source.at(&table.concurrency, format!("concurrency must be 1 to {CONCURRENCY}")));
    }
    if *table.depth.get_ref() > 1000 {
        return Err(source.at(&table.depth, "depth must be at most 1000"));
    }
    Ok(Limits {
        requests_per_hour: *table.requests_per_hour.get_ref(),
        bytes_per_day: *table.bytes_per_day.get_ref(),
        concurrency: *table.concurrency.get_ref(),
        depth: *table.depth.get_ref(),
        hours: table.hours.as_ref().map(|hours| read_hours(source, hours)).transpose()?,
    })
}

fn read_hours(source: &Source<'_>, table: &HoursTable) -> Checked<Hours> {
    let clock = |text: &Spanned<String>| {
        Time::strptime("%H:%M", text.get_ref()).map_err(|_| source.at(text, "an hour of the day is written HH:MM"))
    };
    // The shipped table, not the machine's: the same mandate means the same everywhere.
    let zone = TimeZoneDatabase::bundled()
        .get(table.zone.get_ref())
        .map_err(|_| source.at(&table.zone, "zone must be an IANA time zone such as Europe/Brussels"))?;
    let (from, until) = (clock(&table.from)?, clock(&table.until)?);
    if from == until {
        return Err(source.at(&table.until, "hours.from and hours.until are the same"));
    }
    Ok(Hours { from, until, zone, zone_name: table.zone.get_ref().clone() })
}
