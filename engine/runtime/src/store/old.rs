//! Old runs: finding and deleting those that are over (`gc`, `keep`).
//!
//! A run is first renamed to what is no run's name, so that one that is half deleted is never taken for a run.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use runbook_core::id::RunId;
use runbook_core::moment::Moment;

use super::error::StoreError;
use super::index::{self, Filter};
use super::lock::{LockError, RunLock};
use super::state_directory::Store;
use super::summary::{Summary, summarize};
use crate::journal::{self, JournalError};

/// How the name of a folder begins that is being deleted.
const DELETED: &str = ".deleted-";

/// All runs that are over, the latest first.
///
/// # Errors
/// Where the state directory can't be read.
pub fn finished(store: &Store) -> Result<Vec<Summary>, StoreError> {
    let mut runs = index::list(store, &Filter::default())?;
    runs.retain(|summary| summary.outcome.is_final() && summary.finished_at.is_some());
    Ok(runs)
}

/// The runs that had ended by some moment, which may be another one for those that succeeded, as far as the index knows, the oldest first.
///
/// # Errors
/// Where the state directory can't be read.
pub fn ended_by(
    store: &Store,
    succeeded: Option<Moment>,
    others: Option<Moment>,
) -> Result<Vec<Summary>, StoreError> {
    let mut runs = index::ended_by(store, succeeded, others)?;
    runs.sort_unstable_by(|one, other| one.run.cmp(&other.run));
    Ok(runs)
}

/// A run that was not deleted.
#[derive(Debug)]
pub struct Kept {
    /// The run.
    pub run: RunId,
    /// Why it is still there.
    pub why: Why,
}

/// Why a run was not deleted.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// Somebody holds it.
    #[error("somebody is at it")]
    Held,
    /// It is not over, whatever the index says.
    #[error("it is not over")]
    Unfinished,
    /// Its journal can't be trusted, so whether it is over isn't known.
    #[error("its journal can't be read")]
    Unreadable(#[source] JournalError),
    /// It can't be deleted.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Deletes runs that are over: those that are gone, and those that stay. One that somebody holds or has taken up again stays.
#[must_use]
pub fn delete_all(store: &Store, runs: Vec<Summary>) -> (Vec<Summary>, Vec<Kept>) {
    let (mut gone, mut kept) = (Vec::new(), Vec::new());
    for summary in runs {
        match delete(store, &summary.run) {
            Ok(true) => gone.push(summary),
            // Somebody else was faster.
            Ok(false) => {}
            Err(why) => kept.push(Kept { run: summary.run, why }),
        }
    }
    forget(store);
    (gone, kept)
}

/// Deletes a run that is over; whether it was there.
fn delete(store: &Store, run: &RunId) -> Result<bool, Why> {
    let dir = match store.run(run) {
        Err(error) if error.is_missing() => return Ok(false),
        other => other?,
    };
    let _lock = match RunLock::acquire(&dir, std::time::Duration::ZERO) {
        Ok(lock) => lock,
        Err(LockError::Busy(_)) => return Err(Why::Held),
        Err(LockError::Store(error)) => return Err(error.into()),
    };
    // The index may be behind: the journal has the last word.
    let replay = journal::read(&dir).map_err(Why::Unreadable)?;
    if !summarize(&replay, false).is_some_and(|summary| summary.outcome.is_final()) {
        return Err(Why::Unfinished);
    }
    let runs = store.runs();
    let hidden = format!("{DELETED}{run}");
    rustix::fs::renameat(runs, run.as_str(), runs, hidden.as_str())
        .map_err(|errno| StoreError::io("rename", dir.path(), errno))?;
    runs.sync()?;
    remove(&runs.path().join(&hidden))?;
    Ok(true)
}

/// Takes runs that are gone out of the index, and removes what a deletion that was cut short has left. Nothing is lost where that fails.
fn forget(store: &Store) {
    for name in store.runs().names().unwrap_or_default() {
        if name.starts_with(DELETED) {
            let _ = remove(&store.runs().path().join(name));
        }
    }
    let _ = index::renew(store);
}

/// Removes a folder with all that is in it; links in it are removed and not followed.
fn remove(path: &Path) -> Result<(), StoreError> {
    if std::fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    // What commands left in their folder may be closed even to its owner.
    open_up(path);
    std::fs::remove_dir_all(path).map_err(|source| StoreError::io("remove", path, source))
}

fn open_up(path: &Path) {
    let is_folder = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir());
    if !is_folder {
        return;
    }
    let _ = std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        open_up(&entry.path());
    }
}
