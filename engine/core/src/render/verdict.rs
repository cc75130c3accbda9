//! Whether what was measured is what was expected.

use indexmap::IndexMap;
use serde_json::Value as Json;

use super::context::{Measured, Missing, OwnResult, SecretView, Sight, printed_value};
use super::texts::{Texts, json_of, missing_of};
use crate::plan::{Check, Plan};
use crate::state::RunState;
use crate::template::{Context, Expression, Reference, StepValue, value_from_json};

/// Whether the expectations held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Why not: the first expression that didn't hold, with the values it saw.
    pub failure: Option<String>,
    /// Expressions under `warn` that didn't hold.
    pub warnings: Vec<String>,
}

impl Texts {
    /// Judges a sample of a check. `own_success` is the probe's own opinion.
    #[must_use]
    pub fn judge_check(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        check: &Check,
        measured: &Measured,
        own_success: Result<(), String>,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        if check.expect_success
            && let Err(why) = own_success
        {
            verdict.failure = Some(why);
            return verdict;
        }
        verdict.failure = self.first_unmet(plan, state, step, &check.expect, measured);
        verdict.warnings =
            check.warn.iter().filter_map(|source| self.unmet(plan, state, step, source, measured)).collect();
        verdict
    }

    /// The first expression that doesn't hold, with the values it saw.
    #[must_use]
    pub fn first_unmet(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        expressions: &[String],
        measured: &Measured,
    ) -> Option<String> {
        expressions.iter().find_map(|source| self.unmet(plan, state, step, source, measured))
    }

    fn unmet(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        source: &str,
        measured: &Measured,
    ) -> Option<String> {
        let expression = match Expression::parse(source) {
            Ok(expression) => expression,
            Err(errors) => return Some(super::context::first_message(&errors)),
        };
        let nothing = IndexMap::new();
        let own = OwnResult { measured, written: &nothing };
        let context = match self.with_measured(plan, state, step, &expression, own) {
            Ok(context) => context,
            Err(error) => return Some(error),
        };
        match expression.evaluate_bool(&context) {
            Ok(true) => None,
            Ok(false) => Some(expression.explain(&context)),
            Err(error) => Some(error.message),
        }
    }

    /// Whether one of these expressions names a variable, and so judges it in
    /// place of the probe's or command's own success.
    #[must_use]
    pub fn mentions(expressions: &[String], variable: &str) -> bool {
        expressions.iter().any(|source| {
            Expression::parse(source).is_ok_and(|expression| {
                let own = |reference: &Reference| reference.path.first().is_some_and(|name| name == variable);
                expression.references().iter().any(own)
            })
        })
    }

    /// The step's `outputs`, evaluated over its result; `written` is what it wrote to `RUNBOOK_OUTPUT`.
    ///
    /// # Errors
    /// The first that can't be evaluated.
    pub fn step_outputs(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        measured: &Measured,
        written: &IndexMap<String, Json>,
    ) -> Result<IndexMap<String, Json>, String> {
        let own = OwnResult { measured, written };
        let mut outputs = IndexMap::new();
        for (name, source) in &plan.steps[step].outputs {
            let expression =
                Expression::parse(source).map_err(|errors| super::context::first_message(&errors))?;
            let context = self.with_measured(plan, state, step, &expression, own)?;
            let value = expression
                .evaluate(&context)
                .map_err(|error| format!("outputs.{name}: {}", error.message))?;
            outputs.insert(name.clone(), json_of(&value));
        }
        Ok(outputs)
    }

    fn with_measured(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        expression: &Expression,
        own: OwnResult<'_>,
    ) -> Result<Context, String> {
        let OwnResult { measured, .. } = own;
        let references: Vec<&Reference> = expression.references().iter().collect();
        let masked = SecretView::Masked;
        let missing: Missing = missing_of(plan, step);
        let sight = Sight { own: Some(own), ..self.sight(plan, state, Some(step), &masked, missing) };
        let mut context = sight.context(&references)?;
        for (name, value) in &measured.values {
            context.set(name, value_from_json(value));
        }
        let printed = [
            ("stdout", &measured.stdout),
            ("stderr", &measured.stderr),
            ("json", &measured.stdout),
            ("lines", &measured.stdout),
            ("number", &measured.stdout),
        ];
        for (name, text) in printed {
            let used =
                references.iter().any(|reference| reference.path.first().is_some_and(|first| first == name));
            if let (true, Some(text), false) = (used, text, measured.values.contains_key(name)) {
                match printed_value(text, name) {
                    StepValue::Value(value) => {
                        context.set(name, value);
                    }
                    StepValue::Undefined { why } => return Err(format!("`{name}` is not defined: {why}")),
                    StepValue::Placeholder(_) | StepValue::Missing => {}
                }
            }
        }
        Ok(context)
    }
}
