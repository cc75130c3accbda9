//! Which stub an attempt or a probe takes, and what it measures.

use indexmap::IndexMap;
use serde_json::Value;

use super::names::best;
use crate::document::model::{Scenario, Stub, Unstubbed};
use crate::id::StepId;
use crate::render::Measured;

/// The stubs of a scenario.
#[derive(Clone, Copy)]
pub(super) struct Stubs<'s> {
    scenario: &'s Scenario,
}

/// What a step does instead of running.
#[derive(Clone, Copy)]
pub(super) enum Found<'s> {
    /// One after the other; the last goes on for ever. Never empty.
    Given(&'s [Stub]),
    /// It just succeeds: it has no stub and `unstubbed: succeed` is said, or its stub says nothing.
    Succeeds,
    /// It has none, and that is a mistake.
    Missing,
}

impl<'s> Stubs<'s> {
    pub(super) fn new(scenario: &'s Scenario) -> Self {
        Self { scenario }
    }

    /// The stub of a step.
    pub(super) fn of(self, id: &StepId) -> Found<'s> {
        let entries = self.scenario.steps.iter().map(|(name, stubs)| (name.as_str(), stubs));
        match best(entries, id.as_str()) {
            Some(stubs) if stubs.is_empty() => Found::Succeeds,
            Some(stubs) => Found::Given(stubs),
            None if self.scenario.unstubbed == Some(Unstubbed::Succeed) => Found::Succeeds,
            None => Found::Missing,
        }
    }
}

impl Stub {
    /// Whether it says nothing of what the step comes to: then it just succeeds.
    pub(super) fn says_nothing(&self) -> bool {
        self.exit_code.is_none()
            && self.stdout.is_none()
            && self.stderr.is_none()
            && self.outputs.is_empty()
            && self.sample.0.is_empty()
    }

    /// A variable of a probe that it gives.
    pub(super) fn value(&self, name: &str) -> Option<Value> {
        self.sample.0.get(name).map(crate::document::text::Data::to_json)
    }

    /// How long it takes.
    pub(super) fn takes(&self) -> std::time::Duration {
        self.duration.map_or(std::time::Duration::ZERO, Into::into)
    }

    /// What is printed to standard output: what it says, or the JSON or body that stands for it.
    pub(super) fn printed(&self) -> String {
        match (&self.stdout, self.value("body"), self.value("json")) {
            (Some(stdout), _, _) => stdout.to_string(),
            (None, Some(Value::String(body)), _) => body,
            (None, Some(body), _) => body.to_string(),
            (None, None, Some(json)) => json.to_string(),
            (None, None, None) => String::new(),
        }
    }

    /// What it prints as errors.
    pub(super) fn complaints(&self) -> String {
        self.stderr.as_ref().map_or_else(String::new, ToString::to_string)
    }

    /// The names that it gives to expressions.
    pub(super) fn measured(&self) -> Measured {
        let mut values: IndexMap<String, Value> =
            self.sample.0.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect();
        values.shift_remove("signal");
        Measured { values, stdout: Some(self.printed()), stderr: Some(self.complaints()) }
    }
}
