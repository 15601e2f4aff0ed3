//! `vigie corroborate`.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use serde_json::json;
use vigie_store::{Entry, Kind, Reader};

use super::{SignArgs, clock, open, show};
use crate::act::{ActEntry, Actor};
use crate::corroborate::{Comparison, exchanges};
use crate::error::{Problem, exit};
use crate::identities::{self, Identities};
use crate::mandates;
use crate::rows::CorroborationRow;

/// Compare two captures of the same target that were made apart.
#[derive(Args)]
#[command(
    after_help = "Two stores or two sessions share no circuit. Compared are status, payload and certificate of each address in both.\nThe result is an entry signed by the agent: an exhibit without one rests on a single source.\n\nExample:\n  vigie corroborate 3 7 --identity case.txt --store store --purpose 'second look'\n  vigie corroborate 3 12 --with /media/desk-2 --identity case.txt --store store --purpose 'second desk'"
)]
pub struct CorroborateArgs {
    /// Exhibit of this store.
    #[arg(value_name = "N")]
    here: u64,
    /// Exhibit to compare it with.
    #[arg(value_name = "M")]
    there: u64,
    /// The other exhibit lies in this store (a copy of another workstation's; it is only read).
    #[arg(long, value_name = "DIR")]
    with: Option<PathBuf>,
    /// Age identity file of a recipient of both; may be repeated.
    #[arg(long, value_name = "FILE", required = true)]
    identity: Vec<PathBuf>,
    /// Read the passphrase of the identity file from this file descriptor.
    #[arg(long, value_name = "N")]
    identity_passphrase_fd: Option<RawFd>,
    #[command(flatten)]
    sign: SignArgs,
    /// As JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Told<'a> {
    verdict: &'a str,
    entry: u64,
    #[serde(flatten)]
    comparison: &'a Comparison,
}

/// One side.
struct Side {
    entry: Entry,
    exchanges: crate::corroborate::Exchanges,
}

fn side(reader: &Reader, number: u64, identities: &Identities) -> Result<Side, Problem> {
    let opened = reader.open_exhibit(number, identities)?;
    let entry = opened.entry.clone();
    let exchanges = exchanges(opened)?
        .ok_or_else(|| Problem::unsound(format!("a digest inside exhibit {number} does not hold: run vigie verify")))?;
    Ok(Side { entry, exchanges })
}

pub fn corroborate(args: CorroborateArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let identities = identities::open(&args.identity, args.identity_passphrase_fd)?;
    let agent = args.sign.agent_key()?;
    let store = open(&args.sign.open)?;
    let reader = Reader::open(&args.sign.open.at.store)?;
    let other = args.with.as_deref().map(Reader::open).transpose()?;
    let there_reader = other.as_ref().unwrap_or(&reader);
    let now = clock().stamp().wall;
    let mandate = mandates::of_exhibit(&store, &reader.exhibit_entry(args.here)?)?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let here = side(&reader, args.here, &identities)?;
    let there = side(there_reader, args.there, &identities)?;
    if here.entry.session == there.entry.session {
        return Err(Problem::input(
            "both exhibits are of one session and share its circuits: compare captures made apart",
        ));
    }
    let comparison = Comparison::new(&here.exchanges, &there.exchanges);
    let verdict = comparison.verdict();
    let leaf = data_encoding::HEXLOWER.encode(&there.entry.leaf_hash());
    let own = [
        ("exhibit", args.here.to_string()),
        ("with", format!("{} {} leaf sha256:{leaf}", there_reader.origin(), args.there)),
        ("verdict", verdict.to_owned()),
    ];
    let act = actor.sign(&store, Kind::Corroboration, now, &args.sign.purpose, &own)?;
    let within = args.with.is_none();
    let row = CorroborationRow {
        exhibits: if within { vec![args.here, args.there] } else { vec![args.here] },
        origin: there_reader.origin().to_owned(),
        other: args.there,
        leaf_sha256: leaf,
        verdict: verdict.to_owned(),
        compared: comparison.both.len() as u64,
        agreeing: comparison.agreeing() as u64,
        other_certificates: comparison.other_certificates() as u64,
        act: act.clone(),
    };
    let private = json!({"comparison": comparison});
    let entry = ActEntry { kind: Kind::Corroboration, row: &row, private, state: Vec::new() };
    let receipt = actor.log(&store, &act, entry, now)?;
    if args.json {
        show::json(&Told { verdict, entry: receipt.sequence, comparison: &comparison })?;
    } else {
        tell(&args, &comparison, receipt.sequence)?;
    }
    Ok(if verdict == "agree" { exit::OK } else { exit::INCOMPLETE })
}

fn tell(args: &CorroborateArgs, comparison: &Comparison, entry: u64) -> Result<(), Problem> {
    let rows: Vec<_> = comparison
        .both
        .iter()
        .map(|one| {
            let content = if one.same_content { "same" } else { "DIFFERS" };
            let certificate = match one.same_certificate {
                None => "",
                Some(true) => "same",
                Some(false) => "DIFFERS",
            };
            vec![content.to_owned(), certificate.to_owned(), one.here.status.clone(), one.url.clone()]
        })
        .collect();
    show::table(&["CONTENT", "CERTIFICATE", "STATUS", "URL"], &rows)?;
    for (urls, which) in [(&comparison.only_here, args.here), (&comparison.only_there, args.there)] {
        if !urls.is_empty() {
            show::line(format!("{} addresses are only in exhibit {which}", urls.len()))?;
        }
    }
    show::line(format!(
        "{}: {} of {} addresses agree; entry {entry}",
        comparison.verdict(),
        comparison.agreeing(),
        comparison.both.len()
    ))
}
