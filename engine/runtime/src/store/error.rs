//! What can go wrong with the files of the state directory.

use std::io;
use std::path::{Path, PathBuf};

use runbook_core::id::RunId;

/// A failure of the store, with the path it is about.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// The verb, as in `open`.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// A symbolic link where none may be (`engine.md` §5).
    #[error("{} is a symbolic link, which is refused inside the state directory", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Something else that can't be trusted: owner, mode, type, size, a name.
    #[error("{} {what}", path.display())]
    Refused {
        /// The file or folder.
        path: PathBuf,
        /// Why, to be read after the path: `is not a regular file`.
        what: String,
    },
    /// The run isn't in this state directory.
    #[error("there is no run {run}")]
    NoSuchRun {
        /// The run that was asked for.
        run: RunId,
    },
    /// A run of this id was created already; take another id.
    #[error("there is already a run {run}")]
    RunExists {
        /// The id.
        run: RunId,
    },
}

/// What a caller can do about an error of the store or the journal: which exit
/// status it means (`cli.md`, "Exit status").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// What was named isn't there, or isn't one: 2.
    NotFound,
    /// Somebody else holds it: 5.
    Busy,
    /// It could not be written or read, or can't be trusted: 6.
    Broken,
}

impl StoreError {
    /// Which exit status this means.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::NoSuchRun { .. } => Family::NotFound,
            Self::Io { .. } | Self::Symlink { .. } | Self::Refused { .. } | Self::RunExists { .. } => {
                Family::Broken
            }
        }
    }

    /// Whether the file or folder just isn't there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
            || matches!(self, Self::NoSuchRun { .. })
    }

    /// Wraps what the operating system said about `path`.
    pub(crate) fn io(action: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.to_owned(), source: source.into() }
    }

    /// Refuses `path` for a reason of our own.
    pub(crate) fn refused(path: &Path, what: impl Into<String>) -> Self {
        Self::Refused { path: path.to_owned(), what: what.into() }
    }
}
