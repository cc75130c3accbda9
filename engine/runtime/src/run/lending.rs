//! What the dispatcher does for `interactive` steps: lends them the operator's terminal, one at a time, and takes it back.

use std::io;

use runbook_core::schedule::{Attendance, Input, Terminal};

use super::dispatcher::Dispatcher;
use super::process::Lending;
use super::surface::Lent;
use crate::keeper::CommandTerminal;

/// The terminal while a step has it.
pub(super) struct Loan {
    /// The step, by index.
    pub(super) step: usize,
    /// The terminal.
    pub(super) lent: Box<dyn Lent>,
}

impl Dispatcher<'_> {
    /// Whether an `interactive` step can have the terminal.
    pub(super) fn terminal(&self) -> Terminal {
        if self.attendance() != Attendance::Operator {
            Terminal::Absent
        } else if self.interruption.is_some() || self.is_asked_something_of_use() {
            Terminal::Busy
        } else {
            Terminal::Free
        }
    }

    /// Whether the question at the terminal is one that this person can decide.
    fn is_asked_something_of_use(&self) -> bool {
        let asked = self.asking.as_ref().and_then(|(id, nonce, _)| {
            let step = self.state.asked_about(id)?;
            let gate = self.state.gates.get(&step).filter(|gate| gate.nonce == *nonce)?;
            Some(self.is_of_use(step, gate))
        });
        asked.unwrap_or(false)
    }

    /// Whether a step could start that wants the terminal.
    pub(super) fn wants_terminal(&self) -> bool {
        let state = &self.state;
        let steps = state.ready.iter().chain(&state.delayed).chain(&state.interrupted);
        steps.into_iter().any(|step| state.plan.steps[*step].action.is_interactive())
    }

    /// Lends the terminal to a step that starts.
    pub(super) fn lend(&mut self, step: usize) -> io::Result<Lending> {
        // A question that somebody else must answer makes room.
        self.asking = None;
        let mut terminal = CommandTerminal::open()?;
        let lent = self.operator.lend(&terminal)?;
        terminal.operator = Some(lent.operator()?);
        let kind = lent.kind();
        self.loan = Some(Loan { step, lent });
        Ok(Lending { terminal, kind })
    }

    /// The attempt is over: the terminal is given back.
    pub(super) fn take_back(&mut self, step: usize) {
        self.loan.take_if(|loan| loan.step == step);
    }

    /// Whoever sat at the terminal is gone, and what had it is told.
    pub(super) fn terminal_gone(&mut self) {
        if let Some(Loan { step, .. }) = self.loan.take()
            && let Some(task) = self.tasks.get_mut(&step)
        {
            task.hung_up = true;
            if let Some(control) = &task.control {
                control.hang_up();
            }
        }
        self.operator_left = true;
        self.asking = None;
        self.interruption = None;
        self.take(Input::OperatorLeft);
    }
}
