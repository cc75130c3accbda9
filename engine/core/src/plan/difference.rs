//! In what two plans differ, in words for people.

use serde_json::{Map, Value};

use super::model::{Action, Plan};
use crate::id::StepId;

/// Longer values are cut, in characters.
const SHOWN_MAX: usize = 60;

/// One thing in which a plan differs from another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The step; absent: the runbook as a whole.
    pub step: Option<StepId>,
    /// What is different about it.
    pub what: String,
}

/// What is written about a step, by key: its needs by their ids, and nothing of its place.
#[must_use]
pub fn definition(plan: &Plan, index: usize) -> Map<String, Value> {
    let step = &plan.steps[index];
    let Ok(Value::Object(mut keys)) = serde_json::to_value(step) else { return Map::new() };
    for key in ["id", "group", "item"] {
        keys.shift_remove(key);
    }
    let needs: Vec<Value> = step.needs.iter().map(|need| plan.steps[*need].id.as_str().into()).collect();
    keys.insert("needs".into(), needs.into());
    if let Some(Value::Object(action)) = keys.shift_remove("action") {
        keys.extend(action);
    }
    keys
}

/// In what a plan differs from another: the runbook as a whole, then steps removed, added and changed. Of the older plan items that
/// its run has settled are left out.
#[must_use]
pub fn differences(old: &Plan, new: &Plan) -> Vec<Difference> {
    let (old, new) = (frozen(old), frozen(new));
    let mut found: Vec<Difference> =
        changes(&whole(&old), &whole(&new)).into_iter().map(|what| Difference { step: None, what }).collect();
    let (old_items, new_items) = (items(&old), items(&new));
    let (old, new) = (declared(&old.laid_out()), declared(&new.laid_out()));
    for step in old.steps.iter().filter(|step| new.index_of(&step.id).is_none()) {
        found.push(Difference { step: Some(step.id.clone()), what: "removed".into() });
    }
    for (index, step) in new.steps.iter().enumerate() {
        let id = &step.id;
        let Some(before) = old.index_of(id) else {
            found
                .push(Difference { step: Some(id.clone()), what: format!("added ({})", step.action.kind()) });
            continue;
        };
        let (mut old_keys, mut new_keys) = (definition(&old, before), definition(&new, index));
        for (keys, items) in [(&mut old_keys, &old_items), (&mut new_keys, &new_items)] {
            if let Some((_, value)) = items.iter().find(|(each, _)| each == id) {
                keys.insert("for_each".into(), value.clone());
            }
        }
        let changed = changes(&old_keys, &new_keys);
        if !changed.is_empty() {
            found.push(Difference {
                step: Some(id.clone()),
                what: format!("changed: {}", changed.join("; ")),
            });
        }
    }
    found
}

/// The plan without what its run has added.
fn frozen(plan: &Plan) -> Plan {
    let mut frozen = plan.clone();
    let count = (0..plan.steps.len()).take_while(|step| plan.item_of(*step).is_none()).count();
    frozen.steps.truncate(count);
    frozen
}

/// The plan without what follows from it.
fn declared(plan: &Plan) -> Plan {
    // All that is added stands after what it follows from, and nothing needs it.
    let steps = plan.steps.iter().take_while(|step| !step.is_added()).cloned().collect();
    Plan { steps, ..plan.clone() }
}

fn whole(plan: &Plan) -> Map<String, Value> {
    let bare = Plan { steps: Vec::new(), ..plan.clone() };
    match serde_json::to_value(bare) {
        Ok(Value::Object(keys)) => keys,
        _ => Map::new(),
    }
}

fn items(plan: &Plan) -> Vec<(StepId, Value)> {
    let of = |step: &super::model::Step| match &step.action {
        Action::Each(each) => {
            let bare = super::structure::Each { body: Vec::new(), ..(**each).clone() };
            Some((step.id.clone(), serde_json::to_value(bare).unwrap_or(Value::Null)))
        }
        _ => None,
    };
    plan.steps.iter().filter_map(of).collect()
}

/// Each key in which two maps differ, as deep as both have it: `key: before → after`.
fn changes(old: &Map<String, Value>, new: &Map<String, Value>) -> Vec<String> {
    let mut found = Vec::new();
    descend("", old, new, &mut found);
    found
}

fn descend(path: &str, old: &Map<String, Value>, new: &Map<String, Value>, found: &mut Vec<String>) {
    let removed = old.keys().filter(|key| !new.contains_key(*key));
    for key in new.keys().chain(removed).filter(|key| old.get(*key) != new.get(*key)) {
        let path = match path {
            "" => key.clone(),
            // It has this one part.
            path if old.len() == 1 && new.len() == 1 => path.to_owned(),
            path => format!("{path}.{key}"),
        };
        match (old.get(key), new.get(key)) {
            (Some(Value::Object(before)), Some(Value::Object(after))) => descend(&path, before, after, found),
            (before, after) => {
                let text = |value: Option<&Value>| value.map_or_else(|| "nothing".into(), on_one_line);
                let (before, after) = (text(before), text(after));
                let from = where_they_part(&before, &after);
                found.push(format!("{path}: {} → {}", brief(&before, from), brief(&after, from)));
            }
        }
    }
}

fn on_one_line(value: &Value) -> String {
    match value {
        Value::Object(map) if map.len() == 1 => map.values().next().map(on_one_line).unwrap_or_default(),
        Value::String(text) => text.split_whitespace().collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// How many characters of two texts are left out, so that what differs is among those that are shown.
fn where_they_part(one: &str, other: &str) -> usize {
    /// So many of the same characters stand before.
    const BEFORE: usize = 16;
    if one.chars().count().max(other.chars().count()) <= SHOWN_MAX {
        return 0;
    }
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    if same + BEFORE < SHOWN_MAX { 0 } else { same - BEFORE }
}

/// A text in a few words, from a character on.
fn brief(text: &str, from: usize) -> String {
    let shown: String = text.chars().skip(from).take(SHOWN_MAX).collect();
    let more = text.chars().count() > from + SHOWN_MAX;
    format!("{}{shown}{}", if from > 0 { "…" } else { "" }, if more { "…" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::plan;

    #[test]
    fn what_differs_is_said_by_step_and_key() {
        let old = plan(
            "title: Old\nsteps:\n  - {id: a, run: echo a}\n  - {id: b, run: echo b}\n  - {id: c, for_each: [1], run: echo c}\n",
        );
        let new = plan(
            "title: New\nsteps:\n  - {id: a, run: echo z, timeout: 5s}\n  - {id: d, check: {tcp: 'h:1'}}\n  - {id: c, for_each: [1, 2], run: echo c}\n",
        );
        let said: Vec<String> = differences(&old, &new)
            .into_iter()
            .map(|difference| format!("{:?} {}", difference.step.map(|id| id.to_string()), difference.what))
            .collect();
        assert_eq!(said[0], "None title: Old → New");
        assert_eq!(said[1], "Some(\"b\") removed");
        assert!(
            said[2].starts_with("Some(\"a\") changed: ") && said[2].contains("run: echo a → echo z"),
            "{said:?}"
        );
        assert_eq!(said[3], "Some(\"d\") added (check)");
        assert!(said[4].contains("for_each.items: [1] → [1,2]"), "{said:?}");
        assert_eq!(differences(&old, &old), []);
    }

    #[test]
    fn of_a_gate_only_what_differs_is_said_also_at_the_end_of_a_long_text() {
        let long = "Send the release to production, after the tests, the backup and the staging check of";
        let gate = |prompt: &str| plan(&format!("steps:\n  - {{id: g, approve: {{prompt: '{prompt}'}}}}\n"));
        let said = |old: &str, new: &str| differences(&gate(old), &gate(new))[0].what.clone();
        assert_eq!(said("Go?", "Go now?"), "changed: approve.prompt: Go? → Go now?");
        assert_eq!(
            said(&format!("{long} blue?"), &format!("{long} green?")),
            "changed: approve.prompt: …taging check of blue? → …taging check of green?"
        );
    }
}
