//! The values that a text can see at one point of a run.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use indexmap::IndexMap;
use serde_json::Value as Json;

use crate::event::{Outcome, RunOutcome};
use crate::id::{RunId, StepId};
use crate::moment::Moment;
use crate::plan::{Plan, project_value};
use crate::state::{RunState, Status};
use crate::template::{
    Context, Reference, Scope, StepValue, StepValues, Template, Value, canonical_name, parse_number,
    value_from_json,
};

/// One of the two outputs of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

/// What earlier steps printed, as it was recorded (masked).
pub trait Recorded: Send + Sync {
    /// The text of an attempt's output; empty where it printed nothing.
    ///
    /// # Errors
    /// Where it can't be read or is too long to be used: one line that says so.
    fn output(&self, step: &StepId, attempt: u32, stream: Stream) -> Result<Arc<str>, String>;
}

/// A record in which no step has printed anything: for plans and simulations.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoOutput;

impl Recorded for NoOutput {
    fn output(&self, _: &StepId, _: u32, _: Stream) -> Result<Arc<str>, String> {
        Ok("".into())
    }
}

/// What is true of a run for its whole life: `run.*` in expressions.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// `run.id`.
    pub id: RunId,
    /// `run.user`: who started it.
    pub user: String,
    /// `run.host`: where it was started.
    pub host: String,
    /// `run.started_at`.
    pub started_at: Moment,
    /// `run.dir`: a folder of the run for its own files.
    pub dir: String,
    /// `run.interactive`: whether somebody could be asked when it started.
    pub interactive: bool,
}

/// Who looks: a person or the record (names only), or the process that needs the values.
pub enum SecretView<'a> {
    /// Each secret is shown by its mask.
    Masked,
    /// Each secret has its value.
    Real(&'a dyn Fn(&str) -> Option<String>),
}

/// What stands for a secret wherever it could be seen.
#[must_use]
pub fn secret_mask(name: &str) -> String {
    format!("‹secrets.{name}›")
}

/// A value that was masked can't be used as if it were the secret.
pub(super) fn refuse_mask(value: &str) -> Result<(), String> {
    let Some(start) = value.find("‹secrets.") else { return Ok(()) };
    let name: String = value[start + "‹secrets.".len()..].chars().take_while(|c| *c != '›').collect();
    Err(format!(
        "the value holds the secret `{name}` in its masked form; pass the secret itself by `env: {{{}: \"{{{{ secrets.{name} }}}}\"}}`",
        name.to_uppercase()
    ))
}

/// How a value that a step doesn't have is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// It is an error that names the step.
    Fails,
    /// It is shown as `‹steps.x.stdout: skipped›`: in the texts of gates and in `finally`.
    Shown,
}

/// Everything that a context is made of.
pub(super) struct Sight<'a> {
    pub(super) plan: &'a Plan,
    pub(super) state: &'a RunState,
    pub(super) facts: &'a RunFacts,
    pub(super) recorded: &'a dyn Recorded,
    pub(super) secrets: &'a SecretView<'a>,
    pub(super) missing: Missing,
    /// Whether marks stand for what is of the run, as in the digest of what is approved.
    pub(super) marks_run: bool,
    /// The step whose text it is: its `env` is in sight.
    pub(super) step: Option<usize>,
    /// The group, call or step with items whose names are in sight before those around it.
    pub(super) scope: Option<usize>,
    /// What the step itself came to, where its `outputs` are made of it: its record doesn't hold that yet.
    pub(super) own: Option<OwnResult<'a>>,
}

/// What a command, request or probe came to: the bare names of `expect`, `warn`
/// and `outputs`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Measured {
    /// Names to values, as in `status` or `elapsed`.
    pub values: IndexMap<String, Json>,
    /// What was printed, where something was run: gives `stdout`, `lines`,
    /// `json` and `number`.
    pub stdout: Option<String>,
    /// The same of standard error.
    pub stderr: Option<String>,
}

/// What a step came to, before it is recorded.
#[derive(Clone, Copy)]
pub(super) struct OwnResult<'a> {
    pub(super) measured: &'a Measured,
    /// What it wrote to `RUNBOOK_OUTPUT`.
    pub(super) written: &'a IndexMap<String, Json>,
}

impl OwnResult<'_> {
    /// `steps.<id>.<field>` of the step itself; none where its record says it.
    fn value(self, field: &str) -> Option<StepValue> {
        if let Some(value) = self.measured.values.get(field) {
            return Some(StepValue::Value(value_from_json(value)));
        }
        match field {
            "outputs" => Some(StepValue::Value(map_value(self.written))),
            "stderr" => Some(printed_value(self.measured.stderr.as_deref()?, field)),
            "stdout" | "json" | "lines" | "number" => {
                Some(printed_value(self.measured.stdout.as_deref()?, field))
            }
            _ => None,
        }
    }
}

impl Sight<'_> {
    /// The context for texts that use these names, and no more than that is loaded.
    pub(super) fn context(&self, references: &[&Reference]) -> Result<Context, String> {
        let mut context = self.base()?;
        let uses =
            |name: &str| references.iter().any(|reference| reference.path.first().is_some_and(|p| p == name));
        if uses("env") {
            context.set_names(
                "env",
                self.environment()?.into_iter().map(|(name, value)| (name, Value::from(value))),
            );
        }
        let mut wanted = BTreeSet::new();
        for reference in references {
            if let [first, id, field, ..] = reference.path.as_slice()
                && first == "steps"
            {
                wanted.insert((canonical_name(id), field.clone()));
            }
        }
        context.set_steps(Arc::new(self.steps(&wanted)));
        Ok(context)
    }

    fn base(&self) -> Result<Context, String> {
        let mut context = Context::new();
        context.set_names(
            "params",
            self.params()?.into_iter().map(|(name, value)| (name, value_from_json(&value))),
        );
        if let Some(item) = self.step.or(self.scope).and_then(|step| self.plan.item_of(step)) {
            context.set("item", value_from_json(&item.value));
            context.set("index", Value::from(item.index));
        }
        context.set("project", project_value(&self.plan.project_vars));
        context.set_names(
            "secrets",
            self.secret_names().into_iter().map(|(name, of_plan)| {
                let value = match self.secrets {
                    SecretView::Masked => secret_mask(of_plan),
                    SecretView::Real(value_of) => value_of(of_plan).unwrap_or_else(|| secret_mask(of_plan)),
                };
                (name, Value::from(value))
            }),
        );
        let outcome = self.state.outcome.unwrap_or_else(|| self.state.verdict(self.plan));
        if self.marks_run {
            // The name is the runbook's, and so part of what is approved.
            let marks = Scope::RUN_NAMES.iter().map(|name| {
                let value = match *name {
                    "name" => Value::from(self.plan.runbook.as_str()),
                    // What filters and conditions can go on with.
                    "started_at" => Value::from(Moment::default().to_string()),
                    "interactive" | "succeeded" | "failed" => Value::from(false),
                    _ => Value::from(format!("‹run.{name}›")),
                };
                (*name, value)
            });
            context.set_names("run", marks);
            return Ok(context);
        }
        context.set_names(
            "run",
            [
                ("id", Value::from(self.facts.id.as_str())),
                ("name", Value::from(self.plan.runbook.as_str())),
                ("started_at", Value::from(self.facts.started_at.to_string())),
                ("user", Value::from(self.facts.user.as_str())),
                ("host", Value::from(self.facts.host.as_str())),
                ("interactive", Value::from(self.facts.interactive)),
                ("dir", Value::from(self.facts.dir.as_str())),
                ("outcome", Value::from(outcome.as_str())),
                ("succeeded", Value::from(outcome == RunOutcome::Succeeded)),
                ("failed", Value::from(outcome != RunOutcome::Succeeded)),
            ],
        );
        Ok(context)
    }

    /// The declared environment, rendered: the plan's, then the step's; each
    /// sees those before it.
    pub(super) fn environment(&self) -> Result<IndexMap<String, String>, String> {
        let mut rendered = self.environment_around()?;
        if let Some(step) = self.step {
            self.render_environment(&self.plan.steps[step].env, &mut rendered)?;
            // Of a step inside a call also those that were declared around it.
            for (name, value) in self.given().into_iter().flatten() {
                if matches!(self.secrets, SecretView::Real(_)) {
                    refuse_mask(value).map_err(|error| format!("env {name}: {error}"))?;
                }
                rendered.insert(name.clone(), value.clone());
            }
        }
        Ok(rendered)
    }

    /// The values that a person gave when the step was tried again: data, no templates.
    fn given(&self) -> Option<&IndexMap<String, String>> {
        let step = self.step?;
        let undoes = |index: usize| self.plan.steps[index].undoes();
        let called = || self.plan.steps[step].group.and_then(undoes);
        Some(&self.state.steps[undoes(step).or_else(called).unwrap_or(step)].env)
    }

    /// Adds variables, each of which sees those before it. One that a person changed is seen as changed.
    pub(super) fn render_environment(
        &self,
        entries: &IndexMap<String, String>,
        rendered: &mut IndexMap<String, String>,
    ) -> Result<(), String> {
        let given = self.given();
        for (name, text) in entries {
            let value = if let Some(given) = given.and_then(|given| given.get(name)) {
                given.clone()
            } else if text.contains("{{") {
                let template = parse_template(text)?;
                let mut context = self.base()?;
                context.set_names("env", rendered.iter().map(|(n, v)| (n.clone(), Value::from(v.as_str()))));
                let wanted = template
                    .references()
                    .iter()
                    .filter(|reference| reference.path.len() > 2 && reference.path[0] == "steps")
                    .map(|reference| (canonical_name(&reference.path[1]), reference.path[2].clone()))
                    .collect();
                context.set_steps(Arc::new(self.steps(&wanted)));
                let value = template
                    .render(&context)
                    .map_err(|error| format!("env {name}: {}", error.in_one_line()))?;
                // People see a secret as its mask; a command that got the mask would take it for the secret.
                if matches!(self.secrets, SecretView::Real(_)) {
                    refuse_mask(&value).map_err(|why| format!("env {name}: {why}"))?;
                }
                value
            } else {
                text.clone()
            };
            rendered.insert(name.clone(), value);
        }
        Ok(())
    }

    fn steps(&self, wanted: &BTreeSet<(String, String)>) -> StepTable {
        let mut values = HashMap::new();
        if wanted.is_empty() {
            return StepTable(values);
        }
        for (id, field) in wanted {
            let value = self.step_named(id).map_or(StepValue::Missing, |index| self.step_value(index, field));
            values.insert((id.clone(), field.clone()), value);
        }
        StepTable(values)
    }

    pub(super) fn step_value(&self, index: usize, field: &str) -> StepValue {
        let step = &self.plan.steps[index];
        let known = &self.state.steps[index];
        let outcome = known.outcome();
        let is = |wanted: Outcome| StepValue::Value(Value::from(outcome == Some(wanted)));
        match field {
            "outcome" => {
                let word = match (&known.status, outcome) {
                    (_, Some(outcome)) => outcome.as_str(),
                    (Status::Running(_), None) => "running",
                    (Status::Pending | Status::Delayed { .. } | Status::Ended(_), None) => "pending",
                };
                return StepValue::Value(Value::from(word));
            }
            "succeeded" => return is(Outcome::Succeeded),
            "failed" => return is(Outcome::Failed),
            "skipped" => return is(Outcome::Skipped),
            _ => {}
        }
        let own = self.step == Some(index);
        if let Some(value) = self.own.filter(|_| own).and_then(|result| result.value(field)) {
            return value;
        }
        if !own && !matches!(outcome, Some(Outcome::Succeeded | Outcome::Failed)) {
            let how = outcome.map_or_else(|| "not finished".to_owned(), |outcome| outcome.to_string());
            return match self.missing {
                Missing::Fails => StepValue::Undefined { why: format!("the step was {how}") },
                Missing::Shown => StepValue::Placeholder(format!("‹steps.{}.{field}: {how}›", step.id)),
            };
        }
        let result = &known.result;
        let undefined = |why: &str| StepValue::Undefined { why: why.to_owned() };
        // What a probe measured is recorded with the step; what a command printed is in its log.
        if let Some(value) = result.values.get(field) {
            return StepValue::Value(value_from_json(value));
        }
        if let ("json" | "lines" | "number", Some(Json::String(text))) = (field, result.values.get("stdout"))
        {
            return printed_value(text, field);
        }
        match field {
            "exit_code" => match result.exit_code {
                Some(code) => StepValue::Value(Value::from(code)),
                None => undefined("the step has no exit code"),
            },
            "stdout" | "stderr" | "json" | "lines" | "number" | "body" => self.printed(index, field),
            "outputs" => StepValue::Value(map_value(&result.outputs)),
            "fields" => StepValue::Value(map_value(&result.fields)),
            "choice" => match &result.choice {
                Some(choice) => StepValue::Value(Value::from(choice.as_str())),
                None => undefined("nothing was chosen"),
            },
            "by" => StepValue::Value(Value::from(result.by.join(", "))),
            "artifacts" => StepValue::Value(Value::from_iter(
                known.artifacts.keys().map(|path| Value::from(path.as_str())),
            )),
            #[expect(clippy::cast_precision_loss, reason = "milliseconds of a run fit a float exactly")]
            "duration" => StepValue::Value(Value::from(result.duration_ms as f64 / 1000.0)),
            "attempts" => StepValue::Value(Value::from(known.attempts)),
            "items" => StepValue::Value(self.items(index)),
            _ => StepValue::Missing,
        }
    }

    fn printed(&self, index: usize, field: &str) -> StepValue {
        let step = &self.plan.steps[index];
        let stream = if field == "stderr" { Stream::Stderr } else { Stream::Stdout };
        let text = match self.recorded.output(&step.id, self.state.steps[index].result.attempt, stream) {
            Ok(text) => text,
            Err(why) => return StepValue::Undefined { why },
        };
        if step.action.is_interactive() {
            return printed_value(&from_terminal(&text), field);
        }
        printed_value(&text, field)
    }
}

/// What a command printed on a terminal, with the line ends that it wrote: the terminal puts a carriage return before each.
#[must_use]
pub fn from_terminal(text: &str) -> String {
    text.replace("\r\n", "\n")
}

/// What `stdout`, `lines` and the like are of a printed text.
pub(super) fn printed_value(text: &str, field: &str) -> StepValue {
    // As `$( )` does: all trailing newlines go.
    let trimmed = text.trim_end_matches('\n');
    match field {
        "json" => match serde_json::from_str::<Json>(trimmed) {
            Ok(json) => StepValue::Value(value_from_json(&json)),
            Err(error) => StepValue::Undefined { why: format!("its output is no JSON ({error})") },
        },
        "lines" => StepValue::Value(if trimmed.is_empty() {
            Value::from(Vec::<Value>::new())
        } else {
            Value::from_iter(trimmed.split('\n').map(|line| Value::from(line.trim_end_matches('\r'))))
        }),
        "number" => match parse_number(trimmed.trim()) {
            Some(number) => StepValue::Value(number),
            None => StepValue::Undefined { why: "its output is no number".to_owned() },
        },
        "body" => StepValue::Value(Value::from(text)),
        _ => StepValue::Value(Value::from(trimmed)),
    }
}

fn map_value(map: &IndexMap<String, Json>) -> Value {
    value_from_json(&Json::Object(map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()))
}

struct StepTable(HashMap<(String, String), StepValue>);

impl StepValues for StepTable {
    fn get(&self, step: &str, field: &str) -> StepValue {
        self.0.get(&(canonical_name(step), field.to_owned())).cloned().unwrap_or(StepValue::Missing)
    }
}

/// Parses a text of the plan, which validation has seen before.
pub(super) fn parse_template(text: &str) -> Result<Template, String> {
    Template::parse(text).map_err(|errors| first_message(&errors))
}

pub(super) fn first_message(errors: &[crate::template::TemplateError]) -> String {
    errors.first().map_or_else(|| "it can't be read".to_owned(), |error| error.message.clone())
}
