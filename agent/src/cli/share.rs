//! `vigie share` and `vigie annotation add`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;
use vigie_config::sharing::{Format, Tlp};
use vigie_share::Preview;
use vigie_share::row::Fate;

use super::{SignArgs, clock, file, key, open_with, show};
use crate::error::{Problem, exit};
use crate::export::plan::choice;
use crate::sharing::{self, Order};

/// Give findings to a partner whom the mandate names, without persons.
#[derive(Args)]
#[command(
    after_help = "Example:\n  vigie share --case C-2026-004 --partner fund --format xlsx --dry-run --store store --purpose 'weekly table'\n  vigie share --case C-2026-004 --partner fund --format xlsx --to table.xlsx --store store --purpose 'weekly table'"
)]
pub struct ShareArgs {
    /// Case.
    #[arg(long, value_name = "ID")]
    case: String,
    /// Partner, as the mandate's clause calls it.
    #[arg(long, value_name = "ID")]
    partner: String,
    /// xlsx, csv, misp or stix.
    #[arg(long, value_name = "FORM", value_parser = format)]
    format: Format,
    /// Findings: `all` that stand, or numbers and ranges like 17,20-22.
    #[arg(long, value_name = "LIST", default_value = "all")]
    findings: String,
    /// clear, green, amber, amber+strict or red (else: the widest that the clause permits).
    #[arg(long, value_name = "MARK", value_parser = tlp)]
    tlp: Option<Tlp>,
    /// Show each field that would leave, and make nothing.
    #[arg(long, alias = "preview")]
    dry_run: bool,
    /// The file to make; it must not exist.
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    to: Option<PathBuf>,
    #[command(flatten)]
    sign: SignArgs,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
}

fn format(text: &str) -> Result<Format, String> {
    let table = |format: &Format| *format != Format::Alert && format.name() == text;
    Format::ALL.into_iter().find(table).ok_or_else(|| "it is xlsx, csv, misp or stix".to_owned())
}

fn tlp(text: &str) -> Result<Tlp, String> {
    Tlp::parse(text).ok_or_else(|| "TLP 2.0 has clear, green, amber, amber+strict and red".to_owned())
}

#[derive(Serialize)]
struct Shown<'a> {
    partner: &'a str,
    tlp: Tlp,
    rows: &'a [Preview],
    left_out: &'a [String],
}

pub fn share(args: &ShareArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let order = Order {
        case: &args.case,
        partner: &args.partner,
        format: args.format,
        tlp: args.tlp,
        findings: choice(&args.findings)?,
    };
    if let Some(to) = args.to.as_deref().filter(|to| to.exists() || to.file_name().is_none()) {
        return Err(Problem::input(format!("{} exists already: name another file", to.display())));
    }
    let key = key(&args.sign.open)?;
    let store = open_with(&args.sign.open.at.store, key.clone())?;
    let now = clock().stamp().wall;
    let plan = sharing::plan(&store, &key, &order, now)?;
    if args.dry_run {
        let shown =
            Shown { partner: &plan.share.partner, tlp: plan.tlp, rows: &plan.preview, left_out: &plan.left_out };
        return preview(&shown, args.json);
    }
    let Some(to) = args.to.as_deref() else { return Err(Problem::input("where to? name a file with --to")) };
    let agent = args.sign.agent_key()?;
    let report = sharing::make(&store, &agent, &plan, &order, to, &args.sign.purpose, now)?;
    super::head_leaves(&args.sign.open.at.store)?;
    if args.json {
        show::json(&report)?;
        return Ok(exit::OK);
    }
    for line in &report.left_out {
        show::warning(line);
    }
    show::line(format!(
        "{}: {} findings for {}, {}, share {}; sha256:{}; log entry {}",
        report.file,
        report.findings.len(),
        plan.share.partner,
        report.tlp,
        report.share,
        report.sha256,
        report.entry
    ))?;
    Ok(exit::OK)
}

fn preview(shown: &Shown<'_>, json: bool) -> Result<u8, Problem> {
    if json {
        show::json(shown)?;
        return Ok(exit::OK);
    }
    show::line(format!("{} rows would leave to {}, marked {}", shown.rows.len(), shown.partner, shown.tlp))?;
    for row in shown.rows {
        show::line(format!("finding {}", row.finding))?;
        for field in &row.fields {
            let text = match field.fate {
                Fate::Leaves => field.value.clone(),
                Fate::Keyed => format!("{}   (token for this partner alone)", field.value),
                Fate::Withheld => "-   (withheld by the mandate's clause)".to_owned(),
                Fate::Empty => "-".to_owned(),
            };
            show::line(format!("  {:<16} {text}", field.column))?;
        }
    }
    for line in shown.left_out {
        show::warning(line);
    }
    Ok(exit::OK)
}

/// Partners' answers.
#[derive(Subcommand)]
pub enum AnnotationCommand {
    /// Take in a partner's signed answer to a share.
    #[command(
        after_help = "The partner signs with:  ssh-keygen -Y sign -n vigie-annotation -f KEY answer.toml\n\nExample:\n  vigie annotation add answer.toml --signature answer.toml.sig --share 42 --store store --purpose 'answer of the fund'"
    )]
    Add(AnnotationArgs),
}

#[derive(Args)]
pub struct AnnotationArgs {
    /// The answer (TOML, format vigie.annotation/1).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The partner's detached SSH signature over it.
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    /// Log entry of the share that it answers.
    #[arg(long, value_name = "ENTRY")]
    share: u64,
    #[command(flatten)]
    sign: SignArgs,
}

pub fn annotation(command: AnnotationCommand) -> Result<u8, Problem> {
    let AnnotationCommand::Add(args) = command;
    args.sign.check()?;
    let papers = (file::read_small(&args.file)?, file::read_small(&args.signature)?);
    let agent = args.sign.agent_key()?;
    let key = key(&args.sign.open)?;
    let store = open_with(&args.sign.open.at.store, key.clone())?;
    let now = clock().stamp().wall;
    let (row, entry) = sharing::annotate(&store, &key, &agent, papers, args.share, &args.sign.purpose, now)?;
    show::line(format!("{} rows annotated by {} ({}): entry {entry}", row.rows.len(), row.partner, row.signed_by))?;
    Ok(exit::OK)
}
