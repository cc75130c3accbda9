//! From what a command or request came to, to the result that is recorded: whether it is what was expected, and what later steps see
//! of it. A live run and a rehearsal judge alike.

use indexmap::IndexMap;
use serde_json::Value;

use super::context::Measured;
use super::texts::Texts;
use crate::event::Outcome;
use crate::plan::{Action, Plan};
use crate::schedule::AttemptResult;
use crate::state::RunState;

/// The largest measured value that is recorded with a step, in bytes; a larger
/// one can be expected and warned about, not used by later steps.
const VALUE_BYTES_MAX: usize = 256 * 1024;

impl Texts {
    /// Judges the end of a step's command. `exited` says that it ended by itself and with a status; `measured` reads what it printed
    /// and is asked only where an expression needs it.
    pub fn conclude_command(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        exited: bool,
        result: &mut AttemptResult,
        measured: impl FnOnce() -> Result<Measured, String>,
    ) {
        let known = &plan.steps[step];
        let Action::Run(run) = &known.action else { return };
        // An expectation that names the exit code judges it in place of "0".
        let judges_exit = Self::mentions(&run.expect, "exit_code");
        let plain_exit =
            matches!(&result.failure, Some((Outcome::Failed, reason)) if reason.starts_with("exit"));
        if judges_exit && exited && plain_exit {
            result.failure = None;
        }
        if result.failure.is_some() || (run.expect.is_empty() && known.outputs.is_empty()) {
            return;
        }
        let measured = match measured() {
            Ok(measured) => measured,
            Err(error) => {
                result.failure = Some((Outcome::Failed, format!("output: {error}")));
                return;
            }
        };
        if let Some(unmet) = self.first_unmet(plan, state, step, &run.expect, &measured) {
            result.failure = Some((Outcome::Failed, format!("expectation: {unmet}")));
            return;
        }
        self.declare_outputs(plan, state, step, &measured, result);
    }

    /// Judges the answer to a step's request, or that a message was told. `shortfall` says why the answer is no success by itself.
    pub fn conclude_errand(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        shortfall: Option<String>,
        mut measured: Measured,
        result: &mut AttemptResult,
    ) {
        let (expect, expect_success): (&[String], bool) = match &plan.steps[step].action {
            Action::Http(http) => (&http.expect, http.expect_success),
            _ => (&[], true),
        };
        if result.failure.is_none() {
            let unmet = shortfall
                .filter(|_| expect_success)
                .or_else(|| self.first_unmet(plan, state, step, expect, &measured));
            result.failure = unmet.map(|unmet| (Outcome::Failed, format!("expectation: {unmet}")));
        }
        if result.failure.is_none() {
            self.declare_outputs(plan, state, step, &measured, result);
        }
        // The body is in the log, and so is what is made of it.
        measured.values.retain(|name, _| name != "body" && name != "json");
        measured.stdout = None;
        result.values = recordable(&measured);
    }

    /// Adds the step's declared `outputs` to a result.
    pub fn declare_outputs(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        measured: &Measured,
        result: &mut AttemptResult,
    ) {
        match self.step_outputs(plan, state, step, measured, &result.outputs) {
            Ok(declared) => {
                if let Some(twice) = declared.keys().find(|name| result.outputs.contains_key(*name)) {
                    let why = format!("output: `{twice}` stands in RUNBOOK_OUTPUT and in `outputs:`");
                    result.failure = Some((Outcome::Failed, why));
                }
                result.outputs.extend(declared);
            }
            Err(error) => result.failure = Some((Outcome::Failed, format!("output: {error}"))),
        }
    }
}

/// The reason of a check that failed: why its last sample did.
#[must_use]
pub fn reason_of_check(why: &str) -> String {
    match why.strip_prefix("timed out ") {
        Some(rest) => format!("timeout {rest}"),
        None => format!("expectation: {why}"),
    }
}

/// Measured values as they are recorded: those that are too large are left out.
#[must_use]
pub fn recordable(measured: &Measured) -> IndexMap<String, Value> {
    let mut values: IndexMap<String, Value> = measured.values.clone();
    for (name, text) in [("stdout", &measured.stdout), ("stderr", &measured.stderr)] {
        if let Some(text) = text {
            values
                .entry(name.to_owned())
                .or_insert_with(|| Value::String(text.trim_end_matches('\n').to_owned()));
        }
    }
    values.retain(|_, value| value_size(value) <= VALUE_BYTES_MAX);
    values
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(_) | Value::Object(_) => value.to_string().len(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
