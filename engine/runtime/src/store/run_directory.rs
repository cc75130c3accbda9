//! The folder of one run, and the names in it.

use std::path::{Component, Path, PathBuf};

use runbook_core::id::{RunId, StepId};

use super::error::StoreError;
use super::files::Directory;

/// The plan that runs, as recorded by its digest in `run_created`.
pub const PLAN: &str = "plan.json";
/// The runbook's text as run.
pub const RUNBOOK: &str = "runbook.yaml";
/// The environment that is kept for the run's life.
pub const ENVIRONMENT: &str = "environment.json";
/// The witnesses of attempts, which keepers write.
pub const WITNESS: &str = "witness";
/// The file whose kernel lock makes one writer.
pub const LOCK: &str = "lock";
/// Answers from other processes.
pub const INBOX: &str = "inbox";
/// The logs of all attempts, flat.
pub const LOGS: &str = "logs";
/// Copied artifacts, by step.
pub const ARTIFACTS: &str = "artifacts";
/// The folder that steps know as `run.dir`.
pub const FILES: &str = "files";

/// One run's folder, open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RunDir {
    run: RunId,
    directory: Directory,
}

impl RunDir {
    pub(crate) fn new(run: RunId, directory: Directory) -> Self {
        Self { run, directory }
    }

    /// The run.
    #[must_use]
    pub fn run(&self) -> &RunId {
        &self.run
    }

    /// The folder, for reading and writing the files named in this module.
    #[must_use]
    pub fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Where the folder is. For messages and for programs that take a path;
    /// our own reading and writing goes through [`RunDir::directory`].
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The mode of files in it that are written by their path: logs and witnesses.
    #[must_use]
    pub fn file_mode(&self) -> u32 {
        self.directory.reach().file(super::mode::FILE).bits()
    }

    /// The folder of answers; it is there from the run's creation.
    ///
    /// # Errors
    /// Where it is gone or a symbolic link.
    pub fn inbox(&self) -> Result<Directory, StoreError> {
        self.directory.subdirectory(INBOX)
    }

    /// The folder of logs; it is there from the run's creation.
    ///
    /// # Errors
    /// Where it is gone or a symbolic link.
    pub fn logs(&self) -> Result<Directory, StoreError> {
        self.directory.subdirectory(LOGS)
    }

    /// The folder of artifacts, created when first asked for.
    ///
    /// # Errors
    /// Where it can't be created or is a symbolic link.
    pub fn artifacts(&self) -> Result<Directory, StoreError> {
        self.directory.ensure_subdirectory(ARTIFACTS)
    }

    /// The folder that steps know as `run.dir`, created when first asked for.
    ///
    /// # Errors
    /// Where it can't be created or is a symbolic link.
    pub fn files(&self) -> Result<Directory, StoreError> {
        self.directory.ensure_subdirectory(FILES)
    }

    /// The path of `run.dir`, whether or not it exists yet.
    #[must_use]
    pub fn files_path(&self) -> PathBuf {
        self.path().join(FILES)
    }

    /// The path of an attempt's log, whether or not anything was printed.
    #[must_use]
    pub fn log_path(&self, step: &StepId, attempt: u32) -> PathBuf {
        self.path().join(LOGS).join(log_name(step, attempt))
    }

    /// The path of the run's witnesses.
    #[must_use]
    pub fn witness_path(&self) -> PathBuf {
        self.path().join(WITNESS)
    }

    /// The numbers of the journal's segments, in order.
    ///
    /// # Errors
    /// Where the folder can't be read.
    pub fn segments(&self) -> Result<Vec<u32>, StoreError> {
        let mut numbers: Vec<u32> =
            self.directory.names()?.iter().filter_map(|name| segment_number(name)).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// The name of a plan that another one has taken the place of, by its digest.
#[must_use]
pub fn former_plan(digest: &str) -> String {
    format!("plan-{digest}.json")
}

/// The name of the runbook's text that belongs to such a plan.
#[must_use]
pub fn former_runbook(digest: &str) -> String {
    format!("runbook-{digest}.yaml")
}

/// The name of an attempt's log in the folder of logs.
#[must_use]
pub fn log_name(step: &StepId, attempt: u32) -> String {
    format!("{}.{attempt}.log", step.file_stem())
}

/// The name of a segment of the journal, from 1.
#[must_use]
pub fn segment_name(number: u32) -> String {
    format!("journal-{number:06}.jsonl")
}

/// The number of a segment, where `name` is one.
pub(crate) fn segment_number(name: &str) -> Option<u32> {
    let number = name.strip_prefix("journal-")?.strip_suffix(".jsonl")?.parse().ok()?;
    (number > 0 && segment_name(number) == name).then_some(number)
}

/// Where the copy of a file lies below the folder of its step: the names of its path, and nothing that leads upwards or to the root.
pub(crate) fn artifact_parts(path: &str) -> Vec<&str> {
    let parts = Path::new(path).components().filter_map(|component| match component {
        Component::Normal(name) => name.to_str(),
        Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
    });
    parts.collect()
}
