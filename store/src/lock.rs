//! One writer per store: an advisory lock (flock(2)) on the file `lock`. The kernel drops it
//! with the process, however that ends, so there is no stale lock to clear.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};

use crate::error::{StoreError, Trying};
use crate::files::Layout;

/// Held while a store is open for writing.
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    pub fn take(layout: &Layout) -> Result<Self, StoreError> {
        let path = layout.lock();
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .trying(|| format!("opening {}", path.display()))?;
        // [`is_locked`] holds the lock for an instant: look a few times before giving up.
        for _ in 0..10 {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    // For an emergency wipe, which must end whoever holds the key.
                    let _ = file.set_len(0);
                    let _ = file.write_all_at(format!("{}\n", std::process::id()).as_bytes(), 0);
                    return Ok(Self { _file: file });
                }
                Err(rustix::io::Errno::WOULDBLOCK) => std::thread::sleep(Duration::from_millis(10)),
                Err(errno) => return Err(errno).trying(|| format!("locking {}", path.display())),
            }
        }
        Err(StoreError::Locked { dir: layout.dir.clone() })
    }

    /// Kills the process that holds the lock, if one does, and waits until the lock is free.
    pub fn kill_holder(layout: &Layout) {
        for _ in 0..100 {
            if !is_locked(&layout.dir) {
                return;
            }
            let text = std::fs::read_to_string(layout.lock()).unwrap_or_default();
            let pid = text.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid.filter(|pid| *pid != rustix::process::getpid()) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Another process (or this one) has the store in `dir` open for writing.
pub fn is_locked(dir: &Path) -> bool {
    let Ok(file) = File::open(dir.join("lock")) else { return false };
    matches!(flock(&file, FlockOperation::NonBlockingLockShared), Err(rustix::io::Errno::WOULDBLOCK))
}
