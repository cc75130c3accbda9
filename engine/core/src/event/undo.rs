//! The start and end of an undo are those of a step under another name.

use indexmap::IndexMap;

use super::EventKind;

impl EventKind {
    /// The start or end of an undo as that of a step: one set of rules for both.
    #[must_use]
    pub(crate) fn undo_as_step(&self) -> Option<Self> {
        // Asked of every event: only what is wanted is copied.
        if !matches!(self, Self::UndoStarted { .. } | Self::UndoFinished { .. }) {
            return None;
        }
        match self.clone() {
            Self::UndoStarted { step, attempt, command, digest, boot, slot, why } => {
                Some(Self::StepStarted { step, attempt, command, digest, boot, slot, why, until: None })
            }
            Self::UndoFinished {
                step,
                attempt,
                outcome,
                reason,
                exit_code,
                signal,
                duration_ms,
                log_sha256,
                dropped_bytes,
                recovered,
                by,
            } => Some(Self::StepFinished {
                step,
                attempt,
                outcome,
                reason,
                exit_code,
                signal,
                duration_ms,
                outputs: IndexMap::new(),
                log_sha256,
                dropped_bytes,
                recovered,
                by,
                choice: None,
                fields: IndexMap::new(),
                values: IndexMap::new(),
                warnings: Vec::new(),
            }),
            _ => None,
        }
    }

    /// The start or end of a step as that of its undo; anything else stays as it is.
    #[must_use]
    pub fn of_undo(self) -> Self {
        match self {
            Self::StepStarted { step, attempt, command, digest, boot, slot, why, .. } => {
                Self::UndoStarted { step, attempt, command, digest, boot, slot, why }
            }
            Self::AttemptReissued { step, attempt, slot, boot, .. } => {
                Self::AttemptReissued { step, attempt, slot, boot, undo: true }
            }
            Self::StepFinished {
                step,
                attempt,
                outcome,
                reason,
                exit_code,
                signal,
                duration_ms,
                log_sha256,
                dropped_bytes,
                recovered,
                by,
                ..
            } => Self::UndoFinished {
                step,
                attempt,
                outcome,
                reason,
                exit_code,
                signal,
                duration_ms,
                log_sha256,
                dropped_bytes,
                recovered,
                by,
            },
            other => other,
        }
    }
}
