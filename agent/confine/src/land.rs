//! Files by Landlock.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use vigie_wire::control::Protection;

use crate::{ConfineError, Role};

/// The least that counts as Landlock: moving files across folders (2) and truncating them (3) are
/// judged from Linux 6.2 on.
const LEAST: ABI = ABI::V3;
/// What Arti must read to know whether a folder's owner and group are trustworthy (fs-mistrust asks for their
/// names); every user of a machine may read them.
const USER: [&str; 3] = ["/etc/passwd", "/etc/group", "/etc/nsswitch.conf"];
/// Where the system's libraries lie.
const LIBRARIES: [&str; 5] = ["/lib", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];
/// The newest that this was written and tested for.
const NEWEST: ABI = ABI::V6;

/// Lets the process open what its role needs and nothing else; gives the version in force.
pub fn restrict(role: &Role) -> Result<u8, ConfineError> {
    let files = AccessFs::from_all(LEAST);
    let rules = || -> Result<RulesetCreated, landlock::RulesetError> {
        // What the least version has must hold; what newer kernels add is taken where it is there:
        // commands to devices, ports, abstract sockets and signals to processes outside.
        let mut rules = Ruleset::default().set_compatibility(CompatLevel::HardRequirement).handle_access(files)?;
        rules = rules
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .scope(Scope::AbstractUnixSocket | Scope::Signal)?;
        // A transport listens for Arti.
        if !matches!(role, Role::Transport { .. }) {
            rules = rules.handle_access(AccessNet::BindTcp)?;
        }
        if matches!(role, Role::Record { .. } | Role::Parse | Role::Draw) {
            rules = rules.handle_access(AccessNet::ConnectTcp)?;
        }
        rules.create()
    };
    let mut rules = rules().map_err(|error| missing(&error))?;
    let (write, read): (&[_], &[_]) = match role {
        Role::Record { write, read } => (write, read),
        Role::Net { write } => (write, &[]),
        Role::Transport { program, state } => {
            let run = AccessFs::ReadFile | AccessFs::ReadDir | AccessFs::Execute;
            let libraries = LIBRARIES.iter().map(Path::new).filter(|path| path.exists());
            for path in libraries.chain([program.as_path()]) {
                rules = allow(rules, path, run)?;
            }
            (std::slice::from_ref(state), &[])
        }
        Role::Parse | Role::Draw => (&[], &[]),
    };
    for path in write {
        rules = allow(rules, path, AccessFs::from_all(NEWEST) & !AccessFs::Execute & !devices())?;
    }
    let user = USER.iter().map(Path::new).filter(|path| matches!(role, Role::Net { .. }) && path.exists());
    for path in read.iter().map(PathBuf::as_path).chain(user) {
        rules = allow(rules, path, AccessFs::ReadFile | AccessFs::ReadDir)?;
    }
    let status = rules.restrict_self().map_err(|error| missing(&error))?;
    if status.ruleset == RulesetStatus::NotEnforced {
        return Err(missing(&"the kernel did not put it on"));
    }
    Ok(number(status.landlock))
}

/// Making devices, sockets and pipes, and commands to devices, belong to no role.
fn devices() -> landlock::BitFlags<AccessFs> {
    AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::MakeSock | AccessFs::MakeFifo | AccessFs::IoctlDev
}

fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: landlock::BitFlags<AccessFs>,
) -> Result<RulesetCreated, ConfineError> {
    let fault =
        |why: &dyn std::fmt::Display| ConfineError::Folder { path: path.display().to_string(), why: why.to_string() };
    let handle = PathFd::new(path).map_err(|e| fault(&e))?;
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
    rules.add_rule(PathBeneath::new(handle, access)).map_err(|e| fault(&e))
}

/// The version of Landlock that the running kernel has and we know; 0 = none. Asked by a thread that
/// binds itself and ends.
pub fn offered() -> u8 {
    let ask = || {
        let rules = Ruleset::default().handle_access(AccessFs::Execute).and_then(Ruleset::create);
        rules.and_then(RulesetCreated::restrict_self).map(|status| number(status.landlock)).unwrap_or(0)
    };
    std::thread::spawn(ask).join().unwrap_or(0)
}

fn number(status: LandlockStatus) -> u8 {
    match status {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u8,
        _ => 0,
    }
}

fn missing(why: &dyn std::fmt::Display) -> ConfineError {
    ConfineError::Missing { protection: Protection::Landlock, why: why.to_string() }
}
