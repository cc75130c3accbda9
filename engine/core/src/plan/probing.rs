//! The checks of a plan that can be made before anything has run: `plan --probe` (`cli.md`).
//!
//! They become a plan of their own, which runs like any other: each of them probes once, none waits for another, and nothing but
//! checks is in it. What looks at something that only the run will give is left out, and why is said.

use std::collections::BTreeSet;

use serde_json::Value;

use super::guards::Guards;
use super::model::{Action, Check, Inputs, OnFailure, Plan, Rollback, Step};
use super::structure::{Binding, Call, Each, Group, Items};
use crate::id::StepId;
use crate::template::{Expression, Reference, Template};

/// Enough for every list of items: one that fails keeps no other from being probed.
const ALL: u32 = u32::MAX;

/// The checks of a plan that can be made at once, and the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Probing {
    /// A plan of nothing but them.
    pub plan: Plan,
    /// The checks that can't be made yet, and what they look at that isn't there.
    pub left: Vec<(StepId, String)>,
}

/// Picks the checks of a plan that need nothing of the run.
#[must_use]
pub fn probing(plan: &Plan) -> Probing {
    let mut left = Vec::new();
    let steps = pick(&plan.steps, &BTreeSet::new(), &mut left);
    let plan = Plan {
        guards: Guards::default(),
        outputs: indexmap::IndexMap::new(),
        rollback: Rollback::Manual,
        steps,
        ..plan.clone()
    };
    Probing { plan, left }
}

/// What is known of a step that holds others.
#[derive(Clone)]
struct Scope {
    /// Where it stands in the new plan.
    place: Option<usize>,
    /// Why nothing in it can be probed.
    closed: Option<String>,
    /// The parameters of the call around, whose values only the run will give.
    later: BTreeSet<String>,
}

fn pick(steps: &[Step], later: &BTreeSet<String>, left: &mut Vec<(StepId, String)>) -> Vec<Step> {
    let mut picked: Vec<Step> = Vec::new();
    let mut scopes: Vec<Scope> = Vec::with_capacity(steps.len());
    for step in steps.iter().filter(|step| !step.is_added()) {
        let around = step.group.map_or_else(
            || Scope { place: None, closed: None, later: later.clone() },
            |group| scopes[group].clone(),
        );
        let closed = around.closed.clone().or_else(|| looks_ahead(step, &around.later));
        let mut inside = around.later.clone();
        let action = match &step.action {
            Action::Check(check) => match &closed {
                Some(why) => {
                    left.push((step.id.clone(), why.clone()));
                    None
                }
                None => Some(Action::Check(once(check))),
            },
            Action::Steps(_) => Some(Action::Steps(Group::default())),
            Action::Call(call) => {
                inside = later_params(call, &around.later);
                let call = Call { outputs: indexmap::IndexMap::new(), ..(**call).clone() };
                Some(Action::Call(Box::new(call)))
            }
            Action::Each(each) => each_of(each, closed.as_deref(), &around.later, left),
            _ => None,
        };
        let place = action.filter(|_| closed.is_none()).map(|action| {
            picked.push(Step { group: around.place, ..bare(step, action) });
            picked.len() - 1
        });
        scopes.push(Scope { place, closed, later: inside });
    }
    picked
}

/// A step with items, with the checks among what it does for each of them.
fn each_of(
    each: &Each,
    closed: Option<&str>,
    later: &BTreeSet<String>,
    left: &mut Vec<(StepId, String)>,
) -> Option<Action> {
    let mut inside = Vec::new();
    let body = pick(&each.body, later, &mut inside);
    let Some(why) = closed else {
        left.extend(inside);
        let holds_checks = body.iter().any(|step| !step.is_container());
        let each = Each { body, max_failures: ALL, batches: Vec::new(), ..each.clone() };
        return holds_checks.then(|| Action::Each(Box::new(each)));
    };
    let checks = body.iter().filter(|step| !step.is_container()).map(|step| step.id.clone());
    left.extend(checks.chain(inside.into_iter().map(|(id, _)| id)).map(|id| (id, why.to_owned())));
    None
}

/// One probe, whatever is waited for in a run.
fn once(check: &Check) -> Check {
    Check { within: None, hold: None, max_failures: 0, ..check.clone() }
}

/// A step of which nothing is left but what it does and whether that is wanted.
fn bare(step: &Step, action: Action) -> Step {
    Step {
        needs: Vec::new(),
        finally: false,
        cleanup: false,
        guards: Guards { left_out: step.guards.left_out.clone(), ..Guards::default() },
        ask: None,
        deadline: None,
        escalate: Vec::new(),
        done_when: None,
        action,
        retry: None,
        on_failure: OnFailure::Continue,
        outputs: indexmap::IndexMap::new(),
        inputs: Inputs::default(),
        artifacts: Vec::new(),
        undo: None,
        ..step.clone()
    }
}

/// The parameters of a called runbook whose values only the run will give.
fn later_params(call: &Call, later: &BTreeSet<String>) -> BTreeSet<String> {
    let is_later = |binding: &Binding| match binding {
        Binding::Value(_) => false,
        Binding::Text(text, _) => text_looks_ahead(text, later).is_some(),
    };
    call.params.iter().filter(|(_, binding)| is_later(binding)).map(|(name, _)| name.clone()).collect()
}

/// What a step looks at that only the run will give.
fn looks_ahead(step: &Step, later: &BTreeSet<String>) -> Option<String> {
    let mut expressions: Vec<&String> = step.when.iter().collect();
    let mut texts: Vec<&String> = step.env.values().chain(&step.cwd).collect();
    let mut probe = Value::Null;
    match &step.action {
        Action::Check(check) => {
            expressions.extend(check.expect.iter().chain(&check.warn));
            probe = serde_json::to_value(&check.probe).unwrap_or_default();
        }
        Action::Call(call) => {
            let inside = later_params(call, later);
            if let Some(found) = call.env.values().find_map(|text| text_looks_ahead(text, &inside)) {
                return Some(found);
            }
        }
        Action::Each(each) => match &each.items {
            Items::Expression(source) => expressions.push(source),
            Items::List(list) => probe = Value::from(list.clone()),
        },
        _ => {}
    }
    collect(&probe, &mut texts);
    let ahead = expressions.iter().find_map(|source| expression_looks_ahead(source, later));
    ahead.or_else(|| texts.iter().find_map(|text| text_looks_ahead(text, later)))
}

/// All texts in a value.
fn collect<'v>(value: &'v Value, texts: &mut Vec<&'v String>) {
    match value {
        Value::String(text) => texts.push(text),
        Value::Array(list) => list.iter().for_each(|value| collect(value, texts)),
        Value::Object(map) => map.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}

fn expression_looks_ahead(source: &str, later: &BTreeSet<String>) -> Option<String> {
    first_ahead(Expression::parse(source).ok()?.references(), later)
}

fn text_looks_ahead(text: &str, later: &BTreeSet<String>) -> Option<String> {
    if !text.contains("{{") {
        return None;
    }
    first_ahead(Template::parse(text).ok()?.references(), later)
}

fn first_ahead(references: &[Reference], later: &BTreeSet<String>) -> Option<String> {
    let is_ahead = |reference: &&Reference| {
        let path: Vec<&str> = reference.path.iter().map(String::as_str).collect();
        match path.as_slice() {
            ["steps", ..] | ["run", "outcome" | "failed" | "succeeded"] => true,
            ["params", name, ..] => later.contains(*name),
            _ => false,
        }
    };
    references.iter().find(is_ahead).map(Reference::dotted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;

    #[test]
    fn checks_that_need_nothing_of_the_run_are_picked() {
        let plan = plan(
            r#"
params: {port: 80}
lock: one
steps:
  - {id: build, run: echo 1}
  - {id: open, check: {tcp: "h:{{ params.port }}", within: 5m, hold: 1m, max_failures: 3}}
  - {id: same, check: {file: "{{ steps.build.stdout }}"}}
  - {id: sized, check: {file: a, expect: size == steps.build.number}}
  - {id: maybe, when: steps.build.stdout == "1", check: {file: b}}
  - id: group
    when: steps.build.succeeded
    steps:
      - {id: inner, check: {file: c}}
  - id: stage
    steps:
      - {id: work, run: echo 2}
      - {id: inner, check: {file: d}, retry: 2}
  - {id: each, for_each: [a, b], check: {file: "{{ item }}"}}
  - {id: found, for_each: steps.build.lines, check: {file: "{{ item }}"}}
finally:
  - {id: clean, check: {file: e}}
  - {id: bad, when: run.failed, check: {file: f}}
"#,
        );
        let probing = probing(&plan);
        let ids: Vec<&str> = probing.plan.steps.iter().map(|step| step.id.as_str()).collect();
        assert_eq!(ids, ["open", "stage", "stage.inner", "each", "clean"]);
        assert!(probing.plan.guards.is_empty());
        let Action::Check(open) = &probing.plan.steps[0].action else { panic!("a check") };
        assert_eq!((open.within, open.hold, open.max_failures), (None, None, 0));
        assert_eq!(probing.plan.steps[2].group, Some(1));
        assert!(probing.plan.steps.iter().all(|step| step.needs.is_empty() && step.retry.is_none()));
        let left: Vec<(&str, &str)> =
            probing.left.iter().map(|(id, why)| (id.as_str(), why.as_str())).collect();
        assert_eq!(
            left,
            [
                ("same", "steps.build.stdout"),
                ("sized", "steps.build.number"),
                ("maybe", "steps.build.stdout"),
                ("group.inner", "steps.build.succeeded"),
                ("found", "steps.build.lines"),
                ("bad", "run.failed"),
            ]
        );
    }
}
