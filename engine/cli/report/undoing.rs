//! What an ending says of undo: what was undone, what could be, and what is left as it is.

use runbook_core::event::Outcome;
use runbook_core::plan::Plan;
use runbook_core::schedule::undoable;
use runbook_runtime::run::View;

use super::wording::{count, harmless};

/// Where undoing stands.
pub(crate) struct Undoing {
    /// Sentences for people.
    pub(crate) sentences: Vec<String>,
    /// Something is left that `runbook rollback` would undo.
    pub(crate) is_left: bool,
    /// Something was undone: the run can't be resumed any more.
    pub(crate) has_begun: bool,
}

impl Undoing {
    /// Looks at a run that has ended without success, or is on its way there.
    pub(crate) fn of(view: View<'_>) -> Self {
        let (plan, state) = (view.plan, view.state);
        let mut sentences = Vec::new();
        if state.undos().next().is_none() {
            return Self { sentences, is_left: false, has_begun: false };
        }
        let left = undoable(plan, state);
        // In the order in which it was done.
        let mut undone: Vec<usize> =
            state.undos().map(|(step, _)| step).filter(|step| state.is_undone(*step)).collect();
        undone.sort_by_key(|step| state.undo_of(*step).map(|undo| state.steps[undo].ended_as_number));
        if !undone.is_empty() {
            sentences.push(format!("Undone: {}.", ids(plan, &undone)));
        }
        let mut failed = Vec::new();
        for (step, undo) in state.undos() {
            let known = &state.steps[undo];
            let reason = known.result.reason.as_deref().unwrap_or_default();
            let said = match known.outcome() {
                Some(Outcome::Failed) => "failed",
                Some(Outcome::Interrupted) => "was interrupted",
                Some(Outcome::Skipped) => "was skipped",
                _ => continue,
            };
            failed.push(step);
            sentences.push(format!("The undo of {} {said}: {}", plan.steps[step].id, harmless(reason)));
        }
        let rest: Vec<usize> = left.order.iter().copied().filter(|step| !failed.contains(step)).collect();
        if undone.is_empty() && failed.is_empty() {
            let completed = plan.declared().filter(|(index, step)| {
                !step.finally && state.steps[*index].outcome() == Some(Outcome::Succeeded)
            });
            // What runs although it didn't succeed is named with the rest.
            let succeeded =
                rest.iter().filter(|step| state.steps[**step].outcome() == Some(Outcome::Succeeded)).count();
            let completed = completed.count();
            sentences.push(format!("{succeeded} of {} can be undone.", count(completed, "completed step")));
        } else if !rest.is_empty() {
            sentences.push(format!("Still to be undone: {}.", ids(plan, &rest)));
        }
        for step in &left.left_out {
            let outcome = state.steps[*step].outcome().map_or("did not end", Outcome::as_str);
            let how = match state.steps[*step].outcome() {
                Some(Outcome::Interrupted | Outcome::Cancelled) => format!("was {outcome}"),
                _ => outcome.to_owned(),
            };
            sentences.push(format!("{} {how}: its undo does not run.", plan.steps[*step].id));
        }
        Self { sentences, is_left: !left.order.is_empty(), has_begun: !undone.is_empty() }
    }
}

fn ids(plan: &Plan, steps: &[usize]) -> String {
    steps.iter().map(|step| plan.steps[*step].id.as_str()).collect::<Vec<_>>().join(", ")
}
