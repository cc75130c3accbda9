//! What people say in a scenario, and to which question.

use std::collections::BTreeSet;

use indexmap::IndexMap;
use serde_json::Value;

use super::names::best;
use crate::document::model::Scenario;
use crate::document::text::{Data, Map};
use crate::event::{Evidence, Gate, Identity, Via};
use crate::id::StepId;
use crate::schedule::Answer;

/// Who answers where the scenario names nobody: not who started the run.
pub(super) const SOMEBODY: &str = "somebody";
/// The reason of answers that need one and have none.
const REASON: &str = "as the scenario says";
/// The word that lets a question expire.
pub(super) const EXPIRED: &str = "expired";
/// Keys beside the word.
const DETAILS: [&str; 5] = ["reason", "fields", "outputs", "note", "link"];

/// One answer of a scenario.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Said {
    pub(super) word: String,
    /// In this order; empty where nobody is named.
    pub(super) people: Vec<String>,
    reason: Option<String>,
    fields: IndexMap<String, Value>,
    outputs: IndexMap<String, Value>,
    evidence: Vec<Evidence>,
}

/// The answers to the questions of one step.
struct ToStep {
    name: String,
    said: Vec<Said>,
    /// A list is used up; a lone answer is given whenever the step asks.
    lone: bool,
    used: BTreeSet<usize>,
}

/// All answers of a scenario.
pub(super) struct Answers {
    to: Vec<ToStep>,
    /// Questions to which a lone answer was given.
    answered: BTreeSet<String>,
}

impl Answers {
    pub(super) fn new(scenario: &Scenario) -> Self {
        let to = scenario.answers.iter().map(|(name, data)| ToStep {
            name: name.to_string(),
            // What can't be read was refused before.
            said: read(data).unwrap_or_default(),
            lone: !matches!(data, Data::List(_)),
            used: BTreeSet::new(),
        });
        Self { to: to.collect(), answered: BTreeSet::new() }
    }

    /// All words that are ever said to a step's questions.
    pub(super) fn words(&self, id: &StepId) -> Vec<&str> {
        let found = best(self.to.iter().map(|to| (to.name.as_str(), to)), id.as_str());
        found.map_or_else(Vec::new, |to| to.said.iter().map(|said| said.word.as_str()).collect())
    }

    /// The next answer to a question that takes these words. `nonce` is the question's own.
    pub(super) fn next(&mut self, id: &StepId, gate: Gate, words: &[String], nonce: &str) -> Option<Said> {
        let index = self.index_of(id)?;
        let to = &mut self.to[index];
        // What a person decides about a failure is said once: it would fail in the same way for ever.
        let often =
            to.lone && matches!(gate, Gate::Approve | Gate::Manual | Gate::Choose | Gate::Ask | Gate::Window);
        if often && !self.answered.insert(nonce.to_owned()) {
            return None;
        }
        let fits = |said: &Said| words.contains(&said.word);
        let next = (0..to.said.len()).find(|at| (often || !to.used.contains(at)) && fits(&to.said[*at]))?;
        to.used.insert(next);
        Some(to.said[next].clone())
    }

    /// Whether a question is meant to expire.
    pub(super) fn lets_expire(&self, id: &StepId) -> bool {
        self.words(id).contains(&EXPIRED)
    }

    fn index_of(&self, id: &StepId) -> Option<usize> {
        best(self.to.iter().enumerate().map(|(index, to)| (to.name.as_str(), index)), id.as_str())
    }
}

impl Said {
    /// The answer as a person gives it.
    pub(super) fn by(&self, step: &StepId, gate: Gate, person: &str) -> Answer {
        Answer {
            step: step.clone(),
            nonce: None,
            digest: None,
            word: self.word.clone(),
            by: person.to_owned(),
            via: Via::Command,
            // Scenarios are about the procedure, not about keys.
            identity: Identity::Signed,
            reason: Some(self.reason.clone().unwrap_or_else(|| REASON.to_owned())),
            fields: self.fields.clone(),
            items: Vec::new(),
            all_items: true,
            // Only work done by hand is shown to be done.
            evidence: if gate == Gate::Manual { self.evidence.clone() } else { Vec::new() },
            outputs: self.outputs.clone(),
            env: indexmap::IndexMap::new(),
            file: None,
        }
    }
}

/// The answers in a value: a word, a word with its people and more, or a list of those.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(data: &Data) -> Result<Vec<Said>, String> {
    match data {
        Data::List(list) => list.iter().map(one).collect(),
        other => one(other).map(|said| vec![said]),
    }
}

fn one(data: &Data) -> Result<Said, String> {
    let word = |word: &str| Said { word: word.to_owned(), evidence: vec![note(REASON)], ..Said::default() };
    match data {
        Data::Text(text) => Ok(word(text)),
        // An option may be a number, and `yes` may be written so.
        Data::Integer(_, text) | Data::Number(_, text) => Ok(word(text)),
        Data::Boolean(yes) => Ok(word(if *yes { "yes" } else { "no" })),
        Data::Map(entries) => with_details(entries),
        Data::List(_) | Data::Null => Err(expected()),
    }
}

fn expected() -> String {
    "an answer is a word like `approve`, a word with its people like `{approve: [alice, bob]}`, or a list of those".to_owned()
}

fn with_details(entries: &Map<Data>) -> Result<Said, String> {
    let mut words = entries.iter().filter(|(name, _)| !DETAILS.contains(&name.as_str()));
    let (Some((word, people)), None) = (words.next(), words.next()) else { return Err(expected()) };
    let text = |name: &str| match entries.get(name) {
        None => Ok(None),
        Some(Data::Text(text)) => Ok(Some(text.to_string())),
        Some(_) => Err(format!("`{name}` is a text")),
    };
    let map = |name: &str| match entries.get(name) {
        None => Ok(IndexMap::new()),
        Some(Data::Map(values)) => {
            Ok(values.iter().map(|(name, value)| (name.to_string(), value.to_json())).collect())
        }
        Some(_) => Err(format!("`{name}` is a map")),
    };
    let evidence: Vec<Evidence> = match (text("note")?, text("link")?) {
        (Some(text), _) => vec![note(&text)],
        (None, Some(url)) => vec![Evidence::Link { url }],
        (None, None) => vec![note(REASON)],
    };
    Ok(Said {
        word: word.to_string(),
        people: names(people)?,
        reason: text("reason")?,
        fields: map("fields")?,
        outputs: map("outputs")?,
        evidence,
    })
}

fn names(data: &Data) -> Result<Vec<String>, String> {
    let name = |data: &Data| match data {
        Data::Text(name) => Ok(name.to_string()),
        _ => Err(expected()),
    };
    match data {
        Data::Null => Ok(Vec::new()),
        Data::List(people) => people.iter().map(name).collect(),
        other => name(other).map(|name| vec![name]),
    }
}

fn note(text: &str) -> Evidence {
    Evidence::Note { text: text.to_owned() }
}
