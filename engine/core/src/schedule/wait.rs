//! Waits: over when their time has come or a person says so. They have no process and ask nobody, so all of it follows from the
//! record and the clock, before and after a restart alike.

use indexmap::IndexMap;

use super::follow::reason_held_back;
use super::input::{Answer, Circumstances, Refusal};
use super::start::{cut_off_condition, of_template};
use crate::event::{EventKind, Outcome};
use crate::plan::Plan;
use crate::state::{RunState, Status};

/// The ends of waits that are due or cut short.
pub(super) fn over(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let due = state.waits.iter().filter_map(|&step| {
        let Status::Running(running) = &state.steps[step].status else { return None };
        if let Some(answer) = state.cut_short.get(&step) {
            let why = answer.reason.as_deref().unwrap_or_default();
            let reason = Some(format!("operator: cut short: {why}"));
            return end(
                plan,
                state,
                step,
                Outcome::Succeeded,
                reason,
                vec![answer.by.clone()],
                circumstances,
            );
        }
        let Some(until) = running.until else {
            // A record without a moment is that of a step whose texts can't be rendered, and was cut off before it said so.
            let renderer = circumstances.renderer;
            let reason = cut_off_condition(plan, state, step, circumstances)
                .and_then(|()| renderer.wait_end(plan, state, step, circumstances.now).map_err(of_template))
                .err()
                .unwrap_or_else(|| of_template("it could not be rendered".to_owned()));
            return end(plan, state, step, Outcome::Failed, Some(reason), Vec::new(), circumstances);
        };
        let is_due = until <= circumstances.now;
        is_due.then(|| end(plan, state, step, Outcome::Succeeded, None, Vec::new(), circumstances)).flatten()
    });
    due.collect()
}

/// Ends a wait for nothing: the run ends.
pub(super) fn held_back(
    plan: &Plan,
    state: &RunState,
    step: usize,
    circumstances: &Circumstances<'_>,
) -> Option<EventKind> {
    let reason = Some(reason_held_back(plan, state, step, None));
    end(plan, state, step, Outcome::Cancelled, reason, Vec::new(), circumstances)
}

/// Judges a word about a wait that runs: only `done`, with a reason.
///
/// # Errors
/// As for every answer.
pub(super) fn judge(state: &RunState, step: usize, answer: &Answer) -> Result<(), Refusal> {
    let id = &answer.step;
    if answer.word != "done" {
        return Err(Refusal::usage(format!("`{}` is no answer to `{id}`: a wait takes done", answer.word)));
    }
    if answer.reason.as_ref().is_none_or(|reason| reason.trim().is_empty()) {
        return Err(Refusal::usage(format!("`done` of `{id}` needs a reason: --reason TEXT")));
    }
    if state.cut_short.contains_key(&step) {
        return Err(Refusal::unchanged(format!("`{id}` has been cut short already")));
    }
    Ok(())
}

fn end(
    plan: &Plan,
    state: &RunState,
    step: usize,
    outcome: Outcome,
    reason: Option<String>,
    by: Vec<String>,
    circumstances: &Circumstances<'_>,
) -> Option<EventKind> {
    let Status::Running(running) = &state.steps[step].status else { return None };
    let span = circumstances.now.since(running.started_at);
    Some(EventKind::StepFinished {
        step: plan.steps[step].id.clone(),
        attempt: running.number,
        outcome,
        reason,
        exit_code: None,
        signal: None,
        duration_ms: u64::try_from(span.as_millis()).unwrap_or(u64::MAX),
        outputs: IndexMap::new(),
        log_sha256: None,
        dropped_bytes: 0,
        recovered: false,
        by,
        choice: None,
        fields: IndexMap::new(),
        values: IndexMap::new(),
        warnings: Vec::new(),
    })
}
