//! Named locks: one live run at a time under a name (`language.md` §9).
//!
//! A kernel lock, shared by all processes of the run that has it: the engine,
//! and the keeper of every step that runs under it, which inherits the open file.
//! So it is free when the last of them is gone, and an engine that takes a run on
//! joins the keepers that its predecessor left behind. Who wants it asks for it
//! alone, under a short lock beside it that makes asking and joining one step.
//!
//! The file's content only tells people who has it; except that a run may keep
//! the lock while it is parked, when no process could hold it.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::time::Instant;

use runbook_core::id::{RunId, StepId};
use runbook_core::moment::Moment;
use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::files::Directory;
use super::lock::{PATIENCE, pause};
use super::state_directory::Store;
use super::summary::{Standing, summarize};
use super::{identity, mode};
use crate::journal;

/// The folder of named locks in the state directory.
const LOCKS: &str = "locks";
/// The largest content that is read, in bytes.
const BYTES_MAX: u64 = 64 * 1024;

/// Who has a named lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// The lock's name.
    pub lock: String,
    /// The run.
    pub run: RunId,
    /// Its runbook.
    pub runbook: String,
    /// The step that took it; absent: the run as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// The operating system's user.
    pub user: String,
    /// The machine.
    pub host: String,
    /// The engine's process.
    pub pid: u32,
    /// Since when.
    pub since: Moment,
    /// Whether it stays taken while the run is parked.
    #[serde(default)]
    pub hold_while_waiting: bool,
}

/// Who wants a named lock.
#[derive(Debug, Clone)]
pub struct LockRequest {
    /// The lock's name.
    pub lock: String,
    /// The run.
    pub run: RunId,
    /// Its runbook.
    pub runbook: String,
    /// The step that it is for; absent: the run as a whole.
    pub step: Option<StepId>,
    /// Whether it stays taken while the run is parked.
    pub hold_while_waiting: bool,
}

/// That another run has a named lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockTaken {
    /// The lock's name.
    pub lock: String,
    /// Who; unknown in the instant between taking the lock and signing it.
    pub holder: Option<LockHolder>,
    /// No process holds it: the run is parked, and keeps it.
    pub is_parked: bool,
}

impl fmt::Display for LockTaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(holder) = &self.holder else {
            return write!(f, "the lock `{}` is held by another process", self.lock);
        };
        let LockHolder { lock, run, runbook, user, host, since, .. } = holder;
        write!(f, "the lock `{lock}` is held by run {run} of {runbook} ({user} on {host}, since {since})")
    }
}

/// A named lock that this process has, until it is dropped.
#[derive(Debug)]
pub struct NamedLock {
    file: File,
    holder: LockHolder,
    stays: bool,
}

impl NamedLock {
    /// Takes a named lock if no other run has it.
    ///
    /// # Errors
    /// Where the lock's file can't be used. The inner error: who has it.
    pub fn try_acquire(store: &Store, request: &LockRequest) -> Result<Result<Self, LockTaken>, StoreError> {
        let folder = store.root().ensure_subdirectory(LOCKS)?;
        let stem = stem_of(&request.lock);
        let _asking = asking(&folder, &stem)?;
        let flags = OFlags::RDWR | OFlags::CREATE;
        let mut file = folder.open_with(&format!("{stem}.lock"), flags, mode::FILE)?;
        let holder = read_holder(&file);
        let is_ours = holder.as_ref().is_some_and(|holder| holder.run == request.run);
        let free = flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed(&folder, &stem, errno.into()))?;
        let taken = |is_parked| LockTaken { lock: request.lock.clone(), holder: holder.clone(), is_parked };
        if !free && !is_ours {
            return Ok(Err(taken(false)));
        }
        if free && !is_ours && holder.as_ref().is_some_and(|holder| keeps_while_parked(store, holder)) {
            return Ok(Err(taken(true)));
        }
        // Shared by all processes of the run: nobody else can come between while we are asking.
        let joined = flock(&file, FlockOperation::NonBlockingLockShared)
            .map_err(|errno| failed(&folder, &stem, errno.into()))?;
        if !joined {
            return Ok(Err(taken(false)));
        }
        let holder = LockHolder {
            lock: request.lock.clone(),
            run: request.run.clone(),
            runbook: request.runbook.clone(),
            step: request.step.clone(),
            user: identity::current_user(),
            host: identity::hostname(),
            pid: std::process::id(),
            since: holder.filter(|_| is_ours).map_or_else(identity::now, |holder| holder.since),
            hold_while_waiting: request.hold_while_waiting,
        };
        write_holder(&mut file, &holder).map_err(|source| failed(&folder, &stem, source))?;
        Ok(Ok(Self { file, holder, stays: false }))
    }

    /// The same open file, for a keeper to hold.
    ///
    /// # Errors
    /// Where the process has too many open files.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.file.try_clone().map(OwnedFd::from)
    }

    /// The run parks: where that is declared, the lock stays taken without a process.
    pub fn stays_while_parked(mut self) {
        self.stays = true;
    }

    /// Whose it is.
    #[must_use]
    pub fn holder(&self) -> &LockHolder {
        &self.holder
    }
}

impl Drop for NamedLock {
    fn drop(&mut self) {
        if self.holder.hold_while_waiting && !self.stays {
            self.holder.hold_while_waiting = false;
            // Where it fails the lock stays taken while the run is parked, as declared.
            let _ = write_holder(&mut self.file, &self.holder);
        }
    }
}

/// The named locks that are taken, by name.
///
/// # Errors
/// Where the folder of locks can't be read.
pub fn list(store: &Store) -> Result<Vec<LockTaken>, StoreError> {
    let folder = match store.root().subdirectory(LOCKS) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = Vec::new();
    for name in folder.names()? {
        let Some(stem) = name.strip_suffix(".lock") else { continue };
        let _asking = asking(&folder, stem)?;
        let file = folder.open(&name)?;
        let Some(holder) = read_holder(&file) else { continue };
        let free = flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed(&folder, stem, errno.into()))?;
        let is_parked = free && keeps_while_parked(store, &holder);
        if !free || is_parked {
            found.push(LockTaken { lock: holder.lock.clone(), holder: Some(holder), is_parked });
        }
    }
    found.sort_by(|one, other| one.lock.cmp(&other.lock));
    Ok(found)
}

/// Lets go of what a run was to keep while it was parked, but for the locks that it has again: an engine that died can't have said so.
///
/// # Errors
/// Where the folder of locks can't be read.
pub fn forget(store: &Store, run: &RunId, held: &[&str]) -> Result<(), StoreError> {
    let folder = match store.root().subdirectory(LOCKS) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    };
    for name in folder.names()? {
        let Some(stem) = name.strip_suffix(".lock") else { continue };
        let _asking = asking(&folder, stem)?;
        let mut file = folder.open_with(&name, OFlags::RDWR, mode::FILE)?;
        let Some(mut holder) = read_holder(&file) else { continue };
        if holder.run == *run && holder.hold_while_waiting && !held.contains(&holder.lock.as_str()) {
            holder.hold_while_waiting = false;
            write_holder(&mut file, &holder).map_err(|source| failed(&folder, stem, source))?;
        }
    }
    Ok(())
}

/// Whether a lock that no process holds belongs to a run that keeps it while it is parked.
fn keeps_while_parked(store: &Store, holder: &LockHolder) -> bool {
    if !holder.hold_while_waiting {
        return false;
    }
    let Ok(dir) = store.run(&holder.run) else { return false };
    // A run that can't be read keeps what it was promised.
    let Ok(replay) = journal::read(&dir) else { return true };
    summarize(&replay, false).is_some_and(|summary| summary.outcome == Standing::Waiting)
}

/// Names are anything; files are named for their hash.
fn stem_of(name: &str) -> String {
    Sha256::digest(name.as_bytes()).iter().take(16).fold(String::with_capacity(32), |mut text, byte| {
        use fmt::Write as _;
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The short lock under which a named lock is asked for.
fn asking(folder: &Directory, stem: &str) -> Result<File, StoreError> {
    let file = folder.open_with(&format!("{stem}.asking"), OFlags::RDWR | OFlags::CREATE, mode::FILE)?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        let taken = flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| failed(folder, stem, errno.into()))?;
        if taken {
            return Ok(file);
        }
        if Instant::now() >= deadline {
            return Err(failed(folder, stem, Errno::WOULDBLOCK.into()));
        }
        pause(std::time::Duration::from_millis(1));
    }
}

/// Whether the kernel gave the lock.
fn flock(file: &File, operation: FlockOperation) -> Result<bool, Errno> {
    loop {
        match rustix::fs::flock(file, operation) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => return Ok(false),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn read_holder(mut file: &File) -> Option<LockHolder> {
    let mut text = String::new();
    file.seek(SeekFrom::Start(0)).ok()?;
    file.take(BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &LockHolder) -> io::Result<()> {
    let mut text = serde_json::to_vec(holder)?;
    text.push(b'\n');
    file.seek(SeekFrom::Start(0))?;
    file.set_len(0)?;
    file.write_all(&text)?;
    if holder.hold_while_waiting {
        // It must outlive the machine as the parked run does.
        file.sync_data()?;
    }
    Ok(())
}

fn failed(folder: &Directory, stem: &str, source: io::Error) -> StoreError {
    StoreError::io("lock", &folder.path().join(format!("{stem}.lock")), source)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(run: &str, lock: &str) -> LockRequest {
        LockRequest {
            lock: lock.into(),
            run: run.parse().expect("a run's id"),
            runbook: "deploy".into(),
            step: None,
            hold_while_waiting: false,
        }
    }

    #[test]
    fn one_run_at_a_time_and_all_its_processes() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(&folder.path().join("state")).expect("a store");
        let take =
            |run: &str, lock: &str| NamedLock::try_acquire(&store, &request(run, lock)).expect("usable");
        let (one, other) = ("20261121T100000-aaaa", "20261121T100000-bbbb");
        let first = take(one, "deploy ../../etc").expect("free");
        let refused = take(other, "deploy ../../etc").expect_err("taken");
        assert_eq!(refused.holder.expect("signed").run.as_str(), one);
        drop(take(other, "another").expect("free"));
        // A keeper has the same open file; the engine that takes the run on opens its own.
        let keeper = first.duplicate().expect("a descriptor");
        drop(first);
        take(other, "deploy ../../etc").expect_err("the keeper has it");
        let engine = take(one, "deploy ../../etc").expect("the run's own");
        drop(keeper);
        take(other, "deploy ../../etc").expect_err("the new engine has it");
        assert_eq!(list(&store).expect("listed").len(), 1);
        drop(engine);
        // Free when the last process is gone that has the file open. A child that another test has just forked is one,
        // until it becomes its program.
        let deadline = Instant::now() + PATIENCE;
        while !list(&store).expect("listed").is_empty() && Instant::now() < deadline {
            pause(std::time::Duration::from_millis(1));
        }
        assert_eq!(list(&store).expect("listed"), []);
        take(other, "deploy ../../etc").expect("free");
    }
}
