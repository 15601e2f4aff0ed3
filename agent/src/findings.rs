//! Findings: what somebody saw in exhibits, as entries of the log. Nothing is changed or deleted: a finding that was
//! wrong is withdrawn by another entry, and partners' answers stand beside it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use vigie_config::annotation::Said;
use vigie_config::mandate::Mandate;
use vigie_share::offer::Offer;
use vigie_store::{Kind, Store, WorkstationKey};

use crate::error::Problem;
use crate::mandates;
use crate::retention::Case;
use crate::rows::SignedAct;

/// `finding`. Who sells, what was quoted and remarked lie in the private part alone.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum FindingRow {
    /// A finding.
    Added {
        /// Case.
        case: String,
        /// Exhibits that show it.
        exhibits: Vec<u64>,
        /// What they show.
        offer: Box<Offer>,
        /// Who acted.
        act: SignedAct,
    },
    /// One that counts no more.
    Withdrawn {
        /// Its entry.
        finding: u64,
        /// Case.
        case: String,
        /// Exhibits that it cites.
        exhibits: Vec<u64>,
        /// Why.
        reason: String,
        /// Who acted.
        act: SignedAct,
    },
}

/// `annotation`: a partner's answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnnotationRow {
    /// Entry of the share that it answers.
    pub share: u64,
    /// Case.
    pub case: String,
    /// Partner.
    pub partner: String,
    /// The signed TOML, as given.
    pub document: String,
    /// The partner's SSH signature over it, armoured.
    pub document_signature: String,
    /// Fingerprint of the partner's key.
    pub signed_by: String,
    /// What is said of which finding.
    pub rows: Vec<AnnotatedRow>,
    /// Exhibits that these findings cite.
    pub exhibits: Vec<u64>,
    /// Who took it in.
    pub act: SignedAct,
}

/// What is said of one finding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnnotatedRow {
    /// Its entry.
    pub finding: u64,
    /// What.
    #[serde(flatten)]
    pub said: Said,
}

/// A finding with all that came after it.
#[derive(Clone, Debug, Serialize)]
pub struct Known {
    /// Its entry, by which it is called.
    pub finding: u64,
    /// Case.
    pub case: String,
    /// Exhibits that it cites.
    pub exhibits: Vec<u64>,
    /// What it says.
    pub offer: Offer,
    /// Agent who made it.
    pub agent: String,
    /// Why it counts no more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Withdrawal>,
    /// Partners' answers, oldest first.
    pub annotations: Vec<Answer>,
}

/// The end of a finding.
#[derive(Clone, Debug, Serialize)]
pub struct Withdrawal {
    /// Entry.
    pub entry: u64,
    /// Why.
    pub reason: String,
}

/// A partner's answer about one finding.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// Entry.
    pub entry: u64,
    /// Partner.
    pub partner: String,
    /// What.
    #[serde(flatten)]
    pub said: Said,
}

impl Known {
    /// A partner's newest word confirms it. One that names another taxon than the finding does not.
    pub fn validated(&self) -> bool {
        let newest: BTreeMap<&str, &Said> =
            self.annotations.iter().map(|answer| (answer.partner.as_str(), &answer.said)).collect();
        let taxon = self.offer.wildlife.as_ref().and_then(|wildlife| wildlife.taxon.as_deref());
        newest.values().any(|said| {
            said.validated
                && said.taxon.as_deref().is_none_or(|named| taxon.is_some_and(|own| own.eq_ignore_ascii_case(named)))
        })
    }
}

/// All findings of the store, withdrawn ones too, by their entries.
///
/// # Errors
/// A row cannot be read.
pub fn all(store: &Store) -> Result<BTreeMap<u64, Known>, Problem> {
    let mut all = BTreeMap::new();
    for (entry, row) in mandates::rows::<FindingRow>(store, Kind::Finding)? {
        match row {
            FindingRow::Added { case, exhibits, offer, act } => {
                let agent = crate::act::line(&act.statement, "agent").unwrap_or_default().to_owned();
                let known = Known {
                    finding: entry,
                    case,
                    exhibits,
                    offer: *offer,
                    agent,
                    withdrawn: None,
                    annotations: Vec::new(),
                };
                all.insert(entry, known);
            }
            FindingRow::Withdrawn { finding, reason, .. } => {
                if let Some(known) = all.get_mut(&finding) {
                    known.withdrawn = Some(Withdrawal { entry, reason });
                }
            }
        }
    }
    for (entry, row) in mandates::rows::<AnnotationRow>(store, Kind::Annotation)? {
        for annotated in row.rows {
            if let Some(known) = all.get_mut(&annotated.finding) {
                known.annotations.push(Answer { entry, partner: row.partner.clone(), said: annotated.said });
            }
        }
    }
    Ok(all)
}

/// A case by its id.
///
/// # Errors
/// There is none.
pub fn case_of<'c>(cases: &'c BTreeMap<String, Case>, id: &str) -> Result<&'c Case, Problem> {
    cases.get(id).ok_or_else(|| {
        let known = cases.keys().cloned().collect::<Vec<_>>().join(", ");
        Problem::input(format!("this store has no case {id}: it has {known}"))
    })
}

/// Whether exhibits can be cited in a case.
///
/// # Errors
/// One does not exist, is of another case, or was erased.
pub fn cite(cases: &BTreeMap<String, Case>, id: &str, exhibits: &[u64]) -> Result<(), Problem> {
    let case = case_of(cases, id)?;
    for number in exhibits {
        let within = |case: &Case| -> Option<bool> {
            let mandate = case
                .mandates
                .iter()
                .find(|one| case.exhibits.get(one.id()).is_some_and(|all| all.iter().any(|(own, _)| own == number)))?;
            Some(case.erased.contains(&mandate.digest().0))
        };
        match within(case) {
            Some(false) => {}
            Some(true) => {
                return Err(Problem::input(format!(
                    "exhibit {number} was erased: vigie custody {number} says when and by whom; it can be cited no more"
                )));
            }
            None if cases.values().any(|other| within(other).is_some()) => {
                return Err(Problem::input(format!(
                    "exhibit {number} belongs to another case than {id}: cite one of its own"
                )));
            }
            None => return Err(Problem::input(format!("there is no exhibit {number}: see vigie exhibits"))),
        }
    }
    Ok(())
}

/// Keyed tag of a seller within a case. Letter case and blanks around do not matter.
pub fn seller_tag(key: &WorkstationKey, case: &str, seller: &str) -> String {
    let name = seller.trim().to_lowercase();
    data_encoding::HEXLOWER.encode(&key.digest("seller", &[case.as_bytes(), name.as_bytes()]))
}

/// What in a text must not stand in a row that may leave: a pseudonym or agent of the case, a host, an address, the
/// seller. Said by kind, never by value.
pub fn personal(text: &str, mandates: &[Mandate], seller: Option<&str>) -> Option<&'static str> {
    let text = text.to_lowercase();
    let word = |word: &str| {
        let word = word.to_lowercase();
        text.match_indices(&word).any(|(at, _)| {
            let joins = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
            !word.is_empty() && !joins(text[..at].chars().next_back()) && !joins(text[at + word.len()..].chars().next())
        })
    };
    if seller.is_some_and(|seller| word(seller.trim())) {
        return Some("the seller's name");
    }
    for mandate in mandates {
        if mandate.pseudonyms().iter().any(|name| word(name)) {
            return Some("a pseudonym of the case");
        }
        if mandate.agents().iter().any(|agent| word(agent.code())) {
            return Some("the code of an agent");
        }
        if mandate.targets().iter().any(|target| text.contains(&target.host().reveal().to_lowercase())) {
            return Some("the host of a target");
        }
    }
    let mail = |word: &str| word.split_once('@').is_some_and(|(name, host)| !name.is_empty() && host.contains('.'));
    if text.contains(".onion") || text.contains("://") || text.split_whitespace().any(mail) {
        return Some("an address");
    }
    None
}

#[cfg(test)]
mod tests {
    use vigie_config::annotation::Confidence;

    use super::*;

    fn known(answers: &[(&str, bool, Option<&str>)]) -> Known {
        let offer = serde_json::json!({
            "site_class": "onion-market", "status": "active", "first_seen": "2026-11-01T00:00:00Z",
            "last_seen": "2026-11-01T00:00:00Z", "wildlife": {"taxon": "Loxodonta africana"},
        });
        let answer = |(partner, validated, taxon): &(&str, bool, Option<&str>)| Answer {
            entry: 1,
            partner: (*partner).to_owned(),
            said: Said {
                id: String::new(),
                validated: *validated,
                confidence: Confidence::High,
                taxon: taxon.map(str::to_owned),
                remark: None,
            },
        };
        Known {
            finding: 1,
            case: "C".into(),
            exhibits: vec![1],
            offer: serde_json::from_value(offer).unwrap(),
            agent: "A".into(),
            withdrawn: None,
            annotations: answers.iter().map(answer).collect(),
        }
    }

    #[test]
    fn the_newest_word_of_a_partner_counts_and_another_species_confirms_nothing() {
        assert!(!known(&[]).validated());
        assert!(known(&[("fund", true, None)]).validated());
        assert!(known(&[("fund", true, Some("loxodonta Africana"))]).validated());
        assert!(!known(&[("fund", true, Some("Mammuthus primigenius"))]).validated());
        assert!(!known(&[("fund", true, None), ("fund", false, None)]).validated());
        assert!(known(&[("fund", false, None), ("other", true, None)]).validated());
    }

    #[test]
    fn addresses_and_sellers_are_seen_and_words_that_hold_them_are_not() {
        let seen = |text: &str| personal(text, &[], Some("Nordwind"));
        assert_eq!(seen("ivory by NORDWIND!"), Some("the seller's name"));
        assert_eq!(seen("nordwinds"), None);
        assert_eq!(seen("ask a.b@example.org"), Some("an address"));
        assert_eq!(seen("http://x"), Some("an address"));
        assert_eq!(seen("Élfenbein 2 kg @ 3"), None);
    }

    #[test]
    fn a_seller_is_one_tag_in_a_case() {
        let key = WorkstationKey::from_bytes([1; 32]);
        assert_eq!(seller_tag(&key, "C", " Nordwind "), seller_tag(&key, "C", "nordWIND"));
        assert_ne!(seller_tag(&key, "C", "a"), seller_tag(&key, "D", "a"));
    }
}
