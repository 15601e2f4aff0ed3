//! The command line: a file per group of commands.

mod backup;
mod checkpoint;
mod corroborate;
mod custody;
mod descriptor;
mod doctor;
mod exhibit;
mod export;
mod file;
mod finding;
mod firewall;
mod handover;
mod init;
mod log;
mod mandate;
mod passphrase;
mod profile;
mod profile_key;
mod proof;
mod render;
mod restore;
mod retention;
mod review;
mod run;
mod share;
mod show;
mod status;
mod store;
mod timestamp;
mod tor;
mod verify;
mod witness;

use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, CommandFactory, Parser, Subcommand};
use secrecy::SecretString;
use vigie_store::clock::Clock;
use vigie_store::{Outside, Reader, Settings, Store, StoreError, StoreEvents, WorkstationKey};
use vigie_wire::control::Protection;

use crate::clock::SystemClock;
use crate::error::{Problem, exit};
use crate::secrets::{self, Secret};

/// Watches dark-web markets and second-hand sites through Tor, inside a signed mandate, and keeps
/// what it sees as sealed, tamper-evident evidence.
#[derive(Parser)]
#[command(name = "vigie", version, propagate_version = true, after_long_help = EXIT_CODES, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Longest purpose, in bytes.
const PURPOSE_BYTES: usize = 1000;

const EXIT_CODES: &str = "\
Exit codes:
  0    all that was asked for was done and is sound
  1    the machine, the disk, Tor or the far side failed; nothing acknowledged is lost
  2    arguments, a file or a document are wrong
  3    refused: the mandate does not permit it
  4    done in part: some captures failed or are incomplete (vigie log says which)
  5    unsound: verification found damage
  6    locked: a passphrase is missing or wrong
  130  stopped by Ctrl-C or SIGTERM after an orderly end

Example:
  vigie init store --allowed-signers allowed_signers --origin vigie.example/desk-1
  vigie mandate add mandate.toml --store store
  vigie profile new profile.toml --store store
  vigie run --once --store store --purpose 'offers of ivory'
  vigie verify --store store";

#[derive(Subcommand)]
enum Command {
    /// Set up a workstation's store: keys, allowed signers, origin name.
    Init(init::Init),
    /// Keep the store's key in the kernel's key ring for a while, so that commands need no passphrase.
    Unlock(init::Unlock),
    /// Forget the store's key.
    Lock(init::Lock),
    /// Give the store's key a new passphrase.
    Passphrase(passphrase::PassphraseArgs),
    /// In an emergency: destroy the keys of the store and its profiles.
    Wipe(passphrase::WipeArgs),
    /// Check, add, list, show and revoke mandates.
    #[command(
        subcommand,
        after_help = "Example:\n  vigie mandate check mandate.toml --allowed-signers allowed_signers"
    )]
    Mandate(mandate::MandateCommand),
    /// Make and list profiles (pseudonyms), import their sessions.
    #[command(subcommand, after_help = "Example:\n  vigie profile list --store store")]
    Profile(profile::ProfileCommand),
    /// Capture one address.
    Capture(run::CaptureArgs),
    /// Work through a mandate's targets.
    Run(run::RunArgs),
    /// What the store holds and whether anything needs attention.
    Status(status::StatusArgs),
    /// What Tor keeps for this workstation: network, guards, consensus, bridges.
    #[command(subcommand, after_help = "Example:\n  vigie tor status --store store")]
    Tor(tor::TorCommand),
    /// Whether this workstation is fit for a run.
    Doctor(doctor::DoctorArgs),
    /// Print a packet filter that lets Vigie reach Tor's relays and nothing else.
    Firewall(firewall::FirewallArgs),
    /// List exhibits.
    Exhibits(exhibit::ExhibitsArgs),
    /// Take out one exhibit.
    #[command(
        subcommand,
        after_help = "Example:\n  vigie exhibit get 3 --sealed --to 3.age --store store --purpose 'for the custodian'"
    )]
    Exhibit(exhibit::ExhibitCommand),
    /// Draw a page of a plain file as a picture.
    Render(render::RenderArgs),
    /// Show the log; prove that an entry is in it.
    Log(log::LogArgs),
    /// Print the signed head of the log, as text and as a QR code.
    Checkpoint(checkpoint::CheckpointArgs),
    /// The life of one exhibit: who captured, read, exported it, when and why.
    Custody(custody::CustodyArgs),
    /// Signed descriptors of onion services: what their key holders published.
    #[command(subcommand, after_help = "Example:\n  vigie descriptor list --store store")]
    Descriptor(descriptor::DescriptorCommand),
    /// Make a folder for a court: open and sealed layer, proofs, and how to check them.
    Export(Box<export::ExportArgs>),
    /// Take in the signature of a second person, without which an export may not leave.
    Release(Box<export::ReleaseArgs>),
    /// What was seen in exhibits: offers, with codes for wildlife.
    #[command(subcommand, after_help = "Example:\n  vigie finding list --store store")]
    Finding(finding::FindingCommand),
    /// Give findings to a partner whom the mandate names, without persons.
    Share(Box<share::ShareArgs>),
    /// Partners' signed answers to what was shared.
    #[command(
        subcommand,
        after_help = "Example:\n  vigie annotation add answer.toml --signature answer.toml.sig --share 42 --store store --purpose 'answer of the fund'"
    )]
    Annotation(share::AnnotationCommand),
    /// Compare two captures of the same target that were made apart.
    Corroborate(Box<corroborate::CorroborateArgs>),
    /// How long evidence is kept, and its end.
    #[command(subcommand, after_help = "Example:\n  vigie retention list --store store")]
    Retention(retention::RetentionCommand),
    /// Copy the whole store to another medium.
    Backup(backup::BackupArgs),
    /// Make a store of a backup; accept that one lost what its backup lacks.
    Restore(Box<restore::RestoreArgs>),
    /// Let another workstation's log go on from this one.
    #[command(
        subcommand,
        after_help = "Example:\n  vigie handover from handover.txt --store store --purpose 'desk 1 is replaced'"
    )]
    Handover(handover::HandoverCommand),
    /// Look at the store's own parts, rebuild its catalogue.
    #[command(subcommand, after_help = "Example:\n  vigie store check --store store")]
    Store(store::StoreCommand),
    /// Bound the time of the log from above: RFC 3161 time stamps on its signed head.
    #[command(subcommand, after_help = "Example:\n  vigie timestamp export --to /media/stick --store store")]
    Timestamp(timestamp::TimestampCommand),
    /// Check that everything is there, unaltered and signed.
    Verify(verify::VerifyArgs),
    /// Have the log's head cosigned by a witness, without a network.
    #[command(subcommand, after_help = "Example:\n  vigie witness export --to /media/stick --store store")]
    Witness(witness::WitnessCommand),
    /// Print shell completions.
    #[command(after_help = "Example:\n  vigie completions bash > /etc/bash_completion.d/vigie")]
    Completions {
        /// Shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff).
    #[command(after_help = "Example:\n  vigie man > /usr/local/share/man/man1/vigie.1")]
    Man,
}

/// Options of every command that has a store.
#[derive(Args, Clone)]
pub struct StoreArgs {
    /// The store's directory.
    #[arg(long, value_name = "DIR", env = "VIGIE_STORE", global = false)]
    store: PathBuf,
}

/// Options of every command that opens the store.
#[derive(Args, Clone)]
pub struct OpenArgs {
    #[command(flatten)]
    at: StoreArgs,
    /// Read the store's passphrase from this file descriptor (else: key ring, systemd credential
    /// `vigie.store`, prompt).
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<RawFd>,
}

/// Options of commands that start Vigie's other processes.
#[derive(Args, Clone)]
pub struct SandboxArgs {
    /// Run although the kernel offers less protection than Vigie wants: name each that is missing.
    /// Every record says so.
    #[arg(long, value_name = "landlock,seccomp", value_delimiter = ',', value_parser = protection)]
    dangerously_without_sandbox: Vec<Protection>,
}

fn protection(name: &str) -> Result<Protection, String> {
    Protection::named(name).ok_or_else(|| "name landlock, seccomp or both".to_owned())
}

/// Options of commands that an agent signs.
#[derive(Args, Clone)]
pub struct AgentArgs {
    /// The agent's SSH key: a private key, or the .pub of one held by an SSH agent or a FIDO
    /// token (else: `agent.key` of vigie.toml).
    #[arg(long, value_name = "FILE")]
    agent_key: Option<PathBuf>,
    /// Read the passphrase of the agent's key from this file descriptor.
    #[arg(long, value_name = "N")]
    agent_passphrase_fd: Option<RawFd>,
    /// The workstation's configuration (else: vigie.toml beside the store).
    #[arg(long, value_name = "FILE", env = "VIGIE_CONFIG")]
    config: Option<PathBuf>,
}

/// Options of every command that acts under a pseudonym.
#[derive(Args, Clone)]
pub struct WhoseArgs {
    /// Mandate (else: the only one).
    #[arg(long, value_name = "ID")]
    mandate: Option<String>,
    /// Pseudonym (else: the case's only one).
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Read the profile's passphrase from this file descriptor.
    #[arg(long, value_name = "N")]
    profile_passphrase_fd: Option<RawFd>,
}

/// Options of every command whose act an agent signs.
#[derive(Args, Clone)]
pub struct SignArgs {
    #[command(flatten)]
    open: OpenArgs,
    #[command(flatten)]
    agent: AgentArgs,
    /// Why: stands in the log, and in every exhibit of a session.
    #[arg(long, value_name = "TEXT")]
    purpose: String,
}

impl SignArgs {
    /// What can be said of them before anything is opened.
    fn check(&self) -> Result<(), Problem> {
        purpose(&self.purpose)
    }

    /// The agent's key, as named by the option or by vigie.toml.
    fn agent_key(&self) -> Result<crate::agentkey::AgentKey, Problem> {
        agent_key(&self.agent, &workstation(self.agent.config.as_deref(), &self.open.at.store)?)
    }
}

/// Parses the arguments, runs the command, prints one line when it fails.
pub fn main() -> ExitCode {
    if let Some(ended) = crate::parts::run_as(std::env::args_os()) {
        return ended;
    }
    let cli = Cli::parse();
    for line in crate::protect::process() {
        show::warning(&line);
    }
    let result = match cli.command {
        Command::Init(args) => init::init(args),
        Command::Unlock(args) => init::unlock(args),
        Command::Lock(args) => init::lock(args),
        Command::Passphrase(args) => passphrase::passphrase(args),
        Command::Wipe(args) => passphrase::wipe(args),
        Command::Mandate(command) => mandate::mandate(command),
        Command::Profile(command) => profile::profile(command),
        Command::Capture(args) => run::capture(args),
        Command::Run(args) => run::run(args),
        Command::Status(args) => status::status(args),
        Command::Tor(command) => tor::tor(command),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Firewall(args) => firewall::firewall(args),
        Command::Exhibits(args) => exhibit::list(args),
        Command::Exhibit(command) => exhibit::exhibit(command),
        Command::Render(args) => render::render(args),
        Command::Custody(args) => custody::custody(args),
        Command::Descriptor(command) => descriptor::descriptor(command),
        Command::Export(args) => export::run(*args),
        Command::Release(args) => export::release(*args),
        Command::Finding(command) => finding::finding(command),
        Command::Share(args) => share::share(&args),
        Command::Annotation(command) => share::annotation(command),
        Command::Corroborate(args) => corroborate::corroborate(*args),
        Command::Log(args) => log::log(args),
        Command::Checkpoint(args) => checkpoint::checkpoint(args),
        Command::Retention(command) => retention::retention(command),
        Command::Backup(args) => backup::backup(args),
        Command::Restore(args) => restore::restore(*args),
        Command::Handover(command) => handover::handover(command),
        Command::Store(command) => store::store(command),
        Command::Timestamp(command) => timestamp::timestamp(command),
        Command::Verify(args) => verify::verify(args),
        Command::Witness(command) => witness::witness(command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vigie", &mut script);
            show::bytes(&script).map(|()| exit::OK)
        }
        Command::Man => man(),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            show::error(&problem);
            ExitCode::from(problem.code)
        }
    }
}

fn man() -> Result<u8, Problem> {
    use crate::error::Failing;
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page).failing("writing the manual page")?;
    show::bytes(&page).map(|()| exit::OK)
}

/// Why somebody acts: one line that stands in the log, in exhibits and on terminals.
pub(crate) fn purpose(text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() {
        return Err(Problem::input("this needs a purpose: say why with --purpose TEXT"));
    }
    if text.contains(char::is_control) || text.len() > PURPOSE_BYTES {
        return Err(Problem::input(format!(
            "the purpose must be one line of at most {PURPOSE_BYTES} bytes without control characters: say it otherwise"
        )));
    }
    Ok(())
}

/// The machine's clock.
pub(crate) fn clock() -> Arc<dyn Clock> {
    Arc::new(SystemClock::new())
}

/// The store's key: from the file descriptor when one is named, else the key ring, else a
/// credential or a prompt.
pub(crate) fn key(args: &OpenArgs) -> Result<WorkstationKey, Problem> {
    if args.passphrase_fd.is_none()
        && let Some(key) = secrets::ring::find(&args.at.store)
    {
        return Ok(key);
    }
    if !args.at.store.is_dir() {
        return Err(Problem::input(format!(
            "there is no store at {}: make one with vigie init",
            args.at.store.display()
        )));
    }
    let passphrase = secrets::passphrase(Secret::Store, args.passphrase_fd, false)?;
    unlock(&args.at.store, &passphrase)
}

/// The store's key for a passphrase. A wrong one leaves a note for the log.
pub(crate) fn unlock(store: &Path, passphrase: &SecretString) -> Result<WorkstationKey, Problem> {
    vigie_store::unlock_key(store, passphrase).map_err(|error| {
        if matches!(error, StoreError::WrongPassphrase) {
            crate::locked::note(store, clock().stamp().wall, "a wrong passphrase was given");
        }
        error.into()
    })
}

/// Opens the store for writing; takes in what waits in `incoming/`.
pub(crate) fn open(args: &OpenArgs) -> Result<Arc<Store>, Problem> {
    let key = key(args)?;
    open_with(&args.at.store, key)
}

/// Opens the store with a key at hand.
pub(crate) fn open_with(folder: &Path, key: WorkstationKey) -> Result<Arc<Store>, Problem> {
    open_as(folder, key, None, &show::Events)
}

/// As [`open_with`], although the head outside that is about to be given up covers more; `events`
/// hears how far it is.
pub(crate) fn open_as(
    folder: &Path,
    key: WorkstationKey,
    giving_up: Option<(u64, [u8; 32])>,
    events: &dyn StoreEvents,
) -> Result<Arc<Store>, Problem> {
    let settings = Settings { outside: outside(folder)?, giving_up, ..Settings::default() };
    let store = Arc::new(Store::open_with(folder, key, clock(), events, settings)?);
    crate::locked::take(&store)?;
    let now = clock().stamp().wall;
    for list in crate::incoming::take(&store, folder, store.key(), now) {
        list?;
    }
    Ok(store)
}

/// Opens the store for reading; its log must go on from what was kept of it outside.
pub(crate) fn reader(folder: &Path) -> Result<Reader, Problem> {
    Ok(Reader::open_held(folder, outside(folder)?.as_ref())?)
}

/// A session ended, or the signed head leaves the store: it is kept outside as well, so that it is met again.
pub(crate) fn head_leaves(folder: &Path) -> Result<(), Problem> {
    if let Some(outside) = outside(folder)? {
        match outside.keep(folder) {
            Ok(_) => {}
            Err(error) if error.is_damage() => return Err(error.into()),
            Err(error) => show::warning(&format!("{error}; an older copy put in the store's place would not be seen")),
        }
    }
    Ok(())
}

/// Where the newest head of each store is kept: in `heads/` of the folder that `VIGIE_STATE` names,
/// else of `vigie` in the user's state folder (XDG Base Directory Specification 0.8). Nowhere for a
/// user without a home.
pub(crate) fn outside(store: &Path) -> Result<Option<Outside>, Problem> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("VIGIE_STATE")
        .or_else(|| set("XDG_STATE_HOME").filter(|folder| folder.is_absolute()).map(|folder| folder.join("vigie")))
        .or_else(|| set("HOME").map(|home| home.join(".local/state/vigie")));
    let Some(state) = state else { return Ok(None) };
    let lexical = std::path::absolute(&state).unwrap_or_else(|_| state.clone());
    // The part of it that is there already may lead elsewhere.
    let real = lexical.ancestors().find_map(|folder| std::fs::canonicalize(folder).ok()).unwrap_or_default();
    let inside = |store: &Path| lexical.starts_with(store) || real.starts_with(store);
    if std::path::absolute(store).is_ok_and(|store| inside(&store))
        || std::fs::canonicalize(store).is_ok_and(|store| inside(&store))
    {
        return Err(Problem::input(format!(
            "the state folder {} lies inside the store {}: name one outside with VIGIE_STATE=DIR",
            state.display(),
            store.display()
        )));
    }
    Ok(Some(Outside::new(state.join("heads"))))
}

/// The workstation's configuration.
pub(crate) fn workstation(config: Option<&Path>, store: &Path) -> Result<crate::workstation::Workstation, Problem> {
    crate::workstation::Workstation::open(crate::workstation::path(config, store).as_deref())
}

/// The agent's key, as named by the option or by vigie.toml.
pub(crate) fn agent_key(
    args: &AgentArgs,
    workstation: &crate::workstation::Workstation,
) -> Result<crate::agentkey::AgentKey, Problem> {
    let file = args.agent_key.as_deref().or(workstation.agent_key.as_deref()).ok_or_else(|| {
        Problem::input("who acts? name the agent's SSH key with --agent-key FILE or as agent.key in vigie.toml")
    })?;
    crate::agentkey::AgentKey::open(file, args.agent_passphrase_fd)
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::WrongPassphrase => exit::LOCKED,
            StoreError::Locked { .. } => exit::FAILED,
            error if error.is_damage() => exit::UNSOUND,
            StoreError::ClockBehind { .. } | StoreError::NotARecipient { .. } => exit::REFUSED,
            StoreError::NotTaken { .. } => exit::INPUT,
            StoreError::NotAStore { .. }
            | StoreError::NotAccepted { .. }
            | StoreError::Exists { .. }
            | StoreError::Invalid { .. }
            | StoreError::NoSuchEntry { .. }
            | StoreError::NoSuchExhibit { .. }
            | StoreError::Erased { .. }
            | StoreError::ProfileExists
            | StoreError::NoSuchProfile => exit::INPUT,
            _ => exit::FAILED,
        };
        Problem::new(code, error.to_string())
    }
}
