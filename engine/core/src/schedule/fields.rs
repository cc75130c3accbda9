//! What is filled in with an answer: asked for when the question opens, checked when the answer comes.

use indexmap::IndexMap;
use serde_json::Value;

use super::input::{Refusal, RenderedQuestion};
use crate::diagnostic::suggest;
use crate::document::model::{Choices, ParamSpec, ParamValue};
use crate::document::text::{Data, Text};
use crate::event::GateField;
use crate::id::StepId;
use crate::plan::Question;

/// The fields of a question as its opening records them.
pub(super) fn asked(question: &Question, shown: &RenderedQuestion) -> IndexMap<String, GateField> {
    let described = |(name, spec): (&String, &ParamSpec)| {
        let choices = match &spec.choices {
            None => Vec::new(),
            Some(Choices::List(choices)) => choices.iter().map(Text::to_string).collect(),
            Some(Choices::Expression(_)) => shown.choices.get(name).cloned().unwrap_or_default(),
        };
        let field = GateField {
            kind: spec.kind.to_string(),
            description: spec.description.as_ref().map(Text::to_string),
            pattern: spec.pattern.as_ref().map(Text::to_string),
            choices,
            default: spec.default.as_ref().map(json_of),
            required: spec.required && spec.default.is_none(),
        };
        (name.clone(), field)
    };
    question.fields.iter().map(described).collect()
}

/// The rule of a field of an open question: as the plan has it, with the choices that were found when it opened.
#[must_use]
pub fn rule_of(spec: &ParamSpec, field: Option<&GateField>) -> ParamSpec {
    match (&spec.choices, field) {
        (Some(Choices::Expression(_)), Some(field)) => {
            let choices = field.choices.iter().map(|choice| Text::new(choice.as_str())).collect();
            ParamSpec { choices: Some(Choices::List(choices)), ..spec.clone() }
        }
        _ => spec.clone(),
    }
}

/// The values of an answer, each checked; where the answer decides for going on (`complete`), all that must be given are there and
/// defaults stand in for the rest.
///
/// # Errors
/// A value that doesn't fit, one that nobody asks for, one that is missing: which, and what is expected.
pub(super) fn checked(
    step: &StepId,
    specs: &IndexMap<String, ParamSpec>,
    fields: &IndexMap<String, GateField>,
    given: &IndexMap<String, Value>,
    complete: bool,
) -> Result<IndexMap<String, Value>, Refusal> {
    if let Some(unknown) = given.keys().find(|name| !specs.contains_key(*name)) {
        let near = suggest(unknown, specs.keys().map(String::as_str));
        let help = match (near, specs.is_empty()) {
            (Some(near), _) => format!("; did you mean `{near}`?"),
            (None, true) => String::new(),
            (None, false) => {
                let names: Vec<&str> = specs.keys().map(String::as_str).collect();
                format!(": its fields are {}", names.join(", "))
            }
        };
        return Err(Refusal::usage(format!("`{step}` has no field `{unknown}`{help}")));
    }
    let mut values = IndexMap::new();
    for (name, spec) in specs {
        let rule = rule_of(spec, fields.get(name));
        let value = match given.get(name) {
            Some(value) => read(&rule, value)
                .map_err(|why| Refusal::usage(format!("the field `{name}` of `{step}`: {why}")))?,
            None if !complete => continue,
            None => match (&spec.default, spec.required) {
                (Some(default), _) => default.clone(),
                (None, false) => ParamValue::None,
                (None, true) => {
                    return Err(Refusal::usage(format!(
                        "`{step}` asks for the field `{name}`: --field {name}=VALUE"
                    )));
                }
            },
        };
        values.insert(name.clone(), json_of(&value));
    }
    Ok(values)
}

/// A value as it was given: text that was typed, or data that has its type already.
fn read(rule: &ParamSpec, value: &Value) -> Result<ParamValue, String> {
    match value {
        Value::String(text) => rule.parse_text(text),
        other => rule.accept(&Data::from(other.clone())),
    }
}

fn json_of(value: &ParamValue) -> Value {
    serde_json::to_value(value).unwrap_or(Value::Null)
}
