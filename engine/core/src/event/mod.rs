//! The vocabulary: everything that can be said about a run.
//!
//! Journal, terminal, `--format json`, `status` and reports are all foldings or
//! renderings of this one stream (`engine.md` §1). The shapes are a promise
//! (`cli.md`, "Shapes that programs may rely on"): fields may be added, never
//! changed. Events own their data and know nothing of the types that the
//! engine works with inside.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::id::{RunId, StepId};
use crate::moment::Moment;

#[macro_use]
mod read;
mod schema;
#[cfg(test)]
mod tests;
mod undo;
mod words;

pub use schema::event_schema;
pub use words::{
    AheadAnswer, Evidence, Gate, GateField, Identity, LeakedProcess, Outcome, RunOutcome, Via, WaitingFor,
};

/// The version of the journal's format, recorded in `journal_opened`.
pub const JOURNAL_FORMAT: u32 = 1;

/// One fact about a run, as it stands in the journal (there followed by
/// `prev` and `hash`).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// Position in the run's journal, from 1, without gaps over all segments.
    pub seq: u64,
    /// When it was decided, for people; never used to order.
    pub at: Moment,
    /// The run it is about.
    pub run: RunId,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

kinds! {
/// What happened. The names of the variants in `snake_case` are the `kind` of
/// the event.
pub enum EventKind {
    /// The first line of each segment of the journal.
    JournalOpened {
        /// [`JOURNAL_FORMAT`].
        format: u32,
        /// The version of the program that writes this segment.
        version: String,
    },
    /// A run came into being.
    RunCreated {
        /// The runbook's name.
        runbook: String,
        /// SHA-256 of what runs: `plan.json` must match it.
        plan_digest: String,
        /// Resolved parameters, secrets masked.
        params: IndexMap<String, Value>,
        /// The operating system's user that started it.
        user: String,
        /// The machine it was started on.
        host: String,
        /// The program's version.
        version: String,
        /// Whether somebody could be asked when it started.
        #[serde(default)]
        interactive: bool,
        /// SHA-256 of `environment.json`, the environment kept for the run's life.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        environment_digest: Option<String>,
        /// Answers given ahead of time, unseen.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ahead: Vec<AheadAnswer>,
    },
    /// Another process took the run on.
    RunResumed {
        /// Who.
        by: String,
        /// Where.
        host: String,
        /// The program's version.
        version: String,
        /// Only to undo what was done: `runbook rollback`.
        #[serde(default, skip_serializing_if = "is_false")]
        rollback: bool,
    },
    /// Answers were given ahead of time by who took the run on.
    AnsweredAhead {
        /// The answers; each names who gave it.
        answers: Vec<AheadAnswer>,
    },
    /// The run goes on with an edited runbook.
    RunAdopted {
        /// What differs, a sentence each.
        differences: Vec<String>,
        /// The new plan's digest.
        plan_digest: String,
    },
    /// A person lets a step and all that follows it run again.
    Rewound {
        /// The step.
        step: StepId,
        /// Who.
        by: String,
        /// All that runs again, in the plan's order.
        steps: Vec<StepId>,
    },
    /// A signal stopped the engine; the run can be resumed.
    RunStopped {
        /// Its name, as in `SIGINT`.
        signal: String,
    },
    /// The items of a `for_each`, settled for good.
    Items {
        /// The step.
        step: StepId,
        /// The items in order.
        list: Vec<Value>,
    },
    /// An attempt begins; durable before anything of it happens.
    StepStarted {
        /// The step.
        step: StepId,
        /// From 1, over all resumes.
        attempt: u32,
        /// The command as people are shown it.
        command: Option<String>,
        /// SHA-256 over what is run, rendered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        /// The machine's boot id, within which witnesses prove something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<String>,
        /// The attempt's slot in the run's witness file, where a process runs it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<u32>,
        /// Why there is another attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
        /// When a `wait` is over.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Moment>,
    },
    /// An attempt that had never started is started under another slot: the
    /// same attempt, no retry used.
    AttemptReissued {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// Its new slot.
        slot: u32,
        /// The boot id it is started in.
        boot: String,
        /// It is an attempt of the step's undo.
        #[serde(default, skip_serializing_if = "is_false")]
        undo: bool,
    },
    /// An attempt is over.
    StepFinished {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// Why, where it isn't plain success; begins with a word of `cli.md`'s list.
        reason: Option<String>,
        /// The command's exit status.
        exit_code: Option<i32>,
        /// The name of the signal that ended it; the exit code is then null.
        signal: Option<String>,
        /// Milliseconds by the monotonic clock.
        duration_ms: u64,
        /// Values from `RUNBOOK_OUTPUT` and `outputs`, masked.
        outputs: IndexMap<String, Value>,
        /// Of the attempt's log; absent where nothing was printed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_sha256: Option<String>,
        /// Bytes of output that aren't in the log: left out by `log_limit`, or lost with a disk that took no more.
        #[serde(default, skip_serializing_if = "is_zero")]
        dropped_bytes: u64,
        /// Taken from the keeper's witness after the engine had died.
        #[serde(default, skip_serializing_if = "is_false")]
        recovered: bool,
        /// Who decided it, where a person did.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by: Vec<String>,
        /// The option a person chose.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        choice: Option<String>,
        /// The fields of the answer that decided it.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        fields: IndexMap<String, Value>,
        /// What the step measured: the variables of its probe or request.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        values: IndexMap<String, Value>,
        /// Expectations under `warn` that did not hold.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
    },
    /// A step that does not run.
    StepSkipped {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
        /// Who decided it, where a person did.
        by: Option<String>,
    },
    /// A step that can't run because of what it needs.
    StepBlocked {
        /// The step.
        step: StepId,
        /// What it needs and did not pass.
        needs: StepId,
    },
    /// A step that was not started because the run ends.
    StepCancelled {
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// Whether the step's `done_when` holds: looked at before its first attempt, and of a step of which it
    /// isn't known how it ended.
    DoneChecked {
        /// The step.
        step: StepId,
        /// How many attempts there were before.
        attempt: u32,
        /// Whether it is done; none where nothing could be measured.
        done: Option<bool>,
        /// Why it is not, or why that isn't known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A failed attempt is followed by another.
    RetryScheduled {
        /// The step.
        step: StepId,
        /// The attempt that failed.
        attempt: u32,
        /// Milliseconds until the next.
        delay_ms: u64,
        /// When the next is due.
        due_at: Moment,
    },
    /// What a check saw: the first, the last, each change, and at most one a minute.
    Sample {
        /// The step.
        step: StepId,
        /// Whether the expectations held.
        ok: bool,
        /// The probe's variables, long ones shortened.
        values: IndexMap<String, Value>,
        /// Why not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A step or gate took longer than its `deadline`.
    DeadlinePassed {
        /// The step.
        step: StepId,
    },
    /// Processes that a command left running: ended with the step, or beyond our reach.
    Leaked {
        /// The step.
        step: StepId,
        /// Their process ids.
        pids: Vec<u32>,
        /// What is known of each; one without an id held the output open.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        processes: Vec<LeakedProcess>,
    },
    /// A command of a `background` step is over.
    BackgroundEnded {
        /// The step.
        step: StepId,
        /// Whether the engine ended it.
        expected: bool,
        /// How it ended, in words.
        reason: String,
    },
    /// A question is put to people.
    GateOpened {
        /// The step it is about.
        step: StepId,
        /// What it is about.
        gate: Gate,
        /// The question, rendered.
        prompt: String,
        /// Who may answer; empty: anyone.
        from: Vec<String>,
        /// How many distinct people must say yes.
        quorum: u32,
        /// Until when.
        expires_at: Option<Moment>,
        /// SHA-256 of what is approved.
        digest: String,
        /// One use of this question: an answer to another one doesn't fit.
        nonce: String,
        /// What the approver should see, rendered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        details: Option<String>,
        /// The words that answer it.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        words: Vec<String>,
        /// The items of a manual step.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        checklist: Vec<String>,
        /// Processes of an interrupted step that still run.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        survivors: Vec<LeakedProcess>,
        /// The options of a choice with what they mean, in order.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        options: IndexMap<String, String>,
        /// What is filled in with the answer, in order.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        fields: IndexMap<String, GateField>,
    },
    /// A person answered.
    GateAnswered {
        /// The step.
        step: StepId,
        /// The word.
        answer: String,
        /// The person.
        by: String,
        /// The operating system's user, where that isn't the person's name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// The way it came.
        via: Via,
        /// How sure that is.
        identity: Identity,
        /// Why.
        reason: Option<String>,
        /// Values for the gate's fields.
        fields: IndexMap<String, Value>,
        /// Notes, links and files.
        evidence: Vec<Evidence>,
        /// Items of a checklist that were ticked, from 1.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        items: Vec<u32>,
        /// Values for later steps, where a step was done by hand.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        outputs: IndexMap<String, Value>,
        /// Other values for the environment of a step that is tried again.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        env: IndexMap<String, String>,
        /// The answer's file in the run's inbox.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// A question is settled or taken back.
    GateClosed {
        /// The step.
        step: StepId,
        /// The word that settled it, or `expired`, `cancelled`, `void`.
        result: String,
        /// Why, where no answer did it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A step of the escalation was told.
    Escalated {
        /// The step.
        step: StepId,
        /// The channel.
        notify: String,
        /// The question whose own escalation it is; absent where it is the step's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gate: Option<Gate>,
    },
    /// A file was copied into the run.
    Artifact {
        /// The step.
        step: StepId,
        /// Where it was found, relative to the step's folder.
        path: String,
        /// Bytes.
        size: u64,
        /// Of its content, lower-case hex.
        sha256: String,
    },
    /// An input is no longer what the plan has seen.
    InputChanged {
        /// The step that names it.
        step: StepId,
        /// Its path.
        path: String,
        /// What it is now; absent where it is gone.
        sha256: Option<String>,
    },
    /// An undo begins.
    UndoStarted {
        /// The step that is undone.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// The command as people are shown it.
        command: Option<String>,
        /// SHA-256 over what is run, rendered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        digest: Option<String>,
        /// The machine's boot id, within which witnesses prove something.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        boot: Option<String>,
        /// The attempt's slot in the run's witness file, where a process runs it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slot: Option<u32>,
        /// Why there is another attempt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// An undo is over.
    UndoFinished {
        /// The step that was undone.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// How it ended.
        outcome: Outcome,
        /// Why, where it isn't plain success; begins with a word of `cli.md`'s list.
        reason: Option<String>,
        /// The command's exit status.
        #[serde(default)]
        exit_code: Option<i32>,
        /// The name of the signal that ended it; the exit code is then null.
        #[serde(default)]
        signal: Option<String>,
        /// Milliseconds by the monotonic clock.
        #[serde(default)]
        duration_ms: u64,
        /// Of the attempt's log; absent where nothing was printed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        log_sha256: Option<String>,
        /// Bytes of output that aren't in the log: left out by `log_limit`, or lost with a disk that took no more.
        #[serde(default, skip_serializing_if = "is_zero")]
        dropped_bytes: u64,
        /// Taken from the keeper's witness after the engine had died.
        #[serde(default, skip_serializing_if = "is_false")]
        recovered: bool,
        /// Who decided it, where a person did.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        by: Vec<String>,
    },
    /// A named lock is held.
    LockAcquired {
        /// Its name.
        lock: String,
        /// The step, or none for the whole run.
        step: Option<StepId>,
    },
    /// A step could start, and waits for its lock or its window.
    Waiting {
        /// The step.
        step: StepId,
        /// What for, in words; begins with `lock` or `window`.
        reason: String,
        /// Until when, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Moment>,
    },
    /// Somebody ran outside the window on purpose.
    WindowOverridden {
        /// The step whose window it is; absent: all windows of the run.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// A line that a person added to the timeline.
    Note {
        /// Who.
        by: String,
        /// The text.
        text: String,
    },
    /// Somebody asked for the run to end.
    CancelRequested {
        /// Who.
        by: String,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What was done is to be undone, whatever the runbook says of it.
        #[serde(default, skip_serializing_if = "is_false")]
        undo: bool,
    },
    /// The run waits for people, and no process waits with it.
    RunParked {
        /// The open gates.
        waiting_for: Vec<WaitingFor>,
    },
    /// The run is over.
    RunFinished {
        /// How.
        outcome: RunOutcome,
        /// Why, where no step says it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// The runbook's `outputs`, masked.
        #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
        outputs: IndexMap<String, Value>,
    },
    /// Ends a segment that was closed in order.
    Sealed {
        /// The hash of the line before.
        head: String,
    },
}
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

impl Event {
    /// Reads one line of a journal.
    ///
    /// # Errors
    /// Where the line is no JSON object of this shape, or of a kind that this
    /// version does not know: such a journal can be shown, never resumed.
    pub fn from_json(line: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Envelope {
            seq: u64,
            at: Moment,
            run: RunId,
        }
        let Envelope { seq, at, run } = serde_json::from_str(line)?;
        let kind = serde_json::from_str(line)?;
        Ok(Self { seq, at, run, kind })
    }
}

impl EventKind {
    /// The step it is about, where it is about one.
    #[must_use]
    pub fn step(&self) -> Option<&StepId> {
        match self {
            Self::Items { step, .. }
            | Self::Rewound { step, .. }
            | Self::StepStarted { step, .. }
            | Self::AttemptReissued { step, .. }
            | Self::StepFinished { step, .. }
            | Self::StepSkipped { step, .. }
            | Self::StepBlocked { step, .. }
            | Self::StepCancelled { step, .. }
            | Self::RetryScheduled { step, .. }
            | Self::DoneChecked { step, .. }
            | Self::Sample { step, .. }
            | Self::DeadlinePassed { step }
            | Self::Leaked { step, .. }
            | Self::BackgroundEnded { step, .. }
            | Self::GateOpened { step, .. }
            | Self::GateAnswered { step, .. }
            | Self::GateClosed { step, .. }
            | Self::Escalated { step, .. }
            | Self::Artifact { step, .. }
            | Self::InputChanged { step, .. }
            | Self::Waiting { step, .. }
            | Self::UndoStarted { step, .. }
            | Self::UndoFinished { step, .. } => Some(step),
            Self::LockAcquired { step, .. } | Self::WindowOverridden { step, .. } => step.as_ref(),
            Self::JournalOpened { .. }
            | Self::RunCreated { .. }
            | Self::RunResumed { .. }
            | Self::AnsweredAhead { .. }
            | Self::RunAdopted { .. }
            | Self::RunStopped { .. }
            | Self::Note { .. }
            | Self::CancelRequested { .. }
            | Self::RunParked { .. }
            | Self::RunFinished { .. }
            | Self::Sealed { .. } => None,
        }
    }
}
