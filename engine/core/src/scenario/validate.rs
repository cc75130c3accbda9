//! What is wrong in a scenario before it is rehearsed: parameters, step ids, words, the moment.

use std::sync::Arc;

use indexmap::IndexMap;

use super::names::{known, plain};
use super::{answers, rehearse};
use crate::diagnostic::{Diagnostic, Diagnostics, suggest};
use crate::document::model::{Runbook, Scenario};
use crate::document::node::crop;
use crate::document::text::Text;
use crate::event::Outcome;
use crate::plan::{GivenValue, Plan, ROLLBACK, missing_params};
use crate::source::Source;

/// How a rehearsed run can end.
const RUN_OUTCOMES: [&str; 6] = ["succeeded", "failed", "rejected", "cancelled", "waiting", "refused"];
/// How a step can stand at the end, beside its [`Outcome`].
const STANDINGS: [&str; 3] = ["waiting", "running", "pending"];

/// The values that a scenario gives to the runbook's parameters.
#[must_use]
pub fn given(scenario: &Scenario) -> IndexMap<String, GivenValue> {
    let given = scenario.params.iter();
    given.map(|(name, value)| (name.to_string(), GivenValue::Data(value.clone()))).collect()
}

/// All mistakes of a scenario, each at its place in `source`. Without a plan those that need none.
#[must_use]
pub fn mistakes(
    document: &Runbook,
    plan: Option<&Plan>,
    scenario: &Scenario,
    source: &Source,
) -> Diagnostics {
    let mut found = Mistakes { file: source.shared_name(), diagnostics: Diagnostics::new() };
    found.of_params(document, scenario);
    if let Some(at) = scenario.at.as_ref().filter(|_| rehearse::moment(scenario).is_none()) {
        let message = format!("`{}` is no moment", crop(at));
        found.add("invalid-value", at, message, Some("write it like `2026-11-22T02:30:00Z`".into()));
    }
    for (step, answer) in scenario.answers.iter() {
        if let Err(message) = answers::read(answer) {
            found.add("invalid-value", step, message, None);
        }
    }
    if let Some(outcome) = &scenario.expect.outcome {
        found.word(outcome, "how a run ends", &RUN_OUTCOMES);
    }
    let outcomes: Vec<&str> =
        [Outcome::Succeeded, Outcome::Failed, Outcome::Rejected, Outcome::Skipped, Outcome::Blocked]
            .into_iter()
            .chain([Outcome::Cancelled, Outcome::Interrupted])
            .map(Outcome::as_str)
            .chain(STANDINGS)
            .collect();
    for (_, outcome) in scenario.expect.steps.iter() {
        found.word(outcome, "how a step ends", &outcomes);
    }
    if let Some(plan) = plan {
        found.of_steps(plan, scenario);
    }
    found.diagnostics
}

struct Mistakes {
    file: Arc<str>,
    diagnostics: Diagnostics,
}

impl Mistakes {
    fn add(&mut self, code: &'static str, at: &Text, message: String, help: Option<String>) {
        let diagnostic = Diagnostic::error(&self.file, code, at.span(), message);
        self.diagnostics.push(Diagnostic { help, ..diagnostic });
    }

    fn of_params(&mut self, document: &Runbook, scenario: &Scenario) {
        let declared: Vec<&str> = document.params.keys().map(Text::as_str).collect();
        for (name, value) in scenario.params.iter() {
            match document.params.get(name) {
                None => {
                    let message = format!("there is no parameter `{}`", crop(name));
                    let help = near(name, &declared).or_else(|| Some(listed(&declared)));
                    self.add("unknown-param", name, message, help);
                }
                Some(spec) => {
                    if let Err(why) = spec.accept(value) {
                        self.add("invalid-param", name, format!("the parameter `{name}`: {why}"), None);
                    }
                }
            }
        }
        for (name, _) in missing_params(document, &given(scenario)) {
            let message = format!("the parameter `{name}` needs a value");
            let help = Some(format!("give it by `params: {{{name}: …}}`"));
            self.add("missing-param", &scenario.name, message, help);
        }
    }

    fn word(&mut self, word: &Text, what: &str, known: &[&str]) {
        if !known.contains(&word.as_str()) {
            let help = near(word, known).or_else(|| Some(listed(known)));
            self.add("invalid-value", word, format!("`{}` is not {what}", crop(word)), help);
        }
    }

    fn of_steps(&mut self, plan: &Plan, scenario: &Scenario) {
        let known = known(plan);
        let expect = &scenario.expect;
        let named = scenario
            .steps
            .keys()
            .chain(scenario.answers.keys().filter(|name| **name != ROLLBACK))
            .chain(&expect.order)
            .chain(&expect.not_run)
            .chain(expect.undone.iter().flatten())
            .chain(expect.commands.keys())
            .chain(expect.steps.keys());
        let candidates: Vec<&str> = known.iter().map(String::as_str).collect();
        for name in named {
            if !known.contains(&plain(name)) {
                let message = format!("the runbook has no step `{}`", crop(name));
                self.add("unknown-step", name, message, near(name, &candidates));
            }
        }
        let outputs: Vec<&str> = plan.outputs.keys().map(String::as_str).collect();
        for name in expect.outputs.keys() {
            if !outputs.contains(&name.as_str()) {
                let message = format!("the runbook has no output `{}`", crop(name));
                let help = near(name, &outputs).or_else(|| Some(listed(&outputs)));
                self.add("unknown-output", name, message, help);
            }
        }
    }
}

fn near(word: &str, known: &[&str]) -> Option<String> {
    suggest(word, known.iter().copied()).map(|near| format!("did you mean `{near}`?"))
}

fn listed(known: &[&str]) -> String {
    if known.is_empty() {
        "the runbook declares none".into()
    } else {
        format!("known here: {}", known.join(", "))
    }
}
