//! `runbook resume`: go on with a run.

use clap::Args;
use runbook_core::id::StepId;
use runbook_core::schedule::ResumeRequest;
use runbook_runtime::store::identity::current_user;

use crate::context::Context;
use crate::error::CommandError;
use crate::values::{key_value, reason, step_id, step_reason};
use crate::{adopting, drive};

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
    /// Run this step and all that follows it again
    #[arg(long, value_name = "STEP", value_parser = step_id)]
    pub(crate) from: Option<StepId>,
    /// Go on with the runbook as it is now: shows what differs, and asks at a terminal
    #[arg(long)]
    pub(crate) adopt: bool,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    context.refuse_tags()?;
    context.refuse_unwritable_report()?;
    context.refuse_what_starts_settle()?;
    let helper = drive::helper()?;
    let store = context.store()?;
    let run = context.resolve(&store, &options.run)?;
    context.refuse_from_inside(&run)?;
    let dir = store.run(&run)?;
    let request = ResumeRequest {
        by: current_user(),
        retry: options.retry.clone(),
        retry_failed: options.retry_failed,
        from: options.from.clone(),
        skip: options.skip.clone(),
        done: options.done.clone(),
        outputs: options.output.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect(),
        attended: drive::is_attended(context),
        ..ResumeRequest::default()
    };
    let edited = if options.adopt { adopting::propose(context, &dir)? } else { None };
    let taking = drive::Taking { override_window: options.override_window.clone(), edited };
    drive::resume(context, helper, &dir, &options.run, &request, taking)
}
