//! Decisions that are recorded while no process carries the run on.
//!
//! Answering never runs a step by itself (`cli.md`): the decision is recorded,
//! and what it leaves to run waits for `resume`. Where it leaves nothing, the
//! run is ended there and then.

use super::follow::follow_unattended;
use super::input::{Answer, Circumstances, Refusal};
use super::judge::judge;
use super::settle::settle;
use crate::event::EventKind;
use crate::state::{IllegalEvent, RunState};

/// Judges an answer to a run that nobody carries on, and applies what follows
/// from it, none of which starts anything.
///
/// # Errors
/// The inner error where the answer isn't taken; what fell due meanwhile is
/// returned in `events` all the same. The outer one as for [`super::advance`].
pub fn record_answer(
    state: &mut RunState,
    answer: &Answer,
    circumstances: &Circumstances<'_>,
) -> Result<(Vec<EventKind>, Result<(), Refusal>), IllegalEvent> {
    let mut events = Vec::new();
    let mut record = |state: &mut RunState, next: Vec<EventKind>| {
        for event in next {
            state.apply(circumstances.now, &event)?;
            events.push(event);
        }
        Ok::<(), IllegalEvent>(())
    };
    // What fell due while nobody looked comes first, once.
    repeat(state, &mut record, |state| settle(&state.plan, state, circumstances))?;
    let verdict = match judge(&state.plan, state, answer, circumstances) {
        Ok(taken) => {
            record(state, vec![taken])?;
            Ok(())
        }
        Err(refusal) => Err(refusal),
    };
    repeat(state, &mut record, |state| follow_unattended(&state.plan, state, circumstances))?;
    Ok((events, verdict))
}

/// Records what follows until nothing more does.
fn repeat(
    state: &mut RunState,
    record: &mut impl FnMut(&mut RunState, Vec<EventKind>) -> Result<(), IllegalEvent>,
    follows: impl Fn(&RunState) -> Vec<EventKind>,
) -> Result<(), IllegalEvent> {
    loop {
        let next = follows(state);
        if next.is_empty() {
            return Ok(());
        }
        record(state, next)?;
    }
}
