//! One writer a run: a kernel lock held for the process's life.
//!
//! No time to live, no heartbeat: the kernel takes the lock back when its
//! holder is gone. The file's content only tells people who that is
//! (`engine.md` §3).

use std::fmt;
use std::fs::File;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use runbook_core::id::RunId;
use runbook_core::moment::Moment;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::{Family, StoreError};
use super::run_directory::{LOCK, RunDir};
use super::{identity, mode};

/// How long a process waits for a lock before it says who holds it.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How often it tries meanwhile: the kernel's own waiting can't be given up.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// Who holds a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The operating system's user.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The process.
    pub pid: u32,
    /// Since when.
    pub since: Moment,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {}, process {}, since {}", self.user, self.host, self.pid, self.since.for_people())
    }
}

/// Another process holds the run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("run {run} is held by {}", holder.as_ref().map_or_else(|| "another process".to_owned(), ToString::to_string))]
pub struct Busy {
    /// The run.
    pub run: RunId,
    /// Who; unknown in the instant between taking the lock and signing it.
    pub holder: Option<Holder>,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another process holds it.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The lock file can't be used.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl LockError {
    /// Which exit status this means.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Busy(_) => Family::Busy,
            Self::Store(error) => error.family(),
        }
    }
}

/// The right to write a run's journal, until it is dropped. No child inherits
/// it.
#[derive(Debug)]
pub struct RunLock {
    file: File,
}

impl RunLock {
    /// Takes the run's lock, trying again for `patience` (see [`PATIENCE`]).
    /// Blocks this thread meanwhile.
    ///
    /// # Errors
    /// [`LockError::Busy`] where another process still holds it.
    pub fn acquire(dir: &RunDir, patience: Duration) -> Result<Self, LockError> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        let mut file = match dir.directory().open_with(LOCK, flags, mode::FILE) {
            // The whole folder is gone: the run was deleted.
            Err(error) if error.is_missing() => {
                return Err(StoreError::NoSuchRun { run: dir.run().clone() }.into());
            }
            other => other?,
        };
        let deadline = Instant::now() + patience;
        while !try_lock(dir, &file, FlockOperation::NonBlockingLockExclusive)? {
            if Instant::now() >= deadline {
                return Err(Busy { run: dir.run().clone(), holder: read_holder(file) }.into());
            }
            pause(RETRY_EVERY);
        }
        // The run may have been deleted while we waited for its last holder.
        let status = rustix::fs::fstat(&file).map_err(|errno| failed(dir, "stat", errno))?;
        if status.st_nlink == 0 {
            return Err(StoreError::NoSuchRun { run: dir.run().clone() }.into());
        }
        sign(&mut file).map_err(|source| failed(dir, "write", source))?;
        Ok(Self { file })
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // Only a courtesy: who reads this file has found the lock held.
        let _ = self.file.set_len(0);
        // Said, not left to closing the file: a child that another thread has just forked has it open too, until it
        // becomes its program.
        let _ = rustix::fs::flock(&self.file, FlockOperation::Unlock);
    }
}

/// Who holds the run now, if anybody does.
///
/// # Errors
/// Where the lock file can't be opened; a run without one is held by nobody.
pub fn is_held(dir: &RunDir) -> Result<Option<Held>, StoreError> {
    let file = match dir.directory().open(LOCK) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    // Shared, and given back at once: it only keeps out a writer that is just
    // starting, which tries again.
    if try_lock(dir, &file, FlockOperation::NonBlockingLockShared)? {
        return Ok(None);
    }
    Ok(Some(Held { holder: read_holder(file) }))
}

/// That a run is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// By whom; unknown in the instant between taking the lock and signing it.
    pub holder: Option<Holder>,
}

fn try_lock(dir: &RunDir, file: &File, operation: FlockOperation) -> Result<bool, StoreError> {
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(dir, "lock", errno)),
        }
    }
}

/// Waits between two tries for a lock.
#[expect(clippy::disallowed_methods, reason = "a lock is waited for before and beside the loop, never in it")]
pub(crate) fn pause(span: Duration) {
    std::thread::sleep(span);
}

fn sign(file: &mut File) -> std::io::Result<()> {
    let holder = Holder {
        user: identity::current_user(),
        host: identity::hostname(),
        pid: std::process::id(),
        since: identity::now(),
    };
    let mut text = serde_json::to_vec(&holder)?;
    text.push(b'\n');
    file.set_len(0)?;
    file.write_all(&text)
}

fn read_holder(file: File) -> Option<Holder> {
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn failed(dir: &RunDir, action: &'static str, source: impl Into<std::io::Error>) -> StoreError {
    StoreError::io(action, &dir.path().join(LOCK), source)
}
