//! The command line.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use data_encoding::HEXLOWER_PERMISSIVE;
use jiff::Timestamp;
use vigie_config::signers::AllowedSigners;
use vigie_log::cosignature::WitnessKey;
use vigie_time::Root;

use crate::{Known, Report, Status, Unreadable, check};

const AFTER: &str = "Exit codes: 0 green, everything holds; 4 amber, it holds as far as can be seen, and something is left for the\n\
reader to compare or weigh; 5 red, something does not hold; 2 no bundle, or one of a later version; 1 the disk failed.\n\n\
Example:\n  vigie-verify court --fingerprint '3F2A 90C1 …' --witness 'witness.example+0a1b2c3d+BAAA…'";

/// Check what vigie export wrote, without Vigie, its store, its keys or a network.
#[derive(Parser)]
#[command(name = "vigie-verify", version, after_help = AFTER)]
struct Args {
    /// The folder that holds bagit.txt.
    bundle: PathBuf,
    /// A signed head of the log that reached you by another way.
    #[arg(long, value_name = "FILE")]
    head: Option<PathBuf>,
    /// Fingerprint of a head that reached you by another way: 64 hex digits, spaces do not count.
    #[arg(long, value_name = "HEX")]
    fingerprint: Option<String>,
    /// Whose release counts (ssh-keygen(1), ALLOWED SIGNERS).
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
    /// Key of a witness, a line or a file that holds one; may be repeated.
    #[arg(long, value_name = "VKEY")]
    witness: Vec<String>,
    /// Root certificate of a time-stamping authority; may be repeated.
    #[arg(long, value_name = "FILE")]
    tsa_ca: Vec<PathBuf>,
    /// The findings as JSON.
    #[arg(long)]
    json: bool,
}

/// Largest file that is named on the command line, in bytes.
const GIVEN_BYTES: u64 = 4 << 20;

fn given(path: &Path) -> Result<Vec<u8>, Unreadable> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(GIVEN_BYTES).read_to_end(&mut bytes))
        .map_err(|error| Unreadable::Input(format!("reading {}: {error}", path.display())))?;
    Ok(bytes)
}

fn known(args: &Args) -> Result<Known, Unreadable> {
    let input = |said: String| Unreadable::Input(said);
    let text = |bytes: Vec<u8>, path: &Path| {
        String::from_utf8(bytes).map_err(|_| input(format!("{} is no text", path.display())))
    };
    let mut known = Known::default();
    if let Some(path) = &args.head {
        known.head = Some(text(given(path)?, path)?);
    }
    if let Some(digits) = &args.fingerprint {
        let plain: String = digits.chars().filter(|c| !c.is_whitespace() && *c != ':' && *c != '-').collect();
        let sum = HEXLOWER_PERMISSIVE.decode(plain.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        known.fingerprint = Some(sum.ok_or_else(|| input("the fingerprint is not of 64 hex digits".into()))?);
    }
    if let Some(path) = &args.allowed_signers {
        known.signers = Some(AllowedSigners::parse(&given(path)?).map_err(|error| input(error.to_string()))?);
    }
    for one in &args.witness {
        let path = Path::new(one);
        let line = if path.is_file() { text(given(path)?, path)? } else { one.clone() };
        let key = WitnessKey::parse(line.trim_end());
        known
            .witnesses
            .push(key.ok_or_else(|| input(format!("{one} is not the key of a witness (name+hash+base64)")))?);
    }
    for path in &args.tsa_ca {
        let root = Root::parse(&given(path)?).map_err(|error| input(format!("{}: {error}", path.display())))?;
        known.roots.push(root);
    }
    Ok(known)
}

/// Runs the command; gives its exit code.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let report = known(&args).and_then(|known| check(&args.bundle, &known, Timestamp::now()));
    let report = match report {
        Ok(report) => report,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "vigie-verify: {error}");
            return ExitCode::from(if matches!(error, Unreadable::Io { .. }) { 1 } else { 2 });
        }
    };
    let text = if args.json { json(&report) } else { words(&report) };
    if std::io::stdout().write_all(text.as_bytes()).is_err() {
        return ExitCode::from(1);
    }
    ExitCode::from(match report.verdict() {
        Status::Green => 0,
        Status::Amber => 4,
        Status::Red => 5,
    })
}

fn json(report: &Report) -> String {
    let value = serde_json::json!({"verdict": report.verdict(), "bundle": report.bundle,
        "fingerprint": report.fingerprint, "findings": report.findings, "not_checked": report.not_checked});
    format!("{value:#}\n")
}

fn words(report: &Report) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for finding in &report.findings {
        let mark = match finding.status {
            Status::Green => "ok   ",
            Status::Amber => "AMBER",
            Status::Red => "RED  ",
        };
        let _ = writeln!(out, "{mark}  {:<18} {}", finding.name, finding.said);
    }
    out.push_str("\nNot checked:\n");
    for said in &report.not_checked {
        let _ = writeln!(out, "  - {said}");
    }
    let verdict = match report.verdict() {
        Status::Green => "GREEN: everything that can be checked here holds",
        Status::Amber => "AMBER: nothing is wrong, and what is marked AMBER is left for you to compare or weigh",
        Status::Red => "RED: do not rely on this folder; what is marked RED does not hold",
    };
    let _ = writeln!(out, "\n{verdict}");
    out
}
