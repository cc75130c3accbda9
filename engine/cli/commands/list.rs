//! `runbook list`: the runbooks.

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;

/// Options of `list`.
#[derive(Debug, Args)]
pub(crate) struct Options {}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook list`"))
}
