//! `runbook status`: where a run stands and what it waits for.

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;

/// Options of `status`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    pub(crate) run: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook status`"))
}
