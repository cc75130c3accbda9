//! A run goes on with another plan: `resume --adopt`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::illegal::IllegalEvent;
use super::run::RunState;
use super::step::Status;
use crate::event::{Gate, Outcome};
use crate::plan::{Action, Plan, Role, definition};

/// What is said of approvals that an edited runbook makes void.
const EDITED: &str = "the runbook was edited";

impl RunState {
    /// Makes a plan known that the record of an adoption may name by its digest.
    pub fn offer(&mut self, digest: String, plan: Arc<Plan>) {
        self.offered.insert(digest, plan);
    }

    /// Whether something is recorded of a step that another plan must have a place for.
    #[must_use]
    pub fn has_record(&self, step: usize) -> bool {
        let ended = matches!(
            self.steps[step].status,
            Status::Ended(
                Outcome::Succeeded
                    | Outcome::Failed
                    | Outcome::Rejected
                    | Outcome::Skipped
                    | Outcome::Interrupted
            )
        );
        ended || self.steps[step].attempts > 0
    }

    /// Where this state has a step of another plan: by its id, or by what it was added for.
    #[must_use]
    pub fn place_of(&self, plan: &Plan, step: usize) -> Option<usize> {
        match plan.steps[step].role {
            role @ (Role::Declared | Role::InUndo) => {
                self.index_of(&plan.steps[step].id).filter(|index| self.plan.steps[*index].role == role)
            }
            Role::Undoes(of) => self.undo_of(self.place_of(plan, of)?),
            Role::Rollback => self.rollback_question,
        }
    }

    /// Another plan takes the place of this one: what is known of steps stays with their ids, and what was approved is void.
    pub(super) fn adopted(&mut self, name: &'static str, digest: &str) -> Result<(), IllegalEvent> {
        let illegal = |why: &'static str| IllegalEvent::Run { kind: name, why };
        let offered = self.offered.get(digest).cloned();
        let offered = offered.ok_or_else(|| illegal("the plan that it names is not there"))?;
        let grown = self.with_items(&offered).ok_or_else(|| illegal("the items don't fit the new plan"))?;
        let mut next = Self::new(Arc::new(grown));
        let mut moved: BTreeMap<usize, usize> = BTreeMap::new();
        for (old, step) in self.plan.steps.iter().enumerate() {
            match next.place_of(&self.plan, old) {
                Some(new) => {
                    moved.insert(old, new);
                }
                None if self.has_record(old) && step.role != Role::Rollback => {
                    return Err(illegal("the new plan lacks a step of which something is recorded"));
                }
                None => {}
            }
        }
        let plan = Arc::clone(&next.plan);
        let void = self.void_by_edit(&plan, &moved);
        for (old, new) in &moved {
            next.steps[*new] = self.steps[*old].clone();
            // What was asked before a step that is to come was about the step as it was.
            let is_to_come = self.steps[*old].status == Status::Pending;
            if is_to_come && definition(&self.plan, *old) != definition(&plan, *new) {
                next.steps[*new].asked = None;
            }
        }
        (self.index, self.names, self.dependents) = (next.index, next.names, next.dependents);
        (self.undos, self.rollback_question, self.waits_for_unwinding) =
            (next.undos, next.rollback_question, next.waits_for_unwinding);
        (self.is_gate, self.is_container, self.step_count) =
            (next.is_gate, next.is_container, next.step_count);
        self.timed = next.timed;
        self.steps = next.steps;
        self.plan = Arc::clone(&plan);
        self.itemized = moved_set(&self.itemized, &moved);
        self.gates = moved_map(std::mem::take(&mut self.gates), &moved);
        self.settled = moved_map(std::mem::take(&mut self.settled), &moved);
        self.cut_short = moved_map(std::mem::take(&mut self.cut_short), &moved);
        self.outliving = moved_map(std::mem::take(&mut self.outliving), &moved);
        self.waiting = moved_map(std::mem::take(&mut self.waiting), &moved);
        self.backgrounds = moved_set(&self.backgrounds, &moved);
        self.lost = moved_set(&self.lost, &moved);
        let place = |of: Option<usize>| match of {
            None => Some(None),
            Some(old) => moved.get(&old).map(|new| Some(*new)),
        };
        self.locks = std::mem::take(&mut self.locks)
            .into_iter()
            .filter_map(|(of, lock)| Some((place(of)?, lock)))
            .collect();
        self.window_overridden = self.window_overridden.iter().filter_map(|of| place(*of)).collect();
        self.window_waits = self.window_waits.iter().filter_map(|of| place(*of)).collect();
        // The new plan has seen the inputs as they are now, and nothing was said ahead about it.
        self.changed_inputs.clear();
        self.ahead.clear();
        self.void_due = void.into_iter().map(|step| (step, EDITED.to_owned())).collect();
        if let Some(created) = &mut self.created {
            digest.clone_into(&mut created.plan_digest);
        }
        self.reindex(&plan);
        Ok(())
    }

    /// The approvals of the new plan that were given or are asked, and other questions that are open with another text.
    fn void_by_edit(&self, plan: &Plan, moved: &BTreeMap<usize, usize>) -> BTreeSet<usize> {
        let is_void = |old: usize, new: usize| {
            let asked = self.gates.get(&old).map(|gate| gate.gate);
            if matches!(plan.steps[new].action, Action::Approve(_)) {
                let given = self.steps[old].outcome() == Some(Outcome::Succeeded);
                return given || asked == Some(Gate::Approve) || self.settled.contains_key(&old);
            }
            matches!(asked, Some(Gate::Manual | Gate::Choose | Gate::Ask))
                && definition(&self.plan, old) != definition(plan, new)
        };
        moved.iter().filter(|(old, new)| is_void(**old, **new)).map(|(_, new)| *new).collect()
    }

    /// The new plan with the items that this run has settled.
    fn with_items(&self, offered: &Plan) -> Option<Plan> {
        let mut plan = offered.clone();
        for &each in &self.itemized {
            let Some(new) = plan.index_of(&self.plan.steps[each].id) else { continue };
            let mut items: Vec<_> = self
                .children(each)
                .iter()
                .filter_map(|child| self.plan.steps[*child].item.as_ref())
                .map(|item| (item.index, item.value.clone()))
                .collect();
            items.sort_by_key(|(index, _)| *index);
            let list: Vec<_> = items.into_iter().map(|(_, value)| value).collect();
            let known = plan.steps.len();
            plan.grow(new, &list).ok()?;
            plan.complete(known);
        }
        Some(plan)
    }
}

fn moved_set(set: &BTreeSet<usize>, moved: &BTreeMap<usize, usize>) -> BTreeSet<usize> {
    set.iter().filter_map(|old| moved.get(old).copied()).collect()
}

fn moved_map<T>(map: BTreeMap<usize, T>, moved: &BTreeMap<usize, usize>) -> BTreeMap<usize, T> {
    map.into_iter().filter_map(|(old, value)| Some((*moved.get(&old)?, value))).collect()
}
