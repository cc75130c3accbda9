//! Whether a plan that was read from a file can be one: what is relied on everywhere else, so that a plan from outside breaks nothing.

use std::collections::HashSet;

use super::layout::Layout;
use super::model::{Action, PLAN_FORMAT, Plan, Step};

impl Plan {
    /// Checks that steps point at steps above them, and that each has an id of its own.
    ///
    /// # Errors
    /// What can't be, in words.
    pub fn check_sound(&self) -> Result<(), String> {
        if self.format != PLAN_FORMAT {
            return Err(format!("it has the format {}, and this version reads {PLAN_FORMAT}", self.format));
        }
        if self.max_parallel == 0 {
            return Err("no step may run at a time".into());
        }
        // What is added follows from the rest, and shares its ids.
        let declared = self.steps.iter().take_while(|step| !step.is_added()).count();
        check_list(&self.steps[..declared], &mut HashSet::new())
    }

    /// The plan as it is shown before it has run: what is done for one item stands in the place of the step with items.
    #[must_use]
    pub fn laid_out(&self) -> Self {
        Layout::of(self).plan
    }
}

fn check_list<'p>(steps: &'p [Step], ids: &mut HashSet<&'p str>) -> Result<(), String> {
    let mut in_finally = false;
    for (index, step) in steps.iter().enumerate() {
        let id = &step.id;
        if step.needs.iter().chain(&step.group).any(|other| *other >= index) {
            return Err(format!("`{id}` waits for a step that is not above it"));
        }
        if step.group.is_some_and(|group| !matches!(steps[group].action, Action::Steps(_) | Action::Call(_)))
        {
            return Err(format!("`{id}` stands in a step that holds none"));
        }
        if in_finally && !step.finally {
            return Err(format!("`{id}` stands below `finally`"));
        }
        in_finally = step.finally;
        if step.item.is_some() {
            return Err(format!("`{id}` is for an item before there are any"));
        }
        if let Action::Each(each) = &step.action {
            if each.body.is_empty() || each.max_parallel == 0 {
                return Err(format!("`{id}` does nothing for its items"));
            }
            // What is done for an item has the id of the step, until there are items.
            check_list(&each.body, &mut HashSet::new())?;
        }
        if let Some(undo) = &step.undo {
            check_list(&undo.steps, ids)?;
            let begins = undo.steps.first().is_none_or(|first| matches!(first.action, Action::Call(_)));
            let mut others = undo.steps.iter().skip(1);
            if !begins || others.any(|step| step.group.is_none()) {
                return Err(format!("the undo of `{id}` is not the call of one runbook"));
            }
        }
        if !ids.insert(id.as_str()) {
            return Err(format!("there are two steps `{id}`"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;

    #[test]
    fn a_plan_that_was_built_is_sound_and_its_copies_with_errors_are_not() {
        let plan = plan(
            "steps:\n  - {id: a, run: 'true'}\n  - id: g\n    steps:\n      - {id: b, run: 'true'}\n  - {id: c, for_each: [1], run: 'true'}\nfinally:\n  - {id: z, run: 'true'}\n",
        );
        assert_eq!(plan.check_sound(), Ok(()));
        let broken: [fn(&mut Plan); 7] = [
            |plan| plan.format += 1,
            |plan| plan.steps[0].needs = vec![3],
            |plan| plan.steps[0].needs = vec![99],
            |plan| plan.steps[2].group = Some(0),
            |plan| plan.steps[1].id = plan.steps[0].id.clone(),
            |plan| plan.steps[0].finally = true,
            |plan| plan.max_parallel = 0,
        ];
        for (which, break_it) in broken.into_iter().enumerate() {
            let mut copy = plan.clone();
            break_it(&mut copy);
            assert!(copy.check_sound().is_err(), "{which}");
        }
    }
}
