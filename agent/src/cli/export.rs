//! `vigie export` and `vigie release`.

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};
use vigie_export::bag;
use vigie_store::{Kind, Reader};

use super::{SandboxArgs, SignArgs, clock, file, key, open_with, show};
use crate::act::{ActEntry, Actor, sha256};
use crate::error::{Failing, Problem, exit};
use crate::export::plan::{self, Plan, Shown};
use crate::export::{self, Order};
use crate::monitor::Terminal;
use crate::parts::{DrawPool, Launcher, ParsePool};
use crate::rows::{ExportRow, RELEASE};
use crate::{identities, mandates, outside};

/// Namespace of a second person's signature.
const NAMESPACE: &str = "vigie-release";
/// File of that signature, beside the manifest.
const SIGNATURE: &str = "release.sig";
/// Largest manifest, in bytes.
const MANIFEST_BYTES: u64 = 64 << 20;

/// Make a folder for a court: open and sealed layer, proofs, and how to check them.
#[derive(Args)]
#[command(
    after_help = "The same command goes on with an export that was stopped. Each line of the redaction list is a value that must\nnot stand in the open layer; pseudonyms, cookies, credentials and agents' keys never do.\n\nExample:\n  vigie export --case C-2026-004 --exhibits 1,4-9 --dry-run --store store --purpose 'file for the prosecutor'\n  vigie export --case C-2026-004 --exhibits all --identity case.txt --to court --store store --purpose 'file for the prosecutor'"
)]
pub struct ExportArgs {
    /// Case.
    #[arg(long, value_name = "ID")]
    case: String,
    /// Exhibits: `all`, or numbers and ranges like 1,4-9.
    #[arg(long, value_name = "LIST")]
    exhibits: String,
    /// The folder to make, or one ZIP file when the name ends in .zip; it must not exist.
    #[arg(long, value_name = "DIR|FILE.zip", required_unless_present = "dry_run")]
    to: Option<PathBuf>,
    /// Age identity file of a recipient; may be repeated.
    #[arg(long, value_name = "FILE", required_unless_present = "dry_run")]
    identity: Vec<PathBuf>,
    /// Read the passphrase of the identity file from this file descriptor.
    #[arg(long, value_name = "N")]
    identity_passphrase_fd: Option<RawFd>,
    /// Values that must not stand in the open layer: one on each line.
    #[arg(long, value_name = "FILE")]
    redact: Option<PathBuf>,
    /// Seal the sealed layer to this recipient instead of leaving it as captured; may be repeated.
    #[arg(long, value_name = "age1…", conflicts_with = "open_only")]
    seal_to: Vec<String>,
    /// Leave the sealed layer out.
    #[arg(long)]
    open_only: bool,
    /// Say what would go in, and make nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    sign: SignArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    /// The result as JSON.
    #[arg(long)]
    json: bool,
    /// No progress bars.
    #[arg(long)]
    quiet: bool,
}

/// What would go in.
#[derive(Serialize)]
struct Preview {
    case: String,
    exhibits: usize,
    disclosed: String,
    not_chosen: String,
    erased: String,
    sealed_bytes: u64,
    second_signature: bool,
}

impl Preview {
    fn of(plan: &Plan) -> Self {
        let of = |wanted: Shown| {
            let numbers: Vec<u64> =
                plan.exhibits.values().filter(|one| one.shown == wanted).map(|one| one.number).collect();
            plan::ranges(&numbers)
        };
        Self {
            case: plan.case.clone(),
            exhibits: plan.exhibits.len(),
            disclosed: of(Shown::Disclosed),
            not_chosen: of(Shown::NotChosen),
            erased: of(Shown::Erased),
            sealed_bytes: plan.sealed_bytes(),
            second_signature: plan.two_persons,
        }
    }
}

pub fn run(args: ExportArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let chosen = plan::choice(&args.exhibits)?;
    let listed = match &args.redact {
        Some(list) => file::read_text(list, "redaction list")?,
        None => String::new(),
    };
    let listed: Vec<String> =
        listed.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect();
    // Without a slash at its end, which would put what is under way inside the folder.
    let to = args.to.as_deref().map(|to| to.components().collect::<PathBuf>());
    if let Some(to) = to.as_deref().filter(|to| to.exists() || to.file_name().is_none()) {
        return Err(Problem::input(format!("{} exists already: name another folder", to.display())));
    }
    let identities = identities::open(&args.identity, args.identity_passphrase_fd)?;
    let folder = &args.sign.open.at.store;
    let key = key(&args.sign.open)?;
    let store = open_with(folder, key.clone())?;
    let reader = Reader::open(folder)?.with_key(&key);
    let plan = plan::plan(&store, &reader, &key, &args.case, chosen.as_ref())?;
    if args.dry_run {
        return preview(&Preview::of(&plan), args.json);
    }
    let Some(to) = to else { return Err(Problem::input("where to? name a folder with --to")) };
    if plan.disclosed().next().is_none() {
        return Err(Problem::input(format!("nothing of case {} would go in: see --dry-run", args.case)));
    }
    let agent = args.sign.agent_key()?;
    let now = clock().stamp().wall;
    let mandate = mandates::chosen(plan.mandates.iter().rev().map(|one| Ok(one.clone())), &agent, now)?
        .ok_or_else(|| Problem::unsound("a case without a mandate"))?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let launcher = Arc::new(Launcher::start(&args.sandbox.dangerously_without_sandbox, None, &[])?);
    let monitor = Terminal::new(args.quiet);
    let mut order = Order {
        store: &store,
        reader,
        key: &key,
        identities: &identities,
        plan,
        listed,
        seal_to: args.seal_to,
        open_only: args.open_only,
        to,
        pages: Arc::new(ParsePool::new(Arc::clone(&launcher))),
        pictures: DrawPool::new(launcher),
        monitor: &monitor,
    };
    let made = export::make(&mut order, &actor, &args.sign.purpose, now);
    super::head_leaves(folder)?;
    let report = match made {
        Err(problem) if problem.refusal == Some("not-a-recipient") => {
            return Err(outside::refuse(&store, outside::about_mandate(mandate.id()), problem));
        }
        other => other?,
    };
    if args.json {
        show::json(&report)?;
        return Ok(exit::OK);
    }
    for note in &report.notes {
        show::warning(note);
    }
    let guide =
        if std::path::Path::new(&report.folder).is_dir() { format!("{}/", report.folder) } else { String::new() };
    show::line(format!(
        "{}: {} of {} exhibits of case {}, {} values taken out of the open layer; log entry {}; how to check it: {guide}data/VERIFY.txt",
        report.folder, report.disclosed, report.exhibits, args.case, report.redactions, report.entry
    ))?;
    if report.awaits_release {
        show::line(format!(
            "it may not leave yet: a second person signs it (ssh-keygen -Y sign -n {NAMESPACE} -f KEY {}/{}), then vigie release",
            report.folder,
            bag::MANIFEST
        ))?;
    }
    Ok(exit::OK)
}

fn preview(preview: &Preview, json: bool) -> Result<u8, Problem> {
    if json {
        show::json(preview)?;
        return Ok(exit::OK);
    }
    let or_none = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    show::line(format!("case {} has {} exhibits", preview.case, preview.exhibits))?;
    show::line(format!("would go in:  {} ({} bytes sealed)", or_none(&preview.disclosed), preview.sealed_bytes))?;
    show::line(format!("left out:     {}, listed by number, time and digest", or_none(&preview.not_chosen)))?;
    show::line(format!("erased:       {}, listed", or_none(&preview.erased)))?;
    if preview.second_signature {
        show::line("the mandate asks for the signature of a second person before it may leave")?;
    }
    Ok(exit::OK)
}

/// Take in the signature of a second person, without which an export may not leave.
#[derive(Args)]
#[command(
    after_help = "Example:\n  ssh-keygen -Y sign -n vigie-release -f magistrate_key court/manifest-sha256.txt\n  vigie release court --signature court/manifest-sha256.txt.sig --store store --purpose 'released by the magistrate'"
)]
pub struct ReleaseArgs {
    /// The export's folder.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Signature over its manifest, by an allowed signer for `vigie-release` who is not the agent.
    #[arg(long, value_name = "FILE")]
    signature: PathBuf,
    #[command(flatten)]
    sign: SignArgs,
}

pub fn release(args: ReleaseArgs) -> Result<u8, Problem> {
    args.sign.check()?;
    let manifest = read(&args.folder.join(bag::MANIFEST))?;
    let signature = read(&args.signature)?;
    let key = key(&args.sign.open)?;
    let agent = args.sign.agent_key()?;
    let store = open_with(&args.sign.open.at.store, key)?;
    let now = clock().stamp().wall;
    let info = String::from_utf8_lossy(&read(&args.folder.join("bag-info.txt"))?).into_owned();
    let bundle =
        info.lines().find_map(|line| line.strip_prefix("External-Identifier: ")).unwrap_or_default().to_owned();
    let exports = mandates::rows::<ExportRow>(&store, Kind::Export)?;
    let Some((_, row)) =
        exports.into_iter().rev().find(|(_, row)| row.form == crate::rows::BUNDLE && row.label == bundle)
    else {
        return Err(Problem::input(format!("{} is no export of this store", args.folder.display())));
    };
    let signer = mandates::signers(&store)?
        .verify(NAMESPACE, &manifest, &signature, now)
        .map_err(|e| Problem::refused(format!("the release does not count: {e}")))?;
    let who = signer.principals.join(",");
    let own_key = agent.public().fingerprint(ssh_key::HashAlg::Sha256).to_string();
    let theirs = crate::act::fingerprint(&String::from_utf8_lossy(&signature));
    let made_by = crate::act::fingerprint(&row.act.signature);
    if theirs == Some(own_key) || theirs == made_by {
        return Err(Problem::refused("the release does not count: a second person has to sign, and this is the first"));
    }
    let mandate = crate::mandates::all(&store)?
        .into_iter()
        .rev()
        .map(|(_, row)| mandates::read(&store, &row.id))
        .filter(|mandate| mandate.as_ref().map_or(true, |mandate| mandate.case() == row.case));
    let mandate =
        mandates::chosen(mandate, &agent, now)?.ok_or_else(|| Problem::unsound("a case without a mandate"))?;
    let actor = Actor::new(&store, &mandate, &agent, now)?;
    let digest = sha256(&Sha256::digest(&manifest).into());
    let own =
        [("form", RELEASE.to_owned()), ("label", bundle.clone()), ("manifest", digest), ("released-by", who.clone())];
    let act = actor.sign(&store, Kind::Export, now, &args.sign.purpose, &own)?;
    let row = ExportRow { form: RELEASE.into(), label: bundle.clone(), act: act.clone(), ..row };
    let private = serde_json::json!({"label": bundle, "released_by": who,
        "signature": String::from_utf8_lossy(&signature)});
    let receipt =
        actor.log(&store, &act, ActEntry { kind: Kind::Export, row: &row, private, state: Vec::new() }, now)?;
    let to = args.folder.join(SIGNATURE);
    std::fs::write(&to, &signature).failing(format!("writing {}", to.display()))?;
    let inside = args.signature.parent().is_some_and(|parent| same(parent, &args.folder));
    if inside && args.signature != to {
        std::fs::remove_file(&args.signature).failing(format!("moving {}", args.signature.display()))?;
    }
    bag::seal_tags(&args.folder).failing(format!("sealing {}", args.folder.display()))?;
    super::head_leaves(&args.sign.open.at.store)?;
    show::line(format!("{bundle}: released by {who}; log entry {}", receipt.sequence))?;
    Ok(exit::OK)
}

fn same(one: &Path, other: &Path) -> bool {
    std::fs::canonicalize(one).ok().zip(std::fs::canonicalize(other).ok()).is_some_and(|(one, other)| one == other)
}

fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    use std::io::Read;
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(MANIFEST_BYTES).read_to_end(&mut bytes))
        .map_err(|e| Problem::input(format!("reading {}: {e}", path.display())))?;
    Ok(bytes)
}
