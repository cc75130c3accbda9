//! A step and its undo (language.md §3 and §8).

use std::num::NonZeroU32;
use std::ops::Deref;

use schemars::{SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::action::{Action, COMPANIONS, Command};
use super::check::{Check, Probe};
use super::gate::Ask;
use super::policy::{Batch, Escalate, ForEach, Lock, OnFailure, OnInterrupt, Retry, Shell, Window};
use super::runbook::{has_empty_list, refuse_no_steps};
use super::waves;
use crate::document::decode::{Decode, Decoder, Fields, Properties, Record, inline_schema, word};
use crate::document::node::{Node, Value, crop};
use crate::document::record::record;
use crate::document::text::{ByteSize, Expression, Named, OneOrMany, Text};
use crate::duration::Duration;
use crate::id::is_step_name;

/// The name of a step in its own list: `[a-z][a-z0-9_-]*`, up to 64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(pub Text);

impl Deref for Id {
    type Target = Text;

    fn deref(&self) -> &Text {
        &self.0
    }
}

impl Id {
    /// The name with `_` for `-`: two steps may not differ in this alone (language.md §7).
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl Decode for Id {
    /// An ill-formed id is reported and kept, so that what refers to it is not reported too.
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let text = Text::of(word(node, "an id", decoder)?, node.span);
        if !is_step_name(&text) {
            let help = "an id has a-z, 0-9, `_` and `-`, begins with a letter and has at most 64 characters";
            decoder.error_with_help("invalid-name", node.span, format!("`{}` is no id", crop(&text)), help);
        }
        Some(Self(text))
    }
}

inline_schema!(Id, |_generator| json_schema!({"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,63}$"}));

record! {
    /// One step of a runbook: an id, exactly one action, and how it is done.
    pub struct Step: "a step", verify meaningful_keys {
        /// The step's name, unique in the runbook: `[a-z][a-z0-9_-]*`, up to 64.
        required id: Id,
        /// What the step is called for people, templated; the id unless set.
        optional title: Text,
        /// What it is about, in Markdown, templated.
        optional description: Text,
        /// The steps that it waits for; every step above unless set. `[]` starts at once.
        optional needs: Vec<Text>,
        /// An expression; false skips the step.
        optional when: Expression,
        /// A check: if it holds before the first attempt, the step is skipped as already done.
        optional done_when: Box<Check>,
        /// A yes/no question put to a person before the step.
        optional ask: Box<Ask>,
        /// How long the step should take: an overrun is shown, recorded and escalated, never killed.
        optional deadline: Duration,
        /// How long one attempt may take.
        optional timeout: Duration,
        /// Time between SIGTERM and SIGKILL; 10s unless set.
        optional grace: Duration,
        /// Up to so many more attempts, or `{times, delay, backoff, max_delay, jitter, exit_codes}`.
        optional retry: Box<Retry>,
        /// What a failure means for the rest: `stop`, `continue`, `warn` or `ask`.
        optional on_failure: OnFailure,
        /// What `resume` does when it is not known how the step ended: `ask`, `rerun` or `fail`.
        optional on_interrupt: OnInterrupt,
        /// The action that compensates for this step.
        optional undo: Box<Undo>,
        /// Environment variables, templated.
        default env: Named<Text> = Named::default(),
        /// The working directory, relative to the project's root, templated.
        optional cwd: Text,
        /// What runs a script: a name, a path or an argv.
        optional shell: Shell,
        /// A target or group of `project.yaml` on whose hosts the step runs.
        optional on: Text,
        /// The step runs once per item of a list, or of an expression that gives one.
        optional for_each: ForEach,
        /// How many items run at a time; 1 unless set.
        optional max_parallel: NonZeroU32,
        /// Cumulative sizes of the waves in which items start, as in `[1, 10%, 100%]`: each more than the one before, the
        /// last one all. What they leave out of a list that only the run knows starts when they are over.
        optional batches: Vec<Batch>,
        /// So many failed items are tolerated; 0 unless set.
        optional max_failures: u32,
        /// Names for later steps, each an expression over the result.
        default outputs: Named<Expression> = Named::default(),
        /// Globs of files that the step reads or runs; they are part of what is approved.
        default inputs: Vec<Text> = Vec::new(),
        /// Globs, templated, of files that are copied into the run.
        default artifacts: Vec<Text> = Vec::new(),
        /// Who is told while the step is unfinished: a policy, or a list of `{after, notify}`.
        optional escalate: Escalate,
        /// When the step may start.
        optional window: Box<Window>,
        /// One live run at a time under a name.
        optional lock: Lock,
        /// How much of an attempt's output is kept: head and tail. 64MiB unless set.
        optional log_limit: ByteSize,
        /// Words for `--tags` and `--skip-tags`.
        default tags: Vec<Text> = Vec::new(),
        /// Where the step is written down, as in `page.md:120`.
        default source: OneOrMany<Text> = OneOrMany::default(),
        /// What the step does.
        flatten action: Action,
    }
}

record! {
    /// What compensates for a step; inherits its env, cwd, shell and on.
    pub struct Undo: "an undo", verify undo_keys {
        /// One of `run`, `call`, `http`, `manual`.
        flatten action: UndoAction,
        /// How long it may take.
        optional timeout: Duration,
        /// Environment variables, templated.
        default env: Named<Text> = Named::default(),
        /// Whether it also runs where the step failed or was interrupted.
        default always: bool = false,
    }
}

/// The action of an undo: [`Action`], of which only some are allowed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UndoAction(pub Action);

impl Deref for UndoAction {
    type Target = Action;

    fn deref(&self) -> &Action {
        &self.0
    }
}

/// The actions that can undo something.
const UNDO_ACTIONS: [&str; 4] = ["run", "call", "http", "manual"];

impl Record for UndoAction {
    const WHAT: &'static str = "an undo";

    fn take(fields: &mut Fields<'_>, decoder: &mut Decoder) -> Option<Self> {
        Some(Self(Action::take_one(fields, &UNDO_ACTIONS, Self::WHAT, decoder)))
    }

    fn describe(properties: &mut Properties, generator: &mut SchemaGenerator) {
        Action::describe_all(&UNDO_ACTIONS, properties, generator);
        properties.exactly_one(&UNDO_ACTIONS);
    }
}

/// For each key that not every action has a use for: the actions that have, and what to write instead.
const MEANINGS: &[(&str, &[&str], Option<&str>)] = &[
    ("expect", &["run"], Some("write it inside `check:` or `http:`")),
    ("stdin", &["run"], None),
    ("background", &["run"], None),
    ("interactive", &["run"], None),
    ("with", &["call"], None),
    ("repeat", &["steps"], None),
    ("shell", &["run", "check"], None),
    ("grace", &["run", "check"], None),
    ("log_limit", &["run", "check"], None),
    (
        "timeout",
        &["run", "check", "http", "notify"],
        Some("a gate is bounded by `expires`, a group by its steps"),
    ),
    ("retry", &["run", "check", "http", "notify"], None),
    (
        "on_failure",
        &["run", "check", "manual", "choose", "wait", "http", "notify", "call", "steps"],
        Some("an approval passes only by its own answers"),
    ),
    (
        "done_when",
        &["run", "check", "manual", "choose", "wait", "http", "notify", "call", "steps"],
        Some("an approval passes only by its own answers; `when` can leave it out"),
    ),
    ("on_interrupt", &["run", "check", "http", "notify"], None),
    ("undo", &["run", "check", "manual", "http", "notify", "call", "steps"], None),
    ("env", &["run", "check", "http", "notify", "call", "steps"], None),
    ("cwd", &["run", "check", "call", "steps"], None),
    ("on", &["run", "check", "call", "steps"], None),
    ("inputs", &["run", "check", "manual", "http", "notify", "call", "steps"], None),
    ("artifacts", &["run", "check", "manual", "http"], None),
];

fn meaningful_keys(step: &Step, node: &Node, decoder: &mut Decoder) {
    let action = step.action.key();
    if action.is_empty() {
        return;
    }
    for (key, actions, help) in MEANINGS {
        if !actions.contains(&action) {
            meaningless(node, key, &format!("beside `{action}`"), *help, decoder);
        }
    }
    let command = matches!(&step.action, Action::Check(check) if !matches!(check.probe, Probe::Run(_) | Probe::Invalid));
    if command {
        for key in ["shell", "grace", "log_limit"] {
            meaningless(node, key, "beside a probe that is no command", None, decoder);
        }
    }
    if matches!(&step.action, Action::Run(run) if run.background.is_some()) {
        let help = Some("the step passes when `ready` holds: expect it there");
        meaningless(node, "expect", "beside `background`", help, decoder);
    }
    let argv = match &step.action {
        Action::Run(run) => matches!(run.run, Command::Argv(_)),
        Action::Check(check) => matches!(check.probe, Probe::Run(Command::Argv(_))),
        _ => false,
    };
    if argv {
        let help = Some("a list is a program with its arguments, without a shell; a text is a script");
        meaningless(node, "shell", "beside a list", help, decoder);
    }
    if action == "steps" && has_empty_list(node, "steps") {
        refuse_no_steps(node, "a group", "write its steps, or remove the group", decoder);
    }
    if let Some(batches) = &step.batches {
        waves::check(batches, step.for_each.as_ref(), node, decoder);
    }
    if step.for_each.is_none() && step.on.is_none() {
        for key in ["max_parallel", "batches", "max_failures"] {
            meaningless(node, key, "without `for_each` or `on`", None, decoder);
        }
    }
}

/// Reports a key of a map that has no meaning there.
fn meaningless(node: &Node, name: &str, place: &str, help: Option<&str>, decoder: &mut Decoder) {
    let Value::Mapping(entries) = &node.value else { return };
    let Some((key, _)) = entries.iter().find(|(key, _)| key.scalar().is_some_and(|key| &*key.text == name))
    else {
        return;
    };
    let message = format!("`{name}` has no meaning {place}");
    match help {
        Some(help) => decoder.error_with_help("meaningless-key", key.span, message, help),
        None => decoder.error("meaningless-key", key.span, message),
    }
}

fn undo_keys(undo: &Undo, node: &Node, decoder: &mut Decoder) {
    let action = undo.action.key();
    for (key, of) in COMPANIONS {
        if !action.is_empty() && of != action {
            meaningless(node, key, &format!("beside `{action}`"), None, decoder);
        }
    }
    if action == "manual" {
        meaningless(node, "timeout", "beside `manual`", Some("a gate is bounded by `expires`"), decoder);
    }
    if action == "call" {
        let help = "what bounds them stands beside the steps of the called runbook";
        meaningless(node, "timeout", "beside `call`", Some(help), decoder);
    }
}

/// Reports steps of one name in lists that share their names; `-` and `_` are the same (language.md §7).
pub(crate) fn report_duplicate_ids<'s>(steps: impl Iterator<Item = &'s Step>, decoder: &mut Decoder) {
    let mut seen: std::collections::HashMap<String, &Text> = std::collections::HashMap::new();
    for step in steps {
        let Some(first) = seen.insert(step.id.folded(), &step.id) else { continue };
        let message = if *first == *step.id.0 {
            format!("duplicate id `{}`", crop(&step.id))
        } else {
            format!(
                "`{}` and `{}` are the same name: in expressions `-` is written `_`",
                crop(first),
                crop(&step.id)
            )
        };
        decoder.duplicate("duplicate-id", step.id.span(), &message, first.span());
    }
}
