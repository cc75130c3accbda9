//! What `done_when` decides: before the first attempt that nothing is left to do, after an interruption that the
//! step took effect, or that it did not and is done again.

use super::follow::Standing;
use crate::plan::Plan;
use crate::state::RunState;

/// What `done_when` says of a step that could start for the first time.
pub(super) enum Before {
    /// It is to be done.
    Starts,
    /// It must be looked at first.
    Looks,
    /// It is done already, for this reason.
    Done(String),
    /// It can't be looked at, for this reason.
    Fails(String),
}

/// Where nothing could be measured the step is not known to be done, and it is what the runbook is for: it starts.
pub(super) fn before_first(plan: &Plan, state: &RunState, step: usize) -> Before {
    if plan.steps[step].done_when.is_none() {
        return Before::Starts;
    }
    let Some(checked) = state.steps[step].done_now() else { return Before::Looks };
    match (checked.done, &checked.reason) {
        (Some(true), _) => Before::Done("done_when: it is done already".into()),
        (None, Some(reason)) if reason.starts_with("template") => Before::Fails(reason.clone()),
        (Some(false) | None, _) => Before::Starts,
    }
}

/// Where nothing could be measured it is not known whether the step took effect: the next rule decides, a person
/// in the end (`language.md` §2, `engine.md` §4).
pub(super) fn of_interrupted(plan: &Plan, state: &RunState, step: usize) -> Option<Standing> {
    plan.steps[step].done_when.as_ref()?;
    match state.steps[step].done_now() {
        None => Some(Standing::Looked),
        Some(checked) if checked.done == Some(false) => {
            Some(Standing::Declared("done_when: it did not take effect"))
        }
        Some(_) => None,
    }
}
