//! The operator's terminal, which one `interactive` step at a time can have.
//!
//! Where nobody is at one, the step waits for a person like every question does: as an open gate, so that the run parks and
//! says for what. No answer lets it start; a terminal does, which takes the question back.

use super::gate;
use super::input::{Circumstances, Terminal};
use crate::event::{EventKind, Gate};
use crate::plan::Plan;
use crate::state::RunState;

/// Whether a step may have the terminal now.
pub(super) enum Seat {
    /// It needs none, or can have it.
    Taken,
    /// Not yet; with the question that says so, where it isn't open already.
    Later(Option<Box<EventKind>>),
}

/// Asks for the terminal. `others`: another `interactive` step starts in this round.
pub(super) fn seat(
    plan: &Plan,
    state: &RunState,
    step: usize,
    circumstances: &Circumstances<'_>,
    others: bool,
) -> Seat {
    if !plan.steps[step].action.is_interactive() {
        return Seat::Taken;
    }
    if circumstances.terminal == Terminal::Absent {
        let open = state.gates.contains_key(&step) || state.settled.contains_key(&step);
        return Seat::Later((!open).then(|| Box::new(gate::about_terminal(plan, state, step))));
    }
    let runs = || state.running.iter().any(|running| plan.steps[*running].action.is_interactive());
    if circumstances.terminal == Terminal::Busy || others || runs() {
        return Seat::Later(None);
    }
    Seat::Taken
}

/// Takes the questions back of steps that wait for a terminal, where there is one.
pub(super) fn arrived(plan: &Plan, state: &RunState, circumstances: &Circumstances<'_>) -> Vec<EventKind> {
    if circumstances.terminal == Terminal::Absent {
        return Vec::new();
    }
    let waiting =
        state.gates.iter().filter(|(_, gate)| gate.gate == Gate::Terminal && gate.answers.is_empty());
    waiting
        .map(|(step, _)| EventKind::GateClosed {
            step: plan.steps[*step].id.clone(),
            result: "void".into(),
            reason: Some("somebody is at a terminal".into()),
        })
        .collect()
}
