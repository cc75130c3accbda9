//! Why a secret could not be read. Nothing here ever holds any of a value.

use std::io;
use std::path::PathBuf;

use crate::redact::WeakSecret;

/// One secret that can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It was read, and is empty or too short to be masked.
    #[error(transparent)]
    Weak(#[from] WeakSecret),
    /// It could not be read.
    #[error("secret `{name}`: {reason}")]
    Unreadable {
        /// The declared name.
        name: String,
        /// What went wrong.
        reason: SecretReason,
    },
}

impl SecretError {
    /// The declared name of the secret.
    pub fn name(&self) -> &str {
        match self {
            Self::Weak(WeakSecret::Empty { name } | WeakSecret::TooShort { name, .. })
            | Self::Unreadable { name, .. } => name,
        }
    }
}

/// What went wrong while a secret was read.
#[derive(Debug, thiserror::Error)]
pub enum SecretReason {
    /// `env:` names a variable that isn't there.
    #[error("the environment variable {variable} is not set")]
    NotSet {
        /// The variable.
        variable: String,
    },
    /// `file:` begins with `~`, and there is no HOME.
    #[error("{} needs HOME, which is not set", path.display())]
    NoHome {
        /// The path as declared.
        path: PathBuf,
    },
    /// `file:` can't be read.
    #[error("can't read {}: {error}", path.display())]
    File {
        /// The path, absolute.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// `command:` has no program.
    #[error("the command is empty")]
    NoCommand,
    /// `command:` can't be started.
    #[error("can't start {program}: {error}")]
    Spawn {
        /// The program.
        program: String,
        /// The reason.
        error: io::Error,
    },
    /// `command:` ended with an error.
    #[error("{program} failed: {status}{}", behind_colon(stderr))]
    Failed {
        /// The program.
        program: String,
        /// `exit status 1`, `signal 9`.
        status: String,
        /// What it said at the end, sanitised and masked.
        stderr: String,
    },
    /// `command:` took too long and was ended.
    #[error("{program} did not end within {seconds}s and was stopped{}", behind_colon(stderr))]
    TimedOut {
        /// The program.
        program: String,
        /// The limit.
        seconds: u64,
        /// What it said at the end, sanitised and masked.
        stderr: String,
    },
    /// The value is longer than any secret.
    #[error("the value is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
}

fn behind_colon(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}
