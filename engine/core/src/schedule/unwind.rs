//! Undoing what was done, one step at a time, between the steps proper and `finally`.
//!
//! ```text
//! main is over, not succeeded ─► auto ───────────────────────┐
//!                            ├─► ask ─► question ─ undo ─────┤
//!                            │              └ keep ─┐        ▼
//!                            └─► manual, nobody ────┤   undo the last that finished ◄─┐
//!                                                   ▼        │ failed: question ──────┤
//!                                                finally ◄───┴─ nothing left ◄────────┘
//! ```

use super::follow::{Standing, standing};
use super::gate;
use super::guard::Wishes;
use super::input::{Attendance, Circumstances};
use super::start;
use crate::event::{EventKind, Outcome, RunOutcome};
use crate::plan::{Plan, Rollback};
use crate::state::{RunState, Status};

/// What undoing means for a run as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Undoable {
    /// The steps whose undo is still to run, in the order in which it does.
    pub order: Vec<usize>,
    /// Steps that failed, were interrupted or cut off, and whose undo does not run.
    pub left_out: Vec<usize>,
}

/// What could be undone of a run as it stands: whatever the runbook says of when.
#[must_use]
pub fn undoable(plan: &Plan, state: &RunState) -> Undoable {
    let mut rest: Vec<usize> = Vec::new();
    let mut left_out = Vec::new();
    for (step, undo) in state.undos() {
        match standing_of_undo(plan, state, step) {
            Eligible::No => {}
            Eligible::LeftOut => left_out.push(step),
            Eligible::Yes => {
                let open = matches!(
                    state.steps[undo].status,
                    Status::Pending | Status::Ended(Outcome::Failed | Outcome::Interrupted)
                );
                if open {
                    rest.push(step);
                }
            }
        }
    }
    let mut order = Vec::with_capacity(rest.len());
    while let Some(next) = last_of(plan, state, &rest) {
        rest.retain(|step| *step != next);
        order.push(next);
    }
    Undoable { order, left_out }
}

enum Eligible {
    Yes,
    No,
    /// It may have had an effect, and its undo is not meant for that.
    LeftOut,
}

fn standing_of_undo(plan: &Plan, state: &RunState, step: usize) -> Eligible {
    let known = &state.steps[step];
    let always = plan.steps[step].undo.as_ref().is_some_and(|undo| undo.always);
    let began = match known.outcome() {
        Some(Outcome::Succeeded) if !plan.steps[step].finally => return Eligible::Yes,
        Some(Outcome::Failed | Outcome::Interrupted) => true,
        Some(Outcome::Cancelled) => known.was_cut_off(&plan.steps[step]),
        _ => false,
    };
    match (began && !plan.steps[step].finally, always) {
        (true, true) => Eligible::Yes,
        (true, false) => Eligible::LeftOut,
        (false, _) => Eligible::No,
    }
}

/// Of these steps the one that finished last, dependents before what they need.
fn last_of(plan: &Plan, state: &RunState, steps: &[usize]) -> Option<usize> {
    let mut by_end = steps.to_vec();
    by_end.sort_unstable_by_key(|step| std::cmp::Reverse(state.steps[*step].ended_as_number));
    by_end.iter().copied().find(|step| !by_end.iter().any(|other| needs(plan, *other, *step)))
}

/// Whether `step` needs `other`, directly or by way of others.
fn needs(plan: &Plan, step: usize, other: usize) -> bool {
    let mut seen = vec![false; plan.steps.len()];
    let mut open = vec![step];
    while let Some(index) = open.pop() {
        // What needs a group needs what is in it; what is in a group needs what the group needs.
        for &need in &plan.steps[index].needs {
            if need == other || plan.containers_of(other).any(|group| group == need) {
                return true;
            }
            if !std::mem::replace(&mut seen[need], true) {
                open.push(need);
            }
        }
        if let Some(group) = plan.steps[index].group
            && !std::mem::replace(&mut seen[group], true)
        {
            open.push(group);
        }
    }
    false
}

/// What is next in undoing a run whose steps proper are over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Nothing is to be undone, or nothing more.
    Over,
    /// Something runs or is asked.
    Waits,
    /// Whether to undo is asked.
    Ask,
    /// What to do about an undo that failed is asked.
    AskAbout(usize),
    /// This undo starts, and why it starts again.
    Start(usize, Option<&'static str>),
}

/// Whether undoing comes before `finally`.
pub(super) fn is_due(
    plan: &Plan,
    state: &RunState,
    attendance: Attendance,
    circumstances: &Circumstances<'_>,
) -> bool {
    next(plan, state, attendance, circumstances) != Next::Over
}

fn next(plan: &Plan, state: &RunState, attendance: Attendance, circumstances: &Circumstances<'_>) -> Next {
    let Some(question) = state.rollback_question() else { return Next::Over };
    let asked = |index: &usize| state.gates.contains_key(index) || state.settled.contains_key(index);
    let undos: Vec<usize> = state.undos().map(|(_, undo)| undo).collect();
    let runs = |undo: &usize| matches!(state.steps[*undo].status, Status::Running(_));
    if asked(&question) || undos.iter().any(|undo| asked(undo) || runs(undo)) {
        return Next::Waits;
    }
    if state.unwinding_stopped || state.finally_has_begun {
        return Next::Over;
    }
    if !state.unwinding {
        if state.verdict(plan) == RunOutcome::Succeeded || undoable(plan, state).order.is_empty() {
            return Next::Over;
        }
        match plan.rollback {
            Rollback::Manual => return Next::Over,
            Rollback::Auto => {}
            Rollback::Ask => {
                let ahead = state.ahead.iter().any(|ahead| ahead.step == plan.steps[question].id);
                let pending = state.steps[question].status == Status::Pending;
                let asks = pending && (ahead || attendance != Attendance::Nobody);
                return if asks { Next::Ask } else { Next::Over };
            }
        }
    }
    for &undo in &undos {
        match state.steps[undo].outcome() {
            Some(Outcome::Interrupted) => {
                return match standing(plan, state, undo, circumstances) {
                    Standing::Declared(why) => Next::Start(undo, Some(why)),
                    Standing::Moot | Standing::Looked | Standing::Undecided => Next::Waits,
                };
            }
            Some(Outcome::Failed) => {
                // Whoever takes a run on to undo it may say what is to be done where that fails again.
                let said = state.taken_on_to_undo
                    && state
                        .ahead
                        .iter()
                        .any(|ahead| ahead.by.is_some() && ahead.step == plan.steps[undo].id);
                let nobody = attendance == Attendance::Nobody && !said;
                return if nobody { Next::Over } else { Next::AskAbout(undo) };
            }
            _ => {}
        }
    }
    let next = undoable(plan, state).order.first().copied();
    match next.and_then(|step| state.undo_of(step)) {
        Some(undo) => Next::Start(undo, None),
        None => Next::Over,
    }
}

/// The events of one round.
pub(super) fn unwind(
    plan: &Plan,
    state: &RunState,
    attendance: Attendance,
    circumstances: &Circumstances<'_>,
    wishes: &mut Wishes,
) -> Vec<EventKind> {
    match next(plan, state, attendance, circumstances) {
        Next::Over | Next::Waits => Vec::new(),
        Next::Ask => gate::about_rollback(plan, state, &undoable(plan, state)).into_iter().collect(),
        Next::AskAbout(undo) => vec![gate::about_undo(plan, state, undo, Vec::new())],
        Next::Start(undo, why) => match start::restart_backgrounds(plan, state, circumstances, wishes) {
            Some(events) => events,
            None => start::start_undo(plan, state, undo, why, circumstances, wishes),
        },
    }
}
