//! Whether a run may go on with an edited runbook, and what is recorded of it: `resume --adopt` (`cli.md`).

use std::sync::Arc;

use super::input::Refusal;
use super::resume::{refuse_ending, refuse_over};
use crate::event::{EventKind, Outcome};
use crate::moment::Moment;
use crate::plan::{Action, Plan, Role, definition, differences};
use crate::state::{RunState, Status};

/// An edited plan that a run may go on with.
#[derive(Debug, Clone, PartialEq)]
pub struct Adoption {
    /// What is to run.
    pub plan: Arc<Plan>,
    /// Its digest.
    pub digest: String,
    /// In what it differs, a sentence each.
    pub differences: Vec<String>,
}

/// Judges an edited plan; nothing where it is the one that runs.
///
/// # Errors
/// Where something that is recorded has no place in it: a usage error.
pub fn plan_adoption(state: &RunState, plan: Plan, digest: String) -> Result<Option<Adoption>, Refusal> {
    let known = state.created.as_ref().map(|created| created.plan_digest.as_str());
    if known == Some(digest.as_str()) {
        return Ok(None);
    }
    refuse_over(state)?;
    refuse_ending(state)?;
    for (index, step) in state.plan.steps.iter().enumerate() {
        // What was done for an item is there where the step with items is.
        if state.has_record(index) && state.plan.item_of(index).is_none() && step.role != Role::Rollback {
            refuse_misfit(state, &plan, index, &step.action)?;
        }
    }
    let said = sentences(state, &plan);
    let adoption = Adoption { plan: Arc::new(plan), digest, differences: said };
    // Items that were settled may have grown out of what is written now.
    let after = adoption.applied(state, Moment::default())?;
    for index in 0..after.plan.steps.len() {
        refuse_addition(state, &after, index)?;
    }
    Ok(Some(adoption))
}

impl Adoption {
    /// What is recorded.
    #[must_use]
    pub fn event(&self) -> EventKind {
        EventKind::RunAdopted { differences: self.differences.clone(), plan_digest: self.digest.clone() }
    }

    /// The state as it is once the plan is adopted.
    ///
    /// # Errors
    /// Where something that is recorded has no place in the plan: a usage error.
    pub fn applied(&self, state: &RunState, at: Moment) -> Result<RunState, Refusal> {
        let mut after = state.clone();
        after.offer(self.digest.clone(), Arc::clone(&self.plan));
        let applied = after.apply(at, &self.event());
        applied.map_err(|error| {
            Refusal::usage(format!("the edited runbook doesn't fit what has happened in this run: {error}"))
        })?;
        Ok(after)
    }
}

/// A step of which something is recorded must still be there, and be something of the same kind.
fn refuse_misfit(state: &RunState, plan: &Plan, index: usize, action: &Action) -> Result<(), Refusal> {
    let id = &state.plan.steps[index].id;
    let ended = state.steps[index].outcome().is_some();
    let stands = if ended { "has finished" } else { "has begun" };
    let new = plan.index_of(id);
    if state.plan.steps[index].waits_for_unwinding() {
        return match new.and_then(|new| plan.undo_of(new)) {
            Some(_) => Ok(()),
            None => Err(Refusal::usage(format!(
                "the undo of `{id}` {stands}, and the edited runbook has none for it"
            ))),
        };
    }
    let Some(new) = new else {
        return Err(Refusal::usage(format!(
            "`{id}` {stands}, and the edited runbook has no step of this id"
        )));
    };
    let edited = &plan.steps[new].action;
    let alike = edited.kind() == action.kind() && edited.is_container() == action.is_container();
    let is_work = |action: &Action| action.question().is_none() && !action.is_container();
    if alike || (ended && is_work(action) && is_work(edited)) {
        return Ok(());
    }
    Err(Refusal::usage(format!(
        "`{id}` {stands} as `{}`, and the edited runbook makes it `{}`: give that another id",
        action.kind(),
        edited.kind()
    )))
}

/// What is new can't stand in a group that is over: it would never run.
fn refuse_addition(before: &RunState, after: &RunState, index: usize) -> Result<(), Refusal> {
    let step = &after.plan.steps[index];
    if before.index_of(&step.id).is_some() {
        return Ok(());
    }
    let is_over = |around: &usize| {
        matches!(after.steps[*around].status, Status::Ended(Outcome::Succeeded | Outcome::Skipped))
    };
    match after.plan.containers_of(index).find(is_over) {
        Some(around) => Err(Refusal::usage(format!(
            "`{}` is new in `{}`, which is over: it would never run",
            step.id, after.plan.steps[around].id
        ))),
        None => Ok(()),
    }
}

/// The differences, and what follows from them for what has happened.
fn sentences(state: &RunState, plan: &Plan) -> Vec<String> {
    let mut said = Vec::new();
    for difference in differences(&state.plan, plan) {
        let Some(id) = difference.step else {
            said.push(difference.what);
            continue;
        };
        let known = state.index_of(&id);
        let done = known.is_some_and(|step| {
            matches!(state.steps[step].outcome(), Some(Outcome::Succeeded | Outcome::Skipped))
                && !matches!(state.plan.steps[step].action, Action::Approve(_))
        });
        let changed = known.is_some_and(|old| {
            plan.index_of(&id).is_some_and(|new| definition(&state.plan, old) != definition(plan, new))
        });
        let rest = if done && changed { "; it has finished and is not run again" } else { "" };
        said.push(format!("`{id}` {}{rest}", difference.what));
    }
    if said.is_empty() {
        said.push("the steps stand in another order".into());
    }
    for (step, known) in state.plan.steps.iter().zip(&state.steps) {
        let is_approval = matches!(step.action, Action::Approve(_));
        if is_approval && known.outcome() == Some(Outcome::Succeeded) {
            said.push(format!("the approval of `{}` is void and asked again", step.id));
        }
    }
    said
}
