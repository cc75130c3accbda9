//! What can go wrong with a journal.

use std::io;
use std::path::PathBuf;

use crate::store::{Family, StoreError};

/// Why a journal can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It isn't what was written, and a last line cut short doesn't explain it.
    #[error("{}, line {line}: {what}", file.display())]
    Damaged {
        /// The segment.
        file: PathBuf,
        /// The line, from 1.
        line: u64,
        /// What is wrong there.
        what: String,
    },
    /// An event that this version doesn't know: it can be shown, not resumed.
    #[error("event {seq} ({kind}) was written by a newer runbook: {source}")]
    Newer {
        /// Its number.
        seq: u64,
        /// Its kind.
        kind: String,
        /// What of it isn't known.
        source: serde_json::Error,
    },
    /// A write or a flush failed. Nothing more goes into this file.
    #[error("cannot {action} {}: {source}", file.display())]
    Unwritable {
        /// The verb.
        action: &'static str,
        /// The segment.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// No space can be set aside for the last words, so nothing new may start;
    /// nothing was written.
    #[error("no space left for {}: {source}", file.display())]
    Full {
        /// The segment.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// An earlier write or reservation failed; see [`crate::journal::Writer::last_words`].
    #[error("{} takes no more events since an earlier failure", file.display())]
    Closed {
        /// The segment.
        file: PathBuf,
    },
    /// The files themselves.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl JournalError {
    /// Which exit status this means.
    #[must_use]
    pub fn family(&self) -> Family {
        match self {
            Self::Store(error) => error.family(),
            Self::Damaged { .. }
            | Self::Newer { .. }
            | Self::Unwritable { .. }
            | Self::Full { .. }
            | Self::Closed { .. } => Family::Broken,
        }
    }
}
