//! `vigie exhibit open`: an exhibit read by one of its recipients, in memory.

use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};
use vigie_store::{OpenedExhibit, Reader, StoreError};
use vigie_warc::{Payload, RecordHead, WarcError, WarcReader, check_each_with};
use vigie_wire::limits::DECODED_BODY_BYTES;
use vigie_wire::parse::Document;

use super::{SandboxArgs, SignArgs, clock, key, open_with, show};
use crate::act::Actor;
use crate::error::{Failing, Problem, exit};
use crate::parts::{Launcher, ParsePool};
use crate::rows::{OPENED_FILE, OPENED_MEMORY};
use crate::{identities, mandates, outside};

/// Open an exhibit as one of its recipients.
#[derive(Args)]
#[command(
    after_help = "The bytes stay in memory unless --to is given. Without --record: a list of what the exhibit holds.\n\nExample:\n  vigie exhibit open 3 --identity review.txt --store store --purpose 'daily review'\n  vigie exhibit open 3 --identity review.txt --store store --purpose 'daily review' --record 3 --body"
)]
pub struct ReviewArgs {
    /// Exhibit number.
    #[arg(value_name = "N")]
    number: u64,
    /// Age identity file of a recipient (in clear, under a passphrase, or of a plugin); may be
    /// repeated.
    #[arg(long, value_name = "FILE", required = true)]
    identity: Vec<PathBuf>,
    /// Read the passphrase of the identity file from this file descriptor.
    #[arg(long, value_name = "N")]
    identity_passphrase_fd: Option<RawFd>,
    /// Print the block of this record, byte for byte.
    #[arg(long, value_name = "K", conflicts_with = "to")]
    record: Option<u64>,
    /// Of a response: only the body, without transfer and content coding.
    #[arg(long, requires = "record")]
    body: bool,
    /// Write the opened exhibit (.warc.gz) to this file; it must not exist. Whoever has the file can
    /// read it: the log says that it was made.
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// The list as JSON.
    #[arg(long, conflicts_with_all = ["record", "to"])]
    json: bool,
}

/// One record of the list.
#[derive(Serialize)]
struct Listed {
    record: u64,
    kind: String,
    time: String,
    url: String,
    content_type: String,
    bytes: u64,
    digests: &'static str,
    /// Of the facts of an exchange: how it came.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    came: Vec<String>,
}

/// Facts that say how an exchange came, by their names in the record.
const CAME: [&str; 9] =
    ["tls", "tls-cipher-suite", "tls-certificate", "tls-chain", "exit", "exit-circuit", "answer", "amber", "two-exits"];
/// Largest block of facts read, in bytes.
const FACTS_BYTES: usize = 4 << 20;

/// Those facts as lines; a certificate by its digest.
fn came(block: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(block);
    let facts = text.lines().filter_map(|line| line.split_once(": "));
    let digest = |value: &str| match data_encoding::BASE64.decode(value.trim().as_bytes()) {
        Ok(der) => format!("sha256:{}", data_encoding::HEXLOWER.encode(&Sha256::digest(der))),
        Err(_) => "not readable".to_owned(),
    };
    facts
        .filter(|(name, _)| CAME.contains(name))
        .map(|(name, value)| match name {
            "tls-chain" => format!("{name}: {}", digest(value)),
            _ => format!("{name}: {}", value.trim()),
        })
        .collect()
}

pub fn open(args: ReviewArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    if let Some(to) = args.to.as_deref().filter(|to| to.exists()) {
        return Err(Problem::input(format!("{} exists already: name another file", to.display())));
    }
    let identities = identities::open(&args.identity, args.identity_passphrase_fd)?;
    let key = key(&args.sign.open)?;
    let agent = args.sign.agent_key()?;
    let store = open_with(&args.sign.open.at.store, key)?;
    let reader = Reader::open(&args.sign.open.at.store)?;
    let (entry, _) = reader.exhibit(args.number)?;
    let mandate = mandates::of_exhibit(&store, &entry)?;
    let now = clock().stamp().wall;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let opened = match reader.open_exhibit(args.number, &identities) {
        Err(error @ StoreError::NotARecipient { .. }) => {
            let problem = Problem { refusal: Some("not-a-recipient"), ..Problem::refused(error.to_string()) };
            return Err(outside::refuse(&store, outside::about_mandate(mandate.id()), problem));
        }
        other => other?,
    };
    // Logged before the first byte is made readable: nothing is read without an entry.
    let form = if args.to.is_some() { OPENED_FILE } else { OPENED_MEMORY };
    actor.read(&store, args.number, form, &args.sign.purpose, now)?;
    match (&args.to, args.record) {
        (Some(to), _) => copy(opened, to),
        (None, Some(record)) => {
            let pages = if args.body {
                let launcher = Launcher::start(&args.sandbox.dangerously_without_sandbox, None, &[])?;
                Some(ParsePool::new(Arc::new(launcher)))
            } else {
                None
            };
            print(opened, record, pages.as_ref())
        }
        (None, None) => list(opened, args.json),
    }
}

fn copy(mut opened: OpenedExhibit, to: &Path) -> Result<u8, Problem> {
    let trying = format!("writing the opened exhibit to {}", to.display());
    let mut file = std::fs::File::create_new(to).failing(&trying)?;
    let done = io::copy(&mut opened, &mut file).and_then(|bytes| file.sync_all().map(|()| bytes)).failing(&trying);
    let sound = done.and_then(|bytes| opened.finish().map(|_| bytes).map_err(Problem::from));
    match sound {
        Ok(bytes) => {
            show::line(format!("{bytes} bytes, opened, in {}: keep it where only you can read it", to.display()))?;
            Ok(exit::OK)
        }
        Err(problem) => {
            let _ = std::fs::remove_file(to);
            Err(problem)
        }
    }
}

fn list(mut opened: OpenedExhibit, json: bool) -> Result<u8, Problem> {
    let mut listed = Vec::new();
    check_each_with(&mut opened, "metadata", FACTS_BYTES, |record, block| {
        let field = |name: &str| record.head.field(name).unwrap_or_default().to_owned();
        listed.push(Listed {
            record: listed.len() as u64 + 1,
            kind: field("WARC-Type"),
            time: field("WARC-Date"),
            url: field("WARC-Target-URI"),
            content_type: field("Content-Type"),
            bytes: record.head.length,
            digests: if record.findings.is_empty() { "hold" } else { "WRONG" },
            came: came(&block),
        });
    })
    .map_err(damaged)?;
    opened.finish()?;
    if json {
        show::json(&listed)?;
    } else {
        let rows: Vec<_> = listed
            .iter()
            .map(|r| {
                let (record, bytes) = (r.record.to_string(), r.bytes.to_string());
                vec![
                    record,
                    r.kind.clone(),
                    r.time.clone(),
                    bytes,
                    r.digests.to_owned(),
                    r.content_type.clone(),
                    r.url.clone(),
                ]
            })
            .collect();
        show::table(&["RECORD", "TYPE", "TIME", "BYTES", "DIGESTS", "CONTENT TYPE", "URL"], &rows)?;
        for record in listed.iter().filter(|record| !record.came.is_empty()) {
            show::line(format!("record {} says how {} came", record.record, record.url))?;
            // Addresses and names come from the far side.
            record.came.iter().try_for_each(|fact| show::line(format!("  {}", readable(fact.as_bytes()))))?;
        }
    }
    Ok(if listed.iter().all(|record| record.digests == "hold") { exit::OK } else { exit::UNSOUND })
}

fn damaged(error: WarcError) -> Problem {
    Problem::unsound(format!("reading the exhibit: {error}"))
}

/// Prints one record. Everything is read before anything is said to be sound, and nothing of a
/// hostile page reaches a terminal but text.
fn print(mut opened: OpenedExhibit, wanted: u64, body: Option<&ParsePool>) -> Result<u8, Problem> {
    let mut warc = WarcReader::new(&mut opened);
    let mut number = 0;
    let mut found = None;
    while let Some(taken) = warc
        .next(|head, block| {
            number += 1;
            if number != wanted {
                return Ok(None);
            }
            let mut bytes = Vec::new();
            block.read_to_end(&mut bytes)?;
            Ok(Some((head.clone(), bytes)))
        })
        .map_err(damaged)?
    {
        found = found.or(taken);
    }
    opened.finish()?;
    let Some((head, block)) = found else {
        return Err(Problem::input(format!("the exhibit has {number} records: name one of them")));
    };
    let bytes = match body {
        Some(pages) => decoded(&head, &block, pages)?,
        None => block,
    };
    let mut out = io::stdout();
    let written = if out.is_terminal() { out.write_all(readable(&bytes).as_bytes()) } else { out.write_all(&bytes) };
    match written.and_then(|()| out.flush()) {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(exit::OK),
        other => other.failing("writing to standard output").map(|()| exit::OK),
    }
}

/// The body of a response, for reading.
fn decoded(head: &RecordHead, block: &[u8], pages: &ParsePool) -> Result<Vec<u8>, Problem> {
    if head.field("WARC-Type") != Some("response") {
        return Err(Problem::input("only a response has a body: leave out --body"));
    }
    let mut body = Vec::new();
    Payload::default().feed(block, &mut |bytes| body.extend_from_slice(bytes));
    let (bytes, warnings) = pages
        .body(Document {
            url: String::new(),
            content_type: None,
            content_encoding: content_encoding(block).map(Bytes::from),
            headers: Vec::new(),
            body: body.into(),
            cut: head.field("WARC-Truncated").is_some(),
            decoded_bytes: DECODED_BODY_BYTES as u32,
        })
        .failing("decoding the body: print it without --body")?;
    for warning in warnings {
        show::warning(&warning);
    }
    Ok(bytes.into())
}

/// The `Content-Encoding` of a response block; several are one list (RFC 9110 section 5.3).
fn content_encoding(block: &[u8]) -> Option<String> {
    let end = block.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(block.len());
    let head = String::from_utf8_lossy(&block[..end]);
    let fields = head.lines().filter_map(|line| line.split_once(':'));
    let values: Vec<&str> = fields
        .filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"))
        .map(|(_, value)| value.trim())
        .collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// Text for a terminal: a page must not be able to speak to it.
fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    text.chars().map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{b7}' } else { c }).collect()
}
