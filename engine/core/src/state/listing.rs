//! The sets that deciding looks at, so that it never has to look at every step:
//! each follows from the steps and their questions alone and changes with them.

use super::run::{RunState, bucket};
use super::step::Status;
use super::structure::Structure;
use crate::event::Outcome;
use crate::plan::{Action, Plan};

impl RunState {
    pub(super) fn set_status(&mut self, plan: &Plan, i: usize, next: Status) {
        self.unlist(plan, i);
        self.waiting.remove(&i);
        self.steps[i].status = next;
        self.list(plan, i);
        self.recount(plan, i);
    }

    /// Lists a step anew after its question has been opened or closed.
    pub(super) fn relist(&mut self, plan: &Plan, i: usize) {
        self.unlist(plan, i);
        self.list(plan, i);
        self.recount(plan, i);
    }

    /// Tells the dependents of a step whether it lets them go on now.
    fn recount(&mut self, plan: &Plan, i: usize) {
        let passed = self.passed(plan, i);
        if self.counted[i] == passed {
            return;
        }
        self.counted[i] = passed;
        for d in 0..self.dependents[i].len() {
            let dependent = self.dependents[i][d];
            if passed {
                self.needs_unmet[dependent] -= 1;
            } else {
                self.needs_unmet[dependent] += 1;
            }
            self.list_ready(dependent);
        }
    }

    fn unlist(&mut self, plan: &Plan, i: usize) {
        for listed in [
            &mut self.running,
            &mut self.delayed,
            &mut self.failing,
            &mut self.retrying,
            &mut self.interrupted,
            &mut self.unasked,
            &mut self.waits,
            &mut self.restarting,
        ] {
            listed.remove(&i);
        }
        if matches!(self.steps[i].status, Status::Ended(_)) {
            self.ended_count[bucket(&plan.steps[i])] -= 1;
        }
    }

    fn list(&mut self, plan: &Plan, i: usize) {
        let known = &self.steps[i];
        let in_question = self.gates.contains_key(&i) || self.settled.contains_key(&i);
        match &known.status {
            Status::Pending => {}
            Status::Running(_) => {
                if plan.steps[i].action.takes_slot() {
                    self.running.insert(i);
                } else if matches!(plan.steps[i].action, Action::Wait(_)) {
                    self.waits.insert(i);
                } else if !in_question && !self.is_container[i] {
                    self.unasked.insert(i);
                }
                if known.was_ready {
                    self.restarting.insert(i);
                }
            }
            Status::Delayed { .. } => {
                self.delayed.insert(i);
                if known.was_ready {
                    self.restarting.insert(i);
                }
            }
            Status::Ended(outcome) => {
                self.ended_count[bucket(&plan.steps[i])] += 1;
                let retries = known.retry_remains(&plan.steps[i]);
                let stops = match outcome {
                    Outcome::Rejected | Outcome::Cancelled => true,
                    Outcome::Failed => plan.steps[i].on_failure.stops() && !retries,
                    Outcome::Succeeded | Outcome::Skipped | Outcome::Blocked | Outcome::Interrupted => false,
                };
                if stops && !in_question && !plan.steps[i].waits_for_unwinding() {
                    self.failing.insert(i);
                }
                if !retries {
                    self.locks.remove(&Some(i));
                }
                if retries && !in_question {
                    self.retrying.insert(i);
                }
                if *outcome == Outcome::Interrupted {
                    self.interrupted.insert(i);
                }
            }
        }
        if !self.interrupted.contains(&i) {
            self.outliving.remove(&i);
        }
        self.note_structure(i, in_question);
        self.list_ready(i);
    }

    pub(super) fn list_ready(&mut self, i: usize) {
        // Of a step that has not begun, what is asked about it comes first.
        let asked = self.gates.contains_key(&i) || self.settled.contains_key(&i);
        if self.steps[i].status == Status::Pending
            && self.needs_unmet[i] == 0
            && !asked
            && self.structure.lets_start(i)
            && !self.waits_for_unwinding[i]
        {
            self.ready.insert(i);
            if self.created.is_some() {
                self.steps[i].could_start_at.get_or_insert(self.at);
            }
            if self.is_gate[i] {
                self.ready_gates.insert(i);
            }
        } else {
            self.ready.remove(&i);
            self.ready_gates.remove(&i);
        }
    }

    /// Builds the derived sets anew: at the start, and where many steps change.
    pub(super) fn reindex(&mut self, plan: &Plan) {
        for listed in [
            &mut self.ready,
            &mut self.ready_gates,
            &mut self.running,
            &mut self.delayed,
            &mut self.failing,
            &mut self.retrying,
            &mut self.interrupted,
            &mut self.unasked,
            &mut self.waits,
            &mut self.restarting,
            &mut self.open,
            &mut self.abandoned,
        ] {
            listed.clear();
        }
        self.timed = plan
            .steps
            .iter()
            .enumerate()
            .filter(|(_, step)| step.deadline.is_some() || !step.escalate.is_empty())
            .map(|(index, _)| index)
            .collect();
        self.ended_count = [0, 0, 0];
        self.structure = Structure::of(plan);
        self.counted = (0..plan.steps.len()).map(|i| self.passed(plan, i)).collect();
        self.needs_unmet = plan
            .steps
            .iter()
            .map(|step| {
                u32::try_from(step.needs.iter().filter(|need| !self.counted[**need]).count())
                    .unwrap_or(u32::MAX)
            })
            .collect();
        for i in 0..plan.steps.len() {
            self.list(plan, i);
        }
    }
}
