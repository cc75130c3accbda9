//! A plan as it is shown before it has run: what is done for one item stands in the place of the step with items, and groups and calls
//! appear as the steps in them.

use super::model::{Action, Plan, Role, Step};
use super::structure::Each;
use crate::id::StepId;

/// A plan in which no step has items, and what was said of them.
pub(super) struct Layout {
    pub(super) plan: Plan,
    /// For each of its steps the items that it runs for.
    pub(super) items: Vec<Option<Each>>,
}

/// Steps in the places where they are shown.
#[derive(Default)]
struct Laid {
    steps: Vec<Step>,
    /// For each of them the items that it runs for.
    items: Vec<Option<Each>>,
    /// The same for the steps of all runbooks that an undo calls.
    in_undo: Vec<Option<Each>>,
}

impl Layout {
    pub(super) fn of(plan: &Plan) -> Self {
        let mut laid = Laid::default();
        laid.lay(&plan.steps, None);
        let Laid { steps, mut items, in_undo } = laid;
        let mut plan = Plan { steps, ..plan.clone() };
        let declared = plan.steps.len();
        plan.complete(0);
        let mut in_undo = in_undo.into_iter();
        items.extend(plan.steps[declared..].iter().map(|step| match step.role {
            Role::InUndo => in_undo.next().flatten(),
            Role::Declared | Role::Undoes(_) | Role::Rollback => None,
        }));
        Self { plan, items }
    }

    /// The steps that must have passed, by their ids: of a group those in it that come last.
    pub(super) fn needs(&self, index: usize) -> Vec<StepId> {
        let mut needs = Vec::new();
        self.collect_needs(index, &mut needs);
        needs.sort_unstable();
        needs.dedup();
        needs.into_iter().map(|need| self.plan.steps[need].id.clone()).collect()
    }

    fn collect_needs(&self, index: usize, needs: &mut Vec<usize>) {
        let step = &self.plan.steps[index];
        for need in &step.needs {
            self.collect_last(*need, needs);
        }
        // What comes first in a group waits for what the group waits for.
        if step.needs.is_empty()
            && let Some(group) = step.group
        {
            if step.cleanup {
                // The `finally` of a called runbook runs when its steps are over.
                let steps = &self.plan.steps;
                self.collect_ends(group, |child| !steps[child].cleanup, needs);
            } else {
                self.collect_needs(group, needs);
            }
        }
    }

    fn collect_last(&self, index: usize, last: &mut Vec<usize>) {
        if !self.plan.steps[index].is_container() {
            last.push(index);
            return;
        }
        self.collect_ends(index, |_| true, last);
    }

    /// Those of a group's steps that come last among some of them.
    fn collect_ends(&self, group: usize, among: impl Fn(usize) -> bool, last: &mut Vec<usize>) {
        let inside = |other: &usize| self.plan.steps[*other].group == Some(group) && among(*other);
        let children: Vec<usize> = (group + 1..self.plan.steps.len()).filter(inside).collect();
        for child in &children {
            if !children.iter().any(|other| self.plan.steps[*other].needs.contains(child)) {
                self.collect_last(*child, last);
            }
        }
    }

    /// For each step the approvals above it in the plan that it does not wait for. `finally` waits for all.
    pub(super) fn approvals_not_awaited(&self) -> Vec<Vec<StepId>> {
        let steps = &self.plan.steps;
        let mut not_awaited = vec![Vec::new(); steps.len()];
        for (approval, approve) in steps.iter().enumerate() {
            if !matches!(approve.action, Action::Approve(_)) {
                continue;
            }
            let around: Vec<usize> = self.plan.containers_of(approval).collect();
            let mut awaits = vec![false; steps.len()];
            for (index, step) in steps.iter().enumerate().skip(1) {
                let over = |need: &usize| awaits[*need] || *need == approval || around.contains(need);
                awaits[index] = step.needs.iter().any(over)
                    || step.group.is_some_and(|group| awaits[group])
                    || (step.cleanup && step.group.is_some_and(|group| around.contains(&group)));
                if index > approval && !awaits[index] && !step.finally {
                    not_awaited[index].push(approve.id.clone());
                }
            }
        }
        not_awaited
    }
}

impl Laid {
    fn lay(&mut self, steps: &[Step], around: Option<usize>) {
        let mut places = Vec::with_capacity(steps.len());
        for step in steps.iter().filter(|step| !step.is_added()) {
            let place = self.steps.len();
            let needs: Vec<usize> = step.needs.iter().map(|need| places[*need]).collect();
            let group = step.group.map_or(around, |group| Some(places[group]));
            places.push(place);
            if let Action::Each(each) = &step.action {
                self.lay(&each.body, None);
                let first = &mut self.steps[place];
                first.when = step.when.clone().or_else(|| first.when.take());
                // A lock that names the item stands with the item.
                let of_item = first.guards.lock.take();
                first.guards = step.guards.clone();
                first.guards.lock = first.guards.lock.take().or(of_item);
                first.on_failure = step.on_failure;
                (first.needs, first.group, first.cleanup) = (needs, group, step.cleanup);
                self.items[place] = Some(Each { body: Vec::new(), ..(**each).clone() });
            } else {
                let mut step = Step { needs, group, ..step.clone() };
                if let Some(undo) = &mut step.undo {
                    let mut inside = Self::default();
                    inside.lay(&undo.steps, None);
                    undo.steps = inside.steps;
                    self.in_undo.extend(inside.items);
                }
                self.steps.push(step);
                self.items.push(None);
            }
        }
    }
}
