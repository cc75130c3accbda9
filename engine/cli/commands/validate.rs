//! `runbook validate`: all mistakes, each with its place.

use clap::Args;

use crate::context::Context;
use crate::error::CommandError;

/// Options of `validate`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbooks; the whole library when none is named
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook validate`"))
}
