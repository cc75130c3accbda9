//! The texts of a run, and what all that render them share.

use std::sync::Arc;

use serde_json::Value as Json;

use super::context::{Missing, Recorded, RunFacts, SecretView, Sight, parse_template};
use crate::plan::Plan;
use crate::state::RunState;
use crate::template::{Reference, RenderError, Template, Value};

/// The texts of a run, rendered against its state.
#[derive(Clone)]
pub struct Texts {
    /// What is true of the run for its whole life.
    pub facts: RunFacts,
    /// What earlier steps printed.
    pub recorded: Arc<dyn Recorded>,
}

impl Texts {
    pub(super) fn sight<'a>(
        &'a self,
        plan: &'a Plan,
        state: &'a RunState,
        step: Option<usize>,
        secrets: &'a SecretView<'a>,
        missing: Missing,
    ) -> Sight<'a> {
        Sight {
            plan,
            state,
            facts: &self.facts,
            recorded: &*self.recorded,
            secrets,
            missing,
            marks_run: false,
            step,
            scope: step.and_then(|step| plan.steps[step].group),
            own: None,
        }
    }

    /// Renders one text.
    pub(super) fn text(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        source: &str,
        secrets: &SecretView<'_>,
        missing: Missing,
    ) -> Result<String, String> {
        if !source.contains("{{") {
            return Ok(source.to_owned());
        }
        let template: Template = parse_template(source)?;
        let references: Vec<&Reference> = template.references().iter().collect();
        let context = self.sight(plan, state, Some(step), secrets, missing).context(&references)?;
        template.render(&context).map_err(RenderError::in_one_line)
    }
}

/// In `finally` a value that a step doesn't have is shown, elsewhere it fails.
pub(super) fn missing_of(plan: &Plan, step: usize) -> Missing {
    if plan.steps[step].finally { Missing::Shown } else { Missing::Fails }
}

/// The value as it is recorded.
pub(super) fn json_of(value: &Value) -> Json {
    serde_json::to_value(value).unwrap_or(Json::Null)
}

pub(super) fn render_json(
    json: &Json,
    text: &dyn Fn(&str) -> Result<String, String>,
) -> Result<Json, String> {
    Ok(match json {
        Json::String(source) => Json::String(text(source)?),
        Json::Array(items) => {
            Json::Array(items.iter().map(|item| render_json(item, text)).collect::<Result<_, _>>()?)
        }
        Json::Object(entries) => {
            let mut rendered = serde_json::Map::new();
            for (name, value) in entries {
                rendered.insert(name.clone(), render_json(value, text)?);
            }
            Json::Object(rendered)
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => json.clone(),
    })
}
