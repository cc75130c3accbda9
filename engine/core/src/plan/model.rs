//! The plan: what a run executes, resolved, ordered and frozen.
//!
//! A plan holds no state, no time, no host and no path outside the project, so
//! that the same runbook with the same parameters has the same digest on every
//! machine. Its JSON text is `plan.json`, and the SHA-256 of that text is the
//! digest that approvals are bound to.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::guards::Guards;
use super::people::{Escalation, People};
use super::question::Question;
use super::structure::{Call, Each, Group, Item};
use crate::duration::Duration;
use crate::event::Gate;
use crate::id::StepId;

use super::leaf::{Channel, DnsQuery, Http, Notify, PostgresQuery, PrometheusQuery, RedisCommand, Wait};

/// The version of the plan's own format.
pub const PLAN_FORMAT: u32 = 1;

/// A runbook with its parameters, validated and in the order of execution.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// [`PLAN_FORMAT`].
    pub format: u32,
    /// The runbook's name.
    pub runbook: String,
    /// Its title; the name where it has none.
    pub title: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Every declared parameter with its value.
    pub params: IndexMap<String, Value>,
    /// Parameters whose values no shell can read as more than text, by type,
    /// `choices` or `pattern`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plain_params: Vec<String>,
    /// Where each secret is read from; never its value.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub secrets: IndexMap<String, SecretSource>,
    /// Environment of every command, templated.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// Names and patterns of variables that are let in from outside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pass_env: Vec<String>,
    /// The project's variables that its texts use: `project.vars.x`.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub project_vars: IndexMap<String, Value>,
    /// The project's channels that its steps use.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub channels: IndexMap<String, Channel>,
    /// Who may be asked, as far as its questions name them.
    #[serde(default, skip_serializing_if = "People::is_empty")]
    pub people: People,
    /// How many steps may run at a time.
    pub max_parallel: u32,
    /// What must hold before the run starts.
    #[serde(default, skip_serializing_if = "Guards::is_empty")]
    pub guards: Guards,
    /// What a caller sees: expressions.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: IndexMap<String, String>,
    /// What happens to what was done when the run did not succeed.
    #[serde(default)]
    pub rollback: Rollback,
    /// In topological order that keeps the author's; steps of `finally` last, and
    /// after them what [`Plan::complete`] adds, which follows from the rest and is
    /// not written down.
    #[serde(with = "super::undo::declared")]
    pub steps: Vec<Step>,
}

/// Where a secret is read from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// An environment variable of the engine.
    Env(String),
    /// A file, relative to the project's root.
    File(String),
    /// What a command prints.
    Command(Vec<String>),
}

/// One step of a plan. Indexes in `needs` point into [`Plan::steps`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its dotted id.
    pub id: StepId,
    /// What people see, templated; absent where it is the id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Markdown, templated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The steps that must have passed, by index, ascending.
    pub needs: Vec<usize>,
    /// Whether it stands under `finally`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub finally: bool,
    /// The group, call or step with items that it belongs to, by index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<usize>,
    /// Whether it stands under the `finally` of the called runbook that it belongs to.
    #[serde(default, skip_serializing_if = "is_false")]
    pub cleanup: bool,
    /// The item that it is for; never in a frozen plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<Item>,
    /// False skips the step: an expression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// What must hold before each attempt.
    #[serde(default, skip_serializing_if = "Guards::is_empty")]
    pub guards: Guards,
    /// A yes/no question that is put before it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<Box<Question>>,
    /// How long it should take from the moment it could start; never enforced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Duration>,
    /// Who is told while it is unfinished, by time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Escalation>,
    /// If it holds before the first attempt, the step is skipped as already done;
    /// after an interruption it says whether the step took effect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_when: Option<Box<Check>>,
    /// What it does.
    pub action: Action,
    /// Bounds one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// Whether a failed attempt is followed by another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// What a failure does to the run.
    pub on_failure: OnFailure,
    /// What `resume` does where it isn't known how the step ended.
    pub on_interrupt: OnInterrupt,
    /// Environment beside the plan's, templated; later entries win.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// Working folder relative to the project's root, templated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// The shell of `run` strings.
    pub shell: Vec<String>,
    /// Values for later steps: expressions over the result.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub outputs: IndexMap<String, String>,
    /// Globs of files that the step reads, and what they were at planning.
    #[serde(default, skip_serializing_if = "Inputs::is_empty")]
    pub inputs: Inputs,
    /// Globs of files to keep, templated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<String>,
    /// How many bytes of an attempt's output are kept.
    pub log_limit: u64,
    /// Where the procedure is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What compensates for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Box<Undo>>,
    /// What it is to the plan: written down by its author, or added by
    /// [`Plan::complete`].
    #[serde(skip)]
    pub role: Role,
}

/// What compensates for a step (`language.md` §8).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// What it does; where it calls a runbook, a group around that call.
    pub action: Action,
    /// The call of a runbook, and the steps of that: `needs` and `group` point into this list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<Step>,
    /// Bounds one attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Environment beside the step's, templated; later entries win.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, String>,
    /// Whether it runs also where the step failed or was interrupted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub always: bool,
}

/// What a step is to its plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Role {
    /// Its author wrote it down.
    #[default]
    Declared,
    /// It is the undo of the step at this index.
    Undoes(usize),
    /// It is the call of a runbook by which a step is undone, or a step of that runbook.
    InUndo,
    /// It is the question whether to undo what was done.
    Rollback,
}

/// What happens to what was done when a run failed, was rejected or cancelled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rollback {
    /// It is undone.
    Auto,
    /// A person decides, where one can be asked.
    #[default]
    Ask,
    /// It stays until somebody says `runbook rollback`.
    Manual,
}

/// Files that a step reads or runs, part of what is approved.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inputs {
    /// As written, relative to the step's `cwd`.
    pub globs: Vec<String>,
    /// Path to SHA-256 (lower-case hex) of each file that matched.
    pub files: IndexMap<String, String>,
}

impl Inputs {
    /// Whether the step names no inputs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// A command.
    Run(Run),
    /// An assertion about the world.
    Check(Check),
    /// A decision by people.
    Approve(Question),
    /// Work done by a person.
    Manual(Question),
    /// A group of steps.
    Steps(Group),
    /// Another runbook, inlined.
    Call(Box<Call>),
    /// A step that runs once per item.
    Each(Box<Each>),
    /// Time that passes.
    Wait(Wait),
    /// An HTTP request.
    Http(Http),
    /// A message to a channel.
    Notify(Notify),
    /// One of several options, picked by a person.
    Choose(Question),
}

/// A command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// What is executed.
    pub command: Command,
    /// Text for its standard input, templated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Expectations over the result, beside exit status 0.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// The command lives on; the step passes when this check holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background: Option<Check>,
    /// It gets a terminal of its own and the operator's keyboard.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interactive: bool,
}

/// What is executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// A script for the step's shell, templated safely.
    Script(String),
    /// Arguments, templated as they are, with no shell.
    Argv(Vec<String>),
}

/// An assertion about the world: one probe, and what is expected of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// How the world is asked.
    pub probe: Probe,
    /// Expressions that must all be true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// Whether the probe's own success is expected beside `expect`.
    pub expect_success: bool,
    /// Expressions that are reported but fail nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warn: Vec<String>,
    /// Keep probing until the first sample that holds, for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Duration>,
    /// Time between probes.
    pub every: Duration,
    /// Once it holds it must go on holding for this long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Duration>,
    /// Failed samples tolerated during `hold`.
    pub max_failures: u32,
}

/// How the world is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Probe {
    /// A command.
    Run(Command),
    /// An HTTP request.
    Http(HttpRequest),
    /// A TCP connection to `host:port`.
    Tcp(String),
    /// A file's facts.
    File(String),
    /// A name's addresses.
    Dns(DnsQuery),
    /// The certificate at `host:port`.
    Tls(String),
    /// How full a file system is.
    Disk(String),
    /// A Prometheus query.
    Prometheus(PrometheusQuery),
    /// A PostgreSQL query, in a read-only transaction.
    Postgres(PostgresQuery),
    /// A Redis command.
    Redis(RedisCommand),
}

/// An HTTP request, templated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HttpRequest {
    /// Where to.
    pub url: String,
    /// As in `GET`.
    pub method: String,
    /// Names to values.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub headers: IndexMap<String, String>,
    /// A body that is sent as JSON; texts in it are templates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// A body that is sent as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Whether a certificate that can't be trusted is taken.
    #[serde(default, skip_serializing_if = "is_false")]
    pub insecure: bool,
    /// Whether redirects are followed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub follow: bool,
}

/// Whether and how a failed attempt is repeated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// Attempts after the first.
    pub times: u32,
    /// Before the second attempt.
    pub delay: Duration,
    /// The delay is multiplied by this from attempt to attempt.
    pub backoff: f64,
    /// The longest delay.
    pub max_delay: Duration,
    /// Whether each delay is shortened by a random part, up to half.
    pub jitter: bool,
    /// Only these exit codes are retried; empty: every failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exit_codes: Vec<i32>,
}

/// What a failure does to the run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// Nothing is said: as `Ask` where somebody sits at the terminal, else as `Stop`.
    #[serde(rename = "default")]
    Unsaid,
    /// Nothing new starts; what runs is let finish.
    Stop,
    /// A person decides.
    Ask,
    /// Dependents go on; the run still fails.
    Continue,
    /// Dependents go on; the run may succeed.
    Warn,
}

/// What `resume` does with an interrupted step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnInterrupt {
    /// A person decides.
    Ask,
    /// It is run again.
    Rerun,
    /// It counts as failed.
    Fail,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Action {
    /// The key of the action in YAML, and `kind` in `plan --format json`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Check(_) => "check",
            Self::Approve(_) => "approve",
            Self::Manual(_) => "manual",
            Self::Steps(_) => "steps",
            Self::Call(_) => "call",
            Self::Each(each) => each.body.first().map_or("steps", |step| step.action.kind()),
            Self::Wait(_) => "wait",
            Self::Http(_) => "http",
            Self::Notify(_) => "notify",
            Self::Choose(_) => "choose",
        }
    }

    /// The question that it puts to people, where it does.
    #[must_use]
    pub fn question(&self) -> Option<(Gate, &Question)> {
        match self {
            Self::Approve(question) => Some((Gate::Approve, question)),
            Self::Manual(question) => Some((Gate::Manual, question)),
            Self::Choose(question) => Some((Gate::Choose, question)),
            Self::Run(_)
            | Self::Check(_)
            | Self::Steps(_)
            | Self::Call(_)
            | Self::Each(_)
            | Self::Wait(_)
            | Self::Http(_)
            | Self::Notify(_) => None,
        }
    }

    /// Whether an attempt that a crash cut off may be done again without asking:
    /// it changes nothing, or telling twice does no harm (`language.md` §5).
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        match self {
            Self::Check(_) | Self::Wait(_) | Self::Notify(_) => true,
            Self::Http(http) => matches!(http.request.method.as_str(), "GET" | "HEAD"),
            _ => false,
        }
    }

    /// Whether its command lives on after the step has passed.
    #[must_use]
    pub fn is_background(&self) -> bool {
        matches!(self, Self::Run(Run { background: Some(_), .. }))
    }

    /// Whether its command gets a terminal of its own and the operator's keyboard.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        matches!(self, Self::Run(Run { interactive: true, .. }))
    }

    /// Whether it takes one of the places that `max_parallel` gives.
    #[must_use]
    pub fn takes_slot(&self) -> bool {
        self.question().is_none() && !self.is_container() && !matches!(self, Self::Wait(_))
    }
}

impl Step {
    /// Whether it begins while all places are taken: what it begins with is a question, a clock or steps of its own.
    #[must_use]
    pub fn begins_without_slot(&self) -> bool {
        !self.action.takes_slot() || self.ask.is_some()
    }

    /// The question that is put to people as this gate, as the runbook has it; those in the engine's own words have none.
    #[must_use]
    pub fn question(&self, gate: Gate) -> Option<&Question> {
        match gate {
            Gate::Ask => self.ask.as_deref(),
            _ => self.action.question().filter(|(own, _)| *own == gate).map(|(_, question)| question),
        }
    }
}

impl OnFailure {
    /// Whether a failure that nobody decides about keeps dependents from going on.
    #[must_use]
    pub fn stops(self) -> bool {
        match self {
            Self::Unsaid | Self::Stop | Self::Ask => true,
            Self::Continue | Self::Warn => false,
        }
    }
}

impl Plan {
    /// The index of the step with this id.
    #[must_use]
    pub fn index_of(&self, id: &StepId) -> Option<usize> {
        self.steps.iter().position(|step| step.id == *id && !step.waits_for_unwinding())
    }
}
