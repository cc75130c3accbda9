//! What is asked of people.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::people::Escalation;
use crate::document::model::ParamSpec;
use crate::duration::Duration;

/// What is asked of people: every kind of gate that stands in a runbook.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// The question, templated.
    pub prompt: String,
    /// What they should see, templated.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The items of a manual step, templated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checklist: Vec<String>,
    /// Whether a note, link or file must come with `done`.
    #[serde(default)]
    pub evidence: EvidenceRule,
    /// Whether a random word must be typed at a terminal.
    #[serde(default, skip_serializing_if = "is_false")]
    pub confirm_typed: bool,
    /// How long it may stay open, from its opening.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Duration>,
    /// What an expiry does.
    #[serde(default)]
    pub on_expiry: OnExpiry,
    /// Who may answer: people and `group:NAME`; empty: anyone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<String>,
    /// How many distinct people must approve; 0 counts as 1.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub quorum: u32,
    /// The approval of whoever started the run does not count.
    #[serde(default, skip_serializing_if = "is_false")]
    pub not_self: bool,
    /// Only signed answers count.
    #[serde(default, skip_serializing_if = "is_false")]
    pub signed: bool,
    /// What is filled in with the answer.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub fields: IndexMap<String, ParamSpec>,
    /// The options of a choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Options>,
    /// Who is told while it is open, by time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub escalate: Vec<Escalation>,
}

/// The options of a choice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Options {
    /// Names with what they mean, both templated; what a name means may be empty.
    Named(IndexMap<String, String>),
    /// An expression that gives the names.
    Expression(String),
}

/// Whether evidence belongs to a manual step's end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceRule {
    /// It is not asked for.
    #[default]
    None,
    /// It is asked for and may stay empty.
    Optional,
    /// The step can't be done without.
    Required,
}

/// What the expiry of a gate does; nothing ever approves itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnExpiry {
    /// As if a person had said no.
    #[default]
    Reject,
    /// The step fails.
    Fail,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_one(number: &u32) -> bool {
    *number == 1
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}
