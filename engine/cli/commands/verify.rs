//! `runbook verify`: whether a run's record is as it was written.

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;

/// Options of `verify`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook verify`"))
}
