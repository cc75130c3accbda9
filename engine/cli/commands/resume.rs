//! `runbook resume`: go on with a run.

use clap::Args;
use runbook_core::id::StepId;
use runbook_core::schedule::ResumeRequest;
use runbook_runtime::store::identity::current_user;

use crate::args::{key_value, reason, step_id, step_reason};
use crate::context::Context;
use crate::drive;
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
    /// Go on outside the windows, for this reason, which is recorded
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub(crate) override_window: Option<String>,
    /// Not supported yet
    #[arg(long, value_name = "STEP", hide = true)]
    pub(crate) from: Option<String>,
    /// Not supported yet
    #[arg(long, hide = true)]
    pub(crate) adopt: bool,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    options.refuse_what_comes_later()?;
    context.refuse_tags()?;
    let helper = drive::helper()?;
    let store = context.store()?;
    let run = store.resolve(&options.run)?;
    context.refuse_from_inside(&run)?;
    let dir = store.run(&run)?;
    let request = ResumeRequest {
        by: current_user(),
        retry: options.retry.clone(),
        retry_failed: options.retry_failed,
        skip: options.skip.clone(),
        done: options.done.clone(),
        outputs: options.output.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
        attended: drive::is_attended(context),
    };
    drive::resume(context, helper, &dir, &options.run, &request, options.override_window.as_deref())
}

impl Options {
    /// Options of the contract that later versions have.
    fn refuse_what_comes_later(&self) -> Result<(), CommandError> {
        match (&self.from, self.adopt) {
            (Some(_), _) => Err(CommandError::not_yet("resume --from")),
            (None, true) => Err(CommandError::not_yet("resume --adopt")),
            (None, false) => Ok(()),
        }
    }
}
