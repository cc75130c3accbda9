//! Decisions that are recorded while no process carries the run on.
//!
//! Answering never runs a step by itself (`cli.md`): the decision is recorded,
//! and what it leaves to run waits for `resume`. Where it leaves nothing, the
//! run is ended there and then.

use super::advance::follow_up;
use super::gate;
use super::input::{Answer, Attendance, Circumstances, Refusal};
use crate::event::EventKind;
use crate::plan::Plan;
use crate::state::{IllegalEvent, RunState};

/// Judges an answer to a run that nobody carries on, and applies what follows
/// from it, none of which starts anything.
///
/// # Errors
/// The inner error where the answer isn't taken; what fell due meanwhile is
/// returned in `events` all the same. The outer one as for [`super::advance`].
pub fn record_answer(
    plan: &Plan,
    state: &mut RunState,
    answer: &Answer,
    circumstances: &Circumstances<'_>,
) -> Result<(Vec<EventKind>, Result<(), Refusal>), IllegalEvent> {
    let mut events = Vec::new();
    // What fell due while nobody looked comes first, once.
    for event in gate::expired(plan, state, circumstances) {
        state.apply(plan, circumstances.now, &event)?;
        events.push(event);
    }
    let verdict = match gate::judge(plan, state, answer, circumstances) {
        Ok(taken) => {
            for event in taken {
                state.apply(plan, circumstances.now, &event)?;
                events.push(event);
            }
            Ok(())
        }
        Err(refusal) => Err(refusal),
    };
    if !events.is_empty() {
        events.extend(end_where_nothing_is_left(plan, state, circumstances)?);
    }
    Ok((events, verdict))
}

/// The end of the run, where it follows without starting anything.
fn end_where_nothing_is_left(
    plan: &Plan,
    state: &mut RunState,
    circumstances: &Circumstances<'_>,
) -> Result<Vec<EventKind>, IllegalEvent> {
    let mut ahead = state.clone();
    ahead.parked = None;
    ahead.stopped = None;
    let mut events = Vec::new();
    loop {
        let next = follow_up(plan, &ahead, Attendance::Operator, circumstances);
        let starts = next
            .iter()
            .any(|event| matches!(event, EventKind::StepStarted { .. } | EventKind::GateOpened { .. }));
        if next.is_empty() || starts {
            break;
        }
        for event in next {
            ahead.apply(plan, circumstances.now, &event)?;
            events.push(event);
        }
    }
    if ahead.outcome.is_none() {
        return Ok(Vec::new());
    }
    for event in &events {
        state.apply(plan, circumstances.now, event)?;
    }
    Ok(events)
}
