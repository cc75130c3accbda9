//! What happens next: pure decisions over a plan and the state of a run.
//!
//! [`advance`] takes one [`Input`] and returns the events that follow from it,
//! already applied to the state. Whoever calls it makes them durable before
//! anything of them takes effect, and starts what the recorded events ask for
//! (`engine.md` §1). A live run, a recovery and a simulation differ only in
//! where the inputs come from.

mod adoption;
mod advance;
mod clocks;
mod decided;
mod done;
mod fields;
mod follow;
mod gate;
mod guard;
mod input;
mod judge;
mod may;
mod offline;
mod progress;
mod resume;
mod settle;
mod start;
mod structure;
mod terminal;
mod unwind;
mod wait;

pub use adoption::{Adoption, plan_adoption};
pub use advance::{advance, finished_event};
pub use clocks::next_due;
pub use decided::{check_ahead_of_rollback, decided_ahead};
pub use fields::rule_of;
pub use gate::{gate_digest, needs_reason, words_of};
pub use guard::{Wishes, override_matters};
pub use input::{
    Answer, AttemptResult, Attendance, Circumstances, Decision, Found, Input, KeptFile, LockStanding,
    Refusal, RefusalKind, RenderedQuestion, Renderer, Shown, Terminal,
};
pub use judge::word_of;
pub use may::{barred_words, goes_on};
pub use offline::record_answer;
pub use progress::{Next, Progress};
pub use resume::{ResumeRequest, Rollback, check_ahead, check_ahead_again, plan_resume, plan_rollback};
pub use unwind::{Undoable, undoable};
