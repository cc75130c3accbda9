//! Why a run can't be created, opened or carried on, and which exit status that is.

use std::path::PathBuf;

use runbook_core::state::IllegalEvent;

use super::environment::EncodedSecret;
use super::recover::RecoverError;
use crate::journal::JournalError;
use crate::keeper::WitnessError;
use crate::secrets::SecretError;
use crate::store::lock::LockError;
use crate::store::{Family, StoreError};

/// Why a run can't be created, opened or carried on.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Another process holds the run.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The witness file.
    #[error(transparent)]
    Witness(#[from] WitnessError),
    /// What the last engine left can't be made sense of.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// The plan is not the one that the journal names.
    #[error("{} is not the plan that the journal records (its digest is {found}, recorded is {recorded})", .path.display())]
    ForeignPlan {
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// The journal's.
        recorded: String,
    },
    /// The environment is not the one that the journal names.
    #[error("{} is not what the journal records", .path.display())]
    ForeignEnvironment {
        /// The file.
        path: PathBuf,
    },
    /// A file of the run can't be understood.
    #[error("{} can't be read: {source}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: serde_json::Error,
    },
    /// The journal says what can't be.
    #[error("the journal contradicts itself: {0}")]
    Contradiction(#[from] IllegalEvent),
    /// The journal doesn't begin with the run's creation.
    #[error("the journal doesn't begin with the run's creation")]
    NotCreated,
    /// The store failed before the creation of the run was recorded: there is no run.
    #[error("the run could not be recorded, so nothing was started: {0}")]
    NothingRecorded(String),
    /// Secrets can't be had.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Secrets(Vec<SecretError>),
    /// A parameter holds a secret's value.
    #[error(
        "the parameter `{param}` holds the value of the secret `{secret}`: a secret is given under `secrets:`, not as a parameter"
    )]
    SecretInParam {
        /// The parameter.
        param: String,
        /// The secret.
        secret: String,
    },
    /// A variable holds a secret in a form that can't be stored masked.
    #[error(transparent)]
    EncodedSecret(#[from] EncodedSecret),
    /// A decision about an interrupted step of which something still runs.
    #[error("`{step}` was interrupted, and processes of it still run: {processes}")]
    StillRuns {
        /// The step.
        step: runbook_core::id::StepId,
        /// Pids and commands.
        processes: String,
    },
    /// The run may not start now.
    #[error("{runbook} is outside its window: {why}; {opens}")]
    OutsideWindow {
        /// The runbook.
        runbook: String,
        /// What shuts the window.
        why: String,
        /// When it opens.
        opens: String,
    },
    /// Another run has the run's lock.
    #[error("{why}")]
    NamedLockBusy {
        /// Who.
        why: String,
        /// `on_busy: skip`: then there is no run, and nothing is wrong.
        skip: bool,
    },
    /// The name of a lock can't be rendered.
    #[error("the name of the lock can't be told: {0}")]
    LockName(String),
    /// The runtime directory can't be used.
    #[error("no folder for files that live as long as a step: {0}")]
    RuntimeDirectory(std::io::Error),
    /// The boot id can't be read.
    #[error("the machine's boot id can't be read: {0}")]
    Boot(std::io::Error),
}

impl SessionError {
    /// The exit status that it has (`cli.md`).
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        let of = |family: Family| match family {
            Family::NotFound => 2,
            Family::Busy => 5,
            Family::Broken => 6,
        };
        match self {
            Self::Store(error) => of(error.family()),
            Self::Journal(error) => of(error.family()),
            Self::Lock(error) => of(error.family()),
            Self::Secrets(_) | Self::SecretInParam { .. } | Self::EncodedSecret(_) => 2,
            Self::StillRuns { .. } => 7,
            Self::LockName(_) => 2,
            Self::NamedLockBusy { skip: true, .. } => 0,
            Self::OutsideWindow { .. } | Self::NamedLockBusy { skip: false, .. } => 5,
            Self::Witness(_)
            | Self::Recover(_)
            | Self::ForeignPlan { .. }
            | Self::ForeignEnvironment { .. }
            | Self::Malformed { .. }
            | Self::Contradiction(_)
            | Self::NotCreated
            | Self::NothingRecorded(_)
            | Self::RuntimeDirectory(_)
            | Self::Boot(_) => 6,
        }
    }
}
