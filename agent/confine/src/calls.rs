//! Which system calls each process may make, and with which arguments.
//!
//! Arguments behind a pointer cannot be judged; those that can be are numbers and flags. Calls that only
//! old programs make are left out; those of x86-64 that its C libraries still prefer to their `…at` forms
//! are in.

use libc::*;

use crate::Role;

/// Conditions on a call's arguments, all of which must hold: the argument's place (0 = first), a
/// mask of bits, and their value. None: always.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct When(pub Vec<(u8, u64, u64)>);

/// Whatever its arguments are.
fn always(calls: &[c_long]) -> Vec<(i64, When)> {
    calls.iter().map(|call| (*call, When(Vec::new()))).collect()
}

fn only(call: c_long, argument: u8, mask: u64, value: u64) -> (i64, When) {
    (call, When(vec![(argument, mask, value)]))
}

fn exactly(call: c_long, argument: u8, value: u64) -> (i64, When) {
    only(call, argument, 0xffff_ffff, value)
}

/// Calls that only an intruder makes in *net*, *parse* or *draw*.
pub const ALARMS: &[c_long] = &[
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_bpf,
    SYS_mount,
    SYS_unshare,
    SYS_setns,
    SYS_init_module,
    SYS_finit_module,
    SYS_kexec_load,
    SYS_userfaultfd,
    SYS_perf_event_open,
    SYS_keyctl,
];

/// Memory, time, threads' own affairs, and what is open already. Nothing is opened or named.
const BARE: &[c_long] = &[
    SYS_read,
    SYS_write,
    SYS_readv,
    SYS_writev,
    SYS_close,
    SYS_munmap,
    SYS_mremap,
    SYS_brk,
    SYS_madvise,
    SYS_futex,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigaction,
    SYS_rt_sigprocmask,
    SYS_rt_sigreturn,
    SYS_sigaltstack,
    SYS_restart_syscall,
    SYS_clock_gettime,
    SYS_clock_getres,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_getrandom,
    SYS_sched_yield,
    SYS_sched_getaffinity,
    SYS_getpid,
    SYS_gettid,
    SYS_tgkill,
    SYS_ppoll,
    SYS_recvfrom,
    SYS_sendto,
    SYS_shutdown,
    SYS_fstat,
];

/// Threads, waiting for many things at once, sockets that are there.
const RUNTIME: &[c_long] = &[
    SYS_set_robust_list,
    SYS_set_tid_address,
    SYS_rseq,
    SYS_membarrier,
    SYS_epoll_create1,
    SYS_epoll_ctl,
    SYS_epoll_pwait,
    SYS_eventfd2,
    SYS_pipe2,
    SYS_dup,
    SYS_dup3,
    SYS_fcntl,
    SYS_getsockopt,
    SYS_setsockopt,
    SYS_getsockname,
    SYS_getpeername,
    SYS_sched_getparam,
    SYS_sched_getscheduler,
    SYS_getrusage,
    SYS_times,
    SYS_uname,
    SYS_sysinfo,
    SYS_getuid,
    SYS_geteuid,
    SYS_getgid,
    SYS_getegid,
    SYS_getresuid,
    SYS_getresgid,
    SYS_getgroups,
    SYS_getppid,
    SYS_getpgid,
    SYS_getsid,
    SYS_mincore,
];

/// Files, below the folders that Landlock allows.
const FILES: &[c_long] = &[
    SYS_openat,
    SYS_lseek,
    SYS_pread64,
    SYS_pwrite64,
    SYS_preadv,
    SYS_pwritev,
    SYS_fsync,
    SYS_fdatasync,
    SYS_sync_file_range,
    SYS_ftruncate,
    SYS_fallocate,
    SYS_fadvise64,
    SYS_flock,
    SYS_newfstatat,
    SYS_statx,
    SYS_statfs,
    SYS_fstatfs,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_readlinkat,
    SYS_getcwd,
    SYS_mkdirat,
    SYS_renameat,
    SYS_renameat2,
    SYS_unlinkat,
    SYS_linkat,
    SYS_getdents64,
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_utimensat,
    SYS_umask,
];

/// Forms of the above that C libraries on x86-64 still use.
#[cfg(target_arch = "x86_64")]
const OLDER_FILES: &[c_long] = &[
    SYS_open,
    SYS_stat,
    SYS_lstat,
    SYS_access,
    SYS_readlink,
    SYS_mkdir,
    SYS_rmdir,
    SYS_rename,
    SYS_unlink,
    SYS_link,
    SYS_chmod,
    SYS_getdents,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_FILES: &[c_long] = &[];
#[cfg(target_arch = "x86_64")]
const OLDER_WAITS: &[c_long] = &[SYS_poll, SYS_epoll_wait, SYS_pipe, SYS_dup2, SYS_time];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_WAITS: &[c_long] = &[];

/// What *record* does beside files: kernel key ring, its clock, its terminal, the process that
/// starts others, memory that is not swapped out.
const RECORD: &[c_long] = &[
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_mlock,
    SYS_mlock2,
    SYS_munlock,
    SYS_mlockall,
    SYS_msync,
    SYS_copy_file_range,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_wait4,
    SYS_waitid,
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
    SYS_symlinkat,
    SYS_capget,
    SYS_prlimit64,
];

/// What a role may do.
pub fn allowed(role: &Role) -> Vec<(i64, When)> {
    let mut calls = always(BARE);
    calls.extend(memory());
    match role {
        Role::Parse | Role::Draw | Role::Transport { .. } => calls.extend(always(OLDER_WAITS)),
        Role::Net { .. } => {
            calls.extend(shared());
            calls.extend(tcp());
            // Reads its own limits; sets none.
            calls.push((SYS_prlimit64, When(vec![(2, u64::MAX, 0)])));
        }
        Role::Record { .. } => {
            calls.extend(shared());
            calls.extend(always(RECORD));
            calls.extend(terminal());
        }
    }
    calls
}

fn shared() -> Vec<(i64, When)> {
    let mut calls = always(RUNTIME);
    calls.extend(always(FILES));
    calls.extend(always(OLDER_FILES));
    calls.extend(always(OLDER_WAITS));
    // New threads, in the name spaces that are there: clone3 hides its flags behind a pointer, and
    // C libraries fall back to clone.
    let spaces =
        CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP;
    calls.push((SYS_clone, When(vec![(0, spaces as u64, 0), (0, CLONE_THREAD as u64, CLONE_THREAD as u64)])));
    // A pair of sockets within the process: how the runtime hears of signals.
    calls.push(exactly(SYS_socketpair, 0, AF_UNIX as u64));
    // Names of threads and of pieces of memory.
    calls.push(exactly(SYS_prctl, 0, PR_SET_NAME as u64));
    calls.push(exactly(SYS_prctl, 0, PR_SET_VMA as u64));
    calls.push(exactly(SYS_ioctl, 1, FIONBIO));
    calls.push(exactly(SYS_ioctl, 1, TCGETS));
    calls
}

/// Memory that is never executable.
fn memory() -> Vec<(i64, When)> {
    vec![only(SYS_mmap, 2, PROT_EXEC as u64, 0), only(SYS_mprotect, 2, PROT_EXEC as u64, 0)]
}

/// Streams over IPv4 and IPv6 that the process opens itself.
fn tcp() -> Vec<(i64, When)> {
    let kind = (1, 0xf, SOCK_STREAM as u64);
    let mut calls: Vec<(i64, When)> = [AF_INET, AF_INET6]
        .into_iter()
        .flat_map(|family| {
            // MPTCP and SCTP are streams too: the protocol is TCP's or the default.
            [0, IPPROTO_TCP].map(|protocol| {
                (SYS_socket, When(vec![(0, 0xffff_ffff, family as u64), kind, (2, 0xffff_ffff, protocol as u64)]))
            })
        })
        .collect();
    calls.push((SYS_connect, When(Vec::new())));
    calls
}

/// A terminal's size and mode.
fn terminal() -> Vec<(i64, When)> {
    [TIOCGWINSZ, TCSETS, TCSETSW, TCSETSF].map(|command| exactly(SYS_ioctl, 1, command)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(role: &Role) -> Vec<i64> {
        allowed(role).into_iter().map(|(call, _)| call).collect()
    }

    #[test]
    fn nobody_may() {
        let record = Role::Record { write: Vec::new(), read: Vec::new() };
        for role in [&record, &Role::Net { write: Vec::new() }, &Role::Parse, &Role::Draw] {
            let may = numbers(role);
            for call in [
                SYS_execve,
                SYS_execveat,
                SYS_ptrace,
                SYS_bpf,
                SYS_io_uring_setup,
                SYS_io_uring_enter,
                SYS_bind,
                SYS_listen,
                SYS_accept4,
                SYS_mount,
                SYS_unshare,
                SYS_setns,
                SYS_process_vm_readv,
                SYS_process_vm_writev,
                SYS_clone3,
                SYS_kill,
                SYS_pidfd_getfd,
                SYS_memfd_create,
                SYS_name_to_handle_at,
                SYS_open_by_handle_at,
                SYS_chroot,
                SYS_userfaultfd,
                SYS_perf_event_open,
            ] {
                assert!(!may.contains(&call), "{call} in {role:?}");
            }
        }
        assert!(!numbers(&record).contains(&SYS_socket));
        assert!(!numbers(&Role::Net { write: Vec::new() }).contains(&SYS_sendmsg));
        for call in [SYS_openat, SYS_socket, SYS_clone, SYS_connect, SYS_unlinkat, SYS_prctl, SYS_ioctl] {
            assert!(!numbers(&Role::Parse).contains(&call) && !numbers(&Role::Draw).contains(&call), "{call}");
        }
    }
}
