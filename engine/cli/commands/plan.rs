//! `runbook plan`: what would happen.

use std::path::PathBuf;

use clap::Args;

use super::run::Parameters;
use crate::context::Context;
use crate::error::CommandError;

/// Options of `plan`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The runbook
    #[arg(value_name = "NAME")]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) parameters: Parameters,
    /// Not supported yet
    #[arg(long, hide = true)]
    pub(crate) probe: bool,
    /// Not supported yet
    #[arg(short, long, value_name = "FILE", hide = true)]
    pub(crate) output: Option<PathBuf>,
}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook plan`"))
}
