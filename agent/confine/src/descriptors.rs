//! Open files that came with the process stay with it.

use std::io;

/// No descriptor but standard input, output and error passes on to programs that are started from now
/// on: whoever started this one may have left a pipe with a passphrase open.
///
/// # Errors
/// What the kernel says (close_range(2), Linux 5.11 and newer).
#[expect(unsafe_code, reason = "no library offers the call; it takes three numbers")]
pub fn keep_to_itself() -> io::Result<()> {
    let (first, last, flags) = (3u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    // SAFETY: no memory is named, and with this flag nothing is closed: descriptors only gain
    // FD_CLOEXEC, on which no code relies to be off.
    match unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
