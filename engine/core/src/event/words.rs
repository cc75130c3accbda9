//! What events are made of: how things end, what is asked, who says it and by which way.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::StepId;

/// How a step ended (`language.md` §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Done, and every expectation held.
    Succeeded,
    /// Exit status, signal, timeout, expectation, expiry or spawn error.
    Failed,
    /// A person said no.
    Rejected,
    /// `when` was false, `done_when` held, or an operator skipped it.
    Skipped,
    /// Something that it needs did not pass.
    Blocked,
    /// The run was stopped while it ran or before it started.
    Cancelled,
    /// It had started, the engine died, and how it ended is not known.
    Interrupted,
}

impl Outcome {
    /// The word in YAML, events and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Skipped => "skipped",
            Self::Blocked => "blocked",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }

    /// What stands before the word in a sentence about a step: `it failed`, `it was skipped`.
    #[must_use]
    pub fn auxiliary(self) -> &'static str {
        match self {
            Self::Succeeded | Self::Failed => "",
            Self::Rejected | Self::Skipped | Self::Blocked | Self::Cancelled | Self::Interrupted => "was ",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How a whole run ended: the first of these that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// Somebody ended it with `runbook cancel`.
    Cancelled,
    /// A person rejected a gate.
    Rejected,
    /// A step failed.
    Failed,
    /// Every step passed.
    Succeeded,
}

impl RunOutcome {
    /// The word in events and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Failed => "failed",
            Self::Succeeded => "succeeded",
        }
    }
}

impl fmt::Display for RunOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What a question to a person is about. Every kind goes through the same
/// opening, judging and closing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Gate {
    /// A decision by people: `approve`.
    Approve,
    /// Work done by a person: `manual`.
    Manual,
    /// One of several options: `choose`.
    Choose,
    /// A yes/no question before a step: `ask`.
    Ask,
    /// What to do about a failed step.
    Failure,
    /// What to do about a step of which it isn't known how it ended.
    Interrupted,
    /// Whether to undo what was done.
    Rollback,
    /// What to do about an undo that failed.
    Undo,
    /// Whether to go on outside the window.
    Window,
    /// An `interactive` step could start, and nobody is at a terminal.
    Terminal,
}

impl Gate {
    /// The word in events and messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Manual => "manual",
            Self::Choose => "choose",
            Self::Ask => "ask",
            Self::Failure => "failure",
            Self::Interrupted => "interrupted",
            Self::Rollback => "rollback",
            Self::Undo => "undo",
            Self::Window => "window",
            Self::Terminal => "terminal",
        }
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// By which way an answer came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Typed at the prompt of the run's own terminal.
    Terminal,
    /// By a command from another process.
    Command,
    /// Ahead of time, on the command line that started the run.
    Ahead,
    /// By an option of `resume`.
    Resume,
}

/// How sure the engine is of who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Identity {
    /// The operating system's user that owns the answer's file.
    User,
    /// An SSH signature over the answer.
    Signed,
}

/// An answer that was given together with the command that started the run, or took it on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AheadAnswer {
    /// The gate's step.
    pub step: StepId,
    /// The word, as it would be typed at the prompt.
    pub word: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The user who gave it, where it was given when the run was taken on; else who started the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
}

/// A process that outlived its step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeakedProcess {
    /// Its process id at that time.
    pub pid: u32,
    /// Its command's name, or `pipe` where only the open output is known.
    pub command: String,
    /// Whether it was ended with the step; else it still ran.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
}

/// A gate that a parked run waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingFor {
    /// The step.
    pub step: StepId,
    /// What is asked.
    pub gate: Gate,
}

/// A value that is asked for together with an answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GateField {
    /// Its type, as in a runbook: `string`, `integer`, `number`, `boolean`, `duration` or `list`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// A regular expression that matches the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// The values that it may have; empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// What it is where nothing is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
    /// Whether it must be given.
    pub required: bool,
}

/// A piece of evidence that was given with an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Evidence {
    /// Free text.
    Note {
        /// The text.
        text: String,
    },
    /// A link to somewhere else.
    Link {
        /// Its address.
        url: String,
    },
    /// A file, copied into the run.
    File {
        /// Its name.
        name: String,
        /// Bytes.
        size: u64,
        /// Of its content, lower-case hex.
        sha256: String,
    },
}

impl Evidence {
    /// Whether it shows anything: an empty note or link doesn't.
    #[must_use]
    pub fn says_something(&self) -> bool {
        match self {
            Self::Note { text } => !text.trim().is_empty(),
            Self::Link { url } => !url.trim().is_empty(),
            Self::File { .. } => true,
        }
    }
}
