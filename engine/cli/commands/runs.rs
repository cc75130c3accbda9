//! `runbook runs`: the runs so far.

use clap::{Args, ValueEnum};

use crate::context::Context;
use crate::error::CommandError;

/// Options of `runs`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Only runs of this runbook
    #[arg(long, value_name = "NAME")]
    pub(crate) runbook: Option<String>,
    /// Only runs with this outcome (repeatable)
    #[arg(long, value_enum, value_name = "OUTCOME")]
    pub(crate) outcome: Vec<Wanted>,
    /// Only runs that wait for a person
    #[arg(long)]
    pub(crate) waiting: bool,
    /// Only runs that this user started
    #[arg(long, value_name = "USER")]
    pub(crate) user: Option<String>,
    /// At most so many, the latest first
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<usize>,
}

/// The outcomes that runs can be picked by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wanted {
    Succeeded,
    Failed,
    Rejected,
    Cancelled,
    Waiting,
    Running,
    Interrupted,
}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook runs`"))
}
