//! What is known of one step.

use indexmap::IndexMap;
use serde_json::Value;

use crate::event::Outcome;
use crate::moment::Moment;
use crate::plan::Step;

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It has not started.
    Pending,
    /// An attempt runs, or its gate is open.
    Running(Attempt),
    /// A failed attempt is followed by another when this is due.
    Delayed {
        /// When.
        due_at: Moment,
    },
    /// It is over.
    Ended(Outcome),
}

/// An attempt that has started and not finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// From 1, over all resumes.
    pub number: u32,
    /// Its place in the witness file, where a process runs it.
    pub slot: Option<u32>,
    /// The boot in which it was started.
    pub boot: Option<String>,
    /// When.
    pub started_at: Moment,
    /// Of a `wait`: when it is over.
    pub until: Option<Moment>,
    /// A cancel of the run has told it to end.
    pub is_cancelled: bool,
}

/// What the last finished attempt came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepResult {
    /// The attempt; 0 where there was none.
    pub attempt: u32,
    /// Why it isn't plain success.
    pub reason: Option<String>,
    /// The command's exit status.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
    /// Values for later steps.
    pub outputs: IndexMap<String, Value>,
    /// Of its log.
    pub log_sha256: Option<String>,
    /// Who decided it.
    pub by: Vec<String>,
    /// The option chosen.
    pub choice: Option<String>,
    /// Fields of the deciding answer.
    pub fields: IndexMap<String, Value>,
    /// What it measured.
    pub values: IndexMap<String, Value>,
    /// Whether it was taken from a witness after a crash.
    pub recovered: bool,
    /// Whether a cancel of the run had told it to end.
    pub was_cancelled: bool,
}

/// What an approval is bound to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedAbout {
    /// Over the plan and all that was shown.
    pub digest: String,
    /// What was asked.
    pub prompt: String,
    /// What was shown with it.
    pub details: Option<String>,
}

/// What `done_when` said of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DoneChecked {
    /// How many attempts there were before: it says nothing about later ones.
    pub attempt: u32,
    /// Whether the step is done; none where nothing could be measured.
    pub done: Option<bool>,
    /// Why it is not, or why that isn't known.
    pub reason: Option<String>,
}

/// A question as people settled it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What they said.
    pub word: String,
    /// The number that means the same, where it is an option of a choice.
    pub number: Option<String>,
    /// Who.
    pub by: Vec<String>,
}

/// What is known of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// Where it stands.
    pub status: Status,
    /// Attempts started so far, over all resumes.
    pub attempts: u32,
    /// Attempts since a person or a resume last let it start, interrupted ones
    /// left out: what `retry` counts.
    pub attempts_in_round: u32,
    /// What the last attempt came to.
    pub result: StepResult,
    /// Why the next attempt is made, where that must be said.
    pub why: Option<String>,
    /// When it first started.
    pub started_at: Option<Moment>,
    /// When it last ended.
    pub finished_at: Option<Moment>,
    /// Files kept: path to SHA-256.
    pub artifacts: IndexMap<String, String>,
    /// Whether its background command has been ready once, so that others may rely on it.
    pub was_ready: bool,
    /// Whether it is to be done as if it had never run: `when` is settled anew.
    pub fresh: bool,
    /// How many questions were put about it: part of the next one's nonce.
    pub gates_opened: u32,
    /// Who settled the question that is put before it (`ask`), once; empty where a clock did.
    pub asked: Option<String>,
    /// How people settled the last question about it, until it starts or is asked about again: who says the same once
    /// more changes nothing.
    pub said: Option<Box<Said>>,
    /// What its approval is bound to, as it was asked last.
    pub asked_about: Option<Box<AskedAbout>>,
    /// When all that it needs had passed first: what its deadline counts from.
    pub could_start_at: Option<Moment>,
    /// Whether it is known that it took longer than its `deadline`.
    pub deadline_passed: bool,
    /// How many rungs of its own escalation were told.
    pub escalated: usize,
    /// When it last ended, among all ends of steps of the run: what undo goes back by.
    pub ended_as_number: u64,
    /// The question about its failure was decided or taken back: it is not put again.
    pub failure_was_asked: bool,
    /// What `done_when` said last.
    pub done_checked: Option<DoneChecked>,
    /// Other values for its environment, as a person gave them.
    pub env: IndexMap<String, String>,
}

impl Status {
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Pending => "not started".into(),
            Self::Running(attempt) => format!("running its attempt {}", attempt.number),
            Self::Delayed { .. } => "waiting for its next attempt".into(),
            Self::Ended(outcome) => outcome.to_string(),
        }
    }
}

impl StepState {
    pub(super) fn new() -> Self {
        Self {
            status: Status::Pending,
            attempts: 0,
            attempts_in_round: 0,
            result: StepResult::default(),
            why: None,
            started_at: None,
            finished_at: None,
            artifacts: IndexMap::new(),
            was_ready: false,
            fresh: false,
            gates_opened: 0,
            asked: None,
            said: None,
            asked_about: None,
            could_start_at: None,
            deadline_passed: false,
            escalated: 0,
            ended_as_number: 0,
            failure_was_asked: false,
            done_checked: None,
            env: IndexMap::new(),
        }
    }

    /// How it ended, where it has.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        match self.status {
            Status::Ended(outcome) => Some(outcome),
            Status::Pending | Status::Running(_) | Status::Delayed { .. } => None,
        }
    }

    /// Whether a stop of the run ended this step while it ran: how much of it
    /// took effect isn't known then.
    pub(crate) fn was_cut_off(&self, step: &Step) -> bool {
        // A question or a wait that is taken back has no effect, and no end that isn't known.
        step.action.takes_slot()
            && matches!(self.status, Status::Ended(Outcome::Cancelled))
            && self.result.attempt == self.attempts
            && self.attempts > 0
            && self.reason_begins_with("stopped")
    }

    /// Whether its declared `retry` allows another attempt after a failure.
    /// What a person decided, a question that nobody answered, and texts that can't be rendered, are final.
    pub(crate) fn retry_remains(&self, step: &Step) -> bool {
        if self.round_remains(step) {
            return true;
        }
        let Some(retry) = &step.retry else { return false };
        matches!(self.status, Status::Ended(Outcome::Failed))
            && self.result.attempt == self.attempts
            && self.attempts_in_round <= retry.times
            && self.result.by.is_empty()
            && !self.reason_begins_with("operator")
            && !self.reason_begins_with("template")
            && !self.reason_begins_with("expired")
            && step.action.question().is_none()
            && (retry.exit_codes.is_empty()
                || self.result.exit_code.is_some_and(|code| retry.exit_codes.contains(&code)))
    }

    fn reason_begins_with(&self, word: &str) -> bool {
        self.result.reason.as_deref().is_some_and(|reason| reason.starts_with(word))
    }
}
