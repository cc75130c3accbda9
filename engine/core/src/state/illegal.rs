//! What can't have happened.

use crate::event::EventKind;
use crate::id::StepId;

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

/// The name of an event's kind, for messages.
#[must_use]
pub fn kind_name(kind: &EventKind) -> &'static str {
    match kind {
        EventKind::JournalOpened { .. } => "journal_opened",
        EventKind::RunCreated { .. } => "run_created",
        EventKind::RunResumed { .. } => "run_resumed",
        EventKind::AnsweredAhead { .. } => "answered_ahead",
        EventKind::RunAdopted { .. } => "run_adopted",
        EventKind::Rewound { .. } => "rewound",
        EventKind::RunStopped { .. } => "run_stopped",
        EventKind::Items { .. } => "items",
        EventKind::StepStarted { .. } => "step_started",
        EventKind::AttemptReissued { .. } => "attempt_reissued",
        EventKind::StepFinished { .. } => "step_finished",
        EventKind::StepSkipped { .. } => "step_skipped",
        EventKind::StepBlocked { .. } => "step_blocked",
        EventKind::StepCancelled { .. } => "step_cancelled",
        EventKind::DoneChecked { .. } => "done_checked",
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
        EventKind::Waiting { .. } => "waiting",
        EventKind::WindowOverridden { .. } => "window_overridden",
        EventKind::Note { .. } => "note",
        EventKind::CancelRequested { .. } => "cancel_requested",
        EventKind::RunParked { .. } => "run_parked",
        EventKind::RunFinished { .. } => "run_finished",
        EventKind::Sealed { .. } => "sealed",
    }
}
