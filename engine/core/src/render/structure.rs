//! Texts of groups, calls and steps with items: which names they see, and what they give.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::context::{Missing, SecretView, Sight, first_message, parse_template};
use super::texts::{Texts, json_of, missing_of, render_json};
use crate::plan::{Action, Binding, Items, Plan};
use crate::state::RunState;
use crate::template::{
    Context, Expression, Reference, StepValue, Template, Type, Value, canonical_name, value_from_json,
};

/// What an item's result has.
const ITEM_FIELDS: &[&str] = &[
    "outcome",
    "succeeded",
    "failed",
    "skipped",
    "exit_code",
    "stdout",
    "stderr",
    "json",
    "lines",
    "number",
    "outputs",
    "choice",
    "fields",
    "by",
    "artifacts",
    "duration",
    "attempts",
];

impl<'a> Sight<'a> {
    /// The same run, as a step around sees it.
    fn of_step(&self, step: usize) -> Sight<'_> {
        Sight { step: Some(step), scope: self.plan.steps[step].group, ..*self }
    }

    /// The parameters in sight: those of the called runbook, or the run's.
    pub(super) fn params(&self) -> Result<IndexMap<String, Json>, String> {
        let Some((step, call)) = self.plan.call_of(self.scope) else { return Ok(self.plan.params.clone()) };
        let caller = self.of_step(step);
        let mut params = IndexMap::new();
        for (name, binding) in &call.params {
            let value = match binding {
                Binding::Value(value) => value.clone(),
                Binding::Text(text, spec) => {
                    let template = parse_template(text)?;
                    let references: Vec<&Reference> = template.references().iter().collect();
                    let value = render_data(&template, &caller.context(&references)?)?;
                    let fitting = match &value {
                        Json::String(text) => spec.parse_text(text),
                        other => spec.accept(&other.clone().into()),
                    };
                    let fitting =
                        fitting.map_err(|why| format!("params.{name} of `{}`: {why}", call.runbook))?;
                    serde_json::to_value(fitting).unwrap_or(Json::Null)
                }
            };
            params.insert(name.clone(), value);
        }
        Ok(params)
    }

    /// The secrets in sight: their names here, and in the plan.
    pub(super) fn secret_names(&self) -> Vec<(String, &str)> {
        match self.plan.call_of(self.scope) {
            Some((_, call)) => {
                call.secrets.iter().map(|(name, of_plan)| (name.clone(), of_plan.as_str())).collect()
            }
            None => self.plan.secrets.keys().map(|name| (name.clone(), name.as_str())).collect(),
        }
    }

    /// The environment before a step's own: the plan's, and what each call around it adds.
    pub(super) fn environment_around(&self) -> Result<IndexMap<String, String>, String> {
        let Some((step, call)) = self.plan.call_of(self.scope) else {
            let mut rendered = IndexMap::new();
            self.render_environment(&self.plan.env, &mut rendered)?;
            return Ok(rendered);
        };
        let mut rendered = self.of_step(step).environment()?;
        self.render_environment(&call.env, &mut rendered)?;
        Ok(rendered)
    }

    /// The step that a name means here: one beside, or, in a group, one around it.
    pub(super) fn step_named(&self, name: &str) -> Option<usize> {
        let found = self.search(name)?;
        // Inside a step with items its own name means the item.
        let item = |step: usize| {
            std::iter::once(step)
                .chain(self.plan.containers_of(step))
                .find(|index| self.plan.steps[*index].group == Some(found))
                // An undo stands beside the item that it undoes.
                .map(|index| self.plan.steps[index].undoes().unwrap_or(index))
        };
        match self.step.or(self.scope) {
            Some(own) if matches!(self.plan.steps[found].action, Action::Each(_)) => {
                item(own).or(Some(found))
            }
            _ => Some(found),
        }
    }

    fn search(&self, name: &str) -> Option<usize> {
        let mut scope = self.scope;
        while let Some(container) = scope {
            // What undoes a group stands beside it, and not in it.
            if self.plan.steps[container].undoes().is_none() {
                let inside = format!("{}.{}", canonical_name(self.plan.steps[container].id.as_str()), name);
                if let Some(found) = self.state.index_of_name(&inside) {
                    return Some(found);
                }
            }
            if matches!(self.plan.steps[container].action, Action::Call(_)) {
                return None;
            }
            scope = self.plan.steps[container].group;
        }
        self.state.index_of_name(name)
    }

    /// The results of a step's items.
    pub(super) fn items(&self, each: usize) -> Value {
        let results = self.state.children(each).iter().map(|&item| {
            let facts = self.plan.steps[item].item.as_ref();
            let mut fields: Vec<(&str, Value)> = vec![
                ("item", facts.map_or(Value::from(()), |item| value_from_json(&item.value))),
                ("index", Value::from(facts.map_or(0, |item| item.index))),
            ];
            for field in ITEM_FIELDS {
                if let StepValue::Value(value) = self.step_value(item, field) {
                    fields.push((field, value));
                }
            }
            Value::from_pairs(fields)
        });
        Value::from_iter(results)
    }
}

/// A text's value: what an expression that is all of it gives, else the text.
fn render_data(template: &Template, context: &Context) -> Result<Json, String> {
    let value = template.render_value(context).map_err(|error| error.message)?;
    Ok(json_of(&value))
}

impl Texts {
    pub(super) fn items_of(&self, plan: &Plan, state: &RunState, step: usize) -> Result<Vec<Json>, String> {
        let Action::Each(each) = &plan.steps[step].action else { return Err("it has no items".into()) };
        let masked = SecretView::Masked;
        let sight = self.sight(plan, state, Some(step), &masked, missing_of(plan, step));
        match &each.items {
            Items::List(list) => list
                .iter()
                .map(|value| {
                    render_json(value, &|text: &str| {
                        if !text.contains("{{") {
                            return Ok(text.to_owned());
                        }
                        let template = parse_template(text)?;
                        let references: Vec<&Reference> = template.references().iter().collect();
                        template.render(&sight.context(&references)?).map_err(|error| error.message)
                    })
                })
                .collect(),
            Items::Expression(source) => {
                let value = evaluate(&sight, source)?;
                let shown = json_of(&value);
                match (Type::of(&value), shown) {
                    (Some(Type::List), Json::Array(items)) => Ok(items),
                    (found, _) => {
                        let found = found.map_or_else(|| "undefined".to_owned(), |found| found.to_string());
                        Err(format!("`{source}` must be a list, but it is {found}"))
                    }
                }
            }
        }
    }

    pub(super) fn results_of(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
    ) -> Result<IndexMap<String, Json>, String> {
        let masked = SecretView::Masked;
        let mut sight = self.sight(plan, state, Some(step), &masked, Missing::Fails);
        let mut results = IndexMap::new();
        let (called, own) = match &plan.steps[step].action {
            Action::Call(call) => (Some(&call.outputs), &plan.steps[step].outputs),
            Action::Steps(_) => (None, &plan.steps[step].outputs),
            _ => return Ok(results),
        };
        // What a called runbook gives is known to what the caller makes of it.
        let given = called.unwrap_or(own);
        sight.scope = Some(step);
        sight.step = None;
        for (name, source) in given {
            let value = evaluate(&sight, source).map_err(|why| format!("outputs.{name}: {why}"))?;
            results.insert(name.clone(), json_of(&value));
        }
        if called.is_some() {
            let sight = self.sight(plan, state, Some(step), &masked, Missing::Fails);
            for (name, source) in own {
                let value = evaluate_with(&sight, source, &results);
                let value = value.map_err(|why| format!("outputs.{name}: {why}"))?;
                results.insert(name.clone(), json_of(&value));
            }
        }
        Ok(results)
    }

    pub(super) fn until_of(&self, plan: &Plan, state: &RunState, step: usize) -> Result<bool, String> {
        let Action::Steps(group) = &plan.steps[step].action else { return Ok(true) };
        let Some(repeat) = &group.repeat else { return Ok(true) };
        let masked = SecretView::Masked;
        let mut sight = self.sight(plan, state, None, &masked, missing_of(plan, step));
        sight.scope = Some(step);
        let expression = Expression::parse(&repeat.until).map_err(|errors| first_message(&errors))?;
        let references: Vec<&Reference> = expression.references().iter().collect();
        expression
            .evaluate_bool(&sight.context(&references)?)
            .map_err(|error| format!("until: {}", error.message))
    }
}

fn evaluate(sight: &Sight<'_>, source: &str) -> Result<Value, String> {
    evaluate_with(sight, source, &IndexMap::new())
}

/// Evaluates an expression that may use some names beside those in sight.
fn evaluate_with(sight: &Sight<'_>, source: &str, bare: &IndexMap<String, Json>) -> Result<Value, String> {
    let expression = Expression::parse(source).map_err(|errors| first_message(&errors))?;
    let references: Vec<&Reference> = expression.references().iter().collect();
    let mut context = sight.context(&references)?;
    for (name, value) in bare {
        context.set(name, value_from_json(value));
    }
    expression.evaluate(&context).map_err(|error| error.message)
}
