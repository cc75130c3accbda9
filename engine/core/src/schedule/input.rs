//! What can happen to a run from outside, and under which circumstances.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;

use super::guard::Wishes;
use crate::event::{EventKind, Evidence, Gate, Identity, LeakedProcess, Outcome, Via};
use crate::id::StepId;
use crate::moment::Moment;
use crate::plan::Plan;
use crate::state::RunState;

/// Something that happened outside of the decisions.
#[derive(Debug, Clone)]
pub enum Input {
    /// The run was created; nothing of it has started.
    Started,
    /// Another process has taken the run on.
    Resumed {
        /// Who.
        by: String,
        /// Where.
        host: String,
        /// The program's version.
        version: String,
        /// What became of each attempt that ran when the last engine ended, and of
        /// each background command that lived then; one that isn't named lives on.
        found: Vec<(usize, Found)>,
        /// Inputs that are no longer what was approved: step, path, new hash.
        changed_inputs: Vec<(usize, String, Option<String>)>,
        /// What is recorded right behind the resume: locks that were taken for it,
        /// windows that were overridden.
        guards: Vec<EventKind>,
        /// Failed steps about which the question is put, by index.
        question: Vec<usize>,
        /// Answers that the command line gives to those questions.
        answers: Vec<Answer>,
        /// The step from which on all is to run again, by index, and who wants that.
        rewind: Option<(usize, String)>,
        /// The run is taken on only to be ended: who wants that, and why. Nothing of
        /// it starts then, and it can't end before it is taken on.
        cancel: Option<(String, Option<String>)>,
        /// The run is taken on only to undo what was done: `runbook rollback`.
        rollback: bool,
    },
    /// An attempt is over.
    Finished {
        /// The step, by index.
        step: usize,
        /// Its attempt.
        attempt: u32,
        /// What it came to.
        result: Box<AttemptResult>,
    },
    /// A step's `done_when` was looked at.
    Looked {
        /// The step, by index.
        step: usize,
        /// How many attempts there were before.
        attempt: u32,
        /// Whether it holds; none where nothing could be measured.
        done: Option<bool>,
        /// Why not, or why that isn't known.
        reason: Option<String>,
    },
    /// Something to be recorded that decides nothing: a sample, a note.
    Recorded(EventKind),
    /// Somebody answered a question.
    Answered(Box<Answer>),
    /// A moment that was waited for has come.
    Tick,
    /// The command of a background step is over.
    BackgroundEnded {
        /// The step, by index.
        step: usize,
        /// Whether the engine ended it.
        expected: bool,
        /// How, in words.
        reason: String,
    },
    /// A signal: nothing new starts, what runs is told.
    Stopped {
        /// Its name.
        signal: String,
    },
    /// Somebody wants the run to end that this process carries on.
    Cancelled {
        /// Who.
        by: String,
        /// Why.
        reason: Option<String>,
        /// What was done is to be undone without further questions.
        undo: bool,
    },
    /// The operator left the prompt: the run parks as if nobody were there.
    OperatorLeft,
}

/// What became of an attempt whose engine is gone (`engine.md` §4).
#[derive(Debug, Clone)]
pub enum Found {
    /// It runs; its end will be reported.
    StillRunning,
    /// It had not started, and now never will under its old slot.
    NeverStarted,
    /// Its end was witnessed.
    Ended(Box<AttemptResult>),
    /// Nobody knows.
    Unknown,
}

/// What an attempt came to.
#[derive(Debug, Clone, Default)]
pub struct AttemptResult {
    /// How it ended; `None` is a success.
    pub failure: Option<(Outcome, String)>,
    /// The command's exit status.
    pub exit_code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<String>,
    /// How long it took.
    pub duration_ms: u64,
    /// Values for later steps, masked.
    pub outputs: IndexMap<String, Value>,
    /// Of its log.
    pub log_sha256: Option<String>,
    /// Output left out of the log.
    pub dropped_bytes: u64,
    /// Taken from a witness.
    pub recovered: bool,
    /// What it measured.
    pub values: IndexMap<String, Value>,
    /// Expectations under `warn` that did not hold.
    pub warnings: Vec<String>,
    /// What outlived it.
    pub leaked: Vec<LeakedProcess>,
    /// Files that were kept.
    pub artifacts: Vec<KeptFile>,
    /// A number from 0 to 1 that shortens the delay of a retry.
    pub jitter: f64,
}

/// A file that was copied into the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptFile {
    /// Where it was found.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Of its content.
    pub sha256: String,
}

/// An answer to a question, whatever the surface it was given on.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The step that the question is about.
    pub step: StepId,
    /// The question's nonce, where the answerer has seen it.
    pub nonce: Option<String>,
    /// The digest of what the answerer has seen.
    pub digest: Option<String>,
    /// The word; empty where items are only ticked.
    pub word: String,
    /// The person.
    pub by: String,
    /// The way.
    pub via: Via,
    /// How sure that is.
    pub identity: Identity,
    /// Why.
    pub reason: Option<String>,
    /// Values for the gate's fields.
    pub fields: IndexMap<String, Value>,
    /// Items to tick, from 1.
    pub items: Vec<u32>,
    /// Tick all the rest with `done`.
    pub all_items: bool,
    /// Notes, links, files.
    pub evidence: Vec<Evidence>,
    /// Values for later steps.
    pub outputs: IndexMap<String, Value>,
    /// Other values for the environment of a step that is tried again.
    pub env: IndexMap<String, String>,
    /// Its file in the inbox.
    pub file: Option<String>,
}

/// Why an answer or a request is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which exit status it has.
    pub kind: RefusalKind,
    /// What to say.
    pub message: String,
}

/// The families of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The words are off: exit 2.
    Usage,
    /// It may not be: exit 5.
    NotAllowed,
    /// It is so already: exit 0, and the record stays as it was.
    Unchanged,
    /// A decision is needed and nobody can be asked: exit 7.
    Undecided,
}

impl Refusal {
    /// A refusal of words that are off.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Usage, message: message.into() }
    }

    /// What is asked for is so already.
    #[must_use]
    pub fn unchanged(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::Unchanged, message: message.into() }
    }

    /// A refusal of what may not be.
    #[must_use]
    pub fn not_allowed(message: impl Into<String>) -> Self {
        Self { kind: RefusalKind::NotAllowed, message: message.into() }
    }
}

/// Who is there to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attendance {
    /// Somebody sits at the terminal.
    Operator,
    /// Nobody, but the process stays until somebody answers elsewhere.
    Waiting,
    /// Nobody: a run that needs a person parks.
    Nobody,
}

/// What the decisions may know of the world.
pub struct Circumstances<'a> {
    /// The wall clock.
    pub now: Moment,
    /// Who is there.
    pub attendance: Attendance,
    /// Whether an `interactive` step can have the terminal.
    pub terminal: Terminal,
    /// The machine's boot id.
    pub boot: &'a str,
    /// Bounds the plan's `max_parallel`, where the command line does.
    pub max_parallel: Option<u32>,
    /// Processes of interrupted steps that still run, by step.
    pub survivors: &'a BTreeMap<usize, Vec<LeakedProcess>>,
    /// What came of the locks that steps want, by step.
    pub locks: &'a BTreeMap<usize, LockStanding>,
    /// Evaluates and renders the plan's texts.
    pub renderer: &'a dyn Renderer,
}

/// Whether an `interactive` step can have the operator's terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// There is none, or nobody is at it.
    Absent,
    /// A question stands on it.
    Busy,
    /// It can be lent.
    Free,
}

/// What came of taking a step's lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockStanding {
    /// It is being tried.
    Asked,
    /// This process has it.
    Taken,
    /// Another run has it, as the words say.
    Busy(String),
}

/// Evaluates and renders the plan's texts against a state. Errors are one line
/// that says what is wrong.
pub trait Renderer {
    /// Whether the step's `when` holds.
    ///
    /// # Errors
    /// Where it can't be evaluated or isn't a boolean.
    fn when(&self, plan: &Plan, state: &RunState, step: usize) -> Result<bool, String>;

    /// The step's command as people are shown it.
    ///
    /// # Errors
    /// Where a template in it can't be rendered.
    fn shown(&self, plan: &Plan, state: &RunState, step: usize) -> Result<Shown, String>;

    /// When the step's `wait` is over, if it starts now; none where it is no `wait`.
    ///
    /// # Errors
    /// Where a template in it can't be rendered or gives no moment.
    fn wait_end(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        now: Moment,
    ) -> Result<Option<Moment>, String>;

    /// The name of the step's lock.
    ///
    /// # Errors
    /// Where it can't be rendered.
    fn lock(&self, plan: &Plan, _state: &RunState, step: usize) -> Result<String, String> {
        Ok(plan.steps[step].guards.lock.as_ref().map_or_else(String::new, |lock| lock.name.clone()))
    }

    /// The texts of a question of the step: its own, or the one that is put before it.
    ///
    /// # Errors
    /// Where a template in it can't be rendered, or an expression gives no list.
    fn question(
        &self,
        plan: &Plan,
        state: &RunState,
        step: usize,
        gate: Gate,
    ) -> Result<RenderedQuestion, String>;

    /// The items of a step that runs once per item.
    ///
    /// # Errors
    /// Where they can't be evaluated or aren't a list.
    fn items(&self, plan: &Plan, state: &RunState, step: usize) -> Result<Vec<Value>, String>;

    /// What a group or call gives at its end.
    ///
    /// # Errors
    /// Where an expression can't be evaluated.
    fn results(&self, plan: &Plan, state: &RunState, step: usize) -> Result<IndexMap<String, Value>, String>;

    /// Whether a group's `until` holds after a round.
    ///
    /// # Errors
    /// Where it can't be evaluated or isn't a boolean.
    fn until(&self, plan: &Plan, state: &RunState, step: usize) -> Result<bool, String>;

    /// The runbook's `outputs` at its end; those that can't be evaluated are left out.
    fn outputs(&self, plan: &Plan, state: &RunState) -> IndexMap<String, Value>;
}

/// A command as it is shown and recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shown {
    /// For people; absent where the step has none.
    pub command: Option<String>,
    /// SHA-256 of what is run.
    pub digest: Option<String>,
}

/// The texts of a question.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RenderedQuestion {
    /// What is asked.
    pub prompt: String,
    /// What should be seen.
    pub details: Option<String>,
    /// The items of a manual step.
    pub checklist: Vec<String>,
    /// The options of a choice with what they mean; what it means may be empty.
    pub options: Vec<(String, String)>,
    /// The choices of its fields that an expression gives.
    pub choices: IndexMap<String, Vec<String>>,
    /// Prompt and details with marks for what is of the run and not of what is approved (`run.*`); empty where neither shows any.
    pub without_run: Vec<String>,
}

/// What follows from an input.
#[derive(Debug, Default)]
pub struct Decision {
    /// The events, in order, already applied to the state.
    pub events: Vec<EventKind>,
    /// The background commands are to be ended, so that the run can end or park.
    pub end_backgrounds: bool,
    /// What guarded steps need to start.
    pub wishes: Wishes,
    /// The input was not taken.
    pub refusal: Option<Refusal>,
}
