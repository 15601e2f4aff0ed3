//! Whether every act in the log was done by somebody whom its mandate names. The store checks that
//! signatures hold; who may sign is written in the mandates, which lie in the log as well.

use std::collections::{BTreeSet, HashMap};

use serde::Deserialize;
use sha2::Digest;
use vigie_config::mandate::{Mandate, SignedMandate};
use vigie_config::signers::AllowedSigners;
use vigie_store::checkpoint::Verifier;
use vigie_store::{Cosigned, Entry, GivenUp, Kind, Reader, WitnessKey};

use crate::act;
use crate::error::Problem;
use crate::export::plan::ranges;
use crate::findings::{AnnotationRow, FindingRow};
use crate::rows::{MandateRow, SignedAct};
use crate::sharing::ShareRow;

/// Any row with an act.
#[derive(Deserialize)]
struct Row {
    act: SignedAct,
}

/// Entries whose act is not what it must be, and why; needs a reader with the workstation's key.
pub fn acts(reader: &Reader) -> Result<Vec<(u64, String)>, Problem> {
    let signers = AllowedSigners::parse(&reader.allowed_signers()?)
        .map_err(|e| Problem::unsound(format!("reading the store's allowed signers: {e}")))?;
    let mut faults = Vec::new();
    let mut mandates: HashMap<[u8; 32], Mandate> = HashMap::new();
    for (entry, row) in reader.rows(Kind::MandateImported)? {
        let mandate = serde_json::from_slice::<MandateRow>(&row).map_err(|e| e.to_string()).and_then(|row| {
            SignedMandate::new(row.document.into_bytes(), row.signature.into_bytes())
                .verify_at_any_time(&signers)
                .map_err(|e| e.to_string())
        });
        match mandate {
            Ok(mandate) => {
                mandates.insert(mandate.digest().0, mandate);
            }
            Err(why) => faults.push((entry, format!("its mandate does not hold: {why}"))),
        }
    }
    let given_up = reader.given_up()?;
    for kind in Kind::all().filter(|kind| kind.is_signed_act() || *kind == Kind::Passphrase) {
        for (sequence, row) in reader.rows(kind)? {
            let entry = reader.entry(sequence)?;
            // A new passphrase is signed where an agent's key was at hand.
            if kind == Kind::Passphrase && entry.commitments.is_empty() {
                continue;
            }
            let Ok(Row { act }) = serde_json::from_slice(&row) else {
                faults.push((sequence, "its row holds no signed act".to_owned()));
                continue;
            };
            let mandate = entry.mandate.and_then(|digest| mandates.get(&digest));
            match kind {
                Kind::Witness => faults.extend(witness(reader, &entry, &act).map(|fault| (sequence, fault))),
                Kind::RestoreAccepted if !restore(&given_up, sequence, &act) => {
                    faults.push((sequence, "the agent signed for another paper or head than it binds".to_owned()));
                }
                Kind::Finding | Kind::Share | Kind::Annotation if !told(kind, &row, &act) => {
                    faults.push((sequence, "the agent signed for other words than its row holds".to_owned()));
                }
                _ => {}
            }
            faults
                .extend(act::faults(&entry, reader.origin(), mandate, &act).into_iter().map(|fault| (sequence, fault)));
        }
    }
    faults.sort();
    Ok(faults)
}

/// What is wrong when the agent's statement about a witness is not about the file that the entry binds.
fn witness(reader: &Reader, entry: &Entry, act: &SignedAct) -> Option<String> {
    let line = |name: &str| act::line(&act.statement, name);
    let another = |what: &str| Some(format!("the agent signed for another {what} than the file that it binds"));
    // A file that is not there is damage, and the store's own check says so.
    let text = reader.bound_by(entry)?;
    if let Some(key) = line("witness").or(line("distrusted")) {
        return if text.trim_end_matches('\n') == key { None } else { another("witness's key") };
    }
    let signed = act.statement.lines().filter_map(|line| line.strip_prefix("cosigned "));
    let signed: BTreeSet<(String, String)> =
        signed.filter_map(|by| by.split_once(' ')).map(|(time, key)| (time.to_owned(), key.to_owned())).collect();
    let keys: Vec<WitnessKey> = signed.iter().filter_map(|(_, key)| WitnessKey::parse(key)).collect();
    let log = Verifier::parse(&reader.verifier_key())?;
    let Ok(cosigned) = Cosigned::open(text, &log, &keys) else { return another("head") };
    let head = &cosigned.checkpoint;
    let root = data_encoding::HEXLOWER.encode(&head.root);
    if line("size") != Some(&head.size.to_string()) || line("root") != Some(&root) {
        return another("head");
    }
    let found = cosigned.cosignatures.iter().map(|by| (by.time.to_string(), by.witness.to_string()));
    if found.collect::<BTreeSet<_>>() == signed { None } else { another("cosignature") }
}

/// Whether the agent signed for the paper and the head that the entry binds.
fn restore(given_up: &[GivenUp], entry: u64, act: &SignedAct) -> bool {
    let line = |name: &str| act::line(&act.statement, name);
    given_up.iter().find(|given_up| given_up.entry == entry).is_some_and(|given_up| {
        let head = format!("{} {}", given_up.size, data_encoding::HEXLOWER.encode(&given_up.root));
        let paper = format!("{} sha256:{}", given_up.paper, data_encoding::HEXLOWER.encode(&given_up.paper_sha256));
        line("given-up") == Some(&head) && line("paper") == Some(&paper)
    })
}

/// Whether the agent signed for what the row of a finding, a share or an annotation says.
fn told(kind: Kind, row: &[u8], act: &SignedAct) -> bool {
    let signed = |name: &str, value: &str| act::line(&act.statement, name) == Some(value);
    let digest = |bytes: &[u8]| act::sha256(&sha2::Sha256::digest(bytes).into());
    match kind {
        Kind::Finding => match serde_json::from_slice(row) {
            Ok(FindingRow::Added { case, exhibits, offer, .. }) => {
                signed("case", &case)
                    && signed("finding", "added")
                    && signed("exhibits", &ranges(&exhibits))
                    && serde_json::to_vec(&offer).is_ok_and(|offer| signed("offer", &digest(&offer)))
            }
            Ok(FindingRow::Withdrawn { finding, reason, .. }) => {
                signed("finding", "withdrawn") && signed("withdraws", &finding.to_string()) && signed("reason", &reason)
            }
            Err(_) => false,
        },
        Kind::Share => serde_json::from_slice::<ShareRow>(row).is_ok_and(|row| {
            signed("case", &row.case)
                && signed("share", &row.share)
                && signed("partner", &row.partner)
                && signed("format", row.format.name())
                && signed("tlp", &row.tlp.to_string())
                && signed("findings", &ranges(&row.findings))
                && signed("sha256", &format!("sha256:{}", row.sha256))
        }),
        _ => serde_json::from_slice::<AnnotationRow>(row).is_ok_and(|row| {
            signed("case", &row.case)
                && signed("share", &row.share.to_string())
                && signed("document", &digest(row.document.as_bytes()))
                && signed("signed-by", &row.signed_by)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_act_about_a_finding_or_an_answer_holds_what_the_row_says() {
        let act = |lines: &str| SignedAct { statement: lines.to_owned(), signature: String::new() };
        let offer = serde_json::json!({
            "site_class": "onion-market", "status": "active", "first_seen": "2026-11-01T00:00:00Z",
            "last_seen": "2026-11-02T00:00:00Z",
        });
        let row = |case: &str, offer: &serde_json::Value| {
            let act = serde_json::json!({"statement": "", "signature": ""});
            let row =
                serde_json::json!({"what": "added", "case": case, "exhibits": [1, 2], "offer": offer, "act": act});
            row.to_string().into_bytes()
        };
        let typed: vigie_share::offer::Offer = serde_json::from_value(offer.clone()).unwrap();
        let digest = act::sha256(&sha2::Sha256::digest(serde_json::to_vec(&typed).unwrap()).into());
        let lines = format!("vigie finding\ncase C\nfinding added\nexhibits 1-2\noffer {digest}\n");
        assert!(told(Kind::Finding, &row("C", &offer), &act(&lines)));
        assert!(!told(Kind::Finding, &row("D", &offer), &act(&lines)));
        let mut other = offer.clone();
        other["status"] = "wanted".into();
        assert!(!told(Kind::Finding, &row("C", &other), &act(&lines)));
        assert!(!told(Kind::Finding, &row("C", &offer), &act(&lines.replace("1-2", "1"))));
        assert!(!told(Kind::Share, &row("C", &offer), &act(&lines)), "a row of another kind");
        assert!(!told(Kind::Annotation, b"{}", &act(&lines)));
        let share = serde_json::json!({
            "share": "s", "case": "C", "mandate": "M", "partner": "fund", "format": "csv", "tlp": "amber+strict",
            "findings": [4, 5], "exhibits": [1], "sha256": "ab", "bytes": 3, "act": {"statement": "", "signature": ""},
        });
        let lines = "case C\nshare s\npartner fund\nformat csv\ntlp TLP:AMBER+STRICT\nfindings 4-5\nsha256 sha256:ab\n";
        let share = share.to_string().into_bytes();
        assert!(told(Kind::Share, &share, &act(lines)));
        for (from, to) in [("fund", "bare"), ("csv", "xlsx"), ("+STRICT", ""), ("4-5", "4"), ("sha256:ab", "sha256:ac")]
        {
            assert!(!told(Kind::Share, &share, &act(&lines.replace(from, to))), "{to}");
        }
    }

    #[test]
    fn an_act_about_a_restored_store_names_the_paper_and_the_head_that_it_binds() {
        let given_up = GivenUp {
            entry: 7,
            size: 57,
            root: [0xAB; 32],
            goes_on_from: 5,
            paper: "R-1".into(),
            paper_sha256: [0xCD; 32],
            reason: "the disk burnt".into(),
            signed_by: vec!["a".into(), "b".into()],
            issued: jiff::Timestamp::UNIX_EPOCH,
        };
        let (root, paper) = ("ab".repeat(32), "cd".repeat(32));
        let right = format!("vigie restore-accepted\ngiven-up 57 {root}\npaper R-1 sha256:{paper}\n");
        let holds = |entry, statement: &str| {
            let act = SignedAct { statement: statement.to_owned(), signature: String::new() };
            restore(std::slice::from_ref(&given_up), entry, &act)
        };
        assert!(holds(7, &right));
        assert!(!holds(8, &right), "of another entry");
        for (from, to) in [("57", "56"), ("abab", "acab"), ("R-1", "R-2"), ("cdcd", "cecd"), ("paper ", "papers ")] {
            assert!(!holds(7, &right.replacen(from, to, 1)), "{to}");
        }
    }
}
