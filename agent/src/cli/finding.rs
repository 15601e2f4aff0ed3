//! `vigie finding add|list|show|withdraw`.

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;
use sha2::{Digest, Sha256};
use vigie_share::offer::{Offer, Status, Wildlife, line};
use vigie_store::{Kind, Reader};

use super::{OpenArgs, SignArgs, clock, key, open, open_with, show};
use crate::act::{ActEntry, Actor, sha256};
use crate::error::{Failing, Problem, exit};
use crate::export::plan::{choice, ranges};
use crate::findings::{self, FindingRow, Known};
use crate::{mandates, retention};

/// What was seen in exhibits.
#[derive(Subcommand)]
pub enum FindingCommand {
    /// Add a finding: an offer that exhibits show. What is not known is left out.
    #[command(
        after_help = "Codes: vigie finding codes.\n\nExample:\n  vigie finding add --case C-2026-004 --exhibit 3 --taxon 'Loxodonta africana' --eu-annex A --cites-appendix I \\\n    --term IVC --quantity 2 --unit NO --price 250 --currency EUR --site-class onion-market --seller nordwind \\\n    --store store --purpose 'review of 24 November'"
    )]
    Add(Box<AddArgs>),
    /// List findings.
    #[command(after_help = "Example:\n  vigie finding list --case C-2026-004 --store store")]
    List(ListArgs),
    /// Show one finding with partners' answers.
    #[command(after_help = "Example:\n  vigie finding show 17 --store store")]
    Show(ShowArgs),
    /// Say that a finding counts no more. It stays in the log.
    #[command(
        after_help = "Example:\n  vigie finding withdraw 17 --reason 'it is bone' --store store --purpose 'second look'"
    )]
    Withdraw(WithdrawArgs),
    /// Print the code lists.
    #[command(after_help = "Example:\n  vigie finding codes")]
    Codes,
}

#[derive(Args)]
pub struct AddArgs {
    /// Case.
    #[arg(long, value_name = "ID")]
    case: String,
    /// Exhibits that show it: numbers and ranges like 1,4-9.
    #[arg(long, value_name = "LIST")]
    exhibit: String,
    /// Id of the WARC record in it. Kept under the case's keys alone.
    #[arg(long, value_name = "urn:uuid:…")]
    record: Option<String>,
    /// Words of the page. Kept under the case's keys alone.
    #[arg(long, value_name = "TEXT")]
    quote: Option<String>,
    /// Scientific name.
    #[arg(long, value_name = "NAME")]
    taxon: Option<String>,
    /// What the offer calls it; it may leave to partners.
    #[arg(long, value_name = "TEXT")]
    name_as_advertised: Option<String>,
    /// A to D (Regulation (EC) 338/97).
    #[arg(long, value_name = "CODE")]
    eu_annex: Option<String>,
    /// I to III.
    #[arg(long, value_name = "CODE")]
    cites_appendix: Option<String>,
    /// CITES trade term.
    #[arg(long, value_name = "CODE")]
    term: Option<String>,
    /// CITES unit; NO counts specimens.
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    /// How much.
    #[arg(long, value_name = "N")]
    quantity: Option<String>,
    /// Price asked for.
    #[arg(long, value_name = "N")]
    price: Option<String>,
    /// Its currency.
    #[arg(long, value_name = "CODE")]
    currency: Option<String>,
    /// Ships from.
    #[arg(long, value_name = "CODE")]
    country_from: Option<String>,
    /// Ships to.
    #[arg(long, value_name = "CODE")]
    country_to: Option<String>,
    /// certificate, pre-1947 or none-claimed.
    #[arg(long, value_name = "WORD")]
    documents: Option<String>,
    /// active, past, wanted or duplicate-of:FINDING.
    #[arg(long, value_name = "WORD", default_value = "active")]
    status: String,
    /// Who sells. Kept under the case's keys alone; partners get a token at most.
    #[arg(long, value_name = "TEXT")]
    seller: Option<String>,
    /// onion-market, clear-web-classified …
    #[arg(long, value_name = "WORD")]
    site_class: String,
    /// First seen, in UTC (else: the first of the exhibits).
    #[arg(long, value_name = "TIME")]
    first_seen: Option<Timestamp>,
    /// Last seen, in UTC (else: the last of the exhibits).
    #[arg(long, value_name = "TIME")]
    last_seen: Option<Timestamp>,
    /// A remark. Kept under the case's keys alone.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    sign: SignArgs,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ListArgs {
    /// Case (else: all).
    #[arg(long, value_name = "ID")]
    case: Option<String>,
    #[command(flatten)]
    open: OpenArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct ShowArgs {
    /// Finding: the number of its entry.
    #[arg(value_name = "FINDING")]
    finding: u64,
    #[command(flatten)]
    open: OpenArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct WithdrawArgs {
    /// Finding: the number of its entry.
    #[arg(value_name = "FINDING")]
    finding: u64,
    /// Why it counts no more.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    sign: SignArgs,
}

pub fn finding(command: FindingCommand) -> Result<u8, Problem> {
    match command {
        FindingCommand::Add(args) => add(&args),
        FindingCommand::List(args) => list(&args),
        FindingCommand::Show(args) => show_one(&args),
        FindingCommand::Withdraw(args) => withdraw(&args),
        FindingCommand::Codes => codes(),
    }
}

fn add(args: &AddArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let status = Status::parse(&args.status).ok_or_else(|| {
        Problem::input("status: expected active, past, wanted or duplicate-of:FINDING: see vigie finding codes")
    })?;
    for (name, text) in
        [("record", &args.record), ("quote", &args.quote), ("seller", &args.seller), ("note", &args.note)]
    {
        line(name, text.as_deref()).map_err(|e| Problem::input(e.to_string()))?;
    }
    let exhibits: Vec<u64> = choice(&args.exhibit)?
        .ok_or_else(|| Problem::input("a finding cites exhibits by number, like 1,4-9"))?
        .into_iter()
        .collect();
    let key = key(&args.sign.open)?;
    let store = open_with(&args.sign.open.at.store, key.clone())?;
    let cases = retention::cases(&store)?;
    findings::cite(&cases, &args.case, &exhibits)?;
    let case = findings::case_of(&cases, &args.case)?;
    let reader = Reader::open(&args.sign.open.at.store)?;
    let seen = exhibits
        .iter()
        .map(|number| Ok(reader.exhibit_entry(*number)?.stamp.wall))
        .collect::<Result<Vec<Timestamp>, Problem>>()?;
    let now = clock().stamp().wall;
    let wildlife = Wildlife {
        taxon: args.taxon.clone(),
        eu_annex: args.eu_annex.clone(),
        cites_appendix: args.cites_appendix.clone(),
        term: args.term.clone(),
        documents: args.documents.clone(),
    };
    let offer = Offer {
        advertised_name: args.name_as_advertised.clone(),
        site_class: args.site_class.clone(),
        status,
        first_seen: args.first_seen.or(seen.iter().min().copied()).unwrap_or(now),
        last_seen: args.last_seen.or(seen.iter().max().copied()).unwrap_or(now),
        country_from: args.country_from.clone(),
        country_to: args.country_to.clone(),
        quantity: args.quantity.clone(),
        unit: args.unit.clone(),
        price: args.price.clone(),
        currency: args.currency.clone(),
        wildlife: (wildlife != Wildlife::default()).then_some(wildlife),
        seller_tag: args.seller.as_deref().map(|seller| findings::seller_tag(&key, &args.case, seller)),
    };
    offer.check().map_err(|e| Problem::input(e.to_string()))?;
    for (name, text) in [("name-as-advertised", &args.name_as_advertised), ("taxon", &args.taxon)] {
        let what = text.as_deref().and_then(|text| findings::personal(text, &case.mandates, args.seller.as_deref()));
        if let Some(what) = what {
            return Err(Problem::input(format!(
                "{name} holds {what}, and it may leave to partners: put that into --quote"
            )));
        }
    }
    if let Status::DuplicateOf(other) = status {
        let known = findings::all(&store)?;
        if !known.get(&other).is_some_and(|one| one.case == args.case && one.withdrawn.is_none()) {
            return Err(Problem::input(format!(
                "there is no finding {other} of this case that stands: see vigie finding list"
            )));
        }
    }
    let agent = args.sign.agent_key()?;
    let mandate = mandates::chosen(case.mandates.iter().rev().map(Ok), &agent, now)?
        .ok_or_else(|| Problem::unsound("a case without a mandate"))?;
    let actor = Actor::new(&store, mandate, &agent, now)?;
    let digest = Sha256::digest(serde_json::to_vec(&offer).failing("preparing the finding")?);
    let own = [("finding", "added".to_owned()), ("exhibits", ranges(&exhibits)), ("offer", sha256(&digest.into()))];
    let act = actor.sign(&store, Kind::Finding, now, &args.sign.purpose, &own)?;
    let row = FindingRow::Added { case: args.case.clone(), exhibits, offer: Box::new(offer), act: act.clone() };
    let mut private = json!({});
    for (name, text) in
        [("record", &args.record), ("quote", &args.quote), ("seller", &args.seller), ("note", &args.note)]
    {
        if let Some(text) = text {
            private[name] = text.as_str().into();
        }
    }
    let entry = ActEntry { kind: Kind::Finding, row: &row, private, state: Vec::new() };
    let finding = actor.log(&store, &act, entry, now)?.sequence;
    if args.json {
        show::json(&json!({"finding": finding}))?;
    } else {
        show::line(format!("finding {finding} of case {}", args.case))?;
    }
    Ok(exit::OK)
}

fn withdraw(args: &WithdrawArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    line("reason", Some(&args.reason)).map_err(|e| Problem::input(e.to_string()))?;
    let store = open(&args.sign.open)?;
    let known = found(findings::all(&store)?.remove(&args.finding), args.finding)?;
    if let Some(end) = &known.withdrawn {
        return Err(Problem::input(format!("finding {} was withdrawn before, by entry {}", args.finding, end.entry)));
    }
    let agent = args.sign.agent_key()?;
    let now = clock().stamp().wall;
    let cases = retention::cases(&store)?;
    let case = findings::case_of(&cases, &known.case)?;
    let mandate = mandates::chosen(case.mandates.iter().rev().map(Ok), &agent, now)?
        .ok_or_else(|| Problem::unsound("a case without a mandate"))?;
    let actor = Actor::new(&store, mandate, &agent, now)?;
    let own =
        [("finding", "withdrawn".to_owned()), ("withdraws", args.finding.to_string()), ("reason", args.reason.clone())];
    let act = actor.sign(&store, Kind::Finding, now, &args.sign.purpose, &own)?;
    let row = FindingRow::Withdrawn {
        finding: args.finding,
        case: known.case,
        exhibits: known.exhibits,
        reason: args.reason.clone(),
        act: act.clone(),
    };
    let entry = ActEntry { kind: Kind::Finding, row: &row, private: json!({}), state: Vec::new() };
    let entry = actor.log(&store, &act, entry, now)?.sequence;
    show::line(format!("finding {} withdrawn: entry {entry}", args.finding))?;
    Ok(exit::OK)
}

fn found(known: Option<Known>, finding: u64) -> Result<Known, Problem> {
    known.ok_or_else(|| Problem::input(format!("there is no finding {finding}: see vigie finding list")))
}

fn list(args: &ListArgs) -> Result<u8, Problem> {
    let store = open(&args.open)?;
    let mut known: Vec<Known> = findings::all(&store)?.into_values().collect();
    if let Some(case) = &args.case {
        findings::case_of(&retention::cases(&store)?, case)?;
        known.retain(|one| one.case == *case);
    }
    if args.json {
        show::json(&known)?;
        return Ok(exit::OK);
    }
    let rows: Vec<_> = known
        .iter()
        .map(|one| {
            let wildlife = one.offer.wildlife.clone().unwrap_or_default();
            let status = if one.withdrawn.is_some() { "withdrawn".to_owned() } else { one.offer.status.to_string() };
            let name = wildlife.taxon.or(one.offer.advertised_name.clone()).unwrap_or_default();
            let term = wildlife.term.unwrap_or_default();
            let validated = if one.validated() { "yes" } else { "" }.to_owned();
            vec![one.finding.to_string(), one.case.clone(), ranges(&one.exhibits), status, term, name, validated]
        })
        .collect();
    show::table(&["FINDING", "CASE", "EXHIBITS", "STATUS", "TERM", "TAXON OR NAME", "VALIDATED"], &rows)?;
    Ok(exit::OK)
}

fn show_one(args: &ShowArgs) -> Result<u8, Problem> {
    let store = open(&args.open)?;
    let known = found(findings::all(&store)?.remove(&args.finding), args.finding)?;
    if args.json {
        show::json(&known)?;
        return Ok(exit::OK);
    }
    show::line(format!(
        "finding {} of case {}, by {}; cites exhibits {}",
        known.finding,
        known.case,
        known.agent,
        ranges(&known.exhibits)
    ))?;
    if let Some(end) = &known.withdrawn {
        show::line(format!("WITHDRAWN by entry {}: {}", end.entry, end.reason))?;
    }
    let offer = serde_json::to_value(&known.offer).failing("writing JSON")?;
    let wildlife = offer["wildlife"].as_object().cloned().unwrap_or_default();
    for (name, value) in offer.as_object().into_iter().flatten().chain(&wildlife) {
        if name != "wildlife" && name != "seller_tag" {
            show::line(format!("  {name:<16} {}", value.as_str().map_or_else(|| value.to_string(), str::to_owned)))?;
        }
    }
    show::line("  (seller, quote, record and note: in the private part of the entry)")?;
    for answer in &known.annotations {
        let said = &answer.said;
        let word = if said.validated { "confirms it" } else { "does not confirm it" };
        let more = [&said.taxon, &said.remark].into_iter().flatten().cloned().collect::<Vec<_>>().join("; ");
        show::line(format!(
            "entry {}: {} {word} ({:?} confidence) {more}",
            answer.entry, answer.partner, said.confidence
        ))?;
    }
    Ok(exit::OK)
}

fn codes() -> Result<u8, Problem> {
    use vigie_share::codes;
    for (name, list) in [
        ("site-class", codes::SITE_CLASS),
        ("status", codes::STATUS),
        ("eu-annex", codes::EU_ANNEX),
        ("cites-appendix", codes::CITES_APPENDIX),
        ("term", codes::TERM),
        ("unit", codes::UNIT),
        ("documents", codes::DOCUMENTS),
    ] {
        show::line(name)?;
        for (code, meaning) in list {
            show::line(format!("  {code:<22} {meaning}"))?;
        }
    }
    show::line(format!("country\n  {}", codes::COUNTRY))?;
    show::line(format!("currency\n  {}", codes::CURRENCY))?;
    Ok(exit::OK)
}
