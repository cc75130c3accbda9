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

mod adopt;
mod apply;
mod done;
mod gate;
mod illegal;
mod listing;
mod questions;
mod rewind;
mod run;
mod step;
mod structure;
mod undo;

pub use gate::{GivenAnswer, OpenGate, Outliving, SettledGate};
pub use illegal::{IllegalEvent, kind_name};
pub use run::{Created, RunState};
pub use step::{Attempt, DoneChecked, Said, Status, StepResult, StepState};
pub use structure::Structure;
