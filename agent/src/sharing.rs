//! What leaves to partners and what they answer: a clause of the mandate permits, the rows are made of findings, the
//! act is signed and logged with the digest of the very bytes, and only then the file gets its name.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use vigie_config::annotation::Annotation;
use vigie_config::mandate::Mandate;
use vigie_config::sharing::{Column, Format, SharingRefusal, Terms, Tlp, permit};
use vigie_share::row::Finding;
use vigie_share::{Policy, Preview, Share};
use vigie_store::{Kind, Store, WorkstationKey};

use crate::act::{ActEntry, Actor, sha256};
use crate::agentkey::AgentKey;
use crate::error::{Failing, Problem};
use crate::findings::{self, AnnotatedRow, AnnotationRow, Known};
use crate::retention::{self, Case};
use crate::rows::SignedAct;
use crate::{mandates, outside};

impl From<SharingRefusal> for Problem {
    fn from(refusal: SharingRefusal) -> Self {
        Self { refusal: Some(refusal.code()), ..Self::refused(refusal.to_string()) }
    }
}

/// `share`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShareRow {
    /// Id of the share, as it stands in the file.
    pub share: String,
    /// Case.
    pub case: String,
    /// Mandate whose clause permitted it.
    pub mandate: String,
    /// Partner.
    pub partner: String,
    /// Form.
    pub format: Format,
    /// Mark.
    pub tlp: Tlp,
    /// Findings in it, by their entries.
    pub findings: Vec<u64>,
    /// Exhibits that they cite.
    pub exhibits: Vec<u64>,
    /// Hex SHA-256 of the file.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Who acted.
    pub act: SignedAct,
}

/// What is asked for.
pub struct Order<'a> {
    /// Case.
    pub case: &'a str,
    /// Partner.
    pub partner: &'a str,
    /// Form.
    pub format: Format,
    /// Mark; none: the clause's own.
    pub tlp: Option<Tlp>,
    /// Findings; none: all that stand.
    pub findings: Option<BTreeSet<u64>>,
}

/// What would leave.
pub struct Plan {
    /// Mandate whose clause permits it.
    pub mandate: Mandate,
    /// Mark.
    pub tlp: Tlp,
    /// Findings, by their entries.
    pub findings: Vec<Known>,
    /// Rows.
    pub share: Share,
    /// Every field of them.
    pub preview: Vec<Preview>,
    /// Findings that were left out of `all`, and why.
    pub left_out: Vec<String>,
}

/// Holds what is asked for against mandate and findings. Every refusal is logged.
///
/// # Errors
/// No mandate of the case permits it, a finding is not there or stands no more, or a row holds what must not leave.
pub fn plan(store: &Store, key: &WorkstationKey, order: &Order<'_>, now: Timestamp) -> Result<Plan, Problem> {
    let cases = retention::cases(store)?;
    let case = findings::case_of(&cases, order.case)?;
    let newest = case.mandates.last().ok_or_else(|| Problem::unsound("a case without a mandate"))?;
    let clause = case.mandates.iter().rev().find(|mandate| mandate.terms(order.partner).is_some());
    let mandate = clause.unwrap_or(newest);
    let refuse = |problem| outside::refuse(store, outside::about_mandate(mandate.id()), problem);
    mandates::revocations(store)?.check(mandate, now).map_err(|refusal| refuse(refusal.into()))?;
    let (terms, tlp) = permit(mandate, order.partner, order.format, order.tlp, now).map_err(|e| refuse(e.into()))?;
    let (findings, left_out) = chosen(store, &cases, order)?;
    if findings.is_empty() {
        return Err(Problem::input(format!("no finding of case {} stands: vigie finding add", order.case)));
    }
    let policy = policy(key, order.case, terms);
    let mut rows = Vec::new();
    let mut preview = Vec::new();
    for known in &findings {
        let finding = Finding { entry: known.finding, offer: known.offer.clone(), validated: known.validated() };
        let (row, fields) = policy.decide(&finding);
        known.offer.check().map_err(|e| Problem::unsound(format!("finding {}: {e}", known.finding)))?;
        // All else is numbers, days, codes of lists and digests, in which a short code may stand by chance.
        let texts = [Column::Taxon, Column::AdvertisedName].map(|column| row.value(column));
        let personal = texts.into_iter().find_map(|text| findings::personal(text, &case.mandates, None));
        if let Some(what) = personal {
            let line =
                format!("finding {} holds {what}, which may not leave: withdraw it and add it without", known.finding);
            return Err(refuse(Problem { refusal: Some("sharing-selector"), ..Problem::refused(line) }));
        }
        rows.push(row);
        preview.push(fields);
    }
    // The order of entries would tell in which order somebody worked.
    rows.sort_by_key(|row| row.id);
    let share = Share {
        id: uuid::Uuid::new_v4(),
        producer: mandate.producer().to_owned(),
        partner: terms.name().to_owned(),
        tlp,
        created: day(now)?,
        rows,
    };
    Ok(Plan { mandate: mandate.clone(), tlp, findings, share, preview, left_out })
}

/// Begin of the day (UTC): the hour would tell when somebody worked.
fn day(now: Timestamp) -> Result<Timestamp, Problem> {
    Timestamp::from_second(now.as_second().div_euclid(86_400) * 86_400).failing("reading the clock")
}

fn policy(key: &WorkstationKey, case: &str, terms: &Terms) -> Policy {
    Policy::new(terms, key.digest("share", &[case.as_bytes()]))
}

/// The findings that are asked for, and of all which stand not.
fn chosen(
    store: &Store,
    cases: &BTreeMap<String, Case>,
    order: &Order<'_>,
) -> Result<(Vec<Known>, Vec<String>), Problem> {
    let known = findings::all(store)?;
    let judge = |one: &Known| -> Result<(), Problem> {
        if one.case != order.case {
            return Err(Problem::input(format!("finding {} belongs to another case: leave it out", one.finding)));
        }
        if let Some(end) = &one.withdrawn {
            return Err(Problem::input(format!(
                "finding {} was withdrawn ({}): leave it out",
                one.finding, end.reason
            )));
        }
        findings::cite(cases, order.case, &one.exhibits)
            .map_err(|problem| Problem::input(format!("finding {}: {}", one.finding, problem.line)))
    };
    let mut wanted = Vec::new();
    let mut left_out = Vec::new();
    match &order.findings {
        Some(entries) => {
            for entry in entries {
                let one = known
                    .get(entry)
                    .ok_or_else(|| Problem::input(format!("there is no finding {entry}: see vigie finding list")))?;
                judge(one)?;
                wanted.push(one.clone());
            }
        }
        None => {
            for one in known.values().filter(|one| one.case == order.case) {
                match judge(one) {
                    Ok(()) => wanted.push(one.clone()),
                    Err(problem) => left_out.push(problem.line),
                }
            }
        }
    }
    Ok((wanted, left_out))
}

/// What a share came to.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Id of the share.
    pub share: String,
    /// Its entry.
    pub entry: u64,
    /// File.
    pub file: String,
    /// Its SHA-256.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Mark.
    pub tlp: Tlp,
    /// Findings in it.
    pub findings: Vec<u64>,
    /// What was left out.
    pub left_out: Vec<String>,
}

/// Writes the bytes beside the file, signs and logs, then names the file: one that can be read is in the log.
///
/// # Errors
/// The agent may not act, the file exists, the disk is full.
pub fn make(
    store: &Store,
    agent: &AgentKey,
    plan: &Plan,
    order: &Order<'_>,
    to: &Path,
    purpose: &str,
    now: Timestamp,
) -> Result<Report, Problem> {
    let actor = Actor::new(store, &plan.mandate, agent, now)?;
    let bytes = vigie_share::write(&plan.share, order.format).failing("making the share")?;
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    let part = Part::write(to, &bytes)?;
    let entries: Vec<u64> = plan.findings.iter().map(|one| one.finding).collect();
    let exhibits: BTreeSet<u64> = plan.findings.iter().flat_map(|one| one.exhibits.iter().copied()).collect();
    let own = [
        ("share", plan.share.id.to_string()),
        ("partner", order.partner.to_owned()),
        ("format", order.format.name().to_owned()),
        ("tlp", plan.tlp.to_string()),
        ("findings", crate::export::plan::ranges(&entries)),
        ("sha256", sha256(&digest)),
        ("bytes", bytes.len().to_string()),
    ];
    let act = actor.sign(store, Kind::Share, now, purpose, &own)?;
    let row = ShareRow {
        share: plan.share.id.to_string(),
        case: order.case.to_owned(),
        mandate: plan.mandate.id().to_owned(),
        partner: order.partner.to_owned(),
        format: order.format,
        tlp: plan.tlp,
        findings: entries.clone(),
        exhibits: exhibits.into_iter().collect(),
        sha256: data_encoding::HEXLOWER.encode(&digest),
        bytes: bytes.len() as u64,
        act: act.clone(),
    };
    let private = json!({"partner": order.partner});
    let entry = ActEntry { kind: Kind::Share, row: &row, private, state: Vec::new() };
    let receipt = actor.log(store, &act, entry, now)?;
    part.name(to)?;
    Ok(Report {
        share: row.share,
        entry: receipt.sequence,
        file: to.display().to_string(),
        sha256: row.sha256,
        bytes: row.bytes,
        tlp: plan.tlp,
        findings: entries,
        left_out: plan.left_out.clone(),
    })
}

/// A file that has not got its name yet; gone when it never gets it.
struct Part(Option<PathBuf>);

impl Part {
    fn write(to: &Path, bytes: &[u8]) -> Result<Self, Problem> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let path = crate::export::part(to);
        let trying = format!("writing {}", path.display());
        let mut options = std::fs::OpenOptions::new();
        let opened = options.write(true).create_new(true).mode(0o600).open(&path);
        if opened.as_ref().is_err_and(|e| e.kind() == std::io::ErrorKind::AlreadyExists) {
            return Err(Problem::input(format!(
                "{} is left of a share that was stopped: remove it, or name another file",
                path.display()
            )));
        }
        let mut file = opened.failing(&trying)?;
        let part = Self(Some(path));
        file.write_all(bytes).and_then(|()| file.sync_all()).failing(&trying)?;
        Ok(part)
    }

    fn name(mut self, to: &Path) -> Result<(), Problem> {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        use rustix::io::Errno;
        let Some(path) = self.0.as_deref() else { return Ok(()) };
        let named = match renameat_with(CWD, path, CWD, to, RenameFlags::NOREPLACE) {
            // Some media know no such call.
            Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => std::fs::rename(path, to),
            other => other.map_err(Into::into),
        };
        named.failing(format!("naming {}, which stands in the log as shared", to.display()))?;
        self.0 = None;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Takes in a partner's answer; gives its row and entry. Every refusal is logged.
///
/// # Errors
/// The document cannot be read, is not signed by the partner's key, is about another share, or came before.
pub fn annotate(
    store: &Store,
    key: &WorkstationKey,
    agent: &AgentKey,
    (document, signature): (Vec<u8>, Vec<u8>),
    share: u64,
    purpose: &str,
    now: Timestamp,
) -> Result<(AnnotationRow, u64), Problem> {
    let annotation = Annotation::parse(&document).map_err(|complaint| {
        Problem::input(format!(
            "the annotation is not valid: {complaint}: ask the partner to correct and sign it again"
        ))
    })?;
    let shares = mandates::rows::<ShareRow>(store, Kind::Share)?;
    let Some((_, row)) = shares.into_iter().find(|(entry, _)| *entry == share) else {
        return Err(Problem::input(format!("entry {share} is no share: see vigie log --kind share")));
    };
    let mandate = mandates::read(store, &row.mandate)?;
    let refuse = |why: String| {
        let refusal = SharingRefusal::Annotation { partner: row.partner.clone(), why };
        outside::refuse(store, outside::about_document(&document), refusal.into())
    };
    let terms = mandate.terms(&row.partner).ok_or_else(|| Problem::unsound("a share without a clause"))?;
    let signer = terms
        .check_annotation(&document, &signature, now)
        .map_err(|refusal| outside::refuse(store, outside::about_document(&document), refusal.into()))?;
    if annotation.partner != row.partner || annotation.share != row.share || annotation.sha256 != row.sha256 {
        return Err(refuse(format!("it is about another share than entry {share}")));
    }
    let text = String::from_utf8(document.clone()).map_err(|_| Problem::input("the annotation is not UTF-8 text"))?;
    for (entry, before) in mandates::rows::<AnnotationRow>(store, Kind::Annotation)? {
        if before.document == text {
            return Err(refuse(format!("it was taken in before: entry {entry}")));
        }
    }
    let policy = policy(key, &row.case, terms);
    let ids: BTreeMap<String, u64> =
        row.findings.iter().map(|finding| (policy.row_id(*finding).to_string(), *finding)).collect();
    let mut rows = Vec::new();
    for said in annotation.rows {
        let Some(finding) = ids.get(&said.id) else {
            return Err(refuse(format!("the row {} is not in that share", said.id)));
        };
        rows.push(AnnotatedRow { finding: *finding, said });
    }
    let known = findings::all(store)?;
    let cited = rows.iter().filter_map(|one| known.get(&one.finding)).flat_map(|one| one.exhibits.iter().copied());
    let exhibits: BTreeSet<u64> = cited.collect();
    let cases = retention::cases(store)?;
    let of_case = &findings::case_of(&cases, &row.case)?.mandates;
    let acting = mandates::chosen(of_case.iter().rev().map(Ok), agent, now)?
        .ok_or_else(|| Problem::unsound("a case without a mandate"))?;
    let actor = Actor::new(store, acting, agent, now)?;
    let own = [
        ("share", share.to_string()),
        ("document", sha256(&Sha256::digest(&document).into())),
        ("signed-by", signer.key_fingerprint.clone()),
    ];
    let act = actor.sign(store, Kind::Annotation, now, purpose, &own)?;
    let taken = AnnotationRow {
        share,
        case: row.case.clone(),
        partner: row.partner.clone(),
        document: text,
        document_signature: String::from_utf8_lossy(&signature).into_owned(),
        signed_by: signer.key_fingerprint,
        rows,
        exhibits: exhibits.into_iter().collect(),
        act: act.clone(),
    };
    let private = json!({"document": taken.document, "document_signature": taken.document_signature});
    let entry = ActEntry { kind: Kind::Annotation, row: &taken, private, state: Vec::new() };
    let receipt = actor.log(store, &act, entry, now)?;
    Ok((taken, receipt.sequence))
}
