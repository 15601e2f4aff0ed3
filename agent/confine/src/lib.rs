//! What the kernel lets each of Vigie's processes do, from before its first hostile byte to its end.
//!
//! | process | files | system calls |
//! |---|---|---|
//! | *record* | the store, the folder of kept heads; reads its own program | no socket, no program started |
//! | *net* | Arti's state and cache | TCP sockets that it opens itself; none that waits for others; no program started |
//! | *parse*, *draw* | none | none that opens or names anything |
//! | a pluggable transport | its state; reads and runs itself and the system's libraries | all: it is another's program |
//!
//! Landlock (landlock(7)) judges files, a filter of system calls (seccomp(2)) the calls themselves. Both
//! hold for ever and for every thread and child of the process. Landlock before Linux 7.0 binds only the
//! thread that asks: [`enter`] comes before any other thread is started, and says so if it does not.
//!
//! What they cannot do: tell one address on the network from another. Where *net* may connect to is
//! for the machine's packet filter (`vigie firewall`).

mod calls;
mod descriptors;
mod filter;
mod land;
mod limit;
pub mod probe;

use std::path::PathBuf;

use vigie_wire::control::{Confinement, Protection};

pub use descriptors::keep_to_itself;

/// Which process is confined, and what it needs.
#[derive(Clone, Debug)]
pub enum Role {
    /// Drives, seals, stores.
    Record {
        /// Folders that it reads and writes, all that is in them included.
        write: Vec<PathBuf>,
        /// Files and folders that it reads.
        read: Vec<PathBuf>,
    },
    /// Tor and HTTP.
    Net {
        /// Arti's state and cache.
        write: Vec<PathBuf>,
    },
    /// Reads hostile bytes.
    Parse,
    /// Draws recorded pages.
    Draw,
    /// A program of others that carries Tor's traffic in another shape, before it is started.
    Transport {
        /// The program.
        program: PathBuf,
        /// A folder for its state.
        state: PathBuf,
    },
}

/// A protection that could not be put on.
#[derive(Debug, thiserror::Error)]
pub enum ConfineError {
    /// The kernel, or whoever started us, does not offer it.
    #[error(
        "{} is not to be had here: {why}: run on a kernel that has it, or say --dangerously-without-sandbox {}",
        .protection.name(), .protection.name()
    )]
    Missing {
        /// Which.
        protection: Protection,
        /// The kernel's words.
        why: String,
    },
    /// A folder that the process needs cannot be named to the kernel.
    #[error("naming {path} to the kernel: {why}: make it, or correct its permissions")]
    Folder {
        /// The folder.
        path: String,
        /// Why not.
        why: String,
    },
    /// Other threads run already and would not be bound.
    #[error("the process has {0} threads already, and Landlock would bind one of them alone")]
    Threads(usize),
}

/// Binds this process for the rest of its life. What is missing of the kernel's protections ends it
/// with an error, unless the user said that it may be missing.
pub fn enter(role: &Role, may_lack: &[Protection]) -> Result<Confinement, ConfineError> {
    limit::own(role);
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count).unwrap_or(1);
    if threads > 1 {
        return Err(ConfineError::Threads(threads));
    }
    let mut confinement = Confinement::default();
    match land::restrict(role) {
        Ok(abi) => confinement.landlock_abi = abi,
        Err(ConfineError::Missing { protection, .. }) if may_lack.contains(&protection) => {}
        Err(error) => return Err(error),
    }
    // Which calls another's program makes is not for us to know.
    if matches!(role, Role::Transport { .. }) {
        return Ok(confinement);
    }
    match filter::install(role) {
        Ok(()) => confinement.seccomp = true,
        Err(ConfineError::Missing { protection, .. }) if may_lack.contains(&protection) => {}
        Err(error) => return Err(error),
    }
    Ok(confinement)
}

/// What the running kernel offers: the version of its Landlock (0 = none), and whether it filters
/// system calls.
pub fn offered() -> Confinement {
    let seccomp = std::fs::read_to_string("/proc/sys/kernel/seccomp/actions_avail")
        .is_ok_and(|actions| actions.split_whitespace().any(|action| action == "errno"));
    Confinement { landlock_abi: land::offered(), seccomp }
}
