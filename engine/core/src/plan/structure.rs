//! Steps that hold steps: groups, called runbooks, and steps that run once per item.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::model::{Action, Plan, Role, Step};
use crate::document::model::ParamSpec;
use crate::id::StepId;

/// A stage of the procedure: its steps stand after it in the plan and name it as their group.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Runs the group again as a whole until an expression holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Repeat>,
}

/// How a group is run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeat {
    /// The expression that ends it, over the group's own steps.
    pub until: String,
    /// After so many rounds the group fails.
    pub times: u32,
}

/// Another runbook, inlined: its steps stand after it in the plan and name it as their group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The called runbook's name.
    pub runbook: String,
    /// Its parameters.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub params: IndexMap<String, Binding>,
    /// Those whose values no shell can read as more than text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plain_params: Vec<String>,
    /// Its names of secrets, and the plan's names for them.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub secrets: IndexMap<String, String>,
    /// Its environment, templated.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// What the caller sees: expressions over its steps.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: IndexMap<String, String>,
    /// Whether the call's lock is the called runbook's: its name is made of that runbook's parameters and environment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_own_lock: bool,
}

/// The value of a called runbook's parameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Binding {
    /// Known before the run.
    Value(Value),
    /// A template of the caller whose value is only known in the run, and what it must be.
    Text(String, Box<ParamSpec>),
}

/// A step that runs once per item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Each {
    /// What it runs for.
    pub items: Items,
    /// How many items run at a time.
    pub max_parallel: u32,
    /// So many failed items are tolerated.
    pub max_failures: u32,
    /// Cumulative sizes of the waves in which items start; empty: one wave.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub batches: Vec<Batch>,
    /// What is done for one item: a step, then those in it. `needs` and `group` point into this list.
    pub body: Vec<Step>,
}

/// The items that a step runs for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Items {
    /// Written out; texts are templates.
    List(Vec<Value>),
    /// An expression that gives a list.
    Expression(String),
}

/// How many items have been started by the end of a wave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Batch {
    /// So many.
    Count(u32),
    /// So many of a hundred, rounded up.
    Percent(u8),
}

/// One of the items that a step runs for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// From 0.
    pub index: usize,
    /// What it is.
    pub value: Value,
}

impl Batch {
    /// How many of `count` items have been started by its end.
    #[must_use]
    pub fn bound(self, count: usize) -> usize {
        match self {
            Self::Count(bound) => count.min(bound as usize),
            Self::Percent(percent) => (count * usize::from(percent)).div_ceil(100),
        }
    }
}

impl Each {
    /// How many items may have been started while `is_over` says which have ended: a wave starts when the one before has ended.
    #[must_use]
    pub fn started_at_most(&self, count: usize, is_over: impl Fn(usize) -> bool) -> usize {
        let mut over = 0;
        for bound in self.batches.iter().map(|batch| batch.bound(count)) {
            while over < bound && is_over(over) {
                over += 1;
            }
            if over < bound {
                return bound;
            }
        }
        count
    }
}

impl Step {
    /// The steps that are added to the plan when the run comes to it: for each item, and in its undo.
    pub(crate) fn held_back(&self) -> impl Iterator<Item = &Self> {
        let body = match &self.action {
            Action::Each(each) => each.body.as_slice(),
            _ => &[],
        };
        body.iter().chain(self.undo.iter().flat_map(|undo| &undo.steps))
    }

    pub(crate) fn held_back_mut(&mut self) -> impl Iterator<Item = &mut Self> {
        let body = match &mut self.action {
            Action::Each(each) => each.body.as_mut_slice(),
            _ => &mut [],
        };
        body.iter_mut().chain(self.undo.iter_mut().flat_map(|undo| &mut undo.steps))
    }

    /// The length of its id, or of the longest that stands in it, in bytes.
    pub(crate) fn longest_id(&self) -> usize {
        let inside = self.held_back().map(Self::longest_id).max().unwrap_or(0);
        inside.max(self.id.as_str().len())
    }

    /// Whether it holds steps of its own, and so begins and ends around them.
    #[must_use]
    pub fn is_container(&self) -> bool {
        self.action.is_container()
    }
}

impl Action {
    /// Whether a step that does this holds steps of its own.
    #[must_use]
    pub fn is_container(&self) -> bool {
        matches!(self, Self::Steps(_) | Self::Call(_) | Self::Each(_))
    }
}

impl Plan {
    /// The containers around a step, the nearest first.
    pub fn containers_of(&self, step: usize) -> impl Iterator<Item = usize> + '_ {
        std::iter::successors(self.steps[step].group, |group| self.steps[*group].group)
    }

    /// Whether a step stands in the `finally` of a called runbook.
    #[must_use]
    pub fn is_last_words(&self, step: usize) -> bool {
        std::iter::once(step).chain(self.containers_of(step)).any(|around| self.steps[around].cleanup)
    }

    /// Whether a step runs to its end although the run is being ended: under `finally`, be it the run's own or that of a called
    /// runbook, and where what was done is undone.
    #[must_use]
    pub fn outlasts_the_rest(&self, step: usize) -> bool {
        self.steps[step].finally || self.steps[step].is_added() || self.is_last_words(step)
    }

    /// The called runbook that what is inside a container belongs to: the container itself, or the nearest around it.
    #[must_use]
    pub fn call_of(&self, group: Option<usize>) -> Option<(usize, &Call)> {
        let mut around = std::iter::successors(group, |group| self.steps[*group].group);
        around.find_map(|index| match &self.steps[index].action {
            Action::Call(call) => Some((index, &**call)),
            _ => None,
        })
    }

    /// The item that a step is for, where it is for one.
    #[must_use]
    pub fn item_of(&self, step: usize) -> Option<&Item> {
        std::iter::once(step)
            .chain(self.containers_of(step))
            .find_map(|index| self.steps[index].item.as_ref())
    }

    /// Appends what is done for each item.
    ///
    /// # Errors
    /// Where an id would be longer than ids may be.
    pub(crate) fn grow(&mut self, each: usize, list: &[Value]) -> Result<(), String> {
        let Action::Each(declared) = &self.steps[each].action else {
            return Err("the step has no items".into());
        };
        let of = self.steps[each].id.as_str();
        let role = if self.steps[each].role == Role::InUndo { Role::InUndo } else { Role::Declared };
        let mut grown = Vec::with_capacity(declared.body.len() * list.len());
        for (index, value) in list.iter().enumerate() {
            let offset = self.steps.len() + grown.len();
            for (place, step) in declared.body.iter().enumerate() {
                let mut step = step.clone();
                rename(&mut step, of, &format!("{of}[{index}]"))?;
                step.role = role;
                for need in &mut step.needs {
                    *need += offset;
                }
                step.group = Some(step.group.map_or(each, |group| group + offset));
                if place == 0 {
                    step.item = Some(Item { index, value: value.clone() });
                }
                grown.push(step);
            }
        }
        self.steps.extend(grown);
        Ok(())
    }
}

/// Gives a step, and what is inside it, another beginning of its id.
fn rename(step: &mut Step, from: &str, to: &str) -> Result<(), String> {
    let rest = step.id.as_str().strip_prefix(from).unwrap_or_default();
    let id = format!("{to}{rest}");
    step.id = id.parse::<StepId>().map_err(|error| error.to_string())?;
    step.held_back_mut().try_for_each(|inner| rename(inner, from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waves_are_cumulative_and_percents_rounded_up() {
        let each = Each {
            items: Items::List(Vec::new()),
            max_parallel: 1,
            max_failures: 0,
            batches: vec![Batch::Count(1), Batch::Percent(10), Batch::Percent(100)],
            body: Vec::new(),
        };
        let limits = |count, over: usize| each.started_at_most(count, |item| item < over);
        // Of 25: one, then up to three (2.5 rounded up), then all.
        assert_eq!(
            [limits(25, 0), limits(25, 1), limits(25, 2), limits(25, 3), limits(25, 24)],
            [1, 3, 3, 25, 25]
        );
        // Of five a tenth is no more than the first wave: all follow.
        assert_eq!([limits(5, 0), limits(5, 1)], [1, 5]);
        let few = Each { batches: vec![Batch::Count(3)], ..each };
        assert_eq!([few.started_at_most(2, |_| false), few.started_at_most(9, |item| item < 3)], [2, 9]);
    }
}
