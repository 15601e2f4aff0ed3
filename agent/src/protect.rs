//! What the process does for its own memory and files before it touches a secret.

use rustix::fs::Mode;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior, set_parent_process_death_signal,
    setrlimit, umask,
};
use rustix::thread::{CapabilitySet, capabilities};

/// No core dump is ever written, whatever ends the process; no other process of the same user can
/// look into its memory (ptrace(2), `PR_SET_DUMPABLE`); new files are the owner's alone.
///
/// Gives what the system refused, one line each; a refusal is said and nothing more: the limit may
/// already be what is asked for.
pub fn process() -> Vec<String> {
    let refused = closed();
    keep_in_memory();
    refused
}

/// The same for a part of Vigie, which holds no secret worth the memory lock, and which ends with
/// whoever started it.
pub fn part() {
    closed();
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
}

fn closed() -> Vec<String> {
    let mut refused = Vec::new();
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        refused.push(format!("core dumps could not be switched off ({error}): switch them off for this machine"));
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        refused.push(format!("the process could not be closed to debuggers ({error})"));
    }
    umask(Mode::RWXG | Mode::RWXO);
    refused
}

/// Nothing of the process is ever swapped out, where the system lets it lock as much memory as it
/// likes (`LimitMEMLOCK=infinity`, or CAP_IPC_LOCK). Under a limit, locking what comes later would make
/// it fail for want of memory: SECURITY.md says to turn swap off.
fn keep_in_memory() {
    let unlimited = getrlimit(Resource::Memlock).current.is_none();
    let may = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::IPC_LOCK));
    if unlimited || may {
        // A kernel without ONFAULT (before 4.4) refuses, and nothing is locked.
        let _ = mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT);
    }
}
