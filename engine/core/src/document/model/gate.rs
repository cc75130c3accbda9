//! Steps that wait for people (language.md §6).

use std::num::NonZeroU32;

use schemars::json_schema;
use serde::{Deserialize, Serialize};

use super::param::ParamSpec;
use super::policy::Escalate;
use crate::document::decode::{Decode, Decoder, inline_schema};
use crate::document::node::{Node, Value};
use crate::document::record::{record, words};
use crate::document::text::{Expression, Map, Named, Text};
use crate::duration::Duration;

record! {
    /// What every gate takes.
    pub struct Gate: "a gate" {
        /// What is asked, templated; the step's title unless set.
        optional prompt: Text,
        /// What the person should see before answering, templated.
        optional details: Text,
        /// Who may answer: names, or `group:NAME` of `project.yaml`; anyone unless set.
        optional from: Vec<Text>,
        /// What is filled in with the answer: later `steps.<id>.fields.x`.
        default fields: Named<ParamSpec> = Named::default(),
        /// How long the gate stays open.
        optional expires: Duration,
        /// What happens when it expires. Nothing ever approves itself.
        default on_expiry: OnExpiry = OnExpiry::Reject,
        /// Who is told while it stays open: a policy of `project.yaml`, or a list of `{after, notify}`.
        optional escalate: Escalate,
        /// `typed`: at a terminal a random word is typed in place of the answer.
        optional confirm: Confirm,
    }
}

words! {
    /// What the end of a gate's time means.
    pub enum OnExpiry: "`reject` or `fail`" {
        /// As if a person had said no.
        Reject = "reject",
        /// The step fails.
        Fail = "fail",
    }
}

words! {
    /// How an answer at a terminal is made deliberate.
    pub enum Confirm: "`typed`" {
        /// A random word is typed.
        Typed = "typed",
    }
}

record! {
    /// A decision by people.
    pub struct Approve: "an approval", short prompt {
        /// What every gate takes.
        flatten gate: Gate,
        /// How many distinct people must approve; a reject by any one ends it.
        default quorum: NonZeroU32 = NonZeroU32::MIN,
        /// Whether whoever started the run may count; true where `quorum` is 1, else false, unless set.
        optional self_counts as "self": bool,
        /// Whether only SSH-signed or authenticated answers count.
        default signed: bool = false,
    }
}

impl Approve {
    /// Whether the starter's own answer counts, default applied.
    #[must_use]
    pub fn starter_counts(&self) -> bool {
        self.self_counts.unwrap_or(self.quorum == NonZeroU32::MIN)
    }
}

words! {
    /// Whether the end of manual work needs a note, link or file.
    pub enum Evidence: "`none`, `optional` or `required`" {
        /// Not asked for.
        None = "none",
        /// Asked for.
        Optional = "optional",
        /// Without it the work is not done.
        Required = "required",
    }
}

record! {
    /// Work done by a person. A text alone is its prompt.
    pub struct Manual: "manual work", short prompt {
        /// What every gate takes.
        flatten gate: Gate,
        /// Items that are ticked one by one, templated.
        default checklist: Vec<Text> = Vec::new(),
        /// Whether a note, a link or a file is asked for.
        default evidence: Evidence = Evidence::None,
    }
}

record! {
    /// A person picks one of several options.
    pub struct Choose: "a choice" {
        /// What every gate takes.
        flatten gate: Gate,
        /// The options: a map of name to explanation, a list, or an expression that gives a list.
        required options: Options,
    }
}

record! {
    /// A yes/no question before a step. A text alone is its prompt.
    pub struct Ask: "a question", short prompt, verify asks_something {
        /// What every gate takes.
        flatten gate: Gate,
    }
}

fn asks_something(ask: &Ask, node: &Node, decoder: &mut Decoder) {
    if ask.gate.prompt.is_none() {
        decoder.error("missing-key", node.span, "a question needs the key `prompt`");
    }
}

/// The options of a choice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Options {
    /// Names with their explanations, templated.
    Named(Map<Text>),
    /// Names alone.
    List(Vec<Text>),
    /// An expression that gives a list.
    Expression(Expression),
}

impl Decode for Options {
    fn decode(node: &Node, decoder: &mut Decoder) -> Option<Self> {
        let options = match &node.value {
            Value::Mapping(_) => Self::Named(Map::decode(node, decoder)?),
            Value::Sequence(_) => Self::List(Vec::decode(node, decoder)?),
            Value::Scalar(_) if !node.is_null() => {
                return Expression::decode(node, decoder).map(Self::Expression);
            }
            Value::Scalar(_) => {
                decoder.wrong_type(node, "a map, a list or an expression");
                return None;
            }
        };
        if let Self::List(list) = &options {
            report_duplicates(list, decoder);
        }
        if matches!(&options, Self::Named(map) if map.is_empty())
            || matches!(&options, Self::List(list) if list.is_empty())
        {
            decoder.error("invalid-value", node.span, "a choice needs at least one option");
        }
        Some(options)
    }
}

/// Reports values that stand twice in a list of choices.
pub(crate) fn report_duplicates(list: &[Text], decoder: &mut Decoder) {
    let mut seen = std::collections::HashMap::new();
    for text in list {
        if let Some(first) = seen.insert(text.as_str(), text.span()) {
            decoder.duplicate(
                "invalid-value",
                text.span(),
                &format!("`{}` stands twice", crate::document::node::crop(text)),
                first,
            );
        }
    }
}

inline_schema!(Options, |generator| {
    let (named, text) = (generator.subschema_for::<Map<Text>>(), generator.subschema_for::<Text>());
    json_schema!({"anyOf": [named, {"type": "array", "items": text, "minItems": 1}, {"type": "string"}]})
});
