//! What the process does for its own memory and files before it touches a secret.

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit, umask};

/// No core dump is ever written, whatever ends the process; no other process of the same user can
/// look into its memory (ptrace(2), `PR_SET_DUMPABLE`); new files are the owner's alone.
///
/// Gives what the system refused, one line each; a refusal is said and nothing more: the limit may
/// already be what is asked for.
pub fn process() -> Vec<String> {
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
