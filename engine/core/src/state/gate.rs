//! What is known of a question to people.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use crate::event::{Evidence, Gate, GateField, Identity, LeakedProcess, Via};
use crate::moment::Moment;

/// One answer that was taken.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenAnswer {
    /// The word.
    pub word: String,
    /// The person.
    pub by: String,
    /// Its way.
    pub via: Via,
    /// How sure that is.
    pub identity: Identity,
    /// Why.
    pub reason: Option<String>,
    /// Values for the fields.
    pub fields: IndexMap<String, Value>,
    /// Notes, links, files.
    pub evidence: Vec<Evidence>,
    /// Values for later steps.
    pub outputs: IndexMap<String, Value>,
    /// Other values for the environment of a step that is tried again.
    pub env: IndexMap<String, String>,
    /// When it was taken.
    pub at: Moment,
}

/// A question that waits for people.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenGate {
    /// What it is about.
    pub gate: Gate,
    /// The question.
    pub prompt: String,
    /// What they should see.
    pub details: Option<String>,
    /// Who may answer; empty: anyone.
    pub from: Vec<String>,
    /// How many distinct people must say yes.
    pub quorum: u32,
    /// Until when.
    pub expires_at: Option<Moment>,
    /// What is approved.
    pub digest: String,
    /// The one use of this question.
    pub nonce: String,
    /// The words that answer it.
    pub words: Vec<String>,
    /// The items of a manual step.
    pub checklist: Vec<String>,
    /// Who ticked which item (from 1), and when.
    pub ticked: BTreeMap<u32, (String, Moment)>,
    /// The answers so far.
    pub answers: Vec<GivenAnswer>,
    /// Since when.
    pub opened_at: Moment,
    /// Processes that still run.
    pub survivors: Vec<LeakedProcess>,
    /// The options of a choice, with what they mean.
    pub options: IndexMap<String, String>,
    /// What is filled in with the answer.
    pub fields: IndexMap<String, GateField>,
    /// How many rungs of its escalation were told.
    pub escalated: usize,
}

/// A question that is closed while what it came to is not recorded yet.
#[derive(Debug, Clone, PartialEq)]
pub struct SettledGate {
    /// The question with its answers.
    pub gate: OpenGate,
    /// The word that settled it, or `expired`, `cancelled`.
    pub result: String,
    /// Why, where no answer did it.
    pub reason: Option<String>,
}

/// What a person decided about processes that outlived an interrupted step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outliving {
    /// They are waited for.
    Wait,
    /// They are ended.
    End,
}
