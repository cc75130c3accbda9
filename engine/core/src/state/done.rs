//! What `done_when` says of a step, and what that makes of it.

use super::illegal::IllegalEvent;
use super::run::RunState;
use super::step::{DoneChecked, Status};
use crate::event::Outcome;
use crate::moment::Moment;
use crate::plan::Plan;

impl RunState {
    /// `done_when` was looked at. A step of which it wasn't known how it ended has succeeded where it holds; one
    /// that has not started yet is skipped by the event that follows.
    pub(super) fn done_checked(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        checked: DoneChecked,
    ) -> Result<(), IllegalEvent> {
        let known = &self.steps[i];
        let interrupted = known.outcome() == Some(Outcome::Interrupted);
        let open = known.status == Status::Pending || interrupted;
        let asked = self.gates.contains_key(&i) || self.settled.contains_key(&i);
        if plan.steps[i].done_when.is_none() || !open || asked || checked.attempt != known.attempts {
            return Err(IllegalEvent::Transition {
                kind: name,
                step: plan.steps[i].id.clone(),
                status: known.status.describe(),
            });
        }
        let took_effect = interrupted && checked.done == Some(true);
        let known = &mut self.steps[i];
        known.done_checked = Some(checked);
        if took_effect {
            known.result.reason = Some("done_when: it took effect before it was interrupted".into());
            known.result.recovered = true;
            known.finished_at = Some(at);
            self.set_status(plan, i, Status::Ended(Outcome::Succeeded));
        } else {
            self.relist(plan, i);
        }
        Ok(())
    }
}

impl super::step::StepState {
    /// What `done_when` said of the step as it stands.
    #[must_use]
    pub fn done_now(&self) -> Option<&DoneChecked> {
        self.done_checked.as_ref().filter(|checked| checked.attempt == self.attempts)
    }
}
