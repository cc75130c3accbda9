//! Where a run stands: the fold of its events, and nothing else.
//!
//! [`RunState::apply`] is the only thing that changes a state. A live run and a
//! replay of its journal go through it alike, so a resumed run knows exactly
//! what the run knew when it was cut off (`engine.md` §1).
//!
//! ```text
//!             ┌────────────── retry_scheduled ◄────────────┐
//!             ▼                                            │
//! pending ─► delayed ─► running ─► step_finished ─► ended(failed)
//!    │                     ▲ │                      ended(succeeded …)
//!    │  step_started ──────┘ └─► ended(interrupted) ─ gate_closed ─► pending | ended
//!    └─► step_skipped | step_blocked | step_cancelled ─► ended
//! ```

use std::collections::{BTreeMap, BTreeSet, HashMap};

use indexmap::IndexMap;
use serde_json::Value;

use crate::event::{
    AheadAnswer, EventKind, Evidence, Gate, Identity, LeakedProcess, Outcome, RunOutcome, Via, WaitingFor,
};
use crate::id::StepId;
use crate::moment::Moment;
use crate::plan::{OnFailure, Plan};

/// An event that can't follow what came before: a damaged journal on resume, a
/// bug in a live run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IllegalEvent {
    /// It names a step that the plan doesn't have.
    #[error("`{kind}` names the step `{step}`, which the plan doesn't have")]
    UnknownStep {
        /// The event's kind.
        kind: &'static str,
        /// The step.
        step: StepId,
    },
    /// It isn't a legal transition.
    #[error("`{kind}` of `{step}` can't follow here: the step is {status}")]
    Transition {
        /// The event's kind.
        kind: &'static str,
        /// The step.
        step: StepId,
        /// What the step is.
        status: String,
    },
    /// It says something about a run that contradicts what came before.
    #[error("`{kind}` can't follow here: {why}")]
    Run {
        /// The event's kind.
        kind: &'static str,
        /// Why.
        why: &'static str,
    },
    /// The feature is not of this version.
    #[error("`{kind}` is not supported yet")]
    Unsupported {
        /// The event's kind.
        kind: &'static str,
    },
}

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
}

/// What is known of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepState {
    /// Where it stands.
    pub status: Status,
    /// Attempts started so far, over all resumes.
    pub attempts: u32,
    /// Attempts since a person or a resume last let it start: what `retry` counts.
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
    /// How many questions were put about it: part of the next one's nonce.
    pub gates_opened: u32,
}

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
}

/// Where a run stands.
#[derive(Debug, Clone)]
pub struct RunState {
    index: HashMap<StepId, usize>,
    dependents: Vec<Vec<usize>>,
    needs_unmet: Vec<u32>,
    /// Whether the dependents of a step count it as passed.
    counted: Vec<bool>,
    /// One for each step of the plan, in its order.
    pub steps: Vec<StepState>,
    /// Open questions by step.
    pub gates: BTreeMap<usize, OpenGate>,
    /// Steps that are pending with all that they need passed.
    pub ready: BTreeSet<usize>,
    /// Steps with an attempt that runs, gates not included.
    pub running: BTreeSet<usize>,
    /// Steps whose next attempt waits for its time.
    pub delayed: BTreeSet<usize>,
    /// Steps that stop the run: failed with `stop` and not in question, or rejected.
    pub failing: BTreeSet<usize>,
    /// Steps of which it isn't known how they ended.
    pub interrupted: BTreeSet<usize>,
    /// Background commands that live.
    pub backgrounds: BTreeSet<usize>,
    /// Steps that are neither pending, running nor delayed.
    ended_count: [usize; 2],
    step_count: [usize; 2],
    /// Who started it, and when: the run's facts.
    pub created: Option<Created>,
    /// The next free slot of the witness file.
    pub next_slot: u32,
    /// Who asked for its end, and why.
    pub cancel: Option<(String, Option<String>)>,
    /// Somebody answered `abort`.
    pub aborted: Option<String>,
    /// A background command that died early.
    pub background_failure: Option<String>,
    /// The signal that stopped the last engine.
    pub stopped: Option<String>,
    /// The gates that it was parked for.
    pub parked: Option<Vec<WaitingFor>>,
    /// How it ended.
    pub outcome: Option<RunOutcome>,
    /// When it ended.
    pub finished_at: Option<Moment>,
    /// Why, where no step says it.
    pub finish_reason: Option<String>,
    /// Inputs that are no longer what the plan has seen: (step, path) to SHA-256.
    pub changed_inputs: BTreeMap<(usize, String), Option<String>>,
    /// How often it was resumed.
    pub resumes: u32,
    /// Ahead-of-time answers not used yet.
    pub ahead: Vec<AheadAnswer>,
}

/// What the run's first event says.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The runbook.
    pub runbook: String,
    /// The plan's digest.
    pub plan_digest: String,
    /// Who.
    pub user: String,
    /// Where.
    pub host: String,
    /// When.
    pub at: Moment,
    /// Whether somebody could be asked then.
    pub interactive: bool,
    /// Of `environment.json`.
    pub environment_digest: Option<String>,
}

impl Status {
    fn describe(&self) -> String {
        match self {
            Self::Pending => "not started".into(),
            Self::Running(attempt) => format!("running its attempt {}", attempt.number),
            Self::Delayed { .. } => "waiting for its next attempt".into(),
            Self::Ended(outcome) => outcome.to_string(),
        }
    }
}

impl StepState {
    fn new() -> Self {
        Self {
            status: Status::Pending,
            attempts: 0,
            attempts_in_round: 0,
            result: StepResult::default(),
            why: None,
            started_at: None,
            finished_at: None,
            artifacts: IndexMap::new(),
            gates_opened: 0,
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
}

impl RunState {
    /// The state before the first event.
    #[must_use]
    pub fn new(plan: &Plan) -> Self {
        let mut dependents = vec![Vec::new(); plan.steps.len()];
        let mut step_count = [0, 0];
        for (index, step) in plan.steps.iter().enumerate() {
            step_count[usize::from(step.finally)] += 1;
            for need in &step.needs {
                dependents[*need].push(index);
            }
        }
        let mut state = Self {
            index: plan.steps.iter().enumerate().map(|(i, step)| (step.id.clone(), i)).collect(),
            dependents,
            needs_unmet: Vec::new(),
            counted: Vec::new(),
            steps: plan.steps.iter().map(|_| StepState::new()).collect(),
            gates: BTreeMap::new(),
            ready: BTreeSet::new(),
            running: BTreeSet::new(),
            delayed: BTreeSet::new(),
            failing: BTreeSet::new(),
            interrupted: BTreeSet::new(),
            backgrounds: BTreeSet::new(),
            ended_count: [0, 0],
            step_count,
            created: None,
            next_slot: 0,
            cancel: None,
            aborted: None,
            background_failure: None,
            stopped: None,
            parked: None,
            outcome: None,
            finished_at: None,
            finish_reason: None,
            changed_inputs: BTreeMap::new(),
            resumes: 0,
            ahead: Vec::new(),
        };
        state.reindex(plan);
        state
    }

    /// The step with this id.
    #[must_use]
    pub fn index_of(&self, id: &StepId) -> Option<usize> {
        self.index.get(id).copied()
    }

    /// Whether every step outside `finally` is over.
    #[must_use]
    pub fn main_is_over(&self) -> bool {
        self.ended_count[0] == self.step_count[0]
    }

    /// Whether every step of `finally` is over, too.
    #[must_use]
    pub fn all_is_over(&self) -> bool {
        self.main_is_over() && self.ended_count[1] == self.step_count[1]
    }

    /// Whether a step lets those that need it go on (`language.md` §2).
    #[must_use]
    pub fn passed(&self, plan: &Plan, index: usize) -> bool {
        if self.gates.contains_key(&index) {
            return false;
        }
        match self.steps[index].status {
            Status::Ended(Outcome::Succeeded | Outcome::Skipped) => true,
            Status::Ended(Outcome::Failed) => plan.steps[index].on_failure != OnFailure::Stop,
            Status::Ended(
                Outcome::Rejected | Outcome::Blocked | Outcome::Cancelled | Outcome::Interrupted,
            )
            | Status::Pending
            | Status::Running(_)
            | Status::Delayed { .. } => false,
        }
    }

    /// How the run would end if it ended now: the first that applies of
    /// cancelled, rejected, failed and succeeded (`language.md` §2).
    #[must_use]
    pub fn verdict(&self, plan: &Plan) -> RunOutcome {
        let failed = |(step, known): (&crate::plan::Step, &StepState)| match known.outcome() {
            Some(Outcome::Failed) => step.on_failure != OnFailure::Warn,
            Some(Outcome::Blocked | Outcome::Cancelled | Outcome::Interrupted) => true,
            Some(Outcome::Succeeded | Outcome::Skipped | Outcome::Rejected) | None => false,
        };
        if self.cancel.is_some() {
            RunOutcome::Cancelled
        } else if self.steps.iter().any(|step| step.outcome() == Some(Outcome::Rejected)) {
            RunOutcome::Rejected
        } else if self.aborted.is_some()
            || self.background_failure.is_some()
            || plan.steps.iter().zip(&self.steps).any(failed)
        {
            RunOutcome::Failed
        } else {
            RunOutcome::Succeeded
        }
    }

    /// Takes in one event that has happened.
    ///
    /// # Errors
    /// Where it can't follow what came before; the state is then unchanged.
    pub fn apply(&mut self, plan: &Plan, at: Moment, kind: &EventKind) -> Result<(), IllegalEvent> {
        let name = kind_name(kind);
        let index = match kind.step() {
            None => None,
            Some(id) => Some(
                self.index_of(id)
                    .ok_or_else(|| IllegalEvent::UnknownStep { kind: name, step: id.clone() })?,
            ),
        };
        match (kind, index) {
            (
                EventKind::RunCreated {
                    runbook,
                    plan_digest,
                    user,
                    host,
                    interactive,
                    environment_digest,
                    ahead,
                    ..
                },
                _,
            ) => {
                if self.created.is_some() {
                    return Err(IllegalEvent::Run { kind: name, why: "the run exists already" });
                }
                self.created = Some(Created {
                    runbook: runbook.clone(),
                    plan_digest: plan_digest.clone(),
                    user: user.clone(),
                    host: host.clone(),
                    at,
                    interactive: *interactive,
                    environment_digest: environment_digest.clone(),
                });
                self.ahead.clone_from(ahead);
            }
            (EventKind::RunResumed { .. }, _) => self.resumed(plan),
            (EventKind::RunStopped { signal }, _) => self.stopped = Some(signal.clone()),
            (EventKind::RunParked { waiting_for }, _) => self.parked = Some(waiting_for.clone()),
            (EventKind::CancelRequested { by, reason }, _) => {
                self.cancel = Some((by.clone(), reason.clone()))
            }
            (EventKind::RunFinished { outcome, reason, .. }, _) => {
                if self.outcome.is_some() {
                    return Err(IllegalEvent::Run { kind: name, why: "the run has ended already" });
                }
                self.outcome = Some(*outcome);
                self.finish_reason.clone_from(reason);
                self.finished_at = Some(at);
            }
            (EventKind::Artifact { path, sha256, .. }, Some(i)) => {
                self.steps[i].artifacts.insert(path.clone(), sha256.clone());
            }
            (EventKind::InputChanged { path, sha256, .. }, Some(i)) => {
                self.changed_inputs.insert((i, path.clone()), sha256.clone());
            }
            (EventKind::GateOpened { .. }, Some(i)) => self.gate_opened(name, plan, i, at, kind)?,
            (EventKind::GateAnswered { .. }, Some(i)) => self.gate_answered(name, plan, i, at, kind)?,
            (EventKind::GateClosed { result, reason, .. }, Some(i)) => {
                self.gate_closed(name, plan, i, at, result, reason.as_deref())?;
            }
            (EventKind::BackgroundEnded { expected, reason, .. }, Some(i)) => {
                self.backgrounds.remove(&i);
                if !expected {
                    self.background_failure = Some(format!(
                        "the background command of `{}` ended early: {reason}",
                        plan.steps[i].id
                    ));
                }
            }
            (
                EventKind::StepStarted { .. }
                | EventKind::AttemptReissued { .. }
                | EventKind::StepFinished { .. }
                | EventKind::StepSkipped { .. }
                | EventKind::StepBlocked { .. }
                | EventKind::StepCancelled { .. }
                | EventKind::RetryScheduled { .. },
                Some(i),
            ) => self.step_moved(name, plan, i, at, kind)?,
            (
                EventKind::JournalOpened { .. }
                | EventKind::Sealed { .. }
                | EventKind::Note { .. }
                | EventKind::Sample { .. }
                | EventKind::Leaked { .. }
                | EventKind::DeadlinePassed { .. }
                | EventKind::Escalated { .. },
                _,
            ) => {}
            (
                EventKind::RunAdopted { .. }
                | EventKind::Items { .. }
                | EventKind::UndoStarted { .. }
                | EventKind::UndoFinished { .. }
                | EventKind::LockAcquired { .. }
                | EventKind::WindowOverridden { .. },
                _,
            ) => return Err(IllegalEvent::Unsupported { kind: name }),
            (_, None) => return Err(IllegalEvent::Run { kind: name, why: "it names no step" }),
        }
        Ok(())
    }

    /// The transitions of one step: the state machine at the top of this page.
    fn step_moved(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        kind: &EventKind,
    ) -> Result<(), IllegalEvent> {
        let illegal = |state: &Self| {
            Err(IllegalEvent::Transition {
                kind: name,
                step: plan.steps[i].id.clone(),
                status: state.steps[i].status.describe(),
            })
        };
        let next = match (&self.steps[i].status, kind) {
            (
                Status::Pending
                | Status::Delayed { .. }
                | Status::Ended(Outcome::Interrupted | Outcome::Succeeded),
                EventKind::StepStarted { attempt, slot, boot, why, .. },
            ) => {
                // A finished step starts again only where its record says why.
                let again = matches!(self.steps[i].status, Status::Ended(_));
                if *attempt != self.steps[i].attempts + 1 || (again && why.is_none()) {
                    return illegal(self);
                }
                let step = &mut self.steps[i];
                step.attempts += 1;
                step.attempts_in_round += 1;
                step.why = None;
                step.started_at.get_or_insert(at);
                if let Some(slot) = slot {
                    self.next_slot = self.next_slot.max(slot + 1);
                }
                Status::Running(Attempt { number: *attempt, slot: *slot, boot: boot.clone(), started_at: at })
            }
            (Status::Running(running), EventKind::AttemptReissued { attempt, slot, boot, .. }) => {
                if running.number != *attempt {
                    return illegal(self);
                }
                self.next_slot = self.next_slot.max(slot + 1);
                Status::Running(Attempt { slot: Some(*slot), boot: Some(boot.clone()), ..running.clone() })
            }
            (
                Status::Running(running),
                EventKind::StepFinished {
                    attempt,
                    outcome,
                    reason,
                    exit_code,
                    signal,
                    duration_ms,
                    outputs,
                    log_sha256,
                    recovered,
                    by,
                    choice,
                    fields,
                    values,
                    ..
                },
            ) => {
                if running.number != *attempt {
                    return illegal(self);
                }
                let step = &mut self.steps[i];
                step.finished_at = Some(at);
                step.result = StepResult {
                    attempt: *attempt,
                    reason: reason.clone(),
                    exit_code: *exit_code,
                    signal: signal.clone(),
                    duration_ms: *duration_ms,
                    outputs: outputs.clone(),
                    log_sha256: log_sha256.clone(),
                    by: by.clone(),
                    choice: choice.clone(),
                    fields: fields.clone(),
                    values: values.clone(),
                    recovered: *recovered,
                };
                if *outcome == Outcome::Succeeded && plan.steps[i].action.is_background() {
                    self.backgrounds.insert(i);
                }
                Status::Ended(*outcome)
            }
            (Status::Ended(Outcome::Failed), EventKind::RetryScheduled { due_at, .. }) => {
                Status::Delayed { due_at: *due_at }
            }
            (
                Status::Pending
                | Status::Ended(Outcome::Failed | Outcome::Interrupted | Outcome::Cancelled | Outcome::Blocked),
                EventKind::StepSkipped { reason, by, .. },
            ) => {
                let step = &mut self.steps[i];
                step.finished_at = Some(at);
                step.result.reason = Some(reason.clone());
                step.result.by = by.iter().cloned().collect();
                Status::Ended(Outcome::Skipped)
            }
            (Status::Pending, EventKind::StepBlocked { needs, .. }) => {
                self.steps[i].result.reason = Some(format!("needs {needs}"));
                Status::Ended(Outcome::Blocked)
            }
            (Status::Pending | Status::Delayed { .. }, EventKind::StepCancelled { reason, .. }) => {
                self.steps[i].result.reason = Some(reason.clone());
                Status::Ended(Outcome::Cancelled)
            }
            _ => return illegal(self),
        };
        self.set_status(plan, i, next);
        Ok(())
    }

    fn gate_opened(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        kind: &EventKind,
    ) -> Result<(), IllegalEvent> {
        let EventKind::GateOpened {
            gate,
            prompt,
            details,
            from,
            quorum,
            expires_at,
            digest,
            nonce,
            words,
            checklist,
            survivors,
            ..
        } = kind
        else {
            return Ok(());
        };
        if self.gates.contains_key(&i) {
            return Err(IllegalEvent::Run { kind: name, why: "a gate of this step is open already" });
        }
        self.steps[i].gates_opened += 1;
        self.failing.remove(&i);
        self.gates.insert(
            i,
            OpenGate {
                gate: *gate,
                prompt: prompt.clone(),
                details: details.clone(),
                from: from.clone(),
                quorum: *quorum,
                expires_at: *expires_at,
                digest: digest.clone(),
                nonce: nonce.clone(),
                words: words.clone(),
                checklist: checklist.clone(),
                ticked: BTreeMap::new(),
                answers: Vec::new(),
                opened_at: at,
                survivors: survivors.clone(),
            },
        );
        self.recount(plan, i);
        Ok(())
    }

    fn gate_answered(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        kind: &EventKind,
    ) -> Result<(), IllegalEvent> {
        let EventKind::GateAnswered {
            answer,
            by,
            via,
            identity,
            reason,
            fields,
            evidence,
            items,
            outputs,
            ..
        } = kind
        else {
            return Ok(());
        };
        let Some(gate) = self.gates.get_mut(&i) else {
            return Err(IllegalEvent::Run { kind: name, why: "no gate of this step is open" });
        };
        for item in items {
            gate.ticked.entry(*item).or_insert_with(|| (by.clone(), at));
        }
        gate.answers.push(GivenAnswer {
            word: answer.clone(),
            by: by.clone(),
            via: *via,
            identity: *identity,
            reason: reason.clone(),
            fields: fields.clone(),
            evidence: evidence.clone(),
            outputs: outputs.clone(),
            at,
        });
        if *via == Via::Ahead {
            self.ahead.retain(|ahead| ahead.step != plan.steps[i].id);
        }
        Ok(())
    }

    /// A question is settled. What that does to the step depends on the word:
    /// the questions about a step that has ended move it; those of a step that
    /// runs are followed by its `step_finished`.
    fn gate_closed(
        &mut self,
        name: &'static str,
        plan: &Plan,
        i: usize,
        at: Moment,
        result: &str,
        reason: Option<&str>,
    ) -> Result<(), IllegalEvent> {
        let Some(gate) = self.gates.remove(&i) else {
            // An approval that was given is taken back: what it was bound to has changed.
            let given = plan.steps[i].action.question().is_some_and(|(gate, _)| gate == Gate::Approve)
                && self.steps[i].outcome() == Some(Outcome::Succeeded);
            if result == "void" && given {
                self.steps[i].why =
                    Some(format!("the approval is void: {}", reason.unwrap_or("it has changed")));
                self.set_status(plan, i, Status::Pending);
                return Ok(());
            }
            return Err(IllegalEvent::Run { kind: name, why: "no gate of this step is open" });
        };
        let decided = gate.answers.last();
        let next = match (gate.gate, result) {
            (Gate::Failure | Gate::Interrupted, "retry") => {
                let step = &mut self.steps[i];
                step.attempts_in_round = 0;
                step.why = decided.map(|answer| {
                    let way = match answer.via {
                        Via::Resume => "resume --retry",
                        Via::Terminal | Via::Command | Via::Ahead => "answered retry",
                    };
                    format!("{way} by {}", answer.by)
                });
                Status::Pending
            }
            (Gate::Failure | Gate::Interrupted, "done") => {
                let step = &mut self.steps[i];
                step.finished_at = Some(at);
                if let Some(answer) = decided {
                    step.result.by = vec![answer.by.clone()];
                    step.result.reason =
                        Some(format!("operator: done by hand: {}", answer.reason.as_deref().unwrap_or("")));
                    step.result.outputs.extend(answer.outputs.clone());
                }
                Status::Ended(Outcome::Succeeded)
            }
            (Gate::Interrupted, "failed") => {
                let step = &mut self.steps[i];
                if let Some(answer) = decided {
                    step.result.by = vec![answer.by.clone()];
                    step.result.reason =
                        Some(format!("operator: {}", answer.reason.as_deref().unwrap_or("")));
                }
                Status::Ended(Outcome::Failed)
            }
            (Gate::Failure | Gate::Interrupted, "abort") => {
                self.aborted = Some(plan.steps[i].id.to_string());
                Status::Ended(Outcome::Failed)
            }
            _ => self.steps[i].status.clone(),
        };
        self.set_status(plan, i, next);
        Ok(())
    }

    /// Another process takes the run on: what was held back may go on, and a
    /// run that had ended does its `finally` again.
    fn resumed(&mut self, plan: &Plan) {
        let had_ended = self.outcome.take().is_some();
        self.finished_at = None;
        self.finish_reason = None;
        self.parked = None;
        self.stopped = None;
        self.aborted = None;
        self.background_failure = None;
        self.resumes += 1;
        if had_ended {
            self.cancel = None;
        }
        for (step, state) in plan.steps.iter().zip(&mut self.steps) {
            let held_back = matches!(state.status, Status::Ended(Outcome::Blocked))
                || (matches!(state.status, Status::Ended(Outcome::Cancelled)) && !was_cut_off(state));
            if held_back && self.cancel.is_none() {
                state.status = Status::Pending;
                state.result.reason = None;
            }
            if had_ended && step.finally && matches!(state.status, Status::Ended(_)) {
                state.status = Status::Pending;
                state.attempts_in_round = 0;
                state.why = Some("the run went on after it had ended".into());
            }
            // A stop ended it while it ran: how much of it took effect isn't known.
            if was_cut_off(state) && self.cancel.is_none() {
                state.status = Status::Ended(Outcome::Interrupted);
            }
        }
        self.reindex(plan);
    }

    fn set_status(&mut self, plan: &Plan, i: usize, next: Status) {
        self.unlist(plan, i);
        self.steps[i].status = next;
        self.list(plan, i);
        self.recount(plan, i);
    }

    /// Tells the dependents of a step whether it lets them go on now.
    fn recount(&mut self, plan: &Plan, i: usize) {
        let passed = self.passed(plan, i);
        if self.counted[i] == passed {
            return;
        }
        self.counted[i] = passed;
        for d in 0..self.dependents[i].len() {
            let dependent = self.dependents[i][d];
            if passed {
                self.needs_unmet[dependent] -= 1;
            } else {
                self.needs_unmet[dependent] += 1;
            }
            self.list_ready(dependent);
        }
    }

    fn unlist(&mut self, plan: &Plan, i: usize) {
        self.running.remove(&i);
        self.delayed.remove(&i);
        self.failing.remove(&i);
        self.interrupted.remove(&i);
        if matches!(self.steps[i].status, Status::Ended(_)) {
            self.ended_count[usize::from(plan.steps[i].finally)] -= 1;
        }
    }

    fn list(&mut self, plan: &Plan, i: usize) {
        match &self.steps[i].status {
            Status::Pending => {}
            Status::Running(_) => {
                if plan.steps[i].action.takes_slot() {
                    self.running.insert(i);
                }
            }
            Status::Delayed { .. } => {
                self.delayed.insert(i);
            }
            Status::Ended(outcome) => {
                self.ended_count[usize::from(plan.steps[i].finally)] += 1;
                let stops = match outcome {
                    Outcome::Rejected => true,
                    Outcome::Failed => plan.steps[i].on_failure == OnFailure::Stop,
                    Outcome::Cancelled => was_cut_off(&self.steps[i]),
                    Outcome::Succeeded | Outcome::Skipped | Outcome::Blocked | Outcome::Interrupted => false,
                };
                if stops && !self.gates.contains_key(&i) {
                    self.failing.insert(i);
                }
                if *outcome == Outcome::Interrupted {
                    self.interrupted.insert(i);
                }
            }
        }
        self.list_ready(i);
    }

    fn list_ready(&mut self, i: usize) {
        if self.steps[i].status == Status::Pending && self.needs_unmet[i] == 0 {
            self.ready.insert(i);
        } else {
            self.ready.remove(&i);
        }
    }

    /// Builds the derived sets anew: at the start, and where many steps change.
    fn reindex(&mut self, plan: &Plan) {
        self.ready.clear();
        self.running.clear();
        self.delayed.clear();
        self.failing.clear();
        self.interrupted.clear();
        self.ended_count = [0, 0];
        self.counted = (0..plan.steps.len()).map(|i| self.passed(plan, i)).collect();
        self.needs_unmet = plan
            .steps
            .iter()
            .map(|step| {
                u32::try_from(step.needs.iter().filter(|need| !self.counted[**need]).count())
                    .unwrap_or(u32::MAX)
            })
            .collect();
        for i in 0..plan.steps.len() {
            self.list(plan, i);
        }
    }
}

/// Whether a stop of the run ended this step while it ran.
fn was_cut_off(state: &StepState) -> bool {
    matches!(state.status, Status::Ended(Outcome::Cancelled))
        && state.result.attempt > 0
        && state.result.reason.as_deref().is_some_and(|reason| reason.starts_with("stopped"))
}

/// The name of an event's kind, for messages.
#[must_use]
pub fn kind_name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::JournalOpened { .. } => "journal_opened",
        EventKind::RunCreated { .. } => "run_created",
        EventKind::RunResumed { .. } => "run_resumed",
        EventKind::RunAdopted { .. } => "run_adopted",
        EventKind::RunStopped { .. } => "run_stopped",
        EventKind::Items { .. } => "items",
        EventKind::StepStarted { .. } => "step_started",
        EventKind::AttemptReissued { .. } => "attempt_reissued",
        EventKind::StepFinished { .. } => "step_finished",
        EventKind::StepSkipped { .. } => "step_skipped",
        EventKind::StepBlocked { .. } => "step_blocked",
        EventKind::StepCancelled { .. } => "step_cancelled",
        EventKind::RetryScheduled { .. } => "retry_scheduled",
        EventKind::Sample { .. } => "sample",
        EventKind::DeadlinePassed { .. } => "deadline_passed",
        EventKind::Leaked { .. } => "leaked",
        EventKind::BackgroundEnded { .. } => "background_ended",
        EventKind::GateOpened { .. } => "gate_opened",
        EventKind::GateAnswered { .. } => "gate_answered",
        EventKind::GateClosed { .. } => "gate_closed",
        EventKind::Escalated { .. } => "escalated",
        EventKind::Artifact { .. } => "artifact",
        EventKind::InputChanged { .. } => "input_changed",
        EventKind::UndoStarted { .. } => "undo_started",
        EventKind::UndoFinished { .. } => "undo_finished",
        EventKind::LockAcquired { .. } => "lock_acquired",
        EventKind::WindowOverridden { .. } => "window_overridden",
        EventKind::Note { .. } => "note",
        EventKind::CancelRequested { .. } => "cancel_requested",
        EventKind::RunParked { .. } => "run_parked",
        EventKind::RunFinished { .. } => "run_finished",
        EventKind::Sealed { .. } => "sealed",
    }
}
