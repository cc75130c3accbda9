//! What the language has and this release does not do: refused by name, never ignored. This is the one list of it.

use super::input::ProjectInput;
use super::report::Report;
use crate::diagnostic::Diagnostics;
use crate::document::model::{Action, Project, Runbook, Step};
use crate::document::node::{Node, Value};
use crate::document::yaml;
use crate::source::{Source, Span};

/// A key that is refused: its name, what to say of it where that is not the name, and whether it is there.
type Refused<T> = (&'static str, Option<&'static str>, fn(&T) -> bool);

const TOP: &[Refused<Runbook>] = &[
    ("schedule", None, |runbook| !runbook.schedule.is_empty()),
    ("triggers", None, |runbook| runbook.triggers.is_some()),
];

const DEFAULTS: &[Refused<Runbook>] = &[("on", None, |runbook| runbook.defaults.on.is_some())];

const STEP: &[Refused<Step>] = &[("on", None, |step| step.on.is_some())];

const PROJECT: &[Refused<Project>] = &[];

/// Reports what a runbook uses of it.
pub(super) fn refuse(runbook: &Runbook, report: &mut Report) {
    let mut refusal = Refusal::new(report);
    refusal.of(TOP, runbook, &[]);
    refusal.of(DEFAULTS, runbook, &[Segment::Key("defaults")]);
    for (list, steps) in [("steps", &runbook.steps), ("finally", &runbook.finally)] {
        for (index, step) in steps.iter().enumerate() {
            refusal.step(step, &[Segment::Key(list), Segment::Index(index)]);
        }
    }
}

/// Reports what a project uses of it.
pub(super) fn refuse_project(input: ProjectInput<'_>) -> Diagnostics {
    let mut report = Report::new(input.source);
    Refusal::new(&mut report).of(PROJECT, input.project, &[]);
    report.into_diagnostics()
}

/// One part of the way from the root of a file to a key.
#[derive(Clone, Copy)]
enum Segment {
    Key(&'static str),
    Index(usize),
}

struct Refusal<'r> {
    report: &'r mut Report,
    keys: Keys,
}

impl<'r> Refusal<'r> {
    fn new(report: &'r mut Report) -> Self {
        let keys = Keys { source: report.source().clone(), tree: None };
        Self { report, keys }
    }

    fn of<T>(&mut self, table: &[Refused<T>], value: &T, path: &[Segment]) {
        for (key, said, is_there) in table {
            if is_there(value) {
                self.refuse(key, *said, path);
            }
        }
    }

    fn refuse(&mut self, key: &'static str, said: Option<&'static str>, path: &[Segment]) {
        let span = self.keys.span_of(path, key);
        let said = said.map_or_else(|| format!("`{key}`"), str::to_owned);
        let message = format!("{said} is not supported yet");
        self.report.error("not-supported-yet", span, message);
    }

    fn step(&mut self, step: &Step, path: &[Segment]) {
        self.of(STEP, step, path);
        let below = |keys: &[&'static str]| -> Vec<Segment> {
            path.iter().copied().chain(keys.iter().map(|key| Segment::Key(key))).collect()
        };
        if let Some(undo) = &step.undo
            && matches!(&undo.action.0, Action::Run(run) if run.interactive)
        {
            self.refuse("interactive", Some("an `interactive` undo"), &below(&["undo"]));
        }
        if let Action::Steps(group) = &step.action {
            for (index, step) in group.steps.iter().enumerate() {
                let mut path = below(&["steps"]);
                path.push(Segment::Index(index));
                self.step(step, &path);
            }
        }
    }
}

/// Finds keys in a file again. Documents keep no places of keys, and most have nothing to refuse, so the text is read for it only when
/// there is something.
struct Keys {
    source: Source,
    tree: Option<Option<Node>>,
}

impl Keys {
    /// The place of a key, else of the nearest that is known on the way to it.
    fn span_of(&mut self, path: &[Segment], key: &'static str) -> Span {
        let source = &self.source;
        let tree = self.tree.get_or_insert_with(|| yaml::read(source, &mut Diagnostics::new()).root);
        let Some(mut node) = tree.as_ref() else { return Span::default() };
        for segment in path {
            let next = match (&node.value, segment) {
                (Value::Mapping(entries), Segment::Key(name)) => entry(entries, name).map(|(_, value)| value),
                (Value::Sequence(items), Segment::Index(index)) => items.get(*index),
                _ => None,
            };
            let Some(next) = next else { return node.span };
            node = next;
        }
        match &node.value {
            Value::Mapping(entries) => entry(entries, key).map_or(node.span, |(key, _)| key.span),
            _ => node.span,
        }
    }
}

fn entry<'n>(entries: &'n [(Node, Node)], name: &str) -> Option<&'n (Node, Node)> {
    entries.iter().find(|(key, _)| key.scalar().is_some_and(|key| &*key.text == name))
}
