//! Limits on resources (getrlimit(2)): a process that runs away harms itself alone.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Role;

/// Address space of *parse*, in bytes: the largest decoded document costs a small multiple of its
/// 32 MiB.
const PARSE_MEMORY: u64 = 3 * 1024 * 1024 * 1024;
/// Files that *parse* may have open at once.
const PARSE_FILES: u64 = 8;

/// Sets what the role can bear. A limit that is lower already stays.
pub fn own(role: &Role) {
    if matches!(role, Role::Parse) {
        for (resource, most) in
            [(Resource::As, PARSE_MEMORY), (Resource::Nofile, PARSE_FILES), (Resource::Fsize, 0), (Resource::Nproc, 0)]
        {
            let most = getrlimit(resource).maximum.map_or(most, |now| now.min(most));
            // Nothing hangs on it alone.
            let _ = setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) });
        }
    }
}
