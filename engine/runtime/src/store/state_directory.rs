//! The state directory: where all runs are.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use runbook_core::id::RunId;

use super::error::StoreError;
use super::files::Directory;
use super::lock::{LockError, RunLock};
use super::mode::{self, Reach};
use super::run_directory::{INBOX, LOGS, RunDir};

/// The folder of runs in the state directory.
const RUNS: &str = "runs";

/// The store of runs in a local directory.
#[derive(Debug, Clone)]
pub struct Store {
    root: Directory,
    runs: Directory,
}

impl Store {
    /// Opens the state directory, creating it (0700) where it isn't there. It
    /// may be reached through a symbolic link; inside, none is followed.
    ///
    /// # Errors
    /// Where it can't be created or opened, isn't a directory, belongs to
    /// another user, or can be written by others.
    pub fn open(state_dir: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(mode::DIRECTORY.bits())
            .create(state_dir)
            .map_err(|source| StoreError::io("create", state_dir, source))?;
        let root = Directory::open_root(state_dir)?;
        check_owner(&root)?;
        let runs = match root.subdirectory(RUNS) {
            Err(error) if error.is_missing() => {
                let runs = root.ensure_subdirectory(RUNS)?;
                root.sync()?;
                runs
            }
            other => other?,
        };
        Ok(Self { root, runs })
    }

    /// The state directory's own folder.
    pub(crate) fn root(&self) -> &Directory {
        &self.root
    }

    /// Where the state directory is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// Creates the folder of a new run and holds its lock, so that no other
    /// process ever sees a journal there without its writer. The run becomes
    /// visible, and its files durable, with [`crate::journal::Writer::create`].
    ///
    /// # Errors
    /// [`StoreError::RunExists`]: take another id. Otherwise where it can't be
    /// written.
    pub fn create_run(&self, run: &RunId) -> Result<(RunDir, RunLock), StoreError> {
        let directory = match self.runs.create_subdirectory(run.as_str()) {
            Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(StoreError::RunExists { run: run.clone() });
            }
            other => other?,
        };
        directory.create_subdirectory(INBOX)?;
        directory.create_subdirectory(LOGS)?;
        let dir = RunDir::new(run.clone(), directory);
        let lock = match RunLock::acquire(&dir, std::time::Duration::ZERO) {
            Ok(lock) => lock,
            Err(LockError::Store(error)) => return Err(error),
            Err(LockError::Busy(_)) => return Err(StoreError::RunExists { run: run.clone() }),
        };
        Ok((dir, lock))
    }

    /// The folder that holds the runs' folders; a new run's name in it is
    /// durable after its [`Directory::sync`].
    #[must_use]
    pub fn runs(&self) -> &Directory {
        &self.runs
    }

    /// Opens the folder of a run.
    ///
    /// # Errors
    /// [`StoreError::NoSuchRun`] where it isn't there; otherwise where it can't
    /// be opened or is a symbolic link.
    pub fn run(&self, run: &RunId) -> Result<RunDir, StoreError> {
        match self.runs.subdirectory(run.as_str()) {
            Ok(directory) => Ok(RunDir::new(run.clone(), directory)),
            Err(error) if error.is_missing() => Err(StoreError::NoSuchRun { run: run.clone() }),
            Err(error) => Err(error),
        }
    }

    /// The ids of all runs in this store, the oldest first; also of those whose
    /// creation was cut short.
    ///
    /// # Errors
    /// Where the folder of runs can't be read.
    pub fn run_ids(&self) -> Result<Vec<RunId>, StoreError> {
        Ok(self.run_names()?.iter().filter_map(|name| name.parse().ok()).collect())
    }

    /// The same as names, for looking through thousands of them.
    pub(crate) fn run_names(&self) -> Result<Vec<String>, StoreError> {
        let mut names = self.runs.names()?;
        names.retain(|name| name.parse::<RunId>().is_ok());
        names.sort_unstable();
        Ok(names)
    }
}

/// Refuses a state directory that somebody could change who doesn't share it.
fn check_owner(root: &Directory) -> Result<(), StoreError> {
    let status = rustix::fs::fstat(root).map_err(|errno| StoreError::io("stat", root.path(), errno))?;
    // Its group shares it on purpose; the kernel has let us in as a member.
    if root.reach() == Reach::Group {
        return Ok(());
    }
    if status.st_uid != rustix::process::geteuid().as_raw() {
        let owner = super::identity::user_name(status.st_uid);
        return Err(StoreError::refused(root.path(), format!("belongs to {owner}, not to you")));
    }
    if status.st_mode & mode::OTHERS_WRITE != 0 {
        let bits = status.st_mode & 0o7777;
        return Err(StoreError::refused(
            root.path(),
            format!("can be written by others (mode {bits:04o}): take that away with `chmod go-w`"),
        ));
    }
    Ok(())
}
