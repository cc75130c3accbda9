//! What a step does: exactly one of these (language.md §4).

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::check::Check;
use super::gate::{Approve, Choose, Manual};
use super::step::{Step, report_duplicate_ids};
use crate::document::decode::{Decode, Decoder, Fields, Properties, Record, inline_schema};
use crate::document::node::{Node, Value};
use crate::document::record::record;
use crate::document::text::{Data, Expression, Map, OneOrMany, Text};
use crate::duration::Duration;

/// The action of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// A command.
    Run(Box<Run>),
    /// An assertion about the world.
    Check(Box<Check>),
    /// A decision by people.
    Approve(Box<Approve>),
    /// Work done by a person.
    Manual(Box<Manual>),
    /// A person picks one of several options.
    Choose(Box<Choose>),
    /// Time that passes.
    Wait(Box<Wait>),
    /// An HTTP request.
    Http(Box<Http>),
    /// A message to a channel.
    Notify(Box<Notify>),
    /// Another runbook, inlined.
    Call(Box<Call>),
    /// A group of steps.
    Steps(Box<Group>),
    /// The action has mistakes, which are reported; never in a document without errors. It keeps the step's id known.
    Invalid,
}

/// The keys that say what a step does, in the order of the language page.
pub(crate) const ACTIONS: [&str; 10] =
    ["run", "check", "approve", "manual", "choose", "wait", "http", "notify", "call", "steps"];

/// Keys that stand beside one action, and that action.
pub(crate) const COMPANIONS: [(&str, &str); 6] = [
    ("expect", "run"),
    ("stdin", "run"),
    ("background", "run"),
    ("interactive", "run"),
    ("with", "call"),
    ("repeat", "steps"),
];

impl Action {
    /// The key that says it; empty for [`Action::Invalid`].
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Run(_) => "run",
            Self::Check(_) => "check",
            Self::Approve(_) => "approve",
            Self::Manual(_) => "manual",
            Self::Choose(_) => "choose",
            Self::Wait(_) => "wait",
            Self::Http(_) => "http",
            Self::Notify(_) => "notify",
            Self::Call(_) => "call",
            Self::Steps(_) => "steps",
            Self::Invalid => "",
        }
    }

    /// Takes the action out of a map that must have exactly one of `allowed`, with the keys that belong to it.
    pub(crate) fn take_one(
        fields: &mut Fields<'_>,
        allowed: &[&'static str],
        what: &str,
        decoder: &mut Decoder,
    ) -> Self {
        let present: Vec<&'static str> =
            allowed.iter().copied().filter(|key| fields.peek(key).is_some()).collect();
        let action = match present.as_slice() {
            [key] => Self::take_named(fields, key, decoder),
            [] => {
                let help = format!("write one of: {}", allowed.join(", "));
                fields.missing("no-action", allowed, format!("{what} needs an action"), Some(help));
                None
            }
            [_, second, ..] => {
                let span = fields.peek(second).map_or(fields.span, |(key, _)| key.span);
                let message = format!("{what} has exactly one action, this has {}", present.join(" and "));
                decoder.error("several-actions", span, message);
                None
            }
        };
        // All keys of actions are known here, so that none is reported a second time as unknown.
        for key in allowed
            .iter()
            .copied()
            .chain(COMPANIONS.iter().filter(|(_, of)| allowed.contains(of)).map(|(key, _)| *key))
        {
            fields.take(key);
        }
        action.unwrap_or(Self::Invalid)
    }

    fn take_named(fields: &mut Fields<'_>, key: &'static str, decoder: &mut Decoder) -> Option<Self> {
        Some(match key {
            "run" => Self::Run(Box::new(Run::take(fields, decoder)?)),
            "check" => Self::Check(fields.optional(key, decoder)?),
            "approve" => Self::Approve(fields.optional(key, decoder)?),
            "manual" => Self::Manual(fields.optional(key, decoder)?),
            "choose" => Self::Choose(fields.optional(key, decoder)?),
            "wait" => Self::Wait(fields.optional(key, decoder)?),
            "http" => Self::Http(fields.optional(key, decoder)?),
            "notify" => Self::Notify(fields.optional(key, decoder)?),
            "call" => Self::Call(Box::new(Call::take(fields, decoder)?)),
            _ => {
                let group = Group::take(fields, decoder)?;
                report_duplicate_ids(group.steps.iter(), decoder);
                Self::Steps(Box::new(group))
            }
        })
    }

    /// Adds the keys of the allowed actions to a schema.
    pub(crate) fn describe_all(
        allowed: &[&'static str],
        properties: &mut Properties,
        generator: &mut SchemaGenerator,
    ) {
        for key in allowed {
            match *key {
                "run" => Run::describe(properties, generator),
                "check" => properties.add::<Check>(key, "An assertion about the world: a command as text, or one probe with what is expected of it. It must not change anything.", false, generator),
                "approve" => properties.add::<Approve>(key, "A decision by people. It passes only by its own answers.", false, generator),
                "manual" => properties.add::<Manual>(key, "Work done by a person, with a checklist.", false, generator),
                "choose" => properties.add::<Choose>(key, "A person picks one of several options; later steps branch on `steps.<id>.choice`.", false, generator),
                "wait" => properties.add::<Wait>(key, "Time that passes: a duration, or `{until, tz}`. Survives a restart.", false, generator),
                "http" => properties.add::<Http>(key, "An HTTP request; the answer is the step's result.", false, generator),
                "notify" => properties.add::<Notify>(key, "A message to a channel of `project.yaml`.", false, generator),
                "call" => Call::describe(properties, generator),
                _ => Group::describe(properties, generator),
            }
        }
    }
}

impl Record for Action {
    const WHAT: &'static str = "a step";

    fn take(fields: &mut Fields<'_>, decoder: &mut Decoder) -> Option<Self> {
        Some(Self::take_one(fields, &ACTIONS, Self::WHAT, decoder))
    }

    fn describe(properties: &mut Properties, generator: &mut SchemaGenerator) {
        Self::describe_all(&ACTIONS, properties, generator);
        properties.exactly_one(&ACTIONS);
    }
}

/// A command: a script for the shell, or an argv.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// A script for `shell`.
    Script(Text),
    /// A program with its arguments, without a shell.
    Argv(Vec<Text>),
}

impl Decode for Command {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Sequence(_) => {
                let argv = Vec::<Text>::decode(node, decoder)?;
                if argv.is_empty() {
                    decoder.error("invalid-value", node.span, "a command needs at least a program");
                }
                Some(Self::Argv(argv))
            }
            Value::Scalar(_) if !node.is_null() => {
                let script = Text::decode(node, decoder)?;
                if script.trim().is_empty() {
                    decoder.error("invalid-value", node.span, "the script is empty");
                }
                Some(Self::Script(script))
            }
            _ => {
                decoder.wrong_type(node, "a script (text) or an argv (list)");
                None
            }
        }
    }
}

inline_schema!(Command, |generator| {
    let text = generator.subschema_for::<Text>();
    json_schema!({"anyOf": [text.clone(), {"type": "array", "items": text, "minItems": 1}]})
});

record! {
    /// A command with what belongs to it.
    pub struct Run: "a command" {
        /// A command. A string is a script for `shell`; a list is an argv, with no shell.
        required run as "run": Command,
        /// What must be true of the result, beside exit code 0: an expression or a list of them.
        default expect: OneOrMany<Expression> = OneOrMany::default(),
        /// The text that the command reads on its standard input, templated.
        optional stdin: Text,
        /// The command lives on beside the run; the step passes when `ready` holds.
        optional background: Background,
        /// The command gets a terminal of its own and the operator's keyboard.
        default interactive: bool = false,
    }
}

record! {
    /// When a command in the background counts as started.
    pub struct Background: "`background`" {
        /// The check that must hold for the step to pass; `within` is 30s unless set.
        required ready: Check,
    }
}

/// Time that passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// From the moment the step starts.
    For(Duration),
    /// Until a moment.
    Until(WaitUntil),
}

record! {
    /// Waits until a moment.
    pub struct WaitUntil: "a wait" {
        /// Date and time, as in `2026-12-01T02:00`.
        required until: Text,
        /// The time zone of `until`, as in `Europe/Berlin`.
        optional tz: Text,
    }
}

impl Decode for Wait {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        match &node.value {
            Value::Scalar(_) if !node.is_null() => Duration::decode(node, decoder).map(Self::For),
            Value::Mapping(_) => WaitUntil::decode(node, decoder).map(Self::Until),
            _ => {
                decoder.wrong_type(node, "a duration or `{until, tz}`");
                None
            }
        }
    }
}

inline_schema!(Wait, |generator| {
    let (duration, until) = (generator.subschema_for::<Duration>(), generator.subschema_for::<WaitUntil>());
    json_schema!({"anyOf": [duration, until]})
});

record! {
    /// An HTTP request.
    pub struct Http: "an HTTP request", short url, verify one_body {
        /// The method; GET unless set.
        optional method: Text,
        /// The address, templated.
        required url: Text,
        /// Headers, templated.
        default headers: Map<Text> = Map::default(),
        /// The body as JSON; its texts are templates.
        optional json: Data,
        /// The body as text, templated.
        optional body: Text,
        /// What must be true of the answer (`status headers body json elapsed`); a status of 200–299 unless `status` is mentioned.
        default expect: OneOrMany<Expression> = OneOrMany::default(),
        /// How long one attempt may take.
        optional timeout: Duration,
        /// Whether a certificate that can't be verified is accepted.
        default insecure: bool = false,
        /// Whether redirects are followed.
        default follow: bool = false,
    }
}

fn one_body(http: &Http, node: &Node, decoder: &mut Decoder) {
    if http.json.is_some() && http.body.is_some() {
        decoder.error("meaningless-key", node.span, "`json` and `body` exclude each other");
    }
    if let Some(method) = &http.method {
        verify_method(method, decoder);
    }
}

/// Reports a method that is none.
pub(crate) fn verify_method(method: &Text, decoder: &mut Decoder) {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if !METHODS.contains(&method.as_str()) {
        let message = format!("`{}` is no HTTP method", crate::document::node::crop(method));
        decoder.unknown("invalid-value", method.span(), message, method, &METHODS);
    }
}

record! {
    /// A message to a channel.
    pub struct Notify: "a message" {
        /// The channel of `project.yaml`.
        required channel: Text,
        /// The text, templated.
        required message: Text,
        /// A heading, templated.
        optional title: Text,
        /// How serious it is, as the channel understands it.
        optional severity: Text,
    }
}

record! {
    /// Another runbook, inlined.
    pub struct Call: "a call" {
        /// Another runbook, inlined: its steps get ids `backup.dump`, its `outputs` are the step's.
        required call as "call": Text,
        /// The called runbook's parameters; texts are templates.
        default with: Map<Data> = Map::default(),
    }
}

record! {
    /// A group of steps.
    pub struct Group: "a group" {
        /// A group, a stage of the procedure: its steps get ids `stage.step`; to those outside it is one step.
        required steps as "steps": Vec<Step>,
        /// Runs the group again as a whole until an expression holds.
        optional repeat: Repeat,
    }
}

record! {
    /// How a group is run again.
    pub struct Repeat: "`repeat`" {
        /// The expression that ends it; names the group's own steps as the last round left them.
        required until: Expression,
        /// After so many rounds the group fails.
        default times: std::num::NonZeroU32 = std::num::NonZeroU32::MIN.saturating_add(9),
    }
}

impl JsonSchema for Action {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Action".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut properties = Properties::default();
        Self::describe(&mut properties, generator);
        properties.into_schema("What a step does.")
    }
}
