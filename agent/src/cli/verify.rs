//! `vigie verify`.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use vigie_store::{KnownHead, Reader, VerifyOptions, cosigned_at};

use super::file::read_text;
use super::{OpenArgs, StoreArgs, key, outside, proof, show};
use crate::error::{Problem, exit};
use crate::monitor::{Monitor, Terminal};
use crate::secrets;

/// Check that everything is there, unaltered and signed.
#[derive(Args)]
#[command(
    after_help = "Without an identity: structure, hashes, signatures, log. With one (a recipient of the mandate): also\nevery digest inside the exhibits.\n\nExample:\n  vigie verify --store store\n  vigie verify --store store --identity case.txt\n  vigie verify --store store --heads cosigned.txt --witness 'witness.example+5e6f7a8b+BA…'"
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
    /// Count the cosignatures of this witness alone, by its verifier key, whomever the log trusts.
    /// May be repeated.
    #[arg(long, value_name = "VKEY")]
    witness: Vec<String>,
    /// A checkpoint of this log that was kept elsewhere, or a folder with those that left for time
    /// stamping: the log must go on from them all; may be repeated.
    #[arg(long, value_name = "PATH")]
    heads: Vec<PathBuf>,
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

#[derive(Serialize)]
struct Told<'a> {
    sound: bool,
    entries: u64,
    exhibits: u64,
    bytes: u64,
    root: String,
    opened: u64,
    witnessed: Option<Vouched>,
    unwitnessed: u64,
    unwitnessed_since: Option<String>,
    stamps: Vec<Stamp>,
    sessions: Vec<Session>,
    descriptors: Vec<Published>,
    /// Entries of an earlier history that are missing, who accepted it and why.
    given_up: Vec<String>,
    problems: Vec<String>,
    notes: &'a [String],
}

/// The largest head that a witness cosigned.
#[derive(Serialize)]
pub(super) struct Vouched {
    entries: u64,
    cosignatures: Vec<By>,
}

#[derive(Serialize)]
struct By {
    witness: String,
    key: String,
    time: Option<String>,
}

impl Vouched {
    pub(super) fn of(head: &vigie_store::CosignedHead) -> Self {
        let by = head.cosignatures.iter().map(|by| By {
            witness: by.witness.name().to_owned(),
            key: by.witness.to_string(),
            time: cosigned_at(by).map(|time| time.to_string()),
        });
        Self { entries: head.size, cosignatures: by.collect() }
    }
}

impl std::fmt::Display for Vouched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} entries", self.entries)?;
        for by in &self.cosignatures {
            write!(f, ", by {} at {}", by.witness, by.time.as_deref().unwrap_or("no time"))?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct Stamp {
    entry: u64,
    size: u64,
    time: String,
    authority: String,
    serial: String,
}

/// When a session cannot have begun before.
#[derive(Serialize)]
struct Session {
    entry: u64,
    session: String,
    recorded: String,
    not_before: String,
    consensus_sha256: String,
    signed: usize,
    authorities: usize,
}

/// What the holder of an onion service's key signed.
#[derive(Serialize)]
struct Published {
    entry: u64,
    session: String,
    target: String,
    onion: String,
    sha256: String,
    from: String,
    until: String,
    fetched: String,
    revision: u64,
    exhibits: Vec<u64>,
}

pub fn verify(args: VerifyArgs) -> Result<u8, Problem> {
    let open = OpenArgs { at: args.at.clone(), passphrase_fd: args.passphrase_fd };
    let key = match args.passphrase_fd.is_some() || args.unlocked {
        true => Some(key(&open)?),
        false => secrets::ring::find(&args.at.store),
    };
    let identities = crate::identities::open(&args.identity, args.identity_passphrase_fd)?;
    let identities = identities.into_iter().map(|identity| identity as Box<dyn age::Identity>).collect();
    let mut heads = Vec::new();
    let (folders, files): (Vec<_>, Vec<_>) = args.heads.iter().cloned().partition(|path| path.is_dir());
    for file in &files {
        let whence = file.display().to_string();
        let text = read_text(file, "checkpoint")?;
        heads.push(KnownHead { whence, text });
    }
    let witnesses = proof::witness_keys(&args.witness)?;
    // A store too damaged to be read is for the report below to describe.
    let reader = key.as_ref().and_then(|key| Some(Reader::open(&args.at.store).ok()?.with_key(key)));
    let bar = show::Bar(Terminal::new(args.quiet || args.json), "verify");
    let outside = outside(&args.at.store)?;
    let options = VerifyOptions { key, identities, heads, witnesses, outside };
    let mut report = vigie_store::verify_against(&args.at.store, options, &folders, &bar)?;
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
        witnessed: report.witnessed.as_ref().map(Vouched::of),
        unwitnessed: report.unwitnessed,
        unwitnessed_since: report.unwitnessed_since.map(|since| since.to_string()),
        stamps: report.stamps.into_iter().map(told_stamp).collect(),
        sessions: report.sessions.into_iter().map(told_session).collect(),
        descriptors: report.descriptors.into_iter().map(told_descriptor).collect(),
        given_up: report.given_up.iter().map(ToString::to_string).collect(),
        problems: report.problems.iter().map(ToString::to_string).collect(),
        notes: &report.notes,
    };
    if args.json {
        show::json(&told)?;
    } else {
        for problem in &told.problems {
            show::line(format!("\u{1b}[31mDAMAGE\u{1b}[0m {problem}"))?;
        }
        for s in &told.sessions {
            show::line(format!(
                "time   entry {}: session {} says {}; its Tor consensus, signed by {} of {} authorities, was made for {} at the earliest",
                s.entry,
                &s.session[..8.min(s.session.len())],
                s.recorded,
                s.signed,
                s.authorities,
                s.not_before
            ))?;
        }
        for s in &told.stamps {
            let last = s.size.saturating_sub(1);
            show::line(format!(
                "time   entry {}: entries 0 to {last} existed by {} ({})",
                s.entry, s.time, s.authority
            ))?;
        }
        for d in &told.descriptors {
            show::line(format!(
                "origin entry {}: the holder of {}'s onion key signed the descriptor kept for {} to {}; {}",
                d.entry,
                d.target,
                d.from,
                d.until,
                show::numbered("exhibit", &d.exhibits)
            ))?;
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

fn told_stamp(stamped: vigie_store::Stamped) -> Stamp {
    let vigie_store::Stamped { entry, size, time, authority, serial } = stamped;
    Stamp { entry, size, time: time.to_string(), authority, serial }
}

fn told_session(session: vigie_store::SessionTime) -> Session {
    Session {
        entry: session.entry,
        session: session.session,
        recorded: session.recorded.to_string(),
        not_before: session.not_before.to_string(),
        consensus_sha256: session.consensus_sha256,
        signed: session.signed,
        authorities: session.authorities,
    }
}

fn told_descriptor(kept: vigie_store::KeptDescriptor) -> Published {
    Published {
        entry: kept.entry,
        session: kept.session,
        target: kept.target,
        onion: kept.onion,
        sha256: kept.sha256,
        from: kept.from.to_string(),
        until: kept.until.to_string(),
        fetched: kept.fetched.to_string(),
        revision: kept.revision,
        exhibits: kept.exhibits,
    }
}
