//! What follows from steps that hold steps: which of them are entered, and what they still wait for.

use super::illegal::IllegalEvent;
use super::run::{RunState, bucket};
use super::step::{Status, StepState};
use crate::event::Outcome;
use crate::plan::{Action, Plan, Role, Step};
use crate::template::canonical_name;

/// The steps inside each step, and how many of them are unfinished: all of it follows from the plan and the steps.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Structure {
    pub(super) group: Vec<Option<usize>>,
    pub(super) cleanup: Vec<bool>,
    /// The steps that each step holds, in the plan's order.
    pub(super) children: Vec<Vec<usize>>,
    /// How many of those, and how many of them under a called runbook's `finally`, are unfinished.
    pub(super) unfinished: Vec<[u32; 2]>,
    /// Whether a step is over and nothing is asked about it.
    pub(super) finished: Vec<bool>,
    /// Whether a step that holds others has begun and not ended.
    pub(super) entered: Vec<bool>,
}

impl Structure {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut structure = Self::default();
        structure.grow(plan);
        structure
    }

    /// Takes in the steps that a plan has grown by.
    pub(super) fn grow(&mut self, plan: &Plan) {
        let known = self.group.len();
        for (index, step) in plan.steps.iter().enumerate().skip(known) {
            // An undo stands beside what it undoes, and is no part of it.
            let group = step.group.filter(|_| !step.waits_for_unwinding());
            self.group.push(group);
            self.cleanup.push(step.cleanup);
            self.children.push(Vec::new());
            self.unfinished.push([0, 0]);
            self.finished.push(false);
            self.entered.push(false);
            if let Some(group) = group {
                self.children[group].push(index);
                self.unfinished[group][usize::from(step.cleanup)] += 1;
            }
        }
    }

    /// Whether the step that holds this one lets it start.
    pub(super) fn lets_start(&self, index: usize) -> bool {
        match self.group[index] {
            None => true,
            Some(group) => self.entered[group] && (!self.cleanup[index] || self.unfinished[group][0] == 0),
        }
    }
}

impl RunState {
    /// The steps that a group, call or step with items holds, in the plan's order.
    #[must_use]
    pub fn children(&self, index: usize) -> &[usize] {
        &self.structure.children[index]
    }

    /// Whether what holds a step lets it start: it has begun, and, for what is under a called runbook's `finally`, the steps above
    /// that are over.
    #[must_use]
    pub fn is_let_start(&self, index: usize) -> bool {
        self.structure.lets_start(index)
    }

    /// Whether all that a step holds is over and nothing of it is in question.
    #[must_use]
    pub fn children_are_over(&self, index: usize) -> bool {
        self.structure.unfinished[index] == [0, 0]
    }

    /// Notes whether a step is finished, and, of one that holds others, whether they may start.
    pub(super) fn note_structure(&mut self, i: usize, in_question: bool) {
        let ended = matches!(self.steps[i].status, Status::Ended(_));
        let finished = ended && !in_question;
        if self.structure.finished[i] != finished {
            self.structure.finished[i] = finished;
            if let Some(group) = self.structure.group[i] {
                let part = usize::from(self.structure.cleanup[i]);
                let count = &mut self.structure.unfinished[group][part];
                *count = if finished { *count - 1 } else { *count + 1 };
                let turned = if finished { 0 } else { 1 };
                if part == 0 && *count == turned {
                    self.list_children(group);
                }
                if self.structure.finished[group] && !self.children_are_over(group) {
                    self.abandoned.insert(group);
                } else {
                    self.abandoned.remove(&group);
                }
            }
        }
        if self.structure.children[i].is_empty() && !self.is_container[i] {
            return;
        }
        let entered = matches!(self.steps[i].status, Status::Running(_));
        if entered {
            self.open.insert(i);
        } else {
            self.open.remove(&i);
        }
        if self.structure.entered[i] != entered {
            self.structure.entered[i] = entered;
            self.list_children(i);
        }
        if ended && !in_question && !self.children_are_over(i) {
            self.abandoned.insert(i);
        } else {
            self.abandoned.remove(&i);
        }
    }

    fn list_children(&mut self, i: usize) {
        for place in 0..self.structure.children[i].len() {
            self.list_ready(self.structure.children[i][place]);
        }
    }

    /// The items of a step are settled: the plan grows by what is done for each.
    pub(super) fn items_settled(
        &mut self,
        name: &'static str,
        i: usize,
        list: &[serde_json::Value],
    ) -> Result<(), IllegalEvent> {
        let waits = self.open.contains(&i) && !self.itemized.contains(&i);
        if !waits || !matches!(self.plan.steps[i].action, Action::Each(_)) {
            return Err(IllegalEvent::Run { kind: name, why: "the step waits for no items" });
        }
        let known = self.plan.steps.len();
        let mut plan = (*self.plan).clone();
        plan.grow(i, list)
            .map_err(|_| IllegalEvent::Run { kind: name, why: "the items make ids that are too long" })?;
        plan.complete(known);
        self.itemized.insert(i);
        self.structure.grow(&plan);
        for (index, step) in plan.steps.iter().enumerate().skip(known) {
            self.step_count[bucket(step)] += 1;
            self.dependents.push(Vec::new());
            for need in &step.needs {
                self.dependents[*need].push(index);
            }
            if step.waits_for_unwinding() {
                self.index.entry(step.id.clone()).or_insert(index);
            } else {
                self.index.insert(step.id.clone(), index);
                self.names.insert(canonical_name(step.id.as_str()), index);
            }
            self.waits_for_unwinding.push(step.waits_for_unwinding());
            match step.role {
                Role::Undoes(of) => {
                    self.undos.insert(of, index);
                }
                Role::Rollback => self.rollback_question = Some(index),
                Role::Declared | Role::InUndo => {}
            }
            self.is_gate.push(step.begins_without_slot());
            self.is_container.push(step.is_container());
            self.counted.push(false);
            self.needs_unmet.push(u32::try_from(step.needs.len()).unwrap_or(u32::MAX));
            self.steps.push(StepState::new());
        }
        self.plan = std::sync::Arc::new(plan);
        for index in known..self.steps.len() {
            self.list_ready(index);
        }
        Ok(())
    }

    /// What is decided about a step also lets those go on that hold it and have ended without it.
    pub(super) fn reopen_around(&mut self, plan: &Plan, i: usize, why: &str) {
        let around: Vec<usize> =
            std::iter::successors(self.structure.group[i], |group| self.structure.group[*group]).collect();
        for container in around {
            let ended = matches!(
                self.steps[container].status,
                Status::Ended(
                    Outcome::Succeeded
                        | Outcome::Failed
                        | Outcome::Rejected
                        | Outcome::Cancelled
                        | Outcome::Blocked
                )
            );
            if !ended || self.gates.contains_key(&container) {
                continue;
            }
            let step = &mut self.steps[container];
            step.attempts_in_round = step.attempts_in_round.saturating_sub(1);
            if step.attempts > 0 {
                step.why = Some(why.to_owned());
            }
            self.set_status(plan, container, Status::Pending);
            self.let_go_on(plan, container);
        }
    }

    /// What a failure inside a step kept from starting waits again for what becomes of that.
    fn let_go_on(&mut self, plan: &Plan, container: usize) {
        for place in 0..self.structure.children[container].len() {
            let child = self.structure.children[container][place];
            if self.steps[child].status == Status::Ended(Outcome::Blocked) && self.steps[child].attempts == 0
            {
                self.steps[child].result.reason = None;
                self.set_status(plan, child, Status::Pending);
                self.let_go_on(plan, child);
            }
        }
    }

    /// A group begins another round: all that it holds is as if it had not run.
    pub(super) fn begin_round(&mut self, plan: &Plan, i: usize, round: u32) {
        for place in 0..self.structure.children[i].len() {
            let child = self.structure.children[i][place];
            // A command in the background lives on, or is brought up again where something needs it: there is one of it.
            if self.backgrounds.contains(&child) || self.lost.contains(&child) {
                continue;
            }
            self.begin_round(plan, child, round);
            let step = &mut self.steps[child];
            step.fresh = true;
            step.asked = None;
            step.done_checked = None;
            step.attempts_in_round = 0;
            step.result.reason = None;
            if step.attempts > 0 {
                step.why.get_or_insert_with(|| format!("round {round}"));
            }
            self.settled.remove(&child);
            self.void_due.remove(&child);
            self.set_status(plan, child, Status::Pending);
        }
    }
}

impl StepState {
    /// Whether a group whose round is over begins another one.
    pub(crate) fn round_remains(&self, step: &Step) -> bool {
        let Action::Steps(group) = &step.action else { return false };
        let Some(repeat) = &group.repeat else { return false };
        matches!(self.status, Status::Ended(Outcome::Failed))
            && self.result.by.is_empty()
            && self.result.reason.as_deref().is_some_and(|reason| reason.starts_with("expectation: until"))
            && self.attempts_in_round < repeat.times
    }
}
