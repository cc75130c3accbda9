//! `runbook resume`: go on with a run.

use clap::Args;
use runbook_core::id::StepId;

use crate::args::{key_value, step_id, step_reason};
use crate::context::Context;
use crate::error::CommandError;

/// Options of `resume`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
    /// Run this step again (repeatable)
    #[arg(long, value_name = "STEP", value_parser = step_id)]
    pub(crate) retry: Vec<StepId>,
    /// Run all steps again that failed
    #[arg(long)]
    pub(crate) retry_failed: bool,
    /// Leave this step out (repeatable)
    #[arg(long, value_name = "STEP=REASON", value_parser = step_reason)]
    pub(crate) skip: Vec<(StepId, String)>,
    /// Somebody did this step by hand (repeatable)
    #[arg(long, value_name = "STEP=REASON", value_parser = step_reason)]
    pub(crate) done: Vec<(StepId, String)>,
    /// A value that the step under `--done` would have given (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value, requires = "done")]
    pub(crate) output: Vec<(String, String)>,
    /// Not supported yet
    #[arg(long, value_name = "STEP", hide = true)]
    pub(crate) from: Option<String>,
    /// Not supported yet
    #[arg(long, hide = true)]
    pub(crate) adopt: bool,
}

/// Executes the command; the exit status.
pub(crate) fn execute(_context: &Context, _options: &Options) -> Result<u8, CommandError> {
    Err(CommandError::not_yet("`runbook resume`"))
}
