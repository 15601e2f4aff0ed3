//! Limits on resources (getrlimit(2)): a process that runs away harms itself alone.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Role;

/// Address space of *parse*, in bytes: the largest decoded document costs a small multiple of its
/// 32 MiB.
const PARSE_MEMORY: u64 = 3 * 1024 * 1024 * 1024;
/// Address space of *draw*, in bytes: a page at its limits takes about a third of it.
const DRAW_MEMORY: u64 = 1024 * 1024 * 1024;
/// Stack of *draw*, in bytes: layout calls itself for each element within another.
const DRAW_STACK: u64 = 64 * 1024 * 1024;
/// Files that either may have open at once.
const FILES: u64 = 8;

/// Sets what the role can bear. A limit that is lower already stays.
pub fn own(role: &Role) {
    let memory = match role {
        Role::Parse => PARSE_MEMORY,
        Role::Draw => DRAW_MEMORY,
        _ => return,
    };
    if matches!(role, Role::Draw) {
        let (now, most) = (getrlimit(Resource::Stack), Some(DRAW_STACK));
        // The kernel looks at it whenever the stack grows (setrlimit(2)).
        if now.maximum.is_none_or(|now| now >= DRAW_STACK) {
            let _ = setrlimit(Resource::Stack, Rlimit { current: most, maximum: now.maximum });
        }
    }
    for (resource, most) in
        [(Resource::As, memory), (Resource::Nofile, FILES), (Resource::Fsize, 0), (Resource::Nproc, 0)]
    {
        let most = getrlimit(resource).maximum.map_or(most, |now| now.min(most));
        // Nothing hangs on it alone.
        let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
    }
}
