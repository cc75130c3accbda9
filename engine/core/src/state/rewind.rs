//! Steps that a person lets run again although they have ended: `resume --from`.

use std::collections::BTreeSet;

use super::illegal::IllegalEvent;
use super::run::RunState;
use super::step::{DoneChecked, Status};
use crate::id::StepId;
use crate::plan::Plan;

impl RunState {
    /// A step, what is inside it, and all that follows it by the order of the plan: in the plan's order.
    #[must_use]
    pub fn following(&self, step: usize) -> Vec<usize> {
        let mut following = BTreeSet::new();
        let mut open = vec![step];
        while let Some(at) = open.pop() {
            if !following.insert(at) {
                continue;
            }
            open.extend(&self.dependents[at]);
            open.extend(self.children(at));
            // What follows a group follows all that is in it.
            for around in self.plan.containers_of(at) {
                open.extend(self.dependents[around].iter().filter(|next| !following.contains(*next)));
            }
            // The last words of a called runbook come after its steps.
            if let Some(group) = self.plan.steps[at].group {
                let cleanup = self.children(group).iter().filter(|child| self.plan.steps[**child].cleanup);
                open.extend(cleanup.filter(|child| !following.contains(*child)));
            }
        }
        let finally = (0..self.plan.steps.len()).filter(|other| self.plan.steps[*other].finally);
        following.extend(finally);
        following.into_iter().collect()
    }

    /// Steps are as if they had not run, but for what is recorded of them.
    pub(super) fn rewound(
        &mut self,
        name: &'static str,
        plan: &Plan,
        from: usize,
        by: &str,
        steps: &[StepId],
    ) -> Result<(), IllegalEvent> {
        let mut again = BTreeSet::from([from]);
        for id in steps {
            let step = self
                .index_of(id)
                .ok_or_else(|| IllegalEvent::UnknownStep { kind: name, step: id.clone() })?;
            again.insert(step);
        }
        let busy = |step: &&usize| {
            matches!(self.steps[**step].status, Status::Running(_)) || self.gates.contains_key(*step)
        };
        if let Some(step) = again.iter().find(busy) {
            return Err(IllegalEvent::Transition {
                kind: name,
                step: plan.steps[*step].id.clone(),
                status: self.steps[*step].status.describe(),
            });
        }
        let why = format!("resume --from {} by {by}", plan.steps[from].id);
        for &step in &again {
            self.settled.remove(&step);
            self.cut_short.remove(&step);
            self.void_due.remove(&step);
            self.lost.remove(&step);
            self.backgrounds.remove(&step);
            let known = &mut self.steps[step];
            known.fresh = true;
            known.was_ready = false;
            known.asked = None;
            known.said = None;
            (known.could_start_at, known.deadline_passed, known.escalated) = (None, false, 0);
            known.attempts_in_round = 0;
            known.failure_was_asked = false;
            // What is to run again is done again, although it is done already: somebody said so.
            let again =
                known.attempts > 0 && !plan.steps[step].finally && plan.steps[step].done_when.is_some();
            known.done_checked =
                again.then_some(DoneChecked { attempt: known.attempts, done: Some(false), reason: None });
            known.env.clear();
            known.result.reason = None;
            known.why = (known.attempts > 0).then(|| why.clone());
            self.set_status(plan, step, Status::Pending);
        }
        for &step in &again {
            // What is done anew is undone anew.
            if let Some(undo) = self.undo_of(step)
                && matches!(self.steps[undo].status, Status::Ended(_))
            {
                let known = &mut self.steps[undo];
                known.why = (known.attempts > 0).then(|| why.clone());
                known.fresh = plan.steps[undo].is_container();
                known.result.reason = None;
                self.set_status(plan, undo, Status::Pending);
            }
            self.reopen_around(plan, step, &why);
        }
        Ok(())
    }
}
