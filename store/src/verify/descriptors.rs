//! Signed descriptors of onion services, kept beside the exhibits of a session: what their key holders
//! published, judged anew.

use std::collections::BTreeMap;

use data_encoding::{BASE64, HEXLOWER};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use vigie_onion::{Descriptor, Period};
use vigie_time::CONSENSUS_EARLY_S;

use super::VerifyReport;
use crate::entry::Entry;
use crate::kind::Kind;
use crate::local::PrivatePart;

/// By so much the entry may follow the fetch.
const DELAY: SignedDuration = SignedDuration::from_hours(1);

/// A descriptor whose chain holds: whoever controls the onion's key signed it for this time period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptDescriptor {
    /// The entry that keeps it.
    pub entry: u64,
    /// Hex id of the session.
    pub session: String,
    /// Label of the target.
    pub target: String,
    /// Address of the service.
    pub onion: String,
    /// Hex SHA-256 of the text.
    pub sha256: String,
    /// Begin of the time period.
    pub from: Timestamp,
    /// End of the time period.
    pub until: Timestamp,
    /// When it was fetched, by the workstation's clock.
    pub fetched: Timestamp,
    /// Its revision.
    pub revision: u64,
    /// Numbers of the exhibits of the same service in the same session.
    pub exhibits: Vec<u64>,
}

/// Descriptors and exhibits met so far.
#[derive(Default)]
pub(super) struct Published {
    kept: Vec<KeptDescriptor>,
    /// Exhibits by session and onion.
    exhibits: BTreeMap<(String, String), Vec<u64>>,
    /// Entries that say why there is none.
    missing: u64,
}

impl Published {
    /// Takes in an entry whose private part was opened.
    pub fn entry(&mut self, entry: &Entry, part: &PrivatePart, report: &mut VerifyReport) {
        let session = entry.session.map(|id| HEXLOWER.encode(&id)).unwrap_or_default();
        match entry.kind {
            Kind::Exhibit => {
                if let (Some(number), Some(onion)) = (entry.exhibit, part.content["url"].as_str().and_then(onion)) {
                    self.exhibits.entry((session, onion.to_owned())).or_default().push(number);
                }
            }
            Kind::Descriptor if part.content["what"] == "missing" => self.missing += 1,
            Kind::Descriptor => match judge(entry, session, part) {
                Ok(kept) => self.kept.push(kept),
                Err(what) => report.problem(Some(entry.sequence), what),
            },
            _ => {}
        }
    }

    /// Brings exhibits and descriptors together.
    pub fn end(mut self, report: &mut VerifyReport) {
        for kept in &mut self.kept {
            let key = (kept.session.clone(), kept.onion.clone());
            kept.exhibits = self.exhibits.get(&key).cloned().unwrap_or_default();
        }
        let covered =
            |key: &(String, String)| self.kept.iter().any(|kept| kept.session == key.0 && kept.onion == key.1);
        let bare: usize = self.exhibits.iter().filter(|(key, _)| !covered(key)).map(|(_, list)| list.len()).sum();
        if bare > 0 {
            report.notes.push(format!(
                "{bare} exhibits of onion services have no signed descriptor beside them ({} entries say why)",
                self.missing
            ));
        }
        report.descriptors = self.kept;
    }
}

/// The onion name in an address.
fn onion(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"))?;
    let host = rest.split(['/', '?', '#', ':']).next()?;
    host.ends_with(".onion").then_some(host)
}

fn judge(entry: &Entry, session: String, part: &PrivatePart) -> Result<KeptDescriptor, String> {
    let content = &part.content;
    let text = |name: &str| content[name].as_str().unwrap_or_default();
    let time = |name: &str| {
        text(name).parse::<Timestamp>().map_err(|_| format!("its descriptor has no time {name:?} that can be read"))
    };
    let opened = |name: &str| part.openings.iter().find(|o| o.name == name).map(|o| o.value.as_slice());
    let document = BASE64.decode(text("descriptor").as_bytes()).map_err(|e| format!("its descriptor: {e}"))?;
    let descriptor = Descriptor::parse(&document).map_err(|e| e.to_string())?;
    let sha256 = descriptor.sha256();
    let committed = opened("descriptor").map(|value| HEXLOWER.encode(value));
    if sha256 != text("sha256") || committed.as_ref() != Some(&sha256) {
        return Err("its descriptor is not the one that was committed to".to_owned());
    }
    let onion = text("onion");
    if opened("onion") != Some(onion.as_bytes()) {
        return Err("its descriptor is of another service than the one committed to".to_owned());
    }
    let period = period(&content["period"]).ok_or("its descriptor has no time period that can be read")?;
    let (fetched, valid_after) = (time("fetched")?, time("consensus_valid_after")?);
    let proof = descriptor.check(onion, &period, fetched).map_err(|e| format!("its descriptor: {e}"))?;
    if HEXLOWER.encode(&proof.blinded_key) != text("blinded_key") {
        return Err("it names another key than the onion's for its time period".to_owned());
    }
    // Whole seconds against nanoseconds.
    let wall = entry.stamp.wall;
    if fetched > wall || wall.duration_since(fetched) > DELAY {
        return Err(format!("its descriptor was fetched at {fetched}, which does not fit the entry's time"));
    }
    let range = period.range().ok_or("its descriptor has a time period that no network has")?;
    if !range.contains(&valid_after.as_second()) || fetched.as_second() < valid_after.as_second() - CONSENSUS_EARLY_S {
        return Err("its time period is not the one of the consensus that it names".to_owned());
    }
    let moment = |second| Timestamp::from_second(second).map_err(|e| e.to_string());
    Ok(KeptDescriptor {
        entry: entry.sequence,
        session,
        target: text("target").to_owned(),
        onion: onion.to_owned(),
        sha256,
        from: moment(range.start)?,
        until: moment(range.end)?,
        fetched,
        revision: proof.revision,
        exhibits: Vec::new(),
    })
}

fn period(value: &Value) -> Option<Period> {
    let small = |name: &str| value[name].as_u64().and_then(|number| u32::try_from(number).ok());
    Some(Period {
        number: value["number"].as_u64()?,
        length_minutes: small("length_minutes")?,
        offset_seconds: small("offset_seconds")?,
    })
}

#[cfg(test)]
mod tests {
    use super::onion;

    #[test]
    fn the_service_of_an_address() {
        for (url, host) in [
            ("http://a.onion/x", Some("a.onion")),
            ("https://a.onion:8443/?q", Some("a.onion")),
            ("http://a.onion", Some("a.onion")),
            ("http://shop.test/a.onion", None),
            ("http://shop.test?.onion", None),
            ("ftp://a.onion/", None),
            ("", None),
        ] {
            assert_eq!(onion(url), host, "{url}");
        }
    }
}
