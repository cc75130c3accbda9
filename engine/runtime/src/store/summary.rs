//! Where a run stands, in one line: what `runs` lists and the index keeps.
//!
//! A small fold of the journal of its own, since the index must not need a plan
//! to be rebuilt.

use std::collections::HashSet;
use std::path::PathBuf;

use indexmap::IndexMap;
use runbook_core::event::{EventKind, Gate, RunOutcome};
use runbook_core::id::{RunId, StepId};
use runbook_core::moment::Moment;
use serde::{Deserialize, Serialize};

use super::place::Place;
use crate::journal::{RawEvent, Replay};

/// The outcome of a run, or what stands in for it until there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// A process holds it, and something goes on.
    Running,
    /// It waits for people.
    Waiting,
    /// No process holds it, and it neither ended nor parked.
    Interrupted,
    /// Every step passed.
    Succeeded,
    /// A step failed.
    Failed,
    /// A person rejected a gate.
    Rejected,
    /// Somebody ended it.
    Cancelled,
}

impl Standing {
    /// Whether the run is over.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Succeeded | Self::Failed | Self::Rejected | Self::Cancelled => true,
            Self::Running | Self::Waiting | Self::Interrupted => false,
        }
    }
}

impl From<RunOutcome> for Standing {
    fn from(outcome: RunOutcome) -> Self {
        match outcome {
            RunOutcome::Succeeded => Self::Succeeded,
            RunOutcome::Failed => Self::Failed,
            RunOutcome::Rejected => Self::Rejected,
            RunOutcome::Cancelled => Self::Cancelled,
        }
    }
}

/// A question that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// The step it is about.
    pub step: StepId,
    /// What it is about.
    pub gate: Gate,
    /// The question.
    pub prompt: String,
    /// Who may answer; empty: anyone.
    pub from: Vec<String>,
    /// Until when.
    pub expires_at: Option<Moment>,
    /// Since when; not known of what an earlier version listed.
    #[serde(default)]
    pub since: Option<Moment>,
}

/// One run in a line (`cli.md`: `runs --format json`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The run.
    pub run: RunId,
    /// The runbook's name.
    pub runbook: String,
    /// The path below the folder of runbooks by which it is found, without the ending; empty where an earlier version
    /// listed it.
    #[serde(default)]
    pub path: String,
    /// Its file, as `Place` names it; empty where that isn't known.
    #[serde(default)]
    pub file: PathBuf,
    /// Where it stands.
    pub outcome: Standing,
    /// When it was created.
    pub started_at: Moment,
    /// When it ended.
    pub finished_at: Option<Moment>,
    /// Who started it.
    pub user: String,
    /// The open questions.
    pub waiting_for: Vec<Waiting>,
    /// In the index: how long the journal was. An unfinished run of which
    /// nothing grew since then needs no second look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tail: Option<Tail>,
}

/// The runbook whose runs are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Runbook {
    /// That file and no other, as `Place` names it.
    File(PathBuf),
    /// Any that has been found so: by its path, its name, or the last part of either.
    Name(String),
}

impl Summary {
    /// Whether it is a run of that runbook.
    #[must_use]
    pub fn is_of(&self, runbook: &Runbook) -> bool {
        match runbook {
            Runbook::File(file) => self.file == *file,
            Runbook::Name(name) => [&self.path, &self.runbook]
                .into_iter()
                .any(|own| own == name || own.rsplit('/').next() == Some(name)),
        }
    }

    /// Whether its index line told where the runbook lies.
    pub(crate) fn is_placed(&self) -> bool {
        !self.path.is_empty() && !self.file.as_os_str().is_empty()
    }
}

/// The end of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tail {
    /// The last segment's number.
    pub(crate) segment: u32,
    /// Its length in bytes.
    pub(crate) bytes: u64,
}

/// Collects a summary from events as they come; cheap enough to follow a run.
#[derive(Debug, Clone, Default)]
pub struct SummaryFold {
    place: Option<Place>,
    created: Option<Created>,
    finished: Option<(RunOutcome, Moment)>,
    is_parked: bool,
    open: IndexMap<StepId, Waiting>,
    /// Steps that have started and not finished, gates included.
    started: HashSet<StepId>,
}

#[derive(Debug, Clone)]
struct Created {
    runbook: String,
    user: String,
    at: Moment,
}

impl SummaryFold {
    /// Of a run whose runbook lies there, where that is known.
    #[must_use]
    pub fn with_place(self, place: Option<Place>) -> Self {
        Self { place, ..self }
    }

    /// Takes the next event.
    pub fn apply(&mut self, at: Moment, kind: &EventKind) {
        match kind {
            EventKind::RunCreated { runbook, user, .. } => {
                self.created = Some(Created { runbook: runbook.clone(), user: user.clone(), at });
            }
            EventKind::RunResumed { .. } | EventKind::RunStopped { .. } => {
                self.finished = None;
                self.is_parked = false;
            }
            EventKind::StepStarted { step, .. } => self.started(step.clone()),
            EventKind::StepFinished { step, .. } => self.ended(step),
            EventKind::GateOpened { step, gate, prompt, from, expires_at, .. } => {
                let waiting = Waiting {
                    step: step.clone(),
                    gate: *gate,
                    prompt: prompt.clone(),
                    from: from.clone(),
                    expires_at: *expires_at,
                    since: Some(at),
                };
                self.open.insert(step.clone(), waiting);
            }
            EventKind::GateClosed { step, .. } => {
                self.open.shift_remove(step);
            }
            EventKind::RunParked { .. } => self.is_parked = true,
            EventKind::RunFinished { outcome, .. } => {
                self.finished = Some((*outcome, at));
                self.open.clear();
            }
            _ => {}
        }
    }

    fn started(&mut self, step: StepId) {
        self.started.insert(step);
        self.is_parked = false;
    }

    fn ended(&mut self, step: &StepId) {
        self.started.remove(step);
    }

    /// Takes the next line of a journal, reading of it only what matters here.
    fn apply_raw(&mut self, run: &RunId, event: &RawEvent) {
        /// All that is needed of the two most frequent kinds.
        #[derive(Deserialize)]
        struct OfStep {
            step: StepId,
        }
        match event.kind_name() {
            name @ ("step_started" | "step_finished") => {
                let Ok(OfStep { step }) = serde_json::from_str(event.line()) else { return };
                if name == "step_started" { self.started(step) } else { self.ended(&step) }
            }
            "run_created" | "run_resumed" | "run_stopped" | "gate_opened" | "gate_closed" | "run_parked"
            | "run_finished" => {
                // What a newer version wrote differently is left out of the line.
                if let Ok(event) = event.typed(run) {
                    self.apply(event.at, &event.kind);
                }
            }
            _ => {}
        }
    }

    /// The summary; `None` before the run was created. `is_held`: whether a
    /// process holds the run's lock.
    #[must_use]
    pub fn summary(&self, run: &RunId, is_held: bool) -> Option<Summary> {
        let created = self.created.as_ref()?;
        let (path, file) = self.place.clone().map(|place| (place.path, place.file)).unwrap_or_default();
        Some(Summary {
            run: run.clone(),
            runbook: created.runbook.clone(),
            path,
            file,
            outcome: self.standing(is_held),
            started_at: created.at,
            finished_at: self.finished.map(|(_, at)| at),
            user: created.user.clone(),
            waiting_for: self.open.values().cloned().collect(),
            tail: None,
        })
    }

    fn standing(&self, is_held: bool) -> Standing {
        match self.finished {
            Some((outcome, _)) => outcome.into(),
            None if is_held => {
                let only_gates = self.started.iter().all(|step| self.open.contains_key(step));
                if !self.open.is_empty() && only_gates { Standing::Waiting } else { Standing::Running }
            }
            None if self.is_parked => Standing::Waiting,
            None => Standing::Interrupted,
        }
    }
}

/// The summary of a journal; `None` where the run's creation was cut short.
#[must_use]
pub fn summarize(replay: &Replay, is_held: bool) -> Option<Summary> {
    let mut fold = SummaryFold::default();
    for event in &replay.events {
        fold.apply_raw(&replay.run, event);
    }
    fold.summary(&replay.run, is_held)
}
