//! Whether what came of a rehearsal is what was expected.

use super::report::Mismatch;
use crate::document::model::Expectation;
use crate::document::text::Text;
use crate::event::{EventKind, Outcome};
use crate::moment::Moment;
use crate::state::{RunState, Status};

/// What is compared.
pub(super) struct Seen<'a> {
    pub(super) outcome: &'a str,
    pub(super) state: &'a RunState,
    pub(super) log: &'a [(Moment, EventKind)],
}

impl Seen<'_> {
    /// The steps that ran, in the order of their starts.
    pub(super) fn ran(&self) -> Vec<String> {
        let started = self.log.iter().filter_map(|(_, event)| match event {
            EventKind::StepStarted { step, .. } => Some(step.to_string()),
            _ => None,
        });
        started.collect()
    }

    fn undone(&self) -> Vec<String> {
        let undone = self.log.iter().filter_map(|(_, event)| match event {
            EventKind::UndoFinished { step, outcome: Outcome::Succeeded, .. } => Some(step.to_string()),
            _ => None,
        });
        undone.collect()
    }

    /// The last command of a step as people were shown it.
    fn command(&self, id: &str) -> Option<String> {
        let shown = self.log.iter().rev().find_map(|(_, event)| match event {
            EventKind::StepStarted { step, command, .. } if step.as_str() == id => Some(command.clone()),
            _ => None,
        });
        shown.flatten()
    }

    fn outcome_of(&self, id: &str) -> String {
        let index = id.parse().ok().and_then(|id| self.state.index_of(&id));
        let Some(index) = index else { return "not there".into() };
        match self.state.steps[index].status {
            _ if self.state.gates.contains_key(&index) => "waiting".into(),
            Status::Ended(outcome) => outcome.to_string(),
            Status::Running(_) => "running".into(),
            Status::Pending | Status::Delayed { .. } => "pending".into(),
        }
    }
}

/// All that isn't as expected.
pub(super) fn mismatches(expect: &Expectation, seen: &Seen<'_>) -> Vec<Mismatch> {
    let mut found = Vec::new();
    let mut compare = |key: String, expected: String, seen: String| {
        if expected != seen {
            found.push(Mismatch { key, expected, seen });
        }
    };
    if let Some(outcome) = &expect.outcome {
        compare("outcome".into(), outcome.to_string(), seen.outcome.to_owned());
    }
    let ran = seen.ran();
    if !is_subsequence(&expect.order, &ran) {
        compare("order".into(), list(expect.order.iter().map(Text::as_str)), list(ran.iter()));
    }
    let ran_all_the_same: Vec<&str> =
        expect.not_run.iter().map(Text::as_str).filter(|id| ran.iter().any(|ran| ran == id)).collect();
    if !ran_all_the_same.is_empty() {
        let expected = list(expect.not_run.iter().map(Text::as_str));
        compare("not_run".into(), expected, format!("{} ran", ran_all_the_same.join(", ")));
    }
    if let Some(undone) = &expect.undone {
        compare("undone".into(), list(undone.iter().map(Text::as_str)), list(seen.undone().iter()));
    }
    for (id, command) in expect.commands.iter() {
        let shown = seen.command(id).unwrap_or_else(|| "no command".into());
        compare(format!("commands.{id}"), command.trim_end().to_owned(), shown.trim_end().to_owned());
    }
    for (id, outcome) in expect.steps.iter() {
        compare(format!("steps.{id}"), outcome.to_string(), seen.outcome_of(id));
    }
    let outputs = seen.log.iter().rev().find_map(|(_, event)| match event {
        EventKind::RunFinished { outputs, .. } => Some(outputs),
        _ => None,
    });
    for (name, value) in expect.outputs.iter() {
        let given = outputs.and_then(|outputs| outputs.get(name.as_str()));
        let given = given.map_or_else(|| "nothing".to_owned(), ToString::to_string);
        compare(format!("outputs.{name}"), value.to_json().to_string(), given);
    }
    found
}

/// Whether all of these stand among those, in this order.
fn is_subsequence(wanted: &[Text], ran: &[String]) -> bool {
    let mut rest = ran.iter();
    wanted.iter().all(|step| rest.any(|ran| *step == ran.as_str()))
}

fn list(items: impl Iterator<Item = impl AsRef<str>>) -> String {
    let items: Vec<String> = items.map(|item| item.as_ref().to_owned()).collect();
    if items.is_empty() { "none".into() } else { items.join(", ") }
}
