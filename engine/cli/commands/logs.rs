//! `runbook logs`: what a step printed.

use clap::Args;
use runbook_core::id::StepId;

use crate::args::step_id;
use crate::context::Context;
use crate::error::CommandError;

/// Options of `logs`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// The step; without it all steps, each with its name
    #[arg(value_name = "STEP", value_parser = step_id)]
    pub(crate) step: Option<StepId>,
    /// Go on printing while the run goes on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// This attempt instead of the last one
    #[arg(long, value_name = "N", requires = "step", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) attempt: Option<u32>,
    /// Only what was printed to standard error
    #[arg(long)]
    pub(crate) stderr: bool,
}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook logs`"))
}
