//! What a runbook leaves to whoever is there, settled by what the scenario answers: nobody sits at a terminal.

use std::sync::Arc;

use super::answers::Answers;
use crate::plan::{OnFailure, Plan, ROLLBACK, Rollback, Step};

/// Words that only a question about a failure takes.
const OF_FAILURE: [&str; 4] = ["retry", "skip", "undo", "abort"];

/// The plan as it is rehearsed. `rollback: ask` without an answer is `manual` (`language.md` §10); a failure of which
/// nothing is said is asked about where there is an answer to it.
pub(super) fn settled(plan: &Arc<Plan>, answers: &Answers) -> Arc<Plan> {
    let mut settled = Plan::clone(plan);
    let rollback = ROLLBACK.parse().ok().map(|id| answers.words(&id).len());
    if settled.rollback == Rollback::Ask && rollback == Some(0) {
        settled.rollback = Rollback::Manual;
    }
    for step in &mut settled.steps {
        ask_where_answered(step, answers);
    }
    Arc::new(settled)
}

fn ask_where_answered(step: &mut Step, answers: &Answers) {
    let answered = || answers.words(&step.id).iter().any(|word| OF_FAILURE.contains(word));
    if step.on_failure == OnFailure::Unsaid && !step.is_container() && answered() {
        step.on_failure = OnFailure::Ask;
    }
    step.held_back_mut().for_each(|inner| ask_where_answered(inner, answers));
}
