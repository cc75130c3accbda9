//! What falls due by the wall clock alone: overrun deadlines, rungs of escalations; and when something falls due next.
//!
//! Each fires once, at the next look after it fell due: that may be long after, where no process carried the run on.

use crate::event::EventKind;
use crate::moment::Moment;
use crate::plan::{Escalation, Plan};
use crate::state::{OpenGate, RunState, Status};

use super::input::Circumstances;

/// Everything that is overdue and not recorded yet.
pub(super) fn overdue(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    let now = circumstances.now;
    let mut events = Vec::new();
    for &step in &state.timed {
        let id = &plan.steps[step].id;
        if is_due(deadline(plan, state, step), now) {
            events.push(EventKind::DeadlinePassed { step: id.clone() });
        }
        let rungs = &plan.steps[step].escalate;
        let told = state.steps[step].escalated;
        for rung in rungs.iter().skip(told) {
            if is_due(rung_at(plan, state, step, rung), now) {
                events.push(escalated(plan, step, rung, None));
            }
        }
        // An overrun is told to whoever would be told next.
        if let (Some(EventKind::DeadlinePassed { .. }), Some(rung)) = (events.last(), rungs.get(told)) {
            events.push(escalated(plan, step, rung, None));
        }
    }
    for (&step, gate) in &state.gates {
        for rung in rungs_of(plan, step, gate).iter().skip(gate.escalated) {
            let due = gate.opened_at.after(rung.after.into());
            // What was to be told after the question's end is told to nobody.
            if due <= now && gate.expires_at.is_none_or(|end| due <= end) {
                events.push(escalated(plan, step, rung, Some(gate)));
            }
        }
    }
    events
}

/// When time alone changes something next, beside retries and windows, which may wait for something else too: the end of a
/// question or of a wait, a deadline, a rung of an escalation.
#[must_use]
pub fn next_due(state: &RunState) -> Option<Moment> {
    let plan = &*state.plan;
    let expiring = state.gates.values().filter_map(|gate| gate.expires_at);
    let escalating = state.gates.iter().filter_map(|(&step, gate)| {
        let rung = rungs_of(plan, step, gate).get(gate.escalated)?;
        Some(gate.opened_at.after(rung.after.into()))
            .filter(|due| gate.expires_at.is_none_or(|end| *due <= end))
    });
    let waits = state.waits.iter().filter_map(|step| match &state.steps[*step].status {
        Status::Running(running) => running.until,
        Status::Pending | Status::Delayed { .. } | Status::Ended(_) => None,
    });
    let timed = state.timed.iter().flat_map(|&step| {
        let rung = plan.steps[step].escalate.get(state.steps[step].escalated);
        let rung = rung.and_then(|rung| rung_at(plan, state, step, rung));
        [deadline(plan, state, step), rung].into_iter().flatten()
    });
    expiring.chain(escalating).chain(timed).chain(waits).min()
}

fn is_due(at: Option<Moment>, now: Moment) -> bool {
    at.is_some_and(|at| at <= now)
}

/// The escalation of an open question, where it is one of the runbook's.
fn rungs_of<'p>(plan: &'p Plan, step: usize, gate: &OpenGate) -> &'p [Escalation] {
    plan.steps[step].question(gate.gate).map_or(&[], |question| &question.escalate)
}

/// When a step will have taken too long, where that isn't known to be so already.
fn deadline(plan: &Plan, state: &RunState, step: usize) -> Option<Moment> {
    let known = &state.steps[step];
    let within =
        plan.steps[step].deadline.filter(|_| !known.deadline_passed && is_unfinished(&known.status))?;
    let since = known.could_start_at.filter(|_| !plan.steps[step].finally).or(known.started_at)?;
    Some(since.after(within.into()))
}

/// When a rung of a step's own escalation is due, while the step is unfinished.
fn rung_at(plan: &Plan, state: &RunState, step: usize, rung: &Escalation) -> Option<Moment> {
    let known = &state.steps[step];
    let asked = state.gates.get(&step).map(|gate| gate.opened_at);
    let since = known.started_at.or(asked).filter(|_| is_unfinished(&known.status))?;
    debug_assert!(plan.steps[step].escalate.contains(rung), "the rung is the step's");
    Some(since.after(rung.after.into()))
}

fn is_unfinished(status: &Status) -> bool {
    !matches!(status, Status::Ended(_))
}

fn escalated(plan: &Plan, step: usize, rung: &Escalation, gate: Option<&OpenGate>) -> EventKind {
    EventKind::Escalated {
        step: plan.steps[step].id.clone(),
        notify: rung.notify.clone(),
        gate: gate.map(|gate| gate.gate),
    }
}
