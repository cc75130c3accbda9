//! What events mean for the undo of a step: which step of the plan they are
//! about, and what answers and a resume make of it.

use super::gate::OpenGate;
use super::run::RunState;
use super::step::Status;
use crate::event::{AheadAnswer, EventKind, Gate, Outcome, RunOutcome};
use crate::plan::{Plan, Role};

impl RunState {
    /// Which step of the plan an event about `step` moves: the step, its undo, or
    /// the question whether to undo.
    pub(super) fn target_of(&self, plan: &Plan, step: usize, kind: &EventKind) -> Option<usize> {
        match kind {
            EventKind::UndoStarted { .. }
            | EventKind::UndoFinished { .. }
            | EventKind::AttemptReissued { undo: true, .. }
            | EventKind::GateOpened { gate: Gate::Undo, .. } => self.undo_of(step),
            EventKind::GateOpened { gate: Gate::Rollback, .. } => self.rollback_question,
            EventKind::GateOpened { gate: Gate::Manual, .. } if !self.unasked.contains(&step) => {
                Some(self.undo_of(step).filter(|undo| self.unasked.contains(undo)).unwrap_or(step))
            }
            EventKind::GateAnswered { .. } | EventKind::GateClosed { .. } => {
                self.asked_about(&plan.steps[step].id)
            }
            _ => Some(step),
        }
    }

    /// Whether a question about an undo, or about undoing at all, can be put now.
    pub(super) fn may_ask_about_undo(&self, i: usize, gate: Gate) -> bool {
        match gate {
            Gate::Rollback => {
                let over = self.main_is_over_but_for_restarts();
                self.steps[i].status == Status::Pending && over && !self.unwinding
            }
            _ => matches!(self.steps[i].outcome(), Some(Outcome::Failed | Outcome::Interrupted)),
        }
    }

    /// What the closing of such a question makes of it.
    pub(super) fn undo_answered(&mut self, i: usize, gate: &OpenGate, result: &str) -> Status {
        let decided = gate.answers.iter().rev().find(|answer| answer.word == result).cloned();
        let known = &mut self.steps[i];
        if let Some(answer) = &decided {
            known.result.by = vec![answer.by.clone()];
        }
        let why = decided.and_then(|answer| answer.reason).unwrap_or_default();
        match (gate.gate, result) {
            (Gate::Rollback, "undo") => {
                self.unwinding = true;
                Status::Ended(Outcome::Succeeded)
            }
            (Gate::Rollback, "keep") => Status::Ended(Outcome::Skipped),
            (Gate::Undo, "retry") => {
                known.fresh = self.is_container[i];
                known.why = known.result.by.first().map(|by| format!("answered retry by {by}"));
                Status::Pending
            }
            (Gate::Undo, "skip") => {
                known.result.reason = Some(format!("operator: {why}"));
                Status::Ended(Outcome::Skipped)
            }
            (Gate::Undo, "done") => {
                known.result.reason = Some(format!("operator: done by hand: {why}"));
                Status::Ended(Outcome::Succeeded)
            }
            (Gate::Undo, "abort") => {
                self.unwinding_stopped = true;
                known.status.clone()
            }
            _ => known.status.clone(),
        }
    }

    /// A run is taken on to be undone, and somebody says what to do about undos that had failed: that is asked first,
    /// so that what is to be left out isn't tried again.
    pub(super) fn failed_undos_asked_about(&mut self, plan: &Plan, answers: &[AheadAnswer]) {
        if !self.taken_on_to_undo {
            return;
        }
        for answer in answers {
            let undo = self.index_of(&answer.step).and_then(|step| self.undo_of(step));
            let failed = |undo: &usize| {
                let known = &self.steps[*undo];
                known.status == Status::Pending && known.attempts > 0
            };
            if let Some(undo) = undo.filter(failed) {
                self.steps[undo].fresh = false;
                self.set_status(plan, undo, Status::Ended(Outcome::Failed));
            }
        }
    }

    /// Another process takes the run on. What is being undone goes on being
    /// undone; a run that had ended is undone, or goes on, as it was asked for.
    pub(super) fn undo_resumed(
        &mut self,
        plan: &Plan,
        by: &str,
        rollback: bool,
        ended_as: Option<RunOutcome>,
    ) {
        self.taken_on_to_undo = rollback || (self.taken_on_to_undo && ended_as.is_none());
        if rollback {
            self.unwinding = true;
            self.unwinding_stopped = false;
            self.ended_before = self.ended_before.or(ended_as);
        } else if ended_as.is_some() {
            self.unwinding = false;
            self.unwinding_stopped = false;
        }
        if ended_as.is_some() {
            self.finally_has_begun = false;
        }
        for (i, step) in plan.steps.iter().enumerate().filter(|(_, step)| step.is_added()) {
            let known = &mut self.steps[i];
            if known.was_cut_off(step) {
                known.status = Status::Ended(Outcome::Interrupted);
                known.attempts_in_round = known.attempts_in_round.saturating_sub(1);
            }
            if step.role == Role::InUndo {
                continue;
            }
            // A run that goes on is asked anew; what could not be undone is tried again.
            let asked_anew = ended_as.is_some() && !rollback && step.undoes().is_none();
            let again = known.outcome() == Some(Outcome::Failed) && (rollback || ended_as.is_some());
            if asked_anew || again {
                known.status = Status::Pending;
                known.result.reason = None;
                if again {
                    known.fresh = step.is_container();
                    known.why = Some(format!("rollback by {by}"));
                }
            }
        }
    }
}
