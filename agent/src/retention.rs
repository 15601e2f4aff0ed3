//! How long evidence is kept and when it ends: papers in the log, what of a case is still about, and
//! the erasure itself.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use vigie_config::mandate::Mandate;
use vigie_config::retention::{CasePapers, Paper, Ruling, SignedPaper, Thing};
use vigie_store::{Erased, Kind, Store};

use crate::act::{ActEntry, Actor};
use crate::agentkey::AgentKey;
use crate::error::Problem;
use crate::mandates;
use crate::rows::{BACKUP, BUNDLE, ErasureRow, ExhibitRow, ExportRow, PaperRow, ReadRow};

/// Form of an entry that makes holes; the store knows it too.
const ERASED: &str = "erased";
/// Form of an entry with a destruction certificate.
const CERTIFICATE: &str = "certificate";

/// What is known of a case.
pub struct Case {
    /// Its mandates, oldest first.
    pub mandates: Vec<Mandate>,
    /// Last day on which all of its evidence must be there.
    pub keep_until: Date,
    /// Number and entry of each exhibit, oldest first, by the id of its mandate.
    pub exhibits: BTreeMap<String, Vec<(u64, u64)>>,
    /// Holds and what is gone.
    pub papers: CasePapers,
    /// What can still open or hold its evidence.
    pub outstanding: BTreeSet<Thing>,
    /// Mandates whose exhibits were made holes, by their digests.
    pub erased: BTreeSet<[u8; 32]>,
}

impl Case {
    /// Exhibits recorded.
    pub fn exhibit_count(&self) -> usize {
        self.exhibits.values().map(Vec::len).sum()
    }

    fn exhibits_of(&self, mandate: &Mandate) -> &[(u64, u64)] {
        self.exhibits.get(mandate.id()).map_or(&[], Vec::as_slice)
    }

    /// `held`, `kept`, `due`, `erased here` or `erased`: the last only when nothing is left anywhere.
    pub fn state(&self, today: Date) -> &'static str {
        let here = self.mandates.iter().all(|mandate| self.erased.contains(&mandate.digest().0));
        match (here, self.outstanding.is_empty()) {
            (true, true) => "erased",
            (true, false) => "erased here",
            _ if !self.papers.holds.is_empty() => "held",
            _ if today > self.keep_until => "due",
            _ => "kept",
        }
    }
}

/// All cases of a store.
pub fn cases(store: &Store) -> Result<BTreeMap<String, Case>, Problem> {
    let mut cases: BTreeMap<String, Case> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for (_, row) in mandates::all(store)? {
        let mandate = mandates::read(store, &row.id)?;
        if !seen.insert(mandate.digest().0) {
            continue;
        }
        let case = cases.entry(mandate.case().to_owned()).or_insert_with(|| Case {
            mandates: Vec::new(),
            keep_until: mandate.keep_until(),
            exhibits: BTreeMap::new(),
            papers: CasePapers::default(),
            outstanding: BTreeSet::new(),
            erased: BTreeSet::new(),
        });
        case.keep_until = case.keep_until.max(mandate.keep_until());
        for identity in ["case", "escrow"].into_iter().chain(mandate.recipients().review().map(|_| "review")) {
            case.outstanding.insert(Thing::Identity(identity.to_owned()));
        }
        case.mandates.push(mandate);
    }
    let mut of_exhibit: BTreeMap<u64, String> = BTreeMap::new();
    for (number, (entry, row)) in (1..).zip(mandates::rows::<ExhibitRow>(store, Kind::Exhibit)?) {
        if let Some(case) = cases.get_mut(&row.case) {
            case.exhibits.entry(row.mandate).or_default().push((number, entry));
        }
        of_exhibit.insert(number, row.case);
    }
    for (entry, row) in mandates::rows::<ReadRow>(store, Kind::Read)? {
        let leaves = row.form == crate::rows::SEALED_COPY || row.form == crate::rows::OPENED_FILE;
        let case = of_exhibit.get(&row.exhibit).and_then(|case| cases.get_mut(case));
        if let Some(case) = case.filter(|_| leaves) {
            case.outstanding.insert(Thing::Copy(entry));
        }
    }
    // A backup holds the evidence of every case that had a mandate by then.
    for (entry, _) in
        mandates::rows::<ExportRow>(store, Kind::Export)?.into_iter().filter(|(_, row)| row.form == BACKUP)
    {
        for case in cases.values_mut() {
            case.outstanding.insert(Thing::Copy(entry));
        }
    }
    for (entry, row) in
        mandates::rows::<ExportRow>(store, Kind::Export)?.into_iter().filter(|(_, row)| row.form == BUNDLE)
    {
        if let Some(case) = cases.get_mut(&row.case) {
            case.outstanding.insert(Thing::Copy(entry));
        }
    }
    for row in mandates::rows::<ErasureRow>(store, Kind::Erasure)?.into_iter().map(|(_, row)| row) {
        if let (ERASED, Some(case)) = (row.form.as_str(), cases.get_mut(&row.case)) {
            let named = case.mandates.iter().find(|mandate| mandate.id() == row.id);
            case.erased.extend(named.map(|mandate| mandate.digest().0));
        }
    }
    let papers = papers(store)?;
    for (id, case) in &mut cases {
        case.papers = CasePapers::of(papers.iter().filter(|paper| paper.case == *id));
        case.outstanding.retain(|thing| !case.papers.gone.contains(thing));
    }
    Ok(cases)
}

/// Every paper taken in so far, verified anew.
fn papers(store: &Store) -> Result<Vec<Paper>, Problem> {
    let signers = mandates::signers(store)?;
    let mut rows: Vec<(u64, PaperRow)> = mandates::rows(store, Kind::Hold)?;
    for (entry, row) in mandates::rows::<ErasureRow>(store, Kind::Erasure)? {
        rows.extend(row.paper.map(|paper| (entry, paper)));
    }
    rows.sort_by_key(|(entry, _)| *entry);
    rows.into_iter()
        .map(|(entry, row)| {
            let signatures = row.signatures.into_iter().map(String::into_bytes).collect();
            SignedPaper::new(row.document.into_bytes(), signatures)
                .verify_at_any_time(&signers)
                .map_err(|e| Problem::unsound(format!("the retention paper of entry {entry}: {e}")))
        })
        .collect()
}

/// Takes a paper in; the agent signs that it came.
pub fn take(
    store: &Store,
    document: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    agent: &AgentKey,
    purpose: &str,
    now: Timestamp,
) -> Result<(Paper, u64), Problem> {
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).map_err(|_| Problem::input("a paper and its signatures must be text"))
    };
    let row_document = text(&document)?;
    let row_signatures = signatures.iter().map(|signature| text(signature)).collect::<Result<Vec<_>, _>>()?;
    let paper = SignedPaper::new(document, signatures)
        .verify(&mandates::signers(store)?, now)
        .map_err(|e| Problem::refused(e.to_string()))?;
    let cases = cases(store)?;
    let case = cases
        .get(&paper.case)
        .ok_or_else(|| Problem::input(format!("this store knows no case {}: see vigie retention list", paper.case)))?;
    if papers(store)?.iter().any(|known| known.id == paper.id) {
        return Err(Problem::input(format!("a paper {} was taken in already", paper.id)));
    }
    let kind = match &paper.ruling {
        Ruling::Destruction(_) => Kind::Erasure,
        Ruling::Hold => Kind::Hold,
        Ruling::Release(id) if case.papers.holds.contains(id) => Kind::Hold,
        Ruling::Release(id) => {
            return Err(Problem::input(format!("the case {} has no hold {id} to release", paper.case)));
        }
    };
    let (mandate, now) = (acting(store, case, agent, now)?, now);
    let actor = Actor::new(store, mandate, agent, now)?;
    let digest = vigie_config::Sha256Digest::of(row_document.as_bytes());
    let own = [("paper", format!("{} sha256:{digest}", paper.id)), ("signed-by", paper.signed_by.join(" and "))];
    let act = actor.sign(store, kind, now, purpose, &own)?;
    let private = json!({"document": row_document, "signatures": row_signatures});
    let row = PaperRow {
        id: paper.id.clone(),
        case: paper.case.clone(),
        document: row_document,
        signatures: row_signatures,
        act: (kind == Kind::Hold).then(|| act.clone()),
    };
    let receipt = if kind == Kind::Hold {
        actor.log(store, &act, ActEntry { kind, row: &row, private, state: Vec::new() }, now)?
    } else {
        let (id, case) = (paper.id.clone(), paper.case.clone());
        let row =
            ErasureRow { form: CERTIFICATE.into(), id, case, exhibits: Vec::new(), paper: Some(row), act: act.clone() };
        actor.log(store, &act, ActEntry { kind, row: &row, private, state: Vec::new() }, now)?
    };
    Ok((paper, receipt.sequence))
}

/// The mandate of the case under which this agent acts.
fn acting<'c>(store: &Store, case: &'c Case, agent: &AgentKey, now: Timestamp) -> Result<&'c Mandate, Problem> {
    mandates::chosen(case.mandates.iter().rev().map(Ok), agent, now)?
        .ok_or_else(|| Problem::unsound(format!("a case of {} without a mandate: run vigie verify", store.origin())))
}

/// Erases the evidence of a case: an entry for each of its mandates, then the holes. Done again after
/// a stop, it goes on.
pub fn erase(
    store: &Store,
    id: &str,
    early: bool,
    agent: &AgentKey,
    purpose: &str,
    now: Timestamp,
    mut tell: impl FnMut(u64, u64),
) -> Result<Erased, Problem> {
    let cases = cases(store)?;
    let case = cases
        .get(id)
        .ok_or_else(|| Problem::input(format!("this store knows no case {id}: see vigie retention list")))?;
    if let Some(hold) = case.papers.holds.first() {
        return Err(Problem::refused(format!("the case {id} is held by {hold}: a release signed by two ends that")));
    }
    if !case.papers.gone.contains(&Thing::Identity("case".into())) {
        return Err(Problem::refused(format!(
            "no certificate says that the identity of the case {id} was destroyed: take one in with vigie retention take"
        )));
    }
    let today = jiff::tz::Offset::UTC.to_datetime(now).date();
    if today <= case.keep_until && !early {
        return Err(Problem::refused(format!(
            "the case {id} is kept until {}: a court's earlier order needs --early",
            case.keep_until
        )));
    }
    let mut done = Erased::default();
    for mandate in &case.mandates {
        let entry = match erasure_of(store, case, mandate)? {
            Some(entry) => entry,
            None => log_erasure(store, case, mandate, early, agent, purpose, now)?,
        };
        let erased = store.erase(entry, &mut tell)?;
        done.frames += erased.frames;
        done.exhibits += erased.exhibits;
        done.bytes += erased.bytes;
    }
    Ok(done)
}

/// The entry that ordered the holes of a mandate, when there is one behind its last exhibit.
fn erasure_of(store: &Store, case: &Case, mandate: &Mandate) -> Result<Option<u64>, Problem> {
    let last = case.exhibits_of(mandate).last().map(|(_, entry)| *entry);
    let ordered = mandates::rows::<ErasureRow>(store, Kind::Erasure)?
        .into_iter()
        .filter(|(_, row)| row.form == ERASED && row.id == mandate.id())
        .map(|(entry, _)| entry)
        .next_back();
    Ok(ordered.filter(|entry| last.is_none_or(|last| last < *entry)))
}

fn log_erasure(
    store: &Store,
    case: &Case,
    mandate: &Mandate,
    early: bool,
    agent: &AgentKey,
    purpose: &str,
    now: Timestamp,
) -> Result<u64, Problem> {
    let exhibits: Vec<u64> = case.exhibits_of(mandate).iter().map(|(number, _)| *number).collect();
    let actor = Actor::new(store, mandate, agent, now)?;
    let things = |things: &BTreeSet<Thing>| things.iter().map(Thing::to_string).collect::<Vec<_>>().join(" ");
    let own = [
        ("erases", exhibits.iter().map(u64::to_string).collect::<Vec<_>>().join(" ")),
        ("early", if early { "yes" } else { "no" }.to_owned()),
        ("outstanding", things(&case.outstanding)),
    ];
    let act = actor.sign(store, Kind::Erasure, now, purpose, &own)?;
    let private = json!({"exhibits": exhibits});
    let (id, case) = (mandate.id().to_owned(), mandate.case().to_owned());
    let row = ErasureRow { form: ERASED.into(), id, case, exhibits, paper: None, act: act.clone() };
    let entry = ActEntry { kind: Kind::Erasure, row: &row, private, state: Vec::new() };
    Ok(actor.log(store, &act, entry, now)?.sequence)
}
