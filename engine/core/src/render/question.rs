//! A question's texts, and the lists that expressions give for it.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::context::{Missing, SecretView, Sight, first_message, parse_template};
use super::texts::{Texts, json_of};
use crate::document::model::Choices;
use crate::event::Gate;
use crate::plan::{Options, Plan, Question};
use crate::schedule::RenderedQuestion;
use crate::state::RunState;
use crate::template::{Expression, Reference};

/// Renders a question of a step.
pub(super) fn question(
    texts: &Texts,
    plan: &Plan,
    state: &RunState,
    step: usize,
    gate: Gate,
) -> Result<RenderedQuestion, String> {
    let Some(question) = plan.steps[step].question(gate) else { return Err("the step asks nothing".into()) };
    let asking = Asking { texts, plan, state, step };
    Ok(RenderedQuestion {
        without_run: asking.without_run(question)?,
        prompt: asking.text(&question.prompt)?,
        details: question.details.as_deref().map(|text| asking.text(text)).transpose()?,
        checklist: question.checklist.iter().map(|item| asking.text(item)).collect::<Result<_, _>>()?,
        options: asking.options(question)?,
        choices: asking.choices(question)?,
    })
}

struct Asking<'a> {
    texts: &'a Texts,
    plan: &'a Plan,
    state: &'a RunState,
    step: usize,
}

impl Asking<'_> {
    fn text(&self, source: &str) -> Result<String, String> {
        self.texts.text(self.plan, self.state, self.step, source, &SecretView::Masked, Missing::Shown)
    }

    /// Prompt and details as the digest has them, where they show something of the run.
    fn without_run(&self, question: &Question) -> Result<Vec<String>, String> {
        let texts = || std::iter::once(question.prompt.as_str()).chain(question.details.as_deref());
        // What comes by way of a variable or of a caller's parameter is of the run as well.
        let sees_more = |text: &str| ["run", "env", "params"].iter().any(|name| text.contains(name));
        if !texts().any(|text| text.contains("{{") && sees_more(text)) {
            return Ok(Vec::new());
        }
        texts()
            .map(|source| {
                if !source.contains("{{") {
                    return Ok(source.to_owned());
                }
                let template = parse_template(source)?;
                let references: Vec<&Reference> = template.references().iter().collect();
                let masked = SecretView::Masked;
                let sight = self.texts.sight(self.plan, self.state, Some(self.step), &masked, Missing::Shown);
                let context = Sight { marks_run: true, ..sight }.context(&references)?;
                template.render(&context).map_err(|error| error.message)
            })
            .collect()
    }

    /// The options, each with its meaning: at least one, none of them twice.
    fn options(&self, question: &Question) -> Result<Vec<(String, String)>, String> {
        let options: Vec<(String, String)> = match &question.options {
            None => return Ok(Vec::new()),
            Some(Options::Named(options)) => options
                .iter()
                .map(|(name, meaning)| Ok((self.text(name)?, self.text(meaning)?)))
                .collect::<Result<_, String>>()?,
            Some(Options::Expression(source)) => {
                let names = self.list(source).map_err(|why| format!("options: {why}"))?;
                names.into_iter().map(|name| (name, String::new())).collect()
            }
        };
        let names: Vec<&str> = options.iter().map(|(name, _)| name.as_str()).collect();
        distinct(&names).map_err(|why| format!("options: {why}"))?;
        Ok(options)
    }

    fn choices(&self, question: &Question) -> Result<IndexMap<String, Vec<String>>, String> {
        let mut choices = IndexMap::new();
        for (name, spec) in &question.fields {
            if let Some(Choices::Expression(source)) = &spec.choices {
                let list = self.list(source).map_err(|why| format!("choices of {name}: {why}"))?;
                let names: Vec<&str> = list.iter().map(String::as_str).collect();
                distinct(&names).map_err(|why| format!("choices of {name}: {why}"))?;
                choices.insert(name.clone(), list);
            }
        }
        Ok(choices)
    }

    /// The list of texts that an expression gives.
    fn list(&self, source: &str) -> Result<Vec<String>, String> {
        let expression = Expression::parse(source).map_err(|errors| first_message(&errors))?;
        let references: Vec<&Reference> = expression.references().iter().collect();
        let masked = SecretView::Masked;
        let sight = self.texts.sight(self.plan, self.state, Some(self.step), &masked, Missing::Fails);
        let value = expression.evaluate(&sight.context(&references)?).map_err(|error| error.message)?;
        let Json::Array(items) = json_of(&value) else { return Err(format!("`{source}` gives no list")) };
        items
            .into_iter()
            .map(|item| match item {
                Json::String(text) => Ok(text),
                Json::Number(number) => Ok(number.to_string()),
                Json::Bool(value) => Ok(value.to_string()),
                Json::Null | Json::Array(_) | Json::Object(_) => {
                    Err(format!("`{source}` holds something that is no text"))
                }
            })
            .collect()
    }
}

/// Whether something can be picked from a list: it isn't empty, and no entry is empty or stands twice.
fn distinct(names: &[&str]) -> Result<(), String> {
    let mut seen = std::collections::HashSet::new();
    if names.is_empty() {
        return Err("the list is empty, so there is nothing to choose from".into());
    }
    for name in names {
        if name.trim().is_empty() {
            return Err("an entry of the list is empty".into());
        }
        if !seen.insert(name.trim()) {
            return Err(format!("`{name}` stands twice in the list"));
        }
    }
    Ok(())
}
