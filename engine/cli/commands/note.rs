//! `runbook note`: a line for a run's timeline.

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;

/// Options of `note`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The line
    #[arg(value_name = "TEXT")]
    pub(crate) text: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook note`"))
}
