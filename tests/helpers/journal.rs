//! Reading a run's journal as any other program would.

use std::fs;
use std::path::Path;

use serde_json::Value;

/// All events of a run.
pub(crate) struct Journal {
    pub(crate) lines: Vec<String>,
    pub(crate) events: Vec<Value>,
}

impl Journal {
    /// Reads the segments of a run in order. A last line cut short is left out.
    #[track_caller]
    pub(crate) fn read(run: &Path) -> Self {
        let entries = fs::read_dir(run).unwrap_or_else(|error| panic!("{}: {error}", run.display()));
        let mut segments: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        segments.retain(|path| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("journal-"))
        });
        segments.sort();
        let mut journal = Self { lines: Vec::new(), events: Vec::new() };
        for segment in segments {
            let text = fs::read_to_string(segment).unwrap();
            for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
                let line = line.trim_end_matches('\0');
                journal
                    .events
                    .push(serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
                journal.lines.push(line.to_owned());
            }
        }
        journal
    }

    /// The events of a kind.
    pub(crate) fn kind(&self, kind: &str) -> Vec<&Value> {
        events_of(&self.events, kind)
    }

    /// The events of a kind about a step.
    pub(crate) fn of(&self, kind: &str, step: &str) -> Vec<&Value> {
        self.kind(kind).into_iter().filter(|event| event["step"] == step).collect()
    }

    /// The only event of a kind about a step.
    #[track_caller]
    pub(crate) fn one(&self, kind: &str, step: &str) -> &Value {
        let found = self.of(kind, step);
        assert_eq!(found.len(), 1, "events {kind} of {step} in\n{}", self.lines.join("\n"));
        found[0]
    }

    /// How a step's last attempt ended.
    #[track_caller]
    pub(crate) fn finished(&self, step: &str) -> &Value {
        let found = self.of("step_finished", step);
        found.last().unwrap_or_else(|| panic!("no step_finished of {step} in\n{}", self.lines.join("\n")))
    }

    /// The reason of how a step's last attempt ended.
    #[track_caller]
    pub(crate) fn reason(&self, step: &str) -> String {
        self.finished(step)["reason"].as_str().unwrap_or_default().to_owned()
    }

    /// The place of the first event of a kind about a step.
    #[track_caller]
    pub(crate) fn seq(&self, kind: &str, step: &str) -> u64 {
        let found = self.of(kind, step);
        let first =
            found.first().unwrap_or_else(|| panic!("no {kind} of {step} in\n{}", self.lines.join("\n")));
        first["seq"].as_u64().unwrap()
    }
}

/// The events of a kind.
pub(crate) fn events_of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["kind"] == kind).collect()
}
