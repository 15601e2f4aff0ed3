//! `vigie verify`.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vigie_store::{Progress, Reader, VerifyOptions};

use super::{OpenArgs, StoreArgs, key, show};
use crate::error::{Problem, exit};
use crate::monitor::{Monitor, Terminal};
use crate::secrets;

/// Check that everything is there, unaltered and signed.
#[derive(Args)]
#[command(
    after_help = "Without an identity: structure, hashes, signatures, log. With one (a recipient of the mandate): also\nevery digest inside the exhibits.\n\nExample:\n  vigie verify --store store\n  vigie verify --store store --identity case.txt"
)]
pub struct VerifyArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// Also check what the workstation's key opens (asked for, or from this file descriptor).
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<RawFd>,
    /// Also check what only the workstation's key opens; asks for the passphrase.
    #[arg(long)]
    unlocked: bool,
    /// Age identity file of a recipient; may be repeated.
    #[arg(long, value_name = "FILE")]
    identity: Vec<PathBuf>,
    /// Read the passphrase of the identity file from this file descriptor.
    #[arg(long, value_name = "N")]
    identity_passphrase_fd: Option<RawFd>,
    /// As JSON.
    #[arg(long)]
    json: bool,
    /// No progress bars.
    #[arg(long)]
    quiet: bool,
}

struct Bar(Terminal);

impl Progress for Bar {
    fn progress(&self, done: u64, total: u64) {
        self.0.job("verify", done, total);
    }
}

#[derive(Serialize)]
struct Told<'a> {
    sound: bool,
    entries: u64,
    exhibits: u64,
    bytes: u64,
    root: String,
    opened: u64,
    problems: Vec<String>,
    notes: &'a [String],
}

pub fn verify(args: VerifyArgs) -> Result<u8, Problem> {
    let open = OpenArgs { at: args.at.clone(), passphrase_fd: args.passphrase_fd };
    let key = match args.passphrase_fd.is_some() || args.unlocked {
        true => Some(key(&open)?),
        false => secrets::ring::find(&args.at.store),
    };
    let identities = crate::identities::open(&args.identity, args.identity_passphrase_fd)?;
    let identities = identities.into_iter().map(|identity| identity as Box<dyn age::Identity>).collect();
    // A store too damaged to be read is for the report below to describe.
    let reader = key.as_ref().and_then(|key| Some(Reader::open(&args.at.store).ok()?.with_key(key)));
    let bar = Bar(Terminal::new(args.quiet || args.json));
    let mut report = vigie_store::verify(&args.at.store, VerifyOptions { key, identities }, &bar)?;
    bar.0.finish();
    if let (Some(reader), []) = (reader, report.problems.as_slice()) {
        let faults = crate::audit::acts(&reader)?;
        report
            .problems
            .extend(faults.into_iter().map(|(entry, what)| vigie_store::Problem { entry: Some(entry), what }));
    }
    let sound = report.problems.is_empty();
    let told = Told {
        sound,
        entries: report.entries,
        exhibits: report.exhibits,
        bytes: report.bytes,
        root: data_encoding::HEXLOWER.encode(&report.root),
        opened: report.opened,
        problems: report.problems.iter().map(ToString::to_string).collect(),
        notes: &report.notes,
    };
    if args.json {
        show::json(&told)?;
    } else {
        for problem in &told.problems {
            show::line(format!("\u{1b}[31mDAMAGE\u{1b}[0m {problem}"))?;
        }
        for note in told.notes {
            show::line(format!("note   {note}"))?;
        }
        show::line(format!(
            "{} entries, {} exhibits ({} opened), {} bytes",
            told.entries, told.exhibits, told.opened, told.bytes
        ))?;
        show::line(if sound {
            "SOUND: everything that the signed head covers is there and unaltered".to_owned()
        } else {
            format!("UNSOUND: {} problem(s)", told.problems.len())
        })?;
    }
    Ok(if sound { exit::OK } else { exit::UNSOUND })
}
