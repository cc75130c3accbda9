//! What the dispatcher is told by the tasks that it has started.

use runbook_core::event::EventKind;
use runbook_core::id::StepId;
use runbook_core::render::Measured;
use runbook_core::schedule::{KeptFile, LockStanding};
use tokio::sync::oneshot;

use super::errand::ErrandEnd;
use super::process::ProcessEnd;
use crate::capture::Stream;
use crate::keeper::{Control, Verdict};
use crate::store::named_lock::NamedLock;

/// A message from a task. The channel has no bound of its own: each running
/// attempt has at most a few messages in it, and live output is bounded by the
/// keeper's socket.
pub(super) enum Message {
    /// A step's lock was tried.
    Lock {
        /// The step, by index.
        step: usize,
        /// What came of it.
        standing: LockStanding,
        /// The lock, where it was taken.
        lock: Option<NamedLock>,
    },
    /// Live output.
    Output {
        /// The step.
        step: StepId,
        /// The attempt.
        attempt: u32,
        /// Where it was printed.
        stream: Stream,
        /// Masked.
        bytes: Vec<u8>,
    },
    /// A command can be told to end from now on.
    Controllable {
        /// The step, by index.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// How.
        control: Control,
    },
    /// A command is over.
    Process {
        /// The step, by index.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// How.
        end: ProcessEnd,
    },
    /// A command of the last engine is over: its slot tells.
    Attached {
        /// The step, by index.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// What the slot says.
        verdict: Result<Verdict, String>,
    },
    /// A sample is to be judged: the state is the dispatcher's.
    Judge {
        /// The step, by index.
        step: usize,
        /// Which of its checks it is of.
        purpose: Purpose,
        /// What was measured.
        measured: Box<Measured>,
        /// The probe's own opinion.
        own_success: Result<(), String>,
        /// Where the verdict goes.
        reply: oneshot::Sender<runbook_core::render::Verdict>,
    },
    /// Something to be recorded that decides nothing.
    Record(EventKind),
    /// A check is over.
    Check {
        /// The step, by index.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// How.
        end: Box<CheckEnd>,
    },
    /// A step's `done_when` was looked at.
    Looked {
        /// The step, by index.
        step: usize,
        /// How many attempts there were before.
        attempt: u32,
        /// What came of it.
        end: Box<CheckEnd>,
    },
    /// A request or a message is over.
    Errand {
        /// The step, by index.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// How.
        end: Box<ErrandEnd>,
    },
    /// Files were copied into the run, or could not be.
    Kept {
        /// The step, by index.
        step: usize,
        /// The attempt.
        attempt: u32,
        /// The copies.
        files: Result<Vec<KeptFile>, String>,
    },
    /// The survivors of an interrupted step were ended or waited for.
    SurvivorsEnded {
        /// The step, by index.
        step: usize,
    },
}

/// Which check of a step a sample is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Its own, or what its background command must pass.
    Attempt,
    /// Its `done_when`.
    DoneWhen,
}

/// How a check ended.
#[derive(Debug, Default)]
pub(super) struct CheckEnd {
    /// Why it failed.
    pub failure: Option<String>,
    /// The last sample.
    pub measured: Measured,
    /// What `warn` said of it.
    pub warnings: Vec<String>,
    /// How long the check took.
    pub duration_ms: u64,
    /// Whether the engine ended it.
    pub cut_off: bool,
    /// Whether nothing could be measured, so that the failure says nothing about the world.
    pub no_data: bool,
}
