//! The whole runbook (language.md §1).

use std::num::NonZeroU32;

use schemars::json_schema;
use serde::{Deserialize, Serialize};

use super::param::{self, ParamSpec};
use super::policy::{Lock, OnFailure, OnInterrupt, Retry, Rollback, Schedule, Shell, Window};
use super::step::{Step, report_duplicate_ids};
use crate::document::decode::{Decode, Decoder, Fields, inline_schema};
use crate::document::node::{Node, Value, crop};
use crate::document::record::record;
use crate::document::text::{ByteSize, Data, Expression, Map, Named, OneOrMany, Text};
use crate::duration::Duration;

record! {
    /// A runbook: an operations procedure as steps.
    pub struct Runbook: "a runbook", verify whole_runbook {
        /// The version of the language; 1 is the only one.
        default version: u32 = 1,
        /// The runbook's name; the file's stem unless set.
        optional name: Text,
        /// What it is called for people, templated.
        optional title: Text,
        /// What it is about, in Markdown.
        optional description: Text,
        /// Who looks after it.
        optional owner: Text,
        /// Words to find it by.
        default tags: Vec<Text> = Vec::new(),
        /// Where the procedure is written down.
        default source: OneOrMany<Text> = OneOrMany::default(),
        /// Names and addresses of what belongs to it.
        default links: Map<Text> = Map::default(),
        /// When it was last reviewed and how often it must be; `lint` warns when it is overdue.
        optional review: Review,
        /// What the starter gives: `params.x`. A value alone is the default, from which the type follows.
        default params: Named<ParamSpec> = Named::default(),
        /// Values that are read before anything runs and masked everywhere: `secrets.x`.
        default secrets: Named<Secret> = Named::default(),
        /// Environment variables of every command, templated: `env.X`.
        default env: Named<Text> = Named::default(),
        /// Names (`AWS_*` is allowed) that commands inherit from the environment of `runbook`.
        default pass_env: Vec<Text> = Vec::new(),
        /// What applies where a step says nothing.
        default defaults: Defaults = Defaults::default(),
        /// One live run at a time under a name.
        optional lock: Lock,
        /// When a run may start.
        optional window: Window,
        /// Whether what was done is undone after a failure: `auto`, `ask` or `manual`.
        default rollback: Rollback = Rollback::Ask,
        /// How many steps run at a time; 16 unless set.
        optional max_parallel: NonZeroU32,
        /// The steps, from top to bottom.
        required steps: Vec<Step>,
        /// Steps that run last, whatever happened.
        default finally: Vec<Step> = Vec::new(),
        /// What a caller sees: name to expression.
        default outputs: Named<Expression> = Named::default(),
        /// When `runbook serve` starts it.
        default schedule: OneOrMany<Schedule> = OneOrMany::default(),
        /// What makes `runbook serve` start it.
        optional triggers: Data,
    }
}

impl Runbook {
    /// All steps of the top level: `steps`, then `finally`.
    pub fn top_steps(&self) -> impl Iterator<Item = &Step> {
        self.steps.iter().chain(&self.finally)
    }
}

fn whole_runbook(runbook: &Runbook, node: &Node, decoder: &mut Decoder) {
    if runbook.version != 1 {
        let span = value_span(node, "version");
        decoder.error(
            "invalid-value",
            span,
            format!("version {} of the language is not known; 1 is the only one", runbook.version),
        );
    }
    if has_empty_list(node, "steps") {
        refuse_no_steps(node, "a runbook", "write one, as in `- {id: hello, run: echo hello}`", decoder);
    }
    if let Some(name) = runbook.name.as_ref().filter(|name| !crate::id::is_step_name(name)) {
        let help = "a runbook's name follows the rule of ids: a-z, 0-9, `_` and `-`, beginning with a letter, at most 64";
        decoder.error_with_help(
            "invalid-name",
            name.span(),
            format!("`{}` is no name for a runbook", crop(name)),
            help,
        );
    }
    for (_, spec) in runbook.params.iter() {
        param::refuse_expression_choices(spec, decoder);
    }
    report_duplicate_ids(runbook.top_steps(), decoder);
}

/// Reports an empty list of steps: nothing would be done, and that would count as done.
pub(super) fn refuse_no_steps(node: &Node, what: &str, help: &str, decoder: &mut Decoder) {
    let message = format!("{what} needs at least one step");
    decoder.error_with_help("invalid-value", value_span(node, "steps"), message, help);
}

pub(super) fn has_empty_list(node: &Node, name: &str) -> bool {
    node.get(name).is_some_and(|value| matches!(&value.value, Value::Sequence(items) if items.is_empty()))
}

/// The place of the value under a key, else of the whole.
fn value_span(node: &Node, name: &str) -> crate::source::Span {
    node.get(name).map_or(node.span, |value| value.span)
}

record! {
    /// What applies where a step says nothing.
    #[derive(Default)]
    pub struct Defaults: "`defaults`" {
        /// How long one attempt may take.
        optional timeout: Duration,
        /// Time between SIGTERM and SIGKILL.
        optional grace: Duration,
        /// How failed attempts are repeated.
        optional retry: Retry,
        /// What a failure means for the rest.
        optional on_failure: OnFailure,
        /// What `resume` does when it is not known how a step ended.
        optional on_interrupt: OnInterrupt,
        /// Environment variables, templated.
        default env: Named<Text> = Named::default(),
        /// The working directory, templated.
        optional cwd: Text,
        /// What runs a script.
        optional shell: Shell,
        /// Where steps run.
        optional on: Text,
        /// How much of an attempt's output is kept.
        optional log_limit: ByteSize,
    }
}

record! {
    /// When a runbook was last reviewed.
    pub struct Review: "`review`" {
        /// The day, as in `2026-11-01`.
        required last: Date,
        /// How often it must be.
        required every: Duration,
    }
}

/// A day, written `2026-11-01`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub jiff::civil::Date);

impl Serialize for Date {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Date {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

impl Decode for Date {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let text = Text::decode(node, decoder)?;
        let date = if text.len() == 10 { text.parse().ok() } else { None };
        if date.is_none() {
            decoder.error(
                "invalid-value",
                node.span,
                format!("`{}` is no date; write it like `2026-11-01`", crop(&text)),
            );
        }
        date.map(Self)
    }
}

inline_schema!(
    Date,
    |_generator| json_schema!({"type": "string", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}$"})
);

/// Where a secret comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Secret {
    /// An environment variable.
    Env(Text),
    /// A file; one trailing newline is dropped.
    File(Text),
    /// What a command prints; one trailing newline is dropped.
    Command(Vec<Text>),
}

impl Decode for Secret {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        const WHAT: &str = "a secret";
        let mut fields = Fields::open(node, WHAT, decoder)?;
        let span = fields.span;
        let sources = [
            fields.optional("env", decoder).map(Self::Env),
            fields.optional("file", decoder).map(Self::File),
            fields.optional("command", decoder).map(Self::Command),
        ];
        let count = ["env", "file", "command"].iter().filter(|key| fields.peek(key).is_some()).count();
        fields.finish(WHAT, decoder);
        if count != 1 {
            decoder.error(
                "invalid-value",
                span,
                format!("a secret has exactly one of `env`, `file` and `command`, this has {count}"),
            );
        }
        let secret = sources.into_iter().flatten().next();
        if matches!(&secret, Some(Self::Command(argv)) if argv.is_empty()) {
            decoder.error("invalid-value", span, "a command needs at least a program");
        }
        secret
    }
}

inline_schema!(Secret, |_generator| {
    json_schema!({
        "type": "object",
        "properties": {
            "env": {"type": "string", "description": "The environment variable that holds the secret when the run begins."},
            "file": {"type": "string", "description": "The file that holds the secret; one newline at its end is dropped."},
            "command": {
                "type": "array",
                "items": {"type": "string"},
                "minItems": 1,
                "description": "The command that prints the secret, as in `[pass, show, zetra/db]`; one newline at its end is dropped.",
            },
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
});

/// A text, or a secret that is read before anything runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextOrSecret {
    /// Written out, templated.
    Text(Text),
    /// From outside.
    Secret(Secret),
}

impl Decode for TextOrSecret {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Mapping(_) => Secret::decode(node, decoder).map(Self::Secret),
            _ => Text::decode(node, decoder).map(Self::Text),
        }
    }
}

inline_schema!(TextOrSecret, |generator| {
    let (text, secret) = (generator.subschema_for::<Text>(), generator.subschema_for::<Secret>());
    json_schema!({"anyOf": [text, secret]})
});
