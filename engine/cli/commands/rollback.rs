//! `runbook rollback`: undo what a run has done.

use clap::Args;
use runbook_core::event::Outcome;
use runbook_core::schedule::{check_ahead_of_rollback, plan_rollback};
use runbook_core::state::RunState;
use runbook_runtime::run::Carry;
use runbook_runtime::store::identity::current_user;

use crate::context::Context;
use crate::drive;
use crate::error::CommandError;

/// Options of `rollback`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The run: its id, a unique beginning of it, a runbook's name, or `last`
    #[arg(value_name = "RUN")]
    pub(crate) run: String,
}

/// Executes the command; the exit status.
pub(crate) fn execute(context: &Context, options: &Options) -> Result<u8, CommandError> {
    let helper = drive::helper()?;
    let store = context.store()?;
    let dir = store.run(&context.resolve(&store, &options.run)?)?;
    context.refuse_from_inside(dir.run())?;
    drive::rollback(context, helper, &dir, &options.run, |state| {
        let ahead = drive::ahead_by_whoever_resumes(context);
        check_ahead_of_rollback(state, &ahead, &current_user())?;
        let asked = plan_rollback(state, &current_user(), &ahead)?;
        let reason = asked.ends.then(|| Some("runbook rollback".to_owned()));
        // A question that is open is answered; everything else is taken on to be undone.
        let rollback = asked.answers.is_empty() && !asked.is_answered_ahead;
        Ok(Carry {
            question: Vec::new(),
            answers: asked.answers,
            ahead,
            override_window: None,
            cancel: reason,
            rollback,
            adopt: None,
            rewind: None,
        })
    })
}

/// Whether an undo failed, or it isn't known how one ended.
pub(crate) fn is_incomplete(state: &RunState) -> bool {
    let open =
        |undo: usize| matches!(state.steps[undo].outcome(), Some(Outcome::Failed | Outcome::Interrupted));
    state.undos().any(|(_, undo)| open(undo))
}
